/* SPDX-License-Identifier: BSD-3-Clause */
/* The sink of the order backend, as the configuration wants it. */
#include "daemon.h"

static struct fg_sink_postgres_options options_of(const struct fg_config *c)
{
    struct fg_sink_postgres_options o = {.batch_max = c->postgres.batch_max,
                                         .timeout_ms = c->postgres.timeout_ms,
                                         .retry_ms_max = c->postgres.retry_ms_max};

    snprintf(o.conninfo, sizeof(o.conninfo), "%s", c->postgres.conninfo);
    snprintf(o.password, sizeof(o.password), "%s", c->postgres.password);
    snprintf(o.schema, sizeof(o.schema), "%s", c->postgres.schema);
    return o;
}

bool fg_sinks_check_postgres(const struct fg_config *config, struct fg_error *err)
{
    struct fg_sink_postgres_options o = options_of(config);

    return !config->postgres.enabled || fg_sink_postgres_check(&o, err);
}

bool fg_sinks_start_postgres(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_sink_postgres_options o = options_of(&d->config);

    if (!d->config.postgres.enabled)
        return true;
    return fg_add_sink(
        d, fg_sink_postgres_start(&o, d->config.log.dir, &d->committer.durable_seq, err));
}
