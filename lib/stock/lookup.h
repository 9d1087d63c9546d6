/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Look-ups in the engine's tables. Private to lib/stock.
 *
 * Items and orders are chained hash tables. A bucket of the orders holds the index + 1 of its newest order in
 * the low order_bits (0: empty); each of its orders has set one of the bits above, chosen by its hash. So a
 * stranger, who is what a flood is made of, is nearly always told from the orders of his bucket without a
 * look at any of them. A bit stays set when its order is removed, until the bucket is empty.
 *
 * Usages lie in lines of four places. Who finds no place in the line of his hash takes the next that is free
 * behind it, and is counted by the lines that he passed: a look-up ends at a line that nobody passed. So it
 * is mostly one line, and nothing moves when a usage ends.
 */
#ifndef FG_STOCK_LOOKUP_H
#define FG_STOCK_LOOKUP_H

#include "stock/engine.h"

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

static inline uint64_t order_hash(const struct fg_stock *s, uint64_t user, const uint8_t order_id[16])
{
    uint64_t id[2];

    memcpy(id, order_id, sizeof(id));
    return fg_mix64(fg_mix64(id[0], id[1] ^ s->config.seed), user) | 1u << 31; /* never 0; no bucket's bit */
}

static inline uint32_t *order_bucket(const struct fg_stock *s, uint64_t hash)
{
    return &s->order_buckets[(uint32_t)hash & s->order_mask];
}

/* How a bucket is divided: an index + 1, and a power of two of bits, chosen by the top of the hash. */
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
    return fg_order_walk(s, bucket_head(s, bucket), user, order_id);
}

static inline uint32_t usage_home(const struct fg_stock *s, uint64_t user, uint32_t item)
{
    uint64_t hash = fg_mix64(user ^ s->config.seed, item);

    return (uint32_t)((hash >> 32) * s->usage_lines >> 32);
}

static inline struct usage *usage_line(const struct fg_stock *s, uint32_t line)
{
    return &s->usages[line * USAGE_LINE];
}

static inline uint32_t usage_next(const struct fg_stock *s, uint32_t line)
{
    return line + 1 < s->usage_lines ? line + 1 : 0;
}

static inline struct usage *usage_in_line(struct usage *u, uint64_t user, uint32_t item)
{
    bool none = (u[0].user != user) & (u[1].user != user) & (u[2].user != user) & (u[3].user != user);

    if (fg_likely(none)) /* one branch for strangers */
        return NULL;
    for (unsigned i = 0; i < USAGE_LINE; i++)
        if (u[i].user == user && u[i].item == item && u[i].units > 0)
            return &u[i];
    return NULL;
}

/* Of a user and item. */
struct place {
    struct usage *usage; /* NULL: he has none */
    uint32_t home;       /* line */
};

static inline struct place usage_find(const struct fg_stock *s, uint64_t user, uint32_t item)
{
    uint32_t home = usage_home(s, user, item), line = home;

    do {
        struct usage *u = usage_in_line(usage_line(s, line), user, item);

        if (u)
            return (struct place){.usage = u, .home = home};
        if (fg_likely(usage_line(s, line)->passed == 0))
            break;
        line = usage_next(s, line);
    } while (line != home);
    return (struct place){.home = home};
}

static inline uint32_t usage_units(struct place p)
{
    return p.usage ? p.usage->units : 0;
}

/* False when full. `p` is what usage_find gave. */
static inline bool usage_add(struct fg_stock *s, struct place p, uint64_t user, uint32_t item, uint32_t units)
{
    if (!p.usage)
        return fg_usage_insert(s, p.home, user, item, units);
    p.usage->units += units;
    return true;
}

#endif
