/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker's side of an item: its slice, the requests that wait for units, and its talk with the
 * bank. Each waiting request has one NEED with the bank, answered exactly once and in order by
 * GRANT or REFUSE; waiting requests are served in order, and before any newer one. So when the
 * GRANT of a request arrives, its units are there (docs/architecture.md, "Slices and bank").
 */
#include "stock/engine.h"

void fg_stock_mark_dirty(struct fg_stock *s, uint32_t index)
{
    struct item *item = item_at(s, index);

    if (item->dirty)
        return;
    item->dirty = 1;
    item->dirty_next = s->dirty_head;
    s->dirty_head = index;
}

bool fg_stock_send_to(struct fg_stock *s, unsigned worker, uint8_t type, uint32_t index,
                      uint32_t units, uint32_t serial, uint32_t left)
{
    struct fg_stock_message m = {
        .type = type, .index = index, .units = units, .serial = serial, .left = left};

    FG_ASSERT(worker < s->config.workers && worker != s->config.worker);
    return fg_ring_push(s->config.to[worker], &m);
}

/* What the state of the log makes of a request that waits; FG_STATUS_NONE: it may be served. */
enum fg_packet_status fg_stock_mode_refusal(const struct fg_stock *s)
{
    if (s->mode == FG_STOCK_NO_SPACE)
        return FG_STATUS_BUSY;
    return s->mode == FG_STOCK_FAILED ? FG_STATUS_UNAVAILABLE : FG_STATUS_NONE;
}

static bool ask_bank(struct fg_stock *s, struct item *item, uint32_t index, const struct order *o)
{
    bool first = item->wait_head == NIL;
    struct fg_stock_message m = {.type = FG_MSG_NEED,
                                 .first = first,
                                 .index = index,
                                 .units = o->quantity,
                                 .serial = o->serial};

    if (is_home(s, item)) {
        FG_ASSERT(s->own.tail - s->own.head <= s->own.mask);
        s->own.slots[s->own.tail++ & s->own.mask] = (struct own_need){
            .index = index, .units = o->quantity, .serial = o->serial, .first = first};
        return true;
    }
    if (s->needs >= s->config.limits.parked_max || !fg_ring_push(s->config.to[item->home], &m))
        return false;
    s->needs++;
    COUNT(s, needs, 1);
    return true;
}

bool fg_stock_park(struct fg_stock *s, uint32_t index, uint32_t order, uint32_t token)
{
    struct item *item = item_at(s, index);
    struct order *o = &s->orders[order];

    if (s->waiting >= s->config.limits.parked_max)
        return false;
    o->state = ORDER_PENDING;
    o->token = token;
    o->serial = s->serial + 1;
    o->next = NIL;
    if (!ask_bank(s, item, index, o))
        return false;
    s->serial++;
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

    if (before == NIL)
        item->wait_head = next;
    else
        s->orders[before].next = next;
    if (item->wait_tail == order)
        item->wait_tail = before;
}

/* The request `serial`, if it still waits, gets this answer and is forgotten. */
void fg_stock_refuse_waiter(struct fg_stock *s, uint32_t index, uint32_t serial,
                            enum fg_packet_status status, uint32_t left)
{
    struct item *item = item_at(s, index);
    uint32_t before = NIL, at = item->wait_head;
    struct fg_stock_answer a = {.status = (uint8_t)status, .left = left, .item = item->id};
    struct order *o;

    while (at != NIL && (int32_t)(s->orders[at].serial - serial) < 0) {
        before = at;
        at = s->orders[at].next;
    }
    if (at == NIL || (s->orders[at].serial != serial && !FG_CANARY_IS(REFUSE_WRONG)))
        return; /* it was served from the slice meanwhile */
    o = &s->orders[at];
    a.token = o->token;
    a.retry_ms = status == FG_STATUS_BUSY       ? RETRY_BUSY_MS
                 : status == FG_STATUS_SOLD_OUT ? RETRY_RETURNS_MS
                                                : 0;
    memcpy(a.order_id, o->order_id, 16);
    unlink_waiter(s, item, before, at);
    fg_stock_usage_sub(s, o->usage, o->quantity);
    fg_stock_order_remove(s, at);
    if (status == FG_STATUS_SOLD_OUT || status == FG_STATUS_INSUFFICIENT)
        COUNT(s, sold_out, 1);
    if (FG_CANARY_IS(ANSWER_LOST) && status == FG_STATUS_BUSY)
        return;
    fg_stock_ready_push(s, &a); /* stays counted in `waiting` until it is handed out */
}

/* True when the oldest waiting request could be served now, were there room for its record. */
static bool head_is_served(const struct fg_stock *s, const struct item *item)
{
    return item->wait_head != NIL && s->orders[item->wait_head].quantity <= item->free;
}

static void serve_waiters(struct fg_stock *s, uint64_t now_ms, struct item *item, uint32_t index)
{
    enum fg_packet_status refusal = fg_stock_mode_refusal(s);

    while (head_is_served(s, item)) {
        uint32_t at = item->wait_head;

        if (refusal != FG_STATUS_NONE) {
            fg_stock_refuse_waiter(s, index, s->orders[at].serial, refusal, 0);
            continue;
        }
        if (!can_record(s))
            return;
        unlink_waiter(s, item, NIL, at);
        s->waiting--;
        fg_stock_accept(s, now_ms, at, s->orders[at].token);
    }
}

/* Sends what is owed to the bank and serves who waits. True when nothing remains to be done. */
bool fg_stock_slice_work(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct item *item = item_at(s, index);

    serve_waiters(s, now_ms, item, index);
    if (item->returning > 0) {
        if (!fg_stock_send_to(s, item->home, FG_MSG_RETURN, index, item->returning, 0, 0))
            return false;
        COUNT(s, returns, 1);
        item->releasing -= item->returning;
        item->returning = FG_CANARY_IS(RETURN_TWICE) ? item->returning : 0;
    }
    if (head_is_served(s, item) && !FG_CANARY_IS(RECALL_TAKES_GRANTED))
        return false; /* their units were granted: a recall must not take them */
    if (item->recalled) {
        if (!fg_stock_send_to(s, item->home, FG_MSG_RECALLED, index, item->free, 0, 0))
            return false;
        item->free = 0;
        item->recalled = 0;
        if (FG_CANARY_IS(RECALL_FORGETS))
            item->wait_head = item->wait_tail = NIL;
    }
    return true;
}

/* A message of the bank of this item. */
void fg_stock_slice_message(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_message *m)
{
    struct item *item = item_at(s, m->index);

    switch (m->type) {
    case FG_MSG_GRANT:
        s->needs--;
        item->free += m->units;
        item->left_hint = m->left;
        serve_waiters(s, now_ms, item, m->index);
        break;
    case FG_MSG_REFUSE:
        s->needs--;
        item->left_hint = m->left + item->free;
        fg_stock_refuse_waiter(s, m->index, m->serial,
                               item->left_hint > 0 ? FG_STATUS_INSUFFICIENT : FG_STATUS_SOLD_OUT,
                               item->left_hint);
        break;
    case FG_MSG_RECALL:
        item->recalled = 1;
        break;
    case FG_MSG_SOLD_OUT:
        item->sold_out = 1;
        item->left_hint = 0;
        return;
    case FG_MSG_OPEN:
        item->sold_out = 0;
        item->left_hint = m->left;
        return;
    default:
        FG_ASSERT(!"message type");
    }
    fg_stock_mark_dirty(s, m->index);
}

/* Units of a cancelled or expired order, or of an addition, whose record is durable: they may be
 * sold again.
 */
void fg_stock_release_units(struct fg_stock *s, uint32_t index, uint32_t units)
{
    struct item *item = item_at(s, index);

    FG_ASSERT(item->releasing >= units);
    if (is_home(s, item)) {
        item->releasing -= units;
        fg_stock_bank_add(s, index, units);
    } else {
        item->returning += units;
    }
    fg_stock_mark_dirty(s, index);
}
