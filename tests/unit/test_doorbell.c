/* SPDX-License-Identifier: BSD-3-Clause */
/* The sleep of the journal's thread, and how long it asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <pthread.h>

#include "journal/doorbell.h"
#include "journal/pace.h"

#define LONG_US 60000000u /* a test that sleeps so long has failed */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_rung_before(void **state)
{
    struct fg_journal_doorbell bell = {0};
    double began = seconds();

    fg_journal_doorbell_init(&bell);
    fg_journal_doorbell_ring(&bell);
    fg_journal_doorbell_sleep(&bell, LONG_US);
    assert_true(seconds() - began < 30);
}

static void test_nobody_rings(void **state)
{
    struct fg_journal_doorbell bell = {0};
    double began = seconds();

    fg_journal_doorbell_ring(&bell); /* before anybody sleeps: means nothing */
    fg_journal_doorbell_init(&bell);
    fg_journal_doorbell_sleep(&bell, 20000);
    assert_true(seconds() - began > 0.018);
}

static void *ring_later(void *bell)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    fg_journal_doorbell_ring(bell);
    return NULL;
}

static void test_rung_asleep(void **state)
{
    struct fg_journal_doorbell bell = {0};
    double began = seconds();
    pthread_t thread;

    fg_journal_doorbell_init(&bell);
    assert_int_equal(pthread_create(&thread, NULL, ring_later, &bell), 0);
    fg_journal_doorbell_sleep(&bell, LONG_US);
    pthread_join(thread, NULL);
    assert_true(seconds() - began < 30);
}

/* The longest sleep after a record, and the longest in silence. */
static void check_pace(bool woken, unsigned busy_us)
{
    struct fg_journal_pace pace = {0};
    unsigned most = 0;

    for (unsigned slept = 0; slept < FG_JOURNAL_PACE_SILENT_US;) {
        unsigned us = fg_journal_pace_idle(&pace, woken);

        most = us > most ? us : most;
        slept += us;
    }
    assert_int_equal(most, busy_us);
    for (unsigned i = 0; i < 10; i++)
        most = fg_journal_pace_idle(&pace, woken);
    assert_int_equal(most, FG_JOURNAL_PACE_QUIET_US);
    fg_journal_pace_worked(&pace);
    assert_true(fg_journal_pace_idle(&pace, woken) <= FG_JOURNAL_PACE_BUSY_US);
}

static void test_pace(void **state)
{
    check_pace(false, FG_JOURNAL_PACE_BUSY_US);
    check_pace(true, FG_JOURNAL_PACE_WOKEN_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rung_before),
        cmocka_unit_test(test_nobody_rings),
        cmocka_unit_test(test_rung_asleep),
        cmocka_unit_test(test_pace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
