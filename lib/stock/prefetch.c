/* SPDX-License-Identifier: BSD-3-Clause */
/* A large table is slow because each step of a look-up waits for memory. Here a burst takes each
 * step together. */
#include "stock/tables.h"
#include "stock/users.h"

/* The last item that was looked up: most of a burst want the same. */
struct last {
    uint64_t id;
    uint32_t index; /* + 1; 0: none */
    bool sells;     /* one of this burst's items may have units */
};

INLINE void find_item(const struct fg_stock *s, uint64_t id, struct last *last)
{
    uint32_t index = item_find(s, id);

    last->id = id;
    last->index = index + 1;
    last->sells |= index != NIL && !s->items[index].sold_out;
}

/* The bucket. */
INLINE void first(const struct fg_stock *s, struct fg_stock_request *r, struct last *last)
{
    r->hash = order_hash(s, r->user, r->order_id);
    r->line = NIL;
    r->index = 0;
    __builtin_prefetch(order_bucket(s, r->hash), 1);
    if (r->op != FG_PACKET_OP_RESERVE)
        return;
    if (s->config.limits.user_rate)
        __builtin_prefetch(fg_stock_user_set(s, r->user), 1);
    if (fg_unlikely(r->item != last->id))
        find_item(s, r->item, last);
    r->index = last->index;
}

/* The user's usage of an item that may have units. */
INLINE bool prefetch_wanted(const struct fg_stock *s, struct fg_stock_request *r)
{
    if (r->op != FG_PACKET_OP_RESERVE || !r->index || s->items[r->index - 1].sold_out)
        return false;
    r->line = usage_home(s, usage_hash(s, r->user, r->index - 1));
    __builtin_prefetch(usage_line(s, r->line), 1);
    return true;
}

/* The newest order of the bucket; for a stranger, the usage. Not in the first step: more misses at
 * once than a core can track cost more than they save. False when there is no third step. */
INLINE bool second(const struct fg_stock *s, struct fg_stock_request *r, bool sells)
{
    uint32_t bucket = *order_bucket(s, r->hash);

    if (fg_likely(!(bucket & order_bit(s, r->hash))))
        return sells && prefetch_wanted(s, r);
    __builtin_prefetch(&s->orders[bucket_head(s, bucket)], 1);
    return true;
}

INLINE bool has_order(const struct fg_stock *s, const struct fg_stock_request *r)
{
    return *order_bucket(s, r->hash) & order_bit(s, r->hash);
}

/* This may be the order: the units that a cancellation gives back. Else the bucket's next order
 * (true). */
INLINE bool prefetch_beyond(const struct fg_stock *s, const struct fg_stock_request *r,
                            const struct order *o)
{
    if (o->user != r->user && o->hash_next != NIL) {
        __builtin_prefetch(&s->orders[o->hash_next], 1);
        return true;
    }
    if (r->op == FG_PACKET_OP_CANCEL)
        usage_fetch_of(s, o);
    return false;
}

/* Memory that the user's usage, or the bucket's newest order, leads to. True when there is a fourth
 * step.
 */
INLINE bool third(const struct fg_stock *s, struct fg_stock_request *r)
{
    const struct order *o;

    if (r->line != NIL) {
        usage_fetch_away(s, r->line, r->user, r->index - 1);
        return false;
    }
    if (!has_order(s, r))
        return false;
    o = &s->orders[bucket_head(s, *order_bucket(s, r->hash))];
    if (o->user != r->user)
        prefetch_wanted(s, r);
    return prefetch_beyond(s, r, o);
}

/* Memory that the second order leads to. */
INLINE void fourth(const struct fg_stock *s, struct fg_stock_request *r)
{
    const struct order *o = &s->orders[bucket_head(s, *order_bucket(s, r->hash))];

    if (has_order(s, r) && o->user != r->user && o->hash_next != NIL)
        prefetch_beyond(s, r, &s->orders[o->hash_next]);
}

void fg_stock_prefetch(const struct fg_stock *s, struct fg_stock_request *requests, unsigned n)
{
    struct last last = {.index = 0};
    unsigned more = 0, still_more = 0;

    for (unsigned i = 0; i < n; i++)
        first(s, &requests[i], &last);
    for (unsigned i = 0; i < n; i++)
        more += second(s, &requests[i], last.sells);
    for (unsigned i = 0; i < n && more; i++)
        still_more += third(s, &requests[i]);
    for (unsigned i = 0; i < n && still_more; i++)
        fourth(s, &requests[i]);
}
