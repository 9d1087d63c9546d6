/* SPDX-License-Identifier: BSD-3-Clause */
/* A large table is slow because each step of a look-up waits for memory. Here a burst takes each step
 * together. */
#include "stock/lookup.h"

/* GCC takes a function that only prefetches for one without effect and drops the call. */
#define INLINE static inline __attribute__((always_inline))

INLINE void prefetch_usage(const struct fg_stock *s, uint64_t user, uint32_t item)
{
    __builtin_prefetch(&s->usages[usage_home(s, user, item)], 1);
}

INLINE void first(const struct fg_stock *s, struct fg_stock_request *r)
{
    r->hash = 0;
    r->index = 0;
    if (r->op == FG_OP_STOCK)
        return;
    r->hash = order_hash(s, r->user, r->order_id);
    __builtin_prefetch(order_bucket(s, r->hash), 1);
    if (r->op == FG_OP_RESERVE)
        r->index = item_find(s, r->item) + 1;
}

/* What the bucket, fetched meanwhile, leads to. */
INLINE void second(const struct fg_stock *s, const struct fg_stock_request *r)
{
    uint32_t bucket = *order_bucket(s, r->hash);

    if (bucket & order_bit(s, r->hash))
        __builtin_prefetch(&s->orders[bucket_head(s, bucket)], 1);
    else if (r->index && !s->items[r->index - 1].sold_out)
        prefetch_usage(s, r->user, r->index - 1);
}

/* A cancelled order lowers the usage of its user and item. */
INLINE void third(const struct fg_stock *s, const struct fg_stock_request *r)
{
    uint32_t bucket = *order_bucket(s, r->hash);

    if (bucket & order_bit(s, r->hash))
        prefetch_usage(s, r->user, s->orders[bucket_head(s, bucket)].item);
}

void fg_stock_prefetch(const struct fg_stock *s, struct fg_stock_request *requests, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        first(s, &requests[i]);
    for (unsigned i = 0; i < n; i++)
        if (requests[i].hash)
            second(s, &requests[i]);
    for (unsigned i = 0; i < n; i++)
        if (requests[i].hash && requests[i].op == FG_OP_CANCEL)
            third(s, &requests[i]);
}
