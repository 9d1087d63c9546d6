/* SPDX-License-Identifier: BSD-3-Clause */
/* Items and orders: every key under the prefix is read once, and what the log has besides is
 * missing. */
#include "redis.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "line.h"
#include "progress.h"
#include "redis/keys.h"

#define PAGE "1000"

/* ---- one key --------------------------------------------------------------------------------- */

static bool parse_number(const char *text, char end_char, const char **end, uint64_t *value)
{
    char *stop;

    if (*text < '0' || *text > '9' || (*text == '0' && text[1] != end_char))
        return false;
    errno = 0;
    *value = strtoull(text, &stop, 10);
    *end = stop;
    return *stop == end_char && !errno;
}

static struct fg_item *parse_item(struct fg_story *s, const char *text)
{
    const char *end;
    uint64_t item;

    return parse_number(text, '\0', &end, &item) ? fg_tables_item(&s->tables, item) : NULL;
}

static struct fg_order *parse_order(struct fg_story *s, const char *text)
{
    const char *end;
    uint8_t id[16];
    uint64_t user;

    if (!parse_number(text, ':', &end, &user) || strlen(end + 1) != 32 || !fg_unhex(end + 1, id))
        return NULL;
    return fg_tables_order(&s->tables, user, id);
}

static void compare_item(struct fg_redis_audit *a, struct fg_item *i, const redisReply *hash,
                         const char *key)
{
    struct fg_expected e = {0};

    if (i->in_redis) /* SCAN may give a key more than once */
        return;
    i->in_redis = true;
    a->items++;
    fg_expect_i64(&e, "total", i->total);
    fg_expect_i64(&e, "available", fg_item_available(i));
    fg_expect_i64(&e, "reserved", i->reserved);
    fg_expect_i64(&e, "sold", i->sold);
    fg_expect_i64(&e, "refunded", i->refunded);
#define X(name) fg_expect_u64(&e, #name, i->name);
    FG_REDIS_SETTINGS_LIST(X)
#undef X
    fg_expect_u64(&e, FG_REDIS_ITEM_FIELD_PAUSED, i->flags & FG_JOURNAL_ITEM_PAUSED ? 1 : 0);
#define X(name) fg_expect_or_absent(&e, #name, i->name);
    FG_REDIS_LINE_LIST(X)
#undef X
    fg_expect_or_absent(&e, FG_REDIS_ITEM_FIELD_ONE_UNIT, i->line_flags & FG_JOURNAL_LINE_ONE_UNIT);
    fg_expect_or_absent(&e, FG_REDIS_ITEM_FIELD_WAITING, i->line ? i->line->waiting : 0);
    fg_expect_or_absent(&e, "leased", i->lease.units);
    fg_expect_or_absent(&e, "returned", i->giving.units);
    if (i->name_len)
        fg_expect(&e, FG_REDIS_ITEM_FIELD_NAME, i->name, i->name_len);
    fg_expect_compare(a, &e, hash, FG_PROBLEM_REDIS_ITEM, FG_PROBLEM_REDIS_COUNTER, key);
}

static uint64_t seq_of(const redisReply *hash)
{
    struct fg_redis_text seq = fg_redis_reply_text(fg_redis_reply_value(hash, "seq"));

    return seq.text ? strtoull(seq.text, NULL, 10) : 0;
}

/* Of an order that the log knows from a snapshot only: any record up to that one may have been its
 * last. */
static uint64_t seq_before(const redisReply *hash, uint64_t begin_seq)
{
    uint64_t seq = seq_of(hash);

    return seq && seq <= begin_seq ? seq : begin_seq;
}

/* A snapshot does not know the last record of each order: who is filled from it has the snapshot's
 * instead.
 */
static uint64_t seq_filled(const struct fg_redis_audit *a, const redisReply *hash, uint64_t seq)
{
    return a->filled && seq <= a->filled && seq_of(hash) == a->filled ? a->filled : seq;
}

static void compare_order(struct fg_redis_audit *a, struct fg_story *s, struct fg_order *o,
                          const redisReply *hash, const char *key)
{
    struct fg_expected e = {0};

    if (o->in_redis)
        return;
    o->in_redis = 1;
    a->orders++;
    fg_progress("redis orders", a->orders);
    fg_expect_text(&e, "state", fg_state_name(o->state));
    if (o->late)
        fg_expect_u64(&e, FG_REDIS_ORDER_FIELD_LATE, 1);
    fg_expect_u64(&e, "item", s->tables.items[o->item].item);
    fg_expect_u64(&e, "user", o->user);
    fg_expect_u64(&e, "quantity", o->quantity);
    fg_expect_u64(&e, "deadline_ms", o->state == FG_STATE_WAITING ? 0 : o->deadline_ms);
    fg_expect_u64(&e, "changed_ms", o->changed_ms);
    fg_expect_u64(&e, "seq", seq_filled(a, hash, o->seq ? o->seq : seq_before(hash, s->begin_seq)));
    fg_expect_compare(a, &e, hash, FG_PROBLEM_REDIS_ORDER, FG_PROBLEM_REDIS_ORDER, key);
}

/* The part of a key behind the prefix; "" when it has another one. */
static const char *suffix_of(const struct fg_redis_audit *a, const char *key)
{
    size_t len = strlen(a->key_prefix);

    return strncmp(key, a->key_prefix, len) == 0 ? key + len : "";
}

/* The part of the key behind the prefix, when it is a hash that the story must know. */
static const char *hash_suffix(const struct fg_redis_audit *a, const char *key, const char *kind)
{
    const char *suffix = suffix_of(a, key);

    return strncmp(suffix, kind, strlen(kind)) == 0 ? suffix + strlen(kind) : NULL;
}

static void compare_hash(struct fg_redis_audit *a, struct fg_story *s, const char *key,
                         const redisReply *hash)
{
    const char *item = hash_suffix(a, key, FG_REDIS_KEY_ITEM),
               *order = hash_suffix(a, key, FG_REDIS_KEY_ORDER);
    struct fg_item *i = item ? parse_item(s, item) : NULL;
    struct fg_order *o = order ? parse_order(s, order) : NULL;

    struct fg_error why;

    if (fg_redis_reply_error(hash))
        fg_problem(a->problems, FG_PROBLEM_REDIS_KEY, "%s: %s", key, fg_redis_reply_error(hash));
    else if (!fg_redis_reply_pairs(hash, "HGETALL", &why))
        fg_problem(a->problems, FG_PROBLEM_REDIS_KEY, "%s: %s", key, why.text);
    else if (i)
        compare_item(a, i, hash, key);
    else if (o)
        compare_order(a, s, o, hash, key);
    else
        fg_problem(a->problems, item ? FG_PROBLEM_REDIS_ITEM : FG_PROBLEM_REDIS_ORDER,
                   "%s: not in the log", key);
}

/* ---- all keys -------------------------------------------------------------------------------- */

static bool is_hash(const struct fg_redis_audit *a, const char *key)
{
    return hash_suffix(a, key, FG_REDIS_KEY_ITEM) || hash_suffix(a, key, FG_REDIS_KEY_ORDER);
}

static bool is_known(const struct fg_redis_audit *a, const char *key)
{
    const char *suffix = suffix_of(a, key);

    return !strcmp(suffix, FG_REDIS_KEY_CURSOR) || !strcmp(suffix, FG_REDIS_KEY_ITEMS) ||
           !strcmp(suffix, FG_REDIS_KEY_EVENTS) || !strcmp(suffix, FG_REDIS_KEY_DENIED) ||
           fg_redis_key_of_inbound(suffix);
}

static bool compare_page(struct fg_redis_audit *a, struct fg_story *s, const redisReply *keys)
{
    size_t n = fg_redis_reply_size(keys);

    for (size_t i = 0; i < n; i++) {
        struct fg_redis_text text = fg_redis_reply_text(fg_redis_reply_at(keys, i));
        const char *key = text.text;

        a->keys++;
        if (is_hash(a, key))
            redisAppendCommand(a->redis, "HGETALL %b", key, text.len);
        else if (!is_known(a, key))
            fg_problem(a->problems, FG_PROBLEM_REDIS_KEY, "%s: the sink writes no such key", key);
    }
    for (size_t i = 0; i < n; i++) {
        const char *key = fg_redis_reply_word(keys, i);
        redisReply *hash;

        if (!is_hash(a, key))
            continue;
        hash = fg_redis_audit_reply(a);
        if (!hash)
            return false;
        compare_hash(a, s, key, hash);
        freeReplyObject(hash);
    }
    return true;
}

static bool scan(struct fg_redis_audit *a, struct fg_story *s)
{
    char cursor[24] = "0", pattern[FG_REDIS_BASE_MAX + 2];

    snprintf(pattern, sizeof(pattern), "%s*", a->key_prefix);
    do {
        redisReply *r = fg_redis_audit_ask(a, "SCAN %s MATCH %s COUNT " PAGE, cursor, pattern);
        const redisReply *keys;
        struct fg_error why;
        char next[24];
        bool ok;

        if (!r)
            return false;
        ok = fg_redis_reply_scan(r, next, &keys, &why);
        if (ok && !strcmp(next, cursor) && strcmp(next, "0") != 0)
            ok = fg_redis_reply_wrong(r, "SCAN", "another cursor", &why);
        if (!ok)
            fg_redis_audit_strange(a, &why);
        ok = ok && compare_page(a, s, keys);
        freeReplyObject(r);
        if (!ok)
            return false;
        memcpy(cursor, next, sizeof(cursor));
    } while (strcmp(cursor, "0") != 0);
    return true;
}

/* The members of a set, all of them texts; NULL and error. */
static redisReply *ask_set(struct fg_redis_audit *a, const char *suffix)
{
    redisReply *r = fg_redis_audit_ask(a, "SMEMBERS %s%s", a->key_prefix, suffix);
    struct fg_error why;

    if (!r || fg_redis_reply_texts(r, suffix, SIZE_MAX, &why))
        return r;
    freeReplyObject(r);
    fg_redis_audit_strange(a, &why);
    return NULL;
}

/* The set of items holds each item of the log and nothing else. */
static bool compare_set(struct fg_redis_audit *a, struct fg_story *s)
{
    redisReply *r = ask_set(a, FG_REDIS_KEY_ITEMS);
    uint64_t right = 0;

    if (!r)
        return false;
    for (size_t i = 0; i < fg_redis_reply_size(r); i++) {
        if (parse_item(s, fg_redis_reply_word(r, i)))
            right++;
        else
            fg_problem(a->problems, FG_PROBLEM_REDIS_ITEM,
                       "%s" FG_REDIS_KEY_ITEMS ": '%.40s' is not in the log", a->key_prefix,
                       fg_redis_reply_word(r, i));
    }
    if (right != s->tables.item_count)
        fg_problem(a->problems, FG_PROBLEM_REDIS_ITEM,
                   "%s" FG_REDIS_KEY_ITEMS ": %" PRIu64 " of %u items", a->key_prefix, right,
                   s->tables.item_count);
    freeReplyObject(r);
    return true;
}

/* The set of denied users holds exactly the users who are denied now. */
static bool compare_denied(struct fg_redis_audit *a, struct fg_story *s)
{
    redisReply *r = ask_set(a, FG_REDIS_KEY_DENIED);

    if (!r)
        return false;
    for (size_t i = 0; i < fg_redis_reply_size(r); i++) {
        const char *text = fg_redis_reply_word(r, i), *end;
        uint64_t user;
        struct fg_denied *d =
            parse_number(text, '\0', &end, &user) ? fg_denied_find(&s->denied, user) : NULL;

        if (d && d->denied)
            d->in_redis = true;
        else
            fg_problem(a->problems, FG_PROBLEM_REDIS_USER,
                       "%s" FG_REDIS_KEY_DENIED ": '%.40s' is not denied in the log", a->key_prefix,
                       text);
    }
    freeReplyObject(r);
    for (uint64_t k = 0; k < s->denied.size; k++)
        if (s->denied.slots[k].denied && !s->denied.slots[k].in_redis)
            fg_problem(a->problems, FG_PROBLEM_REDIS_USER,
                       "%s" FG_REDIS_KEY_DENIED ": user %" PRIu64 " is missing", a->key_prefix,
                       s->denied.slots[k].user);
    return true;
}

static void report_missing(struct fg_redis_audit *a, const struct fg_story *s)
{
    char id[33];

    for (uint32_t k = 0; k < s->tables.item_count; k++) {
        if (!s->tables.items[k].in_redis)
            fg_problem(a->problems, FG_PROBLEM_REDIS_ITEM,
                       "%s" FG_REDIS_KEY_ITEM "%" PRIu64 " is missing", a->key_prefix,
                       s->tables.items[k].item);
    }
    for (uint32_t k = 0; k < s->tables.order_count; k++) {
        const struct fg_order *o = &s->tables.orders[k];

        if (o->in_redis)
            continue;
        fg_hex(id, o->id);
        fg_problem(a->problems, FG_PROBLEM_REDIS_ORDER,
                   "%s" FG_REDIS_KEY_ORDER "%" PRIu64 ":%s is missing, the log has it %s",
                   a->key_prefix, o->user, id, fg_state_name(o->state));
    }
}

bool fg_redis_audit_keys(struct fg_redis_audit *a, struct fg_story *s)
{
    if (!scan(a, s) || !compare_set(a, s) || !compare_denied(a, s))
        return false;
    report_missing(a, s);
    return true;
}
