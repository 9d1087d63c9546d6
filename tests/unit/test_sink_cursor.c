/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a sink's cursor stands in a real log: at one of its records, in another log, or in an older
 * copy that has grown again. */
#include "journal_support.h"

#include "journal/standby.h"
#include "sink/cursor.h"

static struct fg_journal_record records[READ_MAX];

/* A log of 3 segments; log->id and the records as they stand there. */
static struct fg_sink_log make_log(struct fg_journal **journal)
{
    struct fg_error err;
    struct fg_sink_log log = {.dir = log_dir};

    *journal = must_open();
    for (uint64_t c = 1; c <= 30; c++)
        assert_true(commit_n(*journal, 99, c));
    log.id = fg_journal_appliance(*journal);
    log.durable = fg_journal_last_seq(*journal);
    assert_int_equal(read_all(log_dir, records, UINT64_MAX, &err), log.durable);
    return log;
}

static struct fg_sink_cursor at(const struct fg_sink_log *log, uint64_t seq)
{
    return (struct fg_sink_cursor){
        .found = true, .log = log->id, .seq = seq, .crc = seq ? records[seq - 1].crc : 0};
}

static void a_cursor_of_this_log_is_ours(void **state)
{
    static const uint64_t seqs[] = {0, 1, 2, SLOTS, SLOTS + 1, 3000};
    struct fg_error err = {""};
    struct fg_journal *j;
    struct fg_sink_log log = make_log(&j);
    struct fg_sink_cursor nothing = {.found = false};

    assert_int_equal(fg_sink_cursor_origin(&log, &nothing, "redis", &err), FG_SINK_ORIGIN_OURS);
    for (size_t i = 0; i < sizeof(seqs) / sizeof(*seqs); i++) {
        struct fg_sink_cursor c = at(&log, seqs[i]);

        assert_int_equal(fg_sink_cursor_origin(&log, &c, "redis", &err), FG_SINK_ORIGIN_OURS);
    }
    fg_journal_close(j);
}

/* The sinks of a pair may stop at a batch record, whose content is each log's own. */
static void a_cursor_of_the_peer_is_ours(void **state)
{
    static const uint8_t nonce[16];
    struct fg_error err = {""};
    struct fg_journal *j = must_open(), *peer;
    struct fg_sink_log log = {.dir = log_dir, .id = fg_journal_appliance(j)};
    struct fg_journal_options o = {.dir = log_dir,
                                   .segment_bytes = SEGMENT,
                                   .now_ms = 1,
                                   .begin = true,
                                   .appliance_id = log.id};
    uint32_t crc[20], here;

    assert_true(fg_journal_begin_epoch(j, 3, 0, nonce, 1));
    fg_journal_set_commit(j, 1);
    for (uint64_t c = 1; c <= 5; c++)
        assert_true(commit_n(j, 2, c));
    log.durable = fg_journal_last_seq(j);
    assert_int_equal(read_all(log_dir, records, UINT64_MAX, &err), log.durable);
    for (uint64_t seq = 1; seq <= log.durable; seq++)
        assert_true(fg_sink_log_crc(&log, seq, &crc[seq], &err));
    fg_journal_close(j);
    snprintf(log_dir, sizeof(log_dir), "%s/peer", scratch);
    peer = fg_journal_open(&o, &err);
    assert_true(fg_journal_append(peer, records, log.durable, 9, &err)); /* one commit */
    for (uint64_t seq = 1; seq <= log.durable; seq++) {
        struct fg_sink_cursor c = {.found = true, .log = log.id, .seq = seq, .crc = crc[seq]};

        assert_int_equal(fg_sink_cursor_origin(&log, &c, "redis", &err), FG_SINK_ORIGIN_OURS);
        assert_true(fg_sink_log_crc(&log, seq, &here, &err));
        c.crc ^= 1;
        assert_int_equal(fg_sink_cursor_origin(&log, &c, "redis", &err), FG_SINK_ORIGIN_NEWER);
    }
    fg_journal_close(peer);
}

static void another_record_or_another_log_is_not(void **state)
{
    struct fg_error err = {""};
    struct fg_journal *j;
    struct fg_sink_log log = make_log(&j);
    struct fg_sink_cursor c = at(&log, 1500);

    c.crc ^= 1;
    assert_int_equal(fg_sink_cursor_origin(&log, &c, "redis", &err), FG_SINK_ORIGIN_NEWER);
    assert_non_null(strstr(err.text, "record 1500 of the log is not the one that was applied"));
    assert_non_null(strstr(err.text, "fgctl sink adopt redis"));
    log.seq = 1500; /* what is known without reading is compared likewise */
    log.crc = records[1499].crc;
    assert_int_equal(fg_sink_cursor_origin(&log, &c, "redis", &err), FG_SINK_ORIGIN_NEWER);
    c = at(&log, log.durable);
    c.seq++;
    assert_int_equal(fg_sink_cursor_origin(&log, &c, "kafka", &err), FG_SINK_ORIGIN_NEWER);
    assert_non_null(strstr(err.text, "ahead of the log, which ends at 3000"));
    c = at(&log, 7);
    c.log++;
    assert_int_equal(fg_sink_cursor_origin(&log, &c, "kafka", &err), FG_SINK_ORIGIN_FOREIGN);
    assert_non_null(strstr(err.text, "fgctl sink adopt kafka"));
    fg_journal_close(j);
    remove_tree(log_dir);
    c = at(&log, 7);
    assert_int_equal(fg_sink_cursor_origin(&log, &c, "kafka", &err), FG_SINK_ORIGIN_UNREADABLE);
}

static void a_refusal_outlives_the_record_of_its_cursor(void **state)
{
    struct fg_error err = {""};
    struct fg_journal *j;
    struct fg_sink_log log = make_log(&j);
    struct fg_sink_cursor c = at(&log, 5);

    c.crc ^= 1;
    assert_int_equal(fg_sink_cursor_origin(&log, &c, "redis", &err), FG_SINK_ORIGIN_NEWER);
    fg_sink_refusal_set(&log, "redis");
    fg_sink_refusal_set(&log, "redis");
    assert_int_equal(unlink(segment_path(1)), 0);
    assert_int_equal(fg_sink_cursor_origin(&log, &c, "redis", &err), FG_SINK_ORIGIN_NEWER);
    assert_non_null(strstr(err.text, "it was refused before"));
    assert_int_equal(fg_sink_cursor_origin(&log, &c, "kafka", &err), FG_SINK_ORIGIN_OURS);
    fg_sink_refusal_clear(&log, "redis");
    fg_sink_refusal_clear(&log, "redis");
    assert_false(fg_sink_refusal_is_set(&log, "redis"));
    assert_int_equal(fg_sink_cursor_origin(&log, &c, "redis", &err), FG_SINK_ORIGIN_OURS);
    fg_journal_close(j);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_scratch, drop_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_cursor_of_this_log_is_ours),
        T(a_cursor_of_the_peer_is_ours),
        T(another_record_or_another_log_is_not),
        T(a_refusal_outlives_the_record_of_its_cursor),
    };
    return cmocka_run_group_tests_name("sink_cursor", tests, NULL, NULL);
}
