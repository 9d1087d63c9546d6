/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * handoff: requests pass to the worker that owns the user. Only the worker's own thread calls
 * these.
 */
#ifndef FG_WORKER_HANDOFF_H
#define FG_WORKER_HANDOFF_H

#include "worker/worker.h"

/** Refuses operations that the key's role does not allow, and gives away requests of other owners;
 * returns how many this worker decides, in their order. */
unsigned fg_worker_hand_off(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n);
/** Takes a burst that the peer handed off. *received: mbufs taken; returns how many jobs they
 * make. */
unsigned fg_worker_handoff_take(struct fg_worker *w, struct fg_worker_peer *peer,
                                struct fg_worker_job *jobs, unsigned *received);
/** Sends staged requests. A request that finds the ring full is answered BUSY. */
void fg_worker_handoff_flush(struct fg_worker *w);

#endif
