/* SPDX-License-Identifier: BSD-3-Clause */
/* The stages receive, parse and check. */
#include "worker/receive.h"

#include "worker/filter.h"
#include "worker/report.h"
#include "worker/transmit.h"

#include <rte_ethdev.h>
#include <rte_prefetch.h>

#define PREFETCH_AHEAD 4
#define NEIGHBOUR_MAX                                                                              \
    16 /* ARP, ND and pings answered in a millisecond: a ping flood costs no sale */

/* Says where the port's addresses are, on a port without a kernel. */
static __attribute__((noinline)) void announce(struct fg_worker *w, const struct fg_worker_queue *q)
{
    atomic_store(q->port.announce, false);
    for (unsigned i = 0; i < q->port.host->count; i++) {
        struct rte_mbuf *m;

        if (!q->port.host->addresses[i].family)
            continue; /* at the other appliance of a pair */
        m = rte_pktmbuf_alloc(q->port.pool);
        if (!m)
            return; /* it comes again */
        m->data_len = (uint16_t)fg_frame_host_announce(
            rte_pktmbuf_mtod(m, uint8_t *), &q->port.host->addresses[i], q->port.host->mac);
        m->pkt_len = m->data_len;
        m->packet_type = FG_WORKER_NEIGHBOUR;
        fg_worker_send(w, m, q->port.number);
    }
}

unsigned fg_worker_receive(struct fg_worker *w, struct fg_worker_queue *q, struct rte_mbuf **mbufs,
                           unsigned *received)
{
    unsigned n = 0;

    if (fg_unlikely(q->port.announce &&
                    atomic_load_explicit(q->port.announce, memory_order_relaxed)))
        announce(w, q);
    if (fg_likely(!q->out.count)) /* else the port has not even taken the earlier answers */
        n = rte_eth_rx_burst(q->port.ethdev, q->port.index, mbufs, (uint16_t)w->burst);
    *received = n;
    if (n == 0)
        return 0;
    fg_counter_add(&w->counters.rx, n);
    return q->port.filtered ? fg_worker_filter(w, mbufs, n) : n;
}

/* Headers and order packet: the frame begins behind a headroom that is a multiple of a line. */
static inline void prefetch_frame(struct rte_mbuf *m)
{
    rte_prefetch0(rte_pktmbuf_mtod(m, void *));
    rte_prefetch0(rte_pktmbuf_mtod_offset(m, void *, RTE_CACHE_LINE_SIZE));
}

static void drop(struct fg_worker *w, struct rte_mbuf *m, enum fg_packet_drop why)
{
    bool tag = why == FG_PACKET_DROP_TAG || why == FG_PACKET_DROP_KEY;

    fg_counter_add(&w->counters.dropped[why], 1);
    fg_worker_report(w, m, tag ? FG_PENALTY_OFFENCE_BAD_TAG : FG_PENALTY_OFFENCE_MALFORMED);
    rte_pktmbuf_free(m);
}

/* A port without a kernel behind it ignores what a kernel would not take either. */
static bool is_foreign(struct fg_worker *w, struct rte_mbuf *m, const struct fg_worker_queue *q)
{
    if (!q->port.host ||
        fg_frame_host_is_target(rte_pktmbuf_mtod(m, uint8_t *), m->data_len, q->port.host))
        return false;
    fg_counter_add(&w->counters.foreign, 1);
    rte_pktmbuf_free(m);
    return true;
}

/* Answers as a kernel would, on a port without one. False: not for us, or over the limit. */
static bool answer_neighbour(struct fg_worker *w, struct rte_mbuf *m,
                             const struct fg_worker_queue *q)
{
    const struct fg_frame_host *host = q->port.host;
    uint32_t len;

    if (!host || m->nb_segs != 1)
        return false;
    if (w->neighbour_ms != w->now_ms) {
        w->neighbour_ms = w->now_ms;
        w->neighbour_count = 0;
    }
    if (w->neighbour_count == NEIGHBOUR_MAX)
        return false;
    len = fg_frame_host_answer(rte_pktmbuf_mtod(m, uint8_t *), m->data_len,
                               m->data_len + rte_pktmbuf_tailroom(m), host);
    if (!len)
        return false;
    w->neighbour_count++;
    fg_counter_add(&w->counters.neighbour, 1);
    m->data_len = (uint16_t)len;
    m->pkt_len = len;
    m->ol_flags = 0;
    m->packet_type = FG_WORKER_NEIGHBOUR;
    fg_worker_send(w, m, q->port.number);
    return true;
}

/* Another frame, a malformed order packet, or one that is not for us. */
static __attribute__((noinline)) void parse_failed(struct fg_worker *w, struct rte_mbuf *m,
                                                   const struct fg_worker_queue *q,
                                                   enum fg_frame_kind kind, enum fg_packet_drop why)
{
    if (kind != FG_FRAME_OTHER) {
        if (is_foreign(w, m, q))
            return;
        drop(w, m, kind == FG_FRAME_BAD ? why : FG_PACKET_DROP_TRUNCATED);
        return;
    }
    fg_counter_add(&w->counters.other, 1);
    if (!answer_neighbour(w, m, q))
        rte_pktmbuf_free(m);
}

unsigned fg_worker_parse(struct fg_worker *w, const struct fg_worker_queue *q,
                         struct rte_mbuf **mbufs, unsigned n, struct fg_worker_job *jobs)
{
    struct fg_worker_route route = {.queue = q->port.number};
    uint32_t ports = w->order_ports;
    unsigned count = 0;

    for (unsigned i = 0; i < n && i < PREFETCH_AHEAD; i++)
        prefetch_frame(mbufs[i]);
    for (unsigned i = 0; i < n; i++) {
        struct rte_mbuf *m = mbufs[i];
        uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
        enum fg_packet_drop why = FG_PACKET_DROP_NONE;
        enum fg_frame_kind kind = fg_frame_parse(data, m->data_len, ports, &route.frame, &why);

        if (i + PREFETCH_AHEAD < n)
            prefetch_frame(mbufs[i + PREFETCH_AHEAD]);
        if (fg_likely(kind == FG_FRAME_ORDER && m->nb_segs == 1 &&
                      (!q->port.host || fg_frame_host_is_to(data, &route.frame, q->port.host))))
            jobs[count++] = (struct fg_worker_job){
                .mbuf = m, .payload = data + route.frame.payload, .route = route};
        else
            parse_failed(w, m, q, kind, why);
    }
    return count;
}

unsigned fg_worker_check(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n)
{
    const void *payloads[FG_WORKER_BURST_MAX];
    const struct fg_packet_key *keys[FG_WORKER_BURST_MAX];
    enum fg_packet_drop drops[FG_WORKER_BURST_MAX];
    unsigned left = 0;

    if (n == 0)
        return 0;
    for (unsigned i = 0; i < n; i++)
        payloads[i] = jobs[i].payload;
    fg_packet_requests_check(payloads, n, w->keys, keys, drops);
    for (unsigned i = 0; i < n; i++) {
        if (fg_unlikely(drops[i] != FG_PACKET_DROP_NONE)) {
            drop(w, jobs[i].mbuf, drops[i]);
            continue;
        }
        fg_worker_job_keep(jobs, left, i);
        jobs[left++].key = keys[i];
    }
    fg_counter_add(&w->counters.orders, left);
    return left;
}
