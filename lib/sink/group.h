/* SPDX-License-Identifier: BSD-3-Clause */
/** group: all sinks of the appliance. The main thread starts and stops; any thread asks. */
#ifndef FG_SINK_GROUP_H
#define FG_SINK_GROUP_H

#include "sink/sink.h"

/** Written by the main thread. */
struct fg_sink_group {
    struct fg_sink *list[FG_SINK_SINKS_MAX];
    _Atomic unsigned count; /**< rises behind its entry of the list */
};

struct fg_sink_group_options {
    const struct fg_redis_options *redis;
    const struct fg_sink_postgres_options *postgres;
    const struct fg_sink_kafka_options *kafka;
    const struct fg_leading *leading; /**< of a pair, else NULL */
    const char *journal_dir;
    const _Atomic uint64_t *durable_seq;
};

/** Starts each sink that is enabled. False and err; then fg_sink_group_stop ends those that were.
 */
bool fg_sink_group_start(struct fg_sink_group *group, const struct fg_sink_group_options *options,
                         struct fg_error *err);
/** As fg_sink_stop, each. */
void fg_sink_group_stop(struct fg_sink_group *group, unsigned drain_ms);

/** The least cursor; UINT64_MAX without a sink. */
uint64_t fg_sink_group_passed(struct fg_sink_group *group);
/** The sink of that name; NULL: there is none. */
struct fg_sink *fg_sink_group_find(const struct fg_sink_group *group, const char *name);
/** Name of a sink that knows later records than the log; NULL: none does. */
const char *fg_sink_group_newer(struct fg_sink_group *group);
/** Every sink has reached its server, or has failed to. */
bool fg_sink_group_told(struct fg_sink_group *group);

#endif
