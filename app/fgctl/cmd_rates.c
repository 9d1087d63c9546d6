/* SPDX-License-Identifier: BSD-3-Clause */
/* The filter's rates, its monitor mode and the penalty box: what is in force beside what the file
 * says. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

enum part { RATES, PENALTY, PARTS };

static const char *const paths[PARTS] = {"/v1/filter/rates", "/v1/filter/penalties/settings"};

/* As the options stand in commands.c. */
static const struct setting {
    enum part part;
    const char *name;
} settings[] = {{RATES, "order_rate"},  {RATES, "order_burst"},   {RATES, "syn_rate"},
                {RATES, "syn_burst"},   {RATES, "other_rate"},    {RATES, "other_burst"},
                {RATES, "monitor"},     {PENALTY, "mode"},        {PENALTY, "first_ms"},
                {PENALTY, "bad_tag"},   {PENALTY, "malformed"},   {PENALTY, "role"},
                {PENALTY, "user_rate"}, {PENALTY, "user_denied"}, {PENALTY, "http"}};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static void text_of(const json_t *value, char text[24])
{
    if (json_is_boolean(value))
        snprintf(text, 24, "%s", json_is_true(value) ? "true" : "false");
    else if (json_is_string(value))
        snprintf(text, 24, "%.20s", json_string_value(value));
    else
        snprintf(text, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

static void print_settings(json_t *const replies[PARTS])
{
    static const char *const columns[] = {"SETTING", "IN FORCE>", "FILE>", ""};
    struct fg_table *table = fg_table_create(columns, 4);

    for (size_t i = 0; i < SETTINGS; i++) {
        const json_t *reply = replies[settings[i].part];
        const json_t *now = json_object_get(json_object_get(reply, "in_force"), settings[i].name),
                     *file = json_object_get(json_object_get(reply, "file"), settings[i].name);
        char text[2][24], name[40];

        if (!reply)
            continue;
        text_of(now, text[0]);
        text_of(file, text[1]);
        snprintf(name, sizeof(name), "%s%s", settings[i].part == PENALTY ? "penalty " : "",
                 settings[i].name);
        fg_table_add(table, (const char *const[]){name, text[0], text[1],
                                                  json_equal(now, file) ? "" : "changed"});
    }
    fg_table_print(table, stdout);
    fg_table_free(table);
}

/* The rates as before, and the penalties beside them. */
static void print(struct fg_cli *cli, json_t *const replies[PARTS])
{
    json_t *all;

    if (!cli->json) {
        print_settings(replies);
        return;
    }
    all = replies[RATES] ? json_deep_copy(replies[RATES]) : json_object();
    if (replies[PENALTY])
        json_object_set(all, "penalty", replies[PENALTY]);
    fg_print_json(all);
    json_decref(all);
}

/* Takes the bodies; a part with an empty one is left alone. */
static int ask(struct fg_cli *cli, const char *method, json_t *const bodies[PARTS])
{
    json_t *replies[PARTS] = {NULL};
    int code = FG_EXIT_OK;

    for (unsigned i = 0; i < PARTS; i++) {
        if (bodies && json_object_size(bodies[i]) == 0)
            json_decref(bodies[i]);
        else if (code == FG_EXIT_OK)
            code = fg_request(cli, method, paths[i], bodies ? bodies[i] : NULL, &replies[i]);
        else if (bodies)
            json_decref(bodies[i]);
    }
    if (code == FG_EXIT_OK)
        print(cli, replies);
    for (unsigned i = 0; i < PARTS; i++)
        json_decref(replies[i]);
    return code;
}

int fg_cmd_filter_rates(struct fg_cli *cli, const struct fg_args *args)
{
    return ask(cli, "GET", NULL);
}

/* NULL after a complaint. */
static json_t *value_of(const char *name, const char *text)
{
    struct fg_error err = {""};
    uint64_t number;

    if (strcmp(name, "monitor") == 0) {
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
            return json_boolean(*text == 't');
    } else if (strcmp(name, "mode") == 0) {
        if (strcmp(text, "off") == 0 || strcmp(text, "proven") == 0 ||
            strcmp(text, "suspected") == 0)
            return json_string(text);
    } else if (strcmp(name, "first_ms") == 0) {
        if (fg_duration_parse(text, &number, &err))
            return json_integer((json_int_t)number);
    } else if (fg_text_number(text, &number) && number <= UINT32_MAX) {
        return json_integer((json_int_t)number);
    }
    fg_usage_error(
        "%s: \"%.64s\"; accepted: a whole number, for --monitor true or false, for "
        "--penalty-mode off, proven or suspected, for --penalty-first a duration like 1m",
        name, text);
    return NULL;
}

int fg_cmd_filter_set(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *bodies[PARTS] = {json_object(), json_object()};
    bool good = true;

    for (size_t i = 0; good && i < SETTINGS; i++) {
        json_t *value = args->options[i] ? value_of(settings[i].name, args->options[i]) : NULL;

        good = value || !args->options[i];
        if (value)
            json_object_set_new(bodies[settings[i].part], settings[i].name, value);
    }
    if (good && json_object_size(bodies[RATES]) + json_object_size(bodies[PENALTY]))
        return ask(cli, "PATCH", bodies);
    for (unsigned i = 0; i < PARTS; i++)
        json_decref(bodies[i]);
    return good ? fg_usage_error("nothing to change: give one of the options") : FG_EXIT_USAGE;
}
