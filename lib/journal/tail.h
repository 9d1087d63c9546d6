/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * tail: the newest records of a log in memory, from when their commit begins: a leader ships them
 * to its standby while its own disk still has them. One thread adds, one other copies; older
 * records are read from the disk (journal.h).
 */
#ifndef FG_JOURNAL_TAIL_H
#define FG_JOURNAL_TAIL_H

#include "journal/record.h"

#define FG_JOURNAL_TAIL_RECORDS (1u << 17)

struct fg_journal_tail;

/** Empty, behind last_seq. NULL when out of memory. */
struct fg_journal_tail *fg_journal_tail_create(uint64_t last_seq);
void fg_journal_tail_destroy(struct fg_journal_tail *tail); /**< NULL is nothing */

/** The thread that adds: forgets everything; the next record is that behind last_seq. */
void fg_journal_tail_reset(struct fg_journal_tail *tail, uint64_t last_seq);

/** The thread that adds: n sealed records, with rising sequences. Those that it has already stay
 * as they are: a commit that met a full disk is tried again. */
void fg_journal_tail_add(struct fg_journal_tail *tail, const struct fg_journal_record *records,
                         size_t n);

/** The last record in it, durable or not. Either thread. */
uint64_t fg_journal_tail_last(const struct fg_journal_tail *tail);

/**
 * The other thread: copies up to max records from `first` on. Returns how many; 0 when `first` is
 * not there any more, or not yet.
 */
size_t fg_journal_tail_read(const struct fg_journal_tail *tail, uint64_t first,
                            struct fg_journal_record *records, size_t max);

#endif
