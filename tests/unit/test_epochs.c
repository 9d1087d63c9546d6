/* SPDX-License-Identifier: BSD-3-Clause */
/* Epochs of a pair in the log, its segments, the ledger and its snapshots; the last common record
 * of two logs. */
#include "journal_support.h"

#include "ledger/snapshot.h"
#include "ledger/snapshot_format.h"

static const uint8_t nonce[16] = {1, 2, 3};

static void begin(struct fg_journal *j, uint64_t epoch)
{
    assert_true(fg_journal_begin_epoch(j, epoch, 77, nonce, 1));
    assert_int_equal(fg_journal_epoch(j).epoch, epoch);
    assert_int_equal(fg_journal_epoch(j).first_seq, fg_journal_last_seq(j) - 1);
}

static struct fg_journal *reopened(struct fg_journal *j, bool retired)
{
    struct fg_error err = {""};
    struct fg_journal_options o = {
        .dir = log_dir, .segment_bytes = SEGMENT, .now_ms = 1, .retired = retired};

    fg_journal_close(j);
    j = fg_journal_open(&o, &err);
    if (!j)
        fail_msg("%s", err.text);
    return j;
}

static void expect_list(const struct fg_journal_epochs *e, const struct fg_journal_epoch *list,
                        uint32_t n)
{
    assert_int_equal(e->count, n);
    assert_memory_equal(e->list, list, n * sizeof(*list));
}

static struct fg_journal_epochs read_list(void)
{
    struct fg_journal_epochs e = {0};
    struct fg_error err = {""};

    if (!fg_journal_epochs_read(&e, log_dir, &err))
        fail_msg("%s", err.text);
    return e;
}

static void an_epoch_is_a_record_of_the_log(void **state)
{
    static struct fg_journal_record got[16];
    static struct fg_journal_epochs e;
    struct fg_journal *j = must_open();
    struct fg_error err;

    assert_int_equal(fg_journal_epoch(j).epoch, 0);
    assert_true(commit_n(j, 2, 1)); /* 1 to 3 */
    e = read_list();
    assert_int_equal(e.count, 0);
    begin(j, 4);
    assert_int_equal(read_all(log_dir, got, UINT64_MAX, &err), 5);
    assert_int_equal(got[3].type, FG_JOURNAL_RECORD_BATCH);
    assert_int_equal(got[4].type, FG_JOURNAL_RECORD_EPOCH);
    assert_string_equal(fg_journal_record_name(got[4].type), "epoch");
    assert_int_equal(got[4].item, 4);
    assert_int_equal(got[4].user, 77);
    assert_memory_equal(got[4].order_id, nonce, 16);
    j = reopened(j, false);
    assert_int_equal(fg_journal_epoch(j).epoch, 4);
    assert_int_equal(fg_journal_epoch(j).first_seq, 4);
    begin(j, 9);
    e = read_list();
    expect_list(&e, (struct fg_journal_epoch[]){{4, 4}, {9, 6}}, 2);
    fg_journal_close(j);
}

/* Segments name the epoch before them, so the list outlives the records that began it. */
static void retirement_does_not_lose_an_epoch(void **state)
{
    static struct fg_journal_epochs e;
    struct fg_journal *j = must_open();
    struct fg_error err;

    begin(j, 1);
    begin(j, 3);
    assert_true(commit_n(j, 2 * SLOTS, 1)); /* 5 to 2 * SLOTS + 5 */
    e = read_list();
    expect_list(&e, (struct fg_journal_epoch[]){{1, 1}, {3, 3}}, 2);
    assert_int_equal(fg_journal_retire(log_dir, 2 * SLOTS + 1, 0, &err), 2);
    j = reopened(j, true);
    assert_int_equal(fg_journal_epoch(j).epoch, 3);
    assert_int_equal(fg_journal_epoch(j).first_seq, 3);
    e = read_list();
    expect_list(&e, (struct fg_journal_epoch[]){{3, 3}}, 1);
    begin(j, 5);
    assert_true(commit_n(j, 2 * SLOTS, 1));
    begin(j, 6);
    e = (struct fg_journal_epochs){.count = 2, .list = {{1, 1}, {3, 3}}}; /* of a snapshot */
    assert_true(fg_journal_epochs_read(&e, log_dir, &err));
    expect_list(
        &e, (struct fg_journal_epoch[]){{1, 1}, {3, 3}, {5, 2 * SLOTS + 6}, {6, 4 * SLOTS + 9}}, 4);
    e = (struct fg_journal_epochs){.count = 1, .list = {{5, 17}}};
    assert_false(fg_journal_epochs_read(&e, log_dir, &err));
    assert_non_null(strstr(err.text, "epoch"));
    fg_journal_close(j);
}

/* The end of a segment between an epoch's two records, right before and right behind them. */
static void an_epoch_may_begin_anywhere_in_a_segment(void **state)
{
    for (uint64_t left = 0; left < 4; left++) {
        static struct fg_journal_epochs e;
        struct fg_journal *j;

        remove_tree(log_dir);
        j = must_open();
        assert_true(commit_n(j, SLOTS - 1 - left, 1));
        begin(j, 2);
        assert_true(commit_n(j, 3, 1));
        begin(j, 3);
        j = reopened(j, false);
        assert_int_equal(fg_journal_epoch(j).epoch, 3);
        e = read_list();
        expect_list(&e, (struct fg_journal_epoch[]){{2, SLOTS - left + 1}, {3, SLOTS - left + 7}},
                    2);
        fg_journal_close(j);
    }
}

/* A power cut may keep the BATCH record that begins an epoch, and lose the EPOCH record behind it:
 * the first one is not of the epoch before. */
static void a_torn_epoch_has_begun(void **state)
{
    static const uint8_t zeros[FG_JOURNAL_RECORD_SIZE];

    for (uint64_t left = 0; left < 4; left++) {
        static struct fg_journal_epochs e;
        uint64_t seq = SLOTS - 2 + left; /* of the BATCH record */
        uint64_t begun;
        char name[FG_JOURNAL_NAME_SIZE];
        struct fg_journal *j;

        remove_tree(log_dir);
        j = must_open();
        begin(j, 1);
        assert_true(commit_n(j, seq - 4, 1));
        assert_int_equal(fg_journal_last_seq(j), seq - 1);
        begin(j, 4);
        fg_journal_close(j);
        begun = seq + 1 > SLOTS ? SLOTS + 1 : 1;
        fg_journal_file_name(name, begun, FG_JOURNAL_SEGMENT_SUFFIX);
        edit_file(in_log(name), 64 * (seq + 1 - begun + 1), zeros, sizeof(zeros));
        j = must_open();
        assert_int_equal(fg_journal_last_seq(j), seq);
        assert_int_equal(fg_journal_epoch(j).epoch, 4);
        assert_int_equal(fg_journal_epoch(j).first_seq, seq);
        e = read_list();
        expect_list(&e, (struct fg_journal_epoch[]){{1, 1}, {4, seq}}, 2);
        begin(j, 6);
        assert_true(commit_n(j, 1, 1));
        e = read_list();
        expect_list(&e, (struct fg_journal_epoch[]){{1, 1}, {4, seq}, {6, seq + 1}}, 3);
        fg_journal_close(j);
    }
}

static void the_last_common_record_is_found_by_epoch(void **state)
{
    static const struct {
        struct fg_journal_epoch a[4], b[4];
        uint64_t a_last, b_last, common;
        bool forgot;
    } cases[] = {
        {{{0}}, {{0}}, 10, 7, 7, false},       /* never a pair: one is a copy of the other */
        {{{1, 5}}, {{0}}, 10, 7, 4, false},    /* went on alone behind the copy */
        {{{1, 5}}, {{1, 5}}, 10, 7, 7, false}, /* behind */
        {{{1, 5}, {2, 9}}, {{1, 5}}, 20, 30, 8, false}, /* b wrote on under epoch 1 */
        {{{1, 5}, {2, 9}}, {{1, 5}}, 20, 6, 6, false},  /* b ended before */
        {{{1, 5}, {2, 9}, {4, 12}}, {{1, 5}, {3, 8}}, 20, 90, 7, false}, /* two leaders in turn */
        {{{1, 5}, {2, 9}, {4, 12}}, {{1, 5}, {2, 9}, {3, 10}}, 20, 90, 9, false},
        {{{2, 9}}, {{2, 9}}, 20, 15, 15, true}, /* older ones are forgotten */
        {{{2, 9}}, {{1, 5}}, 20, 15, 0, true},  /* nothing is known in common */
        {{{2, 9}}, {{2, 8}}, 20, 15, 7, false}, /* the same epoch twice: not the same */
    };
    static struct fg_journal_epochs a, b;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        memset(&a, 0, sizeof(a));
        memset(&b, 0, sizeof(b));
        a.forgot = cases[i].forgot;
        for (int k = 0; k < 4 && cases[i].a[k].epoch; k++)
            assert_true(fg_journal_epochs_add(&a, cases[i].a[k]));
        for (int k = 0; k < 4 && cases[i].b[k].epoch; k++)
            assert_true(fg_journal_epochs_add(&b, cases[i].b[k]));
        assert_int_equal(fg_journal_epochs_common(&a, cases[i].a_last, &b, cases[i].b_last),
                         cases[i].common);
        assert_int_equal(fg_journal_epochs_common(&b, cases[i].b_last, &a, cases[i].a_last),
                         cases[i].common);
    }
}

static void a_list_keeps_the_newest(void **state)
{
    static struct fg_journal_epochs e;

    for (uint64_t i = 1; i <= FG_JOURNAL_EPOCHS_MAX + 3; i++)
        assert_true(fg_journal_epochs_add(&e, (struct fg_journal_epoch){i, 10 * i}));
    assert_int_equal(e.count, FG_JOURNAL_EPOCHS_MAX);
    assert_true(e.forgot);
    assert_int_equal(e.list[0].epoch, 4);
    assert_int_equal(fg_journal_epochs_last(&e).epoch, FG_JOURNAL_EPOCHS_MAX + 3);
    assert_false(fg_journal_epochs_add(&e, (struct fg_journal_epoch){5, 1000000}));
    assert_false(fg_journal_epochs_add(&e, (struct fg_journal_epoch){100000, 50}));
}

static struct fg_journal_record epoch_record(uint64_t seq, uint64_t epoch)
{
    return (struct fg_journal_record){
        .seq = seq, .type = FG_JOURNAL_RECORD_EPOCH, .item = epoch, .user = 77};
}

static void the_ledger_takes_an_epoch_from_its_batch_record(void **state)
{
    static struct fg_journal_epochs e;
    struct fg_journal_record batch = {.seq = 1, .type = FG_JOURNAL_RECORD_BATCH, .user = 3}, r;
    struct fg_ledger *l = fg_ledger_create();
    struct fg_error err = {""};

    assert_true(fg_ledger_apply(l, &batch, &err)); /* its EPOCH record was torn off */
    batch = (struct fg_journal_record){.seq = 2, .type = FG_JOURNAL_RECORD_BATCH, .user = 5};
    assert_true(fg_ledger_apply(l, &batch, &err));
    r = epoch_record(3, 5);
    assert_true(fg_ledger_apply(l, &r, &err));
    batch.seq = 4;
    assert_true(fg_ledger_apply(l, &batch, &err));
    e = *fg_ledger_epochs(l);
    expect_list(&e, (struct fg_journal_epoch[]){{3, 1}, {5, 2}}, 2);
    batch = (struct fg_journal_record){.seq = 5, .type = FG_JOURNAL_RECORD_BATCH, .user = 4};
    assert_false(fg_ledger_apply(l, &batch, &err));
    assert_non_null(strstr(err.text, "epoch 4 comes after epoch 5"));
    fg_ledger_destroy(l);
}

static uint32_t version_of(uint64_t seq)
{
    struct fg_ledger_snapshot_header h;
    char name[FG_JOURNAL_NAME_SIZE];
    uint8_t *data;
    size_t len;

    fg_journal_file_name(name, seq, FG_JOURNAL_SNAPSHOT_SUFFIX);
    data = load_file(in_log(name), &len);
    memcpy(&h, data, sizeof(h));
    free(data);
    return h.version;
}

static void the_ledger_and_its_snapshots_keep_epochs(void **state)
{
    static struct fg_journal_epochs e;
    struct fg_journal_record batch = {.type = FG_JOURNAL_RECORD_BATCH}, r;
    struct fg_ledger *l = fg_ledger_create(), *back = fg_ledger_create();
    struct fg_ledger_snapshot_info info;
    struct fg_snapshot_reader *reader;
    struct fg_ledger_item item;
    struct fg_error err = {""};

    assert_int_equal(mkdir(log_dir, 0700), 0);
    batch.seq = 1;
    assert_true(fg_ledger_apply(l, &batch, &err));
    r = (struct fg_journal_record){
        .seq = 2, .type = FG_JOURNAL_RECORD_ITEM_SET, .item = 5, .order_max = 1};
    assert_true(fg_ledger_apply(l, &r, &err));
    assert_true(fg_ledger_snapshot_write(l, log_dir, 1, 1, &err));
    assert_int_equal(version_of(2), 2); /* as before there were pairs */
    for (uint64_t epoch = 2; epoch <= 6; epoch += 2) {
        batch.seq = fg_ledger_seq(l) + 1;
        assert_true(fg_ledger_apply(l, &batch, &err));
        r = epoch_record(batch.seq + 1, epoch);
        assert_true(fg_ledger_apply(l, &r, &err));
    }
    r = epoch_record(9, 6);
    assert_false(fg_ledger_apply(l, &r, &err));
    assert_non_null(strstr(err.text, "epoch 6 comes after epoch 6"));
    assert_true(fg_ledger_snapshot_write(l, log_dir, 1, 1, &err));
    assert_int_equal(version_of(8), 3);
    assert_true(fg_ledger_snapshot_load(back, log_dir, &info, &err));
    assert_string_equal(err.text, "");
    assert_int_equal(info.seq, 8);
    e = *fg_ledger_epochs(back);
    expect_list(&e, (struct fg_journal_epoch[]){{2, 3}, {4, 5}, {6, 7}}, 3);

    reader = fg_ledger_snapshot_open(log_dir, &info, &err); /* who needs no epochs skips them */
    assert_int_equal(fg_ledger_snapshot_items(reader, &item, 1, &err), 1);
    assert_int_equal(item.item, 5);
    assert_int_equal(fg_ledger_snapshot_items(reader, &item, 1, &err), 0);
    fg_ledger_snapshot_close(reader);
    fg_ledger_destroy(l);
    fg_ledger_destroy(back);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_scratch, drop_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_epoch_is_a_record_of_the_log),
        T(retirement_does_not_lose_an_epoch),
        T(an_epoch_may_begin_anywhere_in_a_segment),
        cmocka_unit_test(the_last_common_record_is_found_by_epoch),
        cmocka_unit_test(a_list_keeps_the_newest),
        T(a_torn_epoch_has_begun),
        cmocka_unit_test(the_ledger_takes_an_epoch_from_its_batch_record),
        T(the_ledger_and_its_snapshots_keep_epochs),
    };
    return cmocka_run_group_tests_name("epochs", tests, NULL, NULL);
}
