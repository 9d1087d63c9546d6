/* SPDX-License-Identifier: BSD-3-Clause */
/* Collects the input of lib/health from the parts of the daemon. Any thread but a worker. */
#include "daemon.h"

static void observe_use(const struct fg_daemon *d, unsigned level, struct fg_health_use *worst)
{
    for (unsigned i = 0; i < d->config.workers.count; i++) {
        struct fg_stock_level levels[FG_STOCK_LEVELS], *l = &levels[level];

        fg_stock_levels(d->workers.list[i]->stock, levels);
        if (i == 0 || (uint64_t)l->used * worst->max > (uint64_t)worst->used * l->max)
            *worst = (struct fg_health_use){.worker = i, .used = l->used, .max = l->max};
    }
}

static void observe_limits(struct fg_daemon *d, struct fg_health_observations *o)
{
    observe_use(d, FG_STOCK_LEVEL_orders, &o->limits.orders);
    observe_use(d, FG_STOCK_LEVEL_users, &o->limits.users);
    observe_use(d, FG_STOCK_LEVEL_parked, &o->limits.parked);
    observe_use(d, FG_STOCK_LEVEL_deferred, &o->limits.deferred);
    observe_use(d, FG_STOCK_LEVEL_denied, &o->limits.denied);
    pthread_mutex_lock(&d->follower.lock);
    o->limits.items = fg_ledger_items(d->follower.ledger);
    pthread_mutex_unlock(&d->follower.lock);
    o->limits.items_max = d->workers.options.limits.items_max;
    o->limits.user_rate = d->config.limits.user_rate;
    for (unsigned i = 0; i < d->config.workers.count; i++)
        o->counters.full += fg_counter_read(&fg_stock_counters(d->workers.list[i]->stock)->full);
}

static void observe_retention(struct fg_daemon *d, struct fg_health_observations *o)
{
    struct fg_ledger_snapshots *s = &d->follower.snapshots;
    const struct fg_journal_settings *c = &d->config.log;

    o->log.keep_bytes = c->keep_bytes > c->sink_keep_bytes ? c->keep_bytes : c->sink_keep_bytes;
    o->log.room_bytes = atomic_load(&s->room_bytes);
    o->log.forced = atomic_load(&s->forced);
    o->log.tight = atomic_load(&s->tight);
    if (d->archive)
        fg_journal_archive_error(d->archive, o->log.archive_error, sizeof(o->log.archive_error));
}

static void observe_log(struct fg_daemon *d, struct fg_health_observations *o)
{
    struct fg_journal_commit_watch *w = &d->journal_thread.watch;
    uint64_t began_ms = atomic_load(&w->began_ms);

    snprintf(o->log.dir, sizeof(o->log.dir), "%.255s", d->config.log.dir);
    o->log.state = (enum fg_journal_state)atomic_load(&d->journal_thread.committer.state);
    if (o->log.state != FG_JOURNAL_OK)
        fg_journal_thread_error(&d->journal_thread, o->log.error, sizeof(o->log.error));
    o->log.gone = atomic_load(&d->log_gone);
    o->log.behind = atomic_load(&d->behind);
    o->log.memory = d->config.log.durability == FG_JOURNAL_DURABILITY_MEMORY;
    o->log.wait_ms = began_ms && o->now_ms > began_ms ? o->now_ms - began_ms : 0;
    o->log.slow_ms = atomic_load(&w->slow_ms);
    o->counters.slow_commits = atomic_load(&w->slow);
    observe_retention(d, o);
    fg_ledger_snapshots_error(&d->follower.snapshots, o->log.snapshot_error,
                              sizeof(o->log.snapshot_error));
    if (atomic_load(&d->journal_thread.lagging)) {
        uint64_t has = atomic_load(&d->follower.seq);

        o->log.ledger_lag = atomic_load(&d->journal_thread.committer.durable_seq) - has;
    }
    o->log.ledger_broken = atomic_load(&d->follower.broken);
    if (o->log.ledger_broken)
        snprintf(o->log.ledger_error, sizeof(o->log.ledger_error), "%.511s",
                 d->follower.error.text);
}

static void observe_servers(struct fg_daemon *d, struct fg_health_observations *o)
{
    struct fg_inbound_status inbound;

    for (unsigned i = 0; i < d->sinks.count; i++) {
        o->sinks[i].name = fg_sink_name(d->sinks.list[i]);
        fg_sink_status(d->sinks.list[i], &o->sinks[i].status);
    }
    o->sinks_count = d->sinks.count;
    o->inbound.enabled = d->inbound != NULL;
    if (!d->inbound)
        return;
    fg_inbound_status(d->inbound, &inbound);
    o->inbound.state = inbound.state;
    o->counters.dead = inbound.dead;
    o->counters.trimmed = inbound.trimmed;
    memcpy(o->inbound.dead_reason, inbound.dead_reason, sizeof(o->inbound.dead_reason));
    snprintf(o->inbound.error, sizeof(o->inbound.error), "%.255s", inbound.error);
}

static void observe_pair(struct fg_daemon *d, struct fg_health_observations *o)
{
    struct fg_control_pair pair;
    const struct fg_replication_view *v = &pair.view;

    if (!fg_paired_view(d, &pair))
        return;
    o->pair.enabled = true;
    o->pair.leads = pair.leads && !v->ended;
    o->pair.solo = v->pair.role == FG_PAIR_ROLE_SOLO;
    o->pair.refused = v->pair.role == FG_PAIR_ROLE_REFUSED;
    o->pair.linked = v->pair.linked;
    o->pair.arbiter_away = !v->arbiter_ok;
    o->pair.missed = o->pair.solo && v->peer_has &&
                     fg_journal_first_seq(d->config.log.dir, NULL) > v->peer_has + 1;
    o->pair.lag_records = v->lag_records;
    o->pair.lag_ms = v->lag_ms;
    o->pair.skew_ms = v->pair.skew_ms;
    snprintf(o->pair.peer, sizeof(o->pair.peer), "%s", v->peer);
    snprintf(o->pair.reason, sizeof(o->pair.reason), "%s",
             o->pair.refused ? fg_pair_reason_text(v->pair.reason) : v->link_error);
    snprintf(o->pair.arbiter_error, sizeof(o->pair.arbiter_error), "%s", v->arbiter_error);
    snprintf(o->pair.unlike, sizeof(o->pair.unlike), "%s",
             v->refusal[0] ? v->refusal : v->mismatch);
    snprintf(o->pair.address_error, sizeof(o->pair.address_error), "%s", pair.address_error);
}

static void observe_fleet(struct fg_daemon *d, struct fg_health_observations *o)
{
    struct fg_control_fleet fleet;
    const struct fg_fleet_view *v = &fleet.view.fleet;

    if (!fg_fleeted_view(d, &fleet))
        return;
    o->fleet.enabled = true;
    o->fleet.may_sell = v->may_sell;
    o->fleet.away = v->away || (!v->may_sell && !fleet.view.etcd_ok);
    o->fleet.frozen = v->map.frozen;
    o->fleet.silent = v->silent;
    o->fleet.damaged = v->damaged_items;
    snprintf(o->fleet.reason, sizeof(o->fleet.reason), "%s", fg_fleet_reason_text(v->reason));
    snprintf(o->fleet.etcd_error, sizeof(o->fleet.etcd_error), "%s", fleet.view.etcd_error);
    snprintf(o->fleet.catalogue_error, sizeof(o->fleet.catalogue_error), "%s",
             fleet.catalogue.error);
    snprintf(o->fleet.seen_error, sizeof(o->fleet.seen_error), "%s", fleet.view.seen_error);
}

static void observe_filter(struct fg_daemon *d, struct fg_health_observations *o)
{
    uint64_t events[FG_EVENT_COUNT] = {0}, verdicts[FG_FILTER_VERDICT_COUNT] = {0};
    struct fg_filter_rates rates;

    if (d->filter) {
        fg_filter_counters(d->filter, verdicts);
        fg_filter_events(d->filter, events);
        fg_filter_rates(d->filter, &rates, NULL);
        o->filter.monitor = rates.monitor;
        o->filter.allowed = fg_filter_count(d->filter, FG_FILTER_LIST_ALLOW);
    }
    o->counters.source_refused = events[FG_FILTER_EVENT_SOURCE_REFUSED];
    o->counters.no_socket = verdicts[FG_FILTER_VERDICT_NO_SOCKET];
    o->counters.penalties_refused = fg_penalty_counters(d->box.penalty).refused;
    snprintf(o->filter.left_out, sizeof(o->filter.left_out), "%.239s", d->left_out);
}

void fg_observe_state(struct fg_daemon *d, struct fg_health_observations *o)
{
    *o = (struct fg_health_observations){.now_ms = fg_clock_mono_ms(),
                                         .stopping = atomic_load(&d->journal_thread.stopping),
                                         .workers = d->config.workers.count,
                                         .workers_stalled = atomic_load(&d->watch.stalled)};
    observe_log(d, o);
    observe_servers(d, o);
    observe_pair(d, o);
    observe_fleet(d, o);
    o->wall_ahead_ms = fg_clock_wall_ahead_ms(&d->clock);
    o->link_wrong = fg_port_links_wrong(&d->ports, o->link_text, sizeof(o->link_text));
    o->link_broken = fg_port_links_broken(&d->ports);
    if (!fg_port_queues_wrong(&d->ports, o->queues_unread, sizeof(o->queues_unread)))
        o->queues_unread[0] = 0;
}

void fg_observe(struct fg_daemon *d, struct fg_health_observations *o)
{
    fg_observe_state(d, o);
    observe_limits(d, o);
    observe_filter(d, o);
}
