/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * watch: whether the workers make loops, and whether they have work. The main thread polls; any
 * thread reads.
 */
#ifndef FG_WORKER_WATCH_H
#define FG_WORKER_WATCH_H

#include "worker/group.h"

#define FG_WORKER_STALL_MS 2000 /**< without a loop: the worker is stalled */

/** All zero at first. */
struct fg_worker_watch {
    struct {                      /* main thread */
        uint64_t loops, since_ms; /**< loops last seen to change, and when */
        bool stalled;
    } seen[FG_WORKERS_MAX];
    _Atomic unsigned stalled; /**< how many workers */
};

/** Main thread, every 100 ms. A line of diagnostics tells when a worker stalls and runs again. */
void fg_worker_watch_poll(struct fg_worker_watch *watch, const struct fg_worker_group *group,
                          uint64_t now_ms);

/**
 * No engine waits for anything, and every record is durable. lost: the log failed, so no record
 * will be. Replies may still be between two workers.
 */
bool fg_worker_group_quiet(const struct fg_worker_group *group, bool lost);

#endif
