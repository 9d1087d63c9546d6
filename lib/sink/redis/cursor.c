/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink/redis/cursor.h"

#include <errno.h>
#include <string.h>

#include "fleet/map.h"
#include "redis/keys.h"

#define EMPTY_PAGES 1000 /* of SCAN in a row, before each further one is waited for */
#define SUMS_PIECE  100  /* items whose sums are computed in one exchange, and so by one timeout */

enum { AT_SEQ, AT_APPLIANCE, AT_CRC, AT_FORMAT, AT_BROKEN, AT_COUNT };

void fg_sink_redis_cursor_ask(struct fg_sink_redis_batch *b)
{
    fg_redis_resp_command(&b->out, 1, (const char *[]){"UNWATCH"});
    fg_redis_resp_begin(&b->out, 2);
    fg_redis_resp_text(&b->out, "WATCH");
    fg_sink_redis_batch_key(b, FG_REDIS_KEY_CURSOR);
    fg_sink_redis_cursor_read(b);
}

void fg_sink_redis_cursor_read(struct fg_sink_redis_batch *b)
{
    fg_redis_resp_begin(&b->out, 2 + AT_COUNT);
    fg_redis_resp_text(&b->out, "HMGET");
    fg_sink_redis_batch_key(b, FG_REDIS_KEY_CURSOR);
    fg_redis_resp_text(&b->out, FG_REDIS_CURSOR_SEQ);
    fg_redis_resp_text(&b->out, FG_REDIS_CURSOR_APPLIANCE);
    fg_redis_resp_text(&b->out, FG_REDIS_CURSOR_CRC);
    fg_redis_resp_text(&b->out, FG_REDIS_CURSOR_FORMAT);
    fg_redis_resp_text(&b->out, FG_REDIS_CURSOR_BROKEN);
}

/* Text of a field, NULL when it is absent. */
static const char *field(const redisReply *reply, unsigned at)
{
    return fg_redis_reply_text(fg_redis_reply_at(reply, at)).text;
}

static bool number(const char *text, int base, uint64_t *value)
{
    char *end;

    if (!text || !*text || *text == '-' || *text == '+' || *text == ' ')
        return false;
    errno = 0;
    *value = strtoull(text, &end, base);
    return !*end && !errno;
}

static enum fg_sink_redis_cursor_state refuse(struct fg_error *err, const char *base,
                                              const char *why)
{
    fg_fail(err,
            "%.140s. `fgctl sink adopt redis` deletes the keys %s* and writes them anew, or use "
            "another prefix (docs/redis.md)",
            why, base);
    return FG_SINK_REDIS_REFUSED;
}

/* False: it is not a cursor. */
static bool parse(const redisReply *reply, struct fg_sink_cursor *cursor)
{
    uint64_t crc;

    if (!number(field(reply, AT_SEQ), 10, &cursor->seq) ||
        !number(field(reply, AT_APPLIANCE), 16, &cursor->log) ||
        !number(field(reply, AT_CRC), 16, &crc) || crc > UINT32_MAX)
        return false;
    cursor->crc = (uint32_t)crc;
    cursor->found = true;
    return true;
}

static enum fg_sink_redis_cursor_state state_of(enum fg_sink_origin origin)
{
    return origin == FG_SINK_ORIGIN_OURS      ? FG_SINK_REDIS_FOLLOW
           : origin == FG_SINK_ORIGIN_FOREIGN ? FG_SINK_REDIS_FOREIGN
           : origin == FG_SINK_ORIGIN_NEWER   ? FG_SINK_REDIS_NEWER
                                              : FG_SINK_REDIS_REFUSED;
}

enum fg_sink_redis_cursor_state
fg_sink_redis_cursor_check(const redisReply *reply, const char *base, const struct fg_sink_log *log,
                           struct fg_sink_cursor *cursor, struct fg_error *err)
{
    char why[160];

    *cursor = (struct fg_sink_cursor){.found = false};
    if (fg_redis_reply_error(reply)) {
        snprintf(why, sizeof(why), "the cursor cannot be read: %.100s",
                 fg_redis_reply_error(reply));
        return refuse(err, base, why);
    }
    if (!fg_redis_reply_texts_or_nil(reply, "the cursor", AT_COUNT, err))
        return FG_SINK_REDIS_REFUSED;
    if (field(reply, AT_BROKEN)) {
        snprintf(why, sizeof(why), "a transaction failed inside Redis: %.90s",
                 field(reply, AT_BROKEN));
        return refuse(err, base, why);
    }
    if (!field(reply, AT_SEQ) && !field(reply, AT_APPLIANCE) && !field(reply, AT_FORMAT))
        return FG_SINK_REDIS_FRESH;
    if (!field(reply, AT_FORMAT) || strcmp(field(reply, AT_FORMAT), FG_REDIS_FORMAT) != 0) {
        snprintf(why, sizeof(why),
                 "the cursor is of another format than " FG_REDIS_FORMAT ": %.40s",
                 field(reply, AT_FORMAT) ? field(reply, AT_FORMAT) : "none");
        return refuse(err, base, why);
    }
    if (!parse(reply, cursor))
        return refuse(err, base, "the cursor holds no numbers");
    return state_of(fg_sink_cursor_origin(log, cursor, "redis", err));
}

enum fg_sink_result fg_sink_redis_cursor_result(enum fg_sink_redis_cursor_state state)
{
    switch (state) {
    case FG_SINK_REDIS_FOLLOW:
    case FG_SINK_REDIS_FRESH:
        return FG_SINK_OK;
    case FG_SINK_REDIS_FOREIGN:
        return FG_SINK_FOREIGN;
    case FG_SINK_REDIS_NEWER:
        return FG_SINK_NEWER;
    case FG_SINK_REDIS_REFUSED:
        break;
    }
    return FG_SINK_REFUSE;
}

/* ---- a start from the beginning -------------------------------------------------------------- */

/* One small command; its reply in answer->last[0]. */
static bool ask(struct fg_redis_conn *conn, size_t n, const char *const *words,
                struct fg_redis_answer *answer, struct fg_error *err)
{
    fg_redis_resp_clear(&conn->out);
    fg_redis_resp_command(&conn->out, n, words);
    if (!fg_redis_conn_exchange(conn, &conn->out, answer, err))
        return false;
    if (!answer->error[0])
        return true;
    fg_fail(err, "%s: %s", conn->options->address, answer->error);
    fg_redis_conn_close(conn);
    return false;
}

static void refuse_fleet(struct fg_error *err, const char *base)
{
    fg_fail(err, "the keys %s* are of a fleet: use another prefix (docs/redis.md)", base);
}

/* Has a member of a fleet items there? Then those without a member are sums. False: err. */
static bool no_fleet(struct fg_redis_conn *conn, const char *base, struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    char keys[FG_FLEET_MEMBERS_MAX][128];
    const char *words[1 + FG_FLEET_MEMBERS_MAX] = {"SUNION"};
    bool none;

    for (unsigned m = 0; m < FG_FLEET_MEMBERS_MAX; m++) {
        snprintf(keys[m], sizeof(keys[m]), "%s" FG_REDIS_KEY_MEMBER "%u:" FG_REDIS_KEY_ITEMS, base,
                 m);
        words[1 + m] = keys[m];
    }
    none = ask(conn, 1 + FG_FLEET_MEMBERS_MAX, words, &answer, err);
    if (none && !fg_redis_reply_texts(answer.last[0], "items of members", SIZE_MAX, err)) {
        fg_redis_conn_close(conn);
        none = false;
    } else if (none && fg_redis_reply_size(answer.last[0])) {
        refuse_fleet(err, base);
        none = false;
    }
    fg_redis_answer_free(&answer);
    return none;
}

static bool is_of_member(const char *suffix)
{
    return !strncmp(suffix, FG_REDIS_KEY_MEMBER, strlen(FG_REDIS_KEY_MEMBER));
}

/* True when the stream never held an entry. False with a connection: it did. */
static bool stream_unused(struct fg_redis_conn *conn, const char *key, struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    bool unused = false;

    if (ask(conn, 3, (const char *[]){"XINFO", "STREAM", key}, &answer, err)) {
        struct fg_redis_text last =
            fg_redis_reply_text(fg_redis_reply_value(answer.last[0], "last-generated-id"));

        unused = last.text && !strcmp(last.text, "0-0");
    }
    fg_redis_answer_free(&answer);
    return unused;
}

static bool leftover(struct fg_redis_conn *conn, const char *base, const char *key,
                     struct fg_error *err)
{
    const char *suffix = strlen(key) >= strlen(base) ? key + strlen(base) : key;
    char why[160];

    if (fg_redis_key_of_inbound(suffix) ||
        (!strcmp(suffix, FG_REDIS_KEY_EVENTS) && stream_unused(conn, key, err)))
        return false;
    if (!conn->redis)
        return true;
    if (is_of_member(suffix)) {
        refuse_fleet(err, base);
        return true;
    }
    snprintf(why, sizeof(why), "there is no cursor, but there is %.110s", key);
    refuse(err, base, why);
    return true;
}

/* One page of SCAN. False: err, or a leftover key. *found: it brought keys. */
static bool scan_page(struct fg_redis_conn *conn, const char *base, char cursor[24], bool *found,
                      struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    const redisReply *keys = NULL;
    char pattern[96], next[24];
    bool clean;

    snprintf(pattern, sizeof(pattern), "%s*", base);
    clean = ask(conn, 6, (const char *[]){"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"},
                &answer, err);
    if (clean) {
        clean = fg_redis_reply_scan(answer.last[0], next, &keys, err);
        if (clean && !strcmp(next, cursor) && strcmp(next, "0") != 0)
            clean = fg_redis_reply_wrong(answer.last[0], "SCAN", "another cursor", err);
        if (!clean)
            fg_redis_conn_close(conn);
    }
    for (size_t i = 0; clean && i < fg_redis_reply_size(keys); i++)
        clean = !leftover(conn, base, fg_redis_reply_word(keys, i), err);
    *found = fg_redis_reply_size(keys) > 0;
    if (clean)
        memcpy(cursor, next, sizeof(next));
    fg_redis_answer_free(&answer);
    return clean;
}

bool fg_sink_redis_cursor_clean(struct fg_redis_conn *conn, const char *base, struct fg_error *err)
{
    char cursor[24] = "0";
    unsigned empty = 0;
    bool found;

    if (!no_fleet(conn, base, err))
        return false;
    do {
        if (!scan_page(conn, base, cursor, &found, err))
            return false;
        empty = found ? 0 : empty + 1;
        if (empty > EMPTY_PAGES) /* many other keys, or a server that never ends */
            fg_wait_ms(conn->wait, 1);
    } while (strcmp(cursor, "0") != 0);
    return true;
}

/* ---- of a fleet ------------------------------------------------------------------------------ */

/* Is there the cursor of an appliance without a fleet? Then the items there are not sums. */
static bool read_sums(struct fg_redis_conn *conn, const struct fg_sink_redis_batch *b,
                      struct fg_redis_answer *answer, struct fg_error *err)
{
    char base[FG_REDIS_BASE_MAX], key[96];

    fg_redis_base(base, b->prefix, 0, 0);
    fg_redis_resp_clear(&conn->out);
    snprintf(key, sizeof(key), "%s" FG_REDIS_KEY_CURSOR, base);
    fg_redis_resp_command(&conn->out, 3, (const char *[]){"HGET", key, FG_REDIS_CURSOR_SEQ});
    snprintf(key, sizeof(key), "%s" FG_REDIS_KEY_ITEMS, base);
    fg_redis_resp_command(&conn->out, 2, (const char *[]){"SMEMBERS", key});
    if (!fg_redis_conn_exchange(conn, &conn->out, answer, err))
        return false;
    if (!answer->error[0] && fg_redis_reply_is_nil(answer->last[1]))
        return fg_redis_reply_texts(answer->last[0], "the set of items", SIZE_MAX, err);
    return answer->error[0]
               ? fg_fail(err, "%s: %s", conn->options->address, answer->error)
               : fg_fail(err,
                         "the keys %s* are of an appliance that is of no fleet: use another "
                         "prefix, or delete them (docs/redis.md)",
                         base);
}

/* The sums of the next items. */
static bool sum_piece(struct fg_redis_conn *conn, struct fg_sink_redis_batch *b,
                      const redisReply *items, size_t *next, struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    uint64_t item;
    bool ok;

    fg_redis_resp_clear(&b->out);
    for (; *next < fg_redis_reply_size(items) && b->out.commands < SUMS_PIECE; (*next)++)
        if (fg_redis_reply_number(items, *next, 10, &item))
            fg_sink_redis_batch_sum(b, item);
    if (!b->out.commands)
        return true;
    ok = fg_redis_conn_exchange(conn, &b->out, &answer, err);
    if (ok && answer.error[0])
        ok = fg_fail(err, "%s: %s", conn->options->address, answer.error);
    fg_redis_answer_free(&answer);
    return ok;
}

bool fg_sink_redis_sums_begin(struct fg_redis_conn *conn, struct fg_sink_redis_batch *b,
                              struct fg_error *err)
{
    struct fg_redis_answer items = {.exec_at = SIZE_MAX};
    bool ok = !b->members || read_sums(conn, b, &items, err);
    size_t next = 0;

    while (ok && next < fg_redis_reply_size(items.last[0]))
        ok = sum_piece(conn, b, items.last[0], &next, err);
    fg_redis_answer_free(&items);
    return ok;
}

/* ---- an operator's decision ------------------------------------------------------------------ */

/* Whether a key may go in the first round: all but the cursor, those of inbound commands, and what
 * a fleet has left (its own commands, say). */
static bool deletable(const char *base, const char *key)
{
    const char *suffix = strlen(key) >= strlen(base) ? key + strlen(base) : key;

    return !fg_redis_key_of_inbound(suffix) && strcmp(suffix, FG_REDIS_KEY_CURSOR) != 0 &&
           !is_of_member(suffix);
}

/* Deletes what one page of SCAN named. */
static bool delete_keys(struct fg_redis_conn *conn, const char *base, const redisReply *keys,
                        struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    bool ok;

    fg_redis_resp_clear(&conn->out);
    for (size_t i = 0; i < fg_redis_reply_size(keys); i++)
        if (deletable(base, fg_redis_reply_word(keys, i)))
            fg_redis_resp_command(&conn->out, 2,
                                  (const char *[]){"DEL", fg_redis_reply_word(keys, i)});
    if (!conn->out.commands)
        return true;
    ok = fg_redis_conn_exchange(conn, &conn->out, &answer, err);
    if (ok && answer.error[0])
        ok = fg_fail(err, "%s: %s", conn->options->address, answer.error);
    fg_redis_answer_free(&answer);
    return ok;
}

static bool delete_page(struct fg_redis_conn *conn, const char *base, char cursor[24],
                        struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    const redisReply *keys = NULL;
    char pattern[96], next[24];
    bool ok;

    snprintf(pattern, sizeof(pattern), "%s*", base);
    ok = ask(conn, 6, (const char *[]){"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"}, &answer,
             err);
    if (ok) {
        ok = fg_redis_reply_scan(answer.last[0], next, &keys, err);
        if (ok && !strcmp(next, cursor) && strcmp(next, "0") != 0)
            ok = fg_redis_reply_wrong(answer.last[0], "SCAN", "another cursor", err);
        if (!ok)
            fg_redis_conn_close(conn);
    }
    ok = ok && delete_keys(conn, base, keys, err);
    if (ok)
        memcpy(cursor, next, sizeof(next));
    fg_redis_answer_free(&answer);
    return ok;
}

bool fg_sink_redis_delete_all(struct fg_redis_conn *conn, const char *base, struct fg_error *err)
{
    struct fg_redis_answer answer;
    char cursor[24] = "0", key[96];
    bool ok;

    if (!no_fleet(conn, base, err))
        return false;
    do {
        if (!delete_page(conn, base, cursor, err))
            return false;
    } while (strcmp(cursor, "0") != 0);
    snprintf(key, sizeof(key), "%s" FG_REDIS_KEY_CURSOR, base);
    answer = (struct fg_redis_answer){.exec_at = SIZE_MAX};
    ok = ask(conn, 2, (const char *[]){"DEL", key}, &answer, err);
    fg_redis_answer_free(&answer);
    return ok;
}

/* ---- errors inside a transaction ------------------------------------------------------------- */

bool fg_sink_redis_mark_broken(struct fg_redis_conn *conn, struct fg_sink_redis_batch *b,
                               uint64_t seq, const char *error, struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    char text[160];
    bool ok;

    snprintf(text, sizeof(text), "up to record %llu: %.100s", (unsigned long long)seq, error);
    fg_redis_resp_clear(&b->out);
    fg_redis_resp_begin(&b->out, 4);
    fg_redis_resp_text(&b->out, "HSET");
    fg_sink_redis_batch_key(b, FG_REDIS_KEY_CURSOR);
    fg_redis_resp_text(&b->out, FG_REDIS_CURSOR_BROKEN);
    fg_redis_resp_text(&b->out, text);
    ok = fg_redis_conn_exchange(conn, &b->out, &answer, err);
    fg_redis_answer_free(&answer);
    return ok;
}
