/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * pairing: what the journal thread (thread.h) and the replication thread of a pair (docs/pair.md)
 * have to do with each other. Without a pair there is none, and the journal thread has no use for
 * it.
 *
 * The journal thread begins as a *follower*: it takes no records of the workers, and carries out
 * the orders of the replication thread, in the order in which they were given: append records of
 * the peer, cut the log, lead. From *lead* on it commits the records of the workers, and what it
 * commits goes into the tail as soon as it begins. There is no way back.
 *
 *     replication thread                        journal thread
 *     fg_pairing_append, _cut, _lead, _seal --> writes, syncs
 *     event_fd, *_seq, *_done               <-- tells how far it is
 *     fg_pairing_commit: committed_seq, committed --> ledger, sinks, workers, batch records
 *
 * Nobody blocks: orders are bounded, and the replication thread polls event_fd. When it is
 * readable: read it; then written_seq and durable_seq; then began_epoch, cut_done and seal_done.
 * What began (or was cut, which changes durable_seq) has to be told to the protocol before the
 * sequences, which may lie behind it.
 */
#ifndef FG_JOURNAL_PAIRING_H
#define FG_JOURNAL_PAIRING_H

#include <pthread.h>

#include "journal/journal.h"
#include "journal/tail.h"

#define FG_JOURNAL_PAIRING_RECORDS 65536 /**< of the peer that wait for the journal thread */
#define FG_JOURNAL_PAIRING_BATCH   32768 /**< the largest batch_max of a pair: the tail holds two */

/** What the log had when the process started, for fg_pair_create. */
struct fg_journal_pairing_start {
    uint64_t id;                     /**< 0 = there is no log */
    uint64_t first, last, committed; /**< sequences, as in struct fg_pair_log */
    struct fg_journal_epochs epochs;
};

struct fg_journal_pairing_options {
    struct fg_journal *journal; /**< open; NULL = no log yet: a cut begins it */
    /** How to open it again after a cut, or to begin it. dir must stay valid. */
    struct fg_journal_options log;
    const struct fg_journal_epochs *epochs; /**< of the ledger, which may know older ones */
    uint64_t committed_seq; /**< of the ledger: a snapshot may prove more than the log tells */
    unsigned workers;
};

struct fg_journal_pairing_work; /* private */

struct fg_journal_pairing {
    struct fg_journal_pairing_start start;
    int event_fd; /**< the journal thread adds 1 after any change below */

    /* The journal thread writes, any thread reads. */
    struct fg_journal_tail *tail; /**< filled while it leads; the replication thread reads */
    _Atomic uint64_t log_id;      /**< 0 = no log yet */
    _Atomic uint64_t written_seq; /**< last record that is in the tail, or durable */
    _Atomic uint64_t durable_seq; /**< also while it follows */
    _Atomic uint64_t cut_done;    /**< cuts carried out: durable_seq is where the log ends now. Who
                                     keeps a file of the log open has to open it again */
    _Atomic uint64_t began_epoch; /**< newest epoch begun by an order; written after began_seq */
    _Atomic uint64_t began_seq;   /**< its BATCH record; it is durable */
    _Atomic uint64_t seal_done;   /**< seals carried out */
    _Atomic uint64_t sealed_seq;  /**< batch record of the last of them */
    _Atomic bool leads;           /**< it takes the records of the workers */
    _Atomic bool failed;          /**< final: a write or sync failed, or an order cannot be */

    /* The replication thread writes, any thread reads. */
    _Atomic uint64_t committed_seq; /**< commit watermark: for ledger, sinks, inbound, snapshots,
                                       archive and control, in place of the durable sequence */
    struct fg_journal_watermark *committed; /**< [workers] of their records, the same */

    /* The main thread writes. */
    _Atomic bool serves; /**< workers see the modes of a leader; before, that of a follower */
    _Atomic bool ended;  /**< workers see the mode of a log that failed, for good */

    /** Held by whoever changes files of the log other than by a commit, or reads it up to the
     * commit watermark: a cut takes it. */
    pthread_mutex_t files;
    struct fg_journal_pairing_work *work;
};

/** Reads where the log is. After the ledger was recovered, before the journal thread is started.
 * NULL and err. */
struct fg_journal_pairing *
fg_journal_pairing_create(const struct fg_journal_pairing_options *options, struct fg_error *err);
/** The journal thread has stopped, and so has the replication thread. NULL is nothing. */
void fg_journal_pairing_destroy(struct fg_journal_pairing *p);

/* ---- orders of the replication thread -------------------------------------------------------- */

/** Copies n records of the peer, which follow those given before (or the end of the log). False:
 * there is no room for them, nothing was taken. */
bool fg_journal_pairing_append(struct fg_journal_pairing *p,
                               const struct fg_journal_record *records, size_t n);

/** Cuts the log behind keep_seq; nothing when it ends there. Begins log new_log_id when there is
 * none. Then cut_done rises. */
void fg_journal_pairing_cut(struct fg_journal_pairing *p, uint64_t keep_seq, uint64_t new_log_id);

/** Begins an epoch: BATCH and EPOCH record, durable. Then began_epoch is that epoch, and the
 * records of the workers are taken. A leader may be told so again. */
void fg_journal_pairing_lead(struct fg_journal_pairing *p, uint64_t epoch, uint64_t node,
                             const uint8_t nonce[16]);

/** A commit without records, whose batch record does not say that this node is alone. Then
 * seal_done rises. */
void fg_journal_pairing_seal(struct fg_journal_pairing *p);

/**
 * The commit watermark, which never falls. Publishes it, with those of the workers, and names it in
 * the batch records from now on. solo: everything that becomes durable here counts as committed.
 */
void fg_journal_pairing_commit(struct fg_journal_pairing *p, uint64_t committed_seq, bool solo);

/* ---- the main thread ------------------------------------------------------------------------- */

/** The workers sell from now on. */
void fg_journal_pairing_serve(struct fg_journal_pairing *p);
/** The process ends: nothing is accepted any more. Does not wait for the disk. */
void fg_journal_pairing_end(struct fg_journal_pairing *p);

/** Why it failed; "" = it did not. Any thread. */
void fg_journal_pairing_error(struct fg_journal_pairing *p, char *text, size_t size);

#endif
