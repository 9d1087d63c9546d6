/* SPDX-License-Identifier: BSD-3-Clause */
/* The sinks of an appliance together: those that are enabled are started, asked and stopped. */
#include "journal_wait.h"

#include "sink/group.h"

static _Atomic uint64_t durable_seq;
static struct fg_redis_options redis = {.address = "127.0.0.1:1", /* no server */
                                        .prefix = "t",
                                        .batch_max = 10,
                                        .timeout_ms = 100,
                                        .retry_ms_max = 100};
static const struct fg_sink_postgres_options no_postgres;
static const struct fg_sink_kafka_options no_kafka;

static struct fg_sink_group_options options(bool with_redis)
{
    redis.enabled = with_redis;
    return (struct fg_sink_group_options){.redis = &redis,
                                          .postgres = &no_postgres,
                                          .kafka = &no_kafka,
                                          .journal_dir = log_dir,
                                          .durable_seq = &durable_seq};
}

static void without_a_sink_everything_is_passed(void **state)
{
    struct fg_sink_group_options o = options(false);
    struct fg_sink_group group = {0};
    struct fg_error err;

    assert_true(fg_sink_group_start(&group, &o, &err));
    assert_int_equal(group.count, 0);
    assert_int_equal(fg_sink_group_passed(&group), UINT64_MAX);
    assert_true(fg_sink_group_told(&group));
    assert_null(fg_sink_group_newer(&group));
    assert_null(fg_sink_group_find(&group, "redis"));
    fg_sink_group_stop(&group, 10);
}

static void one_that_is_away_holds_the_log(void **state)
{
    struct fg_sink_group_options o = options(true);
    struct fg_sink_group group = {0};
    struct fg_journal_options begin = {
        .dir = log_dir, .segment_bytes = SEGMENT, .begin = true, .now_ms = 1};
    struct fg_error err;
    struct fg_journal *j = fg_journal_open(&begin, &err);

    if (!j)
        fail_msg("%s", err.text);
    assert_true(commit_n(j, 3, 1));
    atomic_store(&durable_seq, fg_journal_last_seq(j));
    if (!fg_sink_group_start(&group, &o, &err))
        fail_msg("%s", err.text);
    assert_int_equal(group.count, 1);
    assert_ptr_equal(fg_sink_group_find(&group, "redis"), group.list[0]);
    assert_null(fg_sink_group_find(&group, "kafka"));
    wait_until(fg_sink_group_told(&group)); /* away is an answer too */
    assert_int_equal(fg_sink_group_passed(&group), 0);
    assert_null(fg_sink_group_newer(&group));
    fg_sink_group_stop(&group, 10);
    assert_int_equal(group.count, 0);
    fg_journal_close(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_sink_everything_is_passed, make_scratch,
                                        drop_scratch),
        cmocka_unit_test_setup_teardown(one_that_is_away_holds_the_log, make_scratch, drop_scratch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
