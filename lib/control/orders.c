/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "control/internal.h"

static bool parse_order_id(const char *text, uint8_t id[16])
{
    if (strlen(text) != 32 || strspn(text, "0123456789abcdefABCDEF") != 32)
        return false;
    for (int i = 0; i < 16; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], 0};

        id[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return true;
}

/* A user is a 64-bit name: text, since JSON numbers end earlier. */
static json_t *order_json(const struct fg_ledger_order *order)
{
    char user[24], id[33];

    snprintf(user, sizeof(user), "%" PRIu64, order->user);
    for (int i = 0; i < 16; i++)
        snprintf(id + 2 * i, 3, "%02x", order->order_id[i]);
    return json_pack(
        "{s:s, s:s, s:I, s:i, s:s, s:I, s:o, s:I, s:o}", "user", user, "order", id, "item",
        (json_int_t)order->item, "quantity", (int)order->quantity, "state",
        fg_ledger_order_state_name(order->state), "deadline_ms", (json_int_t)order->deadline_ms,
        "deadline", fg_control_time_json(order->deadline_ms), "changed_ms",
        (json_int_t)order->changed_ms, "changed", fg_control_time_json(order->changed_ms));
}

void fg_control_handle_order(struct fg_control_call *call)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    const struct fg_ledger_order *found;
    struct fg_ledger_order order;
    uint64_t user;
    uint8_t id[16];

    if (!fg_control_number_parse(call->args[0], &user)) {
        fg_control_call_fail(call, 400, "user",
                             "user: \"%s\" is no whole number from 0 to %" PRIu64, call->args[0],
                             UINT64_MAX);
        return;
    }
    if (!parse_order_id(call->args[1], id)) {
        fg_control_call_fail(call, 400, "order", "order: \"%s\" is not 32 hex digits",
                             call->args[1]);
        return;
    }
    found = fg_ledger_order(daemon->ledger_lock(daemon->ctx), user, id);
    if (found)
        order = *found;
    daemon->ledger_unlock(daemon->ctx);
    if (found)
        fg_control_call_reply(call, 200, order_json(&order));
    else
        fg_control_call_fail(call, 404, NULL, "user %" PRIu64 " has no order %s", user,
                             call->args[1]);
}
