/* SPDX-License-Identifier: BSD-3-Clause */
#include "pair_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"

/* Whether the power is gone; also when it goes with this call. */
static bool dead(struct disk *d)
{
    if (d->fuse && --d->fuse == 0)
        d->off = true;
    if (d->off)
        errno = EIO;
    return d->off;
}

static ino_t ino_of(int fd)
{
    struct stat st;

    FG_ASSERT(fstat(fd, &st) == 0);
    return st.st_ino;
}

/* ---- data ------------------------------------------------------------------------------------ */

static void forget(struct disk_write *p)
{
    close(p->fd);
    free(p->was);
    free(p->is);
}

static void put(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    FG_ASSERT(size == 0 || pwrite(fd, data, size, (off_t)offset) == (ssize_t)size);
}

static void remember(struct disk *d, struct disk_write p)
{
    FG_ASSERT(d->writes_len < DISK_PENDING_MAX && (p.fd = dup(p.fd)) >= 0);
    d->writes[d->writes_len++] = p;
}

static ssize_t disk_write(void *disk, int fd, const void *data, size_t len, uint64_t offset)
{
    struct disk_write p = {.fd = fd, .ino = ino_of(fd), .offset = offset, .size = len};

    if (dead(disk))
        return -1;
    p.was = calloc(1, len);
    p.is = malloc(len);
    FG_ASSERT(p.was && p.is && fg_journal_file_read(fd, p.was, len, offset));
    memcpy(p.is, data, len);
    remember(disk, p);
    put(fd, data, len, offset);
    return (ssize_t)len;
}

static int disk_allocate(void *disk, int fd, uint64_t bytes)
{
    struct stat st;

    if (dead(disk))
        return -1;
    FG_ASSERT(fstat(fd, &st) == 0);
    if ((uint64_t)st.st_size >= bytes)
        return 0;
    remember(disk, (struct disk_write){.fd = fd,
                                       .ino = st.st_ino,
                                       .allocate = true,
                                       .old_size = (uint64_t)st.st_size,
                                       .size = bytes});
    return ftruncate(fd, (off_t)bytes);
}

static int disk_sync(void *disk, int fd)
{
    struct disk *d = disk;
    ino_t ino = ino_of(fd);
    size_t keep = 0;

    if (dead(d))
        return -1;
    for (size_t i = 0; i < d->writes_len; i++)
        if (d->writes[i].ino == ino)
            forget(&d->writes[i]);
        else
            d->writes[keep++] = d->writes[i];
    d->writes_len = keep;
    return 0;
}

static void undo_writes(struct disk *d)
{
    for (size_t i = d->writes_len; i > 0; i--) {
        const struct disk_write *p = &d->writes[i - 1];

        if (p->allocate)
            FG_ASSERT(ftruncate(p->fd, (off_t)p->old_size) == 0);
        else
            put(p->fd, p->was, p->size, p->offset);
    }
}

/* odds: 0 = nothing of it is there, 1 = about half of the sectors, 2 = all. */
static void redo_some(struct disk *d, int fd, const uint8_t *data, size_t size, uint64_t offset,
                      uint64_t odds)
{
    for (size_t from = 0, to; from < size; from = to) {
        to = from + DISK_SECTOR - (offset + from) % DISK_SECTOR;
        to = to < size ? to : size;
        if (odds == 2 || (odds == 1 && sim_draw(d->random, 2)))
            put(fd, data + from, to - from, offset + from);
    }
}

static void lose_writes(struct disk *d)
{
    uint64_t odds = sim_draw(d->random, 3);

    undo_writes(d);
    for (size_t i = 0; i < d->writes_len; i++) {
        struct disk_write *p = &d->writes[i];

        if (!p->allocate)
            redo_some(d, p->fd, p->is, p->size, p->offset, odds);
        else if (sim_draw(d->random, 2))
            FG_ASSERT(ftruncate(p->fd, (off_t)p->size) == 0);
        forget(p);
    }
    d->writes_len = 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

static void name_changes(struct disk *d, int kind, const char *from, const char *to)
{
    struct disk_name *p = &d->names[d->names_len++];

    FG_ASSERT(d->names_len <= sizeof(d->names) / sizeof(d->names[0]));
    *p = (struct disk_name){.kind = kind};
    snprintf(p->from, sizeof(p->from), "%s", from);
    snprintf(p->to, sizeof(p->to), "%s", to);
    snprintf(p->aside, sizeof(p->aside), "aside.%u", ++d->asides);
    if (renameat(d->fd, to, d->fd, p->aside) < 0)
        p->aside[0] = 0;
}

static int disk_create(void *disk, int dir_fd, const char *name)
{
    if (dead(disk))
        return -1;
    name_changes(disk, DISK_CREATE, "", name);
    return fg_journal_file_system.create(NULL, dir_fd, name);
}

static int disk_rename(void *disk, int dir_fd, const char *from, const char *to)
{
    if (dead(disk))
        return -1;
    name_changes(disk, DISK_RENAME, from, to);
    return fg_journal_file_system.rename(NULL, dir_fd, from, to);
}

static int disk_remove(void *disk, int dir_fd, const char *name)
{
    if (dead(disk))
        return -1;
    if (faccessat(dir_fd, name, F_OK, 0) < 0)
        return -1; /* ENOENT */
    name_changes(disk, DISK_REMOVE, "", name);
    return 0;
}

static void drop_asides(struct disk *d)
{
    for (unsigned i = 0; i < d->names_len; i++)
        if (d->names[i].aside[0])
            unlinkat(d->fd, d->names[i].aside, 0);
    d->names_len = 0;
}

static int disk_sync_dir(void *disk, int dir_fd)
{
    struct disk *d = disk;

    if (dead(d))
        return -1;
    drop_asides(d);
    return 0;
}

/* As file systems with a journal do. */
static void lose_names(struct disk *d)
{
    unsigned keep = (unsigned)sim_draw(d->random, d->names_len + 1);

    for (; d->names_len > keep; d->names_len--) {
        const struct disk_name *p = &d->names[d->names_len - 1];

        if (p->kind == DISK_RENAME)
            FG_ASSERT(renameat(d->fd, p->to, d->fd, p->from) == 0);
        else if (p->kind == DISK_CREATE)
            FG_ASSERT(unlinkat(d->fd, p->to, 0) == 0);
        if (p->aside[0])
            FG_ASSERT(renameat(d->fd, p->aside, d->fd, p->to) == 0);
    }
    drop_asides(d);
}

/* ---- durable writes under way ---------------------------------------------------------------- */

static int disk_submit(void *disk, unsigned slot, int fd, const void *data, size_t len,
                       uint64_t offset)
{
    struct disk *d = disk;
    struct disk_flight *f = &d->flights[slot];

    if (dead(d))
        return -1;
    FG_ASSERT(!f->up);
    *f = (struct disk_flight){.up = true,
                              .fd = fd,
                              .end_ms = *d->now_ms + 1 + sim_draw(d->random, d->slow_ms),
                              .offset = offset,
                              .size = len,
                              .data = malloc(len)};
    FG_ASSERT(f->data);
    memcpy(f->data, data, len);
    return 0;
}

/* They may end in any order. */
static int disk_reap(void *disk, unsigned us, unsigned *slot, ssize_t *result)
{
    struct disk *d = disk;
    unsigned i = (unsigned)sim_draw(d->random, FG_JOURNAL_FLIGHTS);
    struct disk_flight *f = &d->flights[i];
    bool now = d->off || us == UINT_MAX;

    if (!f->up || (!now && f->end_ms > *d->now_ms))
        f = &d->flights[i = (i + 1) % FG_JOURNAL_FLIGHTS];
    if (!f->up || (!now && f->end_ms > *d->now_ms))
        return 0;
    redo_some(d, f->fd, f->data, f->size, f->offset, d->off ? sim_draw(d->random, 3) : 2);
    *slot = i;
    *result = d->off ? -EIO : (ssize_t)f->size;
    free(f->data);
    f->data = NULL;
    f->up = false;
    return 1;
}

static uint64_t disk_prepared(void *disk, int fd)
{
    return UINT64_MAX;
}

static int disk_open_direct(void *disk, int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
}

static void disk_forget_cache(void *disk, int fd)
{
}

static bool disk_leads_to(void *disk, const char *path, int fd)
{
    return true; /* nothing moves the folder away */
}

static const struct fg_journal_file_ops disk_ops = {.create = disk_create,
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
                                                    .depth = FG_JOURNAL_FLIGHTS};

/* ---- the power ------------------------------------------------------------------------------- */

void disk_power_off(struct disk *d)
{
    d->off = true;
    d->fuse = 0;
}

void disk_power_back(struct disk *d)
{
    lose_writes(d);
    lose_names(d);
    d->off = false;
}

static void empty_folder(const char *path)
{
    DIR *dir = opendir(path);

    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        closedir(dir);
}

static void empty(const struct disk *d)
{
    char fill[sizeof(d->path) + sizeof(FG_JOURNAL_FILL_DIR) + 1];

    snprintf(fill, sizeof(fill), "%s/" FG_JOURNAL_FILL_DIR, d->path);
    empty_folder(fill);
    rmdir(fill);
    empty_folder(d->path);
}

void disk_begin(struct disk *d, const char *path, uint64_t *now_ms, uint64_t *random)
{
    *d = (struct disk){.ops = disk_ops, .now_ms = now_ms, .random = random, .slow_ms = 3};
    snprintf(d->path, sizeof(d->path), "%s", path);
    d->ops.ctx = d->ops.queue = d;
    FG_ASSERT(mkdir(path, 0700) == 0 || errno == EEXIST);
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    d->writes = malloc(DISK_PENDING_MAX * sizeof(*d->writes));
    FG_ASSERT(d->fd >= 0 && d->writes);
    empty(d);
}

static void settle(struct disk *d)
{
    for (size_t i = 0; i < d->writes_len; i++)
        forget(&d->writes[i]);
    d->writes_len = 0;
    drop_asides(d);
}

void disk_end(struct disk *d)
{
    settle(d);
    empty(d);
    rmdir(d->path);
    close(d->fd);
    free(d->writes);
}
