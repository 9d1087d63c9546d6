/* SPDX-License-Identifier: BSD-3-Clause */
/* The log of a pair in a running process: the tail in memory, and the orders of replication. */
#include "journal_wait.h"

#include <glob.h>

#include "journal/orders.h"
#include "journal/standby.h"
#include "journal/thread.h"

/* ---- the tail -------------------------------------------------------------------------------- */

static struct fg_journal_record block[1000], copy[2000];

static void add(struct fg_journal_tail *t, uint64_t first, size_t n)
{
    fill_records(block, n, first);
    fg_journal_record_seal(block, n, first);
    fg_journal_tail_add(t, block, n);
}

static void expect(const struct fg_journal_tail *t, uint64_t first, size_t max, size_t n)
{
    assert_int_equal(fg_journal_tail_read(t, first, copy, max), n);
    for (size_t i = 0; i < n; i++)
        assert_true(copy[i].seq == first + i && copy[i].crc == fg_journal_record_crc(&copy[i]));
}

static void the_tail_has_the_newest_records(void **state)
{
    struct fg_journal_tail *t = fg_journal_tail_create(41);
    uint64_t last;

    expect(t, 42, 10, 0);
    add(t, 42, 5);
    expect(t, 41, 10, 0); /* was never in it */
    expect(t, 42, 3, 3);
    expect(t, 44, 10, 3);
    expect(t, 47, 10, 0);
    fill_records(block, 7, 99); /* a commit that was tried again stays what it was */
    fg_journal_record_seal(block, 7, 42);
    fg_journal_tail_add(t, block, 7);
    expect(t, 42, 10, 7);
    assert_int_equal(copy[4].user, 42);
    assert_int_equal(copy[5].user, 99);
    for (last = 48; last < 42 + FG_JOURNAL_TAIL_RECORDS; last += 1000)
        add(t, last + 1, 1000);
    expect(t, 42, 10, 0);
    expect(t, last - FG_JOURNAL_TAIL_RECORDS, 10, 0);
    expect(t, last - FG_JOURNAL_TAIL_RECORDS + 1, 10, 10);
    expect(t, last - 1, 10, 2);
    fg_journal_tail_reset(t, 7);
    expect(t, 8, 10, 0);
    expect(t, last, 10, 0);
    assert_int_equal(fg_journal_tail_last(t), 7);
    add(t, 8, 1);
    expect(t, 8, 10, 1);
    fg_journal_tail_destroy(t);
}

enum { LAPS = 3 };

static void *add_much(void *tail)
{
    for (uint64_t seq = 1; seq <= LAPS * FG_JOURNAL_TAIL_RECORDS; seq += 512)
        add(tail, seq, 512);
    return NULL;
}

static void a_reader_that_is_overtaken_gets_nothing_wrong(void **state)
{
    struct fg_journal_tail *t = fg_journal_tail_create(0);
    uint64_t next = 1, got = 0;
    pthread_t thread;

    pthread_create(&thread, NULL, add_much, t);
    while (next <= LAPS * FG_JOURNAL_TAIL_RECORDS) {
        size_t n = fg_journal_tail_read(t, next, copy, 2000);

        for (size_t i = 0; i < n; i++)
            assert_true(copy[i].seq == next + i && copy[i].crc == fg_journal_record_crc(&copy[i]));
        got += n;
        next += n;
        if (!n && fg_journal_tail_last(t) > next + FG_JOURNAL_TAIL_RECORDS / 2)
            next = fg_journal_tail_last(t) - 10; /* overtaken */
    }
    pthread_join(thread, NULL);
    assert_true(got > 0);
    fg_journal_tail_destroy(t);
}

/* ---- the pairing ----------------------------------------------------------------------------- */

static struct fg_error err;

static struct fg_journal_pairing *create(struct fg_journal *journal)
{
    const struct fg_journal_pairing_options o = {
        .journal = journal, .workers = 2, .log = {.dir = log_dir, .segment_bytes = SEGMENT}};
    struct fg_journal_pairing *p = fg_journal_pairing_create(&o, &err);

    if (!p)
        fail_msg("%s", err.text);
    return p;
}

static void it_begins_with_what_the_log_says(void **state)
{
    static const uint8_t nonce[16];
    struct fg_journal *journal;
    struct fg_journal_pairing *p = create(NULL);

    assert_int_equal(p->start.id, 0);
    assert_int_equal(p->start.last, 0);
    fg_journal_pairing_destroy(p);
    journal = must_open();
    assert_true(commit_n(journal, 4, 1));
    assert_true(fg_journal_begin_epoch(journal, 9, 1, nonce, 1));
    p = create(journal);
    assert_int_equal(p->start.id, fg_journal_appliance(journal));
    assert_int_equal(p->start.first, 1);
    assert_int_equal(p->start.last, 7);
    assert_int_equal(p->start.committed, 7); /* it was alone */
    assert_int_equal(p->start.epochs.count, 1);
    assert_int_equal(p->start.epochs.list[0].epoch, 9);
    assert_int_equal(p->start.epochs.list[0].first_seq, 6);
    assert_int_equal(atomic_load(&p->committed_seq), 7);
    assert_int_equal(atomic_load(&p->durable_seq), 7);
    fg_journal_pairing_destroy(p);
    fg_journal_close(journal);
}

/* ---- the journal thread of a pair ------------------------------------------------------------ */

enum { WORKERS = 2, RING = 4096, FOLLOWS = 77 };

static struct {
    struct fg_journal_pairing *p;
    struct fg_ring *rings[WORKERS];
    struct fg_journal_watermark *marks;
    struct fg_journal_thread *thread;
    uint64_t sent; /* last record of the peer */
} w;
static _Atomic int write_errno;

static ssize_t refusing_write(void *ctx, int fd, const void *data, size_t len, uint64_t offset)
{
    int refused = atomic_load(&write_errno);

    if (!refused)
        return fg_journal_file_system.write(NULL, fd, data, len, offset);
    errno = refused;
    return -1;
}

static int worker_mode(enum fg_journal_state state, bool stopping)
{
    return (int)state;
}

static struct fg_journal *open_refusing(void)
{
    struct fg_journal_file_ops ops = fg_journal_file_system;
    struct fg_journal_options o = {
        .dir = log_dir, .begin = true, .segment_bytes = SEGMENT, .now_ms = 1};

    atomic_store(&write_errno, 0);
    ops.write = refusing_write;
    return fg_journal_open_on(&ops, &o, &err);
}

static int begin(struct fg_journal *journal)
{
    struct fg_journal_thread_options t = {.journal = journal,
                                          .records = w.rings,
                                          .workers = WORKERS,
                                          .clock = started_clock(),
                                          .mode = worker_mode,
                                          .follower_mode = FOLLOWS};

    w.sent = journal ? fg_journal_last_seq(journal) : 0;
    for (unsigned i = 0; i < WORKERS; i++)
        w.rings[i] = fg_ring_create(RING);
    w.marks = aligned_alloc(FG_CACHE_LINE, WORKERS * sizeof(*w.marks));
    memset(w.marks, 0, WORKERS * sizeof(*w.marks));
    w.thread = calloc(1, sizeof(*w.thread));
    t.watermarks = w.marks;
    t.pairing = w.p = create(journal);
    return fg_journal_thread_start(w.thread, &t, &err) ? 0 : -1;
}

static int start(void **state)
{
    return make_scratch(state) ? -1 : begin(open_refusing());
}

static int start_without_log(void **state)
{
    return make_scratch(state) ? -1 : begin(NULL);
}

static int stop(void **state)
{
    fg_journal_thread_stop(w.thread);
    fg_journal_close(w.thread->committer.journal);
    fg_journal_pairing_destroy(w.p);
    free(w.thread);
    free(w.marks);
    for (unsigned i = 0; i < WORKERS; i++)
        fg_ring_destroy(w.rings[i]);
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

/* A commit of the peer: a batch record and n - 1 others. */
static void send(size_t n, uint64_t mark)
{
    static struct fg_journal_record r[FG_JOURNAL_PAIRING_RECORDS];

    fill_records(r, n, mark);
    r[0] = (struct fg_journal_record){
        .type = FG_JOURNAL_RECORD_BATCH, .time_ms = mark, .arg = w.sent, .item = 0};
    fg_journal_record_seal(r, n, w.sent + 1);
    assert_true(fg_journal_pairing_append(w.p, r, n));
    w.sent += n;
}

static void wait_for_event(void)
{
    uint64_t events;

    wait_until(read(w.p->event_fd, &events, sizeof(events)) == sizeof(events));
}

static void wait_durable(uint64_t seq)
{
    while (atomic_load(&w.p->durable_seq) < seq && !atomic_load(&w.p->failed))
        wait_for_event();
    assert_int_equal(atomic_load(&w.p->durable_seq), seq);
}

static void lead(uint64_t epoch)
{
    static const uint8_t nonce[16] = {1, 2, 3};

    fg_journal_pairing_lead(w.p, epoch, 1, nonce);
    while (atomic_load(&w.p->began_epoch) != epoch)
        wait_for_event();
}

/* The log on disk, up to a sequence. */
static struct fg_journal_record got[READ_MAX];

static void read_log(uint64_t seq)
{
    ssize_t n = read_all(log_dir, got, seq, &err);

    if (n < 0)
        fail_msg("%s", err.text);
    assert_int_equal(n, seq);
}

static uint64_t durable_of(unsigned worker)
{
    return atomic_load(&w.marks[worker].durable);
}

static uint64_t committed_of(unsigned worker)
{
    return atomic_load(&w.p->committed[worker].durable);
}

static void a_follower_appends_and_takes_nothing_of_workers(void **state)
{
    assert_int_equal(atomic_load(&w.thread->mode), FOLLOWS);
    push(0, 3);
    send(5, 1);
    send(10000, 2); /* more than one part */
    wait_durable(10005);
    assert_int_equal(fg_ring_count(w.rings[0]), 3);
    assert_int_equal(durable_of(0), 0);
    assert_int_equal(atomic_load(&w.thread->committer.durable_seq), 10005);
    assert_int_equal(atomic_load(fg_journal_thread_committed(w.thread)), 0);
    fg_journal_pairing_commit(w.p, 9000, false);
    assert_int_equal(atomic_load(fg_journal_thread_committed(w.thread)), 9000);
    fg_journal_pairing_commit(w.p, 8000, false); /* it never falls */
    assert_int_equal(atomic_load(&w.p->committed_seq), 9000);
    send(1, 3);
    wait_durable(10006);
    read_log(10006);
    assert_int_equal(got[10005].item, 9001); /* the batch record is its own */
    assert_int_equal(got[10005].arg, 10005);
}

static void room_for_records_is_bounded(void **state)
{
    static struct fg_journal_record r[FG_JOURNAL_PAIRING_RECORDS + 1];

    assert_false(fg_journal_pairing_append(w.p, r, FG_JOURNAL_PAIRING_RECORDS + 1));
    send(FG_JOURNAL_PAIRING_RECORDS, 1);
    wait_durable(FG_JOURNAL_PAIRING_RECORDS);
}

static void a_leader_begins_its_epoch_before_all_else(void **state)
{
    push(0, 3);
    send(5, 1);
    lead(4);
    assert_int_equal(atomic_load(&w.p->began_seq), 6);
    assert_true(atomic_load(&w.p->leads));
    wait_until(durable_of(0) == 3);
    wait_durable(11); /* five, BATCH and EPOCH, BATCH and three */
    assert_int_equal(atomic_load(&w.p->written_seq), 11);
    assert_int_equal(fg_journal_tail_read(w.p->tail, 5, copy, 100), 0);
    assert_int_equal(fg_journal_tail_read(w.p->tail, 6, copy, 100), 6);
    read_log(11);
    assert_int_equal(got[6].type, FG_JOURNAL_RECORD_EPOCH);
    assert_int_equal(got[6].item, 4);
    assert_int_equal(got[6].order_id[1], 2);
    assert_memory_equal(got + 5, copy, 6 * sizeof(*copy)); /* sealed as it is on disk */
    lead(7);                                               /* alone from now on */
    assert_int_equal(atomic_load(&w.p->began_seq), 12);
    push(1, 1);
    wait_until(durable_of(1) == 1);
    wait_durable(15);
    assert_int_equal(fg_journal_tail_read(w.p->tail, 6, copy, 100), 10);
}

static void answers_wait_for_the_commit_watermark(void **state)
{
    lead(1);
    push(0, 2);
    push(1, 3);
    wait_until(durable_of(0) == 2 && durable_of(1) == 3);
    wait_until(atomic_load(&w.p->durable_seq) == atomic_load(&w.p->written_seq));
    assert_int_equal(committed_of(0), 0);
    fg_journal_pairing_commit(w.p, 2, false);
    assert_int_equal(committed_of(0), 0);
    fg_journal_pairing_commit(w.p, atomic_load(&w.p->durable_seq), false);
    assert_int_equal(committed_of(0), 2);
    assert_int_equal(committed_of(1), 3);
}

/* Fewer places than commits: the last ones count together. */
static void any_number_of_commits_may_wait_for_the_peer(void **state)
{
    uint64_t most = 0, middle = 0;

    lead(1);
    for (unsigned i = 0; i < FG_JOURNAL_ORDERS_MARKS + 100; i++) {
        push(0, 1);
        wait_until(durable_of(0) == i + 1);
        if (i == 10)
            wait_until((middle = atomic_load(&w.p->durable_seq)) >= 2 + 2 * 11);
    }
    wait_until((most = atomic_load(&w.p->durable_seq)) >= 2 + 2 * (FG_JOURNAL_ORDERS_MARKS + 100));
    fg_journal_pairing_commit(w.p, middle, false);
    assert_int_equal(committed_of(0), 11);
    fg_journal_pairing_commit(w.p, most, false);
    fg_journal_doorbell_ring(&w.thread->doorbell);
    wait_until((fg_journal_pairing_commit(w.p, most, false), /* it has found room meanwhile */
                committed_of(0) == FG_JOURNAL_ORDERS_MARKS + 100));
}

static void batches_say_what_is_committed(void **state)
{
    lead(1);
    push(0, 1);
    wait_until(durable_of(0) == 1);
    fg_journal_pairing_commit(w.p, 3, true);
    push(0, 1);
    wait_until(durable_of(0) == 2);
    fg_journal_pairing_seal(w.p);
    while (!atomic_load(&w.p->seal_done))
        wait_for_event();
    fg_journal_pairing_commit(w.p, 5, false);
    push(0, 1);
    wait_until(durable_of(0) == 3);
    read_log(9);
    assert_int_equal(got[0].item, 1); /* nothing was */
    assert_int_equal(got[2].item, 1);
    assert_int_equal(got[4].item, 0); /* alone */
    assert_int_equal(atomic_load(&w.p->sealed_seq), 7);
    assert_int_equal(got[6].type, FG_JOURNAL_RECORD_BATCH);
    assert_int_equal(got[6].item, 4);
    assert_int_equal(got[7].item, 6);
}

static unsigned tails(void)
{
    glob_t found;
    char pattern[160];
    unsigned n;

    snprintf(pattern, sizeof(pattern), "%s/*.fgd", log_dir);
    n = glob(pattern, 0, NULL, &found) == 0 ? (unsigned)found.gl_pathc : 0;
    globfree(&found);
    return n;
}

static void cut(uint64_t keep_seq)
{
    uint64_t before = atomic_load(&w.p->cut_done);

    fg_journal_pairing_cut(w.p, keep_seq, 0);
    while (atomic_load(&w.p->cut_done) == before && !atomic_load(&w.p->failed))
        wait_for_event();
    w.sent = atomic_load(&w.p->durable_seq);
}

static void a_log_is_cut_while_the_process_runs(void **state)
{
    uint64_t id = atomic_load(&w.p->log_id);

    send(3000, 1); /* some segments */
    wait_durable(3000);
    cut(3000); /* nothing */
    assert_int_equal(tails(), 0);
    fg_journal_pairing_commit(w.p, 900, false);
    send(1, 1);
    cut(2000);
    assert_false(atomic_load(&w.p->failed));
    assert_int_equal(w.sent, 2000);
    assert_int_equal(tails(), 1);
    assert_true(fg_journal_thread_in_place(w.thread));
    send(500, 2);
    wait_durable(2500);
    read_log(2500);
    assert_int_equal(got[1999].user, 1);
    assert_int_equal(got[2499].user, 2);
    assert_int_equal(atomic_load(&w.p->log_id), id);
    lead(3);
    push(0, 1);
    wait_until(durable_of(0) == 1);
    assert_int_equal(fg_journal_tail_read(w.p->tail, 2501, copy, 100), 4);
}

static void what_is_committed_is_never_cut(void **state)
{
    char why[256];

    send(100, 1);
    wait_durable(100);
    fg_journal_pairing_commit(w.p, 60, false); /* no batch record says so */
    cut(59);
    assert_true(atomic_load(&w.p->failed));
    assert_int_equal(atomic_load(&w.thread->mode), FOLLOWS); /* the engines are being fed */
    fg_journal_pairing_error(w.p, why, sizeof(why));
    assert_non_null(strstr(why, "is committed"));
    read_log(100);
}

static void a_cut_begins_the_log_of_a_new_standby(void **state)
{
    assert_true(fg_journal_thread_in_place(w.thread));
    fg_journal_pairing_cut(w.p, 0, 4711);
    while (!atomic_load(&w.p->cut_done))
        wait_for_event();
    assert_int_equal(atomic_load(&w.p->log_id), 4711);
    send(10, 1);
    wait_durable(10);
    assert_int_equal(fg_journal_appliance(w.thread->committer.journal), 4711);
}

static void records_that_do_not_fit_are_final(void **state)
{
    char why[256];

    send(3, 1);
    wait_durable(3);
    w.sent++;
    send(3, 2);
    wait_until(atomic_load(&w.p->failed));
    assert_int_equal(atomic_load(&w.p->durable_seq), 3);
    fg_journal_thread_error(w.thread, why, sizeof(why));
    assert_non_null(strstr(why, "there is a gap"));
}

static void a_full_disk_delays_what_a_leader_is_told(void **state)
{
    lead(1);
    atomic_store(&write_errno, ENOSPC);
    push(0, 1);
    wait_until(atomic_load(&w.thread->mode) == FOLLOWS &&
               atomic_load(&w.thread->committer.state) == FG_JOURNAL_FULL);
    wait_until(atomic_load(&w.p->written_seq) == 4); /* it may have been shipped */
    fg_journal_pairing_serve(w.p);
    wait_until(atomic_load(&w.thread->mode) == FG_JOURNAL_FULL);
    fg_journal_pairing_seal(w.p);
    push(1, 2);
    assert_int_equal(atomic_load(&w.p->seal_done), 0);
    atomic_store(&write_errno, 0);
    while (!atomic_load(&w.p->seal_done))
        wait_for_event();
    wait_until(durable_of(1) == 2);
    wait_durable(8);
    read_log(8);
    assert_int_equal(fg_journal_tail_read(w.p->tail, 1, copy, 100), 8);
    for (size_t i = 0; i < 8; i++)
        assert_true(fg_journal_record_same(&got[i], &copy[i]));
    assert_int_equal(atomic_load(&w.p->sealed_seq), 5);
}

/* What was tried again must be what the standby has. */
static void an_epoch_that_met_a_full_disk_is_the_same_later(void **state)
{
    static const uint8_t nonce[16];

    lead(1);
    atomic_store(&write_errno, ENOSPC);
    fg_journal_pairing_lead(w.p, 2, 0, nonce);
    wait_until(atomic_load(&w.thread->committer.state) == FG_JOURNAL_FULL);
    push(0, 1);
    assert_int_equal(atomic_load(&w.p->written_seq), 2);
    atomic_store(&write_errno, 0);
    wait_until(durable_of(0) == 1);
    wait_durable(6);
    assert_int_equal(atomic_load(&w.p->began_epoch), 2);
    read_log(6);
    assert_int_equal(got[3].type, FG_JOURNAL_RECORD_EPOCH);
    assert_int_equal(fg_journal_tail_read(w.p->tail, 1, copy, 100), 6);
    for (size_t i = 0; i < 6; i++)
        assert_true(fg_journal_record_same(&got[i], &copy[i]));
}

static void a_failing_disk_is_told(void **state)
{
    lead(1);
    fg_journal_pairing_serve(w.p);
    atomic_store(&write_errno, EIO);
    push(0, 1);
    while (!atomic_load(&w.p->failed))
        wait_for_event();
    assert_int_equal(durable_of(0), 0);
    wait_until(atomic_load(&w.thread->mode) == FG_JOURNAL_FAILED);
}

static void workers_see_when_it_serves_and_when_it_ends(void **state)
{
    lead(1);
    assert_int_equal(atomic_load(&w.thread->mode), FOLLOWS);
    fg_journal_pairing_serve(w.p);
    wait_until(atomic_load(&w.thread->mode) == FG_JOURNAL_OK);
    fg_journal_pairing_end(w.p);
    assert_int_equal(atomic_load(&w.thread->mode), FG_JOURNAL_FAILED);
    push(0, 1);
    wait_until(durable_of(0) == 1);
    assert_int_equal(atomic_load(&w.thread->mode), FG_JOURNAL_FAILED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tail_has_the_newest_records),
        cmocka_unit_test(a_reader_that_is_overtaken_gets_nothing_wrong),
        cmocka_unit_test_setup_teardown(it_begins_with_what_the_log_says, make_scratch,
                                        drop_scratch),
        TEST(a_follower_appends_and_takes_nothing_of_workers),
        TEST(room_for_records_is_bounded),
        TEST(a_leader_begins_its_epoch_before_all_else),
        TEST(answers_wait_for_the_commit_watermark),
        TEST(any_number_of_commits_may_wait_for_the_peer),
        TEST(batches_say_what_is_committed),
        TEST(a_log_is_cut_while_the_process_runs),
        TEST(what_is_committed_is_never_cut),
        cmocka_unit_test_setup_teardown(a_cut_begins_the_log_of_a_new_standby, start_without_log,
                                        stop),
        TEST(records_that_do_not_fit_are_final),
        TEST(a_full_disk_delays_what_a_leader_is_told),
        TEST(an_epoch_that_met_a_full_disk_is_the_same_later),
        TEST(a_failing_disk_is_told),
        TEST(workers_see_when_it_serves_and_when_it_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
