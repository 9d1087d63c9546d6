/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * job: a request on its way through a worker, later its reply; and the slots where one waits. The
 * worker's own thread writes all of it. The route in an mbuf's dynamic field is written by the
 * worker that hands the mbuf over and read by the one that takes it.
 */
#ifndef FG_WORKER_JOB_H
#define FG_WORKER_JOB_H

#include "frame/frame.h"
#include "packet/packet.h"

#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_ring.h>

#define FG_WORKER_BURST_MAX 256
#define FG_WORKER_NEIGHBOUR                                                                        \
    RTE_PTYPE_L2_ETHER_ARP   /**< packet_type of frames that answer no order */
#define FG_WORKER_BUSY_MS 10 /**< hint of a BUSY that the worker itself answers */

/** mbufs that leave a worker, sent in bursts. */
struct fg_worker_batch {
    unsigned count;
    struct rte_mbuf *mbufs[FG_WORKER_BURST_MAX];
};

/** Facts that another worker needs about a request or a signed reply; a dynamic field of the mbuf.
 */
struct fg_worker_route {
    struct fg_frame frame;
    uint16_t queue;
    uint16_t key_id;
};
_Static_assert(sizeof(struct fg_worker_route) == 8, "fits a dynamic field");
extern int fg_worker_route_offset; /**< fg_worker_group_create sets it */

static inline struct fg_worker_route *fg_worker_route(struct rte_mbuf *m)
{
    return RTE_MBUF_DYNFIELD(m, fg_worker_route_offset, struct fg_worker_route *);
}

/** A request that a worker decides; later its reply, which lacks tag and checksum. */
struct fg_worker_job {
    struct rte_mbuf *mbuf;
    uint8_t *payload; /**< the order packet in it */
    const struct fg_packet_key *key;
    struct fg_worker_route route; /**< key_id is set when the job is handed off or deferred */
};

static inline uint8_t *fg_worker_job_frame(const struct fg_worker_job *job)
{
    return job->payload - job->route.frame.payload;
}

/** Closes the gap that a dropped job left in a burst. Rare. */
static inline void fg_worker_job_keep(struct fg_worker_job *jobs, unsigned to, unsigned from)
{
    if (fg_unlikely(to != from))
        jobs[to] = jobs[from];
}

/** Return address of a request whose answer is deferred: it waits for units or for the disk. */
struct fg_worker_slot {
    uint8_t head[FG_FRAME_HEAD_MAX]; /**< headers, turned around */
    uint8_t op;
    uint8_t pad;
    struct fg_worker_route route;
    uint32_t cookie;
    uint64_t decided_ns; /**< fg_clock_passed_ns */
    uint32_t trace;      /**< of a traced order: trace.h; else 0 */
    uint32_t next;       /**< free slots; FG_STOCK_NO_TOKEN ends the list */
};

/** SPSC rings of mbufs to and from one other worker; NULL where none can be needed. */
struct fg_worker_peer {
    struct rte_ring *requests_to, *requests_from;
    struct rte_ring *replies_to, *replies_from;
    struct fg_worker_batch requests, replies; /**< staged for *_to */
};

#endif
