/* SPDX-License-Identifier: BSD-3-Clause */
/** redis: everything that Redis holds under the prefix, against the story. Keys: docs/redis.md. */
#ifndef FG_AUDIT_REDIS_H
#define FG_AUDIT_REDIS_H

#include "redis/address.h"
#include "redis/reply.h"
#include "story.h"

struct fg_redis_audit {
    const char *address, *user, *prefix;
    char password[256];
    unsigned database;
    bool of_fleet; /* the keys are those of `member` */
    unsigned member;
    uint64_t wait_ms;    /* so long may the cursor take to reach the end of the log */
    uint64_t stream_max; /* entries that the stream keeps at least; 0 = all */

    struct fg_problems *problems;
    redisContext *redis;
    char key_prefix[FG_REDIS_BASE_MAX]; /* "{prefix}:", or of a member */
    bool has_cursor;
    char broken[160]; /* what the sink wrote about a failed transaction; "" = nothing */
    uint64_t cursor, appliance, behind;
    uint64_t crc;    /* of the record of the cursor, as Redis has it */
    uint64_t filled; /* record of the snapshot that the keys were last filled from; 0 = none */
    uint64_t items, orders, events, keys; /* seen */
    struct fg_error error;                /* why it cannot be read; "" = it can */
};

/** False: see error. */
bool fg_redis_audit_open(struct fg_redis_audit *a);
void fg_redis_audit_close(struct fg_redis_audit *a);

/**
 * Compares. The story is read on from the log when Redis is ahead of it (the daemon runs). False:
 * Redis or the log cannot be read (error); differences are problems.
 */
bool fg_redis_audit_compare(struct fg_redis_audit *a, struct fg_story *story, struct fg_log *log);

/* ---- between its parts ----------------------------------------------------------------------- */

/** Sets error; returns false. */
bool fg_redis_audit_unreadable(struct fg_redis_audit *a, const char *why);

/** Sets error from `why`, which a check of lib/redis filled in; returns false. */
bool fg_redis_audit_strange(struct fg_redis_audit *a, const struct fg_error *why);

/** A reply that is not NULL, or error. The caller frees. */
redisReply *fg_redis_audit_ask(struct fg_redis_audit *a, const char *fmt, ...);
redisReply *fg_redis_audit_reply(struct fg_redis_audit *a); /**< of a pipelined command */

/** All keys but the stream. */
bool fg_redis_audit_keys(struct fg_redis_audit *a, struct fg_story *story);

/** The stream up to the story's sequence. */
bool fg_redis_audit_events(struct fg_redis_audit *a, const struct fg_story *story,
                           const char *log_dir);

/** Fields and values that a hash or a stream entry must have, no more and no less. */
#define FG_EXPECT_MAX 20
struct fg_expected {
    unsigned count;
    struct {
        const char *name;
        char value[72]; /* a commitment is 64 */
        size_t len;
        bool seen, optional;
    } field[FG_EXPECT_MAX];
};
void fg_expect(struct fg_expected *e, const char *name, const void *value, size_t len);
void fg_expect_text(struct fg_expected *e, const char *name, const char *value);
void fg_expect_u64(struct fg_expected *e, const char *name, uint64_t value);
void fg_expect_i64(struct fg_expected *e, const char *name, int64_t value);
void fg_expect_or_absent(struct fg_expected *e, const char *name,
                         uint64_t value); /**< 0 may be missing */

/**
 * Compares with a flat array of names and values, which fg_redis_reply_pairs has checked. Each
 * difference is a problem of that kind, or of `units_kind` when it is about units of an item;
 * `what` names the thing.
 */
void fg_expect_compare(struct fg_redis_audit *a, struct fg_expected *e, const redisReply *reply,
                       enum fg_problem kind, enum fg_problem units_kind, const char *what);

#endif
