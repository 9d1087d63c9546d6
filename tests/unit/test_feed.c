/* SPDX-License-Identifier: BSD-3-Clause */
/* Engines of a standby: limits and unknown records are told, holds have grace at a take-over. That
 * a fed engine equals a loaded one is searched by the simulator (tests/sim/feed.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "stock/feed.h"

enum { ITEM = 7, USER = 3, DEADLINE = 100000, GRACE = 700 };

static struct fg_stock *stock;
static struct fg_ring *journal;
static struct fg_journal_watermark durable;
static struct fg_ledger *ledger;
static struct fg_error err;

static int make(void **state)
{
    static struct fg_ring *none[1];
    struct fg_stock_config c = {
        .workers = 1,
        .limits = {.items_max = 1,
                   .orders_max = 3,
                   .users_max = 3,
                   .parked_max = 2,
                   .deferred_max = 8,
                   .waiting_max = 2},
        .to = none,
        .from = none,
        .mark = &durable,
    };

    memset(&durable, 0, sizeof(durable));
    c.journal = journal = fg_ring_create(64);
    ledger = fg_ledger_create();
    stock = fg_stock_create(&c, &err);
    return stock ? 0 : -1;
}

static int drop(void **state)
{
    fg_stock_destroy(stock);
    fg_ring_destroy(journal);
    fg_ledger_destroy(ledger);
    return 0;
}

/* As a standby does: the ledger first, then the engine. */
static bool take(struct fg_journal_record r)
{
    r.seq = fg_ledger_seq(ledger) + 1;
    if (!fg_ledger_apply(ledger, &r, &err))
        fail_msg("%s", err.text);
    return fg_stock_feed(stock, ledger, &r, &err);
}

static struct fg_journal_record order(unsigned type, uint8_t id)
{
    return (struct fg_journal_record){.type = (uint8_t)type,
                                      .item = ITEM,
                                      .user = USER,
                                      .quantity = 1,
                                      .order_id = {id},
                                      .arg = DEADLINE};
}

static void open_sale(void)
{
    assert_true(take((struct fg_journal_record){.type = FG_JOURNAL_RECORD_BATCH}));
    assert_true(
        take((struct fg_journal_record){.type = FG_JOURNAL_RECORD_EPOCH, .item = 1, .user = 9}));
    assert_true(take((struct fg_journal_record){
        .type = FG_JOURNAL_RECORD_ITEM_SET, .item = ITEM, .hold_ms = 60000, .order_max = 5}));
    assert_true(
        take((struct fg_journal_record){.type = FG_JOURNAL_RECORD_STOCK, .item = ITEM, .arg = 10}));
}

static struct fg_stock_view view(void)
{
    struct fg_stock_view v;

    assert_true(fg_stock_view(stock, 0, &v));
    return v;
}

static void a_sale_is_followed(void **state)
{
    open_sale();
    assert_int_equal(view().free, 10);
    assert_int_equal(view().total, 10);
    assert_true(take(order(FG_JOURNAL_RECORD_RESERVED, 1)));
    assert_true(take(order(FG_JOURNAL_RECORD_RESERVED, 2)));
    assert_int_equal(view().free, 8);
    assert_int_equal(view().reserved, 2);
    assert_true(take(order(FG_JOURNAL_RECORD_SOLD, 1)));
    assert_true(take(order(FG_JOURNAL_RECORD_EXPIRED, 2)));
    assert_int_equal(view().free, 9);
    assert_int_equal(view().reserved, 0);
    assert_int_equal(view().sold, 1);
    assert_true(take(order(FG_JOURNAL_RECORD_SOLD_LATE, 2)));
    assert_int_equal(view().free, 8);
    assert_int_equal(view().sold, 2);
    assert_int_equal(fg_stock_orders(stock), 2);
}

static void a_line_is_followed(void **state)
{
    struct fg_journal_record waits = order(FG_JOURNAL_RECORD_WAITING, 3);

    open_sale();
    assert_true(take((struct fg_journal_record){.type = FG_JOURNAL_RECORD_LINE_SET,
                                                .item = ITEM,
                                                .line_max = 5,
                                                .claim_ms = 1000,
                                                .wait_ttl_ms = 1000}));
    assert_true(take(
        (struct fg_journal_record){.type = FG_JOURNAL_RECORD_STOCK, .item = ITEM, .arg = -9ull}));
    assert_true(take(order(FG_JOURNAL_RECORD_RESERVED, 1)));
    for (uint8_t id = 2; id <= 3; id++) {
        waits = order(FG_JOURNAL_RECORD_WAITING, id);
        waits.arg = id - 1;
        assert_true(take(waits));
    }
    assert_true(take(order(FG_JOURNAL_RECORD_CANCELLED, 1)));
    assert_true(take(order(FG_JOURNAL_RECORD_OFFERED, 2)));
    assert_int_equal(view().reserved, 1);
    assert_true(take(order(FG_JOURNAL_RECORD_CANCELLED, 2)));
    assert_int_equal(view().free, 1);
    assert_true(fg_stock_feed_end(stock, ledger, &err));
    assert_int_equal(view().free, 0); /* it is for the user who waits */
    assert_int_equal(view().kept, 1);
    assert_int_equal(view().waiting, 1);
    assert_int_equal(view().serving, 2);
    assert_int_equal(fg_stock_orders(stock), 3);
}

static void what_does_not_fit_is_told(void **state)
{
    struct fg_journal_record r = {.type = 250};

    open_sale();
    for (uint8_t id = 1; id <= 3; id++)
        assert_true(take(order(FG_JOURNAL_RECORD_RESERVED, id)));
    assert_false(take(order(FG_JOURNAL_RECORD_RESERVED, 4)));
    assert_non_null(strstr(err.text, "orders_max is too small"));
    assert_false(take((struct fg_journal_record){
        .type = FG_JOURNAL_RECORD_ITEM_SET, .item = ITEM + 1, .order_max = 1}));
    assert_non_null(strstr(err.text, "items_max = 1 is too small"));
    assert_false(fg_stock_feed(stock, ledger, &r, &err));
    assert_non_null(strstr(err.text, "type 250"));
}

/* One loop of the worker, all that it wrote made durable; the last record is kept. */
static unsigned loop(uint64_t now_ms)
{
    struct fg_stock_answer answers[8];
    struct fg_journal_record r;
    unsigned type = 0;

    fg_stock_poll(stock, now_ms, answers, 8);
    while (fg_ring_pop(journal, &r)) {
        type = r.type;
        atomic_fetch_add(&durable.durable, 1);
    }
    return type;
}

static enum fg_stock_result confirm(uint8_t id, uint64_t now_ms)
{
    struct fg_stock_request r = {
        .op = FG_PACKET_OP_CONFIRM, .order_id = {id}, .user = USER, .kind = FG_STOCK_PACKET};
    struct fg_stock_answer a;

    fg_stock_prefetch(stock, &r, 1);
    return fg_stock_request(stock, now_ms, &r, 5, &a);
}

/* Without grace the hold would end at the first loop, and the buyer who could not pay in the outage
 * would pay late, or not at all. */
static void holds_have_grace_at_a_take_over(void **state)
{
    open_sale();
    assert_true(take(order(FG_JOURNAL_RECORD_RESERVED, 1)));
    assert_true(take(order(FG_JOURNAL_RECORD_RESERVED, 2)));
    fg_stock_feed_time(stock, DEADLINE - 5000);
    fg_stock_feed_time(stock, DEADLINE + 50); /* the leader is dead; nothing ends here */
    fg_stock_set_grace(stock, GRACE);
    for (uint64_t ms = DEADLINE + 60; ms < DEADLINE + GRACE; ms += 8)
        assert_int_equal(loop(ms), 0);
    assert_int_equal(confirm(1, DEADLINE + GRACE - 1), FG_STOCK_DEFERRED);
    assert_int_equal(loop(DEADLINE + GRACE - 1), FG_JOURNAL_RECORD_SOLD);
    assert_int_equal(loop(DEADLINE + GRACE + 16), FG_JOURNAL_RECORD_EXPIRED);
    assert_int_equal(view().sold, 1);
    assert_int_equal(view().reserved, 0);
}

static void the_wheel_lets_go_of_ended_holds(void **state)
{
    open_sale();
    assert_true(take(order(FG_JOURNAL_RECORD_RESERVED, 1)));
    assert_true(take(order(FG_JOURNAL_RECORD_SOLD, 1)));
    fg_stock_feed_time(stock, DEADLINE - 5000);
    assert_true(take(order(FG_JOURNAL_RECORD_RESERVED, 2)));
    for (uint64_t ms = DEADLINE - 5000; ms < DEADLINE + 100; ms += 8)
        fg_stock_feed_time(stock, ms);
    assert_true(take(order(FG_JOURNAL_RECORD_EXPIRED, 2)));
    fg_stock_feed_time(stock, DEADLINE + 108);
    /* a late payment waits for units only when the wheel has let go; here it is decided at once */
    assert_int_equal(confirm(2, DEADLINE + 200), FG_STOCK_DEFERRED);
    assert_int_equal(loop(DEADLINE + 200), FG_JOURNAL_RECORD_SOLD_LATE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_sale_is_followed),
        T(a_line_is_followed),
        T(what_does_not_fit_is_told),
        T(holds_have_grace_at_a_take_over),
        T(the_wheel_lets_go_of_ended_holds),
    };
    return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
