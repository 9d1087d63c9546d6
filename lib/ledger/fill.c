/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The old segments and snapshots go, the log begins anew behind the snapshot, then the snapshot
 * moves to the log's folder. As long as it lies in `fill`, all of this is repeated.
 */
#include "ledger/fill.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "journal/file.h"
#include "journal/recover.h"
#include "ledger/snapshot.h"

struct fill {
    const struct fg_journal_file_ops *ops;
    struct fg_journal_options log;
    char dir[512 + sizeof(FG_JOURNAL_FILL_DIR) + 1]; /* of the snapshot */
    int log_fd, fd;                                  /* folders; -1 = none */
    struct fg_ledger_snapshot_info info;
    struct fg_journal_epochs epochs; /* of its records */
};

/* ---- the snapshot ---------------------------------------------------------------------------- */

/* *seq 0: there is none. */
static bool newest(const struct fill *f, uint64_t *seq, struct fg_error *err)
{
    uint64_t *seqs = NULL;
    size_t count = 0;
    bool ok = fg_journal_file_list(f->fd, f->dir, FG_JOURNAL_SNAPSHOT_SUFFIX, &seqs, &count, err);

    *seq = ok && count ? seqs[count - 1] : 0;
    free(seqs);
    return ok;
}

/* Of the log. *seq 0: it has no segment. */
static bool first_segment(const struct fill *f, uint64_t *seq, struct fg_error *err)
{
    uint64_t *seqs = NULL;
    size_t count = 0;
    bool ok =
        fg_journal_file_list(f->log_fd, f->log.dir, FG_JOURNAL_SEGMENT_SUFFIX, &seqs, &count, err);

    *seq = ok && count ? seqs[0] : 0;
    free(seqs);
    return ok;
}

static bool read_epochs(struct fill *f, struct fg_snapshot_reader *reader, struct fg_error *err)
{
    struct fg_journal_epoch epoch;
    ssize_t n;

    memset(&f->epochs, 0, sizeof(f->epochs));
    while ((n = fg_ledger_snapshot_epochs(reader, &epoch, 1, err)) > 0)
        if (!fg_journal_epochs_add(&f->epochs, epoch))
            return fg_fail(err, "%s: the epochs of the snapshot do not rise", f->dir);
    return n == 0;
}

/* Reads all of it. *damaged: it was read, and is no good. */
static bool verify(struct fill *f, uint64_t seq, bool *damaged, struct fg_error *err)
{
    struct fg_snapshot_reader *reader = fg_ledger_snapshot_open_seq(f->dir, seq, &f->info, err);
    bool ok = reader && read_epochs(f, reader, err);

    *damaged = !ok && errno == 0;
    fg_ledger_snapshot_close(reader);
    return ok;
}

/* Whether a log that ends with `last`, in this epoch, is a beginning of what is in the snapshot. A
 * log that led meanwhile has an epoch of its own. */
static bool holds(const struct fill *f, struct fg_journal_epoch epoch, uint64_t last)
{
    const struct fg_journal_epochs *e = &f->epochs;
    uint32_t next = 0; /* the epoch behind it */

    if (epoch.epoch) {
        while (next < e->count && e->list[next].epoch != epoch.epoch)
            next++;
        if (next == e->count || e->list[next++].first_seq != epoch.first_seq)
            return false;
    }
    return last <= f->info.seq && (next == e->count || last < e->list[next].first_seq);
}

/* Whether the log may make room for it. *fits false: the snapshot is of no use. */
static bool compare(const struct fill *f, bool *fits, struct fg_error *err)
{
    struct fg_journal *old;
    uint64_t first;

    *fits = true;
    if (!first_segment(f, &first, err))
        return false;
    if (!first)
        return true;
    old = fg_journal_open(&f->log, err); /* also: no other process has it */
    if (!old)
        return false;
    *fits = fg_journal_appliance(old) == f->info.appliance_id &&
            holds(f, fg_journal_epoch(old), fg_journal_last_seq(old));
    fg_journal_close(old);
    return true;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Oldest first, and each on disk before the next, so that what a power cut leaves is a log. */
static bool remove_all(const struct fill *f, int dir_fd, const char *dir, const char *suffix,
                       struct fg_error *err)
{
    uint64_t *seqs = NULL;
    size_t count = 0;
    bool ok = fg_journal_file_list(dir_fd, dir, suffix, &seqs, &count, err);
    char name[FG_JOURNAL_NAME_SIZE];

    for (size_t i = 0; ok && i < count; i++) {
        fg_journal_file_name(name, seqs[i], suffix);
        ok = (f->ops->remove(f->ops->ctx, dir_fd, name) == 0 &&
              f->ops->sync_dir(f->ops->ctx, dir_fd) == 0) ||
             fg_fail(err, "%s/%s: cannot remove: %s", dir, name, strerror(errno));
    }
    free(seqs);
    return ok;
}

/* The snapshot goes, unless the log has made room for it: then it is all that is left. */
static bool discard(const struct fill *f, uint64_t found, const char *why, struct fg_error *err)
{
    char name[FG_JOURNAL_NAME_SIZE];
    uint64_t first;

    fg_journal_file_name(name, found, FG_JOURNAL_SNAPSHOT_SUFFIX);
    if (!first_segment(f, &first, err))
        return false;
    if (!first || (first == found + 1 && faccessat(f->log_fd, name, F_OK, 0) < 0))
        return fg_fail(err,
                       "%.300s; %s has nothing older than it: empty that folder to fill it again",
                       why, f->log.dir);
    fg_diag(FG_DIAG_WARNING, "%s; it is removed, and the log stays as it is", why);
    return remove_all(f, f->fd, f->dir, FG_JOURNAL_SNAPSHOT_SUFFIX, err);
}

static bool begin_log(const struct fill *f, struct fg_error *err)
{
    struct fg_journal_options options = f->log;
    struct fg_journal *journal;

    options.begin = true;
    options.appliance_id = f->info.appliance_id;
    options.begin_seq = f->info.seq + 1;
    options.epoch = fg_journal_epochs_last(&f->epochs);
    options.way = FG_JOURNAL_WAY_PLAIN; /* no trial: it is opened again */
    options.prepare_ms = 0;
    journal = fg_journal_open_on(f->ops, &options, err);
    if (!journal)
        return false;
    fg_journal_close(journal);
    return true;
}

/* From here on it is done. */
static bool move(const struct fill *f, struct fg_error *err)
{
    char name[FG_JOURNAL_NAME_SIZE], from[sizeof(FG_JOURNAL_FILL_DIR) + FG_JOURNAL_NAME_SIZE];

    fg_journal_file_name(name, f->info.seq, FG_JOURNAL_SNAPSHOT_SUFFIX);
    snprintf(from, sizeof(from), FG_JOURNAL_FILL_DIR "/%s", name);
    return (f->ops->rename(f->ops->ctx, f->log_fd, from, name) == 0 &&
            f->ops->sync_dir(f->ops->ctx, f->log_fd) == 0 &&
            f->ops->sync_dir(f->ops->ctx, f->fd) == 0) ||
           fg_fail(err, "%s/%s: cannot move it to the log's folder: %s", f->dir, name,
                   strerror(errno));
}

static bool replace(const struct fill *f, struct fg_error *err)
{
    return remove_all(f, f->log_fd, f->log.dir, FG_JOURNAL_SEGMENT_SUFFIX, err) &&
           remove_all(f, f->log_fd, f->log.dir, FG_JOURNAL_SNAPSHOT_SUFFIX, err) &&
           begin_log(f, err) && move(f, err);
}

static bool install(struct fill *f, uint64_t *seq, struct fg_error *err)
{
    struct fg_error bad = {""};
    bool damaged, fits;
    uint64_t found;

    if (!newest(f, &found, err))
        return false;
    if (!found)
        return true;
    if (!verify(f, found, &damaged, &bad))
        return damaged ? discard(f, found, bad.text, err) : fg_fail(err, "%s", bad.text);
    if (!compare(f, &fits, err))
        return false;
    if (!fits) {
        fg_fail(&bad,
                "%s: the snapshot of record %" PRIu64
                " is not of this log, or does not hold all of it",
                f->dir, found);
        return discard(f, found, bad.text, err);
    }
    if (!replace(f, err))
        return false;
    *seq = found;
    fg_diag(FG_DIAG_NOTICE, "log %s: filled from the leader's snapshot of record %" PRIu64,
            f->log.dir, found);
    return true;
}

bool fg_ledger_fill_install_on(const struct fg_journal_file_ops *ops,
                               const struct fg_journal_options *log, uint64_t *seq,
                               struct fg_error *err)
{
    struct fill *f = calloc(1, sizeof(*f));
    bool ok = true;

    FG_ASSERT(f);
    *seq = 0;
    f->ops = ops;
    f->log = *log;
    f->log.begin = false;
    f->log.retired = true;
    f->fd = -1;
    snprintf(f->dir, sizeof(f->dir), "%.511s/" FG_JOURNAL_FILL_DIR, log->dir);
    f->log_fd = open(log->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->log_fd >= 0)
        f->fd = openat(f->log_fd, FG_JOURNAL_FILL_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd >= 0)
        ok = install(f, seq, err);
    else
        ok = errno == ENOENT || fg_fail(err, "%s: cannot open: %s", f->dir, strerror(errno));
    if (f->fd >= 0)
        close(f->fd);
    if (f->log_fd >= 0)
        close(f->log_fd);
    free(f);
    return ok;
}

bool fg_ledger_fill_install(const struct fg_journal_options *log, uint64_t *seq,
                            struct fg_error *err)
{
    return fg_ledger_fill_install_on(&fg_journal_file_system, log, seq, err);
}
