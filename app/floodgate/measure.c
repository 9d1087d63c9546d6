/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one walk over the counters: from the features into a sheet (control/metrics.h), which becomes
 * JSON, metrics and DPDK's telemetry. Any thread but a worker.
 */
#include "daemon.h"

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
    struct fg_health_answer verdict;

    fg_observe_state(d, &observations);
    verdict = fg_health_check(&observations);
    say(sheet, FG_CONTROL_daemon_state, fg_health_state_name(verdict.state));
    set(sheet, FG_CONTROL_daemon_healthy, verdict.healthy);
    say(sheet, FG_CONTROL_daemon_version, FG_VERSION);
    set(sheet, FG_CONTROL_daemon_pid, (uint64_t)getpid());
    say(sheet, FG_CONTROL_daemon_config, d->config.path);
    set(sheet, FG_CONTROL_daemon_uptime_s, (fg_clock_mono_ms() - d->started_ms) / 1000);
    set(sheet, FG_CONTROL_daemon_workers, d->config.workers.count);
    set(sheet, FG_CONTROL_daemon_workers_stalled, observations.workers_stalled);
    set(sheet, FG_CONTROL_daemon_queues, d->ports.queues_count);
    set(sheet, FG_CONTROL_daemon_order_port, d->config.orders.port);
    set(sheet, FG_CONTROL_daemon_order_ports, fg_config_order_ports(&d->config));
    set(sheet, FG_CONTROL_daemon_filter_enabled, d->filter && d->config.filter.enabled);
}

static void read_worker(const struct fg_worker *w, struct fg_control_sheet *sheet)
{
    struct fg_stock_level levels[FG_STOCK_LEVELS];
    char name[16];

    snprintf(name, sizeof(name), "%u", w->index);
#define X(key, text)                                                                               \
    fg_control_sheet_set(sheet, FG_CONTROL_workers_##key, name, fg_counter_read(&w->counters.key));
    FG_WORKER_COUNTER_LIST(X)
#undef X
    fg_stock_levels(w->stock, levels);
#define LEVEL(key, level)                                                                          \
    fg_control_sheet_set(sheet, FG_CONTROL_workers_##key, name, levels[FG_STOCK_LEVEL_##level].used)
    LEVEL(orders_in_memory, orders);
    LEVEL(users_in_memory, users);
    LEVEL(requests_parked, parked);
    LEVEL(answers_deferred, deferred);
    LEVEL(users_denied, denied);
#undef LEVEL
}

static void read_workers(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    for (unsigned i = 0; i < d->config.workers.count; i++)
        read_worker(d->workers.list[i], sheet);
}

static void read_drops(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    for (unsigned why = FG_DROP_NONE + 1; why < FG_DROP_COUNT; why++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < d->config.workers.count; i++)
            sum += fg_counter_read(&d->workers.list[i]->counters.dropped[why]);
        fg_control_sheet_set(sheet, FG_CONTROL_drops_packets, fg_packet_drop_name(why), sum);
    }
}

static void read_answers(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    for (unsigned status = FG_STATUS_NONE + 1; status < FG_STATUS_COUNT; status++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < d->config.workers.count; i++)
            sum += fg_counter_read(&d->workers.list[i]->counters.answered[status]);
        fg_control_sheet_set(sheet, FG_CONTROL_answers_packets, fg_packet_status_name(status), sum);
    }
}

static void read_stock(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    uint64_t sum;

#define X(key, text)                                                                               \
    sum = 0;                                                                                       \
    for (unsigned i = 0; i < d->config.workers.count; i++)                                         \
        sum += fg_counter_read(&fg_stock_counters(d->workers.list[i]->stock)->key);                \
    set(sheet, FG_CONTROL_stock_##key, sum);
    FG_STOCK_COUNTER_LIST(X)
#undef X
}

static void read_filter(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    uint64_t verdicts[FG_VERDICT_COUNT] = {0}, events[FG_EVENT_COUNT] = {0};

    if (!d->filter)
        return;
    fg_filter_counters(d->filter, verdicts);
    for (unsigned i = 0; i < FG_VERDICT_COUNT; i++)
        fg_control_sheet_set(sheet, FG_CONTROL_filter_packets, fg_filter_verdict_name(i),
                             verdicts[i]);
    fg_filter_events(d->filter, events);
    for (unsigned i = 0; i < FG_EVENT_COUNT; i++)
        fg_control_sheet_set(sheet, FG_CONTROL_filter_events_events, fg_filter_event_name(i),
                             events[i]);
}

static void read_penalty(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    struct fg_penalty_counters c = fg_penalty_counters(d->penalty);

#define X(key, text) set(sheet, FG_CONTROL_penalty_##key, c.key);
    FG_PENALTY_COUNTER_LIST(X)
#undef X
    set(sheet, FG_CONTROL_penalty_blocked,
        fg_penalty_list(d->penalty, NULL, 0, fg_clock_mono_ms()));
}

static void add_alarm(void *sheet, const char *name, enum fg_health_level level, const char *text)
{
    fg_control_sheet_set(sheet, FG_CONTROL_alarm_levels_level, name, level);
}

static void read_alarms(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    fg_health_each(&d->health, add_alarm, sheet);
}

static void read_port(const struct fg_port *p, struct fg_control_sheet *sheet)
{
    const char *name = p->options->name;
    struct fg_port_counters c = fg_port_counters(p);
    int link = atomic_load(&p->link.state);

    fg_control_sheet_say(sheet, FG_CONTROL_ports_device, name, p->options->device);
    if (p->options->af_xdp)
        fg_control_sheet_say(sheet, FG_CONTROL_ports_xdp, name,
                             p->options->generic ? "generic" : "native");
    fg_control_sheet_say(sheet, FG_CONTROL_ports_state, name, fg_port_link_name(link));
    fg_control_sheet_set(sheet, FG_CONTROL_ports_queues, name, p->options->queues);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_link_up, name, link == FG_PORT_LINK_UP);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_link_lost, name, atomic_load(&p->link.lost));
    fg_control_sheet_set(sheet, FG_CONTROL_ports_rx_packets, name, c.rx_packets);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_rx_bytes, name, c.rx_bytes);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_rx_missed, name, c.rx_missed);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_rx_errors, name, c.rx_errors);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_rx_no_mbuf, name, c.rx_no_mbuf);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_tx_packets, name, c.tx_packets);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_tx_bytes, name, c.tx_bytes);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_tx_errors, name, c.tx_errors);
}

static void read_ports(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    for (unsigned i = 0; i < d->config.ports_count; i++)
        read_port(&d->ports.list[i], sheet);
}

/* How far back the log goes. */
static void read_extent(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    struct fg_journal_extent extent;
    struct fg_error err;

    if (!fg_journal_extent(d->config.log.dir, &extent, &err))
        return;
    set(sheet, FG_CONTROL_log_first_seq, extent.first_seq);
    set(sheet, FG_CONTROL_log_segments, extent.segments);
    set(sheet, FG_CONTROL_log_segments_bytes, extent.bytes);
}

static void read_log(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    struct fg_journal_committer *c = &d->journal_thread.committer;
    int state = atomic_load_explicit(&c->state, memory_order_acquire);
    bool on_disk = d->config.log.durability == FG_DURABILITY_DISK;

    say(sheet, FG_CONTROL_log_dir, d->config.log.dir);
    say(sheet, FG_CONTROL_log_durability, on_disk ? "disk" : "memory");
    say(sheet, FG_CONTROL_log_state, fg_journal_state_name((enum fg_journal_state)state));
    say(sheet, FG_CONTROL_log_error, state == FG_JOURNAL_OK ? "" : fg_journal_error(d->journal));
    set(sheet, FG_CONTROL_log_durable_seq, atomic_load(&c->durable_seq));
    set(sheet, FG_CONTROL_log_commits, atomic_load(&c->commits));
    set(sheet, FG_CONTROL_log_records, atomic_load(&c->records));
    set(sheet, FG_CONTROL_log_commit_max_ms, atomic_load(&d->journal_thread.watch.max_ms));
    set(sheet, FG_CONTROL_log_commits_slow, atomic_load(&d->journal_thread.watch.slow));
    read_extent(d, sheet);
    set(sheet, FG_CONTROL_log_segments_retired, atomic_load(&d->follower.snapshots.retired));
}

static void read_snapshot(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    struct fg_ledger_snapshots *s = &d->follower.snapshots;
    uint64_t seq = atomic_load(&s->seq), created = atomic_load(&s->created_ms);
    uint64_t now = fg_clock_now_ms(&d->clock);
    char error[256];

    fg_ledger_snapshots_error(&d->follower.snapshots, error, sizeof(error));
    set(sheet, FG_CONTROL_snapshot_seq, seq);
    set(sheet, FG_CONTROL_snapshot_older_seq, atomic_load(&s->older_seq));
    set(sheet, FG_CONTROL_snapshot_age_s, seq && now > created ? (now - created) / 1000 : 0);
    set(sheet, FG_CONTROL_snapshot_made, atomic_load(&s->made));
    set(sheet, FG_CONTROL_snapshot_failures, atomic_load(&s->failures));
    set(sheet, FG_CONTROL_snapshot_running, atomic_load(&s->running));
    say(sheet, FG_CONTROL_snapshot_error, error);
}

static void read_ledger(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    pthread_mutex_lock(&d->follower.lock);
    set(sheet, FG_CONTROL_ledger_seq, fg_ledger_seq(d->follower.ledger));
    set(sheet, FG_CONTROL_ledger_items, fg_ledger_items(d->follower.ledger));
    set(sheet, FG_CONTROL_ledger_orders, fg_ledger_orders(d->follower.ledger));
    pthread_mutex_unlock(&d->follower.lock);
    say(sheet, FG_CONTROL_ledger_error,
        atomic_load(&d->follower.broken) ? d->follower.error.text : "");
}

static void read_sink(struct fg_sink *sink, struct fg_control_sheet *sheet)
{
    const char *name = fg_sink_name(sink);
    struct fg_sink_status s;

    fg_sink_status(sink, &s);
    fg_control_sheet_say(sheet, FG_CONTROL_sinks_address, name, fg_sink_address(sink));
    fg_control_sheet_say(sheet, FG_CONTROL_sinks_state, name, fg_sink_state_name(s.state));
    fg_control_sheet_say(sheet, FG_CONTROL_sinks_error, name, s.error);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_cursor, name, s.cursor);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_lag, name, s.lag);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_records, name, s.records);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_transactions, name, s.transactions);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_reconnects, name, s.reconnects);
}

static void read_sinks(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    for (unsigned i = 0; i < d->sinks_count; i++)
        read_sink(d->sinks[i], sheet);
}

static void read_inbound(struct fg_daemon *d, struct fg_control_sheet *sheet)
{
    struct fg_inbound_status s;

    if (!d->inbound)
        return;
    fg_inbound_status(d->inbound, &s);
    say(sheet, FG_CONTROL_inbound_state, fg_sink_state_name(s.state));
    say(sheet, FG_CONTROL_inbound_error, s.error);
    set(sheet, FG_CONTROL_inbound_backlog, s.backlog);
    set(sheet, FG_CONTROL_inbound_in_flight, s.under_way);
#define X(key, text) set(sheet, FG_CONTROL_inbound_##key, s.key);
    FG_INBOUND_COUNTER_LIST(X)
#undef X
    for (unsigned i = FG_STATUS_NONE + 1; i < FG_STATUS_COUNT; i++)
        if (s.results[i])
            fg_control_sheet_set(sheet, FG_CONTROL_inbound_results_commands,
                                 fg_packet_status_name(i), s.results[i]);
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
    static void (*const readers[])(struct fg_daemon *, struct fg_control_sheet *) = {
        read_daemon,   read_workers, read_drops,  read_answers, read_stock,
        read_filter,   read_penalty, read_alarms, read_ports,   read_log,
        read_snapshot, read_ledger,  read_sinks,  read_inbound, read_memory};

    for (unsigned i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
        readers[i](daemon, sheet);
}
