/* SPDX-License-Identifier: BSD-3-Clause */
/* What the configured limits mean for one worker, and what all of it costs. */
#include "daemon.h"
#include "ledger/ledger.h"

#define MBUF_BYTES 2560 /* mempool header, mbuf, headroom and 2 KiB of data */

/* Users are spread by a hash: a worker may get somewhat more than its part. */
static uint32_t share(uint32_t total, unsigned workers)
{
    uint64_t part = (total + workers - 1) / workers;

    if (workers > 1)
        part += part / 8 + 64;
    return part < total ? (uint32_t)part : total;
}

struct fg_stock_limits fg_limits_share(const struct fg_config *config)
{
    unsigned workers = config->workers.count;

    return (struct fg_stock_limits){
        .items_max = config->limits.items_max,
        .orders_max = share(config->limits.orders_max, workers),
        .users_max = share(config->limits.users_max, workers),
        .parked_max = share(config->limits.parked_max, workers),
        .held_max = share(config->limits.held_max, workers),
        .user_rate = config->limits.user_rate, /* of one user, who has one worker: not shared out */
        .user_burst = config->limits.user_burst,
    };
}

uint32_t fg_worker_slots(const struct fg_stock_limits *limits)
{
    return limits->held_max + limits->parked_max;
}

unsigned fg_port_queues_total(const struct fg_config *config)
{
    unsigned queues = 0;

    for (unsigned i = 0; i < config->ports_count; i++)
        queues += config->ports[i].queues;
    return queues;
}

struct fg_memory fg_memory_needed(const struct fg_config *config)
{
    struct fg_stock_limits limits = fg_limits_share(config);
    uint64_t workers = config->workers.count, queues = fg_port_queues_total(config);
    uint64_t pollers = queues < workers ? queues : workers;

    return (struct fg_memory){
        .engines = workers * fg_stock_memory(&limits, (unsigned)workers),
        .ledger = fg_ledger_memory(config->limits.orders_max),
        .rings = workers * config->log.ring * FG_RING_SLOT +
                 (config->inbound ? 2 * workers * FG_INBOUND_CAPACITY * FG_RING_SLOT : 0) +
                 workers * (workers - 1) * config->workers.handoff * FG_RING_SLOT +
                 2 * pollers * (workers - 1) * config->workers.handoff * sizeof(void *),
        .slots = workers * fg_worker_slots(&limits) * sizeof(struct fg_worker_slot),
        .mbufs = queues * config->eal.mbufs * MBUF_BYTES,
    };
}
