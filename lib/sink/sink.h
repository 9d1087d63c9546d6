/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * replica: sinks that follow the log. Each runs one thread with its own reader; the cursor lives
 * inside the sink, moved in the same transaction as the data, so each record is applied exactly
 * once whatever crashes. A sink that is away, slow or wrong never slows the sale: it lags, says so,
 * and catches up.
 */
#ifndef FG_SINK_H
#define FG_SINK_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/histogram.h"
#include "redis/redis.h"

#define FG_SINK_SINKS_MAX 4 /**< kinds of sinks; of each at most one */

#define FG_SINK_KAFKA_TOPIC_MAX 240
#define FG_SINK_KAFKA_BATCH_MAX 100000

struct fg_leading;

/** Topics, keys and values: docs/kafka.md. */
struct fg_sink_kafka_options {
    bool enabled;                     /**< false: the daemon starts none */
    char brokers[4096];               /**< "host:port,host:port" */
    char topic[256];                  /**< of the events; the cursor's is TOPIC.cursor */
    char properties_file[512];        /**< settings of librdkafka; "" = none */
    unsigned batch_max;               /**< records of one transaction */
    unsigned timeout_ms;              /**< connection, answer, transaction: 1000..300000 */
    unsigned retry_ms_max;            /**< longest pause between attempts to connect */
    const struct fg_leading *leading; /**< of a pair, else NULL. Not a setting: see raise_fence */
    unsigned members, member;         /**< as fg_redis_options */
};

/* name, text */
#define FG_SINK_STATE_LIST(X)                                                                      \
    X(CONNECTING, "connecting")                                                                    \
    X(FILLING, "filling") /* with a snapshot: the log does not go back to the sink's cursor */     \
    X(CATCHING_UP, "catching-up")                                                                  \
    X(LIVE, "live")                                                                                \
    X(AWAY, "away")       /* cannot be reached or logged in; tried again */                        \
    X(REFUSED, "refused") /* the sink's cursor is of another log, or knows records that this log   \
                             lacks: an operator must decide */                                     \
    X(STOPPED, "stopped")

enum fg_sink_state {
#define X(name, text) FG_SINK_##name,
    FG_SINK_STATE_LIST(X)
#undef X
};
const char *fg_sink_state_name(unsigned state);

struct fg_sink_status {
    enum fg_sink_state state;
    uint64_t cursor;  /**< last sequence applied in the sink */
    uint64_t lag;     /**< durable sequence minus cursor */
    uint64_t lag_ms;  /**< how old what it lacks may be; 0: it has everything */
    uint64_t records; /**< applied since start */
    uint64_t transactions;
    uint64_t reconnects;
    bool newer;      /**< refused, because it knows records that this log lacks */
    char error[256]; /**< last problem; "" when none */
};

/** Tables: docs/postgres.md. */
struct fg_sink_postgres_options {
    bool enabled;                 /**< false: the daemon starts none */
    char conninfo[4096];          /**< libpq's connection string */
    char password[FG_SECRET_MAX]; /**< over the one in conninfo; "" = that one */
    char password_file[512];      /**< its first line is the password; read at each connection */
    char schema[64];              /**< of the tables */
    unsigned batch_max;           /**< records of one transaction, 1..100000 */
    unsigned timeout_ms;          /**< connect, and each exchange */
    unsigned retry_ms_max;
    unsigned members, member; /**< as fg_redis_options */
};

/** The schema that has the tables of this appliance: options->schema, or SCHEMA_member_M of a
 * member of a fleet. */
void fg_sink_postgres_schema(const struct fg_sink_postgres_options *options, char schema[64]);

struct fg_sink;

/**
 * Starts the thread. journal_dir and durable_seq must outlive it. Options are copied. Never fails
 * because the server is away; NULL and err only for bad options or no memory.
 */
struct fg_sink *fg_sink_redis_start(const struct fg_redis_options *options, const char *journal_dir,
                                    const _Atomic uint64_t *durable_seq, struct fg_error *err);

struct fg_sink *fg_sink_kafka_start(const struct fg_sink_kafka_options *options,
                                    const char *journal_dir, const _Atomic uint64_t *durable_seq,
                                    struct fg_error *err);

/** The same, for PostgreSQL. */
struct fg_sink *fg_sink_postgres_start(const struct fg_sink_postgres_options *options,
                                       const char *journal_dir, const _Atomic uint64_t *durable_seq,
                                       struct fg_error *err);

/* False and err when the start of that sink would refuse the options. Nothing is connected. */
bool fg_sink_redis_check(const struct fg_redis_options *options, struct fg_error *err);
bool fg_sink_kafka_check(const struct fg_sink_kafka_options *options,
                         struct fg_error *err); /* and its file */
bool fg_sink_postgres_check(const struct fg_sink_postgres_options *options, struct fg_error *err);

struct fg_sink_postgres_made {
    bool schema;       /**< it was not there */
    unsigned from, to; /**< version of the tables; 0 = there were none */
};

/** Makes the tables, or brings them to this program's version, in one transaction. Waits. Repeating
 * does no harm, also at the same time. */
bool fg_sink_postgres_init(const struct fg_sink_postgres_options *options,
                           struct fg_sink_postgres_made *made, struct fg_error *err);

struct fg_sink_postgres_state {
    char address[256];
    unsigned version, known; /**< of the tables (0 = there are none), of this program; the rest is
                                read only when they are equal */
    unsigned server;    /**< version of the server, as PQserverVersion() has it: 150004 is 15.4 */
    char appliance[24]; /**< "" = nothing applied yet */
    uint64_t cursor, orders, items;
    char updated[64]; /**< when the cursor last moved, as the server writes it */
};

/** Looks, and waits for that. */
bool fg_sink_postgres_read_state(const struct fg_sink_postgres_options *options,
                                 struct fg_sink_postgres_state *state, struct fg_error *err);

/* Any thread, as long as the sink lives. */
const char *fg_sink_name(const struct fg_sink *sink);    /**< "redis" */
const char *fg_sink_address(const struct fg_sink *sink); /**< of its server; no password in it */
void fg_sink_status(struct fg_sink *sink, struct fg_sink_status *status);
/** Age of records when the sink had them, ms (FG_HISTOGRAM_MS_SHIFT). */
const struct fg_histogram *fg_sink_delays(const struct fg_sink *sink);

/**
 * A person's decision over a sink that refuses: it discards what it holds and follows this log from
 * its beginning. Returns at once; the status tells what becomes of it. False and err: it does not
 * refuse.
 */
bool fg_sink_adopt(struct fg_sink *sink, struct fg_error *err);

/** As fg_sink_stop, but does not wait, so that several sinks drain at the same time. */
void fg_sink_ask_stop(struct fg_sink *sink, unsigned drain_ms);

/** Tries for at most drain_ms to bring the sink up to durable_seq, then ends the thread and frees.
 * A thread that a library holds is left behind a second later (base/thread.h). */
void fg_sink_stop(struct fg_sink *sink, unsigned drain_ms);

#endif
