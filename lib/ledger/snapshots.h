/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * snapshots: when a snapshot of the ledger is made, and which segments of the log may go after it.
 * The ledger's thread (follower.h) does all of it and applies no record meanwhile. Other threads
 * ask for a snapshot, and read the fields below.
 */
#ifndef FG_LEDGER_SNAPSHOTS_H
#define FG_LEDGER_SNAPSHOTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "journal/journal.h"
#include "ledger/ledger.h"
#include "ledger/snapshot.h"

#define FG_LEDGER_SNAPSHOT_RETRY_MS 10000 /**< between attempts; a tenth while room is short */

struct fg_ledger_snapshots_options {
    const char *dir;              /**< of the log */
    bool memory;                  /**< the log is not on disk: no snapshot is possible */
    uint64_t every;               /**< records between two snapshots; 0 = only when asked for */
    uint64_t keep_bytes;          /**< of old segments that are not needed any more */
    uint64_t sink_keep_bytes;     /**< of the log, for the sake of sinks that lag */
    uint64_t free_bytes;          /**< stay free for the log: a snapshot must not stop the sale */
    uint64_t appliance_id;        /**< of the log */
    const _Atomic int *log_state; /**< enum fg_journal_state */
    const struct fg_clock *clock; /**< started */
    /** The least cursor of the sinks, UINT64_MAX without one: the log keeps what comes after. */
    uint64_t (*passed)(void *ctx);
    /** Segments that begin before this may go, since they are copied; NULL: there is no archive. */
    uint64_t (*archived)(void *ctx);
    /** Segments that begin after this stay, while the disk has room, for a standby that is being
     * filled from a snapshot; UINT64_MAX: there is none. NULL: there is no pair. */
    uint64_t (*held)(void *ctx);
    void *ctx;
};

struct fg_ledger_snapshots {
    struct fg_ledger_snapshots_options options;
    /* The ledger's thread writes, any thread reads. */
    _Atomic uint64_t seq;        /**< of the newest good one; 0 = none */
    _Atomic uint64_t older_seq;  /**< of the one before, which is kept too; 0 = none */
    _Atomic uint64_t created_ms; /**< of the newest, Unix time */
    _Atomic uint64_t made;       /**< since the start */
    _Atomic uint64_t failures;   /**< since the start */
    _Atomic uint64_t retired;    /**< segments removed since the start */
    _Atomic uint64_t forced;     /**< of those: for want of room, before keep_bytes was reached */
    _Atomic uint64_t room_bytes; /**< of the disk, for the log: what is free, and what it has;
                                    UINT64_MAX = unknown */
    _Atomic bool tight;          /**< the disk is too small for keep_bytes: segments went early */
    _Atomic bool running;
    _Atomic uint64_t asked;    /**< requests so far; those who ask write */
    _Atomic uint64_t answered; /**< of them */
    pthread_mutex_t lock;      /**< of `error` */
    char error[256];           /**< why the last attempt failed; "" after one that did not */
    /* The ledger's thread alone. */
    uint64_t failed_ms;  /**< monotonic: when the last attempt failed; 0 = it did not */
    uint64_t check_ms;   /**< when old segments were last checked */
    uint64_t room_ms;    /**< when the disk's room was */
    uint64_t proven_seq; /**< snapshot that was read back */
    unsigned vain; /**< segments removed since the log is full on a disk that says it has room */
};

/** before: the snapshot that the recovery began with; seq 0 = none. */
void fg_ledger_snapshots_init(struct fg_ledger_snapshots *s,
                              const struct fg_ledger_snapshots_options *options,
                              const struct fg_ledger_snapshot_info *before);

/** Ledger's thread, after each batch that it applied and while idle: makes one when it is due. */
void fg_ledger_snapshots_poll(struct fg_ledger_snapshots *s, const struct fg_ledger *ledger);

/**
 * Any other thread: asks for one now and waits. *seq is that of the newest then. `broken` ends the
 * wait: the ledger's thread has ended. False and err.
 */
bool fg_ledger_snapshots_ask(struct fg_ledger_snapshots *s, const _Atomic bool *broken,
                             uint64_t *seq, struct fg_error *err);

/** Copies the error; any thread. */
void fg_ledger_snapshots_error(struct fg_ledger_snapshots *s, char *text, size_t size);

#endif
