/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commits that overlap. Each is one durable write to places that were written before, so it changes
 * nothing but data, and ends at a border of the disk's sectors, so that no two of them share one.
 * They may end in any order; they count in theirs.
 *
 * A commit that this does not fit goes the plain way, alone: the first one after the log was
 * opened, the first one of a segment, one that runs over its end or over its room that is prepared,
 * and any in time of trouble.
 */
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/writer.h"

static struct fg_journal_flight *oldest(struct fg_journal *j)
{
    return &j->flights[j->oldest];
}

/* The sequence behind all that is under way. */
static uint64_t next_seq(const struct fg_journal *j)
{
    uint64_t seq = j->last_seq + 1;

    for (unsigned i = 0; i < j->flying; i++)
        seq += j->flights[(j->oldest + i) % FG_JOURNAL_FLIGHTS].records;
    return seq;
}

static void close_direct(struct fg_journal *j)
{
    if (j->direct_fd >= 0)
        close(j->direct_fd);
    j->direct_fd = -1;
    j->direct_seq = 0;
}

/* Once for each segment; without it the segment is written the plain way. */
static bool direct(struct fg_journal *j)
{
    char name[FG_JOURNAL_SEGMENT_NAME_SIZE];
    struct stat there, ours;

    if (j->direct_seq == j->base.first_seq)
        return j->direct_fd >= 0;
    close_direct(j);
    j->direct_seq = j->base.first_seq;
    j->direct_end = j->ops.prepared(j->ops.ctx, j->base.fd);
    fg_journal_segment_name(name, j->base.first_seq);
    j->direct_fd = j->ops.open_direct(j->ops.ctx, j->dir_fd, name);
    if (j->direct_fd < 0)
        return false;
    if (fstat(j->direct_fd, &there) == 0 && fstat(j->base.fd, &ours) == 0 &&
        there.st_ino == ours.st_ino && there.st_dev == ours.st_dev)
        return true;
    close(j->direct_fd);
    j->direct_fd = -1;
    return false;
}

static bool trouble(const struct fg_journal *j)
{
    for (unsigned i = 0; i < j->flying; i++)
        if (j->flights[(j->oldest + i) % FG_JOURNAL_FLIGHTS].error)
            return true;
    return j->state != FG_JOURNAL_OK || j->unfinished;
}

static bool fits(struct fg_journal *j, uint64_t first_seq, size_t total)
{
    const struct fg_journal_segment *s = &j->base;

    return j->way != FG_JOURNAL_WAY_PLAIN && !trouble(j) &&
           first_seq + total <= fg_journal_segment_end(s) &&
           fg_journal_segment_offset(s, first_seq) % j->align == 0 &&
           fg_journal_segment_offset(s, first_seq + total) % j->align == 0 && direct(j) &&
           fg_journal_segment_offset(s, first_seq + total) <= j->direct_end;
}

static void submit(struct fg_journal *j, unsigned slot)
{
    struct fg_journal_flight *f = &j->flights[slot];
    const uint8_t *data = (const uint8_t *)j->stage[slot] + f->done;

    if (j->ops.submit(j->ops.queue, slot, j->direct_fd, data, f->bytes - f->done,
                      f->offset + f->done) == 0)
        return;
    f->error = errno;
    f->over = true;
}

static void take_off(struct fg_journal *j, unsigned slot, uint64_t first_seq, size_t n,
                     size_t total, uint64_t now_ms)
{
    struct fg_journal_flight *f = &j->flights[slot];

    fg_journal_stage(j, j->stage[slot] + 1, n, 0, total, first_seq, now_ms);
    if (j->staged)
        j->staged(j->staged_ctx, j->stage[slot], total);
    *f = (struct fg_journal_flight){.records = total,
                                    .bytes = total * sizeof(*j->stage[slot]),
                                    .offset = fg_journal_segment_offset(&j->base, first_seq)};
    j->dirty_end = f->offset + f->bytes;
    submit(j, slot);
}

bool fg_journal_begin(struct fg_journal *j, unsigned buffer, size_t n, uint64_t now_ms)
{
    uint64_t first_seq = next_seq(j);
    size_t total = n + 1 + fg_journal_padding(j, first_seq, n + 1);

    FG_ASSERT(n > 0 && buffer < FG_JOURNAL_BUFFERS);
    FG_ASSERT(!j->flying || buffer == (j->oldest + j->flying) % FG_JOURNAL_FLIGHTS ||
              j->flying == FG_JOURNAL_FLIGHTS);
    if (j->flying >= fg_journal_depth(j))
        return false;
    if (fits(j, first_seq, total)) {
        take_off(j, buffer, first_seq, n, total, now_ms);
    } else {
        if (j->flying || !fg_journal_commit(j, j->stage[buffer] + 1, n, now_ms))
            return false;
        j->flights[buffer] = (struct fg_journal_flight){.over = true};
    }
    if (!j->flying++)
        j->oldest = buffer;
    return true;
}

static void landed(struct fg_journal *j, unsigned slot, ssize_t result)
{
    struct fg_journal_flight *f = &j->flights[slot];
    size_t rest = f->bytes - f->done;

    FG_ASSERT(!f->over);
    if (result < 0)
        f->error = (int)-result;
    else if ((size_t)result < rest && (result == 0 || (size_t)result % j->align))
        f->error = EIO;
    f->over = f->error || (size_t)result >= rest;
    if (f->over)
        return;
    f->done += (size_t)result;
    submit(j, slot);
}

/* False: that one is not over yet. */
static bool await(struct fg_journal *j, unsigned slot, unsigned us)
{
    struct fg_journal_flight *f = &j->flights[slot];

    while (!f->over) {
        unsigned ended;
        ssize_t result;
        int n = j->ops.reap(j->ops.queue, us, &ended, &result);

        if (n == 0 && us != UINT_MAX)
            return false;
        if (n > 0)
            landed(j, ended, result);
        if (n < 0) { /* its end will never be known */
            f->error = errno;
            f->over = true;
        }
    }
    return true;
}

/* Before the disk is touched again, or left alone for good, nothing may be under way. */
static int give_up(struct fg_journal *j)
{
    for (unsigned i = 0; i < j->flying; i++)
        await(j, (j->oldest + i) % FG_JOURNAL_FLIGHTS, UINT_MAX);
    j->flying = 0;
    j->unfinished = true;
    if (j->state == FG_JOURNAL_FULL)
        fg_journal_take_back(j); /* if that fails too, the next commit tries again first */
    return -1;
}

int fg_journal_end(struct fg_journal *j, unsigned us)
{
    struct fg_journal_flight *f = oldest(j);

    if (!j->flying || !await(j, j->oldest, us))
        return 0;
    if (f->error) {
        errno = f->error;
        fg_journal_segment_refused(j, "write", j->base.first_seq);
        return give_up(j);
    }
    if (f->records && !fg_journal_placed(j)) {
        fg_journal_is_gone(j);
        return give_up(j);
    }
    j->last_seq += f->records;
    if (f->records)
        j->durable_seq = j->last_seq;
    j->oldest = (j->oldest + 1) % FG_JOURNAL_FLIGHTS;
    if (!--j->flying)
        j->dirty_end = 0;
    return 1;
}

void fg_journal_close(struct fg_journal *j)
{
    if (!j)
        return;
    while (j->flying && fg_journal_end(j, UINT_MAX) > 0)
        ;
    close_direct(j);
    fg_journal_queue_close(&j->ops);
    fg_journal_release(j);
}
