/* SPDX-License-Identifier: BSD-3-Clause */
/* The stage transmit, and the replies that pass from the deciding worker to the polling one. */
#include "worker/transmit.h"

#include "worker/leading.h"

#include <rte_ethdev.h>

#define TX_WAIT_MS 100 /* a port that takes nothing for so long has lost its peer */

int fg_worker_route_offset = -1;

static void flush_replies(struct fg_worker *w, struct fg_worker_peer *peer)
{
    struct fg_worker_batch *b = &peer->replies;
    unsigned n = rte_ring_sp_enqueue_burst(peer->replies_to, (void **)b->mbufs, b->count, NULL);
    unsigned left = b->count - n;

    b->count = 0;
    if (fg_unlikely(left)) { /* that worker cannot keep up: the client asks again */
        fg_counter_add(&w->counters.tx_dropped, left);
        rte_pktmbuf_free_bulk(b->mbufs + n, left);
    }
}

void fg_worker_send_by_peer(struct fg_worker *w, struct rte_mbuf *m, uint16_t queue)
{
    struct fg_worker_peer *peer = &w->peers[w->queues[queue].port.worker];

    fg_worker_route(m)->queue = queue;
    peer->replies.mbufs[peer->replies.count++] = m;
    if (peer->replies.count == w->burst)
        flush_replies(w, peer);
}

unsigned fg_worker_replies_take(struct fg_worker *w)
{
    struct rte_mbuf *mbufs[FG_WORKER_BURST_MAX];
    unsigned work = 0;

    for (unsigned i = 0; i < w->workers; i++) {
        struct rte_ring *ring = w->peers[i].replies_from;
        unsigned room = RTE_MIN(w->burst, FG_WORKER_BURST_MAX - w->backlog);
        unsigned n = ring ? rte_ring_sc_dequeue_burst(ring, (void **)mbufs, room, NULL) : 0;

        for (unsigned k = 0; k < n; k++)
            fg_worker_send(w, mbufs[k], fg_worker_route(mbufs[k])->queue);
        work += n;
    }
    return work;
}

void fg_worker_replies_flush(struct fg_worker *w)
{
    for (unsigned i = 0; i < w->workers; i++)
        if (w->peers[i].replies.count)
            flush_replies(w, &w->peers[i]);
}

static void drop_replies(struct fg_worker *w, struct fg_worker_batch *b)
{
    fg_counter_add(&w->counters.tx_dropped, b->count);
    rte_pktmbuf_free_bulk(b->mbufs, b->count);
    b->count = 0;
}

static void transmit(struct fg_worker *w, struct fg_worker_queue *queue)
{
    struct fg_worker_batch *b = &queue->out;
    unsigned done = 0, n;

    if (fg_unlikely(w->leading && fg_worker_is_stale(w)))
        b->count = fg_worker_drop_stale(w, b->mbufs, b->count);
    do {
        n = rte_eth_tx_burst(queue->port.ethdev, queue->port.index, b->mbufs + done,
                             (uint16_t)(b->count - done));
        done += n;
    } while (n && done < b->count);
    fg_counter_add(&w->counters.tx, done);
    b->count -= done;
    if (fg_likely(!b->count)) {
        queue->stuck_ms = 0;
        return;
    }
    memmove(b->mbufs, b->mbufs + done, b->count * sizeof(b->mbufs[0]));
    if (done || !queue->stuck_ms)
        queue->stuck_ms = w->now_ms;
    else if (w->now_ms >= queue->stuck_ms + TX_WAIT_MS)
        drop_replies(w, b);
}

void fg_worker_transmit_full(struct fg_worker *w, struct fg_worker_queue *queue)
{
    transmit(w, queue);
    if (queue->out.count == FG_WORKER_BURST_MAX)
        drop_replies(w, &queue->out);
}

void fg_worker_transmit(struct fg_worker *w)
{
    w->backlog = 0;
    for (unsigned i = 0; i < w->polled_count; i++) {
        struct fg_worker_queue *q = &w->queues[w->polled[i]];

        if (!q->out.count)
            continue;
        transmit(w, q);
        w->backlog = RTE_MAX(w->backlog, q->out.count);
    }
    if (!w->durable_count)
        return;
    fg_histogram_add(&w->latency.send, FG_HISTOGRAM_NS_SHIFT,
                     fg_clock_passed_ns(w->clock) - w->durable_ns, w->durable_count);
    w->durable_count = 0;
}
