/* SPDX-License-Identifier: BSD-3-Clause */
#include "member/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define VERSION 1u /* of the file */
#define FORM    "floodgate-fleet-seen %u revision %lld\n"

static int open_folder(const char *dir, struct fg_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        fg_fail(err, "%.300s: %s", dir, strerror(errno));
    return fd;
}

bool fg_member_memory_read(const char *dir, int64_t *revision, struct fg_error *err)
{
    char text[96] = "", again[96];
    int folder = open_folder(dir, err), fd;
    unsigned version = VERSION;
    long long number = 0;
    ssize_t size;
    int found;

    *revision = 0;
    if (folder < 0)
        return false;
    fd = openat(folder, FG_MEMBER_MEMORY_NAME, O_RDONLY | O_CLOEXEC);
    close(folder);
    if (fd < 0)
        return errno == ENOENT ||
               fg_fail(err, "%.300s/%s: %s", dir, FG_MEMBER_MEMORY_NAME, strerror(errno));
    size = read(fd, text, sizeof(text) - 1);
    close(fd);
    found = size > 0 ? sscanf(text, FORM, &version, &number) : 0;
    if (version != VERSION)
        return fg_fail(err, "%.300s/%s: format version %u, this program reads %u", dir,
                       FG_MEMBER_MEMORY_NAME, version, VERSION);
    if (found == 2) {
        snprintf(again, sizeof(again), FORM, version, number);
        *revision = number;
        if (strcmp(text, again) == 0)
            return true;
    }
    return fg_fail(err, "%.300s/%s is damaged: it tells which revision of etcd was seen last", dir,
                   FG_MEMBER_MEMORY_NAME);
}

static bool write_whole(int fd, const char *text, size_t size)
{
    return fd >= 0 && write(fd, text, size) == (ssize_t)size && fdatasync(fd) == 0;
}

bool fg_member_memory_write(const char *dir, int64_t revision, struct fg_error *err)
{
    static const char fresh[] = FG_MEMBER_MEMORY_NAME ".new";
    char text[96];
    size_t size = (size_t)snprintf(text, sizeof(text), FORM, VERSION, (long long)revision);
    int folder = open_folder(dir, err), fd;
    bool done;

    if (folder < 0)
        return false;
    fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    done = write_whole(fd, text, size) &&
           renameat(folder, fresh, folder, FG_MEMBER_MEMORY_NAME) == 0 && fsync(folder) == 0;
    if (!done)
        fg_fail(err, "%.300s/%s: %s", dir, FG_MEMBER_MEMORY_NAME, strerror(errno));
    if (fd >= 0)
        close(fd);
    close(folder);
    return done;
}
