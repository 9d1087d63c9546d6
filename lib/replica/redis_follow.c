/* SPDX-License-Identifier: BSD-3-Clause */
/* What the sink's thread does: one function a situation, each bounded in time. */
#include <string.h>

#include "replica/redis_cursor.h"
#include "replica/redis_keys.h"
#include "replica/redis_sink.h"

#define IDLE_MS        5   /* between looks at the watermark: the delay of the event stream */
#define CHECK_MS       500 /* between looks at the cursor while idle: finds an emptied or dead Redis */
#define REFUSED_MS     1000
#define RETRY_MS_FIRST 50

static uint64_t durable(const struct fg_redis_sink *s)
{
    return atomic_load_explicit(s->durable_seq, memory_order_acquire);
}

bool fg_redis_caught_up(const struct fg_redis_sink *s, uint64_t since_ms)
{
    return s->conn.redis && !s->refused && s->check_ms >= since_ms && s->cursor >= durable(s);
}

static void set_state(struct fg_redis_sink *s, enum fg_sink_state state, const char *error)
{
    pthread_mutex_lock(&s->lock);
    s->status.state = state;
    s->status.cursor = s->cursor;
    snprintf(s->status.error, sizeof(s->status.error), "%.255s", error);
    pthread_mutex_unlock(&s->lock);
    s->refused = state == FG_SINK_REFUSED;
}

static void set_following(struct fg_redis_sink *s)
{
    bool near = durable(s) - s->cursor < s->options.batch_max;

    set_state(s, near ? FG_SINK_LIVE : FG_SINK_CATCHING_UP, "");
}

static void away(struct fg_redis_sink *s, const struct fg_error *err)
{
    unsigned ms = s->retry_ms < s->options.retry_ms_max ? s->retry_ms : s->options.retry_ms_max;

    fg_redis_conn_close(&s->conn);
    set_state(s, FG_SINK_AWAY, err->text);
    s->retry_ms = 2 * ms;
    /* Jitter, so that several appliances do not come back to a Redis in step. */
    s->random = fg_mix64(s->random, 0x2545f4914f6cdd1dull);
    fg_redis_conn_wait(&s->conn, ms / 2 + s->random % (ms / 2 + 1));
}

/* An operator must act. Looked at again now and then, so that no restart is needed afterwards. */
static void refuse(struct fg_redis_sink *s, const struct fg_error *err)
{
    set_state(s, FG_SINK_REFUSED, err->text);
    fg_redis_conn_wait(&s->conn, REFUSED_MS);
}

static bool open_log(struct fg_redis_sink *s, uint64_t next, struct fg_error *err)
{
    if (s->reader)
        fg_journal_reader_close(s->reader);
    s->reader = fg_journal_reader_open(s->journal_dir, next, err);
    s->reader_next = next;
    if (s->reader)
        s->appliance = fg_journal_reader_appliance(s->reader);
    return s->reader;
}

/* Takes the cursor that Redis has as the truth, wherever it is, and puts the reader behind it. */
static bool follow_cursor(struct fg_redis_sink *s, const redisReply *reply)
{
    struct fg_error err = {""};
    uint64_t seq = 0;
    enum fg_redis_verdict verdict =
        fg_redis_cursor_judge(reply, s->options.prefix, s->appliance, durable(s), &seq, &err);

    s->check_ms = fg_monotonic_ms();
    if (verdict == FG_REDIS_FRESH && !s->clean) {
        s->clean = fg_redis_cursor_clean(&s->conn, s->options.prefix, &err);
        if (!s->clean)
            verdict = FG_REDIS_REFUSED;
    } else if (verdict == FG_REDIS_FOLLOW) {
        s->clean = false;
    }
    if (verdict == FG_REDIS_REFUSED) {
        s->conn.redis ? refuse(s, &err) : away(s, &err);
        return false;
    }
    s->cursor = seq;
    if (s->reader_next != seq + 1 && !open_log(s, seq + 1, &err)) {
        refuse(s, &err);
        return false;
    }
    return true;
}

static bool check(struct fg_redis_sink *s)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    struct fg_error err;
    bool ok;

    fg_resp_clear(&s->batch.out);
    fg_redis_cursor_ask(&s->batch);
    ok = fg_redis_conn_exchange(&s->conn, &s->batch.out, &answer, &err);
    if (!ok)
        away(s, &err);
    else
        ok = follow_cursor(s, answer.last[0]);
    fg_redis_answer_free(&answer);
    return ok;
}

static void connect_step(struct fg_redis_sink *s)
{
    struct fg_error err;

    s->clean = false;
    s->check_ms = 0;
    if (!s->reader && !open_log(s, 1, &err)) {
        refuse(s, &err);
        return;
    }
    if (!fg_redis_conn_open(&s->conn, &err)) {
        away(s, &err);
        return;
    }
    if (!check(s))
        return;
    pthread_mutex_lock(&s->lock);
    s->status.reconnects += s->was_connected;
    pthread_mutex_unlock(&s->lock);
    s->was_connected = true;
    s->retry_ms = RETRY_MS_FIRST;
    set_following(s);
}

/* A command inside the transaction failed: Redis carried out the others, so the data is no longer the log's.
 * That must not be forgotten by a restart: it is written to the cursor. */
static void mark_broken(struct fg_redis_sink *s, uint64_t seq, const char *error)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    struct fg_error err;
    char text[160];

    snprintf(text, sizeof(text), "up to record %llu: %.100s", (unsigned long long)seq, error);
    fg_resp_clear(&s->batch.out);
    fg_resp_begin(&s->batch.out, 4);
    fg_resp_text(&s->batch.out, "HSET");
    fg_redis_batch_key(&s->batch, FG_KEY_CURSOR);
    fg_resp_text(&s->batch.out, FG_CURSOR_BROKEN);
    fg_resp_text(&s->batch.out, text);
    if (!fg_redis_conn_exchange(&s->conn, &s->batch.out, &answer, &err))
        away(s, &err);
    fg_redis_answer_free(&answer);
}

static const char *error_inside(const redisReply *exec)
{
    for (size_t i = 0; i < exec->elements; i++) {
        if (exec->element[i]->type == REDIS_REPLY_ERROR)
            return exec->element[i]->str;
    }
    return NULL;
}

static void applied(struct fg_redis_sink *s, size_t n)
{
    s->cursor = s->records[n - 1].seq;
    s->batch_now = 2 * s->batch_now < s->options.batch_max ? 2 * s->batch_now : s->options.batch_max;
    pthread_mutex_lock(&s->lock);
    s->status.records += n;
    s->status.transactions++;
    pthread_mutex_unlock(&s->lock);
}

/* What EXEC said. Null: the cursor had been touched, nothing was applied. */
static void applied_or_not(struct fg_redis_sink *s, size_t n, struct fg_redis_answer *answer)
{
    const redisReply *exec = answer->exec;
    const char *problem = exec->type == REDIS_REPLY_ARRAY ? error_inside(exec) : NULL;
    struct fg_error err;

    if (exec->type == REDIS_REPLY_ERROR) {
        fg_fail(&err, "%s: %s", s->options.address, answer->error);
        away(s, &err);
        return;
    }
    if (problem) {
        mark_broken(s, s->records[n - 1].seq, problem);
        if (s->conn.redis)
            check(s);
        return;
    }
    if (exec->type == REDIS_REPLY_ARRAY)
        applied(s, n);
    if (follow_cursor(s, answer->last[0]))
        set_following(s);
}

static void apply(struct fg_redis_sink *s, size_t n)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    struct fg_error err;

    if (!fg_redis_batch_build(&s->batch, s->records, n, s->appliance)) {
        fg_fail(&err, "records up to %llu: out of memory, or a record type unknown to this version",
                (unsigned long long)s->records[n - 1].seq);
        fg_redis_conn_close(&s->conn);
        refuse(s, &err);
        return;
    }
    answer.exec_at = s->batch.out.commands - 1;
    fg_redis_cursor_ask(&s->batch);
    if (fg_redis_conn_exchange(&s->conn, &s->batch.out, &answer, &err)) {
        applied_or_not(s, n, &answer);
    } else {
        if (s->conn.timed_out && s->batch_now > 1)
            s->batch_now /= 2;
        away(s, &err);
    }
    fg_redis_answer_free(&answer);
}

static void follow_step(struct fg_redis_sink *s)
{
    uint64_t limit = durable(s);
    struct fg_error err;
    ssize_t n = 0;

    if (s->reader_next <= limit)
        n = fg_journal_read(s->reader, s->records, s->batch_now, limit, &err);
    if (n < 0) {
        fg_redis_conn_close(&s->conn);
        fg_journal_reader_close(s->reader);
        s->reader = NULL;
        refuse(s, &err);
    } else if (n > 0) {
        s->reader_next = s->records[n - 1].seq + 1;
        apply(s, (size_t)n);
    } else {
        set_following(s);
        fg_redis_conn_wait(&s->conn, IDLE_MS);
        if (fg_monotonic_ms() - s->check_ms >= CHECK_MS || atomic_load(&s->stop_at_ms))
            check(s);
    }
}

void fg_redis_follow(struct fg_redis_sink *s)
{
    if (!s->conn.redis)
        connect_step(s);
    else if (!s->refused)
        follow_step(s);
    else if (check(s))
        set_following(s);
}
