/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's tables against plain arrays, nearly full, so that slots collide and wrap around. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stock/tables.h"

enum { ORDERS = 60, USERS = 23, NAMES = 40, STEPS = 200000 };

static struct fg_stock *s;
static struct fg_ring *journal;
static struct fg_journal_watermark mark;
static uint64_t state;

static uint32_t rnd(uint32_t n)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((state >> 33) % n);
}

static struct fg_stock_limits limits = {
    .items_max = 4, .orders_max = ORDERS, .users_max = USERS, .parked_max = 4, .deferred_max = 64};

static int setup(void **unused)
{
    static struct fg_ring *none[1];
    struct fg_stock_config c = {
        .workers = 1, .limits = limits, .to = none, .from = none, .mark = &mark};
    struct fg_error err;

    state = 1;
    c.seed = rnd(1000);
    c.journal = journal = fg_ring_create(64);
    s = fg_stock_create(&c, &err);
    assert_non_null(s);
    return 0;
}

static int teardown(void **unused)
{
    fg_stock_destroy(s);
    fg_ring_destroy(journal);
    return 0;
}

static uint32_t home(uint32_t user, uint32_t item)
{
    return usage_home(s, usage_hash(s, user, item));
}

static struct usage *usage_of(uint32_t user, uint32_t item)
{
    return usage_find(s, home(user, item), user, item);
}

struct pair {
    uint32_t units, unsold, slot;
};

/* An order of the pair ends: undone or refunded, unsold, or the payment of one that ended before.
 */
static void end_order(struct pair *m)
{
    uint32_t units = 1 + rnd(m->units), how = rnd(3);

    if (how == 0) {
        fg_stock_usage_sub(s, m->slot, units);
        m->units -= units;
    } else if (how == 1) {
        fg_stock_usage_unsold(s, m->slot, units);
        m->units -= units;
        m->unsold += m->unsold < UNSOLD_MANY;
    } else if (m->unsold) {
        fg_stock_usage_paid(s, m->slot);
        m->unsold -= m->unsold < UNSOLD_MANY;
    }
}

/* Item 1 has a limit per user, so its users count; item 0 has none. */
static void usages_are_what_was_added(void **unused)
{
    static struct pair model[NAMES][2];
    uint32_t live = 0, refused = 0;

    memset(model, 0, sizeof(model));
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t user = rnd(NAMES), item = rnd(2), units = 1 + rnd(3);
        struct pair *m = &model[user][item];
        bool had = m->units > 0, kept = had || m->unsold;

        if (rnd(2)) {
            bool fits = had || item == 0 || live < USERS;
            uint32_t slot =
                usage_add(s, usage_of(user, item), home(user, item), user, item, units, item == 1);

            assert_int_equal(slot != NIL, fits);
            refused += !fits;
            if (fits && kept)
                assert_int_equal(slot, m->slot);
            if (fits)
                *m = (struct pair){m->units + units, m->unsold, slot};
        } else if (had) {
            end_order(m);
        }
        live += item == 1 ? (m->units > 0) - had : 0;
        assert_int_equal(fg_stock_users(s), live);
        for (uint32_t i = 0; i < NAMES; i++)
            for (uint32_t k = 0; k < 2; k++) {
                const struct usage *u = usage_of(i, k);

                assert_int_equal(u ? u->units : 0, model[i][k].units);
                assert_int_equal(u ? u->unsold : 0, model[i][k].unsold);
            }
    }
    assert_true(refused > 0);
}

/* A counter that is full stays full; more units than a place can hold are refused. */
static void usages_have_a_largest(void **unused)
{
    uint32_t slot = usage_add(s, NULL, home(1, 0), 1, 0, USAGE_UNITS_MAX, false);
    struct usage u = {.item = UINT32_MAX & 0xfffff, .passed = PASSED_MANY, .counted = 1};

    assert_true(usage_empty(&u)); /* where the compiler puts the fields */
    u.unsold = 1;
    assert_false(usage_empty(&u));
    assert_true(slot != NIL);

    assert_int_equal(usage_add(s, usage_of(1, 0), home(1, 0), 1, 0, 1, false), NIL);
    for (unsigned i = 0; i < 300; i++)
        fg_stock_usage_unsold(s, slot, 1);
    assert_int_equal(usage_of(1, 0)->unsold, UNSOLD_MANY);
    fg_stock_usage_paid(s, slot);
    assert_int_equal(usage_of(1, 0)->unsold, UNSOLD_MANY);
    assert_int_equal(usage_of(1, 0)->units, USAGE_UNITS_MAX - 300);
}

static uint32_t find(uint32_t name)
{
    uint8_t id[16] = {(uint8_t)name, 1};

    return order_find(s, order_hash(s, name, id), name, id);
}

static void orders_are_found_until_removed(void **unused)
{
    uint32_t model[2 * NAMES], live = 0;

    memset(model, 0xff, sizeof(model));
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t name = rnd(2 * NAMES);
        uint8_t id[16] = {(uint8_t)name, 1};

        if (model[name] != NIL) {
            fg_stock_order_remove(s, model[name]);
            model[name] = NIL;
            live--;
        } else {
            model[name] = order_add(s, order_hash(s, name, id), name, id);
            assert_int_equal(model[name] == NIL, live == ORDERS);
            live += live < ORDERS;
        }
        assert_int_equal(fg_stock_orders(s), live);
        for (uint32_t i = 0; i < 2 * NAMES; i++)
            assert_int_equal(find(i), model[i]);
    }
}

/* An order's place needs all but one bit of a bucket at the largest limit. */
static void buckets_hold_every_index(void **unused)
{
    static const uint32_t maxima[] = {1, 15, 16, 1000, 1u << 30, INT32_MAX};

    for (unsigned i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++) {
        struct fg_stock fake = {.config.limits.orders_max = maxima[i]};
        uint32_t last = maxima[i] - 1;

        order_division(&fake);
        assert_int_equal(bucket_head(&fake, 0), NIL);
        for (unsigned h = 0; h < 256; h++) {
            uint32_t bit = order_bit(&fake, (uint64_t)h << 56);
            uint32_t bucket = bucket_with_head(&fake, bit, last);

            assert_true(bit != 0 && (bucket & bit));
            assert_int_equal(bucket_head(&fake, bucket), last);
            assert_int_equal(bucket_head(&fake, bucket_with_head(&fake, bucket, 0)), 0);
        }
    }
}

static void answers_are_the_same_after_a_prefetch(void **unused)
{
    struct fg_stock_request r[3] = {
        {.op = FG_PACKET_OP_STOCK, .item = 5},
        {.op = FG_PACKET_OP_CANCEL, .user = 1, .order_id = {1}},
        {.op = FG_PACKET_OP_RESERVE, .user = 1, .order_id = {1}, .item = 5, .quantity = 1}};
    struct fg_stock_answer a;

    fg_stock_prefetch(s, r, 3);
    assert_int_equal(fg_stock_request(s, 1, &r[0], 1, &a), FG_STOCK_ANSWERED);
    assert_int_equal(a.status, FG_PACKET_STATUS_UNKNOWN_ITEM);
    fg_stock_request(s, 1, &r[1], 1, &a);
    assert_int_equal(a.status, FG_PACKET_STATUS_UNKNOWN_ORDER);
    fg_stock_request(s, 1, &r[2], 1, &a);
    assert_int_equal(a.status, FG_PACKET_STATUS_UNKNOWN_ITEM);
    fg_stock_item_define(s, 0, 5); /* known only after the prefetch */
    s->items[0].live = 1;
    fg_stock_request(s, 1, &r[2], 1, &a);
    assert_int_equal(a.status, FG_PACKET_STATUS_BAD_QUANTITY);
    s->items[0].order_max = 1;
    s->items[0].hold_ms = 10;
    s->items[0].free = 1;
    assert_int_equal(fg_stock_request(s, 1, &r[2], 1, &a), FG_STOCK_DEFERRED);
    fg_stock_prefetch(s, r, 3);
    assert_int_equal(fg_stock_request(s, 1, &r[1], 1, &a), FG_STOCK_DEFERRED);
    assert_int_equal(fg_counter_read(&fg_stock_counters(s)->cancelled), 1);
}

static void memory_is_said_exactly(void **unused)
{
    struct fg_stock_limits l = limits;
    uint64_t before = fg_stock_memory(&l, 1);

    l.orders_max = 10000000; /* the structures that docs/bench.md counts on */
    l.users_max = 10000000;
    assert_true((double)(fg_stock_memory(&l, 1) - before) / 10000000 <= 96);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(usages_are_what_was_added), T(orders_are_found_until_removed),
        T(buckets_hold_every_index),  T(answers_are_the_same_after_a_prefetch),
        T(memory_is_said_exactly),    T(usages_have_a_largest),
    };
    return cmocka_run_group_tests_name("stock tables", tests, NULL, NULL);
}
