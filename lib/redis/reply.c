/* SPDX-License-Identifier: BSD-3-Clause */
#include "redis/reply.h"

#include <errno.h>
#include <string.h>

#define SHOWN 40 /* bytes of a server's text in an error */

/* ---- getters --------------------------------------------------------------------------------- */

bool fg_redis_reply_is_array(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ARRAY;
}

bool fg_redis_reply_is_nil(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_NIL;
}

size_t fg_redis_reply_size(const redisReply *reply)
{
    return fg_redis_reply_is_array(reply) ? reply->elements : 0;
}

const redisReply *fg_redis_reply_at(const redisReply *reply, size_t at)
{
    return at < fg_redis_reply_size(reply) ? reply->element[at] : NULL;
}

struct fg_redis_text fg_redis_reply_text(const redisReply *reply)
{
    bool is_text = reply && reply->str &&
                   (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);

    return is_text ? (struct fg_redis_text){reply->str, reply->len}
                   : (struct fg_redis_text){NULL, 0};
}

const char *fg_redis_reply_word(const redisReply *reply, size_t at)
{
    const char *text = fg_redis_reply_text(fg_redis_reply_at(reply, at)).text;

    return text ? text : "";
}

const char *fg_redis_reply_error(const redisReply *reply)
{
    if (!reply || reply->type != REDIS_REPLY_ERROR)
        return NULL;
    return reply->str ? reply->str : "an error without a text";
}

const char *fg_redis_reply_error_inside(const redisReply *reply)
{
    const char *error = NULL;

    for (size_t i = 0; i < fg_redis_reply_size(reply) && !error; i++)
        error = fg_redis_reply_error(fg_redis_reply_at(reply, i));
    return error;
}

static bool is_digit(char c, int base)
{
    return (c >= '0' && c <= '9') ||
           (base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')));
}

bool fg_redis_reply_number(const redisReply *reply, size_t at, int base, uint64_t *value)
{
    struct fg_redis_text t = fg_redis_reply_text(fg_redis_reply_at(reply, at));
    uint64_t number;
    char *end;

    if (!t.len || !is_digit(t.text[0], base)) /* strtoull takes spaces and signs */
        return false;
    errno = 0;
    number = strtoull(t.text, &end, base);
    if (errno || end != t.text + t.len)
        return false;
    *value = number;
    return true;
}

const redisReply *fg_redis_reply_value(const redisReply *pairs, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i + 1 < fg_redis_reply_size(pairs); i += 2) {
        struct fg_redis_text t = fg_redis_reply_text(fg_redis_reply_at(pairs, i));

        if (t.text && t.len == len && !memcmp(t.text, name, len))
            return fg_redis_reply_at(pairs, i + 1);
    }
    return NULL;
}

static bool parse_part(const char **at, char end_char, uint64_t *value)
{
    char *end;

    if (!is_digit(**at, 10))
        return false;
    errno = 0;
    *value = strtoull(*at, &end, 10);
    if (errno || *end != end_char)
        return false;
    *at = end + 1;
    return true;
}

bool fg_redis_id_parse(const char *text, uint64_t *ms, uint64_t *number)
{
    return parse_part(&text, '-', ms) && parse_part(&text, '\0', number);
}

/* ---- checks ---------------------------------------------------------------------------------- */

/* The server's bytes must not reach a terminal or a log as they are. */
static void show(const char *text, size_t len, char shown[SHOWN + 1])
{
    size_t n = len < SHOWN ? len : SHOWN;

    for (size_t i = 0; i < n; i++)
        shown[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    shown[n] = '\0';
}

static void describe(const redisReply *reply, char *out, size_t size)
{
    char shown[SHOWN + 1];

    if (!reply) {
        snprintf(out, size, "nothing");
        return;
    }
    switch (reply->type) {
    case REDIS_REPLY_ARRAY:
        snprintf(out, size, "an array of %zu", reply->elements);
        break;
    case REDIS_REPLY_INTEGER:
        snprintf(out, size, "the integer %lld", reply->integer);
        break;
    case REDIS_REPLY_NIL:
        snprintf(out, size, "nil");
        break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        show(reply->str ? reply->str : "", reply->str ? reply->len : 0, shown);
        snprintf(out, size, "the %s '%s'", reply->type == REDIS_REPLY_ERROR ? "error" : "text",
                 shown);
        break;
    default:
        snprintf(out, size, "a reply of kind %d", reply->type);
    }
}

bool fg_redis_reply_wrong(const redisReply *reply, const char *what, const char *wanted,
                          struct fg_error *err)
{
    char came[96];

    describe(reply, came, sizeof(came));
    return fg_fail(err, "not an answer to what was asked: %s: %s expected, %s came", what, wanted,
                   came);
}

bool fg_redis_reply_array(const redisReply *reply, const char *what, size_t min, size_t max,
                          struct fg_error *err)
{
    size_t n = fg_redis_reply_size(reply);
    char wanted[64];

    if (fg_redis_reply_is_array(reply) && n >= min && n <= max)
        return true;
    if (min == max)
        snprintf(wanted, sizeof(wanted), "an array of %zu", min);
    else if (max == SIZE_MAX)
        snprintf(wanted, sizeof(wanted), "an array");
    else
        snprintf(wanted, sizeof(wanted), "an array of %zu to %zu", min, max);
    return fg_redis_reply_wrong(reply, what, wanted, err);
}

bool fg_redis_reply_texts(const redisReply *reply, const char *what, size_t max,
                          struct fg_error *err)
{
    if (!fg_redis_reply_array(reply, what, 0, max, err))
        return false;
    for (size_t i = 0; i < fg_redis_reply_size(reply); i++)
        if (!fg_redis_reply_text(fg_redis_reply_at(reply, i)).text)
            return fg_redis_reply_wrong(fg_redis_reply_at(reply, i), what, "a text", err);
    return true;
}

bool fg_redis_reply_texts_or_nil(const redisReply *reply, const char *what, size_t n,
                                 struct fg_error *err)
{
    if (!fg_redis_reply_array(reply, what, n, n, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        const redisReply *one = fg_redis_reply_at(reply, i);

        if (!fg_redis_reply_text(one).text && !fg_redis_reply_is_nil(one))
            return fg_redis_reply_wrong(one, what, "a text or nil", err);
    }
    return true;
}

bool fg_redis_reply_pairs(const redisReply *reply, const char *what, struct fg_error *err)
{
    if (!fg_redis_reply_texts(reply, what, SIZE_MAX, err))
        return false;
    return fg_redis_reply_size(reply) % 2 == 0 ||
           fg_redis_reply_wrong(reply, what, "names with their values", err);
}

bool fg_redis_reply_integer(const redisReply *reply, const char *what, int64_t *value,
                            struct fg_error *err)
{
    if (!reply || reply->type != REDIS_REPLY_INTEGER)
        return fg_redis_reply_wrong(reply, what, "an integer", err);
    *value = reply->integer;
    return true;
}

bool fg_redis_reply_count(const redisReply *reply, const char *what, uint64_t *value,
                          struct fg_error *err)
{
    int64_t number;

    if (!fg_redis_reply_integer(reply, what, &number, err))
        return false;
    if (number < 0)
        return fg_redis_reply_wrong(reply, what, "an integer from 0 on", err);
    *value = (uint64_t)number;
    return true;
}

bool fg_redis_reply_id(const redisReply *reply, const char *what, char id[FG_REDIS_ID_MAX],
                       struct fg_error *err)
{
    struct fg_redis_text t = fg_redis_reply_text(reply);
    uint64_t ms, number;

    if (!t.text || t.len >= FG_REDIS_ID_MAX || strlen(t.text) != t.len ||
        !fg_redis_id_parse(t.text, &ms, &number))
        return fg_redis_reply_wrong(reply, what, "NUMBER-NUMBER", err);
    memcpy(id, t.text, t.len + 1);
    return true;
}

bool fg_redis_reply_entry(const redisReply *reply, char id[FG_REDIS_ID_MAX],
                          const redisReply **fields, struct fg_error *err)
{
    *fields = NULL;
    if (!fg_redis_reply_array(reply, "an entry of a stream", 2, 2, err) ||
        !fg_redis_reply_id(fg_redis_reply_at(reply, 0), "an entry's id", id, err))
        return false;
    if (fg_redis_reply_is_nil(fg_redis_reply_at(reply, 1)))
        return true;
    *fields = fg_redis_reply_at(reply, 1);
    return fg_redis_reply_pairs(*fields, "an entry's fields", err);
}

bool fg_redis_reply_stream(const redisReply *reply, size_t max, const redisReply **entries,
                           struct fg_error *err)
{
    const redisReply *one = fg_redis_reply_at(reply, 0);

    *entries = NULL;
    if (fg_redis_reply_is_nil(reply))
        return true;
    if (!fg_redis_reply_array(reply, "streams that were read", 1, 1, err) ||
        !fg_redis_reply_array(one, "a stream that was read", 2, 2, err) ||
        !fg_redis_reply_array(fg_redis_reply_at(one, 1), "entries of a stream", 0, max, err))
        return false;
    *entries = fg_redis_reply_at(one, 1);
    return true;
}

bool fg_redis_reply_scan(const redisReply *reply, char cursor[24], const redisReply **keys,
                         struct fg_error *err)
{
    uint64_t next;

    if (!fg_redis_reply_array(reply, "SCAN", 2, 2, err))
        return false;
    if (!fg_redis_reply_number(reply, 0, 10, &next))
        return fg_redis_reply_wrong(fg_redis_reply_at(reply, 0), "the cursor of SCAN", "a number",
                                    err);
    *keys = fg_redis_reply_at(reply, 1);
    snprintf(cursor, 24, "%llu", (unsigned long long)next);
    return fg_redis_reply_texts(*keys, "keys of SCAN", SIZE_MAX, err);
}

bool fg_redis_reply_exec(const redisReply *reply, size_t commands, struct fg_error *err)
{
    return fg_redis_reply_is_nil(reply) ||
           fg_redis_reply_array(reply, "EXEC", commands, commands, err);
}
