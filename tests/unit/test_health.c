/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of conditions: each row by an appliance that meets it, and only it; then alarms over
 * time, and the page in docs/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "health/health.h"
#include "journal/thread.h"

static struct fg_health_observations now, before;
static struct fg_health health;

/* An appliance in the middle of a sale, with everything configured and nothing wrong. */
static void observe_good(void)
{
    const struct fg_health_use some = {.worker = 1, .used = 899, .max = 1000};

    memset(&now, 0, sizeof(now));
    now.now_ms = 1000000;
    now.limits.items = 8;
    now.limits.items_max = 10;
    now.limits.orders = now.limits.users = now.limits.parked = some;
    now.limits.deferred = now.limits.denied = some;
    now.limits.user_rate = 5;
    now.counters.full = now.counters.slow_commits = 3;
    now.counters.source_refused = now.counters.penalties_refused = now.counters.no_socket = 3;
    strcpy(now.log.dir, "/var/lib/floodgate/log");
    now.log.wait_ms = FG_JOURNAL_SLOW_MS - 1;
    now.sinks[0].name = "redis";
    now.sinks[0].status.state = FG_SINK_LIVE;
    now.sinks[1].name = "kafka";
    now.sinks[1].status.state = FG_SINK_CATCHING_UP;
    now.sinks_count = 2;
    now.inbound.enabled = true;
    now.inbound.state = FG_SINK_LIVE;
    now.filter.allowed = 4;
    now.workers = 2;
    before = now;
}

/* ---- one fault at a time --------------------------------------------------------------------- */

#define FAULT(name) static void name(void)

FAULT(few_items_left)
{
    now.limits.items = 9;
}
FAULT(no_item_left)
{
    now.limits.items = 10;
}
FAULT(few_orders_left)
{
    now.limits.orders.used = 900;
}
FAULT(no_order_left)
{
    now.limits.orders.used = 1000;
}
FAULT(few_users_left)
{
    now.limits.users.used = 900;
}
FAULT(no_user_left)
{
    now.limits.users.used = 1000;
}
FAULT(few_parked_left)
{
    now.limits.parked.used = 900;
}
FAULT(no_parked_left)
{
    now.limits.parked.used = 1000;
}
FAULT(few_deferred_left)
{
    now.limits.deferred.used = 900;
}
FAULT(no_deferred_left)
{
    now.limits.deferred.used = 1000;
}
FAULT(few_denied_left)
{
    now.limits.denied.used = 900;
}
FAULT(no_denied_left)
{
    now.limits.denied.used = 1000;
}
FAULT(refused_as_full)
{
    now.counters.full++;
}

FAULT(command_makes_no_sense)
{
    now.counters.dead++;
    strcpy(now.inbound.dead_reason, "op 'confrm'");
}

FAULT(commands_trimmed)
{
    now.counters.trimmed += 90;
}

FAULT(log_full)
{
    now.log.state = FG_JOURNAL_FULL;
    strcpy(now.log.error, "No space left on device");
}

FAULT(log_failed)
{
    now.log.state = FG_JOURNAL_FAILED;
    strcpy(now.log.error, "Input/output error");
}

FAULT(log_gone)
{
    now.log.gone = true;
}
FAULT(log_moved)
{
    now.log.state = FG_JOURNAL_GONE;
}

FAULT(log_behind)
{
    now.log.behind = true;
}

FAULT(sink_holds_half)
{
    now.log.keep_bytes = 128 << 20;
    now.log.room_bytes = UINT64_MAX;
    now.sinks[1].status.lag = (64 << 20) / 64;
}
FAULT(sink_holds_half_of_the_disk)
{
    now.log.keep_bytes = UINT64_MAX;
    now.log.room_bytes = 128 << 20;
    now.sinks[1].status.lag = (64 << 20) / 64;
}
FAULT(standby_missed)
{
    now.pair.enabled = now.pair.leads = now.pair.missed = true;
    snprintf(now.pair.peer, sizeof(now.pair.peer), "192.0.2.2:4610");
}

FAULT(disk_too_small)
{
    now.log.tight = true;
}
FAULT(archive_full)
{
    strcpy(now.log.archive_error, "No space left on device");
}

FAULT(commit_waits)
{
    now.log.wait_ms = FG_JOURNAL_SLOW_MS;
}

FAULT(commit_waited)
{
    now.log.wait_ms = 0;
    now.log.slow_ms = 2500;
    now.counters.slow_commits++;
}

FAULT(log_in_memory)
{
    now.log.memory = true;
}
FAULT(no_snapshot)
{
    strcpy(now.log.snapshot_error, "a snapshot needs 5 MiB");
}

FAULT(ledger_lags)
{
    now.log.ledger_lag = 2000000;
}

FAULT(ledger_broken)
{
    now.log.ledger_broken = true;
    strcpy(now.log.ledger_error, "record 7: no such order");
}

FAULT(sink_away)
{
    now.sinks[1].status.state = FG_SINK_AWAY;
    now.sinks[1].status.lag = 17;
    strcpy(now.sinks[1].status.error, "connection refused");
}

FAULT(sink_refuses)
{
    sink_away();
    now.sinks[0].status.state = FG_SINK_REFUSED;
    strcpy(now.sinks[0].status.error, "of another appliance");
}

FAULT(inbound_away)
{
    now.inbound.state = FG_SINK_AWAY;
}
FAULT(inbound_refused)
{
    now.inbound.state = FG_SINK_REFUSED;
}
FAULT(table_of_sources_full)
{
    now.counters.source_refused++;
}
FAULT(penalty_box_full)
{
    now.counters.penalties_refused++;
}
FAULT(lines_left_out)
{
    strcpy(now.filter.left_out, "blocked:3: host bits");
}
FAULT(monitor_on)
{
    now.filter.monitor = true;
}
FAULT(gateways_without_limit)
{
    now.limits.user_rate = 0;
}
FAULT(worker_stalled)
{
    now.workers_stalled = 1;
}

FAULT(clock_set)
{
    now.wall_ahead_ms = 3600000;
}

FAULT(clock_set_back)
{
    now.wall_ahead_ms = -1000;
}

FAULT(link_missing)
{
    now.link_wrong = true;
    strcpy(now.link_text, "port a (eth0): no link");
}

FAULT(queues_unread)
{
    strcpy(now.queues_unread, "port a: eth0 spreads packets over 4 receive queues");
}

FAULT(orders_unread)
{
    queues_unread();
    now.counters.no_socket++;
}

FAULT(link_lost)
{
    link_missing();
    now.link_broken = true;
}

FAULT(pair_refused)
{
    now.pair.enabled = now.pair.refused = true;
    strcpy(now.pair.reason, "the arbiter was restored from a copy");
}

FAULT(pair_waits)
{
    now.pair.enabled = true;
    strcpy(now.pair.reason, "connection refused");
}

FAULT(pair_without_address)
{
    now.pair.enabled = now.pair.leads = now.pair.linked = true;
    strcpy(now.pair.address_error, "192.0.2.10: No such device");
}

FAULT(pair_alone)
{
    now.pair.enabled = now.pair.leads = now.pair.solo = true;
    strcpy(now.pair.reason, "no route to host");
}

FAULT(pair_without_arbiter)
{
    now.pair.enabled = now.pair.leads = now.pair.linked = now.pair.arbiter_away = true;
    strcpy(now.pair.arbiter_error, "192.0.2.1:2379: timeout");
}

FAULT(pair_unlike)
{
    now.pair.enabled = now.pair.leads = now.pair.linked = true;
    strcpy(now.pair.peer, "192.0.2.2:4610");
    strcpy(now.pair.unlike, "keys");
}

FAULT(clocks_differ)
{
    now.pair.enabled = now.pair.leads = now.pair.linked = true;
    now.pair.skew_ms = 51;
}

FAULT(clocks_differ_back)
{
    clocks_differ();
    now.pair.skew_ms = -5000;
}

FAULT(standby_lags)
{
    now.pair.enabled = now.pair.leads = now.pair.linked = true;
    now.pair.lag_records = 7;
    now.pair.lag_ms = 1000;
}

FAULT(lags_itself)
{
    now.pair.enabled = now.pair.linked = true;
    now.pair.lag_records = 90;
    now.pair.lag_ms = 2500;
}

FAULT(fleet_unread)
{
    now.fleet.enabled = now.fleet.away = true;
    strcpy(now.fleet.reason, "etcd has not been read yet");
    strcpy(now.fleet.etcd_error, "192.0.2.1:2379: timeout");
}

FAULT(fleet_lacks_settings)
{
    now.fleet.enabled = true;
    strcpy(now.fleet.reason, "the settings of all items are not applied yet");
    strcpy(now.fleet.catalogue_error, "item 7, version 2: no room");
}
FAULT(settings_not_applied)
{
    now.fleet.enabled = now.fleet.may_sell = true;
    now.fleet.silent = 1;
    strcpy(now.fleet.catalogue_error, "item 7, version 2: no room");
}
FAULT(fleet_waits_for_log)
{
    now.fleet.enabled = true;
}

FAULT(fleet_away)
{
    now.fleet.enabled = now.fleet.may_sell = now.fleet.away = true;
    strcpy(now.fleet.etcd_error, "192.0.2.1:2379: timeout");
}

FAULT(fleet_frozen)
{
    now.fleet.enabled = now.fleet.may_sell = true;
    strcpy(now.fleet.reason, "a person froze the fleet");
}

FAULT(fleet_restored)
{
    now.fleet.enabled = now.fleet.may_sell = true;
    strcpy(now.fleet.reason, "etcd was restored from a copy");
}

FAULT(pool_damaged)
{
    now.fleet.enabled = now.fleet.may_sell = true;
    now.fleet.damaged = 2;
    now.fleet.silent = 1;
}

FAULT(member_silent)
{
    now.fleet.enabled = now.fleet.may_sell = true;
    now.fleet.silent = 12;
}

FAULT(seen_not_written)
{
    now.fleet.enabled = now.fleet.may_sell = true;
    strcpy(now.fleet.seen_error, "/log/fleet.seen: No space left on device");
}

#define WARNING  FG_HEALTH_WARNING
#define ALARM    FG_HEALTH_ALARM
#define RUNNING  FG_HEALTH_RUNNING
#define DEGRADED FG_HEALTH_IS_DEGRADED
#define BAD      FG_HEALTH_IS_UNHEALTHY

/* What the operator sees of each: the alarm and its text; state and, if any, the reason. */
static const struct {
    void (*happen)(void);
    const char *name;
    enum fg_health_level level;
    enum fg_health_state state;
    bool told; /* /healthz gives the text, also when the appliance is healthy */
    const char *text;
} faults[] = {
    {few_items_left, "items", WARNING, RUNNING, false, "9 of 10 items ([limits] items_max)"},
    {no_item_left, "items", ALARM, RUNNING, false, "10 of 10 items"},
    {few_orders_left, "orders", WARNING, RUNNING, false,
     "worker 1: 900 of 1000 orders ([limits] orders_max)"},
    {no_order_left, "orders", ALARM, RUNNING, false, "worker 1: 1000 of 1000 orders"},
    {few_users_left, "users", WARNING, RUNNING, false, "([limits] users_max)"},
    {no_user_left, "users", ALARM, RUNNING, false, "1000 of 1000 users with a limit"},
    {few_parked_left, "parked", WARNING, RUNNING, false, "([limits] parked_max)"},
    {no_parked_left, "parked", ALARM, RUNNING, false, "1000 of 1000 waiting requests"},
    {few_deferred_left, "deferred", WARNING, RUNNING, false, "([limits] deferred_max)"},
    {no_deferred_left, "deferred", ALARM, RUNNING, false, "1000 of 1000 answers that wait"},
    {few_denied_left, "denied", WARNING, RUNNING, false, "900 of 1000 users ever denied"},
    {no_denied_left, "denied", ALARM, RUNNING, false, "1000 of 1000 users ever denied"},
    {refused_as_full, "full", ALARM, RUNNING, false, "4 so far"},
    {log_full, "log", ALARM, BAD, true, "log full, reservations are BUSY: No space left on device"},
    {log_failed, "log", ALARM, BAD, true, "log failed, nothing more is accepted: Input/output"},
    {log_gone, "log", ALARM, BAD, true, "/var/lib/floodgate/log is no longer the log"},
    {log_behind, "behind", ALARM, BAD, true, "a sink knows later records"},
    {log_moved, "log", ALARM, BAD, true, "log gone, nothing is accepted"},
    {sink_holds_half, "retention", WARNING, RUNNING, true,
     "kafka lacks 64 MiB of the log; beyond 128 MiB old segments go"},
    {sink_holds_half_of_the_disk, "retention", WARNING, RUNNING, true, "beyond 128 MiB"},
    {standby_missed, "retention", WARNING, RUNNING, true, "the standby at 192.0.2.2:4610 lacks"},
    {disk_too_small, "retention", WARNING, RUNNING, true, "too small for [log] keep_bytes"},
    {archive_full, "archive", WARNING, DEGRADED, true, "No space left on device"},
    {commit_waits, "disk", WARNING, RUNNING, false, "waits for the disk for 1.0 s"},
    {commit_waited, "disk", WARNING, RUNNING, false, "waited for the disk for 2.5 s"},
    {log_in_memory, "memory", WARNING, RUNNING, true, "[log] durability is memory"},
    {no_snapshot, "snapshot", WARNING, DEGRADED, true, "a snapshot needs 5 MiB"},
    {clock_set, "clock", ALARM, RUNNING, true, "the system's clock is 3600.0 s ahead of ours"},
    {clock_set_back, "clock", ALARM, RUNNING, true, "the system's clock is 1.0 s behind ours"},
    {ledger_lags, "ledger", WARNING, DEGRADED, true, "2000000 records behind"},
    {ledger_broken, "ledger", ALARM, BAD, true,
     "the log cannot be followed: record 7: no such order"},
    {pair_refused, "refused", ALARM, BAD, true,
     "refused by its pair: the arbiter was restored from a copy"},
    {pair_waits, "refused", WARNING, DEGRADED, true, "no link to its peer: connection refused"},
    {pair_without_address, "address", ALARM, DEGRADED, true, "192.0.2.10: No such device"},
    {pair_alone, "solo", WARNING, DEGRADED, true, "without a standby: what is sold now is on one"},
    {pair_without_arbiter, "arbiter", WARNING, DEGRADED, true, "192.0.2.1:2379: timeout"},
    {pair_unlike, "unlike", WARNING, DEGRADED, true, "unlike 192.0.2.2:4610: keys"},
    {fleet_unread, "fleet", ALARM, BAD, true,
     "nothing is sold: etcd has not been read yet: 192.0.2.1:2379: timeout"},
    {fleet_lacks_settings, "fleet", ALARM, BAD, true,
     "not applied yet: item 7, version 2: no room"},
    {settings_not_applied, "fleet", WARNING, DEGRADED, true,
     "cannot be applied: item 7, version 2"},
    {fleet_waits_for_log, "fleet", ALARM, BAD, true,
     "nothing is sold: the log takes no orders yet"},
    {fleet_away, "fleet", WARNING, DEGRADED, true, "of others are BUSY: 192.0.2.1:2379: timeout"},
    {fleet_frozen, "fleet", WARNING, DEGRADED, true, "or returned: a person froze the fleet"},
    {fleet_restored, "fleet", WARNING, DEGRADED, true,
     "or returned: etcd was restored from a copy"},
    {pool_damaged, "fleet", WARNING, DEGRADED, true, "pools of 2 items are damaged or deleted"},
    {member_silent, "fleet", WARNING, DEGRADED, true, "member 2 is silent"},
    {seen_not_written, "fleet", WARNING, DEGRADED, true, "restart: /log/fleet.seen: No space left"},
    {clocks_differ, "skew", WARNING, RUNNING, true, "51 ms ahead of ours"},
    {clocks_differ_back, "skew", WARNING, RUNNING, true, "5000 ms behind ours"},
    {standby_lags, "lag", WARNING, RUNNING, true, "7 records are missing at the peer, the oldest"},
    {lags_itself, "lag", WARNING, RUNNING, true, "90 records are missing here, the oldest for 2.5"},
    {sink_away, "sink", WARNING, DEGRADED, true, "kafka: away, 17 records behind: connection"},
    {sink_refuses, "sink", ALARM, DEGRADED, true, "redis: refused, 0 records behind: of another"},
    {inbound_away, "inbound", WARNING, DEGRADED, true, "inbound commands: away"},
    {inbound_refused, "inbound", ALARM, DEGRADED, true, "inbound commands: refused"},
    {command_makes_no_sense, "dead", ALARM, RUNNING, false,
     "were not done: 1; the last: op 'confrm'"},
    {commands_trimmed, "trimmed", ALARM, RUNNING, false,
     "before they were done (XADD with MAXLEN, XTRIM, XDEL): 90"},
    {table_of_sources_full, "filter", WARNING, RUNNING, false, "4 packets of sources"},
    {penalty_box_full, "filter", WARNING, RUNNING, false, "4 sources not blocked"},
    {lines_left_out, "lists", WARNING, RUNNING, false, "left out: blocked:3"},
    {monitor_on, "monitor", WARNING, RUNNING, false, "none is dropped"},
    {gateways_without_limit, "gateways", WARNING, RUNNING, false, "4 prefixes of the allow list"},
    {worker_stalled, "workers", ALARM, BAD, true, "1 of 2 workers are stalled"},
    {link_missing, "link", WARNING, DEGRADED, true, "port a (eth0): no link"},
    {link_lost, "link", ALARM, BAD, true, "port a (eth0): no link"},
    {queues_unread, "queues", WARNING, DEGRADED, true, "eth0 spreads packets over 4"},
    {orders_unread, "queues", ALARM, DEGRADED, true, "eth0 spreads packets over 4"},
};
enum { FAULTS = sizeof(faults) / sizeof(faults[0]) };

/* ---- alarms as they are raised --------------------------------------------------------------- */

struct raised {
    unsigned count;
    char name[32], text[FG_HEALTH_TEXT];
    enum fg_health_level level;
};

static void note(void *ctx, const char *name, enum fg_health_level level, const char *text)
{
    struct raised *r = ctx;

    if (level == FG_HEALTH_NONE)
        return;
    r->count++;
    r->level = level;
    snprintf(r->name, sizeof(r->name), "%s", name);
    snprintf(r->text, sizeof(r->text), "%s", text);
}

static struct raised raised(void)
{
    struct raised r = {0};

    fg_health_each(&health, note, &r);
    return r;
}

static void poll_at(uint64_t ms)
{
    now.now_ms = 1000000 + ms;
    fg_health_poll(&health, &now);
}

static int begin(void **state)
{
    memset(&health, 0, sizeof(health));
    fg_health_init(&health);
    observe_good();
    return 0;
}

static void nothing_is_wrong_at_first(void **state)
{
    struct fg_health_answer v = fg_health_check(&now);

    poll_at(0);
    assert_int_equal(raised().count, 0);
    assert_true(v.healthy);
    assert_int_equal(v.state, FG_HEALTH_RUNNING);
    assert_string_equal(v.reason, "");
    memset(&now, 0, sizeof(now)); /* nor with an appliance that has no options */
    assert_int_equal(fg_health_check(&now).state, FG_HEALTH_RUNNING);
}

/* All is as it was; what was counted stays counted. */
static void end_the_fault(void)
{
    struct fg_health_observations then = now;

    observe_good();
    now.counters = then.counters;
}

static void each_fault_is_one_alarm_and_a_state(void **state)
{
    for (unsigned i = 0; i < FAULTS; i++) {
        struct fg_health_answer v;
        struct raised r;

        begin(state);
        poll_at(0);
        faults[i].happen();
        poll_at(100);
        r = raised();
        v = fg_health_check(&now);
        if (r.count != 1 || strcmp(r.name, faults[i].name) || r.level != faults[i].level ||
            !strstr(r.text, faults[i].text))
            fail_msg("fault %u: %u alarms, %s %s: %s; expected %s %s: %s", i, r.count, r.name,
                     fg_health_level_name(r.level), r.text, faults[i].name,
                     fg_health_level_name(faults[i].level), faults[i].text);
        if (v.state != faults[i].state || v.healthy != (faults[i].state != BAD))
            fail_msg("fault %u, %s: %s", i, r.name, fg_health_state_name(v.state));
        assert_string_equal(v.reason, faults[i].told ? r.text : "");
        end_the_fault();
        poll_at(100 + FG_HEALTH_KEEP_MS - 1);
        r = raised();
        if (r.count != 1 || strcmp(r.name, faults[i].name))
            fail_msg("fault %u, %s: ended before its time", i, faults[i].name);
        poll_at(100 + FG_HEALTH_KEEP_MS);
        r = raised();
        if (r.count)
            fail_msg("fault %u, %s: %s is left: %s", i, faults[i].name, r.name, r.text);
        assert_true(fg_health_check(&now).healthy);
        assert_string_equal(fg_health_check(&now).reason, "");
    }
}

/* No row, and no level of one, is without a fault above. */
static void every_row_of_the_table_is_met(void **state)
{
    for (unsigned i = 0; i < fg_health_conditions_count; i++) {
        const struct fg_health_condition *row = &fg_health_conditions[i];
        bool met[FG_HEALTH_LEVELS] = {false};

        for (unsigned k = 0; k < FAULTS; k++)
            if (strcmp(faults[k].name, row->name) == 0)
                met[faults[k].level] = true;
        if (met[WARNING] != (row->warning != NULL) || met[ALARM] != (row->alarm != NULL))
            fail_msg("%s: not every level that it has is in the list of faults, or one too many",
                     row->name);
        assert_non_null(row->remedy);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(fg_health_conditions[k].name, row->name);
    }
}

static void the_worst_fault_gives_the_state_and_its_reason(void **state)
{
    log_in_memory();
    sink_away();
    assert_non_null(strstr(fg_health_check(&now).reason, "kafka: away"));
    link_lost();
    worker_stalled();
    assert_non_null(strstr(fg_health_check(&now).reason, "stalled")); /* first in the table */
    log_failed();
    assert_non_null(strstr(fg_health_check(&now).reason, "log failed"));
}

static void an_appliance_that_stops_says_so(void **state)
{
    struct fg_health_answer v;

    sink_away();
    now.stopping = true;
    v = fg_health_check(&now);
    assert_int_equal(v.state, FG_HEALTH_STOPPING);
    assert_false(v.healthy);
    assert_string_equal(v.reason, "stopping");
    log_failed(); /* still the first thing to know */
    v = fg_health_check(&now);
    assert_int_equal(v.state, FG_HEALTH_STOPPING);
    assert_non_null(strstr(v.reason, "log failed"));
}

static void counts_of_the_time_before_are_no_news(void **state)
{
    poll_at(0); /* all counters are 3 already */
    poll_at(100);
    assert_int_equal(raised().count, 0);
    fg_health_init(&health);
    health.polled = false;
    command_makes_no_sense(); /* an entry that waited in Redis, before the first poll */
    poll_at(100);
    assert_string_equal(raised().name, "dead");
    poll_at(100 + FG_HEALTH_KEEP_MS);
    assert_int_equal(raised().count, 0);
    fg_health_init(&health);
    health.polled = false;
    commands_trimmed(); /* while the appliance was away */
    poll_at(100);
    assert_string_equal(raised().name, "trimmed");
    poll_at(100 + FG_HEALTH_KEEP_MS);
    assert_int_equal(raised().count, 0);
    refused_as_full();
    poll_at(200);
    assert_string_equal(raised().name, "full");
    poll_at(300); /* no more of them */
    assert_string_equal(raised().name, "full");
    poll_at(200 + FG_HEALTH_KEEP_MS);
    assert_int_equal(raised().count, 0);
}

/* The longest cause that a sink can have stands in the text of its alarm. */
static void a_long_cause_is_not_cut(void **state)
{
    char *error = now.sinks[0].status.error;
    size_t size = sizeof(now.sinks[0].status.error);

    memset(error, 'x', size - 5);
    strcpy(error + size - 5, "end!");
    now.sinks[0].status.state = FG_SINK_REFUSED;
    now.sinks[0].status.lag = UINT64_MAX;
    poll_at(0);
    assert_non_null(strstr(raised().text, error));
}

static void an_alarm_falls_only_after_its_time(void **state)
{
    no_order_left();
    poll_at(0);
    now.limits.orders.used = 950;
    poll_at(FG_HEALTH_KEEP_MS - 1);
    assert_int_equal(raised().level, ALARM);
    assert_non_null(strstr(raised().text, "1000 of 1000")); /* the text of its level */
    no_order_left();
    poll_at(FG_HEALTH_KEEP_MS); /* again: the time begins anew */
    now.limits.orders.used = 950;
    poll_at(2 * FG_HEALTH_KEEP_MS - 1);
    assert_int_equal(raised().level, ALARM);
    poll_at(2 * FG_HEALTH_KEEP_MS);
    assert_int_equal(raised().level, WARNING);
    assert_non_null(strstr(raised().text, "950 of 1000"));
    now.limits.orders.used = 960; /* the text follows while it lasts */
    poll_at(2 * FG_HEALTH_KEEP_MS + 100);
    assert_non_null(strstr(raised().text, "960 of 1000"));
    now.limits.orders.used = 0; /* a warning that follows an alarm has its own time */
    poll_at(3 * FG_HEALTH_KEEP_MS);
    assert_int_equal(raised().level, WARNING);
    poll_at(3 * FG_HEALTH_KEEP_MS + 100);
    assert_int_equal(raised().count, 0);
    assert_string_equal(raised().text, "");
}

static void the_state_does_not_wait(void **state)
{
    worker_stalled();
    poll_at(0);
    now.workers_stalled = 0;
    poll_at(100);
    assert_string_equal(raised().name, "workers");
    assert_true(fg_health_check(&now).healthy);
}

/* ---- the page -------------------------------------------------------------------------------- */

static char *described(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    fg_health_describe(out);
    fclose(out);
    return text;
}

static void the_page_is_what_describe_writes(void **state)
{
    static const char begins[] = "<!-- table of alarms: written by lib/health -->\n",
                      ends[] = "<!-- end of the table of alarms -->\n";
    char path[512], page[1 << 16] = "", *table = described(), *from, *to;
    FILE *in;

    assert_non_null(getenv("FG_SOURCE"));
    snprintf(path, sizeof(path), "%s/docs/operation.md", getenv("FG_SOURCE"));
    in = fopen(path, "r");
    assert_non_null(in);
    assert_true(fread(page, 1, sizeof(page) - 1, in) > 0);
    fclose(in);
    from = strstr(page, begins);
    to = strstr(page, ends);
    assert_non_null(from);
    assert_non_null(to);
    *to = '\0';
    if (strcmp(from + strlen(begins), table) != 0)
        fail_msg("docs/operation.md is to have between its marks what `test_health describe` "
                 "prints:\n%s",
                 table);
    free(table);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_wrong_at_first, begin),
        cmocka_unit_test(each_fault_is_one_alarm_and_a_state),
        cmocka_unit_test(every_row_of_the_table_is_met),
        cmocka_unit_test_setup(the_worst_fault_gives_the_state_and_its_reason, begin),
        cmocka_unit_test_setup(an_appliance_that_stops_says_so, begin),
        cmocka_unit_test_setup(counts_of_the_time_before_are_no_news, begin),
        cmocka_unit_test_setup(a_long_cause_is_not_cut, begin),
        cmocka_unit_test_setup(an_alarm_falls_only_after_its_time, begin),
        cmocka_unit_test_setup(the_state_does_not_wait, begin),
        cmocka_unit_test(the_page_is_what_describe_writes),
    };

    if (argc > 1 && strcmp(argv[1], "describe") == 0) {
        fg_health_describe(stdout);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
