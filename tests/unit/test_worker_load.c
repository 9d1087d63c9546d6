/* SPDX-License-Identifier: BSD-3-Clause */
/* What the workers take from the ledger: every order is at the owner of its user and nowhere else,
 * also when there are more than one part has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "worker/load.h"

enum { WORKERS = 3, ITEM = 7, MANY = 1000003 /* more than load.c takes at a time */ };

static struct fg_worker_group group;
static struct fg_ledger *ledger;
static struct fg_ring *journal;
static struct fg_journal_watermark durable;

static void apply(struct fg_journal_record record)
{
    struct fg_error err;

    record.seq = fg_ledger_seq(ledger) + 1;
    if (!fg_ledger_apply(ledger, &record, &err))
        fail_msg("%s", err.text);
}

static struct fg_journal_record order(uint64_t user)
{
    struct fg_journal_record r = {
        .type = FG_JOURNAL_RECORD_RESERVED, .item = ITEM, .user = user, .quantity = 1, .arg = 1000};

    memcpy(r.order_id, &user, sizeof(user));
    return r;
}

static void make_ledger(unsigned orders)
{
    ledger = fg_ledger_create();
    apply((struct fg_journal_record){
        .type = FG_JOURNAL_RECORD_ITEM_SET, .item = ITEM, .order_max = 1, .hold_ms = 100});
    apply((struct fg_journal_record){
        .type = FG_JOURNAL_RECORD_STOCK, .item = ITEM, .arg = FG_JOURNAL_UNITS_MAX});
    for (unsigned user = 1; user <= orders; user++)
        apply(order(user));
}

/* As fg_worker_group_create does it; but without the EAL, which loading does not need. */
static void make_group(uint32_t orders_max)
{
    static struct fg_ring *none[WORKERS];
    struct fg_error err;

    memset(&group, 0, sizeof(group));
    group.options.workers.count = WORKERS;
    group.options.limits = (struct fg_stock_limits){.items_max = 2,
                                                    .orders_max = orders_max,
                                                    .users_max = orders_max,
                                                    .parked_max = 4,
                                                    .deferred_max = 64};
    journal = fg_ring_create(64);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct fg_stock_config c = {.worker = i,
                                    .workers = WORKERS,
                                    .limits = group.options.limits,
                                    .to = none,
                                    .from = none,
                                    .journal = journal,
                                    .mark = &durable,
                                    .seed = 3};

        group.list[i] = aligned_alloc(FG_CACHE_LINE, sizeof(struct fg_worker));
        memset(group.list[i], 0, sizeof(struct fg_worker));
        group.list[i]->stock = fg_stock_create(&c, &err);
        if (!group.list[i]->stock)
            fail_msg("%s", err.text);
    }
}

static void drop_all(void)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        fg_stock_destroy(group.list[i]->stock);
        free(group.list[i]);
    }
    fg_ring_destroy(journal);
    fg_ledger_destroy(ledger);
}

static void expect_shares(unsigned orders)
{
    unsigned owned[WORKERS] = {0}, sum = 0;

    for (unsigned user = 1; user <= orders; user++)
        owned[fg_user_owner(user, WORKERS)]++;
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(fg_stock_orders(group.list[i]->stock), owned[i]);
        sum += owned[i];
    }
    assert_int_equal(sum, orders);
}

static void every_order_is_at_its_owner(void **state)
{
    struct fg_error err;

    make_ledger(100);
    make_group(100);
    assert_true(fg_worker_group_load(&group, ledger, &err));
    expect_shares(100);
    drop_all();
}

static void an_empty_ledger_loads_nothing(void **state)
{
    struct fg_error err;

    make_ledger(0);
    make_group(100);
    assert_true(fg_worker_group_load(&group, ledger, &err));
    expect_shares(0);
    drop_all();
}

static void parts_leave_no_gap_and_no_overlap(void **state)
{
    struct fg_error err;

    make_ledger(MANY);
    make_group(MANY / 2);
    assert_true(fg_worker_group_load(&group, ledger, &err));
    expect_shares(MANY);
    drop_all();
}

/* Refused before anything is loaded, with the limit that is too small. */
static void a_ledger_that_does_not_fit_is_refused(void **state)
{
    struct fg_error err = {""};

    make_ledger(100);
    make_group(20);
    assert_false(fg_worker_group_load(&group, ledger, &err));
    assert_non_null(strstr(err.text, "orders"));
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(fg_stock_orders(group.list[i]->stock), 0);
    drop_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_is_at_its_owner),
        cmocka_unit_test(an_empty_ledger_loads_nothing),
        cmocka_unit_test(parts_leave_no_gap_and_no_overlap),
        cmocka_unit_test(a_ledger_that_does_not_fit_is_refused),
    };

    return cmocka_run_group_tests_name("worker_load", tests, NULL, NULL);
}
