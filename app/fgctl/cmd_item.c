/* SPDX-License-Identifier: BSD-3-Clause */
/* Items, their stock, and their switches. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

bool fg_item_arg(const char *text, uint64_t *item)
{
    if (fg_text_number(text, item) && *item >= 1 && *item <= INT64_MAX)
        return true;
    fg_usage_error("ITEM: \"%s\" is not a whole number from 1 to %" PRId64, text, INT64_MAX);
    return false;
}

static void print_reply(const struct fg_cli *cli, json_t *reply)
{
    if (cli->json)
        fg_print_json(reply);
    else
        fg_show(stdout, reply);
    json_decref(reply);
}

/* Item and settings of the command line. */
static bool read_values(const struct fg_args *args, struct fg_values *values)
{
    struct fg_error err;

    memset(values, 0, sizeof(*values));
    if (!fg_item_arg(args->positions[0], &values->number[FG_CONTROL_ITEM_FIELD_item]))
        return false;
    values->given[FG_CONTROL_ITEM_FIELD_item] = true;
    for (unsigned field = 1; field < FG_CONTROL_ITEM_FIELDS; field++) {
        const char *text = args->options[field - 1];

        uint64_t ms;

        if (text && fg_control_item_fields[field].kind == FG_CONTROL_FIELD_DURATION &&
            fg_text_number(text, &ms) && !fg_duration_parse(text, &ms, &err)) {
            fg_usage_error("--%s: %s", fg_control_item_fields[field].option, err.text);
            return false;
        }
        if (text && !fg_value_parse(field, text, values, &err)) {
            fg_usage_error("--%s: %s", fg_control_item_fields[field].option, err.text);
            return false;
        }
    }
    return true;
}

/* Of a fleet. */
static void print_behind(const json_t *reply)
{
    const json_t *behind = json_object_get(reply, "behind"), *member;
    char text[128] = "";
    size_t i, n = 0;

    json_array_foreach (behind, i, member)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " %d", (int)json_integer_value(member));
    if (n)
        fprintf(stderr, "not applied yet by these members of the fleet:%s\n", text);
}

/* Tells in one line what was done. */
static void print_change(const struct fg_cli *cli, const char *what, json_t *reply)
{
    const json_t *name = json_object_get(reply, "name");

    if (cli->json) {
        fg_print_json(reply);
    } else {
        char text[FG_JOURNAL_ITEM_NAME_MAX + 1];

        snprintf(text, sizeof(text), "%s", name ? json_string_value(name) : "");
        fg_clean(text);
        printf("item %s %s%s%s: %s, %lld units, %lld available\n",
               json_string_value(json_object_get(reply, "item")), what, *text ? " " : "", text,
               json_string_value(json_object_get(reply, "state")),
               json_integer_value(json_object_get(reply, "total")),
               json_integer_value(json_object_get(reply, "available")));
    }
    print_behind(reply);
    json_decref(reply);
}

int fg_cmd_item_add(struct fg_cli *cli, const struct fg_args *args)
{
    struct fg_values values;
    struct fg_plan plan = {0};
    struct fg_error err;
    unsigned field;
    json_t *reply;
    int code;

    if (!read_values(args, &values))
        return FG_EXIT_USAGE;
    if (!fg_plan_make(&values, NULL, &plan, &field, &err))
        return fg_usage_error("--%s: %s", fg_control_item_fields[field].option, err.text);
    code = fg_request(cli, "POST", "/v1/items", plan.body, &reply);
    if (code == FG_EXIT_OK)
        print_change(cli, "created", reply);
    return code;
}

/* All of it is absolute, and the daemon decides: two at the same time do not add up. */
int fg_cmd_item_set(struct fg_cli *cli, const struct fg_args *args)
{
    struct fg_values values;
    struct fg_plan plan = {0};
    struct fg_error err;
    unsigned field;
    json_t *reply;
    char path[64];
    int code;

    if (!read_values(args, &values))
        return FG_EXIT_USAGE;
    snprintf(path, sizeof(path), "/v1/items/%" PRIu64, values.number[FG_CONTROL_ITEM_FIELD_item]);
    values.given[FG_CONTROL_ITEM_FIELD_item] = false;
    if (!fg_plan_make(&values, NULL, &plan, &field, &err))
        return fg_usage_error("--%s: %s", fg_control_item_fields[field].option, err.text);
    code = fg_request(cli, plan.body ? "PATCH" : "GET", path, plan.body, &reply);
    if (code != FG_EXIT_OK)
        return code;
    print_change(cli, json_is_true(json_object_get(reply, "changed")) ? "changed" : "unchanged",
                 reply);
    return code;
}

/* "2m", "1h30m", "10d": the largest units that say it. */
static void duration_text(uint64_t ms, char text[48])
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t n = 0;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (ms >= units[i].ms) {
            n += (size_t)snprintf(text + n, 48 - n, "%" PRIu64 "%s", ms / units[i].ms,
                                  units[i].name);
            ms %= units[i].ms;
        }
    if (n == 0)
        snprintf(text, 48, "0");
}

static const char *text_of(const json_t *item, const char *key)
{
    const char *text = json_string_value(json_object_get(item, key));

    return text ? text : "-";
}

static void take_row(void *ctx, json_t *item)
{
    static const char *const numbers[] = {"total", "available",  "reserved",
                                          "sold",  "user_limit", "order_max"};
    char text[6][24], name[128], hold[48], waiting[48] = "-";
    json_int_t waitlist = json_integer_value(json_object_get(item, "waitlist"));
    json_int_t waits = json_integer_value(json_object_get(item, "waiting"));

    for (int i = 0; i < 6; i++)
        snprintf(text[i], sizeof(text[i]), "%lld",
                 json_integer_value(json_object_get(item, numbers[i])));
    if (strcmp(text[4], "0") == 0)
        strcpy(text[4], "-"); /* no limit */
    snprintf(name, sizeof(name), "%s", json_string_value(json_object_get(item, "name")));
    fg_clean(name);
    duration_text((uint64_t)json_integer_value(json_object_get(item, "hold_ms")), hold);
    if (waitlist || waits)
        snprintf(waiting, sizeof(waiting), "%lld/%lld", waits, waitlist);
    fg_table_add(ctx,
                 (const char *const[]){text_of(item, "item"), name, text[0], text[1], text[2],
                                       text[3], text_of(item, "state"), text[4], text[5], hold,
                                       waiting, text_of(item, "opens"), text_of(item, "closes")});
}

int fg_cmd_item_list(struct fg_cli *cli, const struct fg_args *args)
{
    static const char *const columns[] = {
        "ITEM>",       "NAME",       "TOTAL>", "AVAILABLE>", "RESERVED>", "SOLD>", "STATE",
        "USER LIMIT>", "ORDER MAX>", "HOLD>",  "WAITING>",   "OPENS",     "CLOSES"};

    return fg_request_table(cli, args->options[0] ? "/v1/items?retired=true" : "/v1/items", "items",
                            columns, 13, take_row);
}

int fg_cmd_item_show(struct fg_cli *cli, const struct fg_args *args)
{
    uint64_t item;
    json_t *reply;
    char path[64];
    int code;

    if (!fg_item_arg(args->positions[0], &item))
        return FG_EXIT_USAGE;
    snprintf(path, sizeof(path), "/v1/items/%" PRIu64, item);
    code = fg_request(cli, "GET", path, NULL, &reply);
    if (code == FG_EXIT_OK)
        print_reply(cli, reply);
    return code;
}

int fg_cmd_stock(struct fg_cli *cli, const struct fg_args *args)
{
    uint64_t item, units;
    json_t *reply;
    char path[64];
    int code;

    if (!fg_item_arg(args->positions[0], &item))
        return FG_EXIT_USAGE;
    if (!fg_text_number(args->positions[1], &units) || units < 1 || units > FG_JOURNAL_UNITS_MAX)
        return fg_usage_error("UNITS: \"%s\" is not a whole number from 1 to %d",
                              args->positions[1], FG_JOURNAL_UNITS_MAX);
    snprintf(path, sizeof(path), "/v1/items/%" PRIu64 "/stock", item);
    code = fg_request(cli, "POST", path, json_pack("{s:I}", args->command->verb, (json_int_t)units),
                      &reply);
    if (code == FG_EXIT_OK)
        print_change(cli, "changed", reply);
    return code;
}

/* open, close, pause, resume: the command's name is the last part of the path. All numbers are
 * checked first.
 */
int fg_cmd_switch(struct fg_cli *cli, const struct fg_args *args)
{
    int code = FG_EXIT_OK;
    uint64_t item;

    for (unsigned i = 0; i < args->count; i++)
        if (!fg_item_arg(args->positions[i], &item))
            return FG_EXIT_USAGE;
    for (unsigned i = 0; i < args->count && code == FG_EXIT_OK; i++) {
        json_t *reply;
        char path[64];

        fg_item_arg(args->positions[i], &item);
        snprintf(path, sizeof(path), "/v1/items/%" PRIu64 "/%s", item, args->command->noun);
        code = fg_request(cli, "POST", path, NULL, &reply);
        if (code == FG_EXIT_OK)
            print_change(cli, "changed", reply);
    }
    return code;
}
