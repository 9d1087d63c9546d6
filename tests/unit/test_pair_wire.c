/* SPDX-License-Identifier: BSD-3-Clause */
/* lib/pair: messages, the arbiter's values, and the last common record of two logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pair/internal.h"

static void messages_are_read_as_written(void **state)
{
    uint8_t bytes[FG_PAIR_MESSAGE_MAX] = {0};
    struct fg_pair_message m = {.type = FG_PAIR_TYPE_RECORDS,
                                .epoch = 5,
                                .count = 3,
                                .records = {100, 90, 4, 50}},
                           got;
    size_t size = fg_pair_message_write(&m, bytes) + 3 * FG_PAIR_RECORD_SIZE;

    assert_int_equal(size, FG_PAIR_HEADER_SIZE + 4 * 8 + 3 * 64);
    assert_int_equal(fg_pair_message_size(bytes), size);
    assert_true(fg_pair_message_read(&got, bytes, size, NULL));
    assert_int_equal(got.count, 3);
    assert_int_equal(got.records.epoch_first, 50);
    assert_memory_equal(got.word, m.word, sizeof(got.word));
    assert_false(fg_pair_message_read(&got, bytes, size - 1, NULL));
    for (size_t i = 0; i < FG_PAIR_HEADER_SIZE + 32; i++) { /* each byte counts */
        bytes[i] ^= 0x40;
        assert_false(fg_pair_message_read(&got, bytes, size, NULL));
        bytes[i] ^= 0x40;
    }
}

static void values_are_read_as_written(void **state)
{
    struct fg_pair_register r = {.epoch = 7,
                                 .leader = 1,
                                 .sync = true,
                                 .log = 0xabc,
                                 .floor = {6, 1234},
                                 .nonce = {1, 2, 3}},
                            got;
    struct fg_pair_floor f = {6, 99}, g;
    char text[FG_PAIR_TEXT_MAX];
    uint64_t log;

    fg_pair_register_write(&r, text);
    assert_string_equal(text, "floodgate-pair 1 epoch 7 leader 1 mode sync log 0000000000000abc "
                              "floor 6 1234 nonce 01020300000000000000000000000000");
    assert_true(fg_pair_register_read(&got, text));
    assert_int_equal(got.floor.seq, 1234);
    assert_false(fg_pair_register_read(&got, "floodgate-pair 1 epoch -7 leader 1 mode sync log "
                                             "0000000000000abc floor 6 1234 nonce "
                                             "01020300000000000000000000000000"));
    strcat(text, " ");
    assert_false(fg_pair_register_read(&got, text));
    assert_false(fg_pair_register_read(&got, ""));
    fg_pair_floor_write(&f, 0xabc, text);
    assert_true(fg_pair_floor_read(&g, &log, text));
    assert_int_equal(g.seq, 99);
    assert_int_equal(log, 0xabc);
    assert_false(fg_pair_floor_read(&g, &log, "floodgate-floor 1 log 0 epoch 1 seq 1"));
}

static void common_records(void **state)
{
    static const struct fg_pair_epoch a[] = {{1, 1}, {2, 11}, {5, 21}};
    static const struct fg_pair_epoch b[] = {{1, 1}, {2, 11}, {4, 18}};
    struct fg_pair_epoch full[FG_PAIR_EPOCHS_MAX];
    uint64_t common;

    assert_true(fg_pair_common(a, 3, 30, b, 3, 40, &common));
    assert_int_equal(common, 17); /* epoch 2 ends there in b */
    assert_true(fg_pair_common(a, 2, 15, b, 3, 40, &common));
    assert_int_equal(common, 15);
    assert_true(fg_pair_common(a, 0, 7, b, 3, 40, &common)); /* only epoch 0, which b lacks */
    assert_int_equal(common, 0);
    assert_true(fg_pair_common(NULL, 0, 7, NULL, 0, 9, &common));
    assert_int_equal(common, 7);
    for (unsigned i = 0; i < FG_PAIR_EPOCHS_MAX; i++)
        full[i] = (struct fg_pair_epoch){100 + i, 1000 + i};
    assert_false(fg_pair_common(a, 3, 30, full, FG_PAIR_EPOCHS_MAX, 5000, &common));
    assert_int_equal(fg_pair_epoch_of(a, 3, 20), 2);
    assert_int_equal(fg_pair_epoch_of(b + 1, 2, 10), 0);
    assert_int_equal(fg_pair_epoch_of(a, 3, 21), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_read_as_written),
        cmocka_unit_test(values_are_read_as_written),
        cmocka_unit_test(common_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
