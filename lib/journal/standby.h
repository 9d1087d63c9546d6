/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * standby: the log of an appliance that keeps the log of another one, its peer in a pair
 * (docs/log.md, "The log of a standby"). Both have the same records under the same sequences. Only
 * the content of batch records is each one's own: it says what is durable here.
 *
 * Shipping needs nothing of its own: a reader (journal.h) that is opened at a sequence.
 */
#ifndef FG_JOURNAL_STANDBY_H
#define FG_JOURNAL_STANDBY_H

#include "journal/journal.h"

#define FG_JOURNAL_ALONE UINT64_MAX

/**
 * The commit watermark that batch records name from now on, or FG_JOURNAL_ALONE (as at open):
 * everything that becomes durable here counts as committed. Any thread.
 */
void fg_journal_set_commit(struct fg_journal *journal, uint64_t commit_seq);

/**
 * Appends n records of the peer behind the last one and makes them durable, as fg_journal_commit
 * does. Journal thread. False and err: records up to fg_journal_last_seq() may be acknowledged,
 * and no later ones. When the state is OK they do not continue this log: a gap, a wrong CRC, an
 * epoch that is not later.
 */
bool fg_journal_append(struct fg_journal *journal, const struct fg_journal_record *records,
                       size_t n, uint64_t now_ms, struct fg_error *err);

/** A commit without records: its BATCH record only says what is committed. As fg_journal_commit. */
bool fg_journal_seal(struct fg_journal *journal, uint64_t now_ms);

/** Calls `staged` with the records of each commit as they will stand in the log, in their order,
 * before they are durable; again when a commit that met a full disk is repeated. Not for appended
 * ones. Journal thread. */
void fg_journal_on_staged(struct fg_journal *journal,
                          void (*staged)(void *ctx, const struct fg_journal_record *records,
                                         size_t n),
                          void *ctx);

/**
 * The last record that the log itself says was committed when it was opened: an acknowledgement may
 * have left. Before the first commit; reads the end of the log. False and err.
 */
bool fg_journal_committed(const struct fg_journal *journal, uint64_t *commit_seq,
                          struct fg_error *err);

/** Whether two records at the same sequence of two logs are the same. */
bool fg_journal_record_same(const struct fg_journal_record *a, const struct fg_journal_record *b);

/* ---- the tail that a deposed leader wrote ---------------------------------------------------- */

#define FG_JOURNAL_TAIL_SUFFIX ".fgd"
#define FG_JOURNAL_TAIL_SIZE   40

struct fg_journal_cut {
    uint64_t records;                /**< cut off; 0 = the log ended there */
    char tail[FG_JOURNAL_TAIL_SIZE]; /**< file in the log's folder that keeps them; "" = none */
};

/**
 * Cuts off what follows keep_seq, the last record in common with the peer, from a log that nobody
 * has open. The records stay in a file beside it, which has the form of a segment. Snapshots beyond
 * it go as well. Refused below what was committed, and when too little would stay to recover from.
 * A crash at any step leaves a log that can be opened, and cut again. False and err.
 */
bool fg_journal_cut(const struct fg_journal_options *options, uint64_t keep_seq,
                    struct fg_journal_cut *cut, struct fg_error *err);

struct fg_journal_file_ops;
/** The same on another file system, for tests. */
bool fg_journal_cut_on(const struct fg_journal_file_ops *ops,
                       const struct fg_journal_options *options, uint64_t keep_seq,
                       struct fg_journal_cut *cut, struct fg_error *err);

#endif
