/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * group: all workers of the appliance with their engines and the rings between them. The main
 * thread creates, starts, stops and destroys; fg_worker_group_pass is for any thread but a worker.
 */
#ifndef FG_WORKER_GROUP_H
#define FG_WORKER_GROUP_H

#include "base/leading.h"
#include "worker/shards.h"
#include "worker/worker.h"

/** The pointers must stay valid until the workers are destroyed. */
struct fg_worker_group_options {
    struct fg_worker_options workers;
    unsigned queues;       /**< of all ports; worker n % count polls queue n */
    unsigned record_slots; /**< of each worker's ring to the journal */
    uint16_t order_port;
    bool steer;                    /**< order ports: one for each worker, from order_port on */
    unsigned trace;                /**< orders of a million whose steps are written down */
    bool inbound;                  /**< rings for inbound commands */
    struct fg_stock_limits limits; /**< of one worker (fg_worker_limits) */
    struct fg_filter *filter;
    struct fg_clock *clock;
    _Atomic(struct fg_packet_keyring *) *keys; /**< in force */
    /** enum fg_stock_mode. FG_STOCK_NOT_LEADER until this appliance leads; the store of the next
     * mode (release) comes after the last feed of the engines. */
    const _Atomic int *mode;
    const _Atomic uint64_t *commit_began; /**< TSC, of the commit under way; 0 = none */
    struct fg_journal_doorbell *doorbell;
    const struct fg_journal_watermark *committed; /**< [count] of a pair; NULL = none */
    struct fg_leading *leading;                   /**< of a pair; NULL = none */
    const struct fg_worker_shards *shards;        /**< of a fleet; NULL = none */
};

/** Only the main thread writes it; the rings are used by the threads at their ends. */
struct fg_worker_group {
    struct fg_worker_group_options options;
    struct fg_worker_queue *queues; /**< of all ports, by number */
    unsigned queues_count;
    struct fg_worker *list[FG_WORKERS_MAX];
    struct fg_ring **records;                /**< [count] to the journal */
    struct fg_journal_watermark *watermarks; /**< [count] journal thread writes */
    struct fg_ring **messages;               /**< [count * count], from * count + to */
    struct fg_ring **messages_to;            /**< the same as each engine sees them */
    struct fg_ring **messages_from;
    _Atomic bool quit;
    bool started;
};

/** One worker's share of the limits of the whole appliance. */
struct fg_stock_limits fg_worker_limits(const struct fg_stock_limits *all, unsigned workers);

struct fg_worker_memory {
    uint64_t engines, rings, slots; /**< bytes, of all workers */
};
struct fg_worker_memory fg_worker_group_memory(const struct fg_worker_group_options *options);

/** After a failure fg_worker_group_destroy frees what there is. */
bool fg_worker_group_create(struct fg_worker_group *group,
                            const struct fg_worker_group_options *options, struct fg_error *err);
/** Starts the loops on lcores 1, 2, ... The pools of the queues must live until the workers are
 * stopped. */
bool fg_worker_group_start(struct fg_worker_group *group, const struct fg_port_queue *queues,
                           unsigned count, struct fg_error *err);
/** Waits for the end of the loops, and gives all mbufs back to their pools. */
void fg_worker_group_stop(struct fg_worker_group *group);
void fg_worker_group_destroy(struct fg_worker_group *group);

/**
 * Waits until every running worker began and ended a loop after the call: then none still uses what
 * was replaced before it. False when one takes longer than timeout_ms.
 */
bool fg_worker_group_pass(const struct fg_worker_group *group, unsigned timeout_ms);

#endif
