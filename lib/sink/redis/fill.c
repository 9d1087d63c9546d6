/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink/redis/fill.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "redis/keys.h"

#define CHUNK         1000 /* orders of one transaction */
#define PAGE          256  /* items or users read at a time */
#define ABANDONED_MS  1000 /* a fill that made no progress for this long is abandoned */
#define LAST_PATIENCE 20   /* timeouts for the transaction that holds all items */
#define MARK_FIELDS   3

struct filling {
    struct fg_redis_conn *conn;
    struct fg_sink_redis_batch *batch;
    const struct fg_sink_log *log;
    struct fg_snapshot_reader *snapshot;
    const struct fg_ledger_snapshot_info *info;
    char id[17];
    uint64_t cursor; /* when it began */
    uint64_t orders;
    struct fg_error *err;
};

static void mark_ask(struct fg_sink_redis_batch *b)
{
    fg_redis_resp_begin(&b->out, 2 + MARK_FIELDS);
    fg_redis_resp_text(&b->out, "HMGET");
    fg_sink_redis_batch_key(b, FG_REDIS_KEY_FILL);
    fg_redis_resp_text(&b->out, FG_REDIS_FILL_ID);
    fg_redis_resp_text(&b->out, FG_REDIS_FILL_APPLIANCE);
    fg_redis_resp_text(&b->out, FG_REDIS_FILL_ORDERS);
}

/* Text of a field, "" when it is absent. */
static const char *field(const redisReply *reply, size_t at)
{
    return fg_redis_reply_word(reply, at);
}

/* Id, appliance and orders of the mark, as one text; "" = there is none. */
static bool mark_read(struct fg_redis_conn *conn, struct fg_sink_redis_batch *b, char text[96],
                      char appliance[20], struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    bool ok;

    fg_redis_resp_clear(&b->out);
    mark_ask(b);
    ok = fg_redis_conn_exchange(conn, &b->out, &answer, err);
    if (ok && answer.error[0]) {
        fg_redis_conn_close(conn);
        ok = fg_fail(err, "%s: %s", conn->options->address, answer.error);
    }
    if (ok &&
        !fg_redis_reply_texts_or_nil(answer.last[0], "the mark of a fill", MARK_FIELDS, err)) {
        fg_redis_conn_close(conn);
        ok = false;
    }
    if (ok) {
        snprintf(text, 96, "%.20s %.20s", field(answer.last[0], 0), field(answer.last[0], 2));
        snprintf(appliance, 20, "%.19s", field(answer.last[0], 1));
    }
    fg_redis_answer_free(&answer);
    return ok;
}

bool fg_sink_redis_fill_begun(struct fg_redis_conn *conn, struct fg_sink_redis_batch *b,
                              uint64_t appliance, struct fg_error *err)
{
    char text[96], owner[20], ours[20];

    snprintf(ours, sizeof(ours), "%016llx", (unsigned long long)appliance);
    return mark_read(conn, b, text, owner, err) && !strcmp(owner, ours);
}

bool fg_sink_redis_fill_forget(struct fg_redis_conn *conn, struct fg_sink_redis_batch *b,
                               struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    bool ok;

    fg_redis_resp_clear(&b->out);
    fg_redis_resp_begin(&b->out, 2);
    fg_redis_resp_text(&b->out, "DEL");
    fg_sink_redis_batch_key(b, FG_REDIS_KEY_FILL);
    ok = fg_redis_conn_exchange(conn, &b->out, &answer, err);
    fg_redis_answer_free(&answer);
    return ok;
}

static void mark_set(struct filling *f, const char *field_name, const char *text)
{
    fg_redis_resp_begin(&f->batch->out, 4);
    fg_redis_resp_text(&f->batch->out, "HSET");
    fg_sink_redis_batch_key(f->batch, FG_REDIS_KEY_FILL);
    fg_redis_resp_text(&f->batch->out, field_name);
    fg_redis_resp_text(&f->batch->out, text);
}

static void mark_number(struct filling *f, const char *field_name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    mark_set(f, field_name, text);
}

/* The result of EXEC, and whether mark and cursor, read behind it under a new WATCH, are still as
 * they should be. */
static enum fg_sink_result check_answer(struct filling *f, const struct fg_redis_answer *answer,
                                        size_t commands, bool first)
{
    const redisReply *exec = answer->exec;
    enum fg_sink_redis_cursor_state verdict;
    struct fg_sink_cursor cursor;

    if (fg_redis_reply_error(exec)) {
        fg_fail(f->err, "%s: %s", f->conn->options->address, answer->error);
        return FG_SINK_GONE;
    }
    if (!fg_redis_reply_exec(exec, commands, f->err))
        return FG_SINK_GONE;
    if (fg_redis_reply_is_nil(exec) || strcmp(field(answer->last[1], 0), f->id) != 0)
        return FG_SINK_AGAIN; /* another writer */
    if (fg_redis_reply_error_inside(exec)) {
        fg_fail(f->err,
                "a key of another type stands in the way: %.200s. Delete the keys %s* "
                "(docs/redis.md)",
                fg_redis_reply_error_inside(exec), f->batch->base);
        return FG_SINK_REFUSE;
    }
    verdict = fg_sink_redis_cursor_check(answer->last[0], f->batch->base, f->log, &cursor, f->err);
    if (verdict != FG_SINK_REDIS_FOLLOW && verdict != FG_SINK_REDIS_FRESH)
        return fg_sink_redis_cursor_result(verdict);
    if (first)
        f->cursor = cursor.seq;
    return cursor.seq == f->cursor && cursor.seq < f->info->seq ? FG_SINK_OK : FG_SINK_AGAIN;
}

static void begin(struct filling *f)
{
    fg_redis_resp_clear(&f->batch->out);
    fg_redis_resp_command(&f->batch->out, 1, (const char *[]){"MULTI"});
}

/* Ends a transaction of orders: the cursor and the mark are under WATCH until the next. */
static enum fg_sink_result commit(struct filling *f, bool first)
{
    struct fg_redis_answer answer;
    enum fg_sink_result result = FG_SINK_GONE;
    size_t commands;

    fg_redis_resp_command(&f->batch->out, 1, (const char *[]){"EXEC"});
    answer = (struct fg_redis_answer){.exec_at = f->batch->out.commands - 1};
    commands = answer.exec_at - 1; /* without MULTI */
    fg_redis_resp_begin(&f->batch->out, 3);
    fg_redis_resp_text(&f->batch->out, "WATCH");
    fg_sink_redis_batch_key(f->batch, FG_REDIS_KEY_CURSOR);
    fg_sink_redis_batch_key(f->batch, FG_REDIS_KEY_FILL);
    mark_ask(f->batch);
    fg_sink_redis_cursor_read(f->batch);
    if (fg_redis_conn_exchange(f->conn, &f->batch->out, &answer, f->err))
        result = check_answer(f, &answer, commands, first);
    else if (f->conn->timed_out)
        result = FG_SINK_SLOW;
    fg_redis_answer_free(&answer);
    return result;
}

static enum fg_sink_result set_mark(struct filling *f)
{
    char appliance[20];

    snprintf(appliance, sizeof(appliance), "%016llx", (unsigned long long)f->log->id);
    begin(f);
    mark_set(f, FG_REDIS_FILL_ID, f->id);
    mark_set(f, FG_REDIS_FILL_APPLIANCE, appliance);
    mark_number(f, FG_REDIS_FILL_SEQ, f->info->seq);
    mark_number(f, FG_REDIS_FILL_ORDERS, 0);
    return commit(f, true);
}

static enum fg_sink_result write_orders(struct filling *f)
{
    struct fg_ledger_order orders[CHUNK];
    enum fg_sink_result result = FG_SINK_OK;
    ssize_t n;

    while (result == FG_SINK_OK &&
           (n = fg_ledger_snapshot_orders(f->snapshot, orders, CHUNK, f->err)) != 0) {
        if (n < 0)
            return FG_SINK_REFUSE;
        begin(f);
        for (ssize_t i = 0; i < n; i++)
            fg_sink_redis_batch_order(f->batch, &orders[i], f->info->seq);
        f->orders += (uint64_t)n;
        mark_number(f, FG_REDIS_FILL_ORDERS, f->orders);
        result = commit(f, false);
    }
    return result;
}

/* ---- the last transaction, made first: a snapshot gives its items before its orders ---------- */

static bool add_old_items(struct filling *f, const redisReply *items)
{
    uint64_t item;

    for (size_t i = 0; i < fg_redis_reply_size(items); i++)
        if (fg_redis_reply_number(items, i, 10, &item))
            fg_sink_redis_batch_delete_item(f->batch, item);
    return !f->batch->out.no_memory;
}

/* An error is fine: a key of another type is deleted. */
static bool old_items_good(struct filling *f, const struct fg_redis_answer *answer)
{
    return answer->error[0] ||
           fg_redis_reply_texts(answer->last[0], "the set of items", SIZE_MAX, f->err);
}

static bool add_items(struct filling *f)
{
    struct fg_ledger_item items[PAGE];
    uint64_t users[PAGE];
    ssize_t n;

    while ((n = fg_ledger_snapshot_items(f->snapshot, items, PAGE, f->err)) > 0)
        for (ssize_t i = 0; i < n; i++)
            fg_sink_redis_batch_item(f->batch, &items[i]);
    while (n == 0 && (n = fg_ledger_snapshot_denied(f->snapshot, users, PAGE, f->err)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            fg_sink_redis_batch_denied(f->batch, users[i]);
        n = 0;
    }
    return n == 0;
}

/* Takes batch->out, built as the last transaction, out of the way of those with orders. */
static struct fg_redis_resp put_aside(struct filling *f)
{
    struct fg_redis_resp aside = f->batch->out;

    f->batch->out = (struct fg_redis_resp){0};
    return aside;
}

static enum fg_sink_result make_last(struct filling *f, struct fg_redis_resp *last)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    enum fg_sink_result result = FG_SINK_GONE;

    fg_redis_resp_clear(&f->batch->out);
    fg_redis_resp_begin(&f->batch->out, 2);
    fg_redis_resp_text(&f->batch->out, "SMEMBERS");
    fg_sink_redis_batch_key(f->batch, FG_REDIS_KEY_ITEMS);
    if (fg_redis_conn_exchange(f->conn, &f->batch->out, &answer, f->err) &&
        old_items_good(f, &answer)) {
        begin(f);
        fg_redis_resp_begin(&f->batch->out, 4);
        fg_redis_resp_text(&f->batch->out, "DEL");
        fg_sink_redis_batch_key(f->batch, FG_REDIS_KEY_ITEMS);
        fg_sink_redis_batch_key(f->batch, FG_REDIS_KEY_DENIED);
        fg_sink_redis_batch_key(f->batch, FG_REDIS_KEY_FILL);
        result = add_old_items(f, answer.last[0]) && add_items(f) ? FG_SINK_OK : FG_SINK_REFUSE;
        fg_sink_redis_batch_resync(f->batch, f->info);
        fg_sink_redis_batch_cursor(f->batch, f->info->seq, f->log->crc, f->log->id, true);
        fg_redis_resp_command(&f->batch->out, 1, (const char *[]){"EXEC"});
    }
    fg_redis_answer_free(&answer);
    *last = put_aside(f);
    return result;
}

static enum fg_sink_result write_last(struct filling *f, struct fg_redis_resp *last)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    enum fg_sink_result result = FG_SINK_GONE;
    const redisReply *exec;
    bool ok;

    f->conn->patience = LAST_PATIENCE;
    ok = fg_redis_conn_exchange(f->conn, last, &answer, f->err);
    f->conn->patience = 0;
    exec = answer.last[0];
    if (!ok) {
        result = FG_SINK_GONE;
    } else if (fg_redis_reply_error(exec)) {
        fg_fail(f->err, "%s: %s", f->conn->options->address, answer.error);
    } else if (!fg_redis_reply_exec(exec, last->commands - 2, f->err)) { /* without MULTI, EXEC */
        result = FG_SINK_GONE;
    } else if (fg_redis_reply_error_inside(exec)) {
        ok = fg_sink_redis_mark_broken(f->conn, f->batch, f->info->seq,
                                       fg_redis_reply_error_inside(exec), f->err);
        result = ok ? FG_SINK_AGAIN : FG_SINK_GONE;
    } else {
        result = fg_redis_reply_is_nil(exec) ? FG_SINK_AGAIN : FG_SINK_OK;
    }
    fg_redis_answer_free(&answer);
    return result;
}

/* Somebody else may be at it: two that take it from one another in turn would never end. */
static enum fg_sink_result let_others(struct filling *f)
{
    char before[96], now[96], owner[20];

    if (!mark_read(f->conn, f->batch, before, owner, f->err))
        return FG_SINK_GONE;
    if (!strcmp(before, " "))
        return FG_SINK_OK;
    fg_wait_ms(f->conn->wait, ABANDONED_MS);
    if (!mark_read(f->conn, f->batch, now, owner, f->err))
        return FG_SINK_GONE;
    return strcmp(before, now) ? FG_SINK_AGAIN : FG_SINK_OK;
}

enum fg_sink_result
fg_sink_redis_fill(struct fg_redis_conn *conn, struct fg_sink_redis_batch *batch,
                   const struct fg_sink_log *log, struct fg_snapshot_reader *snapshot,
                   const struct fg_ledger_snapshot_info *info, struct fg_error *err)
{
    struct filling f = {
        .conn = conn, .batch = batch, .log = log, .snapshot = snapshot, .info = info, .err = err};
    struct fg_redis_resp last = {0};
    enum fg_sink_result result;
    uint64_t id;

    if (getrandom(&id, sizeof(id), 0) != sizeof(id)) {
        fg_fail(err, "no random numbers from the kernel");
        return FG_SINK_REFUSE;
    }
    snprintf(f.id, sizeof(f.id), "%016llx", (unsigned long long)id);
    result = let_others(&f);
    if (result == FG_SINK_OK)
        result = make_last(&f, &last);
    if (result == FG_SINK_OK)
        result = set_mark(&f);
    if (result == FG_SINK_OK)
        result = write_orders(&f);
    if (result == FG_SINK_OK)
        result = write_last(&f, &last);
    fg_redis_resp_free(&last);
    return result;
}
