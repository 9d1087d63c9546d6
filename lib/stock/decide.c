/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides each request: the table of an order's life, new reservations, late payments. */
#include "stock/line.h"
#include "stock/tables.h"
#include "stock/users.h"
#include "stock/waiting.h"

/* Not inlined: the path of a rejection, which is what a flood takes, stays short. */
#define APART __attribute__((noinline))

enum action {
    NEW,     /* decide a new reservation */
    JOIN,    /* decide it, or take a place in the line */
    UNKNOWN, /* no such order */
    STATE,   /* answer what the order is */
    AGAIN,   /* a repeated reservation: CONFLICT when its fields differ, else what the order is */
    SELL,
    CANCEL,
    EXTEND,
    REFUND,
    CLOSE, /* an expired order: it cannot be paid any more */
    PAY,   /* an expired order: sold after all, if units can be had */
    WAITS, /* a repeat of what waits for units: CONFLICT when its fields differ, else silence */
    LATER, /* not decided yet: BUSY */
    HEARD, /* the user still waits */
    LEAVE, /* the line */
};

#define IN_LINE                                                                                    \
    {                                                                                              \
        [FG_PACKET_OP_RESERVE] = AGAIN, [FG_PACKET_OP_CONFIRM] = STATE,                            \
        [FG_PACKET_OP_CANCEL] = LEAVE, [FG_PACKET_OP_QUERY] = STATE,                               \
        [FG_PACKET_OP_EXTEND] = STATE, [FG_PACKET_OP_REFUND] = STATE, [FG_PACKET_OP_WAIT] = HEARD  \
    }
#define BEFORE_LINE                                                                                \
    {                                                                                              \
        [FG_PACKET_OP_RESERVE] = WAITS, [FG_PACKET_OP_CONFIRM] = LATER,                            \
        [FG_PACKET_OP_CANCEL] = LATER, [FG_PACKET_OP_QUERY] = LATER,                               \
        [FG_PACKET_OP_EXTEND] = LATER, [FG_PACKET_OP_REFUND] = LATER, [FG_PACKET_OP_WAIT] = WAITS  \
    }

static const uint8_t table[ORDER_STATES][FG_PACKET_OP_WAIT + 1] = {
    [FG_LEDGER_ORDER_NONE] = {[FG_PACKET_OP_RESERVE] = NEW,
                              [FG_PACKET_OP_WAIT] = JOIN,
                              [FG_PACKET_OP_CONFIRM] = UNKNOWN,
                              [FG_PACKET_OP_CANCEL] = UNKNOWN,
                              [FG_PACKET_OP_QUERY] = UNKNOWN,
                              [FG_PACKET_OP_EXTEND] = UNKNOWN,
                              [FG_PACKET_OP_REFUND] = UNKNOWN},
    [FG_LEDGER_ORDER_RESERVED] = {[FG_PACKET_OP_RESERVE] = AGAIN,
                                  [FG_PACKET_OP_WAIT] = AGAIN,
                                  [FG_PACKET_OP_CONFIRM] = SELL,
                                  [FG_PACKET_OP_CANCEL] = CANCEL,
                                  [FG_PACKET_OP_QUERY] = STATE,
                                  [FG_PACKET_OP_EXTEND] = EXTEND,
                                  [FG_PACKET_OP_REFUND] = STATE},
    [FG_LEDGER_ORDER_SOLD] = {[FG_PACKET_OP_RESERVE] = AGAIN,
                              [FG_PACKET_OP_WAIT] = AGAIN,
                              [FG_PACKET_OP_CONFIRM] = STATE,
                              [FG_PACKET_OP_CANCEL] = STATE,
                              [FG_PACKET_OP_QUERY] = STATE,
                              [FG_PACKET_OP_EXTEND] = STATE,
                              [FG_PACKET_OP_REFUND] = REFUND},
    [FG_LEDGER_ORDER_CANCELLED] = {[FG_PACKET_OP_RESERVE] = AGAIN,
                                   [FG_PACKET_OP_WAIT] = AGAIN,
                                   [FG_PACKET_OP_CONFIRM] = STATE,
                                   [FG_PACKET_OP_CANCEL] = STATE,
                                   [FG_PACKET_OP_QUERY] = STATE,
                                   [FG_PACKET_OP_EXTEND] = STATE,
                                   [FG_PACKET_OP_REFUND] = STATE},
    [FG_LEDGER_ORDER_EXPIRED] = {[FG_PACKET_OP_RESERVE] = AGAIN,
                                 [FG_PACKET_OP_WAIT] = AGAIN,
                                 [FG_PACKET_OP_CONFIRM] = PAY,
                                 [FG_PACKET_OP_CANCEL] = CLOSE,
                                 [FG_PACKET_OP_QUERY] = STATE,
                                 [FG_PACKET_OP_EXTEND] = STATE,
                                 [FG_PACKET_OP_REFUND] = STATE},
    [FG_LEDGER_ORDER_REFUNDED] = {[FG_PACKET_OP_RESERVE] = AGAIN,
                                  [FG_PACKET_OP_WAIT] = AGAIN,
                                  [FG_PACKET_OP_CONFIRM] = STATE,
                                  [FG_PACKET_OP_CANCEL] = STATE,
                                  [FG_PACKET_OP_QUERY] = STATE,
                                  [FG_PACKET_OP_EXTEND] = STATE,
                                  [FG_PACKET_OP_REFUND] = STATE},
    [FG_LEDGER_ORDER_WAITING] = IN_LINE,
    [ORDER_OFFERED] = IN_LINE,
    [ORDER_JOINING] = BEFORE_LINE,
    [ORDER_TICKETED] = BEFORE_LINE,
    [ORDER_PAYING] = {[FG_PACKET_OP_RESERVE] = LATER,
                      [FG_PACKET_OP_WAIT] = LATER,
                      [FG_PACKET_OP_CONFIRM] = WAITS,
                      [FG_PACKET_OP_CANCEL] = LATER,
                      [FG_PACKET_OP_QUERY] = LATER,
                      [FG_PACKET_OP_EXTEND] = LATER,
                      [FG_PACKET_OP_REFUND] = LATER},
    [ORDER_PENDING] = {[FG_PACKET_OP_RESERVE] = WAITS,
                       [FG_PACKET_OP_WAIT] = WAITS,
                       [FG_PACKET_OP_CONFIRM] = LATER,
                       [FG_PACKET_OP_CANCEL] = LATER,
                       [FG_PACKET_OP_QUERY] = LATER,
                       [FG_PACKET_OP_EXTEND] = LATER,
                       [FG_PACKET_OP_REFUND] = LATER},
};

/* ---- answers */

static struct asker asker_of(const struct fg_stock_request *r, uint32_t token)
{
    return (struct asker){token, r->kind};
}

static enum fg_stock_result answer_now(struct fg_stock *s, const struct fg_stock_request *r,
                                       struct fg_stock_answer *a, enum fg_packet_status status,
                                       uint32_t left, uint64_t retry_ms)
{
    a->status = (uint8_t)status;
    a->quantity = 0;
    a->left = left;
    a->retry_ms = retry_ms > RETRY_MS_MAX ? RETRY_MS_MAX : (uint32_t)retry_ms;
    a->deadline_ms = 0;
    a->item = r->item;
    memcpy(a->order_id, r->order_id, 16);
    if (status == FG_PACKET_STATUS_BUSY)
        COUNT(s, busy, 1);
    return FG_STOCK_ANSWERED;
}

/* Answers with the state of an order: at once when that is committed, else when it is. */
static enum fg_stock_result answer_state(struct fg_stock *s, uint64_t now_ms, const struct order *o,
                                         const struct fg_stock_request *r, uint32_t token,
                                         struct fg_stock_answer *a)
{
    struct deferred *d;

    if (o->seq <= s->committed) {
        answer_order(s, o, asker_of(r, token), a);
        a->retry_ms =
            o->state == FG_LEDGER_ORDER_RESERVED ? hold_left_ms(o->deadline_ms, now_ms) : 0;
        if (a->status == FG_PACKET_STATUS_WAITING)
            fg_stock_line_tell_times(s, now_ms, o, a);
        return FG_STOCK_ANSWERED;
    }
    if (s->deferred.tail - s->deferred.head >= s->deferred.max)
        return answer_now(s, r, a, FG_PACKET_STATUS_BUSY, 0, RETRY_BUSY_MS);
    d = defer(s, o->seq);
    answer_order(s, o, asker_of(r, token), &d->answer);
    if (d->answer.status == FG_PACKET_STATUS_WAITING)
        fg_stock_line_tell_times(s, now_ms, o, &d->answer);
    return FG_STOCK_DEFERRED;
}

/* ---- judgement of a new reservation */

/* FG_PACKET_STATUS_NONE when the item may be sold now; else the answer, with *retry_ms. */
static enum fg_packet_status item_refusal(const struct item *item, uint64_t now_ms,
                                          uint64_t *retry_ms)
{
    *retry_ms = 0;
    if (!item->live)
        return FG_PACKET_STATUS_UNKNOWN_ITEM;
    if (item->closes_ms && now_ms >= item->closes_ms)
        return FG_PACKET_STATUS_CLOSED;
    if (now_ms < item->opens_ms) {
        *retry_ms = item->opens_ms - now_ms;
        return FG_PACKET_STATUS_NOT_OPEN;
    }
    if (item->flags & FG_JOURNAL_ITEM_PAUSED) {
        *retry_ms = RETRY_PAUSED_MS;
        return FG_PACKET_STATUS_PAUSED;
    }
    return FG_PACKET_STATUS_NONE;
}

/* Units that may be sold without asking the bank. The home asks too: else its shoppers would always
 * be first. */
static uint32_t at_hand(const struct fg_stock *s, const struct item *item, uint32_t index)
{
    if (!is_home(s, item) || s->config.workers == 1 || s->banks[index].at_once > item->free)
        return item->free;
    return s->banks[index].at_once;
}

/* False: some queue or ring is full, nothing was changed. */
static bool accept_or_park(struct fg_stock *s, uint64_t now_ms, uint32_t index, uint32_t order,
                           struct asker asker)
{
    struct item *item = item_at(s, index);
    struct bank *b = &s->banks[index];
    uint32_t quantity = s->orders[order].quantity;
    bool first_in_line = item->wait_head == NIL && (!is_home(s, item) || b->queue_head == NIL);

    if (first_in_line && at_hand(s, item, index) >= quantity) {
        if (is_home(s, item))
            b->at_once -= quantity < b->at_once ? quantity : b->at_once;
        fg_stock_accept(s, now_ms, order, asker);
        return true;
    }
    return fg_stock_park(s, index, order, asker);
}

static enum fg_stock_result take_in(struct fg_stock *s, uint64_t now_ms, uint32_t index,
                                    uint32_t home, struct usage *usage,
                                    const struct fg_stock_request *r, uint32_t token,
                                    struct fg_stock_answer *a)
{
    uint32_t order = order_add(s, r->hash, r->user, r->order_id);
    bool counts = item_at(s, index)->user_limit > 0;
    bool joins = r->op == FG_PACKET_OP_WAIT && line_max(s, index);
    uint32_t slot =
        order == NIL ? NIL : usage_add(s, usage, home, r->user, index, r->quantity, counts);

    if (slot == NIL) {
        if (order != NIL)
            fg_stock_order_remove(s, order);
        COUNT(s, full, 1);
        return answer_now(s, r, a, FG_PACKET_STATUS_FULL, 0, 0);
    }
    s->orders[order].item = index;
    s->orders[order].usage = slot;
    s->orders[order].quantity = r->quantity;
    if (fg_unlikely(joins)) {
        s->orders[order].state = ORDER_JOINING;
        s->usages[slot].waits = 1;
    }
    if (fg_unlikely(joins && s->lines[index].entry)
            ? fg_stock_park(s, index, order, asker_of(r, token))
            : accept_or_park(s, now_ms, index, order, asker_of(r, token)))
        return FG_STOCK_DEFERRED;
    if (joins)
        s->usages[slot].waits = 0;
    fg_stock_usage_sub(s, slot, r->quantity);
    fg_stock_order_remove(s, order);
    return answer_now(s, r, a, FG_PACKET_STATUS_BUSY, 0, RETRY_BUSY_MS);
}

/* The answer to a request that needs a record while none can be written. */
static enum fg_stock_result not_now(struct fg_stock *s, const struct fg_stock_request *r,
                                    struct fg_stock_answer *a)
{
    if (s->mode == FG_STOCK_STOPPING || s->mode == FG_STOCK_FAILED)
        return answer_now(s, r, a, FG_PACKET_STATUS_UNAVAILABLE, 0, 0);
    return answer_now(s, r, a, FG_PACKET_STATUS_BUSY, 0, RETRY_BUSY_MS);
}

static bool may_decide(struct fg_stock *s)
{
    return s->mode == FG_STOCK_RUNNING && can_record(s);
}

/* Denied, or too often here: true, and the answer is given. */
static bool user_refused(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_request *r,
                         struct fg_stock_answer *a)
{
    uint64_t wait_ms;

    if (fg_stock_user_is_denied(s, r->user)) {
        COUNT(s, user_denied, 1);
        answer_now(s, r, a, FG_PACKET_STATUS_USER_DENIED, 0, 0);
        return true;
    }
    wait_ms = s->config.limits.user_rate ? fg_stock_user_wait_ms(s, r->user, now_ms) : 0;
    if (wait_ms == 0)
        return false;
    COUNT(s, user_rate, 1);
    answer_now(s, r, a, FG_PACKET_STATUS_USER_RATE, 0, wait_ms);
    return true;
}

static uint32_t units_of(const struct usage *usage)
{
    return usage ? usage->units : 0;
}

/* Units that the user may still have; the operator may have lowered the limit since. */
static uint32_t limit_left(const struct item *item, const struct usage *usage)
{
    return item->user_limit > units_of(usage) ? item->user_limit - units_of(usage) : 0;
}

/* Finished orders stay in memory, so a user may not make them without end. */
static bool unsold_spent(const struct fg_stock *s, const struct usage *usage)
{
    return usage && s->config.limits.unsold_max && usage->unsold >= s->config.limits.unsold_max;
}

/* Units may be had: does the user get them? */
APART static enum fg_stock_result decide_new(struct fg_stock *s, uint64_t now_ms, uint32_t index,
                                             const struct fg_stock_request *r, uint32_t token,
                                             struct fg_stock_answer *a)
{
    struct item *item = item_at(s, index);
    uint32_t home =
        fg_likely(r->line != NIL) ? r->line : usage_home(s, usage_hash(s, r->user, index));
    struct usage *usage = usage_find(s, home, r->user, index);

    if (r->quantity == 0 || r->quantity > item->order_max)
        return answer_now(s, r, a, FG_PACKET_STATUS_BAD_QUANTITY, item_left(s, item), 0);
    if (fg_unlikely(unsold_spent(s, usage))) {
        COUNT(s, user_limit, 1);
        return answer_now(s, r, a, FG_PACKET_STATUS_USER_LIMIT, 0, 0);
    }
    if (item->user_limit && units_of(usage) + r->quantity > item->user_limit) {
        COUNT(s, user_limit, 1);
        return answer_now(s, r, a, FG_PACKET_STATUS_USER_LIMIT, limit_left(item, usage), 0);
    }
    if (!may_decide(s))
        return not_now(s, r, a);
    return take_in(s, now_ms, index, home, usage, r, token, a);
}

INLINE enum fg_stock_result reserve_item(struct fg_stock *s, uint64_t now_ms, uint32_t index,
                                         const struct fg_stock_request *r, uint32_t token,
                                         struct fg_stock_answer *a)
{
    struct item *item = item_at(s, index);
    uint64_t retry_ms;
    enum fg_packet_status refusal = item_refusal(item, now_ms, &retry_ms);

    if (refusal != FG_PACKET_STATUS_NONE) {
        COUNT(s, not_on_sale, 1);
        return answer_now(s, r, a, refusal, 0, retry_ms);
    }
    if (item->sold_out && item->free == 0) {
        COUNT(s, sold_out, 1);
        return answer_now(s, r, a, FG_PACKET_STATUS_SOLD_OUT, 0, RETRY_RETURNS_MS);
    }
    return decide_new(s, now_ms, index, r, token, a);
}

static enum fg_stock_result join_item(struct fg_stock *s, uint64_t now_ms, uint32_t index,
                                      const struct usage *usage, const struct fg_stock_request *r,
                                      uint32_t token, struct fg_stock_answer *a)
{
    struct item *item = item_at(s, index);
    uint64_t retry_ms;
    enum fg_packet_status refusal = item_refusal(item, now_ms, &retry_ms);
    bool enters = refusal == FG_PACKET_STATUS_NOT_OPEN && s->lines[index].entry;

    if (refusal != FG_PACKET_STATUS_NONE && !enters) {
        COUNT(s, not_on_sale, 1);
        return answer_now(s, r, a, refusal, 0, retry_ms);
    }
    if (s->lines[index].closing) /* a draw is under way */
        return answer_now(s, r, a, FG_PACKET_STATUS_BUSY, 0, RETRY_BUSY_MS);
    if (r->quantity > 1 && s->lines[index].flags & FG_JOURNAL_LINE_ONE_UNIT)
        return answer_now(s, r, a, FG_PACKET_STATUS_BAD_QUANTITY, item_left(s, item), 0);
    if (usage && usage->waits) {
        COUNT(s, user_limit, 1);
        return answer_now(s, r, a, FG_PACKET_STATUS_USER_LIMIT, 0, 0);
    }
    return decide_new(s, now_ms, index, r, token, a);
}

/* Users are watched, or the item was not known at the prefetch. */
APART static enum fg_stock_result reserve_slowly(struct fg_stock *s, uint64_t now_ms,
                                                 const struct fg_stock_request *r, uint32_t token,
                                                 struct fg_stock_answer *a)
{
    uint32_t index = r->index ? r->index - 1 : item_find(s, r->item);

    if (user_refused(s, now_ms, r, a))
        return FG_STOCK_ANSWERED;
    if (index != NIL)
        return reserve_item(s, now_ms, index, r, token, a);
    COUNT(s, not_on_sale, 1);
    return answer_now(s, r, a, FG_PACKET_STATUS_UNKNOWN_ITEM, 0, 0);
}

INLINE enum fg_stock_result reserve(struct fg_stock *s, uint64_t now_ms,
                                    const struct fg_stock_request *r, uint32_t token,
                                    struct fg_stock_answer *a)
{
    if (fg_unlikely(s->denied_used || s->config.limits.user_rate || !r->index))
        return reserve_slowly(s, now_ms, r, token, a);
    return reserve_item(s, now_ms, r->index - 1, r, token, a);
}

/* A WAIT of a new order: a reservation, for which the item need not have units. */
APART static enum fg_stock_result join(struct fg_stock *s, uint64_t now_ms,
                                       const struct fg_stock_request *r, uint32_t token,
                                       struct fg_stock_answer *a)
{
    uint32_t index = item_find(s, r->item);
    struct usage *usage;

    if (index == NIL || !line_max(s, index) || !s->items[index].live) /* as a RESERVE */
        return reserve_slowly(s, now_ms, r, token, a);
    usage = usage_find(s, usage_home(s, usage_hash(s, r->user, index)), r->user, index);
    if (user_refused(s, now_ms, r, a))
        return FG_STOCK_ANSWERED;
    return join_item(s, now_ms, index, usage, r, token, a);
}

/* A user without this order. */
INLINE enum fg_stock_result stranger(struct fg_stock *s, uint64_t now_ms,
                                     const struct fg_stock_request *r, uint32_t token,
                                     struct fg_stock_answer *a)
{
    if (table[FG_LEDGER_ORDER_NONE][r->op] == NEW)
        return reserve(s, now_ms, r, token, a);
    if (table[FG_LEDGER_ORDER_NONE][r->op] == JOIN)
        return join(s, now_ms, r, token, a);
    return answer_now(s, r, a, FG_PACKET_STATUS_UNKNOWN_ORDER, 0, 0);
}

APART static enum fg_stock_result stock_of(struct fg_stock *s, uint64_t now_ms,
                                           const struct fg_stock_request *r,
                                           struct fg_stock_answer *a)
{
    uint32_t index = item_find(s, r->item);
    uint64_t retry_ms = 0;
    enum fg_packet_status status = FG_PACKET_STATUS_UNKNOWN_ITEM;
    uint32_t left = 0;

    if (index != NIL) {
        status = item_refusal(item_at(s, index), now_ms, &retry_ms);
        left = item_left(s, item_at(s, index));
    }
    if (status == FG_PACKET_STATUS_NONE)
        status = left ? FG_PACKET_STATUS_ON_SALE : FG_PACKET_STATUS_SOLD_OUT;
    answer_now(s, r, a, status, status == FG_PACKET_STATUS_UNKNOWN_ITEM ? 0 : left, retry_ms);
    a->quantity = s->config.order_ports;
    if (index != NIL && s->config.limits.waiting_max &&
        (s->banks[index].line || line_max(s, index)))
        a->deadline_ms = (uint64_t)s->lines[index].waiting << 32 |
                         (s->lines[index].undrawn ? FG_PACKET_UNDRAWN : line_serving(s, index));
    return FG_STOCK_ANSWERED;
}

/* ---- a late payment */

/* The user's units are taken already. */
static enum fg_stock_result pay_now(struct fg_stock *s, uint64_t now_ms, uint32_t at,
                                    const struct fg_stock_request *r, uint32_t token,
                                    struct fg_stock_answer *a)
{
    struct order *o = &s->orders[at];

    if (accept_or_park(s, now_ms, o->item, at, asker_of(r, token)))
        return FG_STOCK_DEFERRED;
    fg_stock_usage_sub(s, o->usage, o->quantity);
    return answer_now(s, r, a, FG_PACKET_STATUS_BUSY, 0, RETRY_BUSY_MS);
}

/* The order takes units as a new one would, whether or not the item is open. */
static enum fg_stock_result pay(struct fg_stock *s, uint64_t now_ms, uint32_t at,
                                const struct fg_stock_request *r, uint32_t token,
                                struct fg_stock_answer *a)
{
    struct order *o = &s->orders[at];
    struct item *item = item_at(s, o->item);
    uint32_t home = usage_home(s, usage_hash(s, o->user, o->item)), slot;
    struct usage *usage = usage_find(s, home, o->user, o->item);
    bool none_left = item->sold_out && item->free == 0;
    bool limited = item->user_limit && units_of(usage) + o->quantity > item->user_limit;

    if (none_left || limited || fg_stock_user_is_denied(s, o->user))
        return answer_state(s, now_ms, o, r, token, a);
    if (!may_decide(s))
        return not_now(s, r, a);
    slot = usage_add(s, usage, home, o->user, o->item, o->quantity, item->user_limit > 0);
    if (slot == NIL) {
        COUNT(s, full, 1);
        return answer_now(s, r, a, FG_PACKET_STATUS_FULL, 0, 0);
    }
    o->usage = slot;
    return pay_now(s, now_ms, at, r, token, a);
}

/* ---- an order that is known */

static enum fg_stock_result change(struct fg_stock *s, uint64_t now_ms, struct order *o,
                                   enum action action, const struct fg_stock_request *r,
                                   uint32_t token, struct fg_stock_answer *a)
{
    uint64_t until_ms =
        r->until_ms < now_ms + FG_STOCK_HOLD_MS_MAX ? r->until_ms : now_ms + FG_STOCK_HOLD_MS_MAX;

    /* a replay, or nothing gained, or no time */
    if (action == EXTEND && (until_ms <= o->deadline_ms || r->until_ms > FG_STOCK_UNTIL_MS_MAX))
        return answer_state(s, now_ms, o, r, token, a);
    if (!may_decide(s))
        return not_now(s, r, a);
    if (action == SELL) {
        fg_stock_sell(s, now_ms, o, asker_of(r, token));
    } else if (action == EXTEND) {
        fg_stock_extend(s, now_ms, o, until_ms, asker_of(r, token));
    } else if (action == REFUND) {
        fg_stock_refund(s, now_ms, o, r->flags & FG_PACKET_RESTOCK, asker_of(r, token));
    } else if (action == CLOSE) {
        fg_stock_close(s, now_ms, o, asker_of(r, token));
    } else if (action == LEAVE) {
        fg_stock_leave(s, now_ms, o, FG_JOURNAL_LEFT_CANCELLED, asker_of(r, token));
    } else {
        fg_stock_cancel(s, now_ms, o, asker_of(r, token));
    }
    return FG_STOCK_DEFERRED;
}

/* A repeated WAIT keeps the place, unless the sale has ended. */
static enum fg_stock_result heard(struct fg_stock *s, uint64_t now_ms, struct order *o,
                                  const struct fg_stock_request *r, uint32_t token,
                                  struct fg_stock_answer *a)
{
    const struct item *item = item_at(s, o->item);

    if (item->closes_ms && now_ms >= item->closes_ms && may_decide(s)) {
        fg_stock_leave(s, now_ms, o, FG_JOURNAL_LEFT_CLOSED, asker_of(r, token));
        return FG_STOCK_DEFERRED;
    }
    fg_stock_line_heard(s, now_ms, o);
    return answer_state(s, now_ms, o, r, token, a);
}

static bool same_fields(const struct fg_stock *s, const struct order *o,
                        const struct fg_stock_request *r)
{
    return s->items[o->item].id == r->item && o->quantity == r->quantity;
}

/* The wheel is late by a tick. False when there is no room for the record. */
static bool expire_in_time(struct fg_stock *s, uint64_t now_ms, struct order *o)
{
    if (o->state != FG_LEDGER_ORDER_RESERVED || now_ms < o->deadline_ms + s->grace_ms)
        return true;
    if (!may_decide(s))
        return false;
    fg_stock_expire(s, now_ms, o);
    return true;
}

/* One of the user's orders. */
APART static enum fg_stock_result orders_of(struct fg_stock *s, uint64_t now_ms,
                                            const struct fg_stock_request *r, uint32_t token,
                                            struct fg_stock_answer *a)
{
    uint32_t item = r->item ? item_find(s, r->item) : NIL, at;

    if (!fg_stock_by_user_catch_up(s)) {
        s->listing = true;
        return answer_now(s, r, a, FG_PACKET_STATUS_BUSY, 0, RETRY_BUSY_MS);
    }
    at = r->item && item == NIL ? NIL : fg_stock_by_user_find(s, r->user, item, r->quantity);
    if (at == NIL)
        return answer_now(s, r, a, FG_PACKET_STATUS_UNKNOWN_ORDER, 0, 0);
    if (!expire_in_time(s, now_ms, &s->orders[at]))
        return not_now(s, r, a);
    return answer_state(s, now_ms, &s->orders[at], r, token, a);
}

APART static enum fg_stock_result known(struct fg_stock *s, uint64_t now_ms, uint32_t at,
                                        const struct fg_stock_request *r, uint32_t token,
                                        struct fg_stock_answer *a)
{
    struct order *o = &s->orders[at];
    enum action action;

    if (!expire_in_time(s, now_ms, o))
        return not_now(s, r, a);
    action = table[o->state][r->op];
    if ((r->op == FG_PACKET_OP_RESERVE || r->op == FG_PACKET_OP_WAIT) && !same_fields(s, o, r)) {
        COUNT(s, conflicts, 1);
        return answer_now(s, r, a, FG_PACKET_STATUS_CONFLICT, 0, 0);
    }
    if (fg_unlikely(action == LEAVE || action == HEARD) && s->lines[o->item].closing) {
        if (action == HEARD)
            fg_stock_line_heard(s, now_ms, o);
        action = LATER; /* a draw is under way */
    }
    switch (action) {
    case SELL:
    case CANCEL:
    case EXTEND:
    case REFUND:
    case CLOSE:
    case LEAVE:
        return change(s, now_ms, o, action, r, token, a);
    case PAY:
        return pay(s, now_ms, at, r, token, a);
    case HEARD:
        return heard(s, now_ms, o, r, token, a);
    case AGAIN:
        COUNT(s, duplicates, 1);
        return answer_state(s, now_ms, o, r, token, a);
    case WAITS:
        COUNT(s, in_progress, 1);
        return FG_STOCK_IGNORED;
    case LATER:
        return answer_now(s, r, a, FG_PACKET_STATUS_BUSY, 0, RETRY_BUSY_MS);
    default:
        return answer_state(s, now_ms, o, r, token, a);
    }
}

/* In a bucket that may hold the order. */
APART static enum fg_stock_result maybe_known(struct fg_stock *s, uint64_t now_ms,
                                              const struct fg_stock_request *r, uint32_t token,
                                              struct fg_stock_answer *a)
{
    uint32_t at = order_find(s, r->hash, r->user, r->order_id);

    return at == NIL ? stranger(s, now_ms, r, token, a) : known(s, now_ms, at, r, token, a);
}

/* Was not given to fg_stock_prefetch. */
APART static enum fg_stock_result unprepared(struct fg_stock *s, uint64_t now_ms,
                                             const struct fg_stock_request *r, uint32_t token,
                                             struct fg_stock_answer *a)
{
    struct fg_stock_request copy = *r;

    fg_stock_prefetch(s, &copy, 1);
    return maybe_known(s, now_ms, &copy, token, a);
}

enum fg_stock_result fg_stock_request(struct fg_stock *s, uint64_t now_ms,
                                      const struct fg_stock_request *r, uint32_t token,
                                      struct fg_stock_answer *a)
{
    FG_ASSERT(token != FG_STOCK_NO_TOKEN);
    COUNT(s, requests, 1);
    a->token = token;
    a->kind = r->kind & 0xfu; /* with the flags: one store of a byte, and none is read */
    a->flags = 0;
    FG_ASSERT(r->op >= FG_PACKET_OP_RESERVE && r->op <= FG_PACKET_OP_WAIT);
    if (fg_unlikely(1u << r->op & (1u << FG_PACKET_OP_STOCK | 1u << FG_PACKET_OP_ORDERS)))
        return r->op == FG_PACKET_OP_STOCK ? stock_of(s, now_ms, r, a)
                                           : orders_of(s, now_ms, r, token, a);
    if (fg_unlikely(!r->hash))
        return unprepared(s, now_ms, r, token, a);
    if (*order_bucket(s, r->hash) & order_bit(s, r->hash))
        return maybe_known(s, now_ms, r, token, a);
    return stranger(s, now_ms, r, token, a);
}
