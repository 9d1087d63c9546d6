/* SPDX-License-Identifier: BSD-3-Clause */
/* The walk over the counters: each number of each feature is in the sheet, under its own metric and
 * its own element. No EAL and no thread: the features are structs whose numbers the test sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "control/measure.h"

enum { WORKERS = 2 };

static struct fg_worker_group workers;
static struct fg_port_options port_options = {.name = "front", .device = "net_x", .queues = 3};
static struct fg_port_group ports;
static struct fg_journal_thread journal_thread;
static struct fg_ledger_follower follower;
static struct fg_sink_group sinks;
static struct fg_health alarms;
static struct fg_clock our_clock;
static struct fg_ring *records;
static struct fg_control_parts parts;

static struct fg_worker *make_worker(unsigned index)
{
    static struct fg_ring *none[WORKERS];
    static struct fg_journal_watermark durable;
    struct fg_worker *w = aligned_alloc(FG_CACHE_LINE, sizeof(*w));
    struct fg_stock_config c = {.worker = index,
                                .workers = WORKERS,
                                .limits = {.items_max = 1,
                                           .orders_max = 8,
                                           .users_max = 8,
                                           .parked_max = 4,
                                           .deferred_max = 8},
                                .to = none,
                                .from = none,
                                .journal = records,
                                .mark = &durable};
    struct fg_error err;

    memset(w, 0, sizeof(*w));
    w->index = index;
    w->stock = fg_stock_create(&c, &err);
    assert_non_null(w->stock);
    return w;
}

static int setup(void **state)
{
    const struct fg_penalty_options penalty = {.mode = FG_PENALTY_PROVEN, .v6_prefix = 64};
    const struct fg_filter_options filter = {
        .order_port = 4600, .sources_max = 16, .prefixes_max = 8, .v6_prefix = 64};
    const struct fg_penalty_lists no_lists = {0};
    struct fg_error err;

    records = fg_ring_create(64);
    workers.options.workers.count = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++)
        workers.list[i] = make_worker(i);
    ports.options.count = 1;
    ports.list[0].options = &port_options;
    pthread_mutex_init(&follower.lock, NULL);
    pthread_mutex_init(&follower.snapshots.lock, NULL);
    follower.ledger = fg_ledger_create();
    fg_health_init(&alarms);
    fg_clock_start(&our_clock, 1000000000);
    parts = (struct fg_control_parts){.workers = &workers,
                                      .ports = &ports,
                                      .filter = fg_filter_open(&filter, &err),
                                      .penalty = fg_penalty_create(&penalty, &no_lists, 0),
                                      .alarms = &alarms,
                                      .journal_thread = &journal_thread,
                                      .log_dir = "/nonexistent/log",
                                      .follower = &follower,
                                      .sinks = &sinks,
                                      .clock = &our_clock};
    assert_non_null(parts.filter);
    assert_non_null(parts.penalty);
    return 0;
}

static int teardown(void **state)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        fg_stock_destroy(workers.list[i]->stock);
        free(workers.list[i]);
    }
    fg_ring_destroy(records);
    fg_filter_close(parts.filter);
    fg_penalty_destroy(parts.penalty);
    fg_ledger_destroy(follower.ledger);
    return 0;
}

/* ---- the sheet ------------------------------------------------------------------------------- */

struct search {
    enum fg_control_metric metric;
    const char *element;
    struct fg_control_value found;
    unsigned times;
};

static void compare(void *ctx, const struct fg_control_value *value)
{
    struct search *s = ctx;

    if (value->metric != s->metric || !value->element != !s->element ||
        (s->element && strcmp(value->element, s->element) != 0))
        return;
    s->found = *value;
    s->times++;
}

static struct fg_control_value find(const struct fg_control_sheet *sheet,
                                    enum fg_control_metric metric, const char *element)
{
    struct search s = {.metric = metric, .element = element};

    fg_control_sheet_each(sheet, fg_control_metrics[metric].section, compare, &s);
    if (s.times != 1)
        fail_msg("%s of %s stands %u times in the sheet", fg_control_metrics[metric].key,
                 element ? element : "all", s.times);
    return s.found;
}

static uint64_t number(const struct fg_control_sheet *sheet, enum fg_control_metric metric,
                       const char *element)
{
    return find(sheet, metric, element).number;
}

static void count(void *ctx, const struct fg_control_value *value)
{
    ++*(unsigned *)ctx;
}

static struct fg_control_sheet *measure(void)
{
    struct fg_control_sheet *sheet = fg_control_sheet_create();

    assert_non_null(sheet);
    fg_control_measure(&parts, sheet);
    assert_true(fg_control_sheet_complete(sheet));
    return sheet;
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Each worker's counters have values of their own, so that none can be taken for another. */
static void counters_of_workers_are_theirs(void **state)
{
    static const char *const names[WORKERS] = {"0", "1"};
    struct fg_control_sheet *sheet;
    uint64_t value = 0;

    for (unsigned i = 0; i < WORKERS; i++) {
#define X(key, text) workers.list[i]->counters.key = ++value;
        FG_WORKER_COUNTER_LIST(X)
#undef X
    }
    sheet = measure();
    value = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
#define X(key, text) assert_int_equal(number(sheet, FG_CONTROL_workers_##key, names[i]), ++value);
        FG_WORKER_COUNTER_LIST(X)
#undef X
        assert_int_equal(number(sheet, FG_CONTROL_workers_orders_in_memory, names[i]), 0);
    }
    fg_control_sheet_destroy(sheet);
}

static void drops_answers_and_stock_are_sums(void **state)
{
    struct fg_control_sheet *sheet;
    uint64_t value;

    for (unsigned i = 0; i < WORKERS; i++) {
        struct fg_worker_counters *c = &workers.list[i]->counters;
        struct fg_stock_counters *s =
            (struct fg_stock_counters *)fg_stock_counters(workers.list[i]->stock);

        for (unsigned why = 1; why < FG_PACKET_DROP_COUNT; why++)
            c->dropped[why] = 100 * why + i;
        for (unsigned status = 1; status < FG_PACKET_STATUS_COUNT; status++)
            c->answered[status] = 1000 * status + i;
        value = 0;
#define X(key, text) s->key = 10 * ++value + i;
        FG_STOCK_COUNTER_LIST(X)
#undef X
    }
    sheet = measure();
    for (unsigned why = 1; why < FG_PACKET_DROP_COUNT; why++)
        assert_int_equal(number(sheet, FG_CONTROL_drops_packets, fg_packet_drop_name(why)),
                         200 * why + 1);
    for (unsigned status = 1; status < FG_PACKET_STATUS_COUNT; status++)
        assert_int_equal(number(sheet, FG_CONTROL_answers_packets, fg_packet_status_name(status)),
                         2000 * status + 1);
    value = 0;
#define X(key, text)                                                                               \
    assert_int_equal(number(sheet, FG_CONTROL_stock_##key, NULL), 20 * ++value + 1);
    FG_STOCK_COUNTER_LIST(X)
#undef X
    fg_control_sheet_destroy(sheet);
}

static void the_filter_counts_by_verdict_and_may_be_off(void **state)
{
    uint8_t arp[60] = {[12] = 8, [13] = 6};
    struct fg_filter *filter = parts.filter;
    struct fg_control_sheet *sheet;
    enum fg_filter_verdict verdict;
    unsigned values = 0;
    bool drop;

    verdict = fg_filter_verdict_of_frame(filter, 1, arp, sizeof(arp), 1, &drop);
    sheet = measure();
    for (unsigned i = 0; i < FG_FILTER_VERDICT_COUNT; i++)
        assert_int_equal(number(sheet, FG_CONTROL_filter_packets, fg_filter_verdict_name(i)),
                         i == (unsigned)verdict);
    fg_control_sheet_destroy(sheet);
    parts.filter = NULL;
    sheet = measure();
    fg_control_sheet_each(sheet, fg_control_metrics[FG_CONTROL_filter_packets].section, count,
                          &values);
    assert_int_equal(values, 0);
    fg_control_sheet_destroy(sheet);
    parts.filter = filter;
}

static void penalty_counts_reports(void **state)
{
    const struct fg_penalty_report report = {.offence = FG_PENALTY_OFFENCE_BAD_TAG, .events = 3};
    struct fg_control_sheet *sheet;

    fg_penalty_report(parts.penalty, &report, 1);
    sheet = measure();
    assert_int_equal(number(sheet, FG_CONTROL_penalty_reports, NULL), 3);
    assert_int_equal(number(sheet, FG_CONTROL_penalty_sourceless, NULL), 3);
    assert_int_equal(number(sheet, FG_CONTROL_penalty_blocked, NULL), 0);
    fg_control_sheet_destroy(sheet);
}

static void the_log_and_its_snapshots(void **state)
{
    struct fg_ledger_snapshots *s = &follower.snapshots;
    struct fg_control_sheet *sheet;

    journal_thread.committer.durable_seq = 11;
    journal_thread.committer.commits = 12;
    journal_thread.committer.records = 13;
    journal_thread.watch.max_ms = 14;
    journal_thread.watch.slow = 15;
    s->seq = 16;
    s->older_seq = 17;
    s->made = 18;
    s->failures = 19;
    s->retired = 20;
    s->running = true;
    s->created_ms = fg_clock_now_ms(&our_clock) + 60000; /* the clock was set back since */
    snprintf(s->error, sizeof(s->error), "no room");
    parts.log_in_memory = true;
    sheet = measure();
    assert_string_equal(find(sheet, FG_CONTROL_log_dir, NULL).text, "/nonexistent/log");
    assert_string_equal(find(sheet, FG_CONTROL_log_durability, NULL).text, "memory");
    assert_string_equal(find(sheet, FG_CONTROL_log_state, NULL).text, "ok");
    assert_string_equal(find(sheet, FG_CONTROL_log_error, NULL).text, "");
    assert_int_equal(number(sheet, FG_CONTROL_log_durable_seq, NULL), 11);
    assert_int_equal(number(sheet, FG_CONTROL_log_commits, NULL), 12);
    assert_int_equal(number(sheet, FG_CONTROL_log_records, NULL), 13);
    assert_int_equal(number(sheet, FG_CONTROL_log_commit_max_ms, NULL), 14);
    assert_int_equal(number(sheet, FG_CONTROL_log_commits_slow, NULL), 15);
    assert_int_equal(number(sheet, FG_CONTROL_snapshot_seq, NULL), 16);
    assert_int_equal(number(sheet, FG_CONTROL_snapshot_older_seq, NULL), 17);
    assert_int_equal(number(sheet, FG_CONTROL_snapshot_made, NULL), 18);
    assert_int_equal(number(sheet, FG_CONTROL_snapshot_failures, NULL), 19);
    assert_int_equal(number(sheet, FG_CONTROL_log_segments_retired, NULL), 20);
    assert_int_equal(number(sheet, FG_CONTROL_snapshot_running, NULL), 1);
    assert_int_equal(number(sheet, FG_CONTROL_snapshot_age_s, NULL), 0);
    assert_string_equal(find(sheet, FG_CONTROL_snapshot_error, NULL).text, "no room");
    fg_control_sheet_destroy(sheet);
    s->created_ms = fg_clock_now_ms(&our_clock) - 60000;
    sheet = measure();
    assert_in_range(number(sheet, FG_CONTROL_snapshot_age_s, NULL), 59, 119);
    fg_control_sheet_destroy(sheet);
}

static void the_ledger_and_why_it_stopped(void **state)
{
    struct fg_journal_record item = {
        .type = FG_JOURNAL_RECORD_ITEM_SET, .seq = 1, .item = 7, .order_max = 1, .hold_ms = 100};
    struct fg_control_sheet *sheet;
    struct fg_error err;

    assert_true(fg_ledger_apply(follower.ledger, &item, &err));
    fg_fail(&follower.error, "record 2 is not legal");
    atomic_store(&follower.seq, 1);
    atomic_store(&journal_thread.committer.durable_seq, 8);
    atomic_store(&journal_thread.lagged, 3);
    sheet = measure();
    assert_int_equal(number(sheet, FG_CONTROL_ledger_lag, NULL), 7);
    assert_int_equal(number(sheet, FG_CONTROL_ledger_held, NULL), 3);
    assert_int_equal(number(sheet, FG_CONTROL_ledger_seq, NULL), 1);
    assert_int_equal(number(sheet, FG_CONTROL_ledger_items, NULL), 1);
    assert_int_equal(number(sheet, FG_CONTROL_ledger_orders, NULL), 0);
    assert_string_equal(find(sheet, FG_CONTROL_ledger_error, NULL).text, "");
    fg_control_sheet_destroy(sheet);
    follower.broken = true;
    sheet = measure();
    assert_string_equal(find(sheet, FG_CONTROL_ledger_error, NULL).text, "record 2 is not legal");
    fg_control_sheet_destroy(sheet);
}

static void ports_and_alarms_have_names(void **state)
{
    struct fg_control_sheet *sheet;

    ports.list[0].link.state = FG_PORT_LINK_DOWN;
    ports.list[0].link.lost = 4;
    sheet = measure();
    assert_string_equal(find(sheet, FG_CONTROL_ports_device, "front").text, "net_x");
    assert_string_equal(find(sheet, FG_CONTROL_ports_state, "front").text, "down");
    assert_int_equal(number(sheet, FG_CONTROL_ports_queues, "front"), 3);
    assert_int_equal(number(sheet, FG_CONTROL_ports_link_up, "front"), 0);
    assert_int_equal(number(sheet, FG_CONTROL_ports_link_lost, "front"), 4);
    for (unsigned i = 0; i < fg_health_conditions_count; i++)
        assert_int_equal(number(sheet, FG_CONTROL_alarm_levels_level, fg_health_conditions[i].name),
                         0);
    fg_control_sheet_destroy(sheet);
    ports.list[0].link.state = FG_PORT_LINK_UP;
    sheet = measure();
    assert_int_equal(number(sheet, FG_CONTROL_ports_link_up, "front"), 1);
    fg_control_sheet_destroy(sheet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_of_workers_are_theirs),
        cmocka_unit_test(drops_answers_and_stock_are_sums),
        cmocka_unit_test(the_filter_counts_by_verdict_and_may_be_off),
        cmocka_unit_test(penalty_counts_reports),
        cmocka_unit_test(the_log_and_its_snapshots),
        cmocka_unit_test(the_ledger_and_why_it_stopped),
        cmocka_unit_test(ports_and_alarms_have_names),
    };

    return cmocka_run_group_tests_name("measure", tests, setup, teardown);
}
