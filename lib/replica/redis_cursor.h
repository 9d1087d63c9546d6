/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * redis_cursor: reads the cursor in Redis and says what may be done. Whoever writes must first have seen the
 * cursor under WATCH, so that of two writers only one can succeed.
 */
#ifndef FG_REDIS_CURSOR_H
#define FG_REDIS_CURSOR_H

#include "replica/redis_conn.h"

enum fg_redis_verdict {
    FG_REDIS_FOLLOW, /**< goes on behind *seq */
    FG_REDIS_FRESH,  /**< there is no cursor: from the beginning, if nothing else is there */
    FG_REDIS_REFUSED /**< err says why and what to do */
};

/** Adds to b->out commands whose last reply is what fg_redis_cursor_judge wants. They begin a new WATCH. */
void fg_redis_cursor_ask(struct fg_redis_batch *b);

/** Pure. `reply` of HMGET; appliance of the log; durable: last sequence of the log. */
enum fg_redis_verdict fg_redis_cursor_judge(const redisReply *reply, const char *prefix, uint64_t appliance,
                                            uint64_t durable, uint64_t *seq, struct fg_error *err);

/**
 * Looks for keys of the prefix that stand there without a cursor: counters would be added to them. An event
 * stream that holds nothing and never did is allowed: consumers make it together with their groups. True: a
 * start from the beginning is safe. False: err; conn->redis is NULL when the connection failed, otherwise
 * refused.
 */
bool fg_redis_cursor_clean(struct fg_redis_conn *conn, const char *prefix, struct fg_error *err);

#endif
