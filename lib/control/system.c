/* SPDX-License-Identifier: BSD-3-Clause */
/* Status, counters, health, keys: what the daemon says, as it says it. */
#include <string.h>

#include "control/internal.h"

static json_t *ledger_json(struct fg_control *control)
{
    const struct fg_ledger *ledger = control->daemon.ledger_lock(control->daemon.ctx);
    json_t *json =
        json_pack("{s:I, s:I, s:I}", "seq", (json_int_t)fg_ledger_seq(ledger), "items",
                  (json_int_t)fg_ledger_items(ledger), "orders", (json_int_t)fg_ledger_orders(ledger));

    control->daemon.ledger_unlock(control->daemon.ctx);
    return json;
}

void fg_handle_status(struct fg_call *call)
{
    struct fg_control *control = call->control;
    json_t *status = control->daemon.status(control->daemon.ctx);

    if (json_is_object(status)) {
        json_object_set_new(status, "time_ms", json_integer((json_int_t)fg_now_ms()));
        if (!json_object_get(status, "ledger"))
            json_object_set_new(status, "ledger", ledger_json(control));
        json_object_set_new(status, "api", json_pack("{s:s, s:i}", "socket", control->path, "version", 1));
    }
    fg_call_reply(call, 200, status);
}

void fg_handle_stats(struct fg_call *call)
{
    fg_call_reply(call, 200, call->control->daemon.stats(call->control->daemon.ctx));
}

void fg_handle_health(struct fg_call *call)
{
    char reason[256] = "";

    if (call->control->daemon.health(call->control->daemon.ctx, reason) == 0) {
        reason[sizeof(reason) - 1] = 0;
        fg_call_reply(call, 200,
                      reason[0] ? json_pack("{s:b, s:s}", "healthy", 1, "warning", reason)
                                : json_pack("{s:b}", "healthy", 1));
        return;
    }
    reason[sizeof(reason) - 1] = 0;
    fg_call_reply(call, 503, json_pack("{s:b, s:s}", "healthy", 0, "reason", reason));
}

void fg_handle_keys_reload(struct fg_call *call)
{
    struct fg_error err = {""};

    if (fg_call_result(call, call->control->daemon.keys_reload(call->control->daemon.ctx, &err), &err))
        fg_call_reply(call, 200, json_pack("{s:b}", "reloaded", 1));
}

void fg_handle_log_snapshot(struct fg_call *call)
{
    struct fg_error err = {""};
    uint64_t seq = 0;

    if (fg_call_result(call, call->control->daemon.log_snapshot(call->control->daemon.ctx, &seq, &err), &err))
        fg_call_reply(call, 200, json_pack("{s:I}", "seq", (json_int_t)seq));
}
