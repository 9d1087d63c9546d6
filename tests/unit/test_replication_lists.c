/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists of a leader at its standby: both sides of lib/replication/lists.h, with a file between them
 * in the place of the link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "replication/lists.h"

enum { WAIT_MS = 10000, FIRST_MS = 60000 };

struct side {
    struct fg_filter *filter;
    struct fg_penalty *penalty;
    struct fg_replication_lists *lists;
    _Atomic unsigned offers;
};

static struct side leader, standby;
static char folder[] = "/tmp/fg-lists-XXXXXX";

static const char *path_of(enum fg_replication_file file)
{
    static char paths[FG_REPLICATION_FILES][64];

    snprintf(paths[file], sizeof(paths[file]), "%s/%d", folder, (int)file);
    return paths[file];
}

/* As the link and its keeper. */
static void carry(void *ctx, enum fg_replication_file file, uint8_t *bytes, size_t size)
{
    struct side *from = ctx;
    char part[80];
    FILE *f;

    snprintf(part, sizeof(part), "%s/part", folder);
    f = fopen(part, "w");
    FG_ASSERT(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
    FG_ASSERT(rename(part, path_of(file)) == 0);
    free(bytes);
    fg_replication_lists_received(from == &leader ? standby.lists : leader.lists, file,
                                  path_of(file));
    from->offers++;
}

static void begin(struct side *s, uint32_t prefixes_max)
{
    struct fg_filter_options filter = {
        .order_port = 4600, .sources_max = 16, .prefixes_max = prefixes_max, .v6_prefix = 64};
    struct fg_penalty_options penalty = {.mode = FG_PENALTY_PROVEN,
                                         .first_ms = FIRST_MS,
                                         .v6_prefix = 64,
                                         .threshold = {[FG_PENALTY_OFFENCE_HTTP] = 1}};
    struct fg_replication_lists_options lists = {.offer = carry, .ctx = s};

    lists.filter = s->filter = fg_filter_open(&filter, NULL);
    assert_non_null(s->filter);
    lists.penalty = s->penalty = fg_penalty_open(&penalty, s->filter, fg_clock_mono_ms(), NULL);
    s->lists = fg_replication_lists_start(&lists, NULL);
    assert_true(s->penalty && s->lists);
}

static void end(struct side *s)
{
    fg_replication_lists_free(s->lists);
    fg_penalty_destroy(s->penalty);
    fg_filter_close(s->filter);
    *s = (struct side){0};
}

static int setup(void **state)
{
    begin(&leader, 16);
    begin(&standby, 16);
    return 0;
}

static int teardown(void **state)
{
    fg_replication_lists_stop(leader.lists); /* it calls the other one */
    fg_replication_lists_stop(standby.lists);
    end(&leader);
    end(&standby);
    return 0;
}

static struct fg_filter_prefix address(uint8_t last)
{
    return (struct fg_filter_prefix){.family = 4, .length = 32, .addr = {198, 18, 0, last}};
}

static void add(struct side *s, enum fg_filter_list list, uint8_t last, const char *reason,
                uint64_t ms)
{
    struct fg_filter_prefix prefix = address(last);
    struct fg_filter_list_entry entry = {.expires_ms = ms ? fg_clock_unix_ms() + ms : 0};

    snprintf(entry.reason, sizeof(entry.reason), "%s", reason);
    assert_true(fg_filter_add(s->filter, list, &prefix, &entry, NULL));
}

static bool has(struct side *s, enum fg_filter_list list, uint8_t last)
{
    struct fg_filter_prefix prefix = address(last);

    return fg_filter_find(s->filter, list, &prefix, NULL);
}

static void wait_for(struct side *s, enum fg_filter_list list, uint8_t last, bool wanted)
{
    uint64_t until = fg_clock_mono_ms() + WAIT_MS;

    while (has(s, list, last) != wanted && fg_clock_mono_ms() < until)
        fg_clock_sleep_us(1000);
    assert_int_equal(has(s, list, last), wanted);
}

static void wait_for_offers(struct side *s, unsigned offers)
{
    uint64_t until = fg_clock_mono_ms() + WAIT_MS;

    while (s->offers < offers && fg_clock_mono_ms() < until)
        fg_clock_sleep_us(1000);
    assert_int_equal(s->offers, offers);
}

static void offends(struct side *s, uint8_t last, uint64_t now_ms)
{
    struct fg_penalty_report report = {.family = 4,
                                       .offence = FG_PENALTY_OFFENCE_HTTP,
                                       .proven = 1,
                                       .events = 1,
                                       .addr = {198, 18, 0, last}};

    fg_penalty_report(s->penalty, &report, now_ms);
}

/* Entries that were there before it led, those that come, and those that go. */
static void a_standby_has_the_leaders_lists(void **state)
{
    struct fg_filter_prefix prefix = address(1);
    struct fg_filter_list_entry entry;

    add(&standby, FG_FILTER_LIST_BLOCK, 7, "its own", 0);
    add(&standby, FG_FILTER_LIST_BLOCK, 8, "its own", 3600000);
    add(&leader, FG_FILTER_LIST_BLOCK, 1, "by hand", 3600000);
    add(&leader, FG_FILTER_LIST_ALLOW, 2, "", 0);
    fg_replication_lists_lead(leader.lists);
    wait_for(&standby, FG_FILTER_LIST_ALLOW, 2, true);
    wait_for(&standby, FG_FILTER_LIST_BLOCK, 1, true);
    assert_true(fg_filter_find(standby.filter, FG_FILTER_LIST_BLOCK, &prefix, &entry));
    assert_string_equal(entry.reason, "by hand");
    assert_in_range(entry.expires_ms, fg_clock_unix_ms() + 3500000, fg_clock_unix_ms() + 3602000);
    assert_false(has(&standby, FG_FILTER_LIST_BLOCK, 7));
    assert_false(has(&standby, FG_FILTER_LIST_BLOCK, 8)); /* also of limited time */
    add(&leader, FG_FILTER_LIST_BLOCK, 3, "", 0);
    wait_for(&standby, FG_FILTER_LIST_BLOCK, 3, true);
    assert_true(fg_filter_del(leader.filter, FG_FILTER_LIST_BLOCK, &prefix, NULL));
    wait_for(&standby, FG_FILTER_LIST_BLOCK, 1, false);
    assert_true(has(&standby, FG_FILTER_LIST_ALLOW, 2));
    assert_int_equal(standby.offers, 0);
    wait_for_offers(&leader, 4); /* both, and what changed */
}

/* Many changes at once are few offers. */
static void changes_go_once_a_second(void **state)
{
    uint64_t began = fg_clock_mono_ms();

    fg_replication_lists_lead(leader.lists);
    for (uint8_t last = 1; last <= 15; last++) {
        add(&leader, FG_FILTER_LIST_BLOCK, last, "", 0);
        fg_clock_sleep_us(100000);
    }
    wait_for(&standby, FG_FILTER_LIST_BLOCK, 15, true);
    assert_in_range(leader.offers, 2, 3 + (fg_clock_mono_ms() - began) / 1000);
}

/* A source that is blocked, and one whose block is over, are known after the take-over; one that
 * was released is not. */
static void penalties_are_taken_over(void **state)
{
    struct fg_filter_prefix blocked = address(4), over = address(5), released = address(6);
    struct fg_filter_list_entry entry = {.reason = "penalty 2: http"};
    struct fg_penalty_offender found;
    uint64_t now = fg_clock_mono_ms();

    offends(&standby, 6, now);
    offends(&leader, 4, now);
    assert_true(has(&standby, FG_FILTER_LIST_BLOCK, 6) && has(&leader, FG_FILTER_LIST_BLOCK, 4));
    entry.expires_ms = fg_filter_unix_ms(leader.filter) + 20;
    assert_true(fg_filter_add(leader.filter, FG_FILTER_LIST_BLOCK, &over, &entry, NULL));
    while (fg_filter_unix_ms(leader.filter) / 1000 <= entry.expires_ms / 1000)
        fg_clock_sleep_us(1000); /* ends of blocks are told in whole seconds */
    fg_replication_lists_lead(leader.lists);
    wait_for(&standby, FG_FILTER_LIST_BLOCK, 6, false);
    wait_for(&standby, FG_FILTER_LIST_BLOCK, 4, true);
    fg_replication_lists_stop(leader.lists); /* it died */
    fg_replication_lists_lead(standby.lists);
    fg_replication_lists_stop(standby.lists); /* it has done what it does at a take-over */
    now = fg_clock_mono_ms();
    assert_int_equal(fg_penalty_list(standby.penalty, NULL, 0, now), 1);
    assert_true(fg_penalty_find(standby.penalty, &blocked, &found));
    assert_int_equal(found.level, 1);
    assert_in_range(found.until_ms, now + FIRST_MS - WAIT_MS, now + FIRST_MS + 1000);
    assert_false(fg_penalty_find(standby.penalty, &released, &found));
    offends(&standby, 5, now);
    assert_true(fg_penalty_find(standby.penalty, &over, &found));
    assert_int_equal(found.level, 3);
}

/* What came before the take-over counts, what comes later does not: an operator may have changed
 * the list. */
static void a_leader_keeps_its_lists(void **state)
{
    fg_replication_lists_lead(standby.lists);
    wait_for_offers(&standby, 2);
    add(&standby, FG_FILTER_LIST_BLOCK, 1, "", 0);
    wait_for(&leader, FG_FILTER_LIST_BLOCK, 1, true);
    add(&leader, FG_FILTER_LIST_BLOCK, 2, "", 0);
    fg_replication_lists_lead(leader.lists);
    wait_for_offers(&leader, 2);
    add(&standby, FG_FILTER_LIST_BLOCK, 3, "", 0);
    wait_for_offers(&standby, 4);
    add(&leader, FG_FILTER_LIST_ALLOW, 4, "", 0);
    wait_for_offers(&leader, 3); /* it saw what came before */
    fg_replication_lists_stop(leader.lists);
    assert_true(has(&leader, FG_FILTER_LIST_BLOCK, 2));
    assert_false(has(&leader, FG_FILTER_LIST_BLOCK, 3));
}

/* The other list has the room that the first one needs. */
static void what_finds_no_room_is_tried_again(void **state)
{
    for (uint8_t last = 1; last <= 16; last++)
        add(&standby, FG_FILTER_LIST_ALLOW, last, "", 0);
    for (uint8_t last = 1; last <= 16; last++)
        add(&leader, FG_FILTER_LIST_BLOCK, last, "", 0);
    fg_replication_lists_lead(leader.lists);
    wait_for(&standby, FG_FILTER_LIST_ALLOW, 1, false);
    for (uint8_t last = 1; last <= 16; last++)
        wait_for(&standby, FG_FILTER_LIST_BLOCK, last, true);
}

static int make_folder(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    for (unsigned f = 0; f < FG_REPLICATION_FILES; f++)
        unlink(path_of((enum fg_replication_file)f));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_standby_has_the_leaders_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_go_once_a_second, setup, teardown),
        cmocka_unit_test_setup_teardown(penalties_are_taken_over, setup, teardown),
        cmocka_unit_test_setup_teardown(a_leader_keeps_its_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(what_finds_no_room_is_tried_again, setup, teardown),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
