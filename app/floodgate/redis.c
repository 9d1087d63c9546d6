/* SPDX-License-Identifier: BSD-3-Clause */
/* Redis: the sink that is kept up to date, and the way back. */
#include "daemon.h"

#define DRAIN_MS 1000 /* for confirmations that are under way */

bool fg_add_sink(struct fg_daemon *d, struct fg_sink *sink)
{
    if (sink)
        d->sinks[d->sinks_count++] = sink;
    return sink != NULL;
}

bool fg_sinks_start_redis(struct fg_daemon *d, struct fg_error *err)
{
    const struct fg_redis_options *o = &d->config.redis;

    return !o->enabled ||
           fg_add_sink(d, fg_sink_redis_start(o, d->config.log.dir,
                                              &d->journal_thread.committer.durable_seq, err));
}

bool fg_inbound_open(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_inbound_options o = {.redis = d->config.redis,
                                   .journal_dir = d->config.log.dir,
                                   .appliance = fg_journal_appliance(d->journal),
                                   .durable_seq = &d->journal_thread.committer.durable_seq,
                                   .workers = d->config.workers.count};

    if (!d->config.inbound)
        return true;
    for (unsigned i = 0; i < o.workers; i++) {
        o.operations[i] = d->workers.list[i]->inbound_commands;
        o.answers[i] = d->workers.list[i]->inbound_results;
    }
    d->inbound = fg_inbound_start(&o, err);
    return d->inbound != NULL;
}

void fg_inbound_close(struct fg_daemon *d)
{
    fg_inbound_stop(d->inbound, DRAIN_MS);
    d->inbound = NULL;
}
