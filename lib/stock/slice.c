/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/slice.h"

#include "stock/draw.h"
#include "stock/fleet_bank.h"
#include "stock/line.h"
#include "stock/waiting.h"

/* True when the oldest waiting request could be served now, were there room for its record. */
static bool head_is_served(const struct fg_stock *s, const struct item *item)
{
    return item->wait_head != NIL && s->orders[item->wait_head].quantity <= item->free;
}

static void serve_waiters(struct fg_stock *s, uint64_t now_ms, struct item *item, uint32_t index)
{
    enum fg_packet_status refusal = mode_refusal(s);

    while (head_is_served(s, item)) {
        uint32_t at = item->wait_head;

        if (refusal != FG_PACKET_STATUS_NONE) {
            fg_stock_refuse_waiter(s, index, s->orders[at].serial, refusal, 0);
            continue;
        }
        if (!can_record(s))
            return;
        fg_stock_accept(s, now_ms, at, fg_stock_unpark(s, item));
    }
}

/* What the waiting list has to be recorded and told. */
static bool line_work(struct fg_stock *s, uint64_t now_ms, struct item *item, uint32_t index)
{
    struct fg_stock_message m = {.type = FG_STOCK_MSG_GONE, .index = index};
    struct line *l = &s->lines[index];
    bool done = fg_stock_line_work(s, now_ms, index);

    if (l->passed) {
        if (!fg_stock_send_to(s, item->home, FG_STOCK_MSG_RETURN, index, l->passed, 0, 0))
            return false;
        COUNT(s, returns, 1);
        item->releasing -= l->passed;
        l->passed = 0;
    }
    m.ticket = l->gone;
    if (l->gone && !fg_ring_push(s->config.to[item->home], &m))
        return false;
    l->gone = 0;
    done &= fg_stock_draw_send_entries(s, index);
    item->line = l->list_head != NIL || l->closing == CLOSE_ASKED;
    return done;
}

bool fg_stock_slice_work(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct item *item = item_at(s, index);
    bool done = true;

    serve_waiters(s, now_ms, item, index);
    if (fg_unlikely(item->line))
        done = line_work(s, now_ms, item, index);
    if (item->returning > 0) {
        if (!fg_stock_send_to(s, item->home, FG_STOCK_MSG_RETURN, index, item->returning, 0, 0))
            return false;
        COUNT(s, returns, 1);
        item->releasing -= item->returning;
        item->returning = 0;
    }
    if (head_is_served(s, item))
        return false; /* its units were granted: a recall must not take them */
    if (item->recalled) {
        if (!fg_stock_send_to(s, item->home, FG_STOCK_MSG_RECALLED, index, item->free, 0, 0))
            return false;
        item->free = 0;
        item->recalled = 0;
    }
    if (fg_unlikely(s->config.limits.fleet))
        done &= fg_stock_fleet_settle(s, index);
    return done;
}

static enum fg_packet_status refusal_of(const struct fg_stock *s, const struct fg_stock_message *m,
                                        const struct item *item)
{
    if (fg_unlikely(m->busy))
        return mode_refusal(s) == FG_PACKET_STATUS_NONE ? FG_PACKET_STATUS_BUSY : mode_refusal(s);
    return item->left_hint > 0 ? FG_PACKET_STATUS_INSUFFICIENT : FG_PACKET_STATUS_SOLD_OUT;
}

void fg_stock_slice_message(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_message *m)
{
    struct item *item = item_at(s, m->index);

    switch (m->type) {
    case FG_STOCK_MSG_GRANT:
        s->needs--;
        item->free += m->units;
        item->left_hint = m->left;
        serve_waiters(s, now_ms, item, m->index);
        break;
    case FG_STOCK_MSG_REFUSE:
        s->needs--;
        item->left_hint = m->left + item->free;
        fg_stock_refuse_waiter(s, m->index, m->serial, refusal_of(s, m, item), item->left_hint);
        break;
    case FG_STOCK_MSG_RECALL:
        item->recalled = 1;
        break;
    case FG_STOCK_MSG_SETTLE:
        s->fleets[m->index].asked = true;
        s->fleets[m->index].settle_seq = 0;
        break;
    case FG_STOCK_MSG_TICKET:
        s->needs--;
        fg_stock_line_serving(s, m->index, m->left);
        fg_stock_line_ticketed(s, m->index, m->serial, m->ticket);
        break;
    case FG_STOCK_MSG_OFFER:
        fg_stock_line_offered(s, m->index, m->order, m->ticket, m->units);
        break;
    case FG_STOCK_MSG_DROP:
        fg_stock_line_dropped(s, m->index, m->order, m->ticket);
        break;
    case FG_STOCK_MSG_ARMED:
        s->lines[m->index].undrawn = s->lines[m->index].entry = true;
        return;
    case FG_STOCK_MSG_CLOSE:
        fg_stock_draw_close(s, m->index);
        return;
    case FG_STOCK_MSG_SEAT:
        fg_stock_draw_seat(s, m->index, m->order, m->ticket);
        return;
    case FG_STOCK_MSG_DRAWN:
        fg_stock_draw_over(s, m->index, m->ticket);
        return;
    case FG_STOCK_MSG_CALL:
        fg_stock_line_called(s, m->index, m->order, m->ticket);
        return;
    case FG_STOCK_MSG_SERVING:
        fg_stock_line_serving(s, m->index, m->ticket);
        return;
    case FG_STOCK_MSG_SOLD_OUT:
        item->sold_out = 1;
        item->left_hint = 0;
        return;
    case FG_STOCK_MSG_OPEN:
        item->sold_out = 0;
        item->left_hint = m->left;
        return;
    default:
        FG_ASSERT(!"message type");
    }
    mark_dirty(s, m->index);
}

void fg_stock_slice_release(struct fg_stock *s, uint32_t index, uint32_t units)
{
    struct item *item = item_at(s, index);

    FG_ASSERT(item->releasing >= units);
    item->returning += units;
    mark_dirty(s, index);
}
