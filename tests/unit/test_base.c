/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/diag.h"
#include "base/histogram.h"
#include "base/ring.h"

static void crc32c_matches_rfc3720(void **state)
{
    uint8_t bytes[32] = {0};

    assert_int_equal(fg_crc32c(bytes, 32), 0x8a9136aa); /* RFC 3720 B.4: 32 bytes of zeroes */
    memset(bytes, 0xff, 32);
    assert_int_equal(fg_crc32c(bytes, 32), 0x62a8ab43); /* 32 bytes of ones */
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(fg_crc32c(bytes, 32), 0x46dd794e); /* 32 incrementing bytes */
    assert_int_equal(fg_crc32c("123456789", 9), 0xe3069283);
}

static void ring_is_fifo_and_bounded(void **state)
{
    struct fg_ring *r = fg_ring_create(4);
    uint64_t m[8] = {0}, out[8];

    for (uint64_t round = 0; round < 10; round++) {
        for (uint64_t i = 0; i < 4; i++) {
            m[0] = round * 10 + i;
            assert_true(fg_ring_push(r, m));
        }
        assert_false(fg_ring_push(r, m));
        assert_int_equal(fg_ring_count(r), 4);
        assert_int_equal(*(const uint64_t *)fg_ring_peek(r, 3), round * 10 + 3);
        assert_null(fg_ring_peek(r, 4));
        for (uint64_t i = 0; i < 4; i++) {
            assert_true(fg_ring_pop(r, out));
            assert_int_equal(out[0], round * 10 + i);
        }
        assert_false(fg_ring_pop(r, out));
    }
    fg_ring_destroy(r);
}

enum { THREAD_MESSAGES = 300000 };

static void *produce(void *arg)
{
    uint64_t m[8];

    for (uint64_t i = 0; i < THREAD_MESSAGES; i++) {
        for (int k = 0; k < 8; k++)
            m[k] = i * 8 + (uint64_t)k;
        while (!fg_ring_push(arg, m))
            ;
    }
    return NULL;
}

static void ring_keeps_messages_whole_between_threads(void **state)
{
    struct fg_ring *r = fg_ring_create(64);
    uint64_t m[8];
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, produce, r), 0);
    for (uint64_t i = 0; i < THREAD_MESSAGES; i++) {
        while (!fg_ring_pop(r, m))
            ;
        for (int k = 0; k < 8; k++)
            assert_int_equal(m[k], i * 8 + (uint64_t)k);
    }
    pthread_join(t, NULL);
    fg_ring_destroy(r);
}

static void owners_are_even_and_in_range(void **state)
{
    unsigned count[64] = {0};

    for (uint64_t user = 1; user <= 64000; user++) {
        unsigned w = fg_user_owner(user, 64);

        assert_true(w < 64);
        count[w]++;
        assert_int_equal(fg_user_owner(user, 1), 0);
    }
    for (int w = 0; w < 64; w++)
        assert_in_range(count[w], 800, 1200); /* 1000 expected, sigma 31 */
}

/* Takes what is in the pipe. */
static size_t drain(int fd, char *text, size_t size)
{
    size_t got = 0;
    ssize_t n;

    while (got < size - 1 && (n = read(fd, text + got, size - 1 - got)) > 0)
        got += (size_t)n;
    text[got] = '\0';
    return got;
}

/* A reader that stalls costs lines, which are counted; nobody waits for it. */
static void a_stalled_reader_holds_nobody_up(void **state)
{
    static char text[1 << 20];
    int ends[2], before = dup(STDERR_FILENO);
    unsigned lines = 0;
    uint64_t lost;

    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    for (int i = 0; i < 5000; i++) /* 64 KiB of room, more than 300 KB of lines */
        fg_diag(FG_DIAG_INFO, "line %d of many, long enough to fill the pipe", i);
    lost = fg_diag_lost();
    drain(ends[0], text, sizeof(text));
    for (char *p = text; (p = strstr(p, " of many")); p++)
        lines++;
    fg_diag(FG_DIAG_INFO, "the reader is back");
    drain(ends[0], text, sizeof(text));
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[0]);
    close(ends[1]);
    assert_true(lost > 0);
    assert_int_equal(lines + lost, 5000);
    snprintf(text + sizeof(text) / 2, 64, " %llu lines were lost here", (unsigned long long)lost);
    assert_non_null(strstr(text, text + sizeof(text) / 2));
    assert_non_null(strstr(text, "the reader is back\n"));
}

/* A bound belongs to its bucket, the next value to the next one. */
static void sorts_values_into_buckets(void **state)
{
    static const unsigned shifts[] = {FG_HISTOGRAM_NS_SHIFT, FG_HISTOGRAM_COUNT_SHIFT};
    struct fg_histogram_sum sum = {.count = 0};
    struct fg_histogram h = {.sum = 0};

    for (unsigned s = 0; s < 2; s++)
        for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS - 1; i++) {
            uint64_t bound = fg_histogram_bound(shifts[s], i);

            assert_int_equal(fg_histogram_bucket(shifts[s], bound), i);
            assert_int_equal(fg_histogram_bucket(shifts[s], bound + 1), i + 1);
        }
    assert_int_equal(fg_histogram_bucket(FG_HISTOGRAM_NS_SHIFT, 0), 0);
    assert_int_equal(fg_histogram_bucket(FG_HISTOGRAM_NS_SHIFT, UINT64_MAX),
                     FG_HISTOGRAM_BUCKETS - 1);
    assert_int_equal(fg_histogram_quantile(&sum, FG_HISTOGRAM_NS_SHIFT, 0.5), 0);
    fg_histogram_add(&h, FG_HISTOGRAM_NS_SHIFT, 300, 98);
    fg_histogram_add(&h, FG_HISTOGRAM_NS_SHIFT, 5000, 2);
    fg_histogram_read(&h, &sum);
    fg_histogram_read(&h, &sum);
    assert_int_equal(sum.count, 200);
    assert_int_equal(sum.sum, 2 * (98 * 300 + 2 * 5000));
    assert_int_equal(fg_histogram_quantile(&sum, FG_HISTOGRAM_NS_SHIFT, 0.5), 384);
    assert_int_equal(fg_histogram_quantile(&sum, FG_HISTOGRAM_NS_SHIFT, 0.99), 6144);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_matches_rfc3720),
        cmocka_unit_test(ring_is_fifo_and_bounded),
        cmocka_unit_test(ring_keeps_messages_whole_between_threads),
        cmocka_unit_test(owners_are_even_and_in_range),
        cmocka_unit_test(a_stalled_reader_holds_nobody_up),
        cmocka_unit_test(sorts_values_into_buckets),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
