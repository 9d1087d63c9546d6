/* SPDX-License-Identifier: BSD-3-Clause */
/* Which workers are stalled, and which have no work left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "worker/watch.h"

enum { WORKERS = 2, START_MS = 5000 };

static struct fg_worker *workers;
static struct fg_worker_group group;
static struct fg_worker_watch watch;

static int begin(void **state)
{
    memset(&group, 0, sizeof(group));
    memset(&watch, 0, sizeof(watch));
    workers = aligned_alloc(FG_CACHE_LINE, WORKERS * sizeof(*workers));
    memset(workers, 0, WORKERS * sizeof(*workers));
    group.options.workers.count = WORKERS;
    group.records = calloc(WORKERS, sizeof(*group.records));
    group.watermarks = aligned_alloc(FG_CACHE_LINE, WORKERS * sizeof(*group.watermarks));
    memset(group.watermarks, 0, WORKERS * sizeof(*group.watermarks));
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].index = i;
        group.list[i] = &workers[i];
        group.records[i] = fg_ring_create(8);
        atomic_store(&workers[i].quiet, true);
    }
    return 0;
}

static int end(void **state)
{
    for (unsigned i = 0; i < WORKERS; i++)
        fg_ring_destroy(group.records[i]);
    free(group.records);
    free(group.watermarks);
    free(workers);
    return 0;
}

static unsigned stalled_at(uint64_t ms)
{
    fg_worker_watch_poll(&watch, &group, START_MS + ms);
    return atomic_load(&watch.stalled);
}

static void a_worker_without_loops_is_stalled_until_it_loops_again(void **state)
{
    assert_int_equal(stalled_at(0), 0); /* none has made a loop yet */
    fg_counter_add(&workers[0].counters.loops, 1);
    assert_int_equal(stalled_at(FG_WORKER_STALL_MS - 1), 0);
    assert_int_equal(stalled_at(FG_WORKER_STALL_MS), 1); /* worker 1 */
    assert_int_equal(stalled_at(2 * FG_WORKER_STALL_MS), 2);
    fg_counter_add(&workers[0].counters.loops, 1);
    assert_int_equal(stalled_at(2 * FG_WORKER_STALL_MS + 100), 1);
    fg_counter_add(&workers[1].counters.loops, 1);
    assert_int_equal(stalled_at(2 * FG_WORKER_STALL_MS + 200), 0);
}

static void workers_are_quiet_when_engines_and_records_are(void **state)
{
    const uint8_t record[FG_RING_SLOT] = {1};

    assert_true(fg_worker_group_quiet(&group, false));
    atomic_store(&workers[1].quiet, false);
    assert_false(fg_worker_group_quiet(&group, false));
    assert_false(fg_worker_group_quiet(&group, true));
    atomic_store(&workers[1].quiet, true);
    assert_true(fg_ring_push(group.records[0], record));
    assert_false(fg_worker_group_quiet(&group, false)); /* not durable yet */
    assert_true(fg_worker_group_quiet(&group, true));   /* and it never will be */
    atomic_store(&group.watermarks[0].durable, 1);
    assert_true(fg_worker_group_quiet(&group, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_worker_without_loops_is_stalled_until_it_loops_again,
                                        begin, end),
        cmocka_unit_test_setup_teardown(workers_are_quiet_when_engines_and_records_are, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
