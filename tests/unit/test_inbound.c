/* SPDX-License-Identifier: BSD-3-Clause */
/* Pure parts of inbound commands: what a command says, what is written of it, and which entries are
 * under way. What needs a server is in tests/fault/test_inbound.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "inbound/internal.h"

#define ID "000102030405060708090a0b0c0d0e0f"

/* An array of texts, as a stream's entry has its fields. Static: one at a time. */
static redisReply *fields_of(const char *const *words)
{
    static redisReply texts[32], *elements[32], array;
    size_t n = 0;

    for (; words[n]; n++) {
        texts[n] = (redisReply){
            .type = REDIS_REPLY_STRING, .str = (char *)words[n], .len = strlen(words[n])};
        elements[n] = &texts[n];
    }
    array = (redisReply){.type = REDIS_REPLY_ARRAY, .elements = n, .element = elements};
    return &array;
}
#define FIELDS(...) fields_of((const char *const[]){__VA_ARGS__, NULL})

static void test_parse(void **state)
{
    struct fg_inbound_command o;
    struct fg_inbound_ref ref;
    char reason[FG_INBOUND_ENTRY_REASON];

    assert_true(fg_inbound_entry_parse(
        FIELDS("user", "18446744073709551615", "order", ID, "op", "confirm"), &o, &ref, reason));
    assert_int_equal(o.op, FG_PACKET_OP_CONFIRM);
    assert_true(o.user == UINT64_MAX);
    assert_int_equal(o.order_id[0], 0);
    assert_int_equal(o.order_id[10], 10);
    assert_int_equal(o.order_id[15], 15);
    assert_true(fg_inbound_entry_parse(
        FIELDS("op", "cancel", "user", "0", "order", ID, "note", "hello"), &o, &ref, reason));
    assert_int_equal(o.op, FG_PACKET_OP_CANCEL);
    assert_true(fg_inbound_entry_parse(
        FIELDS("op", "extend", "user", "7", "order", ID, "until_ms", "4102444800000"), &o, &ref,
        reason));
    assert_int_equal(o.op, FG_PACKET_OP_EXTEND);
    assert_int_equal(o.until_ms, 4102444800000);
    assert_true(fg_inbound_entry_parse(
        FIELDS("op", "cancel", "user", "0", "order", "FF0102030405060708090A0B0C0D0E0F"), &o, &ref,
        reason));
    assert_int_equal(o.order_id[0], 0xff);
    assert_false(ref.given);
    assert_true(
        fg_inbound_entry_parse(FIELDS("op", "refund", "user", "7", "order",
                                      "00010203-0405-0607-0809-0a0b0c0d0e0f", "ref", "invoice 77"),
                               &o, &ref, reason));
    assert_int_equal(o.op, FG_PACKET_OP_REFUND);
    assert_int_equal(o.flags, 0);
    assert_int_equal(o.order_id[15], 15);
    assert_true(ref.given);
    assert_int_equal(ref.len, 10);
    assert_memory_equal(ref.text, "invoice 77", 10);
    assert_true(fg_inbound_entry_parse(
        FIELDS("op", "refund", "user", "7", "order", ID, "restock", "1"), &o, &ref, reason));
    assert_int_equal(o.flags, FG_PACKET_RESTOCK);
    assert_true(fg_inbound_entry_parse(
        FIELDS("op", "refund", "user", "7", "order", ID, "restock", "0", "ref", ""), &o, &ref,
        reason));
    assert_int_equal(o.flags, 0);
    assert_true(ref.given && ref.len == 0);
    assert_false(fg_inbound_entry_parse(FIELDS("op", "refnd", "ref", "r1"), &o, &ref, reason));
    assert_memory_equal(ref.text, "r1", 2); /* read although what stands before it is wrong */
}

static void test_poison(void **state)
{
    static const struct {
        const char *reason, *words[16];
    } bad[] = {
        {"op is missing; accepted: confirm, cancel, extend, refund", {NULL}}, /* no fields at all */
        {"op 'reserve'; accepted: confirm, cancel, extend, refund",
         {"op", "reserve", "user", "1", "order", ID}},
        {"op 'CONFIRM'", {"op", "CONFIRM", "user", "1", "order", ID}},
        {"user ''", {"op", "confirm", "user", "", "order", ID}},
        {"user '1 '", {"op", "confirm", "user", "1 ", "order", ID}},
        {"user '0x1'", {"op", "confirm", "user", "0x1", "order", ID}},
        {"user '99999999999999999999'",
         {"op", "confirm", "user", "99999999999999999999", "order", ID}},
        {"order '" ID "0'", {"op", "confirm", "user", "1", "order", ID "0"}},
        {"order is missing", {"op", "confirm", "user", "1"}},
        {"op is missing", {"user", "1", "order", ID}},
        {"order is given twice", {"op", "confirm", "order", ID, "order", ID, "user", "1"}},
        {"until_ms is missing", {"op", "extend", "user", "1", "order", ID}},
        {"until_ms: 1800000000 looks like seconds; Unix milliseconds are meant: 1800000000000",
         {"op", "extend", "user", "1", "order", ID, "until_ms", "1800000000"}},
        {"until_ms: 99 is not a time",
         {"op", "extend", "user", "1", "order", ID, "until_ms", "99"}},
        {"until_ms is for extend only",
         {"op", "cancel", "user", "1", "order", ID, "until_ms", "1"}},
        {"restock is for refund only", {"op", "cancel", "user", "1", "order", ID, "restock", "1"}},
        {"restock 'yes'; accepted: 1: the units go back on sale, 0",
         {"op", "refund", "user", "1", "order", ID, "restock", "yes"}},
        {"order '00010203-0405-0607-0809-0a0b0c0d0e0'; accepted: 32 hex digits, or a UUID",
         {"op", "refund", "user", "1", "order", "00010203-0405-0607-0809-0a0b0c0d0e0"}},
        {"ref '1234567890123456789012345678901234567890'"
         "; accepted: at most 64 bytes",
         {"op", "cancel", "user", "1", "order", ID, "ref",
          "12345678901234567890123456789012345678901234567890123456789012345"}},
        {"op '"
         "????"
         "'",
         {"op", "\x1b\x01\xff\n", "user", "1", "order", ID}},
    };
    struct fg_inbound_command o;
    struct fg_inbound_ref ref;
    char reason[FG_INBOUND_ENTRY_REASON];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(fg_inbound_entry_parse(fields_of(bad[i].words), &o, &ref, reason));
        if (!strstr(reason, bad[i].reason))
            fail_msg("'%s' wanted, got '%s'", bad[i].reason, reason);
    }
}

/* The commands as one line of words. */
static const char *words_of(const struct fg_redis_resp *r)
{
    static char text[8192];
    size_t n = 0;

    for (size_t at = 0; at < r->len;) {
        char kind = r->data[at];
        size_t size = strtoul(r->data + at + 1, NULL, 10);

        at += (size_t)((char *)memchr(r->data + at, '\n', r->len - at) - (r->data + at)) + 1;
        if (kind == '*') {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", n ? "| " : "");
            continue;
        }
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s ", (int)size, r->data + at);
        at += size + 2;
    }
    text[n] = '\0';
    return text;
}

static void test_written(void **state)
{
    struct fg_inbound_command o = {
        .op = FG_PACKET_OP_EXTEND, .user = 42, .order_id = {0xab, [15] = 0x01}};
    struct fg_stock_answer answer = {.kind = FG_STOCK_INBOUND,
                                     .status = FG_PACKET_STATUS_RESERVED,
                                     .item = 7,
                                     .quantity = 2,
                                     .deadline_ms = 12345};
    struct fg_inbound_ref none = {false}, ref = {true, 3, "r 1"};
    char longer[400];
    struct fg_redis_resp out = {0};

    fg_inbound_entry_result(&out, "{p}:results", 0, "5-1", &none, &o, &answer);
    assert_string_equal(
        words_of(&out),
        "XADD {p}:results * command 5-1 op extend user 42 order ab000000000000000000000000000001 "
        "status RESERVED item 7 quantity 2 deadline_ms 12345 ");
    assert_int_equal(out.commands, 1);
    fg_redis_resp_clear(&out);
    fg_inbound_entry_result(&out, "{p}:results", 0, "5-1", &ref, &o, &answer);
    assert_string_equal(
        words_of(&out),
        "XADD {p}:results * command 5-1 ref r 1 op extend user 42 order "
        "ab000000000000000000000000000001 status RESERVED item 7 quantity 2 deadline_ms 12345 ");
    fg_redis_resp_clear(&out);
    fg_inbound_entry_refused(&out, "{p}:results", 5, "5-1", &ref, "why");
    assert_string_equal(words_of(&out), "XADD {p}:results MAXLEN ~ 5 * command 5-1 ref r 1 status "
                                        "BAD_COMMAND reason why ");
    fg_redis_resp_clear(&out);
    fg_inbound_entry_dead(&out, "{p}:d", 100, "5-2", "why", FIELDS("op", "x", "y", "z"));
    assert_string_equal(words_of(&out),
                        "XADD {p}:d MAXLEN ~ 100 * command 5-2 reason why op x y z ");
    memset(longer, 'a', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    fg_redis_resp_clear(&out);
    fg_inbound_entry_dead(&out, "k", 0, "5-2", "why", FIELDS("f", longer));
    assert_int_equal(strlen(words_of(&out)),
                     strlen("XADD k * command 5-2 reason why f ") + 256 + 1);
    fg_redis_resp_free(&out);
}

/* ---- under way ------------------------------------------------------------------------------- */

static struct fg_inbound *two_workers(void)
{
    struct fg_inbound *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    s->options.workers = 2;
    for (int i = 0; i < 2; i++) {
        s->options.commands[i] = fg_ring_create(FG_INBOUND_CAPACITY);
        s->options.answers[i] = fg_ring_create(FG_INBOUND_CAPACITY);
    }
    s->written = calloc(FG_INBOUND_CAPACITY + FG_INBOUND_PAGE, sizeof(*s->written));
    fg_inbound_slots_reset(s);
    return s;
}

static void end(struct fg_inbound *s)
{
    for (int i = 0; i < 2; i++) {
        fg_ring_destroy(s->options.commands[i]);
        fg_ring_destroy(s->options.answers[i]);
    }
    free(s->written);
    fg_redis_resp_free(&s->out);
    free(s);
}

static void take(struct fg_inbound *s, const char *id, const char *user)
{
    fg_inbound_slot_take(s, id, FIELDS("op", "confirm", "user", user, "order", ID));
}

/* The worker's side: takes the oldest command, and answers it. */
static struct fg_inbound_command given(struct fg_inbound *s, unsigned worker)
{
    struct fg_inbound_command o;

    assert_true(fg_ring_pop(s->options.commands[worker], &o));
    return o;
}

static void answer(struct fg_inbound *s, unsigned worker, uint32_t token, unsigned status)
{
    struct fg_stock_answer a = {
        .token = token, .kind = FG_STOCK_INBOUND, .status = (uint8_t)status};
    uint8_t message[FG_RING_SLOT] = {0};

    memcpy(message, &a, sizeof(a));
    assert_true(fg_ring_push(s->options.answers[worker], message));
}

static void test_owner_and_answer(void **state)
{
    struct fg_inbound *s = two_workers();

    for (unsigned user = 1; user <= 20; user++) {
        char text[8], id[8];
        unsigned owner = fg_user_owner(user, 2);
        struct fg_inbound_command o;

        snprintf(text, sizeof(text), "%u", user);
        snprintf(id, sizeof(id), "%u-0", user);
        take(s, id, text);
        o = given(s, owner);
        assert_int_equal(o.user, user);
        assert_true(o.token < FG_INBOUND_CAPACITY);
        answer(s, owner, o.token, FG_PACKET_STATUS_SOLD);
        fg_inbound_slots_collect(s);
        assert_int_equal(s->written_count, user);
        assert_string_equal(s->written[user - 1].id, id);
        assert_int_equal(s->given, 0);
        assert_int_equal(s->free_count, FG_INBOUND_CAPACITY);
    }
    assert_int_equal(s->out.commands, 21); /* MULTI and a result each */
    end(s);
}

static void test_one_that_is_set_aside(void **state)
{
    struct fg_inbound *s = two_workers();

    fg_inbound_slot_take(s, "1-0", FIELDS("op", "confrm", "ref", "r"));
    assert_int_equal(s->written_count, 1);
    assert_int_equal(s->adds, 2); /* among the dead, and its result */
    assert_int_equal(s->out.commands, 3);
    assert_non_null(strstr(s->dead_reason, "op 'confrm'"));
    assert_int_equal(s->free_count, FG_INBOUND_CAPACITY);
    take(s, "2-0", "5");
    fg_inbound_slots_forget(s);
    assert_int_equal(s->adds, 0);
    end(s);
}

static void test_busy_is_asked_again(void **state)
{
    static const uint8_t statuses[] = {FG_PACKET_STATUS_BUSY, FG_PACKET_STATUS_UNAVAILABLE,
                                       FG_PACKET_STATUS_BUSY};
    struct fg_inbound *s = two_workers();
    unsigned owner = fg_user_owner(5, 2), waited = 0;
    struct fg_inbound_command o;

    take(s, "1-0", "5");
    for (size_t i = 0; i < sizeof(statuses); i++) {
        o = given(s, owner);
        answer(s, owner, o.token, statuses[i]);
        fg_inbound_slots_collect(s);
        assert_int_equal(s->written_count, 0); /* no result, no acknowledgement */
        assert_int_equal(s->waits_count, 1);
        assert_true(s->slots[o.token].wait_ms > waited);
        waited = s->slots[o.token].wait_ms;
        fg_inbound_slots_retry(s); /* too early */
        assert_int_equal(s->given, 0);
        s->slots[o.token].due_ms = 0;
        fg_inbound_slots_retry(s);
        assert_int_equal(s->given, 1);
    }
    answer(s, owner, given(s, owner).token, FG_PACKET_STATUS_EXPIRED);
    fg_inbound_slots_collect(s);
    assert_int_equal(s->written[0].status, FG_PACKET_STATUS_EXPIRED);
    assert_int_equal(s->retries, 3);
    end(s);
}

static void test_answers_of_a_lost_connection_are_dropped(void **state)
{
    struct fg_inbound *s = two_workers();
    unsigned owner = fg_user_owner(5, 2);
    struct fg_inbound_command one, two;

    take(s, "1-0", "5");
    take(s, "2-0", "5");
    one = given(s, owner);
    two = given(s, owner);
    answer(s, owner, one.token, FG_PACKET_STATUS_BUSY);
    fg_inbound_slots_collect(s);
    fg_inbound_slots_forget(s);
    assert_int_equal(s->free_count, FG_INBOUND_CAPACITY - 1); /* `two` is still at the worker */
    take(s, "1-0", "5");
    assert_true(given(s, owner).token != two.token);
    answer(s, owner, two.token, FG_PACKET_STATUS_SOLD);
    fg_inbound_slots_collect(s);
    assert_int_equal(s->written_count, 0);
    assert_int_equal(s->given, 1);
    assert_int_equal(s->free_count, FG_INBOUND_CAPACITY - 1);
    end(s);
}

/* ---- a stream that is trimmed ---------------------------------------------------------------- */

static redisReply text_of(const char *text)
{
    return (redisReply){.type = REDIS_REPLY_STRING, .str = (char *)text, .len = strlen(text)};
}

static redisReply number_of(long long n)
{
    return (redisReply){.type = REDIS_REPLY_INTEGER, .integer = n};
}

/* Begins as a group that has read `read` entries, the last of them `last`; -1: Redis cannot tell.
 */
static struct fg_inbound_position position_of(const char *last, long long read)
{
    redisReply words[6] = {text_of("name"), text_of("floodgate"),         text_of("entries-read"),
                           number_of(read), text_of("last-delivered-id"), text_of(last)},
               *elements[6], group, *groups[1] = {&group}, reply;
    struct fg_inbound_position p;
    struct fg_error err;

    if (read < 0)
        words[3].type = REDIS_REPLY_NIL;
    for (unsigned i = 0; i < 6; i++)
        elements[i] = &words[i];
    group = (redisReply){.type = REDIS_REPLY_ARRAY, .elements = 6, .element = elements};
    reply = (redisReply){.type = REDIS_REPLY_ARRAY, .elements = 1, .element = groups};
    assert_true(fg_inbound_trim_begin(&p, &reply, "floodgate", &err));
    assert_false(fg_inbound_trim_begin(&p, &reply, "another", &err));
    assert_true(fg_inbound_trim_begin(&p, &reply, "floodgate", &err));
    return p;
}

/* A stream of so many entries, the first of them `first`; how many are missed. added < 0: a Redis
 * that does not count. */
static uint64_t missed(struct fg_inbound_position *p, const char *first, long long length,
                       long long added)
{
    redisReply id = text_of(first), *entry[1] = {&id},
               words[6] = {text_of("length"),
                           number_of(length),
                           text_of("first-entry"),
                           {.type = REDIS_REPLY_ARRAY, .elements = 1, .element = entry},
                           text_of("entries-added"),
                           number_of(added)},
               *elements[6],
               reply = {
                   .type = REDIS_REPLY_ARRAY, .elements = added < 0 ? 4 : 6, .element = elements};
    uint64_t trimmed, found;
    struct fg_error err;

    for (unsigned i = 0; i < 6; i++)
        elements[i] = &words[i];
    assert_true(fg_inbound_trim_check(p, &reply, &found, &trimmed, &err));
    assert_int_equal(found, length);
    return trimmed;
}

static void test_trimmed(void **state)
{
    struct fg_inbound_position p = position_of("5-0", 5);

    assert_int_equal(missed(&p, "", 0, 5), 0);
    assert_int_equal(missed(&p, "9-0", 2, 10), 3); /* of 6 to 10 the first three are gone */
    assert_true(p.tell && p.read == 8);
    fg_inbound_trim_read(&p, "9-0");
    fg_inbound_trim_read(&p, "10-0");
    p.tell = false;
    assert_int_equal(missed(&p, "9-0", 2, 10), 0);  /* read, and not yet acknowledged */
    assert_int_equal(missed(&p, "10-0", 1, 30), 0); /* 20 may be missed, but not before 10-0 */
    assert_false(p.tell);
    assert_int_equal(missed(&p, "30-0", 1, 30), 19);
    fg_inbound_trim_read(&p, "30-0");
    assert_int_equal(missed(&p, "", 0, 30), 0);
    assert_int_equal(missed(&p, "", 0, 7), 0); /* the stream of a backup */
    assert_int_equal(missed(&p, "", 0, 9), 2);
}

static void test_trimmed_is_unknown(void **state)
{
    struct fg_inbound_position p = position_of("0-0", -1);

    assert_int_equal(missed(&p, "4-0", 3, 6), 0); /* never asked before: no news */
    assert_true(p.known && p.tell && p.read == 3);
    assert_int_equal(missed(&p, "5-0", 2, 6), 1);
    p = position_of("5-0", -1);
    assert_int_equal(missed(&p, "9-0", 2, -1), 0); /* Redis 6.2 */
    assert_false(p.known || p.tell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_owner_and_answer),
        cmocka_unit_test(test_one_that_is_set_aside),
        cmocka_unit_test(test_busy_is_asked_again),
        cmocka_unit_test(test_answers_of_a_lost_connection_are_dropped),
        cmocka_unit_test(test_trimmed),
        cmocka_unit_test(test_trimmed_is_unknown),
    };

    return cmocka_run_group_tests_name("inbound", tests, NULL, NULL);
}
