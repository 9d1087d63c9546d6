/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>

#include "base/json.h"
#include "control/item_json.h"
#include "control/orders.h"

static json_t *order_json(const struct fg_ledger_order *order, uint64_t now_ms)
{
    char id[33];
    json_t *json;

    fg_text_hex(id, order->order_id, sizeof(order->order_id));
    json = json_pack(
        "{s:o, s:s, s:o, s:i, s:s, s:b, s:I, s:o, s:I, s:o}", "user", fg_json_id(order->user),
        "order", id, "item", fg_json_id(order->item), "quantity", (int)order->quantity, "state",
        fg_ledger_order_state_name(order->state), "late", (int)order->late, "deadline_ms",
        (json_int_t)order->deadline_ms, "deadline", fg_control_time_json(order->deadline_ms),
        "changed_ms", (json_int_t)order->changed_ms, "changed",
        fg_control_time_json(order->changed_ms));
    if (order->state ==
        FG_LEDGER_ORDER_RESERVED) /* whoever has another clock needs no other number */
        json_object_set_new(json, "left_ms",
                            json_integer(order->deadline_ms > now_ms
                                             ? (json_int_t)(order->deadline_ms - now_ms)
                                             : 0));
    return json;
}

void fg_control_handle_order(struct fg_control_call *call)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    const struct fg_ledger_order *found;
    struct fg_ledger_order order;
    uint64_t user;
    uint8_t id[16];

    if (!fg_text_number(call->args[0], &user)) {
        fg_control_call_fail(call, 400, "user",
                             "user: \"%s\" is not a whole number from 0 to %" PRIu64, call->args[0],
                             UINT64_MAX);
        return;
    }
    if (!fg_text_hex_read(call->args[1], id, sizeof(id))) {
        fg_control_call_fail(call, 400, "order", "order: \"%s\" is not 32 hex digits",
                             call->args[1]);
        return;
    }
    found = fg_ledger_order(daemon->ledger_lock(daemon->ctx), user, id);
    if (found)
        order = *found;
    daemon->ledger_unlock(daemon->ctx);
    if (found)
        fg_control_call_reply(call, 200, order_json(&order, fg_control_now_ms(call->control)));
    else
        fg_control_call_fail(call, 404, NULL, "user %" PRIu64 " has no order %s", user,
                             call->args[1]);
}
