/* SPDX-License-Identifier: BSD-3-Clause */
/* The stage hand off: requests to the owner of the user. Replies come back by transmit.c. */
#include "worker/handoff.h"

#include "worker/reply.h"
#include "worker/report.h"
#include "worker/trace.h"

/* False: the key was revoked in between; the mbuf is freed. */
static bool resume(struct fg_worker *w, struct fg_worker_job *job, struct rte_mbuf *m)
{
    job->mbuf = m;
    job->route = *fg_worker_route(m);
    job->payload = rte_pktmbuf_mtod_offset(m, uint8_t *, job->route.frame.payload);
    job->key = fg_packet_keyring_find(w->keys, job->route.key_id);
    if (fg_likely(job->key != NULL))
        return true;
    fg_counter_add(&w->counters.dropped[FG_PACKET_DROP_KEY], 1);
    rte_pktmbuf_free(m);
    return false;
}

static void refuse_requests(struct fg_worker *w, struct rte_mbuf **mbufs, unsigned n)
{
    fg_counter_add(&w->counters.handoff_full, n);
    for (unsigned i = 0; i < n; i++) {
        struct fg_worker_job job;

        if (resume(w, &job, mbufs[i]))
            fg_worker_reply_refuse(w, &job, FG_PACKET_STATUS_BUSY, FG_WORKER_BUSY_MS);
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

static void stage_request(struct fg_worker *w, unsigned owner, const struct fg_worker_job *job)
{
    struct fg_worker_peer *peer = &w->peers[owner];
    struct fg_worker_route route = job->route;

    route.key_id = job->key->id;
    *fg_worker_route(job->mbuf) = route;
    if (fg_unlikely(w->trace))
        *fg_worker_arrival(job->mbuf) = w->received_ns;
    peer->requests.mbufs[peer->requests.count++] = job->mbuf;
    if (peer->requests.count == w->burst)
        flush_requests(w, peer);
}

unsigned fg_worker_hand_off(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n)
{
    unsigned left = 0;

    for (unsigned i = 0; i < n; i++) {
        const fg_packet_request_at *request = (const fg_packet_request_at *)jobs[i].payload;
        unsigned owner = fg_stock_owner(request, w->workers);

        if (fg_unlikely(!(jobs[i].key->roles & fg_packet_op_roles(request->op)))) {
            fg_counter_add(&w->counters.denied, 1);
            fg_worker_report_signed(w, &jobs[i], FG_PENALTY_OFFENCE_ROLE);
            fg_worker_reply_refuse(w, &jobs[i], FG_PACKET_STATUS_DENIED, 0);
        } else if (owner == w->index) {
            fg_worker_job_keep(jobs, left++, i);
        } else {
            stage_request(w, owner, &jobs[i]);
        }
    }
    return left;
}

unsigned fg_worker_handoff_take(struct fg_worker *w, struct fg_worker_peer *peer,
                                struct fg_worker_job *jobs, unsigned *received)
{
    struct rte_mbuf *mbufs[FG_WORKER_BURST_MAX];
    unsigned n = 0, count = 0;

    if (peer->requests_from)
        n = rte_ring_sc_dequeue_burst(peer->requests_from, (void **)mbufs, w->burst, NULL);
    for (unsigned k = 0; k < n; k++)
        count += resume(w, &jobs[count], mbufs[k]);
    *received = n;
    return count;
}

void fg_worker_handoff_flush(struct fg_worker *w)
{
    for (unsigned i = 0; i < w->workers; i++)
        if (w->peers[i].requests.count)
            flush_requests(w, &w->peers[i]);
}
