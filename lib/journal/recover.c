/* SPDX-License-Identifier: BSD-3-Clause */
/* The steps before the first commit: the lock, the check of all segments, the cut of a torn
 * tail. */
#include "journal/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "journal/writer.h"

#define LOCK_WAIT_MS    30000 /* for the last writes of a process that ended: the disk may be slow */
#define LOCK_UNKNOWN_MS 1000  /* the same when it left no number: it ended in order, or begins */
#define LOCK_POLL_US    2000
#define PREPARED_MAX    (64ull << 20) /* of the first segment: the start waits for it */

static bool no_log(const char *dir, struct fg_error *err)
{
    return fg_fail(err,
                   "%.250s: no log here: is its volume mounted? A new log begins only when asked "
                   "for: `floodgate --new-log`, or `fgctl log init`",
                   dir);
}

static bool make_dir(const char *dir, bool *made, struct fg_error *err)
{
    if (!fg_folder_make_parents(dir, 0755, err))
        return false;
    *made = mkdir(dir, 0750) == 0;
    return *made || errno == EEXIST || fg_fail(err, "%s: cannot create: %s", dir, strerror(errno));
}

static bool open_dir(struct fg_journal *j, bool begin, struct fg_error *err)
{
    bool made = false;
    int parent;

    if (begin && !make_dir(j->dir, &made, err))
        return false;
    j->dir_fd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->dir_fd < 0)
        return fg_fail(err, "%s: cannot open: %s", j->dir, strerror(errno));
    if (!made || j->memory)
        return true;
    parent = openat(j->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || j->ops.sync_dir(j->ops.ctx, parent) < 0)
        made = fg_fail(err, "%s: cannot sync its parent: %s", j->dir, strerror(errno));
    if (parent >= 0)
        close(parent);
    return made;
}

/*
 * A process that was killed leaves writes under way (queue.h), and they hold the lock until the
 * disk has them. False and errno.
 */
static bool take_lock(int fd, long *holder)
{
    uint64_t now = fg_clock_mono_ms(), end = now + LOCK_WAIT_MS,
             end_unknown = now + LOCK_UNKNOWN_MS;

    *holder = 0;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        char pid[32] = "";

        if (errno != EWOULDBLOCK)
            return false;
        if (pread(fd, pid, sizeof(pid) - 1, 0) > 0)
            *holder = strtol(pid, NULL, 10);
        now = fg_clock_mono_ms();
        if (*holder <= 0 ? now > end_unknown
                         : now > end || kill((pid_t)*holder, 0) == 0 || errno != ESRCH) {
            errno = EWOULDBLOCK;
            return false;
        }
        fg_clock_sleep_us(LOCK_POLL_US);
    }
    return true;
}

static bool lock_dir(struct fg_journal *j, struct fg_error *err)
{
    char pid[32] = "";
    long holder;
    int len;

    j->lock_fd = openat(j->dir_fd, FG_JOURNAL_LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (j->lock_fd < 0)
        return fg_fail(err, "%s/" FG_JOURNAL_LOCK_NAME ": cannot open: %s", j->dir,
                       strerror(errno));
    if (!take_lock(j->lock_fd, &holder)) {
        if (errno != EWOULDBLOCK)
            fg_fail(err, "%s/" FG_JOURNAL_LOCK_NAME ": cannot lock: %s", j->dir, strerror(errno));
        else if (holder > 0)
            fg_fail(err, "%s: the log is in use by process %ld", j->dir, holder);
        else
            fg_fail(err, "%s: the log is in use by another process", j->dir);
        close(j->lock_fd); /* not ours: close() must not empty it */
        j->lock_fd = -1;
        return false;
    }
    len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(j->lock_fd, 0) < 0 || pwrite(j->lock_fd, pid, (size_t)len, 0) < 0) {
        /* only a hint for the next one who is refused; a full disk must not keep us from starting
         */
    }
    return true;
}

/* A segment that is not the last: as long as it says, its last place filled, the next one right
 * behind. */
static bool check_complete(struct fg_journal *j, const struct fg_journal_segment *s,
                           uint64_t next_first_seq, struct fg_error *err)
{
    uint64_t last = fg_journal_segment_end(s) - 1;
    struct fg_journal_record record;

    if (next_first_seq != last + 1)
        return fg_fail(err,
                       "%s: records %" PRIu64 " to %" PRIu64 " are missing: no segment %020" PRIu64
                       ".fgj",
                       j->dir, last + 1, next_first_seq - 1, last + 1);
    if (!fg_journal_file_read(s->fd, &record, sizeof(record), fg_journal_segment_offset(s, last)))
        return fg_fail(err, "%s/%020" PRIu64 ".fgj: cannot read: %s", j->dir, s->first_seq,
                       strerror(errno));
    if (!fg_journal_record_valid(&record, last))
        return fg_journal_segment_corrupt(s, j->dir, last, 0, err);
    return true;
}

static bool check_segments(struct fg_journal *j, const uint64_t *seqs, size_t count,
                           struct fg_error *err)
{
    j->begin_seq = seqs[0];
    if (seqs[0] != 1 && !j->retired)
        return fg_fail(
            err, "%s: records 1 to %" PRIu64 " are missing: the log begins with %020" PRIu64 ".fgj",
            j->dir, seqs[0] - 1, seqs[0]);
    for (size_t i = 0; i + 1 < count; i++) {
        struct fg_journal_segment s;
        bool ok;

        if (!fg_journal_segment_open(&s, j->dir_fd, j->dir, seqs[i], O_RDONLY, &j->appliance_id,
                                     NULL, err))
            return false;
        ok = check_complete(j, &s, seqs[i + 1], err);
        close(s.fd);
        if (!ok)
            return false;
    }
    return fg_journal_segment_open(&j->base, j->dir_fd, j->dir, seqs[count - 1], O_RDWR,
                                   &j->appliance_id, NULL, err);
}

static bool repair_failed(struct fg_journal *j, const char *what, struct fg_error *err)
{
    return fg_fail(err, "%s/%020" PRIu64 ".fgj: cannot %s: %s", j->dir, j->base.first_seq, what,
                   strerror(errno));
}

/* Zeroes what lies behind the end, so that it can never be taken for a record again. */
static bool wipe_rest(struct fg_journal *j, uint64_t end_seq, struct fg_error *err)
{
    uint64_t offset = fg_journal_segment_offset(&j->base, end_seq);

    while (offset < j->base.bytes) {
        uint64_t n = FG_JOURNAL_STAGE_RECORDS * sizeof(*j->stage[0]);

        if (n > j->base.bytes - offset)
            n = j->base.bytes - offset;
        if (!fg_journal_file_read(j->base.fd, j->stage[0], n, offset))
            return repair_failed(j, "read", err);
        if (!fg_journal_all_zero(j->stage[0], n)) {
            memset(j->stage[0], 0, n);
            if (!fg_journal_file_write(&j->ops, j->base.fd, j->stage[0], n, offset))
                return repair_failed(j, "write", err);
        }
        offset += n;
    }
    return true;
}

/* A last segment that a copy cut short gets its full length back. */
static bool restore_length(struct fg_journal *j, struct fg_error *err)
{
    struct stat st;

    if (fstat(j->base.fd, &st) < 0)
        return repair_failed(j, "stat", err);
    if ((uint64_t)st.st_size < j->base.bytes &&
        j->ops.allocate(j->ops.ctx, j->base.fd, j->base.bytes) < 0)
        return repair_failed(j, "allocate", err);
    return true;
}

/* The last segment may have been begun in a hurry. What lies behind the end is zero, and stays so.
 */
static bool prepare_rest(struct fg_journal *j, uint64_t end_seq, struct fg_error *err)
{
    uint64_t from = fg_journal_segment_offset(&j->base, end_seq), written, end;

    if (!j->prepares)
        return true;
    j->ops.forget(j->ops.ctx, j->base.fd);
    written = j->ops.prepared(j->ops.ctx, j->base.fd);
    if (from < written)
        from = written;
    end = j->base.bytes < from + PREPARED_MAX ? j->base.bytes : from + PREPARED_MAX;
    return from >= end || fg_journal_spare_zero(&j->ops, j->base.fd, from, end) ||
           fg_journal_file_no_space(errno) || repair_failed(j, "write", err);
}

static bool recover_tail(struct fg_journal *j, struct fg_error *err)
{
    struct fg_journal_segment_tail tail;

    /*
     * The process before us may have died between write and sync; or after a failed sync, when the
     * page cache shows what the disk does not have. So: write out what can be, then look at what
     * the disk has.
     */
    if (!j->memory) {
        if (j->ops.sync(j->ops.ctx, j->base.fd) < 0)
            return repair_failed(j, "sync", err);
        j->ops.forget(j->ops.ctx, j->base.fd);
    }
    if (!fg_journal_segment_scan(&j->base, j->dir, j->base.first_seq, &tail, err))
        return false;
    if (tail.witness_seq)
        return fg_journal_segment_corrupt(&j->base, j->dir, tail.end_seq, tail.witness_seq, err);
    if (!restore_length(j, err) || !wipe_rest(j, tail.end_seq, err) ||
        !prepare_rest(j, tail.end_seq, err))
        return false;
    if (!j->memory &&
        (j->ops.sync(j->ops.ctx, j->base.fd) < 0 || j->ops.sync_dir(j->ops.ctx, j->dir_fd) < 0))
        return repair_failed(j, "sync", err);
    j->cut_records = tail.torn;
    j->last_seq = tail.end_seq - 1;
    j->epoch = tail.epoch;
    j->durable_seq = j->memory ? tail.durable_seq : j->last_seq;
    j->tip = j->base;
    return true;
}

static bool create_log(struct fg_journal *j, const struct fg_journal_options *options,
                       struct fg_error *err)
{
    uint64_t begin_seq = options->begin_seq ? options->begin_seq : 1;

    j->appliance_id = options->appliance_id;
    j->epoch = options->epoch;
    j->last_seq = j->durable_seq = begin_seq - 1;
    while (j->appliance_id == 0)
        if (getrandom(&j->appliance_id, sizeof(j->appliance_id), 0) != sizeof(j->appliance_id))
            return fg_fail(err, "cannot get random bytes: %s", strerror(errno));
    if (j->prepares && fg_journal_make_spare(j) &&
        !fg_journal_spare_zero(&j->ops, j->spare_fd, 0,
                               j->segment_bytes < PREPARED_MAX ? j->segment_bytes : PREPARED_MAX))
        return fg_fail(err, "%s/" FG_JOURNAL_SPARE_NAME ": cannot write: %s", j->dir,
                       strerror(errno));
    if (!fg_journal_next_segment(j, begin_seq, options->now_ms))
        return fg_fail(err, "%s", j->error);
    j->base = j->tip;
    j->begin_seq = begin_seq;
    return true;
}

/* A crash may have left them; they never held anything that counts. */
static bool remove_leftovers(struct fg_journal *j, struct fg_error *err)
{
    static const char *const names[] = {FG_JOURNAL_SPARE_NAME, FG_JOURNAL_SNAPSHOT_TEMP,
                                        FG_JOURNAL_CUT_TEMP};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (j->ops.remove(j->ops.ctx, j->dir_fd, names[i]) < 0 && errno != ENOENT)
            return fg_fail(err, "%s/%s: cannot remove: %s", j->dir, names[i], strerror(errno));
    return true;
}

/* A directory with snapshots had a log. To begin a new one there would be to forget it. */
static bool check_unused(int dir_fd, const char *dir, struct fg_error *err)
{
    uint64_t *seqs, newest;
    size_t count;

    if (!fg_journal_file_list(dir_fd, dir, FG_JOURNAL_SNAPSHOT_SUFFIX, &seqs, &count, err))
        return false;
    newest = count ? seqs[count - 1] : 0;
    free(seqs);
    return count == 0 ||
           fg_fail(err,
                   "%s: there is snapshot %020" PRIu64 FG_JOURNAL_SNAPSHOT_SUFFIX
                   ", but no segment of its log: restore the segments, or move the snapshot away",
                   dir, newest);
}

static bool check_dir(int dir_fd, const char *dir, bool begin, struct fg_error *err)
{
    uint64_t *seqs = NULL;
    size_t count = 0;

    if (!fg_journal_file_list(dir_fd, dir, FG_JOURNAL_SEGMENT_SUFFIX, &seqs, &count, err))
        return false;
    free(seqs);
    if (count == 0)
        return check_unused(dir_fd, dir, err) && (begin || no_log(dir, err));
    return !begin || fg_fail(err,
                             "%s: there is a log already: start without --new-log, or move the "
                             "directory away first",
                             dir);
}

bool fg_journal_wanted(const char *dir, bool begin, struct fg_error *err)
{
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok;

    if (dir_fd < 0 && errno == ENOENT)
        return begin || no_log(dir, err);
    if (dir_fd < 0)
        return fg_fail(err, "%s: cannot open: %s", dir, strerror(errno));
    ok = check_dir(dir_fd, dir, begin, err);
    close(dir_fd);
    return ok;
}

static bool open_log(struct fg_journal *j, const struct fg_journal_options *options,
                     struct fg_error *err)
{
    uint64_t *seqs = NULL;
    size_t count = 0;
    bool ok;

    /* checked before anything is made or locked: a folder that is not the log's stays as it is */
    if (!fg_journal_wanted(j->dir, options->begin, err) || !open_dir(j, options->begin, err) ||
        !lock_dir(j, err) || !check_dir(j->dir_fd, j->dir, options->begin, err) ||
        !remove_leftovers(j, err))
        return false;
    if (options->begin)
        return create_log(j, options, err);
    if (!fg_journal_file_list(j->dir_fd, j->dir, FG_JOURNAL_SEGMENT_SUFFIX, &seqs, &count, err))
        return false;
    ok = check_segments(j, seqs, count, err) && recover_tail(j, err);
    free(seqs);
    return ok;
}

static bool check_options(const struct fg_journal_options *o, struct fg_error *err)
{
    if (!o->dir || !o->dir[0] || strlen(o->dir) >= PATH_MAX)
        return fg_fail(err, "log directory: a path of 1 to %d bytes is needed", PATH_MAX - 1);
    if (o->segment_bytes && (o->segment_bytes < FG_JOURNAL_SEGMENT_BYTES_MIN ||
                             o->segment_bytes > FG_JOURNAL_SEGMENT_BYTES_MAX ||
                             o->segment_bytes % FG_JOURNAL_RECORD_SIZE))
        return fg_fail(err,
                       "segment size %" PRIu64 ": a multiple of %d from %llu to %llu is needed",
                       o->segment_bytes, FG_JOURNAL_RECORD_SIZE, FG_JOURNAL_SEGMENT_BYTES_MIN,
                       FG_JOURNAL_SEGMENT_BYTES_MAX);
    return true;
}

/* Last, since it takes the place of the spare for a moment. */
static void choose_way(struct fg_journal *j, enum fg_journal_way wanted)
{
    struct fg_journal_trial trial = {.way = wanted, .align = FG_JOURNAL_DIRECT_MIN};

    if (j->memory)
        trial.way = FG_JOURNAL_WAY_PLAIN;
    else if (wanted != FG_JOURNAL_WAY_PLAIN && !j->ops.submit)
        fg_journal_queue_choose(&j->ops, j->dir_fd, j->lock_fd, wanted, &trial);
    j->way = trial.way;
    j->align = trial.align;
    snprintf(j->way_text, sizeof(j->way_text), "%s", trial.text);
}

struct fg_journal *fg_journal_open_on(const struct fg_journal_file_ops *ops,
                                      const struct fg_journal_options *options,
                                      struct fg_error *err)
{
    struct fg_journal *j;

    if (!check_options(options, err))
        return NULL;
    j = calloc(1, sizeof(*j));
    if (j)
        fg_journal_positions(j, 0, FG_JOURNAL_STAGE_RECORDS - 1);
    if (!j || !j->stage[0]) {
        free(j);
        fg_fail(err, "%s: out of memory", options->dir);
        return NULL;
    }
    j->ops = *ops;
    snprintf(j->dir, sizeof(j->dir), "%s", options->dir);
    j->segment_bytes =
        options->segment_bytes ? options->segment_bytes : FG_JOURNAL_SEGMENT_BYTES_NORMAL;
    j->memory = options->memory;
    j->retired = options->retired;
    j->dir_fd = j->lock_fd = j->spare_fd = j->base.fd = j->tip.fd = j->direct_fd = -1;
    j->prepares = options->prepare_ms && !options->memory;
    if (open_log(j, options, err)) {
        choose_way(j, options->way);
        if (j->prepares)
            j->spare =
                fg_journal_spare_start(&j->ops, j->dir_fd, j->segment_bytes, options->prepare_ms);
        return j;
    }
    fg_journal_close(j);
    return NULL;
}

struct fg_journal *fg_journal_open(const struct fg_journal_options *options, struct fg_error *err)
{
    return fg_journal_open_on(&fg_journal_file_system, options, err);
}
