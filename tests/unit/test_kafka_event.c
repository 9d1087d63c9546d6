/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys and values as docs/kafka.md shows them; the text of the cursor. What needs brokers is in
 * tests/fault/test_kafka.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "sink/kafka/event.h"

#define BIG  UINT64_MAX
#define MORE "0123456789012345678901234567890123456789012345678901234567890123456789" /* pads */

static struct fg_journal_record record(unsigned type)
{
    struct fg_journal_record r = {
        .seq = 7, .time_ms = 1000, .type = (uint8_t)type, .item = BIG, .quantity = 2};

    for (unsigned i = 0; i < 16; i++)
        r.order_id[i] = (uint8_t)(i * 17);
    r.user = BIG - 1;
    r.arg = 5000;
    return r;
}

static void expect(const struct fg_journal_record *r, const char *key, const char *value)
{
    struct fg_sink_kafka_event e = {.members = 0};

    assert_true(fg_sink_kafka_event_record(&e, r));
    assert_int_equal(e.key_len, strlen(key));
    assert_memory_equal(e.key, key, e.key_len);
    assert_int_equal(e.value_len, strlen(value));
    assert_memory_equal(e.value, value, e.value_len);
}

#define ORDER_KEY "18446744073709551614:00112233445566778899aabbccddeeff"
#define ORDER_TEXT                                                                                 \
    ",\"seq\":7,\"time_ms\":1000,\"user\":\"18446744073709551614\","                               \
    "\"order\":\"00112233445566778899aabbccddeeff\",\"item\":\"18446744073709551615\","            \
    "\"quantity\":2,"

static void orders(void **state)
{
    struct fg_journal_record r = record(FG_JOURNAL_RECORD_RESERVED);

    expect(&r, ORDER_KEY, "{\"type\":\"reserved\"" ORDER_TEXT "\"deadline_ms\":5000}");
    r.type = FG_JOURNAL_RECORD_EXTENDED;
    expect(&r, ORDER_KEY, "{\"type\":\"extended\"" ORDER_TEXT "\"deadline_ms\":5000}");
    r.type = FG_JOURNAL_RECORD_SOLD;
    expect(&r, ORDER_KEY, "{\"type\":\"sold\"" ORDER_TEXT "\"deadline_ms\":0}");
    r.type = FG_JOURNAL_RECORD_CANCELLED;
    expect(&r, ORDER_KEY, "{\"type\":\"cancelled\"" ORDER_TEXT "\"deadline_ms\":0}");
    r.type = FG_JOURNAL_RECORD_EXPIRED;
    expect(&r, ORDER_KEY, "{\"type\":\"expired\"" ORDER_TEXT "\"deadline_ms\":0}");
    r.type = FG_JOURNAL_RECORD_SOLD_LATE;
    expect(&r, ORDER_KEY, "{\"type\":\"sold-late\"" ORDER_TEXT "\"deadline_ms\":0}");
    r.type = FG_JOURNAL_RECORD_CLOSED;
    expect(&r, ORDER_KEY, "{\"type\":\"closed\"" ORDER_TEXT "\"deadline_ms\":0}");
    r.type = FG_JOURNAL_RECORD_REFUNDED;
    expect(&r, ORDER_KEY,
           "{\"type\":\"refunded\"" ORDER_TEXT "\"deadline_ms\":0,\"restocked\":true}");
    r.arg = 0;
    expect(&r, ORDER_KEY,
           "{\"type\":\"refunded\"" ORDER_TEXT "\"deadline_ms\":0,\"restocked\":false}");
}

static void items_and_users(void **state)
{
    struct fg_journal_record r = {
        .seq = 1, .time_ms = 2, .type = FG_JOURNAL_RECORD_STOCK, .item = 3};

    r.arg = (uint64_t)-4;
    expect(&r, "item:3",
           "{\"type\":\"stock\",\"seq\":1,\"time_ms\":2,\"item\":\"3\",\"units\":-4}");
    r = (struct fg_journal_record){
        .seq = 1, .time_ms = 2, .type = FG_JOURNAL_RECORD_ITEM_SET, .item = 3};
    r.opens_ms = 4, r.closes_ms = 5, r.hold_ms = 6, r.user_limit = 7, r.order_max = 8,
    r.flags = FG_JOURNAL_ITEM_PAUSED;
    expect(&r, "item:3",
           "{\"type\":\"item-set\",\"seq\":1,\"time_ms\":2,\"item\":\"3\",\"opens_ms\":4,\"closes_"
           "ms\":5,"
           "\"hold_ms\":6,\"user_limit\":7,\"order_max\":8,\"paused\":true}");
    r = (struct fg_journal_record){
        .seq = 1, .time_ms = 2, .type = FG_JOURNAL_RECORD_USER, .user = 9};
    expect(&r, "user:9",
           "{\"type\":\"user\",\"seq\":1,\"time_ms\":2,\"user\":\"9\",\"denied\":false}");
    r.arg = 1;
    expect(&r, "user:9",
           "{\"type\":\"user\",\"seq\":1,\"time_ms\":2,\"user\":\"9\",\"denied\":true}");
}

static void waiting_lists(void **state)
{
    struct fg_journal_record r = record(FG_JOURNAL_RECORD_WAITING);
    struct fg_ledger_order order = {
        .user = 1, .item = 2, .ticket = 9, .quantity = 1, .state = FG_LEDGER_ORDER_WAITING};
    struct fg_sink_kafka_event e = {.members = 0};

    expect(&r, ORDER_KEY, "{\"type\":\"waiting\"" ORDER_TEXT "\"deadline_ms\":0,\"ticket\":5000}");
    r.type = FG_JOURNAL_RECORD_OFFERED;
    expect(&r, ORDER_KEY, "{\"type\":\"offered\"" ORDER_TEXT "\"deadline_ms\":5000}");
    r.type = FG_JOURNAL_RECORD_LEFT;
    r.arg = FG_JOURNAL_LEFT_DENIED;
    expect(&r, ORDER_KEY, "{\"type\":\"left\"" ORDER_TEXT "\"deadline_ms\":0,\"why\":\"denied\"}");
    r = (struct fg_journal_record){
        .seq = 1, .time_ms = 2, .type = FG_JOURNAL_RECORD_LINE_SET, .item = 3};
    r.line_max = 4, r.claim_ms = 5, r.wait_ttl_ms = 6;
    expect(&r, "item:3",
           "{\"type\":\"line-set\",\"seq\":1,\"time_ms\":2,\"item\":\"3\",\"line_max\":4,"
           "\"claim_ms\":5,\"wait_ttl_ms\":6,\"one_unit\":false}");
    r.line_flags = FG_JOURNAL_LINE_LOTTERY;
    expect(&r, "item:3",
           "{\"type\":\"line-set\",\"seq\":1,\"time_ms\":2,\"item\":\"3\",\"line_max\":4,"
           "\"claim_ms\":5,\"wait_ttl_ms\":6,\"one_unit\":false,\"lottery\":true}");
    r = (struct fg_journal_record){
        .seq = 1, .time_ms = 2, .type = FG_JOURNAL_RECORD_DRAWN, .item = 3, .order_id = {0xab}};
    r.user = 4, r.arg = 5;
    expect(&r, "item:3",
           "{\"type\":\"drawn\",\"seq\":1,\"time_ms\":2,\"item\":\"3\","
           "\"seed\":\"ab000000000000000000000000000000\",\"orders\":4,\"behind\":5}");
    r.type = FG_JOURNAL_RECORD_LOTTERY;
    expect(&r, "item:3",
           "{\"type\":\"lottery\",\"seq\":1,\"time_ms\":2,\"item\":\"3\","
           "\"commitment\":\"ab0000000000000000000000000000000400000000000000"
           "0500000000000000\"}");
    fg_sink_kafka_event_order(&e, 1, 2, &order);
    e.value[e.value_len] = '\0';
    assert_non_null(strstr(e.value, "\"deadline_ms\":0,\"ticket\":9,\"state\":\"waiting\""));
}

static void leases_and_returns(void **state)
{
    struct fg_journal_record r = {
        .seq = 1, .time_ms = 2, .type = FG_JOURNAL_RECORD_LEASE, .item = 3};
    struct fg_ledger_item item = {.item = 3, .leased = 9, .leases = 2, .returned = 4};
    struct fg_sink_kafka_event e = {.members = 0};

    r.fleet_units = 4, r.fleet_sum = 9, r.fleet_times = 2;
    expect(&r, "item:3",
           "{\"type\":\"lease\",\"seq\":1,\"time_ms\":2,\"item\":\"3\",\"units\":4,\"sum\":9,"
           "\"times\":2}");
    r.type = FG_JOURNAL_RECORD_RETURN;
    expect(&r, "item:3",
           "{\"type\":\"return\",\"seq\":1,\"time_ms\":2,\"item\":\"3\",\"units\":4,\"sum\":9,"
           "\"times\":2}");
    fg_sink_kafka_event_item(&e, 1, 2, &item);
    e.value[e.value_len] = '\0';
    assert_non_null(strstr(e.value, ",\"leased\":9,\"returned\":4}"));
}

static void names_are_escaped(void **state)
{
    struct fg_journal_record r = {
        .seq = 1, .time_ms = 2, .type = FG_JOURNAL_RECORD_ITEM_NAME, .item = 3};
    struct fg_sink_kafka_event e = {.members = 0};

    memcpy(r.name, "a\"\\\x01\x7f\xc3\xa4", 7);
    expect(&r, "item:3",
           "{\"type\":\"item-name\",\"seq\":1,\"time_ms\":2,\"item\":\"3\",\"name\":"
           "\"a\\\"\\\\\\u0001\\u007f\xc3\xa4\"}");
    memset(r.name, 1, sizeof(r.name)); /* the longest that there can be, full to its end */
    assert_true(fg_sink_kafka_event_record(&e, &r));
    assert_int_equal(
        e.value_len,
        strlen("{\"type\":\"item-name\",\"seq\":1,\"time_ms\":2,\"item\":\"3\",\"name\":\"\"}") +
            6 * sizeof(r.name));
}

static void longest_item_fits(void **state)
{
    struct fg_ledger_item item = {BIG, BIG, BIG, BIG, BIG, BIG, BIG, .hold_ms = UINT32_MAX};
    struct fg_sink_kafka_event e = {.members = 0};

    item.user_limit = UINT32_MAX;
    item.order_max = UINT16_MAX;
    item.line_max = item.claim_ms = item.wait_ttl_ms = UINT32_MAX;
    item.line_flags = FG_JOURNAL_LINE_LOTTERY;
    item.waiting = item.refunded = item.leased = item.returned = BIG;
    item.leases = 1;
    e.members = 16;
    e.member = 15;
    memset(item.name, 1, sizeof(item.name) - 1);
    fg_sink_kafka_event_item(&e, BIG, BIG, &item);
    assert_true(e.value_len < sizeof(e.value));
    assert_memory_equal(e.value, "{\"type\":\"snapshot-item\"", 23);
}

static void records_that_are_no_events(void **state)
{
    struct fg_journal_record r = record(FG_JOURNAL_RECORD_BATCH);
    struct fg_sink_kafka_event e = {.members = 0};

    assert_true(fg_sink_kafka_event_record(&e, &r));
    assert_int_equal(e.value_len, 0);
    r.type = FG_JOURNAL_RECORD_EPOCH;
    assert_true(fg_sink_kafka_event_record(&e, &r));
    assert_int_equal(e.value_len, 0);
    r.type = 200;
    assert_false(fg_sink_kafka_event_record(&e, &r));
}

static void cursor_text(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "{\"appliance\":\"1\",\"seq\":2}",
        "{\"appliance\":\"1\",\"seq\":2,\"format\":1}",
        "{\"appliance\":\"\",\"seq\":2,\"crc\":\"1\",\"format\":1}",
        "{\"appliance\":\"1\",\"seq\":2,\"crc\":\"3\",\"format\":1,\"x\":1}",
        "{\"appliance\":\"1\",\"seq\":2,\"crc\":\"3\",\"format\":7"};
    static const struct fg_sink_cursor want = {
        .found = true, .log = 0xfedcba9876543210ull, .seq = BIG, .crc = 0xc0ffee};
    static const char log[] = "{\"seq\":0,\"type\":\"log\",\"time_ms\":1700000000000,"
                              "\"log\":\"fedcba9876543210\"}";
    static const char *const newer[] = {
        "{\"appliance\":\"1\",\"seq\":2,\"crc\":\"3\",\"format\":7}",
        "{\"appliance\":\"1\",\"seq\":2,\"crc\":\"3\",\"format\":7,\"more\":\"" MORE "\"}"};
    struct fg_sink_kafka_event e = {.members = 0};
    struct fg_sink_cursor c;
    unsigned format;

    fg_sink_kafka_event_cursor(&e, &want);
    assert_memory_equal(e.key, "cursor", e.key_len);
    assert_true(fg_sink_kafka_cursor_parse(e.value, e.value_len, &c, &format));
    assert_true(c.found && c.log == want.log && c.seq == BIG && c.crc == want.crc &&
                format == FG_SINK_KAFKA_FORMAT);
    assert_false(fg_sink_kafka_cursor_parse(e.value, e.value_len - 1, &c, &format));
    e.value[e.value_len] = 'x';
    assert_false(fg_sink_kafka_cursor_parse(e.value, e.value_len + 1, &c, &format));
    assert_false(fg_sink_kafka_cursor_parse(e.value, 500, &c, &format));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(fg_sink_kafka_cursor_parse(bad[i], strlen(bad[i]), &c, &format));
    for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++) /* told apart by its format */
        assert_true(fg_sink_kafka_cursor_parse(newer[i], strlen(newer[i]), &c, &format) &&
                    c.found && c.log == 1 && c.seq == 2 && c.crc == 3 && format == 7);
    fg_sink_kafka_event_log(&e, 1700000000000, 0xfedcba9876543210ull);
    assert_memory_equal(e.key, "log", e.key_len);
    assert_int_equal(e.value_len, strlen(log));
    assert_memory_equal(e.value, log, e.value_len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(orders),
                                       cmocka_unit_test(items_and_users),
                                       cmocka_unit_test(waiting_lists),
                                       cmocka_unit_test(leases_and_returns),
                                       cmocka_unit_test(names_are_escaped),
                                       cmocka_unit_test(longest_item_fits),
                                       cmocka_unit_test(records_that_are_no_events),
                                       cmocka_unit_test(cursor_text)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
