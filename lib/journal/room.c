/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/room.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/folder.h"
#include "journal/journal.h"

#define SPARE_FILES 3 /* the segment that is written, its successor, a snapshot */

bool fg_journal_room_check(const char *folder, const struct fg_journal_settings *settings,
                           struct fg_error *err)
{
    uint64_t need = settings->keep_bytes + SPARE_FILES * settings->segment_bytes, room;
    struct fg_journal_extent extent;
    struct fg_error ignored;
    struct statvfs st;

    if (statvfs(folder, &st) < 0)
        return true;
    room = (uint64_t)st.f_bavail * st.f_frsize;
    if (fg_journal_extent(folder, &extent, &ignored))
        room += extent.bytes;
    return room >= need ||
           fg_fail(err,
                   "%llu MiB are free for the log, with what it has; keep_bytes and three segments "
                   "are %llu MiB: old segments go sooner",
                   (unsigned long long)room >> 20, (unsigned long long)need >> 20);
}

bool fg_journal_archive_check(const char *archive, const char *log, bool *fault,
                              struct fg_error *err)
{
    struct stat st, of_log;

    *fault = true;
    if (stat(archive, &st) < 0)
        return fg_fail(err, "%.250s: %s", archive, strerror(errno));
    if (!fg_folder_check(archive, false, err))
        return false;
    *fault = false;
    return stat(log, &of_log) < 0 || of_log.st_dev != st.st_dev ||
           fg_fail(err, "%.250s lies on the disk of the log: a copy there makes no room", archive);
}
