/* SPDX-License-Identifier: BSD-3-Clause */
#include "fgctl.h"

#include <string.h>
#include <time.h>

static struct fg_cli *asks;

void fg_now_of(struct fg_cli *cli)
{
    asks = cli;
}

/* The daemon decides by its own clock, which may be another for a while. It is asked once. */
uint64_t fg_now_ms(void)
{
    static int64_t ahead;
    struct fg_cli *cli = asks;
    struct timespec now;
    uint64_t ms;
    json_t *status = NULL;
    struct fg_error err;

    asks = NULL;
    if (cli && fg_request_quiet(cli, "GET", "/v1/status", NULL, &status, &err) == FG_EXIT_OK) {
        const json_t *time = json_object_get(status, "time_ms");

        clock_gettime(CLOCK_REALTIME, &now);
        if (json_is_integer(time))
            ahead = json_integer_value(time) - (now.tv_sec * 1000 + now.tv_nsec / 1000000);
    }
    json_decref(status);
    clock_gettime(CLOCK_REALTIME, &now);
    ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    return ms + (uint64_t)ahead;
}

uint64_t fg_mono_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool fg_duration_parse(const char *text, uint64_t *ms, struct fg_error *err)
{
    if (fg_text_number(text, ms) && *ms != 0)
        return fg_fail(err, "\"%.48s\" has no unit: %.48sms or %.48ss?", text, text, text);
    return fg_text_duration_read(text, ms, err);
}

bool fg_time_parse(const char *text, uint64_t *ms)
{
    if (strcmp(text, "now") == 0) {
        *ms = fg_now_ms();
        return true;
    }
    if (text[0] == '+') {
        if (!fg_duration_parse(text + 1, ms, NULL))
            return false;
        *ms += fg_now_ms();
        return true;
    }
    return fg_text_number(text, ms) || fg_text_time_read(text, ms, NULL);
}

static bool parse_flag(const char *text, uint64_t *flag)
{
    *flag = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0;
    return *flag || strcmp(text, "false") == 0 || strcmp(text, "no") == 0;
}

/* JSON, and so the API, knows UTF-8 only. */
static bool parse_name(const char *text, char *name)
{
    json_t *json = json_string(text);
    bool ok = json && fg_control_item_name_valid(text);

    json_decref(json);
    if (ok)
        snprintf(name, FG_JOURNAL_ITEM_NAME_MAX + 1, "%s", text);
    return ok;
}

bool fg_value_parse(unsigned index, const char *text, struct fg_values *values,
                    struct fg_error *err)
{
    const struct fg_control_item_field *field = &fg_control_item_fields[index];
    uint64_t *number = &values->number[index];
    bool ok = false;
    char range[128];

    switch (field->kind) {
    case FG_CONTROL_FIELD_TEXT:
        ok = parse_name(text, values->name);
        break;
    case FG_CONTROL_FIELD_FLAG:
        ok = parse_flag(text, number);
        break;
    case FG_CONTROL_FIELD_TIME:
        ok = fg_time_parse(text, number);
        if (ok && *number && !fg_text_moment_check(*number, err))
            return false;
        break;
    case FG_CONTROL_FIELD_DURATION:
        ok = fg_text_duration_read(text, number, NULL) && *number >= field->min &&
             *number <= field->max;
        break;
    case FG_CONTROL_FIELD_NUMBER:
    case FG_CONTROL_FIELD_ID:
        ok = fg_text_number(text, number) && *number >= field->min && *number <= field->max;
        break;
    }
    values->given[index] |= ok;
    if (ok)
        return true;
    return fg_fail(err, "\"%.64s\" is not %s%s", text, fg_control_item_field_range(field, range),
                   field->kind == FG_CONTROL_FIELD_DURATION ? ", or like 90s, 2m"
                   : field->kind == FG_CONTROL_FIELD_TIME   ? ", or now, or +10m"
                                                            : "");
}

static json_t *value_json(const struct fg_values *values, unsigned index)
{
    switch (fg_control_item_fields[index].kind) {
    case FG_CONTROL_FIELD_TEXT:
        return json_string(values->name);
    case FG_CONTROL_FIELD_FLAG:
        return json_boolean(values->number[index]);
    case FG_CONTROL_FIELD_ID:
        return fg_json_id(values->number[index]);
    case FG_CONTROL_FIELD_NUMBER:
    case FG_CONTROL_FIELD_DURATION:
    case FG_CONTROL_FIELD_TIME:
        break;
    }
    return json_integer((json_int_t)values->number[index]);
}

json_t *fg_values_json(const struct fg_values *values)
{
    json_t *json = json_object();

    for (unsigned i = 0; i < FG_CONTROL_ITEM_FIELDS; i++)
        if (values->given[i])
            json_object_set_new(json, fg_control_item_fields[i].name, value_json(values, i));
    return json;
}
