/* SPDX-License-Identifier: BSD-3-Clause */
/* The disk of the log. */
#include <string.h>

#include "base/folder.h"
#include "doctor/checks.h"
#include "journal/room.h"

#define P99_MS_MAX 10.0 /* of a synced write: shoppers feel more */
#define MIB_S_MIN  50.0 /* a million orders a second write 64 MB/s; a sale rarely needs that */

/* The folder, or the nearest one above it that exists, below the root. */
static void nearest(const struct fg_doctor *d, char folder[FG_DOCTOR_PATH])
{
    char *slash;

    fg_doctor_path(d, folder, "%s", d->config->log.dir);
    while (!fg_doctor_exists(&(struct fg_doctor){.root = ""}, "%s", folder) &&
           (slash = strrchr(folder, '/')) && slash > folder)
        *slash = 0;
}

FG_DOCTOR_CHECK(log_folder)
{
    char folder[FG_DOCTOR_PATH];
    struct fg_error err = {""};

    fg_doctor_path(d, folder, "%s", d->config->log.dir);
    if (fg_folder_check(folder, true, &err))
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT, "[log] dir: %.280s", err.text);
    fg_doctor_mend(f, "mkdir -p %.280s", d->config->log.dir);
}

FG_DOCTOR_CHECK(log_room)
{
    char folder[FG_DOCTOR_PATH];
    struct fg_error err = {""};

    nearest(d, folder);
    if (fg_journal_room_check(folder, &d->config->log, &err))
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING, "%.380s", err.text);
    fg_doctor_mend(f, "df -h %.280s", d->config->log.dir);
}

FG_DOCTOR_CHECK(log_archive)
{
    char folder[FG_DOCTOR_PATH], log[FG_DOCTOR_PATH];
    struct fg_error err = {""};
    bool fault = false;

    if (!d->config->log.archive[0])
        return;
    fg_doctor_path(d, folder, "%s", d->config->log.archive);
    nearest(d, log);
    if (fg_journal_archive_check(folder, log, &fault, &err))
        return;
    fg_doctor_say(f, fault ? FG_DOCTOR_FAULT : FG_DOCTOR_WARNING, "[log] archive: %.350s",
                  err.text);
    fg_doctor_mend(f, "findmnt -T %.280s", d->config->log.archive);
}

static bool is_one_of(const char *type, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(type, *list))
            return true;
    return false;
}

FG_DOCTOR_CHECK(log_memory)
{
    static const char *const memory[] = {"tmpfs", "ramfs", "devtmpfs", NULL};
    struct fg_doctor_mount mount;

    if (d->config->log.durability == FG_JOURNAL_DURABILITY_MEMORY)
        return fg_doctor_skip(f, "see log-durability");
    if (!fg_doctor_mount_of(d, d->config->log.dir, &mount))
        return fg_doctor_skip(f, "/proc/self/mountinfo cannot be read");
    if (is_one_of(mount.type, memory))
        fg_doctor_say(f, FG_DOCTOR_FAULT,
                      "[log] dir = %.100s lies on %s at %.100s: a power cut loses every order",
                      d->config->log.dir, mount.type, mount.point);
}

FG_DOCTOR_CHECK(log_file_system)
{
    static const char *const doubtful[] = {"btrfs", "zfs",     "bcachefs", "overlay", "nfs",
                                           "nfs4",  "cifs",    "smb3",     "9p",      "fuse",
                                           "ceph",  "fuseblk", "vfat",     NULL};
    struct fg_doctor_mount mount;

    if (!fg_doctor_mount_of(d, d->config->log.dir, &mount))
        return fg_doctor_skip(f, "/proc/self/mountinfo cannot be read");
    if (is_one_of(mount.type, doubtful))
        fg_doctor_say(f, FG_DOCTOR_WARNING,
                      "[log] dir lies on %s at %.100s: it promises no room that was prepared, or a "
                      "sync waits for a network; use ext4 or xfs",
                      mount.type, mount.point);
}

FG_DOCTOR_CHECK(log_mount)
{
    struct fg_doctor_mount mount;

    if (!fg_doctor_mount_of(d, d->config->log.dir, &mount))
        return fg_doctor_skip(f, "/proc/self/mountinfo cannot be read");
    if (!strcmp(mount.point, "/"))
        fg_doctor_say(f, FG_DOCTOR_WARNING,
                      "[log] dir = %.200s lies on the root file system: whatever else writes there "
                      "delays orders, and can fill it",
                      d->config->log.dir);
}

FG_DOCTOR_CHECK(log_durability)
{
    if (d->config->log.durability == FG_JOURNAL_DURABILITY_DISK)
        return;
    fg_doctor_say(f, FG_DOCTOR_FAULT,
                  "[log] durability is memory: a power cut loses acknowledged orders");
    fg_doctor_mend_setting(d, f, "log", "durability", "disk");
}

static bool probe(const struct fg_doctor *d, struct fg_doctor_finding *f,
                  struct fg_doctor_disk *disk)
{
    char folder[FG_DOCTOR_PATH];
    struct fg_error err = {""};

    nearest(d, folder);
    if (d->probes->disk(folder, disk, &err))
        return true;
    fg_doctor_skip(f, err.text);
    return false;
}

FG_DOCTOR_CHECK(disk_latency)
{
    struct fg_doctor_disk disk = {0};

    if (!probe(d, f, &disk) || disk.p99_ms <= P99_MS_MAX)
        return;
    fg_doctor_say(
        f, FG_DOCTOR_WARNING,
        "one of a hundred synced writes at [log] dir takes %.1f ms: every answer waits for "
        "one",
        disk.p99_ms);
    fg_doctor_mend(f, "iostat -x 1");
}

FG_DOCTOR_CHECK(disk_throughput)
{
    struct fg_doctor_disk disk = {0};

    if (!probe(d, f, &disk) || disk.mib_per_second >= MIB_S_MIN)
        return;
    fg_doctor_say(f, FG_DOCTOR_WARNING,
                  "[log] dir takes %.0f MiB/s; a busy sale and its snapshots write %.0f",
                  disk.mib_per_second, MIB_S_MIN);
    fg_doctor_mend(f, "iostat -x 1");
}
