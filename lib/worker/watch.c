/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/watch.h"

#include "base/diag.h"

static bool watch_one(struct fg_worker_watch *watch, const struct fg_worker *worker,
                      uint64_t now_ms)
{
    unsigned i = worker->index;
    uint64_t loops = fg_counter_read(&worker->counters.loops);
    bool stalled;

    if (loops != watch->seen[i].loops || watch->seen[i].since_ms == 0) {
        watch->seen[i].loops = loops;
        watch->seen[i].since_ms = now_ms;
    }
    stalled = now_ms - watch->seen[i].since_ms >= FG_WORKER_STALL_MS;
    if (stalled != watch->seen[i].stalled)
        fg_diag(stalled ? FG_DIAG_ERROR : FG_DIAG_NOTICE, "worker %u %s", i,
                stalled ? "is stalled" : "runs again");
    watch->seen[i].stalled = stalled;
    return stalled;
}

void fg_worker_watch_poll(struct fg_worker_watch *watch, const struct fg_worker_group *group,
                          uint64_t now_ms)
{
    unsigned stalled = 0;

    for (unsigned i = 0; i < group->options.workers.count; i++)
        stalled += watch_one(watch, group->list[i], now_ms);
    atomic_store(&watch->stalled, stalled);
}

bool fg_worker_group_quiet(const struct fg_worker_group *group, bool lost)
{
    for (unsigned i = 0; i < group->options.workers.count; i++) {
        bool quiet = atomic_load_explicit(&group->list[i]->quiet, memory_order_acquire);

        if (!quiet || (!lost && atomic_load(&group->records[i]->tail) !=
                                    atomic_load(&group->watermarks[i].durable)))
            return false;
    }
    return true;
}
