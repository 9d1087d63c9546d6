/* SPDX-License-Identifier: BSD-3-Clause */
/* The connection to Redis, and one question at a time. */
#include "redis.h"

#include <stdarg.h>

#include "progress.h"
#include "redis/address.h"

#define TIMEOUT_S 10 /* of one command: a busy Redis is slow, a dead one is not waited for */

bool fg_redis_audit_unreadable(struct fg_redis_audit *a, const char *why)
{
    return fg_fail(&a->error, "redis %s: %s", a->address, why);
}

bool fg_redis_audit_strange(struct fg_redis_audit *a, const struct fg_error *why)
{
    return fg_redis_audit_unreadable(a, why->text);
}

/* NULL and error for a lost connection or an error reply. */
static redisReply *checked(struct fg_redis_audit *a, redisReply *reply)
{
    if (reply && !fg_redis_reply_error(reply))
        return reply;
    fg_redis_audit_unreadable(a, reply ? fg_redis_reply_error(reply) : a->redis->errstr);
    if (reply)
        freeReplyObject(reply);
    return NULL;
}

redisReply *fg_redis_audit_ask(struct fg_redis_audit *a, const char *fmt, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, fmt);
    reply = redisvCommand(a->redis, fmt, args);
    va_end(args);
    return checked(a, reply);
}

redisReply *fg_redis_audit_reply(struct fg_redis_audit *a)
{
    void *reply = NULL;

    if (redisGetReply(a->redis, &reply) != REDIS_OK)
        fg_redis_audit_unreadable(a, a->redis->errstr);
    return reply;
}

static bool done(redisReply *reply)
{
    if (!reply)
        return false;
    freeReplyObject(reply);
    return true;
}

static bool log_in(struct fg_redis_audit *a)
{
    if (a->password[0] && a->user &&
        !done(fg_redis_audit_ask(a, "AUTH %s %s", a->user, a->password)))
        return false;
    if (a->password[0] && !a->user && !done(fg_redis_audit_ask(a, "AUTH %s", a->password)))
        return false;
    return !a->database || done(fg_redis_audit_ask(a, "SELECT %u", a->database));
}

bool fg_redis_audit_open(struct fg_redis_audit *a)
{
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    struct fg_redis_address where;

    a->error.text[0] = '\0';
    if (!fg_redis_address_parse(a->address, &where, &a->error) ||
        !fg_redis_prefix_check(a->prefix, &a->error))
        return false;
    fg_redis_base(a->key_prefix, a->prefix, a->of_fleet, a->member);
    a->redis = where.is_unix ? redisConnectUnixWithTimeout(where.host, timeout)
                             : redisConnectWithTimeout(where.host, where.port, timeout);
    if (!a->redis)
        fg_out_of_memory();
    if (a->redis->err)
        return fg_redis_audit_unreadable(a, a->redis->errstr);
    redisSetTimeout(a->redis, timeout);
    return log_in(a);
}

void fg_redis_audit_close(struct fg_redis_audit *a)
{
    if (a->redis)
        redisFree(a->redis);
    a->redis = NULL;
}
