/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk that fails, for LD_PRELOAD under the daemon: fdatasync and pwrite64 return EIO as long as
 * the file $FG_FAULTS/sync or $FG_FAULTS/write exists; fdatasync of a snapshot, as long as
 * $FG_FAULTS/snapshot does; fdatasync waits as long as $FG_FAULTS/slow exists, each pread64 of a
 * snapshot 1.1 s as long as $FG_FAULTS/slow-load does, and at each look of the main thread at the
 * monotonic clock 1.1 s have passed as long as $FG_FAULTS/fast-clock does; fsync of what a pair
 * remembers of its register waits as long as $FG_FAULTS/slow-memory exists. What such a sync was to
 * keep stays in the page cache, as on Linux: readable, and not on the disk.
 */
#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool exists(const char *what)
{
    const char *dir = getenv("FG_FAULTS");
    char path[512];
    int before = errno;
    bool there;

    if (!dir)
        return false;
    snprintf(path, sizeof(path), "%s/%s", dir, what);
    there = access(path, F_OK) == 0;
    errno = before;
    return there;
}

static bool fails(const char *what)
{
    if (!exists(what))
        return false;
    errno = EIO;
    return true;
}

static bool is_file(int fd, const char *name)
{
    char link[64], path[512];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, name) != NULL;
}

int fdatasync(int fd)
{
    static int (*real)(int);

    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    while (exists("slow"))
        usleep(20000);
    return fails("sync") || (is_file(fd, "/snapshot.tmp") && fails("snapshot")) ? -1 : real(fd);
}

int fsync(int fd)
{
    static int (*real)(int);

    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    while (is_file(fd, "/pair.memory") && exists("slow-memory"))
        usleep(20000);
    return real(fd);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);

    if (!real)
        real = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    return fails("write") ? -1 : real(fd, data, len, offset);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    static long ahead_ms; /* of the main thread alone */
    int result;

    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    result = real(clock, t);
    if (clock != CLOCK_MONOTONIC || gettid() != getpid())
        return result;
    if (exists("fast-clock"))
        ahead_ms += 1100;
    t->tv_nsec += ahead_ms % 1000 * 1000000;
    t->tv_sec += ahead_ms / 1000 + t->tv_nsec / 1000000000;
    t->tv_nsec %= 1000000000;
    return result;
}

ssize_t pread64(int fd, void *data, size_t len, off64_t offset)
{
    static ssize_t (*real)(int, void *, size_t, off64_t);

    if (!real)
        real = (ssize_t(*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    if (exists("slow-load") && is_file(fd, ".fgs"))
        usleep(1100000);
    return real(fd, data, len, offset);
}
