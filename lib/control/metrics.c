/* SPDX-License-Identifier: BSD-3-Clause */
/* /metrics: status, counters and items for Prometheus. docs/operation.md lists the families. */
#include <inttypes.h>

#include "control/internal.h"

#define ITEMS_MAX 1000 /* with samples of their own: bounds the size of a scrape */

static void add_part(struct fg_samples *samples, const char *family, const char *item, const char *state,
                     uint64_t value)
{
    char labels[128] = "";

    fg_label_add(labels, sizeof(labels), "item", item);
    fg_label_add(labels, sizeof(labels), "state", state);
    fg_samples_add(samples, family, labels, (double)value);
}

static void add_item(struct fg_samples *samples, const struct fg_ledger_item *item, uint64_t now_ms)
{
    char id[24], labels[256] = "";

    snprintf(id, sizeof(id), "%" PRIu64, item->item);
    add_part(samples, "floodgate_item_units", id, "available", item->available);
    add_part(samples, "floodgate_item_units", id, "reserved", item->reserved);
    add_part(samples, "floodgate_item_units", id, "sold", item->sold);
    add_part(samples, "floodgate_item_orders", id, "reserved", item->orders_reserved);
    add_part(samples, "floodgate_item_orders", id, "sold", item->orders_sold);
    add_part(samples, "floodgate_item_orders", id, "cancelled", item->orders_cancelled);
    add_part(samples, "floodgate_item_orders", id, "expired", item->orders_expired);
    fg_label_add(labels, sizeof(labels), "item", id);
    fg_label_add(labels, sizeof(labels), "name", item->name);
    fg_label_add(labels, sizeof(labels), "state", fg_item_state(item, now_ms));
    fg_samples_add(samples, "floodgate_item_info", labels, 1);
}

static void add_items(struct fg_samples *samples, struct fg_control *control)
{
    uint64_t count, all = 0, now_ms = fg_now_ms();
    struct fg_ledger_item *items = fg_items_copy(control, 0, ITEMS_MAX, &count, &all);

    for (uint64_t i = 0; items && i < count; i++)
        add_item(samples, &items[i], now_ms);
    free(items);
    fg_samples_add(samples, "floodgate_items", "", (double)all);
    fg_samples_add(samples, "floodgate_items_omitted", "", (double)(all - count));
}

void fg_handle_metrics(struct fg_call *call)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    struct fg_samples *samples = fg_samples_create();
    char reason[256];
    json_t *json;

    if (!samples)
        return;
    json = daemon->status(daemon->ctx);
    fg_samples_walk(samples, "floodgate", "", json);
    json_decref(json);
    json = daemon->stats(daemon->ctx);
    fg_samples_walk(samples, "floodgate", "", json);
    json_decref(json);
    fg_samples_add(samples, "floodgate_healthy", "", daemon->health(daemon->ctx, reason) == 0);
    add_items(samples, call->control);
    call->code = 200;
    call->text = fg_samples_text(samples);
}
