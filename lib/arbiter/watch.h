/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * watch: tells of changes in etcd as they take place, by a request that stays open (POST
 * /v3/watch). It saves time and no more: a watch may be cut, or be late without an end, so its
 * caller also reads what changed now and then (fg_arbiter_changes).
 *
 * One thread at a time runs a watch; fg_arbiter_watch_cut is for any thread.
 */
#ifndef FG_ARBITER_WATCH_H
#define FG_ARBITER_WATCH_H

#include "arbiter/arbiter.h"

struct fg_arbiter_watch;

struct fg_arbiter_watch_hooks {
    void *ctx;
    fg_arbiter_seen *seen; /**< a key was written; `value` has no `store` */
    /** All that was written up to `revision` was seen; the first time when the watch begins. */
    void (*told)(void *ctx, int64_t revision);
};

/** As fg_arbiter_open. `timeout_ms` is that of the connection. */
struct fg_arbiter_watch *fg_arbiter_watch_open(const struct fg_arbiter_options *options,
                                               struct fg_error *err);
void fg_arbiter_watch_close(struct fg_arbiter_watch *w); /**< NULL is allowed */

/**
 * Tells of each key that begins with `start` and is written after revision `since`, oldest first,
 * until the watch ends: err says why. Deleted keys are not told. The next run asks the next
 * endpoint.
 */
void fg_arbiter_watch_run(struct fg_arbiter_watch *w, const char *start, int64_t since,
                          const struct fg_arbiter_watch_hooks *hooks, struct fg_error *err);

/** Ends the run that is under way, or the next one. */
void fg_arbiter_watch_cut(struct fg_arbiter_watch *w);

#endif
