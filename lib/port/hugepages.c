/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which hugepages we can have. A killed predecessor leaves its files, and with them its pages,
 * behind. The counters of the kernel promise nothing: others reserve pages, a mount and a control
 * group have limits. So the pages are taken once, for a moment.
 */
#include "port/hugepages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#define HUGE_SYSFS "/sys/kernel/mm/hugepages"
#define MOUNTS_MAX 8

struct mounts {
    struct fg_port_hugepages list[MOUNTS_MAX];
    unsigned count;
};

/* Largest pages first; a later mount of the same folder hides the earlier one. */
static void add_mount(struct mounts *m, const char *dir, uint64_t page_bytes)
{
    unsigned at = 0;

    for (unsigned i = 0; i < m->count; i++)
        if (!strcmp(m->list[i].dir, dir))
            return;
    if (m->count == MOUNTS_MAX || strlen(dir) >= sizeof(m->list[0].dir))
        return;
    while (at < m->count && m->list[at].page_bytes >= page_bytes)
        at++;
    memmove(m->list + at + 1, m->list + at, (m->count - at) * sizeof(m->list[0]));
    snprintf(m->list[at].dir, sizeof(m->list[at].dir), "%s", dir);
    m->list[at].page_bytes = page_bytes;
    m->count++;
}

static void read_mounts(struct mounts *m)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    struct mntent entry;
    char line[4096];

    m->count = 0;
    if (!mounts)
        return;
    while (getmntent_r(mounts, &entry, line, sizeof(line))) {
        struct statfs fs;

        if (!strcmp(entry.mnt_type, "hugetlbfs") && statfs(entry.mnt_dir, &fs) == 0)
            add_mount(m, entry.mnt_dir, (uint64_t)fs.f_bsize);
    }
    endmntent(mounts);
}

/* ---- of a killed process --------------------------------------------------------------------- */

/* EAL holds a lock on each file while it lives. */
static void remove_unlocked(const char *dir, const char *name)
{
    char path[1024];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlink(path);
    close(fd);
}

void fg_port_hugepages_reclaim_dir(const char *dir, const char *file_prefix)
{
    char start[128];
    DIR *d = opendir(dir);

    if (!d)
        return;
    snprintf(start, sizeof(start), "%smap_", file_prefix);
    for (struct dirent *e; (e = readdir(d));)
        if (!strncmp(e->d_name, start, strlen(start)))
            remove_unlocked(dir, e->d_name);
    closedir(d);
}

void fg_port_hugepages_reclaim(const char *file_prefix)
{
    struct mounts m;

    read_mounts(&m);
    for (unsigned i = 0; i < m.count; i++)
        fg_port_hugepages_reclaim_dir(m.list[i].dir, file_prefix);
}

/* ---- a trial --------------------------------------------------------------------------------- */

/* Reserves them, which costs no time when they are not there, then takes them: a control group
 * counts only then. */
static int reserve_and_take(int fd, uint64_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int error;

    if (memory == MAP_FAILED)
        return errno;
    do
        error = fallocate(fd, 0, 0, (off_t)bytes) == 0 ? 0 : errno;
    while (error == EINTR);
    munmap(memory, bytes);
    return error;
}

/* Takes the pages and gives them back; 0 or an errno. A start after a crash reclaims the name. */
static int take(const struct fg_port_hugepages *mount, uint64_t bytes, const char *file_prefix)
{
    char path[512];
    int fd, error;

    snprintf(path, sizeof(path), "%s/%smap_trial", mount->dir, file_prefix);
    unlink(path);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    unlink(path);
    error = reserve_and_take(fd, bytes);
    close(fd);
    return error;
}

static uint64_t pages(uint64_t page_bytes, const char *name)
{
    unsigned long long count = 0;
    char path[512];
    FILE *f;

    snprintf(path, sizeof(path), HUGE_SYSFS "/hugepages-%llukB/%s",
             (unsigned long long)page_bytes >> 10, name);
    f = fopen(path, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%llu", &count) != 1)
        count = 0;
    fclose(f);
    return count;
}

/* Bytes that the limit of a mount (its option size=) leaves. */
static uint64_t room_of_mount(const char *dir)
{
    struct statfs fs;

    if (statfs(dir, &fs) < 0 || fs.f_blocks == 0 || (int64_t)fs.f_blocks < 0) /* 0, -1: no limit */
        return UINT64_MAX;
    return (uint64_t)fs.f_bfree * (uint64_t)fs.f_bsize;
}

/* "128 MiB in pages of 2048 KiB are free, which other processes have reserved" */
static void explain(const struct fg_port_hugepages *mount, uint64_t bytes, int error, char *text,
                    size_t size)
{
    unsigned long long kib = mount->page_bytes >> 10;
    uint64_t room = room_of_mount(mount->dir);
    uint64_t free_bytes = pages(mount->page_bytes, "free_hugepages") * mount->page_bytes;
    uint64_t reserved = pages(mount->page_bytes, "resv_hugepages") * mount->page_bytes;

    if (error == EROFS)
        snprintf(text, size, "%s is mounted read-only", mount->dir);
    else if (error == EACCES || error == EPERM)
        snprintf(text, size, "this process may not write to %s", mount->dir);
    else if (room < bytes)
        snprintf(text, size, "the limit of the mount %s leaves %llu MiB", mount->dir,
                 (unsigned long long)room >> 20);
    else if (free_bytes < bytes)
        snprintf(text, size, "%llu MiB are free in pages of %llu KiB (%s)",
                 (unsigned long long)free_bytes >> 20, kib, mount->dir);
    else if (free_bytes - bytes < reserved)
        snprintf(text, size,
                 "%llu MiB are free in pages of %llu KiB (%s), but other processes have reserved "
                 "%llu MiB of them",
                 (unsigned long long)free_bytes >> 20, kib, mount->dir,
                 (unsigned long long)reserved >> 20);
    else
        snprintf(text, size,
                 "the kernel refuses pages of %llu KiB (%s): %s; a limit of the control group "
                 "(hugetlb)?",
                 kib, mount->dir, strerror(error));
}

bool fg_port_hugepages_find(uint64_t bytes, const char *file_prefix,
                            struct fg_port_hugepages *found, struct fg_error *why)
{
    struct mounts m;
    size_t used = 0;

    read_mounts(&m);
    if (!m.count)
        return fg_fail(why, "no hugetlbfs is mounted");
    for (unsigned i = 0; i < m.count; i++) {
        uint64_t page = m.list[i].page_bytes, whole = (bytes + page - 1) / page * page;
        int error = take(&m.list[i], whole, file_prefix);
        char text[400];

        if (error == 0) {
            *found = m.list[i];
            return true;
        }
        explain(&m.list[i], whole, error, text, sizeof(text));
        if (used < sizeof(why->text))
            used += (size_t)snprintf(why->text + used, sizeof(why->text) - used, "%s%s",
                                     used ? "; " : "", text);
    }
    return false;
}
