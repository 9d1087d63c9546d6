/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's core where many ask: members of a fleet that name another one, and the opening of a
 * sale. */
#include "client_peer.h"

#include "fleet/map.h"

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

/* ---- a fleet --------------------------------------------------------------------------------- */

_Static_assert(FG_CLIENT_MEMBERS_MAX == FG_FLEET_MEMBERS_MAX &&
                   FG_CLIENT_SHARDS_MAX == FG_FLEET_SHARDS_MAX,
               "the library knows every fleet");

/* Members of one or two servers each: 0 0 1 1 2 2. */
static struct fg_client *fleet_with_ports(unsigned members, unsigned addresses, unsigned ports_max)
{
    struct fg_client_options o = {.outstanding_max = 16,
                                  .servers = members * addresses,
                                  .members = members,
                                  .ports_max = ports_max,
                                  .keys = 1,
                                  .key = {shop},
                                  .seed = 42};
    struct fg_error err = {""};
    struct fg_client *c;

    for (unsigned i = 0; i < o.servers; i++)
        o.member[i] = (uint8_t)(i / addresses);
    c = fg_client_create(&o, &err);
    if (!c)
        fail_msg("%s", err.text);
    return c;
}

static struct fg_client *fleet_of(unsigned members, unsigned addresses)
{
    return fleet_with_ports(members, addresses, 1);
}

/* A user of this member, as a client takes it that was told nothing. */
static uint64_t user_of(unsigned member, unsigned members)
{
    uint64_t user = 1;

    while (fg_user_shard(user, FG_CLIENT_SHARDS_DEFAULT) % members != member)
        user++;
    return user;
}

static struct fg_packet_reply wrong_shard(const struct fg_client_packet *p, unsigned member,
                                          unsigned shards)
{
    struct fg_packet_reply r = reply_to(p, FG_PACKET_STATUS_WRONG_SHARD);

    r.quantity = (uint16_t)member;
    r.left = shards;
    r.shard_map = 2;
    return r;
}

/* Asks about this user; the packet that was sent at once. */
static struct fg_client_packet asked(struct fg_client *c, uint64_t user, uint64_t now)
{
    struct fg_client_ask ask = ask_of(user);

    assert_true(fg_client_start(c, &ask, now) != 0);
    return sent(c, now);
}

static void answered(struct fg_client *c, const struct fg_client_packet *p, uint64_t now)
{
    assert_int_equal(hand(c, p, reply_to(p, FG_PACKET_STATUS_RESERVED), now), FG_CLIENT_TAKEN);
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_RESERVED);
}

/* The member that WRONG_SHARD names is asked at once, and from then on for all users of the shard.
 */
static void test_member_of_a_fleet(void **state)
{
    struct fg_client *c = fleet_of(3, 1);
    uint64_t user = user_of(1, 3), other = user_of(2, 3);
    struct fg_client_packet p = asked(c, user, 0), q;

    assert_int_equal(p.server, 1);
    assert_int_equal(hand(c, &p, wrong_shard(&p, 0, FG_CLIENT_SHARDS_DEFAULT), 1), FG_CLIENT_TAKEN);
    q = sent(c, 1);
    assert_int_equal(q.server, 0);
    assert_int_equal(hand(c, &p, wrong_shard(&p, 0, FG_CLIENT_SHARDS_DEFAULT), 1),
                     FG_CLIENT_IGNORED_AGAIN);
    nothing_sent(c, 1);
    answered(c, &q, 2);
    p = asked(c, user, 3);
    assert_int_equal(p.server, 0);
    answered(c, &p, 4);
    p = asked(c, other, 5);
    assert_int_equal(p.server, 2);
    answered(c, &p, 6);
    assert_int_equal(fg_client_counters(c)->moved, 1);
    fg_client_destroy(c);
}

/* Members that do not agree whose user it is are asked in turn a bounded number of times, then
 * after a wait. */
static void test_members_that_disagree(void **state)
{
    struct fg_client *c = fleet_of(3, 1);
    struct fg_client_packet p = asked(c, 1, 1);

    for (unsigned i = 0; i < 3; i++) {
        if (i > 0)
            p = sent(c, 1);
        assert_int_equal(hand(c, &p, wrong_shard(&p, (p.server + 1) % 3, 256), 1), FG_CLIENT_TAKEN);
    }
    nothing_sent(c, 1);
    assert_true(fg_client_due_ms(c) > 100);
    p = sent(c, fg_client_due_ms(c));
    hand(c, &p, wrong_shard(&p, 3, 256), 500); /* no such member: the answer is told as it is */
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_WRONG_SHARD);
    p = asked(c, user_of(0, 3), 500);
    hand(c, &p, wrong_shard(&p, p.server, 256), 501); /* nor one that sends to itself */
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_WRONG_SHARD);
    fg_client_destroy(c);
}

/* Without members there is nobody to ask instead. */
static void test_no_fleet(void **state)
{
    struct fg_client *c = client_of(16, 3);
    struct fg_client_packet p = asked(c, 1, 0);

    hand(c, &p, wrong_shard(&p, 2, 256), 1);
    assert_int_equal(ended(c).reply.status, FG_PACKET_STATUS_WRONG_SHARD);
    fg_client_destroy(c);
}

/* Members have a map that the client does not know: each user is judged by its owner, and the
 * client is told about each shard once. `shards`: what WRONG_SHARD tells. */
static void learns_the_map(const struct fg_fleet_map *map, unsigned moved_most)
{
    struct fg_client *c = fleet_of(map->members, 1);

    for (unsigned round = 0; round < 2; round++) {
        uint64_t before = fg_client_counters(c)->moved;

        for (uint64_t user = 1; user <= 4000; user++) {
            struct fg_client_packet p = asked(c, user, 0);
            unsigned owner = fg_fleet_owner(map, user);

            if (p.server != owner) {
                hand(c, &p, wrong_shard(&p, owner, map->shards), 0);
                p = sent(c, 0);
            }
            assert_int_equal(p.server, owner);
            answered(c, &p, 0);
        }
        assert_in_range(fg_client_counters(c)->moved - before, round ? 0 : 1,
                        round ? 0 : moved_most);
    }
    fg_client_destroy(c);
}

static void test_old_map(void **state)
{
    struct fg_fleet_map map;

    fg_fleet_map_first(&map, 4, FG_CLIENT_SHARDS_DEFAULT);
    for (unsigned i = 0; i < 20; i++)
        map.owner[i] = (uint8_t)((map.owner[i] + 1) % 4);
    learns_the_map(&map, 20);
    fg_fleet_map_first(&map, 4, 100); /* another number: dealt anew after the first answer */
    learns_the_map(&map, 1);
    fg_fleet_map_first(&map, FG_FLEET_MEMBERS_MAX, FG_FLEET_SHARDS_MAX);
    map.owner[7] = 3;
    learns_the_map(&map, 2);
}

/* A member may be a pair: the other one of the two is asked, and no other member. */
static void test_pairs_of_a_fleet(void **state)
{
    struct fg_client *c = fleet_of(3, 2);
    uint64_t user = user_of(1, 3), other = user_of(2, 3);
    struct fg_client_packet p = asked(c, user, 0);

    assert_int_equal(p.server, 2);
    hand(c, &p, reply_to(&p, FG_PACKET_STATUS_NOT_LEADER), 1);
    p = sent(c, 1);
    assert_int_equal(p.server, 3);
    answered(c, &p, 2);
    p = asked(c, user, 3); /* it leads */
    assert_int_equal(p.server, 3);
    p = sent(c, 1000); /* it is silent: it may be gone */
    assert_int_equal(p.server, 2);
    hand(c, &p, reply_to(&p, FG_PACKET_STATUS_NOT_LEADER), 1001);
    p = sent(c, 1001);
    assert_int_equal(p.server, 3);
    hand(c, &p, reply_to(&p, FG_PACKET_STATUS_NOT_LEADER), 1002); /* both: after a wait */
    nothing_sent(c, 1002);
    p = asked(c, other, 1003); /* the other members are as they were */
    assert_int_equal(p.server, 4);
    hand(c, &p, wrong_shard(&p, 0, 256), 1004);
    p = sent(c, 1004);
    assert_int_equal(p.server, 0);
    answered(c, &p, 1005);
    fg_client_destroy(c);
}

/* Its users wait; those of others do not notice. STOCK is answered by any member. */
static void test_member_away(void **state)
{
    struct fg_client *c = fleet_of(2, 1);
    struct fg_client_ask ask = ask_of(user_of(0, 2)),
                         stock = {.op = FG_PACKET_OP_STOCK, .item = 42};
    struct fg_client_packet p;
    uint64_t now = 0;

    fg_client_start(c, &stock, 0);
    p = sent(c, 0);
    assert_int_equal(p.server, 0);
    now = fg_client_due_ms(c);
    p = sent(c, now);
    assert_int_equal(p.server, 1);
    assert_int_equal(hand(c, &p, reply_to(&p, FG_PACKET_STATUS_ON_SALE), now), FG_CLIENT_TAKEN);
    assert_true(ended(c).answered);
    assert_int_equal(fg_client_server(c), 1);
    fg_client_start(c, &ask, now);
    for (unsigned i = 0; fg_client_send(c, now, &p); now = fg_client_due_ms(c)) {
        struct fg_client_packet q;

        assert_int_equal(p.server, 0);
        q = asked(c, user_of(1, 2), now);
        assert_int_equal(q.server, 1);
        answered(c, &q, now);
        assert_true(++i < 20);
    }
    assert_false(ended(c).answered);
    fg_client_destroy(c);
}

/* ... and a member that is away holds only its share of the slots. One that is heard, or that was
 * asked just now, holds what it needs. */
static void test_slots_of_a_member_away(void **state)
{
    struct fg_client *c = fleet_of(2, 1);
    struct fg_client_ask away = ask_of(user_of(0, 2)), other = ask_of(user_of(1, 2));
    struct fg_client_packet p;

    for (unsigned i = 0; i < 8; i++)
        assert_true(fg_client_start(c, &away, 100) != 0);
    assert_true(fg_client_start(c, &away, 1099) != 0);
    assert_int_equal(fg_client_start(c, &away, 1100), 0);
    while (fg_client_send(c, 1100, &p))
        ;
    for (unsigned i = 0; i < 7; i++)
        assert_true(fg_client_start(c, &other, 1100) != 0);
    assert_int_equal(fg_client_start(c, &other, 1100), 0); /* all are taken */
    assert_int_equal(hand(c, &p, reply_to(&p, FG_PACKET_STATUS_RESERVED), 1101), FG_CLIENT_TAKEN);
    ended(c);
    assert_true(fg_client_start(c, &away, 1102) != 0); /* it is back */
    fg_client_destroy(c);
}

/* What one member said does not answer for the next one, which may have carried the order out. */
static void test_silence_behind_wrong_shard(void **state)
{
    struct fg_client *c = fleet_of(2, 1);
    struct fg_client_packet p = asked(c, user_of(0, 2), 0);

    assert_int_equal(hand(c, &p, wrong_shard(&p, 1, FG_CLIENT_SHARDS_DEFAULT), 1), FG_CLIENT_TAKEN);
    for (uint64_t now = 1; fg_client_send(c, now, &p); now = fg_client_due_ms(c))
        assert_int_equal(p.server, 1);
    assert_false(ended(c).answered);
    fg_client_destroy(c);
}

/* Each member may have another number of workers. */
static void test_ports_of_members(void **state)
{
    struct fg_client *c = fleet_with_ports(2, 1, 4);
    uint64_t user = user_of(1, 2);
    struct fg_client_packet p = asked(c, user, 0), q = sent(c, 0);
    struct fg_packet_reply r = reply_to(&p, FG_PACKET_STATUS_ON_SALE);

    assert_int_equal(r.op, FG_PACKET_OP_STOCK | FG_PACKET_REPLY); /* the client's own question */
    assert_int_equal(p.server, 1);
    assert_true(q.server == 1 && q.port == 0);
    r.quantity = 4;
    assert_int_equal(hand(c, &p, r, 1), FG_CLIENT_TAKEN);
    assert_true(fg_client_ports(c, 1) == 4 && fg_client_ports(c, 0) == 1);
    assert_int_equal(fg_client_server(c), 0); /* STOCK stays where it was */
    answered(c, &q, 1);
    p = asked(c, user, 2);
    assert_true(p.server == 1 && p.port == fg_user_owner(user, 4));
    fg_client_destroy(c);
}

static void test_fleet_options(void **state)
{
    struct fg_client_options o = {.outstanding_max = 1, .servers = 3, .keys = 1, .key = {shop}};
    struct fg_error err = {""};

    o.members = 3;
    o.member[1] = 1;
    assert_null(fg_client_create(&o, &err)); /* none of member 2 */
    o.member[2] = 3;
    assert_null(fg_client_create(&o, &err));
    assert_non_null(strstr(err.text, "no server"));
    o.members = FG_CLIENT_MEMBERS_MAX + 1;
    assert_null(fg_client_create(&o, &err));
    assert_non_null(strstr(err.text, "accepted: 0 to 16"));
}

/* ---- the opening ----------------------------------------------------------------------------- */

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
                                       cmocka_unit_test(test_no_fleet),
                                       cmocka_unit_test(test_old_map),
                                       cmocka_unit_test(test_pairs_of_a_fleet),
                                       cmocka_unit_test(test_member_away),
                                       cmocka_unit_test(test_slots_of_a_member_away),
                                       cmocka_unit_test(test_silence_behind_wrong_shard),
                                       cmocka_unit_test(test_ports_of_members),
                                       cmocka_unit_test(test_fleet_options),
                                       cmocka_unit_test(test_opening)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
