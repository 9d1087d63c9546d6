/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting lists: who waits, and the end of a line. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

#define LIMIT_MAX 10000

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));

    return text ? text : "-";
}

static void number_of(const json_t *entry, const char *key, char text[24])
{
    snprintf(text, 24, "%lld", json_integer_value(json_object_get(entry, key)));
}

/* The rows of `line`: an item's line, or else the entries of a user. */
static void print_entries(const json_t *list, bool line)
{
    static const char *const of_item[] = {"TICKET>", "USER>", "UNITS>", "SINCE", "ORDER"};
    static const char *const of_user[] = {"ITEM>", "AHEAD>", "TICKET>", "UNITS>", "SINCE", "ORDER"};
    struct fg_table *table = line ? fg_table_create(of_item, 5) : fg_table_create(of_user, 6);
    const json_t *entry;
    size_t i;

    json_array_foreach (list, i, entry) {
        char ticket[24], units[24], ahead[24];

        number_of(entry, "ticket", ticket);
        number_of(entry, "quantity", units);
        number_of(entry, "ahead", ahead);
        if (line)
            fg_table_add(table,
                         (const char *const[]){ticket, text_of(entry, "user"), units,
                                               text_of(entry, "since"), text_of(entry, "order")});
        else
            fg_table_add(table,
                         (const char *const[]){text_of(entry, "item"), ahead, ticket, units,
                                               text_of(entry, "since"), text_of(entry, "order")});
    }
    fg_table_print(table, stdout);
    fg_table_free(table);
}

static int show_entries(struct fg_cli *cli, const char *path, bool line)
{
    json_t *reply;
    int code = fg_request(cli, "GET", path, NULL, &reply);

    if (code != FG_EXIT_OK)
        return code;
    if (cli->json) {
        fg_print_json(reply);
    } else {
        const json_t *list = json_object_get(reply, "waiting");
        json_int_t all = json_integer_value(json_object_get(reply, "count"));

        print_entries(list, line);
        if ((json_int_t)json_array_size(list) < all)
            printf("%zu of %lld who wait\n", json_array_size(list), all);
    }
    json_decref(reply);
    return code;
}

int fg_cmd_wait_list(struct fg_cli *cli, const struct fg_args *args)
{
    uint64_t item, limit = 20;
    char path[96];

    if (!fg_item_arg(args->positions[0], &item))
        return FG_EXIT_USAGE;
    if (args->options[0] &&
        (!fg_text_number(args->options[0], &limit) || limit < 1 || limit > LIMIT_MAX))
        return fg_usage_error("--limit: \"%s\" is not a whole number from 1 to %d",
                              args->options[0], LIMIT_MAX);
    snprintf(path, sizeof(path), "/v1/items/%" PRIu64 "/waiting?limit=%" PRIu64, item, limit);
    return show_entries(cli, path, true);
}

int fg_cmd_wait_show(struct fg_cli *cli, const struct fg_args *args)
{
    uint64_t user;
    char path[64];

    if (!fg_user_arg(args->positions[0], &user))
        return FG_EXIT_USAGE;
    snprintf(path, sizeof(path), "/v1/waiting/%" PRIu64, user);
    return show_entries(cli, path, false);
}

int fg_cmd_wait_clear(struct fg_cli *cli, const struct fg_args *args)
{
    uint64_t item;
    json_t *reply;
    char path[64];
    int code;

    if (!fg_item_arg(args->positions[0], &item))
        return FG_EXIT_USAGE;
    snprintf(path, sizeof(path), "/v1/items/%" PRIu64 "/waiting/clear", item);
    code = fg_request(cli, "POST", path, NULL, &reply);
    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(reply);
    else
        printf("item %s: %lld places of the waiting list end\n", text_of(reply, "item"),
               json_integer_value(json_object_get(reply, "cleared")));
    json_decref(reply);
    return code;
}
