/* SPDX-License-Identifier: BSD-3-Clause */
/* Health, keys, snapshots, decisions over log and sinks. */
#include <string.h>

#include "base/json.h"
#include "control/pair.h"
#include "control/system.h"

void fg_control_handle_health(struct fg_control_call *call)
{
    struct fg_health_answer v = call->control->daemon.health(call->control->daemon.ctx);
    json_t *json = json_pack("{s:b}", "healthy", v.healthy);
    const char *role = fg_control_pair_role(call->control);

    if (role[0])
        json_object_set_new(json, "role", json_string(role));
    if (v.reason[0])
        json_object_set_new(json, v.healthy ? "warning" : "reason", fg_json_text(v.reason));
    fg_control_call_reply(call, v.healthy ? 200 : 503, json);
}

void fg_control_handle_keys_reload(struct fg_control_call *call)
{
    struct fg_error err = {""};

    if (fg_control_call_result(
            call, call->control->daemon.keys_reload(call->control->daemon.ctx, &err), &err))
        fg_control_call_reply(call, 200, json_pack("{s:b}", "reloaded", 1));
}

void fg_control_handle_log_snapshot(struct fg_control_call *call)
{
    struct fg_error err = {""};
    uint64_t seq = 0;

    if (fg_control_call_result(
            call, call->control->daemon.log_snapshot(call->control->daemon.ctx, &seq, &err), &err))
        fg_control_call_reply(call, 200, json_pack("{s:I}", "seq", (json_int_t)seq));
}

void fg_control_handle_log_accept(struct fg_control_call *call)
{
    struct fg_error err = {""};

    if (fg_control_call_result(
            call, call->control->daemon.log_accept(call->control->daemon.ctx, &err), &err))
        fg_control_call_reply(call, 200, json_pack("{s:b}", "accepted", 1));
}

void fg_control_handle_sink_adopt(struct fg_control_call *call)
{
    const struct fg_control_daemon *daemon = &call->control->daemon;
    struct fg_error err = {""};

    if (fg_control_call_result(call, daemon->sink_adopt(daemon->ctx, call->args[0], &err), &err))
        fg_control_call_reply(call, 202,
                              json_pack("{s:s, s:b}", "sink", call->args[0], "adopting", 1));
}
