/* SPDX-License-Identifier: BSD-3-Clause */
/* The box and the filter: blocks are entries of the block list, and outlive the daemon there. */
#include <string.h>
#include <sys/random.h>

#include "base/diag.h"
#include "penalty/penalty.h"

static bool is_allowed(void *ctx, const struct fg_filter_prefix *address)
{
    struct fg_filter_list_entry entry;
    struct fg_filter_prefix prefix;

    return fg_filter_match(ctx, FG_FILTER_LIST_ALLOW, address, &prefix, &entry);
}

/* An operator made the entry: the box leaves it alone. */
static bool is_operators(const struct fg_filter_list_entry *entry)
{
    return strncmp(entry->reason, FG_PENALTY_REASON, strlen(FG_PENALTY_REASON)) != 0;
}

static bool block(void *ctx, const struct fg_filter_prefix *source, uint64_t ms, const char *reason,
                  struct fg_error *err)
{
    struct fg_filter_list_entry entry = {.expires_ms = fg_filter_unix_ms(ctx) + ms}, before;

    if (fg_filter_find(ctx, FG_FILTER_LIST_BLOCK, source, &before) && is_operators(&before))
        return fg_fail(err, "an operator's entry is on the block list");
    snprintf(entry.reason, sizeof(entry.reason), "%s", reason);
    return fg_filter_put(ctx, FG_FILTER_LIST_BLOCK, source, &entry, err);
}

static bool unblock(void *ctx, const struct fg_filter_prefix *source, struct fg_error *err)
{
    struct fg_filter_list_entry there;

    if (!fg_filter_find(ctx, FG_FILTER_LIST_BLOCK, source, &there) || is_operators(&there))
        return true; /* the operator removed the entry or replaced it by another */
    return fg_filter_del(ctx, FG_FILTER_LIST_BLOCK, source, err);
}

static void note(void *ctx, const char *text)
{
    fg_diag(FG_DIAG_WARNING, "%s", text);
}

/* ---- blocks that were made before ------------------------------------------------------------ */

struct restore {
    struct fg_penalty *penalty;
    uint64_t now_ms, unix_ms;
};

static bool restore(void *ctx, const struct fg_filter_prefix *prefix,
                    const struct fg_filter_list_entry *entry)
{
    struct restore *r = ctx;

    if (entry->expires_ms)
        fg_penalty_restore(r->penalty, prefix, entry->reason,
                           (int64_t)(entry->expires_ms - r->unix_ms), r->now_ms);
    return true;
}

void fg_penalty_recall(struct fg_penalty *penalty, struct fg_filter *filter, uint64_t now_ms)
{
    struct restore r = {.penalty = penalty, .now_ms = now_ms, .unix_ms = fg_filter_unix_ms(filter)};

    fg_penalty_forget(penalty);
    fg_filter_each_over(filter, FG_FILTER_LIST_BLOCK, restore, &r);
    fg_filter_each(filter, FG_FILTER_LIST_BLOCK, restore,
                   &r); /* last: these must not be pushed out */
}

struct fg_penalty *fg_penalty_open(const struct fg_penalty_options *options,
                                   struct fg_filter *filter, uint64_t now_ms, struct fg_error *err)
{
    const struct fg_penalty_lists lists = {filter, is_allowed, block, unblock, note};
    struct fg_penalty_options seeded = *options;
    struct fg_penalty *penalty;

    if (getrandom(&seeded.seed, sizeof(seeded.seed), 0) != sizeof(seeded.seed)) {
        fg_fail(err, "no random numbers from the kernel");
        return NULL;
    }
    penalty = fg_penalty_create(&seeded, filter ? &lists : NULL, now_ms);
    if (!penalty) {
        fg_fail(err, "no memory for the penalty box");
        return NULL;
    }
    if (!filter)
        return penalty;
    fg_filter_remember(filter, FG_PENALTY_REASON, FG_PENALTY_QUIET_MS);
    fg_penalty_recall(penalty, filter, now_ms);
    return penalty;
}

/* ---- reports of other rooms ------------------------------------------------------------------ */

void fg_penalty_take(struct fg_penalty *penalty, struct fg_ring *reports, uint64_t now_ms)
{
    uint64_t n = fg_ring_count(reports); /* reports that arrive meanwhile wait for the next call */

    for (uint64_t i = 0; i < n; i++) {
        struct fg_penalty_report report;

        fg_ring_pop(reports, &report);
        fg_penalty_report(penalty, &report, now_ms);
    }
}

void fg_penalty_report_dropped(struct fg_penalty *penalty, const struct fg_filter_prefix *source,
                               uint64_t now_ms)
{
    struct fg_penalty_report report = {
        .family = source->family, .offence = FG_PENALTY_OFFENCE_DROPPED, .events = 1};

    memcpy(report.addr, source->addr, sizeof(report.addr));
    fg_penalty_report(penalty, &report, now_ms);
}
