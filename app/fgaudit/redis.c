/* SPDX-License-Identifier: BSD-3-Clause */
#include "redis.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "redis/keys.h"
#include "snapshot.h"

#define TRIES   5 /* readings until Redis stood still during one */
#define POLL_MS 20

/* ---- cursor ---------------------------------------------------------------------------------- */

/* False: unreadable. A cursor that is not there or makes no sense is a problem, and has_cursor is
 * false. */
static bool read_cursor(struct fg_redis_audit *a)
{
    redisReply *r = fg_redis_audit_ask(a,
                                       "HMGET %s" FG_REDIS_KEY_CURSOR " " FG_REDIS_CURSOR_SEQ
                                       " " FG_REDIS_CURSOR_APPLIANCE " " FG_REDIS_CURSOR_FORMAT
                                       " " FG_REDIS_CURSOR_BROKEN " " FG_REDIS_CURSOR_FILLED
                                       " " FG_REDIS_CURSOR_CRC,
                                       a->key_prefix);

    struct fg_error why;
    bool ok;

    if (!r)
        return false;
    a->broken[0] = '\0';
    ok = fg_redis_reply_texts_or_nil(r, "the cursor", 6, &why) || fg_redis_audit_strange(a, &why);
    a->has_cursor = fg_redis_reply_number(r, 0, 10, &a->cursor) &&
                    fg_redis_reply_number(r, 1, 16, &a->appliance) &&
                    !strcmp(fg_redis_reply_word(r, 2), FG_REDIS_FORMAT);
    a->filled = 0;
    fg_redis_reply_number(r, 4, 10, &a->filled);
    a->crc = 0;
    fg_redis_reply_number(r, 5, 16, &a->crc);
    if (!fg_redis_reply_is_nil(fg_redis_reply_at(r, 3))) {
        snprintf(a->broken, sizeof(a->broken), "%.150s", fg_redis_reply_word(r, 3));
        a->has_cursor = false;
    }
    freeReplyObject(r);
    return ok;
}

/* Waits until Redis has what the log had when it was read. */
static bool wait_cursor(struct fg_redis_audit *a, uint64_t seq)
{
    uint64_t end = fg_now_ms() + a->wait_ms;

    for (;;) {
        if (!read_cursor(a))
            return false;
        if (!a->has_cursor || a->cursor >= seq || fg_now_ms() >= end)
            return true;
        usleep(POLL_MS * 1000);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool compare_with(struct fg_redis_audit *a, struct fg_story *story, const char *log_dir)
{
    a->items = a->orders = a->events = a->keys = 0;
    return fg_redis_audit_keys(a, story) && fg_redis_audit_events(a, story, log_dir);
}

/* Redis lags: it must equal the beginning of the log up to its cursor. That part of the log is gone
 * through again, silently: its own problems are known already. */
static bool compare_behind(struct fg_redis_audit *a, const struct fg_story *story,
                           const char *log_dir)
{
    struct fg_problems silent = {.silent = true};
    struct fg_story before;
    struct fg_log log;
    bool ok;

    a->behind = story->seq - a->cursor;
    fg_problem(a->problems, FG_PROBLEM_REDIS_CURSOR,
               "the cursor is at %" PRIu64 ", %" PRIu64
               " records behind the log, which ends at %" PRIu64
               " (Redis was compared with the log up to the cursor)",
               a->cursor, a->behind, story->seq);
    if (a->cursor < story->begin_seq)
        return true; /* from before the log begins: nothing to compare with */
    fg_story_init(&before, &silent, story->settle_ms);
    ok = fg_log_open(&log, log_dir, &silent, &a->error);
    log.limit_seq = a->cursor;
    ok = ok && fg_snapshots_begin(&before, &log, &a->error);
    if (ok)
        fg_story_read(&before, &log);
    before.problems = a->problems;
    ok = ok && compare_with(a, &before, log_dir);
    fg_log_close(&log);
    fg_story_free(&before);
    return ok;
}

static bool usable_cursor(struct fg_redis_audit *a, const struct fg_story *story,
                          const struct fg_log *log)
{
    uint32_t crc;

    if (a->broken[0]) {
        fg_problem(a->problems, FG_PROBLEM_REDIS_CURSOR,
                   "the sink met an error inside a transaction, %s", a->broken);
        return false;
    }
    if (!a->has_cursor) {
        fg_problem(a->problems, FG_PROBLEM_REDIS_CURSOR,
                   "%s" FG_REDIS_KEY_CURSOR
                   " is missing or not a cursor of format " FG_REDIS_FORMAT,
                   a->key_prefix);
        return false;
    }
    if (a->appliance != log->appliance) {
        fg_problem(a->problems, FG_PROBLEM_REDIS_CURSOR,
                   "the cursor is of appliance %016" PRIx64 ", the log of %016" PRIx64,
                   a->appliance, log->appliance);
        return false;
    }
    if (a->cursor > story->seq) {
        fg_problem(a->problems, FG_PROBLEM_REDIS_CURSOR,
                   "the cursor is at %" PRIu64 ", ahead of the log, which ends at %" PRIu64,
                   a->cursor, story->seq);
        return false;
    }
    if (fg_log_crc_of(log->dir, a->cursor, &crc) && crc != a->crc) {
        fg_problem(a->problems, FG_PROBLEM_REDIS_CURSOR,
                   "the cursor is at record %" PRIu64 " with CRC %08" PRIx64
                   ", which has %08" PRIx32 " in the log: one of them is of another sale",
                   a->cursor, a->crc, crc);
        return false;
    }
    return true;
}

static void forget_seen(struct fg_story *story)
{
    for (uint32_t k = 0; k < story->tables.order_count; k++)
        story->tables.orders[k].in_redis = 0;
    for (uint32_t k = 0; k < story->tables.item_count; k++)
        story->tables.items[k].in_redis = false;
    for (uint64_t k = 0; k < story->denied.size; k++)
        story->denied.slots[k].in_redis = false;
}

bool fg_redis_audit_compare(struct fg_redis_audit *a, struct fg_story *story, struct fg_log *log)
{
    for (unsigned tries = 0; tries < TRIES; tries++) {
        uint64_t cursor;
        bool ok;

        fg_problems_forget(a->problems, FG_PROBLEM_REDIS_CURSOR);
        fg_story_read(story, log);
        if (!wait_cursor(a, story->seq))
            return false;
        if (a->has_cursor && a->cursor > story->seq) /* did the log grow meanwhile? */
            fg_story_read(story, log);
        if (!usable_cursor(a, story, log))
            return true;
        forget_seen(story);
        cursor = a->cursor;
        ok = cursor < story->seq ? compare_behind(a, story, log->dir)
                                 : compare_with(a, story, log->dir);
        if (!ok || !read_cursor(a))
            return false;
        if (a->has_cursor && a->cursor == cursor)
            return true;
    }
    fg_problems_forget(a->problems, FG_PROBLEM_REDIS_CURSOR);
    fg_problem(a->problems, FG_PROBLEM_REDIS_MOVING, "the cursor moved during each of %d readings",
               TRIES);
    return true;
}
