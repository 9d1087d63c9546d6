/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors of a call, and checked values out of paths and bodies. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/json.h"
#include "control/call.h"

void fg_control_call_reply(struct fg_control_call *call, unsigned code, json_t *json)
{
    json_decref(call->json);
    call->code = code;
    call->json = json;
}

bool fg_control_call_fail(struct fg_control_call *call, unsigned code, const char *field,
                          const char *fmt, ...)
{
    char text[1024];
    va_list args;
    json_t *error, *message;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    /* The client's text may be cut within a character, or not be text at all. */
    message = json_string(text);
    for (char *p = text; !message && *p; p++)
        *p = (*p & 0x80) ? '?' : *p;
    error = json_pack("{s:i, s:o}", "code", (int)code, "message",
                      message ? message : json_string(text));
    if (error && field)
        json_object_set_new(error, "field", json_string(field));
    fg_control_call_reply(call, code, json_pack("{s:o}", "error", error));
    return false;
}

bool fg_control_call_result(struct fg_control_call *call, enum fg_control_result result,
                            const struct fg_error *err)
{
    static const unsigned codes[] = {[FG_CONTROL_DONE] = 200,
                                     [FG_CONTROL_BAD] = 400,
                                     [FG_CONTROL_NOT_FOUND] = 404,
                                     [FG_CONTROL_CONFLICT] = 409,
                                     [FG_CONTROL_UNAVAILABLE] = 503};

    if (result == FG_CONTROL_DONE)
        return true;
    return fg_control_call_fail(call, codes[result], NULL, "%s", err->text);
}

bool fg_control_call_item(struct fg_control_call *call, uint64_t *item)
{
    if (fg_text_number(call->args[0], item) && *item >= 1 && *item <= INT64_MAX)
        return true;
    return fg_control_call_fail(call, 400, "item",
                                "item: \"%s\" is not a whole number from 1 to %" PRId64,
                                call->args[0], INT64_MAX);
}

/* The value as the client wrote it, short, for messages. */
static const char *shown(const json_t *value, char text[72])
{
    char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);

    snprintf(text, 72, "%.64s", dump ? dump : "value");
    free(dump);
    return text;
}

bool fg_control_body_number(struct fg_control_call *call, const char *field, const json_t *value,
                            uint64_t min, uint64_t max, uint64_t *number)
{
    char text[72];

    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *number = (uint64_t)json_integer_value(value);
        if (*number >= min && *number <= max)
            return true;
    }
    return fg_control_call_fail(call, 400, field,
                                "%s: %s is not a whole number from %" PRIu64 " to %" PRIu64, field,
                                shown(value, text), min, max);
}

static bool take_time(const json_t *value, uint64_t *ms)
{
    if (json_is_null(value)) {
        *ms = 0;
        return true;
    }
    if (json_is_string(value))
        return fg_text_time_read(json_string_value(value), ms, NULL);
    *ms = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0 && *ms <= FG_TEXT_TIME_MAX;
}

/* 0, and text that is not a time, are checked elsewhere. */
static bool is_moment(struct fg_control_call *call, const char *field, const json_t *value)
{
    struct fg_error err = {""};
    uint64_t ms = 0;

    if (json_is_string(value) && !fg_text_time_read(json_string_value(value), &ms, NULL))
        return true;
    if (json_is_integer(value) && json_integer_value(value) > 0)
        ms = (uint64_t)json_integer_value(value);
    return !ms || fg_text_moment_check(ms, &err) ||
           fg_control_call_fail(call, 400, field, "%s: %s", field, err.text);
}

static bool take_value(const struct fg_control_item_field *field, unsigned index,
                       const json_t *value, struct fg_control_item_values *values)
{
    uint64_t *number = &values->number[index];

    switch (field->kind) {
    case FG_CONTROL_FIELD_TEXT:
        values->name = json_string_value(value);
        return values->name && fg_control_item_name_valid(values->name);
    case FG_CONTROL_FIELD_FLAG:
        *number = json_is_true(value);
        return json_is_boolean(value);
    case FG_CONTROL_FIELD_TIME:
        return take_time(value, number);
    case FG_CONTROL_FIELD_ID:
        return fg_json_id_read(value, number) && *number >= field->min && *number <= field->max;
    case FG_CONTROL_FIELD_NUMBER:
    case FG_CONTROL_FIELD_DURATION:
        *number = (uint64_t)json_integer_value(value);
        return json_is_integer(value) && json_integer_value(value) >= 0 && *number >= field->min &&
               *number <= field->max;
    }
    return false;
}

static void accepted_fields(char *text, size_t size)
{
    size_t len = 0;

    for (unsigned i = 0; i < FG_CONTROL_ITEM_FIELDS && len < size; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%s", i ? ", " : "",
                                fg_control_item_fields[i].name);
}

bool fg_control_body_item(struct fg_control_call *call, struct fg_control_item_values *values)
{
    return fg_control_object_item(call, call->body, values);
}

bool fg_control_object_item(struct fg_control_call *call, const json_t *object,
                            struct fg_control_item_values *values)
{
    const char *key;
    json_t *value;
    char text[72], range[256];

    memset(values, 0, sizeof(*values));
    json_object_foreach ((json_t *)object, key, value) {
        unsigned index = fg_control_item_field_find(key);

        if (index == FG_CONTROL_ITEM_FIELDS) {
            accepted_fields(range, sizeof(range));
            return fg_control_call_fail(call, 400, key, "unknown field \"%.64s\"; accepted: %s",
                                        key, range);
        }
        if (fg_control_item_fields[index].kind == FG_CONTROL_FIELD_TIME &&
            !is_moment(call, key, value))
            return false;
        if (!take_value(&fg_control_item_fields[index], index, value, values))
            return fg_control_call_fail(
                call, 400, key, "%s: %s is not %s", key, shown(value, text),
                fg_control_item_field_range(&fg_control_item_fields[index], range));
        values->given[index] = true;
    }
    return true;
}
