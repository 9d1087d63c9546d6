/* SPDX-License-Identifier: BSD-3-Clause */
/** redis_sink: the inside of a sink, shared by its life (redis_sink.c) and its work (redis_follow.c). */
#ifndef FG_REDIS_SINK_H
#define FG_REDIS_SINK_H

#include <pthread.h>

#include "journal/journal.h"
#include "replica/redis_conn.h"

struct fg_redis_sink {
    struct fg_redis_options options;
    char *journal_dir;
    const _Atomic uint64_t *durable_seq;

    pthread_t thread;
    pthread_mutex_t lock; /* of `status` */
    struct fg_sink_status status;
    int wake_fd;
    _Atomic uint64_t stop_from_ms; /* monotonic: when the stop was asked for */
    _Atomic uint64_t stop_at_ms;   /* when draining must end; 0 = runs */

    /* of the thread alone */
    struct fg_redis_conn conn;
    struct fg_redis_batch batch;
    struct fg_record *records;
    struct fg_journal_reader *reader;
    uint64_t reader_next; /* sequence that it gives next */
    uint64_t appliance;
    uint64_t cursor;    /* last seen in Redis */
    size_t batch_now;   /* records of the next transaction: fewer after a timeout */
    unsigned retry_ms;  /* pause after the next failure */
    uint64_t check_ms;  /* when the cursor was last read */
    uint64_t random;    /* of the jitter */
    bool was_connected; /* the next connection is a reconnection */
    bool clean;         /* no cursor and no leftover keys, seen on this connection */
    bool refused;
};

/** One step: connect, or apply a batch, or wait a little. Always returns within timeout_ms or so. */
void fg_redis_follow(struct fg_redis_sink *sink);

/** True when Redis holds everything that is durable now, as seen at since_ms or later. */
bool fg_redis_caught_up(const struct fg_redis_sink *sink, uint64_t since_ms);

#endif
