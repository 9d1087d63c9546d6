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
    struct fg_journal_epoch epoch; /* of its last record */
};

/* ---- the snapshot ---------------------------------------------------------------------------- */

static uint64_t newest(const struct fill *f)
{
    struct fg_error ignored;
    uint64_t *seqs = NULL, seq = 0;
    size_t count = 0;

    if (fg_journal_file_list(f->fd, f->dir, FG_JOURNAL_SNAPSHOT_SUFFIX, &seqs, &count, &ignored) &&
        count)
        seq = seqs[count - 1];
    free(seqs);
    return seq;
}

/* Reads all of it. */
static bool verify(struct fill *f, uint64_t seq, struct fg_error *err)
{
    struct fg_snapshot_reader *reader = fg_ledger_snapshot_open_seq(f->dir, seq, &f->info, err);
    struct fg_journal_epoch epochs[64];
    ssize_t n = 0;

    if (!reader)
        return false;
    while ((n = fg_ledger_snapshot_epochs(reader, epochs, 64, err)) > 0)
        f->epoch = epochs[n - 1];
    fg_ledger_snapshot_close(reader);
    return n == 0;
}

/* Whether the log may make room for it. *fits false: the snapshot is of no use. */
static bool compare(const struct fill *f, bool *fits, struct fg_error *err)
{
    struct fg_journal *old;

    *fits = true;
    if (!fg_journal_found(f->log.dir))
        return true;
    old = fg_journal_open(&f->log, err); /* also: no other process has it */
    if (!old)
        return false;
    *fits = fg_journal_appliance(old) == f->info.appliance_id &&
            fg_journal_last_seq(old) <= f->info.seq;
    fg_journal_close(old);
    return true;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Oldest first, so that what is left is a log. */
static bool remove_all(const struct fill *f, int dir_fd, const char *dir, const char *suffix,
                       struct fg_error *err)
{
    uint64_t *seqs = NULL;
    size_t count = 0;
    bool ok = fg_journal_file_list(dir_fd, dir, suffix, &seqs, &count, err);
    char name[FG_JOURNAL_NAME_SIZE];

    for (size_t i = 0; ok && i < count; i++) {
        fg_journal_file_name(name, seqs[i], suffix);
        ok = f->ops->remove(f->ops->ctx, dir_fd, name) == 0 ||
             fg_fail(err, "%s/%s: cannot remove: %s", dir, name, strerror(errno));
    }
    free(seqs);
    return ok && (f->ops->sync_dir(f->ops->ctx, dir_fd) == 0 ||
                  fg_fail(err, "%s: cannot sync: %s", dir, strerror(errno)));
}

static bool begin_log(const struct fill *f, struct fg_error *err)
{
    struct fg_journal_options options = f->log;
    struct fg_journal *journal;

    options.begin = true;
    options.appliance_id = f->info.appliance_id;
    options.begin_seq = f->info.seq + 1;
    options.epoch = f->epoch;
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
    uint64_t found = newest(f);
    struct fg_error bad = {""};
    bool fits;

    if (!found)
        return true;
    if (!verify(f, found, &bad)) {
        fg_diag(FG_DIAG_WARNING, "%s; the log stays as it is, and is filled again", bad.text);
        return remove_all(f, f->fd, f->dir, FG_JOURNAL_SNAPSHOT_SUFFIX, err);
    }
    if (!compare(f, &fits, err))
        return false;
    if (!fits) {
        fg_diag(FG_DIAG_WARNING,
                "%s: the snapshot of record %" PRIu64
                " is not of this log, or the log has gone past it: removed",
                f->dir, found);
        return remove_all(f, f->fd, f->dir, FG_JOURNAL_SNAPSHOT_SUFFIX, err);
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
    struct fill f = {.ops = ops, .log = *log, .fd = -1};
    bool ok = true;

    *seq = 0;
    f.log.begin = false;
    f.log.retired = true;
    snprintf(f.dir, sizeof(f.dir), "%.511s/" FG_JOURNAL_FILL_DIR, log->dir);
    f.log_fd = open(log->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f.log_fd >= 0)
        f.fd = openat(f.log_fd, FG_JOURNAL_FILL_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f.fd >= 0)
        ok = install(&f, seq, err);
    if (f.fd >= 0)
        close(f.fd);
    if (f.log_fd >= 0)
        close(f.log_fd);
    return ok;
}

bool fg_ledger_fill_install(const struct fg_journal_options *log, uint64_t *seq,
                            struct fg_error *err)
{
    return fg_ledger_fill_install_on(&fg_journal_file_system, log, seq, err);
}
