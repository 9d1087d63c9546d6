/* SPDX-License-Identifier: BSD-3-Clause */
/* The main thread's checks, every 100 ms: the clock's drift, stalled workers, alarms. */
#include <arpa/inet.h>

#include "base/address.h"
#include "base/diag.h"
#include "daemon.h"

#define LOG_CHECK_MS    1000
#define SERVER_CHECK_MS 1000

/* Writes to a removed file succeed, so only the names show that the log was removed. */
static void check_log(struct fg_daemon *d, uint64_t now_ms)
{
    if (now_ms - d->log_checked_ms < LOG_CHECK_MS)
        return;
    d->log_checked_ms = now_ms;
    atomic_store(&d->log_gone, !fg_journal_thread_in_place(&d->journal_thread));
}

/* What our own servers answer is no flood. */
static void check_servers(struct fg_daemon *d, uint64_t now_ms)
{
    struct fg_filter_servers servers;
    struct fg_address viewer;
    struct fg_error err = {""};
    uint16_t listening = 0;

    if (!d->filter || now_ms - d->servers_checked_ms < SERVER_CHECK_MS)
        return;
    d->servers_checked_ms = now_ms;
    if (fg_address_read(d->config.metrics.listen, &viewer))
        listening = ntohs(viewer.as.v4.sin_port); /* at the same place in both families */
    fg_filter_servers_connected(&servers, listening);
    if (!fg_filter_set_servers(d->filter, &servers, &err) && !d->servers_failed)
        fg_diag(FG_DIAG_ERROR, "%s", err.text);
    d->servers_failed = err.text[0] != 0;
}

void fg_supervise(struct fg_daemon *d)
{
    uint64_t now_ms = fg_clock_mono_ms();
    struct fg_health_observations observations;

    fg_floating_poll(d);
    fg_clock_correct(&d->clock);
    fg_worker_watch_poll(&d->watch, &d->workers, now_ms);
    fg_port_links_poll(&d->ports);
    fg_port_queues_poll(&d->ports);
    fg_port_own_poll(d->own, d->filter);
    for (unsigned i = 0; i < d->config.workers.count; i++)
        fg_penalty_take(d->box.penalty, d->workers.list[i]->reports, now_ms);
    fg_penalty_box_poll(&d->box, now_ms);
    if (d->traced)
        fg_worker_traced_poll(d->traced);
    check_log(d, now_ms);
    check_servers(d, now_ms);
    fg_behind_poll(d);
    fg_observe(d, &observations);
    fg_health_poll(&d->health, &observations);
}
