/* SPDX-License-Identifier: BSD-3-Clause */
#include "member/catalogue.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/diag.h"

#define ETCD_MS  3000 /* of a change, at all endpoints */
#define RETRY_MS 500  /* until settings that could not be applied are tried again */

struct fg_member_catalogue {
    unsigned member;
    char register_key[FG_FLEET_KEY_MAX];
    struct fg_arbiter *etcd; /* of the thread that publishes */
    pthread_mutex_t mutex;   /* of all below */
    pthread_cond_t changed;
    struct fg_fleet_catalogue *list;
    int64_t register_revision;
    enum fg_fleet_reason reason;
    uint32_t retired;
    bool complete;
    uint64_t failing; /* item of `error` */
    char error[256];
};

/* ---- creation -------------------------------------------------------------------------------- */

struct fg_member_catalogue *fg_member_catalogue_create(const struct fg_member_settings *settings,
                                                       const char *register_key, uint32_t items_max,
                                                       struct fg_error *err)
{
    struct fg_member_catalogue *mc = calloc(1, sizeof(*mc));
    struct fg_arbiter_options etcd = settings->etcd;
    pthread_condattr_t monotonic;

    FG_ASSERT(mc);
    mc->member = settings->member;
    mc->reason = FG_FLEET_REASON_UNREAD;
    snprintf(mc->register_key, sizeof(mc->register_key), "%s", register_key);
    mc->list = fg_fleet_catalogue_create(settings->member, settings->members, items_max);
    pthread_mutex_init(&mc->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&mc->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    etcd.timeout_ms = ETCD_MS;
    mc->etcd = fg_arbiter_open(&etcd, err);
    if (mc->etcd)
        return mc;
    fg_member_catalogue_destroy(mc);
    return NULL;
}

void fg_member_catalogue_destroy(struct fg_member_catalogue *mc)
{
    if (!mc)
        return;
    fg_arbiter_close(mc->etcd);
    fg_fleet_catalogue_destroy(mc->list);
    pthread_cond_destroy(&mc->changed);
    pthread_mutex_destroy(&mc->mutex);
    free(mc);
}

static struct timespec moment(uint64_t mono_ms)
{
    return (struct timespec){.tv_sec = (time_t)(mono_ms / 1000),
                             .tv_nsec = (long)(mono_ms % 1000) * 1000000};
}

/* ---- the fleet's thread ---------------------------------------------------------------------- */

void fg_member_catalogue_state(struct fg_member_catalogue *mc, int64_t register_revision,
                               const struct fg_fleet_view *view)
{
    pthread_mutex_lock(&mc->mutex);
    mc->register_revision = register_revision;
    mc->reason = view->reason;
    mc->retired = view->map.retired;
    pthread_mutex_unlock(&mc->mutex);
}

void fg_member_catalogue_value(struct fg_member_catalogue *mc, const char *key, int64_t revision,
                               const char *text)
{
    pthread_mutex_lock(&mc->mutex);
    fg_fleet_catalogue_value(mc->list, key, revision, text);
    pthread_cond_broadcast(&mc->changed);
    pthread_mutex_unlock(&mc->mutex);
}

void fg_member_catalogue_read(struct fg_member_catalogue *mc, bool all)
{
    pthread_mutex_lock(&mc->mutex);
    if (all)
        fg_fleet_catalogue_all_read(mc->list);
    mc->complete |= fg_fleet_catalogue_complete(mc->list);
    pthread_mutex_unlock(&mc->mutex);
}

bool fg_member_catalogue_must_say(struct fg_member_catalogue *mc, int64_t *revision)
{
    bool must;

    pthread_mutex_lock(&mc->mutex);
    must = fg_fleet_catalogue_must_say(mc->list, revision);
    pthread_mutex_unlock(&mc->mutex);
    return must;
}

void fg_member_catalogue_said(struct fg_member_catalogue *mc, int64_t revision)
{
    pthread_mutex_lock(&mc->mutex);
    fg_fleet_catalogue_said(mc->list, revision);
    mc->complete |= fg_fleet_catalogue_complete(mc->list);
    pthread_cond_broadcast(&mc->changed);
    pthread_mutex_unlock(&mc->mutex);
}

/* ---- the thread that applies ----------------------------------------------------------------- */

bool fg_member_catalogue_next(struct fg_member_catalogue *mc, unsigned wait_ms,
                              struct fg_fleet_listed *listed)
{
    const struct timespec end = moment(fg_clock_mono_ms() + wait_ms);
    bool found;
    int late = 0;

    pthread_mutex_lock(&mc->mutex);
    while (!(found = fg_fleet_catalogue_next(mc->list, fg_clock_mono_ms(), listed)) && !late)
        late = pthread_cond_timedwait(&mc->changed, &mc->mutex, &end);
    pthread_mutex_unlock(&mc->mutex);
    return found;
}

/* The mutex is held. */
static void note(struct fg_member_catalogue *mc, const struct fg_fleet_listed *listed,
                 const char *error)
{
    bool other = error && mc->error[0] && mc->failing != listed->item;

    if (!error && mc->failing == listed->item)
        mc->error[0] = 0;
    if (!error || other)
        return;
    mc->failing = listed->item;
    snprintf(mc->error, sizeof(mc->error), "item %llu, version %llu: %.180s",
             (unsigned long long)listed->item, (unsigned long long)listed->settings.version, error);
}

void fg_member_catalogue_result(struct fg_member_catalogue *mc,
                                const struct fg_fleet_listed *listed, const char *error)
{
    char before[sizeof(mc->error)], now[sizeof(mc->error)];

    pthread_mutex_lock(&mc->mutex);
    memcpy(before, mc->error, sizeof(before));
    if (error)
        fg_fleet_catalogue_failed(mc->list, listed, fg_clock_mono_ms() + RETRY_MS);
    else
        fg_fleet_catalogue_applied(mc->list, listed);
    note(mc, listed, error);
    memcpy(now, mc->error, sizeof(now));
    mc->complete |= fg_fleet_catalogue_complete(mc->list);
    pthread_cond_broadcast(&mc->changed);
    pthread_mutex_unlock(&mc->mutex);
    if (now[0] && strcmp(before, now) != 0)
        fg_diag(FG_DIAG_WARNING, "fleet: settings that cannot be applied: %s", now);
}

/* ---- the control server ---------------------------------------------------------------------- */

void fg_member_catalogue_item(struct fg_member_catalogue *mc, uint64_t item,
                              struct fg_fleet_listed *listed)
{
    pthread_mutex_lock(&mc->mutex);
    fg_fleet_catalogue_item(mc->list, item, listed);
    pthread_mutex_unlock(&mc->mutex);
}

/* What etcd has in place of what was compared. */
struct instead {
    const char *key;
    int64_t revision;
    struct fg_fleet_settings settings; /* version 0: none, or not to be understood */
};

static void seen(void *ctx, const char *key, const struct fg_arbiter_value *value)
{
    struct instead *instead = ctx;

    if (strcmp(key, instead->key) != 0)
        return;
    instead->revision = value->revision;
    if (!fg_fleet_settings_read(&instead->settings, value->bytes))
        instead->settings.version = 0;
}

static enum fg_member_published conflict(uint64_t item, uint64_t version, struct fg_error *err)
{
    fg_fail(err,
            "item %llu was changed meanwhile at another member, or twice at this one: its settings "
            "are version %llu now; nothing was changed",
            (unsigned long long)item, (unsigned long long)version);
    return FG_MEMBER_CONFLICT;
}

/* Settings are compared by what they were made from, and by the register: a process that is no
 * longer this member changes nothing. */
static enum fg_member_published put(struct fg_member_catalogue *mc, int64_t register_revision,
                                    const struct fg_fleet_listed *before, const char *text,
                                    int64_t *revision, struct fg_error *err)
{
    char key[FG_FLEET_KEY_MAX];
    struct instead instead = {.key = key};
    enum fg_arbiter_result result;
    struct fg_error why;
    const struct fg_arbiter_put puts[] = {
        {.key = mc->register_key, .revision = register_revision},
        {.key = key, .revision = before->revision, .bytes = text, .size = strlen(text)}};

    fg_fleet_catalogue_key(key, sizeof(key), before->item);
    result = fg_arbiter_commit(mc->etcd, puts, 2, seen, &instead, revision, err);
    switch (result) {
    case FG_ARBITER_DONE: /* it is applied when it is read, for others of before may come with it */
        return FG_MEMBER_PUBLISHED;
    case FG_ARBITER_LOST:
        if (instead.revision != before->revision)
            return conflict(before->item, instead.settings.version, err);
        fg_fail(err, "another process is this member of the fleet; nothing was changed");
        return FG_MEMBER_UNPUBLISHED;
    case FG_ARBITER_REFUSED:
    case FG_ARBITER_AWAY:
        why = *err;
        fg_fail(err, "etcd has the settings of items, and %s; nothing was changed: %.300s",
                result == FG_ARBITER_AWAY ? "is away" : "refuses a change", why.text);
        return FG_MEMBER_UNPUBLISHED;
    case FG_ARBITER_UNKNOWN:
        break;
    }
    why = *err;
    fg_fail(err, "etcd did not answer; it may still happen, check before you repeat it: %.300s",
            why.text);
    return FG_MEMBER_UNPUBLISHED;
}

enum fg_member_published fg_member_catalogue_publish(struct fg_member_catalogue *mc, uint64_t item,
                                                     uint64_t base,
                                                     struct fg_fleet_settings *settings,
                                                     int64_t *revision, struct fg_error *err)
{
    struct fg_fleet_listed before;
    char text[FG_FLEET_TEXT_MAX];
    int64_t register_revision;
    enum fg_fleet_reason reason;

    pthread_mutex_lock(&mc->mutex);
    fg_fleet_catalogue_item(mc->list, item, &before);
    register_revision = mc->register_revision;
    reason = mc->reason;
    pthread_mutex_unlock(&mc->mutex);
    if (!register_revision ||
        (reason != FG_FLEET_REASON_NONE && reason != FG_FLEET_REASON_FROZEN)) {
        fg_fail(err, "%s; nothing was changed",
                fg_fleet_reason_text(reason ? reason : FG_FLEET_REASON_UNREAD));
        return FG_MEMBER_UNPUBLISHED;
    }
    if (before.settings.version != base)
        return conflict(item, before.settings.version, err);
    settings->version = base + 1;
    fg_fleet_settings_write(settings, text);
    return put(mc, register_revision, &before, text, revision, err);
}

/* The mutex is held. */
static uint32_t behind(const struct fg_member_catalogue *mc, int64_t revision)
{
    return fg_fleet_catalogue_behind(mc->list, revision) & ~mc->retired;
}

/* This one is known better than by what it says, which is nothing while another item fails. */
static uint32_t lack(const struct fg_member_catalogue *mc, uint64_t item, uint64_t version,
                     int64_t revision)
{
    const uint32_t own = 1u << mc->member;
    struct fg_fleet_listed listed;

    fg_fleet_catalogue_item(mc->list, item, &listed);
    return (behind(mc, revision) & ~own) | (listed.applied < version ? own : 0);
}

uint32_t fg_member_catalogue_wait(struct fg_member_catalogue *mc, uint64_t item, uint64_t version,
                                  int64_t revision, unsigned wait_ms)
{
    const struct timespec end = moment(fg_clock_mono_ms() + wait_ms);
    const uint32_t own = 1u << mc->member;
    uint32_t left, awaited;
    int late = 0;

    pthread_mutex_lock(&mc->mutex);
    for (;;) {
        left = lack(mc, item, version, revision);
        awaited = fg_fleet_catalogue_awaited(mc->list, left) | (left & own);
        if (!awaited || late)
            break;
        late = pthread_cond_timedwait(&mc->changed, &mc->mutex, &end);
    }
    fg_fleet_catalogue_give_up(mc->list, awaited & ~own);
    pthread_mutex_unlock(&mc->mutex);
    return left;
}

void fg_member_catalogue_view(struct fg_member_catalogue *mc, struct fg_member_catalogue_view *view)
{
    pthread_mutex_lock(&mc->mutex);
    view->complete = mc->complete;
    view->newest = fg_fleet_catalogue_newest(mc->list);
    view->behind = behind(mc, view->newest);
    memcpy(view->error, mc->error, sizeof(view->error));
    if (!view->error[0])
        fg_fleet_catalogue_unusable(mc->list, view->error, sizeof(view->error));
    pthread_mutex_unlock(&mc->mutex);
}
