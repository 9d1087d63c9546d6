/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * follower: the thread that follows the log into the ledger, and makes its snapshots. Other threads
 * read the ledger under the lock.
 */
#ifndef FG_LEDGER_FOLLOWER_H
#define FG_LEDGER_FOLLOWER_H

#include "journal/doorbell.h"
#include "journal/pairing.h"
#include "ledger/snapshots.h"

/** Of a pair. */
struct fg_ledger_follower_pair {
    struct fg_journal_pairing *pairing;
    /** The ledger's thread, outside the lock: records that the ledger has applied, in order, from
     * the first one that it applies. NULL: nothing is fed. */
    void (*feed)(void *ctx, const struct fg_journal_record *records, size_t n);
    void *ctx;
};

struct fg_ledger_follower {
    pthread_mutex_t lock; /**< of the ledger */
    struct fg_ledger *ledger;
    const char *dir;                     /**< of the log */
    const _Atomic uint64_t *durable_seq; /**< of the log: the journal thread writes */
    _Atomic uint64_t seq;  /**< of the ledger, to read without the lock; this thread writes */
    _Atomic bool broken;   /**< the log holds a record that cannot be, so the thread has ended */
    struct fg_error error; /**< valid once `broken` is set */
    struct fg_ledger_snapshots snapshots;
    struct fg_ledger_follower_pair pair; /**< zeros without one */
    struct fg_journal_doorbell doorbell; /**< of a pair: ends its sleep */
    _Atomic uint64_t feed_to;            /**< fed up to here, and then never again */
    _Atomic bool feeds;                  /**< it still does; this thread writes */
    uint64_t cuts;                       /**< of the pairing, when the log was opened */
    _Atomic bool quit;                   /**< main thread */
    pthread_t thread;
    bool started; /**< main thread */
};

/** Main thread: takes the ledger that the recovery filled, until fg_ledger_follower_free. */
void fg_ledger_follower_init(struct fg_ledger_follower *f, struct fg_ledger *ledger,
                             const struct fg_ledger_snapshots_options *options,
                             const struct fg_ledger_snapshot_info *before);
/** Main thread, before the start: it shares the log with a pair, and feeds. */
void fg_ledger_follower_pair(struct fg_ledger_follower *f,
                             const struct fg_ledger_follower_pair *pair);
/** Main thread. durable_seq: of a pair, its commit watermark. False and err. */
bool fg_ledger_follower_start(struct fg_ledger_follower *f, const _Atomic uint64_t *durable_seq,
                              struct fg_error *err);
/** Main thread. Waits for the end of a snapshot under way. Also when it never started. */
void fg_ledger_follower_stop(struct fg_ledger_follower *f);
void fg_ledger_follower_free(struct fg_ledger_follower *f);

/** Any other thread: the ledger's thread feeds up to seq, which is committed or soon will be, and
 * then never again. */
void fg_ledger_follower_stop_feeding(struct fg_ledger_follower *f, uint64_t seq);
/** Waits until it has stopped. False after timeout_ms, and when the log is broken. */
bool fg_ledger_follower_fed(struct fg_ledger_follower *f, unsigned timeout_ms);

/**
 * Any other thread: waits until the ledger holds everything that is durable now. False after
 * timeout_ms, in which the time of a snapshot does not count, and when the log is broken.
 */
bool fg_ledger_follower_catch_up(struct fg_ledger_follower *f, unsigned timeout_ms);

#endif
