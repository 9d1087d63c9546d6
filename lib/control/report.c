/* SPDX-License-Identifier: BSD-3-Clause */
/* /metrics, /v1/stats and /v1/status: the sheet of the daemon, and for metrics the items. */
#include <inttypes.h>

#include "base/json.h"
#include "control/item_json.h"
#include "control/prometheus.h"
#include "control/report.h"

#define ITEMS_MAX 1000 /* with metrics of their own: bounds the size of a scrape */

static void add_item(struct fg_control_sheet *sheet, const struct fg_ledger_item *item,
                     uint64_t now_ms)
{
    char id[24];

    snprintf(id, sizeof(id), "%" PRIu64, item->item);
    fg_control_sheet_say(sheet, FG_CONTROL_items_name, id, item->name);
    fg_control_sheet_say(sheet, FG_CONTROL_items_state, id, fg_control_item_state(item, now_ms));
    fg_control_sheet_part(sheet, FG_CONTROL_items_units, id, "available", item->available);
    fg_control_sheet_part(sheet, FG_CONTROL_items_units, id, "reserved", item->reserved);
    fg_control_sheet_part(sheet, FG_CONTROL_items_units, id, "sold", item->sold);
    fg_control_sheet_part(sheet, FG_CONTROL_items_units, id, "refunded", item->refunded);
    fg_control_sheet_set(sheet, FG_CONTROL_items_waiting, id, item->waiting);
    fg_control_sheet_part(sheet, FG_CONTROL_items_orders, id, "reserved", item->orders_reserved);
    fg_control_sheet_part(sheet, FG_CONTROL_items_orders, id, "sold", item->orders_sold);
    fg_control_sheet_part(sheet, FG_CONTROL_items_orders, id, "cancelled", item->orders_cancelled);
    fg_control_sheet_part(sheet, FG_CONTROL_items_orders, id, "expired", item->orders_expired);
    fg_control_sheet_part(sheet, FG_CONTROL_items_orders, id, "refunded", item->orders_refunded);
}

static void add_items(struct fg_control_sheet *sheet, struct fg_control *control)
{
    uint64_t count, all = 0, now_ms = fg_control_now_ms(control);
    struct fg_ledger_item *items = fg_control_items_copy(control, 0, ITEMS_MAX, true, &count, &all);

    for (uint64_t i = 0; items && i < count; i++)
        add_item(sheet, &items[i], now_ms);
    free(items);
    fg_control_sheet_set(sheet, FG_CONTROL_items_count, NULL, all);
    fg_control_sheet_set(sheet, FG_CONTROL_items_omitted, NULL, all - count);
}

/* A handler without a sheet answers 500. */
struct fg_control_sheet *fg_control_measure_now(struct fg_control *control)
{
    struct fg_control_sheet *sheet = fg_control_sheet_create();

    if (sheet)
        control->daemon.measure(control->daemon.ctx, sheet);
    if (sheet && !fg_control_sheet_complete(sheet)) {
        fg_control_sheet_destroy(sheet);
        return NULL;
    }
    return sheet;
}

void fg_control_handle_metrics(struct fg_control_call *call)
{
    struct fg_control_sheet *sheet = fg_control_measure_now(call->control);

    if (!sheet)
        return;
    add_items(sheet, call->control);
    call->code = 200;
    call->text = fg_control_prometheus(sheet);
    fg_control_sheet_destroy(sheet);
}

void fg_control_handle_stats(struct fg_control_call *call)
{
    struct fg_control_sheet *sheet = fg_control_measure_now(call->control);

    if (sheet)
        fg_control_call_reply(call, 200, fg_control_sheet_stats(sheet));
    fg_control_sheet_destroy(sheet);
}

static void add_alarm(void *list, const char *name, enum fg_health_level level, const char *text)
{
    if (level)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o}", "name", name, "level",
                                        fg_health_level_name(level), "text", fg_json_text(text)));
}

static json_t *alarms_raised(struct fg_health *health)
{
    json_t *list = json_array();

    fg_health_each(health, add_alarm, list);
    return list;
}

void fg_control_handle_status(struct fg_control_call *call)
{
    struct fg_control *control = call->control;
    struct fg_control_sheet *sheet = fg_control_measure_now(call->control);
    struct fg_health_answer verdict;
    json_t *status;

    if (!sheet)
        return;
    status = fg_control_sheet_status(sheet);
    fg_control_sheet_destroy(sheet);
    verdict = control->daemon.health(control->daemon.ctx);
    json_object_set_new(status, "reason", fg_json_text(verdict.reason));
    json_object_set_new(status, "alarms", alarms_raised(control->daemon.alarms));
    json_object_set_new(status, "time_ms", json_integer((json_int_t)fg_control_now_ms(control)));
    if (control->path[0])
        json_object_set_new(status, "api",
                            json_pack("{s:s, s:i}", "socket", control->path, "version", 1));
    fg_control_call_reply(call, 200, status);
}
