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

/* Whether a record may stand behind those of epoch `now`. */
static bool epoch_fits(const struct fg_journal *j, const struct fg_journal_record *r,
                       struct fg_journal_epoch now, struct fg_error *err)
{
    if (r->type == FG_JOURNAL_RECORD_BATCH && r->user && r->user < now.epoch)
        return misfit(j, r, "it names an epoch before that of the log", err);
    if (r->type == FG_JOURNAL_RECORD_EPOCH && r->item <= now.epoch &&
        !(r->item == now.epoch && r->seq == now.first_seq + 1))
        return misfit(j, r, "its epoch is not later than that of the log", err);
    return true;
}

/* How many there are that stand in one epoch: what comes behind them may need a segment whose
 * header names that epoch. *epoch: of them. 0 and err: they do not fit. */
static size_t check(const struct fg_journal *j, const struct fg_journal_record *records, size_t n,
                    struct fg_journal_epoch *epoch, struct fg_error *err)
{
    struct fg_journal_epoch next = j->epoch;

    for (size_t i = 0; i < n; i++) {
        const struct fg_journal_record *r = &records[i];

        if (r->seq != j->last_seq + 1 + i)
            return misfit(j, r, "there is a gap", err);
        if (!fg_journal_record_valid(r, r->seq))
            return misfit(j, r, "its CRC is wrong", err);
        if (!epoch_fits(j, r, next, err))
            return 0;
        if (i == 0)
            *epoch = fg_journal_epoch_of(r, next);
        if (r->type == FG_JOURNAL_RECORD_EPOCH && r->item > next.epoch) { /* an older version's */
            *epoch = next;
            return i + 1;
        }
        next = fg_journal_epoch_of(r, next);
        if (next.epoch != epoch->epoch)
            return i;
    }
    return n;
}

bool fg_journal_append(struct fg_journal *j, const struct fg_journal_record *records, size_t n,
                       uint64_t now_ms, struct fg_error *err)
{
    for (size_t done = 0, count; done < n; done += count) {
        const struct fg_journal_standing was = {j->epoch, j->before};
        struct fg_journal_epoch epoch, last;

        count = check(j, records + done, n - done, &epoch, err);
        if (count == 0)
            return false;
        if (epoch.epoch != j->epoch.epoch)
            fg_journal_enter(j, epoch);
        if (!fg_journal_commit_foreign(j, records + done, count, now_ms)) {
            fg_journal_leave(j, &was);
            return fg_fail(err, "%s", j->error);
        }
        last = fg_journal_epoch_of(&records[done + count - 1], j->epoch);
        if (last.epoch != j->epoch.epoch) /* of an older version: its BATCH record did not say so */
            fg_journal_enter(j, last);
    }
    return true;
}

bool fg_journal_record_same(const struct fg_journal_record *a, const struct fg_journal_record *b)
{
    if (a->type == FG_JOURNAL_RECORD_BATCH && b->type == FG_JOURNAL_RECORD_BATCH)
        return a->seq == b->seq && a->time_ms == b->time_ms && a->user == b->user;
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
