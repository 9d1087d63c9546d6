/* SPDX-License-Identifier: BSD-3-Clause */
/* The waiting list at one worker: each rule once. Many workers, crashes and all orders of events:
 * tests/sim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ledger/draw.h"
#include "stock/stock.h"

enum { ITEM = 7, T0 = 1000000, HOLD = 100, CLAIM = 50, TTL = 1000, UNITS = 2 };

static struct fg_stock *stock;
static struct fg_ring *journal;
static struct fg_journal_watermark mark;
static struct fg_ledger *ledger; /* what the log says */
static uint64_t now;
static struct fg_stock_answer last;
static unsigned polled, records;
static struct fg_journal_record lottery, drawn; /* the last of each */
static uint8_t secret;                          /* of the draws of the next engine */

static void run(void)
{
    struct fg_stock_answer a[8];
    struct fg_journal_record r;
    struct fg_error err;

    for (int loop = 0; loop < 6; loop++) {
        unsigned n = fg_stock_poll(stock, now, a, 8);

        for (unsigned i = 0; i < n; i++)
            last = a[i];
        polled += n;
        for (; fg_ring_pop(journal, &r); records++) {
            r.seq = fg_ledger_seq(ledger) + 1;
            if (!fg_ledger_apply(ledger, &r, &err))
                fail_msg("%s", err.text);
            lottery = r.type == FG_JOURNAL_RECORD_LOTTERY ? r : lottery;
            drawn = r.type == FG_JOURNAL_RECORD_DRAWN ? r : drawn;
            atomic_fetch_add(&mark.durable, 1);
        }
    }
}

static unsigned command(enum fg_stock_command_type type, struct fg_stock_command c)
{
    c.type = (uint8_t)type;
    if (type != FG_STOCK_USER_SET)
        c.item = ITEM + c.index;
    polled = 0;
    assert_true(fg_stock_command(stock, now, &c));
    run();
    assert_int_equal(polled, 1);
    return last.outcome;
}

static void set_item(struct fg_stock_command c)
{
    c.hold_ms = HOLD;
    c.order_max = 5;
    assert_int_equal(command(FG_STOCK_ITEM_SET, c), FG_STOCK_OUTCOME_DONE);
    assert_int_equal(command(FG_STOCK_ITEM_APPLY, c), FG_STOCK_OUTCOME_DONE);
}

static void set_line(uint32_t length, uint32_t flags)
{
    struct fg_stock_command c = {.line_max = length};

    c.claim_ms = CLAIM;
    c.wait_ttl_ms = TTL;
    c.line_flags = flags;
    assert_int_equal(command(FG_STOCK_LINE_SET, c), FG_STOCK_OUTCOME_DONE);
    assert_int_equal(command(FG_STOCK_LINE_APPLY, c), FG_STOCK_OUTCOME_DONE);
}

static void add(uint32_t units)
{
    struct fg_stock_command c = {.units = units};

    assert_int_equal(command(FG_STOCK_STOCK_ADD, c), FG_STOCK_OUTCOME_DONE);
}

static void make_with(struct fg_stock_limits limits, size_t records_max)
{
    static struct fg_ring *none[1];
    struct fg_stock_config c = {.workers = 1,
                                .limits = limits,
                                .to = none,
                                .from = none,
                                .mark = &mark,
                                .seed = 3,
                                .secret = {secret}};
    struct fg_error err;

    journal = fg_ring_create(records_max);
    c.journal = journal;
    atomic_store(&mark.durable, 0);
    stock = fg_stock_create(&c, &err);
    assert_non_null(stock);
}

static void make(uint32_t waiting_max)
{
    make_with((struct fg_stock_limits){.items_max = 4,
                                       .orders_max = 100,
                                       .users_max = 50,
                                       .parked_max = 4,
                                       .deferred_max = 16,
                                       .waiting_max = waiting_max},
              64);
}

static void end(void)
{
    fg_stock_destroy(stock);
    fg_ring_destroy(journal);
}

static unsigned ask(uint8_t op, uint64_t user, uint8_t id, uint16_t quantity)
{
    struct fg_stock_request r = {.op = op, .user = user, .order_id = {id}, .quantity = quantity};
    struct fg_stock_answer a;

    if (op == FG_PACKET_OP_RESERVE || op == FG_PACKET_OP_WAIT || op == FG_PACKET_OP_STOCK)
        r.item = ITEM;
    polled = 0;
    switch (fg_stock_request(stock, now, &r, 1, &a)) {
    case FG_STOCK_ANSWERED:
        last = a;
        return a.status;
    case FG_STOCK_DEFERRED:
        run();
        assert_int_equal(polled, 1);
        return last.status;
    default:
        return 0;
    }
}

static unsigned wait_for(uint64_t user)
{
    return ask(FG_PACKET_OP_WAIT, user, 1, 1);
}

static unsigned state_of(uint64_t user)
{
    return ask(FG_PACKET_OP_QUERY, user, 1, 0);
}

static void give_back(uint64_t user)
{
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, user, 1, 0), FG_PACKET_STATUS_CANCELLED);
    run();
}

/* Users 1 and 2 have the two units, users 3 and 4 wait. */
static int setup(void **state)
{
    now = T0;
    ledger = fg_ledger_create();
    make(90);
    set_item((struct fg_stock_command){0});
    set_line(3, 0);
    add(UNITS);
    for (uint64_t user = 1; user <= 2; user++)
        assert_int_equal(wait_for(user), FG_PACKET_STATUS_RESERVED);
    for (uint64_t user = 3; user <= 4; user++)
        assert_int_equal(wait_for(user), FG_PACKET_STATUS_WAITING);
    return 0;
}

static int teardown(void **state)
{
    end();
    fg_ledger_destroy(ledger);
    return 0;
}

static void a_place_is_told_and_kept(void **state)
{
    unsigned before;

    assert_int_equal(last.deadline_ms, 2); /* user 4's ticket */
    assert_int_equal(last.left, 1);
    assert_in_range(last.retry_ms, TTL, TTL + 16);
    before = records;
    now += 100;
    assert_int_equal(wait_for(4), FG_PACKET_STATUS_WAITING);
    assert_int_equal(last.deadline_ms, 2);
    assert_int_equal(last.left, 1);
    assert_in_range(last.retry_ms, TTL - 16, TTL + 16);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 4, 1, 1), FG_PACKET_STATUS_WAITING);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 4, 1, 0), FG_PACKET_STATUS_WAITING);
    assert_int_equal(ask(FG_PACKET_OP_EXTEND, 4, 1, 0), FG_PACKET_STATUS_WAITING);
    assert_int_equal(ask(FG_PACKET_OP_REFUND, 4, 1, 0), FG_PACKET_STATUS_WAITING);
    assert_int_equal(state_of(4), FG_PACKET_STATUS_WAITING);
    assert_int_equal(ask(FG_PACKET_OP_WAIT, 4, 1, 2), FG_PACKET_STATUS_CONFLICT);
    assert_int_equal(records, before); /* none of it costs one */
    assert_int_equal(ask(FG_PACKET_OP_STOCK, 0, 0, 0), FG_PACKET_STATUS_SOLD_OUT);
    assert_int_equal(last.deadline_ms, 2ull << 32 | 1); /* two wait; the ticket that comes next */
}

static void a_unit_that_comes_back_is_offered_to_the_first(void **state)
{
    give_back(1);
    assert_int_equal(state_of(3), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(last.deadline_ms, now + CLAIM);
    assert_int_equal(state_of(4), FG_PACKET_STATUS_WAITING);
    assert_int_equal(last.left, 0);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 9, 1, 1), FG_PACKET_STATUS_SOLD_OUT);
    now += CLAIM + 20; /* not claimed: the next one has it */
    assert_int_equal(wait_for(4), FG_PACKET_STATUS_WAITING);
    run();
    assert_int_equal(state_of(3), FG_PACKET_STATUS_EXPIRED);
    assert_int_equal(state_of(4), FG_PACKET_STATUS_RESERVED);
    give_back(4); /* nobody waits any more */
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 9, 1, 1), FG_PACKET_STATUS_RESERVED);
}

static void the_line_has_a_length(void **state)
{
    assert_int_equal(wait_for(5), FG_PACKET_STATUS_WAITING);
    assert_int_equal(wait_for(6), FG_PACKET_STATUS_SOLD_OUT);
    give_back(1);
    assert_int_equal(wait_for(6), FG_PACKET_STATUS_WAITING);
    assert_int_equal(last.deadline_ms, 4); /* no gap */
    set_line(0, 0);
    assert_int_equal(wait_for(7), FG_PACKET_STATUS_SOLD_OUT);
    assert_int_equal(wait_for(6), FG_PACKET_STATUS_WAITING);
}

static void a_user_waits_once(void **state)
{
    assert_int_equal(ask(FG_PACKET_OP_WAIT, 4, 2, 1), FG_PACKET_STATUS_USER_LIMIT);
    assert_int_equal(last.left, 0);
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, 4, 1, 0), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(wait_for(4), FG_PACKET_STATUS_CANCELLED); /* an order id is never free again */
    assert_int_equal(ask(FG_PACKET_OP_WAIT, 4, 2, 1), FG_PACKET_STATUS_WAITING);
    assert_int_equal(last.deadline_ms, 3);
}

static void who_was_not_heard_of_keeps_nothing(void **state)
{
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_SOLD);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 2, 1, 0), FG_PACKET_STATUS_SOLD);
    now += TTL - 100;
    assert_int_equal(wait_for(4), FG_PACKET_STATUS_WAITING);
    now += 200;
    add(1);
    run();
    assert_int_equal(state_of(3), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(state_of(4), FG_PACKET_STATUS_RESERVED);
}

static void all_ask_again(uint64_t from, uint64_t to)
{
    for (uint64_t user = from; user <= to; user++)
        assert_int_equal(wait_for(user), FG_PACKET_STATUS_WAITING);
}

/* Half of the estimated wait, between one and twenty ttl. */
static void who_waits_long_need_not_ask_often(void **state)
{
    struct fg_stock_command line = {.line_max = 100, .claim_ms = 10 * TTL, .wait_ttl_ms = TTL};
    unsigned expected;

    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_SOLD);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 2, 1, 0), FG_PACKET_STATUS_SOLD);
    assert_int_equal(command(FG_STOCK_LINE_APPLY, line), FG_STOCK_OUTCOME_DONE);
    all_ask_again(5, 80);
    assert_in_range(last.retry_ms, TTL, TTL + 16);
    assert_int_equal(last.deadline_ms, 78);      /* the ticket; no estimate yet */
    for (uint64_t user = 1; user <= 4; user++) { /* a ticket each TTL / 2 */
        add(1);
        run();
        assert_int_equal(state_of(user + 2), FG_PACKET_STATUS_RESERVED);
        now += TTL / 2;
        all_ask_again(user + 3, 80);
    }
    expected = (unsigned)(last.deadline_ms >> 32);
    assert_int_equal((uint32_t)last.deadline_ms, 78);
    assert_in_range(expected, 74 * TTL / 2 * 9 / 10, 74 * TTL / 2 * 11 / 10);
    assert_in_range(last.retry_ms, expected / 2, expected / 2 + 16);
    assert_int_equal(wait_for(7), FG_PACKET_STATUS_WAITING); /* soon: not less than the ttl */
    assert_in_range(last.retry_ms, TTL, TTL + 16);
    now +=
        3 * TTL / 2; /* no unit comes: the estimate grows, and so does the time, up to the most */
    all_ask_again(7, 80);
    assert_true(last.deadline_ms >> 32 > expected);
    assert_in_range(last.retry_ms, 20 * TTL, 20 * TTL + 16);
    now += 19 * TTL; /* those in front are absent, the last ones are not */
    add(1);
    for (unsigned i = 0; i < 20; i++)
        run();
    assert_int_equal(state_of(7), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(state_of(80), FG_PACKET_STATUS_WAITING);
}

static void offers_are_decided_anew(void **state)
{
    struct fg_stock_command deny = {.user = 3, .denied = true};

    assert_int_equal(command(FG_STOCK_USER_SET, deny), FG_STOCK_OUTCOME_DONE);
    give_back(1);
    assert_int_equal(state_of(3), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(state_of(4), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(wait_for(5), FG_PACKET_STATUS_WAITING);
    set_item((struct fg_stock_command){.closes_ms = now});
    give_back(2);
    assert_int_equal(state_of(5), FG_PACKET_STATUS_CANCELLED);
}

static void a_pause_makes_no_offers(void **state)
{
    struct fg_stock_command pause = {.flags = FG_JOURNAL_ITEM_PAUSED};

    set_item(pause);
    give_back(1);
    assert_int_equal(state_of(3), FG_PACKET_STATUS_WAITING);
    set_item((struct fg_stock_command){0});
    run();
    assert_int_equal(state_of(3), FG_PACKET_STATUS_RESERVED);
}

static void a_cleared_line_is_empty(void **state)
{
    unsigned before = records;

    assert_int_equal(command(FG_STOCK_LINE_CLEAR, (struct fg_stock_command){0}),
                     FG_STOCK_OUTCOME_DONE);
    assert_int_equal(last.left, 2);
    run();
    assert_int_equal(records - before, 2); /* each leaves with a record */
    assert_int_equal(state_of(3), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(state_of(4), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(fg_ledger_item(ledger, ITEM)->waiting, 0);
    give_back(1); /* for whoever comes */
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 9, 1, 1), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(wait_for(5), FG_PACKET_STATUS_WAITING); /* a new line */
    assert_int_equal(last.deadline_ms, 3);
    give_back(2);
    assert_int_equal(state_of(5), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(command(FG_STOCK_LINE_CLEAR, (struct fg_stock_command){0}),
                     FG_STOCK_OUTCOME_DONE);
    assert_int_equal(last.left, 0);
}

static void several_units_wait_in_strict_order(void **state)
{
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, 3, 1, 0), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, 4, 1, 0), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 1, 1, 0), FG_PACKET_STATUS_SOLD);
    assert_int_equal(ask(FG_PACKET_OP_CONFIRM, 2, 1, 0), FG_PACKET_STATUS_SOLD);
    assert_int_equal(ask(FG_PACKET_OP_WAIT, 5, 1, 2), FG_PACKET_STATUS_WAITING);
    now += TTL / 2;
    set_line(5, FG_JOURNAL_LINE_ONE_UNIT);
    assert_int_equal(wait_for(6), FG_PACKET_STATUS_WAITING);
    assert_int_equal(ask(FG_PACKET_OP_WAIT, 7, 1, 2), FG_PACKET_STATUS_BAD_QUANTITY);
    add(1);
    run();
    assert_int_equal(state_of(5), FG_PACKET_STATUS_WAITING);
    assert_int_equal(state_of(6), FG_PACKET_STATUS_WAITING);
    now += TTL / 2 + 50; /* the head has gone: it leaves without a unit that comes */
    run();
    run();
    assert_int_equal(state_of(5), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(state_of(6), FG_PACKET_STATUS_RESERVED);
}

static void a_restart_keeps_the_line(void **state)
{
    struct fg_stock_limits few = {.items_max = 4, .orders_max = 100, .waiting_max = 1};
    struct fg_error err;

    end();
    make(1);
    assert_false(fg_stock_load(stock, ledger, &err));
    assert_non_null(strstr(err.text, "waiting_max = 1 is too small"));
    assert_false(fg_stock_check_ledger(&few, 1, ledger, &err));
    assert_non_null(strstr(err.text, "waiting_max = 1 is too small"));
    few.waiting_max = 2;
    assert_true(fg_stock_check_ledger(&few, 1, ledger, &err));
    end();
    make(90);
    assert_true(fg_stock_load(stock, ledger, &err));
    run();
    assert_int_equal(wait_for(4), FG_PACKET_STATUS_WAITING);
    assert_int_equal(last.deadline_ms, 2);
    assert_int_equal(last.left, 1);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 9, 1, 1), FG_PACKET_STATUS_SOLD_OUT);
    assert_int_equal(wait_for(5), FG_PACKET_STATUS_WAITING);
    assert_int_equal(last.deadline_ms, 3);
    give_back(2);
    assert_int_equal(state_of(3), FG_PACKET_STATUS_RESERVED);
}

static void without_memory_for_it_there_is_no_line(void **state)
{
    struct fg_stock_limits none = {
        .items_max = 4, .orders_max = 9, .users_max = 9, .parked_max = 4};
    struct fg_stock_limits some;
    struct fg_stock_command c = {.line_max = 3};

    none.deferred_max = 4;
    some = none;
    some.waiting_max = 1000000;
    assert_in_range(fg_stock_memory(&some, 1) - fg_stock_memory(&none, 1), 28000000, 32000000);
    some.waiting_max = FG_STOCK_WAITING_MAX; /* with a bucket of the draw for 16, or few less */
    assert_true(fg_stock_memory(&some, 1) - fg_stock_memory(&none, 1) >=
                FG_STOCK_WAITING_MAX * 28ull + FG_STOCK_WAITING_MAX / 16 * 4ull);
    end();
    make(0);
    set_item((struct fg_stock_command){0});
    assert_int_equal(command(FG_STOCK_LINE_SET, c), FG_STOCK_OUTCOME_FULL);
    assert_int_equal(wait_for(20), FG_PACKET_STATUS_SOLD_OUT);
    add(1);
    assert_int_equal(wait_for(20), FG_PACKET_STATUS_RESERVED);
}

/* ---- many */

enum { HOLDS = 50000, WAITERS = 500000 };

static void wait_quickly(uint64_t user, unsigned status)
{
    struct fg_stock_request r = {
        .op = FG_PACKET_OP_WAIT, .user = user, .order_id = {1}, .quantity = 1, .item = ITEM};
    struct fg_stock_answer a = {0};

    if (fg_stock_request(stock, now, &r, 1, &a) == FG_STOCK_DEFERRED) {
        for (polled = 0; polled == 0;)
            run();
        a = last;
    }
    assert_int_equal(a.status, status);
}

static unsigned loops_until(uint64_t user, unsigned status)
{
    unsigned loops = 0;

    for (; state_of(user) != status; loops++) {
        assert_true(loops < 100000);
        run();
    }
    return 6 * loops; /* run() is six */
}

/* 50,000 holds end at one moment, with 500,000 waiting: the first 50,000 get their units, in
 * bounded loops. Then 99 of 100 are absent: the next one who is there gets the unit that comes
 * back, in that moment. */
static void many_wait(void **state)
{
    struct fg_stock_limits limits = {.items_max = 4,
                                     .orders_max = HOLDS + WAITERS + 10,
                                     .users_max = HOLDS + WAITERS,
                                     .parked_max = 64,
                                     .deferred_max = 1 << 17,
                                     .waiting_max = WAITERS};
    unsigned loops;

    end();
    fg_ledger_destroy(ledger);
    ledger = fg_ledger_create();
    make_with(limits, 1 << 10);
    set_item((struct fg_stock_command){0});
    command(FG_STOCK_LINE_SET, (struct fg_stock_command){
                                   .line_max = WAITERS, .claim_ms = 20 * TTL, .wait_ttl_ms = TTL});
    command(
        FG_STOCK_LINE_APPLY,
        (struct fg_stock_command){.line_max = WAITERS, .claim_ms = 20 * TTL, .wait_ttl_ms = TTL});
    add(HOLDS);
    for (uint64_t user = 1; user <= HOLDS + WAITERS; user++)
        wait_quickly(user, user <= HOLDS ? FG_PACKET_STATUS_RESERVED : FG_PACKET_STATUS_WAITING);
    now += HOLD + 20; /* no clock in between: all end now */
    loops = loops_until(2 * HOLDS, FG_PACKET_STATUS_RESERVED);
    print_message("# %d holds ended, and %d offers were made, in %u loops\n", HOLDS, HOLDS, loops);
    assert_true(loops <= 2 * HOLDS / 64);
    assert_int_equal(state_of(HOLDS + 1), FG_PACKET_STATUS_RESERVED);
    assert_int_equal(state_of(2 * HOLDS + 1), FG_PACKET_STATUS_WAITING);
    now += TTL / 2;
    for (uint64_t user = 2 * HOLDS + 100; user <= HOLDS + WAITERS; user += 100)
        wait_quickly(user, FG_PACKET_STATUS_WAITING);
    now += TTL / 2 + 20;
    give_back(HOLDS + 1);
    loops = loops_until(2 * HOLDS + 100, FG_PACKET_STATUS_RESERVED);
    print_message("# 99 absent users were skipped in %u loops\n", loops);
    assert_true(loops <= 12);
    give_back(HOLDS + 2);
    assert_true(loops_until(2 * HOLDS + 200, FG_PACKET_STATUS_RESERVED) <= 12);
    assert_int_equal(state_of(2 * HOLDS + 101), FG_PACKET_STATUS_CANCELLED);
}

/* ---- the draw */

static void begin_draw(uint32_t units, uint32_t waiting_max, uint32_t orders_max)
{
    end();
    fg_ledger_destroy(ledger);
    ledger = fg_ledger_create();
    memset(&drawn, 0, sizeof(drawn));
    make_with((struct fg_stock_limits){.items_max = 4,
                                       .orders_max = orders_max,
                                       .users_max = orders_max,
                                       .parked_max = 64,
                                       .deferred_max = 1 << 12,
                                       .waiting_max = waiting_max},
              1 << 12);
    set_item((struct fg_stock_command){.opens_ms = now + 5000});
    set_line(waiting_max, FG_JOURNAL_LINE_LOTTERY);
    run();
    add(units);
}

/* Another item, without units and open, with a line. */
static void open_other(uint32_t index)
{
    struct fg_stock_command c = {
        .index = index, .line_max = 9, .claim_ms = CLAIM, .wait_ttl_ms = TTL};

    set_item((struct fg_stock_command){.index = index});
    assert_int_equal(command(FG_STOCK_LINE_SET, c), FG_STOCK_OUTCOME_DONE);
    assert_int_equal(command(FG_STOCK_LINE_APPLY, c), FG_STOCK_OUTCOME_DONE);
}

static unsigned wait_at(uint32_t index, uint64_t user, uint8_t id)
{
    struct fg_stock_request r = {.op = FG_PACKET_OP_WAIT, .user = user, .order_id = {id}};
    struct fg_stock_answer a;

    r.item = ITEM + index;
    r.quantity = 1;
    polled = 0;
    if (fg_stock_request(stock, now, &r, 1, &a) == FG_STOCK_ANSWERED)
        return a.status;
    run();
    assert_int_equal(polled, 1);
    return last.status;
}

/* Of those who waited, by the record of the draw alone; users are 1 to n. */
static uint64_t drawn_user(uint64_t n, uint64_t nth)
{
    struct fg_ledger_drawn entries[16] = {{0}};
    struct fg_ledger_draw_sum sum = {{0}};
    uint8_t key[FG_LEDGER_DRAW_KEY];

    for (uint64_t user = 1; user <= n; user++)
        fg_ledger_draw_enter(&sum, user);
    fg_ledger_draw_key(drawn.order_id, &sum, key);
    for (uint64_t user = 1; user <= n; user++)
        entries[user - 1] = (struct fg_ledger_drawn){fg_ledger_draw_rank(key, user), user, NULL};
    qsort(entries, n, sizeof(*entries), fg_ledger_drawn_order);
    return entries[nth].user;
}

static void a_draw_gives_the_tickets(void **state)
{
    uint8_t commitment[FG_LEDGER_DRAW_HASH];

    begin_draw(2, 90, 100);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 1, 1, 1), FG_PACKET_STATUS_NOT_OPEN);
    for (uint64_t user = 1; user <= 6; user++) {
        assert_int_equal(wait_for(user), FG_PACKET_STATUS_WAITING);
        assert_int_equal((uint32_t)last.deadline_ms, 0); /* no ticket yet */
        assert_int_equal(last.deadline_ms >> 32, 5000);  /* and the draw is then */
        assert_int_equal(last.left, 0);
        assert_in_range(last.retry_ms, 5000 + TTL, 5000 + TTL + 16);
    }
    assert_int_equal(ask(FG_PACKET_OP_STOCK, 0, 0, 0), FG_PACKET_STATUS_NOT_OPEN);
    assert_int_equal(last.deadline_ms, 6ull << 32 | FG_PACKET_UNDRAWN);
    give_back(6); /* who leaves does not take part */
    now += 4999;
    run();
    assert_int_equal(drawn.type, 0);
    now += 1;
    run();
    run();
    assert_int_equal(drawn.user, 5);
    fg_ledger_draw_commit(drawn.order_id, commitment);
    assert_memory_equal(commitment, lottery.name, sizeof(commitment));
    for (uint64_t nth = 0; nth < 5; nth++) {
        bool wins = nth < 2;

        assert_int_equal(state_of(drawn_user(5, nth)),
                         wins ? FG_PACKET_STATUS_RESERVED : FG_PACKET_STATUS_WAITING);
        if (!wins) {
            assert_int_equal((uint32_t)last.deadline_ms, 6 + 1 + nth);
            assert_int_equal(last.left, nth - 2);
        }
    }
    assert_int_equal(fg_ledger_item(ledger, ITEM)->line_flags, 0);
    assert_int_equal(wait_for(9), FG_PACKET_STATUS_WAITING); /* behind them */
    assert_int_equal((uint32_t)last.deadline_ms, 12);
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 10, 1, 1), FG_PACKET_STATUS_SOLD_OUT);
    give_back(drawn_user(5, 0));
    assert_int_equal(state_of(drawn_user(5, 2)), FG_PACKET_STATUS_RESERVED);
}

/* Else whoever may set items could draw until the order suits. */
static void who_waits_is_not_drawn_again(void **state)
{
    struct fg_stock_command again = {.line_max = 90, .line_flags = FG_JOURNAL_LINE_LOTTERY};
    unsigned before;

    begin_draw(0, 90, 100);
    for (uint64_t user = 1; user <= 3; user++)
        assert_int_equal(wait_for(user), FG_PACKET_STATUS_WAITING);
    set_line(90, FG_JOURNAL_LINE_LOTTERY); /* it is to come, and stays */
    now += 5000;
    run();
    run();
    assert_int_equal(drawn.user, 3);
    set_item((struct fg_stock_command){.opens_ms = now + 5000});
    before = records;
    assert_int_equal(command(FG_STOCK_LINE_SET, again), FG_STOCK_OUTCOME_TOO_LATE);
    assert_int_equal(records, before);
    for (uint64_t user = 1; user <= 3; user++)
        give_back(user);
    run();
    add(3); /* the entries of who left go at their turn */
    run();
    set_line(90, FG_JOURNAL_LINE_LOTTERY);
    assert_int_equal(fg_ledger_item(ledger, ITEM)->line_flags, FG_JOURNAL_LINE_LOTTERY);
}

static void a_full_line_before_the_draw_is_sold_out(void **state)
{
    begin_draw(2, 1, 100);
    open_other(1);
    assert_int_equal(wait_at(1, 9, 9), FG_PACKET_STATUS_WAITING); /* the place of all lines */
    assert_int_equal(wait_for(1), FG_PACKET_STATUS_SOLD_OUT);     /* though there are units */
    assert_int_equal(last.left, 0);
    assert_int_equal(ask(FG_PACKET_OP_CANCEL, 9, 9, 0), FG_PACKET_STATUS_CANCELLED);
    now += 5000;
    run();
    run();
    assert_int_equal(ask(FG_PACKET_OP_RESERVE, 4, 1, 1), FG_PACKET_STATUS_RESERVED);
}

static void who_was_cleared_takes_no_part(void **state)
{
    begin_draw(1, 90, 100);
    for (uint64_t user = 1; user <= 70; user++) /* more than leave in one loop */
        assert_int_equal(wait_for(user), FG_PACKET_STATUS_WAITING);
    now += 5000;
    assert_int_equal(command(FG_STOCK_LINE_CLEAR, (struct fg_stock_command){0}),
                     FG_STOCK_OUTCOME_DONE);
    run();
    run();
    assert_int_equal(drawn.type, FG_JOURNAL_RECORD_DRAWN);
    assert_int_equal(drawn.user, 0);
    assert_int_equal(state_of(1), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(state_of(70), FG_PACKET_STATUS_CANCELLED);
    assert_int_equal(wait_for(71), FG_PACKET_STATUS_RESERVED);
}

static void a_draw_is_not_before_the_recorded_opening(void **state)
{
    struct fg_stock_command later = {.opens_ms = now + 6000, .hold_ms = HOLD, .order_max = 5};
    struct fg_stock_answer a[8];

    begin_draw(1, 90, 100);
    assert_int_equal(wait_for(1), FG_PACKET_STATUS_WAITING);
    now += 5000;
    assert_int_equal(command(FG_STOCK_ITEM_SET, later), FG_STOCK_OUTCOME_DONE);
    run();
    assert_int_equal(drawn.type, 0); /* though that is not in force */
    assert_int_equal(command(FG_STOCK_ITEM_APPLY, later), FG_STOCK_OUTCOME_DONE);
    now += 999;
    run();
    assert_int_equal(drawn.type, 0);
    now += 1;
    for (int i = 0; i < 9; i++) /* it is written, and not durable */
        fg_stock_poll(stock, now, a, 8);
    assert_int_equal(fg_ring_count(journal), 1);
    later.opens_ms += 1000;
    assert_int_equal(command(FG_STOCK_ITEM_SET, later), FG_STOCK_OUTCOME_BUSY);
    run();
    assert_int_equal(drawn.user, 1);
    assert_int_equal(command(FG_STOCK_ITEM_SET, later), FG_STOCK_OUTCOME_DONE);
}

/* A draw that is to come, of an item without units. */
static void set_draw(uint32_t index, uint64_t opens_ms)
{
    struct fg_stock_command c = {.index = index, .line_max = 9};

    c.claim_ms = CLAIM;
    c.wait_ttl_ms = TTL;
    c.line_flags = FG_JOURNAL_LINE_LOTTERY;
    set_item((struct fg_stock_command){.index = index, .opens_ms = opens_ms});
    assert_int_equal(command(FG_STOCK_LINE_SET, c), FG_STOCK_OUTCOME_DONE);
    assert_int_equal(command(FG_STOCK_LINE_APPLY, c), FG_STOCK_OUTCOME_DONE);
    run();
}

/* The time at which a loop looks at them is the earliest opening, also of one that comes later. */
static void the_earliest_draw_is_seen(void **state)
{
    enum { ITEMS = 200 };
    struct fg_stock_limits limits = {.items_max = ITEMS,
                                     .orders_max = 100,
                                     .users_max = 100,
                                     .parked_max = 4,
                                     .deferred_max = 16,
                                     .waiting_max = 90};

    end();
    fg_ledger_destroy(ledger);
    ledger = fg_ledger_create();
    memset(&drawn, 0, sizeof(drawn));
    make_with(limits, 64);
    run();
    for (uint32_t i = 0; i < ITEMS; i++)
        set_draw(i, now + 9000);
    set_item((struct fg_stock_command){.index = 5, .opens_ms = now + 1000}); /* earlier */
    now += 999;
    run();
    assert_int_equal(drawn.type, 0);
    now += 1;
    run();
    assert_int_equal(drawn.item, ITEM + 5);
    set_draw(5, now + 500); /* and one that is new */
    now += 500;
    memset(&drawn, 0, sizeof(drawn));
    run();
    run();
    assert_int_equal(drawn.item, ITEM + 5);
}

/* A loop looks at 4,096 orders, for all of them together. */
static void draws_of_one_moment_take_their_time(void **state)
{
    enum { OTHERS = 3, USERS = 9000, LOOPS = (OTHERS + 1) * USERS / 4096 };
    struct fg_stock_answer a[8];

    begin_draw(0, USERS, USERS);
    for (uint32_t i = 1; i <= OTHERS; i++)
        set_draw(i, now + 5000);
    for (uint64_t user = 1; user <= USERS; user++)
        wait_quickly(user, FG_PACKET_STATUS_WAITING);
    now += 5000;
    for (unsigned loops = 0; loops < LOOPS; loops++) {
        assert_true(fg_ring_count(journal) <= OTHERS); /* not all of them have been drawn */
        fg_stock_poll(stock, now, a, 8);
    }
    while (fg_ledger_item(ledger, ITEM)->tickets < 2 * USERS)
        run();
}

/* A commitment has to be in the log before anybody enters. */
static void nobody_enters_before_the_commitment(void **state)
{
    struct fg_stock_command c = {.type = FG_STOCK_LINE_SET, .item = ITEM, .line_max = 5};
    struct fg_stock_answer a[8];

    end();
    fg_ledger_destroy(ledger);
    ledger = fg_ledger_create();
    make(90);
    set_item((struct fg_stock_command){.opens_ms = now + 5000});
    c.wait_ttl_ms = TTL, c.claim_ms = CLAIM, c.line_flags = FG_JOURNAL_LINE_LOTTERY;
    assert_int_equal(command(FG_STOCK_LINE_SET, c), FG_STOCK_OUTCOME_DONE);
    c.type = FG_STOCK_LINE_APPLY;
    assert_true(fg_stock_command(stock, now, &c));
    for (int i = 0; i < 9; i++) /* it is written, and not durable */
        fg_stock_poll(stock, now, a, 8);
    assert_int_equal(fg_ring_count(journal), 1);
    assert_int_equal(wait_for(1), FG_PACKET_STATUS_NOT_OPEN);
    run();
    assert_int_equal(lottery.type, FG_JOURNAL_RECORD_LOTTERY);
    assert_int_equal(wait_for(1), FG_PACKET_STATUS_WAITING);
}

/* Another seed, and the same entries. */
static void a_restart_before_the_draw_renews_the_commitment(void **state)
{
    struct fg_journal_record before;
    struct fg_error err;

    begin_draw(1, 90, 100);
    for (uint64_t user = 1; user <= 3; user++)
        assert_int_equal(wait_for(user), FG_PACKET_STATUS_WAITING);
    before = lottery;
    end();
    secret++;
    make(90);
    assert_true(fg_stock_load(stock, ledger, &err));
    assert_int_equal(state_of(2), FG_PACKET_STATUS_WAITING);
    assert_int_equal((uint32_t)last.deadline_ms, 0);
    run();
    assert_memory_not_equal(before.name, lottery.name, sizeof(before.name));
    assert_int_equal(wait_for(4), FG_PACKET_STATUS_WAITING);
    now += 5000;
    run();
    run();
    assert_int_equal(drawn.user, 4);
    assert_int_equal(state_of(drawn_user(4, 0)), FG_PACKET_STATUS_RESERVED);
    end();
    make(90);
    assert_true(fg_stock_load(stock, ledger, &err)); /* and the order that was drawn stays */
    assert_int_equal(state_of(drawn_user(4, 1)), FG_PACKET_STATUS_WAITING);
    assert_int_equal((uint32_t)last.deadline_ms, 4 + 2);
    assert_int_equal(last.left, 0);
}

/* Who comes early has no better chance: 20 bins over the order of arrival, 40 draws of 400 users
 * for 20 units. 64 is passed by chance less than once in a million (19 degrees of freedom). */
static void arrival_makes_no_difference(void **state)
{
    enum { DRAWS = 40, USERS = 400, WINNERS = 20, BINS = 20 };
    const double expected = (double)DRAWS * WINNERS / BINS;
    unsigned wins[BINS] = {0}, all = 0;
    double chi2 = 0;

    for (unsigned d = 0; d < DRAWS; d++) {
        secret = (uint8_t)(d + 1);
        begin_draw(WINNERS, USERS, USERS);
        for (uint64_t user = 1; user <= USERS; user++)
            wait_quickly(user, FG_PACKET_STATUS_WAITING);
        now += 5000;
        while (drawn.type == 0)
            run();
        for (unsigned i = 0; i < 10; i++)
            run();
        for (uint64_t user = 1; user <= USERS; user++)
            if (state_of(user) == FG_PACKET_STATUS_RESERVED) {
                wins[(user - 1) * BINS / USERS]++;
                all++;
            }
    }
    assert_int_equal(all, DRAWS * WINNERS);
    for (unsigned i = 0; i < BINS; i++)
        chi2 += (wins[i] - expected) * (wins[i] - expected) / expected;
    print_message("# chi-square %.1f, 19 degrees of freedom\n", chi2);
    assert_true(chi2 < 64);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_place_is_told_and_kept),
        T(a_unit_that_comes_back_is_offered_to_the_first),
        T(the_line_has_a_length),
        T(a_user_waits_once),
        T(who_was_not_heard_of_keeps_nothing),
        T(who_waits_long_need_not_ask_often),
        T(offers_are_decided_anew),
        T(a_pause_makes_no_offers),
        T(a_cleared_line_is_empty),
        T(several_units_wait_in_strict_order),
        T(a_restart_keeps_the_line),
        T(without_memory_for_it_there_is_no_line),
        T(many_wait),
        T(a_draw_gives_the_tickets),
        T(who_waits_is_not_drawn_again),
        T(who_was_cleared_takes_no_part),
        T(a_draw_is_not_before_the_recorded_opening),
        T(a_full_line_before_the_draw_is_sold_out),
        T(the_earliest_draw_is_seen),
        T(draws_of_one_moment_take_their_time),
        T(nobody_enters_before_the_commitment),
        T(a_restart_before_the_draw_renews_the_commitment),
        T(arrival_makes_no_difference),
    };
    return cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
}
