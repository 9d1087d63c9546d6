/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <time.h>

#include "base/json.h"
#include "control/item_json.h"
#include "control/orders.h"

#define STEPS_MAX   64     /* requests of one order that are shown */
#define SCAN_ORDERS 100000 /* looked at before the ledger is unlocked for a moment */

static json_t *order_json(const struct fg_ledger_order *order, uint64_t now_ms)
{
    bool waits = order->state == FG_LEDGER_ORDER_WAITING;
    uint64_t deadline_ms = waits ? 0 : order->deadline_ms;
    char id[33];
    json_t *json;

    fg_text_hex(id, order->order_id, sizeof(order->order_id));
    json = json_pack(
        "{s:o, s:s, s:o, s:i, s:s, s:b, s:I, s:o, s:I, s:o}", "user", fg_json_id(order->user),
        "order", id, "item", fg_json_id(order->item), "quantity", (int)order->quantity, "state",
        fg_ledger_order_state_name(order->state), "late", (int)order->late, "deadline_ms",
        (json_int_t)deadline_ms, "deadline", fg_control_time_json(deadline_ms), "changed_ms",
        (json_int_t)order->changed_ms, "changed", fg_control_time_json(order->changed_ms));
    if (order->state ==
        FG_LEDGER_ORDER_RESERVED) /* whoever has another clock needs no other number */
        json_object_set_new(json, "left_ms",
                            json_integer(order->deadline_ms > now_ms
                                             ? (json_int_t)(order->deadline_ms - now_ms)
                                             : 0));
    if (waits)
        json_object_set_new(json, "ticket", json_integer((json_int_t)order->ticket));
    if (order->state == FG_LEDGER_ORDER_REFUNDED)
        json_object_set_new(json, "restocked", json_boolean(order->restocked));
    return json;
}

static bool read_user(struct fg_control_call *call, uint64_t *user)
{
    return fg_text_number(call->args[0], user) ||
           fg_control_call_fail(call, 400, "user",
                                "user: \"%s\" is not a whole number from 0 to %" PRIu64,
                                call->args[0], UINT64_MAX);
}

/* USER and ORDER of the path. */
static bool read_order(struct fg_control_call *call, uint64_t *user, uint8_t id[16])
{
    return read_user(call, user) &&
           (fg_text_order_read(call->args[1], id) ||
            fg_control_call_fail(call, 400, "order", "order: \"%s\" is not " FG_TEXT_ORDER,
                                 call->args[1]));
}

static bool copy_order(struct fg_control_daemon *daemon, uint64_t user, const uint8_t id[16],
                       struct fg_ledger_order *order)
{
    const struct fg_ledger_order *found =
        fg_ledger_order(daemon->ledger_lock(daemon->ctx), user, id);

    if (found)
        *order = *found;
    daemon->ledger_unlock(daemon->ctx);
    return found != NULL;
}

void fg_control_handle_order(struct fg_control_call *call)
{
    struct fg_ledger_order order;
    uint64_t user;
    uint8_t id[16];

    if (!read_order(call, &user, id))
        return;
    if (copy_order(&call->control->daemon, user, id, &order))
        fg_control_call_reply(call, 200, order_json(&order, fg_control_now_ms(call->control)));
    else
        fg_control_call_fail(call, 404, NULL, "user %" PRIu64 " has no order %s", user,
                             call->args[1]);
}

/* The orders of a user are found by looking at all of them, and the ledger's follower waits for the
 * lock: a part at a time. Orders keep their place. */
static uint64_t find_orders(struct fg_control_call *call, uint64_t user, json_t *list)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    uint64_t now_ms = fg_control_now_ms(call->control), count = 0, all = 1;

    for (uint64_t at = 0; at < all;) {
        const struct fg_ledger *ledger = daemon->ledger_lock(daemon->ctx);
        uint64_t end = at + SCAN_ORDERS;

        all = fg_ledger_orders(ledger);
        for (; at < all && at < end; at++) {
            const struct fg_ledger_order *order = fg_ledger_order_at(ledger, at);

            if (order->user != user)
                continue;
            if (count >= call->offset && count - call->offset < call->limit)
                json_array_append_new(list, order_json(order, now_ms));
            count++;
        }
        daemon->ledger_unlock(daemon->ctx);
    }
    return count;
}

void fg_control_handle_orders(struct fg_control_call *call)
{
    json_t *list = json_array();
    uint64_t user, count;

    if (!read_user(call, &user)) {
        json_decref(list);
        return;
    }
    count = find_orders(call, user, list);
    fg_control_call_reply(call, 200,
                          json_pack("{s:o, s:I, s:I, s:I}", "orders", list, "count",
                                    (json_int_t)count, "offset", (json_int_t)call->offset, "limit",
                                    (json_int_t)call->limit));
}

/* Times are nanoseconds since the arrival; 0 is a step that was not made. */
static json_t *steps_json(const struct fg_worker_steps *s)
{
    json_t *json = json_pack("{s:s, s:s, s:I, s:o, s:i, s:i}", "op", fg_packet_op_name(s->op),
                             "status", s->status ? fg_packet_status_name(s->status) : "",
                             "received_ns", (json_int_t)s->received_ns, "received",
                             fg_control_time_json(s->received_ns / 1000000), "receiver",
                             (int)s->received, "worker", (int)s->worker);
    const struct {
        const char *name;
        uint64_t ns;
    } steps[] = {{"handed_over_ns", s->handed_ns},
                 {"decided_ns", s->decided_ns},
                 {"durable_ns", s->durable_ns},
                 {"sent_ns", s->sent_ns}};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        json_object_set_new(json, steps[i].name,
                            steps[i].ns ? json_integer((json_int_t)steps[i].ns) : json_null());
    return json;
}

void fg_control_handle_order_steps(struct fg_control_call *call)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    struct fg_worker_steps list[STEPS_MAX];
    json_t *requests;
    uint64_t user;
    uint8_t id[16];
    unsigned n;

    if (!read_order(call, &user, id))
        return;
    n = daemon->order_steps(daemon->ctx, user, id, list, STEPS_MAX);
    requests = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(requests, steps_json(&list[i]));
    fg_control_call_reply(
        call, 200, json_pack("{s:i, s:o}", "share", (int)daemon->trace, "requests", requests));
}

/* The ledger follows the log a moment later. */
static void reply_refunded(struct fg_control_call *call, uint64_t user, const uint8_t id[16])
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct fg_ledger_order order = {0};
    bool settled = false;
    json_t *json;

    for (int waited_ms = 0; !settled && waited_ms < FG_CONTROL_SETTLE_MS; waited_ms++) {
        if (waited_ms)
            nanosleep(&pause, NULL);
        settled = copy_order(&call->control->daemon, user, id, &order) &&
                  order.state == FG_LEDGER_ORDER_REFUNDED;
    }
    json = order_json(&order, fg_control_now_ms(call->control));
    if (!settled)
        json_object_set_new(json, "lagging", json_true());
    fg_control_call_reply(call, 200, json);
}

void fg_control_handle_order_refund(struct fg_control_call *call)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    const json_t *restock = json_object_get(call->body, "restock");
    struct fg_error err = {""};
    enum fg_control_result result;
    uint64_t user;
    uint8_t id[16];

    if (!read_order(call, &user, id))
        return;
    if (!json_is_boolean(restock) || json_object_size(call->body) != 1) {
        fg_control_call_fail(call, 400, "restock",
                             "body: must be {\"restock\": true} (the units go back on sale) or "
                             "{\"restock\": false}");
        return;
    }
    result = daemon->order_refund(daemon->ctx, user, id, json_is_true(restock), &err);
    if (fg_control_call_result(call, result, &err))
        reply_refunded(call, user, id);
}
