/* SPDX-License-Identifier: BSD-3-Clause */
/* One worker alone: the table of an order's life, every refusal, modes, recovery. Many workers:
 * tests/sim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stock/stock.h"
#include "worker/counters.h"

enum { ITEM = 7, T0 = 1000000, HOLD = 100 };

static struct fg_stock *stock;
static struct fg_ring *journal;
static struct fg_journal_watermark mark;
static uint64_t now;
static struct fg_stock_answer last; /* by poll */
static unsigned polled;

static void run(void)
{
    struct fg_stock_answer a[8];
    unsigned n;

    for (int loop = 0; loop < 4; loop++) {
        n = fg_stock_poll(stock, now, a, 8);
        for (unsigned i = 0; i < n; i++)
            last = a[i];
        polled += n;
    }
}

static uint64_t sync_all(void)
{
    struct fg_journal_record r;
    uint64_t n = 0;

    while (fg_ring_pop(journal, &r))
        n++;
    atomic_fetch_add(&mark.durable, n);
    run();
    return n;
}

static void command(enum fg_stock_command_type type, uint32_t units,
                    const struct fg_stock_command *settings)
{
    struct fg_stock_command c = {0};

    if (settings)
        c = *settings;
    c.type = (uint8_t)type;
    c.item = ITEM;
    if (!settings)
        c.units = units;
    assert_true(fg_stock_command(stock, now, &c));
    polled = 0;
    run();
    sync_all();
    assert_int_equal(polled, 1);
    assert_int_equal(last.kind, FG_STOCK_OPERATOR);
}

static const struct fg_stock_command normal = {.hold_ms = HOLD, .order_max = 5};

static struct fg_stock_limits limits = {
    .items_max = 4, .orders_max = 100, .users_max = 50, .parked_max = 4, .deferred_max = 16};

static void make(void)
{
    static struct fg_ring *none[1];
    struct fg_stock_config c = {
        .workers = 1, .limits = limits, .to = none, .from = none, .mark = &mark, .seed = 3};
    struct fg_error err;

    journal = fg_ring_create(64);
    c.journal = journal;
    atomic_store(&mark.durable, 0);
    now = T0;
    stock = fg_stock_create(&c, &err);
    assert_non_null(stock);
}

static int setup(void **state)
{
    make();
    command(FG_STOCK_ITEM_SET, 0, &normal);
    command(FG_STOCK_ITEM_APPLY, 0, &normal);
    command(FG_STOCK_STOCK_ADD, 10, NULL);
    return 0;
}

static int teardown(void **state)
{
    fg_stock_destroy(stock);
    fg_ring_destroy(journal);
    return 0;
}

/* The status that the shopper gets in the end; 0 when there is none. */
static unsigned ask(uint8_t op, uint64_t user, uint8_t id, uint16_t quantity)
{
    struct fg_stock_request r = {.op = op, .user = user, .order_id = {id}, .quantity = quantity};
    struct fg_stock_answer a;

    if (op == FG_PACKET_OP_RESERVE || op == FG_PACKET_OP_STOCK)
        r.item = ITEM;
    polled = 0;
    memset(&last, 0, sizeof(last));
    switch (fg_stock_request(stock, now, &r, 1, &a)) {
    case FG_STOCK_ANSWERED:
        last = a;
        return a.status;
    case FG_STOCK_DEFERRED:
        run();
        if (polled == 0) { /* nothing leaves before the disk has it */
            sync_all();
        }
        assert_int_equal(polled, 1);
        return last.status;
    default:
        return 0;
    }
}

/* Brings order 1 of user 1 into a state. */
static void bring(enum fg_ledger_order_state state)
{
    if (state == FG_LEDGER_ORDER_NONE)
        return;
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 2), FG_PACKET_STATUS_RESERVED);
    if (state == FG_LEDGER_ORDER_SOLD || state == FG_LEDGER_ORDER_REFUNDED)
        assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_SOLD);
    if (state == FG_LEDGER_ORDER_REFUNDED)
        assert_int_equal(ask(FG_PACKET_OP_REFUND, 1, 1, 0), FG_PACKET_STATUS_REFUNDED);
    if (state == FG_LEDGER_ORDER_CANCELLED)
        assert_int_equal(ask(FG_PACKET_OP_CANCEL, 1, 1, 0), FG_PACKET_STATUS_CANCELLED);
    if (state == FG_LEDGER_ORDER_EXPIRED) {
        now += HOLD + 50;
        run();
        sync_all();
    }
}

static void every_state_meets_every_operation(void **state)
{
#define ALL(s)                                                                                     \
    {                                                                                              \
        0, s, s, s, s, 0, s, s                                                                     \
    }
    static const uint8_t expected[FG_ORDER_STATES][FG_PACKET_OP_REFUND + 1] = {
        /* [state][op]: RESERVE CONFIRM CANCEL QUERY (STOCK) EXTEND REFUND */
        [FG_LEDGER_ORDER_NONE] = {0, FG_PACKET_STATUS_RESERVED, FG_PACKET_STATUS_UNKNOWN_ORDER,
                                  FG_PACKET_STATUS_UNKNOWN_ORDER, FG_PACKET_STATUS_UNKNOWN_ORDER, 0,
                                  FG_PACKET_STATUS_UNKNOWN_ORDER, FG_PACKET_STATUS_UNKNOWN_ORDER},
        [FG_LEDGER_ORDER_RESERVED] = {0, FG_PACKET_STATUS_RESERVED, FG_PACKET_STATUS_SOLD,
                                      FG_PACKET_STATUS_CANCELLED, FG_PACKET_STATUS_RESERVED, 0,
                                      FG_PACKET_STATUS_RESERVED, FG_PACKET_STATUS_RESERVED},
        [FG_LEDGER_ORDER_SOLD] = {0, FG_PACKET_STATUS_SOLD, FG_PACKET_STATUS_SOLD,
                                  FG_PACKET_STATUS_SOLD, FG_PACKET_STATUS_SOLD, 0,
                                  FG_PACKET_STATUS_SOLD, FG_PACKET_STATUS_REFUNDED},
        [FG_LEDGER_ORDER_CANCELLED] = ALL(FG_PACKET_STATUS_CANCELLED),
        [FG_LEDGER_ORDER_EXPIRED] = {0, FG_PACKET_STATUS_EXPIRED, FG_PACKET_STATUS_SOLD,
                                     FG_PACKET_STATUS_CANCELLED, FG_PACKET_STATUS_EXPIRED, 0,
                                     FG_PACKET_STATUS_EXPIRED, FG_PACKET_STATUS_EXPIRED},
        [FG_LEDGER_ORDER_REFUNDED] = ALL(FG_PACKET_STATUS_REFUNDED),
    };

    for (unsigned s = 0; s <= FG_LEDGER_ORDER_REFUNDED; s++) /* WAITING: test_waiting.c */
        for (uint8_t op = FG_PACKET_OP_RESERVE; op <= FG_PACKET_OP_REFUND; op++) {
            if (op == FG_PACKET_OP_STOCK)
                continue;
            teardown(NULL);
            setup(NULL);
            bring((enum fg_ledger_order_state)s);
            assert_int_equal(ask(op, 1, 1, op == FG_PACKET_OP_RESERVE ? 2 : 0), expected[s][op]);
            assert_int_equal(ask(op, 1, 1, op == FG_PACKET_OP_RESERVE ? 2 : 0),
                             expected[s][op]); /* and again */
            if (s != FG_LEDGER_ORDER_NONE)
                assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 3), FG_PACKET_STATUS_CONFLICT);
        }
#undef ALL
}

static void a_late_payment_takes_units_again(void **state)
{
    struct fg_stock_command c = normal;

    bring(FG_LEDGER_ORDER_EXPIRED);
    c.flags = FG_JOURNAL_ITEM_PAUSED; /* and whether the item is open or not */
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_SOLD);
    assert_int_equal(last.flags, FG_PACKET_LATE);
    assert_int_equal(last.quantity, 2);
    assert_int_equal(last.left, 8);
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, 1, 0), FG_PACKET_STATUS_SOLD);
    assert_int_equal(last.flags, FG_PACKET_LATE);
    assert_int_equal(fg_counter_read(&fg_stock_counters(stock)->sold_late), 1);
}

static void a_late_payment_is_refused_for_a_reason(void **state)
{
    struct fg_stock_command deny = {.type = FG_STOCK_USER_SET, .user = 1, .denied = true};
    struct fg_stock_command c = normal;

    bring(FG_LEDGER_ORDER_EXPIRED);
    assert_true(fg_stock_command(stock, now, &deny));
    sync_all();
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_EXPIRED);
    deny.denied = false;
    assert_true(fg_stock_command(stock, now, &deny));
    sync_all();
    c.user_limit = 3;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 2, 2), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_EXPIRED); /* 2 and 2 */
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, 1, 2, 0), FG_PACKET_STATUS_CANCELLED);
    run();
    c.user_limit = 0;
    c.order_max = 16;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 9), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0),
                     FG_PACKET_STATUS_EXPIRED); /* it waits, and one is left */
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, 1, 0), FG_PACKET_STATUS_EXPIRED);
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, 1, 1, 0),
                     FG_PACKET_STATUS_CANCELLED); /* now for good */
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, 2, 1, 0), FG_PACKET_STATUS_CANCELLED);
    run();
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_CANCELLED);
}

static void refund(uint64_t user, bool restock)
{
    struct fg_stock_command c = {
        .type = FG_STOCK_ORDER_REFUND, .user = user, .restock = restock, .order_id = {1}};

    polled = 0;
    assert_true(fg_stock_command(stock, now, &c));
    run();
    sync_all();
    assert_int_equal(polled, 1);
    assert_int_equal(last.kind, FG_STOCK_OPERATOR);
    assert_int_equal(last.user, user);
}

static void a_refund_gives_the_limit_back_and_the_units_if_asked(void **state)
{
    struct fg_stock_command c = normal;
    struct fg_stock_view view;

    c.user_limit = 2;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    bring(FG_LEDGER_ORDER_SOLD);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 2, 1), FG_PACKET_STATUS_USER_LIMIT);
    assert_int_equal(last.left, 0);
    assert_int_equal(ask(FG_PACKET_OP_REFUND, 1, 1, 0), FG_PACKET_STATUS_REFUNDED);
    assert_true(fg_stock_view(stock, 0, &view));
    assert_int_equal(view.refunded, 2);
    assert_int_equal(view.free, 8);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 2, 2), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 2), FG_PACKET_STATUS_RESERVED);
    refund(2, true);
    assert_int_equal(last.outcome, FG_STOCK_OUTCOME_NOT_SOLD);
    assert_int_equal(last.state, FG_LEDGER_ORDER_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 2, 1, 0), FG_PACKET_STATUS_SOLD);
    refund(2, true);
    assert_int_equal(last.outcome, FG_STOCK_OUTCOME_DONE);
    refund(2, true); /* once */
    assert_int_equal(last.outcome, FG_STOCK_OUTCOME_DONE);
    assert_true(fg_stock_view(stock, 0, &view));
    assert_int_equal(view.free, 6);
    assert_int_equal(view.refunded, 2);
    assert_int_equal(view.total, 10);
    refund(3, true);
    assert_int_equal(last.outcome, FG_STOCK_OUTCOME_UNKNOWN_ORDER);
}

/* The state of the nth order; its id is in `last`. */
static unsigned nth_order(uint64_t user, uint64_t item, uint16_t nth)
{
    struct fg_stock_request r = {
        .op = FG_PACKET_OP_ORDERS, .user = user, .item = item, .quantity = nth};
    struct fg_stock_answer a;

    assert_int_equal(fg_stock_request(stock, now, &r, 1, &a), FG_STOCK_ANSWERED);
    last = a;
    return a.status;
}

static void the_orders_of_a_user_are_found(void **state)
{
    unsigned seen = 0;

    assert_int_equal(nth_order(1, 0, 0), FG_PACKET_STATUS_UNKNOWN_ORDER);
    for (uint8_t id = 1; id <= 4; id++)
        assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, id, 1), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 2, 0), FG_PACKET_STATUS_SOLD);
    for (uint16_t n = 0; n < 4; n++) {
        unsigned status = nth_order(1, n % 2 ? ITEM : 0, n);

        assert_int_equal(status,
                         last.order_id[0] == 2 ? FG_PACKET_STATUS_SOLD : FG_PACKET_STATUS_RESERVED);
        assert_int_equal(last.item, ITEM);
        assert_int_equal(last.deadline_ms, status == FG_PACKET_STATUS_SOLD ? 0 : now + HOLD);
        seen |= 1u << last.order_id[0];
    }
    assert_int_equal(seen, 0x1e);
    assert_int_equal(nth_order(1, 0, 4), FG_PACKET_STATUS_UNKNOWN_ORDER);
    assert_int_equal(nth_order(1, ITEM + 1, 0), FG_PACKET_STATUS_UNKNOWN_ORDER);
    now += HOLD; /* told when its end is durable */
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, 1, 0), FG_PACKET_STATUS_EXPIRED);
}

static void hints_are_what_they_say(void **state)
{
    struct fg_stock_command c = normal;

    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 1), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(last.retry_ms, HOLD); /* time left of the hold */
    now += 40;
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, 1, 0), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(last.retry_ms, HOLD - 40);
    c.opens_ms = now + 30 * 86400000ull;
    c.user_limit = 4;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1), FG_PACKET_STATUS_NOT_OPEN);
    assert_int_equal(last.retry_ms, 86400000); /* at most a day */
    c.opens_ms = 0;
    c.hold_ms = 10 * 86400000;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 2, 2), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(last.retry_ms, 10 * 86400000);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 3, 2), FG_PACKET_STATUS_USER_LIMIT);
    assert_int_equal(last.left, 1);
}

static void units_come_back_only_when_durable(void **state)
{
    struct fg_stock_request r = {.op = FG_PACKET_OP_CANCEL, .user = 1, .order_id = {1}};
    struct fg_stock_answer a;

    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 5), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 5), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 3, 1, 1), FG_PACKET_STATUS_SOLD_OUT);
    assert_int_equal(fg_stock_request(stock, now, &r, 9, &a), FG_STOCK_DEFERRED);
    polled = 0;
    run();
    assert_int_equal(polled, 0);
    assert_int_equal(ask(FG_PACKET_OP_STOCK, 0, 0, 0), FG_PACKET_STATUS_SOLD_OUT);
    assert_int_equal(sync_all(), 1);
    assert_int_equal(last.status, FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(last.token, 9);
    assert_int_equal(ask(FG_PACKET_OP_STOCK, 0, 0, 0), FG_PACKET_STATUS_ON_SALE);
    assert_int_equal(last.left, 5);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 3, 2, 5), FG_PACKET_STATUS_RESERVED);
}

static void refusals_have_their_reasons(void **state)
{
    struct fg_stock_command c = normal;

    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 0), FG_PACKET_STATUS_BAD_QUANTITY);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 6), FG_PACKET_STATUS_BAD_QUANTITY);
    c.user_limit = 3;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 2), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 2, 2), FG_PACKET_STATUS_USER_LIMIT);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 2, 1), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, 1, 1, 0),
                     FG_PACKET_STATUS_CANCELLED); /* gives the user his limit back */
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 3, 2), FG_PACKET_STATUS_RESERVED);
    c = normal;
    c.flags = FG_JOURNAL_ITEM_PAUSED;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1), FG_PACKET_STATUS_PAUSED);
    assert_true(last.retry_ms > 0);
    c.flags = 0;
    c.opens_ms = now + 500;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1), FG_PACKET_STATUS_NOT_OPEN);
    assert_int_equal(last.retry_ms, 500);
    c.closes_ms = now + 600;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    now += 500;
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1), FG_PACKET_STATUS_RESERVED);
    now += 100;
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 2, 1), FG_PACKET_STATUS_CLOSED);
}

static void few_are_left(void **state)
{
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 4), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 4), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 3, 1, 3), FG_PACKET_STATUS_INSUFFICIENT);
    assert_int_equal(last.left, 2);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 3, 1, 2),
                     FG_PACKET_STATUS_RESERVED); /* a rejection is not remembered */
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 4, 1, 1), FG_PACKET_STATUS_SOLD_OUT);
    command(FG_STOCK_STOCK_ADD, 1, NULL);
    assert_int_equal(last.outcome, FG_STOCK_OUTCOME_DONE);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 4, 1, 1), FG_PACKET_STATUS_RESERVED);
    command(FG_STOCK_STOCK_REMOVE, 1, NULL);
    assert_int_equal(last.outcome, FG_STOCK_OUTCOME_INSUFFICIENT);
}

static void late_confirm_hears_of_the_expiry(void **state)
{
    struct fg_stock_command c = normal;

    c.order_max = 16;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 10), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(last.deadline_ms, now + HOLD);
    now +=
        HOLD; /* the wheel has not turned yet, and the units are not free before that is durable */
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_BUSY);
    assert_int_equal(fg_counter_read(&fg_stock_counters(stock)->expired), 1);
    sync_all();
    now += 20;
    run();
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_SOLD);
    assert_int_equal(last.flags, FG_PACKET_LATE);
}

/* Found expired by its own payment, the order lies in the wheel's list until the tick is over: it
 * cannot be in the list of those that wait for units as well. */
static void a_late_payment_waits_for_the_wheel(void **state)
{
    struct fg_stock_command c = normal;

    c.order_max = 16;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 2), FG_PACKET_STATUS_RESERVED);
    now += HOLD;
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 8), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_BUSY);
    sync_all();
    run();
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 3, 1, 2), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_BUSY);
    now += 20;
    run();
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_EXPIRED);
}

static void holds_of_any_length_end_in_time(void **state)
{
    static const uint32_t holds[] = {100,    1000,    60000,    523000,
                                     525000, 3600000, 86400000, 10 * 86400000};

    for (unsigned i = 0; i < sizeof(holds) / sizeof(holds[0]); i++) {
        struct fg_stock_command c = normal;
        uint64_t expired = fg_counter_read(&fg_stock_counters(stock)->expired), end;

        c.hold_ms = holds[i];
        command(FG_STOCK_ITEM_APPLY, 0, &c);
        assert_int_equal(ask(FG_PACKET_OP_RESERVE, 50 + i, 1, 1), FG_PACKET_STATUS_RESERVED);
        end = now + holds[i];
        while (now + 1000 < end) {
            now += 1000;
            run();
        }
        now = end - 1;
        run();
        assert_int_equal(fg_counter_read(&fg_stock_counters(stock)->expired), expired);
        now = end + 20;
        run();
        assert_int_equal(fg_counter_read(&fg_stock_counters(stock)->expired), expired + 1);
        sync_all();
    }
}

static void a_hold_can_be_made_longer_never_shorter(void **state)
{
    struct fg_stock_request r = {
        .op = FG_PACKET_OP_EXTEND, .user = 1, .order_id = {1}, .until_ms = T0 + 5 * HOLD};
    struct fg_stock_answer a;

    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 2), FG_PACKET_STATUS_RESERVED);
    polled = 0;
    assert_int_equal(fg_stock_request(stock, now, &r, 1, &a),
                     FG_STOCK_DEFERRED); /* durable first */
    run();
    assert_int_equal(polled, 0);
    assert_int_equal(sync_all(), 1);
    assert_int_equal(last.status, FG_PACKET_STATUS_RESERVED);
    assert_int_equal(last.deadline_ms, T0 + 5 * HOLD);
    assert_int_equal(fg_stock_request(stock, now, &r, 1, &a),
                     FG_STOCK_ANSWERED); /* a replay writes nothing */
    r.until_ms = T0 + 2 * HOLD;
    assert_int_equal(fg_stock_request(stock, now, &r, 1, &a), FG_STOCK_ANSWERED);
    assert_int_equal(a.deadline_ms, T0 + 5 * HOLD);
    now = T0 + 4 * HOLD;
    run();
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, 1, 0), FG_PACKET_STATUS_RESERVED);
    r.until_ms = FG_STOCK_UNTIL_MS_MAX; /* cut to the longest hold */
    assert_int_equal(fg_stock_request(stock, now, &r, 1, &a), FG_STOCK_DEFERRED);
    sync_all();
    assert_int_equal(last.deadline_ms, now + FG_STOCK_HOLD_MS_MAX);
}

/* Other units than milliseconds change nothing, a far time is cut; the answer tells the deadline in
 * force. */
static void an_extension_of_any_number_has_a_defined_answer(void **state)
{
    static const uint64_t noon = 1767225600000;
    const uint64_t nothing[] = {0,
                                1,
                                (noon + 5 * HOLD) / 1000,
                                noon,
                                noon + HOLD,
                                FG_STOCK_UNTIL_MS_MAX + 1,
                                (noon + 5 * HOLD) * 1000,
                                UINT64_MAX};
    const uint64_t cut[] = {noon + 2ull * FG_STOCK_HOLD_MS_MAX, FG_STOCK_UNTIL_MS_MAX};
    struct fg_stock_request r = {.op = FG_PACKET_OP_EXTEND, .user = 1, .order_id = {1}};
    struct fg_stock_answer a;

    now = noon;
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 1), FG_PACKET_STATUS_RESERVED);
    for (unsigned i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        r.until_ms = nothing[i];
        assert_int_equal(fg_stock_request(stock, now, &r, 1, &a), FG_STOCK_ANSWERED);
        assert_int_equal(a.status, FG_PACKET_STATUS_RESERVED);
        assert_int_equal(a.deadline_ms, noon + HOLD);
    }
    for (unsigned i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        r.until_ms = cut[i];
        now += 8;
        assert_int_equal(fg_stock_request(stock, now, &r, 1, &a), FG_STOCK_DEFERRED);
        sync_all();
        assert_int_equal(last.status, FG_PACKET_STATUS_RESERVED);
        assert_int_equal(last.deadline_ms, now + FG_STOCK_HOLD_MS_MAX);
    }
}

static void an_extended_hold_expires_at_its_new_deadline(void **state)
{
    struct fg_stock_request r = {
        .op = FG_PACKET_OP_EXTEND, .user = 1, .order_id = {1}, .until_ms = T0 + 5 * HOLD};
    struct fg_stock_answer a;

    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 2), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(fg_stock_request(stock, now, &r, 1, &a), FG_STOCK_DEFERRED);
    sync_all();
    now = T0 + 5 * HOLD - 1;
    run();
    assert_int_equal(fg_counter_read(&fg_stock_counters(stock)->expired), 0);
    now += 20;
    run();
    assert_int_equal(fg_counter_read(&fg_stock_counters(stock)->expired), 1);
}

static void a_denied_user_reserves_nothing(void **state)
{
    struct fg_stock_command deny = {.type = FG_STOCK_USER_SET, .user = 2, .denied = true};
    struct fg_stock_level levels[FG_STOCK_LEVELS];

    bring(FG_LEDGER_ORDER_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1), FG_PACKET_STATUS_RESERVED);
    assert_true(fg_stock_command(stock, now, &deny));
    sync_all();
    assert_int_equal(last.kind, FG_STOCK_OPERATOR);
    assert_int_equal(last.outcome, FG_STOCK_OUTCOME_DONE);
    assert_int_equal(last.user, 2);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 2, 1), FG_PACKET_STATUS_USER_DENIED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1),
                     FG_PACKET_STATUS_RESERVED); /* what he holds stays his */
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 2, 1, 0), FG_PACKET_STATUS_SOLD);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 3, 1, 1), FG_PACKET_STATUS_RESERVED);
    deny.denied = false;
    assert_true(fg_stock_command(stock, now, &deny));
    sync_all();
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 2, 1), FG_PACKET_STATUS_RESERVED);
    fg_stock_levels(stock, levels);
    assert_int_equal(levels[FG_STOCK_LEVEL_denied].used, 1); /* he keeps his place */
    assert_int_equal(levels[FG_STOCK_LEVEL_denied].max, FG_STOCK_DENIED_MAX);
    assert_int_equal(levels[FG_STOCK_LEVEL_orders].used, fg_stock_orders(stock));
    assert_true(levels[FG_STOCK_LEVEL_orders].used >= 4);
}

static void who_asks_too_often_is_told_when_to_come_again(void **state)
{
    struct fg_stock_user worst[3];
    uint32_t wait;

    teardown(NULL);
    limits.user_rate = 10; /* one in 100 ms, 3 at once */
    limits.user_burst = 3;
    setup(NULL);
    limits.user_rate = limits.user_burst = 0;
    for (uint8_t nth = 1; nth <= 3; nth++)
        assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, nth, 9), FG_PACKET_STATUS_BAD_QUANTITY);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 4, 1), FG_PACKET_STATUS_USER_RATE);
    wait = last.retry_ms;
    assert_in_range(wait, 90, 101);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1),
                     FG_PACKET_STATUS_RESERVED); /* another user is not touched */
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, 4, 0),
                     FG_PACKET_STATUS_UNKNOWN_ORDER); /* nor another operation */
    now += wait - 1;
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 4, 1), FG_PACKET_STATUS_USER_RATE);
    now += 1;
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 4, 1), FG_PACKET_STATUS_RESERVED);
    for (int i = 0; i < 5; i++) /* a repeat of a known order is not a new one */
        assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 4, 1), FG_PACKET_STATUS_RESERVED);
    for (uint64_t user = 100; user < 110; user++)
        for (uint64_t i = 0; i < user - 90; i++)
            ask(FG_PACKET_OP_RESERVE, user, 1, 9);
    assert_int_equal(fg_stock_worst_users(stock, worst, 3), 3);
    assert_int_equal(worst[0].user, 109);
    assert_int_equal(worst[0].refused, 16);
    assert_int_equal(worst[2].user, 107);
}

/* The count of microseconds has 44 bits: it wraps after 203.6 days, at any phase. */
static void a_user_who_asks_too_often_is_noticed_on_any_day(void **state)
{
    const uint64_t wrap_ms = (UINT64_C(1) << 44) / 1000, begin = now;

    for (int day = -2; day <= 2; day++) {
        uint64_t noon = begin + wrap_ms - (begin % wrap_ms) + (uint64_t)(day * 86400000ll);
        unsigned passed = 0, later = 0;

        teardown(NULL);
        limits.user_rate = 1;
        limits.user_burst = 2;
        setup(NULL);
        limits.user_rate = limits.user_burst = 0;
        now = noon - 5;
        ask(FG_PACKET_OP_RESERVE, 1, 1,
            9); /* once before, and once half a count before the others */
        now = noon + wrap_ms / 2;
        for (uint8_t nth = 0; nth < 200; nth++, now++)
            passed += ask(FG_PACKET_OP_RESERVE, 1, nth, 9) != FG_PACKET_STATUS_USER_RATE;
        assert_int_equal(passed, 2);
        now = noon + wrap_ms + 400; /* all of it is long over */
        for (uint8_t nth = 0; nth < 200; nth++, now++)
            later += ask(FG_PACKET_OP_RESERVE, 1, nth, 9) != FG_PACKET_STATUS_USER_RATE;
        assert_int_equal(later, 2);
    }
}

static void limits_are_answers(void **state)
{
    struct fg_stock_command c = normal;
    unsigned reserved = 0;

    command(FG_STOCK_STOCK_ADD, 1000, NULL);
    for (unsigned user = 101; user <= 130; user++)
        reserved += ask(FG_PACKET_OP_RESERVE, user, 1, 1) == FG_PACKET_STATUS_RESERVED;
    assert_int_equal(fg_stock_users(stock), 0); /* without a limit they do not count */
    c.user_limit = 100;
    command(FG_STOCK_ITEM_APPLY, 0, &c);
    for (unsigned user = 1; user <= 60; user++) {
        unsigned status = ask(FG_PACKET_OP_RESERVE, user, 1, 1);

        assert_true(status == (user <= 50 ? FG_PACKET_STATUS_RESERVED
                                          : FG_PACKET_STATUS_FULL)); /* users_max */
        reserved += status == FG_PACKET_STATUS_RESERVED;
    }
    for (unsigned nth = 2; nth <= 60; nth++)
        reserved += ask(FG_PACKET_OP_RESERVE, 1, (uint8_t)nth, 1) == FG_PACKET_STATUS_RESERVED;
    assert_int_equal(reserved, 100); /* orders_max */
    assert_int_equal(fg_stock_orders(stock), 100);
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, 1, 0), FG_PACKET_STATUS_RESERVED);
}

/* With unsold_max = 3. Each call makes one order that ends so. */
static void end_unsold(uint64_t user, uint8_t id, bool expires)
{
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, user, id, 1), FG_PACKET_STATUS_RESERVED);
    if (expires) {
        now += HOLD + 16;
        run();
        sync_all();
        assert_int_equal(ask(FG_PACKET_OP_QUERY, user, id, 0), FG_PACKET_STATUS_EXPIRED);
    } else {
        assert_int_equal(ask(FG_PACKET_OP_CANCEL, user, id, 0), FG_PACKET_STATUS_CANCELLED);
    }
}

static int setup_few_unsold(void **state)
{
    limits.unsold_max = 3;
    setup(state);
    limits.unsold_max = 0;
    return 0;
}

/* Finished orders stay in memory: one user must not fill it. */
static void a_user_may_have_so_many_unsold_orders(void **state)
{
    end_unsold(1, 1, false);
    end_unsold(1, 2, true);
    end_unsold(1, 3, true);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 4, 1), FG_PACKET_STATUS_USER_LIMIT);
    assert_int_equal(last.left, 0);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 1), FG_PACKET_STATUS_CANCELLED); /* known */
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1), FG_PACKET_STATUS_RESERVED);  /* others */
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 2, 0), FG_PACKET_STATUS_SOLD); /* paid late */
    assert_int_equal(last.flags, FG_PACKET_LATE);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 4, 1), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, 1, 3, 0), FG_PACKET_STATUS_CANCELLED); /* closed */
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 5, 1), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, 1, 5, 0), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 6, 1), FG_PACKET_STATUS_USER_LIMIT);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 4, 0), FG_PACKET_STATUS_SOLD); /* what is held */
    assert_int_equal(ask(FG_PACKET_OP_REFUND, 1, 4, 0), FG_PACKET_STATUS_REFUNDED); /* was sold */
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 6, 1), FG_PACKET_STATUS_USER_LIMIT);
}

static void modes_stop_what_needs_the_log(void **state)
{
    bring(FG_LEDGER_ORDER_RESERVED);
    fg_stock_set_mode(stock, FG_STOCK_NO_SPACE);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1), FG_PACKET_STATUS_BUSY);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_BUSY);
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, 1, 0), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 9),
                     FG_PACKET_STATUS_BAD_QUANTITY); /* rejections go on */
    fg_stock_set_mode(stock, FG_STOCK_STOPPING);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1), FG_PACKET_STATUS_UNAVAILABLE);
    assert_true(fg_stock_idle(stock));
    fg_stock_set_mode(stock, FG_STOCK_RUNNING);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 2, 1, 1), FG_PACKET_STATUS_RESERVED);
}

static void nothing_leaves_when_the_log_is_lost(void **state)
{
    struct fg_stock_request r = {
        .op = FG_PACKET_OP_RESERVE, .user = 1, .order_id = {1}, .item = ITEM, .quantity = 1};
    struct fg_stock_answer a;

    assert_int_equal(fg_stock_request(stock, now, &r, 1, &a), FG_STOCK_DEFERRED);
    fg_stock_set_mode(stock, FG_STOCK_FAILED);
    polled = 0;
    run();
    assert_int_equal(polled, 0);
    assert_true(fg_stock_idle(stock));
    r.op = FG_PACKET_OP_QUERY;
    fg_stock_request(stock, now, &r, 2, &a);
    run();
    assert_int_equal(polled, 0); /* the order is not durable: no word about it */
}

static void full_queues_are_busy(void **state)
{
    struct fg_stock_request r = {.op = FG_PACKET_OP_RESERVE, .item = ITEM, .quantity = 1};
    struct fg_stock_answer a;

    command(FG_STOCK_STOCK_ADD, 100, NULL);
    for (r.user = 1; r.user <= limits.deferred_max; r.user++)
        assert_int_equal(fg_stock_request(stock, now, &r, 1, &a), FG_STOCK_DEFERRED);
    assert_int_equal(fg_stock_request(stock, now, &r, 1, &a), FG_STOCK_ANSWERED);
    assert_int_equal(a.status, FG_PACKET_STATUS_BUSY);
    assert_true(a.retry_ms > 0);
    sync_all();
    assert_int_equal(fg_stock_request(stock, now, &r, 1, &a), FG_STOCK_DEFERRED);
}

static void recovery_takes_over_orders(void **state)
{
    struct fg_ledger *ledger = fg_ledger_create();
    struct fg_journal_record records[] = {
        {.seq = 1,
         .type = FG_JOURNAL_RECORD_ITEM_SET,
         .item = ITEM,
         .order_max = 5,
         .hold_ms = HOLD,
         .user_limit = 3},
        {.seq = 2, .type = FG_JOURNAL_RECORD_STOCK, .item = ITEM, .arg = 6},
        {.seq = 3,
         .type = FG_JOURNAL_RECORD_RESERVED,
         .item = ITEM,
         .user = 1,
         .order_id = {1},
         .quantity = 2,
         .arg = T0 + 50},
        {.seq = 4,
         .type = FG_JOURNAL_RECORD_RESERVED,
         .item = ITEM,
         .user = 2,
         .order_id = {1},
         .quantity = 2,
         .arg = T0 - 50},
        {.seq = 5,
         .type = FG_JOURNAL_RECORD_RESERVED,
         .item = ITEM,
         .user = 3,
         .order_id = {1},
         .quantity = 2,
         .arg = T0 + 50},
        {.seq = 6,
         .type = FG_JOURNAL_RECORD_SOLD,
         .item = ITEM,
         .user = 3,
         .order_id = {1},
         .quantity = 2},
    };
    struct fg_error err;

    for (unsigned i = 0; i < 6; i++)
        assert_true(fg_ledger_apply(ledger, &records[i], &err));
    teardown(NULL);
    make();
    assert_true(fg_stock_load_items(stock, ledger, &err)); /* in parts, as the daemon does */
    assert_true(fg_stock_load_orders(stock, ledger, 0, 1, &err));
    assert_true(fg_stock_load_orders(stock, ledger, 1, fg_ledger_orders(ledger), &err));
    fg_ledger_destroy(ledger);
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 1, 1, 0), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 3, 2, 2), FG_PACKET_STATUS_USER_LIMIT);
    run(); /* the hold that ended while nobody ran */
    sync_all();
    assert_int_equal(ask(FG_PACKET_OP_QUERY, 2, 1, 0), FG_PACKET_STATUS_EXPIRED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 4, 1, 2), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 5, 1, 1), FG_PACKET_STATUS_SOLD_OUT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(every_state_meets_every_operation),
        T(units_come_back_only_when_durable),
        T(refusals_have_their_reasons),
        T(few_are_left),
        T(a_late_payment_takes_units_again),
        T(a_late_payment_is_refused_for_a_reason),
        T(a_refund_gives_the_limit_back_and_the_units_if_asked),
        T(the_orders_of_a_user_are_found),
        T(hints_are_what_they_say),
        T(late_confirm_hears_of_the_expiry),
        T(a_late_payment_waits_for_the_wheel),
        T(holds_of_any_length_end_in_time),
        T(limits_are_answers),
        cmocka_unit_test_setup_teardown(a_user_may_have_so_many_unsold_orders, setup_few_unsold,
                                        teardown),
        T(a_hold_can_be_made_longer_never_shorter),
        T(an_extension_of_any_number_has_a_defined_answer),
        T(an_extended_hold_expires_at_its_new_deadline),
        T(a_denied_user_reserves_nothing),
        T(who_asks_too_often_is_told_when_to_come_again),
        T(a_user_who_asks_too_often_is_noticed_on_any_day),
        T(modes_stop_what_needs_the_log),
        T(nothing_leaves_when_the_log_is_lost),
        T(full_queues_are_busy),
        T(recovery_takes_over_orders),
    };
    return cmocka_run_group_tests_name("stock", tests, NULL, NULL);
}
