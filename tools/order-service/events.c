/* SPDX-License-Identifier: BSD-3-Clause */
#include "events.h"

#include <string.h>

#include "redis/address.h"

#define TIMEOUT_S 5
#define CONSUMER                                                                                   \
    "service" /* one process a group: what it took and did not finish, it finds again by this name \
               */

static bool failed(struct events *e, const char *what, struct fg_error *err)
{
    fg_fail(err, "Redis %s: %.300s", e->options->redis, what);
    events_close(e);
    return false;
}

/* A reply that is not an error, or NULL and err. */
static redisReply *check(struct events *e, redisReply *reply, struct fg_error *err)
{
    if (reply && !fg_redis_reply_error(reply))
        return reply;
    failed(e, reply ? fg_redis_reply_error(reply) : e->redis->errstr, err);
    if (reply)
        freeReplyObject(reply);
    return NULL;
}

static bool done(redisReply *reply)
{
    if (reply)
        freeReplyObject(reply);
    return reply;
}

static bool log_in(struct events *e, struct fg_error *err)
{
    char password[256] = "";
    FILE *f;

    if (!e->options->redis_password_file)
        return true;
    f = fopen(e->options->redis_password_file, "re");
    if (f && fgets(password, sizeof(password), f))
        password[strcspn(password, "\r\n")] = '\0';
    if (f)
        fclose(f);
    return done(check(e, redisCommand(e->redis, "AUTH %s", password), err));
}

/* The group may be there already; a Redis that came back empty has lost it. */
static bool make_group(struct events *e, struct fg_error *err)
{
    redisReply *reply =
        redisCommand(e->redis, "XGROUP CREATE %s %s 0 MKSTREAM", e->stream, e->options->group);

    const char *error = fg_redis_reply_error(reply);

    if (error && !strncmp(error, "BUSYGROUP", 9)) {
        freeReplyObject(reply);
        return true;
    }
    return done(check(e, reply, err));
}

/* Results from now on: what was asked before is asked again. */
static bool find_end(struct events *e, struct fg_error *err)
{
    redisReply *reply =
        check(e, redisCommand(e->redis, "XREVRANGE %s + - COUNT 1", e->results), err);

    const redisReply *fields;
    struct fg_error why = {""};

    if (reply && fg_redis_reply_array(reply, "XREVRANGE", 0, 1, &why) && fg_redis_reply_size(reply))
        fg_redis_reply_entry(fg_redis_reply_at(reply, 0), e->last_result, &fields, &why);
    if (!done(reply))
        return false;
    return !why.text[0] || failed(e, why.text, err);
}

bool events_open(struct events *e, const struct options *options, struct fg_error *err)
{
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    struct fg_redis_address address;
    char base[FG_REDIS_BASE_MAX];

    *e = (struct events){.options = options, .last_result = "0-0"};
    fg_redis_base(base, options->prefix, options->of_fleet, options->redis_member);
    snprintf(e->stream, sizeof(e->stream), "%sevents", base);
    snprintf(e->commands, sizeof(e->commands), "%scommands", base);
    snprintf(e->results, sizeof(e->results), "%sresults", base);
    if (!fg_redis_address_parse(options->redis, &address, err))
        return false;
    e->redis = address.is_unix ? redisConnectUnixWithTimeout(address.host, timeout)
                               : redisConnectWithTimeout(address.host, address.port, timeout);
    if (!e->redis || e->redis->err)
        return failed(e, e->redis ? e->redis->errstr : "out of memory", err);
    redisSetTimeout(e->redis, timeout);
    return log_in(e, err) && make_group(e, err) && find_end(e, err);
}

void events_close(struct events *e)
{
    if (e->redis)
        redisFree(e->redis);
    e->redis = NULL;
    e->count = 0;
}

/* ---- entries --------------------------------------------------------------------------------- */

static const char *field(const redisReply *fields, const char *name)
{
    const char *text = fg_redis_reply_text(fg_redis_reply_value(fields, name)).text;

    return text ? text : "";
}

static bool reservation(const redisReply *fields, struct payment *p)
{
    if (strcmp(field(fields, "type"), "reserved") != 0 || strlen(field(fields, "order")) != 32)
        return false;
    *p = (struct payment){.user = strtoull(field(fields, "user"), NULL, 10),
                          .item = strtoull(field(fields, "item"), NULL, 10),
                          .quantity = (uint32_t)strtoul(field(fields, "quantity"), NULL, 10),
                          .deadline_ms = strtoull(field(fields, "deadline_ms"), NULL, 10),
                          .state = STATE_TAKEN};
    memcpy(p->order, field(fields, "order"), 33);
    return true;
}

int events_take(struct events *e, struct payment *list, struct fg_error *err)
{
    redisReply *reply =
        check(e,
              redisCommand(e->redis, "XREADGROUP GROUP %s " CONSUMER " COUNT %d STREAMS %s %s",
                           e->options->group, EVENTS_MAX, e->stream, e->recovered ? ">" : "0"),
              err);
    const redisReply *found, *fields;
    struct fg_error why;
    int taken = 0;
    bool ok;

    if (!reply)
        return -1;
    ok = fg_redis_reply_stream(reply, EVENTS_MAX - e->count, &found, &why);
    for (size_t i = 0; ok && i < fg_redis_reply_size(found); i++) {
        char *id = e->ids[e->count];
        uint64_t seq, number;

        ok = fg_redis_reply_entry(fg_redis_reply_at(found, i), id, &fields, &why);
        if (!ok || !fg_redis_id_parse(id, &seq, &number))
            break;
        e->count++;
        e->highest = seq > e->highest ? seq : e->highest;
        /* an entry that was trimmed meanwhile has no fields */
        if (fields && reservation(fields, &list[taken]) &&
            list[taken].item >= e->options->items_first &&
            list[taken].item <= e->options->items_last)
            taken++;
    }
    e->recovered |= e->count == 0;
    freeReplyObject(reply);
    return ok || failed(e, why.text, err) ? taken : -1;
}

bool events_done(struct events *e, struct fg_error *err)
{
    const char *words[3 + EVENTS_MAX] = {"XACK", e->stream, e->options->group};
    unsigned n = e->count;

    for (unsigned i = 0; i < n; i++)
        words[3 + i] = e->ids[i];
    e->count = 0;
    return !n || done(check(e, redisCommandArgv(e->redis, (int)(3 + n), words, NULL), err));
}

/* ---- commands -------------------------------------------------------------------------------- */

bool events_command(struct events *e, struct payment *const *list, size_t n, struct fg_error *err)
{
    for (size_t i = 0; i < n; i++)
        redisAppendCommand(e->redis, "XADD %s * op %s user %llu order %s", e->commands,
                           payment_confirms(list[i]) ? "confirm" : "cancel",
                           (unsigned long long)list[i]->user, list[i]->order);
    for (size_t i = 0; i < n; i++) {
        void *reply = NULL;

        if (redisGetReply(e->redis, &reply) != REDIS_OK)
            return failed(e, e->redis->errstr, err);
        if (!done(check(e, reply, err)))
            return false;
    }
    return true;
}

int events_results(struct events *e, struct result *list, int max, struct fg_error *err)
{
    redisReply *reply = check(
        e, redisCommand(e->redis, "XREAD COUNT %d STREAMS %s %s", max, e->results, e->last_result),
        err);
    const redisReply *found, *fields;
    struct fg_error why;
    int n = 0;
    bool ok;

    if (!reply)
        return -1;
    ok = fg_redis_reply_stream(reply, (size_t)max, &found, &why);
    for (size_t i = 0; ok && i < fg_redis_reply_size(found); i++) {
        struct result *r = &list[n];

        ok = fg_redis_reply_entry(fg_redis_reply_at(found, i), e->last_result, &fields, &why);
        if (!ok)
            break;
        n++;
        *r = (struct result){.user = strtoull(field(fields, "user"), NULL, 10)};
        snprintf(r->order, sizeof(r->order), "%.32s", field(fields, "order"));
        snprintf(r->op, sizeof(r->op), "%.11s", field(fields, "op"));
        snprintf(r->status, sizeof(r->status), "%.19s", field(fields, "status"));
    }
    freeReplyObject(reply);
    return ok || failed(e, why.text, err) ? n : -1;
}
