/* SPDX-License-Identifier: BSD-3-Clause */
/* The ledger's thread: it follows the log, makes snapshots when they are due, removes old segments;
 * and the recovery that a start begins with. */
#include "journal_wait.h"

#include "journal/standby.h"
#include "ledger/follower.h"
#include "ledger/recover.h"

enum { EVERY = 100 };

static struct {
    struct fg_journal *journal;
    struct fg_ledger_follower *follower;
    struct fg_ledger_snapshots_options options;
    _Atomic uint64_t durable_seq;
    _Atomic int log_state;
    _Atomic uint64_t passed;
    uint64_t users; /* orders so far: one a user */
} w;
static struct fg_error err;

static uint64_t passed(void *ctx)
{
    return atomic_load(&w.passed);
}

static void commit(struct fg_journal_record *records, size_t n)
{
    assert_true(fg_journal_commit(w.journal, records, n, 1000));
    atomic_store(&w.durable_seq, fg_journal_last_seq(w.journal));
}

/* An item with stock, once; then orders, each of a user of its own. */
static void commit_item(void)
{
    struct fg_journal_record r[2] = {
        {.type = FG_JOURNAL_RECORD_ITEM_SET, .item = 7, .hold_ms = 5, .order_max = 1},
        {.type = FG_JOURNAL_RECORD_STOCK, .item = 7, .arg = 1000000}};

    commit(r, 2);
}

static void commit_orders(size_t n)
{
    struct fg_journal_record *r = calloc(n, sizeof(*r));

    for (size_t i = 0; i < n; i++)
        r[i] = (struct fg_journal_record){.type = FG_JOURNAL_RECORD_RESERVED,
                                          .item = 7,
                                          .quantity = 1,
                                          .user = ++w.users,
                                          .arg = 5000};
    commit(r, n);
    free(r);
}

static struct fg_ledger *recover(struct fg_ledger_snapshot_info *from)
{
    const struct fg_ledger_recovery r = {.dir = log_dir,
                                         .appliance_id = fg_journal_appliance(w.journal),
                                         .first_seq = fg_journal_begin_seq(w.journal),
                                         .last_seq = fg_journal_last_seq(w.journal),
                                         .orders_max = 1000};

    return fg_ledger_recover(&r, from, &err);
}

static void start(void)
{
    struct fg_ledger_snapshot_info from;
    struct fg_ledger *ledger = recover(&from);

    if (!ledger)
        fail_msg("%s", err.text);
    w.follower = calloc(1, sizeof(*w.follower));
    fg_ledger_follower_init(w.follower, ledger, &w.options, &from);
    assert_true(fg_ledger_follower_start(w.follower, &w.durable_seq, &err));
}

static void drop_follower(void)
{
    fg_ledger_follower_free(w.follower);
    free(w.follower);
    w.follower = NULL;
}

static void halt(void)
{
    fg_ledger_follower_stop(w.follower);
    drop_follower();
}

static void open_log(void)
{
    struct fg_journal_options o = {
        .dir = log_dir, .segment_bytes = SEGMENT, .retired = true, .now_ms = 1};

    o.begin = !fg_journal_found(log_dir);
    w.journal = fg_journal_open(&o, &err);
    if (!w.journal)
        fail_msg("%s", err.text);
}

static int begin(void **state)
{
    memset(&w, 0, sizeof(w));
    err.text[0] = '\0';
    if (make_scratch(state))
        return -1;
    atomic_store(&w.passed, UINT64_MAX);
    open_log();
    w.options = (struct fg_ledger_snapshots_options){
        .dir = log_dir,
        .every = EVERY,
        .sink_keep_bytes = UINT64_MAX / 4,
        .appliance_id = fg_journal_appliance(w.journal),
        .log_state = &w.log_state,
        .clock = started_clock(),
        .passed = passed,
    };
    return 0;
}

static int end(void **state)
{
    if (w.follower)
        halt();
    if (w.journal)
        fg_journal_close(w.journal);
    return drop_scratch(state);
}

static struct fg_ledger_snapshots *snapshots(void)
{
    return &w.follower->snapshots;
}

static bool has_snapshot(uint64_t seq)
{
    char name[32];

    snprintf(name, sizeof(name), "%020" PRIu64 ".fgs", seq);
    return access(in_log(name), F_OK) == 0;
}

/* ---- following ------------------------------------------------------------------------------- */

static void it_catches_up_and_stays_there(void **state)
{
    w.options.every = 0;
    commit_item();
    commit_orders(10);
    start();
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    commit_orders(5000); /* more than a batch */
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    assert_int_equal(atomic_load(&w.follower->seq), fg_journal_last_seq(w.journal));
    pthread_mutex_lock(&w.follower->lock);
    assert_int_equal(fg_ledger_orders(w.follower->ledger), 5010);
    pthread_mutex_unlock(&w.follower->lock);
}

static void records_that_are_not_durable_are_not_applied(void **state)
{
    uint64_t before;

    commit_item();
    start();
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    before = fg_journal_last_seq(w.journal);
    commit_orders(3);
    atomic_store(&w.durable_seq, before + 2); /* the BATCH record and one order */
    wait_until(atomic_load(&w.follower->seq) == before + 2);
    assert_false(w.follower->broken);
}

static void a_wait_for_more_than_there_is_ends(void **state)
{
    commit_item();
    start();
    fg_ledger_follower_stop(w.follower);
    commit_orders(1);
    assert_false(fg_ledger_follower_catch_up(w.follower, 10)); /* the thread has ended */
}

static void a_broken_log_is_reported(void **state)
{
    struct fg_journal_record bad = {
        .type = FG_JOURNAL_RECORD_SOLD, .item = 7, .quantity = 1, .user = 99}; /* of no order */

    commit_item();
    start();
    commit(&bad, 1);
    wait_until(atomic_load(&w.follower->broken));
    assert_non_null(strstr(w.follower->error.text, "record"));
    assert_false(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
}

static void a_damaged_log_is_reported(void **state)
{
    commit_item();
    start();
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    fg_ledger_follower_stop(w.follower);
    commit_orders(4);
    flip_byte(segment_path(1), 64 * (fg_journal_last_seq(w.journal)) + 30, 1);
    w.follower->quit = false;
    assert_true(fg_ledger_follower_start(w.follower, &w.durable_seq, &err));
    wait_until(atomic_load(&w.follower->broken));
    assert_non_null(strstr(w.follower->error.text, FIRST_FGJ));
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static void a_snapshot_is_due_after_enough_records(void **state)
{
    commit_item();
    start();
    commit_orders(EVERY -
                  5); /* with two BATCH records and those of the item: one less than EVERY */
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    assert_int_equal(fg_journal_last_seq(w.journal), EVERY - 1);
    fg_ledger_follower_stop(w.follower); /* it polled after the last batch */
    assert_int_equal(atomic_load(&snapshots()->made), 0);
    w.follower->quit = false;
    assert_true(fg_ledger_follower_start(w.follower, &w.durable_seq, &err));
    commit_orders(1);
    wait_until(atomic_load(&snapshots()->made) == 1);
    assert_int_equal(atomic_load(&snapshots()->seq), fg_journal_last_seq(w.journal));
    assert_true(has_snapshot(fg_journal_last_seq(w.journal)));
}

static void the_next_one_needs_as_many_records_as_there_are_orders(void **state)
{
    uint64_t first;

    commit_item();
    commit_orders(3 * EVERY);
    start(); /* recovered without a snapshot: one is due */
    wait_until(atomic_load(&snapshots()->made) == 1);
    first = atomic_load(&snapshots()->seq);
    commit_orders(2 * EVERY);
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    fg_ledger_follower_stop(w.follower);
    assert_int_equal(atomic_load(&snapshots()->made), 1);
    w.follower->quit = false;
    assert_true(fg_ledger_follower_start(w.follower, &w.durable_seq, &err));
    for (unsigned i = 0; i < 3 * EVERY; i++) { /* records without a new order */
        struct fg_journal_record extended = {.type = FG_JOURNAL_RECORD_EXTENDED,
                                             .item = 7,
                                             .quantity = 1,
                                             .user = 1,
                                             .arg = 6000 + i};

        commit(&extended, 1);
    }
    wait_until(atomic_load(&snapshots()->made) == 2);
    assert_int_equal(atomic_load(&snapshots()->older_seq), first);
}

static void one_that_is_asked_for_is_made_at_once(void **state)
{
    uint64_t seq = 99;

    w.options.every = 0;
    start();
    assert_false(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    assert_non_null(strstr(err.text, "empty"));
    commit_item();
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    assert_true(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    assert_int_equal(seq, fg_journal_last_seq(w.journal));
    assert_true(has_snapshot(seq));
    assert_true(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    assert_int_equal(atomic_load(&snapshots()->made), 1); /* there was no new record */
}

static void expect_refused(const char *why)
{
    uint64_t failures = atomic_load(&snapshots()->failures), seq;
    char text[256];

    assert_false(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    assert_non_null(strstr(err.text, why));
    fg_ledger_snapshots_error(snapshots(), text, sizeof(text));
    assert_string_equal(text, err.text);
    assert_int_equal(atomic_load(&snapshots()->failures), failures + 1);
}

static void a_failure_is_reported_until_one_succeeds(void **state)
{
    uint64_t seq;
    char text[256];

    commit_item();
    w.options.every = 0;
    start();
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    atomic_store(&w.log_state, FG_JOURNAL_GONE);
    expect_refused("the log failed, or is gone");
    atomic_store(&w.log_state, FG_JOURNAL_OK);
    assert_true(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    fg_ledger_snapshots_error(snapshots(), text, sizeof(text));
    assert_string_equal(text, "");
}

static void a_due_one_that_failed_is_not_tried_at_once(void **state)
{
    commit_item();
    commit_orders(EVERY);
    atomic_store(&w.log_state, FG_JOURNAL_GONE);
    start();
    wait_until(atomic_load(&snapshots()->failures) == 1);
    assert_true(snapshots()->failed_ms > 0);
    atomic_store(&w.log_state, FG_JOURNAL_OK);
    commit_orders(5);
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    fg_ledger_follower_stop(w.follower);
    assert_int_equal(atomic_load(&snapshots()->made), 0);
    assert_int_equal(atomic_load(&snapshots()->failures), 1);
}

static void a_log_in_memory_has_none(void **state)
{
    uint64_t seq;

    w.options.memory = true;
    commit_item();
    commit_orders(2 * EVERY);
    start();
    assert_false(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    assert_non_null(strstr(err.text, "durability is memory"));
    assert_int_equal(atomic_load(&snapshots()->failures), 1); /* none was tried when it was due */
}

static void a_broken_follower_makes_none(void **state)
{
    uint64_t seq;

    start();
    fg_ledger_follower_stop(w.follower);
    atomic_store(&w.follower->broken, true);
    assert_false(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    assert_non_null(strstr(err.text, "no snapshot within"));
}

/* ---- old segments ---------------------------------------------------------------------------- */

static void segments_go_when_two_snapshots_and_the_sinks_have_passed_them(void **state)
{
    uint64_t seq;

    w.options.every = 0;
    atomic_store(&w.passed, 0);
    commit_item();
    commit_orders(3 * SLOTS);
    start();
    assert_true(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    commit_orders(1);
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    assert_true(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    assert_int_equal(atomic_load(&snapshots()->retired), 0); /* a sink has passed none */
    atomic_store(&w.passed, SLOTS + 1);                      /* a record of the next segment */
    wait_until(atomic_load(&snapshots()->retired) == 1);
    assert_int_equal(fg_journal_first_seq(log_dir, &err), SLOTS + 1);
    atomic_store(&w.log_state, FG_JOURNAL_FAILED);
    atomic_store(&w.passed, UINT64_MAX);
    fg_ledger_follower_stop(w.follower); /* a failed log is left as it is */
    assert_int_equal(atomic_load(&snapshots()->retired), 1);
}

/* Three segments, and a snapshot of all of them; then another. */
static void start_with_two_snapshots(void)
{
    uint64_t seq;

    w.options.every = 0;
    commit_item();
    commit_orders(3 * SLOTS);
    start();
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    assert_true(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    commit_orders(1);
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    assert_true(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
}

static void want_of_room_overrides_what_is_kept(void **state)
{
    w.options.keep_bytes = UINT64_MAX / 4;
    w.options.free_bytes = UINT64_MAX / 4; /* more than any disk has */
    atomic_store(&w.passed, 0);
    start_with_two_snapshots();
    wait_until(fg_journal_first_seq(log_dir, &err) == 3 * SLOTS + 1);
    wait_until(atomic_load(&snapshots()->forced) == 3);
    wait_until(atomic_load(&snapshots()->tight));
}

static void a_restart_knows_the_older_snapshot(void **state)
{
    uint64_t older;

    w.options.keep_bytes = UINT64_MAX / 4;
    start_with_two_snapshots();
    older = atomic_load(&snapshots()->older_seq);
    assert_int_not_equal(older, 0);
    assert_int_equal(atomic_load(&snapshots()->retired), 0);
    halt();
    w.options.keep_bytes = 0;
    start();
    assert_int_equal(atomic_load(&snapshots()->older_seq), older);
    wait_until(atomic_load(&snapshots()->retired) == 3);
    assert_int_equal(atomic_load(&snapshots()->made), 0);
}

static void a_sink_holds_no_more_than_its_bound(void **state)
{
    w.options.sink_keep_bytes = 2 * SEGMENT;
    atomic_store(&w.passed, 0);
    start_with_two_snapshots();
    wait_until(atomic_load(&snapshots()->retired) == 2);
    assert_int_equal(fg_journal_first_seq(log_dir, &err), 2 * SLOTS + 1);
    assert_int_equal(atomic_load(&snapshots()->forced), 0);
}

static uint64_t archived(void *ctx)
{
    return SLOTS + 1;
}

static void what_is_not_archived_stays(void **state)
{
    w.options.archived = archived;
    w.options.free_bytes = UINT64_MAX / 4;
    start_with_two_snapshots();
    wait_until(atomic_load(&snapshots()->retired) == 1);
    atomic_store(&w.log_state, FG_JOURNAL_FULL);
    fg_ledger_follower_stop(w.follower);
    assert_int_equal(fg_journal_first_seq(log_dir, &err), SLOTS + 1);
}

static void a_full_log_makes_a_snapshot_and_room(void **state)
{
    w.options.every = 0;
    w.options.keep_bytes = UINT64_MAX / 4;
    w.options.free_bytes = UINT64_MAX / 4;
    commit_item();
    commit_orders(3 * SLOTS);
    atomic_store(&w.log_state, FG_JOURNAL_FULL);
    start();
    wait_until(fg_journal_first_seq(log_dir, &err) == 3 * SLOTS + 1);
    assert_int_equal(atomic_load(&snapshots()->made), 1);
    assert_int_equal(atomic_load(&snapshots()->older_seq), 0);
}

/* As with a limit of the file size: removing segments does not help. */
static void a_full_log_on_a_disk_with_room_loses_little(void **state)
{
    w.options.every = 0;
    w.options.keep_bytes = UINT64_MAX / 4;
    commit_item();
    commit_orders(12 * SLOTS);
    atomic_store(&w.log_state, FG_JOURNAL_FULL);
    start();
    wait_until(atomic_load(&snapshots()->vain) >= 4);
    for (unsigned i = 0; i < 3; i++) { /* further checks remove nothing */
        const volatile uint64_t *checked_ms = &snapshots()->room_ms;
        uint64_t before = *checked_ms;

        wait_until(*checked_ms != before);
    }
    fg_ledger_follower_stop(w.follower);
    assert_int_equal(fg_journal_first_seq(log_dir, &err), 4 * SLOTS + 1);
}

/* ---- recovery -------------------------------------------------------------------------------- */

static void a_start_begins_with_the_snapshot(void **state)
{
    struct fg_ledger_snapshot_info from;
    struct fg_ledger *ledger;
    uint64_t seq;

    w.options.every = 0;
    commit_item();
    commit_orders(20);
    start();
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    assert_true(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    commit_orders(7);
    halt();
    ledger = recover(&from);
    assert_non_null(ledger);
    assert_int_equal(from.seq, seq);
    assert_int_equal(fg_ledger_seq(ledger), fg_journal_last_seq(w.journal));
    assert_int_equal(fg_ledger_orders(ledger), 27);
    fg_ledger_destroy(ledger);
}

/* Of a pair: no further than what was committed, which a snapshot may tell better than the log. */
static void a_start_leaves_out_what_a_cut_may_take(void **state)
{
    struct fg_ledger_recovery r = {
        .dir = log_dir, .appliance_id = w.options.appliance_id, .first_seq = 1};
    struct fg_ledger_snapshot_info from;
    struct fg_journal_pairing_options o = {
        .journal = w.journal, .workers = 1, .log = {.dir = log_dir, .segment_bytes = SEGMENT}};
    struct fg_journal_pairing *p;
    struct fg_ledger *ledger;
    uint64_t committed, seq;

    w.options.every = 0;
    commit_item();
    fg_journal_set_commit(w.journal, 3); /* as before, alone */
    commit_orders(20);
    r.last_seq = fg_journal_last_seq(w.journal);
    r.committed_seq = &committed;
    assert_true(fg_journal_committed(w.journal, &committed, &err));
    assert_int_equal(committed, 3);
    ledger = fg_ledger_recover(&r, &from, &err);
    assert_int_equal(fg_ledger_seq(ledger), 3);
    fg_ledger_destroy(ledger);
    start();
    assert_true(fg_ledger_snapshots_ask(snapshots(), &w.follower->broken, &seq, &err));
    halt();
    assert_true(seq > committed);
    ledger = fg_ledger_recover(&r, &from, &err);
    assert_non_null(ledger);
    assert_int_equal(fg_ledger_seq(ledger), seq);
    o.committed_seq = seq;
    p = fg_journal_pairing_create(&o, &err);
    assert_int_equal(p->start.committed, seq);
    assert_int_equal(atomic_load(&p->committed_seq), seq);
    fg_journal_pairing_destroy(p);
    fg_ledger_destroy(ledger);
}

static void a_start_that_lacks_records_is_refused(void **state)
{
    struct fg_ledger_recovery r = {.dir = log_dir, .first_seq = 1};
    struct fg_ledger_snapshot_info from;

    commit_item();
    r.appliance_id = fg_journal_appliance(w.journal);
    r.last_seq = fg_journal_last_seq(w.journal) + 1;
    assert_null(fg_ledger_recover(&r, &from, &err));
    assert_non_null(strstr(err.text, FIRST_FGJ));
    r.last_seq--;
    r.first_seq = 2; /* and no snapshot */
    assert_null(fg_ledger_recover(&r, &from, &err));
    r.first_seq = 1;
    r.orders_max = UINT64_MAX / 1024;
    assert_null(fg_ledger_recover(&r, &from, &err));
    assert_non_null(strstr(err.text, "orders_max"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

/* ---- of a pair ------------------------------------------------------------------------------- */

static struct {
    uint64_t first, last, records;
    bool gap;
} fed;

static void feed(void *ctx, const struct fg_journal_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fed.gap |= fed.records && records[i].seq != fed.last + 1;
        fed.first = fed.records++ ? fed.first : records[i].seq;
        fed.last = records[i].seq;
    }
}

static void a_standby_feeds_up_to_its_take_over(void **state)
{
    const struct fg_journal_pairing_options o = {
        .journal = w.journal, .workers = 1, .log = {.dir = log_dir, .segment_bytes = SEGMENT}};
    struct fg_ledger_follower_pair pair = {.feed = feed};
    struct fg_ledger_snapshot_info from;
    uint64_t begin, take;

    memset(&fed, 0, sizeof(fed));
    commit_item();
    begin = w.durable_seq;
    pair.pairing = fg_journal_pairing_create(&o, &err);
    assert_non_null(pair.pairing);
    w.follower = calloc(1, sizeof(*w.follower));
    fg_ledger_follower_init(w.follower, recover(&from), &w.options, &from);
    fg_ledger_follower_pair(w.follower, &pair);
    assert_true(fg_ledger_follower_start(w.follower, &w.durable_seq, &err));
    commit_orders(2000);
    wait_until(atomic_load(&w.follower->seq) == w.durable_seq);
    assert_false(fg_ledger_follower_fed(w.follower, 1)); /* it has not been told to stop */
    take = w.durable_seq + 11;
    fg_ledger_follower_stop_feeding(w.follower, take); /* not committed yet */
    assert_false(fg_ledger_follower_fed(w.follower, 1));
    commit_orders(50);
    assert_true(fg_ledger_follower_fed(w.follower, WAIT_MS));
    wait_until(atomic_load(&w.follower->seq) == w.durable_seq); /* the ledger follows on */
    halt();
    assert_false(fed.gap);
    assert_int_equal(fed.first, begin + 1);
    assert_int_equal(fed.last, take);
    fg_journal_pairing_destroy(pair.pairing);
}

/* A cut puts a copy in the place of the last segment: who reads on in the old file finds the
 * records that were cut off. */
static void a_log_that_was_cut_is_read_anew(void **state)
{
    struct fg_journal_pairing_options o = {
        .journal = w.journal, .workers = 1, .log = {.dir = log_dir, .segment_bytes = SEGMENT}};
    struct fg_ledger_follower_pair pair = {.feed = feed};
    struct fg_ledger_snapshot_info from;
    struct fg_journal_cut cut;
    uint64_t keep;

    commit_item();
    fg_journal_set_commit(w.journal, w.durable_seq);
    pair.pairing = fg_journal_pairing_create(&o, &err);
    assert_non_null(pair.pairing);
    w.follower = calloc(1, sizeof(*w.follower));
    fg_ledger_follower_init(w.follower, recover(&from), &w.options, &from);
    fg_ledger_follower_pair(w.follower, &pair);
    assert_true(fg_ledger_follower_start(w.follower, &w.durable_seq, &err));
    commit_orders(3);
    keep = w.durable_seq;
    assert_true(fg_ledger_follower_catch_up(w.follower, WAIT_MS));
    for (uint64_t i = 0; i < 2; i++) /* these are not committed */
        assert_true(commit_n(w.journal, 1, 50 + i));

    pthread_mutex_lock(&pair.pairing->files); /* as the journal thread does it */
    fg_journal_close(w.journal);
    if (!fg_journal_cut(&o.log, keep, &cut, &err))
        fail_msg("%s", err.text);
    open_log();
    atomic_fetch_add(&pair.pairing->cut_done, 1);
    pthread_mutex_unlock(&pair.pairing->files);
    w.users = 100; /* others than before */
    commit_orders(4);
    wait_until(atomic_load(&w.follower->seq) == w.durable_seq || atomic_load(&w.follower->broken));
    fg_ledger_follower_stop(w.follower);
    assert_int_equal(fg_ledger_orders(w.follower->ledger), 7);
    assert_non_null(fg_ledger_order(w.follower->ledger, 101, (uint8_t[16]){0}));
    drop_follower();
    fg_journal_pairing_destroy(pair.pairing);
}

static void feeding_ends_also_when_nothing_comes(void **state)
{
    const struct fg_journal_pairing_options o = {
        .journal = w.journal, .workers = 1, .log = {.dir = log_dir, .segment_bytes = SEGMENT}};
    struct fg_ledger_follower_pair pair = {.feed = feed};
    struct fg_ledger_snapshot_info from;

    memset(&fed, 0, sizeof(fed));
    commit_item();
    pair.pairing = fg_journal_pairing_create(&o, &err);
    w.follower = calloc(1, sizeof(*w.follower));
    fg_ledger_follower_init(w.follower, recover(&from), &w.options, &from);
    fg_ledger_follower_pair(w.follower, &pair);
    assert_true(fg_ledger_follower_start(w.follower, &w.durable_seq, &err));
    fg_ledger_follower_stop_feeding(w.follower, w.durable_seq);
    assert_true(fg_ledger_follower_fed(w.follower, WAIT_MS));
    halt();
    assert_int_equal(fed.records, 0);
    fg_journal_pairing_destroy(pair.pairing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_catches_up_and_stays_there),
        TEST(records_that_are_not_durable_are_not_applied),
        TEST(a_wait_for_more_than_there_is_ends),
        TEST(a_broken_log_is_reported),
        TEST(a_damaged_log_is_reported),
        TEST(a_snapshot_is_due_after_enough_records),
        TEST(the_next_one_needs_as_many_records_as_there_are_orders),
        TEST(one_that_is_asked_for_is_made_at_once),
        TEST(a_failure_is_reported_until_one_succeeds),
        TEST(a_due_one_that_failed_is_not_tried_at_once),
        TEST(a_log_in_memory_has_none),
        TEST(a_broken_follower_makes_none),
        TEST(segments_go_when_two_snapshots_and_the_sinks_have_passed_them),
        TEST(want_of_room_overrides_what_is_kept),
        TEST(a_restart_knows_the_older_snapshot),
        TEST(a_sink_holds_no_more_than_its_bound),
        TEST(what_is_not_archived_stays),
        TEST(a_full_log_makes_a_snapshot_and_room),
        TEST(a_full_log_on_a_disk_with_room_loses_little),
        TEST(a_start_begins_with_the_snapshot),
        TEST(a_start_that_lacks_records_is_refused),
        TEST(a_start_leaves_out_what_a_cut_may_take),
        TEST(a_log_that_was_cut_is_read_anew),
        TEST(a_standby_feeds_up_to_its_take_over),
        TEST(feeding_ends_also_when_nothing_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
