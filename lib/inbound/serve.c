/* SPDX-License-Identifier: BSD-3-Clause */
/* The thread's work: one function for each situation, each bounded in time. */
#include <string.h>

#include "inbound/internal.h"
#include "redis/keys.h"
#include "sink/cursor.h"

#define BLOCK_MS       200 /* of a read while nothing is under way: a stop waits for it */
#define POLL_MS        1   /* between polls of the workers' answers */
#define EMPTY_MS       2   /* between reads that find nothing while something is under way */
#define REFUSED_MS     1000
#define RETRY_MS_FIRST 50

static void set_state(struct fg_inbound *s, enum fg_sink_state state, const char *error)
{
    pthread_mutex_lock(&s->lock);
    s->status.state = state;
    snprintf(s->status.error, sizeof(s->status.error), "%.255s", error);
    pthread_mutex_unlock(&s->lock);
}

static void disconnect(struct fg_inbound *s)
{
    fg_redis_conn_close(&s->conn);
    fg_inbound_slots_forget(s);
}

/* Pending entries stay so; the next connection claims them. */
static void away(struct fg_inbound *s, const struct fg_error *err)
{
    unsigned most = s->options.redis.retry_ms_max, ms = s->retry_ms < most ? s->retry_ms : most;

    disconnect(s);
    set_state(s, FG_SINK_AWAY, err->text);
    s->retry_ms = 2 * ms;
    s->random = fg_mix64(s->random, 0x2545f4914f6cdd1dull);
    fg_wait_ms(&s->wait, ms / 2 + s->random % (ms / 2 + 1));
}

/* An operator must act. Looked at again now and then, so that no restart is needed afterwards. */
static void refuse(struct fg_inbound *s, const struct fg_error *err)
{
    disconnect(s);
    set_state(s, FG_SINK_REFUSED, err->text);
    fg_wait_ms(&s->wait, REFUSED_MS);
}

/* ---- a new connection ------------------------------------------------------------------------ */

/* One command; true when it was answered, with an error in answer->error perhaps. */
static bool ask(struct fg_inbound *s, size_t n, const char *const *words,
                struct fg_redis_answer *answer, struct fg_error *err)
{
    *answer = (struct fg_redis_answer){.exec_at = SIZE_MAX};
    fg_redis_resp_clear(&s->out);
    fg_redis_resp_command(&s->out, n, words);
    return fg_redis_conn_exchange(&s->conn, &s->out, answer, err);
}

static bool fail_refused(struct fg_error *err, bool *refused, const char *text)
{
    *refused = true;
    return fg_fail(err, "%s", text);
}

/* Commands beside the keys of another log, or of a newer state of this one, are not for us: we
 * would answer that the orders are unknown, and they would be refunded. */
static bool check_owner(struct fg_inbound *s, bool *refused, struct fg_error *err)
{
    struct fg_sink_log log = {
        .dir = s->options.journal_dir,
        .id = s->options.appliance,
        .durable = atomic_load_explicit(s->options.durable_seq, memory_order_acquire)};
    struct fg_redis_answer answer;
    bool ok = ask(s, 5,
                  (const char *[]){"HMGET", s->cursor, FG_REDIS_CURSOR_APPLIANCE,
                                   FG_REDIS_CURSOR_SEQ, FG_REDIS_CURSOR_CRC},
                  &answer, err);

    if (ok && answer.error[0])
        ok = fail_refused(err, refused, answer.error);
    ok = ok && fg_redis_reply_texts_or_nil(answer.last[0], "the cursor", 3, err);
    if (ok) {
        struct fg_sink_cursor cursor = {.found = false};
        uint64_t crc = 0;

        fg_redis_reply_number(answer.last[0], 0, 16, &cursor.log);
        fg_redis_reply_number(answer.last[0], 1, 10, &cursor.seq);
        fg_redis_reply_number(answer.last[0], 2, 16, &crc);
        cursor.crc = (uint32_t)crc;
        cursor.found = cursor.log != 0;
        ok = fg_sink_cursor_origin(&log, &cursor, "redis", err) == FG_SINK_ORIGIN_OURS;
        *refused = !ok;
    }
    fg_redis_answer_free(&answer);
    return ok;
}

/* Makes the group, or finds it there. Commands given before the appliance ever ran count, too. */
static bool make_group(struct fg_inbound *s, bool *refused, struct fg_error *err)
{
    struct fg_redis_answer answer;
    bool ok = ask(
        s, 6, (const char *[]){"XGROUP", "CREATE", s->commands, FG_REDIS_GROUP, "0", "MKSTREAM"},
        &answer, err);

    if (ok && answer.error[0] && strncmp(answer.error, "BUSYGROUP", 9) != 0)
        ok = fail_refused(err, refused, answer.error);
    fg_redis_answer_free(&answer);
    return ok;
}

/* The writes behind an acknowledgement must not fail: the keys are streams, or not there. */
static bool check_stream(struct fg_inbound *s, const char *key, bool *refused, struct fg_error *err)
{
    struct fg_redis_answer answer;
    uint64_t entries;
    char text[512];
    bool ok = ask(s, 2, (const char *[]){"XLEN", key}, &answer, err);

    if (ok && answer.error[0]) {
        snprintf(text, sizeof(text), "%s: %s", key, answer.error);
        ok = fail_refused(err, refused, text);
    }
    ok = ok && fg_redis_reply_count(answer.last[0], "XLEN", &entries, err);
    fg_redis_answer_free(&answer);
    return ok;
}

/* How far the group has read, by the word of Redis. */
static bool find_position(struct fg_inbound *s, bool *refused, struct fg_error *err)
{
    struct fg_redis_answer answer;
    bool ok = ask(s, 3, (const char *[]){"XINFO", "GROUPS", s->commands}, &answer, err);

    if (ok && answer.error[0])
        ok = fail_refused(err, refused, answer.error);
    ok = ok && fg_inbound_trim_begin(&s->position, answer.last[0], FG_REDIS_GROUP, err);
    fg_redis_answer_free(&answer);
    return ok;
}

static void connect_step(struct fg_inbound *s)
{
    struct fg_error err = {""};
    bool refused = false;

    if (!fg_redis_conn_open(&s->conn, &err)) {
        away(s, &err);
        return;
    }
    if (!check_owner(s, &refused, &err) || !fg_inbound_leader_claim(s, &refused, &err) ||
        !make_group(s, &refused, &err) || !find_position(s, &refused, &err) ||
        !check_stream(s, s->results, &refused, &err) || !check_stream(s, s->dead, &refused, &err)) {
        refused ? refuse(s, &err) : away(s, &err);
        return;
    }
    fg_redis_resp_clear(&s->out);
    s->claiming = true;
    snprintf(s->claim_at, sizeof(s->claim_at), "0-0");
    s->read_after_ms = 0;
    s->empty_ms = EMPTY_MS;
    pthread_mutex_lock(&s->lock);
    s->status.reconnects += s->was_connected;
    pthread_mutex_unlock(&s->lock);
    s->was_connected = true;
}

/* ---- one exchange ---------------------------------------------------------------------------- */

static void add_ids(struct fg_inbound *s, const char *command, const char *group)
{
    fg_redis_resp_begin(&s->out, (group ? 3 : 2) + s->written_count);
    fg_redis_resp_text(&s->out, command);
    fg_redis_resp_text(&s->out, s->commands);
    if (group)
        fg_redis_resp_text(&s->out, group);
    for (unsigned i = 0; i < s->written_count; i++)
        fg_redis_resp_text(&s->out, s->written[i].id);
}

static unsigned page(const struct fg_inbound *s)
{
    return s->free_count < FG_INBOUND_PAGE ? s->free_count : FG_INBOUND_PAGE;
}

static void add_read(struct fg_inbound *s, bool may_block)
{
    unsigned timeout = s->options.redis.timeout_ms,
             block = timeout / 2 < BLOCK_MS ? timeout / 2 : BLOCK_MS;

    fg_redis_resp_begin(&s->out, s->claiming ? 8 : may_block && block ? 11 : 9);
    fg_redis_resp_text(&s->out, s->claiming ? "XAUTOCLAIM" : "XREADGROUP");
    if (s->claiming) {
        fg_redis_resp_text(&s->out, s->commands);
        fg_redis_resp_text(&s->out, FG_REDIS_GROUP);
        fg_redis_resp_text(&s->out, s->consumer);
        fg_redis_resp_text(&s->out, "0"); /* however fresh: no other client reads for this group */
        fg_redis_resp_text(&s->out, s->claim_at);
    } else {
        fg_redis_resp_text(&s->out, "GROUP");
        fg_redis_resp_text(&s->out, FG_REDIS_GROUP);
        fg_redis_resp_text(&s->out, s->consumer);
    }
    fg_redis_resp_text(&s->out, "COUNT");
    fg_redis_resp_u64(&s->out, page(s));
    if (s->claiming)
        return;
    if (may_block && block) {
        fg_redis_resp_text(&s->out, "BLOCK");
        fg_redis_resp_u64(&s->out, block);
    }
    fg_redis_resp_text(&s->out, "STREAMS");
    fg_redis_resp_text(&s->out, s->commands);
    fg_redis_resp_text(&s->out, ">");
}

/* Entries that another program removed count as read from now on, also for the next connection. */
static void add_position(struct fg_inbound *s)
{
    fg_redis_resp_begin(&s->out, 7);
    fg_redis_resp_text(&s->out, "XGROUP");
    fg_redis_resp_text(&s->out, "SETID");
    fg_redis_resp_text(&s->out, s->commands);
    fg_redis_resp_text(&s->out, FG_REDIS_GROUP);
    fg_redis_resp_text(&s->out, s->position.last);
    fg_redis_resp_text(&s->out, "ENTRIESREAD");
    fg_redis_resp_u64(&s->out, s->position.read);
    s->position.tell = false;
}

/* Takes a page of entries; false and err when it is not one. */
static bool take_all(struct fg_inbound *s, const redisReply *entries, bool claimed,
                     struct fg_error *err)
{
    size_t n = fg_redis_reply_size(entries);
    uint64_t taken = 0;
    bool ok = true;

    for (size_t i = 0; i < n && ok; i++) {
        const redisReply *entry = fg_redis_reply_at(entries, i), *fields = NULL;
        char id[FG_REDIS_ID_MAX];

        if (fg_redis_reply_is_nil(entry)) { /* Redis 6.2: a claimed entry that was deleted */
            s->trimmed++;
            continue;
        }
        ok = fg_redis_reply_entry(entry, id, &fields, err);
        if (ok && !claimed)
            fg_inbound_trim_read(&s->position, id);
        s->trimmed += ok && !fields;
        if (!ok || !fields)
            continue;
        fg_inbound_slot_take(s, id, fields);
        taken++;
    }
    if (n)
        s->empty_ms = EMPTY_MS;
    pthread_mutex_lock(&s->lock);
    s->status.taken += taken;
    s->status.claimed += claimed ? taken : 0;
    s->status.trimmed = s->trimmed;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

/* An answer to XAUTOCLAIM. Its cursor must move on, or it would be asked for ever. */
static bool take_claimed(struct fg_inbound *s, const redisReply *reply, struct fg_error *err)
{
    const redisReply *entries = fg_redis_reply_at(reply, 1);
    uint64_t from[2] = {0, 0}, to[2] = {0, 0};
    char next[FG_REDIS_ID_MAX];

    if (!fg_redis_reply_array(reply, "XAUTOCLAIM", 2, 3, err) ||
        !fg_redis_reply_id(fg_redis_reply_at(reply, 0), "the cursor of XAUTOCLAIM", next, err) ||
        !fg_redis_reply_array(entries, "entries of XAUTOCLAIM", 0, page(s), err))
        return false;
    fg_redis_id_parse(s->claim_at, &from[0], &from[1]);
    fg_redis_id_parse(next, &to[0], &to[1]);
    s->claiming = to[0] || to[1];
    if (s->claiming && (to[0] < from[0] || (to[0] == from[0] && to[1] <= from[1])))
        return fg_redis_reply_wrong(fg_redis_reply_at(reply, 0), "the cursor of XAUTOCLAIM",
                                    "a later one", err);
    memcpy(s->claim_at, next, sizeof(s->claim_at));
    s->trimmed += fg_redis_reply_size(fg_redis_reply_at(reply, 2)); /* pending, and deleted */
    return take_all(s, entries, true, err);
}

static bool take_read(struct fg_inbound *s, const redisReply *reply, struct fg_error *err)
{
    const redisReply *entries;

    if (s->claiming)
        return take_claimed(s, reply, err);
    if (!fg_redis_reply_stream(reply, page(s), &entries, err))
        return false;
    if (!entries)
        s->read_after_ms = fg_clock_mono_ms() + EMPTY_MS;
    return !entries || take_all(s, entries, false, err);
}

static void went_well(struct fg_inbound *s, uint64_t backlog)
{
    pthread_mutex_lock(&s->lock);
    s->status.backlog = backlog;
    s->status.under_way = s->given + s->waits_count;
    s->status.retries = s->retries;
    s->status.trimmed = s->trimmed;
    for (unsigned i = 0; i < s->written_count; i++) {
        s->status.acknowledged += s->written[i].status != FG_PACKET_STATUS_NONE;
        s->status.dead += s->written[i].status == FG_PACKET_STATUS_NONE;
        s->status.results[s->written[i].status]++;
    }
    memcpy(s->status.dead_reason, s->dead_reason, sizeof(s->status.dead_reason));
    pthread_mutex_unlock(&s->lock);
    s->written_count = s->adds = 0;
    fg_redis_resp_clear(&s->out);
}

/* Takes the answers of one exchange apart; false and err when they are not what was asked for. */
static bool take_answers(struct fg_inbound *s, const struct fg_redis_answer *answer, bool reads,
                         struct fg_error *err)
{
    const char *error =
        answer->error[0] ? answer->error : fg_redis_reply_error_inside(answer->exec);
    uint64_t backlog, trimmed;

    if (error)
        return fg_fail(err, "%s", error);
    if (s->written_count &&
        !fg_redis_reply_array(answer->exec, "EXEC", s->adds + 2, s->adds + 2, err))
        return false;
    if (!fg_inbound_trim_check(&s->position, answer->last[reads ? 1 : 0], &backlog, &trimmed, err))
        return false;
    s->trimmed += trimmed;
    went_well(s, backlog);
    return !reads || take_read(s, answer->last[0], err);
}

/* A read that should have waited and came back empty at once: a server that does so is asked less
 * and less often. */
static void pause_after_empty(struct fg_inbound *s)
{
    fg_wait_ms(&s->wait, s->empty_ms);
    s->empty_ms = 2 * s->empty_ms < BLOCK_MS ? 2 * s->empty_ms : BLOCK_MS;
}

/* Results and acknowledgements in one transaction, then what the stream is like, then perhaps a
 * read. */
static void exchange(struct fg_inbound *s, bool reads, bool may_block)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    struct fg_error err = {""}, why = {""};
    uint64_t asked_ms = fg_clock_mono_ms(), taken = s->status.taken;
    bool waits = reads && may_block, claims = s->claiming, ok;

    if (s->written_count) {
        if (!fg_inbound_leader_watch(s, &err)) {
            away(s, &err);
            return;
        }
        add_ids(s, "XACK", FG_REDIS_GROUP);
        add_ids(s, "XDEL", NULL);
        fg_redis_resp_command(&s->out, 1, (const char *[]){"EXEC"});
        answer.exec_at = s->out.commands - 1;
    }
    if (s->position.tell)
        add_position(s);
    fg_redis_resp_command(&s->out, 3, (const char *[]){"XINFO", "STREAM", s->commands});
    if (reads)
        add_read(s, may_block);
    ok = fg_redis_conn_exchange(&s->conn, &s->out, &answer, &err);
    if (ok && !take_answers(s, &answer, reads, &why))
        ok = fg_fail(&err, "%s: %.200s", s->options.redis.address, why.text);
    fg_redis_answer_free(&answer);
    if (!ok) {
        away(s, &err);
        return;
    }
    if (reads && !claims) { /* all that was pending is claimed, and the stream itself was read */
        s->retry_ms = RETRY_MS_FIRST;
        set_state(s, FG_SINK_LIVE, "");
    }
    if (waits && s->status.taken == taken && fg_clock_mono_ms() - asked_ms < EMPTY_MS)
        pause_after_empty(s);
}

static void serve_step(struct fg_inbound *s)
{
    bool stopping = atomic_load(&s->stop_at_ms) != 0, reads, idle;

    fg_inbound_slots_collect(s);
    if (!stopping)
        fg_inbound_slots_retry(s);
    idle = !s->given && !s->waits_count && !s->written_count;
    reads = !stopping && s->free_count && (idle || fg_clock_mono_ms() >= s->read_after_ms);
    if (s->written_count || reads)
        exchange(s, reads, idle);
    else
        fg_wait_ms(&s->wait, POLL_MS);
}

void fg_inbound_step(struct fg_inbound *s)
{
    if (s->conn.redis)
        serve_step(s);
    else
        connect_step(s);
}
