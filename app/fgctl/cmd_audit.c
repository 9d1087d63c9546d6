/* SPDX-License-Identifier: BSD-3-Clause */
/* The audit trail of the control socket: who changed what, when, and with which outcome. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

#define LIMIT_MAX 1000

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));

    return text ? text : "";
}

/* "anna as root": the login stays through sudo. */
static void who(const json_t *entry, char *text, size_t size)
{
    const char *login = text_of(entry, "login"), *user = text_of(entry, "user");

    if (*login && strcmp(login, user) != 0)
        snprintf(text, size, "%s as %s", login, user);
    else
        snprintf(text, size, "%s", user);
}

static void print_entries(const json_t *list)
{
    static const char *const columns[] = {"TIME", "WHO", "BY", "CHANGE", "OUTCOME"};
    struct fg_table *table = fg_table_create(columns, 5);

    for (size_t i = json_array_size(list); i-- > 0;) {
        const json_t *entry = json_array_get(list, i);
        char person[96], by[96], change[1024], outcome[1100];

        who(entry, person, sizeof(person));
        snprintf(by, sizeof(by), "%s", text_of(entry, "command"));
        snprintf(change, sizeof(change), "%s %s %s", text_of(entry, "method"),
                 text_of(entry, "path"), text_of(entry, "body"));
        snprintf(outcome, sizeof(outcome), "%s", text_of(entry, "outcome"));
        fg_clean(person);
        fg_clean(by);
        fg_clean(change);
        fg_clean(outcome);
        fg_table_add(table,
                     (const char *const[]){text_of(entry, "time"), person, by, change, outcome});
    }
    fg_table_print(table, stdout);
    fg_table_free(table);
}

int fg_cmd_audit(struct fg_cli *cli, const struct fg_args *args)
{
    uint64_t limit = 50;
    json_t *reply;
    char path[64];
    int code;

    if (args->options[0] &&
        (!fg_text_number(args->options[0], &limit) || limit < 1 || limit > LIMIT_MAX))
        return fg_usage_error("--limit: \"%s\" is not a whole number from 1 to %d",
                              args->options[0], LIMIT_MAX);
    snprintf(path, sizeof(path), "/v1/audit?limit=%" PRIu64, limit);
    code = fg_request(cli, "GET", path, NULL, &reply);
    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(json_object_get(reply, "entries"));
    else
        print_entries(json_object_get(reply, "entries"));
    json_decref(reply);
    return code;
}
