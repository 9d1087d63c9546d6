/* SPDX-License-Identifier: BSD-3-Clause */
/** room: the disks of the log and its archive against the settings, for `floodgate --check` and the
 * doctor. Any thread; changes nothing. */
#ifndef FG_JOURNAL_ROOM_H
#define FG_JOURNAL_ROOM_H

#include "base/base.h"
#include "journal/options.h"

/**
 * Whether the file system of `folder`, which holds the log or will, has room for keep_bytes, what
 * the log has there now included. True also when it does not say. False and err.
 */
bool fg_journal_room_check(const char *folder, const struct fg_journal_settings *settings,
                           struct fg_error *err);

/** Whether the archive's folder is there, can be written, and lies on another file system than the
 * log. False and err; *fault: nothing can be copied. */
bool fg_journal_archive_check(const char *archive, const char *log, bool *fault,
                              struct fg_error *err);

#endif
