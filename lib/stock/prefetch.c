/* SPDX-License-Identifier: BSD-3-Clause */
/* A large table is slow because each step of a look-up waits for memory. Here a burst takes each step
 * together. */
#include "stock/lookup.h"

/* GCC takes a function that only prefetches for one without effect and drops the call. */
#define INLINE static inline __attribute__((always_inline))

INLINE void prefetch_usage(const struct fg_stock *s, uint64_t user, uint32_t item)
{
    __builtin_prefetch(usage_line(s, usage_home(s, user, item)), 1);
}

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
    __builtin_prefetch(order_bucket(s, r->hash), 1);
    if (r->op != FG_OP_RESERVE)
        return;
    if (fg_unlikely(r->item != last->id))
        find_item(s, r->item, last);
    r->index = last->index;
}

/* The newest order of the bucket. Of a stranger (false), what he has of an item that sells. Not in the first
 * step: more misses at once than a core can track cost more than they save. */
INLINE bool second(const struct fg_stock *s, const struct fg_stock_request *r, bool sells)
{
    uint32_t bucket = *order_bucket(s, r->hash);

    if (fg_likely(!(bucket & order_bit(s, r->hash)))) {
        if (sells && r->index && !s->items[r->index - 1].sold_out)
            prefetch_usage(s, r->user, r->index - 1);
        return false;
    }
    __builtin_prefetch(&s->orders[bucket_head(s, bucket)], 1);
    return true;
}

/* The next order, if that was another one's; else what a cancellation gives back. */
INLINE void third(const struct fg_stock *s, const struct fg_stock_request *r)
{
    uint32_t bucket = *order_bucket(s, r->hash);
    const struct order *o = &s->orders[bucket_head(s, bucket)];

    if (!(bucket & order_bit(s, r->hash)))
        return;
    if (o->user != r->user && o->hash_next != NIL)
        __builtin_prefetch(&s->orders[o->hash_next], 1);
    else if (r->op == FG_OP_CANCEL)
        prefetch_usage(s, r->user, o->item);
}

void fg_stock_prefetch(const struct fg_stock *s, struct fg_stock_request *requests, unsigned n)
{
    struct last last = {.id = requests[0].item + 1};
    unsigned known = 0;

    for (unsigned i = 0; i < n; i++)
        first(s, &requests[i], &last);
    for (unsigned i = 0; i < n; i++)
        known += second(s, &requests[i], last.sells);
    for (unsigned i = 0; i < n && known; i++)
        third(s, &requests[i]);
}
