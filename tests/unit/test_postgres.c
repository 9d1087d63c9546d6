/* SPDX-License-Identifier: BSD-3-Clause */
/* The pure parts of the PostgreSQL sink: columns in binary, batches, the meaning of errors, names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <endian.h>

#include "sink/postgres/batch.h"
#include "sink/postgres/conn.h"
#include "sink/postgres/schema.h"

static uint32_t at32(const struct fg_sink_postgres_array *a, size_t offset)
{
    uint32_t value;

    memcpy(&value, a->data + offset, sizeof(value));
    return be32toh(value);
}

static int64_t at64(const struct fg_sink_postgres_array *a, size_t offset)
{
    uint64_t value;

    memcpy(&value, a->data + offset, sizeof(value));
    return (int64_t)be64toh(value);
}

static unsigned at16(const struct fg_sink_postgres_array *a, size_t offset)
{
    return at32(a, offset) >> 16;
}

static void arrays_have_the_form_of_the_server(void **state)
{
    struct fg_sink_postgres_array a = {0};

    fg_sink_postgres_array_begin(&a, 'b');
    fg_sink_postgres_add_i64(&a, -2);
    fg_sink_postgres_add_null(&a);
    fg_sink_postgres_array_end(&a);
    assert_int_equal(at32(&a, 0), 1);
    assert_int_equal(at32(&a, 8), 20); /* int8 */
    assert_int_equal(at32(&a, 12), 2);
    assert_int_equal(at32(&a, 16), 1);
    assert_int_equal(at32(&a, 20), 8);
    assert_int_equal(at64(&a, 24), -2);
    assert_int_equal(at32(&a, 32), UINT32_MAX);
    assert_int_equal(a.len, 36);
    fg_sink_postgres_array_begin(&a, 'n');
    fg_sink_postgres_array_end(&a);
    assert_int_equal(at32(&a, 12), 0);
    assert_int_equal(a.len, 20);
    fg_sink_postgres_array_free(&a);
}

/* Digits of base 10000, most significant first. */
static void unsigned_numbers_are_numeric(void **state)
{
    static const struct {
        uint64_t value;
        unsigned digits, digit[5];
    } cases[] = {{0, 0, {0}},
                 {9999, 1, {9999}},
                 {10000, 2, {1, 0}},
                 {1ull << 63, 5, {922, 3372, 368, 5477, 5808}},
                 {UINT64_MAX, 5, {1844, 6744, 737, 955, 1615}}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fg_sink_postgres_array a = {0};

        fg_sink_postgres_array_begin(&a, 'n');
        fg_sink_postgres_add_u64(&a, cases[i].value);
        assert_int_equal(at32(&a, 20), 8 + 2 * cases[i].digits);
        assert_int_equal(at16(&a, 24), cases[i].digits);
        assert_int_equal(at16(&a, 26), cases[i].digits ? cases[i].digits - 1 : 0);
        assert_int_equal(at32(&a, 28), 0);
        fg_sink_postgres_add_i32(&a, 0); /* room for the last reading */
        for (unsigned d = 0; d < cases[i].digits; d++)
            assert_int_equal(at16(&a, 32 + 2 * d), cases[i].digit[d]);
        fg_sink_postgres_array_free(&a);
    }
}

static void times_end_with_the_calendar(void **state)
{
    struct fg_sink_postgres_array a = {0};

    fg_sink_postgres_array_begin(&a, 't');
    fg_sink_postgres_add_time(&a, 946684800000);
    fg_sink_postgres_add_time(&a, 0);
    fg_sink_postgres_add_time(&a, 9224318015999999);
    fg_sink_postgres_add_time(&a, 9224318016000000);
    fg_sink_postgres_add_time(&a, UINT64_MAX);
    assert_int_equal(at64(&a, 24), 0);
    assert_true(at64(&a, 36) == -946684800000000);
    assert_true(at64(&a, 48) == 9223371331199999000);
    assert_true(at64(&a, 60) == INT64_MAX && at64(&a, 72) == INT64_MAX);
    fg_sink_postgres_array_free(&a);
}

static void text_is_made_text(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {{"", ""},
                 {"plain \"x\"", "plain \"x\""},
                 {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
                 {"a\nb\x7f", "a?b?"},
                 {"\xff\xc3", "??"},
                 {"\xc0\x80", "??"},
                 {"\xe0\x80\x80", "???"},
                 {"\xed\xa0\x80", "???"},
                 {"\xf4\x90\x80\x80", "????"},
                 {"\xf5\x80", "??"},
                 {"\xe2\x82", "??"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fg_sink_postgres_array a = {0};
        size_t len = strlen(cases[i].in);

        fg_sink_postgres_array_begin(&a, 'x');
        fg_sink_postgres_add_text(&a, cases[i].in, len);
        assert_int_equal(at32(&a, 20), len);
        assert_memory_equal(a.data + 24, cases[i].out, len);
        fg_sink_postgres_array_free(&a);
    }
}

/* ---- batches --------------------------------------------------------------------------------- */

static struct fg_journal_record order(uint64_t seq, unsigned type, uint64_t user, uint8_t id,
                                      uint64_t arg)
{
    struct fg_journal_record r = {
        .seq = seq, .time_ms = 1000 + seq, .type = (uint8_t)type, .quantity = 2, .item = 7};

    r.order_id[0] = id;
    r.user = user;
    r.arg = arg;
    return r;
}

static struct fg_journal_record stock(uint64_t seq, int64_t units)
{
    struct fg_journal_record r = {.seq = seq, .type = FG_JOURNAL_RECORD_STOCK, .item = 7};

    r.arg = (uint64_t)units;
    return r;
}

/* Value i of a column of 8-byte numbers. */
static int64_t value(const struct fg_sink_postgres_batch *b, enum fg_sink_postgres_statement s,
                     unsigned column, unsigned i)
{
    return at64(&b->rows[s].columns[column], 24 + (size_t)i * 12);
}

static void a_batch_adds_up(void **state)
{
    struct fg_journal_record r[] = {order(11, FG_JOURNAL_RECORD_RESERVED, 1, 1, 50),
                                    order(12, FG_JOURNAL_RECORD_RESERVED, 1, 2, 60),
                                    order(13, FG_JOURNAL_RECORD_SOLD, 1, 1, 0),
                                    order(14, FG_JOURNAL_RECORD_EXTENDED, 2, 1, 90),
                                    order(15, FG_JOURNAL_RECORD_EXPIRED, 3, 1, 0),
                                    order(16, FG_JOURNAL_RECORD_EXTENDED, 1, 2, 70),
                                    order(17, FG_JOURNAL_RECORD_CANCELLED, 2, 1, 0),
                                    stock(18, -5),
                                    stock(19, 3)};
    struct fg_sink_postgres_batch b;
    struct fg_error err;

    assert_true(fg_sink_postgres_batch_init(&b, 20));
    for (unsigned again = 0; again < 2; again++) {
        assert_true(fg_sink_postgres_batch_build(&b, r, sizeof(r) / sizeof(r[0]), &err));
        assert_int_equal(b.rows[FG_SINK_POSTGRES_ORDERS_ADD].count, 2);
        assert_int_equal(b.rows[FG_SINK_POSTGRES_ORDERS_CHANGE].count, 2);
        assert_int_equal(b.rows[FG_SINK_POSTGRES_ITEMS_COUNT].count, 1);
        assert_int_equal(b.rows[FG_SINK_POSTGRES_ITEMS_SET].count, 0);
        assert_int_equal(b.rows[FG_SINK_POSTGRES_USERS_DENY].count, 0);
        /* seq of the orders: the last record of each */
        assert_int_equal(value(&b, FG_SINK_POSTGRES_ORDERS_ADD, 9, 0), 13);
        assert_int_equal(value(&b, FG_SINK_POSTGRES_ORDERS_ADD, 9, 1), 16);
        assert_int_equal(value(&b, FG_SINK_POSTGRES_ORDERS_CHANGE, 9, 0), 17);
        /* total, available, reserved, sold: two accepted, one paid, one of before cancelled and one
         * expired
         */
        assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 1, 0), -2);
        assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 2, 0), -2 - 4 + 4);
        assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 3, 0), 4 - 6);
        assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 4, 0), 2);
        for (unsigned state_count = 0; state_count < 4; state_count++)
            assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 6 + state_count, 0),
                             state_count ? 1 : 2);
        assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 15, 0), 19);
    }
    fg_sink_postgres_batch_free(&b);
}

static void a_waiting_list_adds_up(void **state)
{
    struct fg_journal_record r[] = {order(11, FG_JOURNAL_RECORD_WAITING, 1, 1, 7),
                                    order(12, FG_JOURNAL_RECORD_WAITING, 1, 2, 8),
                                    order(13, FG_JOURNAL_RECORD_OFFERED, 1, 1, 50),
                                    order(14, FG_JOURNAL_RECORD_LEFT, 5, 1, 1)};
    struct fg_sink_postgres_batch b;
    struct fg_error err;

    assert_true(fg_sink_postgres_batch_init(&b, 4));
    assert_true(fg_sink_postgres_batch_build(&b, r, 4, &err));
    assert_int_equal(b.rows[FG_SINK_POSTGRES_ORDERS_ADD].count, 2);
    assert_int_equal(b.rows[FG_SINK_POSTGRES_ORDERS_CHANGE].count, 1);
    assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 2, 0), -2); /* available */
    assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 3, 0), 2);  /* reserved */
    assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 6, 0), 1);  /* accepted */
    assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 8, 0), 0);  /* cancelled */
    assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 12, 0), 0); /* + 2 - 1 - 1 */
    fg_sink_postgres_batch_free(&b);
}

static void leases_and_returns_add_up(void **state)
{
    struct fg_journal_record r[] = {{.seq = 11, .type = FG_JOURNAL_RECORD_LEASE, .item = 7},
                                    {.seq = 12, .type = FG_JOURNAL_RECORD_RETURN, .item = 7},
                                    {.seq = 13, .type = FG_JOURNAL_RECORD_LEASE, .item = 7}};
    struct fg_sink_postgres_batch b;
    struct fg_error err;

    r[0].fleet_units = 5, r[1].fleet_units = 3, r[2].fleet_units = 10;
    assert_true(fg_sink_postgres_batch_init(&b, 3));
    assert_true(fg_sink_postgres_batch_build(&b, r, 3, &err));
    assert_int_equal(b.rows[FG_SINK_POSTGRES_ITEMS_COUNT].count, 1);
    assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 1, 0), 12);  /* total */
    assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 2, 0), 12);  /* available */
    assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 13, 0), 15); /* leased */
    assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 14, 0), 3);  /* returned */
    assert_int_equal(value(&b, FG_SINK_POSTGRES_ITEMS_COUNT, 15, 0), 13); /* seq */
    fg_sink_postgres_batch_free(&b);
}

static void the_last_word_on_a_user_counts(void **state)
{
    struct fg_journal_record r[] = {
        order(1, FG_JOURNAL_RECORD_USER, 5, 0, 1), order(2, FG_JOURNAL_RECORD_USER, 6, 0, 0),
        order(3, FG_JOURNAL_RECORD_USER, 5, 0, 0), order(4, FG_JOURNAL_RECORD_USER, 6, 0, 1)};
    struct fg_sink_postgres_batch b;
    struct fg_error err;

    assert_true(fg_sink_postgres_batch_init(&b, 4));
    assert_true(fg_sink_postgres_batch_build(&b, r, 4, &err));
    assert_int_equal(b.rows[FG_SINK_POSTGRES_USERS_DENY].count, 1);
    assert_int_equal(b.rows[FG_SINK_POSTGRES_USERS_ALLOW].count, 1);
    fg_sink_postgres_batch_free(&b);
}

static void impossible_records_are_refused(void **state)
{
    struct fg_journal_record twice[] = {order(1, FG_JOURNAL_RECORD_RESERVED, 1, 1, 9),
                                        order(2, FG_JOURNAL_RECORD_RESERVED, 1, 1, 9)};
    struct fg_journal_record late[] = {order(1, FG_JOURNAL_RECORD_SOLD, 1, 1, 0),
                                       order(2, FG_JOURNAL_RECORD_CANCELLED, 1, 1, 0)};
    struct fg_journal_record unknown = {.seq = 77, .type = 200};
    struct fg_sink_postgres_batch b;
    struct fg_error err;

    assert_true(fg_sink_postgres_batch_init(&b, 4));
    assert_false(fg_sink_postgres_batch_build(&b, twice, 2, &err));
    assert_non_null(strstr(err.text, "record 2: the order was reserved before"));
    assert_false(fg_sink_postgres_batch_build(&b, late, 2, &err));
    assert_non_null(strstr(err.text, "record 2: the order was sold before"));
    assert_false(fg_sink_postgres_batch_build(&b, &unknown, 1, &err));
    assert_non_null(strstr(err.text, "record 77 is of type 200"));
    fg_sink_postgres_batch_free(&b);
}

/* ---- errors and names ------------------------------------------------------------------------ */

static void errors_have_a_meaning(void **state)
{
    static const struct {
        const char *code;
        enum fg_sink_result result;
        const char *advice;
    } cases[] = {{"40001", FG_SINK_AGAIN, ""},
                 {"40P01", FG_SINK_AGAIN, ""},
                 {"57014", FG_SINK_SLOW, ""},
                 {"57P01", FG_SINK_GONE, ""},
                 {"53300", FG_SINK_GONE, ""},
                 {"25006", FG_SINK_GONE, ""},
                 {"", FG_SINK_GONE, ""},
                 {"42P01", FG_SINK_REFUSE, "backend init"},
                 {"3F000", FG_SINK_REFUSE, "init"},
                 {"42501", FG_SINK_REFUSE, "rights"},
                 {"23505", FG_SINK_REFUSE, "another program"},
                 {"22003", FG_SINK_REFUSE, "another program"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *advice;

        assert_int_equal(fg_sink_postgres_cursor_check(cases[i].code, &advice), cases[i].result);
        assert_non_null(strstr(advice, cases[i].advice));
        assert_true(cases[i].advice[0] || !advice[0]);
    }
}

static void schemas_need_no_quoting(void **state)
{
    static const char
        *const good[] = {"floodgate", "_a1", "x"},
               *const bad[] = {
                   "",         "Floodgate",
                   "a-b",      "a b",
                   "1a",       "a\"b",
                   "pg_x",     "a;drop",
                   "\xc3\xa4", "a123456789012345678901234567890123456789012345678901234567890123"};
    struct fg_error err;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(fg_sink_postgres_schema_check(good[i], &err));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(fg_sink_postgres_schema_check(bad[i], &err));
        assert_non_null(strstr(err.text, "accepted are 1..63"));
    }
}

static void addresses_hold_no_password(void **state)
{
    static const struct {
        const char *conninfo, *address;
    } cases[] = {{"host=a,b port=1,2 dbname=d user=u password=geheim", "a,b:1,2/d"},
                 {"host=/run/p dbname=d", "/run/p:5432/d"},
                 {"hostaddr=10.0.0.1 password='geh eim'", "10.0.0.1:5432/"},
                 {"postgresql://u:geheim@h:99/d", "h:99/d"},
                 {"service=s", "s:5432/"},
                 {"", "local:5432/"}};
    char address[64];
    struct fg_error err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(fg_sink_postgres_address(cases[i].conninfo, address, sizeof(address), &err));
        assert_string_equal(address, cases[i].address);
    }
    assert_false(
        fg_sink_postgres_address("password=geheim nonsense", address, sizeof(address), &err));
    assert_null(strstr(err.text, "geheim"));
    assert_non_null(strstr(err.text, "accepted: key=value"));
}

static void bad_options_are_refused(void **state)
{
    static const struct fg_sink_postgres_options good = {
        .conninfo = "host=h", .schema = "s", .batch_max = 1, .timeout_ms = 1, .retry_ms_max = 1};
    struct fg_sink_postgres_options o;
    struct fg_error err;

    assert_true(fg_sink_postgres_check(&good, &err));
#define BAD(field, bad, words)                                                                     \
    (o = good, o.field = (bad), assert_false(fg_sink_postgres_check(&o, &err)),                    \
     assert_non_null(strstr(err.text, words)))
    BAD(batch_max, 0, "accepted: 1..100000");
    BAD(batch_max, 100001, "accepted: 1..100000");
    BAD(timeout_ms, 0, "accepted: 1..3600000");
    BAD(timeout_ms, 3600001, "accepted: 1..3600000");
    BAD(retry_ms_max, 0, "accepted: 1..3600000");
#undef BAD
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_have_the_form_of_the_server),
        cmocka_unit_test(unsigned_numbers_are_numeric),
        cmocka_unit_test(times_end_with_the_calendar),
        cmocka_unit_test(text_is_made_text),
        cmocka_unit_test(a_batch_adds_up),
        cmocka_unit_test(a_waiting_list_adds_up),
        cmocka_unit_test(leases_and_returns_add_up),
        cmocka_unit_test(the_last_word_on_a_user_counts),
        cmocka_unit_test(impossible_records_are_refused),
        cmocka_unit_test(errors_have_a_meaning),
        cmocka_unit_test(schemas_need_no_quoting),
        cmocka_unit_test(addresses_hold_no_password),
        cmocka_unit_test(bad_options_are_refused),
    };

    return cmocka_run_group_tests_name("postgres", tests, NULL, NULL);
}
