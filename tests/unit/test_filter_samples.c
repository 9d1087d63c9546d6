/* SPDX-License-Identifier: BSD-3-Clause */
/* The reader of samples, on the workers' rings alone: what it takes, remembers and tells. The
 * kernel's ring is read in tests/bpf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "filter/internal.h"

enum { SECOND = 1000000000, POLL_MAX = 512, WORKERS = POLL_MAX / FG_FILTER_SAMPLE_RING + 1 };

struct told {
    unsigned count;
    struct fg_filter_prefix last;
};

static void on_source(void *ctx, const struct fg_filter_prefix *source)
{
    struct told *told = ctx;

    told->count++;
    told->last = *source;
}

static struct fg_filter *filter;
static struct fg_filter_samples_reader *reader;
static struct told told;

static int setup(void **state)
{
    struct fg_filter_options options = {.order_port = 4600,
                                        .sources_max = 16,
                                        .prefixes_max = 8,
                                        .v6_prefix = 64,
                                        .sample_rate = 100};
    struct fg_filter_prefix all;
    struct fg_error err;

    memset(&told, 0, sizeof(told));
    filter = fg_filter_open(&options, &err);
    assert_non_null(filter);
    assert_true(fg_filter_prefix_parse("198.18.0.0/16", &all, NULL));
    assert_true(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &all, NULL, &err));
    reader = fg_filter_samples_open(filter, on_source, &told, &err);
    assert_non_null(reader);
    return 0;
}

static int teardown(void **state)
{
    fg_filter_samples_close(reader);
    fg_filter_close(filter);
    return 0;
}

/* A worker drops an IPv4 packet without payload, of 198.18.0.source. */
static void drop(unsigned worker, uint8_t source, uint64_t second)
{
    uint8_t f[54] = {[12] = 8, [14] = 0x45, [17] = 40, [22] = 64, [23] = 6};
    bool dropped;

    memcpy(f + 26, (const uint8_t[]){198, 18, 0, source, 198, 18, 1, 1}, 8);
    fg_filter_verdict_of_frame(filter, worker, f, sizeof(f), second * SECOND, &dropped);
    assert_true(dropped);
}

static void the_last_come_newest_first(void **state)
{
    struct fg_filter_sample list[4];

    drop(0, 1, 1);
    assert_int_equal(fg_filter_samples_last(reader, list, 4), 0); /* only a poll takes them */
    fg_filter_samples_poll(reader);
    drop(0, 2, 2);
    fg_filter_samples_poll(reader);
    drop(3, 3, 3);
    fg_filter_samples_poll(reader);
    assert_int_equal(fg_filter_samples_last(reader, list, 4), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(list[i].bytes[29], 3 - i);
        assert_int_equal(list[i].time_ns, (3ull - i) * SECOND);
        assert_int_equal(list[i].verdict, FG_FILTER_VERDICT_BLOCKED);
    }
    assert_int_equal(fg_filter_samples_last(reader, list, 2), 2);
    assert_int_equal(list[1].bytes[29], 2);
    fg_filter_samples_poll(reader); /* finds nothing new */
    assert_int_equal(fg_filter_samples_last(reader, list, 4), 3);
}

static void each_source_is_told_once(void **state)
{
    for (unsigned i = 1; i <= 5; i++)
        drop(i, (uint8_t)(10 + i), i);
    fg_filter_samples_poll(reader);
    fg_filter_samples_poll(reader);
    assert_int_equal(told.count, 5);
    assert_int_equal(told.last.family, 4);
    assert_int_equal(told.last.length, 32);
    assert_memory_equal(told.last.addr, ((const uint8_t[]){198, 18, 0, 15}), 4);
}

/* A flood must not keep the caller in one poll, and the reader keeps the newest. */
static void a_poll_and_the_memory_are_bounded(void **state)
{
    static struct fg_filter_sample list[FG_FILTER_SAMPLES_KEPT + 1];

    for (unsigned w = 0; w < WORKERS; w++)
        for (unsigned i = 0; i < FG_FILTER_SAMPLE_RING; i++)
            drop(w, (uint8_t)w, 1 + i);
    fg_filter_samples_poll(reader);
    assert_int_equal(told.count, POLL_MAX);
    assert_int_equal(fg_filter_samples_last(reader, list, FG_FILTER_SAMPLES_KEPT + 1),
                     FG_FILTER_SAMPLES_KEPT);
    fg_filter_samples_poll(reader);
    assert_int_equal(told.count, WORKERS * FG_FILTER_SAMPLE_RING);
    fg_filter_samples_last(reader, list, 1);
    assert_memory_equal(list[0].bytes + 26, told.last.addr, 4);
}

static void a_frame_without_ip_has_no_source(void **state)
{
    struct fg_filter_sample arp = {.length = 60, .kept = 60, .bytes = {[12] = 8, [13] = 6}};
    struct fg_filter_sample wild = {.length = 60, .kept = UINT32_MAX};
    struct fg_filter_prefix source = {.family = 9, .length = 9};
    char text[FG_FILTER_SAMPLE_TEXT];

    fg_filter_sample_decode(&arp, &source, text, sizeof(text));
    assert_int_equal(source.family, 0);
    assert_int_equal(source.length, 0);
    assert_true(strlen(text) > 0);
    fg_filter_sample_decode(&wild, &source, text, sizeof(text)); /* reads no further than bytes */
    assert_int_equal(source.family, 0);
}

static void a_reader_without_listener_keeps_samples(void **state)
{
    struct fg_error err;
    struct fg_filter_sample one;
    struct fg_filter_samples_reader *quiet = fg_filter_samples_open(filter, NULL, NULL, &err);

    drop(0, 1, 1);
    fg_filter_samples_poll(quiet);
    assert_int_equal(fg_filter_samples_last(quiet, &one, 1), 1);
    assert_int_equal(told.count, 0);
    fg_filter_samples_close(quiet);
    fg_filter_samples_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_come_newest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(each_source_is_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_poll_and_the_memory_are_bounded, setup, teardown),
        cmocka_unit_test(a_frame_without_ip_has_no_source),
        cmocka_unit_test_setup_teardown(a_reader_without_listener_keeps_samples, setup, teardown),
    };

    return cmocka_run_group_tests_name("filter_samples", tests, NULL, NULL);
}
