/* SPDX-License-Identifier: BSD-3-Clause */
/* The check of the limits must agree with the engines, which it replaces where they would cost too
 * much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stock/stock.h"

enum { CASES = 400 };

static unsigned pick(unsigned *seed, unsigned from, unsigned to)
{
    return from + (unsigned)rand_r(seed) % (to - from + 1);
}

static void apply(struct fg_ledger *ledger, struct fg_journal_record record)
{
    struct fg_error err;

    record.seq = fg_ledger_seq(ledger) + 1;
    if (!fg_ledger_apply(ledger, &record, &err))
        fail_msg("%s", err.text);
}

static void add_order(struct fg_ledger *ledger, unsigned *seed, unsigned number, unsigned items)
{
    static const uint16_t ends[] = {0, FG_JOURNAL_RECORD_SOLD, FG_JOURNAL_RECORD_CANCELLED,
                                    FG_JOURNAL_RECORD_EXPIRED};
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_RESERVED,
                                  .item = pick(seed, 1, items),
                                  .user = pick(seed, 1, 20),
                                  .order_id = {(uint8_t)number, 1},
                                  .quantity = 1,
                                  .arg = 1000};

    apply(ledger, r);
    r.type = ends[pick(seed, 0, 3)];
    r.arg = 0;
    if (r.type)
        apply(ledger, r);
}

static struct fg_ledger *make_ledger(unsigned *seed)
{
    struct fg_ledger *ledger = fg_ledger_create();
    unsigned items = pick(seed, 1, 4), orders = pick(seed, 0, 80);

    for (unsigned i = 1; i <= items; i++) {
        apply(ledger,
              (struct fg_journal_record){
                  .type = FG_JOURNAL_RECORD_ITEM_SET, .item = i, .order_max = 5, .hold_ms = 100});
        apply(ledger,
              (struct fg_journal_record){.type = FG_JOURNAL_RECORD_STOCK, .item = i, .arg = 100});
    }
    for (unsigned i = 0; i < orders; i++)
        add_order(ledger, seed, i, items);
    return ledger;
}

static bool engines_take(const struct fg_stock_limits *limits, unsigned workers,
                         const struct fg_ledger *ledger)
{
    static struct fg_ring *none[FG_WORKERS_MAX];
    static struct fg_journal_watermark mark;
    struct fg_ring *journal = fg_ring_create(64);
    bool ok = true;

    for (unsigned i = 0; i < workers && ok; i++) {
        struct fg_stock_config c = {.worker = i,
                                    .workers = workers,
                                    .limits = *limits,
                                    .to = none,
                                    .from = none,
                                    .journal = journal,
                                    .mark = &mark,
                                    .seed = 3};
        struct fg_error err;
        struct fg_stock *stock = fg_stock_create(&c, &err);

        assert_non_null(stock);
        ok = fg_stock_load(stock, ledger, &err);
        fg_stock_destroy(stock);
    }
    fg_ring_destroy(journal);
    return ok;
}

static void the_check_agrees_with_the_engines(void **state)
{
    unsigned refused[2] = {0}, taken = 0;

    for (unsigned n = 1; n <= CASES; n++) {
        unsigned seed = n, workers = pick(&seed, 1, 4);
        struct fg_ledger *ledger = make_ledger(&seed);
        struct fg_stock_limits limits = {.items_max = pick(&seed, 2, 6),
                                         .orders_max = pick(&seed, 5, 60),
                                         .users_max = pick(&seed, 5, 30),
                                         .parked_max = 4,
                                         .deferred_max = 16};
        struct fg_error err = {""};
        bool ok = fg_stock_check_ledger(&limits, workers, ledger, &err);

        if (ok != engines_take(&limits, workers, ledger))
            fail_msg("case %u: the check says %s", n, ok ? "ok" : err.text);
        taken += ok;
        for (unsigned i = 0; i < 2 && !ok; i++)
            refused[i] += err.text[0] == "io"[i]; /* items_max, orders_max */
        fg_ledger_destroy(ledger);
    }
    print_message("taken %u, refused for items %u, orders %u\n", taken, refused[0], refused[1]);
    assert_true(taken && refused[0] && refused[1]);
}

static void denied_users_are_counted_by_worker(void **state)
{
    struct fg_stock_limits limits = {.items_max = 1, .orders_max = 1, .users_max = 1};
    struct fg_ledger *ledger = fg_ledger_create();
    struct fg_error err;

    for (unsigned i = 0; i < FG_STOCK_DENIED_MAX; i++)
        apply(ledger,
              (struct fg_journal_record){.type = FG_JOURNAL_RECORD_USER, .arg = 1, .user = i + 1});
    assert_true(fg_stock_check_ledger(&limits, 1, ledger, &err));
    apply(ledger, (struct fg_journal_record){
                      .type = FG_JOURNAL_RECORD_USER, .arg = 1, .user = FG_STOCK_DENIED_MAX + 1});
    assert_true(fg_stock_check_ledger(&limits, 2, ledger, &err));
    assert_false(fg_stock_check_ledger(&limits, 1, ledger, &err));
    assert_string_equal(err.text, "worker 0 has room for 16384 denied users");
    fg_ledger_destroy(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_agrees_with_the_engines),
        cmocka_unit_test(denied_users_are_counted_by_worker),
    };
    return cmocka_run_group_tests_name("stock_check", tests, NULL, NULL);
}
