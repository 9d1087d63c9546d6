/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * metrics: every number and state that the appliance shows, one row each. The same row gives the
 * field of /v1/stats and /v1/status, the metric of /metrics, the field of DPDK's telemetry and the
 * line of docs/metrics.md. The daemon fills a sheet with one walk over its counters; whoever shows
 * numbers reads the sheet.
 *
 * The table is constant; any thread may read it.
 */
#ifndef FG_CONTROL_METRICS_H
#define FG_CONTROL_METRICS_H

#include <jansson.h>

#include "base/base.h"
#include "inbound/inbound.h"
#include "penalty/penalty.h"
#include "stock/stock.h"
#include "worker/counters.h"

/** The shape of a section in JSON. */
enum fg_control_shape {
    FG_CONTROL_OBJECT, /**< {key: value}; null when the sheet has none of it */
    FG_CONTROL_MAP,    /**< {element: value}: one row, and the element is a label of its metric */
    FG_CONTROL_LIST,   /**< [{label: element, key: value}] */
    FG_CONTROL_HIDDEN  /**< in no JSON document: metrics only */
};

/* section, path in JSON, shape, label of an element, part of /v1/status too?, title.
 * A path "a.b" is member b of the section "a", which stands before it. */
#define FG_CONTROL_SECTION_LIST(X)                                                                 \
    X(daemon, "daemon", OBJECT, NULL, true, "The appliance")                                       \
    X(workers, "workers", LIST, "worker", false, "Workers")                                        \
    X(drops, "drops", MAP, "reason", false, "Packets without an answer")                           \
    X(answers, "answers", MAP, "status", false, "Answers")                                         \
    X(stock, "stock", OBJECT, NULL, false, "Decisions")                                            \
    X(filter, "filter", MAP, "verdict", false, "Filter")                                           \
    X(filter_events, "filter_events", MAP, "event", false, "Events of the filter")                 \
    X(penalty, "penalty", OBJECT, NULL, false, "Penalty box")                                      \
    X(alarm_levels, "alarm_levels", MAP, "alarm", false, "Alarms")                                 \
    X(ports, "ports", LIST, "port", true, "Ports")                                                 \
    X(log, "log", OBJECT, NULL, true, "Log")                                                       \
    X(snapshot, "log.snapshot", OBJECT, NULL, true, "Snapshots of the log")                        \
    X(ledger, "ledger", OBJECT, NULL, true, "Ledger")                                              \
    X(sinks, "sinks", LIST, "sink", true, "Sinks")                                                 \
    X(delays, "delays", MAP, "sink", false, "Age of records when a sink had them")                 \
    X(latency, "latency", MAP, "step", false, "Latency of orders")                                 \
    X(commits, "commits", OBJECT, NULL, false, "Commits of the log")                               \
    X(pair, "pair", OBJECT, NULL, true, "A pair")                                                  \
    X(fleet, "fleet", OBJECT, NULL, true, "A fleet")                                               \
    X(inbound, "inbound", OBJECT, NULL, true, "Inbound commands")                                  \
    X(inbound_results, "inbound.results", MAP, "status", true, "Results of inbound commands")      \
    X(memory, "memory_bytes", MAP, "part", false, "Memory")                                        \
    X(items, "items", HIDDEN, "item", false, "Items")

enum fg_control_section {
#define X(id, path, shape, label, status, title) FG_CONTROL_SECTION_##id,
    FG_CONTROL_SECTION_LIST(X)
#undef X
        FG_CONTROL_SECTIONS
};

/** Of a metric. NONE: the row is a field of JSON only. */
enum fg_control_type {
    FG_CONTROL_NONE,
    FG_CONTROL_COUNTER,
    FG_CONTROL_GAUGE,
    FG_CONTROL_HISTOGRAM /**< JSON: how often, by largest value */
};

enum fg_control_unit {
    FG_CONTROL_NUMBER,
    FG_CONTROL_FLAG,    /**< JSON: true or false; metric: 1 or 0 */
    FG_CONTROL_BYTES,   /**< the key ends in _bytes, or the section does */
    FG_CONTROL_SECONDS, /**< the key ends in _s */
    FG_CONTROL_MS,      /**< the key ends in _ms; the metric is in seconds */
    FG_CONTROL_NS,      /**< the same with _ns */
    FG_CONTROL_TEXT     /**< JSON: text; metric: 1, with the text in the label of the row */
};

/* section, key in JSON, metric without floodgate_, type, unit, label of the row, meaning.
 * The counters of workers, stock, penalty and inbound come from the lists of those features. */
#define FG_CONTROL_METRIC_LIST(X)                                                                  \
    X(daemon, state, "state", GAUGE, TEXT, "state", "1: running, degraded, unhealthy or stopping") \
    X(daemon, healthy, "healthy", GAUGE, FLAG, NULL, "1 when /healthz answers 200")                \
    X(daemon, version, "build_info", GAUGE, TEXT, "version", "1: the version that runs")           \
    X(daemon, pid, "", NONE, NUMBER, NULL, "process id")                                           \
    X(daemon, config, "", NONE, TEXT, NULL, "configuration file")                                  \
    X(daemon, uptime_s, "uptime_seconds", GAUGE, SECONDS, NULL, "since the daemon started")        \
    X(daemon, workers, "workers", GAUGE, NUMBER, NULL, "workers")                                  \
    X(daemon, workers_stalled, "workers_stalled", GAUGE, NUMBER, NULL,                             \
      "workers that have not finished a poll loop for two seconds")                                \
    X(daemon, queues, "queues", GAUGE, NUMBER, NULL, "receive queues of all ports")                \
    X(daemon, order_port, "", NONE, NUMBER, NULL, "first UDP port of order packets")               \
    X(daemon, order_ports, "order_ports", GAUGE, NUMBER, NULL, "UDP ports of order packets")       \
    X(daemon, filter_enabled, "filter_enabled", GAUGE, FLAG, NULL, "1 when the filter is on")      \
    X(workers, orders_in_memory, "worker_orders_in_memory", GAUGE, NUMBER, NULL,                   \
      "orders that the worker remembers, finished ones too")                                       \
    X(workers, users_in_memory, "worker_users_in_memory", GAUGE, NUMBER, NULL,                     \
      "users whose units the worker counts")                                                       \
    X(workers, users_denied, "worker_users_denied", GAUGE, NUMBER, NULL,                           \
      "users that were ever denied since the start")                                               \
    X(workers, requests_parked, "worker_requests_parked", GAUGE, NUMBER, NULL,                     \
      "requests that wait for units")                                                              \
    X(workers, answers_deferred, "worker_answers_deferred", GAUGE, NUMBER, NULL,                   \
      "answers that wait for the disk")                                                            \
    X(drops, packets, "drops_total", COUNTER, NUMBER, NULL, "packets without an answer")           \
    X(answers, packets, "answers_total", COUNTER, NUMBER, NULL, "replies")                         \
    X(stock, waited_ms, "stock_waited_seconds", HISTOGRAM, MS, NULL,                               \
      "how long users of waiting lists waited for their turn")                                     \
    X(filter, packets, "filter_packets_total", COUNTER, NUMBER, NULL,                              \
      "packets that entered the ports; kept across restarts with AF_XDP")                          \
    X(filter_events, events, "filter_events_total", COUNTER, NUMBER, NULL,                         \
      "full tables of the filter and the like; kept across restarts with AF_XDP")                  \
    X(penalty, blocked, "penalty_blocked_sources", GAUGE, NUMBER, NULL,                            \
      "sources in the penalty box now")                                                            \
    X(alarm_levels, level, "alarm_level", GAUGE, NUMBER, NULL, "0 = none, 1 = warning, 2 = alarm") \
    X(ports, device, "", NONE, TEXT, NULL, "device of the port")                                   \
    X(ports, xdp, "", NONE, TEXT, NULL, "mode of the XDP program: native or generic")              \
    X(ports, state, "port_state", GAUGE, TEXT, "state", "1: state of the link")                    \
    X(ports, queues, "port_queues", GAUGE, NUMBER, NULL, "receive queues")                         \
    X(ports, link_up, "port_link_up", GAUGE, FLAG, NULL, "1 when the port has a link")             \
    X(ports, link_lost, "port_link_lost_total", COUNTER, NUMBER, NULL, "losses of the link")       \
    X(ports, rx_packets, "port_rx_packets_total", COUNTER, NUMBER, NULL, "frames received")        \
    X(ports, rx_bytes, "port_rx_bytes_total", COUNTER, BYTES, NULL, "bytes received")              \
    X(ports, rx_missed, "port_rx_missed_total", COUNTER, NUMBER, NULL,                             \
      "frames lost because the receive queue was full")                                            \
    X(ports, rx_errors, "port_rx_errors_total", COUNTER, NUMBER, NULL, "frames with errors")       \
    X(ports, rx_no_mbuf, "port_rx_no_mbuf_total", COUNTER, NUMBER, NULL,                           \
      "frames lost because the mbuf pool was empty")                                               \
    X(ports, tx_packets, "port_tx_packets_total", COUNTER, NUMBER, NULL, "frames sent")            \
    X(ports, tx_bytes, "port_tx_bytes_total", COUNTER, BYTES, NULL, "bytes sent")                  \
    X(ports, tx_errors, "port_tx_errors_total", COUNTER, NUMBER, NULL, "frames not sent")          \
    X(log, dir, "", NONE, TEXT, NULL, "folder of the log")                                         \
    X(log, durability, "", NONE, TEXT, NULL, "disk or memory")                                     \
    X(log, commit, "", NONE, TEXT, NULL, "how records reach the disk: plain, dsync or uring")      \
    X(log, state, "log_state", GAUGE, TEXT, "state", "1: ok, full or failed")                      \
    X(log, error, "", NONE, TEXT, NULL, "why the state is not ok")                                 \
    X(log, durable_seq, "log_durable_seq", GAUGE, NUMBER, NULL, "last record on disk")             \
    X(log, first_seq, "log_first_seq", GAUGE, NUMBER, NULL, "first record that the log holds")     \
    X(log, segments, "log_segments", GAUGE, NUMBER, NULL, "segments, files of the log")            \
    X(log, segments_bytes, "log_segments_bytes", GAUGE, BYTES, NULL, "size of all segments")       \
    X(log, segments_retired, "log_segments_retired_total", COUNTER, NUMBER, NULL,                  \
      "segments removed since the start")                                                          \
    X(log, segments_forced, "log_segments_forced_total", COUNTER, NUMBER, NULL,                    \
      "segments removed for want of room, before `keep_bytes` was reached")                        \
    X(log, segments_archived, "log_segments_archived_total", COUNTER, NUMBER, NULL,                \
      "segments copied to the archive since the start")                                            \
    X(log, archive_error, "", NONE, TEXT, NULL, "why the last copy to the archive failed")         \
    X(log, records, "log_records_total", COUNTER, NUMBER, NULL, "records written")                 \
    X(log, commits, "log_commits_total", COUNTER, NUMBER, NULL, "commits, one disk sync each")     \
    X(log, commits_slow, "log_commits_slow_total", COUNTER, NUMBER, NULL,                          \
      "commits that took a second or more")                                                        \
    X(log, commit_max_ms, "log_commit_max_seconds", GAUGE, MS, NULL,                               \
      "longest commit since the start")                                                            \
    X(snapshot, seq, "log_snapshot_seq", GAUGE, NUMBER, NULL,                                      \
      "last record in the newest good snapshot; 0 = none")                                         \
    X(snapshot, older_seq, "log_snapshot_older_seq", GAUGE, NUMBER, NULL,                          \
      "last record in the snapshot before that; 0 = none")                                         \
    X(snapshot, age_s, "log_snapshot_age_seconds", GAUGE, SECONDS, NULL,                           \
      "age of the newest good snapshot")                                                           \
    X(snapshot, made, "log_snapshots_total", COUNTER, NUMBER, NULL, "snapshots made")              \
    X(snapshot, failures, "log_snapshot_failures_total", COUNTER, NUMBER, NULL,                    \
      "snapshots that could not be made")                                                          \
    X(snapshot, running, "log_snapshot_running", GAUGE, FLAG, NULL,                                \
      "1 while a snapshot is being made")                                                          \
    X(snapshot, error, "", NONE, TEXT, NULL, "why the last attempt failed")                        \
    X(ledger, seq, "ledger_seq", GAUGE, NUMBER, NULL, "last record that the ledger has applied")   \
    X(ledger, lag, "ledger_lag", GAUGE, NUMBER, NULL, "records on disk that the ledger lacks")     \
    X(ledger, held, "ledger_held_total", COUNTER, NUMBER, NULL,                                    \
      "times that it lacked more than [log] ledger_lag_max, so that orders were BUSY")             \
    X(ledger, items, "ledger_items", GAUGE, NUMBER, NULL, "items")                                 \
    X(ledger, orders, "ledger_orders", GAUGE, NUMBER, NULL, "orders, finished ones too")           \
    X(ledger, error, "", NONE, TEXT, NULL, "why the log cannot be followed")                       \
    X(sinks, address, "", NONE, TEXT, NULL, "server")                                              \
    X(sinks, state, "sink_state", GAUGE, TEXT, "state", "1: state of the connection")              \
    X(sinks, error, "", NONE, TEXT, NULL, "last problem")                                          \
    X(sinks, cursor, "sink_cursor", GAUGE, NUMBER, NULL, "last record in the sink")                \
    X(sinks, lag, "sink_lag", GAUGE, NUMBER, NULL, "records on disk and not yet in the sink")      \
    X(sinks, records, "sink_records_total", COUNTER, NUMBER, NULL, "records applied")              \
    X(sinks, transactions, "sink_transactions_total", COUNTER, NUMBER, NULL, "transactions")       \
    X(sinks, reconnects, "sink_reconnects_total", COUNTER, NUMBER, NULL, "connections made again") \
    X(sinks, lag_ms, "sink_lag_seconds", GAUGE, MS, NULL,                                          \
      "how old the records are at most that the sink does not have yet")                           \
    X(delays, delay_ms, "sink_delay_seconds", HISTOGRAM, MS, NULL,                                 \
      "age of records when the sink had them")                                                     \
    X(latency, latency_ns, "latency_seconds", HISTOGRAM, NS, NULL,                                 \
      "decide: from the poll of the queue to the decision; durable: from there until the answer "  \
      "may leave, as its record is on disk (or units came); send: from there until the port has "  \
      "it")                                                                                        \
    X(commits, took_ns, "log_commit_seconds", HISTOGRAM, NS, NULL, "how long a commit takes")      \
    X(commits, records, "log_commit_records", HISTOGRAM, NUMBER, NULL, "records of a commit")      \
    X(pair, role, "pair_role", GAUGE, TEXT, "role",                                                \
      "1: role of this appliance: joining, standby, leader, solo or refused")                      \
    X(pair, state, "", NONE, TEXT, NULL, "what it does")                                           \
    X(pair, reason, "", NONE, TEXT, NULL, "why it is refused, or may not lead")                    \
    X(pair, leads, "pair_leads", GAUGE, FLAG, NULL, "1 when this appliance sells")                 \
    X(pair, epoch, "pair_epoch", GAUGE, NUMBER, NULL,                                              \
      "epoch that it leads or follows: each take-over begins a new one")                           \
    X(pair, committed, "pair_committed_seq", GAUGE, NUMBER, NULL,                                  \
      "commit watermark: nothing beyond this record has left the pair")                            \
    X(pair, link_up, "pair_link_up", GAUGE, FLAG, NULL, "1 when it has a link to its peer")        \
    X(pair, links, "pair_links_total", COUNTER, NUMBER, NULL, "links that there were")             \
    X(pair, lag, "pair_lag_records", GAUGE, NUMBER, NULL,                                          \
      "records that the peer lacks, or, where this one follows, that it lacks itself")             \
    X(pair, lag_ms, "pair_lag_seconds", GAUGE, MS, NULL,                                           \
      "for how long the oldest of these has been missing")                                         \
    X(pair, skew_ms, "pair_skew_seconds", GAUGE, MS, NULL,                                         \
      "difference of the two clocks, without its sign")                                            \
    X(pair, drops, "pair_drops_total", COUNTER, NUMBER, NULL,                                      \
      "times that a standby was no longer waited for")                                             \
    X(pair, take_overs, "pair_take_overs_total", COUNTER, NUMBER, NULL,                            \
      "times that this process began to lead: 0 or 1")                                             \
    X(pair, refused, "pair_refused_messages_total", COUNTER, NUMBER, NULL,                         \
      "messages of the peer that could not be understood; each closed its link")                   \
    X(pair, arbiter_up, "pair_arbiter_up", GAUGE, FLAG, NULL, "1 when the arbiter answers")        \
    X(pair, arbiter_ms, "pair_arbiter_seconds", GAUGE, MS, NULL,                                   \
      "how long the last call to the arbiter took")                                                \
    X(pair, sent_bytes, "pair_sent_bytes_total", COUNTER, BYTES, NULL, "bytes sent to the peer")   \
    X(pair, received_bytes, "pair_received_bytes_total", COUNTER, BYTES, NULL,                     \
      "bytes received from the peer")                                                              \
    X(pair, address_held, "pair_address_held", GAUGE, FLAG, NULL,                                  \
      "1 when [pair] address is on this appliance")                                                \
    X(fleet, reason, "", NONE, TEXT, NULL, "why it leases and returns nothing")                    \
    X(fleet, may_sell, "fleet_may_sell", GAUGE, FLAG, NULL,                                        \
      "1 when map and pools were read, and nothing forbids to sell")                               \
    X(fleet, away, "fleet_away", GAUGE, FLAG, NULL, "1 when etcd does not answer")                 \
    X(fleet, frozen, "fleet_frozen", GAUGE, FLAG, NULL, "1 when a person froze the fleet")         \
    X(fleet, silent, "fleet_silent_members", GAUGE, NUMBER, NULL,                                  \
      "members that did not answer the last demand")                                               \
    X(fleet, etcd_ms, "fleet_etcd_seconds", GAUGE, MS, NULL,                                       \
      "how long the last call to etcd took")                                                       \
    X(fleet, reads, "fleet_reads_total", COUNTER, NUMBER, NULL, "reads of what changed in etcd")   \
    X(fleet, swaps, "fleet_swaps_total", COUNTER, NUMBER, NULL, "swaps of pools that succeeded")   \
    X(fleet, lost, "fleet_swaps_lost_total", COUNTER, NUMBER, NULL,                                \
      "swaps that another member was faster than")                                                 \
    X(fleet, unknown, "fleet_swaps_unknown_total", COUNTER, NUMBER, NULL,                          \
      "swaps of unknown outcome")                                                                  \
    X(fleet, unanswered, "fleet_unanswered_total", COUNTER, NUMBER, NULL,                          \
      "calls that etcd did not answer")                                                            \
    X(fleet, leases, "fleet_leases_total", COUNTER, NUMBER, NULL, "leases recorded")               \
    X(fleet, recalls, "fleet_recalls_total", COUNTER, NUMBER, NULL, "recalls answered")            \
    X(fleet, busy, "fleet_busy_total", COUNTER, NUMBER, NULL, "requests refused as BUSY")          \
    X(fleet, damaged, "fleet_damaged_total", COUNTER, NUMBER, NULL,                                \
      "values in etcd that could not be understood")                                               \
    X(inbound, state, "inbound_state", GAUGE, TEXT, "state", "1: state of the connection")         \
    X(inbound, error, "", NONE, TEXT, NULL, "last problem")                                        \
    X(inbound, backlog, "inbound_backlog", GAUGE, NUMBER, NULL,                                    \
      "commands in the stream that are not acknowledged, as last seen")                            \
    X(inbound, in_flight, "inbound_in_flight", GAUGE, NUMBER, NULL,                                \
      "commands that a worker has, or is to have")                                                 \
    X(inbound_results, commands, "inbound_results_total", COUNTER, NUMBER, NULL,                   \
      "commands answered")                                                                         \
    X(daemon, diagnostics_lost, "diagnostics_lost_total", COUNTER, NUMBER, NULL,                   \
      "lines of diagnostics that their reader did not take in time")                               \
    X(memory, bytes, "memory_bytes", GAUGE, BYTES, NULL, "memory that the limits need")            \
    X(items, count, "items", GAUGE, NUMBER, NULL, "items")                                         \
    X(items, omitted, "items_omitted", GAUGE, NUMBER, NULL,                                        \
      "items beyond the first 1000, which have no metrics of their own")                           \
    X(items, name, "item_info", GAUGE, TEXT, "name", "1: name of the item")                        \
    X(items, state, "item_state", GAUGE, TEXT, "state", "1: state of the sale")                    \
    X(items, units, "item_units", GAUGE, NUMBER, "state",                                          \
      "units by state; the sum is the item's total")                                               \
    X(items, waiting, "item_waiting", GAUGE, NUMBER, NULL, "orders in the waiting list")           \
    X(items, orders, "item_orders_total", COUNTER, NUMBER, "state", "orders by the steps they took")

enum fg_control_metric {
#define X(section, key, name, type, unit, label, text) FG_CONTROL_##section##_##key,
    FG_CONTROL_METRIC_LIST(X)
#undef X
#define X(key, text) FG_CONTROL_workers_##key,
        FG_WORKER_COUNTER_LIST(X)
#undef X
#define X(key, text) FG_CONTROL_stock_##key,
            FG_STOCK_COUNTER_LIST(X)
#undef X
#define X(key, text) FG_CONTROL_penalty_##key,
                FG_PENALTY_COUNTER_LIST(X)
#undef X
#define X(key, text) FG_CONTROL_inbound_##key,
                    FG_INBOUND_COUNTER_LIST(X)
#undef X
                        FG_CONTROL_METRICS
};

struct fg_control_section_row {
    const char *path, *label, *title;
    enum fg_control_shape shape;
    bool in_status;
};

struct fg_control_metric_row {
    enum fg_control_section section;
    enum fg_control_type type;
    enum fg_control_unit unit;
    const char *key, *name; /**< name: complete, "floodgate_..."; "" for type NONE */
    const char *label;      /**< of the row itself, beside that of its section; or NULL */
    const char *text;
};

extern const struct fg_control_section_row fg_control_sections[FG_CONTROL_SECTIONS];
extern const struct fg_control_metric_row fg_control_metrics[FG_CONTROL_METRICS];

const char *fg_control_type_name(enum fg_control_type type); /**< as Prometheus calls it */

/** The metrics as a Markdown table, as docs/metrics.md has it. */
void fg_control_metrics_describe(FILE *out);

#endif
