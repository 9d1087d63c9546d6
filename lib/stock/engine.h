/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the stock engine. Private to lib/stock. */
#ifndef FG_STOCK_ENGINE_H
#define FG_STOCK_ENGINE_H

#include "base/counter.h"
#include "stock/stock.h"

#define NIL              UINT32_MAX
#define TO_COMMAND       0xff /* bank queue: the entry is the operator's, its serial a ticket */
#define DENIED_SLOTS     (2 * FG_STOCK_DENIED_MAX)
#define WATCHED_WAYS     4
#define COMMANDS_MAX     64  /* commands under way at one worker */
#define MESSAGES_MAX     256 /* taken from one peer per loop */
#define EXPIRE_MAX       64  /* orders looked at by the wheel per loop */
#define WHEEL_TICK_MS    8
#define WHEEL_SLOTS      65536 /* 524 s; longer holds pass by more than once */
#define WHEEL_LANES      8     /* lists of a slot */
#define USER_SHARE       16    /* orders for each chain of users' orders */
#define GRANT_SHARE      4     /* a grant's surplus is free / (GRANT_SHARE * workers) */
#define RETRY_BUSY_MS    10
#define RETRY_PAUSED_MS  1000
#define RETRY_FLEET_MS   250  /* busy: the fleet may have units when it is whole again */
#define RETRY_RETURNS_MS 1000 /* sold out: an unpaid order may come back */
#define RETRY_MS_MAX     86400000
#define LINE_TICK_MS     16
#define LINE_TTLS_MAX    20 /* a user who waits long need be heard of once in so many ttl */
#define LINE_PACE_SHARE  4  /* of the ttl: for so long the pace of a line is measured */

/* Beside the ledger's states (FG_ORDER_*): a request that waits for units has a slot, but is not
 * an order yet; and an expired order whose late payment waits for units.
 */
#define ORDER_PENDING FG_ORDER_STATES
#define ORDER_PAYING  (FG_ORDER_STATES + 1)
/* Of a waiting list (line.h): a WAIT that waits for units or a ticket, one that has a ticket and no
 * record yet, and a waiting order that was offered units and has no record of it yet.
 */
#define ORDER_JOINING  (FG_ORDER_STATES + 2)
#define ORDER_TICKETED (FG_ORDER_STATES + 3)
#define ORDER_OFFERED  (FG_ORDER_STATES + 4)
#define ORDER_STATES   (FG_ORDER_STATES + 5)

/* One line. The fields that a look-up compares come first; user space of a miss is this line and
 * its bucket.
 */
struct order {
    uint8_t order_id[16];
    uint64_t user;
    uint32_t item; /* index */
    uint32_t hash_next;
    uint64_t seq; /* own records pushed when it last changed: durable once the watermark is there;
                     TICKETED: the ticket */
    union {
        uint64_t deadline_ms; /* RESERVED */
        struct {              /* PENDING, PAYING, JOINING, TICKETED */
            uint32_t token;
            uint32_t serial;
        };
        struct { /* WAITING, OFFERED */
            uint32_t ticket;
            uint32_t until; /* present until then: Unix time / LINE_TICK_MS, modulo 2^32 */
        };
    };
    uint32_t next; /* on_wheel: in its slot; PENDING, PAYING, JOINING: in its item's waiting list;
                      TICKETED, OFFERED: in the list of struct line; else free list */
    uint16_t quantity;
    uint8_t state;
    uint8_t kind : 2;     /* PENDING, PAYING: enum fg_stock_kind of the token */
    uint8_t on_wheel : 1; /* in a list of the wheel, which may be late */
    uint8_t late : 1;     /* it was paid after its hold had ended */
    uint8_t loaded : 1;   /* WAITING: not heard of since the start */
    uint8_t offer : 1;    /* TICKETED: was offered units already */
    uint8_t drop : 1;     /* TICKETED, OFFERED: leaves instead, for the line was cleared */
    uint8_t by_offer : 1; /* RESERVED: came from the line, in this life */
    uint32_t usage;       /* slot of its user's units; not of a refunded order */
    uint32_t user_next;   /* of a user of the same bucket: index + 1, see by_user.h */
};
_Static_assert(sizeof(struct order) == FG_CACHE_LINE, "an order is one line");

/* Units that a user holds or has bought of one item, waiting requests included; and the user's
 * orders of it that ended unsold. A slot with neither is empty. */
struct usage {
    uint64_t user;
    union {
        struct {
            uint64_t item : 20;
            uint64_t passed : 8;  /* first of a line: usages that belong here or before, and lie
                                     behind it */
            uint64_t counted : 1; /* has units, by an item with a limit: one of users_max */
            uint64_t unsold : 8;  /* cancelled or expired; UNSOLD_MANY is no longer counted */
            uint64_t units : 26;
            uint64_t waits : 1; /* an order is in the line, or about to be */
        };
        uint64_t word; /* below USAGE_ORDERS: no units, no unsold orders */
    };
};
_Static_assert(sizeof(struct usage) == 16, "four in a line");
#define USAGE_ORDERS    (1u << 29)
#define USAGE_UNITS_MAX ((1u << 26) - 1)
#define UNSOLD_MANY     255
#define USAGE_LINE      (FG_CACHE_LINE / sizeof(struct usage))
#define PASSED_MANY     255 /* no longer counted */

struct item {
    _Alignas(2 * FG_CACHE_LINE) uint64_t id;
    uint64_t opens_ms, closes_ms;
    uint32_t hold_ms, user_limit;
    uint16_t order_max, flags;
    uint8_t known;    /* has an id */
    uint8_t live;     /* settings in force: requests are served */
    uint8_t sold_out; /* nothing is free anywhere: reject at once */
    uint8_t dirty;    /* in the dirty list */
    uint8_t recalled; /* a RECALL waits for its answer */
    uint8_t home;     /* worker that runs its bank */
    uint8_t line;     /* struct line has something to be recorded or sent here */
    uint32_t free;    /* units of this worker's slice; at home those of the bank */
    uint32_t left_hint;
    uint32_t wait_head, wait_tail; /* PENDING orders of this worker, oldest first */
    uint32_t returning;            /* durable released units on their way to the bank */
    uint32_t releasing;            /* released or added units that are not durable yet */
    uint32_t reserved, sold;       /* units in orders of this worker */
    uint32_t refunded;             /* likewise: sold once, and not put back on sale */
    uint32_t dirty_next;
    uint32_t hash_next;
};

/* The home's side of an item. `announced` implies: queue empty, nothing free, nothing lent, no
 * recall. */
struct bank {
    uint64_t lent;          /* workers that may hold free units */
    uint64_t recall_send;   /* workers that have to be sent a RECALL */
    uint64_t recall_wait;   /* workers whose RECALLED is awaited */
    uint64_t announce_send; /* workers that have to be told SOLD_OUT or OPEN */
    uint32_t lent_units; /* granted since the last complete recall: at least what they still hold */
    uint32_t queue_units; /* asked for in the queue */
    uint32_t queue_head, queue_tail;
    uint32_t total;   /* units recorded */
    uint32_t at_once; /* units that the home may sell like those of a slice: without an entry in the
                         queue */
    bool announced;   /* all workers were told SOLD_OUT */
    bool empty;       /* a request was refused because nothing was free */
    bool line;        /* users wait: what comes back is kept for them, see struct line */
};

enum { FLEET_RESTS, FLEET_GATHERS, FLEET_SETTLES };

/* What the home of an item has beside its bank in a fleet, and a slice where it says so. */
struct fleet_item {
    uint64_t leased, leases, returned, returns; /* as in the last record */
    uint32_t head, tail;                        /* requests that the queue has had before its oldest
                                                   one, and in all */
    bool waits;                                 /* the oldest one, for the fleet */
    bool sold_out;                              /* nothing is free at any member */
    /* refused by the fleet: requests before this number */
    bool refused_busy;
    uint8_t recall; /* FLEET_GATHERS: slices are being emptied; FLEET_SETTLES: what was decided
                       is being committed */
    uint32_t refused_to, refused_left;
    uint32_t ticket, given, serve_to; /* RECALL: the command's; units; requests behind it wait */
    bool asked;                       /* slice: whether all that it decided is committed */
    uint64_t settle_seq; /* own records that have to be committed; slice: + 1, 0 = not known yet */
    uint64_t settle_send, settle_wait; /* workers to be asked that, and whose answer is awaited */
    /* published: stock/fleet.h */
    _Atomic bool listed; /* in `news` */
    _Atomic uint32_t version, told_head, told_least, told_free;
    _Atomic uint64_t told_wanted;
};

struct bank_entry {
    uint32_t units, serial, next;
    uint8_t worker, first;
    uint8_t wait; /* a WAIT, of `order` at its worker */
    uint8_t pad;
    uint32_t order;
};

/* An order in the line. It may have left since: its worker tells when its turn comes. */
struct line_entry {
    uint32_t ticket;
    uint32_t order; /* at its worker */
    uint32_t next;
    uint16_t units;
    uint8_t worker;
    uint8_t pad;
    uint32_t since;   /* Unix ms, modulo 2^32 */
    uint32_t user[2]; /* in a draw: low, high; ticket and since have the rank, high and low */
};
_Static_assert(sizeof(struct line_entry) == 28, "memory for each who waits");

/* The draw at an item's home (draw.h). From CLOSING on nobody joins or leaves the line. */
enum draw_phase {
    DRAW_NONE,
    DRAW_ASKED,      /* the commitment is to be written */
    DRAW_SEALED,     /* it was, and is not committed yet */
    DRAW_ARMED,      /* entries are taken in until the opening */
    DRAW_CLOSING,    /* the workers send theirs */
    DRAW_RANKING,    /* the draw is in the log; entries are put into buckets by their rank */
    DRAW_COLLECTING, /* and from there into the line */
    DRAW_SEATING,    /* their workers are told the tickets, once the draw is committed */
    DRAW_TELLING,    /* and that it is over */
};

/* At each worker, from CLOSE to DRAWN. */
enum draw_close { CLOSE_NONE, CLOSE_ASKED, CLOSE_DONE };

/* The waiting list of an item. */
struct line {
    /* settings */
    uint32_t max, claim_ms, ttl_ms, flags;
    /* at each worker */
    uint32_t list_head, list_tail; /* TICKETED and OFFERED orders, oldest first; some of the latter
                                      have left meanwhile */
    uint32_t offered;              /* units of the OFFERED */
    uint32_t passed; /* units of offers that were not taken, on their way to the bank */
    uint32_t called,
        called_ticket;    /* order whose turn has come, for which there are too few units */
    uint32_t called_next; /* item whose order was called as well */
    uint32_t gone;        /* ticket that the home is to be told has left; 0 = none */
    uint32_t serving;     /* ticket that comes next, as the home told */
    uint32_t pace_us;     /* that a ticket took lately; 0 = not known */
    uint32_t pace_ticket; /* came next when the present measurement began, */
    uint64_t pace_ms;     /* which was then; 0 = none yet */
    uint32_t joining;     /* JOINING orders */
    uint32_t entry_at;    /* CLOSE_ASKED: next order that may take part */
    uint64_t closed_seq;  /* 1 + own records that have to be durable before the entries are sent */
    uint8_t closing;      /* enum draw_close */
    bool undrawn;         /* tickets are not the final ones */
    bool entry;           /* a WAIT before the opening takes part */
    /* at the home */
    uint32_t head, tail, waiting; /* the line, and its length */
    uint32_t kept;                /* units for it, beside the bank's free ones */
    uint32_t tickets;             /* given so far */
    uint32_t cleared;             /* up to this ticket all leave at their turn, which is now */
    bool call_sent;               /* to the head */
    uint64_t serving_send;        /* workers that have to be told which ticket comes next */
    uint64_t opens_ms;            /* of the item, as last recorded: it may not be in force yet */
    bool lottery;                 /* by the log a draw is to come */
    uint8_t draw;                 /* enum draw_phase */
    uint8_t seed[16], key[16];
    uint64_t draw_seq;         /* own record that has to be committed: commitment, or draw */
    uint64_t draw_send;        /* workers that have to be told of the phase */
    uint64_t close_wait;       /* workers whose CLOSED is awaited */
    uint64_t sum[4];           /* over the entries */
    uint32_t pool;             /* places in the line that entries take */
    uint32_t entries, next_at; /* how many; next one, or next bucket */
    uint32_t draw_next;        /* item with a draw, of the same home */
};

/* Waits for the disk: an answer, released units, or both. In a pair the answer also waits until the
 * record is committed. */
struct deferred {
    uint64_t seq;
    uint32_t item, units;          /* units to release when durable */
    struct fg_stock_answer answer; /* token FG_STOCK_NO_TOKEN: none */
};

struct denied {
    uint64_t user;
    uint8_t taken, denied;
    uint8_t pad[6];
};

/* A set of WATCHED_WAYS is one line. */
struct watched {
    _Atomic uint64_t user;
    _Atomic uint64_t state; /* Unix microseconds, modulo 2^44, when the bucket is full again, << 20
                               | refusals */
};

struct deferred_queue {
    struct deferred *slots;
    uint32_t mask, max;
    uint64_t head, tail;
    uint64_t released; /* of a pair: before it units were released; not behind head */
};

struct ready_queue {
    struct fg_stock_answer *slots;
    uint32_t mask, max;
    uint64_t head, tail;
};

/* NEEDs of this worker to its own banks. They wait for the next loop as those of the others do. */
struct own_need {
    uint32_t index, units, serial, first, wait, order;
};

struct own_queue {
    struct own_need *slots;
    uint32_t mask;
    uint64_t head, tail;
};

struct fg_stock {
    struct fg_stock_config config;
    enum fg_stock_mode mode;
    uint64_t pushed;    /* records given to the journal */
    uint64_t durable;   /* of those, known durable: what they release may be sold again */
    uint64_t committed; /* of those, known committed: their answers may leave */
    uint32_t serial;    /* of the last NEED */
    uint32_t waiting;   /* PENDING orders and answers in `ready` */
    uint32_t needs;     /* NEEDs sent to other workers, not answered yet */
    uint32_t commands;  /* under way */
    uint32_t dirty_head;
    uint64_t taken; /* messages taken so far: says whose come first in a loop */

    struct item *items;
    struct bank *banks;
    uint32_t *item_buckets, item_mask;

    struct order *orders;
    uint32_t *order_buckets, order_mask, order_free, order_used;
    uint32_t order_bits, order_shift;          /* see tables.h */
    _Atomic uint32_t orders_live;              /* published */
    uint32_t *user_buckets, user_mask, listed; /* see by_user.h */
    bool listing;

    struct usage *usages;
    uint32_t usage_lines;         /* of USAGE_LINE slots */
    _Atomic uint32_t usages_live; /* published */
    _Atomic uint32_t waiting_live, held_live, denied_live;

    struct denied *denied;
    uint32_t denied_used;
    struct watched *watched;
    uint64_t rate_interval_us, rate_window_us; /* of the token bucket of a user */

    struct bank_entry *entries;
    uint32_t entry_free;

    struct line *lines; /* of each item; without waiting_max none is ever used */
    struct line_entry *line_entries;
    uint32_t line_free, called_head;
    uint32_t *draw_buckets, draw_bits, draw_head, ranking; /* of one draw at a time: `ranking` */
    uint64_t draw_due_ms; /* no draw begins before; 0 = to be found out */
    uint32_t scan_left;   /* orders that may be looked at for entries in this loop */
    uint64_t start_ms;    /* of the first loop */
    struct fg_histogram waited;

    struct fleet_item *fleets; /* of each item; without a fleet none is ever used */
    uint32_t *news;            /* items whose news changed; slots as item_mask says */
    _Atomic uint64_t news_tail;
    uint64_t news_head; /* its reader's */

    struct own_queue own;
    struct deferred_queue deferred;
    struct ready_queue ready;

    uint32_t *wheel;
    uint32_t grace_ms;               /* a hold ends so much after its deadline */
    uint64_t wheel_tick;             /* last tick whose slot was emptied; 0 = clock not seen yet */
    uint32_t wheel_due[WHEEL_LANES]; /* taken from their slot, not looked at yet */

    struct fg_stock_counters counters;
};

/* GCC takes a function that only prefetches for one without effect and drops its call: hence
 * always_inline.
 */
#define INLINE static inline __attribute__((always_inline))

#define COUNT(stock, name, n) fg_counter_add(&(stock)->counters.name, (n))

static inline struct item *item_at(struct fg_stock *s, uint32_t index)
{
    return &s->items[index];
}

static inline bool is_home(const struct fg_stock *s, const struct item *item)
{
    return item->home == s->config.worker;
}

/* About free: in the bank, and what the slices were lent and may have sold since. */
static inline uint32_t bank_left(const struct fg_stock *s, uint32_t index)
{
    return s->items[index].free + s->banks[index].lent_units;
}

static inline uint32_t item_left(const struct fg_stock *s, const struct item *item)
{
    if (is_home(s, item))
        return bank_left(s, (uint32_t)(item - s->items));
    return item->left_hint > item->free ? item->left_hint : item->free;
}

/* Puts the item into the list of those that fg_stock_poll works on. */
static inline void mark_dirty(struct fg_stock *s, uint32_t index)
{
    struct item *item = item_at(s, index);

    if (item->dirty)
        return;
    item->dirty = 1;
    item->dirty_next = s->dirty_head;
    s->dirty_head = index;
}

#endif
