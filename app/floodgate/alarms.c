/* SPDX-License-Identifier: BSD-3-Clause */
/* Alarms: how near each limit is, and what is broken. */
#include "alarms.h"

#include <stdarg.h>

#include "base/diag.h"
#include "daemon.h"

#define LOG_LOOK_MS 1000

static const char *const names[] = {
#define X(name, text, help) text,
    FG_ALARM_LIST(X)
#undef X
};
static const char *const level_names[] = {"none", "warning", "alarm"};

/* The new level of one alarm; down only after its time. */
__attribute__((format(printf, 5, 6))) static void set(struct fg_daemon *d,
                                                      enum fg_health_alarm alarm, uint64_t now_ms,
                                                      enum fg_health_alarm_level level,
                                                      const char *fmt, ...)
{
    struct fg_health_alarm_state *a = &d->alarms.list[alarm];
    enum fg_health_alarm_level before = a->level;
    va_list args;

    if (level >= before)
        a->seen_ms = now_ms;
    if (level < before && now_ms - a->seen_ms < FG_ALARM_HOLD_MS)
        return;
    pthread_mutex_lock(&d->alarms.lock);
    a->level = level;
    va_start(args, fmt);
    vsnprintf(a->text, sizeof(a->text), fmt, args);
    va_end(args);
    pthread_mutex_unlock(&d->alarms.lock);
    if (level == before)
        return;
    a->seen_ms = now_ms; /* a warning that follows an alarm has its own time */
    if (level == FG_ALARM_NONE)
        fg_diag(FG_DIAG_NOTICE, "alarm %s: over", names[alarm]);
    else
        fg_diag(level == FG_ALARM_RAISED ? FG_DIAG_ERROR : FG_DIAG_WARNING, "alarm %s: %s",
                names[alarm], a->text);
}

static enum fg_health_alarm_level level_of(uint64_t used, uint64_t max)
{
    return used >= max ? FG_ALARM_RAISED : used * 10 >= max * 9 ? FG_ALARM_WARNING : FG_ALARM_NONE;
}

/* The fullest worker counts: its users cannot go elsewhere. */
static void look_at_worker_limits(struct fg_daemon *d, uint64_t now_ms)
{
    static const struct {
        enum fg_health_alarm alarm;
        const char *what, *limit;
    } list[FG_STOCK_LEVELS] = {
        [FG_STOCK_LEVEL_orders] = {FG_ALARM_ORDERS, "orders", "[limits] orders_max"},
        [FG_STOCK_LEVEL_users] = {FG_ALARM_USERS, "users with a limit", "[limits] users_max"},
        [FG_STOCK_LEVEL_parked] = {FG_ALARM_PARKED, "waiting requests", "[limits] parked_max"},
        [FG_STOCK_LEVEL_held] = {FG_ALARM_HELD, "answers that wait for the disk",
                                 "[limits] held_max"},
        [FG_STOCK_LEVEL_denied] = {FG_ALARM_DENIED, "users ever denied",
                                   "built in; a restart forgets who is "
                                   "allowed again"}};
    struct fg_stock_level worst[FG_STOCK_LEVELS] = {{0}};
    unsigned worker[FG_STOCK_LEVELS] = {0};

    for (unsigned i = 0; i < d->config.workers.count; i++) {
        struct fg_stock_level levels[FG_STOCK_LEVELS];

        fg_stock_levels(d->workers.list[i]->stock, levels);
        for (unsigned k = 0; k < FG_STOCK_LEVELS; k++) {
            if (i &&
                (uint64_t)levels[k].used * worst[k].max <= (uint64_t)worst[k].used * levels[k].max)
                continue;
            worst[k] = levels[k];
            worker[k] = i;
        }
    }
    for (unsigned k = 0; k < FG_STOCK_LEVELS; k++)
        set(d, list[k].alarm, now_ms, level_of(worst[k].used, worst[k].max),
            "worker %u: %u of %u %s (%s)", worker[k], worst[k].used, worst[k].max, list[k].what,
            list[k].limit);
}

static void look_at_items(struct fg_daemon *d, uint64_t now_ms)
{
    uint32_t items;

    pthread_mutex_lock(&d->follower.lock);
    items = fg_ledger_items(d->follower.ledger);
    pthread_mutex_unlock(&d->follower.lock);
    set(d, FG_ALARM_ITEMS, now_ms, level_of(items, d->workers.options.limits.items_max),
        "%u of %u items ([limits] items_max)", items, d->workers.options.limits.items_max);
}

static void look_at_refusals(struct fg_daemon *d, uint64_t now_ms)
{
    uint64_t refused = 0;

    for (unsigned i = 0; i < d->config.workers.count; i++)
        refused += fg_counter_read(&fg_stock_counters(d->workers.list[i]->stock)->full);
    set(d, FG_ALARM_FULL, now_ms,
        refused > d->alarms.refused_full ? FG_ALARM_RAISED : FG_ALARM_NONE,
        "reservations are refused for want of memory ([limits] orders_max, users_max): %llu so far",
        (unsigned long long)refused);
    d->alarms.refused_full = refused;
}

/* The disk takes what goes into a removed file, so nothing but the names tells. */
static void look_for_the_log(struct fg_daemon *d, uint64_t now_ms)
{
    if (now_ms - d->alarms.log_looked_ms < LOG_LOOK_MS)
        return;
    d->alarms.log_looked_ms = now_ms;
    atomic_store(&d->log_gone, !fg_journal_in_place(d->journal));
}

static void look_at_log(struct fg_daemon *d, uint64_t now_ms)
{
    int state = atomic_load_explicit(&d->journal_thread.committer.state, memory_order_acquire);
    bool broken = atomic_load(&d->follower.broken), gone;
    char why[FG_ALARM_TEXT];

    look_for_the_log(d, now_ms);
    gone = atomic_load(&d->log_gone);
    if (state == FG_JOURNAL_OK)
        set(d, FG_ALARM_LOG, now_ms, gone ? FG_ALARM_RAISED : FG_ALARM_NONE, FG_LOG_GONE_TEXT,
            d->config.log.dir);
    else
        set(d, FG_ALARM_LOG, now_ms, FG_ALARM_RAISED, "%s: %.200s",
            state == FG_JOURNAL_FULL ? "no room, reservations are BUSY"
                                     : "failed, nothing more is accepted",
            fg_journal_error(d->journal));
    set(d, FG_ALARM_MEMORY, now_ms,
        d->config.log.durability == FG_DURABILITY_MEMORY ? FG_ALARM_WARNING : FG_ALARM_NONE,
        "[log] durability is memory: a power cut loses acknowledged orders");
    fg_ledger_snapshots_error(&d->follower.snapshots, why, sizeof(why));
    set(d, FG_ALARM_SNAPSHOT, now_ms, why[0] ? FG_ALARM_WARNING : FG_ALARM_NONE, "%.240s", why);
    set(d, FG_ALARM_LEDGER, now_ms, broken ? FG_ALARM_RAISED : FG_ALARM_NONE, "%.240s",
        broken ? d->follower.error.text : "");
}

/* Everything that needs a record waits for it: one that is under way for long tells before it has
 * ended. */
static void look_at_disk(struct fg_daemon *d, uint64_t now_ms)
{
    struct fg_journal_commit_watch *w = &d->journal_thread.watch;
    uint64_t began = atomic_load(&w->began_ms), slow = atomic_load(&w->slow),
             took = atomic_load(&w->slow_ms);
    bool waits = began && now_ms > began && now_ms - began >= FG_JOURNAL_SLOW_MS;

    set(d, FG_ALARM_DISK, now_ms,
        waits || slow > d->alarms.slow_commits ? FG_ALARM_WARNING : FG_ALARM_NONE,
        "a commit of the log %s the disk for %.1f s: answers wait for it",
        waits ? "waits for" : "waited for", (double)(waits ? now_ms - began : took) / 1000);
    d->alarms.slow_commits = slow;
}

/* The worst one speaks for all. */
static void look_at_sinks(struct fg_daemon *d, uint64_t now_ms)
{
    enum fg_health_alarm_level level = FG_ALARM_NONE;
    struct fg_sink_status worst = {0};
    const char *name = "";

    for (unsigned i = 0; i < d->sinks_count; i++) {
        struct fg_sink_status s;
        enum fg_health_alarm_level its;

        fg_sink_status(d->sinks[i], &s);
        its = s.state == FG_SINK_REFUSED ? FG_ALARM_RAISED
              : s.state == FG_SINK_AWAY  ? FG_ALARM_WARNING
                                         : FG_ALARM_NONE;
        if (its <= level)
            continue;
        level = its;
        worst = s;
        name = fg_sink_name(d->sinks[i]);
    }
    set(d, FG_ALARM_SINK, now_ms, level, "%s: %s, %llu records behind: %.160s", name,
        fg_sink_state_name(worst.state), (unsigned long long)worst.lag, worst.error);
}

static void look_at_commands(struct fg_daemon *d, uint64_t now_ms)
{
    struct fg_inbound_status s = {0};
    enum fg_health_alarm_level level = FG_ALARM_NONE;

    if (d->inbound)
        fg_inbound_status(d->inbound, &s);
    if (d->inbound && s.state == FG_SINK_REFUSED)
        level = FG_ALARM_RAISED;
    else if (d->inbound && s.state == FG_SINK_AWAY)
        level = FG_ALARM_WARNING;
    set(d, FG_ALARM_COMMANDS, now_ms, level, "the way back: %s: %.200s",
        fg_sink_state_name(s.state), s.error);
}

/* Never silent: what has no place is judged by its network, or not blocked. */
static void look_at_filter(struct fg_daemon *d, uint64_t now_ms)
{
    uint64_t events[FG_EVENT_COUNT] = {0}, sources,
             penalties = fg_penalty_counters(d->penalty).refused;
    uint32_t allowed;
    bool more;

    if (d->filter)
        fg_filter_events(d->filter, events);
    sources = events[FG_EVENT_SOURCE_REFUSED];
    if (!d->alarms.looked) { /* counted before this daemon: no news */
        d->alarms.looked = true;
        d->alarms.refused_sources = sources;
    }
    more = sources > d->alarms.refused_sources || penalties > d->alarms.refused_penalties;
    set(d, FG_ALARM_FILTER, now_ms, more ? FG_ALARM_WARNING : FG_ALARM_NONE,
        "%llu packets of sources that found the table full ([filter] sources_max), %llu sources "
        "not blocked "
        "by a full "
        "penalty box or block list",
        (unsigned long long)sources, (unsigned long long)penalties);
    d->alarms.refused_sources = sources;
    d->alarms.refused_penalties = penalties;
    set(d, FG_ALARM_LISTS, now_ms, d->lists_wrong[0] ? FG_ALARM_WARNING : FG_ALARM_NONE,
        "left out: %.240s", d->lists_wrong);
    set(d, FG_ALARM_MONITOR, now_ms,
        d->filter && d->config.filter.monitor ? FG_ALARM_WARNING : FG_ALARM_NONE,
        "[filter] monitor is on: everything is judged, nothing is dropped");
    allowed = d->filter ? fg_filter_count(d->filter, FG_LIST_ALLOW) : 0;
    set(d, FG_ALARM_GATEWAYS, now_ms,
        allowed && !d->config.limits.user_rate ? FG_ALARM_WARNING : FG_ALARM_NONE,
        "%u prefixes of the allow list have no rate, and neither have their users ([limits] "
        "user_rate is 0)",
        allowed);
}

static void look_at_workers(struct fg_daemon *d, uint64_t now_ms)
{
    unsigned stalled = 0;

    for (unsigned i = 0; i < d->config.workers.count; i++)
        stalled += atomic_load(&d->watch[i].stalled);
    set(d, FG_ALARM_WORKERS, now_ms, stalled ? FG_ALARM_RAISED : FG_ALARM_NONE,
        "%u of %u stand still", stalled, d->config.workers.count);
}

static void look_at_links(struct fg_daemon *d, uint64_t now_ms)
{
    char why[FG_ALARM_TEXT] = "";
    bool wrong = fg_port_links_wrong(&d->ports, why, sizeof(why));

    set(d, FG_ALARM_LINK, now_ms,
        fg_port_links_broken(&d->ports) ? FG_ALARM_RAISED
        : wrong                         ? FG_ALARM_WARNING
                                        : FG_ALARM_NONE,
        "%.240s", why);
}

void fg_health_poll(struct fg_daemon *d, uint64_t now_ms)
{
    look_at_worker_limits(d, now_ms);
    look_at_items(d, now_ms);
    look_at_refusals(d, now_ms);
    look_at_log(d, now_ms);
    look_at_disk(d, now_ms);
    look_at_sinks(d, now_ms);
    look_at_commands(d, now_ms);
    look_at_filter(d, now_ms);
    look_at_workers(d, now_ms);
    look_at_links(d, now_ms);
}

json_t *fg_health_alarms_json(struct fg_daemon *d)
{
    json_t *list = json_array();

    pthread_mutex_lock(&d->alarms.lock);
    for (unsigned i = 0; i < FG_ALARMS; i++) {
        const struct fg_health_alarm_state *a = &d->alarms.list[i];
        json_t *text = a->level ? json_string(a->text) : NULL;

        if (a->level)
            json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", names[i], "level",
                                                  level_names[a->level], "text",
                                                  text ? text : json_string("(not UTF-8)")));
    }
    pthread_mutex_unlock(&d->alarms.lock);
    return list;
}

json_t *fg_health_alarm_levels_json(struct fg_daemon *d)
{
    json_t *o = json_object();

    pthread_mutex_lock(&d->alarms.lock);
    for (unsigned i = 0; i < FG_ALARMS; i++)
        json_object_set_new(o, names[i], json_integer(d->alarms.list[i].level));
    pthread_mutex_unlock(&d->alarms.lock);
    return o;
}
