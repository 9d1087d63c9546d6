/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * queue: durable writes under way, as the kernel does them: by io_uring, or one after the other by
 * a system call. And the trial that tells which way of committing is the faster one here. Private
 * to lib/journal.
 */
#ifndef FG_JOURNAL_QUEUE_H
#define FG_JOURNAL_QUEUE_H

#include "journal/file.h"
#include "journal/options.h"

/**
 * Gives ops submit and reap of that way (DSYNC or URING). False: it is refused here.
 *
 * A write by io_uring can outlive the process that began it. The queue holds lock_fd, so that the
 * lock of the log is free only when no write is under way any more.
 */
bool fg_journal_queue_open(struct fg_journal_file_ops *ops, enum fg_journal_way way, int lock_fd);
void fg_journal_queue_close(struct fg_journal_file_ops *ops); /**< nothing is under way */

#define FG_JOURNAL_TRIAL_TEXT 160

struct fg_journal_trial {
    enum fg_journal_way way;          /**< chosen; never AUTO */
    unsigned align;                   /**< bytes, of DSYNC and URING */
    char text[FG_JOURNAL_TRIAL_TEXT]; /**< why, for the operator */
};

/**
 * Opens the queue of the way that is wanted; for AUTO the faster one of PLAIN and DSYNC. PLAIN
 * when that is not possible. Writes and removes FG_JOURNAL_SPARE_NAME in dir_fd, for at most about
 * 0.3 s.
 */
void fg_journal_queue_choose(struct fg_journal_file_ops *ops, int dir_fd, int lock_fd,
                             enum fg_journal_way wanted, struct fg_journal_trial *trial);

#endif
