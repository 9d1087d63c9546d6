/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * worker: one lcore, its engine and its queues. Everything in struct fg_worker is touched by its
 * own thread only, except what is marked. Nothing here locks, allocates, logs or calls the kernel
 * once the loop runs (the idle policy and the drivers apart).
 *
 * A frame's way: receive -> (handoff ->) decide -> reply in place, or a reply slot that waits for
 * the engine
 * -> (back by handoff ->) transmit. A reply leaves by the queue that its request came in by.
 */
#ifndef FG_WORKER_H
#define FG_WORKER_H

#include "base/clock.h"
#include "config/config.h"
#include "frame/frame.h"
#include "inbound/inbound.h"
#include "journal/doorbell.h"
#include "penalty/penalty.h"
#include "stock/stock.h"
#include "worker/counters.h"

#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_ring.h>

#define FG_BURST_MAX 256
#define FG_QUEUES    (FG_PORTS_MAX * FG_QUEUES_MAX) /**< of all ports together */
#define FG_BUSY_MS   10 /**< hint of a BUSY that the worker itself answers */

/** mbufs on their way out of a worker, sent in bursts. */
struct fg_worker_batch {
    unsigned count;
    struct rte_mbuf *mbufs[FG_BURST_MAX];
};

/** One receive and transmit queue. The pool is anyone's, the batch only the polling worker's. */
struct fg_worker_queue {
    uint16_t number; /**< over all ports */
    uint16_t port, index;
    uint16_t worker; /**< that polls it */
    struct rte_mempool *pool;
    const struct fg_frame_host *own; /**< NULL: a kernel answers ARP and ping, or nobody does */
    bool judged;                     /**< by fg_worker_filter: there is no XDP in front */
    struct fg_worker_batch out;
    uint64_t stuck_ms; /**< since when the port takes nothing of `out`; 0 = it did take all */
};

/** What another worker must know of a request or of a finished reply; lies in a dynamic field of
 * the mbuf. */
struct fg_worker_route {
    struct fg_frame frame;
    uint16_t queue;
    uint16_t key_id;
};
_Static_assert(sizeof(struct fg_worker_route) == 8, "fits a dynamic field");
extern int fg_worker_route_offset;

static inline struct fg_worker_route *fg_worker_route(struct rte_mbuf *m)
{
    return RTE_MBUF_DYNFIELD(m, fg_worker_route_offset, struct fg_worker_route *);
}

/** A request that is being worked on; later its reply, which lacks tag and checksum. */
struct fg_worker_job {
    struct rte_mbuf *mbuf;
    uint8_t *payload; /**< the order packet in it */
    const struct fg_packet_key *key;
    struct fg_worker_route mark; /**< its key_id is set when the job is handed off or has to wait */
};

static inline uint8_t *fg_worker_job_frame(const struct fg_worker_job *job)
{
    return job->payload - job->mark.frame.payload;
}

/** Return address of a request whose answer waits for units or for the disk. */
struct fg_worker_slot {
    uint8_t head[FG_FRAME_HEAD_MAX]; /**< headers, turned around */
    uint8_t op;
    uint8_t pad;
    struct fg_worker_route mark;
    uint32_t cookie;
    uint32_t next; /**< free slots; FG_NO_TOKEN ends the list */
};

/** SPSC rings of mbufs to and from one other worker; NULL where none can be needed. */
struct fg_worker_peer {
    struct rte_ring *requests_to, *requests_from;
    struct rte_ring *replies_to, *replies_from;
    struct fg_worker_batch requests, replies; /**< staged for *_to */
};

struct fg_worker {
    unsigned index, workers, lcore;
    unsigned burst;
    enum fg_worker_idle_policy idle_policy;
    uint32_t order_ports; /**< FG_ORDER_PORTS */
    struct fg_clock *clock;
    _Atomic(struct fg_packet_keyring *) *keys_in_force; /**< read once a loop */
    const _Atomic int *mode_in_force;                   /**< enum fg_stock_mode, read once a loop */
    const _Atomic uint64_t *commit_began; /**< TSC, of the commit under way; 0 = none */
    const _Atomic bool *quit;

    struct fg_journal_doorbell *bell; /**< wakes the journal's thread */
    const struct fg_ring *records;    /**< to it; the engine produces */

    struct fg_stock *stock;
    struct fg_worker_queue *queues; /**< of the daemon, by number */
    unsigned own[FG_QUEUES], own_count;
    unsigned backlog; /**< the most replies that one of them could not send in this loop */
    struct fg_worker_peer *peers; /**< [workers] */

    struct fg_worker_job
        unsealed[FG_BURST_MAX]; /**< replies, signed together, several in one vector */
    unsigned unsealed_count;

    struct fg_worker_slot *slots;
    uint32_t slots_count, slot_free;

    struct fg_ring *commands; /**< struct fg_stock_command; control thread produces */
    struct fg_ring *results;  /**< struct fg_stock_answer; control thread consumes */

    struct fg_filter *filter;   /**< of judged queues */
    struct fg_ring *reports;    /**< struct fg_penalty_report; main thread consumes */
    struct fg_ring *operations; /**< struct fg_inbound_command; the way back produces. NULL = off */
    struct fg_ring *outcomes;   /**< struct fg_stock_answer; the way back consumes */

    uint64_t now_ms;
    const struct fg_packet_keyring *keys;
    enum fg_stock_mode mode;
    unsigned idle_loops;
    uint64_t busy_ms; /**< when there was last something to do */
    uint64_t
        way_for; /**< the commit that this worker gives way to, and when it does so next; TSC */
    uint64_t way_at;
    uint64_t neighbour_ms; /**< when ARP and the like were last answered, and how often in that
                              millisecond */
    unsigned neighbour_count;

    struct fg_worker_counters counters; /**< others read */
    _Atomic bool running;               /**< others read: in its loop */
    _Atomic bool quiet;                 /**< others read: nothing waits here */
};

/* worker.c */
int fg_worker_main(void *worker);         /**< lcore function; returns when *quit is set */
void fg_worker_loop(struct fg_worker *w); /**< one round of it */
void fg_worker_decide(struct fg_worker *w, struct fg_worker_job *jobs,
                      unsigned n); /**< this worker owns the users */

/* handoff.c */
bool fg_worker_job_resume(struct fg_worker *w, struct fg_worker_job *job,
                          struct rte_mbuf *m); /**< false: dropped */
void fg_worker_handoff_request(struct fg_worker *w, unsigned owner,
                               const struct fg_worker_job *job);
void fg_worker_handoff_reply(struct fg_worker *w, struct rte_mbuf *m, uint16_t queue);
unsigned fg_worker_handoff_receive(struct fg_worker *w);
unsigned fg_worker_handoff_replies(struct fg_worker *w);
void fg_worker_handoff_flush(struct fg_worker *w);

/* idle.c */
void fg_worker_idle_start(void); /**< once, by the thread itself */
void fg_worker_idle(struct fg_worker *w,
                    unsigned work); /**< at the end of a loop that did so much */

/* judge.c */
/** Drops what the filter drops; returns how many frames are left, in their order. */
unsigned fg_worker_filter(struct fg_worker *w, struct rte_mbuf **mbufs, unsigned n);

/* report.c */
/** Tells the main thread about an offence, if there is room. Before the frame is turned around. */
void fg_worker_report(struct fg_worker *w, const struct rte_mbuf *m,
                      enum fg_penalty_offence offence);
/** With the request's tag as proof: it was correct. */
void fg_worker_report_proven(struct fg_worker *w, const struct fg_worker_job *job,
                             enum fg_penalty_offence offence);

/* reply.c */
/** Replies that may leave: built in their requests' buffers. */
void fg_worker_reply_now(struct fg_worker *w, const struct fg_worker_job *jobs,
                         const struct fg_stock_answer *answers, unsigned n);
void fg_worker_reply_refuse(struct fg_worker *w, const struct fg_worker_job *job,
                            enum fg_packet_status status, uint32_t retry_ms);
void fg_worker_reply_defer(struct fg_worker *w, uint32_t token, const struct fg_worker_job *job);
void fg_worker_reply_deferred(struct fg_worker *w, const struct fg_stock_answer *answer);
void fg_worker_sign(struct fg_worker *w); /**< signs and sends all replies that were made */
/**
 * What the port does not take stays for the next loop, and nothing is received from the queue until
 * then: so requests are lost in its receive queue, where it costs nothing, rather than answers that
 * units were given for. Dropped, and counted, when the port takes nothing at all for 100 ms.
 */
void fg_worker_transmit(struct fg_worker *w, struct fg_worker_queue *queue);
void fg_worker_transmit_full(struct fg_worker *w,
                             struct fg_worker_queue *queue); /**< makes room, whatever it costs */

/** By whoever polls the queue. */
static inline void fg_worker_reply_send(struct fg_worker *w, struct rte_mbuf *m, uint16_t queue)
{
    struct fg_worker_queue *q = &w->queues[queue];

    if (fg_unlikely(q->worker != w->index)) {
        fg_worker_handoff_reply(w, m, queue);
        return;
    }
    if (fg_unlikely(q->out.count == FG_BURST_MAX))
        fg_worker_transmit_full(w, q);
    q->out.mbufs[q->out.count++] = m;
}

/* workers.c: before the lcores start and after they ended */
struct fg_daemon;
bool fg_workers_create(struct fg_daemon *d, struct fg_error *err);
bool fg_workers_start(struct fg_daemon *d, struct fg_error *err);
void fg_workers_stop(struct fg_daemon *d);
void fg_workers_destroy(struct fg_daemon *d);

#endif
