/* SPDX-License-Identifier: BSD-3-Clause */
#include "oracle.h"

void oracle_start(struct oracle *o)
{
    memset(o, 0, sizeof(*o));
}

static struct oracle_item *item_of(struct oracle *o, uint64_t id)
{
    for (uint32_t i = 0; i < o->items_len; i++)
        if (o->items[i].item == id)
            return &o->items[i];
    return NULL;
}

static struct oracle_order *order_of(struct oracle *o, uint64_t user, const uint8_t id[16])
{
    for (uint32_t i = 0; i < o->orders_len; i++)
        if (o->orders[i].user == user && memcmp(o->orders[i].order_id, id, 16) == 0)
            return &o->orders[i];
    return NULL;
}

static uint32_t units_of(const struct oracle *o, uint64_t user, uint64_t item)
{
    uint32_t units = 0;

    for (uint32_t i = 0; i < o->orders_len; i++)
        if (o->orders[i].user == user && o->orders[i].item == item &&
            (o->orders[i].state == FG_ORDER_RESERVED || o->orders[i].state == FG_ORDER_SOLD))
            units += o->orders[i].quantity;
    return units;
}

static void replay_order(struct oracle *o, const struct fg_record *r)
{
    struct oracle_item *item = item_of(o, r->item);
    struct oracle_order *order = order_of(o, r->user, r->order_id);

    FG_ASSERT(item);
    if (r->type == FG_REC_RESERVED) {
        FG_ASSERT(!order && o->orders_len < ORDERS_MAX * 4);
        order = &o->orders[o->orders_len++];
        *order = (struct oracle_order){.user = r->user, .item = r->item, .quantity = r->quantity};
        memcpy(order->order_id, r->order_id, 16);
        order->state = FG_ORDER_RESERVED;
        item->available -= r->quantity;
        item->reserved += r->quantity;
        FG_ASSERT(item->unlimited || units_of(o, r->user, r->item) <= item->limit_max);
    } else {
        FG_ASSERT(order && order->state == FG_ORDER_RESERVED && order->quantity == r->quantity);
        item->reserved -= r->quantity;
        order->state = r->type == FG_REC_SOLD        ? FG_ORDER_SOLD
                       : r->type == FG_REC_CANCELLED ? FG_ORDER_CANCELLED
                                                     : FG_ORDER_EXPIRED;
        if (r->type == FG_REC_SOLD) {
            item->sold += r->quantity;
            o->sold++;
        } else {
            item->available += r->quantity;
            o->returned++;
        }
    }
    order->seen |= (uint8_t)(1u << order->state);
}

static void replay(struct oracle *o, const struct fg_record *r)
{
    struct oracle_item *item = item_of(o, r->item);

    switch (r->type) {
    case FG_REC_ITEM_SET:
        if (!item) {
            FG_ASSERT(o->items_len < ITEMS_MAX);
            item = &o->items[o->items_len++];
            item->item = r->item;
        }
        item->unlimited |= r->user_limit == 0;
        item->limit_max = r->user_limit > item->limit_max ? r->user_limit : item->limit_max;
        break;
    case FG_REC_STOCK:
        FG_ASSERT(item);
        item->total += (int64_t)r->arg;
        item->available += (int64_t)r->arg;
        break;
    case FG_REC_ITEM_NAME:
        FG_ASSERT(item);
        break;
    default:
        replay_order(o, r);
    }
    if (!item)
        item = item_of(o, r->item);
    /* every prefix of the log is a legal state: nothing is oversold at any record */
    FG_ASSERT(item->available >= 0 && item->reserved >= 0 && item->sold >= 0);
    FG_ASSERT(item->total == item->available + item->reserved + item->sold);
}

void oracle_log(struct oracle *o, struct world *w)
{
    FG_ASSERT(o->seen <= w->durable_len); /* what was durable is never lost */
    for (; o->seen < w->durable_len; o->seen++)
        replay(o, &w->log[o->seen]);
}

void oracle_balance(struct oracle *o, struct world *w)
{
    for (uint32_t i = 0; i < w->limits.items_max; i++) {
        struct fg_stock_view v;
        uint64_t sum = world_in_flight(w, i), total = 0, free = sum;
        bool known = false;

        for (unsigned k = 0; k < w->workers; k++)
            if (fg_stock_view(w->stock[k], i, &v)) {
                known = true;
                sum += (uint64_t)v.free + v.releasing + v.reserved + v.sold;
                total += v.total;
                free += v.free;
            }
        if (!known)
            continue;
        FG_ASSERT(sum == total);
        for (unsigned k = 0; k < w->workers; k++)
            if (free == 0)
                o->items[i].stage[k] = 0;
            else if (o->items[i].stage[k] == 0)
                o->items[i].stage[k] = 1;
        o->checked++;
    }
}

static bool room_between(struct world *w, unsigned from, unsigned to)
{
    return from == to || fg_ring_count(w->rings[from][to]) + 2 <= w->ring_places;
}

void oracle_polled(struct oracle *o, struct world *w, unsigned worker)
{
    for (uint32_t i = 0; i < o->items_len; i++) {
        unsigned home = fg_user_owner(o->items[i].item, w->workers);

        for (unsigned k = 0; k < w->workers; k++) {
            uint8_t *stage = &o->items[i].stage[k];

            if (*stage == 2 && worker == k)
                *stage = 3;
            if (*stage == 1 && worker == home && room_between(w, home, k))
                *stage = k == home ? 3 : 2;
        }
    }
}

static const uint8_t state_of_status[FG_STATUS_COUNT] = {
    [FG_STATUS_RESERVED] = FG_ORDER_RESERVED,
    [FG_STATUS_SOLD] = FG_ORDER_SOLD,
    [FG_STATUS_CANCELLED] = FG_ORDER_CANCELLED,
    [FG_STATUS_EXPIRED] = FG_ORDER_EXPIRED,
};

void oracle_answer(struct oracle *o, struct world *w, const struct token *t, const struct fg_stock_answer *a,
                   bool immediate)
{
    unsigned state = state_of_status[a->status];
    struct oracle_order *order;

    FG_ASSERT(a->status > 0 && a->status < FG_STATUS_COUNT);
    FG_ASSERT(memcmp(a->order_id, t->request.order_id, 16) == 0);
    if (state) { /* an answer about an order is on disk, and is never about another order */
        order = order_of(o, t->request.user, t->request.order_id);
        FG_ASSERT(order && order->seen & 1u << state);
        FG_ASSERT(a->quantity == order->quantity && a->item == order->item);
        FG_ASSERT(t->request.op != FG_OP_RESERVE ||
                  (t->request.quantity == order->quantity && t->request.item == order->item));
    }
    if (a->status == FG_STATUS_SOLD_OUT && immediate && t->request.op == FG_OP_RESERVE) {
        struct oracle_item *item = item_of(o, t->request.item);

        FG_ASSERT(item && item->stage[t->worker] != 3);
    }
}
