/* SPDX-License-Identifier: BSD-3-Clause */
/* The event stream: both it and the log are in order of sequence, so they are gone through side by
 * side. */
#include "redis.h"

#include <inttypes.h>
#include <string.h>

#include "progress.h"
#include "redis/keys.h"

#define PAGE 1000

struct walk {
    struct fg_redis_audit *a;
    struct fg_log log;
    const struct fg_journal_record *r; /* next record that must have an event; NULL = none */
    bool head_cut; /* the stream may have lost its oldest entries by its limit */
};

static void next_record(struct walk *w)
{
    do
        w->r = fg_log_next(&w->log);
    while (w->r &&
           (w->r->type == FG_JOURNAL_RECORD_BATCH || w->r->type == FG_JOURNAL_RECORD_EPOCH));
}

static void expect_order(struct fg_expected *e, const struct fg_journal_record *r)
{
    char id[33];

    fg_hex(id, r->order_id);
    fg_expect_u64(e, "user", r->user);
    fg_expect_text(e, "order", id);
    fg_expect_u64(e, "item", r->item);
    fg_expect_u64(e, "quantity", r->quantity);
    if (r->type == FG_JOURNAL_RECORD_LEFT)
        fg_expect_text(e, "why", fg_log_left(r->arg) ? fg_log_left(r->arg) : "?");
    else
        fg_expect_u64(e,
                      r->type == FG_JOURNAL_RECORD_REFUNDED  ? "restocked"
                      : r->type == FG_JOURNAL_RECORD_WAITING ? "ticket"
                                                             : "deadline_ms",
                      r->arg);
}

static void expect_item(struct fg_expected *e, const struct fg_journal_record *r)
{
    fg_expect_u64(e, "item", r->item);
    if (r->type == FG_JOURNAL_RECORD_STOCK) {
        fg_expect_i64(e, "units", (int64_t)r->arg);
    } else if (r->type == FG_JOURNAL_RECORD_LEASE || r->type == FG_JOURNAL_RECORD_RETURN) {
        fg_expect_u64(e, "units", r->fleet_units);
        fg_expect_u64(e, "sum", r->fleet_sum);
        fg_expect_u64(e, "times", r->fleet_times);
    } else if (r->type == FG_JOURNAL_RECORD_ITEM_NAME) {
        fg_expect(e, "name", r->name, strnlen((const char *)r->name, sizeof(r->name)));
    } else if (r->type == FG_JOURNAL_RECORD_ITEM_SET) {
#define X(name) fg_expect_u64(e, #name, r->name);
        FG_REDIS_SETTINGS_LIST(X)
#undef X
        fg_expect_u64(e, FG_REDIS_ITEM_FIELD_PAUSED, r->flags & FG_JOURNAL_ITEM_PAUSED ? 1 : 0);
    } else if (r->type == FG_JOURNAL_RECORD_LINE_SET) {
#define X(name) fg_expect_u64(e, #name, r->name);
        FG_REDIS_LINE_LIST(X)
#undef X
        fg_expect_u64(e, FG_REDIS_ITEM_FIELD_ONE_UNIT, r->line_flags & FG_JOURNAL_LINE_ONE_UNIT);
        if (r->line_flags & FG_JOURNAL_LINE_LOTTERY)
            fg_expect_u64(e, "lottery", 1);
    } else if (r->type == FG_JOURNAL_RECORD_LOTTERY) {
        char commitment[2 * sizeof(r->name) + 1];

        fg_hex(commitment, r->name);
        fg_hex(commitment + sizeof(r->name), r->name + sizeof(r->name) / 2);
        fg_expect_text(e, "commitment", commitment);
    } else if (r->type == FG_JOURNAL_RECORD_DRAWN) {
        char seed[33];

        fg_hex(seed, r->order_id);
        fg_expect_text(e, "seed", seed);
        fg_expect_u64(e, "orders", r->user);
        fg_expect_u64(e, "behind", r->arg);
    }
}

static bool is_order(unsigned type)
{
    return type != FG_JOURNAL_RECORD_USER && type != FG_JOURNAL_RECORD_STOCK &&
           type != FG_JOURNAL_RECORD_ITEM_SET && type != FG_JOURNAL_RECORD_ITEM_NAME &&
           type != FG_JOURNAL_RECORD_LINE_SET && type != FG_JOURNAL_RECORD_LOTTERY &&
           type != FG_JOURNAL_RECORD_DRAWN && type != FG_JOURNAL_RECORD_LEASE &&
           type != FG_JOURNAL_RECORD_RETURN;
}

static void compare_entry(struct walk *w, const redisReply *fields)
{
    const struct fg_journal_record *r = w->r;
    struct fg_expected e = {0};
    char what[64];

    fg_expect_u64(&e, "seq", r->seq);
    fg_expect_text(&e, "type", fg_log_type(r->type));
    fg_expect_u64(&e, "time_ms", r->time_ms);
    if (is_order(r->type)) {
        expect_order(&e, r);
    } else if (r->type == FG_JOURNAL_RECORD_USER) {
        fg_expect_u64(&e, "user", r->user);
        fg_expect_u64(&e, "denied", r->arg);
    } else {
        expect_item(&e, r);
    }
    snprintf(what, sizeof(what), "event %" PRIu64 "-0", r->seq);
    fg_expect_compare(w->a, &e, fields, FG_PROBLEM_REDIS_EVENT, FG_PROBLEM_REDIS_EVENT, what);
}

static void missing(struct walk *w)
{
    if (!w->head_cut)
        fg_problem(w->a->problems, FG_PROBLEM_REDIS_EVENT, "event %" PRIu64 "-0 (%s) is missing",
                   w->r->seq, fg_log_type(w->r->type));
    next_record(w);
}

/* Stands for all records up to its own, which have no events. */
static bool is_resync(const redisReply *fields)
{
    struct fg_redis_text type = fg_redis_reply_text(fg_redis_reply_value(fields, "type"));

    return type.text && !strcmp(type.text, FG_REDIS_EVENT_RESYNC);
}

/* "SEQ-0", with its fields. */
static void take_entry(struct walk *w, const char *id, const redisReply *fields)
{
    uint64_t seq, number;

    w->a->events++;
    fg_progress("redis events", w->a->events);
    if (!fg_redis_id_parse(id, &seq, &number) || number) {
        fg_problem(w->a->problems, FG_PROBLEM_REDIS_EVENT, "event %s: not of the form SEQUENCE-0",
                   id);
        return;
    }
    if (seq < w->log.first_seq)
        return; /* of a record that the log does not hold any more */
    if (is_resync(fields)) {
        while (w->r && w->r->seq <= seq)
            next_record(w);
        return;
    }
    while (w->r && w->r->seq < seq)
        missing(w);
    w->head_cut = false;
    if (!w->r || w->r->seq != seq) {
        fg_problem(w->a->problems, FG_PROBLEM_REDIS_EVENT, "event %s: the log has no such record",
                   id);
        return;
    }
    compare_entry(w, fields);
    next_record(w);
}

/* One page. Ids must grow from entry to entry, or the stream would have no end. */
static bool take_page(struct walk *w, const redisReply *page, uint64_t last[2])
{
    struct fg_error why;
    bool ok = fg_redis_reply_array(page, "a page of the stream", 0, PAGE, &why);

    for (size_t i = 0; ok && i < fg_redis_reply_size(page); i++) {
        const redisReply *fields;
        char id[FG_REDIS_ID_MAX];
        uint64_t at[2];

        ok = fg_redis_reply_entry(fg_redis_reply_at(page, i), id, &fields, &why);
        if (!ok)
            break;
        fg_redis_id_parse(id, &at[0], &at[1]);
        if (at[0] < last[0] || (at[0] == last[0] && at[1] <= last[1]))
            ok = fg_fail(&why, "not an answer to what was asked: entry %s behind %llu-%llu", id,
                         (unsigned long long)last[0], (unsigned long long)last[1]);
        else
            take_entry(w, id, fields);
        memcpy(last, at, sizeof(at));
    }
    return ok || fg_redis_audit_strange(w->a, &why);
}

static bool walk_stream(struct walk *w)
{
    struct fg_redis_audit *a = w->a;
    uint64_t last[2] = {0, 0};
    char from[64] = "-";
    size_t n;
    bool ok;

    do {
        redisReply *r = fg_redis_audit_ask(a, "XRANGE %s" FG_REDIS_KEY_EVENTS " %s + COUNT %d",
                                           a->key_prefix, from, PAGE);

        if (!r)
            return false;
        n = fg_redis_reply_size(r);
        ok = take_page(w, r, last);
        snprintf(from, sizeof(from), "(%" PRIu64 "-%" PRIu64, last[0], last[1]);
        freeReplyObject(r);
    } while (ok && n == PAGE);
    if (!ok)
        return false;
    while (w->r)
        missing(w);
    return true;
}

static bool length(struct fg_redis_audit *a, uint64_t *entries)
{
    redisReply *r = fg_redis_audit_ask(a, "XLEN %s" FG_REDIS_KEY_EVENTS, a->key_prefix);

    struct fg_error why;
    bool ok;

    if (!r)
        return false;
    ok = fg_redis_reply_count(r, "XLEN", entries, &why) || fg_redis_audit_strange(a, &why);
    freeReplyObject(r);
    return ok;
}

bool fg_redis_audit_events(struct fg_redis_audit *a, const struct fg_story *story,
                           const char *log_dir)
{
    struct fg_problems silent = {.silent = true};
    struct walk w = {.a = a};
    uint64_t entries;
    bool ok;

    if (!length(a, &entries))
        return false;
    w.head_cut = a->stream_max && entries >= a->stream_max;
    ok = fg_log_open(&w.log, log_dir, &silent, &a->error);
    w.log.limit_seq = story->seq;
    if (ok) {
        next_record(&w);
        ok = walk_stream(&w);
    }
    fg_log_close(&w.log);
    return ok;
}
