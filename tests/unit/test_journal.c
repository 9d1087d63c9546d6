/* SPDX-License-Identifier: BSD-3-Clause */
/* The log on a healthy disk and on damaged files. Failing disks and power cuts:
 * test_journal_faults.c. */
#include "journal_support.h"

#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "journal/queue.h"

static struct fg_journal_record got[READ_MAX];

static void a_new_log_is_empty_and_keeps_its_identity(void **state)
{
    struct fg_error err;
    struct fg_journal *j = must_open();
    struct fg_journal_reader *r = fg_journal_reader_open(log_dir, 1, &err);
    uint64_t id = fg_journal_reader_appliance(r);

    assert_int_not_equal(id, 0);
    assert_int_equal(fg_journal_last_seq(j), 0);
    assert_int_equal(fg_journal_state(j), FG_JOURNAL_OK);
    assert_string_equal(fg_journal_error(j), "");
    assert_int_equal(fg_journal_read(r, got, 10, UINT64_MAX, &err), 0);
    assert_true(fg_journal_commit(j, NULL, 0, 1)); /* nothing: nothing is written */
    assert_int_equal(fg_journal_last_seq(j), 0);
    fg_journal_close(j);
    fg_journal_reader_close(r);

    j = must_open();
    r = fg_journal_reader_open(log_dir, 1, &err);
    assert_true(fg_journal_reader_appliance(r) == id);
    fg_journal_reader_close(r);
    fg_journal_close(j);
}

/* Checks that got[0..n-1] are the commits sizes[0..commits-1] with nonces 1.. */
static void check_commits(const size_t *sizes, size_t commits, ssize_t n)
{
    ssize_t at = 0;

    for (size_t c = 0; c < commits; c++) {
        assert_true(at < n);
        assert_int_equal(got[at].type, FG_JOURNAL_RECORD_BATCH);
        assert_int_equal(got[at].seq, at + 1);
        assert_int_equal(got[at].arg, at); /* all before it was durable */
        assert_int_equal(got[at].time_ms, c + 1);
        at++;
        for (size_t i = 0; i < sizes[c]; i++, at++) {
            assert_true(at < n);
            assert_int_equal(got[at].seq, at + 1);
            assert_int_equal(got[at].user, c + 1);
            assert_int_equal(got[at].arg, i);
            assert_int_equal(got[at].crc, fg_journal_record_crc(&got[at]));
        }
    }
    assert_int_equal(at, n);
}

static void commits_come_back_across_segments(void **state)
{
    /* fills the first segment to one place before its end, then exactly, then several segments at
     * once */
    static const size_t sizes[] = {1, 500, SLOTS - 2 - 501 - 1 - 1, 1, SLOTS - 2, 5, 3000, 9000,
                                   1, 2};
    struct fg_error err = {""};
    size_t commits = sizeof(sizes) / sizeof(*sizes), total = 0;
    struct fg_journal *j = must_open();
    ssize_t n;

    for (size_t c = 0; c < commits; c++) {
        assert_true(commit_n(j, sizes[c], c + 1));
        total += sizes[c] + 1;
        assert_int_equal(fg_journal_last_seq(j), total);
        if (c % 2) {
            fg_journal_close(j);
            j = must_open();
            assert_int_equal(fg_journal_last_seq(j), total);
            assert_int_equal(fg_journal_cut_records(j), 0);
        }
    }
    n = read_all(log_dir, got, UINT64_MAX, &err);
    assert_string_equal(err.text, "");
    check_commits(sizes, commits, n);
    assert_int_equal(access(segment_path(1 + SLOTS), F_OK), 0);
    assert_int_equal(access(in_log("next.tmp"), F_OK), -1);
    fg_journal_close(j);
}

static void segment_size_may_change_between_runs(void **state)
{
    static const size_t sizes[] = {2500, 2500, 2500};
    struct fg_error err = {""};
    struct fg_journal *j = must_open();
    struct fg_journal_options o = {.dir = log_dir, .segment_bytes = 3 * SEGMENT + 64};

    assert_true(commit_n(j, sizes[0], 1));
    fg_journal_close(j);
    j = fg_journal_open(&o, &err);
    assert_true(commit_n(j, sizes[1], 2));
    fg_journal_close(j);
    j = must_open();
    assert_true(commit_n(j, sizes[2], 3));
    check_commits(sizes, 3, read_all(log_dir, got, UINT64_MAX, &err));
    fg_journal_close(j);
}

static void memory_mode_writes_the_same_log_and_calls_nothing_durable(void **state)
{
    struct fg_error err = {""};
    struct fg_journal_options o = {
        .dir = log_dir, .begin = true, .segment_bytes = SEGMENT, .memory = true};
    struct fg_journal *j = fg_journal_open(&o, &err);

    for (uint64_t c = 1; c <= 5; c++)
        assert_true(commit_n(j, 700, c));
    fg_journal_close(j);
    assert_int_equal(read_all(log_dir, got, UINT64_MAX, &err), 5 * 701);
    assert_int_equal(got[4 * 701].type, FG_JOURNAL_RECORD_BATCH);
    assert_int_equal(got[4 * 701].arg, 0);
}

static void a_reader_starts_anywhere_and_stops_at_the_limit(void **state)
{
    struct fg_error err = {""};
    struct fg_journal *j = must_open();

    assert_true(commit_n(j, 2 * SLOTS - 1, 1)); /* two segments, full to the last place */
    for (uint64_t first = 1; first <= 2 * SLOTS; first += 97) {
        struct fg_journal_reader *r = fg_journal_reader_open(log_dir, first, &err);

        assert_int_equal(fg_journal_read(r, got, 1, UINT64_MAX, &err), 1);
        assert_int_equal(got[0].seq, first);
        assert_int_equal(fg_journal_read(r, got, 10, first, &err), 0);
        assert_int_equal(fg_journal_read(r, got, 10, first + 1, &err),
                         first + 1 <= 2 * SLOTS ? 1 : -1);
        fg_journal_reader_close(r);
    }
    struct fg_journal_reader *r = fg_journal_reader_open(log_dir, 2 * SLOTS + 1, &err);

    assert_int_equal(fg_journal_read(r, got, 10, 2 * SLOTS, &err), 0);
    assert_int_equal(fg_journal_read(r, got, 10, UINT64_MAX, &err),
                     0); /* the next segment is not there yet */
    assert_int_equal(fg_journal_read(r, got, 10, 2 * SLOTS + 1, &err), -1);
    assert_true(commit_n(j, 1, 2));
    assert_int_equal(fg_journal_read(r, got, 10, 2 * SLOTS + 1, &err), 1);
    assert_int_equal(got[0].type, FG_JOURNAL_RECORD_BATCH);
    fg_journal_reader_close(r);
    assert_null(fg_journal_reader_open(log_dir, 0, &err));
    assert_null(fg_journal_reader_open(log_dir, 5 * SLOTS, &err));
    assert_non_null(strstr(err.text, "does not hold"));
    assert_null(fg_journal_reader_open(scratch, 1, &err));
    assert_non_null(strstr(err.text, "no log here"));
    fg_journal_close(j);
}

static void a_second_writer_is_refused_and_told_by_whom(void **state)
{
    struct fg_error err = {""};
    struct fg_journal *j = must_open();
    char pid[32];

    snprintf(pid, sizeof(pid), "process %d", (int)getpid());
    assert_null(open_at(log_dir, &err));
    assert_non_null(strstr(err.text, pid));
    assert_true(commit_n(j, 3, 1)); /* the first is not disturbed */
    assert_null(open_at(log_dir, &err));
    assert_non_null(strstr(err.text, pid));
    fg_journal_close(j);
    j = must_open();
    assert_int_equal(fg_journal_last_seq(j), 4);
    fg_journal_close(j);
}

static void a_new_log_begins_only_when_asked_for(void **state)
{
    struct fg_error err = {""};
    struct fg_journal_options o = {.dir = log_dir, .segment_bytes = SEGMENT};
    struct fg_journal *j;
    uint64_t id;

    for (int made = 0; made < 2; made++) { /* a missing folder, and the mount point of a volume */
        assert_null(fg_journal_open(&o, &err));
        assert_non_null(strstr(err.text, log_dir));
        assert_non_null(strstr(err.text, "volume mounted"));
        assert_non_null(strstr(err.text, "--new-log"));
        assert_non_null(strstr(err.text, "fgctl log init"));
        assert_int_equal(access(in_log("lock"), F_OK), -1); /* nothing was left there */
        assert_false(fg_journal_found(log_dir));
        assert_false(fg_journal_wanted(log_dir, false, &err));
        assert_true(fg_journal_wanted(log_dir, true, &err));
        if (!made)
            assert_int_equal(mkdir(log_dir, 0700), 0);
    }
    o.begin = true;
    j = fg_journal_open(&o, &err);
    assert_non_null(j);
    id = fg_journal_appliance(j);
    assert_true(commit_n(j, 3, 1));
    fg_journal_close(j);
    assert_null(fg_journal_open(&o, &err)); /* asked for twice: the first log stays */
    assert_non_null(strstr(err.text, "there is a log already"));
    assert_false(fg_journal_wanted(log_dir, true, &err));
    o.begin = false;
    j = fg_journal_open(&o, &err);
    assert_non_null(j);
    assert_int_equal(fg_journal_appliance(j), id);
    assert_int_equal(fg_journal_last_seq(j), 4);
    fg_journal_close(j);
}

static void bad_options_are_refused(void **state)
{
    static const uint64_t sizes[] = {1, 64, SEGMENT - 64, SEGMENT + 1,
                                     FG_JOURNAL_SEGMENT_BYTES_MAX + 64};
    struct fg_error err;
    struct fg_journal_options o = {.dir = log_dir, .begin = true};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        o.segment_bytes = sizes[i];
        assert_null(fg_journal_open(&o, &err));
        assert_non_null(strstr(err.text, "segment size"));
    }
    o.segment_bytes = 0;
    o.dir = "";
    assert_null(fg_journal_open(&o, &err));
    o.dir = "/dev/null";
    assert_null(fg_journal_open(&o, &err));
    o.dir = "/proc/nonexistent/two/levels";
    assert_null(fg_journal_open(&o, &err));
    assert_non_null(strstr(err.text, "/proc/nonexistent: cannot create"));
}

/* ---- torn tails ------------------------------------------------------------------------------ */

enum {
    KEPT = 1 + 20 + 1 + 30,
    LAST = 1 + 6
}; /* records of the commits before the last, and of the last */

static uint8_t *torn_base;
static size_t torn_len;

static void make_torn_base(void)
{
    struct fg_journal *j = must_open();

    assert_true(commit_n(j, 20, 1) && commit_n(j, 30, 2) && commit_n(j, LAST - 1, 3));
    fg_journal_close(j);
    torn_base = load_file(in_log(FIRST_FGJ), &torn_len);
    assert_int_equal(torn_len, SEGMENT);
}

/* After damage that begins at byte `from` of the file: what is before it stays, what follows is
 * gone for good. */
static void check_cut(uint64_t from)
{
    uint64_t keep = from / 64 - 1, zero_from;
    struct fg_error err = {""};
    struct fg_journal *j = must_open();
    uint8_t *after;
    size_t len;

    assert_int_equal(fg_journal_last_seq(j), keep);
    after = load_file(in_log(FIRST_FGJ), &len);
    assert_int_equal(len, SEGMENT);
    assert_memory_equal(after, torn_base, 64 * (keep + 1));
    for (uint64_t i = 64 * (keep + 1); i < len; i++)
        assert_int_equal(after[i], 0);
    free(after);
    assert_true(commit_n(j, 2, 9)); /* shorter than what was cut */
    fg_journal_close(j);
    j = must_open();
    assert_int_equal(fg_journal_last_seq(j), keep + 3);
    assert_int_equal(fg_journal_cut_records(j), 0);
    fg_journal_close(j);
    assert_int_equal(read_all(log_dir, got, UINT64_MAX, &err), keep + 3);
    assert_int_equal(got[keep].type, FG_JOURNAL_RECORD_BATCH);
    assert_int_equal(got[keep + 2].user, 9);
    zero_from = keep + 4;
    after = load_file(in_log(FIRST_FGJ), &len);
    for (uint64_t i = 64 * zero_from; i < len; i++)
        assert_int_equal(after[i], 0);
    free(after);
}

/* A record whose missing bytes were zero anyway is whole. */
static uint64_t lost_from(uint64_t cut)
{
    uint64_t i = cut;

    while (i % 64 && torn_base[i] == 0)
        i++;
    return i % 64 ? cut : i;
}

static void a_last_commit_torn_at_any_byte_is_cut(void **state)
{
    uint64_t from = 64 * (KEPT + 1), to = from + 64 * LAST;

    make_torn_base();
    for (uint64_t cut = from; cut < to; cut++) {
        uint8_t *torn = malloc(torn_len);

        memcpy(torn, torn_base, torn_len);
        memset(torn + cut, 0, torn_len - cut); /* preallocated, never written */
        save_file(in_log(FIRST_FGJ), torn, torn_len);
        check_cut(lost_from(cut));
        save_file(in_log(FIRST_FGJ), torn_base, cut); /* a file copied in part */
        check_cut(lost_from(cut));
        free(torn);
    }
    free(torn_base);
}

static void a_last_commit_damaged_at_any_byte_is_cut(void **state)
{
    uint64_t from = 64 * (KEPT + 1), to = from + 64 * LAST;

    make_torn_base();
    for (uint64_t at = from; at < to; at++) {
        save_file(in_log(FIRST_FGJ), torn_base, torn_len);
        flip_byte(in_log(FIRST_FGJ), at, (uint8_t)(1 << at % 8));
        check_cut(at / 64 * 64);
    }
    free(torn_base);
}

static void cut_records_are_counted(void **state)
{
    struct fg_journal *j;

    make_torn_base();
    flip_byte(in_log(FIRST_FGJ), 64 * (KEPT + 1) + 64 * 2 + 5,
              1); /* third record of the last commit */
    j = must_open();
    assert_int_equal(fg_journal_cut_records(j), LAST - 2);
    assert_int_equal(fg_journal_last_seq(j), KEPT + 2);
    fg_journal_close(j);
    free(torn_base);
}

/* ---- damage that must be refused ------------------------------------------------------------- */

static void expect_refusal(const char *part1, const char *part2)
{
    struct fg_error err = {""};

    assert_null(open_at(log_dir, &err));
    if (!strstr(err.text, part1) || !strstr(err.text, part2))
        fail_msg("\"%s\" does not name %s and %s", err.text, part1, part2);
}

static void damage_before_the_last_commit_is_refused(void **state)
{
    struct fg_error err;

    make_torn_base();
    for (uint64_t seq = 1; seq <= KEPT; seq++) {
        char offset[40];

        save_file(in_log(FIRST_FGJ), torn_base, torn_len);
        flip_byte(in_log(FIRST_FGJ), 64 * seq + seq % 64, 0x10);
        snprintf(offset, sizeof(offset), "record %d at offset %d is corrupt", (int)seq,
                 (int)seq * 64);
        expect_refusal(FIRST_FGJ, offset);
        /* a reader gives what is before it, then says the same; below the limit it need not care */
        assert_int_equal(read_all(log_dir, got, seq - 1, &err), seq - 1);
        assert_int_equal(read_all(log_dir, got, UINT64_MAX, &err), -1);
        assert_non_null(strstr(err.text, offset));
        assert_int_equal(read_all(log_dir, got, KEPT, &err), -1);
        assert_non_null(strstr(err.text, "missing or corrupt"));
    }
    /* refusing changed nothing */
    save_file(in_log(FIRST_FGJ), torn_base, torn_len);
    fg_journal_close(must_open());
    free(torn_base);
}

static void damage_in_an_earlier_segment_is_refused(void **state)
{
    struct fg_error err;
    struct fg_journal *j = must_open();
    char offset[40];

    assert_true(commit_n(j, SLOTS + 5, 1));
    fg_journal_close(j);
    flip_byte(segment_path(1), SEGMENT - 10,
              1); /* its last record: a torn tail if it were the last segment */
    snprintf(offset, sizeof(offset), "offset %d", (int)(SEGMENT - 64));
    expect_refusal(FIRST_FGJ, offset);
    assert_int_equal(read_all(log_dir, got, UINT64_MAX, &err), -1);
    assert_non_null(strstr(err.text, "a later segment exists"));
    flip_byte(segment_path(1), SEGMENT - 10, 1);
    assert_int_equal(truncate(segment_path(1), SEGMENT - 64), 0);
    expect_refusal(FIRST_FGJ, offset);
}

static void segments_that_are_not_ours_are_refused(void **state)
{
    struct fg_error err;
    struct fg_journal *j = must_open();
    char away[200];
    uint8_t *mine;
    size_t len;

    assert_true(commit_n(j, 3 * SLOTS, 1));
    fg_journal_close(j);

    snprintf(away, sizeof(away), "%s/away", scratch);
    assert_int_equal(rename(segment_path(1 + SLOTS), away), 0);
    expect_refusal("are missing", "00000000000000001024.fgj");
    assert_int_equal(read_all(log_dir, got, UINT64_MAX, &err), -1);
    assert_non_null(strstr(err.text, "00000000000000001024.fgj"));
    assert_int_equal(rename(away, segment_path(1 + SLOTS)), 0);
    assert_int_equal(rename(segment_path(1), away), 0);
    expect_refusal("records 1 to 1023 are missing", log_dir);
    assert_int_equal(rename(away, segment_path(1)), 0);

    mine = load_file(segment_path(1 + SLOTS), &len);
    flip_byte(segment_path(1 + SLOTS), 0, 1);
    expect_refusal("not a Floodgate log segment", "00000000000000001024.fgj");
    save_file(segment_path(1 + SLOTS), mine, len);
    flip_byte(segment_path(1 + SLOTS), 8, 2);
    expect_refusal("segment version 3", "00000000000000001024.fgj");
    for (int at = 12; at < 64; at++) {
        save_file(segment_path(1 + SLOTS), mine, len);
        flip_byte(segment_path(1 + SLOTS), (uint64_t)at, 0x80);
        expect_refusal("the header at offset 0 is corrupt", "00000000000000001024.fgj");
    }
    save_file(segment_path(1 + SLOTS), mine, len);
    save_file(segment_path(1 + 3 * SLOTS), mine, len);
    expect_refusal("begins with record 1024", "00000000000000003070.fgj");
    unlink(segment_path(1 + 3 * SLOTS));
    save_file(segment_path(1 + 3 * SLOTS), mine, 10);
    expect_refusal("the header at offset 0 is corrupt", "00000000000000003070.fgj");
    free(mine);
}

static void a_segment_of_another_appliance_is_refused(void **state)
{
    struct fg_journal *j = must_open();
    uint8_t *first;
    size_t len;

    assert_true(commit_n(j, SLOTS, 1));
    fg_journal_close(j);
    first = load_file(segment_path(1), &len);
    remove_tree(log_dir);
    j = must_open();
    assert_true(commit_n(j, SLOTS, 1));
    fg_journal_close(j);
    save_file(segment_path(1), first, len);
    expect_refusal("belongs to appliance", "00000000000000001024.fgj");
    free(first);
}

static void foreign_files_and_leftovers_do_not_matter(void **state)
{
    struct fg_journal *j = must_open();

    assert_true(commit_n(j, 10, 1));
    fg_journal_close(j);
    save_file(in_log("next.tmp"), "half a segment", 14);
    save_file(in_log("1.fgj"), "x", 1);
    save_file(in_log("00000000000000000000.fgj"), "x", 1);
    save_file(in_log("00000000000000000001.fgj.bak"), "x", 1);
    save_file(in_log("99999999999999999999.fgj"), "x", 1);
    j = must_open();
    assert_int_equal(fg_journal_last_seq(j), 11);
    assert_int_equal(access(in_log("next.tmp"), F_OK), -1);
    fg_journal_close(j);
}

/* ---- live reading ---------------------------------------------------------------------------- */

enum { LIVE_COMMITS = 400 };

struct live {
    _Atomic uint64_t durable;
    uint64_t records;
};

static void *write_live(void *arg)
{
    struct live *live = arg;
    struct fg_journal *j = must_open();

    for (uint64_t c = 1; c <= LIVE_COMMITS; c++) {
        FG_ASSERT(commit_n(j, 1 + c * 37 % 60, c));
        atomic_store_explicit(&live->durable, fg_journal_last_seq(j), memory_order_release);
    }
    fg_journal_close(j);
    return NULL;
}

static void a_reader_follows_a_living_writer(void **state)
{
    struct live live = {0};
    struct fg_error err = {""};
    struct fg_journal_reader *r;
    uint64_t seq = 0, total = 0, nonce = 0;
    pthread_t t;

    for (uint64_t c = 1; c <= LIVE_COMMITS; c++)
        total += 2 + c * 37 % 60;
    fg_journal_close(must_open());
    r = fg_journal_reader_open(log_dir, 1, &err);
    assert_int_equal(pthread_create(&t, NULL, write_live, &live), 0);
    while (seq < total) {
        uint64_t durable = atomic_load_explicit(&live.durable, memory_order_acquire);
        ssize_t n = fg_journal_read(r, got, 100, durable, &err);

        if (n < 0)
            fail_msg("%s", err.text);
        assert_true(seq + (uint64_t)n <= durable);
        for (ssize_t i = 0; i < n; i++) {
            assert_int_equal(got[i].seq, ++seq);
            nonce += got[i].type == FG_JOURNAL_RECORD_BATCH;
            assert_int_equal(got[i].type == FG_JOURNAL_RECORD_BATCH ? got[i].time_ms : got[i].user,
                             nonce);
        }
    }
    pthread_join(t, NULL);
    fg_journal_reader_close(r);
}

/* ---- group commit ---------------------------------------------------------------------------- */

enum { WORKERS = 5, RING = 1024 };

struct crew {
    struct fg_ring *rings[WORKERS];
    struct fg_journal_watermark marks[WORKERS];
    struct fg_journal_committer c;
    struct fg_journal *j;
};

static struct crew *crew_up(size_t batch_max)
{
    struct crew *w = aligned_alloc(64, sizeof(*w));
    struct fg_error err = {""};

    memset(w, 0, sizeof(*w));
    for (int i = 0; i < WORKERS; i++)
        w->rings[i] = fg_ring_create(RING);
    w->j = must_open();
    if (!fg_journal_committer_init(&w->c, w->j, w->rings, w->marks, WORKERS, batch_max, &err))
        fail_msg("%s", err.text);
    return w;
}

static void crew_down(struct crew *w)
{
    fg_journal_committer_free(&w->c);
    fg_journal_close(w->j);
    for (int i = 0; i < WORKERS; i++)
        fg_ring_destroy(w->rings[i]);
    free(w);
}

static void push_records(struct crew *w, int worker, uint64_t from, uint64_t n)
{
    struct fg_journal_record r = {
        .type = FG_JOURNAL_RECORD_RESERVED, .worker = (uint8_t)worker, .quantity = 1};

    for (uint64_t i = from; i < from + n; i++) {
        r.arg = i;
        assert_true(fg_ring_push(w->rings[worker], &r));
    }
}

static void the_committer_is_fair_and_moves_the_watermarks(void **state)
{
    struct crew *w = crew_up(100);

    assert_int_equal(fg_journal_committer_step(&w->c, 1), 0);
    assert_int_equal(fg_journal_last_seq(w->j), 0);
    for (int i = 0; i < WORKERS; i++)
        push_records(w, i, 0, i == 0 ? 1000 : 15);
    assert_int_equal(fg_journal_committer_step(&w->c, 1), 100);
    assert_int_equal(w->marks[0].durable, 40); /* its share of 20, and what the others left */
    for (int i = 1; i < WORKERS; i++)
        assert_int_equal(w->marks[i].durable, 15);
    assert_int_equal(w->c.durable_seq, 101);
    assert_int_equal(w->c.records, 100);
    assert_int_equal(w->c.commits, 1);
    while (fg_journal_committer_step(&w->c, 2))
        ;
    assert_int_equal(w->marks[0].durable, 1000);
    assert_int_equal(w->c.records, 1060);
    assert_int_equal(w->c.commits, 11);
    assert_int_equal(w->c.durable_seq, fg_journal_last_seq(w->j));
    crew_down(w);
}

static void a_batch_smaller_than_the_crew_reaches_everyone(void **state)
{
    struct crew *w = crew_up(2);

    for (int i = 0; i < WORKERS; i++)
        push_records(w, i, 0, 100);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fg_journal_committer_step(&w->c, 1), 2);
    for (int i = 0; i < WORKERS; i++)
        assert_true(w->marks[i].durable > 0);
    crew_down(w);
}

/* Only in a stream of records: never for a few, for a full batch, or with a ring that fills up. */
static void the_committer_gathers_in_a_stream(void **state)
{
    struct crew *w = crew_up(0), *small;

    assert_int_equal(fg_journal_committer_gather_us(&w->c), 0);
    push_records(w, 0, 0, 127);
    assert_int_equal(fg_journal_committer_gather_us(&w->c), 0);
    push_records(w, 1, 0, 1);
    assert_true(fg_journal_committer_gather_us(&w->c) > 0 &&
                fg_journal_committer_gather_us(&w->c) < 1000);
    push_records(w, 1, 1, RING / 2 - 1);
    assert_true(fg_journal_committer_gather_us(&w->c) > 0);
    push_records(w, 1, RING / 2, 1);
    assert_int_equal(fg_journal_committer_gather_us(&w->c), 0);
    while (fg_journal_committer_step(&w->c, 1))
        ;
    assert_int_equal(fg_journal_committer_gather_us(&w->c), 0);
    for (int i = 0; i < WORKERS; i++)
        push_records(w, i, 0, RING / 2);
    assert_true(WORKERS * RING / 2 >= 1024);
    assert_int_equal(fg_journal_committer_gather_us(&w->c), 0);
    crew_down(w);
    small = crew_up(200);
    push_records(small, 0, 0, 199);
    assert_true(fg_journal_committer_gather_us(&small->c) > 0);
    push_records(small, 1, 0, 1);
    assert_int_equal(fg_journal_committer_gather_us(&small->c), 0);
    crew_down(small);
}

static void committer_limits_are_checked(void **state)
{
    struct fg_journal_committer c;
    struct fg_error err;
    struct fg_journal *j = must_open();

    assert_false(fg_journal_committer_init(&c, j, NULL, NULL, 0, 0, &err));
    assert_false(fg_journal_committer_init(&c, j, NULL, NULL, FG_WORKERS_MAX + 1, 0, &err));
    assert_non_null(strstr(err.text, "65 workers"));
    assert_false(fg_journal_committer_init(&c, j, NULL, NULL, 1, 1 << 21, &err));
    fg_journal_close(j);
}

enum { EACH = 20000 };

struct producer {
    struct crew *w;
    int worker;
};

static void *produce(void *arg)
{
    const struct producer *p = arg;
    struct fg_journal_record r = {
        .type = FG_JOURNAL_RECORD_RESERVED, .worker = (uint8_t)p->worker, .quantity = 1};
    struct fg_journal_watermark *mark = &p->w->marks[p->worker];

    for (uint64_t i = 0; i < EACH; i++) {
        r.arg = i;
        while (!fg_ring_push(p->w->rings[p->worker], &r))
            usleep(50);
        /* never ahead of what was pushed */
        FG_ASSERT(atomic_load_explicit(&mark->durable, memory_order_acquire) <= i + 1);
    }
    while (atomic_load_explicit(&mark->durable, memory_order_acquire) < EACH)
        usleep(50);
    return NULL;
}

static void the_committer_serves_threads(void **state)
{
    struct crew *w = crew_up(0);
    struct producer p[WORKERS];
    struct fg_error err = {""};
    pthread_t t[WORKERS];
    uint64_t next[WORKERS] = {0}, done = 0;
    struct fg_journal_record *all = calloc((size_t)WORKERS * EACH * 2 + 8192, sizeof(*all));
    ssize_t n;

    for (int i = 0; i < WORKERS; i++) {
        p[i] = (struct producer){w, i};
        assert_int_equal(pthread_create(&t[i], NULL, produce, &p[i]), 0);
    }
    while (done < (uint64_t)WORKERS * EACH)
        done += fg_journal_committer_step(&w->c, 1);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(t[i], NULL);
    n = read_all(log_dir, all, w->c.durable_seq, &err);
    assert_int_equal(n, WORKERS * EACH + w->c.commits);
    for (ssize_t i = 0; i < n; i++) /* each worker's records once, in its order */
        if (all[i].type != FG_JOURNAL_RECORD_BATCH)
            assert_int_equal(all[i].arg, next[all[i].worker]++);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(next[i], EACH);
    free(all);
    crew_down(w);
}

static void record_names_and_crc(void **state)
{
    struct fg_journal_record r;
    uint32_t crc;

    memset(&r, 0x5a, sizeof(r));
    crc = fg_journal_record_crc(&r);
    for (int i = 0; i < 64; i++) {
        ((uint8_t *)&r)[i] ^= 1;
        assert_int_equal(fg_journal_record_crc(&r) == crc,
                         i >= 20 && i < 24); /* all but its own place */
        ((uint8_t *)&r)[i] ^= 1;
    }
    memset(got, 0x5a, sizeof(got[0]) * 23);
    for (size_t n = 0; n <= 23;
         n++) { /* whatever number is sealed together: as each by itself, and no more */
        for (size_t i = 0; i < 23; i++)
            got[i] = r, got[i].user = i * n;
        fg_journal_record_seal(got, n, 1000 + n);
        for (size_t i = 0; i < 23; i++) {
            struct fg_journal_record one = {0};
            uint8_t bytes[60];

            assert_int_equal(got[i].seq, i < n ? 1000 + n + i : r.seq);
            one = got[i];
            memcpy(bytes, &one, 20);
            memcpy(bytes + 20, (uint8_t *)&one + 24, 40);
            assert_int_equal(got[i].crc, i < n ? fg_crc32c(bytes, sizeof(bytes)) : r.crc);
        }
    }
    assert_string_equal(fg_journal_record_name(FG_JOURNAL_RECORD_BATCH), "batch");
    assert_string_equal(fg_journal_record_name(FG_JOURNAL_RECORD_STOCK), "stock");
    assert_string_equal(fg_journal_record_name(0), "?");
    assert_string_equal(fg_journal_record_name(256), "?");
}

/* ---- overlapping commits, by the kernel ------------------------------------------------------ */

static struct fg_journal *open_way(enum fg_journal_way way)
{
    struct fg_journal_options o = {.dir = log_dir,
                                   .segment_bytes = SEGMENT,
                                   .way = way,
                                   .prepare_ms = 1,
                                   .now_ms = 1700000000000};
    struct fg_error err = {""};
    struct fg_journal *j;

    o.begin = !fg_journal_found(log_dir);
    j = fg_journal_open(&o, &err);
    if (!j)
        fail_msg("%s", err.text);
    return j;
}

/* What cannot be had here is the plain way; each writes the same log, and so do all in turn. */
static void every_way_writes_the_log(void **state)
{
    static struct fg_journal_record all[READ_MAX];
    struct fg_ring *ring = fg_ring_create(1024);
    struct fg_journal_watermark *mark = aligned_alloc(64, sizeof(*mark));
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_RESERVED, .quantity = 1};
    struct fg_error err = {""};
    uint64_t pushed = 0, next = 0;
    ssize_t n;

    for (int i = 0; i < 2 * FG_JOURNAL_WAYS; i++) {
        enum fg_journal_way way = (enum fg_journal_way)(i % FG_JOURNAL_WAYS);
        struct fg_journal *j = open_way(way);
        struct fg_journal_committer c;
        uint64_t begin = pushed;

        print_message("# %s: %s %s\n", fg_journal_way_name(way),
                      fg_journal_way_name(fg_journal_way(j)), fg_journal_way_text(j));
        assert_true(way == FG_JOURNAL_WAY_AUTO || fg_journal_way(j) == way ||
                    fg_journal_way(j) == FG_JOURNAL_WAY_PLAIN);
        atomic_store(&mark->durable, 0);
        assert_true(fg_journal_committer_init(&c, j, &ring, mark, 1, 0, &err));
        while (mark->durable < 3000) {
            for (int k = 0; k < 20 && fg_ring_push(ring, &r); k++, pushed++)
                r.arg++;
            fg_journal_committer_begin(&c, 1);
            fg_journal_committer_end(&c, c.count == c.depth ? UINT_MAX : 0);
            assert_true(begin + mark->durable <= pushed);
        }
        while (mark->durable < pushed - begin)
            fg_journal_committer_step(&c, 1);
        assert_int_equal(fg_journal_state(j), FG_JOURNAL_OK);
        assert_int_equal(c.durable_seq, fg_journal_last_seq(j));
        fg_journal_committer_free(&c);
        fg_journal_close(j);
    }
    n = read_all(log_dir, all, UINT64_MAX, &err);
    if (n < 0)
        fail_msg("%s", err.text);
    for (ssize_t i = 0; i < n; i++)
        if (all[i].type != FG_JOURNAL_RECORD_BATCH)
            assert_int_equal(all[i].arg, next++);
    assert_int_equal(next, pushed);
    fg_ring_destroy(ring);
    free(mark);
}

/* A process that commits as fast as it can and tells each sequence that is durable. */
static void commit_forever(int told)
{
    struct fg_journal *j = open_way(FG_JOURNAL_WAY_URING);
    unsigned buffer = 0, up = 0;

    for (uint64_t nonce = 1;; nonce++) {
        uint64_t last;

        fill_records(fg_journal_positions(j, buffer, 5), 5, nonce);
        if (fg_journal_begin(j, buffer, 5, nonce)) {
            up++;
            buffer = !buffer;
            if (up < fg_journal_depth(j))
                continue;
        }
        if (fg_journal_end(j, UINT_MAX) != 1)
            _exit(1);
        up--;
        if (fg_journal_depth(j) == 1)
            buffer = 0;
        last = fg_journal_last_seq(j);
        if (write(told, &last, sizeof(last)) != sizeof(last))
            _exit(1);
    }
}

static void a_killed_writer_leaves_what_it_told(void **state)
{
    uint64_t longest = 0;

    for (int round = 0; round < 12; round++) {
        struct fg_error err = {""};
        uint64_t last = 0, now, began;
        int told[2], status;
        struct fg_journal *j;
        pid_t pid;

        assert_int_equal(pipe(told), 0);
        pid = fork();
        if (pid == 0)
            commit_forever(told[1]);
        close(told[1]);
        for (int i = 0; i < 20 + round; i++)
            assert_int_equal(read(told[0], &last, sizeof(last)), sizeof(last));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WTERMSIG(status), SIGKILL);
        while (read(told[0], &now, sizeof(now)) == sizeof(now))
            last = now;
        close(told[0]);
        began = fg_clock_mono_ms();
        j = open_way(FG_JOURNAL_WAY_PLAIN); /* waits until the kernel has let go of the log */
        now = fg_clock_mono_ms() - began;
        longest = now > longest ? now : longest;
        assert_true(fg_journal_last_seq(j) >= last);
        assert_true(fg_journal_begin_seq(j) == 1);
        fg_journal_close(j);
        assert_true(read_all(log_dir, (struct fg_journal_record[1]){{0}}, 1, &err) == 1);
    }
    print_message("# opened %" PRIu64 " ms after the death of the writer, at most\n", longest);
}

/* A write may outlive the process that began it: the lock must do so, too. */
static void the_queue_holds_the_lock(void **state)
{
    struct fg_journal_file_ops ops = fg_journal_file_system;
    char path[128];
    int lock, other;

    snprintf(path, sizeof(path), "%s/lock", scratch);
    lock = open(path, O_RDWR | O_CREAT, 0600);
    other = open(path, O_RDWR);
    assert_true(lock >= 0 && other >= 0);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    if (!fg_journal_queue_open(&ops, FG_JOURNAL_WAY_URING, lock))
        skip();  /* io_uring is refused here */
    close(lock); /* as the end of a process does */
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
    fg_journal_queue_close(&ops);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    close(other);
}

/* In a process of its own: io_uring_setup is refused from now on. */
static void forbid_io_uring(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {sizeof(rules) / sizeof(rules[0]), rules};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        _exit(2);
}

static void without_io_uring_it_commits_all_the_same(void **state)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct fg_journal *j;
        bool ok;

        forbid_io_uring();
        j = open_way(FG_JOURNAL_WAY_URING);
        ok = fg_journal_way(j) == FG_JOURNAL_WAY_PLAIN && fg_journal_depth(j) == 1;
        ok = ok && commit_n(j, 5, 1) && strstr(fg_journal_way_text(j), "uring 0");
        fg_journal_close(j);
        j = open_way(FG_JOURNAL_WAY_AUTO);
        ok = ok && fg_journal_way(j) != FG_JOURNAL_WAY_URING && commit_n(j, 5, 2);
        fg_journal_close(j);
        _exit(!ok);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int make_on_disk(void **state)
{
    const char *folder = getenv("TMPDIR");

    snprintf(scratch, sizeof(scratch), "%.30s/fg-journal-XXXXXX", folder ? folder : "/tmp");
    if (!mkdtemp(scratch))
        return -1;
    snprintf(log_dir, sizeof(log_dir), "%s/log", scratch);
    return 0;
}

#define D(f) cmocka_unit_test_setup_teardown(f, make_on_disk, drop_scratch)
#define T(f) cmocka_unit_test_setup_teardown(f, make_scratch, drop_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(record_names_and_crc),
        T(a_new_log_is_empty_and_keeps_its_identity),
        T(commits_come_back_across_segments),
        T(segment_size_may_change_between_runs),
        T(memory_mode_writes_the_same_log_and_calls_nothing_durable),
        T(a_reader_starts_anywhere_and_stops_at_the_limit),
        T(a_second_writer_is_refused_and_told_by_whom),
        T(a_new_log_begins_only_when_asked_for),
        T(bad_options_are_refused),
        T(a_last_commit_torn_at_any_byte_is_cut),
        T(a_last_commit_damaged_at_any_byte_is_cut),
        T(cut_records_are_counted),
        T(damage_before_the_last_commit_is_refused),
        T(damage_in_an_earlier_segment_is_refused),
        T(segments_that_are_not_ours_are_refused),
        T(a_segment_of_another_appliance_is_refused),
        T(foreign_files_and_leftovers_do_not_matter),
        T(a_reader_follows_a_living_writer),
        T(the_committer_is_fair_and_moves_the_watermarks),
        T(a_batch_smaller_than_the_crew_reaches_everyone),
        T(the_committer_gathers_in_a_stream),
        T(committer_limits_are_checked),
        T(the_committer_serves_threads),
        D(every_way_writes_the_log),
        D(a_killed_writer_leaves_what_it_told),
        D(without_io_uring_it_commits_all_the_same),
        D(the_queue_holds_the_lock),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
