/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/fleet: the texts of pool and map, and the shards of users. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fleet/fleet.h"

static void a_pool_is_a_line_of_text(void **state)
{
    struct fg_fleet_pool pool, again;
    char text[FG_FLEET_TEXT_MAX];

    (void)state;
    fg_fleet_pool_first(&pool, 2);
    pool.row[1].log = (struct fg_fleet_counters){10, 0, 0, 10, 1};
    pool.free = 7;
    pool.next = 4;
    pool.row[0] = (struct fg_fleet_row){{0, 3, 2, 0, 0}, 17, 2, 3, 5};
    fg_fleet_pool_write(&pool, text);
    assert_string_equal(text,
                        "floodgate-pool 1 free 7 next 4 open members 2"
                        " / 0 stock 0 leased 3 in 2 returned 0 in 0 seq 17 empty 2 waits 3 for 5"
                        " / 1 stock 10 leased 0 in 0 returned 10 in 1 seq 0 empty 0 waits 0 for 0");
    assert_true(fg_fleet_pool_read(&again, text));
    assert_int_equal(again.row[0].wanted, 5);
    assert_int_equal(again.row[0].seq, 17);
    assert_int_equal(fg_fleet_pool_oldest(&again), 0);
}

static void a_pool_that_does_not_add_up_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "floodgate-pool 2 free 0 next 1 open members 1 / 0 stock 0 leased 0 in 0 returned 0 in 0 "
        "seq 0 empty 0 waits 0 for 0",
        /* one unit too many, too few, below zero */
        "floodgate-pool 1 free 1 next 1 open members 1 / 0 stock 0 leased 0 in 0 returned 0 in 0 "
        "seq 0 empty 0 waits 0 for 0",
        "floodgate-pool 1 free 2 next 1 open members 1 / 0 stock 3 leased 0 in 0 returned 3 in 1 "
        "seq 0 empty 0 waits 0 for 0",
        "floodgate-pool 1 free 3 next 1 open members 1 / 0 stock 2 leased 0 in 0 returned 3 in 1 "
        "seq 0 empty 0 waits 0 for 0",
        /* sold out, with units; with a demand */
        "floodgate-pool 1 free 3 next 1 sold-out members 1 / 0 stock 3 leased 0 in 0 returned 3 in "
        "1 seq 0 empty 0 waits 0 for 0",
        "floodgate-pool 1 free 0 next 2 sold-out members 1 / 0 stock 0 leased 0 in 0 returned 0 in "
        "0 seq 0 empty 0 waits 1 for 1",
        /* a demand without units, of a number to come, of a number that another has */
        "floodgate-pool 1 free 0 next 2 open members 1 / 0 stock 0 leased 0 in 0 returned 0 in 0 "
        "seq 0 empty 0 waits 1 for 0",
        "floodgate-pool 1 free 0 next 1 open members 1 / 0 stock 0 leased 0 in 0 returned 0 in 0 "
        "seq 0 empty 0 waits 1 for 1",
        "floodgate-pool 1 free 0 next 2 open members 2 / 0 stock 0 leased 0 in 0 returned 0 in 0 "
        "seq 0 empty 0 waits 1 for 1"
        " / 1 stock 0 leased 0 in 0 returned 0 in 0 seq 0 empty 0 waits 1 for 1",
        /* units without a lease, a lease without units, empty at a time to come */
        "floodgate-pool 1 free 0 next 1 open members 1 / 0 stock 3 leased 3 in 0 returned 3 in 1 "
        "seq 0 empty 0 waits 0 for 0",
        "floodgate-pool 1 free 0 next 1 open members 1 / 0 stock 0 leased 0 in 1 returned 0 in 0 "
        "seq 0 empty 0 waits 0 for 0",
        "floodgate-pool 1 free 0 next 1 open members 1 / 0 stock 0 leased 0 in 0 returned 0 in 0 "
        "seq 0 empty 2 waits 0 for 0",
        /* another member, none, a sign, a space, something behind */
        "floodgate-pool 1 free 0 next 1 open members 1 / 1 stock 0 leased 0 in 0 returned 0 in 0 "
        "seq 0 empty 0 waits 0 for 0",
        "floodgate-pool 1 free 0 next 1 open members 0",
        "floodgate-pool 1 free 0 next 1 open members 17",
        "floodgate-pool 1 free +0 next 1 open members 1 / 0 stock 0 leased 0 in 0 returned 0 in 0 "
        "seq 0 empty 0 waits 0 for 0",
        "floodgate-pool 1 free 0  next 1 open members 1 / 0 stock 0 leased 0 in 0 returned 0 in 0 "
        "seq 0 empty 0 waits 0 for 0",
        "floodgate-pool 1 free 0 next 1 open members 1 / 0 stock 0 leased 0 in 0 returned 0 in 0 "
        "seq 0 empty 0 waits 0 for 0 ",
        "floodgate-pool 1 free 18446744073709551616 next 1 open members 1 / 0 stock 0 leased 0 in "
        "0 returned 0 in 0 seq 0 empty 0 waits 0 for 0",
    };
    struct fg_fleet_pool pool;

    (void)state;
    assert_true(fg_fleet_pool_read(&pool,
                                   "floodgate-pool 1 free 3 next 1 open members 1 / 0 stock "
                                   "3 leased 0 in 0 returned 3 in 1 seq 0 empty 0 waits 0 for 0"));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (fg_fleet_pool_read(&pool, wrong[i]))
            fail_msg("read: %s", wrong[i]);
}

static void a_map_is_a_line_of_text(void **state)
{
    static const char *const wrong[] = {
        "",
        "floodgate-fleet 1 version 0 running members 2 retired - shards 2 01",
        "floodgate-fleet 1 version 1 walking members 2 retired - shards 2 01",
        "floodgate-fleet 1 version 1 running members 2 retired - shards 2 02",
        "floodgate-fleet 1 version 1 running members 2 retired 2 shards 2 01",
        "floodgate-fleet 1 version 1 running members 2 retired - shards 3 01",
        "floodgate-fleet 1 version 1 running members 2 retired - shards 2 01 ",
        "floodgate-fleet 1 version 1 running members 2 retired 10 shards 2 01",
        "floodgate-fleet 1 version 1 running members 17 retired - shards 2 01",
    };
    const char *good = "floodgate-fleet 1 version 3 frozen members 3 retired 02 shards 5 01201";
    struct fg_fleet_map map;
    char text[FG_FLEET_TEXT_MAX];

    (void)state;
    assert_true(fg_fleet_map_read(&map, good));
    assert_true(map.frozen && map.version == 3 && map.retired == 5 && map.owner[4] == 1);
    fg_fleet_map_write(&map, text);
    assert_string_equal(text, good);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (fg_fleet_map_read(&map, wrong[i]))
            fail_msg("read: %s", wrong[i]);
    fg_fleet_map_first(&map, FG_FLEET_MEMBERS_MAX, FG_FLEET_SHARDS_MAX);
    map.retired = 0xffff;
    fg_fleet_map_write(&map, text);
    assert_true(fg_fleet_map_read(&map, text));
}

/* Clients on other machines compute it: the numbers may never change. */
static void a_user_belongs_to_a_shard_for_ever(void **state)
{
    unsigned users[64] = {0}, workers[4] = {0};
    struct fg_fleet_map map;

    (void)state;
    assert_int_equal(fg_user_shard(1, 64), 7);
    assert_int_equal(fg_user_shard(2, 64), 53);
    assert_int_equal(fg_user_shard(1234567890123, 1024), 581);
    fg_fleet_map_first(&map, 4, 64);
    for (uint64_t user = 0; user < 64000; user++) {
        users[fg_user_shard(user, 64)]++;
        if (fg_fleet_owner(&map, user) == 2)
            workers[fg_user_owner(user, 4)]++;
    }
    for (unsigned i = 0; i < 64; i++)
        assert_in_range(users[i], 850, 1150);
    for (unsigned i = 0; i < 4; i++) /* a member's users fill all its workers */
        assert_in_range(workers[i], 3700, 4300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_is_a_line_of_text),
        cmocka_unit_test(a_pool_that_does_not_add_up_is_refused),
        cmocka_unit_test(a_map_is_a_line_of_text),
        cmocka_unit_test(a_user_belongs_to_a_shard_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
