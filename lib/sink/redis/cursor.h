/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * redis_cursor: reads the cursor in Redis and says what may be done. A writer must first have
 * seen the cursor under WATCH, so that of two writers only one can succeed.
 */
#ifndef FG_SINK_REDIS_CURSOR_H
#define FG_SINK_REDIS_CURSOR_H

#include "redis/conn.h"
#include "redis/reply.h"
#include "sink/driver.h"
#include "sink/redis/batch.h"

enum fg_sink_redis_cursor_state {
    FG_SINK_REDIS_FOLLOW,  /**< resumes behind *seq */
    FG_SINK_REDIS_FRESH,   /**< there is no cursor: from the beginning, if nothing else is there */
    FG_SINK_REDIS_REFUSED, /**< err says why and what to do */
    FG_SINK_REDIS_FOREIGN, /**< the same, because it is of another log */
    FG_SINK_REDIS_NEWER    /**< the same, because it knows records that this log lacks */
};

/** Adds to b->out commands whose last reply is what fg_sink_redis_cursor_check wants. They begin a
 * new WATCH. */
void fg_sink_redis_cursor_ask(struct fg_sink_redis_batch *b);

/** The last of them alone, without a WATCH. */
void fg_sink_redis_cursor_read(struct fg_sink_redis_batch *b);

/** `reply` of HMGET, compared with the log. base: what all keys begin with, as fg_redis_base. */
enum fg_sink_redis_cursor_state
fg_sink_redis_cursor_check(const redisReply *reply, const char *base, const struct fg_sink_log *log,
                           struct fg_sink_cursor *cursor, struct fg_error *err);

/** FOLLOW and FRESH give OK. */
enum fg_sink_result fg_sink_redis_cursor_result(enum fg_sink_redis_cursor_state state);

/**
 * Searches for keys with that base which stand there without a cursor: counters would be added to
 * them. Of a fleet's keys the err says so: adopting is no remedy.
 * An event stream that holds nothing and never did is allowed: consumers make it together
 * with their groups. True: a start from the beginning is safe. False: err; conn->redis is NULL when
 * the connection failed, otherwise refused.
 */
bool fg_sink_redis_cursor_clean(struct fg_redis_conn *conn, const char *base, struct fg_error *err);

/**
 * Of a fleet, before a member writes its first record: what others hold is summed up anew, in case
 * that the keys of this member went and the sums stayed. True also without a fleet. False: err;
 * conn->redis is NULL when the connection failed, otherwise refused: an appliance that is of no
 * fleet uses the prefix.
 */
bool fg_sink_redis_sums_begin(struct fg_redis_conn *conn, struct fg_sink_redis_batch *b,
                              struct fg_error *err);

/**
 * Deletes all keys with that base but those of inbound commands; the cursor last, so that an
 * interrupted deletion is still refused. Never those of a fleet whose members use the prefix, when
 * this appliance is none of them. False: err; conn->redis is NULL when the connection failed,
 * otherwise refused: they are of a fleet.
 */
bool fg_sink_redis_delete_all(struct fg_redis_conn *conn, const char *base, struct fg_error *err);

/**
 * A command inside the transaction failed: Redis carried out the others, so the data differs from
 * the log. A restart must know this: it is written to the cursor, which is then refused. False: the
 * connection failed.
 */
bool fg_sink_redis_mark_broken(struct fg_redis_conn *conn, struct fg_sink_redis_batch *b,
                               uint64_t seq, const char *error, struct fg_error *err);

#endif
