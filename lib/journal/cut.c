/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each step leaves a log that is a prefix of the one before, and is on disk before the next one:
 * the tail in its file, snapshots, whole segments from the newest back, the rest of the last one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "journal/recover.h"
#include "journal/standby.h"
#include "journal/writer.h"

#define PART_RECORDS FG_JOURNAL_SCAN_RECORDS

struct cutting {
    struct fg_journal *j; /* opened, and so recovered and locked */
    uint64_t keep_seq;
    struct fg_journal_record *part; /* [PART_RECORDS] */
    struct fg_error *err;
};

static bool trouble(struct cutting *c, const char *what, const char *name)
{
    return fg_fail(c->err, "%.200s/%s: cannot %s: %s", c->j->dir, name, what, strerror(errno));
}

static bool sync_dir(struct cutting *c)
{
    return c->j->memory || c->j->ops.sync_dir(c->j->ops.ctx, c->j->dir_fd) == 0 ||
           trouble(c, "sync", ".");
}

/* ---- a file of records ----------------------------------------------------------------------- */

/* Copies from_seq..to_seq of the log behind the header of a file. *last: the last of them. */
static bool copy_records(struct cutting *c, int fd, uint64_t from_seq, uint64_t to_seq,
                         struct fg_journal_record *last)
{
    struct fg_journal_reader *reader = fg_journal_reader_open(c->j->dir, from_seq, c->err);
    uint64_t offset = FG_JOURNAL_RECORD_SIZE;
    ssize_t n = reader ? 0 : -1;

    while (reader && (n = fg_journal_read(reader, c->part, PART_RECORDS, to_seq, c->err)) > 0) {
        size_t len = (size_t)n * sizeof(*c->part);

        if (!fg_journal_file_write(&c->j->ops, fd, c->part, len, offset)) {
            trouble(c, "write", FG_JOURNAL_CUT_TEMP);
            n = -1;
            break;
        }
        offset += len;
        *last = c->part[n - 1];
    }
    fg_journal_reader_close(reader);
    return n == 0;
}

/* Makes FG_JOURNAL_CUT_TEMP of `bytes` with those records, and syncs it. */
static bool write_file(struct cutting *c, const struct fg_journal_segment_header *header,
                       uint64_t bytes, uint64_t to_seq, struct fg_journal_record *last)
{
    const struct fg_journal_file_ops *ops = &c->j->ops;
    int fd = ops->create(ops->ctx, c->j->dir_fd, FG_JOURNAL_CUT_TEMP);
    bool ok;

    if (fd < 0)
        return trouble(c, "create", FG_JOURNAL_CUT_TEMP);
    ok = ops->allocate(ops->ctx, fd, bytes) == 0 || trouble(c, "allocate", FG_JOURNAL_CUT_TEMP);
    ok = ok && (fg_journal_file_write(ops, fd, header, sizeof(*header), 0) ||
                trouble(c, "write", FG_JOURNAL_CUT_TEMP));
    ok = ok && copy_records(c, fd, header->first_seq, to_seq, last);
    ok = ok &&
         (c->j->memory || ops->sync(ops->ctx, fd) == 0 || trouble(c, "sync", FG_JOURNAL_CUT_TEMP));
    close(fd);
    return ok;
}

static bool give_name(struct cutting *c, const char *name)
{
    if (c->j->ops.rename(c->j->ops.ctx, c->j->dir_fd, FG_JOURNAL_CUT_TEMP, name) < 0)
        return trouble(c, "rename " FG_JOURNAL_CUT_TEMP " to", name);
    return sync_dir(c);
}

/* The name says which tail it is, so a cut that is tried again writes the same file. */
static bool keep_tail(struct cutting *c, struct fg_journal_cut *cut, uint64_t now_ms)
{
    struct fg_journal_segment s = {.first_seq = c->keep_seq + 1,
                                   .bytes = (cut->records + 1) * FG_JOURNAL_RECORD_SIZE,
                                   .epoch = c->j->epoch};
    struct fg_journal_segment_header header;
    struct fg_journal_record last;
    uint64_t bytes = s.bytes;

    if (s.bytes > FG_JOURNAL_SEGMENT_BYTES_MAX)
        return fg_fail(c->err, "%s: %" PRIu64 " records are too many to be cut off", c->j->dir,
                       cut->records);
    if (s.bytes < FG_JOURNAL_SEGMENT_BYTES_MIN)
        s.bytes = FG_JOURNAL_SEGMENT_BYTES_MIN; /* the file is shorter, as a copy may be */
    fg_journal_segment_header_make(&header, c->j->appliance_id, &s, now_ms);
    if (!write_file(c, &header, bytes, c->j->last_seq, &last))
        return false;
    snprintf(cut->tail, sizeof(cut->tail), "%020" PRIu64 "-%08" PRIx32 FG_JOURNAL_TAIL_SUFFIX,
             s.first_seq, last.crc);
    return give_name(c, cut->tail);
}

/* ---- the log --------------------------------------------------------------------------------- */

/* Removes the files of a kind that lie behind keep_seq, newest first; after each, when `each`, and
 * after all the directory is synced. */
static bool remove_behind(struct cutting *c, const char *suffix, bool each)
{
    uint64_t *seqs;
    size_t count;
    bool ok = fg_journal_file_list(c->j->dir_fd, c->j->dir, suffix, &seqs, &count, c->err);
    bool any = false;

    for (size_t i = count; ok && i > 0 && seqs[i - 1] > c->keep_seq; i--) {
        char name[FG_JOURNAL_NAME_SIZE];

        fg_journal_file_name(name, seqs[i - 1], suffix);
        ok = c->j->ops.remove(c->j->ops.ctx, c->j->dir_fd, name) == 0 || trouble(c, "remove", name);
        ok = ok && (!each || sync_dir(c));
        any = true;
    }
    free(seqs);
    return ok && (each || !any || sync_dir(c));
}

/* A copy takes the place of the last segment: cut in place, a power cut could leave some of its
 * sectors and not others. */
static bool cut_last_segment(struct cutting *c)
{
    struct fg_journal_segment_header header;
    char name[FG_JOURNAL_SEGMENT_NAME_SIZE];
    uint64_t *seqs, last_seq;
    struct fg_journal_record last;
    size_t count;
    int fd;
    bool ok;

    if (!fg_journal_file_list(c->j->dir_fd, c->j->dir, FG_JOURNAL_SEGMENT_SUFFIX, &seqs, &count,
                              c->err))
        return false;
    last_seq = count ? seqs[count - 1] : 0;
    free(seqs);
    fg_journal_segment_name(name, last_seq);
    fd = openat(c->j->dir_fd, name, O_RDONLY | O_CLOEXEC);
    ok = (fd >= 0 && fg_journal_file_read(fd, &header, sizeof(header), 0)) ||
         trouble(c, "read", name);
    if (fd >= 0)
        close(fd);
    if (!ok || last_seq + fg_journal_segment_positions(header.bytes) == c->keep_seq + 1)
        return ok; /* it ends there */
    return write_file(c, &header, header.bytes, c->keep_seq, &last) && give_name(c, name);
}

/* ---- may it be cut? -------------------------------------------------------------------------- */

/* What stays must be a log by itself: from record 1, or from a snapshot. */
static bool check_rest(struct cutting *c)
{
    uint64_t *seqs, begin = c->j->begin_seq;
    bool found = begin == 1;
    size_t count;

    if (c->keep_seq < begin)
        return fg_fail(c->err,
                       "%s: the last record in common with the peer is %" PRIu64
                       ", the log begins with %" PRIu64 ": nothing of it can be kept",
                       c->j->dir, c->keep_seq, begin);
    if (!fg_journal_file_list(c->j->dir_fd, c->j->dir, FG_JOURNAL_SNAPSHOT_SUFFIX, &seqs, &count,
                              c->err))
        return false;
    for (size_t i = 0; i < count; i++)
        found |= seqs[i] + 1 >= begin && seqs[i] <= c->keep_seq;
    free(seqs);
    return found || fg_fail(c->err,
                            "%s: the log begins with record %" PRIu64
                            ", and no snapshot up to record %" PRIu64 " holds what came before",
                            c->j->dir, begin, c->keep_seq);
}

static bool check_cut(struct cutting *c)
{
    uint64_t commit_seq;

    if (!fg_journal_committed(c->j, &commit_seq, c->err))
        return false;
    if (c->keep_seq < commit_seq)
        return fg_fail(c->err,
                       "%s: the last record in common with the peer is %" PRIu64
                       ", but records up to %" PRIu64
                       " were committed, and perhaps acknowledged: a person has to decide which "
                       "log counts",
                       c->j->dir, c->keep_seq, commit_seq);
    return check_rest(c);
}

static bool cut_all(struct cutting *c, struct fg_journal_cut *cut, uint64_t now_ms)
{
    c->part = malloc(PART_RECORDS * sizeof(*c->part));
    if (!c->part)
        return fg_fail(c->err, "%s: out of memory", c->j->dir);
    cut->records = c->j->last_seq - c->keep_seq;
    return check_cut(c) && keep_tail(c, cut, now_ms) &&
           remove_behind(c, FG_JOURNAL_SNAPSHOT_SUFFIX, false) &&
           remove_behind(c, FG_JOURNAL_SEGMENT_SUFFIX, true) && cut_last_segment(c);
}

bool fg_journal_cut_on(const struct fg_journal_file_ops *ops,
                       const struct fg_journal_options *options, uint64_t keep_seq,
                       struct fg_journal_cut *cut, struct fg_error *err)
{
    struct fg_journal_options o = *options;
    struct cutting c = {.keep_seq = keep_seq, .err = err};
    bool ok;

    *cut = (struct fg_journal_cut){0};
    o.begin = false;
    o.prepare_ms = 0;
    c.j = fg_journal_open_on(ops, &o, err);
    if (!c.j)
        return false;
    ok = keep_seq >= c.j->last_seq || cut_all(&c, cut, o.now_ms);
    free(c.part);
    fg_journal_close(c.j);
    return ok;
}

bool fg_journal_cut(const struct fg_journal_options *options, uint64_t keep_seq,
                    struct fg_journal_cut *cut, struct fg_error *err)
{
    return fg_journal_cut_on(&fg_journal_file_system, options, keep_seq, cut, err);
}
