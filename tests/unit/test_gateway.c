/* SPDX-License-Identifier: BSD-3-Clause */
/* The gateway's parts that know no nginx: keys, bodies, answers, sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "answer.h"
#include "identity.h"
#include "parse.h"

static bool key(const char *text, uint8_t id[16])
{
    return gateway_key_read(text, strlen(text), id);
}

static void test_keys(void **state)
{
    static const uint8_t bytes[16] = {0x8e, 0x03, 0x97, 0x8e, 0x40, 0xd5, 0x43, 0xdd,
                                      0xbc, 0x93, 0x68, 0x94, 0xa5, 0x7f, 0x93, 0x24};
    static const char *const same[] = {
        "8e03978e-40d5-43dd-bc93-6894a57f9324", "8E03978E-40D5-43DD-BC93-6894A57F9324",
        "8e03978e40d543ddbc936894a57f9324", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\""};
    static const char *const other[] = {"8e03978e-40d5-43dd-bc936-894a57f9324",
                                        "8e03978e-40d5-43dd-bc93-6894a57f932g", "x"};
    static const uint8_t abc[16] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                    0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23};
    char uuid[GATEWAY_UUID];
    uint8_t id[16];

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        assert_true(key(same[i], id));
        assert_memory_equal(id, bytes, 16);
    }
    gateway_uuid_write(uuid, bytes);
    assert_memory_equal(uuid, same[0], GATEWAY_UUID);
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        assert_true(key(other[i], id));
        assert_memory_not_equal(id, bytes, 16);
    }
    assert_true(key("abc", id)); /* FIPS 180-2's example */
    assert_memory_equal(id, abc, 16);
}

static void test_refused_keys(void **state)
{
    char longest[GATEWAY_KEY_MAX + 2];
    uint8_t id[16];

    memset(longest, 'x', sizeof(longest));
    assert_true(gateway_key_read(longest, GATEWAY_KEY_MAX, id));
    assert_false(gateway_key_read(longest, GATEWAY_KEY_MAX + 1, id));
    assert_false(key("", id));
    assert_false(key("\"\"", id));
    assert_false(key("\"", id));
    assert_false(key("\"a", id));
    assert_false(key("a\\b", id));
    assert_false(key("a b", id));
    assert_false(key("a\tb", id));
    assert_false(key("a\x7f", id));
    assert_false(key("\xc3\xa4", id));
    assert_false(gateway_key_read("a\0b", 3, id));
}

static const char *body_of(const char *text, size_t size, struct gateway_body *body)
{
    char *exact = malloc(size ? size : 1); /* so that a sanitizer sees a read behind it */
    const char *why;

    memcpy(exact, text, size);
    why = gateway_body_read(exact, size, GATEWAY_HAS(ITEM),
                            GATEWAY_HAS(USER) | GATEWAY_HAS(RESTOCK), body);
    free(exact);
    return why;
}

static void takes(const char *text, uint64_t item, const char *user)
{
    struct gateway_body body;

    assert_null(body_of(text, strlen(text), &body));
    assert_int_equal(body.number[GATEWAY_ITEM], item);
    assert_int_equal(body.user_size, strlen(user));
    assert_memory_equal(body.user, user, strlen(user));
}

static void test_bodies(void **state)
{
    struct gateway_body body;

    takes("{\"item\":7}", 7, "");
    takes(" {\n\t\"item\" : 9007199254740992 }\r\n", 9007199254740992, "");
    takes("{\"item\":\"18446744073709551615\"}", UINT64_MAX, "");
    takes("{\"\\u0069te\\u006D\":\"7\",\"user\":\"\\ud83d\\ude00 \\u00fc\\\"\\\\\\/\\n\"}", 7,
          "\xf0\x9f\x98\x80 \xc3\xbc\"\\/\n");
    takes("{\"user\":\"\xc3\xbc\xf0\x9f\x98\x80\xef\xbf\xbf\",\"item\":0}", 0,
          "\xc3\xbc\xf0\x9f\x98\x80\xef\xbf\xbf");
    assert_null(body_of("{\"item\":1,\"restock\":true}", 25, &body));
    assert_int_equal(body.number[GATEWAY_RESTOCK], 1);
    assert_null(body_of("{\"item\":1,\"restock\":false}", 26, &body));
    assert_int_equal(body.number[GATEWAY_RESTOCK], 0);
}

static void test_refused_bodies(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "}",
                                      "[]",
                                      "null",
                                      "\"item\"",
                                      "{}",
                                      "{\"item\"}",
                                      "{\"item\":}",
                                      "{\"item\":7",
                                      "{\"item\":7,}",
                                      "{\"item\":7}}",
                                      "{\"item\":7} x",
                                      "{,\"item\":7}",
                                      "{\"item\":1e3}",
                                      "{\"item\":1E3}",
                                      "{\"item\":1.0}",
                                      "{\"item\":-0}",
                                      "{\"item\":-1}",
                                      "{\"item\":+1}",
                                      "{\"item\":01}",
                                      "{\"item\":0x1}",
                                      "{\"item\":9007199254740993}",
                                      "{\"item\":18446744073709551616}",
                                      "{\"item\":\"18446744073709551616\"}",
                                      "{\"item\":\"\"}",
                                      "{\"item\":\" 1\"}",
                                      "{\"item\":\"1e3\"}",
                                      "{\"item\":null}",
                                      "{\"item\":true}",
                                      "{\"item\":[7]}",
                                      "{\"item\":7,\"item\":7}",
                                      "{\"item\":7,\"x\":1}",
                                      "{\"item\":7,\"quantity\":1}",
                                      "{\"item\":7,\"user\":7}",
                                      "{\"item\":7,\"user\":\"\"}",
                                      "{\"item\":7,\"user\":\"a",
                                      "{\"item\":7,\"user\":\"a\\",
                                      "{\"item\":7,\"user\":\"a\\x\"}",
                                      "{\"item\":7,\"user\":\"\\u0000\"}",
                                      "{\"item\":7,\"user\":\"\\ud800\"}",
                                      "{\"item\":7,\"user\":\"\\udc00\"}",
                                      "{\"item\":7,\"user\":\"\\ud800\\u0041\"}",
                                      "{\"item\":7,\"user\":\"\\ud800\\ud800\"}",
                                      "{\"item\":7,\"user\":\"\\ud83d",
                                      "{\"item\":7,\"user\":\"\\u12g4\"}",
                                      "{\"item\":7,\"user\":\"\t\"}",
                                      "{\"item\":7,\"user\":\"\x80\"}",
                                      "{\"item\":7,\"user\":\"\xc0\x80\"}",
                                      "{\"item\":7,\"user\":\"\xe0\x80\x80\"}",
                                      "{\"item\":7,\"user\":\"\xed\xa0\x80\"}",
                                      "{\"item\":7,\"user\":\"\xf4\x90\x80\x80\"}",
                                      "{\"item\":7,\"user\":\"\xf0\x9f\x98\"}",
                                      "{\"item\":7,\"restock\":1}",
                                      "{\"item\":7,\"restock\":\"true\"}",
                                      "{\"item\":7,\"restock\":truex}",
                                      "\xef\xbb\xbf{\"item\":7}"};
    struct gateway_body body;
    char text[300];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_non_null(body_of(bad[i], strlen(bad[i]), &body));
    assert_non_null(body_of("{\"item\":7}\0", 11, &body));
    assert_non_null(body_of("{\"item\":7,\"user\":\"a\0b\"}", 23, &body));
    memset(text, 'a', sizeof(text));
    memcpy(text, "{\"item\":7,\"user\":\"", 18);
    memcpy(text + 18 + GATEWAY_USER_MAX, "\"}", 2);
    assert_null(body_of(text, 20 + GATEWAY_USER_MAX, &body));
    memcpy(text + 18 + GATEWAY_USER_MAX, "a\"}", 3);
    assert_non_null(body_of(text, 21 + GATEWAY_USER_MAX, &body));
}

/* Every prefix of a good body is refused, and every byte of it may be anything. */
static void test_damaged_bodies(void **state)
{
    static const char good[] =
        "{\"user\":\"\\ud83d\\ude00\xc3\xbc\",\"item\":\"12\",\"restock\":true}";
    struct gateway_body body;
    char text[sizeof(good)];

    for (size_t i = 0; i < sizeof(good) - 1; i++) {
        assert_non_null(body_of(good, i, &body));
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(text, good, sizeof(good));
            text[i] = (char)byte;
            body_of(text, sizeof(good) - 1, &body);
        }
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct gateway_answer told(uint8_t op, struct fg_packet_reply r)
{
    static const uint8_t id[16] = {1, 2, 3};
    struct gateway_answer a;

    gateway_answer_reply(&a, op, id, &r, 999);
    assert_int_equal(strlen(a.text), a.size);
    return a;
}

static void test_every_status_has_an_answer(void **state)
{
    for (uint8_t op = FG_PACKET_OP_RESERVE; op <= FG_PACKET_OP_ORDERS; op++)
        for (uint8_t status = 1; status < FG_PACKET_STATUS_COUNT; status++) {
            struct fg_packet_reply r = {.status = status,
                                        .item = UINT64_MAX,
                                        .left = UINT32_MAX,
                                        .quantity = UINT16_MAX,
                                        .retry_ms = UINT32_MAX,
                                        .deadline_ms = 1790000000123};
            struct gateway_answer a = told(op, r);

            assert_true(a.http == 200 || a.http == 202 || (a.http >= 400 && a.http < 505));
            assert_int_equal(a.problem, a.http >= 400);
        }
}

static void test_answers(void **state)
{
    struct gateway_answer a =
        told(FG_PACKET_OP_RESERVE, (struct fg_packet_reply){.status = FG_PACKET_STATUS_RESERVED,
                                                            .item = 42,
                                                            .quantity = 2,
                                                            .deadline_ms = 1767225720000,
                                                            .retry_ms = 60000});

    assert_int_equal(a.http, 200);
    assert_string_equal(a.text, "{\"order\":\"01020300-0000-0000-0000-000000000000\","
                                "\"state\":\"RESERVED\",\"item\":\"42\",\"quantity\":2,"
                                "\"deadline\":\"2026-01-01T00:02:00Z\",\"left_ms\":60000}\n");
    a = told(FG_PACKET_OP_CONFIRM,
             (struct fg_packet_reply){.status = FG_PACKET_STATUS_SOLD, .flags = FG_PACKET_LATE});
    assert_int_equal(a.http, 200);
    assert_non_null(strstr(a.text, "\"late\":true"));
    a = told(FG_PACKET_OP_RESERVE, (struct fg_packet_reply){.status = FG_PACKET_STATUS_WAITING});
    assert_int_equal(a.http, 202);
    a = told(FG_PACKET_OP_CANCEL, (struct fg_packet_reply){.status = FG_PACKET_STATUS_SOLD});
    assert_int_equal(a.http, 409);
    a = told(FG_PACKET_OP_QUERY, (struct fg_packet_reply){.status = FG_PACKET_STATUS_EXPIRED});
    assert_int_equal(a.http, 200);
    a = told(FG_PACKET_OP_RESERVE,
             (struct fg_packet_reply){.status = FG_PACKET_STATUS_NOT_OPEN, .retry_ms = 2000});
    assert_int_equal(a.http, 409);
    assert_non_null(strstr(a.text, "\"retry_ms\":2999}")); /* 999 of 0 to 1000 */
    assert_int_equal(a.retry_after_s, 3);
    assert_non_null(strstr(a.text, "\"type\":\"urn:floodgate:problem:not-open\""));
    a = told(FG_PACKET_OP_RESERVE,
             (struct fg_packet_reply){.status = FG_PACKET_STATUS_USER_LIMIT, .left = 1});
    assert_non_null(strstr(a.text, "\"left\":1"));
    assert_null(strstr(a.text, "retry_ms"));
    assert_int_equal(a.retry_after_s, 0);
}

static void test_http_statuses(void **state)
{
    static const struct {
        uint8_t status;
        unsigned http;
    } rows[] = {{FG_PACKET_STATUS_SOLD_OUT, 409},      {FG_PACKET_STATUS_INSUFFICIENT, 409},
                {FG_PACKET_STATUS_USER_LIMIT, 409},    {FG_PACKET_STATUS_NOT_OPEN, 409},
                {FG_PACKET_STATUS_PAUSED, 409},        {FG_PACKET_STATUS_CLOSED, 409},
                {FG_PACKET_STATUS_EXPIRED, 409},       {FG_PACKET_STATUS_CANCELLED, 409},
                {FG_PACKET_STATUS_REFUNDED, 409},      {FG_PACKET_STATUS_CONFLICT, 422},
                {FG_PACKET_STATUS_BAD_QUANTITY, 422},  {FG_PACKET_STATUS_USER_RATE, 429},
                {FG_PACKET_STATUS_USER_DENIED, 403},   {FG_PACKET_STATUS_UNKNOWN_ITEM, 404},
                {FG_PACKET_STATUS_UNKNOWN_ORDER, 404}, {FG_PACKET_STATUS_BUSY, 503},
                {FG_PACKET_STATUS_UNAVAILABLE, 503},   {FG_PACKET_STATUS_FULL, 503},
                {FG_PACKET_STATUS_DENIED, 500}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(
            told(FG_PACKET_OP_RESERVE, (struct fg_packet_reply){.status = rows[i].status}).http,
            rows[i].http);
}

/* ---- users ----------------------------------------------------------------------------------- */

static void test_user_hash(void **state)
{
    /* RFC 4231, test case 2: key "Jefe", "what do ya want for nothing?" */
    struct gateway_secret secret = {"Jefe", 4, NULL};

    assert_int_equal(gateway_user_hash(&secret, "what do ya want for nothing?", 28),
                     0x5bdcc146bf60754eull);
    assert_int_equal(gateway_user_hash(&secret, "what do ya want for nothing?", 28),
                     0x5bdcc146bf60754eull); /* prepared by the first call */
    gateway_secret_release(&secret);
}

static void test_session(void **state)
{
    struct gateway_secret secret = {"0123456789abcdef", 16, NULL},
                          other = {"0123456789abcdeg", 16, NULL};
    char value[GATEWAY_SESSION_MAX], changed[GATEWAY_SESSION_MAX], user[GATEWAY_USER_MAX];
    size_t n = gateway_session_write(value, &secret, "anna", 4, 1000), size;

    assert_true(gateway_session_read(&secret, value, n, 999, user, &size));
    assert_int_equal(size, 4);
    assert_memory_equal(user, "anna", 4);
    assert_false(gateway_session_read(&secret, value, n, 1000, user, &size));
    assert_false(gateway_session_read(&other, value, n, 999, user, &size));
    for (size_t i = 0; i < n; i++) {
        memcpy(changed, value, n);
        changed[i] ^= 1;
        assert_false(gateway_session_read(&secret, changed, n, 999, user, &size));
        assert_false(gateway_session_read(&secret, value, i, 999, user, &size));
    }
    memset(user, 'u', sizeof(user));
    n = gateway_session_write(value, &secret, user, GATEWAY_USER_MAX, UINT64_MAX);
    assert_true(gateway_session_read(&secret, value, n, 999, changed, &size));
    assert_int_equal(size, GATEWAY_USER_MAX);
    gateway_secret_release(&secret);
    gateway_secret_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),           cmocka_unit_test(test_refused_keys),
        cmocka_unit_test(test_bodies),         cmocka_unit_test(test_refused_bodies),
        cmocka_unit_test(test_damaged_bodies), cmocka_unit_test(test_every_status_has_an_answer),
        cmocka_unit_test(test_answers),        cmocka_unit_test(test_http_statuses),
        cmocka_unit_test(test_user_hash),      cmocka_unit_test(test_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
