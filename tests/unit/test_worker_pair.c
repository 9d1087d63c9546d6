/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers of a pair: a standby answers without its engine, a leader only as long as it is sure. */
#include "worker/leading.h"

#include "worker_world.h"

static void create_pair(struct world *w, unsigned workers)
{
    create_as(w, workers, 0, true);
}

static const struct fg_stock_counters *engine(const struct world *w, unsigned worker)
{
    return fg_stock_counters(w->group.list[worker]->stock);
}

static void loops(struct world *w)
{
    for (unsigned i = 0; i < 8; i++)
        loop_all(w);
}

/* The order is in the log, and told. */
static void reserve(struct world *w)
{
    request(w, 0);
    loop_all(w);
    make_durable(w);
    commit(w);
    loop_all(w);
    assert_int_equal(take_replies(w), 1);
    assert_int_equal(w->statuses[FG_PACKET_STATUS_RESERVED], 1);
}

/* ---- a standby ------------------------------------------------------------------------------- */

static void test_stands_by(void **state)
{
    struct fg_stock_command c = {.type = FG_STOCK_STOCK_ADD, .item = ITEM, .ticket = 5};
    struct fg_inbound_command inbound = {.op = FG_PACKET_OP_CONFIRM, .token = 3};
    uint8_t message[FG_RING_SLOT] = {0};
    struct fg_stock_answer a;
    struct fg_worker *worker;
    struct world w;

    create_pair(&w, 2);
    worker = w.group.list[0];
    atomic_store(&w.mode, FG_STOCK_NOT_LEADER);
    atomic_store(&w.leading.valid_until_tsc, 0); /* it is not the leader's word that counts */
    request(&w, 0);
    request(&w, 1);
    request_about(&w, FG_PACKET_OP_STOCK, 0, 0);
    memcpy(message, &c, sizeof(c));
    assert_true(fg_ring_push(worker->commands, message));
    memcpy(message, &inbound, sizeof(inbound));
    assert_true(fg_ring_push(worker->inbound_commands, message));
    loop_all(&w);
    assert_int_equal(take_replies(&w), 3);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_NOT_LEADER], 3);
    assert_int_equal(fg_counter_read(&engine(&w, 0)->requests), 0);
    assert_int_equal(fg_counter_read(&engine(&w, 1)->requests), 0);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->handed_off), 0);
    assert_true(fg_ring_pop(worker->results, message));
    memcpy(&a, message, sizeof(a));
    assert_int_equal(a.token, 5);
    assert_int_equal(a.outcome, FG_STOCK_OUTCOME_UNAVAILABLE);
    assert_true(fg_ring_pop(worker->inbound_results, message));
    memcpy(&a, message, sizeof(a));
    assert_int_equal(a.token, 3);
    assert_int_equal(a.status, FG_PACKET_STATUS_UNAVAILABLE);
    assert_true(atomic_load(&worker->quiet));

    atomic_store(&w.leading.valid_until_tsc, UINT64_MAX);
    atomic_store(&w.mode, FG_STOCK_RUNNING);
    offer(&w, 4);
    reserve(&w);
    destroy(&w);
}

/* One of two has not seen yet that this appliance leads. */
static void test_modes_change_one_by_one(void **state)
{
    struct world w;

    create_pair(&w, 2);
    offer(&w, 4);
    w.group.list[1]->mode = FG_STOCK_NOT_LEADER;
    request(&w, 1);
    fg_worker_loop(w.group.list[0]); /* leads: handed off */
    atomic_store(&w.mode, FG_STOCK_NOT_LEADER);
    fg_worker_loop(w.group.list[1]);
    atomic_store(&w.mode, FG_STOCK_RUNNING);
    fg_worker_loop(w.group.list[0]);
    assert_int_equal(take_replies(&w), 1);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_NOT_LEADER], 1);
    destroy(&w);
}

/* ---- a leader -------------------------------------------------------------------------------- */

static void test_answers_wait_for_the_pair(void **state)
{
    struct world w;

    create_pair(&w, 1);
    offer(&w, 4);
    request(&w, 0);
    loop_all(&w);
    make_durable(&w);
    loops(&w);
    assert_int_equal(take_replies(&w), 0);
    assert_false(atomic_load(&w.group.list[0]->quiet));
    commit(&w);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 1);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_RESERVED], 1);
    destroy(&w);
}

static void test_not_accepting(void **state)
{
    struct world w;

    create_pair(&w, 1);
    offer(&w, 4);
    request(&w, 0);
    loop_all(&w);
    atomic_store(&w.leading.accepting, false);
    request(&w, 0);
    request_about(&w, FG_PACKET_OP_STOCK, 0, 0);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 2);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_BUSY], 1);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_ON_SALE], 1);
    make_durable(&w);
    commit(&w);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 1); /* what is in the log already is told */
    assert_int_equal(w.statuses[FG_PACKET_STATUS_RESERVED], 1);
    atomic_store(&w.leading.accepting, true);
    loop_all(&w);
    w.statuses[FG_PACKET_STATUS_RESERVED] = 0;
    reserve(&w);
    destroy(&w);
}

static void test_stale(void **state)
{
    struct fg_worker *worker;
    struct rte_mbuf *m;
    struct world w;
    void *sent;

    create_pair(&w, 1);
    offer(&w, 4);
    worker = w.group.list[0];
    atomic_store(&w.leading.valid_until_tsc, rte_rdtsc());
    request(&w, 0);
    request_about(&w, FG_PACKET_OP_STOCK, 0, 0);
    loops(&w);
    assert_int_equal(take_replies(&w), 0);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->stale), 2);
    assert_int_equal(fg_ring_count(w.group.records[0]), 0); /* not even decided */

    atomic_store(&w.leading.valid_until_tsc, UINT64_MAX); /* a heartbeat */
    request(&w, 0);
    request_about(&w, FG_PACKET_OP_STOCK, 0, 0);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 1);
    make_durable(&w);
    commit(&w);
    atomic_store(&w.leading.valid_until_tsc, 0);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 0); /* nor does leave what is committed */
    assert_int_equal(fg_counter_read(&counters(&w, 0)->stale), 3);

    m = rte_pktmbuf_alloc(w.pool); /* where this appliance is may be said */
    assert_non_null(m);
    m->packet_type = FG_WORKER_NEIGHBOUR;
    w.queue.out.mbufs[w.queue.out.count++] = m;
    loop_all(&w);
    assert_int_equal(rte_ring_sc_dequeue(w.replies, &sent), 0);
    assert_ptr_equal(sent, m);
    rte_pktmbuf_free(m);
    assert_false(fg_worker_is_stale(worker) && worker->mode == FG_STOCK_NOT_LEADER);
    destroy(&w);
}

/* Replies that the port did not take in time are as old as any. */
static void test_stale_in_the_port(void **state)
{
    struct world w;

    create_pair(&w, 1);
    offer(&w, 0);
    for (unsigned i = 0; i < PORT_SLOTS - 1; i++)
        request_about(&w, FG_PACKET_OP_STOCK, 0, 0);
    loops(&w);
    request_about(&w, FG_PACKET_OP_STOCK, 0, 0);
    loop_all(&w);
    assert_int_equal(w.group.list[0]->backlog, 1);
    assert_int_equal(take_replies(&w), PORT_SLOTS - 1);
    atomic_store(&w.leading.valid_until_tsc, 0);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 0);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->stale), 1);
    destroy(&w);
}

static void test_deposed(void **state)
{
    struct world w;

    create_pair(&w, 1);
    offer(&w, 4);
    request(&w, 0);
    loop_all(&w);
    make_durable(&w);
    atomic_store(&w.mode, FG_STOCK_FAILED);
    loop_all(&w);
    commit(&w); /* of another epoch */
    request_about(&w, FG_PACKET_OP_QUERY, 1, 0);
    request_about(&w, FG_PACKET_OP_STOCK, 0, 0);
    loops(&w);
    assert_int_equal(take_replies(&w), 0);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->stale), 2);
    assert_true(atomic_load(&w.group.list[0]->quiet)); /* it may end */
    destroy(&w);
}

/* ---- negative answers ------------------------------------------------------------------------ */

static void answer_probe(struct world *w)
{
    assert_true(atomic_exchange(&w->leading.probe_wanted, false));
    atomic_fetch_add(&w->leading.probe_started, 1);
    atomic_store(&w->leading.probe_answered, atomic_load(&w->leading.probe_started));
}

static void test_unknown_order_waits_for_a_probe(void **state)
{
    struct world w;

    create_pair(&w, 1);
    offer(&w, 4);
    atomic_store(&w.leading.probe_started, 7); /* one is under way, begun before the request came */
    atomic_store(&w.leading.probe_answered, 6);
    request_about(&w, FG_PACKET_OP_QUERY, 1, 0);
    loops(&w);
    assert_int_equal(take_replies(&w), 0);
    assert_false(atomic_load(&w.group.list[0]->quiet));
    atomic_store(&w.leading.probe_answered, 7);
    loops(&w);
    assert_int_equal(take_replies(&w), 0);
    answer_probe(&w);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 1);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_UNKNOWN_ORDER], 1);
    loop_all(&w);
    assert_true(atomic_load(&w.group.list[0]->quiet));
    destroy(&w);
}

static void test_expired_order_waits_for_a_probe(void **state)
{
    struct world w;

    create_pair(&w, 1);
    offer(&w, 4);
    reserve(&w);
    atomic_fetch_add(&w.clock.corrected_ns, 61000000000);
    for (unsigned i = 0; i < 2; i++) { /* first with a record, then from memory */
        request_about(&w, FG_PACKET_OP_QUERY, 1, 0);
        loops(&w);
        make_durable(&w);
        commit(&w);
        loops(&w);
        assert_int_equal(take_replies(&w), 0);
        answer_probe(&w);
        loop_all(&w);
        assert_int_equal(take_replies(&w), 1);
        assert_int_equal(w.statuses[FG_PACKET_STATUS_EXPIRED], 1 + i);
    }
    destroy(&w);
}

/* More than there is room for get no answer; the slots of all are free again. */
static void test_too_many_wait_for_a_probe(void **state)
{
    unsigned room = FG_WORKER_UNPROVEN_MAX;
    struct world w;

    create_pair(&w, 1);
    offer(&w, 4);
    for (unsigned i = 0; i < room + 2; i++) {
        request_about(&w, FG_PACKET_OP_CONFIRM, 1 + i, 0);
        loop_all(&w);
    }
    assert_int_equal(take_replies(&w), 0);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->unproven), 2);
    answer_probe(&w);
    for (unsigned i = 0; i < room; i += 16) {
        loop_all(&w);
        take_replies(&w);
    }
    assert_int_equal(w.statuses[FG_PACKET_STATUS_UNKNOWN_ORDER], room);
    reserve(&w);
    destroy(&w);
}

static void test_inbound_waits_for_a_probe(void **state)
{
    struct fg_inbound_command c = {.op = FG_PACKET_OP_CONFIRM, .token = 3, .user = 1000};
    uint8_t message[FG_RING_SLOT] = {0};
    struct fg_stock_answer a;
    struct world w;

    create_pair(&w, 1);
    memcpy(message, &c, sizeof(c));
    assert_true(fg_ring_push(w.group.list[0]->inbound_commands, message));
    loops(&w);
    assert_false(fg_ring_pop(w.group.list[0]->inbound_results, message));
    answer_probe(&w);
    loop_all(&w);
    assert_true(fg_ring_pop(w.group.list[0]->inbound_results, message));
    memcpy(&a, message, sizeof(a));
    assert_int_equal(a.status, FG_PACKET_STATUS_UNKNOWN_ORDER);
    assert_int_equal(a.token, 3);
    destroy(&w);
}

/* ---- the operator ---------------------------------------------------------------------------- */

static void order(struct world *w, struct fg_stock_command c)
{
    uint8_t message[FG_RING_SLOT] = {0};

    memcpy(message, &c, sizeof(c));
    assert_true(fg_ring_push(w->group.list[0]->commands, message));
}

static bool told(struct world *w, struct fg_stock_answer *a)
{
    uint8_t message[FG_RING_SLOT];
    bool there = fg_ring_pop(w->group.list[0]->results, message);

    if (there)
        memcpy(a, message, sizeof(*a));
    return there;
}

/* A leader that was stopped does not know yet that another one leads. */
static void test_commands_wait_for_a_sign(void **state)
{
    const struct fg_stock_command add = {
        .type = FG_STOCK_STOCK_ADD, .item = ITEM, .units = 3, .ticket = 5};
    struct fg_stock_answer a;
    struct world w;

    create_pair(&w, 1);
    offer(&w, 4);
    atomic_store(&w.leading.valid_until_tsc, rte_rdtsc());
    order(&w, add);
    loops(&w);
    assert_int_equal(fg_ring_count(w.group.records[0]), 0);
    assert_false(told(&w, &a));
    atomic_store(&w.leading.valid_until_tsc, UINT64_MAX);
    loop_all(&w);
    assert_int_equal(fg_ring_count(w.group.records[0]), 1);
    make_durable(&w);
    commit(&w);
    loop_all(&w);
    assert_true(told(&w, &a) && a.token == 5 && a.outcome == FG_STOCK_OUTCOME_DONE);

    atomic_store(&w.leading.valid_until_tsc, 0); /* and it takes no records */
    atomic_store(&w.leading.accepting, false);
    order(&w, add);
    loops(&w);
    assert_true(told(&w, &a) && a.outcome == FG_STOCK_OUTCOME_BUSY);
    atomic_store(&w.mode, FG_STOCK_FAILED); /* another one leads */
    order(&w, add);
    loops(&w);
    assert_true(told(&w, &a) && a.outcome == FG_STOCK_OUTCOME_UNAVAILABLE);
    destroy(&w);
}

/* "No such order" leads to a refund by other means. */
static void test_a_refusal_to_refund_waits_for_a_probe(void **state)
{
    const struct fg_stock_command refund = {
        .type = FG_STOCK_ORDER_REFUND, .user = 1000, .ticket = 6};
    struct fg_stock_answer a;
    struct world w;

    create_pair(&w, 1);
    order(&w, refund);
    loops(&w);
    assert_false(told(&w, &a));
    answer_probe(&w);
    loop_all(&w);
    assert_true(told(&w, &a) && a.token == 6 && a.outcome == FG_STOCK_OUTCOME_UNKNOWN_ORDER);

    for (unsigned i = 0; i < FG_WORKER_UNPROVEN_MAX; i++) {
        request_about(&w, FG_PACKET_OP_CONFIRM, 1 + i, 0);
        loop_all(&w);
    }
    order(&w, refund); /* no room to wait */
    loops(&w);
    assert_true(told(&w, &a) && a.outcome == FG_STOCK_OUTCOME_BUSY);
    destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stands_by),
        cmocka_unit_test(test_modes_change_one_by_one),
        cmocka_unit_test(test_answers_wait_for_the_pair),
        cmocka_unit_test(test_not_accepting),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_stale_in_the_port),
        cmocka_unit_test(test_deposed),
        cmocka_unit_test(test_unknown_order_waits_for_a_probe),
        cmocka_unit_test(test_expired_order_waits_for_a_probe),
        cmocka_unit_test(test_too_many_wait_for_a_probe),
        cmocka_unit_test(test_inbound_waits_for_a_probe),
        cmocka_unit_test(test_commands_wait_for_a_sign),
        cmocka_unit_test(test_a_refusal_to_refund_waits_for_a_probe),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
