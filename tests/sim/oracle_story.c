/* SPDX-License-Identifier: BSD-3-Clause */
/* The story that the workers tell by the records that they push, and the balance over all of them.
 */
#include "oracle.h"

#include <openssl/sha.h>

void oracle_waits(struct oracle *o, struct world *w, uint32_t token)
{
    struct token *t = &w->tokens[token];
    const struct oracle_order *order =
        t->command ? NULL : oracle_order(o, t->request.user, t->request.order_id);

    t->waits = true;
    t->item = order ? order->item : t->given.item;
    o->waiting[o->waiting_len++] = token;
}

void oracle_waits_no_more(struct oracle *o, struct world *w, uint32_t token)
{
    uint32_t i = 0;

    w->tokens[token].waits = false;
    while (o->waiting[i] != token)
        i++;
    o->waiting[i] = o->waiting[--o->waiting_len];
}

/* A late payment waits for the disk until the end of its order is durable, and only then for units.
 * Which of the two it is depends on what its engine had seen by then, so the engine's own count of
 * requests that wait for units tells. */
static bool waits_for_disk(const struct world *w, const struct token *t)
{
    struct fg_stock_level levels[FG_STOCK_LEVELS];

    if (t->command || t->request.op != FG_PACKET_OP_CONFIRM)
        return false;
    fg_stock_levels(w->stock[t->worker], levels);
    return levels[FG_STOCK_LEVEL_parked].used == 0;
}

bool oracle_waits_for_units(struct oracle *o, const struct world *w)
{
    for (uint32_t i = 0; i < o->waiting_len; i++)
        if (!waits_for_disk(w, &w->tokens[o->waiting[i]]))
            return true;
    return false;
}

/* Of the live orders of a user the one that was taken in last says which limit holds for their sum.
 */
static void check_limit(struct oracle *o, const struct oracle_order *of)
{
    const struct oracle_order *last = of;

    for (uint32_t at = o->by_user[of->user % USER_BUCKETS]; at; at = o->orders[at - 1].next) {
        const struct oracle_order *x = &o->orders[at - 1];

        if (x->user == of->user && x->item == of->item && x->decided > last->decided &&
            (x->now == FG_LEDGER_ORDER_RESERVED || x->now == FG_LEDGER_ORDER_SOLD))
            last = x;
    }
    FG_ASSERT(last->limit == 0 || oracle_user_units(o, of->user, of->item, false) <= last->limit);
}

/* Units are had from the bank or a slice only while the line is empty. In a loop of the home itself
 * it may have begun behind this record. */
static void check_nobody_waits(struct world *w, unsigned worker, const struct fg_journal_record *r,
                               const struct token *cause)
{
    unsigned home = fg_user_owner(r->item, w->workers);
    struct fg_stock_view v;

    if (worker == home && !cause)
        return;
    FG_ASSERT(fg_stock_view(w->stock[home], (uint32_t)(r->item - ITEM_ID), &v) && v.waiting == 0);
}

static void reserved(struct oracle *o, struct world *w, unsigned worker,
                     const struct fg_journal_record *r, const struct token *cause)
{
    struct oracle_item *item = oracle_item(o, r->item);
    struct oracle_order *order = oracle_new_order(o, r->user, r->order_id);
    bool asked =
        cause && !cause->command &&
        (cause->request.op == FG_PACKET_OP_RESERVE || cause->request.op == FG_PACKET_OP_WAIT) &&
        oracle_same_order(&cause->request, r->user, r->order_id);

    FG_ASSERT(order->now == FG_LEDGER_ORDER_NONE && worker == fg_user_owner(r->user, w->workers));
    FG_ASSERT(r->arg == w->now_ms + item->in_force[worker].hold_ms);
    check_nobody_waits(w, worker, r, cause);
    if (order->waits && !asked) {
        FG_ASSERT(order->item == r->item && order->quantity == r->quantity);
        FG_ASSERT(!order->enters); /* the draw is for all who enter */
        w->tokens[order->token].expect = FG_LEDGER_ORDER_RESERVED;
        oracle_waits_no_more(o, w, order->token);
    } else { /* nobody else's request may sell something to him */
        FG_ASSERT(asked);
        FG_ASSERT(cause->request.item == r->item && cause->request.quantity == r->quantity);
        order->item = r->item;
        order->quantity = r->quantity;
        order->limit = item->in_force[worker].user_limit;
        order->decided = ++o->requests;
    }
    order->waits = false;
    order->now = FG_LEDGER_ORDER_RESERVED;
    order->deadline_ms = r->arg;
    item->now.reserved += r->quantity;
    check_limit(o, order);
}

static uint64_t free_now(struct world *w, uint32_t index)
{
    uint64_t units = world_in_flight(w, index, false);
    struct fg_stock_view v;

    for (unsigned k = 0; k < w->workers; k++)
        if (fg_stock_view(w->stock[k], index, &v))
            units += v.free;
    return units;
}

enum { TICK_MS = 16 };

/* The user counts as present for the ttl at least, for as long as was told, if that was at once,
 * and for 20 ttl at most. */
void oracle_heard(const struct world *w, struct oracle_order *order, const struct settings *s,
                  uint32_t told_ms)
{
    uint64_t opening_ms = s->opens_ms > w->now_ms ? s->opens_ms - w->now_ms : 0;
    uint64_t most_ms = 20ull * s->ttl_ms + opening_ms;

    FG_ASSERT(!told_ms || (told_ms >= s->ttl_ms && told_ms <= most_ms + TICK_MS));
    order->heard_ms = w->now_ms + (told_ms > s->ttl_ms ? told_ms - 1 : s->ttl_ms);
    order->heard_most_ms = w->now_ms + (told_ms ? told_ms : most_ms + TICK_MS);
    order->joined_ms = 0;
}

/* A WAIT for which there were no units gets a ticket. */
static void waiting(struct oracle *o, struct world *w, unsigned worker,
                    const struct fg_journal_record *r)
{
    struct oracle_item *item = oracle_item(o, r->item);
    struct oracle_order *order = oracle_order(o, r->user, r->order_id);
    struct token *t = order ? &w->tokens[order->token] : NULL;
    bool behind = false;

    FG_ASSERT(order && order->now == FG_LEDGER_ORDER_NONE && order->waits);
    FG_ASSERT(order->joins);
    FG_ASSERT(item->in_force[worker].opens_ms <= w->now_ms || !order->enters || item->sealed);
    FG_ASSERT(order->item == r->item && order->quantity == r->quantity);
    FG_ASSERT(worker == fg_user_owner(r->user, w->workers) && r->arg > 0);
    for (uint32_t i = 0; i < o->orders_len; i++) {
        const struct oracle_order *x = &o->orders[i];

        if (x != order && x->item == r->item && x->waits && x->joins)
            behind = true; /* its ticket may be smaller, and not recorded yet */
        if (x->item != r->item || x->now == FG_LEDGER_ORDER_NONE || !x->ticket)
            continue;
        FG_ASSERT(x->ticket != r->arg);
        behind |= x->ticket < r->arg;
    }
    FG_ASSERT(t->min_free < order->quantity || behind ||
              free_now(w, (uint32_t)(r->item - ITEM_ID)) < order->quantity);
    t->expect = FG_LEDGER_ORDER_WAITING;
    oracle_waits_no_more(o, w, order->token);
    order->waits = false;
    order->now = FG_LEDGER_ORDER_WAITING;
    order->ticket = order->ticket_before = (uint32_t)r->arg;
    order->undrawn = item->lottery;
    order->ahead = UINT32_MAX;
    oracle_heard(w, order, &item->in_force[worker], 0);
    order->joined_ms = w->now_ms;
}

/* Nobody who came earlier and still waits is passed over: the home has dealt with all of them. */
static void check_line_order(struct oracle *o, struct world *w, const struct oracle_order *of)
{
    struct fg_stock_view v;
    unsigned home = fg_user_owner(of->item, w->workers);

    FG_ASSERT(fg_stock_view(w->stock[home], (uint32_t)(of->item - ITEM_ID), &v));
    for (uint32_t i = 0; i < o->orders_len; i++) {
        const struct oracle_order *x = &o->orders[i];

        FG_ASSERT(x->item != of->item || x->now != FG_LEDGER_ORDER_WAITING ||
                  x->ticket >= of->ticket || x->ticket < v.serving);
    }
}

/* Of an order that was not heard of in this life: since the first loop. UINT64_MAX: not known. */
static uint64_t loaded_until(struct oracle *o, const struct world *w,
                             const struct oracle_order *order)
{
    unsigned worker = fg_user_owner(order->user, w->workers);

    const struct settings *s = &oracle_item(o, order->item)->in_force[worker];
    uint64_t from_ms = o->started_ms[worker];

    if (!from_ms)
        return UINT64_MAX;
    return (s->opens_ms > from_ms ? s->opens_ms : from_ms) +
           20ull * oracle_item(o, order->item)->in_force[worker].ttl_ms;
}

static uint64_t present_until(struct oracle *o, const struct world *w,
                              const struct oracle_order *order)
{
    return order->heard_ms ? order->heard_ms : loaded_until(o, w, order);
}

static uint64_t absent_from(struct oracle *o, const struct world *w,
                            const struct oracle_order *order)
{
    return order->heard_ms ? order->heard_most_ms : loaded_until(o, w, order);
}

static void offered(struct oracle *o, struct world *w, unsigned worker,
                    const struct fg_journal_record *r)
{
    struct oracle_item *item = oracle_item(o, r->item);
    const struct settings *s = &item->in_force[worker];
    struct oracle_order *order = oracle_order(o, r->user, r->order_id);
    struct oracle_denied *denied = oracle_denied(o, r->user);

    FG_ASSERT(order && order->now == FG_LEDGER_ORDER_WAITING);
    FG_ASSERT(order->item == r->item && order->quantity == r->quantity);
    FG_ASSERT(r->arg == w->now_ms + s->claim_ms);
    FG_ASSERT(!denied || !denied->now);
    FG_ASSERT(!s->closes_ms || s->closes_ms > w->now_ms);
    FG_ASSERT(absent_from(o, w, order) >= w->now_ms || absent_from(o, w, order) == UINT64_MAX);
    check_line_order(o, w, order);
    order->now = FG_LEDGER_ORDER_RESERVED;
    order->deadline_ms = r->arg;
    order->limit = s->user_limit;
    order->decided = ++o->requests;
    item->now.reserved += r->quantity;
    check_limit(o, order);
}

static void left(struct oracle *o, struct world *w, unsigned worker,
                 const struct fg_journal_record *r, const struct token *cause)
{
    const struct settings *s = &oracle_item(o, r->item)->in_force[worker];
    struct oracle_order *order = oracle_order(o, r->user, r->order_id);
    struct oracle_denied *denied = oracle_denied(o, r->user);
    bool asked =
        cause && !cause->command && oracle_same_order(&cause->request, r->user, r->order_id);

    FG_ASSERT(order && order->now == FG_LEDGER_ORDER_WAITING);
    FG_ASSERT(order->item == r->item && order->quantity == r->quantity);
    switch (r->arg) {
    case FG_JOURNAL_LEFT_CANCELLED:
        FG_ASSERT(asked && cause->request.op == FG_PACKET_OP_CANCEL);
        break;
    case FG_JOURNAL_LEFT_ABSENT:
        FG_ASSERT(!cause && present_until(o, w, order) < w->now_ms);
        check_line_order(o, w, order);
        break;
    case FG_JOURNAL_LEFT_DENIED:
        FG_ASSERT(!cause && denied && denied->now);
        break;
    case FG_JOURNAL_LEFT_LIMIT:
        FG_ASSERT(!cause && s->user_limit);
        FG_ASSERT(oracle_user_units(o, r->user, r->item, true) > s->user_limit);
        break;
    case FG_JOURNAL_LEFT_CLEARED:
        FG_ASSERT(!cause && order->ticket <= oracle_item(o, r->item)->cleared);
        check_line_order(o, w, order);
        break;
    default:
        FG_ASSERT(r->arg == FG_JOURNAL_LEFT_CLOSED);
        FG_ASSERT(s->closes_ms && s->closes_ms <= w->now_ms);
        FG_ASSERT(!cause || (asked && cause->request.op == FG_PACKET_OP_WAIT));
    }
    order->now = FG_LEDGER_ORDER_CANCELLED;
}

/* A draw that was asked for comes, and not among users whose order is known. */
static void line_set(struct oracle *o, const struct world *w, const struct fg_journal_record *r,
                     const struct token *cause)
{
    struct oracle_item *item = oracle_item(o, r->item);
    bool lottery = r->line_flags & FG_JOURNAL_LINE_LOTTERY;

    FG_ASSERT(lottery || item->lottery || !(cause->given.line_flags & FG_JOURNAL_LINE_LOTTERY));
    for (uint32_t i = 0; i < o->orders_len && lottery && !item->lottery; i++)
        FG_ASSERT(o->orders[i].item != r->item || o->orders[i].now != FG_LEDGER_ORDER_WAITING);
    FG_ASSERT(!lottery || item->in_force[fg_user_owner(r->item, w->workers)].opens_ms > w->now_ms);
    item->lottery |= lottery;
}

/* As docs/waiting.md has it. */
struct entry {
    uint64_t rank;
    struct oracle_order *order;
};

static int by_rank(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->order->user < y->order->user ? -1 : 1;
}

static void add_hash(uint8_t sum[32], uint64_t user)
{
    uint8_t hash[32];
    unsigned carry = 0;

    SHA256((const uint8_t *)&user, 8, hash);
    for (unsigned i = 0; i < 32; i++) {
        carry += sum[i] + hash[i];
        sum[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

void oracle_draw(struct oracle *o, const struct fg_journal_record *r, bool written)
{
    static struct entry entries[ORDERS_KNOWN];
    struct oracle_item *item = oracle_item(o, r->item);
    uint8_t hash[32], text[48] = {0}, sum[32] = {0};
    uint64_t n = 0;

    SHA256(r->order_id, 16, hash);
    FG_ASSERT(!written || item->recorded.opens_ms <= r->time_ms);
    FG_ASSERT(memcmp(hash, written ? item->written_commitment : item->commitment, 32) == 0);
    for (uint32_t i = 0; i < o->orders_len; i++) {
        struct oracle_order *x = &o->orders[i];

        if (x->item != r->item || (written ? x->written : x->now) != FG_LEDGER_ORDER_WAITING)
            continue;
        FG_ASSERT(written || x->written == FG_LEDGER_ORDER_WAITING);
        FG_ASSERT(written || x->ticket > item->cleared);
        add_hash(sum, x->user);
        entries[n++].order = x;
    }
    FG_ASSERT(r->user == n);
    memcpy(text, r->order_id, 16);
    memcpy(text + 16, sum, 32);
    SHA256(text, 48, hash);
    for (uint64_t i = 0; i < n; i++) {
        uint8_t rank[32];

        memcpy(text, hash, 16);
        memcpy(text + 16, &entries[i].order->user, 8);
        SHA256(text, 24, rank);
        memcpy(&entries[i].rank, rank, 8);
    }
    qsort(entries, n, sizeof(*entries), by_rank);
    for (uint64_t i = 0; i < n; i++) {
        struct oracle_order *x = entries[i].order;

        if (written) {
            x->written_ticket = (uint32_t)(r->arg + 1 + i);
            continue;
        }
        x->ticket_before = x->ticket;
        x->ticket = (uint32_t)(r->arg + 1 + i);
        x->undrawn = true;
        x->ahead = UINT32_MAX;
    }
    if (written)
        item->recorded.line_flags &= ~FG_JOURNAL_LINE_LOTTERY;
    else
        item->lottery = false;
}

/* An expired order is paid after all. Its units were judged when its payment was taken in. */
static void sold_late(struct oracle *o, struct world *w, unsigned worker,
                      const struct fg_journal_record *r, const struct token *cause)
{
    struct oracle_item *item = oracle_item(o, r->item);
    struct oracle_order *order = oracle_order(o, r->user, r->order_id);
    bool asked = cause && !cause->command && cause->request.op == FG_PACKET_OP_CONFIRM &&
                 oracle_same_order(&cause->request, r->user, r->order_id);

    FG_ASSERT(order && order->now == FG_LEDGER_ORDER_EXPIRED);
    FG_ASSERT(order->item == r->item && order->quantity == r->quantity);
    FG_ASSERT(r->arg == 0 && w->now_ms >= order->deadline_ms);
    check_nobody_waits(w, worker, r, cause);
    if (order->waits && !asked) {
        w->tokens[order->token].expect = FG_LEDGER_ORDER_SOLD;
        oracle_waits_no_more(o, w, order->token);
    } else {
        FG_ASSERT(asked);
        order->limit = item->in_force[worker].user_limit;
        order->decided = ++o->requests;
    }
    order->waits = false;
    order->now = FG_LEDGER_ORDER_SOLD;
    order->late = true;
    item->now.sold += r->quantity;
    check_limit(o, order);
}

static void closed(struct oracle *o, const struct fg_journal_record *r, const struct token *cause)
{
    struct oracle_order *order = oracle_order(o, r->user, r->order_id);

    FG_ASSERT(order && order->now == FG_LEDGER_ORDER_EXPIRED);
    FG_ASSERT(cause && !cause->command && cause->request.op == FG_PACKET_OP_CANCEL);
    FG_ASSERT(oracle_same_order(&cause->request, r->user, r->order_id) && r->arg == 0);
    FG_ASSERT(order->item == r->item && order->quantity == r->quantity);
    order->now = FG_LEDGER_ORDER_CANCELLED;
}

/* By the backend or by the operator. */
static void refunded(struct oracle *o, const struct fg_journal_record *r, const struct token *cause)
{
    struct oracle_units *u = &oracle_item(o, r->item)->now;
    struct oracle_order *order = oracle_order(o, r->user, r->order_id);

    FG_ASSERT(order && order->now == FG_LEDGER_ORDER_SOLD && cause);
    FG_ASSERT(order->item == r->item && order->quantity == r->quantity);
    if (cause->command) {
        FG_ASSERT(cause->command == 1 + FG_STOCK_ORDER_REFUND && cause->given.user == r->user);
        FG_ASSERT(memcmp(cause->given.order_id, r->order_id, 16) == 0);
        FG_ASSERT(r->arg == cause->given.restock);
    } else {
        FG_ASSERT(cause->request.op == FG_PACKET_OP_REFUND);
        FG_ASSERT(oracle_same_order(&cause->request, r->user, r->order_id));
        FG_ASSERT(r->arg == (cause->request.flags & FG_PACKET_RESTOCK));
    }
    order->now = FG_LEDGER_ORDER_REFUNDED;
    u->sold -= r->quantity;
    u->refunded += r->arg ? 0 : r->quantity;
}

static void ended(struct oracle *o, struct world *w, const struct fg_journal_record *r,
                  const struct token *cause)
{
    struct oracle_units *u = &oracle_item(o, r->item)->now;
    struct oracle_order *order = oracle_order(o, r->user, r->order_id);
    bool asked =
        cause && !cause->command && oracle_same_order(&cause->request, r->user, r->order_id);

    FG_ASSERT(order && order->now == FG_LEDGER_ORDER_RESERVED);
    FG_ASSERT(order->item == r->item && order->quantity == r->quantity);
    if (r->type == FG_JOURNAL_RECORD_EXPIRED) {
        FG_ASSERT(w->now_ms >= order->deadline_ms + w->grace_ms);
        order->now = FG_LEDGER_ORDER_EXPIRED;
    } else {
        FG_ASSERT(asked && w->now_ms < order->deadline_ms + w->grace_ms);
        FG_ASSERT(cause->request.op ==
                  (r->type == FG_JOURNAL_RECORD_SOLD ? FG_PACKET_OP_CONFIRM : FG_PACKET_OP_CANCEL));
        order->now =
            r->type == FG_JOURNAL_RECORD_SOLD ? FG_LEDGER_ORDER_SOLD : FG_LEDGER_ORDER_CANCELLED;
    }
    u->reserved -= r->quantity;
    u->sold += r->type == FG_JOURNAL_RECORD_SOLD ? r->quantity : 0;
}

static void extended(struct oracle *o, struct world *w, const struct fg_journal_record *r,
                     const struct token *cause)
{
    struct oracle_order *order = oracle_order(o, r->user, r->order_id);

    FG_ASSERT(order && order->now == FG_LEDGER_ORDER_RESERVED);
    FG_ASSERT(w->now_ms < order->deadline_ms + w->grace_ms);
    FG_ASSERT(cause && cause->request.op == FG_PACKET_OP_EXTEND);
    FG_ASSERT(oracle_same_order(&cause->request, r->user, r->order_id));
    FG_ASSERT(r->arg > order->deadline_ms && r->arg <= w->now_ms + FG_STOCK_HOLD_MS_MAX);
    order->deadline_ms = r->arg;
}

/* Stock is added at once, and taken away when it could be gathered. */
static struct token *stock(struct oracle *o, struct world *w, const struct fg_journal_record *r,
                           struct token *cause)
{
    int64_t units = (int64_t)r->arg;

    oracle_item(o, r->item)->now.total += units;
    if (units >= 0) {
        FG_ASSERT(cause && cause->command == 1 + FG_STOCK_STOCK_ADD && cause->given.units == units);
        FG_ASSERT(cause->given.item == r->item);
        return cause;
    }
    for (uint32_t i = 0; i < o->waiting_len; i++) {
        struct token *t = &w->tokens[o->waiting[i]];

        if (t->command == 1 + FG_STOCK_STOCK_REMOVE && t->given.item == r->item &&
            t->given.units == -units) {
            oracle_waits_no_more(o, w, o->waiting[i]);
            return t;
        }
    }
    FG_ASSERT(!"stock is taken away because somebody asked for it");
    return NULL;
}

/* A lease is recorded at once; a return when all that is free has been gathered. */
static struct token *moved(struct oracle *o, struct world *w, const struct fg_journal_record *r,
                           struct token *cause)
{
    struct oracle_item *item = oracle_item(o, r->item);

    oracle_moved(&item->now, r);
    if (r->type == FG_JOURNAL_RECORD_LEASE) {
        FG_ASSERT(cause && cause->command == 1 + FG_STOCK_LEASE && cause->given.item == r->item);
        FG_ASSERT(cause->given.fleet_units == r->fleet_units);
        return cause;
    }
    for (uint32_t i = 0; i < o->waiting_len; i++) {
        struct token *t = &w->tokens[o->waiting[i]];

        if (t->command == 1 + FG_STOCK_RECALL && t->given.item == r->item && t->record == 0) {
            t->given.fleet_units = (uint32_t)r->fleet_units;
            return t;
        }
    }
    FG_ASSERT(!"units are returned because the fleet asked for them");
    return NULL;
}

static void push_record(struct oracle *o, struct world *w, unsigned worker,
                        const struct fg_journal_record *r, struct token *cause)
{
    FG_ASSERT(r->worker == worker && r->time_ms == w->now_ms);
    switch (r->type) {
    case FG_JOURNAL_RECORD_RESERVED:
        reserved(o, w, worker, r, cause);
        return;
    case FG_JOURNAL_RECORD_SOLD:
    case FG_JOURNAL_RECORD_CANCELLED:
    case FG_JOURNAL_RECORD_EXPIRED:
        ended(o, w, r, cause);
        return;
    case FG_JOURNAL_RECORD_EXTENDED:
        extended(o, w, r, cause);
        return;
    case FG_JOURNAL_RECORD_SOLD_LATE:
        sold_late(o, w, worker, r, cause);
        return;
    case FG_JOURNAL_RECORD_CLOSED:
        closed(o, r, cause);
        return;
    case FG_JOURNAL_RECORD_REFUNDED:
        refunded(o, r, cause);
        return;
    case FG_JOURNAL_RECORD_WAITING:
        waiting(o, w, worker, r);
        return;
    case FG_JOURNAL_RECORD_OFFERED:
        offered(o, w, worker, r);
        return;
    case FG_JOURNAL_RECORD_LEFT:
        left(o, w, worker, r, cause);
        return;
    case FG_JOURNAL_RECORD_LINE_SET:
        FG_ASSERT(cause && cause->command == 1 + FG_STOCK_LINE_SET);
        line_set(o, w, r, cause);
        break;
    case FG_JOURNAL_RECORD_LOTTERY:
        FG_ASSERT(oracle_item(o, r->item)->lottery && worker == fg_user_owner(r->item, w->workers));
        memcpy(oracle_item(o, r->item)->commitment, r->name, sizeof(r->name));
        for (uint32_t i = 0; i < o->orders_len; i++)
            o->orders[i].undrawn |= o->orders[i].item == r->item;
        return;
    case FG_JOURNAL_RECORD_DRAWN:
        FG_ASSERT(oracle_item(o, r->item)->lottery && worker == fg_user_owner(r->item, w->workers));
        oracle_draw(o, r, false);
        oracle_item(o, r->item)->in_force[worker].line_flags &= ~FG_JOURNAL_LINE_LOTTERY;
        return;
    case FG_JOURNAL_RECORD_STOCK:
        cause = stock(o, w, r, cause);
        break;
    case FG_JOURNAL_RECORD_LEASE:
    case FG_JOURNAL_RECORD_RETURN:
        cause = moved(o, w, r, cause);
        break;
    case FG_JOURNAL_RECORD_USER:
        FG_ASSERT(cause && cause->command == 1 + FG_STOCK_USER_SET && oracle_denied(o, r->user));
        oracle_denied(o, r->user)->now = r->arg != 0;
        break;
    default:
        FG_ASSERT(r->type == FG_JOURNAL_RECORD_ITEM_SET && cause &&
                  cause->command == 1 + FG_STOCK_ITEM_SET);
    }
    cause->record = o->pushed[worker];
}

void oracle_pushed(struct oracle *o, struct world *w, unsigned worker, struct token *cause)
{
    const struct fg_journal_record *r;

    FG_ASSERT(o->pushed[worker] >= w->taken[worker]);
    while ((r = fg_ring_peek(w->journal[worker], o->pushed[worker] - w->taken[worker])) != NULL) {
        o->pushed[worker]++;
        push_record(o, w, worker, r, cause);
    }
}

void oracle_applied(struct oracle *o, unsigned worker, const struct fg_stock_command *c)
{
    struct oracle_item *item = oracle_item(o, c->item);
    struct settings *s = &item->in_force[worker];

    if (c->type == FG_STOCK_LINE_APPLY) {
        s->line_max = c->line_max;
        s->claim_ms = c->claim_ms;
        s->ttl_ms = c->wait_ttl_ms;
        s->line_flags = (c->line_flags & ~FG_JOURNAL_LINE_LOTTERY) |
                        (item->lottery ? FG_JOURNAL_LINE_LOTTERY : 0); /* it cannot be called off */
        return;
    }
    s->live = true;
    s->opens_ms = c->opens_ms;
    s->closes_ms = c->closes_ms;
    s->hold_ms = c->hold_ms;
    s->user_limit = c->user_limit;
    s->order_max = c->order_max;
    s->flags = c->flags;
}

/* ---- balance */

static void balance_item(struct oracle *o, struct world *w, uint32_t index)
{
    struct oracle_item *item = &o->items[index];
    struct fg_stock_view v, sum = {0};
    uint64_t all = world_in_flight(w, index, true);

    for (unsigned k = 0; k < w->workers; k++) {
        if (!fg_stock_view(w->stock[k], index, &v))
            continue;
        sum.free += v.free;
        sum.releasing += v.releasing;
        sum.reserved += v.reserved;
        sum.sold += v.sold;
        sum.refunded += v.refunded;
        sum.total += v.total;
        sum.kept += v.kept;
        sum.offered += v.offered;
        sum.serving += v.serving;
    }
    FG_ASSERT(sum.total == item->now.total);
    FG_ASSERT(sum.reserved == item->now.reserved && sum.sold == item->now.sold);
    FG_ASSERT(sum.refunded == item->now.refunded);
    FG_ASSERT(all + sum.free + sum.kept + sum.offered + sum.releasing + sum.reserved + sum.sold +
                  sum.refunded ==
              sum.total);
    item->free = sum.free + world_in_flight(w, index, false);
    item->kept = sum.kept;
    item->releasing = sum.releasing + sum.offered;
    item->serving = sum.serving;
    for (unsigned k = 0; k < w->workers; k++)
        if (item->free == 0)
            item->stage[k] = 0;
        else if (item->stage[k] == 0)
            item->stage[k] = 1;
    o->balances++;
}

void oracle_balance(struct oracle *o, struct world *w)
{
    for (uint32_t i = 0; i < ITEMS_MAX; i++)
        balance_item(o, w, i);
    for (uint32_t i = 0; i < o->waiting_len; i++) {
        struct token *t = &w->tokens[o->waiting[i]];
        uint64_t free = oracle_item(o, t->item)->free;

        if (free < t->min_free)
            t->min_free = (uint32_t)free;
    }
}

static bool room_between(struct world *w, unsigned from, unsigned to)
{
    return from == to || fg_ring_count(w->out[from][to]) + 2 <= w->setup.ring_capacity;
}

void oracle_polled(struct oracle *o, struct world *w, unsigned worker)
{
    if (!o->started_ms[worker])
        o->started_ms[worker] = w->now_ms;
    for (uint32_t i = 0; i < ITEMS_MAX; i++) {
        struct oracle_item *item = &o->items[i];
        unsigned home = fg_user_owner(item->item, w->workers);

        for (unsigned k = 0; k < w->workers; k++) {
            if (item->stage[k] == 1 && worker == home && room_between(w, home, k)) {
                item->stage[k] = k == home ? 4 : 2;
                item->said[k] = world_sent(w, home, k);
            } else if (item->stage[k] == 3 && worker == k) {
                item->stage[k] = 4;
            }
        }
    }
}

void oracle_delivered(struct oracle *o, struct world *w)
{
    for (uint32_t i = 0; i < ITEMS_MAX; i++) {
        struct oracle_item *item = &o->items[i];
        unsigned home = fg_user_owner(item->item, w->workers);

        for (unsigned k = 0; k < w->workers; k++)
            if (item->stage[k] == 2 && w->delivered[home][k] >= item->said[k])
                item->stage[k] = 3;
    }
}

/* No unit lies idle while the user at the head of the line is present, unless it is too little. */
static void check_line(struct oracle *o, struct world *w, const struct oracle_item *item)
{
    unsigned home = fg_user_owner(item->item, w->workers);
    const struct settings *in_force = &item->in_force[home];
    const struct oracle_order *head = NULL;

    for (uint32_t i = 0; i < o->orders_len; i++) {
        const struct oracle_order *x = &o->orders[i];

        if (x->item != item->item || x->now != FG_LEDGER_ORDER_WAITING)
            continue;
        FG_ASSERT(x->ticket >= item->serving); /* what the home dealt with is not lost */
        FG_ASSERT(x->ticket > item->cleared || w->stopping);
        head = !head || x->ticket < head->ticket ? x : head;
    }
    if (item->lottery && in_force->line_flags & FG_JOURNAL_LINE_LOTTERY && !w->stopping) {
        /* it has to be, as soon as the item is open, by the log too */
        FG_ASSERT(!in_force->live || in_force->opens_ms > w->now_ms ||
                  item->recorded.opens_ms > w->now_ms);
        return;
    }
    if (item->kept == 0 || w->stopping || item->in_force[home].flags & FG_JOURNAL_ITEM_PAUSED)
        return;
    FG_ASSERT(head && head->quantity > item->kept);
    FG_ASSERT(absent_from(o, w, head) >= w->now_ms);
}

void oracle_settled(struct oracle *o, struct world *w)
{
    FG_ASSERT(w->tokens_out == 0 && o->waiting_len == 0); /* nobody waits for ever */
    FG_ASSERT(w->log_len == w->durable_len && w->log_len == w->committed_len);
    for (uint32_t i = 0; i < o->orders_len; i++) {
        const struct oracle_order *order = &o->orders[i];

        FG_ASSERT(order->now == order->written && !order->waits);
        FG_ASSERT(order->now != FG_LEDGER_ORDER_RESERVED ||
                  order->deadline_ms + w->grace_ms + 64 > w->now_ms || w->stopping);
    }
    for (uint32_t i = 0; i < ITEMS_MAX; i++) {
        check_line(o, w, &o->items[i]);
        FG_ASSERT(o->items[i].releasing == 0); /* nothing is lost on its way back */
    }
    for (uint32_t i = 0; i < ITEMS_MAX; i++)
        FG_ASSERT(memcmp(&o->items[i].now, &o->items[i].written, sizeof(o->items[i].now)) == 0);
}
