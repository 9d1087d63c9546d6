/* SPDX-License-Identifier: BSD-3-Clause */
/* The sink driver of Redis: one MULTI/EXEC a batch with the cursor inside, under WATCH. */
#include <string.h>

#include "redis/keys.h"
#include "sink/driver.h"
#include "sink/redis/fill.h"

#define BATCH_MAX 100000

struct redis_sink {
    struct fg_redis_options options;
    struct fg_wait wait;
    struct fg_redis_conn conn;
    struct fg_sink_redis_batch batch;
    bool clean;  /* no cursor and no leftover keys, seen on this connection */
    bool marked; /* the mark of an unfinished fill stands there */
};

static enum fg_sink_result check_cursor(struct redis_sink *r, const struct fg_sink_log *log,
                                        const redisReply *reply, struct fg_sink_cursor *cursor,
                                        struct fg_error *err)
{
    enum fg_sink_redis_cursor_state verdict =
        fg_sink_redis_cursor_check(reply, r->batch.base, log, cursor, err);

    if (verdict == FG_SINK_REDIS_FRESH && !r->clean) {
        r->marked = fg_sink_redis_fill_begun(&r->conn, &r->batch, log->id, err);
        if (!r->conn.redis)
            return FG_SINK_GONE;
        r->clean = (r->marked || fg_sink_redis_cursor_clean(&r->conn, r->batch.base, err)) &&
                   fg_sink_redis_sums_begin(&r->conn, &r->batch, err);
        if (!r->clean)
            return r->conn.redis ? FG_SINK_REFUSE : FG_SINK_GONE;
    } else if (verdict == FG_SINK_REDIS_FOLLOW) {
        r->clean = false;
    }
    return fg_sink_redis_cursor_result(verdict);
}

static enum fg_sink_result redis_cursor(void *self, const struct fg_sink_log *log,
                                        struct fg_sink_cursor *cursor, struct fg_error *err)
{
    struct redis_sink *r = self;
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    enum fg_sink_result result = FG_SINK_GONE;

    fg_redis_resp_clear(&r->batch.out);
    fg_sink_redis_cursor_ask(&r->batch);
    if (fg_redis_conn_exchange(&r->conn, &r->batch.out, &answer, err))
        result = check_cursor(r, log, answer.last[0], cursor, err);
    fg_redis_answer_free(&answer);
    return result;
}

static enum fg_sink_result redis_open(void *self, struct fg_error *err)
{
    struct redis_sink *r = self;

    r->clean = false;
    return fg_redis_conn_open(&r->conn, err) ? FG_SINK_OK : FG_SINK_GONE;
}

/* The result of EXEC. Null: the cursor had been touched, nothing was applied. The cursor, read
 * behind it, must be where this transaction put it. */
static enum fg_sink_result applied_or_not(struct redis_sink *r, const struct fg_sink_log *log,
                                          const struct fg_journal_record *last, size_t commands,
                                          const struct fg_redis_answer *answer,
                                          struct fg_error *err)
{
    const redisReply *exec = answer->exec;
    const char *problem = fg_redis_reply_error_inside(exec);
    struct fg_sink_log now = *log;
    struct fg_sink_cursor cursor;
    enum fg_sink_result result;

    if (fg_redis_reply_error(exec)) {
        fg_fail(err, "%s: %s", r->options.address, answer->error);
        return FG_SINK_GONE;
    }
    if (!fg_redis_reply_exec(exec, commands, err))
        return FG_SINK_GONE;
    if (problem)
        return fg_sink_redis_mark_broken(&r->conn, &r->batch, last->seq, problem, err)
                   ? FG_SINK_AGAIN
                   : FG_SINK_GONE;
    if (fg_redis_reply_is_nil(exec))
        return FG_SINK_AGAIN;
    now.seq = last->seq;
    now.crc = last->crc;
    result = check_cursor(r, &now, answer->last[0], &cursor, err);
    return result == FG_SINK_OK && cursor.seq != last->seq ? FG_SINK_AGAIN : result;
}

static enum fg_sink_result redis_apply(void *self, const struct fg_sink_log *log,
                                       const struct fg_journal_record *records, size_t n,
                                       struct fg_error *err)
{
    struct redis_sink *r = self;
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    enum fg_sink_result result;
    size_t commands;

    if (!fg_sink_redis_batch_build(&r->batch, records, n, log->id)) {
        fg_fail(err, "records up to %llu: out of memory, or a record type unknown to this version",
                (unsigned long long)records[n - 1].seq);
        return FG_SINK_REFUSE;
    }
    answer.exec_at = r->batch.out.commands - 1;
    commands = answer.exec_at - 1; /* without MULTI */
    fg_sink_redis_cursor_ask(&r->batch);
    if (fg_redis_conn_exchange(&r->conn, &r->batch.out, &answer, err))
        result = applied_or_not(r, log, &records[n - 1], commands, &answer, err);
    else
        result = r->conn.timed_out ? FG_SINK_SLOW : FG_SINK_GONE;
    fg_redis_answer_free(&answer);
    if (result == FG_SINK_OK &&
        r->marked) { /* from record 1 after all: nothing is left of that fill */
        r->marked = false;
        result = fg_sink_redis_fill_forget(&r->conn, &r->batch, err) ? FG_SINK_OK : FG_SINK_GONE;
    }
    return result;
}

static enum fg_sink_result redis_fill(void *self, const struct fg_sink_log *log,
                                      struct fg_snapshot_reader *snapshot,
                                      const struct fg_ledger_snapshot_info *info,
                                      struct fg_error *err)
{
    struct redis_sink *r = self;

    return fg_sink_redis_fill(&r->conn, &r->batch, log, snapshot, info, err);
}

static enum fg_sink_result redis_adopt(void *self, const struct fg_sink_log *log,
                                       struct fg_error *err)
{
    struct redis_sink *r = self;

    r->clean = false;
    if (fg_sink_redis_delete_all(&r->conn, r->batch.base, err))
        return FG_SINK_OK;
    return r->conn.redis ? FG_SINK_REFUSE : FG_SINK_GONE;
}

static void redis_close(void *self)
{
    fg_redis_conn_close(&((struct redis_sink *)self)->conn);
}

static void redis_free(void *self)
{
    struct redis_sink *r = self;

    fg_sink_redis_batch_free(&r->batch);
    fg_redis_resp_free(&r->conn.out);
    explicit_bzero(r->options.password, sizeof(r->options.password));
    free(r);
}

static const struct fg_sink_driver driver = {.name = "redis",
                                             .open = redis_open,
                                             .cursor = redis_cursor,
                                             .apply = redis_apply,
                                             .fill = redis_fill,
                                             .adopt = redis_adopt,
                                             .close = redis_close,
                                             .free = redis_free};

static bool check_options(const struct fg_redis_options *o, struct fg_error *err)
{
    struct fg_redis_address servers[FG_REDIS_SERVERS_MAX];
    unsigned n;

    if (!fg_redis_address_list(o->address, servers, &n, err) ||
        !fg_redis_prefix_check(o->prefix, err))
        return false;
    if (o->batch_max < 1 || o->batch_max > BATCH_MAX)
        return fg_fail(err, "redis batch of %u records, accepted: 1..%d", o->batch_max, BATCH_MAX);
    if (o->timeout_ms < 1 || o->timeout_ms > 3600000)
        return fg_fail(err, "redis timeout of %u ms, accepted: 1..3600000", o->timeout_ms);
    if (o->retry_ms_max < 1 || o->retry_ms_max > 3600000)
        return fg_fail(err, "redis retry pause of %u ms, accepted: 1..3600000", o->retry_ms_max);
    if (o->user[0] && !o->password[0] && !o->password_file[0])
        return fg_fail(err, "redis user '%s' without a password", o->user);
    return true;
}

bool fg_sink_redis_check(const struct fg_redis_options *options, struct fg_error *err)
{
    return check_options(options, err);
}

struct fg_sink *fg_sink_redis_start(const struct fg_redis_options *options, const char *journal_dir,
                                    const _Atomic uint64_t *durable_seq, struct fg_error *err)
{
    struct fg_sink_common common = {.address = options->address,
                                    .batch_max = options->batch_max,
                                    .retry_ms_max = options->retry_ms_max};
    struct redis_sink *r;

    if (!check_options(options, err))
        return NULL;
    r = calloc(1, sizeof(*r));
    FG_ASSERT(r);
    r->options = *options;
    r->conn = (struct fg_redis_conn){.options = &r->options, .wait = &r->wait};
    if (!fg_sink_redis_batch_init(&r->batch, options->prefix, options->stream_max,
                                  options->batch_max)) {
        fg_fail(err, "redis sink: out of memory");
        redis_free(r);
        return NULL;
    }
    if (options->members)
        fg_sink_redis_batch_of_member(&r->batch, options->members, options->member);
    return fg_sink_start(&driver, r, &r->wait, &common, journal_dir, durable_seq, err);
}
