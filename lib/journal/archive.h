/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * archive: copies each complete segment of the log to another folder, FOLDER/ID/ with the id of the
 * log in 16 hexadecimal digits, before it may be removed. A thread of its own: a slow or missing
 * archive delays only the removal. Main thread starts and stops; any thread asks.
 */
#ifndef FG_JOURNAL_ARCHIVE_H
#define FG_JOURNAL_ARCHIVE_H

#include <stdatomic.h>

#include "base/base.h"

struct fg_journal_archive;

/** dir: of the log. committed_seq: only segments that end at or before it are copied, since a cut
 * of a pair may take others; NULL = all that are complete. A folder that is missing is no error
 * here: it is an error of the copies, tried again every second. NULL and err: no memory or thread.
 */
struct fg_journal_archive *fg_journal_archive_start(const char *dir, const char *folder,
                                                    uint64_t appliance_id,
                                                    const _Atomic uint64_t *committed_seq,
                                                    struct fg_error *err);

/** Ends a copy under way; the next start repeats it. Waits at most two seconds for a file system
 * that hangs. NULL is allowed. */
void fg_journal_archive_stop(struct fg_journal_archive *archive);

/** All segments before the one that begins here are copied; 0 = none is. */
uint64_t fg_journal_archive_seq(struct fg_journal_archive *archive);
uint64_t
fg_journal_archive_copied(struct fg_journal_archive *archive); /**< segments, since start */
/** Why the last attempt failed; "" = it did not. */
void fg_journal_archive_error(struct fg_journal_archive *archive, char *text, size_t size);

#endif
