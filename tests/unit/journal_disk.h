/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk for tests: every call of the writing side goes through a recorder that can refuse it, and
 * that keeps what has been synced apart from what has not: at any moment it can write out a
 * directory as a power cut would leave it.
 */
#ifndef FG_TEST_JOURNAL_DISK_H
#define FG_TEST_JOURNAL_DISK_H

#include "journal_support.h"

#include <limits.h>

/* ---- the recorder ---------------------------------------------------------------------------- */

enum { FILES_MAX = 64, PENDING_MAX = 4096 };

struct image { /* a file as the disk has it */
    ino_t ino; /* of the real file; 0 = none */
    char name[64];
    bool named; /* its name is on disk */
    uint8_t *data;
    size_t size;
};

struct pending { /* done, not synced yet */
    enum { WRITE, ALLOCATE, CREATE, RENAME, REMOVE } kind;
    ino_t ino;
    uint64_t offset, len;
    uint8_t *data;
    char name[64];
};

struct flight { /* a durable write under way */
    bool up;
    int fd;
    uint64_t offset, len;
    const void *data; /* as it was given, */
    uint8_t *copy;    /* and as it must stay */
};

struct disk {
    struct flight flights[FG_JOURNAL_FLIGHTS];
    unsigned flown_together; /* how often one began while another was under way */
    unsigned overtaken;      /* how often the later of two ended first */
    unsigned shorts;         /* how often only a part was written at first */
    /* What is wrong on purpose: a write is told as over in place of the other one; is not durable
     * when it is over; calls the one before durable while that is under way. */
    enum canary { SOUND, SWAPS, LIES, VOUCHES } canary;
    struct image files[FILES_MAX];
    struct pending pending[PENDING_MAX];
    size_t pendings;
    uint64_t calls;    /* that can fail, so far */
    uint64_t fail_at;  /* this call and the next fail_for-1 fail; 0 = none */
    uint64_t fail_for; /* UINT64_MAX = for good */
    int fail_errno;
    unsigned kinds; /* mask of kinds of call that fail: 1 << enum call */
    bool half;      /* a failing write writes half first */
    bool lossy;     /* what a failing sync should have written is lost */
    bool any_names; /* a power cut keeps any of the names, not the first ones */
};

enum call {
    CALL_CREATE,
    CALL_ALLOCATE,
    CALL_WRITE,
    CALL_SYNC,
    CALL_SYNC_DIR,
    CALL_RENAME,
    CALL_REMOVE,
    CALL_SUBMIT,
    CALL_LAND
};

static struct disk disk;
static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return (rng >> 33) % n;
}

static ino_t ino_of(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

static struct image *image_of(ino_t ino, bool make)
{
    struct image *unused = NULL;

    for (size_t i = 0; i < FILES_MAX; i++) {
        if (disk.files[i].ino == ino)
            return &disk.files[i];
        if (!disk.files[i].ino && !unused)
            unused = &disk.files[i];
    }
    assert_true(make && unused);
    *unused = (struct image){.ino = ino};
    return unused;
}

static void remember(struct pending p, const void *data)
{
    assert_true(disk.pendings < PENDING_MAX);
    if (data) {
        p.data = malloc(p.len);
        memcpy(p.data, data, p.len);
    }
    disk.pending[disk.pendings++] = p;
}

static bool refused(enum call call)
{
    disk.calls++;
    if (!disk.fail_at || disk.calls < disk.fail_at || disk.calls - disk.fail_at >= disk.fail_for)
        return false;
    if (!(disk.kinds >> call & 1))
        return false;
    errno = disk.fail_errno;
    return true;
}

/* The inode number of a removed file comes back: what is still known of that file gets another. */
static void set_apart(ino_t ino)
{
    static ino_t other = (ino_t)1 << 62;

    other++;
    for (size_t i = 0; i < FILES_MAX; i++)
        if (disk.files[i].ino == ino)
            disk.files[i].ino = other;
    for (size_t i = 0; i < disk.pendings; i++)
        if (disk.pending[i].ino == ino)
            disk.pending[i].ino = other;
}

static int disk_create(void *ctx, int dir_fd, const char *name)
{
    int fd = refused(CALL_CREATE) ? -1 : fg_journal_file_system.create(NULL, dir_fd, name);
    struct pending p = {.kind = CREATE};

    if (fd < 0)
        return -1;
    p.ino = ino_of(fd);
    snprintf(p.name, sizeof(p.name), "%s", name);
    set_apart(p.ino);
    image_of(p.ino, true);
    remember(p, NULL);
    return fd;
}

static int disk_allocate(void *ctx, int fd, uint64_t bytes)
{
    if (refused(CALL_ALLOCATE) || fg_journal_file_system.allocate(NULL, fd, bytes) < 0)
        return -1;
    remember((struct pending){.kind = ALLOCATE, .ino = ino_of(fd), .len = bytes}, NULL);
    return 0;
}

static ssize_t disk_write(void *ctx, int fd, const void *data, size_t len, uint64_t offset)
{
    bool refuse = refused(CALL_WRITE);

    if (refuse && (!disk.half || len < 2))
        return -1;
    if (refuse) { /* the first half goes through; the call for the rest is refused */
        len = len / 2;
        disk.half = false;
        if (disk.fail_for != UINT64_MAX)
            disk.fail_for++;
    }
    remember((struct pending){.kind = WRITE, .ino = ino_of(fd), .offset = offset, .len = len},
             data);
    return fg_journal_file_system.write(NULL, fd, data, len, offset);
}

static void persist(struct image *f, const struct pending *p, uint64_t from, uint64_t to)
{
    uint64_t end = p->offset + (p->kind == ALLOCATE ? p->len : to);

    if (end > f->size) {
        f->data = realloc(f->data, end);
        memset(f->data + f->size, 0, end - f->size);
        f->size = end;
    }
    if (p->kind == WRITE)
        memcpy(f->data + p->offset + from, p->data + from, to - from);
}

static void settle_name(const struct pending *p)
{
    struct image *f = p->kind == REMOVE ? NULL : image_of(p->ino, true);

    for (size_t i = 0; i < FILES_MAX; i++) /* whoever had the name has it no longer */
        if (disk.files[i].ino && disk.files[i].named && strcmp(disk.files[i].name, p->name) == 0)
            disk.files[i].named = false;
    if (!f)
        return;
    snprintf(f->name, sizeof(f->name), "%s", p->name);
    f->named = true;
}

static bool about_names(const struct pending *p)
{
    return p->kind >= CREATE;
}

/* Makes what is pending for one file (or for names) part of the disk, and forgets it. */
static void settle(ino_t ino, bool names)
{
    size_t keep = 0;

    for (size_t i = 0; i < disk.pendings; i++) {
        struct pending *p = &disk.pending[i];

        if (names ? !about_names(p) : about_names(p) || p->ino != ino) {
            disk.pending[keep++] = *p;
            continue;
        }
        if (names)
            settle_name(p);
        else
            persist(image_of(ino, true), p, 0, p->len);
        free(p->data);
    }
    disk.pendings = keep;
}

/* A failed write-back: the page cache takes the pages for clean, the disk never gets them. */
static void lose(ino_t ino)
{
    size_t keep = 0;

    for (size_t i = 0; i < disk.pendings; i++) {
        if (disk.pending[i].kind == WRITE && disk.pending[i].ino == ino)
            free(disk.pending[i].data);
        else
            disk.pending[keep++] = disk.pending[i];
    }
    disk.pendings = keep;
}

static int disk_sync(void *ctx, int fd)
{
    if (refused(CALL_SYNC)) {
        if (disk.lossy)
            lose(ino_of(fd));
        return -1;
    }
    settle(ino_of(fd), false);
    return 0;
}

/* The real file, which stands for the page cache, becomes what the disk has; the caller has synced
 * it. */
static void disk_forget_cache(void *ctx, int fd)
{
    const struct image *f = image_of(ino_of(fd), true);

    assert_int_equal(ftruncate(fd, (off_t)f->size), 0);
    if (f->size)
        assert_int_equal(pwrite(fd, f->data, f->size, 0), f->size);
}

static int disk_sync_dir(void *ctx, int dir_fd)
{
    if (refused(CALL_SYNC_DIR))
        return -1;
    settle(0, true);
    return 0;
}

static int disk_rename(void *ctx, int dir_fd, const char *from, const char *to)
{
    struct pending p = {.kind = RENAME};
    struct stat st;

    if (refused(CALL_RENAME) || fg_journal_file_system.rename(NULL, dir_fd, from, to) < 0)
        return -1;
    assert_int_equal(fstatat(dir_fd, to, &st, 0), 0);
    p.ino = st.st_ino;
    snprintf(p.name, sizeof(p.name), "%s", to);
    remember(p, NULL);
    return 0;
}

static int disk_remove(void *ctx, int dir_fd, const char *name)
{
    struct pending p = {.kind = REMOVE};

    if (refused(CALL_REMOVE) || fg_journal_file_system.remove(NULL, dir_fd, name) < 0)
        return -1;
    snprintf(p.name, sizeof(p.name), "%s", name);
    remember(p, NULL);
    return 0;
}

static bool disk_leads_to(void *ctx, const char *path, int fd)
{
    return fg_journal_file_system.leads_to(NULL, path, fd);
}

/* ---- durable writes under way ---------------------------------------------------------------- */

/* Most segments are prepared, some in part. */
static uint64_t disk_prepared(void *ctx, int fd)
{
    return rnd(4) ? UINT64_MAX : rnd(SEGMENT);
}

static int disk_open_direct(void *ctx, int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_WRONLY | O_CLOEXEC); /* tmpfs may refuse O_DIRECT */
}

/* From now on the disk has these bytes of it. */
static void fly_in(const struct flight *f, uint64_t from, uint64_t to)
{
    const struct pending p = {
        .kind = WRITE, .ino = ino_of(f->fd), .offset = f->offset, .len = f->len, .data = f->copy};

    persist(image_of(p.ino, true), &p, from, to);
    assert_int_equal(pwrite(f->fd, f->copy + from, to - from, (off_t)(f->offset + from)),
                     to - from);
}

/* None, about half, or all of its sectors. */
static void fly_in_some(const struct flight *f)
{
    uint64_t odds = rnd(3);

    for (uint64_t from = 0; from < f->len; from += 512)
        if (odds == 2 || (odds == 1 && rnd(2)))
            fly_in(f, from, from + 512 < f->len ? from + 512 : f->len);
}

static void flight_over(struct flight *f)
{
    if (disk.canary == SOUND) /* the buffer was left alone meanwhile */
        assert_memory_equal(f->data, f->copy, f->len);
    free(f->copy);
    f->copy = NULL;
    f->up = false;
}

static unsigned flights_up(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FG_JOURNAL_FLIGHTS; i++)
        n += disk.flights[i].up;
    return n;
}

/* A writer that calls a commit durable which is only under way. */
static void vouch_too_early(struct flight *f)
{
    struct fg_journal_record *batch = (struct fg_journal_record *)f->copy;

    if (batch->type != FG_JOURNAL_RECORD_BATCH) /* the rest of one that was written in parts */
        return;
    batch->arg = batch->seq - 1;
    fg_journal_record_seal(batch, 1, batch->seq);
    memcpy((void *)(uintptr_t)f->data, batch, sizeof(*batch));
}

static int disk_submit(void *queue, unsigned slot, int fd, const void *data, size_t len,
                       uint64_t offset)
{
    struct flight *f = &disk.flights[slot];

    assert_false(f->up);
    assert_true(len > 0 && len % FG_JOURNAL_DIRECT_MIN == 0);
    assert_true(offset % FG_JOURNAL_DIRECT_MIN == 0);
    assert_true((uintptr_t)data % FG_JOURNAL_DIRECT_MIN == 0);
    if (refused(CALL_SUBMIT))
        return -1;
    for (size_t i = 0; i < disk.pendings; i++) /* it meets nothing that waits for a sync */
        if (disk.canary == SOUND && disk.pending[i].kind == WRITE &&
            disk.pending[i].ino == ino_of(fd))
            assert_true(disk.pending[i].offset >= offset + len ||
                        disk.pending[i].offset + disk.pending[i].len <= offset);
    for (unsigned i = 0; i < FG_JOURNAL_FLIGHTS; i++) /* nor another one under way */
        if (disk.flights[i].up)
            assert_true(disk.flights[i].offset >= offset + len ||
                        disk.flights[i].offset + disk.flights[i].len <= offset);
    disk.flown_together += flights_up();
    *f = (struct flight){
        .up = true, .fd = fd, .offset = offset, .len = len, .data = data, .copy = malloc(len)};
    memcpy(f->copy, data, len);
    if (disk.canary == VOUCHES && flights_up() == 2)
        vouch_too_early(f);
    return 0;
}

static int disk_reap(void *queue, unsigned us, unsigned *slot, ssize_t *result)
{
    unsigned i = (unsigned)rnd(FG_JOURNAL_FLIGHTS), both = flights_up();
    struct flight *f = &disk.flights[i];
    bool swap;

    assert_true(both > 0);
    if (us != UINT_MAX && rnd(2))
        return 0;
    if (!f->up)
        f = &disk.flights[i = !i];
    *slot = i;
    *result = (ssize_t)f->len;
    if (refused(CALL_LAND)) {
        *result = -errno;
        fly_in_some(f);
    } else if (f->len > 512 && rnd(16) == 0) {
        *result = (ssize_t)(512 * (1 + rnd(f->len / 512 - 1)));
        fly_in(f, 0, (uint64_t)*result);
        disk.shorts++;
    } else if (disk.canary == LIES) { /* only the page cache has it */
        remember(
            (struct pending){
                .kind = WRITE, .ino = ino_of(f->fd), .offset = f->offset, .len = f->len},
            f->copy);
        assert_int_equal(pwrite(f->fd, f->copy, f->len, (off_t)f->offset), f->len);
    } else {
        fly_in(f, 0, f->len);
    }
    swap = disk.canary == SWAPS && both == 2 && *result == (ssize_t)f->len;
    disk.overtaken += both == 2 && f->offset > disk.flights[!i].offset;
    flight_over(f);
    if (swap) {
        struct flight other = disk.flights[!i];

        *slot = !i; /* and when that one is over it will be told as this one */
        *result = (ssize_t)other.len;
        disk.flights[!i].up = false;
        disk.flights[i] = other;
    }
    return 1;
}

static const struct fg_journal_file_ops disk_ops = {
    .create = disk_create,
    .allocate = disk_allocate,
    .write = disk_write,
    .sync = disk_sync,
    .forget = disk_forget_cache,
    .sync_dir = disk_sync_dir,
    .rename = disk_rename,
    .remove = disk_remove,
    .leads_to = disk_leads_to,
    .prepared = disk_prepared,
    .open_direct = disk_open_direct,
    .submit = disk_submit,
    .reap = disk_reap,
    .depth = FG_JOURNAL_FLIGHTS,
};

static void disk_forget(void)
{
    for (size_t i = 0; i < FILES_MAX; i++)
        free(disk.files[i].data);
    for (size_t i = 0; i < disk.pendings; i++)
        free(disk.pending[i].data);
    for (unsigned i = 0; i < FG_JOURNAL_FLIGHTS; i++)
        free(disk.flights[i].copy);
    memset(&disk, 0, sizeof(disk));
}

/* ---- power cuts ------------------------------------------------------------------------------ */

/* Some of the pending writes reach the disk, in sectors; names as a prefix, as journaling file
 * systems do, or any of them. */
static void cut_power(void)
{
    uint64_t names = 0, keep, odds = rnd(3); /* none, about half, all of the data */

    assert_int_equal(flights_up(), 0); /* a closed log waits for them, whatever becomes of them */
    for (size_t i = 0; i < disk.pendings; i++)
        names += about_names(&disk.pending[i]);
    keep = rnd(names + 1);
    for (size_t i = 0; i < disk.pendings; i++) {
        struct pending *p = &disk.pending[i];

        if (about_names(p)) {
            if (disk.any_names ? rnd(2) : keep) {
                settle_name(p);
                keep -= keep > 0;
            }
        } else if (p->kind == ALLOCATE) {
            if (rnd(2))
                persist(image_of(p->ino, true), p, 0, 0);
        } else {
            for (uint64_t from = 0; from < p->len;) {
                uint64_t to = (p->offset + from) / 512 * 512 + 512 - p->offset;

                if (to > p->len)
                    to = p->len;
                if (odds == 2 || (odds == 1 && rnd(2)))
                    persist(image_of(p->ino, true), p, from, to);
                from = to;
            }
        }
        free(p->data);
    }
    disk.pendings = 0;
}

/* The real directory becomes what the disk has; the recorder goes on from there. */
static void restart_after_cut(void)
{
    struct disk *old = malloc(sizeof(*old));

    *old = disk;
    remove_tree(log_dir);
    assert_int_equal(mkdir(log_dir, 0750), 0);
    memset(&disk, 0, sizeof(disk));
    disk.canary = old->canary;
    disk.flown_together = old->flown_together;
    disk.overtaken = old->overtaken;
    disk.shorts = old->shorts;
    for (size_t i = 0; i < FILES_MAX; i++) {
        struct image *f = &old->files[i];
        struct stat st;

        if (!f->ino || !f->named) {
            free(f->data);
            continue;
        }
        if (strchr(f->name, '/'))
            mkdir(in_log(FG_JOURNAL_FILL_DIR), 0750);
        save_file(in_log(f->name), f->data ? f->data : (void *)"", f->size);
        assert_int_equal(stat(in_log(f->name), &st), 0);
        f->ino = st.st_ino;
        disk.files[i] = *f;
    }
    free(old);
}

#endif
