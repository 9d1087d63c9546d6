/* SPDX-License-Identifier: BSD-3-Clause */
/* mbufs between workers: requests to the owner of the user, finished replies back to who polls the
 * queue. */
#include "worker/worker.h"

#include "worker/budget.h"

int fg_worker_route_offset = -1;

bool fg_worker_job_resume(struct fg_worker *w, struct fg_worker_job *job, struct rte_mbuf *m)
{
    job->mbuf = m;
    job->mark = *fg_worker_route(m);
    job->payload = rte_pktmbuf_mtod_offset(m, uint8_t *, job->mark.frame.payload);
    job->key = fg_packet_keyring_find(w->keys, job->mark.key_id);
    if (fg_likely(job->key != NULL))
        return true;
    fg_counter_add(&w->counters.dropped[FG_DROP_KEY], 1); /* revoked on the way here */
    rte_pktmbuf_free(m);
    return false;
}

static void refuse_requests(struct fg_worker *w, struct rte_mbuf **mbufs, unsigned n)
{
    fg_counter_add(&w->counters.handoff_full, n);
    for (unsigned i = 0; i < n; i++) {
        struct fg_worker_job job;

        if (fg_worker_job_resume(w, &job, mbufs[i]))
            fg_worker_reply_refuse(w, &job, FG_STATUS_BUSY, FG_BUSY_MS);
    }
}

static void flush_requests(struct fg_worker *w, struct fg_worker_peer *peer)
{
    struct fg_worker_batch *b = &peer->requests;
    unsigned n = rte_ring_sp_enqueue_burst(peer->requests_to, (void **)b->mbufs, b->count, NULL);
    unsigned left = b->count - n;

    b->count = 0;
    fg_counter_add(&w->counters.handed_off, n);
    if (fg_unlikely(left))
        refuse_requests(w, b->mbufs + n, left);
}

static void flush_replies(struct fg_worker *w, struct fg_worker_peer *peer)
{
    struct fg_worker_batch *b = &peer->replies;
    unsigned n = rte_ring_sp_enqueue_burst(peer->replies_to, (void **)b->mbufs, b->count, NULL);
    unsigned left = b->count - n;

    b->count = 0;
    if (fg_unlikely(left)) { /* who polls the queue cannot keep up: the client asks again */
        fg_counter_add(&w->counters.tx_dropped, left);
        rte_pktmbuf_free_bulk(b->mbufs + n, left);
    }
}

void fg_worker_handoff_request(struct fg_worker *w, unsigned owner, const struct fg_worker_job *job)
{
    struct fg_worker_peer *peer = &w->peers[owner];
    struct fg_worker_route mark = job->mark;

    mark.key_id = job->key->id;
    *fg_worker_route(job->mbuf) = mark;
    peer->requests.mbufs[peer->requests.count++] = job->mbuf;
    if (peer->requests.count == w->burst)
        flush_requests(w, peer);
}

void fg_worker_handoff_reply(struct fg_worker *w, struct rte_mbuf *m, uint16_t queue)
{
    struct fg_worker_peer *peer = &w->peers[w->queues[queue].worker];

    fg_worker_route(m)->queue = queue;
    peer->replies.mbufs[peer->replies.count++] = m;
    if (peer->replies.count == w->burst)
        flush_replies(w, peer);
}

unsigned fg_worker_handoff_receive(struct fg_worker *w)
{
    struct rte_mbuf *mbufs[FG_BURST_MAX];
    struct fg_worker_job jobs[FG_BURST_MAX];
    unsigned work = 0;

    for (unsigned i = 0; i < w->workers; i++) {
        struct rte_ring *ring = w->peers[i].requests_from;
        unsigned n = ring ? rte_ring_sc_dequeue_burst(ring, (void **)mbufs, w->burst, NULL) : 0;
        unsigned count = 0;

        for (unsigned k = 0; k < n; k++)
            count += fg_worker_job_resume(w, &jobs[count], mbufs[k]);
        FG_BUDGET_END(HANDOFF);
        fg_worker_decide(w, jobs, count);
        work += n;
    }
    return work;
}

unsigned fg_worker_handoff_replies(struct fg_worker *w)
{
    struct rte_mbuf *mbufs[FG_BURST_MAX];
    unsigned work = 0;

    for (unsigned i = 0; i < w->workers; i++) {
        struct rte_ring *ring = w->peers[i].replies_from;
        unsigned room = RTE_MIN(w->burst, FG_BURST_MAX - w->backlog);
        unsigned n = ring ? rte_ring_sc_dequeue_burst(ring, (void **)mbufs, room, NULL) : 0;

        for (unsigned k = 0; k < n; k++)
            fg_worker_reply_send(w, mbufs[k], fg_worker_route(mbufs[k])->queue);
        work += n;
    }
    return work;
}

/* Requests first: what a full ring refuses becomes a reply. Then all replies of this loop are
 * signed together. */
void fg_worker_handoff_flush(struct fg_worker *w)
{
    for (unsigned i = 0; i < w->workers; i++)
        if (w->peers[i].requests.count)
            flush_requests(w, &w->peers[i]);
    FG_BUDGET_END(HANDOFF);
    fg_worker_sign(w);
    for (unsigned i = 0; i < w->workers; i++)
        if (w->peers[i].replies.count)
            flush_replies(w, &w->peers[i]);
}
