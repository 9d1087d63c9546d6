/* SPDX-License-Identifier: BSD-3-Clause */
/* An engine of a pair: answers wait until their records are committed, units only until they are
 * durable here; who is deposed releases nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stock/stock.h"

enum { ITEM = 7, UNITS = 2 };

static struct fg_stock *stock;
static struct fg_ring *journal;
static struct fg_journal_watermark durable, committed;
static uint64_t now = 1000000;

/* One loop; the last answer is kept. */
static unsigned loop(struct fg_stock_answer *last)
{
    struct fg_stock_answer answers[8];
    unsigned n = fg_stock_poll(stock, now, answers, 8);

    if (n && last)
        *last = answers[n - 1];
    return n;
}

static void write_here(void)
{
    struct fg_journal_record r;

    while (fg_ring_pop(journal, &r))
        atomic_fetch_add(&durable.durable, 1);
}

static void commit(void)
{
    atomic_store(&committed.durable, atomic_load(&durable.durable));
}

static void command(struct fg_stock_command c)
{
    c.item = ITEM;
    assert_true(fg_stock_command(stock, now, &c));
    write_here();
    commit();
    assert_int_equal(loop(NULL), 1);
}

static int make(void **state)
{
    static struct fg_ring *none[1];
    struct fg_stock_config c = {
        .workers = 1,
        .limits =
            {.items_max = 1, .orders_max = 9, .users_max = 9, .parked_max = 2, .deferred_max = 8},
        .to = none,
        .from = none,
        .mark = &durable,
        .committed = &committed,
    };
    struct fg_stock_command item = {.hold_ms = 1000, .order_max = UNITS};
    struct fg_error err;

    atomic_store(&durable.durable, 0);
    atomic_store(&committed.durable, 0);
    c.journal = journal = fg_ring_create(64);
    stock = fg_stock_create(&c, &err);
    assert_non_null(stock);
    item.type = FG_STOCK_ITEM_SET;
    command(item);
    item.type = FG_STOCK_ITEM_APPLY;
    command(item);
    command((struct fg_stock_command){.type = FG_STOCK_STOCK_ADD, .units = UNITS});
    return 0;
}

static int drop(void **state)
{
    fg_stock_destroy(stock);
    fg_ring_destroy(journal);
    return 0;
}

static enum fg_stock_result ask(uint8_t op, uint64_t user, struct fg_stock_answer *a)
{
    struct fg_stock_request r = {.op = op, .user = user, .order_id = {1}};

    if (op == FG_PACKET_OP_RESERVE) {
        r.item = ITEM;
        r.quantity = UNITS;
    }
    return fg_stock_request(stock, now, &r, 1, a);
}

static void answers_wait_for_the_pair(void **state)
{
    struct fg_stock_answer a;

    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, &a), FG_STOCK_DEFERRED);
    write_here();
    assert_int_equal(loop(NULL), 0);
    assert_false(fg_stock_idle(stock));
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, &a), FG_STOCK_DEFERRED);   /* tells of it as well */
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, &a), FG_STOCK_DEFERRED); /* likewise a repeat */
    assert_int_equal(loop(NULL), 0);
    commit();
    assert_int_equal(loop(&a), 3);
    assert_int_equal(a.status, FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, &a), FG_STOCK_ANSWERED);
    assert_true(fg_stock_idle(stock));
}

static void commands_wait_for_the_pair(void **state)
{
    struct fg_stock_command c = {.type = FG_STOCK_STOCK_ADD, .item = ITEM, .units = 1};
    struct fg_stock_answer a;
    struct fg_stock_view v;

    assert_true(fg_stock_command(stock, now, &c));
    write_here();
    assert_int_equal(loop(NULL), 0);
    fg_stock_view(stock, 0, &v);
    assert_int_equal(v.free, UNITS + 1); /* for sale already */
    commit();
    assert_int_equal(loop(&a), 1);
    assert_int_equal(a.outcome, FG_STOCK_OUTCOME_DONE);
    fg_stock_view(stock, 0, &v);
    assert_int_equal(v.free, UNITS + 1);
}

/* The order that was sold the unit that came back is behind the release in the log. */
static void units_wait_for_this_disk_only(void **state)
{
    struct fg_stock_answer a;

    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, &a), FG_STOCK_DEFERRED);
    write_here();
    commit();
    assert_int_equal(loop(NULL), 1);
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, 1, &a), FG_STOCK_DEFERRED);
    assert_int_equal(loop(NULL), 0); /* not durable: nothing is free */
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, &a), FG_STOCK_DEFERRED);
    assert_int_equal(loop(&a), 1); /* it waited for units */
    assert_int_equal(a.status, FG_PACKET_STATUS_SOLD_OUT);
    write_here();
    assert_int_equal(loop(NULL), 0);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 3, &a), FG_STOCK_DEFERRED); /* sold */
    write_here();
    assert_int_equal(loop(NULL), 0); /* neither is told yet */
    commit();
    assert_int_equal(loop(&a), 2);
    assert_int_equal(a.status, FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 4, &a), FG_STOCK_DEFERRED);
    while (loop(&a) == 0)
        ;
    assert_int_equal(a.status, FG_PACKET_STATUS_SOLD_OUT); /* released once */
}

/* The leader of another epoch may use the same watermark for records of its own. */
static void a_deposed_leader_is_silent(void **state)
{
    struct fg_stock_answer a;

    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, &a), FG_STOCK_DEFERRED);
    write_here();
    fg_stock_set_mode(stock, FG_STOCK_FAILED);
    commit();
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(loop(NULL), 0);
    ask(FG_PACKET_OP_QUERY, 1, &a);
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, &a), FG_STOCK_DEFERRED);
    assert_int_equal(loop(NULL), 0);
    assert_true(fg_stock_idle(stock)); /* the process may end */
}

/* Watermarks are read one after the other: the second may be ahead for a moment. */
static void nothing_is_told_before_it_is_durable_here(void **state)
{
    struct fg_stock_answer a;

    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, &a), FG_STOCK_DEFERRED);
    atomic_fetch_add(&committed.durable, 1);
    assert_int_equal(loop(NULL), 0);
    write_here();
    assert_int_equal(loop(NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_wait_for_the_pair, make, drop),
        cmocka_unit_test_setup_teardown(commands_wait_for_the_pair, make, drop),
        cmocka_unit_test_setup_teardown(units_wait_for_this_disk_only, make, drop),
        cmocka_unit_test_setup_teardown(a_deposed_leader_is_silent, make, drop),
        cmocka_unit_test_setup_teardown(nothing_is_told_before_it_is_durable_here, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
