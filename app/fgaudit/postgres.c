/* SPDX-License-Identifier: BSD-3-Clause */
#include "postgres.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"

#define FORMAT  "3" /* of the tables that this auditor knows */
#define POLL_MS 20

/* ---- cursor ---------------------------------------------------------------------------------- */

/* *usable: the cursor is one of this log; otherwise it is a problem that was told. */
static bool read_cursor(struct fg_postgres_audit *a, uint64_t appliance, bool *usable)
{
    PGresult *r = fg_postgres_audit_ask(
        a, "SELECT seq, filled_seq, format, coalesce(appliance, ''), crc FROM floodgate_cursor",
        PGRES_TUPLES_OK);
    struct fg_error why;
    char wanted[24];

    if (!r)
        return false;
    *usable = fg_postgres_rows(r, "the cursor", 5, 1, 1, &why) &&
              !strcmp(fg_postgres_rows_text(r, 0, 2), FORMAT);
    if (!*usable) {
        fg_problem(a->problems, FG_PROBLEM_POSTGRES_CURSOR,
                   "%s.floodgate_cursor has no row, or is not of format " FORMAT, a->schema);
        PQclear(r);
        return true;
    }
    if (!fg_postgres_rows_number(r, "the cursor", 0, 0, &a->cursor, &why) ||
        !fg_postgres_rows_number(r, "the record that the tables were filled from", 0, 1, &a->filled,
                                 &why) ||
        !fg_postgres_rows_number(r, "the cursor's CRC", 0, 4, &a->crc, &why)) {
        PQclear(r);
        return fg_postgres_audit_unreadable(a, why.text);
    }
    snprintf(wanted, sizeof(wanted), "%016" PRIx64, appliance);
    if (a->cursor && strcmp(fg_postgres_rows_text(r, 0, 3), wanted) != 0) {
        fg_problem(a->problems, FG_PROBLEM_POSTGRES_CURSOR,
                   "the cursor is of appliance '%.20s', the log of %s",
                   fg_postgres_rows_text(r, 0, 3), wanted);
        *usable = false;
    }
    PQclear(r);
    return true;
}

/* Waits until the database has what the log had when it was read. */
static bool wait_cursor(struct fg_postgres_audit *a, const struct fg_story *story,
                        uint64_t appliance, bool *usable)
{
    uint64_t end = fg_now_ms() + a->wait_ms;

    for (;;) {
        fg_problems_forget(a->problems, FG_PROBLEM_POSTGRES_CURSOR);
        if (!read_cursor(a, appliance, usable))
            return false;
        if (!*usable || a->cursor >= story->seq || fg_now_ms() >= end)
            return true;
        usleep(POLL_MS * 1000);
    }
}

/* Brings the story to exactly the cursor, which may be ahead of it while the daemon runs. */
static bool meet(struct fg_postgres_audit *a, struct fg_story *story, struct fg_log *log)
{
    uint32_t crc;
    bool other;

    log->limit_seq = a->cursor;
    if (a->cursor > story->seq)
        fg_story_read(story, log);
    if (a->cursor > story->seq) {
        fg_problem(a->problems, FG_PROBLEM_POSTGRES_CURSOR,
                   "the cursor is at %" PRIu64 ", ahead of the log, which ends at %" PRIu64,
                   a->cursor, story->seq);
        return false;
    }
    other = fg_log_crc_of(log->dir, a->cursor, &crc) && crc != a->crc;
    if (other)
        fg_problem(a->problems, FG_PROBLEM_POSTGRES_CURSOR,
                   "the cursor is at record %" PRIu64 " with CRC %08" PRIx64
                   ", which has %08" PRIx32 " in the log: one of them is of another sale",
                   a->cursor, a->crc, crc);
    a->behind = story->seq - a->cursor;
    if (a->behind)
        fg_problem(a->problems, FG_PROBLEM_POSTGRES_CURSOR,
                   "the cursor is at %" PRIu64 ", %" PRIu64
                   " records behind the log, which ends at %" PRIu64 "; nothing else was compared",
                   a->cursor, a->behind, story->seq);
    return !a->behind && !other;
}

bool fg_postgres_audit_compare(struct fg_postgres_audit *a, struct fg_story *story,
                               struct fg_log *log)
{
    uint64_t limit = log->limit_seq;
    bool usable, ok;

    if (!wait_cursor(a, story, log->appliance, &usable))
        return false;
    if (!usable)
        return true;
    if (!fg_postgres_audit_run(a, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                               PGRES_COMMAND_OK))
        return false;
    ok = read_cursor(a, log->appliance, &usable);
    if (ok && usable && meet(a, story, log))
        ok = fg_postgres_audit_tables(a, story);
    log->limit_seq = limit;
    return ok && fg_postgres_audit_run(a, "COMMIT", PGRES_COMMAND_OK);
}
