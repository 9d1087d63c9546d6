/* SPDX-License-Identifier: BSD-3-Clause */
/* The counters of all parts, and the numbers that are the daemon's own. Any thread but a worker. */
#include "daemon.h"

#include "base/diag.h"
#include "control/measure.h"

#include <unistd.h>

static void set(struct fg_control_sheet *sheet, enum fg_control_metric metric, uint64_t value)
{
    fg_control_sheet_set(sheet, metric, NULL, value);
}

static void say(struct fg_control_sheet *sheet, enum fg_control_metric metric, const char *text)
{
    fg_control_sheet_say(sheet, metric, NULL, text);
}

static void read_daemon(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    struct fg_health_observations observations;
    struct fg_health_answer answer;

    fg_observe_state(d, &observations);
    answer = fg_health_check(&observations);
    say(sheet, FG_CONTROL_daemon_state, fg_health_state_name(answer.state));
    set(sheet, FG_CONTROL_daemon_healthy, answer.healthy);
    say(sheet, FG_CONTROL_daemon_version, FG_VERSION);
    set(sheet, FG_CONTROL_daemon_pid, (uint64_t)getpid());
    say(sheet, FG_CONTROL_daemon_config, d->config.path);
    set(sheet, FG_CONTROL_daemon_uptime_s, (fg_clock_mono_ms() - d->started_ms) / 1000);
    set(sheet, FG_CONTROL_daemon_workers, d->config.workers.count);
    set(sheet, FG_CONTROL_daemon_workers_stalled, observations.workers_stalled);
    set(sheet, FG_CONTROL_daemon_queues, d->ports.queues_count);
    set(sheet, FG_CONTROL_daemon_order_port, d->config.orders.port);
    set(sheet, FG_CONTROL_daemon_order_ports, fg_config_order_ports(&d->config));
    set(sheet, FG_CONTROL_daemon_diagnostics_lost, fg_diag_lost());
    set(sheet, FG_CONTROL_daemon_filter_enabled, d->filter && d->config.filter.enabled);
}

static void read_memory(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    struct fg_memory memory = fg_memory_needed(&d->config);

    fg_control_sheet_set(sheet, FG_CONTROL_memory_bytes, "engines", memory.workers.engines);
    fg_control_sheet_set(sheet, FG_CONTROL_memory_bytes, "ledger", memory.ledger);
    fg_control_sheet_set(sheet, FG_CONTROL_memory_bytes, "rings", memory.workers.rings);
    fg_control_sheet_set(sheet, FG_CONTROL_memory_bytes, "slots", memory.workers.slots);
    fg_control_sheet_set(sheet, FG_CONTROL_memory_bytes, "mbufs", memory.mbufs);
}

void fg_measure(void *daemon, struct fg_control_sheet *sheet)
{
    struct fg_daemon *d = daemon;
    struct fg_control_pair pair;
    struct fg_control_fleet fleet;
    const struct fg_control_parts parts = {
        .workers = &d->workers,
        .ports = &d->ports,
        .filter = d->filter,
        .penalty = d->box.penalty,
        .alarms = &d->health,
        .log_way = d->log_way,
        .journal_thread = &d->journal_thread,
        .log_dir = d->config.log.dir,
        .log_in_memory = d->config.log.durability == FG_JOURNAL_DURABILITY_MEMORY,
        .archive = d->archive,
        .follower = &d->follower,
        .sinks = &d->sinks,
        .inbound = d->inbound,
        .clock = &d->clock,
        .pair = fg_paired_view(d, &pair) ? &pair : NULL,
        .fleet = fg_fleeted_view(d, &fleet) ? &fleet : NULL,
    };

    read_daemon(d, sheet);
    fg_control_measure(&parts, sheet);
    read_memory(d, sheet);
}
