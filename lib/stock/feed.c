/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/feed.h"

#include <inttypes.h>

#include "stock/line.h"
#include "stock/load.h"
#include "stock/tables.h"
#include "stock/users.h"
#include "stock/wheel.h"

static bool feed_item(struct fg_stock *s, const struct fg_ledger *ledger, uint64_t id,
                      struct fg_error *err)
{
    const struct fg_ledger_item *item = fg_ledger_item(ledger, id);

    FG_ASSERT(item);
    if (item->index >= s->config.limits.items_max)
        return fg_fail(err, "items_max = %u is too small for the log: it has %u items",
                       s->config.limits.items_max, fg_ledger_items(ledger));
    fg_stock_load_item(s, item);
    s->lines[s->config.limits.waiting_max ? item->index : 0].kept =
        0; /* all are free until the end */
    return true;
}

/* Of its user's limit. */
static bool has_units(unsigned state)
{
    return state == FG_LEDGER_ORDER_RESERVED || state == FG_LEDGER_ORDER_SOLD ||
           state == FG_LEDGER_ORDER_WAITING;
}

/* Its units by state; `restocked` of the order as the ledger has it. */
static void move_units(struct item *item, const struct order *o, unsigned before, bool restocked)
{
    if (before == FG_LEDGER_ORDER_RESERVED)
        item->reserved -= o->quantity;
    if (before == FG_LEDGER_ORDER_SOLD)
        item->sold -= o->quantity;
    if (o->state == FG_LEDGER_ORDER_RESERVED) /* it waited */
        item->reserved += o->quantity;
    if (o->state == FG_LEDGER_ORDER_SOLD)
        item->sold += o->quantity;
    if (o->state == FG_LEDGER_ORDER_REFUNDED && !restocked)
        item->refunded += o->quantity;
}

/* It had ended unsold, and was paid after all. */
static bool paid_late(struct fg_stock *s, const struct order *o, struct fg_error *err)
{
    struct usage *u = &s->usages[o->usage];

    if (o->quantity > USAGE_UNITS_MAX - u->units)
        return fg_fail(err, "user %" PRIu64 " has more than %u units of item %" PRIu64, o->user,
                       USAGE_UNITS_MAX, s->items[o->item].id);
    if (!u->units && s->items[o->item].user_limit)
        usage_count(s, u);
    u->units += o->quantity;
    fg_stock_usage_paid(s, o->usage);
    return true;
}

static bool move_usage(struct fg_stock *s, struct order *o, unsigned before, struct fg_error *err)
{
    bool refunded = o->state == FG_LEDGER_ORDER_REFUNDED;

    if (before == FG_LEDGER_ORDER_WAITING)
        s->usages[o->usage].waits = o->loaded = 0;
    if (!has_units(before) && (has_units(o->state) || refunded) && !paid_late(s, o, err))
        return false;
    if (has_units(before) && !has_units(o->state) && !refunded)
        fg_stock_usage_unsold(s, o->usage, o->quantity);
    if (refunded) {
        fg_stock_usage_sub(s, o->usage, o->quantity);
        o->usage = NIL;
    }
    return true;
}

/* The wheel may have the order already; it lets go of it when its old deadline comes. */
static void move_deadline(struct fg_stock *s, uint32_t at, uint64_t deadline_ms)
{
    s->orders[at].deadline_ms = deadline_ms;
    if (!s->orders[at].on_wheel)
        fg_stock_wheel_add(s, at);
}

static bool feed_order(struct fg_stock *s, const struct fg_ledger *ledger,
                       const struct fg_journal_record *r, struct fg_error *err)
{
    const struct fg_ledger_order *from = fg_ledger_order(ledger, r->user, r->order_id);
    uint32_t at = order_find(s, order_hash(s, r->user, r->order_id), r->user, r->order_id);
    struct order *o = &s->orders[at];
    unsigned before;

    FG_ASSERT(from);
    if (at == NIL)
        return fg_stock_load_order(s, from, err);
    before = o->state;
    o->state = (uint8_t)from->state;
    o->late = from->late;
    if (o->state == FG_LEDGER_ORDER_RESERVED)
        move_deadline(s, at, from->deadline_ms);
    if (o->state == before)
        return true;
    move_units(item_at(s, o->item), o, before, from->restocked);
    return move_usage(s, o, before, err);
}

static bool feed_user(struct fg_stock *s, const struct fg_journal_record *r, struct fg_error *err)
{
    return fg_stock_user_deny(s, r->user, r->arg != 0) ||
           fg_fail(err, "worker %u has room for %d denied users", s->config.worker,
                   FG_STOCK_DENIED_MAX);
}

/* A draw: who waits has another ticket. */
static void feed_drawn(struct fg_stock *s, const struct fg_ledger *ledger, uint64_t item)
{
    uint32_t index = item_find(s, item);

    for (uint32_t i = 0; i < s->order_used; i++) {
        struct order *o = &s->orders[i];
        const struct fg_ledger_order *from;

        if (o->item != index || o->state != FG_LEDGER_ORDER_WAITING)
            continue;
        from = fg_ledger_order(ledger, o->user, o->order_id);
        if (from->state == FG_LEDGER_ORDER_WAITING) /* else a later record tells */
            o->ticket = (uint32_t)from->ticket;
    }
}

static bool is_own(const struct fg_stock *s, const struct fg_journal_record *r)
{
    return fg_user_owner(r->user, s->config.workers) == s->config.worker;
}

bool fg_stock_feed(struct fg_stock *s, const struct fg_ledger *ledger,
                   const struct fg_journal_record *r, struct fg_error *err)
{
    switch (r->type) {
    case FG_JOURNAL_RECORD_BATCH:
    case FG_JOURNAL_RECORD_EPOCH:
    case FG_JOURNAL_RECORD_ITEM_NAME:
    case FG_JOURNAL_RECORD_LOTTERY:
        return true;
    case FG_JOURNAL_RECORD_DRAWN:
        feed_drawn(s, ledger, r->item);
        return true;
    case FG_JOURNAL_RECORD_ITEM_SET:
    case FG_JOURNAL_RECORD_LINE_SET:
    case FG_JOURNAL_RECORD_STOCK:
    case FG_JOURNAL_RECORD_LEASE:
    case FG_JOURNAL_RECORD_RETURN:
        return feed_item(s, ledger, r->item, err);
    case FG_JOURNAL_RECORD_USER:
        return !is_own(s, r) || feed_user(s, r, err);
    case FG_JOURNAL_RECORD_RESERVED:
    case FG_JOURNAL_RECORD_SOLD:
    case FG_JOURNAL_RECORD_CANCELLED:
    case FG_JOURNAL_RECORD_EXPIRED:
    case FG_JOURNAL_RECORD_EXTENDED:
    case FG_JOURNAL_RECORD_SOLD_LATE:
    case FG_JOURNAL_RECORD_CLOSED:
    case FG_JOURNAL_RECORD_REFUNDED:
    case FG_JOURNAL_RECORD_WAITING:
    case FG_JOURNAL_RECORD_OFFERED:
    case FG_JOURNAL_RECORD_LEFT:
        if (fg_user_owner(r->item, s->config.workers) == s->config.worker &&
            !feed_item(s, ledger, r->item, err)) /* its bank has fewer units, or more */
            return false;
        return !is_own(s, r) || feed_order(s, ledger, r, err);
    default:
        return fg_fail(err, "record %" PRIu64 " is of type %u, unknown to this version", r->seq,
                       r->type);
    }
}

bool fg_stock_feed_end(struct fg_stock *s, const struct fg_ledger *ledger, struct fg_error *err)
{
    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++) {
        if (!feed_item(s, ledger, fg_ledger_item_at(ledger, i)->item, err))
            return false;
        if (s->config.limits.waiting_max)
            fg_stock_line_unload(s, i);
    }
    return fg_stock_line_load(s, ledger, err);
}

void fg_stock_feed_time(struct fg_stock *s, uint64_t now_ms)
{
    uint32_t batch[EXPIRE_MAX];
    unsigned n = fg_stock_wheel_take_due(s, now_ms, batch);

    for (unsigned i = 0; i < n; i++) {
        const struct order *o = &s->orders[batch[i]];

        if (o->state != FG_LEDGER_ORDER_RESERVED)
            continue;
        if (o->deadline_ms + s->grace_ms > now_ms) /* it was extended */
            fg_stock_wheel_add(s, batch[i]);
        else /* the leader ends it, or we do, first of all, when we lead */
            fg_stock_wheel_put_back(s, batch[i]);
    }
}

void fg_stock_set_grace(struct fg_stock *s, uint32_t grace_ms)
{
    s->grace_ms = grace_ms;
}
