/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * snapshots: when a snapshot of the log is made, and which segments may go after it. All of it
 * happens on the ledger's thread, which applies nothing meanwhile; others only read the fields
 * below.
 */
#ifndef FG_SNAPSHOTS_H
#define FG_SNAPSHOTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"

struct fg_ledger_snapshots {
    _Atomic uint64_t seq;            /**< of the newest good one; 0 = none */
    _Atomic uint64_t older_seq;      /**< of the one before, which is kept too; 0 = none */
    _Atomic uint64_t created_ms;     /**< of the newest, Unix time */
    _Atomic uint64_t made, failures; /**< since the start */
    _Atomic uint64_t retired;        /**< segments removed since the start */
    _Atomic bool running;
    _Atomic uint64_t asked,
        answered;         /**< requests of the operator so far, and how many were dealt with */
    pthread_mutex_t lock; /**< of `error` */
    char error[256];      /**< why the last attempt failed; "" after one that did not */
    /* of the ledger's thread alone */
    uint64_t retry_ms; /**< monotonic: nothing is tried before */
    uint64_t look_ms;  /**< when the segments were last looked at */
};

struct fg_daemon;

void fg_ledger_snapshots_init(struct fg_daemon *d);

/** Ledger thread, after each batch that it applied and while idle: makes one when it is time. */
void fg_ledger_snapshots_poll(struct fg_daemon *d);

/** Control thread: asks for one now and waits. *seq is that of the newest then. False and err. */
bool fg_ledger_snapshots_ask(struct fg_daemon *d, uint64_t *seq, struct fg_error *err);

/** Copies the error; any thread. */
void fg_ledger_snapshots_error(struct fg_daemon *d, char *text, size_t size);

#endif
