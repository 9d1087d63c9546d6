/* SPDX-License-Identifier: BSD-3-Clause */
/* What the main thread checks every 100 ms: the clock's drift, stalled workers, alarms; and the end
 * of work. */
#include "daemon.h"

#include "base/diag.h"

#define STALL_MS     2000
#define LOG_CHECK_MS 1000

static void watch_worker(struct fg_daemon *d, unsigned index, uint64_t now_ms)
{
    struct fg_worker_watch *watch = &d->watch[index];
    uint64_t loops = fg_counter_read(&d->workers.list[index]->counters.loops);
    bool stalled;

    if (loops != watch->loops || watch->since_ms == 0) {
        watch->loops = loops;
        watch->since_ms = now_ms;
    }
    stalled = now_ms - watch->since_ms >= STALL_MS;
    if (stalled != atomic_load(&watch->stalled))
        fg_diag(stalled ? FG_DIAG_ERROR : FG_DIAG_NOTICE, "worker %u %s", index,
                stalled ? "is stalled" : "runs again");
    atomic_store(&watch->stalled, stalled);
}

/* Writes to a removed file succeed, so only the names show that the log was removed. */
static void check_log(struct fg_daemon *d, uint64_t now_ms)
{
    if (now_ms - d->log_checked_ms < LOG_CHECK_MS)
        return;
    d->log_checked_ms = now_ms;
    atomic_store(&d->log_gone, !fg_journal_in_place(d->journal));
}

void fg_supervise(struct fg_daemon *d)
{
    uint64_t now_ms = fg_clock_mono_ms();
    struct fg_health_observations observations;

    fg_clock_correct(&d->clock);
    for (unsigned i = 0; i < d->config.workers.count; i++)
        watch_worker(d, i, now_ms);
    fg_port_links_poll(&d->ports);
    fg_port_own_poll(d->own, d->filter);
    fg_penalty_box_poll(d, now_ms);
    check_log(d, now_ms);
    fg_behind_poll(d);
    fg_observe(d, &observations);
    fg_health_poll(&d->health, &observations);
}

/* The engine waits for nothing, and what it decided is on disk. */
static bool worker_quiet(const struct fg_daemon *d, unsigned index)
{
    bool lost = atomic_load(&d->journal_thread.mode) ==
                FG_STOCK_FAILED; /* nothing will become durable any more */

    return atomic_load_explicit(&d->workers.list[index]->quiet, memory_order_acquire) &&
           (lost || atomic_load(&d->workers.records[index]->tail) ==
                        atomic_load(&d->workers.watermarks[index].durable));
}

bool fg_all_quiet(struct fg_daemon *d)
{
    for (unsigned i = 0; i < d->config.workers.count; i++)
        if (!worker_quiet(d, i))
            return false;
    return true;
}
