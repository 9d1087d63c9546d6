/* SPDX-License-Identifier: BSD-3-Clause */
/* What has to be sent to turn an item as it is into the item as it is wanted: `item set` and
 * import. */
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

/* Leaves in the body what differs from what is there. */
static void drop_equal(json_t *body, const json_t *existing)
{
    for (unsigned i = 0; i < FG_CONTROL_ITEM_FIELDS; i++) {
        json_t *wanted = json_object_get(body, fg_control_item_fields[i].name);

        if (wanted && json_equal(wanted, json_object_get(existing, answer_name(i))))
            json_object_del(body, fg_control_item_fields[i].name);
    }
}

static bool plan_units(const struct fg_values *values, const json_t *existing, struct fg_plan *plan,
                       struct fg_error *err)
{
    int64_t total = json_integer_value(json_object_get(existing, "total"));
    int64_t available = json_integer_value(json_object_get(existing, "available"));

    plan->units = (int64_t)values->number[FG_CONTROL_ITEM_FIELD_total] - total;
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
    }
    if (json_object_size(plan->body) == 0) {
        json_decref(plan->body);
        plan->body = NULL;
    }
    return true;
}

static int send_units(struct fg_cli *cli, const struct fg_plan *plan, json_t **reply,
                      struct fg_error *err)
{
    char path[64];
    json_int_t units = plan->units > 0 ? plan->units : -plan->units;

    snprintf(path, sizeof(path), "/v1/items/%" PRIu64 "/stock", plan->item);
    return fg_request_quiet(cli, "POST", path,
                            json_pack("{s:I}", plan->units > 0 ? "add" : "remove", units), reply,
                            err);
}

int fg_plan_run(struct fg_cli *cli, const struct fg_plan *plan, json_t **reply,
                struct fg_error *err)
{
    int code = FG_EXIT_OK;
    char path[64];

    *reply = NULL;
    snprintf(path, sizeof(path), "/v1/items/%" PRIu64, plan->item);
    if (plan->create)
        return fg_request_quiet(cli, "POST", "/v1/items", json_incref(plan->body), reply, err);
    if (plan->body)
        code = fg_request_quiet(cli, "PATCH", path, json_incref(plan->body), reply, err);
    if (code == FG_EXIT_OK && plan->units) {
        json_decref(*reply);
        code = send_units(cli, plan, reply, err);
        if (code != FG_EXIT_OK && plan->body) {
            struct fg_error why = *err;

            fg_fail(err, "the settings were changed, the units were not: %.400s", why.text);
        }
    } else if (!plan->body) {
        code = fg_request_quiet(cli, "GET", path, NULL, reply, err);
    }
    return code;
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
    plan->body = NULL;
}
