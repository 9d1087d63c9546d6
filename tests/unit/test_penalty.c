/* SPDX-License-Identifier: BSD-3-Clause */
/* The penalty box against a double of the lists: what is evidence, escalation, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "penalty/penalty.h"

#define START 1000000ull

/* The lists: what was asked of them last, and how often. */
static struct lists {
    char allowed[64], blocked[64], unblocked[64], reason[64], note[256];
    uint64_t ms;
    unsigned blocks, notes;
    bool refuse;
} lists;

static bool is_allowed(void *ctx, const struct fg_filter_prefix *address)
{
    char text[64];

    fg_filter_prefix_format(address, text);
    return strcmp(text, lists.allowed) == 0;
}

static bool do_block(void *ctx, const struct fg_filter_prefix *source, uint64_t ms,
                     const char *reason, struct fg_error *err)
{
    if (lists.refuse)
        return fg_fail(err, "the list is full");
    fg_filter_prefix_format(source, lists.blocked);
    snprintf(lists.reason, sizeof(lists.reason), "%s", reason);
    lists.ms = ms;
    lists.blocks++;
    return true;
}

static bool do_unblock(void *ctx, const struct fg_filter_prefix *source, struct fg_error *err)
{
    fg_filter_prefix_format(source, lists.unblocked);
    return true;
}

static void do_note(void *ctx, const char *text)
{
    snprintf(lists.note, sizeof(lists.note), "%s", text);
    lists.notes++;
}

static struct fg_penalty *box(enum fg_penalty_mode mode, uint32_t threshold)
{
    static const struct fg_penalty_lists calls = {NULL, is_allowed, do_block, do_unblock, do_note};
    struct fg_penalty_options options = {
        .mode = mode, .first_ms = 60000, .v6_prefix = 64, .seed = 99};
    struct fg_penalty *p;

    for (unsigned i = 0; i < FG_OFFENCES; i++)
        options.threshold[i] = threshold;
    memset(&lists, 0, sizeof(lists));
    p = fg_penalty_create(&options, &calls, START);
    assert_non_null(p);
    return p;
}

static void offend(struct fg_penalty *p, const char *address, enum fg_penalty_offence offence,
                   bool proven, unsigned times, uint64_t now_ms)
{
    struct fg_filter_prefix prefix;
    struct fg_error err;
    struct fg_penalty_report report = {.offence = (uint8_t)offence, .proven = proven, .events = 1};

    assert_true(fg_filter_prefix_parse(address, &prefix, &err));
    report.family = prefix.family;
    memcpy(report.addr, prefix.addr, sizeof(report.addr));
    while (times--)
        fg_penalty_report(p, &report, now_ms);
}

static unsigned in_force(struct fg_penalty *p, uint64_t now_ms)
{
    struct fg_penalty_offender list[4];

    return fg_penalty_list(p, list, 4, now_ms);
}

static void proof_blocks_at_the_threshold(void **state)
{
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 10);
    struct fg_penalty_offender found;
    struct fg_filter_prefix address;

    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 9, START);
    assert_int_equal(lists.blocks, 0);
    offend(p, "198.18.0.10", FG_PENALTY_OFFENCE_HTTP, true, 9, START);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_USER_RATE, true, 9,
           START); /* another class counts apart */
    assert_int_equal(lists.blocks, 0);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 1, START);
    assert_int_equal(lists.blocks, 1);
    assert_string_equal(lists.blocked, "198.18.0.9");
    assert_string_equal(lists.reason, "penalty 1: http");
    assert_int_equal(lists.ms, 60000);
    assert_non_null(strstr(lists.note, "198.18.0.9 blocked for 60 s (level 1): 10 times http"));
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 30,
           START + 100); /* still on their way when it came */
    assert_int_equal(lists.blocks, 1);
    assert_int_equal(in_force(p, START + 59999), 1);
    assert_int_equal(in_force(p, START + 60000), 0);
    assert_true(fg_filter_prefix_parse("198.18.0.9", &address, NULL) &&
                fg_penalty_find(p, &address, &found));
    assert_int_equal(found.level, 1);
    assert_int_equal(found.offence, FG_PENALTY_OFFENCE_HTTP);
    fg_penalty_destroy(p);
}

/* Whatever a stranger writes on packets without a tag, nobody is blocked for it; the strict mode
 * differs. */
static void without_proof_only_the_strict_mode_blocks(void **state)
{
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 10);

    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_BAD_TAG, false, 5000, START);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_MALFORMED, false, 5000, START);
    assert_int_equal(lists.blocks, 0);
    /* Also not of somebody who was validated a moment ago. */
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_BAD_TAG, true, 9, START);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_BAD_TAG, false, 5000, START);
    assert_int_equal(lists.blocks, 0);
    assert_int_equal(fg_penalty_counters(p).unproven, 15009);
    fg_penalty_destroy(p);

    p = box(FG_PENALTY_SUSPECTED, 10);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_BAD_TAG, false, 10, START);
    assert_int_equal(lists.blocks, 1);
    assert_string_equal(lists.reason, "penalty 1: bad-tag");
    fg_penalty_destroy(p);

    p = box(FG_PENALTY_OFF, 10);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 5000, START);
    assert_int_equal(lists.blocks, 0);
    fg_penalty_destroy(p);
}

/* A tag proves who signed, not who sent: a copy of a packet, seen before or not, with any source
 * address, shows the same offences as the original. */
static void what_a_copy_can_show_is_no_evidence(void **state)
{
    static const enum fg_penalty_offence shown[] = {
        FG_PENALTY_OFFENCE_ROLE, FG_PENALTY_OFFENCE_USER_RATE, FG_PENALTY_OFFENCE_USER_DENIED,
        FG_PENALTY_OFFENCE_BAD_TAG};
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 10);
    struct fg_penalty_hitter top[1];
    double total;

    for (unsigned i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        offend(p, "198.18.0.9", shown[i], true, 1000, START);
    assert_int_equal(lists.blocks, 0);
    assert_int_equal(fg_penalty_counters(p).unproven, 4000);
    assert_int_equal(fg_penalty_top(p, FG_PENALTY_OFFENCE_USER_DENIED, top, 1, &total), 1);
    assert_float_equal(top[0].count, 1000, 0);
    assert_float_equal(top[0].proven, 0, 0);
    fg_penalty_destroy(p);
}

static void blocks_get_longer_and_a_quiet_day_forgives(void **state)
{
    static const uint64_t lengths[] = {60000, 600000, 3600000, 3600000};
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 10);
    uint64_t now = START;

    for (unsigned i = 0; i < 4; i++) {
        offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 10, now);
        assert_int_equal(lists.blocks, i + 1);
        assert_int_equal(lists.ms, lengths[i]);
        now += lengths[i];
        fg_penalty_tick(p, now);
    }
    assert_string_equal(lists.reason, "penalty 3: http");
    now += FG_PENALTY_QUIET_MS - 1;
    fg_penalty_tick(p, now);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 10, now); /* a moment too early */
    assert_int_equal(lists.ms, 3600000);
    now += 3600000 + FG_PENALTY_QUIET_MS;
    fg_penalty_tick(p, now);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 10, now);
    assert_int_equal(lists.ms, 60000);
    fg_penalty_destroy(p);
}

static void a_window_ends(void **state)
{
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 10);

    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 9, START);
    fg_penalty_tick(p, START + FG_PENALTY_WINDOW_MS);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 9, START + FG_PENALTY_WINDOW_MS);
    assert_int_equal(lists.blocks, 0);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 1, START + FG_PENALTY_WINDOW_MS);
    assert_int_equal(lists.blocks, 1);
    fg_penalty_destroy(p);
}

static void the_allowed_are_spared(void **state)
{
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 10);

    strcpy(lists.allowed, "2001:db8::77");
    offend(p, "2001:db8::77", FG_PENALTY_OFFENCE_HTTP, true, 100, START);
    assert_int_equal(lists.blocks, 0);
    assert_int_equal(fg_penalty_counters(p).spared, 1);
    assert_int_equal(in_force(p, START), 0);
    fg_penalty_destroy(p);
}

/* Addresses of one network of v6_prefix bits are one source: who has one has all of them. */
static void ipv6_is_blocked_by_prefix(void **state)
{
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 10);
    struct fg_filter_prefix address;
    struct fg_error err;

    for (unsigned i = 1; i <= 10; i++) {
        char text[64];

        snprintf(text, sizeof(text), "2001:db8:0:7::%x", i);
        offend(p, text, FG_PENALTY_OFFENCE_HTTP, true, 1, START);
    }
    assert_string_equal(lists.blocked, "2001:db8:0:7::/64");
    assert_true(fg_filter_prefix_parse("2001:db8:0:7::abcd", &address, &err));
    assert_true(fg_penalty_release(p, &address, START + 1, &err));
    assert_string_equal(lists.unblocked, "2001:db8:0:7::/64");
    assert_false(fg_penalty_release(p, &address, START + 1, &err));
    assert_string_equal(err.text, "2001:db8:0:7::/64: is not in the penalty box");
    offend(p, "2001:db8:0:7::1", FG_PENALTY_OFFENCE_HTTP, true, 10, START + 1);
    assert_string_equal(lists.reason, "penalty 1: http"); /* released: forgotten */
    fg_penalty_destroy(p);
}

static void a_restart_keeps_blocks_and_levels(void **state)
{
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 10);
    struct fg_filter_prefix source;
    struct fg_penalty_offender list[2];

    assert_true(fg_filter_prefix_parse("198.18.0.9", &source, NULL));
    assert_false(fg_penalty_restore(p, &source, "", 5000, START));
    assert_false(fg_penalty_restore(p, &source, "penalty 4: role", 5000, START));
    assert_false(fg_penalty_restore(p, &source, "penalty 0: role", 5000, START));
    assert_false(fg_penalty_restore(p, &source, "penalty 2: nonsense", 5000, START));
    assert_false(fg_penalty_restore(p, &source, "penalty 2", 5000, START));
    assert_int_equal(in_force(p, START), 0);
    assert_true(fg_penalty_restore(p, &source, "penalty 2: user-denied", 5000, START));
    assert_int_equal(fg_penalty_list(p, list, 2, START), 1);
    assert_int_equal(list[0].level, 2);
    assert_int_equal(list[0].offence, FG_PENALTY_OFFENCE_USER_DENIED);
    assert_int_equal(list[0].until_ms, START + 5000);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 10, START + 5000);
    assert_string_equal(lists.reason, "penalty 3: http");
    fg_penalty_destroy(p);
}

static void a_restart_keeps_levels_of_what_is_over(void **state)
{
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 10);
    struct fg_filter_prefix source;

    assert_true(fg_filter_prefix_parse("198.18.0.9", &source, NULL));
    assert_true(fg_penalty_restore(p, &source, "penalty 1: http", -3600000, START));
    assert_int_equal(in_force(p, START), 0);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 10, START);
    assert_string_equal(lists.reason, "penalty 2: http");
    fg_penalty_destroy(p);
    /* longer ago than this machine runs */
    p = box(FG_PENALTY_PROVEN, 10);
    assert_true(fg_penalty_restore(p, &source, "penalty 2: http", -(int64_t)START - 5, START));
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 10, START);
    assert_string_equal(lists.reason, "penalty 3: http");
    fg_penalty_destroy(p);
}

/* A block that somebody took off the list by hand does not protect its offender. */
static void a_lifted_block_comes_again(void **state)
{
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 10);

    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 10, START);
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 10, START + 3000);
    assert_int_equal(lists.blocks, 2);
    assert_int_equal(lists.ms, 600000);
    fg_penalty_destroy(p);
}

static void a_refusing_list_is_counted_and_said(void **state)
{
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 10);

    lists.refuse = true;
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 1000, START);
    assert_int_equal(fg_penalty_counters(p).refused, 1); /* once a window */
    assert_non_null(strstr(lists.note, "198.18.0.9 not blocked: the list is full"));
    lists.refuse = false;
    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_HTTP, true, 10, START + FG_PENALTY_WINDOW_MS);
    assert_int_equal(lists.blocks, 1);
    assert_string_equal(lists.reason, "penalty 1: http"); /* the refused one did not count */
    fg_penalty_destroy(p);
}

/* More offenders than the box remembers, all of them blocked, then all of them over. */
static void memory_and_log_are_bounded(void **state)
{
    struct fg_penalty *p = box(FG_PENALTY_PROVEN, 1);
    struct fg_penalty_report report = {.family = 4,
                                       .offence = FG_PENALTY_OFFENCE_HTTP,
                                       .proven = 1,
                                       .events = 1,
                                       .addr = {198, 18}};

    for (unsigned i = 0; i < FG_PENALTY_MAX + 500; i++) {
        report.addr[2] = (uint8_t)(i >> 8);
        report.addr[3] = (uint8_t)i;
        fg_penalty_report(p, &report, START + i / 900 * FG_PENALTY_WINDOW_MS / 10);
        if (i % 900 == 899) /* the counters of one window are fewer than the offenders */
            fg_penalty_tick(p, START + (i / 900 + 1) * FG_PENALTY_WINDOW_MS);
    }
    assert_int_equal(lists.blocks, FG_PENALTY_MAX);
    assert_int_equal(fg_penalty_counters(p).refused, 500);
    assert_int_equal(fg_penalty_list(p, NULL, 0, START), FG_PENALTY_MAX);
    assert_true(lists.notes <= 10 * FG_PENALTY_NOTES_MAX);
    assert_int_equal(lists.notes + fg_penalty_counters(p).unsaid, FG_PENALTY_MAX);
    fg_penalty_report(p, &report, START + 3600000); /* places are free again: the oldest goes */
    assert_int_equal(lists.blocks, FG_PENALTY_MAX + 1);
    fg_penalty_tick(p, START + 2 * FG_PENALTY_QUIET_MS);
    assert_int_equal(fg_penalty_list(p, NULL, 0, START), 0); /* all forgotten, whatever the time */
    fg_penalty_destroy(p);
}

static void people_see_all_classes(void **state)
{
    struct fg_penalty *p = box(FG_PENALTY_OFF, 10);
    struct fg_penalty_hitter top[4];
    double total;

    offend(p, "198.18.0.9", FG_PENALTY_OFFENCE_BAD_TAG, false, 8, START);
    offend(p, "198.18.0.10", FG_PENALTY_OFFENCE_BAD_TAG, false, 2, START + 5);
    assert_int_equal(fg_penalty_top(p, FG_PENALTY_OFFENCE_BAD_TAG, top, 4, &total), 2);
    assert_float_equal(total, 10, 0);
    assert_float_equal(top[0].count, 8, 0);
    assert_int_equal(top[1].last_ms, START + 5);
    fg_penalty_tick(p, START + FG_PENALTY_HALF_MS);
    assert_int_equal(fg_penalty_top(p, FG_PENALTY_OFFENCE_BAD_TAG, top, 4, &total), 2);
    assert_float_equal(top[0].count, 4, 0);
    assert_int_equal(fg_penalty_top(p, FG_PENALTY_OFFENCE_HTTP, top, 4, &total), 0);
    assert_int_equal(fg_penalty_offence_find("user-rate"), FG_PENALTY_OFFENCE_USER_RATE);
    assert_int_equal(fg_penalty_offence_find("no"), FG_OFFENCES);
    fg_penalty_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proof_blocks_at_the_threshold),
        cmocka_unit_test(without_proof_only_the_strict_mode_blocks),
        cmocka_unit_test(what_a_copy_can_show_is_no_evidence),
        cmocka_unit_test(blocks_get_longer_and_a_quiet_day_forgives),
        cmocka_unit_test(a_window_ends),
        cmocka_unit_test(the_allowed_are_spared),
        cmocka_unit_test(ipv6_is_blocked_by_prefix),
        cmocka_unit_test(a_restart_keeps_blocks_and_levels),
        cmocka_unit_test(a_restart_keeps_levels_of_what_is_over),
        cmocka_unit_test(a_lifted_block_comes_again),
        cmocka_unit_test(a_refusing_list_is_counted_and_said),
        cmocka_unit_test(memory_and_log_are_bounded),
        cmocka_unit_test(people_see_all_classes),
    };

    return cmocka_run_group_tests_name("penalty", tests, NULL, NULL);
}
