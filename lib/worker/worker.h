/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * worker: one lcore, its engine and its queues. Nothing here locks, allocates, logs or calls the
 * kernel once the loop runs (the idle policy and the drivers apart).
 *
 * The way of a packet (loop.h): receive, parse, check, hand off to the owner of the user, decide,
 * reply in place or from a slot that waited for the engine, sign, transmit. A reply leaves by the
 * queue that its request came in by.
 *
 * Threads: the worker's own thread runs fg_worker_main and everything that it calls. The main
 * thread creates, starts and stops workers. Other threads only read the counters and flags marked
 * so below, and use their end of a ring. Times are Unix milliseconds, or TSC ticks where said.
 */
#ifndef FG_WORKER_H
#define FG_WORKER_H

#include "base/clock.h"
#include "inbound/inbound.h"
#include "journal/doorbell.h"
#include "penalty/penalty.h"
#include "port/port.h"
#include "stock/stock.h"
#include "worker/counters.h"
#include "worker/job.h"
#include "worker/options.h"

#define FG_WORKER_FLEET_TICKET (1u << 31)
#define FG_WORKER_FLEET_SLOTS  4096 /**< of its rings: more commands are never under way */

/** A queue of a port. The main thread writes `port` before the workers start. */
struct fg_worker_queue {
    struct fg_port_queue port;
    /* written by the polling worker */
    struct fg_worker_batch out;
    uint64_t stuck_ms; /**< since when the port takes nothing of `out`; 0 = it did take all */
};

struct fg_leading;
struct fg_worker_shards;
struct fg_worker_trace;
struct fg_worker_unproven;

struct fg_worker {
    /* Settings: the main thread writes them before the loop runs. */
    unsigned index, workers, lcore;
    unsigned burst;
    enum fg_worker_idle_policy idle_policy;
    uint32_t order_ports; /**< FG_FRAME_ORDER_PORTS */
    uint16_t shard_map;   /**< version of the fleet's map, for replies; 0 = no fleet */
    const struct fg_worker_shards *shards; /**< NULL = no fleet: shards.h */
    uint64_t special; /**< statuses, a bit each, that do not just leave: decide.c */
    struct fg_stock *stock;
    struct fg_worker_queue *queues; /**< of all ports, by number */
    unsigned polled[FG_PORT_QUEUES_ALL], polled_count;
    struct fg_filter *filter; /**< of filtered queues */

    /* Written by others, read by the worker. */
    struct fg_clock *clock;
    _Atomic(struct fg_packet_keyring *) *keys_in_force; /**< any thread; read once a loop */
    const _Atomic int *mode_in_force; /**< enum fg_stock_mode; journal thread; read once a loop */
    const _Atomic uint64_t *commit_began; /**< TSC, of the commit under way; 0 = none; journal */
    const _Atomic bool *quit;             /**< main thread */
    struct fg_leading *leading;           /**< NULL = no pair; its thread */

    /* Rings: one thread at each end. */
    struct fg_journal_doorbell *doorbell; /**< wakes the journal's thread */
    const struct fg_ring *records;        /**< to it; the engine produces */
    struct fg_ring *commands;             /**< struct fg_stock_command; control thread produces */
    struct fg_ring *results;              /**< struct fg_stock_answer; control thread consumes */
    /** The same of the thread of a fleet, whose tickets have FG_WORKER_FLEET_TICKET. NULL = none */
    struct fg_ring *fleet_commands, *fleet_results;
    struct fg_ring *reports; /**< struct fg_penalty_report; main thread consumes */
    /** struct fg_inbound_command; the inbound thread produces. NULL = off */
    struct fg_ring *inbound_commands;
    struct fg_ring *inbound_results; /**< struct fg_stock_answer; the inbound thread consumes */

    /* The worker's own: no other thread reads or writes it. */
    struct fg_worker_peer *peers;                       /**< [workers] */
    struct fg_worker_job unsealed[FG_WORKER_BURST_MAX]; /**< replies that wait for their tag */
    unsigned unsealed_count;
    struct fg_worker_slot *slots; /**< of deferred answers */
    uint32_t slots_count, slot_free;
    unsigned backlog; /**< the most replies that one queue could not send in this loop */
    uint64_t now_ms;
    const struct fg_packet_keyring *keys;
    enum fg_stock_mode mode;
    struct fg_worker_unproven *unproven; /**< of a pair: leading.h */
    uint64_t unproven_head, unproven_tail;
    unsigned idle_loops;
    uint64_t busy_ms;              /**< when the worker last had work */
    uint64_t yielded_commit;       /**< the commit that it yields to; TSC */
    uint64_t yield_at;             /**< when it next does; TSC */
    struct fg_worker_trace *trace; /**< NULL: no order is traced */
    uint64_t received_ns;          /**< when the burst was polled; fg_clock_passed_ns */
    uint64_t decided_ns;      /**< start of the decisions that run; fg_clock_passed_ns, as below */
    uint64_t durable_ns;      /**< when the deferred answers of this loop were ready */
    unsigned durable_count;   /**< how many of them wait to be sent */
    uint64_t neighbour_ms;    /**< when it last answered ARP and the like */
    unsigned neighbour_count; /**< and how often in that millisecond */

    /* Written by the worker, read by any thread. */
    struct fg_worker_counters counters;
    struct fg_worker_latency latency;
    _Atomic bool running; /**< in its loop */
    _Atomic bool quiet;   /**< nothing waits here */
};

int fg_worker_main(void *worker);         /**< lcore function; returns when *quit is set */
void fg_worker_loop(struct fg_worker *w); /**< one round of it; for tests and benches */

#endif
