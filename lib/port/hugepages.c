/* SPDX-License-Identifier: BSD-3-Clause */
/* Which hugepages we can have. A killed predecessor leaves its files, and with them its pages,
 * behind. */
#include "port/hugepages.h"

#include <dirent.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define HUGE_SYSFS "/sys/kernel/mm/hugepages"

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

static void reclaim_dir(const char *dir, const char *file_prefix)
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

static void each_hugetlbfs(void (*call)(const char *dir, const char *arg), const char *arg)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    struct mntent entry;
    char line[4096];

    if (!mounts)
        return;
    while (getmntent_r(mounts, &entry, line, sizeof(line)))
        if (!strcmp(entry.mnt_type, "hugetlbfs"))
            call(entry.mnt_dir, arg);
    endmntent(mounts);
}

void fg_port_hugepages_reclaim(const char *file_prefix)
{
    each_hugetlbfs(reclaim_dir, file_prefix);
}

static bool mounted;

static void note_mount(const char *dir, const char *arg)
{
    mounted = true;
}

static uint64_t free_of_size(const char *name)
{
    unsigned long long kib, pages = 0;
    char path[512];
    FILE *f;

    if (sscanf(name, "hugepages-%llukB", &kib) != 1)
        return 0;
    snprintf(path, sizeof(path), HUGE_SYSFS "/%s/free_hugepages", name);
    f = fopen(path, "r");
    if (!f)
        return 0;
    if (fscanf(f, "%llu", &pages) != 1)
        pages = 0;
    fclose(f);
    return (uint64_t)kib * 1024 * pages;
}

uint64_t fg_port_hugepages_free_bytes(void)
{
    uint64_t bytes = 0;
    DIR *d;

    mounted = false;
    each_hugetlbfs(note_mount, NULL);
    if (!mounted)
        return 0;
    d = opendir(HUGE_SYSFS);
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));)
        bytes += free_of_size(e->d_name);
    closedir(d);
    return bytes;
}
