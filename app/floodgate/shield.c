/* SPDX-License-Identifier: BSD-3-Clause */
/* The penalty box in the daemon: takes the workers' reports, has the filter block. */
#include "daemon.h"

#include <sys/random.h>

#include "log.h"

static void take_reports(struct fg_daemon *d, struct fg_worker *w, uint64_t now_ms)
{
    uint64_t n = fg_ring_count(w->reports); /* what comes meanwhile has time until the next look */

    for (uint64_t i = 0; i < n; i++) {
        struct fg_report report;

        fg_ring_pop(w->reports, &report);
        fg_penalty_report(d->penalty, &report, now_ms);
    }
}

void fg_shield_look(struct fg_daemon *d, uint64_t now_ms)
{
    for (unsigned i = 0; i < d->config.workers.count; i++)
        take_reports(d, d->workers[i], now_ms);
    fg_penalty_tick(d->penalty, now_ms);
}

bool fg_shield_start(struct fg_daemon *d, struct fg_error *err)
{
    const struct fg_config *c = &d->config;
    struct fg_penalty_options options = {.mode = c->penalty.mode,
                                         .first_ms = c->penalty.first_ms,
                                         .v6_prefix = c->filter.v6_prefix,
                                         .threshold = {[FG_OFFENCE_BAD_TAG] = c->penalty.bad_tag,
                                                       [FG_OFFENCE_MALFORMED] = c->penalty.malformed,
                                                       [FG_OFFENCE_ROLE] = c->penalty.role,
                                                       [FG_OFFENCE_USER_RATE] = c->penalty.user_rate,
                                                       [FG_OFFENCE_USER_DENIED] = c->penalty.user_denied,
                                                       [FG_OFFENCE_HTTP] = c->penalty.http}};

    if (getrandom(&options.seed, sizeof(options.seed), 0) != sizeof(options.seed))
        return fg_fail(err, "no random numbers from the kernel");
    d->penalty = fg_penalty_create(&options, NULL, fg_mono_ms());
    return d->penalty || fg_fail(err, "no memory for the penalty box");
}

void fg_shield_stop(struct fg_daemon *d)
{
    fg_penalty_destroy(d->penalty);
    d->penalty = NULL;
}

json_t *fg_shield_json(struct fg_daemon *d)
{
    struct fg_penalty_counters c = fg_penalty_counters(d->penalty);
    json_t *o = json_object();

#define X(name, text) json_object_set_new(o, #name, json_integer((json_int_t)c.name));
    FG_PENALTY_COUNTER_LIST(X)
#undef X
    json_object_set_new(o, "blocked", json_integer(fg_penalty_list(d->penalty, NULL, 0, fg_mono_ms())));
    return o;
}
