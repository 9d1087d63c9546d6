/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * lists: the filter's block list, with the blocks of the penalty box, and its allow list, from the
 * leader of a pair to its standby (docs/pair.md). The thread `fg-pair-lists` of the leader offers
 * each list that has changed, at most once a second and with a twentieth of a CPU; that of the
 * standby puts in force what came. No order waits for it: a change of the last second may be
 * missing after a take-over.
 */
#ifndef FG_REPLICATION_LISTS_H
#define FG_REPLICATION_LISTS_H

#include "penalty/penalty.h"
#include "replication/replication.h"

struct fg_replication_lists;

/** Copied; what the pointers name outlives the thread. */
struct fg_replication_lists_options {
    struct fg_filter *filter;
    struct fg_penalty *penalty;
    /** fg_replication_offer. `fg-pair-lists` calls it, after fg_replication_lists_lead. */
    void (*offer)(void *ctx, enum fg_replication_file file, uint8_t *bytes, size_t size);
    void *ctx;
};

/** NULL and err: the system has no thread for us. */
struct fg_replication_lists *
fg_replication_lists_start(const struct fg_replication_lists_options *options,
                           struct fg_error *err);
/** Hook `received`; returns at once. One thread, and each file always has the same path. */
void fg_replication_lists_received(struct fg_replication_lists *l, enum fg_replication_file file,
                                   const char *path);
/** This appliance leads: puts in force what came until now, nothing later, and offers. */
void fg_replication_lists_lead(struct fg_replication_lists *l);
/** Ends the thread; the two functions above may still be called. NULL is nothing. */
void fg_replication_lists_stop(struct fg_replication_lists *l);
void fg_replication_lists_free(struct fg_replication_lists *l); /**< stopped; NULL is nothing */

#endif
