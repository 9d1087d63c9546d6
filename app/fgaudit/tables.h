/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * tables: what the auditor remembers: items, orders, and the units that each user has of each item.
 * Made for ten million orders: 56 bytes an order, 4 to 8 for its slot, 16 to 32 for its user.
 */
#ifndef FG_AUDIT_TABLES_H
#define FG_AUDIT_TABLES_H

#include "journal/record.h"

/* The auditor's own states; numbers are its own. name, text as in Redis */
#define FG_STATE_LIST(X)                                                                           \
    X(RESERVED, "reserved")                                                                        \
    X(SOLD, "sold")                                                                                \
    X(CANCELLED, "cancelled")                                                                      \
    X(EXPIRED, "expired")                                                                          \
    X(REFUNDED, "refunded")                                                                        \
    X(WAITING, "waiting")

enum fg_state {
    FG_STATE_ABSENT,
#define X(name, text) FG_STATE_##name,
    FG_STATE_LIST(X)
#undef X
        FG_STATE_COUNT
};
const char *fg_state_name(unsigned state);

/* Of a fleet: what was leased, or returned. */
struct fg_moved {
    uint64_t units, times;
};

struct fg_item {
    uint64_t item;
    int64_t total, reserved, sold, refunded; /* signed: a wrong log must not wrap */
    int64_t short_max;   /* most units that were ever missing: sold and reserved above total */
    uint64_t commit;     /* the commit that `free_before` belongs to */
    int64_t free_before; /* free when that commit began, less what was taken since */
    uint64_t opens_ms, closes_ms;
    uint32_t hold_ms, user_limit;
    uint16_t order_max, flags;
    /* Wider settings that were replaced a moment ago: workers may still have used them, until
     * loose_ms. */
    uint64_t loose_ms;
    uint32_t loose_limit; /* 0 = no limit */
    uint16_t loose_order_max;
    /* The waiting list: settings as in LINE_SET; `line` is the auditor's, see line.h. */
    uint32_t line_max, claim_ms, wait_ttl_ms, line_flags;
    struct fg_line *line;          /* NULL = nobody ever waited; of struct fg_story */
    struct fg_moved lease, giving; /* LEASE, RETURN: cumulative */
    int64_t *stocks;               /* units added less removed: at the beginning, if that is a
                                    * snapshot, and after each STOCK; NULL = none */
    uint32_t stock_count;
    bool in_redis, in_postgres;
    uint8_t name_len; /* 0 = never named */
    uint8_t name[FG_JOURNAL_ITEM_NAME_MAX];
};

static inline int64_t fg_item_available(const struct fg_item *i)
{
    return i->total - i->reserved - i->sold - i->refunded;
}

/* By the operator, at this member. */
static inline int64_t fg_item_added(const struct fg_item *i)
{
    return i->total - (int64_t)i->lease.units + (int64_t)i->giving.units;
}

/* Into `stocks`: the pool of a fleet may have any of them, it gets the newest with the next swap.
 */
void fg_item_keep_added(struct fg_item *i);

struct fg_order {
    uint8_t id[16];
    uint64_t user;
    union {
        uint64_t deadline_ms; /* 0 = it never held units */
        uint64_t ticket;      /* WAITING */
    };
    uint64_t changed_ms;
    uint64_t seq;  /* of its last record */
    uint32_t item; /* index into items */
    uint16_t quantity;
    uint8_t state : 4;
    uint8_t named : 1;    /* a client file names it */
    uint8_t in_redis : 1; /* seen there */
    uint8_t in_postgres : 1;
    uint8_t late : 1;   /* paid after its hold had ended */
    uint8_t closed : 1; /* cancelled after its hold had ended */
    uint8_t restocked : 1;
    uint8_t left : 1; /* cancelled, and never more than waiting */
    uint8_t pad : 4;
};
_Static_assert(sizeof(struct fg_order) == 56, "ten million of them are kept");

struct fg_held {
    uint64_t user;
    uint32_t item; /* index into items + 1; 0 = free */
    uint32_t units;
};

struct fg_tables {
    struct fg_item *items;
    uint32_t item_count, item_room;
    uint32_t *item_slots; /* hash table of index + 1 */
    uint64_t item_size;
    struct fg_order *orders;
    uint32_t order_count, order_room;
    uint32_t *order_slots;
    uint64_t order_size;
    struct fg_held *held;
    uint64_t held_count, held_size;
};

/* Out of memory ends the program with exit 2: an auditor that cannot remember has nothing to say.
 * Pointers hold until the next one of the kind is added. */
void fg_tables_init(struct fg_tables *t);
void fg_tables_free(struct fg_tables *t);

struct fg_item *fg_tables_item(const struct fg_tables *t, uint64_t item);
struct fg_item *fg_tables_item_add(struct fg_tables *t, uint64_t item);

struct fg_order *fg_tables_order(const struct fg_tables *t, uint64_t user, const uint8_t id[16]);
struct fg_order *fg_tables_order_add(struct fg_tables *t, uint64_t user, const uint8_t id[16]);

/** Units of that user and item; made with 0 when new. */
uint32_t *fg_tables_held(struct fg_tables *t, uint64_t user, uint32_t item);

void fg_hex(char text[33], const uint8_t id[16]);
bool fg_unhex(const char *text, uint8_t id[16]); /**< exactly 32 lower-case digits are read */

__attribute__((noreturn)) void fg_out_of_memory(void);

#endif
