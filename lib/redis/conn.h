/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * redis_conn: one connection whose every wait is bounded. hiredis does the protocol; the waiting is
 * done here, because its blocking calls can be neither bounded as a whole nor woken. One thread.
 */
#ifndef FG_REDIS_CONN_H
#define FG_REDIS_CONN_H

#include <hiredis/hiredis.h>

#include "base/wait.h"
#include "redis/address.h"
#include "redis/command.h"
#include "redis/redis.h"
#include "redis/tls.h"

#define FG_REDIS_ANSWER_MAX (256u << 20) /**< bytes of the answers of one exchange */

struct fg_redis_conn {
    struct fg_redis_address address; /**< of the server that is or was connected */
    struct fg_redis_address named;   /**< by a Sentinel, or by a node of a cluster */
    bool moved;                      /**< `named` is tried first */
    unsigned turn;                   /**< server of options->address that is tried first */
    const struct fg_redis_options *options;
    const struct fg_wait *wait;
    redisContext *redis;      /**< NULL = not connected */
    struct fg_redis_tls *tls; /**< NULL = without */
    unsigned patience;        /**< factor of the timeouts; 0 = 1 */
    bool timed_out;           /**< the last failure was a timeout */
    struct fg_redis_resp out; /**< for small commands */
    size_t received;          /**< bytes of this exchange's answer */
    char in[65536];           /**< as it comes from the socket */
};

/** The replies of one exchange. */
struct fg_redis_answer {
    redisReply
        *last[2];     /**< the last replies: [0] the last, [1] the one before; freed by the conn */
    char error[160];  /**< first error reply; "" = none */
    redisReply *exec; /**< the reply at `exec_at` */
    size_t exec_at;   /**< set by the caller; SIZE_MAX = none */
};

/**
 * Connects, logs in, selects the database. Every server of the list is tried, and every address of
 * a name; of several servers one that says it is a replica is passed by. With options->sentinel the
 * list is of Sentinels, who name the primary. The next call begins with the next server, but for a
 * node that a cluster named. The password file is read anew. False and err: not connected.
 */
bool fg_redis_conn_open(struct fg_redis_conn *conn, struct fg_error *err);
void fg_redis_conn_close(struct fg_redis_conn *conn);

/**
 * Sends `len` bytes of commands and takes `replies` replies, within options->timeout_ms for the
 * whole. False and err when the connection failed (it is closed then). Error replies are not
 * failures, see answer->error; but a node of a cluster that does not have the keys (any more) is
 * one that failed, and the node that it names is connected next. The caller ends with
 * fg_redis_answer_free.
 */
bool fg_redis_conn_exchange(struct fg_redis_conn *conn, const struct fg_redis_resp *commands,
                            struct fg_redis_answer *answer, struct fg_error *err);
void fg_redis_answer_free(struct fg_redis_answer *answer);

#endif
