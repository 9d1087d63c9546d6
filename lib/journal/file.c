/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int system_create(void *ctx, int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
}

static int system_allocate(void *ctx, int fd, uint64_t bytes)
{
    int error;

    do
        error =
            posix_fallocate(fd, 0, (off_t)bytes); /* writes where the file system cannot allocate */
    while (error == EINTR);
    errno = error;
    return error ? -1 : 0;
}

static ssize_t system_write(void *ctx, int fd, const void *data, size_t len, uint64_t offset)
{
    return pwrite(fd, data, len, (off_t)offset);
}

static int system_sync(void *ctx, int fd)
{
    return fdatasync(fd);
}

static void system_forget(void *ctx, int fd)
{
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int system_sync_dir(void *ctx, int dir_fd)
{
    return fsync(dir_fd);
}

static int system_rename(void *ctx, int dir_fd, const char *from, const char *to)
{
    return renameat(dir_fd, from, dir_fd, to);
}

static int system_remove(void *ctx, int dir_fd, const char *name)
{
    return unlinkat(dir_fd, name, 0);
}

static bool system_leads_to(void *ctx, const char *path, int fd)
{
    struct stat there, ours;

    return stat(path, &there) == 0 && fstat(fd, &ours) == 0 && there.st_ino == ours.st_ino &&
           there.st_dev == ours.st_dev;
}

/* Blocks that are only allocated count as a hole, unless they were read, too. */
static uint64_t system_prepared(void *ctx, int fd)
{
    off_t hole = lseek(fd, 0, SEEK_HOLE);

    return hole < 0 ? 0 : (uint64_t)hole;
}

static int system_open_direct(void *ctx, int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_WRONLY | O_DIRECT | O_CLOEXEC);
}

const struct fg_journal_file_ops fg_journal_file_system = {
    .create = system_create,
    .allocate = system_allocate,
    .write = system_write,
    .sync = system_sync,
    .forget = system_forget,
    .sync_dir = system_sync_dir,
    .rename = system_rename,
    .remove = system_remove,
    .leads_to = system_leads_to,
    .prepared = system_prepared,
    .open_direct = system_open_direct,
};

bool fg_journal_file_write(const struct fg_journal_file_ops *ops, int fd, const void *data,
                           size_t len, uint64_t offset)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n = ops->write(ops->ctx, fd, p, len, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
        offset += (size_t)n;
    }
    return true;
}

bool fg_journal_file_read(int fd, void *data, size_t len, uint64_t offset)
{
    uint8_t *p = data;

    while (len > 0) {
        ssize_t n = pread(fd, p, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break;
        p += n;
        len -= (size_t)n;
        offset += (size_t)n;
    }
    memset(p, 0, len);
    return true;
}

bool fg_journal_file_no_space(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG || error == EMFILE ||
           error == ENFILE; /* of files that can be open */
}
