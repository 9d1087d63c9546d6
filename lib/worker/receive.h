/* SPDX-License-Identifier: BSD-3-Clause */
/** receive: frames from a queue become jobs. Only the worker's own thread calls these. */
#ifndef FG_WORKER_RECEIVE_H
#define FG_WORKER_RECEIVE_H

#include "worker/worker.h"

/** Takes a burst and filters it where no XDP does. *received: frames taken; returns how many are
 * left. Takes none while the queue still has unsent replies. */
unsigned fg_worker_receive(struct fg_worker *w, struct fg_worker_queue *q, struct rte_mbuf **mbufs,
                           unsigned *received);
/** Turns each frame that parses as a request into a job; returns how many. */
unsigned fg_worker_parse(struct fg_worker *w, const struct fg_worker_queue *q,
                         struct rte_mbuf **mbufs, unsigned n, struct fg_worker_job *jobs);
/** Drops requests that are not authentic; returns how many are left, in their order. */
unsigned fg_worker_check(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n);

#endif
