/* SPDX-License-Identifier: BSD-3-Clause */
/* The penalty box on the lists of a real filter: blocks, entries of an operator, a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "penalty/box.h"

enum { THRESHOLD = 3, FIRST_MS = 60000, START = 1000000 };

static struct fg_filter *filter;
static struct fg_ring *reports;
static struct fg_filter_prefix source = {.family = 4, .length = 32, .addr = {198, 18, 0, 9}};

static struct fg_penalty *open_box(uint64_t now_ms)
{
    struct fg_penalty_options options = {.mode = FG_PENALTY_PROVEN,
                                         .first_ms = FIRST_MS,
                                         .v6_prefix = 64,
                                         .threshold = {[FG_PENALTY_OFFENCE_HTTP] = THRESHOLD}};
    struct fg_penalty *box = fg_penalty_open(&options, filter, now_ms, NULL);

    assert_non_null(box);
    return box;
}

static int setup(void **state)
{
    struct fg_filter_options options = {
        .order_port = 4600, .sources_max = 16, .prefixes_max = 16, .v6_prefix = 64};

    filter = fg_filter_open(&options, NULL);
    reports = fg_ring_create(8);
    return filter && reports ? 0 : -1;
}

static int teardown(void **state)
{
    fg_filter_close(filter);
    fg_ring_destroy(reports);
    return 0;
}

static uint64_t unix_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* `times` offences with proof, by the ring of a worker. */
static void offend(struct fg_penalty *box, unsigned times, uint64_t now_ms)
{
    while (times--) {
        struct fg_penalty_report report = {
            .family = 4, .offence = FG_PENALTY_OFFENCE_HTTP, .proven = 1, .events = 1};

        memcpy(report.addr, source.addr, sizeof(report.addr));
        assert_true(fg_ring_push(reports, &report));
    }
    fg_penalty_take(box, reports, now_ms);
    assert_int_equal(fg_ring_count(reports), 0);
}

static bool listed(struct fg_filter_list_entry *entry)
{
    return fg_filter_find(filter, FG_FILTER_LIST_BLOCK, &source, entry);
}

static unsigned blocked(struct fg_penalty *box, uint64_t now_ms)
{
    return fg_penalty_list(box, NULL, 0, now_ms);
}

static void offences_become_an_entry_with_an_end(void **state)
{
    struct fg_penalty *box = open_box(START);
    struct fg_filter_list_entry entry;
    uint64_t now = unix_ms();

    offend(box, THRESHOLD - 1, START);
    assert_false(listed(&entry));
    offend(box, 1, START);
    assert_true(listed(&entry));
    assert_string_equal(entry.reason, "penalty 1: http");
    assert_in_range(entry.expires_ms, now + FIRST_MS - 1000, now + FIRST_MS + 10000);
    assert_int_equal(blocked(box, START), 1);
    assert_true(fg_penalty_release(box, &source, START, NULL));
    assert_false(listed(&entry));
    fg_penalty_destroy(box);
}

static void an_operators_entry_stays(void **state)
{
    struct fg_filter_list_entry entry = {.reason = "by hand"};
    struct fg_penalty *box = open_box(START);
    struct fg_error err;

    assert_true(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &source, &entry, NULL));
    offend(box, THRESHOLD, START);
    assert_int_equal(fg_penalty_counters(box).refused, 1);
    assert_true(listed(&entry));
    assert_string_equal(entry.reason, "by hand");
    assert_int_equal(entry.expires_ms, 0);
    assert_false(fg_penalty_release(box, &source, START, &err));

    /* Made by the box, then replaced by an operator: a release takes it out of the box, not off the
     * list. */
    assert_true(fg_filter_del(filter, FG_FILTER_LIST_BLOCK, &source, NULL));
    offend(box, THRESHOLD, START + 2 * FG_PENALTY_WINDOW_MS);
    assert_int_equal(blocked(box, START + 2 * FG_PENALTY_WINDOW_MS), 1);
    assert_true(fg_filter_put(filter, FG_FILTER_LIST_BLOCK, &source, &entry, NULL));
    assert_true(fg_penalty_release(box, &source, START + 2 * FG_PENALTY_WINDOW_MS, NULL));
    assert_true(listed(&entry));
    assert_string_equal(entry.reason, "by hand");
    fg_penalty_destroy(box);
}

static void the_allow_list_spares(void **state)
{
    struct fg_filter_prefix network = {.family = 4, .length = 24, .addr = {198, 18, 0, 0}};
    struct fg_penalty *box = open_box(START);
    struct fg_filter_list_entry entry;

    assert_true(fg_filter_add(filter, FG_FILTER_LIST_ALLOW, &network, NULL, NULL));
    offend(box, THRESHOLD, START);
    assert_false(listed(&entry));
    assert_int_equal(fg_penalty_counters(box).spared, 1);
    fg_penalty_destroy(box);
}

static void a_restart_finds_blocks_and_levels(void **state)
{
    struct fg_filter_list_entry entry = {.reason = "by hand", .expires_ms = unix_ms() + 3600000};
    struct fg_filter_prefix other = source;
    struct fg_penalty *box = open_box(START);
    struct fg_penalty_offender found;

    offend(box, THRESHOLD, START);
    other.addr[3] = 77;
    assert_true(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &other, &entry, NULL));
    fg_penalty_destroy(box);

    box = open_box(START + 500);
    assert_int_equal(blocked(box, START + 500), 1); /* the operator's entry is not the box's */
    assert_true(fg_penalty_find(box, &source, &found));
    assert_int_equal(found.level, 1);
    assert_int_equal(found.offence, FG_PENALTY_OFFENCE_HTTP);
    assert_in_range(found.until_ms, START + FIRST_MS - 10000, START + 500 + FIRST_MS);
    offend(box, THRESHOLD, START + 2 * FIRST_MS); /* again, when the first block is over */
    assert_true(listed(&entry));
    assert_string_equal(entry.reason, "penalty 2: http");
    fg_penalty_destroy(box);
}

static void without_a_filter_nothing_is_blocked(void **state)
{
    struct fg_penalty_options options = {.mode = FG_PENALTY_SUSPECTED,
                                         .first_ms = FIRST_MS,
                                         .threshold = {[FG_PENALTY_OFFENCE_HTTP] = 1}};
    struct fg_penalty *box = fg_penalty_open(&options, NULL, START, NULL);

    assert_non_null(box);
    offend(box, THRESHOLD, START);
    assert_int_equal(fg_penalty_counters(box).reports, THRESHOLD);
    assert_int_equal(blocked(box, START), 0);
    fg_penalty_destroy(box);
}

static void dropped_packets_are_only_counted(void **state)
{
    struct fg_filter_prefix no_ip = {.family = 0};
    struct fg_penalty *box = open_box(START);
    struct fg_penalty_hitter top[2];
    double total;

    fg_penalty_report_dropped(box, &source, START);
    fg_penalty_report_dropped(box, &no_ip, START);
    assert_int_equal(fg_penalty_counters(box).sourceless, 1);
    assert_int_equal(fg_penalty_top(box, FG_PENALTY_OFFENCE_DROPPED, top, 2, &total), 1);
    assert_memory_equal(&top[0].source, &source, sizeof(source));
    fg_penalty_destroy(box);
}

static void a_running_box_blocks_and_takes_ended_entries_off(void **state)
{
    const struct fg_penalty_options options = {
        .mode = FG_PENALTY_PROVEN,
        .first_ms = 1000,
        .v6_prefix = 64,
        .threshold = {[FG_PENALTY_OFFENCE_HTTP] = THRESHOLD}};
    struct fg_filter_prefix other = {.family = 4, .length = 32, .addr = {198, 18, 0, 10}};
    struct fg_filter_list_entry entry = {.expires_ms = unix_ms() + 50};
    struct fg_penalty_box box = {0};
    uint64_t now_ms = fg_clock_mono_ms();
    size_t left;

    assert_true(fg_penalty_box_start(&box, &options, filter, NULL));
    assert_non_null(box.samples);
    offend(box.penalty, THRESHOLD, now_ms);
    assert_true(listed(&entry));
    entry = (struct fg_filter_list_entry){.expires_ms = unix_ms() + 20};
    assert_true(fg_filter_put(filter, FG_FILTER_LIST_BLOCK, &other, &entry, NULL));
    while (unix_ms() <= entry.expires_ms)
        fg_clock_sleep_us(1000);
    fg_penalty_box_poll(&box, now_ms + 20000); /* the first poll is due at once */
    left = fg_filter_expire(filter);
    assert_int_equal(left, 0); /* the poll took it off already */
    fg_penalty_box_stop(&box);
    assert_null(box.penalty);
    fg_penalty_box_stop(&box); /* once more does no harm */
}

static void the_lists_of_a_start_come_from_files(void **state)
{
    char path[] = "/tmp/fg-list-XXXXXX", left_out[256] = "";
    static const char text[] = "198.18.7.0/24\nno prefix\n";
    int fd = mkstemp(path);
    struct fg_error err;

    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    assert_true(fg_filter_load_at_start(filter, FG_FILTER_LIST_BLOCK, "", left_out,
                                        sizeof(left_out), &err)); /* no file is wanted */
    assert_int_equal(fg_filter_count(filter, FG_FILTER_LIST_BLOCK), 0);
    assert_true(fg_filter_load_at_start(filter, FG_FILTER_LIST_BLOCK, path, left_out,
                                        sizeof(left_out), &err));
    assert_int_equal(fg_filter_count(filter, FG_FILTER_LIST_BLOCK), 1);
    assert_non_null(strstr(left_out, ":2:"));
    left_out[0] = '\0';
    assert_true(fg_filter_load_at_start(filter, FG_FILTER_LIST_BLOCK, "/nonexistent", left_out,
                                        sizeof(left_out), &err)); /* what is there is newer */
    assert_string_equal(left_out, "");
    assert_false(fg_filter_load_at_start(filter, FG_FILTER_LIST_ALLOW, "/nonexistent", left_out,
                                         sizeof(left_out), &err));
    unlink(path);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(offences_become_an_entry_with_an_end),
        CASE(an_operators_entry_stays),
        CASE(the_allow_list_spares),
        CASE(a_restart_finds_blocks_and_levels),
        CASE(without_a_filter_nothing_is_blocked),
        CASE(dropped_packets_are_only_counted),
        CASE(a_running_box_blocks_and_takes_ended_entries_off),
        CASE(the_lists_of_a_start_come_from_files),
    };

    return cmocka_run_group_tests_name("penalty_enforce", tests, NULL, NULL);
}
