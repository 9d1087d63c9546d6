/* SPDX-License-Identifier: BSD-3-Clause */
/* Items: list, create, change, stock. Each change returns when it is durable, in force, and to be
 * read. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "control/fleet.h"
#include "control/item_json.h"
#include "control/items.h"

static bool same_settings(const struct fg_control_item *a, const struct fg_control_item *b)
{
    return strcmp(a->name, b->name) == 0 && a->opens_ms == b->opens_ms &&
           a->closes_ms == b->closes_ms && a->hold_ms == b->hold_ms &&
           a->user_limit == b->user_limit && a->order_max == b->order_max &&
           a->paused == b->paused && a->retired == b->retired && a->waitlist == b->waitlist &&
           a->claim_ms == b->claim_ms && a->wait_ttl_ms == b->wait_ttl_ms &&
           a->one_unit == b->one_unit && a->lottery == b->lottery;
}

/* The ledger follows the log a moment later. Waiting for it lets the next request see this change,
 * which an import that computes differences of totals relies on. In a fleet the total of an item
 * moves by leases and returns meanwhile; its stock does not. */
static void reply_settled(struct fg_control_call *call, unsigned code,
                          const struct fg_control_item *settings, int64_t stock, bool changed)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct fg_ledger_item item = {0};
    struct fg_control_item seen;
    bool there = false, settled = false;
    json_t *json;

    for (int waited_ms = 0; !settled && waited_ms < FG_CONTROL_SETTLE_MS; waited_ms++) {
        if (waited_ms)
            nanosleep(&pause, NULL);
        there = fg_control_item_copy(call->control, settings->item, &item);
        fg_control_item_settings(&item, &seen);
        settled = there && fg_ledger_item_stock(&item) == stock && same_settings(&seen, settings);
    }
    json = there ? fg_control_item_json(&item, fg_control_now_ms(call->control))
                 : json_pack("{s:o}", "item", fg_json_id(settings->item));
    if (!settled)
        json_object_set_new(json, "lagging", json_true());
    json_object_set_new(json, "changed", json_boolean(changed));
    if (call->behind)
        json_object_set_new(json, "behind", fg_control_members_json(call->behind));
    fg_control_call_reply(call, code, json);
}

static bool load_item(struct fg_control_call *call, struct fg_ledger_item *item)
{
    uint64_t number;

    if (!fg_control_call_item(call, &number))
        return false;
    if (!fg_control_item_copy(call->control, number, item))
        return fg_control_call_fail(call, 404, NULL, "no item %" PRIu64, number);
    return true;
}

/* Before the settings are read: then none is overwritten that came meanwhile. */
static void load_version(struct fg_control_call *call, uint64_t item)
{
    const struct fg_control_daemon *daemon = &call->control->daemon;

    call->version = daemon->item_version ? daemon->item_version(daemon->ctx, item) : 0;
}

/* The present item, with every earlier change. One thread changes items. */
static bool load_fresh(struct fg_control_call *call, struct fg_ledger_item *item)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    struct fg_error err = {""};
    uint64_t number;

    if (!daemon->up_to_date(daemon->ctx, &err))
        return fg_control_call_result(call, FG_CONTROL_UNAVAILABLE, &err);
    if (fg_control_call_item(call, &number))
        load_version(call, number);
    return load_item(call, item);
}

static uint64_t number_of(const struct fg_ledger_item *item, unsigned field)
{
    struct fg_control_item settings;

    fg_control_item_settings(item, &settings);
    switch (field) {
    case FG_CONTROL_ITEM_FIELD_item:
        return item->item;
    case FG_CONTROL_ITEM_FIELD_total:
        return item->total;
    case FG_CONTROL_ITEM_FIELD_user_limit:
        return item->user_limit;
    case FG_CONTROL_ITEM_FIELD_order_max:
        return item->order_max;
    case FG_CONTROL_ITEM_FIELD_hold_ms:
        return item->hold_ms;
    case FG_CONTROL_ITEM_FIELD_opens:
        return item->opens_ms;
    case FG_CONTROL_ITEM_FIELD_closes:
        return item->closes_ms;
    case FG_CONTROL_ITEM_FIELD_paused:
        return (item->flags & FG_JOURNAL_ITEM_PAUSED) != 0;
    case FG_CONTROL_ITEM_FIELD_retired:
        return (item->flags & FG_JOURNAL_ITEM_RETIRED) != 0;
    case FG_CONTROL_ITEM_FIELD_waitlist:
        return settings.waitlist;
    case FG_CONTROL_ITEM_FIELD_claim_ms:
        return settings.claim_ms;
    case FG_CONTROL_ITEM_FIELD_wait_ttl_ms:
        return settings.wait_ttl_ms;
    case FG_CONTROL_ITEM_FIELD_one_unit:
        return settings.one_unit;
    case FG_CONTROL_ITEM_FIELD_lottery:
        return settings.lottery;
    }
    FG_ASSERT(!"a field with a number");
    return 0;
}

/* A condition that does not hold: another change was faster. */
static bool lost_race(struct fg_control_call *call, const struct fg_ledger_item *item,
                      unsigned field, const struct fg_control_item_values *wanted)
{
    const char *name = fg_control_item_fields[field].name;

    if (field == FG_CONTROL_ITEM_FIELD_name)
        return fg_control_call_fail(call, 412, name,
                                    "item %" PRIu64 " was changed meanwhile: its name is \"%s\", "
                                    "not \"%.32s\"; nothing was changed",
                                    item->item, item->name, wanted->name);
    return fg_control_call_fail(call, 412, name,
                                "item %" PRIu64 " was changed meanwhile: its %s is %" PRIu64
                                ", not %" PRIu64 "; nothing was changed",
                                item->item, name, number_of(item, field), wanted->number[field]);
}

/* Takes "if" out of the body: fields of the item as the caller saw them. */
static bool conditions_hold(struct fg_control_call *call, const struct fg_ledger_item *item)
{
    json_t *conditions = json_incref(json_object_get(call->body, "if"));
    struct fg_control_item_values wanted;
    bool hold = true;

    if (!conditions)
        return true;
    json_object_del(call->body, "if");
    if (!json_is_object(conditions))
        hold = fg_control_call_fail(call, 400, "if", "if: must be an object of fields of the item");
    hold = hold && fg_control_object_item(call, conditions, &wanted);
    for (unsigned i = 0; hold && i < FG_CONTROL_ITEM_FIELDS; i++) {
        if (!wanted.given[i])
            continue;
        if (i == FG_CONTROL_ITEM_FIELD_name ? strcmp(item->name, wanted.name) != 0
                                            : number_of(item, i) != wanted.number[i])
            hold = lost_race(call, item, i, &wanted);
    }
    json_decref(conditions);
    return hold;
}

static bool item_set(struct fg_control_call *call, const struct fg_control_item *settings,
                     bool must_exist)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    struct fg_control_item wanted = *settings;
    struct fg_error err = {""};

    wanted.version = call->version;
    return fg_control_call_result(
        call, daemon->item_set(daemon->ctx, &wanted, must_exist, &call->behind, &err), &err);
}

void fg_control_handle_items(struct fg_control_call *call)
{
    uint64_t count, all = 0, now_ms = fg_control_now_ms(call->control);
    struct fg_ledger_item *items = fg_control_items_copy(call->control, call->offset, call->limit,
                                                         call->retired, &count, &all);
    json_t *list = json_array();

    for (uint64_t i = 0; items && i < count; i++)
        json_array_append_new(list, fg_control_item_json(&items[i], now_ms));
    if (items)
        fg_control_call_reply(call, 200,
                              json_pack("{s:o, s:I, s:I, s:I}", "items", list, "count",
                                        (json_int_t)all, "offset", (json_int_t)call->offset,
                                        "limit", (json_int_t)call->limit));
    else
        json_decref(list);
    free(items);
}

void fg_control_handle_item(struct fg_control_call *call)
{
    struct fg_ledger_item item;

    if (load_item(call, &item))
        fg_control_call_reply(call, 200,
                              fg_control_item_json(&item, fg_control_now_ms(call->control)));
}

/* A sale that was to open later must not: else it would be "not open" again in the eyes of a
 * shopper. */
static void step_close(struct fg_control_item *settings, uint64_t now_ms)
{
    settings->closes_ms = now_ms;
    if (settings->opens_ms > settings->closes_ms)
        settings->opens_ms = settings->closes_ms;
}

static bool fail_retired(struct fg_control_call *call, uint64_t item, const char *field)
{
    return fg_control_call_fail(call, 409, field,
                                "item %" PRIu64 " is retired: its sale has ended; {\"retired\": "
                                "false} brings it back",
                                item);
}

/* An item that is not listed must not be on sale: its sale ends, and no time may be set. */
static bool retire(struct fg_control_call *call, const struct fg_control_item_values *values,
                   struct fg_control_item *settings)
{
    uint64_t now_ms = fg_control_now_ms(call->control);

    if (values->given[FG_CONTROL_ITEM_FIELD_opens] || values->given[FG_CONTROL_ITEM_FIELD_closes])
        return fail_retired(call, settings->item,
                            values->given[FG_CONTROL_ITEM_FIELD_opens] ? "opens" : "closes");
    if (settings->closes_ms == 0 || settings->closes_ms > now_ms)
        step_close(settings, now_ms);
    return true;
}

static void merge_line(const struct fg_control_item_values *values,
                       struct fg_control_item *settings)
{
    const uint64_t *number = values->number;
    const bool *given = values->given;

    if (given[FG_CONTROL_ITEM_FIELD_waitlist])
        settings->waitlist = (uint32_t)number[FG_CONTROL_ITEM_FIELD_waitlist];
    if (given[FG_CONTROL_ITEM_FIELD_claim_ms])
        settings->claim_ms = (uint32_t)number[FG_CONTROL_ITEM_FIELD_claim_ms];
    if (given[FG_CONTROL_ITEM_FIELD_wait_ttl_ms])
        settings->wait_ttl_ms = (uint32_t)number[FG_CONTROL_ITEM_FIELD_wait_ttl_ms];
    if (given[FG_CONTROL_ITEM_FIELD_one_unit])
        settings->one_unit = number[FG_CONTROL_ITEM_FIELD_one_unit];
    if (given[FG_CONTROL_ITEM_FIELD_lottery])
        settings->lottery = number[FG_CONTROL_ITEM_FIELD_lottery];
}

/* Takes what the body gave into the settings. */
static bool merge(struct fg_control_call *call, const struct fg_control_item_values *values,
                  struct fg_control_item *settings)
{
    const uint64_t *number = values->number;
    const bool *given = values->given;

    if (given[FG_CONTROL_ITEM_FIELD_name])
        snprintf(settings->name, sizeof(settings->name), "%s", values->name);
    if (given[FG_CONTROL_ITEM_FIELD_user_limit])
        settings->user_limit = (uint32_t)number[FG_CONTROL_ITEM_FIELD_user_limit];
    if (given[FG_CONTROL_ITEM_FIELD_order_max])
        settings->order_max = (uint16_t)number[FG_CONTROL_ITEM_FIELD_order_max];
    if (given[FG_CONTROL_ITEM_FIELD_hold_ms])
        settings->hold_ms = (uint32_t)number[FG_CONTROL_ITEM_FIELD_hold_ms];
    if (given[FG_CONTROL_ITEM_FIELD_opens])
        settings->opens_ms = number[FG_CONTROL_ITEM_FIELD_opens];
    if (given[FG_CONTROL_ITEM_FIELD_closes])
        settings->closes_ms = number[FG_CONTROL_ITEM_FIELD_closes];
    if (given[FG_CONTROL_ITEM_FIELD_paused])
        settings->paused = number[FG_CONTROL_ITEM_FIELD_paused];
    if (given[FG_CONTROL_ITEM_FIELD_retired])
        settings->retired = number[FG_CONTROL_ITEM_FIELD_retired];
    merge_line(values, settings);
    if (settings->retired && !retire(call, values, settings))
        return false;
    if ((given[FG_CONTROL_ITEM_FIELD_opens] || given[FG_CONTROL_ITEM_FIELD_closes]) &&
        settings->closes_ms && settings->closes_ms <= settings->opens_ms)
        return fg_control_call_fail(call, 400, "closes",
                                    "closes: %" PRIu64 " is not after opens, %" PRIu64,
                                    settings->closes_ms, settings->opens_ms);
    return true;
}

static bool is_member(const struct fg_control_call *call)
{
    const struct fg_control_daemon *daemon = &call->control->daemon;
    struct fg_control_fleet fleet;

    return daemon->fleet && daemon->fleet(daemon->ctx, &fleet);
}

/* The item is there and its units are not: the reply has to say so, and what to do. */
static void fail_half_created(struct fg_control_call *call, uint64_t item, uint64_t total,
                              enum fg_control_result result, const struct fg_error *err)
{
    bool unsure = result == FG_CONTROL_UNAVAILABLE;

    fg_control_call_result(call, result, err);
    fg_control_call_fail(call, call->code, "total",
                         "item %" PRIu64 " was created, but its %" PRIu64
                         " units were %s added: %s; %s"
                         "POST /v1/items/%" PRIu64 "/stock adds them",
                         item, total, unsure ? "perhaps not" : "not", err->text,
                         !unsure           ? ""
                         : is_member(call) ? "check its units in the pool and at all members "
                                             "first (fgctl fleet status), then "
                                           : "check its total first, then ",
                         item);
}

/* Who knows that there is no such item says so by {"if": {"exists": false}}. */
static bool may_create(struct fg_control_call *call)
{
    json_t *conditions = json_object_get(call->body, "if"),
           *exists = json_object_get(conditions, "exists");
    uint64_t number = 0;

    if (!conditions)
        return true;
    if (json_object_size(conditions) != 1 || !json_is_false(exists))
        return fg_control_call_fail(call, 400, "if", "if: must be {\"exists\": false}");
    json_object_del(call->body, "if");
    if (fg_json_id_read(json_object_get(call->body, "item"), &number) &&
        fg_control_item_copy(call->control, number, &(struct fg_ledger_item){0}))
        return fg_control_call_fail(
            call, 412, "item",
            "item %" PRIu64 " was created meanwhile: it exists already; nothing was changed",
            number);
    return true;
}

/* In a fleet the others may be told of a new item without units, too: they have it already. */
static bool is_told_again(struct fg_control_call *call, const struct fg_control_item *settings,
                          uint64_t total, int64_t *stock)
{
    struct fg_control_item there;
    struct fg_ledger_item item;

    if (!is_member(call) || total || !fg_control_item_copy(call->control, settings->item, &item))
        return false;
    fg_control_item_settings(&item, &there);
    *stock = fg_ledger_item_stock(&item);
    return same_settings(&there, settings);
}

void fg_control_handle_item_create(struct fg_control_call *call)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    struct fg_control_item settings;
    enum fg_control_result result = FG_CONTROL_DONE;
    struct fg_control_item_values values;
    struct fg_error err = {""};
    uint64_t total;
    int64_t stock;

    if (!may_create(call) || !fg_control_body_item(call, &values))
        return;
    fg_control_item_settings(&(struct fg_ledger_item){0}, &settings);
    settings.hold_ms = (uint32_t)fg_control_item_fields[FG_CONTROL_ITEM_FIELD_hold_ms].initial;
    settings.order_max = (uint16_t)fg_control_item_fields[FG_CONTROL_ITEM_FIELD_order_max].initial;
    settings.item = values.number[FG_CONTROL_ITEM_FIELD_item];
    if (!merge(call, &values, &settings))
        return;
    if (!values.given[FG_CONTROL_ITEM_FIELD_item]) {
        fg_control_call_fail(call, 400, "item", "item: missing");
        return;
    }
    total = values.number[FG_CONTROL_ITEM_FIELD_total];
    if (is_told_again(call, &settings, total, &stock)) {
        reply_settled(call, 201, &settings, stock, false);
        return;
    }
    load_version(call, settings.item);
    if (!item_set(call, &settings, false))
        return;
    if (total)
        result = daemon->stock_add(daemon->ctx, settings.item, (int64_t)total, &err);
    if (result == FG_CONTROL_DONE)
        reply_settled(call, 201, &settings, (int64_t)total, true);
    else
        fail_half_created(call, settings.item, total, result, &err);
}

/* False after an error in the call: the units are not free. */
static bool total_is_possible(struct fg_control_call *call, const struct fg_ledger_item *item,
                              uint64_t total)
{
    if (total >= item->total || item->total - total <= item->available)
        return true;
    return fg_control_call_fail(call, 409, "total",
                                "total: %" PRIu64 " cannot be reached: item %" PRIu64
                                " has %" PRIu64 " units, and only %" PRIu64
                                " of them are free; nothing was changed",
                                total, item->item, item->total, item->available);
}

static bool set_total(struct fg_control_call *call, const struct fg_ledger_item *item,
                      uint64_t total, bool settings_changed)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    struct fg_error err = {""}, why;
    enum fg_control_result result;

    if (total == item->total)
        return true;
    result =
        daemon->stock_add(daemon->ctx, item->item, (int64_t)total - (int64_t)item->total, &err);
    if (result != FG_CONTROL_DONE && settings_changed) {
        why = err;
        fg_fail(&err, "the settings were changed, the units were not: %.400s", why.text);
    }
    return fg_control_call_result(call, result, &err);
}

/* The units of a fleet move between its members: a total that is set again, after units went to the
 * pool, would add those a second time. */
static bool may_set_total(struct fg_control_call *call)
{
    return !is_member(call) ||
           fg_control_call_fail(call, 409, "total",
                                "total: this appliance is a member of a fleet, whose units move "
                                "between its members: add or remove units instead; nothing was "
                                "changed");
}

/* The stock of the item after it was changed to this total. */
static int64_t stock_at(const struct fg_ledger_item *item, uint64_t total)
{
    return fg_ledger_item_stock(item) + (int64_t)total - (int64_t)item->total;
}

/* All that the body names is absolute; what is there already makes no record. */
void fg_control_handle_item_patch(struct fg_control_call *call)
{
    struct fg_control_item before, settings;
    struct fg_control_item_values values;
    struct fg_ledger_item item;
    uint64_t total;
    bool changed;

    if (!load_fresh(call, &item) || !conditions_hold(call, &item) ||
        !fg_control_body_item(call, &values))
        return;
    fg_control_item_settings(&item, &before);
    settings = before;
    total = values.given[FG_CONTROL_ITEM_FIELD_total] ? values.number[FG_CONTROL_ITEM_FIELD_total]
                                                      : item.total;
    if (values.given[FG_CONTROL_ITEM_FIELD_item]) {
        fg_control_call_fail(call, 400, "item", "item: an item keeps its number");
        return;
    }
    if (json_object_size(call->body) == 0) {
        fg_control_call_fail(call, 400, NULL, "body: nothing to change");
        return;
    }
    if ((values.given[FG_CONTROL_ITEM_FIELD_total] && !may_set_total(call)) ||
        !merge(call, &values, &settings) || !total_is_possible(call, &item, total))
        return;
    changed = !same_settings(&before, &settings);
    /* A repeat, too: what the log has may not be in force, if a command before this one was given
     * up. A fleet's members see to that by themselves. */
    if ((changed || (total == item.total && !is_member(call))) && !item_set(call, &settings, true))
        return;
    if (set_total(call, &item, total, changed))
        reply_settled(call, 200, &settings, stock_at(&item, total), changed || total != item.total);
}

static bool read_total(struct fg_control_call *call, const struct fg_ledger_item *item,
                       uint64_t *total)
{
    const char *key;
    json_t *value;
    uint64_t number = 0;

    if (json_object_size(call->body) != 1)
        return fg_control_call_fail(
            call, 400, NULL, "body: must be {\"add\": N}, {\"remove\": N} or {\"total\": N}");
    json_object_foreach (call->body, key, value) {
        bool add = strcmp(key, "add") == 0, absolute = strcmp(key, "total") == 0;

        if (!add && !absolute && strcmp(key, "remove") != 0)
            return fg_control_call_fail(
                call, 400, key, "unknown field \"%.64s\"; accepted: add, remove, total", key);
        if (!fg_control_body_number(call, key, value, absolute ? 0 : 1, FG_JOURNAL_UNITS_MAX,
                                    &number))
            return false;
        if (add && item->total + number > FG_JOURNAL_UNITS_MAX)
            return fg_control_call_fail(call, 409, "add",
                                        "add: item %" PRIu64 " has %" PRIu64
                                        " units; at most %d are possible",
                                        item->item, item->total, FG_JOURNAL_UNITS_MAX);
        if (absolute && !may_set_total(call))
            return false;
        if (absolute || add) {
            *total = absolute ? number : item->total + number;
            return !absolute || total_is_possible(call, item, number);
        }
        *total = item->total - number; /* below 0 it wraps: the engine refuses */
    }
    return true;
}

void fg_control_handle_item_stock(struct fg_control_call *call)
{
    struct fg_control_item settings;
    struct fg_ledger_item item;
    uint64_t total = 0;

    if (!load_fresh(call, &item) || !conditions_hold(call, &item) ||
        !read_total(call, &item, &total) || !set_total(call, &item, total, false))
        return;
    fg_control_item_settings(&item, &settings);
    reply_settled(call, 200, &settings, stock_at(&item, total), total != item.total);
}

/* Settings as they are, changed by one step. */
static void change(struct fg_control_call *call,
                   void (*step)(struct fg_control_item *settings, uint64_t now_ms))
{
    struct fg_control_item settings;
    struct fg_ledger_item item;

    if (!load_fresh(call, &item))
        return;
    fg_control_item_settings(&item, &settings);
    if (settings.retired) {
        fail_retired(call, item.item, NULL);
        return;
    }
    step(&settings, fg_control_now_ms(call->control));
    if (item_set(call, &settings, true))
        reply_settled(call, 200, &settings, fg_ledger_item_stock(&item), true);
}

static void step_open(struct fg_control_item *settings, uint64_t now_ms)
{
    settings->opens_ms = now_ms;
    settings->closes_ms = 0;
}

static void step_pause(struct fg_control_item *settings, uint64_t now_ms)
{
    settings->paused = true;
}

static void step_resume(struct fg_control_item *settings, uint64_t now_ms)
{
    settings->paused = false;
}

void fg_control_handle_item_open(struct fg_control_call *call)
{
    change(call, step_open);
}

void fg_control_handle_item_close(struct fg_control_call *call)
{
    change(call, step_close);
}

void fg_control_handle_item_pause(struct fg_control_call *call)
{
    change(call, step_pause);
}

void fg_control_handle_item_resume(struct fg_control_call *call)
{
    change(call, step_resume);
}
