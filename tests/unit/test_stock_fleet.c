/* SPDX-License-Identifier: BSD-3-Clause */
/* The banks of a member of a fleet, at two workers: requests that wait, leases, recalls, refusals.
 * At random, with an oracle: tests/sim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stock/feed.h"
#include "stock/fleet.h"

enum { WORKERS = 2, T0 = 1000000, TOLD_MAX = 64 };

static struct fg_stock *stock[WORKERS];
static struct fg_ring *rings[WORKERS][WORKERS], *from[WORKERS][WORKERS], *journal[WORKERS];
static struct fg_journal_watermark mark[WORKERS], committed[WORKERS];
static struct fg_ledger *ledger;
static bool pair;
static uint64_t ITEM;    /* whose home is worker 0 */
static uint64_t USER[2]; /* of each worker */
static struct fg_stock_answer told[TOLD_MAX];
static unsigned told_count;
static uint8_t next_id;

/* Everything that can be done without the disk. */
static void run(void)
{
    struct fg_stock_answer a[8];

    for (int loop = 0; loop < 8; loop++)
        for (unsigned w = 0; w < WORKERS; w++) {
            unsigned n = fg_stock_poll(stock[w], T0, a, 8);

            for (unsigned i = 0; i < n; i++) {
                assert_true(told_count < TOLD_MAX);
                told[told_count++] = a[i];
            }
        }
}

/* The log of one worker, or of all (WORKERS), reaches the disk; false: and only that. */
static void sync_of(unsigned worker, bool commit)
{
    for (unsigned w = 0; w < WORKERS; w++) {
        struct fg_journal_record r;
        struct fg_error err;

        while ((worker == w || worker == WORKERS) && fg_ring_pop(journal[w], &r)) {
            r.seq = fg_ledger_seq(ledger) + 1;
            if (!fg_ledger_apply(ledger, &r, &err))
                fail_msg("%s", err.text);
            atomic_fetch_add(&mark[w].durable, 1);
        }
        if (commit)
            atomic_store(&committed[w].durable, atomic_load(&mark[w].durable));
    }
    run();
}

static void sync_all(void)
{
    sync_of(WORKERS, true);
}

static struct fg_stock_command about(enum fg_stock_command_type type)
{
    return (struct fg_stock_command){.type = (uint8_t)type, .item = ITEM, .ticket = 1000u + type};
}

static void give(const struct fg_stock_command *c)
{
    told_count = 0;
    assert_true(fg_stock_command(stock[0], T0, c));
    run();
}

/* Who was told what: the answer of a token, NULL when there is none yet. */
static const struct fg_stock_answer *answer(uint32_t token)
{
    for (unsigned i = 0; i < told_count; i++)
        if (told[i].token == token)
            return &told[i];
    return NULL;
}

static void expect_done(enum fg_stock_command_type type)
{
    assert_non_null(answer(1000u + type));
    assert_int_equal(answer(1000u + type)->kind, FG_STOCK_OPERATOR);
    assert_int_equal(answer(1000u + type)->outcome, FG_STOCK_OUTCOME_DONE);
}

static void lease(uint32_t units, uint64_t sum)
{
    struct fg_stock_command c = about(FG_STOCK_LEASE);

    c.fleet_units = units;
    c.fleet_sum = sum;
    give(&c);
}

static void tell(enum fg_stock_command_type type)
{
    struct fg_stock_command c = about(type);

    give(&c);
}

static void refuse(enum fg_stock_outcome refusal, uint32_t head, uint32_t units)
{
    struct fg_stock_command c = about(FG_STOCK_REFUSE);

    c.fleet_head = head;
    c.fleet_refusal = (uint8_t)refusal;
    c.fleet_units = units;
    give(&c);
    expect_done(FG_STOCK_REFUSE);
}

/* Its token, which is the order's id as well. */
static uint32_t reserve(unsigned worker, uint16_t quantity)
{
    struct fg_stock_request r = {.op = FG_PACKET_OP_RESERVE,
                                 .user = USER[worker],
                                 .item = ITEM,
                                 .order_id = {++next_id},
                                 .quantity = quantity};
    struct fg_stock_answer a;

    told_count = 0;
    if (fg_stock_request(stock[worker], T0, &r, next_id, &a) == FG_STOCK_ANSWERED) {
        a.token = next_id;
        told[told_count++] = a;
    }
    run();
    return next_id;
}

static unsigned status(uint32_t token)
{
    return answer(token) ? answer(token)->status : 0;
}

static struct fg_stock_fleet_news news_now(void)
{
    struct fg_stock_fleet_news news;

    fg_stock_fleet_item(stock[0], 0, &news);
    return news;
}

static void expect_news(uint32_t head, uint32_t least, uint64_t wanted, uint32_t free)
{
    struct fg_stock_fleet_news news = news_now();

    assert_int_equal(news.head, head);
    assert_int_equal(news.least, least);
    assert_int_equal(news.wanted, wanted);
    assert_int_equal(news.free, free);
}

static void make_engine(unsigned w)
{
    struct fg_stock_config c = {.worker = w,
                                .workers = WORKERS,
                                .limits = {.items_max = 4,
                                           .orders_max = 100,
                                           .users_max = 50,
                                           .parked_max = 8,
                                           .deferred_max = 32,
                                           .fleet = true},
                                .to = rings[w],
                                .from = from[w],
                                .journal = journal[w],
                                .mark = &mark[w],
                                .committed = pair ? &committed[w] : NULL,
                                .seed = 3};
    struct fg_error err;

    atomic_store(&mark[w].durable, 0);
    atomic_store(&committed[w].durable, 0);
    stock[w] = fg_stock_create(&c, &err);
    assert_non_null(stock[w]);
}

static int setup(void **state)
{
    struct fg_stock_command set;

    for (ITEM = 1; fg_user_owner(ITEM, WORKERS) != 0;)
        ITEM++;
    for (unsigned w = 0; w < WORKERS; w++) {
        for (USER[w] = 1; fg_user_owner(USER[w], WORKERS) != w;)
            USER[w]++;
        journal[w] = fg_ring_create(64);
        rings[w][1 - w] = from[1 - w][w] = fg_ring_create(64);
    }
    ledger = fg_ledger_create();
    for (unsigned w = 0; w < WORKERS; w++)
        make_engine(w);
    set = about(FG_STOCK_ITEM_SET);
    set.hold_ms = 60000;
    set.order_max = 50;
    give(&set);
    sync_all();
    set.type = FG_STOCK_ITEM_APPLY;
    give(&set);
    assert_true(fg_stock_command(stock[1], T0, &set));
    run();
    return 0;
}

static int setup_pair(void **state)
{
    pair = true;
    return setup(state);
}

static int teardown(void **state)
{
    pair = false;
    fg_ledger_destroy(ledger);
    for (unsigned w = 0; w < WORKERS; w++) {
        fg_stock_destroy(stock[w]);
        fg_ring_destroy(journal[w]);
        fg_ring_destroy(rings[w][1 - w]);
    }
    return 0;
}

static void a_request_waits_until_a_lease_is_durable(void **state)
{
    struct fg_stock_fleet_news news[4];
    uint32_t away, home;

    assert_int_equal(fg_stock_fleet_take(stock[0], news, 4), 0);
    away = reserve(1, 3);
    assert_int_equal(status(away), 0);
    expect_news(0, 3, 3, 0);
    home = reserve(0, 2);
    expect_news(0, 3, 5, 0);
    assert_int_equal(fg_stock_fleet_take(stock[0], news, 4), 1); /* once, with the latest */
    assert_int_equal(news[0].wanted, 5);
    assert_int_equal(fg_stock_fleet_take(stock[0], news, 4), 0);
    lease(5, 5);
    assert_null(answer(1000 + FG_STOCK_LEASE));
    expect_news(0, 3, 5, 0);
    sync_all();
    expect_done(FG_STOCK_LEASE);
    sync_all();
    assert_int_equal(status(away), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(status(home), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(news_now().head, 2);
    assert_int_equal(news_now().least, 0);
    assert_int_equal(fg_ledger_item(ledger, ITEM)->leased, 5);
    assert_int_equal(fg_ledger_item(ledger, ITEM)->leases, 1);
    lease(FG_JOURNAL_UNITS_MAX, FG_JOURNAL_UNITS_MAX + 5ull); /* more than an item may have */
    assert_int_equal(answer(1000 + FG_STOCK_LEASE)->outcome, FG_STOCK_OUTCOME_FULL);
    assert_int_equal(fg_ring_count(journal[0]), 0);
}

/* A slice holds units beyond what was asked for; a request of the slice is served before the rest
 * goes back. */
static void a_recall_empties_all_workers(void **state)
{
    uint32_t first, large;

    lease(40, 40);
    sync_all();
    first = reserve(1, 1);
    sync_all();
    assert_int_equal(status(first), FG_PACKET_STATUS_RESERVED); /* its slice has more now */
    assert_true(news_now().free > 0);
    large = reserve(0, 45);
    expect_news(1, 45, 45, 39);
    tell(FG_STOCK_RECALL);
    assert_null(answer(1000 + FG_STOCK_RECALL)); /* not before RETURN is durable */
    expect_news(1, 45, 45, 0);
    sync_all();
    expect_done(FG_STOCK_RECALL);
    assert_int_equal(answer(1000 + FG_STOCK_RECALL)->left, 39);
    assert_int_equal(status(large), 0);
    assert_int_equal(fg_ledger_item(ledger, ITEM)->returned, 39);
    assert_int_equal(fg_ledger_item(ledger, ITEM)->total, 1);
    tell(FG_STOCK_RECALL); /* nothing is free: nothing is recorded */
    expect_done(FG_STOCK_RECALL);
    assert_int_equal(answer(1000 + FG_STOCK_RECALL)->left, 0);
    assert_int_equal(fg_ring_count(journal[0]), 0);
    lease(45, 85);
    sync_all();
    sync_all();
    assert_int_equal(status(large), FG_PACKET_STATUS_RESERVED);
}

/* What was sold at another worker has to be committed before this member may say that it is empty:
 * a crash would free those units again. */
static void a_recall_waits_for_what_was_decided(void **state)
{
    uint32_t bought;

    lease(1, 1);
    sync_all();
    bought = reserve(1, 1); /* decided, not durable */
    assert_int_equal(status(bought), 0);
    tell(FG_STOCK_RECALL);
    assert_null(answer(1000 + FG_STOCK_RECALL));
    sync_of(0, true);
    assert_null(answer(1000 + FG_STOCK_RECALL));
    tell(FG_STOCK_OPEN);
    { /* one at a time */
        struct fg_stock_command again = about(FG_STOCK_RECALL);

        again.ticket = 77;
        give(&again);
        assert_int_equal(answer(77)->outcome, FG_STOCK_OUTCOME_BUSY);
    }
    sync_of(1, !pair);
    if (pair) { /* durable is not enough */
        assert_null(answer(1000 + FG_STOCK_RECALL));
        sync_all();
    }
    expect_done(FG_STOCK_RECALL);
    assert_int_equal(answer(1000 + FG_STOCK_RECALL)->left, 0);
}

static void refusals_reach_those_who_wait(void **state)
{
    uint32_t first = reserve(1, 9), second, third, old = news_now().head;

    refuse(FG_STOCK_OUTCOME_INSUFFICIENT, old + 1, 4); /* of a request that is not the oldest */
    assert_int_equal(status(first), 0);
    refuse(FG_STOCK_OUTCOME_INSUFFICIENT, old, 4);
    assert_int_equal(status(first), FG_PACKET_STATUS_INSUFFICIENT);
    assert_int_equal(answer(first)->left, 4);
    expect_news(old + 1, 0, 0, 0);
    first = reserve(0, 1);
    second = reserve(1, 2);
    expect_news(old + 1, 1, 3, 0);
    refuse(FG_STOCK_OUTCOME_INSUFFICIENT, old, 4); /* it was answered meanwhile */
    assert_int_equal(status(first), 0);
    refuse(FG_STOCK_OUTCOME_BUSY, old + 1, 0);
    assert_int_equal(status(first), FG_PACKET_STATUS_BUSY);
    assert_int_equal(status(second), FG_PACKET_STATUS_BUSY);
    assert_true(answer(first)->retry_ms > 0 && answer(second)->retry_ms > 0);
    third = reserve(1, 1); /* the next one asks again */
    assert_int_equal(status(third), 0);
    expect_news(old + 3, 1, 1, 0);
}

static void sold_out_and_open(void **state)
{
    uint32_t first = reserve(1, 1), second;

    tell(FG_STOCK_SOLD_OUT);
    expect_done(FG_STOCK_SOLD_OUT);
    assert_int_equal(status(first), FG_PACKET_STATUS_SOLD_OUT);
    expect_news(1, 0, 0, 0);
    for (unsigned w = 0; w < WORKERS; w++) { /* at once, by the flag */
        second = reserve(w, 1);
        assert_int_equal(status(second), FG_PACKET_STATUS_SOLD_OUT);
    }
    expect_news(1, 0, 0, 0);
    lease(1, 1); /* units come after all, without OPEN: they can be bought */
    sync_all();
    second = reserve(1, 1);
    sync_all();
    assert_int_equal(status(second), FG_PACKET_STATUS_RESERVED);
    second = reserve(1, 1);
    assert_int_equal(status(second), FG_PACKET_STATUS_SOLD_OUT);
    tell(FG_STOCK_OPEN);
    expect_done(FG_STOCK_OPEN);
    for (unsigned w = 0; w < WORKERS; w++) {
        second = reserve(w, 1);
        assert_int_equal(status(second), 0);
    }
    assert_int_equal(news_now().wanted, 2);
}

/* The operator's removal asks the fleet as an order does. */
static void removal_waits_as_well(void **state)
{
    struct fg_stock_command remove = about(FG_STOCK_STOCK_REMOVE);

    remove.units = 6;
    give(&remove);
    assert_null(answer(remove.ticket));
    expect_news(0, 6, 6, 0);
    lease(6, 6);
    sync_all();
    sync_all();
    assert_int_equal(answer(remove.ticket)->outcome, FG_STOCK_OUTCOME_DONE);
    assert_int_equal(fg_ledger_item_stock(fg_ledger_item(ledger, ITEM)), -6);
    give(&remove);
    refuse(FG_STOCK_OUTCOME_BUSY, 1, 0);
    assert_int_equal(answer(remove.ticket)->outcome, FG_STOCK_OUTCOME_BUSY);
}

static void who_waits_is_answered_at_the_end(void **state)
{
    static const enum fg_stock_mode modes[] = {FG_STOCK_STOPPING, FG_STOCK_NO_SPACE,
                                               FG_STOCK_FAILED};

    for (unsigned i = 0; i < 3; i++) {
        uint32_t home = reserve(0, 1), away = reserve(1, 1);
        unsigned expected =
            modes[i] == FG_STOCK_FAILED ? FG_PACKET_STATUS_UNAVAILABLE : FG_PACKET_STATUS_BUSY;

        told_count = 0;
        for (unsigned w = 0; w < WORKERS; w++)
            fg_stock_set_mode(stock[w], modes[i]);
        run();
        assert_int_equal(status(home), expected);
        assert_int_equal(status(away), expected);
        for (unsigned w = 0; w < WORKERS; w++) {
            assert_true(fg_stock_idle(stock[w]));
            fg_stock_set_mode(stock[w], FG_STOCK_RUNNING);
        }
    }
}

static void a_recall_ends_when_the_log_is_lost(void **state)
{
    lease(5, 5);
    sync_all();
    tell(FG_STOCK_RECALL);
    for (unsigned w = 0; w < WORKERS; w++)
        fg_stock_set_mode(stock[w], FG_STOCK_FAILED);
    run();
    assert_int_equal(answer(1000 + FG_STOCK_RECALL)->outcome, FG_STOCK_OUTCOME_UNAVAILABLE);
}

/* A new process, or a standby that was fed, continues with the numbers of the log. */
static void numbers_survive(void **state)
{
    struct fg_stock_fleet_news news[4];
    struct fg_error err;

    lease(5, 5);
    sync_all();
    tell(FG_STOCK_RECALL);
    sync_all();
    lease(2, 7);
    sync_all();
    for (unsigned fed = 0; fed < 2; fed++) {
        const struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_LEASE, .item = ITEM};

        for (unsigned w = 0; w < WORKERS; w++) {
            fg_stock_destroy(stock[w]);
            make_engine(w);
            if (fed)
                assert_true(fg_stock_feed(stock[w], ledger, &r, &err) &&
                            fg_stock_feed_end(stock[w], ledger, &err));
            else
                assert_true(fg_stock_load(stock[w], ledger, &err));
        }
        assert_int_equal(fg_stock_fleet_take(stock[0], news, 4), 1);
        assert_int_equal(news[0].free, 2 + fed);
        lease(1, 8 + fed); /* else the engine stops: a number that does not add up is a bug */
        sync_all();
        expect_done(FG_STOCK_LEASE);
    }
    tell(FG_STOCK_RECALL);
    sync_all();
    assert_int_equal(answer(1000 + FG_STOCK_RECALL)->left, 4);
    assert_int_equal(fg_ledger_item(ledger, ITEM)->returned, 9);
}

static void a_fleet_has_no_waiting_lists(void **state)
{
    struct fg_stock_config c = {.workers = 1,
                                .limits = {.items_max = 1,
                                           .orders_max = 1,
                                           .users_max = 1,
                                           .parked_max = 1,
                                           .deferred_max = 1,
                                           .waiting_max = 1,
                                           .fleet = true}};
    struct fg_error err;

    assert_null(fg_stock_create(&c, &err));
    assert_non_null(strstr(err.text, "a member of a fleet has no waiting lists"));
}

static void without_a_fleet_its_commands_are_refused(void **state)
{
    static struct fg_ring *none[1];
    struct fg_stock_config c = {.workers = 1,
                                .limits = {.items_max = 1,
                                           .orders_max = 1,
                                           .users_max = 1,
                                           .parked_max = 1,
                                           .deferred_max = 1},
                                .to = none,
                                .from = none,
                                .journal = journal[0],
                                .mark = &mark[0]};
    struct fg_error err;
    struct fg_stock *alone = fg_stock_create(&c, &err);
    struct fg_stock_command lease_it = about(FG_STOCK_LEASE);
    struct fg_stock_answer a[2];

    assert_non_null(alone);
    assert_true(fg_stock_command(alone, T0, &lease_it));
    assert_int_equal(fg_stock_poll(alone, T0, a, 2), 1);
    assert_int_equal(a[0].outcome, FG_STOCK_OUTCOME_FULL);
    fg_stock_destroy(alone);
}

#define T(f)       cmocka_unit_test_setup_teardown(f, setup, teardown)
#define IN_PAIR(f) cmocka_unit_test_setup_teardown(f, setup_pair, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_request_waits_until_a_lease_is_durable),
        T(a_recall_empties_all_workers),
        T(a_recall_waits_for_what_was_decided),
        IN_PAIR(a_recall_waits_for_what_was_decided),
        T(refusals_reach_those_who_wait),
        T(sold_out_and_open),
        T(removal_waits_as_well),
        T(who_waits_is_answered_at_the_end),
        T(a_recall_ends_when_the_log_is_lost),
        T(numbers_survive),
        T(without_a_fleet_its_commands_are_refused),
        cmocka_unit_test(a_fleet_has_no_waiting_lists),
    };
    return cmocka_run_group_tests_name("stock_fleet", tests, NULL, NULL);
}
