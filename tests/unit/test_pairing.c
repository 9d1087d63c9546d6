/* SPDX-License-Identifier: BSD-3-Clause */
/* The log of a pair in a running process: the tail in memory, and the orders of replication. */
#include "journal_wait.h"

#include "journal/pairing.h"

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
    for (uint64_t seq = 1; seq <= LAPS * FG_JOURNAL_TAIL_RECORDS; seq += 500)
        add(tail, seq, 500);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tail_has_the_newest_records),
        cmocka_unit_test(a_reader_that_is_overtaken_gets_nothing_wrong),
        cmocka_unit_test_setup_teardown(it_begins_with_what_the_log_says, make_scratch,
                                        drop_scratch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
