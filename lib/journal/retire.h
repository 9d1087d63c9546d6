/* SPDX-License-Identifier: BSD-3-Clause */
/** retire: removes old segments on any file system. For tests that break one; others use journal.h.
 */
#ifndef FG_JOURNAL_RETIRE_H
#define FG_JOURNAL_RETIRE_H

#include "journal/file.h"
#include "journal/journal.h"

/** fg_journal_retire() on another file system. */
ssize_t fg_journal_retire_on(const struct fg_journal_file_ops *ops, const char *dir,
                             uint64_t passed_seq, uint64_t keep_bytes, struct fg_error *err);

#endif
