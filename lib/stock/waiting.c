/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/waiting.h"

#include "stock/tables.h"

/* A request to this worker's own bank waits for the next loop, as those of other workers do. */
static void ask_own_bank(struct fg_stock *s, const struct own_need *need)
{
    FG_ASSERT(s->own.tail - s->own.head <= s->own.mask);
    s->own.slots[s->own.tail++ & s->own.mask] = *need;
}

static bool ask_bank(struct fg_stock *s, struct item *item, uint32_t index, const struct order *o)
{
    bool first = item->wait_head == NIL;
    struct fg_stock_message m = {.type = FG_STOCK_MSG_NEED,
                                 .first = first,
                                 .index = index,
                                 .wait = o->state == ORDER_JOINING,
                                 .units = o->quantity,
                                 .serial = o->serial,
                                 .order = (uint32_t)(o - s->orders)};

    if (is_home(s, item)) {
        ask_own_bank(s, &(struct own_need){.index = index,
                                           .units = o->quantity,
                                           .serial = o->serial,
                                           .first = first,
                                           .wait = m.wait,
                                           .order = m.order});
        return true;
    }
    if (s->needs >= s->config.limits.parked_max || !fg_ring_push(s->config.to[item->home], &m))
        return false;
    s->needs++;
    COUNT(s, needs, 1);
    return true;
}

/* An expired order must have left the wheel's lists, and its end must be durable: a refusal then
 * answers EXPIRED at once. */
static bool may_wait(const struct fg_stock *s, const struct order *o)
{
    return o->state != FG_LEDGER_ORDER_EXPIRED || (!o->on_wheel && o->seq <= s->committed);
}

bool fg_stock_park(struct fg_stock *s, uint32_t index, uint32_t order, struct asker asker)
{
    struct item *item = item_at(s, index);
    struct order *o = &s->orders[order];

    if (s->waiting >= s->config.limits.parked_max || !may_wait(s, o))
        return false;
    if (o->state != ORDER_JOINING)
        o->state = o->state == FG_LEDGER_ORDER_EXPIRED ? ORDER_PAYING : ORDER_PENDING;
    o->token = asker.token;
    o->kind = asker.kind & 3u;
    o->serial = s->serial + 1;
    o->next = NIL;
    if (!ask_bank(s, item, index, o)) {
        o->state = o->state == ORDER_PAYING ? FG_LEDGER_ORDER_EXPIRED : FG_LEDGER_ORDER_NONE;
        return false;
    }
    s->serial++;
    if (o->state == ORDER_JOINING)
        s->lines[index].joining++;
    if (item->wait_head == NIL)
        item->wait_head = order;
    else
        s->orders[item->wait_tail].next = order;
    item->wait_tail = order;
    s->waiting++;
    COUNT(s, parked, 1);
    return true;
}

static void unlink_waiter(struct fg_stock *s, struct item *item, uint32_t before, uint32_t order)
{
    uint32_t next = s->orders[order].next;

    if (s->orders[order].state == ORDER_JOINING)
        s->lines[s->orders[order].item].joining--;
    if (before == NIL)
        item->wait_head = next;
    else
        s->orders[before].next = next;
    if (item->wait_tail == order)
        item->wait_tail = before;
}

struct asker fg_stock_unpark(struct fg_stock *s, struct item *item)
{
    uint32_t at = item->wait_head;
    const struct order *o = &s->orders[at];

    FG_ASSERT(at != NIL);
    unlink_waiter(s, item, NIL, at);
    s->waiting--;
    return (struct asker){o->token, o->kind};
}

static uint32_t retry_after_ms(const struct fg_stock *s, enum fg_packet_status status)
{
    if (status == FG_PACKET_STATUS_BUSY)
        return s->config.limits.fleet ? RETRY_FLEET_MS : RETRY_BUSY_MS;
    return status == FG_PACKET_STATUS_SOLD_OUT ? RETRY_RETURNS_MS : 0;
}

/* The order stays expired, and says so when its units cannot be had. */
static void refuse_payment(struct fg_stock *s, struct order *o, struct fg_stock_answer *a)
{
    o->state = FG_LEDGER_ORDER_EXPIRED;
    o->deadline_ms = 0;
    if (a->status == FG_PACKET_STATUS_SOLD_OUT || a->status == FG_PACKET_STATUS_INSUFFICIENT) {
        answer_order(s, o, (struct asker){a->token, a->kind}, a);
        a->retry_ms = 0;
    }
}

uint32_t fg_stock_take_waiter(struct fg_stock *s, struct item *item, uint32_t serial)
{
    uint32_t before = NIL, at = item->wait_head;

    while (at != NIL && (int32_t)(s->orders[at].serial - serial) < 0) {
        before = at;
        at = s->orders[at].next;
    }
    if (at == NIL || s->orders[at].serial != serial)
        return NIL; /* it was served from the slice meanwhile */
    unlink_waiter(s, item, before, at);
    return at;
}

void fg_stock_refuse_order(struct fg_stock *s, uint32_t at, enum fg_packet_status status,
                           uint32_t left)
{
    struct order *o = &s->orders[at];
    struct fg_stock_answer a = {.token = o->token,
                                .kind = o->kind,
                                .status = (uint8_t)status,
                                .left = left,
                                .retry_ms = retry_after_ms(s, status),
                                .item = s->items[o->item].id};

    memcpy(a.order_id, o->order_id, 16);
    if (o->state >= ORDER_JOINING)
        s->usages[o->usage].waits = 0;
    fg_stock_usage_sub(s, o->usage, o->quantity);
    if (o->state == ORDER_PAYING)
        refuse_payment(s, o, &a);
    else
        fg_stock_order_remove(s, at);
    if (status == FG_PACKET_STATUS_SOLD_OUT || status == FG_PACKET_STATUS_INSUFFICIENT)
        COUNT(s, sold_out, 1);
    fg_stock_push_ready(s, &a); /* stays counted in `waiting` until it is handed out */
}

void fg_stock_refuse_waiter(struct fg_stock *s, uint32_t index, uint32_t serial,
                            enum fg_packet_status status, uint32_t left)
{
    uint32_t at = fg_stock_take_waiter(s, item_at(s, index), serial);

    if (at != NIL)
        fg_stock_refuse_order(s, at, status, left);
}
