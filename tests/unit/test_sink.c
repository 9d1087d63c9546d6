/* SPDX-License-Identifier: BSD-3-Clause */
/* Pure parts of the Redis sink: addresses, commands, the transaction, the verdict on a cursor. What
 * needs a server is in tests/fault/test_redis.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/resolve.h"
#include "redis/address.h"
#include "redis/command.h"
#include "sink/redis/batch.h"
#include "sink/redis/cursor.h"
#include "sink/sink.h"

#define APPLIANCE 0x1122334455667788ull

/* ---- addresses ------------------------------------------------------------------------------- */

static void test_address_forms(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {{"redis:6379", "redis", 6379},
                {"127.0.0.1:1", "127.0.0.1", 1},
                {"[::1]:65535", "::1", 65535},
                {"[2001:db8::7]:6379", "2001:db8::7", 6379},
                {"unix:/run/redis.sock", "/run/redis.sock", 0},
                {"unix:/a:b", "/a:b", 0}};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct fg_redis_address a;
        struct fg_error err = {""};

        assert_true(fg_redis_address_parse(good[i].text, &a, &err));
        assert_string_equal(a.host, good[i].host);
        assert_int_equal(a.port, good[i].port);
        assert_int_equal(a.is_unix, good[i].port == 0);
    }
}

static void test_address_refused(void **state)
{
    static const char *const bad[] = {
        "",      "host",         "host:",      ":6379",   "host:0",    "h:65536", "h:-1",
        "h:12a", "h:0000000001", "::1:6379",   "[::1]",   "[::1]6379", "[]:6379", "[::1:6379",
        "unix:", "unix:x",       "unix:run/x", "h:6379 ", "h: 6379",   "h:+1"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fg_redis_address a;
        struct fg_error err = {""};

        assert_false(fg_redis_address_parse(bad[i], &a, &err));
        assert_non_null(strstr(err.text, bad[i])); /* names the value */
    }
}

static void test_address_lengths(void **state)
{
    struct fg_redis_address a;
    struct fg_error err;
    char text[600];

    memset(text, 'h', sizeof(text));
    strcpy(text + 255, ":1");
    assert_true(fg_redis_address_parse(text, &a, &err));
    memset(text, 'h', 300);
    strcpy(text + 256, ":1");
    assert_false(fg_redis_address_parse(text, &a, &err));
    memset(text, 'p', sizeof(text));
    memcpy(text, "unix:/", 6);
    text[5 + FG_REDIS_PATH_MAX] = '\0';
    assert_true(fg_redis_address_parse(text, &a, &err));
    text[5 + FG_REDIS_PATH_MAX] = 'p';
    text[6 + FG_REDIS_PATH_MAX] = '\0';
    assert_false(fg_redis_address_parse(text, &a, &err));
}

static void test_prefix(void **state)
{
    static const char *const bad[] = {"",    "a b", "a*",  "{a}",     "a?",
                                      "[a]", "a\\", "a\n", "\xc3\xa4"};
    char text[FG_REDIS_PREFIX_MAX + 2];
    struct fg_error err;

    assert_true(fg_redis_prefix_check("floodgate", &err));
    assert_true(fg_redis_prefix_check("Shop_1.eu:sale-7", &err));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(fg_redis_prefix_check(bad[i], &err));
    memset(text, 'a', sizeof(text));
    text[FG_REDIS_PREFIX_MAX] = '\0';
    assert_true(fg_redis_prefix_check(text, &err));
    text[FG_REDIS_PREFIX_MAX] = 'a';
    text[FG_REDIS_PREFIX_MAX + 1] = '\0';
    assert_false(fg_redis_prefix_check(text, &err));
}

/* ---- commands -------------------------------------------------------------------------------- */

static void test_words(void **state)
{
    static const char expected[] = "*5\r\n$1\r\na\r\n$0\r\n\r\n$20\r\n18446744073709551615\r\n"
                                   "$20\r\n-9223372036854775808\r\n$4\r\nx\0y\n\r\n";
    struct fg_redis_resp r = {0};

    fg_redis_resp_begin(&r, 5);
    fg_redis_resp_text(&r, "a");
    fg_redis_resp_text(&r, "");
    fg_redis_resp_u64(&r, UINT64_MAX);
    fg_redis_resp_i64(&r, INT64_MIN);
    fg_redis_resp_word(&r, "x\0y\n", 4);
    assert_int_equal(r.len, sizeof(expected) - 1);
    assert_memory_equal(r.data, expected, r.len);
    assert_int_equal(r.commands, 1);
    fg_redis_resp_clear(&r);
    assert_int_equal(r.len, 0);
    fg_redis_resp_free(&r);
}

/* Commands as lines of words, for comparison with text: "HSET {p}:item:7 a 1\n". */
static void flatten(const struct fg_redis_resp *r, char *text, size_t size)
{
    const char *p = r->data, *end = r->data + r->len;
    size_t len = 0;

    while (p < end) {
        unsigned long words = strtoul(p + 1, NULL, 10);

        assert_int_equal(*p, '*');
        p = strstr(p, "\r\n") + 2;
        for (unsigned long i = 0; i < words; i++) {
            unsigned long n = strtoul(p + 1, NULL, 10);

            assert_int_equal(*p, '$');
            p = strstr(p, "\r\n") + 2;
            assert_true(len + n + 2 < size);
            memcpy(text + len, p, n);
            len += n;
            text[len++] = i + 1 < words ? ' ' : '\n';
            p += n + 2;
        }
    }
    text[len] = '\0';
}

static struct fg_journal_record order(uint64_t seq, unsigned type, uint64_t item, uint16_t quantity,
                                      uint64_t arg)
{
    struct fg_journal_record r = {.seq = seq,
                                  .time_ms = 1000 + seq,
                                  .type = (uint8_t)type,
                                  .quantity = quantity,
                                  .item = item};

    r.order_id[0] = 0xab;
    r.order_id[15] = 0x01;
    r.user = 42;
    r.arg = arg;
    return r;
}

static void build(const struct fg_journal_record *records, size_t n, uint64_t stream_max,
                  char *text, size_t size)
{
    struct fg_sink_redis_batch b;

    assert_true(fg_sink_redis_batch_init(&b, "p", stream_max, n));
    for (int again = 0; again < 2; again++) { /* nothing of one batch may leak into the next */
        assert_true(fg_sink_redis_batch_build(&b, records, n, APPLIANCE));
        flatten(&b.out, text, size);
    }
    fg_sink_redis_batch_free(&b);
}

#define ORDER_ID "ab000000000000000000000000000001"

static void test_transaction(void **state)
{
    struct fg_journal_record r[] = {
        {.seq = 1, .type = FG_JOURNAL_RECORD_BATCH},
        order(2, FG_JOURNAL_RECORD_RESERVED, 7, 3, 9000),
        order(3, FG_JOURNAL_RECORD_SOLD, 7, 3, 0),
    };
    char text[4096];

    r[2].crc = 0xc0ffe;
    build(r, 3, 0, text, sizeof(text));
    assert_string_equal(
        text, "MULTI\n"
              "HSET {p}:order:42:" ORDER_ID " state reserved item 7 user 42 quantity 3 deadline_ms "
              "9000 changed_ms 1002 seq 2\n"
              "XADD {p}:events 2-0 seq 2 type reserved time_ms 1002 user 42 order " ORDER_ID
              " item 7 quantity 3 deadline_ms 9000\n"
              "HSET {p}:order:42:" ORDER_ID " state sold changed_ms 1003 seq 3\n"
              "XADD {p}:events 3-0 seq 3 type sold time_ms 1003 user 42 order " ORDER_ID
              " item 7 quantity 3 deadline_ms 0\n"
              "HINCRBY {p}:item:7 available -3\n"
              "HINCRBY {p}:item:7 sold 3\n"
              "HSET {p}:cursor seq 3 appliance 1122334455667788 crc 000c0ffe format 1\n"
              "EXEC\n");
}

static void test_item_records(void **state)
{
    struct fg_journal_record r[] = {
        {.seq = 5, .time_ms = 1, .type = FG_JOURNAL_RECORD_ITEM_SET, .item = 9},
        {.seq = 6,
         .time_ms = 2,
         .type = FG_JOURNAL_RECORD_ITEM_NAME,
         .item = 9,
         .name = "blue\0shoe"},
        {.seq = 7, .time_ms = 3, .type = FG_JOURNAL_RECORD_STOCK, .item = 9},
        {.seq = 8, .time_ms = 4, .type = FG_JOURNAL_RECORD_STOCK, .item = 8},
    };
    char text[4096];

    r[0].hold_ms = 500;
    r[0].flags = FG_JOURNAL_ITEM_PAUSED;
    r[0].user_limit = 2;
    r[0].order_max = 4;
    r[2].arg = 100;
    r[3].arg = (uint64_t)-5;
    build(r, 4, 1000, text, sizeof(text));
    assert_string_equal(
        text,
        "MULTI\n"
        "SADD {p}:items 9\n"
        "HSET {p}:item:9 opens_ms 0 closes_ms 0 hold_ms 500 user_limit 2 order_max 4 paused 1\n"
        "XADD {p}:events MAXLEN ~ 1000 5-0 seq 5 type item-set time_ms 1 item 9 opens_ms 0 "
        "closes_ms 0 "
        "hold_ms 500 user_limit 2 order_max 4 paused 1\n"
        "HSET {p}:item:9 name blue\n"
        "XADD {p}:events MAXLEN ~ 1000 6-0 seq 6 type item-name time_ms 2 item 9 name blue\n"
        "XADD {p}:events MAXLEN ~ 1000 7-0 seq 7 type stock time_ms 3 item 9 units 100\n"
        "XADD {p}:events MAXLEN ~ 1000 8-0 seq 8 type stock time_ms 4 item 8 units -5\n"
        "HINCRBY {p}:item:9 total 100\n"
        "HINCRBY {p}:item:9 available 100\n"
        "HINCRBY {p}:item:9 reserved 0\n"
        "HINCRBY {p}:item:9 sold 0\n"
        "HINCRBY {p}:item:9 refunded 0\n"
        "HINCRBY {p}:item:8 total -5\n"
        "HINCRBY {p}:item:8 available -5\n"
        "HSET {p}:cursor seq 8 appliance 1122334455667788 crc 00000000 format 1\n"
        "EXEC\n");
}

static void test_waiting_list(void **state)
{
    struct fg_journal_record r[] = {
        {.seq = 1, .time_ms = 1, .type = FG_JOURNAL_RECORD_LINE_SET, .item = 7},
        order(2, FG_JOURNAL_RECORD_WAITING, 7, 3, 15),
        order(3, FG_JOURNAL_RECORD_OFFERED, 7, 3, 9000),
        order(4, FG_JOURNAL_RECORD_LEFT, 8, 3, 2)};
    char text[4096];

    r[0].line_max = 9, r[0].claim_ms = 8, r[0].wait_ttl_ms = 7,
    r[0].line_flags = FG_JOURNAL_LINE_ONE_UNIT | FG_JOURNAL_LINE_LOTTERY;
    build(r, 4, 0, text, sizeof(text));
    assert_string_equal(
        text,
        "MULTI\n"
        "HSET {p}:item:7 line_max 9 claim_ms 8 wait_ttl_ms 7 one_unit 1\n"
        "XADD {p}:events 1-0 seq 1 type line-set time_ms 1 item 7 line_max 9 claim_ms 8 "
        "wait_ttl_ms 7 one_unit 1 lottery 1\n"
        "HSET {p}:order:42:" ORDER_ID " state waiting item 7 user 42 quantity 3 deadline_ms 0 "
        "changed_ms 1002 seq 2\n"
        "XADD {p}:events 2-0 seq 2 type waiting time_ms 1002 user 42 order " ORDER_ID
        " item 7 quantity 3 ticket 15\n"
        "HSET {p}:order:42:" ORDER_ID " state reserved deadline_ms 9000 changed_ms 1003 seq 3\n"
        "XADD {p}:events 3-0 seq 3 type offered time_ms 1003 user 42 order " ORDER_ID
        " item 7 quantity 3 deadline_ms 9000\n"
        "HSET {p}:order:42:" ORDER_ID " state cancelled changed_ms 1004 seq 4\n"
        "XADD {p}:events 4-0 seq 4 type left time_ms 1004 user 42 order " ORDER_ID
        " item 8 quantity 3 why absent\n"
        "HINCRBY {p}:item:7 available -3\n"
        "HINCRBY {p}:item:7 reserved 3\n"
        "HINCRBY {p}:item:8 waiting -1\n"
        "HSET {p}:cursor seq 4 appliance 1122334455667788 crc 00000000 format 1\n"
        "EXEC\n");
}

static void test_fleet(void **state)
{
    struct fg_journal_record r[] = {
        {.seq = 1, .time_ms = 1, .type = FG_JOURNAL_RECORD_LEASE, .item = 7},
        {.seq = 2, .time_ms = 1, .type = FG_JOURNAL_RECORD_RETURN, .item = 7}};
    char text[4096];

    r[0].fleet_units = 5, r[0].fleet_sum = 9, r[0].fleet_times = 2;
    r[1].fleet_units = 3, r[1].fleet_sum = 3, r[1].fleet_times = 1;
    build(r, 2, 0, text, sizeof(text));
    assert_string_equal(
        text, "MULTI\n"
              "XADD {p}:events 1-0 seq 1 type lease time_ms 1 item 7 units 5 sum 9 times 2\n"
              "XADD {p}:events 2-0 seq 2 type return time_ms 1 item 7 units 3 sum 3 times 1\n"
              "HINCRBY {p}:item:7 total 2\n"
              "HINCRBY {p}:item:7 available 2\n"
              "HINCRBY {p}:item:7 leased 5\n"
              "HINCRBY {p}:item:7 returned 3\n"
              "HSET {p}:cursor seq 2 appliance 1122334455667788 crc 00000000 format 1\n"
              "EXEC\n");
    build(r, 1, 0, text, sizeof(text)); /* nothing is left of the batch before */
    assert_null(strstr(text, "returned"));
}

static void test_draw(void **state)
{
    struct fg_journal_record r[] = {
        {.seq = 1, .time_ms = 1, .type = FG_JOURNAL_RECORD_LOTTERY, .item = 7, .name = {0xcd}},
        {.seq = 2, .time_ms = 2, .type = FG_JOURNAL_RECORD_DRAWN, .item = 7, .order_id = {0xab}}};
    char text[4096];

    r[1].user = 4, r[1].arg = 5;
    build(r, 2, 0, text, sizeof(text));
    assert_non_null(strstr(text, "XADD {p}:events 1-0 seq 1 type lottery time_ms 1 item 7 "
                                 "commitment cd0000000000000000000000000000000000000000000000"
                                 "0000000000000000\n"));
    assert_non_null(strstr(text, "XADD {p}:events 2-0 seq 2 type drawn time_ms 2 item 7 "
                                 "seed ab000000000000000000000000000000 orders 4 behind 5\n"));
}

/* How the log was written is no event. */
static void test_epochs_leave_no_trace(void **state)
{
    struct fg_journal_record r[] = {{.seq = 4, .type = FG_JOURNAL_RECORD_BATCH},
                                    {.seq = 5, .type = FG_JOURNAL_RECORD_EPOCH, .item = 7}};
    char text[4096];

    build(r, 2, 0, text, sizeof(text));
    assert_null(strstr(text, "XADD"));
    assert_null(strstr(text, "item:7"));
    assert_non_null(strstr(text, "HSET {p}:cursor seq 5 "));
}

/* Every order step of the list moves units, and total = available + reserved + sold stays. */
static void test_steps_move_units(void **state)
{
    static const struct {
        unsigned type;
        const char *counters;
    } steps[] = {
        {FG_JOURNAL_RECORD_RESERVED,
         "HINCRBY {p}:item:7 available -2\nHINCRBY {p}:item:7 reserved 2\nHSET {p}:cursor"},
        {FG_JOURNAL_RECORD_SOLD,
         "HINCRBY {p}:item:7 reserved -2\nHINCRBY {p}:item:7 sold 2\nHSET {p}:cursor"},
        {FG_JOURNAL_RECORD_CANCELLED,
         "HINCRBY {p}:item:7 available 2\nHINCRBY {p}:item:7 reserved -2\nHSET {p}:cursor"},
        {FG_JOURNAL_RECORD_SOLD_LATE,
         "HINCRBY {p}:item:7 available -2\nHINCRBY {p}:item:7 sold 2\nHSET {p}:cursor"},
        {FG_JOURNAL_RECORD_CLOSED, "deadline_ms 0\nHSET {p}:cursor"}, /* none */
        {FG_JOURNAL_RECORD_REFUNDED,
         "HINCRBY {p}:item:7 sold -2\nHINCRBY {p}:item:7 refunded 2\nHSET {p}:cursor"},
        {FG_JOURNAL_RECORD_EXTENDED, "deadline_ms 0\nHSET {p}:cursor"}, /* none */
        {FG_JOURNAL_RECORD_EXPIRED,
         "HINCRBY {p}:item:7 available 2\nHINCRBY {p}:item:7 reserved -2\nHSET {p}:cursor"},
    };

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct fg_journal_record r = order(4, steps[i].type, 7, 2, 0);
        char text[4096];

        build(&r, 1, 0, text, sizeof(text));
        assert_non_null(strstr(text, steps[i].counters));
    }
}

static void test_extension(void **state)
{
    struct fg_journal_record r[] = {order(2, FG_JOURNAL_RECORD_RESERVED, 7, 3, 9000),
                                    order(3, FG_JOURNAL_RECORD_EXTENDED, 7, 3, 12000)};
    char text[4096];

    build(r, 2, 0, text, sizeof(text));
    assert_non_null(
        strstr(text, "HSET {p}:order:42:" ORDER_ID " deadline_ms 12000 changed_ms 1003 seq 3\n"
                     "XADD {p}:events 3-0 seq 3 type extended time_ms 1003 user 42 order " ORDER_ID
                     " item 7 quantity 3 deadline_ms 12000\n"
                     "HINCRBY {p}:item:7 available -3\n"
                     "HINCRBY {p}:item:7 reserved 3\n"
                     "HSET {p}:cursor seq 3 "));
}

static void test_denied_users(void **state)
{
    struct fg_journal_record r[] = {{.seq = 2, .time_ms = 8, .type = FG_JOURNAL_RECORD_USER},
                                    {.seq = 3, .time_ms = 9, .type = FG_JOURNAL_RECORD_USER}};
    char text[4096];

    r[0].user = r[1].user = UINT64_MAX;
    r[0].arg = 1;
    build(r, 2, 0, text, sizeof(text));
    assert_string_equal(
        text, "MULTI\n"
              "SADD {p}:denied 18446744073709551615\n"
              "XADD {p}:events 2-0 seq 2 type user time_ms 8 user 18446744073709551615 denied 1\n"
              "SREM {p}:denied 18446744073709551615\n"
              "XADD {p}:events 3-0 seq 3 type user time_ms 9 user 18446744073709551615 denied 0\n"
              "HSET {p}:cursor seq 3 appliance 1122334455667788 crc 00000000 format 1\n"
              "EXEC\n");
}

static void test_unknown_type_is_refused(void **state)
{
    struct fg_journal_record r = order(4, 99, 7, 2, 0);
    struct fg_sink_redis_batch b;

    assert_true(fg_sink_redis_batch_init(&b, "p", 0, 1));
    assert_false(fg_sink_redis_batch_build(&b, &r, 1, APPLIANCE));
    fg_sink_redis_batch_free(&b);
}

/* ---- the cursor ------------------------------------------------------------------------------ */

#define CRC 0xc0ffeeu

/* HMGET's reply of five fields; NULL = absent. */
static enum fg_sink_redis_cursor_state cursor_state(const char *seq, const char *log,
                                                    const char *crc, const char *format,
                                                    const char *broken, uint64_t *at,
                                                    struct fg_error *err)
{
    struct fg_sink_log ours = {
        .dir = "/nowhere", .id = APPLIANCE, .durable = 100, .seq = 100, .crc = CRC};
    const char *text[5] = {seq, log, crc, format, broken};
    redisReply fields[5], *elements[5], reply = {.type = REDIS_REPLY_ARRAY, .elements = 5};
    enum fg_sink_redis_cursor_state state;
    struct fg_sink_cursor cursor;

    memset(fields, 0, sizeof(fields));
    for (int i = 0; i < 5; i++) {
        fields[i].type = text[i] ? REDIS_REPLY_STRING : REDIS_REPLY_NIL;
        fields[i].str = (char *)(uintptr_t)text[i];
        elements[i] = &fields[i];
    }
    reply.element = elements;
    state = fg_sink_redis_cursor_check(&reply, "p", &ours, &cursor, err);
    *at = cursor.seq;
    return state;
}

static void test_cursor_verdicts(void **state)
{
    static const char ours[] = "1122334455667788", crc[] = "00c0ffee";
    struct fg_error err = {""};
    uint64_t at = 0;

    assert_int_equal(cursor_state(NULL, NULL, NULL, NULL, NULL, &at, &err), FG_SINK_REDIS_FRESH);
    assert_int_equal(cursor_state("100", ours, crc, "1", NULL, &at, &err), FG_SINK_REDIS_FOLLOW);
    assert_int_equal(at, 100);
    assert_int_equal(cursor_state("101", ours, crc, "1", NULL, &at, &err), FG_SINK_REDIS_NEWER);
    assert_non_null(strstr(err.text, "ahead of the log"));
    assert_non_null(strstr(err.text, "restore the right log; only if"));
    assert_int_equal(cursor_state("5", "1122334455667789", crc, "1", NULL, &at, &err),
                     FG_SINK_REDIS_FOREIGN);
    assert_non_null(strstr(err.text, "of log 1122334455667789"));
    assert_int_equal(cursor_state("5", ours, crc, "2", NULL, &at, &err), FG_SINK_REDIS_REFUSED);
    assert_non_null(strstr(err.text, "of another format than 1: 2."));
    assert_int_equal(cursor_state("5", ours, crc, NULL, NULL, &at, &err), FG_SINK_REDIS_REFUSED);
    assert_non_null(strstr(err.text, "of another format than 1: none."));
    assert_int_equal(cursor_state("5", NULL, crc, "1", NULL, &at, &err), FG_SINK_REDIS_REFUSED);
    assert_int_equal(cursor_state("5", ours, NULL, "1", NULL, &at, &err), FG_SINK_REDIS_REFUSED);
    assert_int_equal(cursor_state("5", ours, "1c0ffee00", "1", NULL, &at, &err),
                     FG_SINK_REDIS_REFUSED);
    assert_int_equal(cursor_state("5x", ours, crc, "1", NULL, &at, &err), FG_SINK_REDIS_REFUSED);
    assert_int_equal(cursor_state("-5", ours, crc, "1", NULL, &at, &err), FG_SINK_REDIS_REFUSED);
    assert_int_equal(cursor_state("", ours, crc, "1", NULL, &at, &err), FG_SINK_REDIS_REFUSED);
    assert_int_equal(cursor_state("5", ours, crc, "1", "up to record 5: WRONGTYPE", &at, &err),
                     FG_SINK_REDIS_REFUSED);
    assert_non_null(strstr(err.text, "WRONGTYPE"));
}

static void test_bad_options(void **state)
{
    static const struct fg_redis_options good = {.address = "unix:/nowhere",
                                                 .prefix = "p",
                                                 .batch_max = 1,
                                                 .timeout_ms = 10,
                                                 .retry_ms_max = 10};
    _Atomic uint64_t durable = 0;
    struct fg_redis_options o;
    struct fg_error err = {""};

#define REFUSED(change)                                                                            \
    do {                                                                                           \
        o = good;                                                                                  \
        change;                                                                                    \
        err.text[0] = '\0';                                                                        \
        assert_null(fg_sink_redis_start(&o, "/nowhere", &durable, &err));                          \
        assert_true(err.text[0]);                                                                  \
    } while (0)
    REFUSED(o.address[0] = '\0');
    REFUSED(o.prefix[0] = '*');
    REFUSED(o.batch_max = 0);
    REFUSED(o.batch_max = 100001);
    REFUSED(o.timeout_ms = 0);
    REFUSED(o.retry_ms_max = 0);
    REFUSED(strcpy(o.user, "shop"));
    assert_string_equal(fg_sink_state_name(FG_SINK_CATCHING_UP), "catching-up");
    assert_string_equal(fg_sink_state_name(99), "?");
}

static void test_address_lists(void **state)
{
    struct fg_redis_address list[FG_REDIS_SERVERS_MAX];
    struct fg_error err = {""};
    unsigned n;

    assert_true(fg_redis_address_list("a:1, [::1]:2,unix:/s", list, &n, &err));
    assert_int_equal(n, 3);
    assert_string_equal(list[1].host, "::1");
    assert_true(list[2].is_unix);
    assert_false(fg_redis_address_list("", list, &n, &err));
    assert_false(fg_redis_address_list("a:1, b", list, &n, &err));
    assert_false(fg_redis_address_list("a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1", list, &n, &err));
    assert_non_null(strstr(err.text, "more than 8 servers"));
}

static void test_secrets(void **state)
{
    char path[] = "/tmp/fgtest-secret-XXXXXX", secret[FG_SECRET_MAX], text[2 * FG_SECRET_MAX];
    int fd = mkstemp(path);
    struct fg_error err = {""};

    assert_true(fd >= 0 && write(fd, "first\nsecond\n", 13) == 13);
    assert_true(fg_secret_read(path, secret, &err));
    assert_string_equal(secret, "first");
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_false(fg_secret_read(path, secret, &err));
    assert_non_null(strstr(err.text, "first line is empty"));
    memset(text, 'x', sizeof(text));
    assert_int_equal(pwrite(fd, text, sizeof(text), 0), sizeof(text));
    assert_false(fg_secret_read(path, secret, &err));
    assert_non_null(strstr(err.text, "first line is too long; accepted: 1..1023"));
    assert_null(strstr(err.text, "xxx"));
    close(fd);
    unlink(path);
    assert_false(fg_secret_read(path, secret, &err));
    assert_non_null(strstr(err.text, "No such file"));
}

static void test_names_are_resolved_in_time(void **state)
{
    struct fg_wait wait = {.wake_fd = -1};
    struct fg_resolve_list list;
    struct fg_error err = {""};
    uint64_t began = fg_clock_mono_ms();

    assert_true(fg_resolve("192.0.2.7", &wait, began, &list, &err)); /* needs no time */
    assert_int_equal(list.count, 1);
    assert_string_equal(list.text[0], "192.0.2.7");
    assert_true(fg_resolve("localhost", &wait, began + 5000, &list, &err));
    assert_true(list.count >= 1);
    assert_false(fg_resolve("no-such-name.invalid", &wait, began, &list, &err)); /* time is over */
    assert_true(err.text[0]);
    assert_true(fg_clock_mono_ms() - began < 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_forms),
        cmocka_unit_test(test_address_refused),
        cmocka_unit_test(test_address_lengths),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_transaction),
        cmocka_unit_test(test_item_records),
        cmocka_unit_test(test_steps_move_units),
        cmocka_unit_test(test_waiting_list),
        cmocka_unit_test(test_draw),
        cmocka_unit_test(test_fleet),
        cmocka_unit_test(test_epochs_leave_no_trace),
        cmocka_unit_test(test_extension),
        cmocka_unit_test(test_denied_users),
        cmocka_unit_test(test_unknown_type_is_refused),
        cmocka_unit_test(test_cursor_verdicts),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_address_lists),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_names_are_resolved_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
