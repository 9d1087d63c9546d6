/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * fill: puts a snapshot of the pair's leader in the place of a log that was too far behind
 * (docs/pair.md, "Filling"). The snapshot lies, whole and durable, in the folder `fill` below that
 * of the log. It is removed unless all of the old log is in it, under the same epochs. At the start
 * of a process, before the log is opened.
 */
#ifndef FG_LEDGER_FILL_H
#define FG_LEDGER_FILL_H

#include "journal/journal.h"

struct fg_journal_file_ops;

/**
 * `log`: how the log is opened. *seq: the snapshot's, 0 = there was none that fits; the log is
 * untouched then. Else the log now begins behind it. A crash at any step, or a failure, leaves what
 * the next call finishes. False and err: not finished.
 */
bool fg_ledger_fill_install(const struct fg_journal_options *log, uint64_t *seq,
                            struct fg_error *err);
/** The same on another file system, for tests. */
bool fg_ledger_fill_install_on(const struct fg_journal_file_ops *ops,
                               const struct fg_journal_options *log, uint64_t *seq,
                               struct fg_error *err);

#endif
