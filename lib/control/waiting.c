/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting lists out of the ledger. It knows no order of tickets: its orders are looked at, a part
 * at a time, for the ledger's follower waits for the lock. Its orders stay where they are. */
#include "control/waiting.h"

#include <inttypes.h>

#include "base/json.h"
#include "control/item_json.h"

#define SCAN_ORDERS 100000 /* looked at before the ledger is unlocked for a moment */
#define ENTRIES_MAX 1000   /* of a user that are shown */

struct entry {
    uint64_t ticket, at; /* order of the ledger */
};

struct entries {
    struct entry *list;
    uint64_t count, room;
};

static bool add_entry(struct entries *p, uint64_t ticket, uint64_t at)
{
    if (p->count == p->room) {
        uint64_t room = p->room ? 2 * p->room : 1024;
        struct entry *list = realloc(p->list, room * sizeof(*list));

        if (!list)
            return false;
        p->list = list;
        p->room = room;
    }
    p->list[p->count++] = (struct entry){ticket, at};
    return true;
}

/* Calls `each` with every waiting order, the ledger locked. False: it said so. */
static bool scan(struct fg_control *control, void *ctx,
                 bool (*each)(void *ctx, const struct fg_ledger_order *order, uint64_t at))
{
    struct fg_control_daemon *daemon = &control->daemon;
    bool ok = true;

    for (uint64_t at = 0, all = 1; ok && at < all;) {
        const struct fg_ledger *ledger = daemon->ledger_lock(daemon->ctx);
        uint64_t end = at + SCAN_ORDERS;

        all = fg_ledger_orders(ledger);
        for (; ok && at < all && at < end; at++) {
            const struct fg_ledger_order *order = fg_ledger_order_at(ledger, at);

            if (order->state == FG_LEDGER_ORDER_WAITING)
                ok = each(ctx, order, at);
        }
        daemon->ledger_unlock(daemon->ctx);
    }
    return ok;
}

static json_t *entry_json(const struct fg_ledger_order *order)
{
    char id[33];

    fg_text_hex(id, order->order_id, sizeof(order->order_id));
    return json_pack("{s:I, s:o, s:s, s:o, s:i, s:I, s:o}", "ticket", (json_int_t)order->ticket,
                     "user", fg_json_id(order->user), "order", id, "item", fg_json_id(order->item),
                     "quantity", (int)order->quantity, "since_ms", (json_int_t)order->changed_ms,
                     "since", fg_control_time_json(order->changed_ms));
}

static bool fail_memory(struct fg_control_call *call)
{
    return fg_control_call_fail(call, 503, NULL, "no memory for so many who wait");
}

/* ---- of an item */

struct of_item {
    uint64_t item;
    struct entries entries;
};

static bool take_of_item(void *ctx, const struct fg_ledger_order *order, uint64_t at)
{
    struct of_item *of = ctx;

    return order->item != of->item || add_entry(&of->entries, order->ticket, at);
}

static int by_ticket(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return x->ticket < y->ticket ? -1 : x->ticket > y->ticket;
}

/* One page. Who left meanwhile is not in it. */
static json_t *page_json(struct fg_control_call *call, const struct entries *entries)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    const struct fg_ledger *ledger = daemon->ledger_lock(daemon->ctx);
    json_t *list = json_array();

    for (uint64_t i = call->offset; i < entries->count && i - call->offset < call->limit; i++) {
        const struct fg_ledger_order *order = fg_ledger_order_at(ledger, entries->list[i].at);

        if (order->state == FG_LEDGER_ORDER_WAITING)
            json_array_append_new(list, entry_json(order));
    }
    daemon->ledger_unlock(daemon->ctx);
    return list;
}

void fg_control_handle_waiting(struct fg_control_call *call)
{
    struct of_item of = {0};
    struct fg_ledger_item item;

    if (!fg_control_call_item(call, &of.item))
        return;
    if (!fg_control_item_copy(call->control, of.item, &item)) {
        fg_control_call_fail(call, 404, NULL, "no item %" PRIu64, of.item);
        return;
    }
    if (!item.waiting || scan(call->control, &of, take_of_item)) {
        if (of.entries.count)
            qsort(of.entries.list, of.entries.count, sizeof(*of.entries.list), by_ticket);
        fg_control_call_reply(
            call, 200,
            json_pack("{s:o, s:o, s:I, s:I, s:I}", "item", fg_json_id(of.item), "waiting",
                      page_json(call, &of.entries), "count", (json_int_t)of.entries.count, "offset",
                      (json_int_t)call->offset, "limit", (json_int_t)call->limit));
    } else {
        fail_memory(call);
    }
    free(of.entries.list);
}

/* ---- of a user */

struct of_user {
    uint64_t user;
    unsigned count;
    struct fg_ledger_order orders[ENTRIES_MAX];
    uint64_t ahead[ENTRIES_MAX];
};

static bool take_of_user(void *ctx, const struct fg_ledger_order *order, uint64_t at)
{
    struct of_user *of = ctx;

    if (order->user == of->user && of->count < ENTRIES_MAX)
        of->orders[of->count++] = *order;
    return true;
}

static bool count_ahead(void *ctx, const struct fg_ledger_order *order, uint64_t at)
{
    struct of_user *of = ctx;

    for (unsigned i = 0; i < of->count; i++)
        of->ahead[i] += order->item == of->orders[i].item && order->ticket < of->orders[i].ticket;
    return true;
}

static void reply_of_user(struct fg_control_call *call, struct of_user *of)
{
    json_t *list = json_array();

    scan(call->control, of, take_of_user);
    if (of->count)
        scan(call->control, of, count_ahead);
    for (unsigned i = 0; i < of->count; i++) {
        json_t *json = entry_json(&of->orders[i]);

        json_object_set_new(json, "ahead", json_integer((json_int_t)of->ahead[i]));
        json_array_append_new(list, json);
    }
    fg_control_call_reply(call, 200,
                          json_pack("{s:o, s:o, s:i}", "user", fg_json_id(of->user), "waiting",
                                    list, "count", (int)of->count));
}

void fg_control_handle_waiting_user(struct fg_control_call *call)
{
    struct of_user *of = calloc(1, sizeof(*of));

    if (!of)
        fail_memory(call);
    else if (fg_text_number(call->args[0], &of->user))
        reply_of_user(call, of);
    else
        fg_control_call_fail(call, 400, "user",
                             "user: \"%s\" is not a whole number from 0 to %" PRIu64, call->args[0],
                             UINT64_MAX);
    free(of);
}

void fg_control_handle_waiting_clear(struct fg_control_call *call)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    struct fg_error err = {""};
    uint64_t item, cleared = 0;

    if (!fg_control_call_item(call, &item))
        return;
    if (fg_control_call_result(call, daemon->line_clear(daemon->ctx, item, &cleared, &err), &err))
        fg_control_call_reply(
            call, 200,
            json_pack("{s:o, s:I}", "item", fg_json_id(item), "cleared", (json_int_t)cleared));
}
