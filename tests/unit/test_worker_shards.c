/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers of a fleet: a member judges its own users only. */
#include "worker_world.h"

#include "worker/shards.h"

#define MEMBERS 3
#define SHARDS  256
#define VERSION 41

static struct fg_worker_shards members[MEMBERS];

static void create_member(struct world *w, unsigned member, unsigned workers)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        members[i].member = i;
        fg_fleet_map_first(&members[i].map, MEMBERS, SHARDS);
        members[i].map.version = VERSION;
    }
    fleet = &members[member];
    create_as(w, workers, 0, true);
    fleet = NULL;
}

static uint64_t user_at(unsigned member)
{
    uint64_t user = 1000;

    while (fg_fleet_owner(&members[0].map, user) != member)
        user++;
    return user;
}

/* As request_about, of any user. */
static struct fg_packet_request ask(struct world *w, uint8_t op, uint64_t user)
{
    bool item = op == FG_PACKET_OP_RESERVE || op == FG_PACKET_OP_STOCK || op == FG_PACKET_OP_WAIT;
    struct fg_packet_request r = {.op = op,
                                  .key_id = 1,
                                  .item = item ? ITEM : 0,
                                  .quantity = item && op != FG_PACKET_OP_STOCK,
                                  .user = op == FG_PACKET_OP_STOCK ? 0 : user,
                                  .order_id = {1, op, 3},
                                  .cookie = 77 + op};
    struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);

    assert_non_null(m);
    fg_packet_request_seal(&r, &keyring.keys[0]);
    write_headers((uint8_t *)rte_pktmbuf_append(m, FRAME));
    memcpy(rte_pktmbuf_mtod_offset(m, void *, FRAME - FG_PACKET_SIZE), &r, sizeof(r));
    assert_int_equal(rte_ring_sp_enqueue(w->requests, m), 0);
    return r;
}

static struct fg_packet_reply answer(struct world *w)
{
    struct fg_packet_reply r;
    void *m = NULL;

    for (unsigned i = 0; i < LOOPS && rte_ring_empty(w->replies); i++) {
        loop_all(w);
        make_durable(w);
        commit(w);
    }
    assert_int_equal(rte_ring_sc_dequeue(w->replies, &m), 0);
    memcpy(&r, rte_pktmbuf_mtod_offset((struct rte_mbuf *)m, void *, FRAME - FG_PACKET_SIZE),
           sizeof(r));
    rte_pktmbuf_free(m);
    assert_true(fg_packet_reply_check(&r, &keyring.keys[0]));
    return r;
}

static uint64_t decided(const struct world *w)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < w->group.options.workers.count; i++)
        n += fg_counter_read(&fg_stock_counters(w->group.list[i]->stock)->requests);
    return n;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_users_of_others(void **state)
{
    static const uint8_t ops[] = {FG_PACKET_OP_RESERVE, FG_PACKET_OP_CONFIRM, FG_PACKET_OP_CANCEL,
                                  FG_PACKET_OP_QUERY,   FG_PACKET_OP_EXTEND,  FG_PACKET_OP_REFUND,
                                  FG_PACKET_OP_ORDERS,  FG_PACKET_OP_WAIT};
    struct world w;

    create_member(&w, 1, 2);
    offer(&w, 4);
    for (unsigned i = 0; i < sizeof(ops); i++)
        for (unsigned owner = 0; owner < MEMBERS; owner += 2) {
            struct fg_packet_request asked = ask(&w, ops[i], user_at(owner));
            struct fg_packet_reply r = answer(&w);

            assert_int_equal(r.status, FG_PACKET_STATUS_WRONG_SHARD);
            assert_int_equal(r.op, ops[i] | FG_PACKET_REPLY);
            assert_int_equal(r.quantity, owner);
            assert_int_equal(r.left, SHARDS);
            assert_int_equal(r.shard_map, VERSION);
            assert_int_equal(r.item, asked.item);
            assert_int_equal(r.cookie, asked.cookie);
            assert_memory_equal(r.order_id, asked.order_id, sizeof(r.order_id));
        }
    assert_int_equal(decided(&w), 0);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->handed_off), 0);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->answered[FG_PACKET_STATUS_WRONG_SHARD]),
                     2 * sizeof(ops));
    destroy(&w);
}

/* Each member gets the same order; one of them takes it. */
static void test_one_order_for_all(void **state)
{
    for (uint64_t user = 1; user <= 12; user++) {
        unsigned taken = 0;

        for (unsigned member = 0; member < MEMBERS; member++) {
            struct fg_packet_reply r;
            struct world w;

            create_member(&w, member, 2);
            offer(&w, 4);
            ask(&w, FG_PACKET_OP_RESERVE, user);
            r = answer(&w);
            assert_int_equal(r.shard_map, VERSION); /* of deferred answers as well */
            if (r.status == FG_PACKET_STATUS_RESERVED) {
                taken++;
                assert_int_equal(fg_fleet_owner(&members[0].map, user), member);
            } else {
                assert_int_equal(r.status, FG_PACKET_STATUS_WRONG_SHARD);
                assert_int_equal(r.quantity, fg_fleet_owner(&members[0].map, user));
            }
            destroy(&w);
        }
        assert_int_equal(taken, 1);
    }
}

/* An item belongs to all members, and a standby says nothing about users. */
static void test_stock_and_standby(void **state)
{
    struct fg_packet_reply r;
    struct world w;

    create_member(&w, 2, 1);
    atomic_store(&w.mode, FG_STOCK_NOT_LEADER);
    ask(&w, FG_PACKET_OP_QUERY, user_at(0));
    assert_int_equal(answer(&w).status, FG_PACKET_STATUS_NOT_LEADER);
    atomic_store(&w.mode, FG_STOCK_RUNNING);
    offer(&w, 4);
    ask(&w, FG_PACKET_OP_STOCK, 0);
    r = answer(&w);
    assert_int_equal(r.status, FG_PACKET_STATUS_ON_SALE);
    assert_int_equal(r.shard_map, VERSION);
    destroy(&w);
}

/* Nothing is reserved by settings that are old; all else is answered. */
static void test_settings_come_first(void **state)
{
    const uint8_t ops[] = {FG_PACKET_OP_RESERVE, FG_PACKET_OP_STOCK};
    const uint8_t before[] = {FG_PACKET_STATUS_UNAVAILABLE, FG_PACKET_STATUS_ON_SALE};
    struct world w;

    create_member(&w, 1, 1);
    offer(&w, 4);
    atomic_store(&members[1].waits, true);
    for (size_t i = 0; i < sizeof(ops); i++) {
        ask(&w, ops[i], user_at(1));
        assert_int_equal(answer(&w).status, before[i]);
    }
    ask(&w, FG_PACKET_OP_RESERVE, user_at(0));
    assert_int_equal(answer(&w).status, FG_PACKET_STATUS_WRONG_SHARD);
    atomic_store(&members[1].waits, false);
    ask(&w, FG_PACKET_OP_RESERVE, user_at(1));
    assert_int_equal(answer(&w).status, FG_PACKET_STATUS_RESERVED);
    destroy(&w);
}

static struct fg_stock_answer inbound(struct world *w, uint64_t user)
{
    struct fg_inbound_command c = {
        .op = FG_PACKET_OP_CONFIRM, .token = 3, .user = user, .order_id = {9}};
    uint8_t message[FG_RING_SLOT] = {0};
    struct fg_stock_answer a;

    memcpy(message, &c, sizeof(c));
    assert_true(fg_ring_push(w->group.list[0]->inbound_commands, message));
    loop_all(w);
    atomic_store(&w->leading.probe_answered, UINT64_MAX);
    loop_all(w);
    assert_true(fg_ring_pop(w->group.list[0]->inbound_results, message));
    memcpy(&a, message, sizeof(a));
    assert_int_equal(a.kind, FG_STOCK_INBOUND);
    assert_int_equal(a.token, 3);
    assert_int_equal(a.order_id[0], 9);
    return a;
}

/* UNKNOWN_ORDER would make the service of the shop refund what another member has sold. */
static void test_inbound(void **state)
{
    struct fg_stock_answer a;
    struct world w;

    create_member(&w, 0, 1);
    a = inbound(&w, user_at(2));
    assert_int_equal(a.status, FG_PACKET_STATUS_WRONG_SHARD);
    assert_int_equal(a.quantity, 2);
    assert_int_equal(decided(&w), 0);
    assert_int_equal(inbound(&w, user_at(0)).status, FG_PACKET_STATUS_UNKNOWN_ORDER);
    destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users_of_others),   cmocka_unit_test(test_one_order_for_all),
        cmocka_unit_test(test_stock_and_standby), cmocka_unit_test(test_settings_come_first),
        cmocka_unit_test(test_inbound),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
