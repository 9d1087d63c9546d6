/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Look-ups in the engine's tables. Private to lib/stock.
 *
 * Items and orders are chained hash tables. A bucket of the orders holds the index + 1 of its
 * newest order in the low order_bits (0: empty); each of its orders has set one of the bits above,
 * chosen by its hash. So a stranger, who is what a flood is made of, is nearly always told from the
 * orders of the bucket without reading any of them. A bit stays set when its order is removed,
 * until the bucket is empty.
 *
 * Usages lie in lines of four slots. A usage that finds no slot in the line of its hash takes the
 * next free one behind it, and each line that it passed counts it: a look-up ends at a line that
 * no usage passed. So it is mostly one line, and nothing moves when a usage ends. There are more
 * slots than orders, and no usage without an order that is remembered.
 */
#ifndef FG_STOCK_TABLES_H
#define FG_STOCK_TABLES_H

#include "stock/by_user.h"

/* Sizes for that many entries. */
uint32_t fg_stock_table_buckets(uint32_t entries);
uint32_t fg_stock_usage_lines(uint32_t orders);

/* ---- items */

void fg_stock_item_define(struct fg_stock *s, uint32_t index, uint64_t id);

static inline uint32_t item_bucket(const struct fg_stock *s, uint64_t id)
{
    return (uint32_t)fg_mix64(id, s->config.seed) & s->item_mask;
}

static inline uint32_t item_find(const struct fg_stock *s, uint64_t id)
{
    uint32_t at = s->item_buckets[item_bucket(s, id)];

    while (at != NIL && s->items[at].id != id)
        at = s->items[at].hash_next;
    return at;
}

/* ---- orders */

uint32_t fg_stock_order_walk(const struct fg_stock *s, uint32_t at, uint64_t user,
                             const uint8_t order_id[16]);
void fg_stock_order_remove(struct fg_stock *s, uint32_t at);

static inline uint64_t order_hash(const struct fg_stock *s, uint64_t user,
                                  const uint8_t order_id[16])
{
    uint64_t id[2];

    memcpy(id, order_id, sizeof(id));
    return fg_mix64(fg_mix64(id[0], id[1] ^ s->config.seed), user) |
           1u << 31; /* never 0; no bucket's bit */
}

static inline uint32_t *order_bucket(const struct fg_stock *s, uint64_t hash)
{
    return &s->order_buckets[(uint32_t)hash & s->order_mask];
}

/* How a bucket is divided: an index + 1, and a power of two of bits, chosen by the top of the hash.
 */
static inline void order_division(struct fg_stock *s)
{
    s->order_bits = 32 - (uint32_t)__builtin_clz(s->config.limits.orders_max);
    s->order_shift = 1 + (uint32_t)__builtin_clz(32 - s->order_bits);
}

/* The bit that an order of this hash sets in its bucket. */
static inline uint32_t order_bit(const struct fg_stock *s, uint64_t hash)
{
    return 1u << (s->order_bits + (hash >> 32 >> s->order_shift));
}

static inline uint32_t bucket_head(const struct fg_stock *s, uint32_t bucket)
{
    return (bucket & ((1u << s->order_bits) - 1)) - 1; /* NIL when it is empty */
}

static inline uint32_t bucket_with_head(const struct fg_stock *s, uint32_t bucket, uint32_t at)
{
    return (bucket & ~((1u << s->order_bits) - 1)) | (at + 1);
}

static inline uint32_t order_find(const struct fg_stock *s, uint64_t hash, uint64_t user,
                                  const uint8_t order_id[16])
{
    uint32_t bucket = *order_bucket(s, hash);

    if (fg_likely(!(bucket & order_bit(s, hash))))
        return NIL;
    return fg_stock_order_walk(s, bucket_head(s, bucket), user, order_id);
}

static inline void publish_orders(struct fg_stock *s, int change)
{
    uint32_t live = atomic_load_explicit(&s->orders_live, memory_order_relaxed);

    atomic_store_explicit(&s->orders_live, live + (uint32_t)change, memory_order_relaxed);
}

/* NIL when full. */
INLINE uint32_t order_add(struct fg_stock *s, uint64_t hash, uint64_t user,
                          const uint8_t order_id[16])
{
    uint32_t *bucket = order_bucket(s, hash);
    uint32_t at = s->order_free;
    struct order *o;

    if (at != NIL)
        s->order_free = s->orders[at].next;
    else if (s->order_used < s->config.limits.orders_max)
        at = s->order_used++;
    else
        return NIL;
    o = &s->orders[at];
    memset(o, 0, sizeof(*o));
    o->user = user;
    memcpy(o->order_id, order_id, 16);
    o->next = NIL;
    o->hash_next = bucket_head(s, *bucket);
    *bucket = bucket_with_head(s, *bucket, at) | order_bit(s, hash);
    if (fg_unlikely(at < s->listed))
        fg_stock_by_user_link(s, at);
    publish_orders(s, 1);
    return at;
}

/* ---- usages */

struct usage *fg_stock_usage_slot_away(struct fg_stock *s, uint64_t user, uint32_t item);
struct usage *fg_stock_usage_find_away(const struct fg_stock *s, uint64_t user, uint32_t item);
void fg_stock_usage_sub(struct fg_stock *s, uint32_t slot, uint32_t units);
/* The order that had the units ended unsold; and: it was paid after all. */
void fg_stock_usage_unsold(struct fg_stock *s, uint32_t slot, uint32_t units);
void fg_stock_usage_paid(struct fg_stock *s, uint32_t slot);

static inline uint64_t usage_hash(const struct fg_stock *s, uint64_t user, uint32_t item)
{
    return fg_mix64(user ^ s->config.seed, item);
}

static inline uint32_t usage_home(const struct fg_stock *s, uint64_t hash)
{
    return (uint32_t)((hash >> 32) * s->usage_lines >> 32);
}

/* The nth line where a usage may be that is not at home: chosen by the other half of the hash, then
 * in order.
 */
static inline uint32_t usage_away(const struct fg_stock *s, uint64_t hash, uint32_t n)
{
    uint64_t line = ((uint64_t)(uint32_t)hash * s->usage_lines >> 32) + n;

    return (uint32_t)(line < s->usage_lines ? line : line - s->usage_lines);
}

static inline struct usage *usage_line(const struct fg_stock *s, uint32_t line)
{
    return &s->usages[line * USAGE_LINE];
}

static inline bool usage_empty(const struct usage *u)
{
    return u->word < USAGE_ORDERS;
}

static inline struct usage *usage_in_line(struct usage *u, uint64_t user, uint32_t item)
{
    bool none =
        (u[0].user != user) & (u[1].user != user) & (u[2].user != user) & (u[3].user != user);

    if (fg_likely(none)) /* one branch for strangers */
        return NULL;
    for (unsigned i = 0; i < USAGE_LINE; i++)
        if (u[i].user == user && u[i].item == item && !usage_empty(&u[i]))
            return &u[i];
    return NULL;
}

/* Fetches the line that a look-up continues with when home is not enough. */
INLINE void usage_fetch_away(const struct fg_stock *s, uint32_t home, uint64_t user, uint32_t item)
{
    if (usage_line(s, home)->passed)
        __builtin_prefetch(usage_line(s, usage_away(s, usage_hash(s, user, item), 0)), 1);
}

/* Fetches the lines that giving back an order's units touches: their slot and, should they lie away
 * and end, home. */
INLINE void usage_fetch_of(const struct fg_stock *s, const struct order *o)
{
    uint32_t home = usage_home(s, usage_hash(s, o->user, o->item));

    __builtin_prefetch(&s->usages[o->usage], 1);
    if (o->usage / USAGE_LINE != home)
        __builtin_prefetch(usage_line(s, home), 1);
}

/* NULL when there is none. */
static inline struct usage *usage_find(const struct fg_stock *s, uint32_t home, uint64_t user,
                                       uint32_t item)
{
    struct usage *u = usage_in_line(usage_line(s, home), user, item);

    return u || fg_likely(usage_line(s, home)->passed == 0)
               ? u
               : fg_stock_usage_find_away(s, user, item);
}

static inline void publish_usages(struct fg_stock *s, int change)
{
    uint32_t live = atomic_load_explicit(&s->usages_live, memory_order_relaxed);

    atomic_store_explicit(&s->usages_live, live + (uint32_t)change, memory_order_relaxed);
}

/* NULL when the line is full: it is passed. Without a branch for each slot: none could be
 * predicted. */
static inline struct usage *free_slot(struct usage *line)
{
    unsigned empty = usage_empty(&line[0]) | usage_empty(&line[1]) << 1 |
                     usage_empty(&line[2]) << 2 | usage_empty(&line[3]) << 3;

    if (fg_likely(empty))
        return &line[__builtin_ctz(empty)];
    line->passed += line->passed < PASSED_MANY;
    return NULL;
}

/* A new pair, in an empty slot. */
INLINE struct usage *usage_new(struct fg_stock *s, uint32_t home, uint64_t user, uint32_t item,
                               uint32_t units)
{
    struct usage *u = free_slot(usage_line(s, home));

    if (fg_unlikely(!u))
        u = fg_stock_usage_slot_away(s, user, item);
    *u = (struct usage){.user = user,
                        .item = item & 0xfffff,
                        .passed = u->passed,
                        .units = units & USAGE_UNITS_MAX};
    return u;
}

static inline void usage_count(struct fg_stock *s, struct usage *u)
{
    u->counted = 1;
    publish_usages(s, 1);
}

/* Its slot, which stays until it has no units and no unsold orders; NIL when full. `u` is what
 * usage_find gave; limited: the item has a limit per user. */
INLINE uint32_t usage_add(struct fg_stock *s, struct usage *u, uint32_t home, uint64_t user,
                          uint32_t item, uint32_t units, bool limited)
{
    bool counts = limited && (!u || u->units == 0);

    FG_ASSERT(units > 0);
    if (counts &&
        atomic_load_explicit(&s->usages_live, memory_order_relaxed) >= s->config.limits.users_max)
        return NIL;
    if (!u)
        u = usage_new(s, home, user, item, units);
    else if (fg_unlikely(units > USAGE_UNITS_MAX - u->units))
        return NIL;
    else
        u->units += units;
    if (counts)
        usage_count(s, u);
    return (uint32_t)(u - s->usages);
}

#endif
