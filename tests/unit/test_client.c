/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's core in a virtual network and virtual time; its wrapper with sockets on loopback. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client_peer.h"

static struct fg_client *client_of(unsigned outstanding, unsigned servers, unsigned ports)
{
    struct fg_client_options o = {.outstanding_max = outstanding,
                                  .servers = servers,
                                  .ports_max = ports,
                                  .keys = 2,
                                  .key = {shop, backend},
                                  .seed = 42};
    struct fg_error err = {""};
    struct fg_client *c = fg_client_create(&o, &err);

    assert_string_equal(err.text, "");
    assert_non_null(c);
    return c;
}

static struct fg_client_ask ask_of(uint8_t op, uint64_t user, uint8_t order)
{
    struct fg_client_ask ask = {.op = op, .user = user, .order_id = {order}};

    if (op == FG_PACKET_OP_RESERVE || op == FG_PACKET_OP_WAIT) {
        ask.item = 42;
        ask.quantity = 1;
    }
    if (op == FG_PACKET_OP_STOCK) {
        ask.item = 42;
        ask.user = 0;
    }
    return ask;
}

static void not_ended(struct fg_client *c)
{
    struct fg_client_done done;

    assert_false(fg_client_next(c, &done));
}

/* ---- single questions ------------------------------------------------------------------------ */

static void test_request_is_signed(void **state)
{
    struct fg_client *c = client_of(4, 1, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_REFUND, 1001, 9);
    struct fg_client_packet p;
    struct fg_packet_request r;

    ask.key = 1;
    ask.flags = FG_PACKET_RESTOCK;
    assert_int_not_equal(fg_client_start(c, &ask, 0), 0);
    p = sent(c, 0);
    r = request_of(&p);
    assert_int_equal(r.tag, fg_packet_siphash24_56(backend.secret, p.bytes));
    assert_int_equal(r.magic, FG_PACKET_MAGIC);
    assert_int_equal(r.version, FG_PACKET_VERSION);
    assert_int_equal(r.op, FG_PACKET_OP_REFUND);
    assert_int_equal(r.key_id, 8);
    assert_int_equal(r.user, 1001);
    assert_int_equal(r.flags, FG_PACKET_RESTOCK);
    assert_int_equal(r.order_id[0], 9);
    nothing_sent(c, 0);
    fg_client_destroy(c);
}

static void test_answer_ends_the_question(void **state)
{
    struct fg_client *c = client_of(4, 1, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, 1, 1);
    struct fg_client_packet p;
    struct fg_client_done done;
    struct fg_packet_reply r;
    int me;

    ask.context = &me;
    fg_client_start(c, &ask, 100);
    assert_int_equal(fg_client_due_ms(c), 0);
    p = sent(c, 100);
    not_ended(c);
    r = reply_to(&p, FG_PACKET_STATUS_RESERVED);
    r.deadline_ms = 77;
    assert_int_equal(hand(c, &p, r, 103), FG_CLIENT_TAKEN);
    done = ended(c);
    assert_ptr_equal(done.context, &me);
    assert_true(done.answered);
    assert_int_equal(done.reply.deadline_ms, 77);
    assert_int_equal(done.took_ms, 3);
    assert_int_equal(done.sent, 1);
    assert_int_equal(fg_client_outstanding(c), 0);
    assert_int_equal(fg_client_due_ms(c), UINT64_MAX);
    assert_int_equal(hand(c, &p, r, 104), FG_CLIENT_IGNORED_UNKNOWN);
    not_ended(c);
    fg_client_destroy(c);
}

/* Waits of 200 ms, doubled up to 2 s, each times 0.75 to 1.25; 10 s in all. */
static void test_silence_is_repeated(void **state)
{
    struct fg_client *c = client_of(64, 1, 1);
    uint64_t first = 0, spread_low = UINT64_MAX, spread_high = 0;

    for (unsigned i = 0; i < 50; i++) {
        struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, i, 1);
        uint64_t now = 1000, wait = 200;
        uint32_t cookie;
        struct fg_client_packet p;
        struct fg_client_done done;
        unsigned count = 1;

        fg_client_start(c, &ask, now);
        p = sent(c, now);
        cookie = request_of(&p).cookie;
        while (fg_client_due_ms(c) < 11000) {
            uint64_t due = fg_client_due_ms(c);

            assert_in_range(due - now, wait * 3 / 4 - 1, wait * 5 / 4 + 1);
            if (count == 1) {
                first = due - now;
                spread_low = first < spread_low ? first : spread_low;
                spread_high = first > spread_high ? first : spread_high;
            }
            nothing_sent(c, due - 1);
            now = due;
            p = sent(c, now);
            assert_int_not_equal(request_of(&p).cookie, cookie);
            cookie = request_of(&p).cookie;
            wait = wait < 1000 ? wait * 2 : 2000;
            count++;
        }
        assert_int_equal(fg_client_due_ms(c), 11000);
        nothing_sent(c, 11000);
        done = ended(c);
        assert_false(done.answered);
        assert_int_equal(done.took_ms, 10000);
        assert_int_equal(done.sent, count);
        assert_in_range(count, 6, 10);
    }
    assert_true(spread_high - spread_low > 50); /* or they would come back together */
    fg_client_destroy(c);
}

static void test_reply_to_any_transmission_counts(void **state)
{
    struct fg_client *c = client_of(4, 1, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_CANCEL, 1, 1);
    struct fg_client_packet first;

    fg_client_start(c, &ask, 0);
    first = sent(c, 0);
    sent(c, fg_client_due_ms(c));
    assert_int_equal(hand(c, &first, reply_to(&first, FG_PACKET_STATUS_CANCELLED), 500),
                     FG_CLIENT_TAKEN);
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_CANCELLED);
    fg_client_destroy(c);
}

static void test_a_queued_repeat_is_not_sent_after_the_answer(void **state)
{
    struct fg_client *c = client_of(4, 1, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_CANCEL, 1, 1),
                         other = ask_of(FG_PACKET_OP_CANCEL, 2, 1);
    struct fg_client_packet first, second;

    fg_client_start(c, &ask, 0);
    first = sent(c, 0);
    fg_client_start(c, &other, 400); /* it is sent first; the timer of the first puts it behind */
    second = sent(c, 400);
    assert_int_equal(request_of(&second).user, 2);
    assert_int_equal(hand(c, &first, reply_to(&first, FG_PACKET_STATUS_SOLD), 401),
                     FG_CLIENT_TAKEN);
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_SOLD);
    nothing_sent(c, 401);
    fg_client_destroy(c);
}

static void test_wrong_replies(void **state)
{
    struct fg_client *c = client_of(4, 2, 4);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, 1, 1);
    struct fg_client_packet learning, p;
    struct fg_packet_reply right, r;
    uint8_t bytes[FG_PACKET_SIZE + 1] = {0};

    fg_client_start(c, &ask, 0);
    learning = sent(c, 0);
    assert_int_equal(request_of(&learning).op, FG_PACKET_OP_STOCK);
    p = sent(c, 0);
    right = reply_to(&p, FG_PACKET_STATUS_SOLD);
#define WRONG(change, verdict)                                                                     \
    r = right;                                                                                     \
    change;                                                                                        \
    assert_int_equal(hand(c, &p, r, 1), verdict)
    WRONG(r.op = FG_PACKET_OP_CANCEL | FG_PACKET_REPLY, FG_CLIENT_IGNORED_OTHER);
    WRONG(r.op = FG_PACKET_OP_RESERVE, FG_CLIENT_IGNORED_OTHER);
    WRONG(r.key_id = 8, FG_CLIENT_IGNORED_OTHER);
    WRONG(r.order_id[15] = 1, FG_CLIENT_IGNORED_OTHER);
    WRONG(r.cookie ^= 1u << 20, FG_CLIENT_IGNORED_UNKNOWN);
    WRONG(r.cookie ^= 1, FG_CLIENT_IGNORED_OTHER); /* a transmission that was not made */
    r = right;
    fg_packet_reply_seal(&r, &backend);
    assert_int_equal(fg_client_receive(c, 0, 0, &r, 64, 1), FG_CLIENT_IGNORED_TAG);
    fg_packet_reply_seal(&r, &shop);
    assert_int_equal(fg_client_receive(c, 1, 0, &r, 64, 1), FG_CLIENT_IGNORED_OTHER);
    assert_int_equal(fg_client_receive(c, 0, 1, &r, 64, 1), FG_CLIENT_IGNORED_OTHER);
    assert_int_equal(fg_client_receive(c, 8, 0, &r, 64, 1), FG_CLIENT_IGNORED_SHAPE);
    assert_int_equal(fg_client_receive(c, 0, 0, &r, 63, 1), FG_CLIENT_IGNORED_SHAPE);
    memcpy(bytes, &r, sizeof(r));
    assert_int_equal(fg_client_receive(c, 0, 0, bytes, 65, 1), FG_CLIENT_IGNORED_SHAPE);
    bytes[2]++;
    assert_int_equal(fg_client_receive(c, 0, 0, bytes, 64, 1), FG_CLIENT_IGNORED_SHAPE);
    for (unsigned bit = 0; bit < 512; bit++) {
        memcpy(bytes, &r, sizeof(r));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(fg_client_receive(c, 0, 0, bytes, 64, 1), FG_CLIENT_TAKEN);
    }
    not_ended(c);
    assert_int_equal(fg_client_receive(c, 0, 0, &r, 64, 1), FG_CLIENT_TAKEN);
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_SOLD);
    fg_client_destroy(c);
}

/* Two users may use one order id: only the cookie tells their answers apart. */
static void test_one_order_id_of_two_users(void **state)
{
    struct fg_client *c = client_of(4, 1, 1);
    struct fg_client_ask one = ask_of(FG_PACKET_OP_QUERY, 1, 1),
                         two = ask_of(FG_PACKET_OP_QUERY, 2, 1);
    struct fg_client_packet p1, p2;
    struct fg_client_done done;
    int a, b;

    one.context = &a;
    two.context = &b;
    fg_client_start(c, &one, 0);
    fg_client_start(c, &two, 0);
    p1 = sent(c, 0);
    p2 = sent(c, 0);
    hand(c, &p2, reply_to(&p2, FG_PACKET_STATUS_SOLD), 1);
    hand(c, &p1, reply_to(&p1, FG_PACKET_STATUS_EXPIRED), 1);
    done = ended(c);
    assert_true(done.context == &b && done.reply.status == FG_PACKET_STATUS_SOLD);
    done = ended(c);
    assert_true(done.context == &a && done.reply.status == FG_PACKET_STATUS_EXPIRED);
    fg_client_destroy(c);
}

/* A late reply must not meet a later question, however few slots there are. */
static void test_cookies_do_not_return(void **state)
{
    enum { ROUNDS = 1 << 20 };
    struct fg_client *c = client_of(2, 1, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_QUERY, 1, 1);
    uint8_t *seen = calloc(1u << 29, 1); /* touched sparsely */

    fg_client_start(c, &ask, 0); /* takes a slot for good */
    sent(c, 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct fg_client_packet p;
        uint32_t cookie;

        fg_client_start(c, &ask, 0);
        p = sent(c, 0);
        cookie = request_of(&p).cookie;
        assert_int_equal(seen[cookie >> 3], 0);
        seen[cookie >> 3] = 1;
        hand(c, &p, reply_to(&p, FG_PACKET_STATUS_SOLD), 0);
        ended(c);
    }
    free(seen);
    fg_client_destroy(c);
}

/* ---- ask again ------------------------------------------------------------------------------- */

static void test_hint_is_waited_for(void **state)
{
    struct fg_client *c = client_of(4, 1, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, 1, 1);
    struct fg_client_packet p;
    struct fg_packet_reply r;
    uint64_t due;

    ask.ask_again = FG_CLIENT_UNDECIDED;
    fg_client_start(c, &ask, 0);
    p = sent(c, 0);
    r = reply_to(&p, FG_PACKET_STATUS_BUSY);
    r.retry_ms = 300;
    assert_int_equal(hand(c, &p, r, 10), FG_CLIENT_TAKEN);
    assert_int_equal(hand(c, &p, r, 11), FG_CLIENT_IGNORED_AGAIN);
    not_ended(c);
    due = fg_client_due_ms(c);
    assert_in_range(due, 310, 610);
    nothing_sent(c, due - 1);
    p = sent(c, due);
    r = reply_to(&p, 200); /* of a later version: as BUSY without a hint */
    r.retry_ms = 5;
    hand(c, &p, r, due);
    assert_in_range(fg_client_due_ms(c) - due, 200, 400);
    p = sent(c, fg_client_due_ms(c));
    r = reply_to(&p, FG_PACKET_STATUS_NOT_OPEN);
    r.retry_ms = 60000; /* beyond the patience: the caller hears of it at once */
    hand(c, &p, r, 1000);
    r = ended(c).reply;
    assert_int_equal(r.status, FG_PACKET_STATUS_NOT_OPEN);
    assert_int_equal(r.retry_ms, 60000);
    fg_client_destroy(c);
}

static void test_hint_is_told_when_not_waited_for(void **state)
{
    struct fg_client *c = client_of(4, 1, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, 1, 1);
    struct fg_client_packet p;

    ask.ask_again = FG_CLIENT_STATUS(BUSY);
    fg_client_start(c, &ask, 0);
    p = sent(c, 0);
    hand(c, &p, reply_to(&p, FG_PACKET_STATUS_USER_RATE), 1);
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_USER_RATE);
    fg_client_destroy(c);
}

static void test_decision_ends_a_rest(void **state)
{
    struct fg_client *c = client_of(4, 1, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, 1, 1);
    struct fg_client_packet first, second;

    ask.ask_again = FG_CLIENT_UNDECIDED;
    fg_client_start(c, &ask, 0);
    first = sent(c, 0);
    second = sent(c, fg_client_due_ms(c));
    hand(c, &second, reply_to(&second, FG_PACKET_STATUS_BUSY), 300);
    hand(c, &first, reply_to(&first, FG_PACKET_STATUS_RESERVED), 301);
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_RESERVED);
    assert_int_equal(fg_client_due_ms(c), UINT64_MAX);
    fg_client_destroy(c);
}

/* An answer from before the last transmission is none: that one may have been carried out. But a
 * place in the waiting list is kept. */
static void test_silence_behind_an_answer(void **state)
{
    static const struct {
        uint8_t op, status;
        bool answered;
    } cases[] = {{FG_PACKET_OP_RESERVE, FG_PACKET_STATUS_BUSY, false},
                 {FG_PACKET_OP_CONFIRM, FG_PACKET_STATUS_BUSY, false},
                 {FG_PACKET_OP_WAIT, FG_PACKET_STATUS_WAITING, true}};

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fg_client *c = client_of(4, 1, 1);
        struct fg_client_ask ask = ask_of(cases[i].op, 1, 1);
        struct fg_packet_reply r;
        struct fg_client_packet p;
        uint64_t now = 0;

        ask.ask_again = FG_CLIENT_UNDECIDED | FG_CLIENT_STATUS(WAITING);
        fg_client_start(c, &ask, 0);
        p = sent(c, 0);
        r = reply_to(&p, cases[i].status);
        r.retry_ms = 20;
        assert_int_equal(hand(c, &p, r, 1), FG_CLIENT_TAKEN);
        for (now = fg_client_due_ms(c); fg_client_send(c, now, &p); now = fg_client_due_ms(c))
            ;
        assert_int_equal(ended(c).answered, cases[i].answered);
        fg_client_destroy(c);
    }
}

static void test_busy_until_patience_ends(void **state)
{
    struct fg_client *c = client_of(4, 1, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, 1, 1);
    struct fg_client_done done;
    uint64_t now = 0;

    ask.ask_again = FG_CLIENT_UNDECIDED;
    ask.patience_ms = 500;
    fg_client_start(c, &ask, 0);
    while (!fg_client_next(c, &done)) {
        struct fg_client_packet p = sent(c, now);
        struct fg_packet_reply r = reply_to(&p, FG_PACKET_STATUS_BUSY);

        r.retry_ms = 10;
        hand(c, &p, r, now);
        now = fg_client_due_ms(c);
        assert_true(now <= 500 || now == UINT64_MAX);
    }
    assert_true(done.answered && done.reply.status == FG_PACKET_STATUS_BUSY && done.sent > 20);
    fg_client_destroy(c);
}

static void test_retry_jitter(void **state)
{
    struct fg_packet_reply r = {.status = FG_PACKET_STATUS_NOT_OPEN, .retry_ms = 50};
    uint64_t low = UINT64_MAX, high = 0;

    random_state = 3;
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t ms = fg_client_retry_ms(&r, random64());

        low = ms < low ? ms : low;
        high = ms > high ? ms : high;
    }
    assert_in_range(low, 50, 60);
    assert_in_range(high, 1040, 1050);
    r.status = FG_PACKET_STATUS_BUSY;
    for (unsigned i = 0; i < 1000; i++)
        assert_in_range(fg_client_retry_ms(&r, random64()), 50, 100);
    r.retry_ms = 0;
    assert_int_equal(fg_client_retry_ms(&r, 99), 0);
    r.status = FG_PACKET_STATUS_WAITING;
    assert_int_equal(fg_client_retry_ms(&r, 99), 0);
    r.retry_ms = 1;
    assert_int_equal(fg_client_retry_ms(&r, 99), 1); /* 0 would be no hint */
    r.retry_ms = 30000;
    for (unsigned i = 0; i < 1000; i++)
        assert_in_range(fg_client_retry_ms(&r, random64()), 15000, 22500);
}

/* ---- steering, servers ----------------------------------------------------------------------- */

static void learn_ports(struct fg_client *c, uint16_t ports, uint64_t now)
{
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_QUERY, 1, 1);
    fg_client_handle handle = fg_client_start(c, &ask, now);
    struct fg_client_packet p = sent(c, now);
    struct fg_packet_reply r = reply_to(&p, FG_PACKET_STATUS_UNKNOWN_ITEM);

    assert_int_equal(request_of(&p).op, FG_PACKET_OP_STOCK);
    r.quantity = ports;
    assert_int_equal(hand(c, &p, r, now), FG_CLIENT_TAKEN);
    not_ended(c); /* the client's own question */
    sent(c, now);
    fg_client_forget(c, handle);
}

static void test_steering(void **state)
{
    struct fg_client *c = client_of(256, 1, 4);
    unsigned used = 0;

    learn_ports(c, 4, 0);
    assert_int_equal(fg_client_ports(c, 0), 4);
    for (uint64_t user = 0; user < 100; user++) {
        struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, user, 1);
        struct fg_client_packet p;

        fg_client_start(c, &ask, 1);
        p = sent(c, 1);
        assert_int_equal(p.port, fg_user_owner(user, 4));
        used |= 1u << p.port;
    }
    assert_int_equal(used, 15);
    nothing_sent(c, 1); /* not asked again within the minute */
    sent(c, fg_client_due_ms(c));
    assert_int_equal(fg_client_ports(c, 0), 1); /* silent: it may have changed */
    fg_client_destroy(c);
}

static void test_ports_beyond_those_of_the_caller(void **state)
{
    struct fg_client *c = client_of(64, 1, 2);

    learn_ports(c, 4, 0);
    for (uint64_t user = 0; user < 40; user++) {
        struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, user, 1);
        unsigned owner = fg_user_owner(user, 4);

        fg_client_start(c, &ask, 1);
        assert_int_equal(sent(c, 1).port, owner < 2 ? owner : 0);
    }
    fg_client_destroy(c);
}

static void test_silent_server_is_left(void **state)
{
    struct fg_client *c = client_of(16, 2, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, 1, 1);
    struct fg_client_packet p;

    fg_client_start(c, &ask, 0);
    assert_int_equal(sent(c, 0).server, 0);
    p = sent(c, fg_client_due_ms(c));
    assert_int_equal(p.server, 1);
    assert_int_equal(fg_client_server(c), 0);
    hand(c, &p, reply_to(&p, FG_PACKET_STATUS_RESERVED), 400);
    ended(c);
    assert_int_equal(fg_client_server(c), 1);
    fg_client_start(c, &ask, 500);
    p = sent(c, 500);
    assert_int_equal(p.server, 1);
    fg_client_destroy(c);
}

/* WAIT is repeated before its place is lost, also when repeats are; the turn ends it. */
static void test_a_place_in_the_line_is_kept(void **state)
{
    struct fg_client *c = client_of(16, 1, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_WAIT, 1, 1);
    struct fg_packet_reply r;
    struct fg_client_packet p;
    uint64_t now = 0, due;

    ask.patience_ms = 100000;
    ask.ask_again = FG_CLIENT_STATUS(WAITING);
    fg_client_start(c, &ask, now);
    for (unsigned i = 0; i < 4; i++) {
        p = sent(c, now);
        assert_int_equal(request_of(&p).op, FG_PACKET_OP_WAIT);
        if (i == 2) { /* this one is lost */
            due = fg_client_due_ms(c);
            assert_in_range(due - now, 150, 250);
            p = sent(c, now = due);
        }
        r = reply_to(&p, i == 3 ? FG_PACKET_STATUS_RESERVED : FG_PACKET_STATUS_WAITING);
        r.retry_ms = 8000;
        assert_int_equal(hand(c, &p, r, now), FG_CLIENT_TAKEN);
        due = fg_client_due_ms(c);
        if (i < 3)
            assert_in_range(due - now, 4000, 6000);
        now = due;
    }
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_RESERVED);
    fg_client_destroy(c);
}

/* A lost packet is no lost server: it answers others meanwhile. */
static void test_server_that_answers_others_is_kept(void **state)
{
    struct fg_client *c = client_of(16, 2, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, 1, 1),
                         other = ask_of(FG_PACKET_OP_RESERVE, 2, 1);
    struct fg_client_packet p;

    fg_client_start(c, &ask, 10);
    sent(c, 10);
    fg_client_start(c, &other, 20);
    p = sent(c, 20);
    hand(c, &p, reply_to(&p, FG_PACKET_STATUS_SOLD_OUT), 21);
    p = sent(c, fg_client_due_ms(c));
    assert_int_equal(request_of(&p).user, 1);
    assert_int_equal(p.server, 0);
    fg_client_destroy(c);
}

static void test_server_that_does_not_lead(void **state)
{
    struct fg_client *c = client_of(16, 2, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_RESERVE, 1, 1);
    struct fg_client_packet first, second, third;

    fg_client_start(c, &ask, 0);
    first = sent(c, 0);
    assert_int_equal(hand(c, &first, reply_to(&first, FG_PACKET_STATUS_NOT_LEADER), 1),
                     FG_CLIENT_TAKEN);
    second = sent(c, 1); /* at once */
    assert_int_equal(second.server, 1);
    assert_int_equal(hand(c, &first, reply_to(&first, FG_PACKET_STATUS_NOT_LEADER), 1),
                     FG_CLIENT_IGNORED_AGAIN);
    nothing_sent(c, 1);
    hand(c, &second, reply_to(&second, FG_PACKET_STATUS_NOT_LEADER),
         2); /* nor does this one: wait */
    nothing_sent(c, 2);
    assert_in_range(fg_client_due_ms(c), 202, 402);
    third = sent(c, fg_client_due_ms(c));
    assert_int_equal(third.server, 0);
    hand(c, &third, reply_to(&third, FG_PACKET_STATUS_SOLD), 500);
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_SOLD);
    assert_int_equal(fg_client_server(c), 0);
    fg_client_destroy(c);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void test_bounds(void **state)
{
    struct fg_client *c = client_of(3, 1, 2);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_QUERY, 1, 1);
    fg_client_handle handles[3];
    struct fg_client_packet p;

    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < 3; i++)
            handles[i] = fg_client_start(c, &ask, 0);
        assert_int_not_equal(handles[2], 0);
        assert_int_equal(fg_client_start(c, &ask, 0), 0);
        for (unsigned i = 0; i < round % 4; i++)
            fg_client_send(c, 0, &p);
        for (unsigned i = 0; i < 3; i++) {
            fg_client_forget(c, handles[(i + round) % 3]);
            fg_client_forget(c, handles[(i + round) % 3]); /* nothing */
        }
        assert_int_equal(fg_client_outstanding(c), 0);
        not_ended(c);
    }
    fg_client_destroy(c);
}

static void test_forgotten_after_the_end(void **state)
{
    struct fg_client *c = client_of(2, 1, 1);
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_QUERY, 1, 1);
    fg_client_handle handle = fg_client_start(c, &ask, 0);
    struct fg_client_packet p = sent(c, 0);

    hand(c, &p, reply_to(&p, FG_PACKET_STATUS_SOLD), 0);
    fg_client_forget(c, handle);
    not_ended(c);
    assert_int_equal(hand(c, &p, reply_to(&p, FG_PACKET_STATUS_SOLD), 0),
                     FG_CLIENT_IGNORED_UNKNOWN);
    fg_client_destroy(c);
}

static void test_options(void **state)
{
    struct fg_client_options good = {
        .outstanding_max = 1, .servers = 1, .keys = 1, .key = {shop}, .ports_max = 64};
    struct fg_client_options bad[7];
    struct fg_client *c = fg_client_create(&good, NULL);

    assert_non_null(c);
    fg_client_destroy(c);
    for (unsigned i = 0; i < 7; i++)
        bad[i] = good;
    bad[0].outstanding_max = 0;
    bad[1].outstanding_max = FG_CLIENT_OUTSTANDING_MAX + 1;
    bad[2].servers = 0;
    bad[3].servers = FG_CLIENT_SERVERS_MAX + 1;
    bad[4].keys = 0;
    bad[5].keys = FG_CLIENT_KEYS_MAX + 1;
    bad[6].ports_max = FG_CLIENT_PORTS_MAX + 1;
    for (unsigned i = 0; i < 7; i++) {
        struct fg_error err = {""};

        assert_null(fg_client_create(&bad[i], &err));
        assert_non_null(strstr(err.text, "accepted: "));
    }
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {{"198.18.0.1", "198.18.0.1", 4600},
                {"198.18.0.1:1", "198.18.0.1", 1},
                {"2001:db8::1", "2001:db8::1", 4600},
                {"[2001:db8::1]", "2001:db8::1", 4600},
                {"[2001:db8::1]:65535", "2001:db8::1", 65535}};
    static const char *const bad[] = {"",
                                      ":1",
                                      "1.2.3.4:",
                                      "1.2.3.4:0",
                                      "1.2.3.4:65536",
                                      "[::1",
                                      "[::1]x",
                                      "1.2.3.4:1x",
                                      "1.2.3.4:-1",
                                      "[]:1",
                                      "1.2.3.4:99999999999999999999999"};
    char host[64];
    uint16_t port;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(fg_client_address(good[i].text, host, &port, NULL));
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(fg_client_address(bad[i], host, &port, NULL));
}

/* ---- a network that loses, doubles, delays and forges ---------------------------------------- */

enum { USERS = 400, ORDERS_EACH = 25, IN_FLIGHT = 1 << 16 };

struct datagram {
    uint64_t at_ms;
    uint8_t server, port;
    uint8_t bytes[FG_PACKET_SIZE];
};

struct shopper {
    uint64_t user;
    unsigned orders, told;
    uint8_t order;
};

struct network {
    struct fg_client *client;
    struct datagram replies[IN_FLIGHT];
    unsigned count, leader;
    struct shopper shoppers[USERS];
    uint64_t now_ms;
};

/* The right answer names the user where nothing else does. */
static uint64_t deadline_for(uint64_t user, uint8_t order, uint8_t op)
{
    return fg_mix64(user, order * 256u + op);
}

static void fly(struct network *n, const struct fg_client_packet *p, struct fg_packet_reply r)
{
    unsigned copies = 1 + (random64() % 5 == 0);

    while (copies-- > 0 && n->count < IN_FLIGHT) {
        struct datagram *d = &n->replies[n->count++];

        /* most at once, some after a second, some when their question is long over */
        d->at_ms = n->now_ms + random64() % 20 + (random64() % 8 == 0 ? random64() % 1500 : 0) +
                   (random64() % 16 == 0 ? random64() % 30000 : 0);
        d->server = (uint8_t)p->server;
        d->port = (uint8_t)p->port;
        memcpy(d->bytes, &r, sizeof(r));
    }
}

static void answer(struct network *n, const struct fg_client_packet *p)
{
    struct fg_packet_request q = request_of(p);
    struct fg_packet_reply r = reply_to(p, FG_PACKET_STATUS_RESERVED);

    if (random64() % 100 < 30) /* the request is lost */
        return;
    r.deadline_ms = deadline_for(q.user, q.order_id[0], q.op);
    if (q.op == FG_PACKET_OP_STOCK)
        r.quantity = 4;
    if (p->server != n->leader)
        r.status = FG_PACKET_STATUS_NOT_LEADER;
    else if (random64() % 10 == 0)
        r.status = FG_PACKET_STATUS_BUSY, r.retry_ms = 5;
    fg_packet_reply_seal(&r, &shop);
    if (random64() % 100 >= 30)
        fly(n, p, r);
    if (random64() % 4 == 0) { /* a stranger who sees the packets, but has no key */
        r.status = FG_PACKET_STATUS_SOLD_OUT;
        fly(n, p, r);
    }
}

static void ask_next(struct network *n, struct shopper *s)
{
    struct fg_client_ask ask = {.op = s->orders % 2 ? FG_PACKET_OP_QUERY : FG_PACKET_OP_RESERVE,
                                .user = s->user,
                                .order_id = {(uint8_t)(s->orders / 2)}, /* the same for all users */
                                .item = s->orders % 2 ? 0 : 42,
                                .quantity = s->orders % 2 ? 0 : 1,
                                .patience_ms = 60000,
                                .ask_again = FG_CLIENT_UNDECIDED,
                                .context = s};

    s->order = ask.order_id[0];
    if (s->orders < ORDERS_EACH && fg_client_start(n->client, &ask, n->now_ms))
        s->orders++;
}

static void deliver(struct network *n)
{
    for (unsigned i = 0; i < n->count;) {
        struct datagram d = n->replies[i];

        if (d.at_ms > n->now_ms) {
            i++;
            continue;
        }
        n->replies[i] = n->replies[--n->count];
        fg_client_receive(n->client, d.server, d.port, d.bytes, sizeof(d.bytes), n->now_ms);
    }
}

static void listen_to_answers(struct network *n)
{
    struct fg_client_done done;

    while (fg_client_next(n->client, &done)) {
        struct shopper *s = done.context;

        s->told++;
        assert_true(done.answered);
        assert_int_equal(done.reply.status, FG_PACKET_STATUS_RESERVED);
        assert_int_equal(done.reply.deadline_ms, deadline_for(s->user, s->order, done.op));
        ask_next(n, s);
    }
}

static void play(uint64_t seed)
{
    struct network *n = calloc(1, sizeof(*n));
    const struct fg_client_counters *counters;
    struct fg_client_packet p;
    unsigned told = 0;

    random_state = seed;
    n->client = client_of(USERS, 2, 4);
    for (unsigned i = 0; i < USERS; i++) {
        n->shoppers[i].user = random64();
        ask_next(n, &n->shoppers[i]);
    }
    for (; fg_client_outstanding(n->client) && n->now_ms < 3600000; n->now_ms++) {
        n->leader = n->now_ms / 5000 % 2;
        while (fg_client_send(n->client, n->now_ms, &p))
            answer(n, &p);
        deliver(n);
        listen_to_answers(n);
    }
    for (unsigned i = 0; i < USERS; i++)
        told += n->shoppers[i].told;
    assert_int_equal(told, USERS * ORDERS_EACH);
    counters = fg_client_counters(n->client);
    assert_true(counters->received[FG_CLIENT_IGNORED_UNKNOWN] > 100); /* late ones did come */
    assert_true(counters->received[FG_CLIENT_IGNORED_TAG] > 100);     /* and forged ones */
    assert_true(counters->repeated > told / 4 && counters->moved > 0);
    fg_client_destroy(n->client);
    free(n);
}

static void test_network(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        play(seed);
}

/* ---- with sockets ---------------------------------------------------------------------------- */

struct peer {
    int fd;
    unsigned lose;
    uint16_t port;
    pthread_t thread;
};

static void *run_peer(void *argument)
{
    struct peer *p = argument;
    struct sockaddr_storage from;
    socklen_t size = sizeof(from);
    struct fg_client_packet packet;
    struct fg_packet_reply r;

    while (recvfrom(p->fd, packet.bytes, sizeof(packet.bytes), 0, (struct sockaddr *)&from,
                    &size) == FG_PACKET_SIZE) {
        if (p->lose && p->lose--)
            continue;
        if (request_of(&packet).op == FG_PACKET_OP_CONFIRM)
            break;
        r = reply_to(&packet, FG_PACKET_STATUS_SOLD);
        fg_packet_reply_seal(&r, &shop);
        sendto(p->fd, &r, sizeof(r), 0, (struct sockaddr *)&from, size);
    }
    return NULL;
}

static void start_peer(struct peer *p, unsigned lose)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {20, 0};
    socklen_t size = sizeof(address);

    p->lose = lose;
    p->fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_return_code(bind(p->fd, (struct sockaddr *)&address, size), 0);
    setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    getsockname(p->fd, (struct sockaddr *)&address, &size);
    p->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, run_peer, p), 0);
}

static void test_link_many(void **state)
{
    struct fg_client_options options = {.outstanding_max = 3, .keys = 1, .key = {shop}};
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_QUERY, 1, 1);
    struct fg_client_link *link;
    struct fg_client_done done;
    struct fg_error err = {""};
    fg_client_handle asked[3];
    const char *server;
    struct peer peer;
    char text[32];

    start_peer(&peer, 1);
    snprintf(text, sizeof(text), "127.0.0.1:%u", peer.port);
    server = text;
    link = fg_client_link_open(&options, &server, 1, &err);
    assert_non_null(link);
    for (unsigned i = 0; i < 3; i++) {
        ask.context = &asked[i];
        asked[i] = fg_client_link_start(link, &ask);
        assert_true(asked[i]);
    }
    assert_false(fg_client_link_start(link, &ask)); /* no room for a fourth */
    fg_client_link_forget(link, asked[1]);
    for (unsigned n = 0; n < 2; n++) {
        while (!fg_client_link_next(link, &done))
            fg_client_link_wait(link, 1000);
        assert_true(done.answered);
        assert_ptr_not_equal(done.context, &asked[1]);
        *(fg_client_handle *)done.context = 0;
    }
    assert_true(!asked[0] && asked[1] && !asked[2]);
    assert_false(fg_client_link_next(link, &done));
    ask.op = FG_PACKET_OP_CONFIRM; /* the peer ends */
    ask.patience_ms = 100;
    assert_false(fg_client_link_ask(link, &ask, &done));
    assert_true(fg_client_link_counters(link)->sent >= 4);
    pthread_join(peer.thread, NULL);
    close(peer.fd);
    fg_client_link_close(link);
}

static void test_link(void **state)
{
    struct fg_client_options options = {.outstanding_max = 1, .keys = 1, .key = {shop}};
    struct fg_client_ask ask = ask_of(FG_PACKET_OP_QUERY, 1, 1);
    char text[32];
    const char *servers[] = {"127.0.0.1:1", text}; /* nothing listens at the first one */
    struct fg_client_link *link;
    struct fg_client_done done;
    struct fg_error err = {""};
    struct peer peer;

    start_peer(&peer, 1);
    snprintf(text, sizeof(text), "127.0.0.1:%u", peer.port);
    link = fg_client_link_open(&options, servers, 2, &err);
    assert_string_equal(err.text, "");
    assert_true(fg_client_link_ask(link, &ask, &done));
    assert_int_equal(done.reply.status, FG_PACKET_STATUS_SOLD);
    assert_int_equal(done.server, 1);
    ask.op = FG_PACKET_OP_CONFIRM; /* the peer ends */
    ask.patience_ms = 100;
    assert_false(fg_client_link_ask(link, &ask, &done));
    pthread_join(peer.thread, NULL);
    close(peer.fd);
    fg_client_link_close(link);
    assert_null(fg_client_link_open(&options, (const char *const[]){"localhost"}, 1, &err));
    assert_non_null(strstr(err.text, "localhost"));
    fg_client_link_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_is_signed),
        cmocka_unit_test(test_answer_ends_the_question),
        cmocka_unit_test(test_silence_is_repeated),
        cmocka_unit_test(test_reply_to_any_transmission_counts),
        cmocka_unit_test(test_a_queued_repeat_is_not_sent_after_the_answer),
        cmocka_unit_test(test_wrong_replies),
        cmocka_unit_test(test_one_order_id_of_two_users),
        cmocka_unit_test(test_cookies_do_not_return),
        cmocka_unit_test(test_hint_is_waited_for),
        cmocka_unit_test(test_hint_is_told_when_not_waited_for),
        cmocka_unit_test(test_decision_ends_a_rest),
        cmocka_unit_test(test_busy_until_patience_ends),
        cmocka_unit_test(test_silence_behind_an_answer),
        cmocka_unit_test(test_retry_jitter),
        cmocka_unit_test(test_steering),
        cmocka_unit_test(test_ports_beyond_those_of_the_caller),
        cmocka_unit_test(test_silent_server_is_left),
        cmocka_unit_test(test_server_that_answers_others_is_kept),
        cmocka_unit_test(test_a_place_in_the_line_is_kept),
        cmocka_unit_test(test_server_that_does_not_lead),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_forgotten_after_the_end),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_link_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
