/* SPDX-License-Identifier: BSD-3-Clause */
/* The directory of a log: how far back it goes, removal of its oldest segments, whether it is still
 * there. */
#include "journal/retire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/writer.h"

struct log_files {
    int dir_fd;
    uint64_t *seqs;
    size_t count;
};

static bool list_files(struct log_files *l, const char *dir, struct fg_error *err)
{
    *l = (struct log_files){.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (l->dir_fd < 0)
        return fg_fail(err, "%s: cannot open: %s", dir, strerror(errno));
    if (!fg_journal_file_list(l->dir_fd, dir, FG_JOURNAL_SEGMENT_SUFFIX, &l->seqs, &l->count, err))
        return false;
    return l->count > 0 || fg_fail(err, "%s: no log here", dir);
}

static void close_files(struct log_files *l)
{
    free(l->seqs);
    if (l->dir_fd >= 0)
        close(l->dir_fd);
}

/* 0 when it cannot be seen, as when it was removed just now. */
static uint64_t size_of(const struct log_files *l, uint64_t seq)
{
    char name[FG_JOURNAL_SEGMENT_NAME_SIZE];
    struct stat st;

    fg_journal_segment_name(name, seq);
    return fstatat(l->dir_fd, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

static uint64_t size_of_all(const struct log_files *l)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < l->count; i++)
        bytes += size_of(l, l->seqs[i]);
    return bytes;
}

bool fg_journal_extent(const char *dir, struct fg_journal_extent *extent, struct fg_error *err)
{
    struct log_files l;
    bool ok = list_files(&l, dir, err);

    *extent = (struct fg_journal_extent){0};
    if (ok)
        *extent = (struct fg_journal_extent){
            .first_seq = l.seqs[0], .segments = l.count, .bytes = size_of_all(&l)};
    close_files(&l);
    return ok;
}

bool fg_journal_found(const char *dir)
{
    return fg_journal_first_seq(dir, NULL) > 0;
}

uint64_t fg_journal_first_seq(const char *dir, struct fg_error *err)
{
    struct log_files l;
    uint64_t first_seq = list_files(&l, dir, err) ? l.seqs[0] : 0;

    close_files(&l);
    return first_seq;
}

/* The directory is synced after each, so that no power cut can leave a hole. */
static bool remove_one(const struct fg_journal_file_ops *ops, const struct log_files *l,
                       const char *dir, uint64_t seq, struct fg_error *err)
{
    char name[FG_JOURNAL_SEGMENT_NAME_SIZE];

    fg_journal_segment_name(name, seq);
    if (ops->remove(ops->ctx, l->dir_fd, name) < 0)
        return fg_fail(err, "%s/%s: cannot remove: %s", dir, name, strerror(errno));
    return ops->sync_dir(ops->ctx, l->dir_fd) == 0 ||
           fg_fail(err, "%s: cannot sync: %s", dir, strerror(errno));
}

ssize_t fg_journal_retire_on(const struct fg_journal_file_ops *ops, const char *dir,
                             uint64_t passed_seq, uint64_t keep_bytes, struct fg_error *err)
{
    struct log_files l;
    ssize_t removed = 0;
    bool ok = list_files(&l, dir, err);
    uint64_t bytes = ok ? size_of_all(&l) : 0;

    /* that the next segment has begun is what makes this one complete, so its first record counts
     * too */
    for (size_t i = 0; ok && i + 1 < l.count && l.seqs[i + 1] <= passed_seq; i++) {
        uint64_t size = size_of(&l, l.seqs[i]);

        if (bytes < keep_bytes + size)
            break;
        ok = remove_one(ops, &l, dir, l.seqs[i], err);
        bytes -= size;
        removed += ok;
    }
    close_files(&l);
    return ok ? removed : -1;
}

ssize_t fg_journal_retire(const char *dir, uint64_t passed_seq, uint64_t keep_bytes,
                          struct fg_error *err)
{
    return fg_journal_retire_on(&fg_journal_file_system, dir, passed_seq, keep_bytes, err);
}

bool fg_journal_in_place(const struct fg_journal *journal)
{
    struct fg_journal_extent extent;
    struct fg_error ignored;
    struct stat ours, there;
    int dir_fd = open(journal->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool unknown = dir_fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM);
    bool same = dir_fd >= 0 && fstat(journal->lock_fd, &ours) == 0 &&
                fstatat(dir_fd, FG_JOURNAL_LOCK_NAME, &there, 0) == 0 &&
                ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;

    if (dir_fd >= 0)
        close(dir_fd);
    if (unknown) /* no descriptor is free: that says nothing about the directory */
        return true;
    if (!same)
        return false;
    errno = 0;
    if (fg_journal_extent(journal->dir, &extent, &ignored))
        return extent.segments;
    return errno == EMFILE || errno == ENFILE || errno == ENOMEM;
}
