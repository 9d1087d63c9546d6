/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/standby.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "journal/writer.h"

void fg_journal_set_commit(struct fg_journal *j, uint64_t commit_seq)
{
    atomic_store_explicit(&j->commit, commit_seq + 1, memory_order_relaxed);
}

void fg_journal_on_staged(struct fg_journal *j,
                          void (*staged)(void *ctx, const struct fg_journal_record *records,
                                         size_t n),
                          void *ctx)
{
    j->staged = staged;
    j->staged_ctx = ctx;
}

/* ---- appending ------------------------------------------------------------------------------- */

static bool misfit(const struct fg_journal *j, const struct fg_journal_record *r, const char *why,
                   struct fg_error *err)
{
    return fg_fail(err,
                   "%.200s: record %" PRIu64 " of the peer cannot follow record %" PRIu64 ": %s",
                   j->dir, r->seq, j->last_seq, why);
}

/* How many there are up to and with the first EPOCH record: what comes behind it may need a segment
 * whose header names that epoch. 0 and err: they do not fit. */
static size_t check(const struct fg_journal *j, const struct fg_journal_record *records, size_t n,
                    struct fg_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct fg_journal_record *r = &records[i];

        if (r->seq != j->last_seq + 1 + i)
            return misfit(j, r, "there is a gap", err);
        if (!fg_journal_record_valid(r, r->seq))
            return misfit(j, r, "its CRC is wrong", err);
        if (r->type != FG_JOURNAL_RECORD_EPOCH)
            continue;
        if (r->item <= j->epoch.epoch)
            return misfit(j, r, "its epoch is not later than that of the log", err);
        return i + 1;
    }
    return n;
}

bool fg_journal_append(struct fg_journal *j, const struct fg_journal_record *records, size_t n,
                       uint64_t now_ms, struct fg_error *err)
{
    for (size_t done = 0, count; done < n; done += count) {
        const struct fg_journal_record *last;

        count = check(j, records + done, n - done, err);
        if (count == 0)
            return false;
        if (!fg_journal_commit_foreign(j, records + done, count, now_ms))
            return fg_fail(err, "%s", j->error);
        last = &records[done + count - 1];
        if (last->type == FG_JOURNAL_RECORD_EPOCH)
            j->epoch = fg_journal_epoch_of(last);
    }
    return true;
}

bool fg_journal_record_same(const struct fg_journal_record *a, const struct fg_journal_record *b)
{
    if (a->type == FG_JOURNAL_RECORD_BATCH && b->type == FG_JOURNAL_RECORD_BATCH)
        return a->seq == b->seq && a->time_ms == b->time_ms;
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* ---- what was committed ---------------------------------------------------------------------- */

/* Segments from the last one back, until one has a batch record. */
bool fg_journal_committed(const struct fg_journal *j, uint64_t *commit_seq, struct fg_error *err)
{
    struct fg_journal_segment_tail tail = {0};
    uint64_t *seqs, appliance_id = j->appliance_id;
    size_t count;
    bool ok;

    ok = fg_journal_file_list(j->dir_fd, j->dir, FG_JOURNAL_SEGMENT_SUFFIX, &seqs, &count, err);
    for (size_t i = count; ok && i > 0 && !tail.batches; i--) {
        struct fg_journal_segment s;

        ok = fg_journal_segment_open(&s, j->dir_fd, j->dir, seqs[i - 1], O_RDONLY, &appliance_id,
                                     NULL, err);
        if (!ok)
            break;
        ok = fg_journal_segment_scan(&s, j->dir, s.first_seq, &tail, err);
        close(s.fd);
    }
    free(seqs);
    *commit_seq = j->last_seq;
    if (tail.batches && !tail.alone && tail.commit_seq < j->last_seq)
        *commit_seq = tail.commit_seq;
    return ok;
}
