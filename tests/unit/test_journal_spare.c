/* SPDX-License-Identifier: BSD-3-Clause */
/* The next segment is prepared by a thread of its own (spare.h): in time, too late, badly; never at
 * the log's cost. */
#include "journal_support.h"

#include <stdatomic.h>

#define LARGE (5ull << 19) /* 2.5 pieces of the thread */

static struct fg_journal_record got[READ_MAX];
static pthread_t writer;

enum call { CREATE, ALLOCATE, WRITE, SYNC, CALLS, NONE = CALLS };
static _Atomic unsigned calls[2][CALLS];  /* of the writer, of the other thread */
static _Atomic int fail_call, fail_errno; /* of the other thread */
static _Atomic unsigned slow_us;

static bool refused(enum call call)
{
    bool other = !pthread_equal(pthread_self(), writer);

    atomic_fetch_add(&calls[other][call], 1);
    if (other && slow_us)
        usleep(slow_us);
    if (!other || fail_call != (int)call)
        return false;
    errno = fail_errno;
    return true;
}

static int create(void *ctx, int dir_fd, const char *name)
{
    return refused(CREATE) ? -1 : fg_journal_file_system.create(ctx, dir_fd, name);
}

static int allocate(void *ctx, int fd, uint64_t bytes)
{
    return refused(ALLOCATE) ? -1 : fg_journal_file_system.allocate(ctx, fd, bytes);
}

static ssize_t write_some(void *ctx, int fd, const void *data, size_t len, uint64_t offset)
{
    return refused(WRITE) ? -1 : fg_journal_file_system.write(ctx, fd, data, len, offset);
}

static int sync_file(void *ctx, int fd)
{
    return refused(SYNC) ? -1 : fg_journal_file_system.sync(ctx, fd);
}

static struct fg_journal *open_prepared(uint64_t segment_bytes, unsigned prepare_ms)
{
    struct fg_journal_options o = {
        .dir = log_dir, .segment_bytes = segment_bytes, .prepare_ms = prepare_ms, .now_ms = 1};
    struct fg_journal_file_ops ops = fg_journal_file_system;
    struct fg_error err = {""};
    struct fg_journal *j;

    o.begin = !fg_journal_found(log_dir);
    memset(calls, 0, sizeof(calls));
    writer = pthread_self();
    ops.create = create;
    ops.allocate = allocate;
    ops.write = write_some;
    ops.sync = sync_file;
    j = fg_journal_open_on(&ops, &o, &err);
    if (!j)
        fail_msg("%s", err.text);
    return j;
}

static int setup(void **state)
{
    fail_call = NONE;
    slow_us = 0;
    return make_scratch(state);
}

static void wait_for(_Atomic unsigned *count, unsigned least)
{
    for (int i = 0; i < 20000 && *count < least; i++)
        usleep(1000);
    assert_true(*count >= least);
}

/* Whole commits of n records, nonces 1.. */
static void check(uint64_t commits, size_t n)
{
    struct fg_error err = {""};
    ssize_t total = read_all(log_dir, got, UINT64_MAX, &err);

    if (total < 0)
        fail_msg("%s", err.text);
    assert_int_equal(total, commits * (n + 1));
    for (uint64_t c = 0; c < commits; c++)
        for (size_t i = 0; i <= n; i++) {
            const struct fg_journal_record *r = &got[c * (n + 1) + i];

            assert_int_equal(r->type, i ? FG_JOURNAL_RECORD_RESERVED : FG_JOURNAL_RECORD_BATCH);
            assert_true(i == 0 || (r->user == c + 1 && r->arg == i - 1));
        }
}

static void the_next_segment_is_there_in_time(void **state)
{
    struct fg_journal *j = open_prepared(SEGMENT, 1);

    assert_int_equal(calls[0][CREATE], 1);
    assert_true(calls[0][WRITE] >= 2); /* zeros before the header */
    for (uint64_t c = 1; c <= 5; c++) {
        wait_for(&calls[1][SYNC], (unsigned)c - 1); /* one piece is a segment */
        assert_true(
            commit_n(j, SLOTS - 1, c)); /* fills one, so that the next commit begins another */
    }
    assert_int_equal(calls[0][CREATE], 1);
    assert_int_equal(calls[0][ALLOCATE], 1);
    check(5, SLOTS - 1);
    fg_journal_close(j);
    assert_int_equal(access(in_log(FG_JOURNAL_SPARE_NAME), F_OK), -1);
    j = open_prepared(SEGMENT, 1);
    assert_true(commit_n(j, SLOTS - 1, 6));
    fg_journal_close(j);
    check(6, SLOTS - 1);
}

static void a_writer_in_a_hurry_takes_what_there_is(void **state)
{
    struct fg_journal *j = open_prepared(LARGE, 1);
    uint64_t commits = 0;

    slow_us = 700; /* each piece takes a while, and is met in the middle of it */
    for (unsigned size = LARGE / 64; commits < 90; commits++) {
        if (commits % 7 == 3)
            usleep(4000);
        assert_true(commit_n(j, size / 40, commits + 1));
    }
    wait_for(&calls[1][CREATE], 1); /* on a busy machine it may come late */
    check(commits, LARGE / 64 / 40);
    fg_journal_close(j);
    j = open_prepared(LARGE, 1);
    assert_int_equal(fg_journal_cut_records(j), 0);
    fg_journal_close(j);
    check(commits, LARGE / 64 / 40);
}

static void what_the_thread_cannot_do_the_writer_does(void **state)
{
    for (enum call call = CREATE; call < CALLS; call++) {
        struct fg_journal *j;

        remove_tree(log_dir);
        fail_call = (int)call;
        fail_errno = call == ALLOCATE ? ENOSPC : EIO;
        j = open_prepared(SEGMENT, 1);
        for (uint64_t c = 1; c <= 4; c++) {
            wait_for(&calls[1][call], (unsigned)c - 1); /* commit c needs segment c */
            assert_true(commit_n(j, SLOTS - 1, c));
        }
        assert_int_equal(fg_journal_state(j), FG_JOURNAL_OK);
        assert_int_equal(calls[0][CREATE], 4);
        fg_journal_close(j);
        assert_int_equal(access(in_log(FG_JOURNAL_SPARE_NAME), F_OK), -1);
        check(4, SLOTS - 1);
    }
}

static void not_before_its_time(void **state)
{
    struct fg_journal *j = open_prepared(SEGMENT, 60000);

    for (uint64_t c = 1; c <= 3; c++)
        assert_true(commit_n(j, SLOTS - 1, c));
    assert_int_equal(calls[1][CREATE], 0);
    assert_int_equal(calls[0][CREATE], 3);
    fg_journal_close(j); /* and it does not wait for that time */
    check(3, SLOTS - 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, drop_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_next_segment_is_there_in_time),
        T(a_writer_in_a_hurry_takes_what_there_is),
        T(what_the_thread_cannot_do_the_writer_does),
        T(not_before_its_time),
    };
    return cmocka_run_group_tests_name("journal_spare", tests, NULL, NULL);
}
