/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * epochs: which part of a log was written under which epoch of a pair (docs/log.md, "Epochs"). Two
 * logs of one id are the same up to their last common record; it is found by epoch, not by
 * sequence: both may be long behind it. Any thread; a list has one owner.
 */
#ifndef FG_JOURNAL_EPOCHS_H
#define FG_JOURNAL_EPOCHS_H

#include "base/base.h"

/** Kept in memory and in snapshots; older ones are forgotten. */
#define FG_JOURNAL_EPOCHS_MAX 4096

struct fg_journal_epoch {
    uint64_t epoch;     /**< 0: before the first epoch, or of an appliance that has no peer */
    uint64_t first_seq; /**< the first batch record that names it, right before its EPOCH record */
};

struct fg_journal_epochs {
    uint32_t count;
    bool forgot;                                         /**< there were older ones */
    struct fg_journal_epoch list[FG_JOURNAL_EPOCHS_MAX]; /**< ascending */
};

/** The newest; {0, 0} when there is none. */
struct fg_journal_epoch fg_journal_epochs_last(const struct fg_journal_epochs *epochs);

/** Adds one. True also when it is the newest already. False: it is older than the newest, or does
 * not begin behind it. */
bool fg_journal_epochs_add(struct fg_journal_epochs *epochs, struct fg_journal_epoch epoch);

/**
 * Adds the epochs of the log in dir, from the headers of its segments and from its records, to a
 * list that is empty or that of a snapshot of this log. Beside a writer too. False and err: the log
 * cannot be read, or its epochs contradict each other or the list.
 */
bool fg_journal_epochs_read(struct fg_journal_epochs *epochs, const char *dir,
                            struct fg_error *err);

/**
 * The last record up to which two logs of one id, which end with a_last and b_last, are the same
 * (but for the content of batch records). 0: there is none that is known: nothing in common, or one
 * of them has forgotten it.
 */
uint64_t fg_journal_epochs_common(const struct fg_journal_epochs *a, uint64_t a_last,
                                  const struct fg_journal_epochs *b, uint64_t b_last);

#endif
