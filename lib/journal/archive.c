/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/thread.h"
#include "journal/file.h"
#include "journal/segment.h"

#define PIECE_BYTES (1u << 20)
#define PAUSE_MS    1000 /* between looks at the log */
#define SLICE_MS    20   /* a stop waits no longer */
#define STOP_MS     2000 /* of a file system that hangs */

struct fg_journal_archive {
    char dir[512], folder[512 + 24]; /* of the log; FOLDER/ID */
    char top[512];                   /* FOLDER */
    pthread_t thread;
    pthread_mutex_t lock; /* of `error`, and of the moment in which committed_seq is read */
    char error[256];
    _Atomic uint64_t seq, copied;
    const _Atomic uint64_t *committed_seq; /* NULL = all that is complete */
    _Atomic bool quit;
    uint8_t *piece; /* [PIECE_BYTES], of the thread */
};

static void set_error(struct fg_journal_archive *a, const char *text)
{
    bool news;

    pthread_mutex_lock(&a->lock);
    news = strcmp(a->error, text);
    snprintf(a->error, sizeof(a->error), "%.255s", text);
    pthread_mutex_unlock(&a->lock);
    if (news && text[0])
        fg_diag(FG_DIAG_WARNING, "log archive: %s; the segments stay in the log", text);
}

void fg_journal_archive_error(struct fg_journal_archive *a, char *text, size_t size)
{
    pthread_mutex_lock(&a->lock);
    snprintf(text, size, "%s", a->error);
    pthread_mutex_unlock(&a->lock);
}

static bool quits(const struct fg_journal_archive *a)
{
    return atomic_load_explicit(&a->quit, memory_order_acquire);
}

/* Rests as long as the piece took: the log has the first right to a disk that both may share. */
static bool copy_bytes(struct fg_journal_archive *a, int from, int to, uint64_t bytes)
{
    for (uint64_t offset = 0; offset < bytes; offset += PIECE_BYTES) {
        uint64_t n = bytes - offset < PIECE_BYTES ? bytes - offset : PIECE_BYTES;
        uint64_t began = fg_clock_mono_ms();

        if (quits(a) || !fg_journal_file_read(from, a->piece, n, offset) ||
            !fg_journal_file_write(&fg_journal_file_system, to, a->piece, n, offset))
            return false;
        fg_clock_sleep_us(1000 * (unsigned)(fg_clock_mono_ms() - began));
    }
    return fsync(to) == 0;
}

/* The copy gets its name when all of it is on the disk. */
static bool copy_to(struct fg_journal_archive *a, int from, uint64_t bytes, int to_dir,
                    const char *name)
{
    char part[FG_JOURNAL_NAME_SIZE + 8];
    bool ok;
    int to, error;

    snprintf(part, sizeof(part), "%s.part", name);
    to = openat(to_dir, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (to < 0)
        return false;
    ok = copy_bytes(a, from, to, bytes);
    error = errno;
    if (close(to) < 0 && ok) { /* some network file systems tell only here */
        ok = false;
        error = errno;
    }
    if (ok)
        return renameat(to_dir, part, to_dir, name) == 0 && fsync(to_dir) == 0;
    unlinkat(to_dir, part, 0);
    errno = error;
    return false;
}

static bool same_at(int from, int to, uint64_t offset)
{
    uint8_t mine[FG_JOURNAL_RECORD_SIZE], there[FG_JOURNAL_RECORD_SIZE];

    return fg_journal_file_read(from, mine, sizeof(mine), offset) &&
           fg_journal_file_read(to, there, sizeof(there), offset) &&
           memcmp(mine, there, sizeof(mine)) == 0;
}

/* A copy under its name is whole. Its header and last record tell whether it is of this segment,
 * and not of a log that went another way from an older copy of this one. */
static bool is_same(int from, uint64_t bytes, int to)
{
    struct stat st;

    return fstat(to, &st) == 0 && (uint64_t)st.st_size == bytes && same_at(from, to, 0) &&
           same_at(from, to, bytes - FG_JOURNAL_RECORD_SIZE);
}

/* FOLDER must be there: made here, it would hide that its volume is not mounted. */
static int open_folder(struct fg_journal_archive *a)
{
    int top = open(a->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;

    if (top >= 0 && (mkdir(a->folder, 0750) == 0 ? fsync(top) == 0 : errno == EEXIST))
        fd = open(a->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top >= 0) {
        int error = errno;

        close(top);
        errno = error;
    }
    return fd;
}

static bool copy_between(struct fg_journal_archive *a, int from, int to_dir, const char *name,
                         struct fg_error *err)
{
    int there = openat(to_dir, name, O_RDONLY | O_CLOEXEC);
    struct stat st = {0};
    bool same;

    if (fstat(from, &st) < 0)
        return fg_fail(err, "%.220s/%s: %s", a->dir, name, strerror(errno));
    if (there < 0) {
        if (!copy_to(a, from, (uint64_t)st.st_size, to_dir, name))
            return fg_fail(err, "%.200s/%s: cannot copy it: %s", a->folder, name, strerror(errno));
        atomic_fetch_add(&a->copied, 1);
        return true;
    }
    same = is_same(from, (uint64_t)st.st_size, there);
    close(there);
    return same || fg_fail(err, "%.200s/%s is there, and is no copy of the log's", a->folder, name);
}

static bool copy_one(struct fg_journal_archive *a, uint64_t seq, struct fg_error *err)
{
    char name[FG_JOURNAL_NAME_SIZE], path[sizeof(a->dir) + FG_JOURNAL_NAME_SIZE + 1];
    int from, to_dir = open_folder(a);
    bool ok = false;

    if (to_dir < 0)
        return fg_fail(err, "%.220s: %s", a->folder, strerror(errno));
    fg_journal_file_name(name, seq, FG_JOURNAL_SEGMENT_SUFFIX);
    snprintf(path, sizeof(path), "%s/%s", a->dir, name);
    from = open(path, O_RDONLY | O_CLOEXEC);
    if (from >= 0) {
        ok = copy_between(a, from, to_dir, name, err);
        posix_fadvise(from, 0, 0, POSIX_FADV_DONTNEED);
        close(from);
    } else {
        fg_fail(err, "%.220s: %s", path, strerror(errno));
    }
    close(to_dir);
    return ok;
}

/* A thread that was left behind at the stop reads it no more. */
static uint64_t committed(struct fg_journal_archive *a)
{
    uint64_t seq = UINT64_MAX - 1;

    pthread_mutex_lock(&a->lock);
    if (quits(a))
        seq = 0;
    else if (a->committed_seq)
        seq = atomic_load(a->committed_seq);
    pthread_mutex_unlock(&a->lock);
    return seq;
}

/* Each segment but the last is complete, and never changes. */
static bool copy_new(struct fg_journal_archive *a, struct fg_error *err)
{
    int dir_fd = open(a->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t *seqs = NULL;
    size_t count = 0;
    bool ok = dir_fd >= 0 &&
              fg_journal_file_list(dir_fd, a->dir, FG_JOURNAL_SEGMENT_SUFFIX, &seqs, &count, err);

    if (dir_fd < 0)
        fg_fail(err, "%.220s: %s", a->dir, strerror(errno));
    else
        close(dir_fd);
    for (size_t i = 0; ok && i + 1 < count; i++) {
        if (seqs[i + 1] <= atomic_load(&a->seq))
            continue;
        if (committed(a) + 1 < seqs[i + 1])
            break;
        ok = copy_one(a, seqs[i], err);
        if (ok)
            atomic_store(&a->seq, seqs[i + 1]);
    }
    free(seqs);
    return ok;
}

static void *run(void *archive)
{
    struct fg_journal_archive *a = archive;

    while (!quits(a)) {
        struct fg_error err = {""};
        bool ok = copy_new(a, &err);

        if (!quits(a)) /* what a stop ended is no error */
            set_error(a, ok ? "" : err.text);
        for (unsigned ms = 0; ms < PAUSE_MS && !quits(a); ms += SLICE_MS)
            fg_clock_sleep_us(1000 * SLICE_MS);
    }
    return NULL;
}

static void archive_free(struct fg_journal_archive *a)
{
    pthread_mutex_destroy(&a->lock);
    free(a->piece);
    free(a);
}

struct fg_journal_archive *fg_journal_archive_start(const char *dir, const char *folder,
                                                    uint64_t appliance_id,
                                                    const _Atomic uint64_t *committed_seq,
                                                    struct fg_error *err)
{
    struct fg_journal_archive *a = calloc(1, sizeof(*a));

    FG_ASSERT(a);
    pthread_mutex_init(&a->lock, NULL);
    a->piece = malloc(PIECE_BYTES);
    a->committed_seq = committed_seq;
    snprintf(a->dir, sizeof(a->dir), "%s", dir);
    snprintf(a->top, sizeof(a->top), "%s", folder);
    snprintf(a->folder, sizeof(a->folder), "%s/%016" PRIx64, a->top, appliance_id);
    if (a->piece && fg_thread_start(&a->thread, "fg-archive", run, a))
        return a;
    archive_free(a);
    fg_fail(err, "the archive of the log: out of memory or threads");
    return NULL;
}

void fg_journal_archive_stop(struct fg_journal_archive *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    atomic_store_explicit(&a->quit, true, memory_order_release);
    pthread_mutex_unlock(&a->lock);
    if (fg_thread_join_within(a->thread, STOP_MS))
        archive_free(a);
    else /* it keeps its memory until the process ends */
        fg_diag(FG_DIAG_WARNING, "log archive: %s hangs, its copy is given up", a->folder);
}

uint64_t fg_journal_archive_seq(struct fg_journal_archive *a)
{
    return atomic_load(&a->seq);
}

uint64_t fg_journal_archive_copied(struct fg_journal_archive *a)
{
    return atomic_load(&a->copied);
}
