/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"

#define VERSION 1u /* of the file */
#define FORM    "floodgate-pair-memory %u revision %lld epoch %llu\n"

static int open_folder(const char *dir, struct fg_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = errno;

    if (fd < 0)
        fg_fail(err, "%.300s: %s", dir, strerror(error));
    errno = error;
    return fd;
}

bool fg_replication_memory_read(const char *dir, struct fg_pair_memory *memory,
                                struct fg_error *err)
{
    char text[128] = "", again[128];
    unsigned version = VERSION;
    long long revision = 0;
    unsigned long long epoch = 0;
    int folder = open_folder(dir, err), fd, found;
    ssize_t size;

    *memory = (struct fg_pair_memory){0};
    if (folder < 0)
        return errno == ENOENT; /* there is no log yet */
    fd = openat(folder, FG_REPLICATION_MEMORY_NAME, O_RDONLY | O_CLOEXEC);
    close(folder);
    if (fd < 0)
        return errno == ENOENT ||
               fg_fail(err, "%.300s/%s: %s", dir, FG_REPLICATION_MEMORY_NAME, strerror(errno));
    size = read(fd, text, sizeof(text) - 1);
    close(fd);
    found = size > 0 ? sscanf(text, FORM, &version, &revision, &epoch) : 0;
    if (version != VERSION)
        return fg_fail(err, "%.300s/%s: format version %u, this program reads %u", dir,
                       FG_REPLICATION_MEMORY_NAME, version, VERSION);
    if (found == 3) {
        snprintf(again, sizeof(again), FORM, version, revision, epoch);
        *memory = (struct fg_pair_memory){revision, epoch};
        if (strcmp(text, again) == 0)
            return true;
    }
    return fg_fail(err, "%.300s/%s is damaged: it tells which register of the pair was seen last",
                   dir, FG_REPLICATION_MEMORY_NAME);
}

static bool write_whole(int fd, const char *text, size_t size)
{
    return fd >= 0 && write(fd, text, size) == (ssize_t)size && fsync(fd) == 0;
}

bool fg_replication_memory_write(const char *dir, const struct fg_pair_memory *memory,
                                 struct fg_error *err)
{
    static const char fresh[] = FG_REPLICATION_MEMORY_NAME ".new";
    char text[128], path[512];
    int size = snprintf(text, sizeof(text), FORM, VERSION, (long long)memory->revision,
                        (unsigned long long)memory->epoch);
    int folder, fd;
    bool done;

    snprintf(path, sizeof(path), "%.480s/%s", dir, FG_REPLICATION_MEMORY_NAME);
    if (!fg_folder_make_parents(path, 0750, err)) /* a standby may have no log yet */
        return false;
    folder = open_folder(dir, err);
    if (folder < 0)
        return false;
    fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    done = write_whole(fd, text, (size_t)size) &&
           renameat(folder, fresh, folder, FG_REPLICATION_MEMORY_NAME) == 0 && fsync(folder) == 0;
    if (!done)
        fg_fail(err, "%.300s/%s: %s", dir, FG_REPLICATION_MEMORY_NAME, strerror(errno));
    if (fd >= 0)
        close(fd);
    close(folder);
    return done;
}
