/* SPDX-License-Identifier: BSD-3-Clause */
/* What servers answer, taken apart: Redis by hiredis' own parser, PostgreSQL by results made with
 * libpq. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "postgres/rows.h"
#include "redis/reply.h"

/* The reply that these bytes are. Freed with freeReplyObject. */
static redisReply *parsed(const char *bytes)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    assert_int_equal(redisReaderFeed(reader, bytes, strlen(bytes)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    redisReaderFree(reader);
    return reply;
}

static bool stream(const redisReply *r, struct fg_error *err)
{
    const redisReply *entries;

    return fg_redis_reply_stream(r, 2, &entries, err);
}

static bool entry(const redisReply *r, struct fg_error *err)
{
    char id[FG_REDIS_ID_MAX];
    const redisReply *fields;

    return fg_redis_reply_entry(r, id, &fields, err);
}

static bool scan(const redisReply *r, struct fg_error *err)
{
    char cursor[24];
    const redisReply *keys;

    return fg_redis_reply_scan(r, cursor, &keys, err);
}

static bool count(const redisReply *r, struct fg_error *err)
{
    uint64_t value;

    return fg_redis_reply_count(r, "XLEN", &value, err);
}

static bool two_or_nil(const redisReply *r, struct fg_error *err)
{
    return fg_redis_reply_texts_or_nil(r, "HMGET", 2, err);
}

static bool exec(const redisReply *r, struct fg_error *err)
{
    return fg_redis_reply_exec(r, 2, err);
}

/* check, bytes, words of the error: NULL = good */
static const struct {
    bool (*check)(const redisReply *r, struct fg_error *err);
    const char *bytes, *words;
} replies[] = {
    {stream, "*-1\r\n", NULL},
    {stream, "*1\r\n*2\r\n$1\r\nk\r\n*0\r\n", NULL},
    {stream, "*1\r\n*2\r\n$1\r\nk\r\n*2\r\n:1\r\n:2\r\n", NULL},
    {stream, "*1\r\n*2\r\n$1\r\nk\r\n*3\r\n:1\r\n:2\r\n:3\r\n",
     "entries of a stream: an array of 0 to 2 expected, an array of 3 came"},
    {stream, ":5\r\n", "streams that were read: an array of 1 expected, the integer 5 came"},
    {stream, "*2\r\n:1\r\n:2\r\n", "an array of 2 came"},
    {stream, "*1\r\n:1\r\n", "a stream that was read"},
    {stream, "*1\r\n*2\r\n:1\r\n:1\r\n", "entries of a stream"},
    {stream, "+OK\r\n", "the text 'OK' came"},
    {stream, "-ERR \x1b[31m\r\n", "the error 'ERR ?[31m' came"},
    {entry, "*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", NULL},
    {entry, "*2\r\n$3\r\n1-0\r\n*-1\r\n", NULL},
    {entry, "*2\r\n$3\r\n1-0\r\n*1\r\n$1\r\na\r\n", "names with their values"},
    {entry, "*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n:1\r\n", "a text expected, the integer 1 came"},
    {entry, "*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n*-1\r\n", "a text expected, nil came"},
    {entry, "*2\r\n$3\r\n1-0\r\n$1\r\na\r\n", "an array expected, the text 'a' came"},
    {entry, "*2\r\n:1\r\n*0\r\n", "NUMBER-NUMBER expected, the integer 1 came"},
    {entry, "*2\r\n$2\r\n1-\r\n*0\r\n", "NUMBER-NUMBER"},
    {entry, "*2\r\n$4\r\n1-0x\r\n*0\r\n", "NUMBER-NUMBER"},
    {entry, "*2\r\n$22\r\n18446744073709551616-0\r\n*0\r\n", "NUMBER-NUMBER"},
    {entry, "*1\r\n$3\r\n1-0\r\n", "an entry of a stream: an array of 2"},
    {entry, "$-1\r\n", "nil came"},
    {scan, "*2\r\n$1\r\n7\r\n*1\r\n$1\r\na\r\n", NULL},
    {scan, "*2\r\n$1\r\nx\r\n*0\r\n", "the cursor of SCAN: a number expected"},
    {scan, "*2\r\n$1\r\n7\r\n*1\r\n:1\r\n", "keys of SCAN: a text expected, the integer 1 came"},
    {scan, "*2\r\n$1\r\n7\r\n$1\r\na\r\n", "keys of SCAN: an array"},
    {scan, "*0\r\n", "SCAN: an array of 2 expected, an array of 0 came"},
    {count, ":0\r\n", NULL},
    {count, ":-1\r\n", "from 0 on"},
    {count, "*0\r\n", "an integer expected"},
    {two_or_nil, "*2\r\n$1\r\na\r\n$-1\r\n", NULL},
    {two_or_nil, "*2\r\n$1\r\na\r\n:1\r\n", "a text or nil expected, the integer 1 came"},
    {two_or_nil, "*1\r\n$1\r\na\r\n", "an array of 2 expected, an array of 1 came"},
    {exec, "*2\r\n:1\r\n:1\r\n", NULL},
    {exec, "*-1\r\n", NULL},
    {exec, "*0\r\n", "EXEC: an array of 2 expected, an array of 0 came"},
    {exec, ":1\r\n", "the integer 1 came"},
};

static void test_checks(void **state)
{
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        struct fg_error err = {""};
        redisReply *r = parsed(replies[i].bytes);
        bool good = replies[i].check(r, &err);

        if (good != !replies[i].words || (!good && !strstr(err.text, replies[i].words)))
            fail_msg("case %zu: %s: '%s'", i, good ? "good" : "not good", err.text);
        freeReplyObject(r);
    }
}

static void test_nothing_is_accepted_as_nothing(void **state)
{
    struct fg_error err = {""};
    uint64_t value = 7;

    assert_false(stream(NULL, &err));
    assert_false(entry(NULL, &err));
    assert_false(scan(NULL, &err));
    assert_false(count(NULL, &err));
    assert_non_null(strstr(err.text, "nothing came"));
    assert_null(fg_redis_reply_at(NULL, 0));
    assert_string_equal(fg_redis_reply_word(NULL, 3), "");
    assert_null(fg_redis_reply_error_inside(NULL));
    assert_null(fg_redis_reply_value(NULL, "x"));
    assert_false(fg_redis_reply_number(NULL, 0, 10, &value));
    assert_int_equal(value, 7);
}

static void test_getters(void **state)
{
    redisReply *r = parsed("*4\r\n$2\r\n12\r\n:3\r\n-WRONGTYPE\r\n$3\r\n 12\r\n");
    uint64_t value = 0;

    assert_true(fg_redis_reply_number(r, 0, 10, &value));
    assert_int_equal(value, 12);
    assert_true(fg_redis_reply_number(r, 0, 16, &value));
    assert_int_equal(value, 0x12);
    for (size_t at = 1; at < 6; at++)
        assert_false(fg_redis_reply_number(r, at, 10, &value));
    assert_string_equal(fg_redis_reply_error_inside(r), "WRONGTYPE");
    assert_int_equal(fg_redis_reply_size(r), 4);
    assert_null(fg_redis_reply_at(r, 4));
    freeReplyObject(r);
}

/* ---- PostgreSQL ------------------------------------------------------------------------------ */

/* Rows of so many columns, each cell the text. */
static PGresult *made(int rows, int columns, const char *cell)
{
    PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc attributes[8] = {{.name = NULL}};
    char text[64];

    snprintf(text, sizeof(text), "%s", cell);
    for (int i = 0; i < columns; i++)
        attributes[i].name = text;
    assert_true(!columns || PQsetResultAttrs(r, columns, attributes));
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < columns; i++)
            assert_true(PQsetvalue(r, row, i, text, (int)strlen(cell)));
    return r;
}

static void test_rows(void **state)
{
    struct fg_error err = {""};
    uint64_t value = 0;

    for (int columns = 0; columns < 8; columns++) {
        PGresult *r = made(1, columns, "41");

        assert_int_equal(fg_postgres_rows(r, "the cursor", 4, 1, 1, &err), columns == 4);
        for (unsigned column = 0; column < 9; column++) {
            bool there = (int)column < columns;

            assert_string_equal(fg_postgres_rows_text(r, 0, column), there ? "41" : "");
            assert_string_equal(fg_postgres_rows_text(r, 1, column), "");
            assert_int_equal(fg_postgres_rows_null(r, 0, column), !there);
            assert_int_equal(fg_postgres_rows_u64(r, 0, column, &value), there);
        }
        PQclear(r);
    }
    assert_non_null(
        strstr(err.text, "the cursor: 4 columns and 1 rows expected, 7 columns and 1 rows came"));
    assert_false(fg_postgres_rows(NULL, "x", 1, 0, 1, &err));
    assert_string_equal(fg_postgres_rows_text(NULL, 0, 0), "");
}

static void test_row_numbers(void **state)
{
    static const char *const bad[] = {"",        " 1", "-1", "+1", "1x", "18446744073709551616",
                                      "\x1b[31m"};
    struct fg_error err = {""};
    uint64_t value = 7;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        PGresult *r = made(1, 1, bad[i]);

        assert_false(fg_postgres_rows_number(r, "x", 0, 0, &value, &err));
        PQclear(r);
    }
    assert_int_equal(value, 7);
    assert_non_null(strstr(err.text, "x: a number expected, '?[31m' came"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks),      cmocka_unit_test(test_nothing_is_accepted_as_nothing),
        cmocka_unit_test(test_getters),     cmocka_unit_test(test_rows),
        cmocka_unit_test(test_row_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
