/* SPDX-License-Identifier: BSD-3-Clause */
/* What the engine makes of a request, and what it tells: each decision is judged anew, from the
 * contract. */
#include "oracle.h"

static const uint8_t state_of_status[FG_STATUS_COUNT] = {
    [FG_STATUS_RESERVED] = FG_ORDER_RESERVED,
    [FG_STATUS_SOLD] = FG_ORDER_SOLD,
    [FG_STATUS_CANCELLED] = FG_ORDER_CANCELLED,
    [FG_STATUS_EXPIRED] = FG_ORDER_EXPIRED,
};

/* A request and what the engine made of it. */
struct asked {
    struct token *token;
    uint32_t index; /* of the token */
    enum fg_stock_result result;
    enum fg_packet_status status; /* NONE unless answered */
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

    return answered(q, FG_STATUS_BUSY) || (last && answered(q, FG_STATUS_UNAVAILABLE));
}

/* The answer is, now or when it is durable, what the order is. */
static void tells_state(struct asked *q)
{
    FG_ASSERT(q->result != FG_STOCK_IGNORED && q->after != FG_ORDER_NONE);
    if (q->result == FG_STOCK_ANSWERED)
        FG_ASSERT(state_of_status[q->status] == q->after);
    else
        q->token->expect = (uint8_t)q->after;
}

static enum fg_packet_status not_on_sale(const struct settings *s, uint64_t now_ms)
{
    if (!s || !s->live)
        return FG_STATUS_UNKNOWN_ITEM;
    if (s->closes_ms && s->closes_ms <= now_ms)
        return FG_STATUS_CLOSED;
    if (s->opens_ms > now_ms)
        return FG_STATUS_NOT_OPEN;
    return s->flags & FG_ITEM_PAUSED ? FG_STATUS_PAUSED : FG_STATUS_NONE;
}

static void judge_refusal(struct oracle *o, struct world *w, const struct asked *q,
                          const struct settings *s)
{
    const struct fg_stock_request *r = &q->token->request;
    const struct oracle_item *item = oracle_item(o, r->item);

    switch (q->status) {
    case FG_STATUS_SOLD_OUT:
        FG_ASSERT(item->stage[q->token->worker] != 4);
        break;
    case FG_STATUS_BAD_QUANTITY:
        FG_ASSERT(r->quantity == 0 || r->quantity > s->order_max);
        break;
    case FG_STATUS_USER_LIMIT:
        FG_ASSERT(s->user_limit);
        FG_ASSERT(oracle_user_units(o, r->user, r->item, true) + r->quantity > s->user_limit);
        break;
    case FG_STATUS_FULL:
        FG_ASSERT(o->small);
        break;
    default:
        FG_ASSERT(put_off(w, q));
    }
}

/* It was taken in: accepted already, or it waits for units. */
static void judge_taken(struct oracle *o, struct world *w, const struct asked *q,
                        const struct settings *s)
{
    struct token *t = q->token;
    const struct fg_stock_request *r = &t->request;
    struct oracle_order *order = oracle_new_order(o, r->user, r->order_id);

    FG_ASSERT(w->mode[t->worker] == FG_STOCK_RUNNING);
    FG_ASSERT(r->quantity > 0 && r->quantity <= s->order_max);
    if (q->after == FG_ORDER_RESERVED) {
        t->expect = FG_ORDER_RESERVED;
        return;
    }
    FG_ASSERT(s->user_limit == 0 ||
              oracle_user_units(o, r->user, r->item, false) + r->quantity <= s->user_limit);
    order->waits = true;
    order->token = q->index;
    order->item = r->item;
    order->quantity = r->quantity;
    order->limit = s->user_limit;
    order->judged = ++o->requests;
    oracle_waits(o, w, q->index);
}

static void judge_new(struct oracle *o, struct world *w, const struct asked *q)
{
    const struct fg_stock_request *r = &q->token->request;
    struct oracle_item *item = oracle_item(o, r->item);
    struct oracle_denied *denied = oracle_denied(o, r->user);
    const struct settings *s = item ? &item->in_force[q->token->worker] : NULL;
    enum fg_packet_status refusal =
        denied && denied->now ? FG_STATUS_USER_DENIED : not_on_sale(s, w->now_ms);

    FG_ASSERT(q->result != FG_STOCK_IGNORED);
    if (answered(q, FG_STATUS_USER_RATE)) {
        FG_ASSERT(w->setup.limits.user_rate && refusal != FG_STATUS_USER_DENIED);
        return;
    }
    if (refusal != FG_STATUS_NONE)
        FG_ASSERT(answered(q, refusal));
    else if (q->result == FG_STOCK_ANSWERED)
        judge_refusal(o, w, q, s);
    else
        judge_taken(o, w, q, s);
}

static void judge_reservation(struct oracle *o, struct world *w, struct asked *q)
{
    bool as_waiting = q->same ? q->result == FG_STOCK_IGNORED : answered(q, FG_STATUS_CONFLICT);

    if (q->before == FG_ORDER_NONE && (!q->waited || (q->gone && !as_waiting)))
        judge_new(o, w, q);
    else if (!q->same)
        FG_ASSERT(answered(q, FG_STATUS_CONFLICT) || (q->late && put_off(w, q)));
    else if (q->waited)
        FG_ASSERT(q->result == FG_STOCK_IGNORED);
    else if (!put_off(w, q))
        tells_state(q);
}

/* CONFIRM, CANCEL, QUERY, EXTEND */
static void judge_change(struct world *w, struct asked *q)
{
    static const uint8_t becomes[FG_OP_EXTEND + 1] = {[FG_OP_CONFIRM] = FG_ORDER_SOLD,
                                                      [FG_OP_CANCEL] = FG_ORDER_CANCELLED,
                                                      [FG_OP_QUERY] = FG_ORDER_RESERVED,
                                                      [FG_OP_EXTEND] = FG_ORDER_RESERVED};
    const struct fg_stock_request *r = &q->token->request;
    enum fg_ledger_order_state due = q->before;
    uint64_t until_ms =
        r->until_ms < w->now_ms + FG_HOLD_MS_MAX ? r->until_ms : w->now_ms + FG_HOLD_MS_MAX;

    if (q->waited) {
        FG_ASSERT(answered(q, FG_STATUS_BUSY) || (q->gone && answered(q, FG_STATUS_UNKNOWN_ORDER)));
        return;
    }
    if (q->before == FG_ORDER_NONE) {
        FG_ASSERT(answered(q, FG_STATUS_UNKNOWN_ORDER));
        return;
    }
    if (put_off(w, q)) {
        FG_ASSERT(q->after == q->before || (q->late && q->after == FG_ORDER_EXPIRED));
        return;
    }
    if (q->before == FG_ORDER_RESERVED)
        due = q->late ? FG_ORDER_EXPIRED : becomes[r->op];
    FG_ASSERT(q->after == due);
    FG_ASSERT(due != FG_ORDER_RESERVED || r->op != FG_OP_EXTEND ||
              q->order->deadline_ms >= until_ms);
    tells_state(q);
}

static void judge_item(struct oracle *o, struct world *w, const struct asked *q)
{
    struct oracle_item *item = oracle_item(o, q->token->request.item);
    const struct settings *s = item ? &item->in_force[q->token->worker] : NULL;
    enum fg_packet_status refusal = not_on_sale(s, w->now_ms);
    bool logged_only = item && !item->in_force[q->token->worker].live;

    FG_ASSERT(q->result == FG_STOCK_ANSWERED);
    if (refusal != FG_STATUS_NONE)
        FG_ASSERT(q->status == refusal || (logged_only && q->status == FG_STATUS_UNKNOWN_ITEM));
    else
        FG_ASSERT(q->status == FG_STATUS_ON_SALE || q->status == FG_STATUS_SOLD_OUT);
}

void oracle_asked(struct oracle *o, struct world *w, uint32_t token, enum fg_stock_result result,
                  const struct fg_stock_answer *a)
{
    struct token *t = &w->tokens[token];
    struct oracle_order *order = oracle_order(o, t->request.user, t->request.order_id);
    struct asked q = {.token = t,
                      .index = token,
                      .result = result,
                      .status = result == FG_STOCK_ANSWERED ? a->status : FG_STATUS_NONE,
                      .order = order};

    if (order) {
        t->told = order->told;
        q.before = order->now;
        q.waited = order->waits;
        q.gone =
            order->waits && (w->troubled || w->tokens[order->token].min_free < order->quantity);
        q.same = order->item == t->request.item && order->quantity == t->request.quantity;
        q.late = order->now == FG_ORDER_RESERVED && w->now_ms >= order->deadline_ms;
    }
    oracle_pushed(o, w, t->worker, t);
    if (!order)
        order = oracle_order(o, t->request.user, t->request.order_id);
    q.after = order ? order->now : FG_ORDER_NONE;
    if (t->request.op == FG_OP_STOCK)
        judge_item(o, w, &q);
    else if (t->request.op == FG_OP_RESERVE)
        judge_reservation(o, w, &q);
    else
        judge_change(w, &q);
}

/* ---- what is told */

/* What is told of an order is on disk, is never of another order, and never contradicts what was
 * told. */
static void told_state(struct oracle *o, struct token *t, const struct fg_stock_answer *a,
                       unsigned state)
{
    struct oracle_order *order = oracle_order(o, t->request.user, t->request.order_id);

    FG_ASSERT(order && order->durable & 1u << state);
    FG_ASSERT(a->quantity == order->quantity && a->item == order->item);
    FG_ASSERT(t->request.op != FG_OP_RESERVE ||
              (t->request.quantity == order->quantity && t->request.item == order->item));
    FG_ASSERT(t->expect == FG_ORDER_NONE || t->expect == state);
    FG_ASSERT(state != FG_ORDER_RESERVED ||
              (a->deadline_ms > 0 && a->deadline_ms <= order->durable_deadline_ms));
    if (state == FG_ORDER_RESERVED) {
        FG_ASSERT(t->told <= FG_ORDER_RESERVED); /* its end had not been told when this was asked */
        if (order->told == FG_ORDER_NONE)
            order->told = FG_ORDER_RESERVED;
        return;
    }
    FG_ASSERT(order->told <= FG_ORDER_RESERVED || order->told == state);
    order->told = (uint8_t)state;
}

static void told_waiter(struct oracle *o, struct world *w, uint32_t token,
                        const struct fg_stock_answer *a)
{
    struct token *t = &w->tokens[token];
    struct oracle_order *order = oracle_order(o, t->request.user, t->request.order_id);

    switch (a->status) {
    case FG_STATUS_SOLD_OUT:
        FG_ASSERT(t->min_free == 0);
        break;
    case FG_STATUS_INSUFFICIENT:
        FG_ASSERT(t->min_free < t->request.quantity);
        break;
    default:
        FG_ASSERT(w->troubled &&
                  (a->status == FG_STATUS_BUSY || a->status == FG_STATUS_UNAVAILABLE));
    }
    FG_ASSERT(a->item == t->request.item && order);
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
    FG_ASSERT(a->status > 0 && a->status < FG_STATUS_COUNT);
    FG_ASSERT(memcmp(a->order_id, t->request.order_id, 16) == 0);
    o->statuses[a->status]++;
    state = state_of_status[a->status];
    if (state) {
        told_state(o, t, a, state);
        return;
    }
    FG_ASSERT(t->expect == FG_ORDER_NONE);
    if (t->waits)
        told_waiter(o, w, token, a);
    if (t->request.op != FG_OP_STOCK && a->status != FG_STATUS_CONFLICT &&
        a->status != FG_STATUS_BUSY && a->status != FG_STATUS_UNAVAILABLE)
        FG_ASSERT(t->told == FG_ORDER_NONE); /* what has an order is not told that it has none */
}

/* ---- commands */

void oracle_command_given(struct oracle *o, struct world *w, uint32_t token)
{
    struct token *t = &w->tokens[token];

    if (t->given.type == FG_STOCK_USER_SET && !oracle_denied(o, t->given.user)) {
        FG_ASSERT(o->denied_len < DENIED_KNOWN);
        o->denied[o->denied_len++].user = t->given.user;
    }
    oracle_pushed(o, w, t->worker, t);
    if (t->given.type == FG_STOCK_STOCK_REMOVE)
        oracle_waits(o, w, token);
}

void oracle_command_answered(struct oracle *o, struct world *w, uint32_t token,
                             const struct fg_stock_answer *a)
{
    struct token *t = &w->tokens[token];
    bool writes = t->given.type != FG_STOCK_ITEM_APPLY;

    FG_ASSERT(t->used && t->command && a->kind == FG_STOCK_OPERATOR);
    FG_ASSERT(t->given.type == FG_STOCK_USER_SET ? a->user == t->given.user
                                                 : a->item == t->given.item);
    if (a->outcome == FG_STOCK_OUTCOME_DONE) { /* durably */
        FG_ASSERT(!t->waits && (t->record > 0) == writes && o->durable_of[t->worker] >= t->record);
        return;
    }
    FG_ASSERT(t->record == 0);
    if (a->outcome == FG_STOCK_OUTCOME_INSUFFICIENT)
        FG_ASSERT(t->waits && t->min_free < t->given.units);
    if (t->waits)
        oracle_waits_no_more(o, w, token);
}
