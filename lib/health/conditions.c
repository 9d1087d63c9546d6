/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of conditions. Of two that are equally bad, the state's reason is the first. */
#include "health/health.h"

#include <stdarg.h>

#include "journal/thread.h"

#define SKEW_MS 50   /* of the clocks of a pair */
#define LAG_MS  1000 /* of a record that one of a pair lacks */

#define CONDITION(name)                                                                            \
    static enum fg_health_level name(const struct fg_health_observations *now,                     \
                                     const struct fg_health_observations *before, char *text)

__attribute__((format(printf, 3, 4))) static enum fg_health_level
raise_if(enum fg_health_level level, char *text, const char *fmt, ...)
{
    va_list args;

    if (level == FG_HEALTH_NONE)
        return level;
    va_start(args, fmt);
    vsnprintf(text, FG_HEALTH_TEXT, fmt, args);
    va_end(args);
    return level;
}

static enum fg_health_level warn_if(bool wrong)
{
    return wrong ? FG_HEALTH_WARNING : FG_HEALTH_NONE;
}

static enum fg_health_level alarm_if(bool wrong)
{
    return wrong ? FG_HEALTH_ALARM : FG_HEALTH_NONE;
}

/* ---- limits ---------------------------------------------------------------------------------- */

static enum fg_health_level level_of(uint64_t used, uint64_t max)
{
    return max == 0               ? FG_HEALTH_NONE
           : used >= max          ? FG_HEALTH_ALARM
           : used * 10 >= max * 9 ? FG_HEALTH_WARNING
                                  : FG_HEALTH_NONE;
}

CONDITION(items)
{
    return raise_if(level_of(now->limits.items, now->limits.items_max), text,
                    "%u of %u items ([limits] items_max)", now->limits.items,
                    now->limits.items_max);
}

static enum fg_health_level use_of(const struct fg_health_use *use, const char *what,
                                   const char *limit, char *text)
{
    return raise_if(level_of(use->used, use->max), text, "worker %u: %u of %u %s (%s)", use->worker,
                    use->used, use->max, what, limit);
}

CONDITION(orders)
{
    return use_of(&now->limits.orders, "orders", "[limits] orders_max", text);
}

CONDITION(users)
{
    return use_of(&now->limits.users, "users with a limit", "[limits] users_max", text);
}

CONDITION(parked)
{
    return use_of(&now->limits.parked, "waiting requests", "[limits] parked_max", text);
}

CONDITION(deferred)
{
    return use_of(&now->limits.deferred, "answers that wait for the disk", "[limits] deferred_max",
                  text);
}

CONDITION(denied)
{
    return use_of(&now->limits.denied, "users ever denied",
                  "built in; a restart forgets who is allowed again", text);
}

CONDITION(full)
{
    return raise_if(alarm_if(now->counters.full > before->counters.full), text,
                    "reservations are refused for want of memory ([limits] orders_max, users_max): "
                    "%llu so far",
                    (unsigned long long)now->counters.full);
}

/* ---- the log --------------------------------------------------------------------------------- */

CONDITION(log_state)
{
    if (now->log.state == FG_JOURNAL_FULL)
        return raise_if(FG_HEALTH_ALARM, text, "log full, reservations are BUSY: %s",
                        now->log.error);
    if (now->log.state == FG_JOURNAL_FAILED)
        return raise_if(FG_HEALTH_ALARM, text, "log failed, nothing more is accepted: %s",
                        now->log.error);
    if (now->log.state == FG_JOURNAL_GONE || now->log.gone)
        return raise_if(FG_HEALTH_ALARM, text,
                        "log gone, nothing is accepted until it is back: " FG_JOURNAL_GONE_TEXT,
                        now->log.dir);
    return FG_HEALTH_NONE;
}

CONDITION(behind)
{
    return raise_if(alarm_if(now->log.behind), text,
                    "a sink knows later records than this log, so it is an older copy: nothing is "
                    "sold");
}

/* Every answer that needs a record waits for the commit: one that takes long is told before it
 * ends. */
CONDITION(disk)
{
    bool waits = now->log.wait_ms >= FG_JOURNAL_SLOW_MS;

    return raise_if(warn_if(waits || now->counters.slow_commits > before->counters.slow_commits),
                    text, "a commit of the log %s the disk for %.1f s: answers wait for it",
                    waits ? "waits for" : "waited for",
                    (double)(waits ? now->log.wait_ms : now->log.slow_ms) / 1000);
}

CONDITION(memory)
{
    return raise_if(warn_if(now->log.memory), text,
                    "[log] durability is memory: a power cut loses acknowledged orders");
}

CONDITION(snapshot)
{
    return raise_if(warn_if(now->log.snapshot_error[0]), text, "%s", now->log.snapshot_error);
}

/* Said when half of it is used: then there is time to bring the sink back. */
CONDITION(retention)
{
    uint64_t bound =
        now->log.keep_bytes < now->log.room_bytes ? now->log.keep_bytes : now->log.room_bytes;
    unsigned worst = 0;
    uint64_t lag = 0;

    for (unsigned i = 0; i < now->sinks_count; i++) {
        if (now->sinks[i].status.lag <= lag)
            continue;
        lag = now->sinks[i].status.lag;
        worst = i;
    }
    if (bound && lag >= bound / FG_JOURNAL_RECORD_SIZE / 2)
        return raise_if(FG_HEALTH_WARNING, text,
                        "%s lacks %llu MiB of the log; beyond %llu MiB old segments go, and it is "
                        "filled from a snapshot",
                        now->sinks[worst].name,
                        (unsigned long long)(lag * FG_JOURNAL_RECORD_SIZE) >> 20,
                        (unsigned long long)bound >> 20);
    if (now->pair.missed)
        return raise_if(FG_HEALTH_WARNING, text,
                        "the log no longer holds all that the standby at %s lacks: it is filled "
                        "from a snapshot when it is back",
                        now->pair.peer);
    return raise_if(warn_if(now->log.tight), text,
                    "the disk is too small for [log] keep_bytes: %llu old segments went early",
                    (unsigned long long)now->log.forced);
}

CONDITION(archive)
{
    return raise_if(warn_if(now->log.archive_error[0]), text, "%s", now->log.archive_error);
}

CONDITION(ledger)
{
    if (now->log.ledger_broken)
        return raise_if(FG_HEALTH_ALARM, text, "the log cannot be followed: %s",
                        now->log.ledger_error);
    return raise_if(warn_if(now->log.ledger_lag), text,
                    "%llu records behind ([log] ledger_lag_max): reservations are BUSY",
                    (unsigned long long)now->log.ledger_lag);
}

/* ---- servers --------------------------------------------------------------------------------- */

static enum fg_health_level level_of_state(enum fg_sink_state state)
{
    return state == FG_SINK_REFUSED ? FG_HEALTH_ALARM : warn_if(state == FG_SINK_AWAY);
}

CONDITION(sink)
{
    enum fg_health_level level = FG_HEALTH_NONE;
    unsigned worst = 0;

    for (unsigned i = 0; i < now->sinks_count; i++) {
        enum fg_health_level its = level_of_state(now->sinks[i].status.state);

        if (its <= level)
            continue;
        level = its;
        worst = i;
    }
    return raise_if(level, text, "%s: %s, %llu records behind: %s", now->sinks[worst].name,
                    fg_sink_state_name(now->sinks[worst].status.state),
                    (unsigned long long)now->sinks[worst].status.lag,
                    now->sinks[worst].status.error);
}

CONDITION(inbound)
{
    enum fg_health_level level =
        now->inbound.enabled ? level_of_state(now->inbound.state) : FG_HEALTH_NONE;

    return raise_if(level, text, "inbound commands: %s: %s", fg_sink_state_name(now->inbound.state),
                    now->inbound.error);
}

CONDITION(dead)
{
    return raise_if(alarm_if(now->counters.dead > before->counters.dead), text,
                    "inbound commands that make no sense, and were not done: %llu; the last: %s",
                    (unsigned long long)now->counters.dead, now->inbound.dead_reason);
}

CONDITION(trimmed)
{
    return raise_if(alarm_if(now->counters.trimmed > before->counters.trimmed), text,
                    "inbound commands that another program removed from the stream before they "
                    "were done (XADD with MAXLEN, XTRIM, XDEL): %llu",
                    (unsigned long long)now->counters.trimmed);
}

/* ---- the filter ------------------------------------------------------------------------------ */

CONDITION(filter)
{
    bool more = now->counters.source_refused > before->counters.source_refused ||
                now->counters.penalties_refused > before->counters.penalties_refused;

    return raise_if(warn_if(more), text,
                    "%llu packets of sources that found the table full ([filter] sources_max), "
                    "%llu sources not blocked by a full penalty box or block list",
                    (unsigned long long)now->counters.source_refused,
                    (unsigned long long)now->counters.penalties_refused);
}

CONDITION(lists)
{
    return raise_if(warn_if(now->filter.left_out[0]), text, "left out: %s", now->filter.left_out);
}

CONDITION(monitor)
{
    return raise_if(warn_if(now->filter.monitor), text,
                    "[filter] monitor is on: every packet gets its verdict, none is dropped");
}

CONDITION(gateways)
{
    return raise_if(warn_if(now->filter.allowed && !now->limits.user_rate), text,
                    "%u prefixes of the allow list have no rate, and neither have their users "
                    "([limits] user_rate is 0)",
                    now->filter.allowed);
}

/* ---- workers and ports ----------------------------------------------------------------------- */

CONDITION(workers)
{
    return raise_if(alarm_if(now->workers_stalled), text, "%u of %u workers are stalled",
                    now->workers_stalled, now->workers);
}

/* A clock that is a little off is followed within seconds; more is a step. */
CONDITION(wall_clock)
{
    int64_t ahead = now->wall_ahead_ms;
    double seconds = (double)(ahead < 0 ? -ahead : ahead) / 1000;

    return raise_if(alarm_if(seconds >= 1), text,
                    "the system's clock is %.1f s %s ours, which follows by 36 s in an hour; times "
                    "are checked against ours. A restart takes the system's",
                    seconds, ahead < 0 ? "behind" : "ahead of");
}

CONDITION(link)
{
    return raise_if(now->link_broken ? FG_HEALTH_ALARM : warn_if(now->link_wrong), text, "%s",
                    now->link_text);
}

CONDITION(queues)
{
    bool lost = now->counters.no_socket > before->counters.no_socket;

    return raise_if(lost ? FG_HEALTH_ALARM : warn_if(now->queues_unread[0]), text, "%s",
                    now->queues_unread[0] ? now->queues_unread
                                          : "orders came to a receive queue that no worker reads");
}

/* ---- the table ------------------------------------------------------------------------------- */

/* ---- a pair ---------------------------------------------------------------------------------- */

CONDITION(refused)
{
    bool waits = now->pair.enabled && !now->pair.refused && !now->pair.leads && !now->pair.linked;
    enum fg_health_level level = now->pair.refused ? FG_HEALTH_ALARM : warn_if(waits);

    return raise_if(level, text,
                    level == FG_HEALTH_ALARM
                        ? "this appliance is refused by its pair: %s"
                        : "this appliance does not lead, and has no link to its peer: %s",
                    now->pair.reason);
}

CONDITION(solo)
{
    return raise_if(warn_if(now->pair.solo), text,
                    "this appliance leads without a standby: what is sold now is on one disk%s%s",
                    now->pair.reason[0] ? ": " : "", now->pair.reason);
}

CONDITION(arbiter)
{
    return raise_if(warn_if(now->pair.arbiter_away), text, "the arbiter does not answer: %s",
                    now->pair.arbiter_error);
}

CONDITION(skew)
{
    long long ms = now->pair.skew_ms < 0 ? -now->pair.skew_ms : now->pair.skew_ms;

    return raise_if(warn_if(now->pair.linked && ms > SKEW_MS), text,
                    "the peer's clock is %lld ms %s ours", ms,
                    now->pair.skew_ms > 0 ? "ahead of" : "behind");
}

CONDITION(lag)
{
    bool lags = now->pair.linked && now->pair.lag_records && now->pair.lag_ms >= LAG_MS;

    return raise_if(warn_if(lags), text, "%llu records are missing %s, the oldest for %.1f s",
                    (unsigned long long)now->pair.lag_records,
                    now->pair.leads ? "at the peer" : "here", (double)now->pair.lag_ms / 1000);
}

/* Of a fleet. The first silent member stands for all of them. */
CONDITION(fleet)
{
    if (!now->fleet.enabled)
        return FG_HEALTH_NONE;
    if (!now->fleet.may_sell && !now->fleet.reason[0]) /* the alarms `log`, `behind` have more */
        return raise_if(FG_HEALTH_ALARM, text, "nothing is sold: the log takes no orders yet");
    if (!now->fleet.may_sell && now->fleet.catalogue_error[0])
        return raise_if(FG_HEALTH_ALARM, text, "nothing is sold: %s: %s", now->fleet.reason,
                        now->fleet.catalogue_error);
    if (!now->fleet.may_sell)
        return raise_if(FG_HEALTH_ALARM, text, "nothing is sold: %s%s%s", now->fleet.reason,
                        now->fleet.away ? ": " : "", now->fleet.away ? now->fleet.etcd_error : "");
    if (now->fleet.away)
        return raise_if(FG_HEALTH_WARNING, text,
                        "etcd is away, orders that need units of others are BUSY: %s",
                        now->fleet.etcd_error);
    if (now->fleet.reason[0])
        return raise_if(FG_HEALTH_WARNING, text, "no units are leased or returned: %s",
                        now->fleet.reason);
    if (now->fleet.damaged)
        return raise_if(FG_HEALTH_WARNING, text,
                        "the pools of %u items are damaged or deleted in etcd: they are leased no "
                        "more",
                        now->fleet.damaged);
    if (now->fleet.catalogue_error[0])
        return raise_if(FG_HEALTH_WARNING, text, "settings in etcd cannot be applied: %s",
                        now->fleet.catalogue_error);
    if (now->fleet.silent)
        return raise_if(FG_HEALTH_WARNING, text, "member %d is silent: its units are left out",
                        __builtin_ffs((int)now->fleet.silent) - 1);
    return raise_if(warn_if(now->fleet.seen_error[0]), text,
                    "a restored etcd may not be noticed after a restart: %s",
                    now->fleet.seen_error);
}

CONDITION(unlike)
{
    return raise_if(warn_if(now->pair.unlike[0]), text, "unlike %s: %s", now->pair.peer,
                    now->pair.unlike);
}

CONDITION(address)
{
    return raise_if(alarm_if(now->pair.address_error[0]), text,
                    "this appliance leads without its address: %s", now->pair.address_error);
}

/* A limit of one worker, by the name of its setting. */
#define SHARE(setting) "from 90 % of a worker's share of `" setting "`"

const struct fg_health_condition fg_health_conditions[] = {
    {.name = "log",
     .check = log_state,
     .alarm = "the log has no room, or failed; or its files were removed or moved away, also the "
              "file `lock` (checked each second)",
     .alarm_effect = FG_HEALTH_UNHEALTHY,
     .remedy = "make room, or replace the disk (see log `full` and `failed`). A directory that was "
               "moved: move it back. One that was removed: stop "
               "selling (`fgctl pause`), and save the remaining copies: the sinks, and the segment "
               "that is being written, `/proc/PID/fd/N` of the daemon"},
    {.name = "behind",
     .check = behind,
     .alarm = "a sink knows later records of this log: it is an older copy, and nothing is sold",
     .alarm_effect = FG_HEALTH_UNHEALTHY,
     .remedy = "put the newer log in place, or decide ([log](log.md#which-log-is-this))"},
    {.name = "workers",
     .check = workers,
     .alarm = "a worker is stalled: no loop for two seconds",
     .alarm_effect = FG_HEALTH_UNHEALTHY,
     .remedy = "another program may hold its CPU: `[workers] cpus`"},
    {.name = "clock",
     .check = wall_clock,
     .alarm = "the system's clock was set: it is a second or more ahead of or behind the "
              "appliance's, which [follows slowly](#the-clock)",
     .alarm_effect = FG_HEALTH_TOLD,
     .remedy = "right it was set: nothing, or a restart between two sales. Wrong: set it back"},
    {.name = "ledger",
     .check = ledger,
     .warning = "the ledger lacks more records than `[log] ledger_lag_max`: reservations are BUSY",
     .warning_effect = FG_HEALTH_DEGRADED,
     .alarm = "the ledger cannot follow the log: numbers and lists no longer change",
     .alarm_effect = FG_HEALTH_UNHEALTHY,
     .remedy = "warning: it needs CPU time beside the workers, and ends by itself; alarm: keep the "
               "log, and report the fault"},
    {.name = "link",
     .check = link,
     .warning = "a port has no link while another has, or had none since the start; or its XDP "
                "program was detached",
     .warning_effect = FG_HEALTH_DEGRADED,
     .alarm = "no port has a link and its XDP program any more, or an interface is gone",
     .alarm_effect = FG_HEALTH_UNHEALTHY,
     .remedy = "`fgctl filter attach`; cable, switch, driver; a removed interface needs a restart "
               "when it is back ([ports](ports.md#links))"},
    {.name = "queues",
     .check = queues,
     .warning =
         "an interface spreads packets over more receive queues than `queues`, so the orders "
         "of some shoppers will not be seen",
     .warning_effect = FG_HEALTH_DEGRADED,
     .alarm = "orders arrive at such a queue (verdict `no-socket`)",
     .alarm_effect = FG_HEALTH_DEGRADED,
     .remedy = "the text says the `ethtool` command; or raise `queues` (and workers), and restart "
               "([ports](ports.md#receive-queues))"},
    {.name = "refused",
     .check = refused,
     .warning = "this appliance does not lead its pair, and has no link to the one that may",
     .warning_effect = FG_HEALTH_DEGRADED,
     .alarm = "it may neither lead nor follow: a person decides",
     .alarm_effect = FG_HEALTH_UNHEALTHY,
     .remedy = "`fgctl pair status` on both; [pair](pair.md#failures) says what each reason asks "
               "for"},
    {.name = "address",
     .check = address,
     .alarm = "`[pair] address` cannot be put on its interface",
     .alarm_effect = FG_HEALTH_DEGRADED,
     .remedy = "the text names address and fault; clients that know both boxes still reach it"},
    {.name = "solo",
     .check = solo,
     .warning = "this appliance of a pair leads without a standby",
     .warning_effect = FG_HEALTH_DEGRADED,
     .remedy = "bring the other one back, it joins by itself; after `fgctl pair solo`: `fgctl pair "
               "join`"},
    {.name = "arbiter",
     .check = arbiter,
     .warning = "etcd does not answer this appliance of a pair: when a box dies now, nobody takes "
                "over",
     .warning_effect = FG_HEALTH_DEGRADED,
     .remedy = "bring its members back: two of three suffice"},
    {.name = "unlike",
     .check = unlike,
     .warning = "keys or settings of the two appliances of a pair differ",
     .warning_effect = FG_HEALTH_DEGRADED,
     .remedy = "make them alike, `fgctl keys reload`, or restart the standby"},
    {.name = "fleet",
     .check = fleet,
     .warning = "this member of a fleet cannot exchange units with the others: etcd is away, a "
                "person froze the fleet, another member is silent, the pool of an item is damaged, "
                "settings of an item cannot be applied, etcd was restored, or fleet.seen cannot be "
                "written",
     .warning_effect = FG_HEALTH_DEGRADED,
     .alarm = "it sells nothing, for it could not read the map and the pools, or does not have the "
              "settings of all items, or its log takes no orders",
     .alarm_effect = FG_HEALTH_UNHEALTHY,
     .remedy = "`fgctl fleet status` at each member; bring etcd or the silent member back, `fgctl "
               "fleet thaw`; [fleet](fleet.md#the-operator) says what each reason asks for"},
    {.name = "skew",
     .check = skew,
     .warning = "the clocks of a pair differ by more than 50 ms: a take-over gives every hold so "
                "much more time",
     .warning_effect = FG_HEALTH_TOLD,
     .remedy = "let one time server set both (chrony)"},
    {.name = "lag",
     .check = lag,
     .warning = "the one of a pair that follows has lacked a record for a second or more",
     .warning_effect = FG_HEALTH_TOLD,
     .remedy = "while it joins: nothing; else its disk or the network between is slow"},
    {.name = "sink",
     .check = sink,
     .warning = "Redis or an order backend is away",
     .warning_effect = FG_HEALTH_DEGRADED,
     .alarm = "it refuses",
     .alarm_effect = FG_HEALTH_DEGRADED,
     .remedy =
         "away: bring it back, the sink catches up by itself; refused: see [redis.md](redis.md), "
         "[postgres.md](postgres.md), [kafka.md](kafka.md), and delete nothing in haste"},
    {.name = "inbound",
     .check = inbound,
     .warning = "the Redis of the [inbound commands](redis.md#inbound-commands) is away",
     .warning_effect = FG_HEALTH_DEGRADED,
     .alarm = "it refuses",
     .alarm_effect = FG_HEALTH_DEGRADED,
     .remedy = "bring it back: confirmations wait in it, and holds may end before they are read"},
    {.name = "dead",
     .check = dead,
     .alarm = "an [inbound command](redis.md#inbound-commands) made no sense in the last 5 s",
     .remedy = "read `{prefix}:commands:dead`, mend the service, and give the command again: a "
               "confirmation that was not done lets a paid order lapse"},
    {.name = "trimmed",
     .check = trimmed,
     .alarm = "another program removed [inbound commands](redis.md#inbound-commands) from the "
              "stream before they were done, as was found in the last 5 s",
     .remedy = "give no `MAXLEN` with a command, and no `XTRIM`; give the commands that have no "
               "result again: a confirmation that was not done lets a paid order lapse"},
    {.name = "snapshot",
     .check = snapshot,
     .warning = "no snapshot of the log could be made; the sale continues, old segments stay",
     .warning_effect = FG_HEALTH_DEGRADED,
     .remedy = "make room; the daemon tries again every 10 s"},
    {.name = "retention",
     .check = retention,
     .warning =
         "a sink lacks half of what the log may hold for it, `[log] sink_keep_bytes` or the "
         "room of the disk; or old segments went that the standby of a pair lacks, or before "
         "`keep_bytes` was reached, for want of room",
     .warning_effect = FG_HEALTH_TOLD,
     .remedy = "bring the sink or the standby back; a larger disk, or lower `keep_bytes` "
               "([log](log.md#retention))"},
    {.name = "archive",
     .check = archive,
     .warning = "an old segment could not be copied to `[log] archive`: it stays in the log",
     .warning_effect = FG_HEALTH_DEGRADED,
     .remedy = "make room there, mount it; the daemon tries again every second"},
    {.name = "disk",
     .check = disk,
     .warning = "a commit of the log waits, or waited, for the disk for a second or more: so did "
                "every answer that needs it",
     .remedy = "find the other writers of this disk: the log needs a disk of its own "
               "([log](log.md#for-operators))"},
    {.name = "memory",
     .check = memory,
     .warning = "`[log] durability` is `memory`",
     .warning_effect = FG_HEALTH_TOLD,
     .remedy = "never in a sale: a power cut loses acknowledged orders. Set `disk`, restart"},
    {.name = "items",
     .check = items,
     .warning = "from 90 % of `[limits] items_max`",
     .alarm = "no more items can be created",
     .remedy = "raise `items_max`, restart"},
    {.name = "orders",
     .check = orders,
     .warning = "orders remembered, finished ones too: " SHARE("orders_max"),
     .alarm = "full: new orders are `FULL`",
     .remedy = "raise `orders_max`; a restart takes as long as the log is"},
    {.name = "users",
     .check = users,
     .warning = "users with units of items with a limit per user: " SHARE("users_max"),
     .alarm = "full: new users are `FULL`",
     .remedy = "raise `users_max`, restart"},
    {.name = "parked",
     .check = parked,
     .warning = "requests that wait for units: " SHARE("parked_max"),
     .alarm = "full: such requests are `BUSY`",
     .remedy = "raise `parked_max` if it lasts"},
    {.name = "deferred",
     .check = deferred,
     .warning = "answers that wait for the disk: " SHARE("deferred_max"),
     .alarm = "full: requests are `BUSY`",
     .remedy = "a faster disk"},
    {.name = "denied",
     .check = denied,
     .warning = "users ever denied since the start: from 90 % of 16384 a worker",
     .alarm = "full: no other user can be denied",
     .remedy = "a restart forgets those who were allowed again"},
    {.name = "full",
     .check = full,
     .alarm = "a reservation was refused as `FULL` in the last 5 s",
     .remedy = "see `orders` and `users`"},
    {.name = "filter",
     .check = filter,
     .warning = "the filter's table of sources is full, so new sources share what is left of their "
                "network's rate; or the penalty box could not block a source",
     .remedy = "a flood of many sources, forged ones too: known sources keep their slot. Raise "
               "`[filter] sources_max` if these are shoppers"},
    {.name = "lists",
     .check = lists,
     .warning = "the start left wrong lines of `[filter] block_file` or `allow_file` out; the text "
                "names them",
     .remedy = "mend the file, `fgctl block load FILE`; the alarm ends with the next start"},
    {.name = "gateways",
     .check = gateways,
     .warning = "there is an allow list, whose sources have no rate, and `[limits] user_rate` is "
                "0: one user behind a gateway may ask without limit",
     .remedy = "set `user_rate` to the requests that a person makes in a second, restart"},
    {.name = "monitor",
     .check = monitor,
     .warning = "`[filter] monitor` is on: the filter counts its verdicts, and drops nothing",
     .remedy = "when you have seen enough: `fgctl filter set --monitor false`, and the file"},
};
const unsigned fg_health_conditions_count =
    sizeof(fg_health_conditions) / sizeof(fg_health_conditions[0]);

_Static_assert(sizeof(fg_health_conditions) / sizeof(fg_health_conditions[0]) <= FG_HEALTH_MAX,
               "struct fg_health has room for every row");
