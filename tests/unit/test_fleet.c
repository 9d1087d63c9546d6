/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/fleet by its contract: the table, sizes of leases and batches, and why it takes no part. What
 * a fleet does as a whole is the business of tests/sim/sim_fleet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fleet/internal.h"
#include "fleet/mend.h"

enum { REGISTER = 5, ITEMS = 200 };

/* ---- a member; etcd is the test ------------------------------------------------------------- */

struct rig {
    struct fg_fleet *f;
    struct fg_fleet_view view;
    uint64_t now_ms, ticket;
    int64_t store, since;
    bool read; /* the call that is under way */
    const struct fg_fleet_put *puts;
    unsigned puts_len;
    char out[1024]; /* since the last `told` */
};

static struct rig rig;

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    size_t len = strlen(rig.out);
    va_list args;

    va_start(args, format);
    vsnprintf(rig.out + len, sizeof(rig.out) - len, format, args);
    va_end(args);
}

static void drain(void)
{
    struct fg_fleet_output o;

    while (fg_fleet_next(rig.f, &o)) {
        switch (o.kind) {
        case FG_FLEET_READ:
        case FG_FLEET_SWAP:
            assert_int_equal(rig.ticket, 0);
            rig.ticket = o.ticket;
            rig.read = o.kind == FG_FLEET_READ;
            rig.since = o.since;
            rig.puts = o.puts;
            rig.puts_len = o.puts_len;
            if (!rig.read) {
                assert_int_equal(o.register_revision, REGISTER);
                note("swap %u; ", o.puts_len);
            }
            break;
        case FG_FLEET_REMEMBER:
            break;
        case FG_FLEET_LEASE:
            note("lease %llu to %llu no %llu; ", (unsigned long long)o.units,
                 (unsigned long long)o.counters.leased, (unsigned long long)o.counters.leases);
            break;
        case FG_FLEET_RECALL:
            note("recall; ");
            break;
        case FG_FLEET_REFUSE:
            note("refuse %s %llu; ", fg_fleet_refusal_name(o.refusal), (unsigned long long)o.units);
            break;
        case FG_FLEET_SOLD_OUT:
            note("sold out; ");
            break;
        case FG_FLEET_OPEN:
            note("open; ");
            break;
        case FG_FLEET_STOP:
            note("stop: %s; ", fg_fleet_reason_text(o.reason));
        }
    }
    fg_fleet_view(rig.f, &rig.view);
}

#define told(text)                                                                                 \
    do {                                                                                           \
        drain();                                                                                   \
        assert_string_equal(rig.out, text);                                                        \
        rig.out[0] = 0;                                                                            \
    } while (0)

static void answer(enum fg_fleet_outcome outcome)
{
    uint64_t ticket = rig.ticket;

    assert_int_not_equal(ticket, 0);
    rig.ticket = 0;
    fg_fleet_answered(rig.f, ticket, outcome, rig.store);
    drain();
}

static void pass(uint64_t ms)
{
    rig.now_ms += ms;
    fg_fleet_time(rig.f, rig.now_ms);
    drain();
}

/* Likewise; reads bring nothing. */
static void pass_reads(uint64_t ms)
{
    pass(ms);
    while (rig.ticket && rig.read) {
        answer(FG_FLEET_DONE);
        pass(1);
    }
}

static void value(const char *key, const char *text)
{
    fg_fleet_value(rig.f, key, ++rig.store, text);
}

static void give_map(unsigned members, uint32_t retired, bool frozen, uint64_t version)
{
    struct fg_fleet_map map;
    char text[FG_FLEET_TEXT_MAX];

    fg_fleet_map_first(&map, members, 8);
    map.retired = retired;
    map.frozen = frozen;
    map.version = version;
    fg_fleet_map_write(&map, text);
    value(FG_FLEET_MAP_KEY, text);
}

static void give_pool(unsigned item, const struct fg_fleet_pool *pool)
{
    char key[FG_FLEET_KEY_MAX], text[FG_FLEET_TEXT_MAX];

    fg_fleet_key(key, item + 1);
    fg_fleet_pool_write(pool, text);
    value(key, text);
}

/* Member 1 added the stock and returned all of it. */
static struct fg_fleet_pool pool_with(uint64_t free)
{
    struct fg_fleet_pool pool;

    fg_fleet_pool_first(&pool, 2);
    pool.free = free;
    pool.row[1].log = (struct fg_fleet_counters){(int64_t)free, 0, 0, free, free > 0};
    return pool;
}

static void create(unsigned items, const struct fg_fleet_counters *log)
{
    struct fg_fleet_options o = {.items_max = ITEMS,
                                 .timing = fg_fleet_timing_usual,
                                 .seed = {1, 2},
                                 .register_key = "pair/0/register"};
    struct fg_error err;

    fg_fleet_map_first(&o.map, 2, 8);
    memset(&rig, 0, sizeof(rig));
    rig.store = 100;
    rig.now_ms = 1000;
    rig.f = fg_fleet_create(&o, &err);
    assert_non_null(rig.f);
    for (unsigned i = 0; i < items; i++)
        assert_true(fg_fleet_item(rig.f, i, i + 1, log ? log : &(struct fg_fleet_counters){0}));
    fg_fleet_time(rig.f, rig.now_ms);
}

static void begin(unsigned items, const struct fg_fleet_counters *log)
{
    create(items, log);
    fg_fleet_leads(rig.f, REGISTER);
    drain();
    assert_true(rig.read && rig.since == 0);
}

static int end(void **state)
{
    (void)state;
    fg_fleet_destroy(rig.f);
    rig.f = NULL;
    return 0;
}

/* A member that has read map and pool. */
static void ready(uint64_t free)
{
    struct fg_fleet_pool pool = pool_with(free);

    begin(1, NULL);
    give_map(2, 0, false, 1);
    give_pool(0, &pool);
    answer(FG_FLEET_DONE);
    assert_true(rig.view.may_sell);
    assert_int_equal(rig.view.reason, FG_FLEET_REASON_NONE);
    told("");
}

/* ---- the table ------------------------------------------------------------------------------- */

static void each_event_moves_one_state(void **state)
{
    static const int next[FG_FLEET_STATES][FG_FLEET_EVENTS] = {
        [FG_FLEET_STATE_UNREAD] = {FG_FLEET_STATE_READY, -1, -1, -1, -1},
        [FG_FLEET_STATE_READY] = {-1, FG_FLEET_STATE_LEASING, -1, FG_FLEET_STATE_RECALLING, -1},
        [FG_FLEET_STATE_LEASING] = {-1, -1, FG_FLEET_STATE_READY, -1, -1},
        [FG_FLEET_STATE_RECALLING] = {-1, -1, -1, -1, FG_FLEET_STATE_READY},
    };

    (void)state;
    for (unsigned s = 0; s < FG_FLEET_STATES; s++)
        for (unsigned e = 0; e < FG_FLEET_EVENTS; e++) {
            struct fg_fleet_entry it = {.state = s};
            bool moved = fg_fleet_step(&it, e);

            if (moved != (next[s][e] >= 0) || (moved && (int)it.state != next[s][e]))
                fail_msg("%s %s", fg_fleet_state_name(s), fg_fleet_event_name(e));
        }
}

/* ---- leases ---------------------------------------------------------------------------------- */

static void a_lease_is_recorded_as_the_pool_has_it(void **state)
{
    struct fg_fleet_item_view view;

    (void)state;
    ready(1000);
    fg_fleet_bank(rig.f, 0, 2, 5, 0);
    told("swap 1; ");
    rig.store++;
    answer(FG_FLEET_DONE);
    told("lease 129 to 129 no 1; "); /* 5 + (1000 - 5) / (4 * 2) */
    fg_fleet_item_view(rig.f, 0, &view);
    assert_int_equal(view.state, FG_FLEET_STATE_LEASING);
    assert_int_equal(view.log.leased, 0);
    fg_fleet_leased(rig.f, 0);
    fg_fleet_bank(rig.f, 0, 0, 0, 124);
    told("");
    fg_fleet_item_view(rig.f, 0, &view);
    assert_int_equal(view.log.leased, 129);
    assert_int_equal(view.pool.free, 871);
}

static void the_last_units_go_one_by_one(void **state)
{
    (void)state;
    ready(32);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    told("swap 1; ");
    rig.store++;
    answer(FG_FLEET_DONE);
    told("lease 1 to 1 no 1; "); /* 31 are left, fewer than 16 * 2 */
}

static void a_late_swap_is_found_by_comparing(void **state)
{
    struct fg_fleet_pool pool = pool_with(100);

    (void)state;
    ready(100);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    told("swap 1; ");
    answer(FG_FLEET_UNKNOWN);
    fg_fleet_bank(rig.f, 0, 7, 7, 0); /* something else is wanted now */
    pass(20);
    told("");
    assert_true(rig.read);
    pool.free -= 13;
    pool.row[0].log.leased = 13;
    pool.row[0].log.leases = 1;
    give_pool(0, &pool);
    told(""); /* not before it is known how old it is */
    answer(FG_FLEET_DONE);
    told("lease 13 to 13 no 1; ");
}

static void a_lost_swap_brings_the_new_value(void **state)
{
    struct fg_fleet_pool pool = pool_with(100);

    (void)state;
    ready(100);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    told("swap 1; ");
    pool.free = 0;
    pool.row[1].log.leased = 100;
    pool.row[1].log.leases = 1;
    give_pool(0, &pool);
    answer(FG_FLEET_LOST);
    pass_reads(5);
    told("swap 1; "); /* it waits now */
    assert_non_null(strstr(rig.puts[0].text,
                           "/ 0 stock 0 leased 0 in 0 returned 0 in 0 seq 0 empty 0 "
                           "waits 1 for 1"));
}

static void many_items_are_asked_for_at_once(void **state)
{
    struct fg_fleet_pool pool = pool_with(50);

    (void)state;
    begin(ITEMS, NULL);
    give_map(2, 0, false, 1);
    for (unsigned i = 0; i < ITEMS; i++) {
        give_pool(i, &pool);
        fg_fleet_bank(rig.f, i, 1, 1, 0);
    }
    answer(FG_FLEET_DONE);
    told("swap 126; ");
    give_pool(0, &pool);
    answer(FG_FLEET_LOST);
    pass_reads(5);
    told("swap 63; "); /* the fewer, the fewer rivals */
}

/* ---- returns, demand ------------------------------------------------------------------------- */

/* So a copy of the log is noticed. */
static void each_swap_tells_how_long_the_log_is(void **state)
{
    (void)state;
    ready(1000);
    fg_fleet_logged(rig.f, 41);
    fg_fleet_logged(rig.f, 42);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    told("swap 1; ");
    assert_non_null(strstr(rig.puts[0].text, "/ 0 stock 0 leased 125 in 1 returned 0 in 0 seq 42"));
    assert_non_null(strstr(rig.puts[0].text, "returned 1000 in 1 seq 0"));
}

static void what_is_free_is_returned_to_those_who_wait(void **state)
{
    struct fg_fleet_pool pool = pool_with(0);

    (void)state;
    begin(1, &(struct fg_fleet_counters){.stock = 9});
    give_map(2, 0, false, 1);
    pool.row[1].demand = 1;
    pool.row[1].wanted = 3;
    pool.next = 2;
    give_pool(0, &pool);
    fg_fleet_bank(rig.f, 0, 0, 0, 4);
    answer(FG_FLEET_DONE);
    told("recall; ");
    fg_fleet_bank(rig.f, 0, 0, 0, 0);
    pass(5);
    told(""); /* RETURN is not committed */
    answer(FG_FLEET_DONE);
    fg_fleet_returned(rig.f, 0, 4);
    told("swap 1; ");
    assert_non_null(strstr(rig.puts[0].text,
                           "free 4 next 2 open members 2"
                           " / 0 stock 9 leased 0 in 0 returned 4 in 1 seq 0 empty 2"));
}

/* The queue wants more than there is. */
static void a_long_queue_takes_a_share(void **state)
{
    struct fg_fleet_pool pool = pool_with(1000);

    ready(1000);
    fg_fleet_bank(rig.f, 0, 1, 5000, 0);
    told("swap 1; ");
    assert_non_null(strstr(rig.puts[0].text, "free 875 next"));
    end(state);
    begin(1, NULL); /* while another one waits for 200 */
    give_map(2, 0, false, 1);
    pool.next = 3;
    pool.row[0] = (struct fg_fleet_row){.empty = 3, .demand = 1, .wanted = 1};
    pool.row[1].demand = 2;
    pool.row[1].wanted = 200;
    give_pool(0, &pool);
    fg_fleet_bank(rig.f, 0, 1, 5000, 0);
    answer(FG_FLEET_DONE);
    told("swap 1; ");
    assert_non_null(strstr(rig.puts[0].text, "free 900 next"));
}

/* Two requests of 2 and 7 units wait here, and one of 3 units elsewhere. */
static void the_oldest_demand_leases_all_it_can(void **state)
{
    static const struct {
        uint64_t free;
        const char *leaves, *takes;
    } cases[] = {{12, "free 3 next", " leased 9 in 1 "}, {11, "free 9 next", " leased 2 in 1 "}};

    for (unsigned i = 0; i < 2; i++) {
        struct fg_fleet_pool pool = pool_with(cases[i].free);

        begin(1, NULL);
        give_map(2, 0, false, 1);
        pool.next = 3;
        pool.row[0] = (struct fg_fleet_row){.empty = 3, .demand = 1, .wanted = 2};
        pool.row[1].demand = 2;
        pool.row[1].wanted = 3;
        give_pool(0, &pool);
        fg_fleet_bank(rig.f, 0, 2, 9, 0);
        answer(FG_FLEET_DONE);
        told("swap 1; ");
        assert_non_null(strstr(rig.puts[0].text, cases[i].leaves));
        assert_non_null(strstr(rig.puts[0].text, cases[i].takes));
        end(state);
    }
}

/* Until a read is asked for. */
static uint64_t read_within(uint64_t ms)
{
    for (uint64_t passed = 0; passed <= ms; passed++) {
        if (rig.ticket)
            return passed;
        pass(1);
    }
    return UINT64_MAX;
}

static void reads_are_rare_while_a_watch_keeps_up(void **state)
{
    struct fg_fleet_pool pool = pool_with(1000);
    int64_t before;

    (void)state;
    ready(1000);
    assert_false(rig.view.watched);
    assert_in_range(read_within(100), 1, 10);
    fg_fleet_watched(rig.f, rig.store);
    answer(FG_FLEET_DONE);
    assert_true(rig.view.watched);
    assert_int_equal(read_within(100), 50);
    before = rig.store;
    give_pool(0, &pool); /* the read knows what the watch has not told */
    answer(FG_FLEET_DONE);
    assert_false(rig.view.watched);
    assert_in_range(read_within(100), 1, 10);
    fg_fleet_watched(rig.f, before); /* still behind */
    answer(FG_FLEET_DONE);
    assert_in_range(read_within(100), 1, 10);
    fg_fleet_watched(rig.f, rig.store);
    answer(FG_FLEET_DONE);
    pass(20);
    fg_fleet_watched(rig.f, 0); /* cut */
    assert_in_range(read_within(100), 1, 10);
    assert_false(rig.view.watched);
}

static void what_a_watch_tells_is_done_at_once(void **state)
{
    struct fg_fleet_pool pool = pool_with(0);

    (void)state;
    ready(1000);
    fg_fleet_bank(rig.f, 0, 0, 0, 4);
    told("");
    pool.row[1].demand = 1;
    pool.row[1].wanted = 3;
    pool.next = 2;
    give_pool(0, &pool);
    fg_fleet_watched(rig.f, rig.store);
    told("recall; ");
}

static void sold_out_needs_all_members(void **state)
{
    struct fg_fleet_pool pool = pool_with(0);

    (void)state;
    ready(0);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    told("swap 1; ");
    rig.store++;
    answer(FG_FLEET_DONE);
    told("recall; "); /* its own bank, too */
    fg_fleet_returned(rig.f, 0, 0);
    told("swap 1; ");
    rig.store++;
    answer(FG_FLEET_DONE);
    told("");
    pool.next = 2;
    pool.row[0] = (struct fg_fleet_row){.empty = 2, .demand = 1, .wanted = 1};
    pool.row[1].empty = 2;
    give_pool(0, &pool);
    pass(2);
    answer(FG_FLEET_DONE);
    told("swap 1; ");
    assert_non_null(strstr(rig.puts[0].text, "free 0 next 2 sold-out"));
    rig.store++;
    answer(FG_FLEET_DONE);
    told("sold out; ");
    pool = pool_with(3);
    pool.next = 2;
    pool.row[0].empty = 2;
    give_pool(0, &pool);
    pass(10);
    told("open; ");
}

static void a_silent_member_makes_it_busy(void **state)
{
    (void)state;
    ready(0);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    told("swap 1; ");
    rig.store++;
    answer(FG_FLEET_DONE);
    fg_fleet_returned(rig.f, 0, 0);
    drain();
    rig.store++;
    answer(FG_FLEET_DONE);
    rig.out[0] = 0;
    for (unsigned ms = 0; ms < 490; ms += 10) {
        pass(10);
        if (rig.ticket)
            answer(FG_FLEET_DONE);
        told("");
    }
    pass(20);
    told("refuse BUSY 0; ");
    assert_int_equal(rig.view.silent, 2);
}

static void etcd_away_makes_it_busy(void **state)
{
    (void)state;
    ready(100);
    pass(10);
    answer(FG_FLEET_AWAY);
    pass(400);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    if (rig.ticket)
        answer(FG_FLEET_AWAY);
    drain();
    rig.out[0] = 0;
    pass(100);
    told("refuse BUSY 0; ");
    assert_true(rig.view.away && rig.view.may_sell);
}

/* ---- why it takes no part -------------------------------------------------------------------- */

static void a_log_that_lacks_more_than_a_lease_stops(void **state)
{
    struct fg_fleet_pool pool = pool_with(100);

    (void)state;
    begin(1, NULL);
    give_map(2, 0, false, 1);
    pool.free = 90;
    pool.row[0].log.leased = 10;
    pool.row[0].log.leases = 2;
    give_pool(0, &pool);
    answer(FG_FLEET_DONE);
    told("stop: the log of this member is older than what etcd knows of it; ");
    assert_false(rig.view.may_sell);
}

static void a_log_that_lacks_a_return_stops(void **state)
{
    struct fg_fleet_pool pool = pool_with(100);

    (void)state;
    begin(1, &(struct fg_fleet_counters){.stock = 5});
    give_map(2, 0, false, 1);
    pool.free = 102;
    pool.row[0].log = (struct fg_fleet_counters){.stock = 5, .returned = 2, .returns = 1};
    give_pool(0, &pool);
    answer(FG_FLEET_DONE);
    told("stop: the log of this member is older than what etcd knows of it; ");
}

/* It lacks one lease at most, which alone may be a crash. */
static void a_log_that_lacks_records_stops(void **state)
{
    struct fg_fleet_pool pool = pool_with(100);

    (void)state;
    pool.free = 90;
    pool.row[0].log.leased = 10;
    pool.row[0].log.leases = 1;
    pool.row[0].seq = 7;
    for (unsigned leases = 0; leases < 2; leases++)
        for (uint64_t seq = 6; seq < 8; seq++) {
            begin(1, &(struct fg_fleet_counters){.leased = 10 * leases, .leases = leases});
            fg_fleet_logged(rig.f, seq);
            give_map(2, 0, false, 1);
            give_pool(0, &pool);
            answer(FG_FLEET_DONE);
            if (seq == 7)
                told(leases ? "" : "lease 10 to 10 no 1; ");
            else
                told("stop: the log of this member is older than what etcd knows of it; ");
            assert_int_equal(rig.view.may_sell, seq == 7);
            fg_fleet_destroy(rig.f);
        }
    begin(1, NULL);
    give_map(2, 0, false, 1);
    give_pool(1, &pool); /* the log does not even know the item */
    answer(FG_FLEET_DONE);
    told("stop: the log of this member is older than what etcd knows of it; ");
}

static void all_is_read_before_it_leads(void **state)
{
    struct fg_fleet_pool pool = pool_with(100);

    (void)state;
    create(1, NULL);
    drain();
    assert_true(rig.read && rig.since == 0);
    answer(FG_FLEET_AWAY);
    assert_false(fg_fleet_may_lead(rig.f));
    pass(10);
    give_map(2, 0, false, 1);
    give_pool(0, &pool);
    answer(FG_FLEET_DONE);
    assert_true(fg_fleet_may_lead(rig.f));
    assert_false(rig.view.may_sell);
    pass(50);
    assert_int_equal(rig.ticket, 0); /* once */
    fg_fleet_leads(rig.f, REGISTER);
    drain();
    assert_true(rig.read && rig.since == 0);
    answer(FG_FLEET_DONE);
    assert_true(rig.view.may_sell);
    told("");
}

/* Its register would depose a healthy process. */
static void what_must_not_sell_does_not_lead(void **state)
{
    struct fg_fleet_pool pool = pool_with(100);

    (void)state;
    create(1, NULL);
    drain();
    give_map(2, 0, false, 1);
    pool.free = 90;
    pool.row[0].log.leased = 10;
    pool.row[0].log.leases = 2;
    give_pool(0, &pool);
    answer(FG_FLEET_DONE);
    told("stop: the log of this member is older than what etcd knows of it; ");
    assert_false(fg_fleet_may_lead(rig.f));
    fg_fleet_destroy(rig.f);
    create(1, NULL);
    drain();
    give_map(3, 0, false, 1);
    answer(FG_FLEET_DONE);
    told("stop: the map in etcd is not the configured one; ");
    assert_false(fg_fleet_may_lead(rig.f));
}

static void a_pool_that_lacks_a_lease_is_a_copy(void **state)
{
    struct fg_fleet_pool pool = pool_with(100);

    (void)state;
    begin(1, &(struct fg_fleet_counters){.leased = 7, .leases = 1});
    give_map(2, 0, false, 1);
    give_pool(0, &pool);
    answer(FG_FLEET_DONE);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    told("refuse BUSY 0; "); /* it sells what it holds */
    assert_int_equal(rig.view.reason, FG_FLEET_REASON_RESTORED);
    assert_true(rig.view.may_sell);
}

static void an_older_store_is_a_copy(void **state)
{
    (void)state;
    ready(100);
    pass(10);
    rig.store -= 2;
    answer(FG_FLEET_DONE);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    told("refuse BUSY 0; ");
    assert_int_equal(rig.view.reason, FG_FLEET_REASON_RESTORED);
    pass(5000); /* there are no more calls, so none is without an answer */
    assert_false(rig.view.away);
    assert_int_equal(fg_fleet_due_ms(rig.f), UINT64_MAX);
}

static void maps_that_forbid_it(void **state)
{
    static const struct {
        unsigned members;
        uint32_t retired;
        bool frozen;
        uint64_t version;
        enum fg_fleet_reason reason;
        const char *told;
    } cases[] = {
        {2, 1, false, 1, FG_FLEET_REASON_RETIRED,
         "stop: this member was retired: its units were given to others; "},
        {2, 0, false, 2, FG_FLEET_REASON_OTHER_MAP,
         "stop: the map in etcd is not the configured one; "},
        {3, 0, false, 1, FG_FLEET_REASON_OTHER_MAP,
         "stop: the map in etcd is not the configured one; "},
        {2, 0, true, 1, FG_FLEET_REASON_FROZEN, "refuse BUSY 0; "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fg_fleet_pool pool = pool_with(100);

        begin(1, NULL);
        give_map(cases[i].members, cases[i].retired, cases[i].frozen, cases[i].version);
        give_pool(0, &pool);
        fg_fleet_bank(rig.f, 0, 1, 1, 0);
        answer(FG_FLEET_DONE);
        pass(50);
        assert_non_null(strstr(rig.out, cases[i].told));
        assert_null(strstr(rig.out, "swap"));
        assert_int_equal(rig.view.reason, cases[i].reason);
        fg_fleet_destroy(rig.f);
    }
    rig.f = NULL;
}

static void a_damaged_pool_stops_its_item_only(void **state)
{
    struct fg_fleet_pool pool = pool_with(100);

    (void)state;
    begin(2, NULL);
    give_map(2, 0, false, 1);
    value("fleet/pool/1", "floodgate-pool 1 nonsense");
    give_pool(1, &pool);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    fg_fleet_bank(rig.f, 1, 1, 1, 0);
    answer(FG_FLEET_DONE);
    told("refuse BUSY 0; swap 1; ");
    assert_string_equal(rig.puts[0].key, "fleet/pool/2");
    assert_int_equal(rig.view.damaged, 1);
    assert_int_equal(rig.view.damaged_items, 1);
    answer(FG_FLEET_AWAY);
    pass(20);
    give_pool(0, &pool);
    answer(FG_FLEET_DONE);
    assert_int_equal(rig.view.damaged_items, 0);
}

static void a_deleted_pool_is_a_damaged_one(void **state)
{
    struct fg_fleet_item_view view;

    (void)state;
    ready(100);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    told("swap 1; ");
    fg_fleet_value(rig.f, "fleet/pool/1", 0, "");
    answer(FG_FLEET_LOST);
    pass_reads(5);
    told("refuse BUSY 0; ");
    assert_int_equal(rig.view.damaged_items, 1);
    fg_fleet_item_view(rig.f, 0, &view);
    assert_true(view.damaged);
}

/* It came after the answer that has none. */
static void a_new_pool_was_not_deleted(void **state)
{
    struct fg_fleet_pool pool = pool_with(100);

    (void)state;
    begin(1, NULL);
    give_map(2, 0, false, 1);
    answer(FG_FLEET_DONE);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    told("swap 1; ");
    give_pool(0, &pool);
    fg_fleet_value(rig.f, "fleet/pool/1", 0, "");
    answer(FG_FLEET_LOST);
    pass_reads(5);
    told("swap 1; ");
    assert_int_equal(rig.view.damaged_items, 0);
}

static void with_a_deleted_register_nothing_is_swapped(void **state)
{
    (void)state;
    ready(100);
    fg_fleet_bank(rig.f, 0, 1, 1, 0);
    told("swap 1; ");
    fg_fleet_value(rig.f, "pair/0/register", 0, "");
    answer(FG_FLEET_LOST);
    told("refuse BUSY 0; ");
    assert_int_equal(rig.view.reason, FG_FLEET_REASON_RESTORED);
    assert_true(rig.view.may_sell);
}

static void options_are_checked(void **state)
{
    struct fg_fleet_options o = {
        .items_max = 1, .timing = fg_fleet_timing_usual, .register_key = "pair/0/register"};
    struct fg_fleet *f;
    struct fg_error err;

    (void)state;
    fg_fleet_map_first(&o.map, 2, 8);
    f = fg_fleet_create(&o, &err);
    assert_non_null(f);
    assert_false(fg_fleet_item(f, 1, 7, &(struct fg_fleet_counters){0}));
    assert_true(fg_fleet_item(f, 0, 7, &(struct fg_fleet_counters){0}));
    assert_false(fg_fleet_item(f, 0, 8, &(struct fg_fleet_counters){0}));
    fg_fleet_destroy(f);
    o.member = 2;
    assert_null(fg_fleet_create(&o, &err));
    o.member = 0;
    o.items_max = 0;
    assert_null(fg_fleet_create(&o, &err));
    o.items_max = 1;
    o.timing.poll_ms = 0;
    assert_null(fg_fleet_create(&o, &err));
    o.timing = fg_fleet_timing_usual;
    o.register_key = "a-key-that-is-longer-than-the-room-for-it";
    assert_null(fg_fleet_create(&o, &err));
}

/* ---- after a loss ---------------------------------------------------------------------------- */

/* Member 0 added 10 units and returned 8; member 1 leased 5 of them, and sold 2. */
static const struct fg_fleet_past pasts[2] = {
    {.log = {.stock = 10, .returned = 8, .returns = 1}, .seq = 7, .taken = 1},
    {.log = {.leased = 5, .leases = 1}, .seq = 9, .taken = 2},
};

static void a_pool_is_made_from_logs(void **state)
{
    struct fg_fleet_pool pool, old;
    struct fg_fleet_past wrong[2] = {pasts[0], pasts[1]};
    struct fg_error err = {""};

    assert_true(fg_fleet_rebuild(&pool, pasts, 2, 0, NULL, &err));
    assert_int_equal(pool.free, 3);
    assert_int_equal(pool.row[1].seq, 9);
    assert_true(fg_fleet_pool_is_sane(&pool));
    assert_true(fg_fleet_rebuild(&pool, pasts, 2, 2, NULL, &err)); /* member 1 was retired */
    assert_int_equal(pool.free, 6);
    assert_int_equal(fg_fleet_held(&pool.row[1].log), 2);
    fg_fleet_pool_first(&old, 2); /* a copy from before is no contradiction */
    assert_true(fg_fleet_rebuild(&pool, pasts, 2, 0, &old, &err));
    old = pool;
    old.row[1].log.leased++; /* and a lease that is not in the log yet is none */
    old.row[1].log.leases++;
    assert_true(fg_fleet_rebuild(&pool, pasts, 2, 0, &old, &err));
    assert_int_equal(pool.free, 3);
    old.row[1].log.leases++;
    assert_false(fg_fleet_rebuild(&pool, pasts, 2, 0, &old, &err));
    assert_non_null(strstr(err.text, "log of member 1 contradicts"));
    wrong[0].log.returned = 4; /* a log that is older than the other one */
    assert_false(fg_fleet_rebuild(&pool, wrong, 2, 0, NULL, &err));
    assert_non_null(strstr(err.text, "leased 1 units more than were returned"));
    wrong[0] = pasts[0];
    wrong[1].taken = 6;
    assert_false(fg_fleet_rebuild(&pool, wrong, 2, 0, NULL, &err));
    assert_non_null(strstr(err.text, "sold 1 units more"));
    wrong[1] = pasts[1];
    old = (struct fg_fleet_pool){0};
    fg_fleet_pool_first(&old, 2);
    old.row[1].seq = 10;
    assert_false(fg_fleet_rebuild(&pool, wrong, 2, 0, &old, &err));
    assert_false(fg_fleet_rebuild(&pool, wrong, 2, 2, &old, &err)); /* also of a retired member */
    assert_true(fg_fleet_rebuild(&old, pasts, 2, 2, NULL, &err));   /* a repeat has settled it */
    assert_true(fg_fleet_rebuild(&pool, pasts, 2, 2, &old, &err));
    assert_memory_equal(&pool, &old, sizeof(pool));
}

static void a_retired_member_is_settled_once(void **state)
{
    struct fg_fleet_pool pool, before;
    struct fg_fleet_past past = pasts[1];
    struct fg_error err = {""};
    uint64_t freed;

    assert_true(fg_fleet_rebuild(&pool, pasts, 2, 0, NULL, &err));
    pool.row[1].log.leased += 2; /* a lease that its log lacks: never sold */
    pool.row[1].log.leases++;
    pool.free -= 2;
    pool.row[1].demand = pool.row[1].wanted = 1;
    pool.next = 2;
    assert_true(fg_fleet_settle(&pool, 1, &past, &freed, &err));
    assert_int_equal(freed, 5);
    assert_int_equal(pool.free, 6);
    assert_int_equal(pool.row[1].demand, 0);
    assert_true(fg_fleet_pool_is_sane(&pool));
    before = pool;
    assert_true(fg_fleet_settle(&pool, 1, &past, &freed, &err));
    assert_int_equal(freed, 0);
    assert_memory_equal(&pool, &before, sizeof(pool));
    assert_true(fg_fleet_rebuild(&pool, pasts, 2, 0, NULL, &err));
    past.seq--; /* an older copy */
    assert_false(fg_fleet_settle(&pool, 1, &past, &freed, &err));
    past = pasts[1];
    past.taken = 6;
    before = pool;
    assert_false(fg_fleet_settle(&pool, 1, &past, &freed, &err));
    assert_memory_equal(&pool, &before, sizeof(pool));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_is_made_from_logs),
        cmocka_unit_test(a_retired_member_is_settled_once),
        cmocka_unit_test(each_event_moves_one_state),
        cmocka_unit_test_teardown(a_lease_is_recorded_as_the_pool_has_it, end),
        cmocka_unit_test_teardown(the_last_units_go_one_by_one, end),
        cmocka_unit_test_teardown(a_late_swap_is_found_by_comparing, end),
        cmocka_unit_test_teardown(a_lost_swap_brings_the_new_value, end),
        cmocka_unit_test_teardown(many_items_are_asked_for_at_once, end),
        cmocka_unit_test_teardown(each_swap_tells_how_long_the_log_is, end),
        cmocka_unit_test_teardown(what_is_free_is_returned_to_those_who_wait, end),
        cmocka_unit_test_teardown(a_long_queue_takes_a_share, end),
        cmocka_unit_test_teardown(the_oldest_demand_leases_all_it_can, end),
        cmocka_unit_test_teardown(reads_are_rare_while_a_watch_keeps_up, end),
        cmocka_unit_test_teardown(what_a_watch_tells_is_done_at_once, end),
        cmocka_unit_test_teardown(sold_out_needs_all_members, end),
        cmocka_unit_test_teardown(a_silent_member_makes_it_busy, end),
        cmocka_unit_test_teardown(etcd_away_makes_it_busy, end),
        cmocka_unit_test_teardown(a_log_that_lacks_more_than_a_lease_stops, end),
        cmocka_unit_test_teardown(a_log_that_lacks_a_return_stops, end),
        cmocka_unit_test_teardown(a_log_that_lacks_records_stops, end),
        cmocka_unit_test_teardown(all_is_read_before_it_leads, end),
        cmocka_unit_test_teardown(what_must_not_sell_does_not_lead, end),
        cmocka_unit_test_teardown(a_pool_that_lacks_a_lease_is_a_copy, end),
        cmocka_unit_test_teardown(an_older_store_is_a_copy, end),
        cmocka_unit_test_teardown(maps_that_forbid_it, end),
        cmocka_unit_test_teardown(a_damaged_pool_stops_its_item_only, end),
        cmocka_unit_test_teardown(a_deleted_pool_is_a_damaged_one, end),
        cmocka_unit_test_teardown(a_new_pool_was_not_deleted, end),
        cmocka_unit_test_teardown(with_a_deleted_register_nothing_is_swapped, end),
        cmocka_unit_test(options_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
