/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The settings of items at a member of a fleet (docs/fleet.md): what etcd has is applied by the
 * same commands as those of the operator of a single appliance, by the thread `fg-fleet-items`.
 * What the operator changes goes to etcd first.
 */
#include "daemon.h"

#include <string.h>

#include "base/diag.h"
#include "base/thread.h"
#include "control/fields.h"

#define IDLE_MS    100
#define APPLIED_MS 3000 /* until a member that did not apply a change is named */

_Static_assert(FG_FLEET_NAME_MAX == FG_JOURNAL_ITEM_NAME_MAX, "the same names");

/* ---- applying -------------------------------------------------------------------------------- */

static bool in_range(unsigned field, uint64_t number)
{
    return number >= fg_control_item_fields[field].min &&
           number <= fg_control_item_fields[field].max;
}

/* Another program may have written them. */
static bool are_sane(uint64_t item, const struct fg_fleet_settings *s)
{
    return in_range(FG_CONTROL_ITEM_FIELD_item, item) &&
           in_range(FG_CONTROL_ITEM_FIELD_opens, s->opens_ms) &&
           in_range(FG_CONTROL_ITEM_FIELD_closes, s->closes_ms) &&
           in_range(FG_CONTROL_ITEM_FIELD_hold_ms, s->hold_ms) &&
           in_range(FG_CONTROL_ITEM_FIELD_user_limit, s->user_limit) &&
           in_range(FG_CONTROL_ITEM_FIELD_order_max, s->order_max) &&
           fg_control_item_name_valid(s->name);
}

/* A member of a fleet has no waiting lists. */
static struct fg_control_item to_item(const struct fg_fleet_listed *listed)
{
    const struct fg_fleet_settings *s = &listed->settings;
    struct fg_control_item item = {.item = listed->item,
                                   .opens_ms = s->opens_ms,
                                   .closes_ms = s->closes_ms,
                                   .hold_ms = s->hold_ms,
                                   .user_limit = s->user_limit,
                                   .order_max = s->order_max,
                                   .paused = s->paused,
                                   .retired = s->retired};

    memcpy(item.name, s->name, sizeof(item.name));
    return item;
}

static struct fg_fleet_settings from_item(const struct fg_control_item *item)
{
    struct fg_fleet_settings s = {.opens_ms = item->opens_ms,
                                  .closes_ms = item->closes_ms,
                                  .hold_ms = item->hold_ms,
                                  .user_limit = item->user_limit,
                                  .order_max = item->order_max,
                                  .paused = item->paused,
                                  .retired = item->retired};

    memcpy(s.name, item->name, sizeof(s.name));
    return s;
}

static void apply(struct fg_daemon *d, const struct fg_fleet_listed *listed)
{
    struct fg_member_catalogue *mc = fg_member_catalogue(d->fleet.member);
    const struct fg_control_item item = to_item(listed);
    struct fg_error err = {""};

    if (!are_sane(listed->item, &listed->settings))
        fg_fail(&err, "a setting is out of range: another program wrote it");
    else if (d->fleet.apply_item(d, &item, &err) == FG_CONTROL_DONE)
        err.text[0] = 0;
    fg_member_catalogue_result(mc, listed, err.text[0] ? err.text : NULL);
}

static void *run(void *arg)
{
    struct fg_daemon *d = arg;
    struct fg_member_catalogue *mc = fg_member_catalogue(d->fleet.member);
    struct fg_fleet_listed listed;

    while (!atomic_load(&d->fleet.quit)) {
        if (atomic_load(&d->journal_thread.mode) != FG_STOCK_RUNNING)
            fg_clock_sleep_us(1000); /* it may not sell yet: no worker takes a command */
        else if (fg_member_catalogue_next(mc, IDLE_MS, &listed))
            apply(d, &listed);
    }
    return NULL;
}

bool fg_catalogue_start(struct fg_daemon *d, fg_catalogue_apply *apply_item, struct fg_error *err)
{
    d->fleet.apply_item = apply_item;
    if (!d->fleet.member)
        return true;
    d->fleet.applies = fg_thread_start(&d->fleet.items_thread, "fg-fleet-items", run, d);
    return d->fleet.applies || fg_fail(err, "cannot start the thread of the fleet's catalogue");
}

void fg_catalogue_stop(struct fg_daemon *d)
{
    atomic_store(&d->fleet.quit, true);
    if (d->fleet.applies)
        pthread_join(d->fleet.items_thread, NULL);
    d->fleet.applies = false;
}

/* ---- the operator ---------------------------------------------------------------------------- */

uint64_t fg_catalogue_version(void *ctx, uint64_t item)
{
    struct fg_daemon *d = ctx;
    struct fg_fleet_listed listed = {0};

    if (d->fleet.member)
        fg_member_catalogue_item(fg_member_catalogue(d->fleet.member), item, &listed);
    return listed.applied;
}

enum fg_control_result fg_catalogue_set(struct fg_daemon *d, const struct fg_control_item *item,
                                        uint32_t *behind, struct fg_error *err)
{
    struct fg_member_catalogue *mc = fg_member_catalogue(d->fleet.member);
    struct fg_fleet_settings settings = from_item(item);
    int64_t revision;

    switch (fg_member_catalogue_publish(mc, item->item, item->version, &settings, &revision, err)) {
    case FG_MEMBER_PUBLISHED:
        break;
    case FG_MEMBER_CONFLICT:
        return FG_CONTROL_CONFLICT;
    case FG_MEMBER_UNPUBLISHED:
        return FG_CONTROL_UNAVAILABLE;
    }
    *behind = fg_member_catalogue_wait(mc, item->item, settings.version, revision, APPLIED_MS);
    if (!(*behind & 1u << d->config.fleet.member))
        return FG_CONTROL_DONE;
    fg_fail(err,
            "version %llu of the settings is in etcd, and this member has not applied it yet; "
            "check before you repeat it",
            (unsigned long long)settings.version);
    return FG_CONTROL_UNAVAILABLE;
}
