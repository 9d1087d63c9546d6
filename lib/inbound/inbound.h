/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * inbound: commands from Redis. The order service confirms, cancels, extends and refunds orders by
 * entries of a Redis stream; one thread reads them with a consumer group, gives each as a command
 * to the worker that owns the user, and acknowledges it when the engine's answer is there, which is
 * durable by then (lib/stock holds it so long). After any crash, an entry is given again until it
 * is acknowledged; commands are idempotent.
 *
 * Keys, fields, answers and what becomes of entries that make no sense: docs/redis.md,
 * "Inbound commands".
 */
#ifndef FG_INBOUND_H
#define FG_INBOUND_H

#include "base/ring.h"
#include "inbound/options.h"
#include "packet/packet.h"
#include "sink/sink.h"

#define FG_INBOUND_REASON   160  /**< bytes of why a command makes no sense */
#define FG_INBOUND_CAPACITY 4096 /**< commands under way at a time; slots of each ring */

/** A command to a worker; a ring slot. Its answer is a struct fg_stock_answer of kind
 * FG_STOCK_INBOUND with the same token.
 */
struct fg_inbound_command {
    uint32_t token;
    uint8_t op;    /**< FG_PACKET_OP_CONFIRM, _CANCEL, _EXTEND, _REFUND */
    uint8_t flags; /**< REFUND: FG_PACKET_RESTOCK */
    uint8_t reserved[2];
    uint8_t order_id[16];
    uint64_t user;
    uint64_t until_ms; /**< EXTEND only */
    uint8_t pad[24];
};
_Static_assert(sizeof(struct fg_inbound_command) == FG_RING_SLOT, "a command is a ring slot");

struct fg_inbound_options {
    struct fg_redis_options redis;
    uint64_t appliance; /**< id of the log: commands beside another one's keys are not touched */
    uint64_t
        epoch; /**< of a pair: leads it; an acknowledgement under a later one fails. 0 = no pair
                */
    const char *journal_dir; /**< must outlive it */
    const _Atomic uint64_t *durable_seq;
    unsigned workers;
    struct fg_ring *commands[FG_WORKERS_MAX]; /**< this thread produces */
    struct fg_ring *answers[FG_WORKERS_MAX];  /**< this thread consumes */
};

/* name, text: counters since start */
#define FG_INBOUND_COUNTER_LIST(X)                                                                 \
    X(taken, "entries read")                                                                       \
    X(claimed, "of them, left over by an earlier run or connection")                               \
    X(acknowledged, "entries whose result is durable and written")                                 \
    X(dead, "entries set aside because they make no sense")                                        \
    X(trimmed, "entries that another program removed from the stream before they were done")       \
    X(retries, "commands that were given again: BUSY or UNAVAILABLE")                              \
    X(reconnects, "connections made again")

struct fg_inbound_status {
    enum fg_sink_state state; /**< CONNECTING, LIVE, AWAY, REFUSED */
    uint64_t backlog;         /**< entries of the stream, those under way included; as last seen */
    uint64_t under_way;
    uint64_t results[FG_PACKET_STATUS_COUNT];
#define X(name, text) uint64_t name;
    FG_INBOUND_COUNTER_LIST(X)
#undef X
    char error[256];                     /**< "" = none */
    char dead_reason[FG_INBOUND_REASON]; /**< of the last one that was set aside; "" = none */
};

struct fg_inbound;

/** Rings and durable_seq must outlive it. NULL and err: bad options, or no memory; never because
 * Redis is away. */
struct fg_inbound *fg_inbound_start(const struct fg_inbound_options *options, struct fg_error *err);

/** Any thread. */
void fg_inbound_status(struct fg_inbound *inbound, struct fg_inbound_status *status);

/** Takes nothing new, finishes what is under way for at most drain_ms, and ends. The rest stays
 * pending. */
void fg_inbound_stop(struct fg_inbound *inbound, unsigned drain_ms);

#endif
