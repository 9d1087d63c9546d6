/* SPDX-License-Identifier: BSD-3-Clause */
/* The filter's rates and its monitor mode: what is in force beside what the file says. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

/* As the options stand in commands.c. */
static const char *const names[] = {"order_rate", "order_burst", "syn_rate", "syn_burst",
                                    "other_rate", "other_burst", "monitor"};
#define NAMES (sizeof(names) / sizeof(names[0]))

static void text_of(const json_t *value, char text[24])
{
    if (json_is_boolean(value))
        snprintf(text, 24, "%s", json_is_true(value) ? "true" : "false");
    else
        snprintf(text, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

static void print_rates(const json_t *reply)
{
    static const char *const columns[] = {"SETTING", "IN FORCE>", "FILE>", ""};
    struct fg_table *table = fg_table_create(columns, 4);

    for (size_t i = 0; i < NAMES; i++) {
        const json_t *now = json_object_get(json_object_get(reply, "in_force"), names[i]),
                     *file = json_object_get(json_object_get(reply, "file"), names[i]);
        char text[2][24];

        text_of(now, text[0]);
        text_of(file, text[1]);
        fg_table_add(table, (const char *const[]){names[i], text[0], text[1],
                                                  json_equal(now, file) ? "" : "changed"});
    }
    fg_table_print(table, stdout);
    fg_table_free(table);
}

static int ask(struct fg_cli *cli, const char *method, json_t *body)
{
    json_t *reply;
    int code = fg_request(cli, method, "/v1/filter/rates", body, &reply);

    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(reply);
    else
        print_rates(reply);
    json_decref(reply);
    return code;
}

int fg_cmd_filter_rates(struct fg_cli *cli, const struct fg_args *args)
{
    return ask(cli, "GET", NULL);
}

int fg_cmd_filter_set(struct fg_cli *cli, const struct fg_args *args)
{
    json_t *body = json_object();

    for (size_t i = 0; i < NAMES; i++) {
        const char *text = args->options[i];
        uint64_t number;
        json_t *value;

        if (!text)
            continue;
        if (strcmp(names[i], "monitor") == 0)
            value = strcmp(text, "true") == 0    ? json_true()
                    : strcmp(text, "false") == 0 ? json_false()
                                                 : NULL;
        else
            value = fg_text_number(text, &number) && number <= UINT32_MAX
                        ? json_integer((json_int_t)number)
                        : NULL;
        if (!value) {
            json_decref(body);
            return fg_usage_error("%s: \"%s\"; accepted: a whole number of packets, for --monitor "
                                  "true or false",
                                  names[i], text);
        }
        json_object_set_new(body, names[i], value);
    }
    if (json_object_size(body) == 0) {
        json_decref(body);
        return fg_usage_error("nothing to change: give one of the options");
    }
    return ask(cli, "PATCH", body);
}
