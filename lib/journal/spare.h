/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * spare: a thread that prepares the file of the next segment while the log is quiet enough. In
 * blocks that are only allocated, each sync of a write waits for the file system's journal, and so
 * for earlier writes of other programs, which can take seconds. Blocks that were filled with zeros
 * before take records without this wait, in half the time. Private to
 * lib/journal.
 *
 * Only the writer calls these. Nothing depends on the thread: without its file the writer allocates
 * one.
 */
#ifndef FG_JOURNAL_SPARE_H
#define FG_JOURNAL_SPARE_H

#include "journal/file.h"

struct fg_spare;

/** The thread makes FG_JOURNAL_SPARE_NAME each time it is wanted, wait_ms later. NULL: no memory or
 * thread.
 */
struct fg_spare *fg_journal_spare_start(const struct fg_journal_file_ops *ops, int dir_fd,
                                        uint64_t bytes, unsigned wait_ms);

/** Removes a file that was not taken. NULL is allowed here and below. */
void fg_journal_spare_stop(struct fg_spare *spare);

/** The file is in use by its name now (or there never was one): another is wanted. */
void fg_journal_spare_want(struct fg_spare *spare);

/**
 * The file, allocated, and as far as there was time zeroed; the caller's from now on. -1: none, and
 * the thread makes none until fg_journal_spare_want().
 */
int fg_journal_spare_take(struct fg_spare *spare);

/** Writes zeros over these bytes of an allocated file, piece by piece, and syncs them; false and
 * errno. */
bool fg_journal_spare_zero(const struct fg_journal_file_ops *ops, int fd, uint64_t from,
                           uint64_t end);

#endif
