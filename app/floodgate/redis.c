/* SPDX-License-Identifier: BSD-3-Clause */
/* Redis: the sink that is kept up to date, and the way back. */
#include "daemon.h"

#define DRAIN_MS 1000 /* for confirmations that are under way */

static struct fg_redis_options options_of(const struct fg_config *c)
{
    struct fg_redis_options o = {.database = c->redis.database,
                                 .batch_max = c->redis.batch_max,
                                 .stream_max = c->redis.stream_max,
                                 .timeout_ms = c->redis.timeout_ms,
                                 .retry_ms_max = c->redis.retry_ms_max,
                                 .tls = c->redis.tls};

    snprintf(o.address, sizeof(o.address), "%s", c->redis.address);
    snprintf(o.user, sizeof(o.user), "%s", c->redis.user);
    snprintf(o.password, sizeof(o.password), "%s", c->redis.password);
    snprintf(o.tls_ca, sizeof(o.tls_ca), "%s", c->redis.tls_ca);
    snprintf(o.tls_cert, sizeof(o.tls_cert), "%s", c->redis.tls_cert);
    snprintf(o.tls_key, sizeof(o.tls_key), "%s", c->redis.tls_key);
    snprintf(o.tls_server_name, sizeof(o.tls_server_name), "%s", c->redis.tls_server_name);
    snprintf(o.prefix, sizeof(o.prefix), "%s", c->redis.prefix);
    return o;
}

bool fg_add_sink(struct fg_daemon *d, struct fg_sink *sink)
{
    if (sink)
        d->sinks[d->sinks_count++] = sink;
    return sink != NULL;
}

bool fg_sinks_start_redis(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_redis_options o = options_of(&d->config);

    if (!d->config.redis.enabled)
        return true;
    return fg_add_sink(d,
                       fg_sink_redis_start(&o, d->config.log.dir, &d->committer.durable_seq, err));
}

bool fg_inbound_open(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_inbound_options o = {.redis = options_of(&d->config),
                                   .appliance = fg_journal_appliance(d->journal),
                                   .durable_seq = &d->committer.durable_seq,
                                   .workers = d->config.workers.count};

    if (!d->config.redis.commands)
        return true;
    for (unsigned i = 0; i < o.workers; i++) {
        o.operations[i] = d->workers[i]->operations;
        o.answers[i] = d->workers[i]->outcomes;
    }
    d->inbound = fg_inbound_start(&o, err);
    return d->inbound != NULL;
}

void fg_inbound_close(struct fg_daemon *d)
{
    fg_inbound_stop(d->inbound, DRAIN_MS);
    d->inbound = NULL;
}

bool fg_inbound_ill(struct fg_daemon *d)
{
    struct fg_inbound_status s;

    if (!d->inbound)
        return false;
    fg_inbound_status(d->inbound, &s);
    return s.state == FG_SINK_AWAY || s.state == FG_SINK_REFUSED;
}
