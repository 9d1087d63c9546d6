/* SPDX-License-Identifier: BSD-3-Clause */
/* The journal thread: it commits, tells the mode, counts slow commits, and survives its disk. */
#include "journal_wait.h"

#include "journal/thread.h"

enum { WORKERS = 2, RING = 64, MODES = 10 };

/* The disk: a sync waits while the gate is closed, and a write is refused with an error. */
static _Atomic bool gate_closed;
static _Atomic int write_errno;
static _Atomic unsigned syncs;

static int gated_sync(void *ctx, int fd)
{
    atomic_fetch_add(&syncs, 1);
    while (atomic_load(&gate_closed))
        fg_clock_sleep_us(1000);
    return fg_journal_file_system.sync(NULL, fd);
}

static ssize_t refusing_write(void *ctx, int fd, const void *data, size_t len, uint64_t offset)
{
    int refused = atomic_load(&write_errno);

    if (!refused)
        return fg_journal_file_system.write(NULL, fd, data, len, offset);
    errno = refused;
    return -1;
}

enum { LAG_MAX = 20 };
static _Atomic uint64_t followed; /* what the ledger has */

static struct {
    struct fg_journal *journal;
    struct fg_ring *rings[WORKERS];
    struct fg_journal_watermark *watermarks;
    struct fg_journal_thread *thread;
} w;

/* A number of its own for each pair. */
static int worker_mode(enum fg_journal_state state, bool stopping)
{
    return (int)state + (stopping ? MODES : 0);
}

static int start(void **state)
{
    struct fg_journal_file_ops ops = fg_journal_file_system;
    struct fg_journal_options o = {
        .dir = log_dir, .begin = true, .segment_bytes = SEGMENT, .now_ms = 1};
    struct fg_journal_thread_options t = {.records = w.rings,
                                          .followed_seq = &followed,
                                          .lag_max = LAG_MAX,
                                          .workers = WORKERS,
                                          .clock = started_clock(),
                                          .mode = worker_mode};
    struct fg_error err;

    if (make_scratch(state))
        return -1;
    ops.sync = gated_sync;
    ops.write = refusing_write;
    atomic_store(&gate_closed, false);
    atomic_store(&write_errno, 0);
    atomic_store(&followed, UINT64_MAX);
    w.journal = fg_journal_open_on(&ops, &o, &err);
    for (unsigned i = 0; i < WORKERS; i++)
        w.rings[i] = fg_ring_create(RING);
    w.watermarks = aligned_alloc(FG_CACHE_LINE, WORKERS * sizeof(*w.watermarks));
    memset(w.watermarks, 0, WORKERS * sizeof(*w.watermarks));
    w.thread = calloc(1, sizeof(*w.thread));
    t.journal = w.journal;
    t.watermarks = w.watermarks;
    return fg_journal_thread_start(w.thread, &t, &err) ? 0 : -1;
}

static int stop(void **state)
{
    fg_journal_thread_stop(w.thread);
    free(w.thread);
    free(w.watermarks);
    for (unsigned i = 0; i < WORKERS; i++)
        fg_ring_destroy(w.rings[i]);
    fg_journal_close(w.journal);
    return drop_scratch(state);
}

static void push(unsigned worker, size_t n)
{
    struct fg_journal_record r;

    for (size_t i = 0; i < n; i++) {
        fill_records(&r, 1, worker);
        assert_true(fg_ring_push(w.rings[worker], &r));
    }
    fg_journal_doorbell_ring(&w.thread->doorbell);
}

static uint64_t durable_of(unsigned worker)
{
    return atomic_load(&w.watermarks[worker].durable);
}

static void records_of_each_worker_become_durable(void **state)
{
    static struct fg_journal_record got[RING];
    uint64_t last;
    ssize_t n;

    assert_int_equal(atomic_load(&w.thread->mode), worker_mode(FG_JOURNAL_OK, false));
    push(0, 3);
    push(1, 5);
    wait_until(durable_of(0) == 3 && durable_of(1) == 5);
    last = atomic_load(&w.thread->committer.durable_seq);
    n = read_all(log_dir, got, last, NULL);
    assert_int_equal(n, last);
    assert_int_equal(n, 8 + atomic_load(&w.thread->committer.commits)); /* a BATCH for each */
    assert_int_equal(atomic_load(&w.thread->watch.slow), 0);
}

static void a_ring_ends_the_sleep(void **state)
{
    wait_until(atomic_load(&w.thread->doorbell.asleep)); /* nothing to do */
    push(0, 1);
    wait_until(durable_of(0) == 1);
}

static void the_stop_is_told_to_the_workers(void **state)
{
    atomic_store(&w.thread->stopping, true);
    wait_until(atomic_load(&w.thread->mode) == worker_mode(FG_JOURNAL_OK, true));
    push(0, 1); /* the end of earlier work is still written */
    wait_until(durable_of(0) == 1);
}

static void the_stop_waits_for_the_commit_under_way(void **state)
{
    push(0, RING);
    fg_journal_thread_stop(w.thread);
    /* All or nothing of what one commit took; what it took is durable. */
    assert_int_equal(durable_of(0) + fg_ring_count(w.rings[0]), RING);
    fg_journal_thread_stop(w.thread); /* once more does no harm */
}

static void a_slow_commit_is_seen_while_it_lasts_and_counted(void **state)
{
    struct fg_journal_commit_watch *watch = &w.thread->watch;
    unsigned before = atomic_load(&syncs);
    uint64_t began;

    atomic_store(&gate_closed, true);
    push(1, 1);
    wait_until(atomic_load(&syncs) > before);
    began = atomic_load(&watch->began_ms);
    assert_int_not_equal(began, 0);
    assert_int_not_equal(atomic_load(&w.thread->commit_began), 0);
    assert_int_equal(durable_of(1), 0);
    wait_until(fg_clock_mono_ms() >= began + FG_JOURNAL_SLOW_MS);
    assert_int_equal(atomic_load(&watch->slow), 0); /* not over */
    atomic_store(&gate_closed, false);
    wait_until(durable_of(1) == 1 && atomic_load(&watch->slow) == 1);
    assert_true(atomic_load(&watch->slow_ms) >= FG_JOURNAL_SLOW_MS);
    assert_true(atomic_load(&watch->max_ms) >= FG_JOURNAL_SLOW_MS);
    push(1, 1);
    wait_until(durable_of(1) == 2);
    assert_int_equal(atomic_load(&watch->slow), 1); /* a fast one is not counted */
    wait_until(atomic_load(&w.thread->commit_began) == 0 && atomic_load(&watch->began_ms) == 0);
}

static void a_full_disk_is_told_and_tried_again(void **state)
{
    atomic_store(&write_errno, ENOSPC);
    push(0, 2);
    wait_until(atomic_load(&w.thread->mode) == worker_mode(FG_JOURNAL_FULL, false));
    assert_int_equal(durable_of(0), 0);
    atomic_store(&write_errno, 0);
    wait_until(durable_of(0) == 2); /* no doorbell rings now */
    wait_until(atomic_load(&w.thread->mode) == worker_mode(FG_JOURNAL_OK, false));
}

static void a_failed_write_is_final(void **state)
{
    push(0, 1);
    wait_until(durable_of(0) == 1);
    atomic_store(&write_errno, EIO);
    push(0, 1);
    wait_until(atomic_load(&w.thread->mode) == worker_mode(FG_JOURNAL_FAILED, false));
    atomic_store(&write_errno, 0);
    push(1, 1);
    atomic_store(&w.thread->stopping, true);
    wait_until(atomic_load(&w.thread->mode) ==
               worker_mode(FG_JOURNAL_FAILED, true)); /* a loop later */
    assert_int_equal(durable_of(0), 1);
    assert_int_equal(durable_of(1), 0);
    assert_non_null(strstr(fg_journal_error(w.journal), strerror(EIO)));
}

static void a_ledger_that_lags_holds_the_workers_back(void **state)
{
    uint64_t last;

    atomic_store(&followed, 0);
    push(0, LAG_MAX / 2);
    wait_until(durable_of(0) == LAG_MAX / 2);
    assert_int_equal(atomic_load(&w.thread->mode), worker_mode(FG_JOURNAL_OK, false));
    push(0, LAG_MAX);
    wait_until(atomic_load(&w.thread->mode) == worker_mode(FG_JOURNAL_FULL, false));
    wait_until(durable_of(0) == LAG_MAX / 2 + LAG_MAX); /* what was decided is written */
    assert_int_equal(atomic_load(&w.thread->committer.state), FG_JOURNAL_OK);
    last = atomic_load(&w.thread->committer.durable_seq);
    atomic_store(&followed, last - LAG_MAX / 2 - 1);
    push(1, 1);
    wait_until(durable_of(1) == 1);
    assert_int_equal(atomic_load(&w.thread->mode), worker_mode(FG_JOURNAL_FULL, false));
    atomic_store(&followed, last);
    wait_until(atomic_load(&w.thread->mode) == worker_mode(FG_JOURNAL_OK, false));
    assert_int_equal(atomic_load(&w.thread->lagged), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_of_each_worker_become_durable),
        TEST(a_ring_ends_the_sleep),
        TEST(the_stop_is_told_to_the_workers),
        TEST(the_stop_waits_for_the_commit_under_way),
        TEST(a_slow_commit_is_seen_while_it_lasts_and_counted),
        TEST(a_full_disk_is_told_and_tried_again),
        TEST(a_failed_write_is_final),
        TEST(a_ledger_that_lags_holds_the_workers_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
