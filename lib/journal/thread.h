/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * thread: the thread that makes the records of the workers durable, commit after commit, and tells
 * the workers in which mode they are. Every acknowledgement waits for it.
 *
 * It has the lowest real-time priority. It sleeps when there is no record: a worker that waits for
 * it rings the doorbell.
 */
#ifndef FG_JOURNAL_THREAD_H
#define FG_JOURNAL_THREAD_H

#include <pthread.h>

#include "base/clock.h"
#include "base/histogram.h"
#include "journal/doorbell.h"
#include "journal/journal.h"
#include "journal/pairing.h"

#define FG_JOURNAL_SLOW_MS 1000 /**< of one commit: shoppers repeat their requests before */

/** The pointers must stay valid until the thread has stopped. */
struct fg_journal_thread_options {
    struct fg_journal *journal;              /**< with a pairing: NULL = no log yet */
    struct fg_ring **records;                /**< [workers] to this thread */
    struct fg_journal_watermark *watermarks; /**< [workers] this thread writes */
    unsigned workers;
    size_t batch_max; /**< records of one commit, 0 = 8192 */
    bool woken;       /**< idle workers ring the doorbell, so the thread may sleep longer */
    const struct fg_clock *clock; /**< started */
    /** The last record that the ledger has; NULL = no matter. While it lacks more than lag_max
     * durable ones, and until it lacks half of that, the mode is that of a full log. */
    const _Atomic uint64_t *followed_seq;
    uint64_t lag_max;
    /** The mode of the workers for this state of the log. */
    int (*mode)(enum fg_journal_state state, bool stopping);
    struct fg_journal_pairing *pairing; /**< NULL = no pair */
    int follower_mode;                  /**< of the workers, until pairing->serves */
};

/** How long commits take. The journal thread writes, any thread reads. ms, monotonic. */
struct fg_journal_commit_watch {
    _Atomic uint64_t began_ms; /**< of the oldest commit under way; 0 = none */
    _Atomic uint64_t max_ms;   /**< longest so far */
    _Atomic uint64_t slow;     /**< commits that took FG_JOURNAL_SLOW_MS or more */
    _Atomic uint64_t slow_ms;  /**< how long the last of them took */
    struct fg_histogram took;  /**< ns, of those that made records durable */
    struct fg_histogram size;  /**< their records */
};

/** When commits under way began, oldest first. */
struct fg_journal_commit_start {
    uint64_t ms, ns, tsc;
};

struct fg_journal_thread {
    struct fg_journal_thread_options options;
    struct fg_journal_committer committer; /**< this thread writes */
    struct fg_journal_commit_watch watch;
    struct fg_journal_commit_start starts[FG_JOURNAL_BUFFERS]; /**< this thread */
    struct fg_journal_doorbell doorbell;                       /**< workers ring it */
    _Atomic int mode;              /**< this thread writes, workers read */
    _Atomic uint64_t commit_began; /**< TSC, of the oldest commit under way; 0 = none; the same */
    _Atomic bool lagging;          /**< the ledger lacks too many records; the same */
    _Atomic uint64_t lagged;       /**< how often it did; the same */
    _Atomic bool stopping;         /**< main thread: the workers make no new decisions */
    _Atomic bool halted;           /**< any thread: the same, and it may end */
    _Atomic bool quit;             /**< main thread */
    _Atomic bool raised;           /**< it has its priority; this thread writes */
    pthread_t thread;
    bool started; /**< main thread */
};

/** Main thread. *t is zeroed before; it may not move until the stop. The thread has its priority
 * when this returns. False and err. */
bool fg_journal_thread_start(struct fg_journal_thread *t,
                             const struct fg_journal_thread_options *options, struct fg_error *err);
/** Waits for the end of the commit under way. Also when the thread never started. The log to close
 * is then t->committer.journal: with a pairing it may be another one than at the start, or NULL. */
void fg_journal_thread_stop(struct fg_journal_thread *t);

/** The last record that may be told to anybody: with a pairing the commit watermark, otherwise the
 * last durable one. For ledger, sinks, inbound, snapshots, archive, control. Valid for as long as
 * thread and pairing. */
static inline const _Atomic uint64_t *fg_journal_thread_committed(const struct fg_journal_thread *t)
{
    return t->options.pairing ? &t->options.pairing->committed_seq : &t->committer.durable_seq;
}

/** As fg_journal_in_place and fg_journal_error, but right while a cut opens the log anew. Any
 * thread, while the thread runs. */
bool fg_journal_thread_in_place(struct fg_journal_thread *t);
void fg_journal_thread_error(struct fg_journal_thread *t, char *text, size_t size);

#endif
