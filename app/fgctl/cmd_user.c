/* SPDX-License-Identifier: BSD-3-Clause */
/* Users: who may reserve nothing, and who asked too often. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

#define BATCH     1000 /* users of one request */
#define WORST_MAX 1000

/* All users of the command line and of --file, checked; *code says what is wrong. */
static json_t *read_users(const struct fg_args *args, int *code)
{
    json_t *list = json_array(), *entry;
    uint64_t user;
    size_t i;

    *code = FG_EXIT_OK;
    for (unsigned k = 0; k < args->count && *code == FG_EXIT_OK; k++) {
        if (!fg_user_arg(args->positions[k], &user))
            *code = FG_EXIT_USAGE;
        else
            json_array_append_new(list, json_string(args->positions[k]));
    }
    if (*code == FG_EXIT_OK && args->options[0] &&
        !fg_words_read(args->options[0], "user is expected, a number", list))
        *code = FG_EXIT_INPUT;
    json_array_foreach (list, i, entry) {
        if (*code == FG_EXIT_OK && !fg_text_number(json_string_value(entry), &user)) {
            fg_complain("%s: \"%s\" is not a whole number from 0 to %" PRIu64, args->options[0],
                        json_string_value(entry), UINT64_MAX);
            *code = FG_EXIT_INPUT;
        }
    }
    if (*code == FG_EXIT_OK && json_array_size(list) == 0 && !args->options[0])
        *code = fg_usage_error("no user given: name some, or use --file");
    return list;
}

static json_t *slice(const json_t *list, size_t from)
{
    json_t *part = json_array();

    for (size_t i = from; i < json_array_size(list) && i < from + BATCH; i++)
        json_array_append(part, json_array_get(list, i));
    return json_pack("{s:o}", "users", part);
}

int fg_cmd_user_change(struct fg_cli *cli, const struct fg_args *args)
{
    bool deny = strcmp(args->command->verb, "deny") == 0;
    const char *verb = deny ? "denied" : "allowed";
    int code;
    json_t *list = read_users(args, &code);
    size_t all = json_array_size(list);

    for (size_t done = 0; code == FG_EXIT_OK && done < all; done += BATCH) {
        code =
            fg_request(cli, deny ? "POST" : "DELETE", "/v1/users/denied", slice(list, done), NULL);
        if (code != FG_EXIT_OK && done)
            fg_complain("the first %zu of %zu were %s before", done, all, verb);
    }
    if (code == FG_EXIT_OK)
        printf(cli->json ? "{\"%s\": %zu}\n" : "%s %zu\n", verb, all);
    json_decref(list);
    return code;
}

static void take_line(void *ctx, json_t *entry)
{
    fprintf(ctx, "%s\n", json_string_value(entry));
}

static void take_json(void *ctx, json_t *entry)
{
    json_array_append(ctx, entry);
}

/* One number a line, which `user allow --file -` reads again. */
int fg_cmd_user_denied(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *list = json_array();
    int code = fg_request_pages(cli, "/v1/users/denied", "users", cli->json ? take_json : take_line,
                                cli->json ? (void *)list : (void *)stdout);

    if (code == FG_EXIT_OK && cli->json)
        fg_print_json(list);
    json_decref(list);
    return code;
}

static void print_worst(const json_t *list)
{
    static const char *const columns[] = {"USER>", "REFUSED>"};
    struct fg_table *table = fg_table_create(columns, 2);
    json_t *entry;
    size_t i;

    json_array_foreach (list, i, entry) {
        char refused[24];

        snprintf(refused, sizeof(refused), "%lld",
                 json_integer_value(json_object_get(entry, "refused")));
        fg_table_add(table, (const char *const[]){json_string_value(json_object_get(entry, "user")),
                                                  refused});
    }
    fg_table_print(table, stdout);
    fg_table_free(table);
}

int fg_cmd_user_worst(struct fg_cli *cli, const struct fg_args *args)
{
    uint64_t limit = 20;
    json_t *reply;
    char path[64];
    int code;

    if (args->options[0] &&
        (!fg_text_number(args->options[0], &limit) || limit < 1 || limit > WORST_MAX))
        return fg_usage_error("--limit: \"%s\" is not a whole number from 1 to %d",
                              args->options[0], WORST_MAX);
    snprintf(path, sizeof(path), "/v1/users/worst?limit=%" PRIu64, limit);
    code = fg_request(cli, "GET", path, NULL, &reply);
    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(json_object_get(reply, "users"));
    else
        print_worst(json_object_get(reply, "users"));
    json_decref(reply);
    return code;
}
