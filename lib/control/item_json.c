/* SPDX-License-Identifier: BSD-3-Clause */
/* Items out of the ledger: copied under its lock, turned into JSON without it. */
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "control/item_json.h"

/* Strongest reason first: what would have to change before anything is sold. */
const char *fg_control_item_state(const struct fg_ledger_item *item, uint64_t now_ms)
{
    if (item->flags & FG_JOURNAL_ITEM_RETIRED)
        return "retired";
    if (item->closes_ms && now_ms >= item->closes_ms)
        return "closed";
    if (item->flags & FG_JOURNAL_ITEM_PAUSED)
        return "paused";
    if (now_ms < item->opens_ms)
        return "scheduled";
    return item->available ? "open" : "sold-out";
}

json_t *fg_control_time_json(uint64_t ms)
{
    char text[FG_TEXT_TIME_SIZE];

    if (ms == 0)
        return json_null();
    fg_text_time(text, ms);
    return json_string(text);
}

void fg_control_item_settings(const struct fg_ledger_item *item, struct fg_control_item *settings)
{
    const struct fg_control_item_field *fields = fg_control_item_fields;

    memset(settings, 0, sizeof(*settings));
    settings->item = item->item;
    memcpy(settings->name, item->name, sizeof(settings->name));
    settings->opens_ms = item->opens_ms;
    settings->closes_ms = item->closes_ms;
    settings->hold_ms = item->hold_ms;
    settings->user_limit = item->user_limit;
    settings->order_max = item->order_max;
    settings->paused = (item->flags & FG_JOURNAL_ITEM_PAUSED) != 0;
    settings->retired = (item->flags & FG_JOURNAL_ITEM_RETIRED) != 0;
    settings->waitlist = item->line_max;
    settings->claim_ms =
        item->claim_ms ? item->claim_ms : (uint32_t)fields[FG_CONTROL_ITEM_FIELD_claim_ms].initial;
    settings->wait_ttl_ms = item->wait_ttl_ms
                                ? item->wait_ttl_ms
                                : (uint32_t)fields[FG_CONTROL_ITEM_FIELD_wait_ttl_ms].initial;
    settings->one_unit = (item->line_flags & FG_JOURNAL_LINE_ONE_UNIT) != 0;
    settings->lottery = (item->line_flags & FG_JOURNAL_LINE_LOTTERY) != 0;
}

static void add_line(json_t *json, const struct fg_ledger_item *item)
{
    struct fg_control_item settings;

    fg_control_item_settings(item, &settings);
    json_object_set_new(json, "waitlist", json_integer(settings.waitlist));
    json_object_set_new(json, "claim_ms", json_integer(settings.claim_ms));
    json_object_set_new(json, "wait_ttl_ms", json_integer(settings.wait_ttl_ms));
    json_object_set_new(json, "one_unit", json_boolean(settings.one_unit));
    json_object_set_new(json, "lottery", json_boolean(settings.lottery));
    json_object_set_new(json, "waiting", json_integer((json_int_t)item->waiting));
    json_object_set_new(json, "tickets", json_integer((json_int_t)item->tickets));
}

json_t *fg_control_item_json(const struct fg_ledger_item *item, uint64_t now_ms)
{
    json_t *json = json_pack(
        "{s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:I, s:I, s:o, s:o, s:b, s:b, "
        "s:{s:I, s:I, s:I, s:I, s:I, s:I}}",
        "item", fg_json_id(item->item), "name", fg_json_text(item->name), "state",
        fg_control_item_state(item, now_ms), "total", (json_int_t)item->total, "available",
        (json_int_t)item->available, "reserved", (json_int_t)item->reserved, "sold",
        (json_int_t)item->sold, "refunded", (json_int_t)item->refunded, "user_limit",
        (json_int_t)item->user_limit, "order_max", (int)item->order_max, "hold_ms",
        (json_int_t)item->hold_ms, "opens_ms", (json_int_t)item->opens_ms, "closes_ms",
        (json_int_t)item->closes_ms, "opens", fg_control_time_json(item->opens_ms), "closes",
        fg_control_time_json(item->closes_ms), "paused",
        (item->flags & FG_JOURNAL_ITEM_PAUSED) != 0, "retired",
        (item->flags & FG_JOURNAL_ITEM_RETIRED) != 0, "orders", "reserved",
        (json_int_t)item->orders_reserved, "sold", (json_int_t)item->orders_sold, "cancelled",
        (json_int_t)item->orders_cancelled, "expired", (json_int_t)item->orders_expired, "refunded",
        (json_int_t)item->orders_refunded, "late", (json_int_t)item->orders_late);

    add_line(json, item);
    return json;
}

bool fg_control_item_copy(struct fg_control *control, uint64_t item, struct fg_ledger_item *copy)
{
    const struct fg_ledger *ledger = control->daemon.ledger_lock(control->daemon.ctx);
    const struct fg_ledger_item *found = fg_ledger_item(ledger, item);

    if (found)
        *copy = *found;
    control->daemon.ledger_unlock(control->daemon.ctx);
    return found != NULL;
}

struct fg_ledger_item *fg_control_items_copy(struct fg_control *control, uint64_t offset,
                                             uint64_t max, bool retired, uint64_t *count,
                                             uint64_t *all)
{
    struct fg_ledger_item *copies = malloc((max ? max : 1) * sizeof(*copies));
    const struct fg_ledger *ledger;

    *count = *all = 0;
    if (!copies)
        return NULL;
    ledger = control->daemon.ledger_lock(control->daemon.ctx);
    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++) {
        const struct fg_ledger_item *item = fg_ledger_item_at(ledger, i);

        if (item->flags & FG_JOURNAL_ITEM_RETIRED && !retired)
            continue;
        if ((*all)++ >= offset && *count < max)
            copies[(*count)++] = *item;
    }
    control->daemon.ledger_unlock(control->daemon.ctx);
    return copies;
}
