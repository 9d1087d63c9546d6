/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * transmit: signed replies to the port, by the worker that polls the queue. Only the worker's own
 * thread calls these.
 */
#ifndef FG_WORKER_TRANSMIT_H
#define FG_WORKER_TRANSMIT_H

#include "worker/worker.h"

/** Makes room in a full batch, by dropping if need be. */
void fg_worker_transmit_full(struct fg_worker *w, struct fg_worker_queue *queue);
/** Stages a reply for the worker that polls the queue. */
void fg_worker_send_by_peer(struct fg_worker *w, struct rte_mbuf *m, uint16_t queue);

/** A reply leaves by the queue of its request. */
static inline void fg_worker_send(struct fg_worker *w, struct rte_mbuf *m, uint16_t queue)
{
    struct fg_worker_queue *q = &w->queues[queue];

    if (fg_unlikely(q->port.worker != w->index)) {
        fg_worker_send_by_peer(w, m, queue);
        return;
    }
    if (fg_unlikely(q->out.count == FG_WORKER_BURST_MAX))
        fg_worker_transmit_full(w, q);
    q->out.mbufs[q->out.count++] = m;
}

/** Takes replies that other workers staged for our queues; returns how many. */
unsigned fg_worker_replies_take(struct fg_worker *w);
/** Gives staged replies to the workers that poll their queues. */
void fg_worker_replies_flush(struct fg_worker *w);
/**
 * The worker keeps replies that the port does not take and retries in the next loop. Until then it
 * receives nothing from that queue: so requests are lost in the receive queue, where they cost
 * nothing, rather than answers that units were given for. When the port takes nothing at all for
 * 100 ms, the worker drops the replies and counts them.
 */
void fg_worker_transmit(struct fg_worker *w);

#endif
