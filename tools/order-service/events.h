/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * events: the event stream in Redis, by a consumer group (docs/redis.md), and the streams of
 * commands and results. False and err: Redis is not usable now; connect again, and take what was
 * not acknowledged once more.
 */
#ifndef ORDER_SERVICE_EVENTS_H
#define ORDER_SERVICE_EVENTS_H

#include "options.h"
#include "payment.h"
#include "redis/reply.h"

#define EVENTS_MAX 500 /* taken at a time */

struct events {
    redisContext *redis;
    const struct options *options;
    char stream[96], commands[96], results[96];
    bool recovered;                    /* what was taken before a crash has been taken again */
    char last_result[FG_REDIS_ID_MAX]; /* id of the last result that was read */
    unsigned count;                    /* entries taken and not acknowledged */
    char ids[EVENTS_MAX][FG_REDIS_ID_MAX];
    uint64_t highest; /* sequence of the newest event */
};

/** An answer to a command, from the stream of results. */
struct result {
    uint64_t user;
    char order[33];
    char op[12], status[20];
};

bool events_open(struct events *e, const struct options *options, struct fg_error *err);
void events_close(struct events *e);

/**
 * Takes entries, at most EVENTS_MAX; the reservations among them into list, -1 and err on trouble.
 * events_done acknowledges all of them, once the payments are in the books.
 */
int events_take(struct events *e, struct payment *list, struct fg_error *err);
bool events_done(struct events *e, struct fg_error *err);

/** Appends commands for n payments: confirm those that are charged, cancel the others. */
bool events_command(struct events *e, struct payment *const *list, size_t n, struct fg_error *err);

/** Reads up to max results; -1 and err on trouble. */
int events_results(struct events *e, struct result *list, int max, struct fg_error *err);

#endif
