/* SPDX-License-Identifier: BSD-3-Clause */
/* How the daemon is: status for people and programs, health for who restarts or replaces it. */
#include "daemon.h"

#include <unistd.h>

#define REASON_BYTES 256

static const char *const journal_states[] = {
    [FG_JOURNAL_OK] = "ok", [FG_JOURNAL_FULL] = "full", [FG_JOURNAL_FAILED] = "failed"};

static void put(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void put_text(json_t *object, const char *name, const char *text)
{
    json_t *value = json_string(text);

    json_object_set_new(object, name, value ? value : json_string("(not UTF-8)"));
}

static unsigned stalled_workers(const struct fg_daemon *d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->config.workers.count; i++)
        n += atomic_load(&d->watch[i].stalled);
    return n;
}

static bool a_sink_is_ill(struct fg_daemon *d)
{
    bool ill = fg_way_back_ill(d);

    for (unsigned i = 0; i < d->sinks_count; i++) {
        struct fg_sink_status s;

        fg_sink_status(d->sinks[i], &s);
        ill |= s.state == FG_SINK_AWAY || s.state == FG_SINK_REFUSED;
    }
    return ill;
}

/* What is wrong and needs somebody; 0 = healthy, and `reason` may still say what one should know. */
int fg_health(void *daemon, char *reason)
{
    struct fg_daemon *d = daemon;
    int journal = atomic_load(&d->committer.state);
    unsigned stalled = stalled_workers(d);

    reason[0] = '\0';
    if (journal != FG_JOURNAL_OK)
        snprintf(reason, REASON_BYTES, "log %s: %s", journal_states[journal], fg_journal_error(d->journal));
    else if (atomic_load(&d->log_gone))
        snprintf(reason, REASON_BYTES, FG_LOG_GONE_TEXT, d->config.log.dir);
    else if (stalled)
        snprintf(reason, REASON_BYTES, "%u of %u workers stand still", stalled, d->config.workers.count);
    else if (atomic_load(&d->follower.broken))
        snprintf(reason, REASON_BYTES, "ledger: %.200s", d->follower.error.text);
    else if (atomic_load(&d->stopping))
        snprintf(reason, REASON_BYTES, "stopping");
    else if (fg_links_broken(d))
        fg_links_wrong(d, reason, REASON_BYTES);
    if (reason[0])
        return 1;
    if (d->config.log.durability == FG_DURABILITY_MEMORY)
        snprintf(reason, REASON_BYTES, "durability is memory: a power cut loses acknowledged orders");
    else
        fg_links_wrong(d, reason, REASON_BYTES);
    return 0;
}

static bool snapshot_failed(struct fg_daemon *d)
{
    char error[256];

    fg_snapshots_error(d, error, sizeof(error));
    return error[0];
}

static const char *state_name(struct fg_daemon *d)
{
    char reason[REASON_BYTES];

    if (atomic_load(&d->stopping))
        return "stopping";
    if (fg_health(d, reason))
        return "unhealthy";
    return a_sink_is_ill(d) || snapshot_failed(d) || fg_links_wrong(d, reason, sizeof(reason)) ? "degraded"
                                                                                               : "running";
}

static json_t *snapshot_json(struct fg_daemon *d)
{
    struct fg_snapshots *s = &d->snapshots;
    uint64_t seq = atomic_load(&s->seq), created = atomic_load(&s->created_ms), now = fg_clock_ms(&d->clock);
    json_t *o = json_object();
    char error[256];

    fg_snapshots_error(d, error, sizeof(error));
    put(o, "seq", seq);
    put(o, "older_seq", atomic_load(&s->older_seq));
    put(o, "age_s", seq && now > created ? (now - created) / 1000 : 0);
    put(o, "made", atomic_load(&s->made));
    put(o, "failures", atomic_load(&s->failures));
    json_object_set_new(o, "running", json_boolean(atomic_load(&s->running)));
    put_text(o, "error", error);
    return o;
}

/* How far back the log goes. */
static void put_extent(struct fg_daemon *d, json_t *o)
{
    struct fg_journal_extent extent;
    struct fg_error err;

    if (!fg_journal_extent(d->config.log.dir, &extent, &err))
        return;
    put(o, "first_seq", extent.first_seq);
    put(o, "segments", extent.segments);
    put(o, "bytes", extent.bytes);
}

static json_t *log_json(struct fg_daemon *d)
{
    struct fg_committer *c = &d->committer;
    int state = atomic_load_explicit(&c->state, memory_order_acquire);
    json_t *o = json_object();

    put_text(o, "dir", d->config.log.dir);
    put_text(o, "durability", d->config.log.durability == FG_DURABILITY_DISK ? "disk" : "memory");
    put_text(o, "state", journal_states[state]);
    put_text(o, "error", state == FG_JOURNAL_OK ? "" : fg_journal_error(d->journal));
    put(o, "durable_seq", atomic_load(&c->durable_seq));
    put(o, "commits", atomic_load(&c->commits));
    put(o, "records", atomic_load(&c->records));
    put(o, "commit_ms_max", atomic_load(&d->commit_watch.max_ms));
    put(o, "commits_slow", atomic_load(&d->commit_watch.slow));
    put_extent(d, o);
    put(o, "retired", atomic_load(&d->snapshots.retired));
    json_object_set_new(o, "snapshot", snapshot_json(d));
    return o;
}

static json_t *ledger_json(struct fg_daemon *d)
{
    json_t *o = json_object();

    pthread_mutex_lock(&d->follower.lock);
    put(o, "seq", fg_ledger_seq(d->follower.ledger));
    put(o, "items", fg_ledger_items(d->follower.ledger));
    put(o, "orders", fg_ledger_orders(d->follower.ledger));
    pthread_mutex_unlock(&d->follower.lock);
    put_text(o, "error", atomic_load(&d->follower.broken) ? d->follower.error.text : "");
    return o;
}

static json_t *sink_json(struct fg_sink *sink)
{
    struct fg_sink_status s;
    json_t *o = json_object();

    fg_sink_status(sink, &s);
    put_text(o, "name", fg_sink_name(sink));
    put_text(o, "address", fg_sink_address(sink));
    put_text(o, "state", fg_sink_state_name(s.state));
    put(o, "cursor", s.cursor);
    put(o, "lag", s.lag);
    put(o, "records", s.records);
    put(o, "transactions", s.transactions);
    put(o, "reconnects", s.reconnects);
    put_text(o, "error", s.error);
    return o;
}

static json_t *sinks_json(struct fg_daemon *d)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < d->sinks_count; i++)
        json_array_append_new(list, sink_json(d->sinks[i]));
    return list;
}

static json_t *ports_json(struct fg_daemon *d)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < d->config.ports_count; i++) {
        const struct fg_port *p = &d->ports[i];
        json_t *o = json_object();

        put_text(o, "port", p->config->name);
        put_text(o, "device", p->config->device);
        if (p->config->af_xdp)
            put_text(o, "xdp", p->config->generic ? "generic" : "native");
        put_text(o, "state", fg_link_name(atomic_load(&p->link.state)));
        json_array_append_new(list, o);
    }
    return list;
}

json_t *fg_status_json(void *daemon)
{
    struct fg_daemon *d = daemon;
    char reason[REASON_BYTES];
    json_t *o = json_object();

    fg_health(d, reason);
    put_text(o, "state", state_name(d));
    put_text(o, "reason", reason);
    json_object_set_new(o, "alarms", fg_alarms_json(d));
    put_text(o, "version", FG_VERSION);
    put(o, "pid", (uint64_t)getpid());
    put_text(o, "config", d->config.path);
    put(o, "uptime_s", (fg_mono_ms() - d->started_ms) / 1000);
    put(o, "workers", d->config.workers.count);
    put(o, "workers_stalled", stalled_workers(d));
    put(o, "queues", d->queues_count);
    put(o, "order_port", d->config.orders.port);
    put(o, "order_ports", fg_config_order_ports(&d->config));
    json_object_set_new(o, "ports", ports_json(d));
    json_object_set_new(o, "filter", json_boolean(d->filter && d->config.filter.enabled));
    json_object_set_new(o, "log", log_json(d));
    json_object_set_new(o, "ledger", ledger_json(d));
    json_object_set_new(o, "sinks", sinks_json(d));
    json_object_set_new(o, "commands", fg_way_back_json(d));
    return o;
}
