/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rates.h"

#include <string.h>

static struct fg_filter *filter_of(struct fg_control_call *call)
{
    struct fg_filter *filter = call->control->daemon.filter(call->control->daemon.ctx);

    if (!filter)
        fg_control_call_fail(call, 503, NULL,
                             "the filter is off (configuration, [filter] enabled)");
    return filter;
}

static json_t *rates_json(const struct fg_filter_rates *rates)
{
    json_t *json = json_object();

#define X(name) json_object_set_new(json, #name, json_integer(rates->name));
    FG_FILTER_RATES_LIST(X)
#undef X
    json_object_set_new(json, "monitor", json_boolean(rates->monitor));
    return json;
}

static void reply(struct fg_control_call *call, struct fg_filter *filter)
{
    struct fg_filter_rates now, file;

    fg_filter_rates(filter, &now, &file);
    fg_control_call_reply(
        call, 200,
        json_pack("{s:o, s:o}", "in_force", rates_json(&now), "file", rates_json(&file)));
}

void fg_control_handle_rates(struct fg_control_call *call)
{
    struct fg_filter *filter = filter_of(call);

    if (filter)
        reply(call, filter);
}

static uint32_t *find(struct fg_filter_rates *rates, const char *name)
{
#define X(field)                                                                                   \
    if (strcmp(name, #field) == 0)                                                                 \
        return &rates->field;
    FG_FILTER_RATES_LIST(X)
#undef X
    return NULL;
}

static bool take(struct fg_control_call *call, struct fg_filter_rates *rates, const char *name,
                 const json_t *value)
{
    uint32_t *rate = find(rates, name);
    uint64_t number;

    if (strcmp(name, "monitor") == 0) {
        rates->monitor = json_is_true(value);
        return json_is_boolean(value) ||
               fg_control_call_fail(call, 400, name, "monitor: must be true or false");
    }
    if (!rate)
        return fg_control_call_fail(call, 400, name, "unknown field \"%.64s\"", name);
    if (!fg_control_body_number(call, name, value, 0, UINT32_MAX, &number))
        return false;
    *rate = (uint32_t)number;
    return true;
}

void fg_control_handle_rates_patch(struct fg_control_call *call)
{
    struct fg_filter *filter = filter_of(call);
    struct fg_error err = {""};
    struct fg_filter_rates rates;
    const char *name;
    json_t *value;

    if (!filter)
        return;
    fg_filter_rates(filter, &rates, NULL);
    json_object_foreach (call->body, name, value)
        if (!take(call, &rates, name, value))
            return;
    if (fg_filter_rates_set(filter, &rates, &err))
        reply(call, filter);
    else
        fg_control_call_fail(call, 400, NULL, "%s", err.text);
}
