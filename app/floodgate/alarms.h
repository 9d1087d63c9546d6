/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * alarms: what somebody should know before, or at once after, it stops sales. Looked at by the main
 * thread, read by the control thread. An alarm goes down only after its cause has been away for
 * FG_ALARM_HOLD_MS, so that one that comes and goes is one line in the log.
 */
#ifndef FG_ALARMS_H
#define FG_ALARMS_H

#include <jansson.h>
#include <pthread.h>

#include "base/base.h"

#define FG_ALARM_HOLD_MS 5000
#define FG_ALARM_TEXT    256
#define FG_LOG_GONE_TEXT                                                                           \
    "%.100s is no longer the log that is written: removed or moved away; what is accepted is "     \
    "lost at a "                                                                                   \
    "restart"

/* name, name in text, what it watches. Limits: a warning from 90 %, an alarm when nothing is left.
 */
#define FG_ALARM_LIST(X)                                                                           \
    X(ITEMS, "items", "items, of [limits] items_max")                                              \
    X(ORDERS, "orders", "orders remembered, of a worker's share of [limits] orders_max")           \
    X(USERS, "users", "users with a limit, of a worker's share of [limits] users_max")             \
    X(PARKED, "parked",                                                                            \
      "requests that wait for units, of a worker's share of [limits] parked_max")                  \
    X(HELD, "held", "answers that wait for the disk, of a worker's share of [limits] held_max")    \
    X(DENIED, "denied", "users who were ever denied, of what a worker has room for")               \
    X(FULL, "full", "reservations are refused as FULL")                                            \
    X(LOG, "log", "the log has no room, failed, or was taken away")                                \
    X(DISK, "disk", "a commit of the log waits for the disk for a second or more")                 \
    X(MEMORY, "memory", "[log] durability is memory: nothing survives a power cut")                \
    X(SNAPSHOT, "snapshot", "no snapshot of the log can be made")                                  \
    X(LEDGER, "ledger", "the log cannot be followed")                                              \
    X(SINK, "sink", "Redis or an order backend is away, or refuses")                               \
    X(COMMANDS, "commands", "the way back from Redis is away, or refuses")                         \
    X(FILTER, "filter", "the filter's table of sources is full, or the penalty box is")            \
    X(LISTS, "lists", "lines of [filter] block_file or allow_file are wrong and were left out")    \
    X(MONITOR, "monitor", "[filter] monitor is on: nothing is dropped")                            \
    X(GATEWAYS, "gateways", "nothing limits what comes from the allow list")                       \
    X(WORKERS, "workers", "a worker stands still")                                                 \
    X(LINK, "link", "a port has no link or no XDP program, or its interface is gone")

enum fg_health_alarm {
#define X(name, text, help) FG_ALARM_##name,
    FG_ALARM_LIST(X)
#undef X
        FG_ALARMS
};

enum fg_health_alarm_level { FG_ALARM_NONE, FG_ALARM_WARNING, FG_ALARM_RAISED };

struct fg_health_alarm_state {
    enum fg_health_alarm_level level;
    uint64_t seen_ms; /**< when it was last as bad as its level */
    char text[FG_ALARM_TEXT];
};

struct fg_health_alarms {
    pthread_mutex_t lock; /**< main thread and control thread */
    struct fg_health_alarm_state list[FG_ALARMS];
    bool looked;                                 /**< at the filter, once */
    uint64_t refused_sources, refused_penalties; /**< of the counters, when last looked at */
    uint64_t refused_full;                       /**< of the counter, when last looked at */
    uint64_t slow_commits;                       /**< the same */
    uint64_t log_looked_ms;                      /**< when the log's directory was last looked at */
};

struct fg_daemon;

/** Main thread, every 100 ms. */
void fg_health_poll(struct fg_daemon *d, uint64_t now_ms);
/** Those that are raised: [{"name", "level": "warning" or "alarm", "text"}]. Any thread. */
json_t *fg_health_alarms_json(struct fg_daemon *d);
/** All, by name: 0, 1 or 2. Any thread. */
json_t *fg_health_alarm_levels_json(struct fg_daemon *d);

#endif
