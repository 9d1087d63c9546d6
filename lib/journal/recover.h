/* SPDX-License-Identifier: BSD-3-Clause */
/** recover: opens a log on any file system. For tests that break one; others use journal.h. */
#ifndef FG_JOURNAL_RECOVER_H
#define FG_JOURNAL_RECOVER_H

#include "journal/file.h"
#include "journal/journal.h"

/** fg_journal_open() on another file system; *ops is copied, its ctx is not. */
struct fg_journal *fg_journal_open_on(const struct fg_journal_file_ops *ops,
                                      const struct fg_journal_options *options,
                                      struct fg_error *err);

#endif
