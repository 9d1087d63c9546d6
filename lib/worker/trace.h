/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * trace: a worker writes down the steps of some orders. A worker that traces none has of it one
 * branch a burst and one a loop. Only the worker's own thread calls these.
 */
#ifndef FG_WORKER_TRACE_H
#define FG_WORKER_TRACE_H

#include "worker/steps.h"
#include "worker/worker.h"

#define FG_WORKER_TRACE_WAITING 4096 /**< requests whose answer is deferred; more are lost */
#define FG_WORKER_TRACE_RING    16384
#define FG_WORKER_TRACE_SHARES  1000000 /**< a share is given in millionths */

struct fg_worker_trace {
    uint64_t below;        /**< an order is traced whose hash is smaller */
    struct fg_ring *steps; /**< struct fg_worker_steps; the book consumes (traced.h) */
    unsigned sending;      /**< the next so many slots of the ring: answered in this loop */
    unsigned undecided;    /**< of them, these last ones still lack their decided_ns */
    uint32_t waiting_free; /**< index + 1; 0 = none */
    struct fg_worker_steps waiting[FG_WORKER_TRACE_WAITING];
};

extern int fg_worker_arrival_offset; /**< of a dynamic field: arrival of a request handed off */

static inline uint64_t *fg_worker_arrival(struct rte_mbuf *m)
{
    return RTE_MBUF_DYNFIELD(m, fg_worker_arrival_offset, uint64_t *);
}

/**
 * A request of a traced order was decided. arrived_ns: when it was polled, by this worker
 * or the one that handed it over. answer: NULL when it is deferred or there is none. token: the
 * slot that was free before.
 */
void fg_worker_trace_note(struct fg_worker *w, const struct fg_stock_request *request,
                          unsigned queue, uint64_t arrived_ns, const struct fg_stock_answer *answer,
                          uint32_t token);
/** The burst is decided: at w->decided_ns. */
void fg_worker_trace_decided(struct fg_worker *w);
/** The answer of a slot that waited leaves now. */
void fg_worker_trace_durable(struct fg_worker *w, const struct fg_worker_slot *slot,
                             const struct fg_stock_answer *answer);
/** What the last loop answered was sent by now (fg_clock_passed_ns). */
void fg_worker_trace_sent(struct fg_worker *w, uint64_t now_ns);

#endif
