/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/epochs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "journal/segment.h"

struct fg_journal_epoch fg_journal_epochs_last(const struct fg_journal_epochs *e)
{
    return e->count ? e->list[e->count - 1] : (struct fg_journal_epoch){0};
}

bool fg_journal_epochs_add(struct fg_journal_epochs *e, struct fg_journal_epoch epoch)
{
    struct fg_journal_epoch last = fg_journal_epochs_last(e);

    if (epoch.epoch == last.epoch && epoch.first_seq == last.first_seq)
        return true;
    if (epoch.epoch <= last.epoch || epoch.first_seq <= last.first_seq)
        return false;
    if (e->count == FG_JOURNAL_EPOCHS_MAX) {
        memmove(e->list, e->list + 1, --e->count * sizeof(*e->list));
        e->forgot = true;
    }
    e->list[e->count++] = epoch;
    return true;
}

/* ---- the log in a folder --------------------------------------------------------------------- */

struct reading {
    struct fg_journal_epochs *epochs;
    const char *dir;
    int dir_fd;
    uint64_t *seqs;
    size_t count;
    struct fg_error *err;
};

/* One that the list has already, or has passed, says nothing new. */
static bool take(struct reading *r, struct fg_journal_epoch epoch)
{
    const struct fg_journal_epochs *e = r->epochs;

    if (epoch.epoch == 0)
        return true;
    for (uint32_t i = e->count; i > 0 && e->list[i - 1].epoch >= epoch.epoch; i--)
        if (e->list[i - 1].epoch == epoch.epoch && e->list[i - 1].first_seq == epoch.first_seq)
            return true;
    if (e->count && epoch.epoch < e->list[0].epoch && epoch.first_seq < e->list[0].first_seq)
        return true; /* forgotten */
    return fg_journal_epochs_add(r->epochs, epoch) ||
           fg_fail(r->err,
                   "%s: epoch %" PRIu64 " begins with record %" PRIu64 ", but epoch %" PRIu64
                   " with record %" PRIu64,
                   r->dir, epoch.epoch, epoch.first_seq, fg_journal_epochs_last(e).epoch,
                   fg_journal_epochs_last(e).first_seq);
}

static bool take_records(struct reading *r, const struct fg_journal_segment *s)
{
    struct fg_journal_record *block = malloc(FG_JOURNAL_SCAN_RECORDS * sizeof(*block));
    uint64_t seq = s->first_seq, end = fg_journal_segment_end(s);
    struct fg_journal_epoch now = s->epoch;
    bool ok = block || fg_fail(r->err, "%s: out of memory", r->dir);

    while (ok && seq < end) {
        size_t n =
            end - seq < FG_JOURNAL_SCAN_RECORDS ? (size_t)(end - seq) : FG_JOURNAL_SCAN_RECORDS;
        size_t i = 0;

        if (!fg_journal_file_read(s->fd, block, n * sizeof(*block),
                                  fg_journal_segment_offset(s, seq))) {
            ok = fg_fail(r->err, "%s/%020" PRIu64 ".fgj: cannot read: %s", r->dir, s->first_seq,
                         strerror(errno));
            break;
        }
        for (; ok && i < n && fg_journal_record_valid(&block[i], seq + i); i++) {
            struct fg_journal_epoch next = fg_journal_epoch_of(&block[i], now);

            if (next.epoch != now.epoch || next.first_seq != now.first_seq)
                ok = take(r, next);
            now = next;
        }
        if (i < n)
            break;
        seq += n;
    }
    free(block);
    return ok;
}

/* The segment's header tells what was before it; its records need be read only when the next header
 * tells something else. */
static bool take_segments(struct reading *r)
{
    struct fg_journal_segment before = {.fd = -1}, s;
    uint64_t appliance = 0;
    bool ok = true;

    for (size_t i = 0; ok && i < r->count; i++) {
        bool missing;

        ok = fg_journal_segment_open(&s, r->dir_fd, r->dir, r->seqs[i], O_RDONLY, &appliance,
                                     &missing, r->err);
        if (!ok && missing && before.fd < 0) { /* retired just now */
            ok = true;
            continue;
        }
        if (!ok)
            break;
        if (before.fd >= 0 && before.epoch.epoch != s.epoch.epoch)
            ok = take_records(r, &before);
        ok = ok && take(r, s.epoch);
        if (before.fd >= 0)
            close(before.fd);
        before = s;
    }
    ok = ok && (before.fd < 0 || take_records(r, &before));
    if (before.fd >= 0)
        close(before.fd);
    return ok;
}

bool fg_journal_epochs_read(struct fg_journal_epochs *epochs, const char *dir, struct fg_error *err)
{
    struct reading r = {.epochs = epochs, .dir = dir, .err = err};
    bool ok;

    r.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r.dir_fd < 0)
        return fg_fail(err, "%s: cannot open: %s", dir, strerror(errno));
    ok = fg_journal_file_list(r.dir_fd, dir, FG_JOURNAL_SEGMENT_SUFFIX, &r.seqs, &r.count, err) &&
         take_segments(&r);
    free(r.seqs);
    close(r.dir_fd);
    return ok;
}

/* ---- two logs -------------------------------------------------------------------------------- */

/* Its epochs, with epoch 0 from record 1 on when none is forgotten; from the newest backwards. */
static bool nth(const struct fg_journal_epochs *e, uint64_t last_seq, uint32_t from_end,
                struct fg_journal_epoch *epoch, uint64_t *end_seq)
{
    if (from_end > e->count || (from_end == e->count && e->forgot))
        return false;
    *epoch = from_end == e->count ? (struct fg_journal_epoch){.epoch = 0, .first_seq = 1}
                                  : e->list[e->count - 1 - from_end];
    *end_seq = from_end == 0 ? last_seq : e->list[e->count - from_end].first_seq - 1;
    return true;
}

uint64_t fg_journal_epochs_common(const struct fg_journal_epochs *a, uint64_t a_last,
                                  const struct fg_journal_epochs *b, uint64_t b_last)
{
    struct fg_journal_epoch x, y;
    uint64_t x_end, y_end;

    for (uint32_t i = 0, k = 0; nth(a, a_last, i, &x, &x_end) && nth(b, b_last, k, &y, &y_end);) {
        if (x.epoch == y.epoch && x.first_seq == y.first_seq)
            return x_end < y_end ? x_end : y_end;
        if (x.epoch >= y.epoch)
            i++;
        else
            k++;
    }
    return 0;
}
