/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's core where many ask: members of a fleet that name another one, and the opening of a
 * sale. */
#include "client_peer.h"

static struct fg_client *client_of(unsigned outstanding, unsigned servers)
{
    struct fg_client_options o = {.outstanding_max = outstanding,
                                  .servers = servers,
                                  .ports_max = 1,
                                  .keys = 1,
                                  .key = {shop},
                                  .seed = 42};
    struct fg_client *c = fg_client_create(&o, NULL);

    assert_non_null(c);
    return c;
}

static struct fg_client_ask ask_of(uint64_t user)
{
    return (struct fg_client_ask){
        .op = FG_PACKET_OP_RESERVE, .user = user, .order_id = {1}, .item = 42, .quantity = 1};
}

/* The member of a fleet that WRONG_SHARD names is asked at once, for this user only. */
static void test_member_of_a_fleet(void **state)
{
    struct fg_client *c = client_of(16, 3);
    struct fg_client_ask ask = ask_of(1);
    struct fg_client_packet p, q;
    struct fg_packet_reply r;

    fg_client_start(c, &ask, 0);
    p = sent(c, 0);
    r = reply_to(&p, FG_PACKET_STATUS_WRONG_SHARD);
    r.quantity = 2;
    assert_int_equal(hand(c, &p, r, 1), FG_CLIENT_TAKEN);
    q = sent(c, 1);
    assert_int_equal(q.server, 2);
    assert_int_equal(hand(c, &p, r, 1), FG_CLIENT_IGNORED_AGAIN);
    nothing_sent(c, 1);
    hand(c, &q, reply_to(&q, FG_PACKET_STATUS_RESERVED), 2);
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_RESERVED);
    assert_int_equal(fg_client_server(c), 0); /* other users are asked about there, as before */
    fg_client_destroy(c);
}

/* Members that do not agree whose user it is are asked in turn a bounded number of times, then
 * after a wait. */
static void test_members_that_disagree(void **state)
{
    struct fg_client *c = client_of(16, 3);
    struct fg_client_ask ask = ask_of(1);
    struct fg_client_packet p;
    struct fg_packet_reply r;

    fg_client_start(c, &ask, 0);
    for (unsigned i = 0; i < 3; i++) {
        p = sent(c, 1);
        r = reply_to(&p, FG_PACKET_STATUS_WRONG_SHARD);
        r.quantity = (uint16_t)((p.server + 1) % 3);
        assert_int_equal(hand(c, &p, r, 1), FG_CLIENT_TAKEN);
    }
    nothing_sent(c, 1);
    assert_true(fg_client_due_ms(c) > 100);
    p = sent(c, fg_client_due_ms(c));
    r = reply_to(&p, FG_PACKET_STATUS_WRONG_SHARD);
    r.quantity = 3; /* there is no such member: the answer is told as it is */
    hand(c, &p, r, 500);
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_WRONG_SHARD);
    fg_client_destroy(c);
}

enum { WAITING = 10000, BINS = 20 };

/* Above it lies a uniform arrival once in a million times (19 degrees of freedom). */
static const double BOUND = 63.6;

/* 10,000 shoppers are told at different moments when the sale opens: they come back spread over the
 * second after the opening, and none before it. */
static void test_opening(void **state)
{
    const uint64_t opens_ms = 30000, bin_ms = 1000 / BINS;
    struct fg_client *c = client_of(WAITING, 1);
    unsigned bins[BINS] = {0}, edge = 0;
    double chi = 0;

    random_state = 7;
    for (unsigned i = 0; i < WAITING; i++) {
        struct fg_client_ask ask = ask_of(i + 1);
        uint64_t now = random64() % 20000;
        struct fg_client_packet p;
        struct fg_packet_reply r;

        ask.patience_ms = 60000;
        ask.ask_again = FG_CLIENT_UNDECIDED;
        fg_client_start(c, &ask, now);
        p = sent(c, now);
        r = reply_to(&p, FG_PACKET_STATUS_NOT_OPEN);
        r.retry_ms = (uint32_t)(opens_ms - now);
        assert_int_equal(hand(c, &p, r, now), FG_CLIENT_TAKEN);
    }
    nothing_sent(c, opens_ms - 1);
    for (uint64_t now = opens_ms; now <= opens_ms + 1000; now++) {
        struct fg_client_packet p;

        while (fg_client_send(c, now, &p)) {
            *(now < opens_ms + 1000 ? &bins[(now - opens_ms) / bin_ms] : &edge) += 1;
            hand(c, &p, reply_to(&p, FG_PACKET_STATUS_SOLD_OUT), now);
        }
    }
    for (unsigned i = 0; i < WAITING; i++)
        assert_int_equal(ended(c).sent, 2);
    assert_true(edge < 60); /* the last millisecond of 1,001 */
    for (unsigned i = 0; i < BINS; i++) {
        double expected = (double)(WAITING - edge) / BINS;

        chi += (bins[i] - expected) * (bins[i] - expected) / expected;
    }
    assert_true(chi < BOUND);
    fg_client_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_member_of_a_fleet),
                                       cmocka_unit_test(test_members_that_disagree),
                                       cmocka_unit_test(test_opening)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
