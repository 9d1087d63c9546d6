/* SPDX-License-Identifier: BSD-3-Clause */
/* Filter and penalty box in the daemon: list files at start, and what the main thread does every
 * 100 ms. */
#include "daemon.h"

#include "base/diag.h"

#define EXPIRE_MS 10000

static void on_sample(void *ctx, const struct fg_filter_prefix *source)
{
    struct fg_daemon *d = ctx;

    fg_penalty_report_dropped(d->penalty, source, fg_clock_mono_ms());
}

void fg_penalty_box_poll(struct fg_daemon *d, uint64_t now_ms)
{
    for (unsigned i = 0; i < d->config.workers.count; i++)
        fg_penalty_take(d->penalty, d->workers.list[i]->reports, now_ms);
    if (d->samples)
        fg_filter_samples_poll(d->samples);
    fg_penalty_tick(d->penalty, now_ms);
    if (d->filter && now_ms - d->expired_ms >= EXPIRE_MS) {
        d->expired_ms = now_ms;
        fg_filter_expire(d->filter);
    }
}

/* Entries that are there already are newer than the file. */
static bool load_list(struct fg_daemon *d, enum fg_filter_list list, const char *path,
                      struct fg_error *err)
{
    struct fg_filter_list_loaded loaded;

    if (!path[0] || fg_filter_count(d->filter, list))
        return true;
    if (!fg_filter_load_good(d->filter, list, path, &loaded, err))
        return false;
    if (loaded.wrong) { /* a feed with one bad line must not stop a boot */
        fg_diag(FG_DIAG_WARNING, "filter: left out of the %s list: %s",
                list == FG_LIST_BLOCK ? "block" : "allow", err->text);
        snprintf(d->lists_wrong, sizeof(d->lists_wrong), "%.255s", err->text);
    }
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
    struct fg_penalty_options options = c->penalty;

    options.v6_prefix = c->filter.v6_prefix;
    d->penalty = fg_penalty_open(&options, d->filter, fg_clock_mono_ms(), err);
    if (!d->penalty || !d->filter)
        return d->penalty != NULL;
    d->samples = fg_filter_samples_open(d->filter, on_sample, d, err);
    return d->samples != NULL;
}

void fg_penalty_box_stop(struct fg_daemon *d)
{
    fg_filter_samples_close(d->samples);
    d->samples = NULL;
    fg_penalty_destroy(d->penalty);
    d->penalty = NULL;
}
