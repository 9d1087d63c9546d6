/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of the workers, and the memory that the limits cost. */
#include "daemon.h"
#include "ledger/ledger.h"

struct fg_worker_group_options fg_worker_options_of(const struct fg_config *config)
{
    return (struct fg_worker_group_options){
        .workers = config->workers,
        .queues = fg_port_queues_total(config->ports, config->ports_count),
        .record_slots = config->log.ring,
        .order_port = config->orders.port,
        .steer = config->orders.steer,
        .trace = config->orders.trace,
        .inbound = config->inbound.enabled,
        .limits = fg_worker_limits(&config->limits, config->workers.count),
    };
}

struct fg_memory fg_memory_needed(const struct fg_config *config)
{
    struct fg_worker_group_options options = fg_worker_options_of(config);

    return (struct fg_memory){
        .workers = fg_worker_group_memory(&options),
        .ledger = fg_ledger_memory(config->limits.orders_max),
        .mbufs = fg_port_memory(options.queues, config->eal.mbufs),
    };
}
