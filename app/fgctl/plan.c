/* SPDX-License-Identifier: BSD-3-Clause */
/* Import: the requests that turn an item into the wanted one. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

/* Name of the field in the daemon's answers. */
static const char *answer_name(unsigned field)
{
    if (field == FG_CONTROL_ITEM_FIELD_opens)
        return "opens_ms";
    return field == FG_CONTROL_ITEM_FIELD_closes ? "closes_ms" : fg_control_item_fields[field].name;
}

static uint64_t wanted_time(const struct fg_values *values, const json_t *existing, unsigned field)
{
    if (values->given[field])
        return values->number[field];
    return (uint64_t)json_integer_value(json_object_get(existing, answer_name(field)));
}

static bool check_times(const struct fg_values *values, const json_t *existing,
                        struct fg_error *err)
{
    uint64_t opens = wanted_time(values, existing, FG_CONTROL_ITEM_FIELD_opens);
    uint64_t closes = wanted_time(values, existing, FG_CONTROL_ITEM_FIELD_closes);
    char from[FG_TEXT_TIME_SIZE], until[FG_TEXT_TIME_SIZE];

    if (!values->given[FG_CONTROL_ITEM_FIELD_opens] && !values->given[FG_CONTROL_ITEM_FIELD_closes])
        return true;
    if (closes == 0 || closes > opens)
        return true;
    fg_text_time(from, opens);
    fg_text_time(until, closes);
    return fg_fail(err, "closes at %s, which is not after it opens, %s", until, from);
}

/* The draw of a catalogue that is imported again has been: it ended the setting. */
static void drop_past_draw(json_t *body, const struct fg_values *values, const json_t *existing)
{
    uint64_t opens_ms = wanted_time(values, existing, FG_CONTROL_ITEM_FIELD_opens);

    if (opens_ms && opens_ms <= fg_now_ms() && values->number[FG_CONTROL_ITEM_FIELD_lottery])
        json_object_del(body, fg_control_item_fields[FG_CONTROL_ITEM_FIELD_lottery].name);
}

/* Leaves in the body what differs from what is there. */
static void drop_equal(json_t *body, const json_t *existing)
{
    for (unsigned i = 0; i < FG_CONTROL_ITEM_FIELDS; i++) {
        json_t *wanted = json_object_get(body, fg_control_item_fields[i].name);

        if (wanted && json_equal(wanted, json_object_get(existing, answer_name(i))))
            json_object_del(body, fg_control_item_fields[i].name);
    }
}

/* The fields that the plan changes, as they are. */
static json_t *seen_of(const struct fg_plan *plan, const json_t *existing)
{
    json_t *seen = json_object();

    for (unsigned i = 0; i < FG_CONTROL_ITEM_FIELDS; i++)
        if (json_object_get(plan->body, fg_control_item_fields[i].name) ||
            (i == FG_CONTROL_ITEM_FIELD_total && plan->units))
            json_object_set(seen, fg_control_item_fields[i].name,
                            json_object_get(existing, answer_name(i)));
    return seen;
}

static bool plan_units(const struct fg_values *values, const json_t *existing, struct fg_plan *plan,
                       struct fg_error *err)
{
    int64_t total = json_integer_value(json_object_get(existing, "total"));
    int64_t available = json_integer_value(json_object_get(existing, "available"));

    plan->total = values->number[FG_CONTROL_ITEM_FIELD_total];
    plan->units = (int64_t)plan->total - total;
    if (plan->units < -available)
        return fg_fail(err,
                       "%" PRIu64 " cannot be reached: item %" PRIu64 " has %" PRId64
                       " units, and only %" PRId64 " of them are free",
                       values->number[FG_CONTROL_ITEM_FIELD_total], plan->item, total, available);
    return true;
}

bool fg_plan_make(const struct fg_values *values, const json_t *existing, struct fg_plan *plan,
                  unsigned *field, struct fg_error *err)
{
    plan->item = values->number[FG_CONTROL_ITEM_FIELD_item];
    plan->create = !existing;
    *field = FG_CONTROL_ITEM_FIELD_closes;
    if (!check_times(values, existing, err))
        return false;
    *field = FG_CONTROL_ITEM_FIELD_total;
    if (existing && values->given[FG_CONTROL_ITEM_FIELD_total] &&
        !plan_units(values, existing, plan, err))
        return false;
    plan->body = fg_values_json(values);
    if (existing) {
        json_object_del(plan->body, "item");
        json_object_del(plan->body, "total");
        drop_equal(plan->body, existing);
        drop_past_draw(plan->body, values, existing);
        plan->seen = seen_of(plan, existing);
    }
    if (json_object_size(plan->body) == 0) {
        json_decref(plan->body);
        plan->body = NULL;
    }
    return true;
}

/* Names the state that it was decided by; the daemon refuses it when that state has changed. */
static json_t *change_of(const struct fg_plan *plan)
{
    json_t *change = plan->body ? json_copy(plan->body) : json_object();

    if (plan->units)
        json_object_set_new(change, "total", json_integer((json_int_t)plan->total));
    json_object_set(change, "if", plan->seen);
    return change;
}

int fg_plan_run(struct fg_cli *cli, const struct fg_plan *plan, json_t **reply,
                struct fg_error *err)
{
    json_t *body;
    char path[64];

    *reply = NULL;
    if (plan->create) {
        body = json_copy(plan->body);
        json_object_set_new(body, "if", json_pack("{s:b}", "exists", 0));
        return fg_request_quiet(cli, "POST", "/v1/items", body, reply, err);
    }
    snprintf(path, sizeof(path), "/v1/items/%" PRIu64, plan->item);
    return fg_request_quiet(cli, "PATCH", path, change_of(plan), reply, err);
}

void fg_plan_print(FILE *out, const struct fg_plan *plan)
{
    char *body = plan->body ? json_dumps(plan->body, JSON_COMPACT) : NULL;

    if (body)
        fprintf(out, "%s item %" PRIu64 ": %s\n", plan->create ? "create" : "change", plan->item,
                body);
    if (plan->units)
        fprintf(out, "%s item %" PRIu64 ": %" PRId64 " units\n",
                plan->units > 0 ? "add to" : "take from", plan->item,
                plan->units > 0 ? plan->units : -plan->units);
    free(body);
}

void fg_plan_free(struct fg_plan *plan)
{
    json_decref(plan->body);
    json_decref(plan->seen);
    plan->body = plan->seen = NULL;
}
