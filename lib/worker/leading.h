/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * leading: the worker of a pair. While its appliance stands by, it answers without its engine; when
 * its appliance leads, it answers only as long as that is sure (base/leading.h). Only the worker's
 * own thread calls these.
 */
#ifndef FG_WORKER_LEADING_H
#define FG_WORKER_LEADING_H

#include "base/leading.h"
#include "worker/worker.h"

#define FG_WORKER_UNPROVEN_MAX                                                                     \
    1024 /**< answers that wait for a probe at a time; a power of two                              \
          */

/** An answer that leaves when its probe is answered. */
struct fg_worker_unproven {
    uint64_t probe;
    struct fg_stock_answer answer;
};

/** Statuses by which an order that was paid is refunded: another leader may know better. */
#define FG_WORKER_NEGATIVE                                                                         \
    (1ull << FG_PACKET_STATUS_UNKNOWN_ORDER | 1ull << FG_PACKET_STATUS_EXPIRED)

/** The mode in force has changed. */
void fg_worker_set_mode(struct fg_worker *w, enum fg_stock_mode mode);

/** No sign for too long that this appliance leads, or it is known that it does not any more. */
bool fg_worker_is_stale(const struct fg_worker *w);

/** Requests that the engine may be asked: all of them, or none. Then it answers NOT_LEADER, or
 * drops them. */
unsigned fg_worker_lead(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n);

/** Keeps a negative answer until a probe is answered. False: too many wait. */
bool fg_worker_hold(struct fg_worker *w, const struct fg_stock_answer *answer);

/** Takes up to max answers whose probe was answered. Returns how many. */
unsigned fg_worker_proven(struct fg_worker *w, struct fg_stock_answer *answers, unsigned max);

/** Drops the order replies among these frames; returns how many frames are left. */
unsigned fg_worker_drop_stale(struct fg_worker *w, struct rte_mbuf **mbufs, unsigned n);

#endif
