/* SPDX-License-Identifier: BSD-3-Clause */
/* What the engine makes of a request, and what it tells: each decision is judged anew, from the
 * contract. */
#include "oracle.h"

static const uint8_t state_of_status[FG_PACKET_STATUS_COUNT] = {
    [FG_PACKET_STATUS_RESERVED] = FG_LEDGER_ORDER_RESERVED,
    [FG_PACKET_STATUS_SOLD] = FG_LEDGER_ORDER_SOLD,
    [FG_PACKET_STATUS_CANCELLED] = FG_LEDGER_ORDER_CANCELLED,
    [FG_PACKET_STATUS_EXPIRED] = FG_LEDGER_ORDER_EXPIRED,
    [FG_PACKET_STATUS_REFUNDED] = FG_LEDGER_ORDER_REFUNDED,
    [FG_PACKET_STATUS_WAITING] = FG_LEDGER_ORDER_WAITING,
};

#define BIT(state) (1u << FG_LEDGER_ORDER_##state)

/* What may be told when this was told before. */
static const uint8_t may_follow[FG_ORDER_STATES] = {
    [FG_LEDGER_ORDER_NONE] = 0xff,
    [FG_LEDGER_ORDER_WAITING] =
        BIT(WAITING) | BIT(RESERVED) | BIT(SOLD) | BIT(CANCELLED) | BIT(EXPIRED) | BIT(REFUNDED),
    [FG_LEDGER_ORDER_RESERVED] =
        BIT(RESERVED) | BIT(EXPIRED) | BIT(SOLD) | BIT(CANCELLED) | BIT(REFUNDED),
    [FG_LEDGER_ORDER_EXPIRED] = BIT(EXPIRED) | BIT(SOLD) | BIT(CANCELLED) | BIT(REFUNDED),
    [FG_LEDGER_ORDER_SOLD] = BIT(SOLD) | BIT(REFUNDED),
    [FG_LEDGER_ORDER_CANCELLED] = BIT(CANCELLED),
    [FG_LEDGER_ORDER_REFUNDED] = BIT(REFUNDED),
};

/* A request and what the engine made of it. */
struct asked {
    struct token *token;
    uint32_t index; /* of the token */
    enum fg_stock_result result;
    enum fg_packet_status status; /* NONE unless answered */
    uint32_t left, retry_ms;      /* of the answer */
    enum fg_ledger_order_state before, after;
    bool waited; /* the order waited for units before */
    bool gone;   /* or was refused, and the answer has not left yet */
    bool late;   /* its hold had ended before */
    bool same;   /* the fields are those of the order */
    struct oracle_order *order;
};

static bool answered(const struct asked *q, enum fg_packet_status status)
{
    return q->result == FG_STOCK_ANSWERED && q->status == status;
}

/* "Nothing was decided" is always allowed as long as nothing was decided. */
static bool put_off(const struct world *w, const struct asked *q)
{
    enum fg_stock_mode mode = w->mode[q->token->worker];
    bool last = mode == FG_STOCK_STOPPING || mode == FG_STOCK_FAILED;

    return answered(q, FG_PACKET_STATUS_BUSY) ||
           (last && answered(q, FG_PACKET_STATUS_UNAVAILABLE));
}

/* The answer is, now or when it is durable, what the order is. */
static void tells_state(struct asked *q)
{
    FG_ASSERT(q->result != FG_STOCK_IGNORED && q->after != FG_LEDGER_ORDER_NONE);
    if (q->result == FG_STOCK_ANSWERED)
        FG_ASSERT(state_of_status[q->status] == q->after);
    else
        q->token->expect = (uint8_t)q->after;
}

static enum fg_packet_status not_on_sale(const struct settings *s, uint64_t now_ms)
{
    if (!s || !s->live)
        return FG_PACKET_STATUS_UNKNOWN_ITEM;
    if (s->closes_ms && s->closes_ms <= now_ms)
        return FG_PACKET_STATUS_CLOSED;
    if (s->opens_ms > now_ms)
        return FG_PACKET_STATUS_NOT_OPEN;
    return s->flags & FG_JOURNAL_ITEM_PAUSED ? FG_PACKET_STATUS_PAUSED : FG_PACKET_STATUS_NONE;
}

/* The user has as many orders that ended unsold as one may have. */
static bool unsold_spent(struct oracle *o, const struct world *w, const struct fg_stock_request *r)
{
    return w->setup.limits.unsold_max &&
           oracle_unsold(o, r->user, r->item) >= w->setup.limits.unsold_max;
}

static void check_refusal(struct oracle *o, struct world *w, const struct asked *q,
                          const struct settings *s)
{
    const struct fg_stock_request *r = &q->token->request;
    const struct oracle_item *item = oracle_item(o, r->item);

    switch (q->status) {
    case FG_PACKET_STATUS_SOLD_OUT:
        FG_ASSERT(item->stage[q->token->worker] != 4);
        break;
    case FG_PACKET_STATUS_BAD_QUANTITY:
        FG_ASSERT(r->quantity == 0 || r->quantity > s->order_max ||
                  (r->op == FG_PACKET_OP_WAIT && r->quantity > 1 &&
                   s->line_flags & FG_JOURNAL_LINE_ONE_UNIT));
        break;
    case FG_PACKET_STATUS_USER_LIMIT:
        if (unsold_spent(o, w, r)) {
            FG_ASSERT(q->left == 0);
            break;
        }
        if (r->op == FG_PACKET_OP_WAIT && s->line_max && q->left == 0 && oracle_in_line(o, r, true))
            break;
        FG_ASSERT(s->user_limit);
        FG_ASSERT(oracle_user_units(o, r->user, r->item, true) + r->quantity > s->user_limit);
        FG_ASSERT(q->left < r->quantity);
        FG_ASSERT(q->left + oracle_user_units(o, r->user, r->item, true) >= s->user_limit ||
                  q->left == 0);
        FG_ASSERT(q->left == 0 ||
                  q->left + oracle_user_units(o, r->user, r->item, false) <= s->user_limit);
        break;
    case FG_PACKET_STATUS_FULL:
        FG_ASSERT(o->small);
        break;
    default:
        FG_ASSERT(put_off(w, q));
    }
}

/* It was taken in: accepted already, or it waits for units. */
static void check_taken(struct oracle *o, struct world *w, const struct asked *q,
                        const struct settings *s)
{
    struct token *t = q->token;
    const struct fg_stock_request *r = &t->request;
    struct oracle_order *order = oracle_new_order(o, r->user, r->order_id);

    FG_ASSERT(w->mode[t->worker] == FG_STOCK_RUNNING);
    FG_ASSERT(r->quantity > 0 && r->quantity <= s->order_max);
    FG_ASSERT(!unsold_spent(o, w, r));
    FG_ASSERT(r->op != FG_PACKET_OP_WAIT || !s->line_max || !oracle_in_line(o, r, false));
    if (q->after == FG_LEDGER_ORDER_RESERVED) {
        t->expect = FG_LEDGER_ORDER_RESERVED;
        return;
    }
    FG_ASSERT(s->user_limit == 0 ||
              oracle_user_units(o, r->user, r->item, false) + r->quantity <= s->user_limit);
    order->waits = true;
    order->joins = r->op == FG_PACKET_OP_WAIT && s->line_max;
    order->enters = order->joins && s->opens_ms > w->now_ms;
    if (order->joins && oracle_item(o, r->item)->lottery) /* it takes no unit that is free */
        t->min_free = 0;
    order->token = q->index;
    order->item = r->item;
    order->quantity = r->quantity;
    order->limit = s->user_limit;
    order->decided = ++o->requests;
    oracle_waits(o, w, q->index);
}

static void check_new(struct oracle *o, struct world *w, const struct asked *q)
{
    const struct fg_stock_request *r = &q->token->request;
    struct oracle_item *item = oracle_item(o, r->item);
    struct oracle_denied *denied = oracle_denied(o, r->user);
    const struct settings *s = item ? &item->in_force[q->token->worker] : NULL;
    enum fg_packet_status refusal =
        denied && denied->now ? FG_PACKET_STATUS_USER_DENIED : not_on_sale(s, w->now_ms);

    FG_ASSERT(q->result != FG_STOCK_IGNORED);
    if (answered(q, FG_PACKET_STATUS_USER_RATE)) {
        FG_ASSERT(w->setup.limits.user_rate && refusal != FG_PACKET_STATUS_USER_DENIED);
        return;
    }
    if (refusal == FG_PACKET_STATUS_NOT_OPEN && r->op == FG_PACKET_OP_WAIT &&
        (answered(q, FG_PACKET_STATUS_BUSY) || (item->lottery && !answered(q, refusal))))
        refusal = FG_PACKET_STATUS_NONE;
    if (refusal != FG_PACKET_STATUS_NONE)
        FG_ASSERT(answered(q, refusal) && q->retry_ms <= 86400000);
    else if (q->result == FG_STOCK_ANSWERED)
        check_refusal(o, w, q, s);
    else
        check_taken(o, w, q, s);
}

static void check_reservation(struct oracle *o, struct world *w, struct asked *q)
{
    bool as_waiting =
        q->same ? q->result == FG_STOCK_IGNORED : answered(q, FG_PACKET_STATUS_CONFLICT);

    if (q->before == FG_LEDGER_ORDER_NONE && (!q->waited || (q->gone && !as_waiting)))
        check_new(o, w, q);
    else if (!q->same)
        FG_ASSERT(answered(q, FG_PACKET_STATUS_CONFLICT) || (q->late && put_off(w, q)));
    else if (q->waited && q->before == FG_LEDGER_ORDER_NONE)
        FG_ASSERT(q->result == FG_STOCK_IGNORED);
    else if (q->waited && !q->gone)
        FG_ASSERT(answered(q, FG_PACKET_STATUS_BUSY));
    else if (!put_off(w, q))
        tells_state(q);
    if (q->same && q->before == FG_LEDGER_ORDER_WAITING &&
        q->token->request.op == FG_PACKET_OP_WAIT && q->after == FG_LEDGER_ORDER_WAITING)
        oracle_heard(w, q->order, &oracle_item(o, q->order->item)->in_force[q->token->worker],
                     answered(q, FG_PACKET_STATUS_WAITING) ? q->retry_ms : 0);
}

/* CONFIRM of an expired order: as a RESERVE, but for the times of the sale. */
static void check_payment(struct oracle *o, struct world *w, struct asked *q)
{
    struct token *t = q->token;
    struct oracle_order *order = q->order;
    struct oracle_item *item = oracle_item(o, order->item);
    const struct settings *s = &item->in_force[t->worker];
    struct oracle_denied *denied = oracle_denied(o, order->user);
    bool is_denied = denied && denied->now, sold = q->after == FG_LEDGER_ORDER_SOLD;
    uint64_t units = oracle_user_units(o, order->user, order->item, false);
    bool limited =
        s->user_limit && oracle_user_units(o, order->user, order->item, true) - /* not twice */
                                 (order->waits ? order->quantity : 0) + order->quantity >
                             s->user_limit;

    t->refusable = is_denied || limited || item->stage[t->worker] != 4;
    if (answered(q, FG_PACKET_STATUS_FULL)) {
        FG_ASSERT(o->small);
        return;
    }
    if (q->result == FG_STOCK_ANSWERED) {
        FG_ASSERT(q->status == FG_PACKET_STATUS_EXPIRED && t->refusable);
        return;
    }
    FG_ASSERT(q->result == FG_STOCK_DEFERRED);
    if (sold) {
        FG_ASSERT(!is_denied && w->mode[t->worker] == FG_STOCK_RUNNING);
        t->expect = FG_LEDGER_ORDER_SOLD;
        return;
    }
    /* it waits for units; or it is refused, and its end must be durable before that is told */
    FG_ASSERT(t->refusable || (w->mode[t->worker] == FG_STOCK_RUNNING && !is_denied));
    FG_ASSERT(t->refusable || !s->user_limit || units + order->quantity <= s->user_limit);
    order->waits = true;
    order->joins = false;
    order->token = q->index;
    order->limit = s->user_limit;
    order->decided = ++o->requests;
    oracle_waits(o, w, q->index);
}

/* While a payment waits for units. False: it was refused perhaps, and the order is judged as it is.
 */
static bool check_paying(const struct asked *q)
{
    bool as_waiting = q->token->request.op == FG_PACKET_OP_CONFIRM
                          ? q->result == FG_STOCK_IGNORED
                          : answered(q, FG_PACKET_STATUS_BUSY);

    FG_ASSERT(as_waiting || q->gone);
    return as_waiting;
}

/* One of the user's orders; which one, and that none is left out, is for oracle_answered. */
static void check_orders(struct oracle *o, const struct asked *q, const struct fg_stock_answer *a)
{
    const struct fg_stock_request *r = &q->token->request;
    uint32_t n = oracle_orders(o, r->user, r->item);

    if (answered(q, FG_PACKET_STATUS_BUSY) || answered(q, FG_PACKET_STATUS_UNAVAILABLE))
        return;
    FG_ASSERT(q->result != FG_STOCK_IGNORED);
    if (answered(q, FG_PACKET_STATUS_UNKNOWN_ORDER))
        FG_ASSERT(n <= r->quantity);
    else /* those that wait may have been refused, and be orders again */
        FG_ASSERT(n + oracle_paying(o, r->user, r->item) > r->quantity);
    if (q->result == FG_STOCK_ANSWERED && state_of_status[q->status])
        FG_ASSERT(oracle_order(o, r->user, a->order_id)->now == state_of_status[q->status]);
}

/* CONFIRM, CANCEL, QUERY, EXTEND, REFUND */
static void check_change(struct oracle *o, struct world *w, struct asked *q)
{
    static const uint8_t becomes[FG_PACKET_OP_ORDERS + 1] = {
        [FG_PACKET_OP_CONFIRM] = FG_LEDGER_ORDER_SOLD,
        [FG_PACKET_OP_CANCEL] = FG_LEDGER_ORDER_CANCELLED,
        [FG_PACKET_OP_QUERY] = FG_LEDGER_ORDER_RESERVED,
        [FG_PACKET_OP_EXTEND] = FG_LEDGER_ORDER_RESERVED,
        [FG_PACKET_OP_REFUND] = FG_LEDGER_ORDER_RESERVED};
    const struct fg_stock_request *r = &q->token->request;
    enum fg_ledger_order_state due = q->before;
    uint64_t until_ms = r->until_ms < w->now_ms + FG_STOCK_HOLD_MS_MAX
                            ? r->until_ms
                            : w->now_ms + FG_STOCK_HOLD_MS_MAX;

    if (q->waited && q->before == FG_LEDGER_ORDER_EXPIRED && check_paying(q))
        return;
    if (q->waited && q->before == FG_LEDGER_ORDER_NONE) {
        FG_ASSERT(answered(q, FG_PACKET_STATUS_BUSY) ||
                  (q->gone && answered(q, FG_PACKET_STATUS_UNKNOWN_ORDER)));
        return;
    }
    if (q->before == FG_LEDGER_ORDER_NONE) {
        FG_ASSERT(answered(q, FG_PACKET_STATUS_UNKNOWN_ORDER));
        return;
    }
    if (put_off(w, q)) {
        FG_ASSERT(q->after == q->before || (q->late && q->after == FG_LEDGER_ORDER_EXPIRED));
        return;
    }
    if (q->before == FG_LEDGER_ORDER_RESERVED)
        due = q->late ? FG_LEDGER_ORDER_EXPIRED : becomes[r->op];
    if (due == FG_LEDGER_ORDER_WAITING && r->op == FG_PACKET_OP_CANCEL)
        due = FG_LEDGER_ORDER_CANCELLED;
    if (due == FG_LEDGER_ORDER_EXPIRED && r->op == FG_PACKET_OP_CONFIRM) {
        check_payment(o, w, q);
        return;
    }
    if (due == FG_LEDGER_ORDER_EXPIRED && r->op == FG_PACKET_OP_CANCEL)
        due = FG_LEDGER_ORDER_CANCELLED;
    if (due == FG_LEDGER_ORDER_SOLD && r->op == FG_PACKET_OP_REFUND)
        due = FG_LEDGER_ORDER_REFUNDED;
    FG_ASSERT(q->after == due);
    FG_ASSERT(due != FG_LEDGER_ORDER_RESERVED || r->op != FG_PACKET_OP_EXTEND ||
              q->order->deadline_ms >= until_ms);
    tells_state(q);
}

static void check_item(struct oracle *o, struct world *w, const struct asked *q)
{
    struct oracle_item *item = oracle_item(o, q->token->request.item);
    const struct settings *s = item ? &item->in_force[q->token->worker] : NULL;
    enum fg_packet_status refusal = not_on_sale(s, w->now_ms);
    bool logged_only = item && !item->in_force[q->token->worker].live;

    FG_ASSERT(q->result == FG_STOCK_ANSWERED);
    if (refusal != FG_PACKET_STATUS_NONE)
        FG_ASSERT(q->status == refusal ||
                  (logged_only && q->status == FG_PACKET_STATUS_UNKNOWN_ITEM));
    else
        FG_ASSERT(q->status == FG_PACKET_STATUS_ON_SALE || q->status == FG_PACKET_STATUS_SOLD_OUT);
}

void oracle_asked(struct oracle *o, struct world *w, uint32_t token, enum fg_stock_result result,
                  const struct fg_stock_answer *a)
{
    struct token *t = &w->tokens[token];
    struct oracle_order *order = oracle_order(o, t->request.user, t->request.order_id);
    struct asked q = {.token = t, .index = token, .result = result, .order = order};

    if (result == FG_STOCK_ANSWERED) {
        q.status = a->status;
        q.left = a->left;
        q.retry_ms = a->retry_ms;
    }

    if (order && t->request.op != FG_PACKET_OP_ORDERS) {
        t->told = order->told;
        q.before = order->now;
        q.waited = order->waits;
        q.gone = order->waits && (w->troubled || w->tokens[order->token].refusable ||
                                  w->tokens[order->token].min_free < order->quantity);
        q.same = order->item == t->request.item && order->quantity == t->request.quantity;
        q.late =
            order->now == FG_LEDGER_ORDER_RESERVED && w->now_ms >= order->deadline_ms + w->grace_ms;
    }
    oracle_pushed(o, w, t->worker, t);
    if (!order)
        order = oracle_order(o, t->request.user, t->request.order_id);
    q.after = order ? order->now : FG_LEDGER_ORDER_NONE;
    if (t->request.op == FG_PACKET_OP_STOCK)
        check_item(o, w, &q);
    else if (t->request.op == FG_PACKET_OP_ORDERS)
        check_orders(o, &q, a);
    else if (t->request.op == FG_PACKET_OP_RESERVE || t->request.op == FG_PACKET_OP_WAIT)
        check_reservation(o, w, &q);
    else
        check_change(o, w, &q);
}

/* ---- what is told */

/* What is told of an order is on disk, is never of another order, and never contradicts what was
 * told. */
static void told_state(struct oracle *o, const struct world *w, struct token *t,
                       const struct fg_stock_answer *a, unsigned state)
{
    struct oracle_order *order = oracle_order(o, t->request.user, a->order_id);

    FG_ASSERT(order && order->durable & 1u << state);
    FG_ASSERT(a->quantity == order->quantity && a->item == order->item);
    FG_ASSERT(t->request.op != FG_PACKET_OP_RESERVE ||
              (t->request.quantity == order->quantity && t->request.item == order->item));
    FG_ASSERT(t->expect == FG_LEDGER_ORDER_NONE || t->expect == state);
    if (state == FG_LEDGER_ORDER_RESERVED) {
        FG_ASSERT(a->deadline_ms > 0 && a->deadline_ms <= order->durable_deadline_ms);
        FG_ASSERT(a->retry_ms ==
                  (a->deadline_ms > w->now_ms ? a->deadline_ms - w->now_ms : 1)); /* 0: no hint */
    }
    if (state == FG_LEDGER_ORDER_WAITING) {
        uint32_t ticket = (uint32_t)a->deadline_ms;

        FG_ASSERT(a->retry_ms > 0);
        FG_ASSERT(ticket == order->ticket ||
                  (order->undrawn && (ticket == 0 || ticket == order->ticket_before)));
        FG_ASSERT(ticket || a->left == 0);
        if (ticket == order->ticket && t->request.op == FG_PACKET_OP_WAIT &&
            t->expect != state) { /* told at once */
            FG_ASSERT(a->left <= order->ahead);
            order->ahead = a->left;
        }
        if (t->request.op == FG_PACKET_OP_WAIT && t->expect == state && order->joined_ms) {
            FG_ASSERT(order->joined_ms + a->retry_ms >= order->heard_ms &&
                      order->joined_ms + a->retry_ms <= order->heard_most_ms);
            order->heard_most_ms = order->joined_ms + a->retry_ms;
        }
    }
    FG_ASSERT((a->flags & FG_PACKET_LATE) == (order->late && (state == FG_LEDGER_ORDER_SOLD ||
                                                              state == FG_LEDGER_ORDER_REFUNDED)));
    if (t->request.op == FG_PACKET_OP_ORDERS) {
        FG_ASSERT(t->request.item == 0 || t->request.item == order->item);
        order->listed += order->listed < UINT8_MAX;
    }
    /* what had been told when this was asked, and what is told meanwhile, must fit */
    FG_ASSERT(may_follow[t->told] & 1u << state);
    FG_ASSERT(may_follow[order->told] & 1u << state || may_follow[state] & 1u << order->told);
    if (may_follow[order->told] & 1u << state &&
        !(state == FG_LEDGER_ORDER_RESERVED && order->told))
        order->told = (uint8_t)state;
}

static void told_waiter(struct oracle *o, struct world *w, uint32_t token,
                        const struct fg_stock_answer *a)
{
    struct token *t = &w->tokens[token];
    struct oracle_order *order = oracle_order(o, t->request.user, t->request.order_id);

    FG_ASSERT(order);
    switch (a->status) {
    case FG_PACKET_STATUS_EXPIRED: /* a late payment */
        FG_ASSERT(t->request.op == FG_PACKET_OP_CONFIRM);
        FG_ASSERT(t->refusable || t->min_free < order->quantity);
        break;
    case FG_PACKET_STATUS_SOLD_OUT:
        FG_ASSERT(t->min_free == 0);
        break;
    case FG_PACKET_STATUS_INSUFFICIENT:
        FG_ASSERT(t->min_free < t->request.quantity);
        break;
    default:
        if (w->setup.limits.fleet && a->status == FG_PACKET_STATUS_BUSY) { /* of what was lacking */
            FG_ASSERT(w->troubled || t->min_free < order->quantity);
            break;
        }
        FG_ASSERT(w->troubled && (a->status == FG_PACKET_STATUS_BUSY ||
                                  a->status == FG_PACKET_STATUS_UNAVAILABLE));
    }
    FG_ASSERT(t->request.op == FG_PACKET_OP_CONFIRM || a->item == t->request.item);
    if (order->token == token)
        order->waits = false;
    oracle_waits_no_more(o, w, token);
}

void oracle_answered(struct oracle *o, struct world *w, uint32_t token,
                     const struct fg_stock_answer *a)
{
    struct token *t = &w->tokens[token];
    unsigned state;

    FG_ASSERT(t->used && !t->command && a->kind == t->request.kind);
    FG_ASSERT(a->status > 0 && a->status < FG_PACKET_STATUS_COUNT);
    FG_ASSERT(t->request.op == FG_PACKET_OP_ORDERS ||
              memcmp(a->order_id, t->request.order_id, 16) == 0);
    o->statuses[a->status]++;
    state = state_of_status[a->status];
    if (t->waits)
        told_waiter(o, w, token, a);
    if (state) {
        told_state(o, w, t, a, state);
        return;
    }
    FG_ASSERT(t->expect == FG_LEDGER_ORDER_NONE);
    if (t->request.op == FG_PACKET_OP_CONFIRM && a->status == FG_PACKET_STATUS_FULL)
        return;
    if (t->request.op != FG_PACKET_OP_STOCK && a->status != FG_PACKET_STATUS_CONFLICT &&
        a->status != FG_PACKET_STATUS_BUSY && a->status != FG_PACKET_STATUS_UNAVAILABLE)
        FG_ASSERT(t->told ==
                  FG_LEDGER_ORDER_NONE); /* what has an order is not told that it has none */
}

/* ---- commands */

/* For a draw: it is open, or somebody waits, or did. */
bool oracle_is_too_late(struct oracle *o, const struct world *w, const struct fg_stock_command *c)
{
    unsigned home = fg_user_owner(c->item, w->workers);

    if (oracle_item(o, c->item)->in_force[home].opens_ms <= w->now_ms)
        return true;
    for (uint32_t i = 0; i < o->orders_len; i++)
        if (o->orders[i].item == c->item && o->orders[i].ticket)
            return true;
    return false;
}

void oracle_command_given(struct oracle *o, struct world *w, uint32_t token)
{
    struct token *t = &w->tokens[token];

    if (t->given.type == FG_STOCK_USER_SET && !oracle_denied(o, t->given.user)) {
        FG_ASSERT(o->denied_len < DENIED_KNOWN);
        o->denied[o->denied_len++].user = t->given.user;
    }
    oracle_pushed(o, w, t->worker, t);
    if (t->given.type == FG_STOCK_STOCK_REMOVE || t->given.type == FG_STOCK_RECALL)
        oracle_waits(o, w, token);
    memcpy(t->decided, o->pushed, sizeof(t->decided));
    if (t->given.type == FG_STOCK_ORDER_REFUND) {
        struct oracle_order *order = oracle_order(o, t->given.user, t->given.order_id);

        t->expect = order ? order->now : FG_LEDGER_ORDER_NONE;
    }
}

/* Nothing but a sale is refunded, and once. */
static void refund_answered(struct oracle *o, const struct token *t,
                            const struct fg_stock_answer *a)
{
    struct oracle_order *order = oracle_order(o, t->given.user, t->given.order_id);

    FG_ASSERT(t->expect != FG_LEDGER_ORDER_SOLD || a->outcome == FG_STOCK_OUTCOME_BUSY ||
              a->outcome == FG_STOCK_OUTCOME_UNAVAILABLE);
    switch (a->outcome) {
    case FG_STOCK_OUTCOME_DONE:
        FG_ASSERT(t->expect == FG_LEDGER_ORDER_REFUNDED && order->durable & BIT(REFUNDED));
        break;
    case FG_STOCK_OUTCOME_NOT_SOLD:
        FG_ASSERT(a->state == t->expect || a->state == FG_LEDGER_ORDER_NONE);
        FG_ASSERT(t->expect != FG_LEDGER_ORDER_REFUNDED);
        break;
    case FG_STOCK_OUTCOME_UNKNOWN_ORDER:
        FG_ASSERT(t->expect == FG_LEDGER_ORDER_NONE);
        break;
    default:
        FG_ASSERT(a->outcome == FG_STOCK_OUTCOME_BUSY ||
                  a->outcome == FG_STOCK_OUTCOME_UNAVAILABLE);
    }
}

/* A recall that is done: for a moment nothing was free, and a crash undoes nothing of what any
 * worker had decided before. */
static void recall_answered(struct oracle *o, struct world *w, uint32_t token,
                            const struct fg_stock_answer *a)
{
    struct token *t = &w->tokens[token];

    if (a->outcome == FG_STOCK_OUTCOME_DONE) {
        FG_ASSERT(t->min_free == 0 && a->left == (t->record ? t->given.fleet_units : 0));
        FG_ASSERT(o->durable_of[t->worker] >= t->record);
        for (unsigned k = 0; k < w->workers; k++)
            FG_ASSERT(o->durable_of[k] >= t->decided[k]);
    } else {
        FG_ASSERT(a->outcome == FG_STOCK_OUTCOME_BUSY ||
                  a->outcome == FG_STOCK_OUTCOME_UNAVAILABLE);
        FG_ASSERT(t->record == 0 || w->disk == DISK_FAILED);
    }
    oracle_waits_no_more(o, w, token);
}

static bool writes_record(uint8_t type)
{
    return type != FG_STOCK_ITEM_APPLY && type != FG_STOCK_LINE_APPLY &&
           type != FG_STOCK_LINE_CLEAR && type != FG_STOCK_REFUSE && type != FG_STOCK_SOLD_OUT &&
           type != FG_STOCK_OPEN;
}

void oracle_command_answered(struct oracle *o, struct world *w, uint32_t token,
                             const struct fg_stock_answer *a)
{
    struct token *t = &w->tokens[token];
    bool writes = writes_record(t->given.type);

    FG_ASSERT(t->used && t->command && a->kind == FG_STOCK_OPERATOR);
    if (t->given.type == FG_STOCK_ORDER_REFUND) {
        FG_ASSERT(a->user == t->given.user);
        refund_answered(o, t, a);
        return;
    }
    if (t->given.type == FG_STOCK_RECALL) {
        FG_ASSERT(a->item == t->given.item);
        recall_answered(o, w, token, a);
        return;
    }
    FG_ASSERT(t->given.type == FG_STOCK_USER_SET ? a->user == t->given.user
                                                 : a->item == t->given.item);
    if (a->outcome == FG_STOCK_OUTCOME_DONE) { /* durably */
        FG_ASSERT(!t->waits && (t->record > 0) == writes && o->durable_of[t->worker] >= t->record);
        return;
    }
    FG_ASSERT(t->record == 0);
    if (a->outcome == FG_STOCK_OUTCOME_INSUFFICIENT)
        FG_ASSERT(t->waits && t->min_free < t->given.units);
    if (a->outcome == FG_STOCK_OUTCOME_TOO_LATE)
        FG_ASSERT(t->given.type == FG_STOCK_LINE_SET && oracle_is_too_late(o, w, &t->given) &&
                  t->given.line_flags & FG_JOURNAL_LINE_LOTTERY);
    if (t->waits)
        oracle_waits_no_more(o, w, token);
}
