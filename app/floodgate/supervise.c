/* SPDX-License-Identifier: BSD-3-Clause */
/* What the main thread checks every 100 ms: the clock's drift, stalled workers, alarms. */
#include "daemon.h"

#define LOG_CHECK_MS 1000

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
    fg_worker_watch_poll(&d->watch, &d->workers, now_ms);
    fg_port_links_poll(&d->ports);
    fg_port_queues_poll(&d->ports);
    fg_port_own_poll(d->own, d->filter);
    for (unsigned i = 0; i < d->config.workers.count; i++)
        fg_penalty_take(d->box.penalty, d->workers.list[i]->reports, now_ms);
    fg_penalty_box_poll(&d->box, now_ms);
    check_log(d, now_ms);
    fg_behind_poll(d);
    fg_observe(d, &observations);
    fg_health_poll(&d->health, &observations);
}
