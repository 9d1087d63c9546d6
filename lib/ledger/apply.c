/* SPDX-License-Identifier: BSD-3-Clause */
/* One record, one step. Every check comes before the first change. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "ledger/table.h"

/* [state of the order][record type]: the state that follows; NONE = not a legal step. */
static const uint8_t order_step[FG_ORDER_EXPIRED + 1][FG_REC_USER + 1] = {
    [FG_ORDER_NONE] = {[FG_REC_RESERVED] = FG_ORDER_RESERVED},
    [FG_ORDER_RESERVED] = {[FG_REC_SOLD] = FG_ORDER_SOLD,
                           [FG_REC_CANCELLED] = FG_ORDER_CANCELLED,
                           [FG_REC_EXPIRED] = FG_ORDER_EXPIRED,
                           [FG_REC_EXTENDED] = FG_ORDER_RESERVED},
};

__attribute__((format(printf, 3, 4), cold)) static bool
refuse(const struct fg_journal_record *r, struct fg_error *err, const char *fmt, ...)
{
    char why[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    return fg_fail(err, "record %" PRIu64 " (%s, item %" PRIu64 "): %s", r->seq,
                   fg_journal_record_name(r->type), r->item, why);
}

__attribute__((cold)) static bool refuse_order(const struct fg_journal_record *r,
                                               struct fg_error *err, const char *why)
{
    char id[33];

    for (int i = 0; i < 16; i++)
        snprintf(id + 2 * i, 3, "%02x", r->order_id[i]);
    return refuse(r, err, "order %s of user %" PRIu64 " %s", id, r->user, why);
}

static bool refuse_state(const struct fg_journal_record *r, struct fg_error *err, unsigned state)
{
    char why[64];

    if (state == FG_ORDER_NONE)
        return refuse_order(r, err, "is unknown");
    snprintf(why, sizeof(why), "is already %s", fg_ledger_order_state_name(state));
    return refuse_order(r, err, why);
}

static void check_units(const struct fg_ledger_item *item)
{
    FG_ASSERT(item->total == item->available + item->reserved + item->sold);
    FG_ASSERT(item->total <= FG_UNITS_MAX);
}

static bool apply_reserved(struct fg_ledger *l, const struct fg_journal_record *r,
                           struct fg_ledger_item *item, struct fg_error *err)
{
    struct fg_ledger_order *order;

    if (r->quantity == 0)
        return refuse_order(r, err, "has no units");
    if (r->quantity > item->available)
        return refuse(r, err, "%u units reserved, %" PRIu64 " available", r->quantity,
                      item->available);
    order = fg_ledger_table_add_order(l, r->user, r->order_id);
    if (!order)
        return refuse(r, err, "out of memory after %" PRIu64 " orders", l->orders.count);
    order->item = r->item;
    order->quantity = r->quantity;
    order->deadline_ms = r->arg;
    item->available -= r->quantity;
    item->reserved += r->quantity;
    item->orders_reserved++;
    order->state = FG_ORDER_RESERVED;
    order->changed_ms = r->time_ms;
    return true;
}

static bool apply_change(const struct fg_journal_record *r, struct fg_ledger_item *item,
                         struct fg_ledger_order *order, unsigned state, struct fg_error *err)
{
    if (order->item != r->item)
        return refuse(r, err, "the order was for item %" PRIu64, order->item);
    if (order->quantity != r->quantity)
        return refuse(r, err, "%u units, the order was for %u", r->quantity, order->quantity);
    order->changed_ms = r->time_ms;
    if (state == FG_ORDER_RESERVED) { /* extended */
        order->deadline_ms = r->arg;
        return true;
    }
    FG_ASSERT(item->reserved >= order->quantity);
    item->reserved -= order->quantity;
    if (state == FG_ORDER_SOLD)
        item->sold += order->quantity;
    else
        item->available += order->quantity;
    item->orders_sold += state == FG_ORDER_SOLD;
    item->orders_cancelled += state == FG_ORDER_CANCELLED;
    item->orders_expired += state == FG_ORDER_EXPIRED;
    order->state = state & 0xff;
    return true;
}

static bool apply_order(struct fg_ledger *l, const struct fg_journal_record *r,
                        struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);
    struct fg_ledger_order *order;
    unsigned state, next;
    bool ok;

    if (!item)
        return refuse(r, err, "the item is unknown");
    order = fg_ledger_table_order(l, r->user, r->order_id);
    state = order ? order->state : FG_ORDER_NONE;
    next = order_step[state][r->type];
    if (next == FG_ORDER_NONE)
        return refuse_state(r, err, state);
    ok = order ? apply_change(r, item, order, next, err) : apply_reserved(l, r, item, err);
    check_units(item);
    return ok;
}

static bool apply_item_set(struct fg_ledger *l, const struct fg_journal_record *r,
                           struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);

    if (!item)
        item = fg_ledger_table_add_item(l, r->item);
    if (!item)
        return refuse(r, err, "out of memory after %" PRIu64 " items", l->items.count);
    item->opens_ms = r->opens_ms;
    item->closes_ms = r->closes_ms;
    item->hold_ms = r->hold_ms;
    item->user_limit = r->user_limit;
    item->order_max = r->order_max;
    item->flags = r->flags;
    return true;
}

static bool apply_item_name(struct fg_ledger *l, const struct fg_journal_record *r,
                            struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);

    if (!item)
        return refuse(r, err, "the item is unknown");
    memset(item->name, 0, sizeof(item->name));
    memcpy(item->name, r->name, strnlen((const char *)r->name, FG_ITEM_NAME_MAX));
    return true;
}

static bool apply_stock(struct fg_ledger *l, const struct fg_journal_record *r,
                        struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);
    int64_t units = (int64_t)r->arg;

    if (!item)
        return refuse(r, err, "the item is unknown");
    if (units > (int64_t)(FG_UNITS_MAX - item->total))
        return refuse(r, err, "%" PRId64 " units added to %" PRIu64 ", at most %d allowed", units,
                      item->total, FG_UNITS_MAX);
    if (units < -(int64_t)item->available)
        return refuse(r, err, "%" PRId64 " units, %" PRIu64 " available", units, item->available);
    item->total += (uint64_t)units;
    item->available += (uint64_t)units;
    check_units(item);
    return true;
}

static bool apply_user(struct fg_ledger *l, const struct fg_journal_record *r, struct fg_error *err)
{
    uint32_t i = 0;

    if (r->arg > 1)
        return refuse(r, err, "user %" PRIu64 ": neither denied nor allowed", r->user);
    while (i < l->denied_count && l->denied[i] != r->user)
        i++;
    if (r->arg == 0 && i < l->denied_count)
        l->denied[i] = l->denied[--l->denied_count];
    if (r->arg == 0 || i < l->denied_count)
        return true;
    if (l->denied_count == l->denied_room) {
        uint32_t room = l->denied_room ? 2 * l->denied_room : 64;
        uint64_t *more = realloc(l->denied, room * sizeof(*more));

        if (!more)
            return refuse(r, err, "out of memory after %u denied users", l->denied_count);
        l->denied = more;
        l->denied_room = room;
    }
    l->denied[l->denied_count++] = r->user;
    return true;
}

static bool apply_type(struct fg_ledger *l, const struct fg_journal_record *r, struct fg_error *err)
{
    switch (r->type) {
    case FG_REC_BATCH:
        return r->arg < r->seq ||
               refuse(r, err, "calls record %" PRIu64 " durable, which comes later", r->arg);
    case FG_REC_RESERVED:
    case FG_REC_SOLD:
    case FG_REC_CANCELLED:
    case FG_REC_EXPIRED:
    case FG_REC_EXTENDED:
        return apply_order(l, r, err);
    case FG_REC_ITEM_SET:
        return apply_item_set(l, r, err);
    case FG_REC_ITEM_NAME:
        return apply_item_name(l, r, err);
    case FG_REC_STOCK:
        return apply_stock(l, r, err);
    case FG_REC_USER:
        return apply_user(l, r, err);
    default:
        return refuse(r, err, "unknown type %u", r->type);
    }
}

bool fg_ledger_apply(struct fg_ledger *ledger, const struct fg_journal_record *record,
                     struct fg_error *err)
{
    if (record->seq != ledger->seq + 1)
        return refuse(record, err, "out of sequence, %" PRIu64 " expected", ledger->seq + 1);
    if (!apply_type(ledger, record, err))
        return false;
    ledger->seq = record->seq;
    return true;
}
