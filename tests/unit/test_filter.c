/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "filter/filter.h"

static void parses_and_formats(void **state)
{
    static const struct {
        const char *text, *formatted;
        uint8_t family, length, first, last; /* first and last byte of the address */
    } good[] = {
        {"198.18.7.0/24", "198.18.7.0/24", 4, 24, 198, 0},
        {"198.18.7.9", "198.18.7.9", 4, 32, 198, 9},
        {"198.18.7.9/32", "198.18.7.9", 4, 32, 198, 9},
        {"0.0.0.0/0", "0.0.0.0/0", 4, 0, 0, 0},
        {"128.0.0.0/1", "128.0.0.0/1", 4, 1, 128, 0},
        {"198.18.7.254/31", "198.18.7.254/31", 4, 31, 198, 254},
        {"2001:db8::/32", "2001:db8::/32", 6, 32, 0x20, 0},
        {"2001:DB8:0:0::1", "2001:db8::1", 6, 128, 0x20, 1},
        {"2001:db8::1/128", "2001:db8::1", 6, 128, 0x20, 1},
        {"::/0", "::/0", 6, 0, 0, 0},
        {"8000::/1", "8000::/1", 6, 1, 0x80, 0},
        {"2001:db8::fe/127", "2001:db8::fe/127", 6, 127, 0x20, 0xfe},
        {"::ffff:198.18.0.1", "198.18.0.1", 4, 32, 198, 1},
        {"::ffff:198.18.4.0/118", "198.18.4.0/22", 4, 22, 198, 0},
        {"::fffe:c612:1", "::fffe:c612:1", 6, 128, 0, 1},
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct fg_filter_prefix prefix;
        struct fg_error err;
        char text[64];

        memset(&prefix, 0xaa, sizeof(prefix));
        assert_true(fg_filter_prefix_parse(good[i].text, &prefix, &err));
        assert_int_equal(prefix.family, good[i].family);
        assert_int_equal(prefix.length, good[i].length);
        assert_int_equal(prefix.addr[0], good[i].first);
        assert_int_equal(prefix.addr[good[i].family == 6 ? 15 : 3], good[i].last);
        for (int k = 4; good[i].family == 4 && k < 16; k++)
            assert_int_equal(prefix.addr[k], 0);
        fg_filter_prefix_format(&prefix, text);
        assert_string_equal(text, good[i].formatted);
    }
}

static void refuses_what_is_no_prefix(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "is not a prefix"},
        {"/24", "is not a prefix"},
        {"::ffff:0:0/96", "every IPv4 address"},
        {"shop", "is not a prefix"},
        {"198.18.7/24", "is not a prefix"},
        {"198.18.7.256", "is not a prefix"},
        {" 198.18.7.0/24", "is not a prefix"},
        {"2001:db8:::1", "is not a prefix"},
        {"fe80::1%eth0", "is not a prefix"},
        {"198.18.7.0/", "is not in 0..32"},
        {"198.18.7.0/33", "is not in 0..32"},
        {"198.18.7.0/-1", "is not in 0..32"},
        {"198.18.7.0/+24", "is not in 0..32"},
        {"198.18.7.0/024", "is not in 0..32"},
        {"198.18.7.0/24 ", "is not in 0..32"},
        {"198.18.7.0/24/24", "is not in 0..32"},
        {"198.18.7.0/4294967320", "is not in 0..32"},
        {"2001:db8::/129", "is not in 0..128"},
        {"198.18.7.1/24", "did you mean 198.18.7.0/24?"},
        {"198.18.7.0/0", "did you mean 0.0.0.0/0?"},
        {"2001:db8::1/127", "did you mean 2001:db8::/127?"},
        {"2001:db8::8000/112", "did you mean 2001:db8::/112?"},
        {"2001:0db8:0000:0000:0000:0000:0000:0000/128-and-much-more-behind-it", "too long"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fg_filter_prefix prefix = {.family = 9};
        struct fg_error err = {""};

        assert_false(fg_filter_prefix_parse(bad[i].text, &prefix, &err));
        if (!strstr(err.text, bad[i].says))
            fail_msg("\"%s\": got \"%s\", wanted \"%s\"", bad[i].text, err.text, bad[i].says);
        assert_int_equal(prefix.family, 9); /* untouched */
    }
}

static void names_every_verdict(void **state)
{
    assert_string_equal(fg_filter_verdict_name(FG_FILTER_VERDICT_ORDER), "order");
    assert_string_equal(fg_filter_verdict_name(FG_FILTER_VERDICT_RATE_ORDER), "rate-order");
    assert_string_equal(fg_filter_verdict_name(FG_FILTER_VERDICT_NO_SOCKET), "no-socket");
    assert_string_equal(fg_filter_verdict_name(FG_FILTER_VERDICT_COUNT), "?");
    assert_string_equal(fg_filter_verdict_text(FG_FILTER_VERDICT_COUNT), "?");
    for (unsigned i = 0; i < FG_FILTER_VERDICT_COUNT; i++) {
        assert_true(strlen(fg_filter_verdict_name(i)) > 2);
        assert_true(strlen(fg_filter_verdict_text(i)) > 10);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(fg_filter_verdict_name(i), fg_filter_verdict_name(k));
    }
}

/* ---- samples of frames that a worker drops --------------------------------------------------- */

enum { SECOND = 1000000000 };

/* An IPv4 TCP packet of 198.18.0.source. */
static uint32_t packet(uint8_t *f, uint8_t source)
{
    static const uint8_t head[] = {2, 0,    0, 0, 0,  2, 2, 0, 0, 0,  0, 1, 8,
                                   0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0};

    memset(f, 0, 54);
    memcpy(f, head, sizeof(head));
    memcpy(f + 26, (const uint8_t[]){198, 18, 0, source, 198, 18, 1, 1, 0x9c, 0x40, 0, 80}, 12);
    f[46] = 0x50;
    f[47] = 16;
    return 54;
}

static struct fg_filter *alone(uint32_t sample_rate)
{
    struct fg_filter_options options = {.order_port = 4600,
                                        .sources_max = 16,
                                        .prefixes_max = 8,
                                        .v6_prefix = 64,
                                        .sample_rate = sample_rate};
    struct fg_filter_prefix prefix;
    struct fg_filter *filter;
    struct fg_error err;

    filter = fg_filter_open(&options, &err);
    assert_non_null(filter);
    assert_true(fg_filter_prefix_parse("198.18.0.128/25", &prefix, NULL));
    assert_true(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &prefix, NULL, &err));
    return filter;
}

static void filter_frame(struct fg_filter *filter, unsigned worker, uint8_t source, uint64_t now_ns,
                         bool dropped)
{
    uint8_t frame[64];
    uint32_t length = packet(frame, source);
    bool drop;

    fg_filter_verdict_of_frame(filter, worker, frame, length, now_ns, &drop);
    assert_int_equal(drop, dropped);
}

static unsigned taken(struct fg_filter *filter, struct fg_filter_sample *last)
{
    unsigned n = 0;

    while (fg_filter_next_sample(filter, last))
        n++;
    return n;
}

static void samples_what_workers_drop(void **state)
{
    struct fg_filter *filter = alone(10);
    struct fg_filter_sample s;
    struct fg_filter_prefix source;
    char text[FG_FILTER_SAMPLE_TEXT];
    uint8_t frame[64];

    filter_frame(filter, 0, 1, SECOND, false);
    assert_false(fg_filter_next_sample(filter, &s));
    filter_frame(filter, 3, 200, SECOND, true);
    assert_true(fg_filter_next_sample(filter, &s));
    packet(frame, 200);
    assert_int_equal(s.verdict, FG_FILTER_VERDICT_BLOCKED);
    assert_int_equal(s.time_ns, SECOND);
    assert_int_equal(s.length, 54);
    assert_int_equal(s.kept, 54);
    assert_memory_equal(s.bytes, frame, 54);
    fg_filter_sample_decode(&s, &source, text, sizeof(text));
    assert_int_equal(source.addr[3], 200);
    assert_false(fg_filter_next_sample(filter, &s));
    fg_filter_close(filter);
}

static void samples_at_a_bounded_rate(void **state)
{
    struct fg_filter *filter = alone(10);
    struct fg_filter_sample s;

    for (unsigned i = 0; i < 10000; i++) /* two seconds, two workers */
        filter_frame(filter, i % 2, 200, SECOND + (uint64_t)i * SECOND / 5000, true);
    assert_in_range(taken(filter, &s), 2 * 2 * 10 - 2, 2 * (2 * 10 + 1));
    fg_filter_close(filter);
    filter = alone(0);
    filter_frame(filter, 0, 200, SECOND, true);
    assert_int_equal(taken(filter, &s), 0);
    fg_filter_close(filter);
}

/* Nobody takes them: the oldest stay, and what is lost is counted. */
static void counts_samples_that_find_no_room(void **state)
{
    struct fg_filter *filter = alone(10);
    uint64_t events[FG_EVENT_COUNT];
    struct fg_filter_sample s;

    for (unsigned i = 0; i < 100; i++)
        filter_frame(filter, 5, 200, SECOND + (uint64_t)i * SECOND, true);
    fg_filter_events(filter, events);
    assert_true(fg_filter_next_sample(filter, &s));
    assert_int_equal(s.time_ns, SECOND);
    assert_int_equal(1 + taken(filter, &s) + events[FG_FILTER_EVENT_SAMPLE_LOST], 100);
    assert_true(events[FG_FILTER_EVENT_SAMPLE_LOST] > 0);
    filter_frame(filter, 5, 200, (uint64_t)1000 * SECOND, true);
    assert_int_equal(taken(filter, &s), 1);
    fg_filter_close(filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_and_formats),
        cmocka_unit_test(refuses_what_is_no_prefix),
        cmocka_unit_test(names_every_verdict),
        cmocka_unit_test(samples_what_workers_drop),
        cmocka_unit_test(samples_at_a_bounded_rate),
        cmocka_unit_test(counts_samples_that_find_no_room),
    };

    return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
