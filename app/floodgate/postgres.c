/* SPDX-License-Identifier: BSD-3-Clause */
/* The sink of the order backend, as the configuration wants it. */
#include "daemon.h"

bool fg_sinks_start_postgres(struct fg_daemon *d, struct fg_error *err)
{
    const struct fg_sink_postgres_options *o = &d->config.postgres;

    return !o->enabled ||
           fg_add_sink(d, fg_sink_postgres_start(o, d->config.log.dir,
                                                 &d->journal_thread.committer.durable_seq, err));
}
