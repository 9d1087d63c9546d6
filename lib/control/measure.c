/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/measure.h"

#include "journal/archive.h"

static void set(struct fg_control_sheet *sheet, enum fg_control_metric metric, uint64_t value)
{
    fg_control_sheet_set(sheet, metric, NULL, value);
}

static void say(struct fg_control_sheet *sheet, enum fg_control_metric metric, const char *text)
{
    fg_control_sheet_say(sheet, metric, NULL, text);
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

static void read_workers(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    for (unsigned i = 0; i < p->workers->options.workers.count; i++)
        read_worker(p->workers->list[i], sheet);
}

/* Of a counter at that offset in the counters of each worker. */
static uint64_t sum_at(const struct fg_control_parts *p, size_t offset)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < p->workers->options.workers.count; i++)
        sum +=
            fg_counter_read((const void *)((const char *)&p->workers->list[i]->counters + offset));
    return sum;
}

static void read_drops(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    for (unsigned why = FG_PACKET_DROP_NONE + 1; why < FG_PACKET_DROP_COUNT; why++)
        fg_control_sheet_set(sheet, FG_CONTROL_drops_packets, fg_packet_drop_name(why),
                             sum_at(p, offsetof(struct fg_worker_counters, dropped[why])));
}

static void read_answers(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    for (unsigned status = FG_PACKET_STATUS_NONE + 1; status < FG_PACKET_STATUS_COUNT; status++)
        fg_control_sheet_set(sheet, FG_CONTROL_answers_packets, fg_packet_status_name(status),
                             sum_at(p, offsetof(struct fg_worker_counters, answered[status])));
}

static void read_stock(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    struct fg_histogram_sum waited = {.count = 0};
    uint64_t sum;

#define X(key, text)                                                                               \
    sum = 0;                                                                                       \
    for (unsigned i = 0; i < p->workers->options.workers.count; i++)                               \
        sum += fg_counter_read(&fg_stock_counters(p->workers->list[i]->stock)->key);               \
    set(sheet, FG_CONTROL_stock_##key, sum);
    FG_STOCK_COUNTER_LIST(X)
#undef X
    for (unsigned i = 0; i < p->workers->options.workers.count; i++)
        fg_histogram_read(fg_stock_waited(p->workers->list[i]->stock), &waited);
    fg_control_sheet_histogram(sheet, FG_CONTROL_stock_waited_ms, NULL, &waited);
}

static void read_latency(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
#define X(name, text)                                                                              \
    {                                                                                              \
        struct fg_histogram_sum sum = {.count = 0};                                                \
                                                                                                   \
        for (unsigned i = 0; i < p->workers->options.workers.count; i++)                           \
            fg_histogram_read(&p->workers->list[i]->latency.name, &sum);                           \
        fg_control_sheet_histogram(sheet, FG_CONTROL_latency_latency_ns, #name, &sum);             \
    }
    FG_WORKER_LATENCY_LIST(X)
#undef X
}

static void read_commits(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    struct fg_histogram_sum took = {.count = 0}, size = {.count = 0};

    fg_histogram_read(&p->journal_thread->watch.took, &took);
    fg_histogram_read(&p->journal_thread->watch.size, &size);
    fg_control_sheet_histogram(sheet, FG_CONTROL_commits_took_ns, NULL, &took);
    fg_control_sheet_histogram(sheet, FG_CONTROL_commits_records, NULL, &size);
}

static void read_filter(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    uint64_t verdicts[FG_FILTER_VERDICT_COUNT] = {0}, events[FG_EVENT_COUNT] = {0};

    if (!p->filter)
        return;
    fg_filter_counters(p->filter, verdicts);
    for (unsigned i = 0; i < FG_FILTER_VERDICT_COUNT; i++)
        fg_control_sheet_set(sheet, FG_CONTROL_filter_packets, fg_filter_verdict_name(i),
                             verdicts[i]);
    fg_filter_events(p->filter, events);
    for (unsigned i = 0; i < FG_EVENT_COUNT; i++)
        fg_control_sheet_set(sheet, FG_CONTROL_filter_events_events, fg_filter_event_name(i),
                             events[i]);
}

static void read_penalty(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    struct fg_penalty_counters c = fg_penalty_counters(p->penalty);

#define X(key, text) set(sheet, FG_CONTROL_penalty_##key, c.key);
    FG_PENALTY_COUNTER_LIST(X)
#undef X
    set(sheet, FG_CONTROL_penalty_blocked,
        fg_penalty_list(p->penalty, NULL, 0, fg_clock_mono_ms()));
}

static void add_alarm(void *sheet, const char *name, enum fg_health_level level, const char *text)
{
    fg_control_sheet_set(sheet, FG_CONTROL_alarm_levels_level, name, level);
}

static void read_alarms(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    fg_health_each(p->alarms, add_alarm, sheet);
}

static void read_port(const struct fg_port *port, struct fg_control_sheet *sheet)
{
    const char *name = port->options->name;
    struct fg_port_counters c = fg_port_counters(port);
    int link = atomic_load(&port->link.state);

    fg_control_sheet_say(sheet, FG_CONTROL_ports_device, name, port->options->device);
    if (port->options->af_xdp)
        fg_control_sheet_say(sheet, FG_CONTROL_ports_xdp, name,
                             port->options->generic ? "generic" : "native");
    fg_control_sheet_say(sheet, FG_CONTROL_ports_state, name, fg_port_link_name(link));
    fg_control_sheet_set(sheet, FG_CONTROL_ports_queues, name, port->options->queues);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_link_up, name, link == FG_PORT_LINK_UP);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_link_lost, name, atomic_load(&port->link.lost));
    fg_control_sheet_set(sheet, FG_CONTROL_ports_rx_packets, name, c.rx_packets);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_rx_bytes, name, c.rx_bytes);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_rx_missed, name, c.rx_missed);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_rx_errors, name, c.rx_errors);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_rx_no_mbuf, name, c.rx_no_mbuf);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_tx_packets, name, c.tx_packets);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_tx_bytes, name, c.tx_bytes);
    fg_control_sheet_set(sheet, FG_CONTROL_ports_tx_errors, name, c.tx_errors);
}

static void read_ports(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    for (unsigned i = 0; i < p->ports->options.count; i++)
        read_port(&p->ports->list[i], sheet);
}

/* How far back the log goes. */
static void read_extent(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    struct fg_journal_extent extent;
    struct fg_error err;

    if (!fg_journal_extent(p->log_dir, &extent, &err))
        return;
    set(sheet, FG_CONTROL_log_first_seq, extent.first_seq);
    set(sheet, FG_CONTROL_log_segments, extent.segments);
    set(sheet, FG_CONTROL_log_segments_bytes, extent.bytes);
}

static void read_archive(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    char error[256];

    if (!p->archive)
        return;
    fg_journal_archive_error(p->archive, error, sizeof(error));
    set(sheet, FG_CONTROL_log_segments_archived, fg_journal_archive_copied(p->archive));
    say(sheet, FG_CONTROL_log_archive_error, error);
}

static void read_log(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    struct fg_journal_committer *c = &p->journal_thread->committer;
    int state = atomic_load_explicit(&c->state, memory_order_acquire);
    char error[256] = "";

    say(sheet, FG_CONTROL_log_dir, p->log_dir);
    say(sheet, FG_CONTROL_log_durability, p->log_in_memory ? "memory" : "disk");
    if (p->log_way)
        say(sheet, FG_CONTROL_log_commit, p->log_way);
    say(sheet, FG_CONTROL_log_state, fg_journal_state_name((enum fg_journal_state)state));
    if (state != FG_JOURNAL_OK)
        fg_journal_thread_error(p->journal_thread, error, sizeof(error));
    say(sheet, FG_CONTROL_log_error, error);
    set(sheet, FG_CONTROL_log_durable_seq, atomic_load(&c->durable_seq));
    set(sheet, FG_CONTROL_log_commits, atomic_load(&c->commits));
    set(sheet, FG_CONTROL_log_records, atomic_load(&c->records));
    set(sheet, FG_CONTROL_log_commit_max_ms, atomic_load(&p->journal_thread->watch.max_ms));
    set(sheet, FG_CONTROL_log_commits_slow, atomic_load(&p->journal_thread->watch.slow));
    read_extent(p, sheet);
    set(sheet, FG_CONTROL_log_segments_retired, atomic_load(&p->follower->snapshots.retired));
    set(sheet, FG_CONTROL_log_segments_forced, atomic_load(&p->follower->snapshots.forced));
    read_archive(p, sheet);
}

static void read_snapshot(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    struct fg_ledger_snapshots *s = &p->follower->snapshots;
    uint64_t seq = atomic_load(&s->seq), created = atomic_load(&s->created_ms);
    uint64_t now = fg_clock_now_ms(p->clock);
    char error[256];

    fg_ledger_snapshots_error(&p->follower->snapshots, error, sizeof(error));
    set(sheet, FG_CONTROL_snapshot_seq, seq);
    set(sheet, FG_CONTROL_snapshot_older_seq, atomic_load(&s->older_seq));
    set(sheet, FG_CONTROL_snapshot_age_s, seq && now > created ? (now - created) / 1000 : 0);
    set(sheet, FG_CONTROL_snapshot_made, atomic_load(&s->made));
    set(sheet, FG_CONTROL_snapshot_failures, atomic_load(&s->failures));
    set(sheet, FG_CONTROL_snapshot_running, atomic_load(&s->running));
    say(sheet, FG_CONTROL_snapshot_error, error);
}

static void read_ledger(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    uint64_t has = atomic_load(&p->follower->seq);
    uint64_t durable = atomic_load(&p->journal_thread->committer.durable_seq);

    set(sheet, FG_CONTROL_ledger_lag, durable > has ? durable - has : 0);
    set(sheet, FG_CONTROL_ledger_held, atomic_load(&p->journal_thread->lagged));
    pthread_mutex_lock(&p->follower->lock);
    set(sheet, FG_CONTROL_ledger_seq, fg_ledger_seq(p->follower->ledger));
    set(sheet, FG_CONTROL_ledger_items, fg_ledger_items(p->follower->ledger));
    set(sheet, FG_CONTROL_ledger_orders, fg_ledger_orders(p->follower->ledger));
    pthread_mutex_unlock(&p->follower->lock);
    say(sheet, FG_CONTROL_ledger_error,
        atomic_load(&p->follower->broken) ? p->follower->error.text : "");
}

static void read_sink(struct fg_sink *sink, struct fg_control_sheet *sheet)
{
    const char *name = fg_sink_name(sink);
    struct fg_histogram_sum delays = {.count = 0};
    struct fg_sink_status s;

    fg_sink_status(sink, &s);
    fg_control_sheet_say(sheet, FG_CONTROL_sinks_address, name, fg_sink_address(sink));
    fg_control_sheet_say(sheet, FG_CONTROL_sinks_state, name, fg_sink_state_name(s.state));
    fg_control_sheet_say(sheet, FG_CONTROL_sinks_error, name, s.error);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_cursor, name, s.cursor);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_lag, name, s.lag);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_lag_ms, name, s.lag_ms);
    fg_histogram_read(fg_sink_delays(sink), &delays);
    fg_control_sheet_histogram(sheet, FG_CONTROL_delays_delay_ms, name, &delays);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_records, name, s.records);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_transactions, name, s.transactions);
    fg_control_sheet_set(sheet, FG_CONTROL_sinks_reconnects, name, s.reconnects);
}

static void read_sinks(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    for (unsigned i = 0; i < p->sinks->count; i++)
        read_sink(p->sinks->list[i], sheet);
}

static void read_inbound(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    struct fg_inbound_status s;

    if (!p->inbound)
        return;
    fg_inbound_status(p->inbound, &s);
    say(sheet, FG_CONTROL_inbound_state, fg_sink_state_name(s.state));
    say(sheet, FG_CONTROL_inbound_error, s.error);
    set(sheet, FG_CONTROL_inbound_backlog, s.backlog);
    set(sheet, FG_CONTROL_inbound_in_flight, s.under_way);
#define X(key, text) set(sheet, FG_CONTROL_inbound_##key, s.key);
    FG_INBOUND_COUNTER_LIST(X)
#undef X
    for (unsigned i = FG_PACKET_STATUS_NONE + 1; i < FG_PACKET_STATUS_COUNT; i++)
        if (s.results[i])
            fg_control_sheet_set(sheet, FG_CONTROL_inbound_results_commands,
                                 fg_packet_status_name(i), s.results[i]);
}

static void read_pair(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    const struct fg_replication_view *v = p->pair ? &p->pair->view : NULL;
    int64_t skew_ms;

    if (!v)
        return;
    skew_ms = v->pair.skew_ms < 0 ? -v->pair.skew_ms : v->pair.skew_ms;
    say(sheet, FG_CONTROL_pair_role, fg_pair_role_name(v->pair.role));
    say(sheet, FG_CONTROL_pair_state, fg_pair_state_text(v->pair.state));
    say(sheet, FG_CONTROL_pair_reason, fg_pair_reason_text(v->pair.reason));
    set(sheet, FG_CONTROL_pair_leads, p->pair->leads);
    set(sheet, FG_CONTROL_pair_take_overs, p->pair->leads);
    set(sheet, FG_CONTROL_pair_epoch, v->pair.epoch);
    set(sheet, FG_CONTROL_pair_committed, v->pair.committed);
    set(sheet, FG_CONTROL_pair_link_up, v->pair.linked);
    set(sheet, FG_CONTROL_pair_links, v->links);
    set(sheet, FG_CONTROL_pair_lag, v->lag_records);
    set(sheet, FG_CONTROL_pair_lag_ms, v->lag_ms);
    set(sheet, FG_CONTROL_pair_skew_ms, (uint64_t)skew_ms);
    set(sheet, FG_CONTROL_pair_drops, v->pair.drops);
    set(sheet, FG_CONTROL_pair_refused, v->pair.refused);
    set(sheet, FG_CONTROL_pair_arbiter_up, v->arbiter_ok);
    set(sheet, FG_CONTROL_pair_arbiter_ms, v->arbiter_ms);
    set(sheet, FG_CONTROL_pair_sent_bytes, v->sent_bytes);
    set(sheet, FG_CONTROL_pair_received_bytes, v->received_bytes);
    set(sheet, FG_CONTROL_pair_address_held, p->pair->address_held);
}

static void read_fleet(const struct fg_control_parts *p, struct fg_control_sheet *sheet)
{
    const struct fg_fleet_view *v = p->fleet ? &p->fleet->view.fleet : NULL;

    if (!v)
        return;
    say(sheet, FG_CONTROL_fleet_reason, fg_fleet_reason_text(v->reason));
    set(sheet, FG_CONTROL_fleet_may_sell, v->may_sell);
    set(sheet, FG_CONTROL_fleet_away, v->away);
    set(sheet, FG_CONTROL_fleet_frozen, v->map.frozen);
    set(sheet, FG_CONTROL_fleet_silent, (uint64_t)__builtin_popcount(v->silent));
    set(sheet, FG_CONTROL_fleet_etcd_ms, p->fleet->view.etcd_ms);
#define X(key, text) set(sheet, FG_CONTROL_fleet_##key, v->key);
    FG_FLEET_COUNTER_LIST(X)
#undef X
}

void fg_control_measure(const struct fg_control_parts *parts, struct fg_control_sheet *sheet)
{
    static void (*const readers[])(const struct fg_control_parts *, struct fg_control_sheet *) = {
        read_workers, read_drops, read_answers, read_stock,    read_filter, read_penalty,
        read_alarms,  read_ports, read_log,     read_snapshot, read_ledger, read_sinks,
        read_pair,    read_fleet, read_inbound, read_latency,  read_commits};

    for (unsigned i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
        readers[i](parts, sheet);
}
