/* SPDX-License-Identifier: BSD-3-Clause */
/* The penalty box in the daemon: takes the workers' reports, has the filter block. */
#include "daemon.h"

#include <sys/random.h>
#include <time.h>

#include "base/diag.h"

#define EXPIRE_MS 10000

/* ---- what the box does to the filter --------------------------------------------------------- */

static uint64_t unix_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool allowed(void *ctx, const struct fg_filter_prefix *address)
{
    struct fg_daemon *d = ctx;
    struct fg_filter_list_entry entry;
    struct fg_filter_prefix prefix;

    return fg_filter_match(d->filter, FG_LIST_ALLOW, address, &prefix, &entry);
}

/* There is an entry of the operator's, which the box leaves alone. */
static bool not_ours(const struct fg_filter_list_entry *entry)
{
    return strncmp(entry->reason, FG_PENALTY_REASON, strlen(FG_PENALTY_REASON)) != 0;
}

static bool block(void *ctx, const struct fg_filter_prefix *source, uint64_t ms, const char *reason,
                  struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    struct fg_filter_list_entry entry = {.expires_ms = unix_ms() + ms}, before;

    if (fg_filter_find(d->filter, FG_LIST_BLOCK, source, &before) && not_ours(&before))
        return fg_fail(err, "an operator's entry is on the block list");
    snprintf(entry.reason, sizeof(entry.reason), "%s", reason);
    return fg_filter_put(d->filter, FG_LIST_BLOCK, source, &entry, err);
}

static bool unblock(void *ctx, const struct fg_filter_prefix *source, struct fg_error *err)
{
    struct fg_daemon *d = ctx;
    struct fg_filter_list_entry there;

    if (!fg_filter_find(d->filter, FG_LIST_BLOCK, source, &there) || not_ours(&there))
        return true; /* the operator has taken it off, or made it his own */
    return fg_filter_del(d->filter, FG_LIST_BLOCK, source, err);
}

static void note(void *ctx, const char *text)
{
    fg_diag(FG_DIAG_WARNING, "%s", text);
}

static bool restore(void *ctx, const struct fg_filter_prefix *prefix,
                    const struct fg_filter_list_entry *entry)
{
    struct fg_daemon *d = ctx;

    if (entry->expires_ms)
        fg_penalty_restore(d->penalty, prefix, entry->reason,
                           (int64_t)(entry->expires_ms - unix_ms()), fg_clock_mono_ms());
    return true;
}

/* ---- its days -------------------------------------------------------------------------------- */

static void take_reports(struct fg_daemon *d, struct fg_worker *w, uint64_t now_ms)
{
    uint64_t n = fg_ring_count(w->reports); /* what comes meanwhile has time until the next look */

    for (uint64_t i = 0; i < n; i++) {
        struct fg_penalty_report report;

        fg_ring_pop(w->reports, &report);
        fg_penalty_report(d->penalty, &report, now_ms);
    }
}

void fg_penalty_box_poll(struct fg_daemon *d, uint64_t now_ms)
{
    for (unsigned i = 0; i < d->config.workers.count; i++)
        take_reports(d, d->workers[i], now_ms);
    fg_filter_samples_poll(d->samples);
    fg_penalty_tick(d->penalty, now_ms);
    if (d->filter && now_ms - d->expired_ms >= EXPIRE_MS) {
        d->expired_ms = now_ms;
        fg_filter_expire(d->filter);
    }
}

/* What is there was said later than the file. */
static bool load_list(struct fg_daemon *d, enum fg_filter_list list, const char *path,
                      struct fg_error *err)
{
    struct fg_filter_list_loaded loaded;

    if (!path[0] || fg_filter_count(d->filter, list))
        return true;
    if (!fg_filter_load(d->filter, list, path, &loaded, err))
        return false;
    fg_diag(FG_DIAG_INFO, "filter: %s list: %u entries from %s",
            list == FG_LIST_BLOCK ? "block" : "allow", loaded.entries, path);
    return true;
}

bool fg_penalty_box_lists(struct fg_daemon *d, struct fg_error *err)
{
    return load_list(d, FG_LIST_BLOCK, d->config.filter.block_file, err) &&
           load_list(d, FG_LIST_ALLOW, d->config.filter.allow_file, err);
}

bool fg_penalty_box_start(struct fg_daemon *d, struct fg_error *err)
{
    const struct fg_config *c = &d->config;
    struct fg_penalty_options options = {
        .mode = c->penalty.mode,
        .first_ms = c->penalty.first_ms,
        .v6_prefix = c->filter.v6_prefix,
        .threshold = {[FG_OFFENCE_BAD_TAG] = c->penalty.bad_tag,
                      [FG_OFFENCE_MALFORMED] = c->penalty.malformed,
                      [FG_OFFENCE_ROLE] = c->penalty.role,
                      [FG_OFFENCE_USER_RATE] = c->penalty.user_rate,
                      [FG_OFFENCE_USER_DENIED] = c->penalty.user_denied,
                      [FG_OFFENCE_HTTP] = c->penalty.http}};

    struct fg_penalty_lists lists = {d, allowed, block, unblock, note};

    if (getrandom(&options.seed, sizeof(options.seed), 0) != sizeof(options.seed))
        return fg_fail(err, "no random numbers from the kernel");
    d->penalty = fg_penalty_create(&options, d->filter ? &lists : NULL, fg_clock_mono_ms());
    if (!d->penalty)
        return fg_fail(err, "no memory for the penalty box");
    if (!d->filter)
        return true;
    fg_filter_remember(d->filter, FG_PENALTY_REASON, FG_PENALTY_QUIET_MS);
    fg_filter_each_over(d->filter, FG_LIST_BLOCK, restore, d);
    fg_filter_each(d->filter, FG_LIST_BLOCK, restore, d); /* last: these must not be pushed out */
    d->samples = fg_filter_samples_open(d->filter, d->penalty, err);
    return d->samples != NULL;
}

void fg_penalty_box_stop(struct fg_daemon *d)
{
    fg_filter_samples_close(d->samples);
    d->samples = NULL;
    fg_penalty_destroy(d->penalty);
    d->penalty = NULL;
}
