/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * trace: a worker writes down the steps of some orders. One that traces none has of it one branch a
 * burst and one a loop. One that traces a few has no branch that depends on an order or on how many
 * are traced, but for the second of a burst: a mispredicted one costs a third of a rejection.
 * Only the worker's own thread calls these, but fg_worker_trace_take.
 */
#ifndef FG_WORKER_TRACE_H
#define FG_WORKER_TRACE_H

#include "worker/decide.h"
#include "worker/steps.h"
#include "worker/worker.h"

#define FG_WORKER_TRACE_WAITING 4096 /**< requests whose answer is deferred; more are lost */
#define FG_WORKER_TRACE_RING    16384
#define FG_WORKER_TRACE_SHARES  1000000 /**< a share is given in millionths */

/** Loops that a message names: at most one for each message of the ring, and the present one. */
#define FG_WORKER_TRACE_LOOPS (2 * FG_WORKER_TRACE_RING)
_Static_assert(65536 % FG_WORKER_TRACE_LOOPS == 0 && FG_WORKER_TRACE_WAITING < 65536,
               "fg_worker_steps.loop");

/** A request of this burst that has no answer now. */
struct fg_worker_trace_late {
    uint64_t arrived_ns;
    uint32_t token;
    uint16_t queue;
    uint8_t at;
    uint8_t status; /**< FG_WORKER_TRACE_DEFERRED, BUSY; 0: one answer to it and to the first */
};
#define FG_WORKER_TRACE_DEFERRED 0xff

/** A ring with one producer and one consumer. Not one of base/ring.h: all that the worker has of a
 * burst that is not traced lies on one line, and the consumer puts in when a reply was sent. */
struct fg_worker_trace {
    /* the worker's own */
    _Alignas(FG_CACHE_LINE) int32_t most; /**< an order is traced if the upper half of its hash, as
                                             a signed number, is not greater */
    uint32_t tail, head_seen;             /**< messages written, and taken */
    uint32_t loop;                        /**< number of the present loop */
    uint32_t loop_noted;                  /**< 1: a message names it; else the next has it, too */
    uint32_t waiting_free;                /**< index + 1; 0 = none */
    uint32_t late_count;                  /**< of this burst */
    uint32_t slot_free;                   /**< the worker's, before the request that is decided */
    /* written by the worker */
    _Alignas(FG_CACHE_LINE) _Atomic uint32_t given; /**< messages whose loop is over */
    /* written by the book */
    _Alignas(FG_CACHE_LINE) _Atomic uint32_t head;
    struct fg_worker_trace_late late[FG_WORKER_DECIDE_BURST];
    _Alignas(FG_CACHE_LINE) struct fg_worker_steps ring[FG_WORKER_TRACE_RING];
    struct fg_worker_steps waiting[FG_WORKER_TRACE_WAITING];
    uint64_t sent_ns[FG_WORKER_TRACE_LOOPS]; /**< by the loop's number; fg_clock_passed_ns */
};

extern int fg_worker_arrival_offset; /**< of a dynamic field: arrival of a request handed off */

static inline uint64_t *fg_worker_arrival(struct rte_mbuf *m)
{
    return RTE_MBUF_DYNFIELD(m, fg_worker_arrival_offset, uint64_t *);
}

/**
 * A burst was decided, at w->decided_ns. requests: all n of it, in an array of
 * FG_WORKER_DECIDE_BURST that begins a cache line. jobs, answers: of those that are not late.
 * handed: they came from another worker.
 */
void fg_worker_trace_burst(struct fg_worker *w, const struct fg_stock_request *requests, unsigned n,
                           const struct fg_worker_job *jobs, const struct fg_stock_answer *answers,
                           bool handed);
/** The answer of a slot that waited leaves now. */
void fg_worker_trace_durable(struct fg_worker *w, const struct fg_worker_slot *slot,
                             const struct fg_stock_answer *answer);
/** What the last loop answered was sent by now (fg_clock_passed_ns). */
static inline void fg_worker_trace_sent(struct fg_worker_trace *t, uint64_t now_ns)
{
    t->sent_ns[t->loop % FG_WORKER_TRACE_LOOPS] = now_ns;
    t->loop += t->loop_noted;
    t->loop_noted = 0;
    atomic_store_explicit(&t->given, t->tail, memory_order_release);
}

/** The oldest request whose reply was sent, all steps; false: none. One other thread at a time. */
bool fg_worker_trace_take(struct fg_worker *w, struct fg_worker_steps *s);

#endif
