/* SPDX-License-Identifier: BSD-3-Clause */
/* The story that the log tells: each prefix of it must be a legal state. What is known of orders
 * and users.
 */
#include "oracle.h"

static bool is_moved(unsigned type)
{
    return type == FG_JOURNAL_RECORD_LEASE || type == FG_JOURNAL_RECORD_RETURN;
}

void oracle_start(struct oracle *o, const struct world *w)
{
    memset(o, 0, sizeof(*o));
    for (unsigned i = 0; i < ITEMS_MAX; i++)
        o->items[i].item = ITEM_ID + i;
    o->small = w->setup.limits.orders_max < ROOMY || w->setup.limits.users_max < ROOMY;
}

struct oracle_item *oracle_item(struct oracle *o, uint64_t id)
{
    return id >= ITEM_ID && id < ITEM_ID + ITEMS_MAX ? &o->items[id - ITEM_ID] : NULL;
}

bool oracle_same_order(const struct fg_stock_request *a, uint64_t user, const uint8_t id[16])
{
    return a->user == user && memcmp(a->order_id, id, 16) == 0;
}

struct oracle_order *oracle_order(struct oracle *o, uint64_t user, const uint8_t id[16])
{
    for (uint32_t at = o->by_user[user % USER_BUCKETS]; at; at = o->orders[at - 1].next)
        if (o->orders[at - 1].user == user && memcmp(o->orders[at - 1].order_id, id, 16) == 0)
            return &o->orders[at - 1];
    return NULL;
}

struct oracle_order *oracle_new_order(struct oracle *o, uint64_t user, const uint8_t id[16])
{
    struct oracle_order *order = oracle_order(o, user, id);

    if (order)
        return order;
    FG_ASSERT(o->orders_len < ORDERS_KNOWN);
    order = &o->orders[o->orders_len++];
    order->user = user;
    memcpy(order->order_id, id, 16);
    order->next = o->by_user[user % USER_BUCKETS];
    o->by_user[user % USER_BUCKETS] = o->orders_len;
    return order;
}

uint64_t oracle_user_units(struct oracle *o, uint64_t user, uint64_t item, bool waiting)
{
    uint64_t units = 0;

    for (uint32_t at = o->by_user[user % USER_BUCKETS]; at; at = o->orders[at - 1].next) {
        const struct oracle_order *order = &o->orders[at - 1];
        bool counts = order->now == FG_LEDGER_ORDER_RESERVED ||
                      order->now == FG_LEDGER_ORDER_SOLD ||
                      (waiting && (order->waits || order->now == FG_LEDGER_ORDER_WAITING));

        if (order->user == user && order->item == item && counts)
            units += order->quantity;
    }
    return units;
}

uint32_t oracle_unsold(struct oracle *o, uint64_t user, uint64_t item)
{
    uint32_t n = 0;

    for (uint32_t at = o->by_user[user % USER_BUCKETS]; at; at = o->orders[at - 1].next) {
        const struct oracle_order *order = &o->orders[at - 1];

        n += order->user == user && order->item == item &&
             (order->now == FG_LEDGER_ORDER_CANCELLED || order->now == FG_LEDGER_ORDER_EXPIRED);
    }
    return n;
}

bool oracle_in_line(struct oracle *o, const struct fg_stock_request *r, bool joining)
{
    for (uint32_t at = o->by_user[r->user % USER_BUCKETS]; at; at = o->orders[at - 1].next) {
        const struct oracle_order *x = &o->orders[at - 1];
        bool joins = joining && x->waits && x->joins;

        if (x->user == r->user && x->item == r->item && memcmp(x->order_id, r->order_id, 16) != 0 &&
            (x->now == FG_LEDGER_ORDER_WAITING || joins))
            return true;
    }
    return false;
}

static uint32_t count_orders(struct oracle *o, uint64_t user, uint64_t item, bool paying)
{
    uint32_t n = 0;

    for (uint32_t at = o->by_user[user % USER_BUCKETS]; at; at = o->orders[at - 1].next) {
        const struct oracle_order *order = &o->orders[at - 1];

        n += order->user == user && (item == 0 || order->item == item) &&
             order->now != FG_LEDGER_ORDER_NONE &&
             (order->now == FG_LEDGER_ORDER_EXPIRED && order->waits) == paying;
    }
    return n;
}

uint32_t oracle_orders(struct oracle *o, uint64_t user, uint64_t item)
{
    return count_orders(o, user, item, false);
}

uint32_t oracle_paying(struct oracle *o, uint64_t user, uint64_t item)
{
    return count_orders(o, user, item, true);
}

struct oracle_denied *oracle_denied(struct oracle *o, uint64_t user)
{
    for (uint32_t i = 0; i < o->denied_len; i++)
        if (o->denied[i].user == user)
            return &o->denied[i];
    return NULL;
}

/* ---- the log */

/* What may follow when a hold has ended, or an order was sold. */
static void write_afterwards(struct oracle_order *order, struct oracle_units *u,
                             const struct fg_journal_record *r)
{
    if (r->type == FG_JOURNAL_RECORD_REFUNDED) {
        FG_ASSERT(order->written == FG_LEDGER_ORDER_SOLD && r->arg <= 1);
        order->written = FG_LEDGER_ORDER_REFUNDED;
        u->sold -= r->quantity;
        u->refunded += r->arg ? 0 : r->quantity;
        return;
    }
    FG_ASSERT(order->written == FG_LEDGER_ORDER_EXPIRED);
    order->written =
        r->type == FG_JOURNAL_RECORD_SOLD_LATE ? FG_LEDGER_ORDER_SOLD : FG_LEDGER_ORDER_CANCELLED;
    order->written_late = r->type == FG_JOURNAL_RECORD_SOLD_LATE;
    u->sold += r->type == FG_JOURNAL_RECORD_SOLD_LATE ? r->quantity : 0;
}

static void write_waiting(struct oracle *o, struct oracle_order *order,
                          const struct fg_journal_record *r)
{
    FG_ASSERT(order->written == FG_LEDGER_ORDER_NONE && r->arg > 0);
    for (uint32_t i = 0; i < o->orders_len; i++) /* nobody else has this ticket */
        FG_ASSERT(o->orders[i].item != r->item || o->orders[i].written_ticket != r->arg);
    order->item = r->item;
    order->quantity = r->quantity;
    order->written = FG_LEDGER_ORDER_WAITING;
    order->written_ticket = (uint32_t)r->arg;
}

/* An order in the line is offered units, or leaves. */
static void write_end_of_wait(struct oracle_order *order, struct oracle_units *u,
                              const struct fg_journal_record *r)
{
    FG_ASSERT(order->item == r->item && order->quantity == r->quantity);
    FG_ASSERT(order->written == FG_LEDGER_ORDER_WAITING);
    if (r->type == FG_JOURNAL_RECORD_LEFT) {
        order->written = FG_LEDGER_ORDER_CANCELLED;
        return;
    }
    order->written = FG_LEDGER_ORDER_RESERVED;
    order->written_deadline_ms = r->arg;
    u->reserved += r->quantity;
}

static void write_order(struct oracle *o, const struct fg_journal_record *r)
{
    struct oracle_item *item = oracle_item(o, r->item);
    struct oracle_order *order = oracle_new_order(o, r->user, r->order_id);
    struct oracle_units *u = &item->written;

    if (r->type == FG_JOURNAL_RECORD_WAITING) {
        write_waiting(o, order, r);
        return;
    }
    if (r->type == FG_JOURNAL_RECORD_OFFERED || r->type == FG_JOURNAL_RECORD_LEFT) {
        write_end_of_wait(order, u, r);
        return;
    }
    if (r->type == FG_JOURNAL_RECORD_RESERVED) {
        FG_ASSERT(order->written == FG_LEDGER_ORDER_NONE);
        order->item = r->item;
        order->quantity = r->quantity;
        order->written = FG_LEDGER_ORDER_RESERVED;
        order->written_deadline_ms = r->arg;
        u->reserved += r->quantity;
        return;
    }
    FG_ASSERT(order->item == r->item && order->quantity == r->quantity);
    if (r->type == FG_JOURNAL_RECORD_SOLD_LATE || r->type == FG_JOURNAL_RECORD_CLOSED ||
        r->type == FG_JOURNAL_RECORD_REFUNDED) {
        write_afterwards(order, u, r);
        return;
    }
    FG_ASSERT(order->written == FG_LEDGER_ORDER_RESERVED);
    if (r->type == FG_JOURNAL_RECORD_EXTENDED) {
        order->written_deadline_ms = r->arg;
        return;
    }
    u->reserved -= r->quantity;
    if (r->type == FG_JOURNAL_RECORD_SOLD)
        u->sold += r->quantity;
    order->written = r->type == FG_JOURNAL_RECORD_SOLD        ? FG_LEDGER_ORDER_SOLD
                     : r->type == FG_JOURNAL_RECORD_CANCELLED ? FG_LEDGER_ORDER_CANCELLED
                                                              : FG_LEDGER_ORDER_EXPIRED;
}

/* The units that all members together may have: what was leased and not returned counts once. */
void oracle_moved(struct oracle_units *u, const struct fg_journal_record *r)
{
    bool lease = r->type == FG_JOURNAL_RECORD_LEASE;
    uint64_t *sum = lease ? &u->leased : &u->returned, *times = lease ? &u->leases : &u->returns;

    if (!is_moved(r->type))
        return;
    *sum += r->fleet_units;
    *times += 1;
    FG_ASSERT(r->fleet_units > 0 && r->fleet_sum == *sum && r->fleet_times == *times);
    u->total += lease ? (int64_t)r->fleet_units : -(int64_t)r->fleet_units;
}

static void write_item(struct oracle *o, const struct fg_journal_record *r)
{
    struct oracle_item *item = oracle_item(o, r->item);

    FG_ASSERT(item->logged || r->type == FG_JOURNAL_RECORD_ITEM_SET);
    item->logged = true;
    if (r->type == FG_JOURNAL_RECORD_LINE_SET) {
        item->recorded.line_max = r->line_max;
        item->recorded.claim_ms = r->claim_ms;
        item->recorded.ttl_ms = r->wait_ttl_ms;
        item->recorded.line_flags =
            r->line_flags | (item->recorded.line_flags & FG_JOURNAL_LINE_LOTTERY);
    } else if (r->type == FG_JOURNAL_RECORD_ITEM_SET)
        item->recorded = (struct settings){.live = true,
                                           .line_max = item->recorded.line_max,
                                           .claim_ms = item->recorded.claim_ms,
                                           .ttl_ms = item->recorded.ttl_ms,
                                           .line_flags = item->recorded.line_flags,
                                           .opens_ms = r->opens_ms,
                                           .closes_ms = r->closes_ms,
                                           .hold_ms = r->hold_ms,
                                           .user_limit = r->user_limit,
                                           .order_max = r->order_max,
                                           .flags = r->flags};
    else if (r->type == FG_JOURNAL_RECORD_STOCK)
        item->written.total += (int64_t)r->arg;
    else
        oracle_moved(&item->written, r);
}

static void write_record(struct oracle *o, const struct fg_journal_record *r)
{
    struct oracle_item *item;

    FG_ASSERT(r->seq == o->written_len + 1);
    if (r->type == FG_JOURNAL_RECORD_BATCH)
        return;
    if (r->type == FG_JOURNAL_RECORD_USER) {
        FG_ASSERT(oracle_denied(o, r->user));
        oracle_denied(o, r->user)->written = r->arg != 0;
        return;
    }
    item = oracle_item(o, r->item);
    FG_ASSERT(item);
    if (r->type == FG_JOURNAL_RECORD_ITEM_SET || r->type == FG_JOURNAL_RECORD_STOCK ||
        r->type == FG_JOURNAL_RECORD_ITEM_NAME || r->type == FG_JOURNAL_RECORD_LINE_SET ||
        is_moved(r->type))
        write_item(o, r);
    else if (r->type == FG_JOURNAL_RECORD_LOTTERY)
        memcpy(item->written_commitment, r->name, sizeof(r->name));
    else if (r->type == FG_JOURNAL_RECORD_DRAWN)
        oracle_draw(o, r, true);
    else
        write_order(o, r);
    /* every prefix of the log is a legal state: nothing is oversold at any record */
    FG_ASSERT(item->logged && item->written.reserved >= 0 && item->written.sold >= 0);
    FG_ASSERT(item->written.total >=
              item->written.reserved + item->written.sold + item->written.refunded);
}

static void durable_record(struct oracle *o, const struct fg_journal_record *r)
{
    struct oracle_order *order;

    if (r->type == FG_JOURNAL_RECORD_BATCH)
        return;
    o->durable_of[r->worker % WORKERS_MAX]++;
    if (r->type == FG_JOURNAL_RECORD_LOTTERY)
        oracle_item(o, r->item)->sealed = true;
    if (r->type == FG_JOURNAL_RECORD_LOTTERY || r->type == FG_JOURNAL_RECORD_DRAWN)
        return;
    if (r->type == FG_JOURNAL_RECORD_ITEM_SET || r->type == FG_JOURNAL_RECORD_ITEM_NAME ||
        r->type == FG_JOURNAL_RECORD_STOCK || r->type == FG_JOURNAL_RECORD_USER ||
        r->type == FG_JOURNAL_RECORD_LINE_SET || is_moved(r->type))
        return;
    order = oracle_order(o, r->user, r->order_id);
    switch (r->type) {
    case FG_JOURNAL_RECORD_SOLD:
    case FG_JOURNAL_RECORD_SOLD_LATE:
        order->durable |= 1u << FG_LEDGER_ORDER_SOLD;
        break;
    case FG_JOURNAL_RECORD_CANCELLED:
    case FG_JOURNAL_RECORD_CLOSED:
    case FG_JOURNAL_RECORD_LEFT:
        order->durable |= 1u << FG_LEDGER_ORDER_CANCELLED;
        break;
    case FG_JOURNAL_RECORD_EXPIRED:
        order->durable |= 1u << FG_LEDGER_ORDER_EXPIRED;
        break;
    case FG_JOURNAL_RECORD_REFUNDED:
        order->durable |= 1u << FG_LEDGER_ORDER_REFUNDED;
        break;
    case FG_JOURNAL_RECORD_WAITING:
        order->durable |= 1u << FG_LEDGER_ORDER_WAITING;
        break;
    default:
        FG_ASSERT(r->type == FG_JOURNAL_RECORD_RESERVED || r->type == FG_JOURNAL_RECORD_EXTENDED ||
                  r->type == FG_JOURNAL_RECORD_OFFERED);
        order->durable |= 1u << FG_LEDGER_ORDER_RESERVED;
        order->durable_deadline_ms = r->arg;
    }
}

void oracle_written(struct oracle *o, struct world *w)
{
    for (; o->written_len < w->log_len; o->written_len++)
        write_record(o, &w->log[o->written_len]);
    for (; o->durable_len < w->committed_len; o->durable_len++)
        durable_record(o, &w->log[o->durable_len]);
}

/* The log's story begins anew, from what has survived; what was decided is what was written. */
void oracle_restarted(struct oracle *o, struct world *w)
{
    FG_ASSERT(w->log_len >= o->durable_len); /* what was committed is never lost */
    o->written_len = o->durable_len = 0;
    for (uint32_t i = 0; i < o->orders_len; i++) {
        o->orders[i].written = o->orders[i].durable = o->orders[i].written_late = 0;
        o->orders[i].written_ticket = 0;
    }
    for (uint32_t i = 0; i < o->denied_len; i++)
        o->denied[i].written = false;
    for (uint32_t i = 0; i < ITEMS_MAX; i++) {
        memset(&o->items[i].written, 0, sizeof(o->items[i].written));
        memset(&o->items[i].recorded, 0, sizeof(o->items[i].recorded));
        o->items[i].logged = false;
    }
    oracle_written(o, w);
    memset(o->pushed, 0, sizeof(o->pushed));
    memset(o->durable_of, 0, sizeof(o->durable_of));
    memset(o->started_ms, 0, sizeof(o->started_ms));
    o->waiting_len = 0;
    o->small = false;
    o->restarts++;
    for (uint32_t i = 0; i < o->orders_len; i++) {
        struct oracle_order *order = &o->orders[i];

        FG_ASSERT(order->told == FG_LEDGER_ORDER_NONE ||
                  order->durable & 1u << order->told); /* nothing told is lost */
        order->now = order->written;
        order->late = order->written_late;
        order->deadline_ms = order->written_deadline_ms;
        order->ticket = order->written_ticket;
        order->undrawn = oracle_item(o, order->item) && /* not of one that was never decided */
                         oracle_item(o, order->item)->recorded.line_flags & FG_JOURNAL_LINE_LOTTERY;
        order->ahead = UINT32_MAX; /* offers that were not durable are undone */
        order->heard_ms = order->joined_ms = 0;
        order->waits = false;
    }
    for (uint32_t i = 0; i < o->denied_len; i++)
        o->denied[i].now = o->denied[i].written;
    for (uint32_t i = 0; i < ITEMS_MAX; i++) {
        struct oracle_item *item = &o->items[i];

        item->lottery = item->recorded.line_flags & FG_JOURNAL_LINE_LOTTERY;
        item->sealed = false;

        item->now = item->written;
        item->cleared = 0;
        memset(item->stage, 0, sizeof(item->stage));
        for (unsigned k = 0; k < WORKERS_MAX; k++)
            item->in_force[k] = item->recorded;
    }
}
