/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/by_user.h"

#define CATCH_UP_MAX 256                          /* orders taken in at a time */
#define STEPS_MAX    (4 * FG_STOCK_ORDERS_LISTED) /* along a chain, other users' orders included */

static uint32_t *bucket_of(const struct fg_stock *s, uint64_t user)
{
    return &s->user_buckets[(uint32_t)fg_mix64(user, s->config.seed) & s->user_mask];
}

void fg_stock_by_user_link(struct fg_stock *s, uint32_t order)
{
    uint32_t *bucket = bucket_of(s, s->orders[order].user);

    s->orders[order].user_next = *bucket;
    *bucket = order + 1;
}

void fg_stock_by_user_unlink(struct fg_stock *s, uint32_t order)
{
    uint32_t *at = bucket_of(s, s->orders[order].user);

    while (*at != order + 1)
        at = &s->orders[*at - 1].user_next;
    *at = s->orders[order].user_next;
}

bool fg_stock_by_user_catch_up(struct fg_stock *s)
{
    for (unsigned n = 0; n < CATCH_UP_MAX && s->listed < s->order_used; n++) {
        uint32_t order = s->listed++;

        if (s->orders[order].state !=
            FG_LEDGER_ORDER_NONE) /* a free slot is taken in when it is filled */
            fg_stock_by_user_link(s, order);
    }
    return s->listed == s->order_used;
}

static bool is_order(const struct order *o)
{
    return o->state < FG_ORDER_STATES || o->state == ORDER_OFFERED;
}

uint32_t fg_stock_by_user_find(const struct fg_stock *s, uint64_t user, uint32_t item, uint32_t nth)
{
    unsigned steps = 0, seen = 0;

    for (uint32_t at = *bucket_of(s, user);
         at && steps < STEPS_MAX && seen < FG_STOCK_ORDERS_LISTED; steps++) {
        const struct order *o = &s->orders[at - 1];
        bool own = o->user == user && is_order(o);

        if (own && (item == NIL || o->item == item) && nth-- == 0)
            return at - 1;
        seen += own;
        at = o->user_next;
    }
    return NIL;
}
