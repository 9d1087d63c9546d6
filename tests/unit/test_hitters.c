/* SPDX-License-Identifier: BSD-3-Clause */
/* The bounds of the space-saving algorithm against exact counts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "penalty/hitters.h"

#define SOURCES  20000
#define EVENTS   300000
#define COUNTERS 256

static uint64_t random_state;

static uint64_t next_random(void) /* xorshift64*, Vigna 2016 */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dull;
}

static struct fg_filter_prefix source(unsigned number)
{
    struct fg_filter_prefix p = {.family = 4, .length = 32};

    p.addr[0] = 198;
    p.addr[1] = (uint8_t)(18 + (number >> 16));
    p.addr[2] = (uint8_t)(number >> 8);
    p.addr[3] = (uint8_t)number;
    return p;
}

static unsigned number_of(const struct fg_filter_prefix *p)
{
    return (unsigned)(p->addr[1] - 18) << 16 | (unsigned)p->addr[2] << 8 | p->addr[3];
}

/* Cumulated weights of rank^-s; s = 0: all alike. */
static void zipf(double s, double *until)
{
    double sum = 0;

    for (unsigned i = 0; i < SOURCES; i++)
        until[i] = sum += pow(i + 1, -s);
}

static unsigned draw(const double *until)
{
    double at = (double)(next_random() >> 11) / 9007199254740992.0 * until[SOURCES - 1];
    unsigned low = 0, high = SOURCES - 1;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (until[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void check_bounds(const struct fg_hitters *h, const double *exact, double total)
{
    struct fg_penalty_hitter top[COUNTERS];
    unsigned n = fg_penalty_hitters_top(h, top, COUNTERS);
    double bound = total / COUNTERS, sum = 0;

    assert_float_equal(fg_penalty_hitters_total(h), total, 1e-6 * total);
    assert_true(n <= COUNTERS);
    for (unsigned i = 0; i < n; i++) {
        double is = exact[number_of(&top[i].source)];

        sum += top[i].count;
        assert_true(top[i].error <= bound + 1e-6);
        assert_true(top[i].count + 1e-6 >= is);
        assert_true(top[i].count - top[i].error <= is + 1e-6);
        assert_true(top[i].proven <= is + 1e-6);
        assert_true(i == 0 || top[i].count <= top[i - 1].count);
    }
    assert_float_equal(sum, total, 1e-6 * total); /* nothing is lost: what makes the bound hold */
    for (unsigned i = 0; i < SOURCES; i++) {
        struct fg_filter_prefix s = source(i);

        assert_true(exact[i] <= bound || fg_penalty_hitters_find(h, &s));
    }
}

static void bounds_hold_on_zipf_streams(void **state)
{
    static const double exponents[] = {0, 0.5, 0.8, 1, 1.2, 2};
    static double until[SOURCES], exact[SOURCES];

    for (unsigned k = 0; k < sizeof(exponents) / sizeof(exponents[0]); k++) {
        struct fg_hitters *h = fg_penalty_hitters_create(COUNTERS, 7 + k);
        double total = 0;

        random_state = 42 + k;
        memset(exact, 0, sizeof(exact));
        zipf(exponents[k], until);
        for (unsigned i = 1; i <= EVENTS; i++) {
            unsigned number = draw(until), events = 1 + (unsigned)(next_random() % 3);
            struct fg_filter_prefix s = source(number);

            fg_penalty_hitters_add(h, &s, events, next_random() & 1, i);
            exact[number] += events;
            total += events;
            if (i % (EVENTS / 4))
                continue;
            check_bounds(h, exact, total);
            fg_penalty_hitters_halve(h); /* and the bounds hold for what is left */
            total /= 2;
            for (unsigned n = 0; n < SOURCES; n++)
                exact[n] /= 2;
            check_bounds(h, exact, total);
        }
        fg_penalty_hitters_destroy(h);
    }
}

/* The worst stream: every event is of another source, then one source comes again and again. */
static void one_who_stands_out_is_found_among_many(void **state)
{
    static double exact[SOURCES];
    struct fg_hitters *h = fg_penalty_hitters_create(COUNTERS, 3);
    struct fg_filter_prefix loud = source(SOURCES - 1);
    const struct fg_penalty_hitter *found;
    unsigned own = 4 * SOURCES / COUNTERS;

    for (unsigned i = 0; i < SOURCES - 1; i++) {
        struct fg_filter_prefix s = source(i);

        fg_penalty_hitters_add(h, &s, 1, false, i);
        exact[i] = 1;
        if (i % (SOURCES / own) == 0) {
            fg_penalty_hitters_add(h, &loud, 1, true, i);
            exact[SOURCES - 1]++;
        }
    }
    check_bounds(h, exact, fg_penalty_hitters_total(h));
    found = fg_penalty_hitters_find(h, &loud);
    assert_non_null(found);
    assert_true(found->count >= exact[SOURCES - 1]);
    fg_penalty_hitters_destroy(h);
}

static void few_sources_are_counted_exactly(void **state)
{
    struct fg_hitters *h = fg_penalty_hitters_create(4, 1);
    struct fg_filter_prefix six = {.family = 6, .length = 64, .addr = {198, 18}},
                            four = {.family = 4, .length = 32, .addr = {198, 18}};
    struct fg_penalty_hitter top[4];

    fg_penalty_hitters_add(h, &four, 5, true, 10);
    fg_penalty_hitters_add(h, &six, 7, false, 20);
    fg_penalty_hitters_add(h, &four, 1, false, 30);
    assert_int_equal(fg_penalty_hitters_top(h, top, 4), 2);
    assert_int_equal(top[0].source.family, 6);
    assert_float_equal(top[1].count, 6, 0);
    assert_float_equal(top[1].error, 0, 0);
    assert_float_equal(top[1].proven, 5, 0);
    assert_int_equal(top[1].last_ms, 30);
    assert_int_equal(fg_penalty_hitters_top(h, top, 1), 1);
    fg_penalty_hitters_clear(h);
    assert_int_equal(fg_penalty_hitters_top(h, top, 4), 0);
    assert_null(fg_penalty_hitters_find(h, &four));
    assert_float_equal(fg_penalty_hitters_total(h), 0, 0);
    fg_penalty_hitters_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_hold_on_zipf_streams),
        cmocka_unit_test(one_who_stands_out_is_found_among_many),
        cmocka_unit_test(few_sources_are_counted_exactly),
    };

    return cmocka_run_group_tests_name("hitters", tests, NULL, NULL);
}
