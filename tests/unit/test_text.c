/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers, digits, times and identifiers in text and JSON: lib/base/text.h, lib/base/json.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/text.h"

static void reads_numbers(void **state)
{
    uint64_t n = 1;

    assert_true(fg_text_number("0", &n));
    assert_int_equal(n, 0);
    assert_true(fg_text_number("18446744073709551615", &n));
    assert_true(n == UINT64_MAX);
    assert_false(fg_text_number("18446744073709551616", &n));
    assert_false(fg_text_number("", &n));
    assert_false(fg_text_number("-1", &n));
    assert_false(fg_text_number(" 1", &n));
    assert_false(fg_text_number("1 ", &n));
    assert_false(fg_text_number("0x1", &n));
}

static void writes_and_reads_hex(void **state)
{
    const uint8_t bytes[4] = {0x00, 0x9f, 0xa0, 0xff};
    uint8_t back[4] = {0};
    char text[9];

    fg_text_hex(text, bytes, sizeof(bytes));
    assert_string_equal(text, "009fa0ff");
    assert_true(fg_text_hex_read("009FA0ff", back, sizeof(back)));
    assert_memory_equal(back, bytes, sizeof(bytes));
    assert_false(fg_text_hex_read("009fa0f", back, sizeof(back)));
    assert_false(fg_text_hex_read("009fa0fff", back, sizeof(back)));
    assert_false(fg_text_hex_read("009fa0fg", back, sizeof(back)));
    assert_false(fg_text_hex_read("009fa0f ", back, sizeof(back)));
    assert_false(fg_text_hex_read("", back, sizeof(back)));
    assert_true(fg_text_hex_read("", back, 0));
}

static void reads_order_ids(void **state)
{
    static const char *const wrong[] = {"",
                                        "009fa0ff-0102-0304-0506-0708090a0b0",
                                        "009fa0ff-0102-0304-0506-0708090a0b0c0",
                                        "009fa0ff-0102-0304-05060-708090a0b0c",
                                        "009fa0ff-0102-0304-0506-0708090a0b0-",
                                        "009fa0ff+0102+0304+0506+0708090a0b0c",
                                        "{009fa0ff01020304050607080900a0b0c}",
                                        "009fa0ff0102030405060708090a0b0"};
    static const uint8_t id[16] = {0, 0x9f, 0xa0, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    uint8_t read[16] = {0};

    assert_true(fg_text_order_read("009fa0ff-0102-0304-0506-0708090A0B0C", read));
    assert_memory_equal(read, id, sizeof(id));
    memset(read, 0, sizeof(read));
    assert_true(fg_text_order_read("009FA0ff0102030405060708090a0b0c", read));
    assert_memory_equal(read, id, sizeof(id));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (fg_text_order_read(wrong[i], read))
            fail_msg("%s is taken", wrong[i]);
}

static void time_is(const char *text, uint64_t expected)
{
    struct fg_error err = {""};
    uint64_t ms = 0;

    if (!fg_text_time_read(text, &ms, &err))
        fail_msg("%s: %s", text, err.text);
    assert_true(ms == expected);
}

static void reads_times(void **state)
{
    static const char *const wrong[] = {"",
                                        "2026-11-27",
                                        "2026-11-27T09:00",
                                        "2026-11-27T09:00:00",
                                        "2026-02-29T09:00:00Z",
                                        "2026-13-01T09:00:00Z",
                                        "2026-11-27T24:00:00Z",
                                        "2026-11-27T09:60:00Z",
                                        "2026-11-27T09:00:60Z",
                                        "2026-11-27T09:00:00.Z",
                                        "2026-11-27T09:00:00Zx",
                                        "2026-11-27T09:00:00+1:00",
                                        "1969-12-31T23:59:59Z"};
    uint64_t ms;

    time_is("2026-11-27T09:00:00Z", 1795770000000);
    time_is("2026-11-27 10:00:00.250+01:00", 1795770000250);
    time_is("2026-11-27t09:00:00.1239z", 1795770000123);
    time_is("2024-02-29T00:00:00Z", 1709164800000);
    time_is("1970-01-01T00:00:00Z", 0);
    time_is("9999-12-31T23:59:59.999Z", FG_TEXT_TIME_MAX);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (fg_text_time_read(wrong[i], &ms, NULL))
            fail_msg("\"%s\" was taken for a time", wrong[i]);
}

static void writes_times(void **state)
{
    char text[FG_TEXT_TIME_SIZE];

    fg_text_time(text, 1795770000000);
    assert_string_equal(text, "2026-11-27T09:00:00Z");
    fg_text_time(text, 1795770000007);
    assert_string_equal(text, "2026-11-27T09:00:00.007Z");
    fg_text_time(text, FG_TEXT_TIME_MAX);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void knows_plausible_times(void **state)
{
    static const struct {
        uint64_t ms;
        const char *says; /* NULL: plausible */
    } cases[] = {
        {0, "0 is not a time from 2000 to 9999"},
        {946684799, "946684799 is not a time from 2000 to 9999"},
        {946684800, "946684800 looks like seconds; Unix milliseconds are meant: 946684800000 is "
                    "2000-01-01T00:00:00Z"},
        {253402300799, "looks like seconds"},
        {253402300800, "is not a time"},
        {946684799999, "is not a time"},
        {946684800000, NULL},
        {253402300799999, NULL},
        {253402300800000, "is not a time"},
        {946684799999999, "is not a time"},
        {946684800000000, "looks like microseconds"},
        {253402300799999999, "looks like microseconds"},
        {946684800000000000, "looks like nanoseconds"},
        {UINT64_MAX, "looks like nanoseconds"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fg_error err = {""};

        assert_int_equal(fg_text_moment_check(cases[i].ms, &err), !cases[i].says);
        if (cases[i].says && !strstr(err.text, cases[i].says))
            fail_msg("%lu: \"%s\"", (unsigned long)cases[i].ms, err.text);
    }
}

static void reads_durations(void **state)
{
    static const char *const wrong[] = {"", "s", "1x", "1h ", "-1s", "1.5s", "999999999999d"};
    static const struct {
        const char *text;
        uint64_t ms;
    } right[] = {{"250", 250},   {"250ms", 250},     {"90s", 90000},
                 {"2m", 120000}, {"1h30m", 5400000}, {"1d", 86400000}};
    uint64_t ms;

    for (unsigned i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_true(fg_text_duration_read(right[i].text, &ms, NULL));
        assert_true(ms == right[i].ms);
    }
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (fg_text_duration_read(wrong[i], &ms, NULL))
            fail_msg("\"%s\" was taken for a duration", wrong[i]);
}

static bool takes(const char *json, uint64_t *id)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    bool taken = fg_json_id_read(value, id);

    json_decref(value);
    return taken;
}

/* jq and JavaScript keep 53 bits of a number: they would read ...993 as ...992. */
static void identifiers_are_strings_in_json(void **state)
{
    json_t *json = fg_json_id(9007199254740993);
    uint64_t id = 0;

    assert_string_equal(json_string_value(json), "9007199254740993");
    json_decref(json);
    assert_true(takes("\"18446744073709551615\"", &id) && id == UINT64_MAX);
    assert_true(takes("9007199254740993", &id) && id == 9007199254740993);
    assert_true(takes("9223372036854775807", &id) && id == INT64_MAX);
    assert_true(takes("0", &id) && id == 0);
    assert_false(takes("9223372036854775808", &id)); /* jansson would round it, and refuses it */
    assert_false(takes("-1", &id));
    assert_false(takes("7.0", &id));
    assert_false(takes("1e3", &id));
    assert_false(takes("\"\"", &id));
    assert_false(takes("\"18446744073709551616\"", &id));
    assert_false(takes("\"7 \"", &id));
    assert_false(takes("null", &id));
    assert_false(takes("true", &id));
}

static void text_that_is_not_utf8_is_said(void **state)
{
    json_t *good = fg_json_text("ü"), *bad = fg_json_text("\xff");

    assert_string_equal(json_string_value(good), "ü");
    assert_string_equal(json_string_value(bad), "(not UTF-8)");
    json_decref(good);
    json_decref(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(writes_and_reads_hex),
        cmocka_unit_test(reads_order_ids),
        cmocka_unit_test(reads_times),
        cmocka_unit_test(writes_times),
        cmocka_unit_test(knows_plausible_times),
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(identifiers_are_strings_in_json),
        cmocka_unit_test(text_that_is_not_utf8_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
