/* SPDX-License-Identifier: BSD-3-Clause */
/* The catalogue of a fleet: its texts, and what a member applies and says. */
#include "fleet/catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ITEMS   4
#define MEMBERS 3
#define OWN     1

static struct fg_fleet_catalogue *list;
static struct fg_fleet_listed listed;

static int begin(void **state)
{
    list = fg_fleet_catalogue_create(OWN, MEMBERS, ITEMS);
    return 0;
}

static int end(void **state)
{
    fg_fleet_catalogue_destroy(list);
    return 0;
}

static struct fg_fleet_settings settings(uint64_t version)
{
    return (struct fg_fleet_settings){.version = version,
                                      .opens_ms = 1700000000000,
                                      .hold_ms = 120000,
                                      .order_max = 10,
                                      .name = "lamp"};
}

static void item_value(uint64_t item, int64_t revision, uint64_t version)
{
    const struct fg_fleet_settings s = settings(version);
    char key[32], text[FG_FLEET_TEXT_MAX];

    fg_fleet_catalogue_key(key, sizeof(key), item);
    fg_fleet_settings_write(&s, text);
    fg_fleet_catalogue_value(list, key, revision, text);
}

static void member_says(unsigned member, int64_t revision)
{
    char key[32], text[FG_FLEET_TEXT_MAX];

    snprintf(key, sizeof(key), FG_FLEET_APPLIED_PREFIX "%u", member);
    fg_fleet_applied_write(member, revision, text);
    fg_fleet_catalogue_value(list, key, revision + 1000, text);
}

static bool next(uint64_t now_ms)
{
    return fg_fleet_catalogue_next(list, now_ms, &listed);
}

static int64_t must_say(void)
{
    int64_t revision;

    return fg_fleet_catalogue_must_say(list, &revision) ? revision : -7;
}

static void texts(void **state)
{
    struct fg_fleet_settings s = settings(3), again;
    char text[FG_FLEET_TEXT_MAX];
    unsigned member;
    int64_t revision;
    static const char *const wrong[] = {
        "",
        "floodgate-item 1 version 0 opens 0 closes 0 hold 1 limit 0 order 1 running listed name "
        "\"\"",
        "floodgate-item 1 version 1 opens -1 closes 0 hold 1 limit 0 order 1 running listed name "
        "\"\"",
        "floodgate-item 1 version 1 opens 0 closes 0 hold 1 limit 0 order 65536 running listed "
        "name \"\"",
        "floodgate-item 1 version 1 opens 0 closes 0 hold 1 limit 0 order 1 runs listed name \"\"",
        "floodgate-item 1 version 1 opens 0 closes 0 hold 1 limit 0 order 1 running there name "
        "\"\"",
        "floodgate-item 1 version 1 opens 0 closes 0 hold 1 limit 0 order 1 running listed name",
        "floodgate-item 1 version 1 opens 0 closes 0 hold 1 limit 0 order 1 running listed name \"",
        "floodgate-item 1 version 1 opens 0 closes 0 hold 1 limit 0 order 1 running listed name "
        "lamp",
        "floodgate-item 1 version 1 opens 0 closes 0 hold 1 limit 0 order 1 running listed name "
        "\"a\x1b\"",
        "floodgate-item 1 version 1 opens 0 closes 0 hold 1 limit 0 order 1 running listed name "
        "\"123456789012345678901234567890123\"",
        "floodgate-item 1 version  1 opens 0 closes 0 hold 1 limit 0 order 1 running listed name "
        "\"\"",
        "floodgate-applied 1 member 1 revision -1",
        "floodgate-applied 1 member 16 revision 1",
        "floodgate-applied 1 member 1 revision 1 ",
    };

    s.paused = s.retired = true;
    s.user_limit = UINT32_MAX;
    strcpy(s.name, "a \"b\" \xc3\xa4 name \"");
    fg_fleet_settings_write(&s, text);
    assert_string_equal(text, "floodgate-item 1 version 3 opens 1700000000000 closes 0 hold 120000 "
                              "limit 4294967295 order 10 paused retired name \"a \"b\" \xc3\xa4 "
                              "name \"\"");
    assert_true(fg_fleet_settings_read(&again, text));
    assert_memory_equal(&s, &again, sizeof(s));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (fg_fleet_settings_read(&again, wrong[i]) ||
            fg_fleet_applied_read(&member, &revision, wrong[i]))
            fail_msg("it took %s", wrong[i]);
    fg_fleet_applied_write(2, 77, text);
    assert_string_equal(text, "floodgate-applied 1 member 2 revision 77");
    assert_true(fg_fleet_applied_read(&member, &revision, text));
    assert_true(member == 2 && revision == 77);
}

static void applies_and_says(void **state)
{
    assert_false(next(0));
    assert_int_equal(must_say(), -7); /* nothing was read */
    item_value(7, 10, 1);
    item_value(8, 12, 4);
    fg_fleet_catalogue_all_read(list);
    assert_int_equal(must_say(), -7);
    assert_false(fg_fleet_catalogue_complete(list));
    assert_true(next(0));
    assert_true(listed.item == 7 && listed.revision == 10 && listed.settings.version == 1);
    fg_fleet_catalogue_applied(list, &listed);
    fg_fleet_catalogue_item(list, 7, &listed);
    assert_int_equal(listed.applied, 1);
    assert_int_equal(must_say(), -7); /* 8 is not applied yet */
    assert_true(next(0) && listed.item == 8);
    fg_fleet_catalogue_applied(list, &listed);
    assert_false(next(0));
    assert_int_equal(must_say(), 12);
    assert_false(fg_fleet_catalogue_complete(list));
    fg_fleet_catalogue_said(list, 12);
    assert_true(fg_fleet_catalogue_complete(list));
    assert_int_equal(must_say(), -7);
    item_value(7, 10, 1); /* read again */
    assert_false(next(0));
    item_value(7, 20, 2);
    assert_false(fg_fleet_catalogue_complete(list));
    assert_true(next(0) && listed.settings.version == 2 && listed.applied == 1);
    item_value(7, 21, 3); /* meanwhile */
    fg_fleet_catalogue_applied(list, &listed);
    assert_int_equal(must_say(), -7);
    assert_true(next(0) && listed.settings.version == 3);
    fg_fleet_catalogue_applied(list, &listed);
    assert_int_equal(must_say(), 21);
}

static void an_empty_one_is_said(void **state)
{
    assert_int_equal(must_say(), -7);
    fg_fleet_catalogue_all_read(list);
    assert_int_equal(must_say(), 0);
    fg_fleet_catalogue_said(list, 0);
    assert_true(fg_fleet_catalogue_complete(list));
}

/* Those that cannot be applied hold up none of the others, and nothing is said of them. */
static void failures(void **state)
{
    char why[200];

    item_value(7, 10, 1);
    item_value(8, 11, 1);
    fg_fleet_catalogue_all_read(list);
    assert_true(next(100) && listed.item == 7);
    fg_fleet_catalogue_failed(list, &listed, 600);
    assert_true(next(100) && listed.item == 8);
    fg_fleet_catalogue_applied(list, &listed);
    assert_false(next(599));
    assert_int_equal(must_say(), 9);
    fg_fleet_catalogue_said(list, 9);
    assert_false(fg_fleet_catalogue_complete(list));
    assert_true(next(600) && listed.item == 7);
    fg_fleet_catalogue_failed(list, &listed, 1200);
    item_value(7, 12, 2);
    assert_true(next(700) && listed.settings.version == 2); /* newer ones at once */
    fg_fleet_catalogue_applied(list, &listed);
    assert_int_equal(must_say(), 12);
    fg_fleet_catalogue_value(list, "fleet/item/8", 13, "of another program");
    assert_false(next(5000));
    assert_true(fg_fleet_catalogue_unusable(list, why, sizeof(why)));
    assert_non_null(strstr(why, "item 8: its settings in etcd cannot be understood"));
    assert_int_equal(must_say(), 12);
    fg_fleet_catalogue_said(list, 12);
    assert_false(fg_fleet_catalogue_complete(list));
    item_value(8, 14, 2);
    assert_false(fg_fleet_catalogue_unusable(list, why, sizeof(why)));
    assert_true(next(5000) && listed.item == 8);
    fg_fleet_catalogue_value(list, "fleet/item/8", 15, "again, while it is applied");
    fg_fleet_catalogue_applied(list, &listed);
    assert_false(fg_fleet_catalogue_complete(list));
    assert_false(next(5000));
    assert_int_equal(must_say(), 14);
}

static void no_room(void **state)
{
    char why[200];

    for (unsigned i = 1; i <= ITEMS + 2; i++)
        item_value(i, 10 * i, 1);
    fg_fleet_catalogue_all_read(list);
    for (unsigned i = 0; i < ITEMS; i++) {
        assert_true(next(0));
        fg_fleet_catalogue_applied(list, &listed);
    }
    assert_false(next(0));
    assert_int_equal(must_say(), 10 * (ITEMS + 1) - 1);
    fg_fleet_catalogue_said(list, 10 * (ITEMS + 1) - 1);
    assert_false(fg_fleet_catalogue_complete(list));
    assert_true(fg_fleet_catalogue_unusable(list, why, sizeof(why)));
    assert_non_null(strstr(why, "items_max"));
}

/* A read that began before a watch told something newer ends after it. */
static void an_older_word_counts_for_nothing(void **state)
{
    char text[FG_FLEET_TEXT_MAX];

    fg_fleet_applied_write(2, 20, text);
    fg_fleet_catalogue_value(list, FG_FLEET_APPLIED_PREFIX "2", 21, text);
    fg_fleet_applied_write(2, 10, text);
    fg_fleet_catalogue_value(list, FG_FLEET_APPLIED_PREFIX "2", 11, text);
    assert_false(fg_fleet_catalogue_behind(list, 20) & 1u << 2);
    fg_fleet_catalogue_value(list, FG_FLEET_APPLIED_PREFIX "2", 22, text); /* of a new log */
    assert_true(fg_fleet_catalogue_behind(list, 20) & 1u << 2);
}

static void strange_keys(void **state)
{
    const struct fg_fleet_settings s = settings(1);
    char text[FG_FLEET_TEXT_MAX];
    static const char *const keys[] = {
        "fleet/item/0",  "fleet/item/07", "fleet/item/7x", "fleet/items/7",
        "fleet/item/-7", "fleet/pool/7",  "fleet/item/",   "fleet/item/9223372036854775808"};

    fg_fleet_settings_write(&s, text);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        fg_fleet_catalogue_value(list, keys[i], 10, text);
    fg_fleet_catalogue_value(list, "fleet/item/7", 0, text);
    assert_false(next(0));
    fg_fleet_catalogue_value(list, "fleet/applied/2", 9,
                             "floodgate-applied 1 member 0 revision 99");
    fg_fleet_catalogue_value(list, "fleet/applied/3", 9,
                             "floodgate-applied 1 member 3 revision 99");
    assert_int_equal(fg_fleet_catalogue_behind(list, 1), 7);
}

static void members_that_are_behind(void **state)
{
    fg_fleet_catalogue_all_read(list);
    fg_fleet_catalogue_said(list, 10);
    assert_int_equal(fg_fleet_catalogue_behind(list, 10), 1u << 0 | 1u << 2);
    assert_int_equal(fg_fleet_catalogue_awaited(list, 1u << 0 | 1u << 2), 0); /* never came */
    member_says(0, 10);
    member_says(2, 9);
    assert_int_equal(fg_fleet_catalogue_behind(list, 10), 1u << 2);
    assert_int_equal(fg_fleet_catalogue_awaited(list, 1u << 2), 1u << 2);
    fg_fleet_catalogue_give_up(list, 1u << 2);
    assert_int_equal(fg_fleet_catalogue_awaited(list, 1u << 2), 0);
    member_says(2, 9); /* read again */
    assert_int_equal(fg_fleet_catalogue_awaited(list, 1u << 2), 0);
    member_says(2, 11);
    assert_int_equal(fg_fleet_catalogue_behind(list, 11), 1u << 0 | 1u << OWN);
    assert_int_equal(fg_fleet_catalogue_awaited(list, 1u << 2), 1u << 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts),
                                       TEST(applies_and_says),
                                       TEST(an_empty_one_is_said),
                                       TEST(failures),
                                       TEST(no_room),
                                       TEST(an_older_word_counts_for_nothing),
                                       TEST(strange_keys),
                                       TEST(members_that_are_behind)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
