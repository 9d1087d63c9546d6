/* SPDX-License-Identifier: BSD-3-Clause */
/* The appliance as a whole. */
#include "fgctl.h"

#include <string.h>

/* Problems come first. */
int fg_cmd_status(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *reply;
    int code;

    if (cli->json)
        return fg_request_show(cli, "/v1/status");
    code = fg_request(cli, "GET", "/v1/status", NULL, &reply);
    if (code != FG_EXIT_OK)
        return code;
    fg_show_alarms(stdout, reply);
    json_object_del(reply, "alarms");
    fg_show(stdout, reply);
    json_decref(reply);
    return code;
}

int fg_cmd_stats(struct fg_cli *cli, const struct fg_args *args)
{
    return fg_request_show(cli, "/v1/stats");
}

static const char *warning_of(const json_t *reply)
{
    const char *text = json_string_value(json_object_get(reply, "warning"));

    return text ? text : "";
}

int fg_cmd_health(struct fg_cli *cli, const struct fg_args *args)
{
    struct fg_error err = {""};
    json_t *reply;
    int code = fg_request_quiet(cli, "GET", "/healthz", NULL, &reply, &err);

    if (cli->json && reply)
        fg_print_json_error(reply);
    else if (code == FG_EXIT_OK)
        printf("healthy%s%s\n", json_object_get(reply, "warning") ? ", but " : "",
               warning_of(reply));
    if (code != FG_EXIT_OK)
        fg_complain("%s%s", reply ? "unhealthy: " : "", err.text);
    if (code != FG_EXIT_OK && json_object_get(reply, "healthy"))
        code = FG_EXIT_UNHEALTHY;
    json_decref(reply);
    return code;
}

int fg_cmd_keys_reload(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *reply;
    int code = fg_request(cli, "POST", "/v1/keys/reload", NULL, &reply);

    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(reply);
    else
        printf("keys reloaded\n");
    json_decref(reply);
    return code;
}
