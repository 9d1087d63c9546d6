/* SPDX-License-Identifier: BSD-3-Clause */
/* Sinks and inbound commands: of a pair, only its leader has them. */
#include "daemon.h"

bool fg_start_sinks(struct fg_daemon *d, struct fg_error *err)
{
    const struct fg_sink_group_options options = {
        .redis = &d->config.redis,
        .postgres = &d->config.postgres,
        .kafka = &d->config.kafka,
        .leading = d->pair.leading,
        .journal_dir = d->config.log.dir,
        .durable_seq = fg_journal_thread_committed(&d->journal_thread)};

    return fg_sink_group_start(&d->sinks, &options, err);
}

bool fg_start_inbound(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_inbound_options o = {.redis = d->config.redis,
                                   .journal_dir = d->config.log.dir,
                                   .appliance = d->log_id,
                                   .epoch = atomic_load(&d->pair.epoch),
                                   .durable_seq = fg_journal_thread_committed(&d->journal_thread),
                                   .workers = d->config.workers.count};

    if (!d->config.inbound.enabled)
        return true;
    for (unsigned i = 0; i < o.workers; i++) {
        o.commands[i] = d->workers.list[i]->inbound_commands;
        o.answers[i] = d->workers.list[i]->inbound_results;
    }
    d->inbound = fg_inbound_start(&o, err);
    return d->inbound != NULL;
}
