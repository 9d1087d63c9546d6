/* SPDX-License-Identifier: BSD-3-Clause */
/* One record, one step. Every check comes before the first change. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "ledger/draw.h"
#include "ledger/table.h"

#define STEP(before, after, ...)                                                                   \
    {                                                                                              \
        .from = FG_LEDGER_ORDER_##before, .to = FG_LEDGER_ORDER_##after, __VA_ARGS__               \
    }

/* By type of record. */
static const struct fg_ledger_step steps[FG_JOURNAL_RECORD_LAST + 1] = {
    [FG_JOURNAL_RECORD_RESERVED] = STEP(NONE, RESERVED, .available = -1, .reserved = 1),
    [FG_JOURNAL_RECORD_SOLD] = STEP(RESERVED, SOLD, .reserved = -1, .sold = 1),
    [FG_JOURNAL_RECORD_CANCELLED] = STEP(RESERVED, CANCELLED, .reserved = -1, .available = 1),
    [FG_JOURNAL_RECORD_EXPIRED] = STEP(RESERVED, EXPIRED, .reserved = -1, .available = 1),
    [FG_JOURNAL_RECORD_EXTENDED] = STEP(RESERVED, RESERVED, .available = 0),
    [FG_JOURNAL_RECORD_SOLD_LATE] = STEP(EXPIRED, SOLD, .available = -1, .sold = 1, .late = true),
    [FG_JOURNAL_RECORD_CLOSED] = STEP(EXPIRED, CANCELLED, .available = 0),
    [FG_JOURNAL_RECORD_REFUNDED] = STEP(SOLD, REFUNDED, .sold = -1, .refunded = 1),
    [FG_JOURNAL_RECORD_WAITING] = STEP(NONE, WAITING, .available = 0),
    [FG_JOURNAL_RECORD_OFFERED] = STEP(WAITING, RESERVED, .available = -1, .reserved = 1),
    [FG_JOURNAL_RECORD_LEFT] = STEP(WAITING, CANCELLED, .available = 0),
};
static const struct fg_ledger_step restock = STEP(SOLD, REFUNDED, .sold = -1, .available = 1);

const struct fg_ledger_step *fg_ledger_step(const struct fg_journal_record *r)
{
    if (r->type > FG_JOURNAL_RECORD_LAST || steps[r->type].to == FG_LEDGER_ORDER_NONE)
        return NULL;
    return r->type == FG_JOURNAL_RECORD_REFUNDED && r->arg ? &restock : &steps[r->type];
}

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

    if (state == FG_LEDGER_ORDER_NONE)
        return refuse_order(r, err, "is unknown");
    snprintf(why, sizeof(why), "is already %s", fg_ledger_order_state_name(state));
    return refuse_order(r, err, why);
}

static void check_units(const struct fg_ledger_item *item)
{
    FG_ASSERT(item->total == item->available + item->reserved + item->sold + item->refunded);
    FG_ASSERT(item->total <= FG_JOURNAL_UNITS_MAX);
}

/* The units of an order move, and it is counted by its new state. */
static void move(struct fg_ledger_item *item, const struct fg_ledger_step *step, uint64_t units)
{
    item->available += units * (uint64_t)(int64_t)step->available;
    item->reserved += units * (uint64_t)(int64_t)step->reserved;
    item->sold += units * (uint64_t)(int64_t)step->sold;
    item->refunded += units * (uint64_t)(int64_t)step->refunded;
    item->orders_reserved += step->reserved > 0;
    item->orders_sold += step->to == FG_LEDGER_ORDER_SOLD;
    item->orders_cancelled +=
        step->to == FG_LEDGER_ORDER_CANCELLED && step->from != FG_LEDGER_ORDER_WAITING;
    item->orders_expired += step->to == FG_LEDGER_ORDER_EXPIRED;
    item->orders_refunded += step->to == FG_LEDGER_ORDER_REFUNDED;
    item->orders_late += step->late;
}

static bool refuse_units(const struct fg_journal_record *r, const struct fg_ledger_item *item,
                         struct fg_error *err)
{
    return refuse(r, err, "%u units %s, %" PRIu64 " available", r->quantity,
                  fg_journal_record_name(r->type), item->available);
}

static bool apply_reserved(struct fg_ledger *l, const struct fg_journal_record *r,
                           const struct fg_ledger_step *step, struct fg_ledger_item *item,
                           struct fg_error *err)
{
    bool waits = r->type == FG_JOURNAL_RECORD_WAITING;
    struct fg_ledger_order *order;

    if (r->quantity == 0)
        return refuse_order(r, err, "has no units");
    if (!waits && r->quantity > item->available)
        return refuse_units(r, item, err);
    if (waits && (r->arg == 0 || r->arg > UINT32_MAX))
        return refuse_order(r, err, "waits with no ticket");
    order = fg_ledger_table_add_order(l, r->user, r->order_id);
    if (!order)
        return refuse(r, err, "out of memory after %" PRIu64 " orders", l->orders.count);
    order->item = r->item;
    order->quantity = r->quantity;
    order->deadline_ms = r->arg;
    move(item, step, r->quantity);
    order->state = step->to;
    order->changed_ms = r->time_ms;
    order->line = waits;
    item->waiting += waits;
    if (waits && r->arg > item->tickets)
        item->tickets = r->arg;
    return true;
}

static bool apply_change(const struct fg_journal_record *r, const struct fg_ledger_step *step,
                         struct fg_ledger_item *item, struct fg_ledger_order *order,
                         struct fg_error *err)
{
    if (order->item != r->item)
        return refuse(r, err, "the order was for item %" PRIu64, order->item);
    if (order->quantity != r->quantity)
        return refuse(r, err, "%u units, the order was for %u", r->quantity, order->quantity);
    if (step->available < 0 && r->quantity > item->available)
        return refuse_units(r, item, err);
    if (r->type == FG_JOURNAL_RECORD_REFUNDED && r->arg > 1)
        return refuse_order(r, err, "is refunded, and its units neither go back on sale nor not");
    if (r->type == FG_JOURNAL_RECORD_LEFT && *fg_journal_left_name(r->arg) == '?')
        return refuse_order(r, err, "left the line for no reason that there is");
    order->changed_ms = r->time_ms;
    if (r->type == FG_JOURNAL_RECORD_EXTENDED) {
        order->deadline_ms = r->arg;
        return true;
    }
    FG_ASSERT(step->reserved >= 0 || item->reserved >= order->quantity);
    FG_ASSERT(step->sold >= 0 || item->sold >= order->quantity);
    move(item, step, order->quantity);
    if (step->from == FG_LEDGER_ORDER_WAITING) {
        order->deadline_ms = r->type == FG_JOURNAL_RECORD_OFFERED ? r->arg : 0;
        order->line = r->type == FG_JOURNAL_RECORD_LEFT;
        item->waiting--;
    }
    order->state = step->to;
    order->late |= step->late;
    order->closed |= r->type == FG_JOURNAL_RECORD_CLOSED;
    order->restocked |= r->type == FG_JOURNAL_RECORD_REFUNDED && r->arg;
    return true;
}

static bool apply_order(struct fg_ledger *l, const struct fg_journal_record *r,
                        struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);
    const struct fg_ledger_step *step = fg_ledger_step(r);
    struct fg_ledger_order *order;
    unsigned state;
    bool ok;

    if (!item)
        return refuse(r, err, "the item is unknown");
    order = fg_ledger_table_order(l, r->user, r->order_id);
    state = order ? order->state : FG_LEDGER_ORDER_NONE;
    if (step->from != state)
        return refuse_state(r, err, state);
    ok = order ? apply_change(r, step, item, order, err) : apply_reserved(l, r, step, item, err);
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

static bool apply_line_set(struct fg_ledger *l, const struct fg_journal_record *r,
                           struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);

    if (!item)
        return refuse(r, err, "the item is unknown");
    item->line_max = r->line_max;
    item->claim_ms = r->claim_ms;
    item->wait_ttl_ms = r->wait_ttl_ms;
    item->line_flags = r->line_flags | (item->line_flags & FG_JOURNAL_LINE_LOTTERY);
    return true;
}

static bool apply_lottery(struct fg_ledger *l, const struct fg_journal_record *r,
                          struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);

    return (item && item->line_flags & FG_JOURNAL_LINE_LOTTERY) ||
           refuse(r, err, item ? "the item has no lottery" : "the item is unknown");
}

/* All who wait for the item, and the sum over them. */
static uint64_t find_entries(const struct fg_ledger *l, uint64_t item,
                             struct fg_ledger_drawn *entries, struct fg_ledger_draw_sum *sum)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < l->orders.count; i++) {
        struct fg_ledger_order *o = fg_ledger_dense_at(&l->orders, i);

        if (o->state != FG_LEDGER_ORDER_WAITING || o->item != item)
            continue;
        fg_ledger_draw_enter(sum, o->user);
        entries[n++] = (struct fg_ledger_drawn){.user = o->user, .of = o};
    }
    return n;
}

/* The draw: who waits gets a new ticket, behind those that were given. */
static bool apply_drawn(struct fg_ledger *l, const struct fg_journal_record *r,
                        struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);
    struct fg_ledger_draw_sum sum = {{0}};
    struct fg_ledger_drawn *entries;
    uint8_t key[FG_LEDGER_DRAW_KEY];

    if (!apply_lottery(l, r, err))
        return false;
    if (r->user != item->waiting || r->arg < item->tickets || r->arg > UINT32_MAX - r->user)
        return refuse(r, err,
                      "a draw of %" PRIu64 " orders behind ticket %" PRIu64 "; %" PRIu64
                      " wait, the last ticket is %" PRIu64,
                      r->user, r->arg, item->waiting, item->tickets);
    entries = malloc((item->waiting + 1) * sizeof(*entries));
    if (!entries)
        return refuse(r, err, "out of memory for a draw of %" PRIu64 " orders", item->waiting);
    FG_ASSERT(find_entries(l, r->item, entries, &sum) == item->waiting);
    fg_ledger_draw_key(r->order_id, &sum, key);
    for (uint64_t i = 0; i < item->waiting; i++)
        entries[i].rank = fg_ledger_draw_rank(key, entries[i].user);
    qsort(entries, item->waiting, sizeof(*entries), fg_ledger_drawn_order);
    for (uint64_t i = 0; i < item->waiting; i++)
        ((struct fg_ledger_order *)entries[i].of)->ticket = r->arg + 1 + i;
    free(entries);
    item->tickets = r->arg + item->waiting;
    item->line_flags &= ~FG_JOURNAL_LINE_LOTTERY;
    return true;
}

static bool apply_item_name(struct fg_ledger *l, const struct fg_journal_record *r,
                            struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);

    if (!item)
        return refuse(r, err, "the item is unknown");
    memset(item->name, 0, sizeof(item->name));
    memcpy(item->name, r->name, strnlen((const char *)r->name, FG_JOURNAL_ITEM_NAME_MAX));
    return true;
}

static bool apply_stock(struct fg_ledger *l, const struct fg_journal_record *r,
                        struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);
    int64_t units = (int64_t)r->arg;

    if (!item)
        return refuse(r, err, "the item is unknown");
    if (units > (int64_t)(FG_JOURNAL_UNITS_MAX - item->total))
        return refuse(r, err, "%" PRId64 " units added to %" PRIu64 ", at most %d allowed", units,
                      item->total, FG_JOURNAL_UNITS_MAX);
    if (units < -(int64_t)item->available)
        return refuse(r, err, "%" PRId64 " units, %" PRIu64 " available", units, item->available);
    item->total += (uint64_t)units;
    item->available += (uint64_t)units;
    check_units(item);
    return true;
}

/* Of a fleet: the cumulative numbers name exactly one next record. */
static bool apply_lease(struct fg_ledger *l, const struct fg_journal_record *r,
                        struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);

    if (!item)
        return refuse(r, err, "the item is unknown");
    if (r->fleet_units == 0 || r->fleet_times != item->leases + 1 ||
        r->fleet_sum != item->leased + r->fleet_units)
        return refuse(r, err,
                      "lease %" PRIu64 " of %" PRIu64 " units makes %" PRIu64 ", after %" PRIu64
                      " leases of %" PRIu64,
                      r->fleet_times, r->fleet_units, r->fleet_sum, item->leases, item->leased);
    if (r->fleet_units > FG_JOURNAL_UNITS_MAX - item->total)
        return refuse(r, err, "%" PRIu64 " units added to %" PRIu64 ", at most %d allowed",
                      r->fleet_units, item->total, FG_JOURNAL_UNITS_MAX);
    item->total += r->fleet_units;
    item->available += r->fleet_units;
    item->leased = r->fleet_sum;
    item->leases = r->fleet_times;
    check_units(item);
    return true;
}

static bool apply_return(struct fg_ledger *l, const struct fg_journal_record *r,
                         struct fg_error *err)
{
    struct fg_ledger_item *item = fg_ledger_table_item(l, r->item);

    if (!item)
        return refuse(r, err, "the item is unknown");
    if (r->fleet_units == 0 || r->fleet_times != item->returns + 1 ||
        r->fleet_sum != item->returned + r->fleet_units)
        return refuse(r, err,
                      "return %" PRIu64 " of %" PRIu64 " units makes %" PRIu64 ", after %" PRIu64
                      " returns of %" PRIu64,
                      r->fleet_times, r->fleet_units, r->fleet_sum, item->returns, item->returned);
    if (r->fleet_units > item->available)
        return refuse(r, err, "%" PRIu64 " units, %" PRIu64 " available", r->fleet_units,
                      item->available);
    item->total -= r->fleet_units;
    item->available -= r->fleet_units;
    item->returned = r->fleet_sum;
    item->returns = r->fleet_times;
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

static bool apply_epoch(struct fg_ledger *l, const struct fg_journal_record *r,
                        struct fg_error *err)
{
    const struct fg_journal_epoch epoch = {.epoch = r->item, .first_seq = r->seq - 1},
                                  last = fg_journal_epochs_last(&l->epochs);

    if (epoch.epoch == last.epoch && epoch.first_seq == last.first_seq)
        return true; /* its BATCH record named it */
    return (epoch.epoch > fg_journal_epochs_last(&l->epochs).epoch &&
            fg_journal_epochs_add(&l->epochs, epoch)) ||
           refuse(r, err, "epoch %" PRIu64 " comes after epoch %" PRIu64, epoch.epoch,
                  fg_journal_epochs_last(&l->epochs).epoch);
}

/* Of a pair it names its epoch: the first that does begins it. */
static bool apply_batch(struct fg_ledger *l, const struct fg_journal_record *r,
                        struct fg_error *err)
{
    const struct fg_journal_epoch epoch = {.epoch = r->user, .first_seq = r->seq};
    uint64_t last = fg_journal_epochs_last(&l->epochs).epoch;

    if (r->arg >= r->seq)
        return refuse(r, err, "calls record %" PRIu64 " durable, which comes later", r->arg);
    if (epoch.epoch && epoch.epoch < last)
        return refuse(r, err, "epoch %" PRIu64 " comes after epoch %" PRIu64, epoch.epoch, last);
    if (epoch.epoch > last)
        fg_journal_epochs_add(&l->epochs, epoch);
    return true;
}

static bool apply_type(struct fg_ledger *l, const struct fg_journal_record *r, struct fg_error *err)
{
    switch (r->type) {
    case FG_JOURNAL_RECORD_BATCH:
        return apply_batch(l, r, err);
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
        return apply_order(l, r, err);
    case FG_JOURNAL_RECORD_LINE_SET:
        return apply_line_set(l, r, err);
    case FG_JOURNAL_RECORD_LOTTERY:
        return apply_lottery(l, r, err);
    case FG_JOURNAL_RECORD_DRAWN:
        return apply_drawn(l, r, err);
    case FG_JOURNAL_RECORD_ITEM_SET:
        return apply_item_set(l, r, err);
    case FG_JOURNAL_RECORD_ITEM_NAME:
        return apply_item_name(l, r, err);
    case FG_JOURNAL_RECORD_STOCK:
        return apply_stock(l, r, err);
    case FG_JOURNAL_RECORD_LEASE:
        return apply_lease(l, r, err);
    case FG_JOURNAL_RECORD_RETURN:
        return apply_return(l, r, err);
    case FG_JOURNAL_RECORD_USER:
        return apply_user(l, r, err);
    case FG_JOURNAL_RECORD_EPOCH:
        return apply_epoch(l, r, err);
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
