/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers without a pair: what ends when. */
#include "worker_world.h"

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_answers(void **state)
{
    struct world w;

    create(&w, 1);
    offer(&w, 0);
    for (unsigned i = 0; i < 20; i++)
        request(&w, 0);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 20);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_SOLD_OUT], 20);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->orders), 20);
    destroy(&w);
}

/* The request's mbuf went back to the pool, and others took all: the durable answer is lost, its
 * slot is not. */
static void test_no_mbuf(void **state)
{
    struct rte_mbuf *all[MBUFS];
    struct world w;
    uint32_t free_slot;

    create(&w, 1);
    offer(&w, 10);
    free_slot = w.group.list[0]->slot_free;
    request(&w, 0);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 0); /* deferred: the record is not durable */
    assert_int_not_equal(w.group.list[0]->slot_free, free_slot);
    assert_int_equal(rte_pktmbuf_alloc_bulk(w.pool, all, MBUFS), 0);
    make_durable(&w);
    loop_all(&w);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->no_mbuf), 1);
    assert_int_equal(take_replies(&w), 0);
    assert_int_equal(w.group.list[0]->slot_free, free_slot);
    rte_pktmbuf_free_bulk(all, MBUFS);
    w.orders = 0; /* the same request again: answered from memory */
    request(&w, 0);
    loop_all(&w);
    make_durable(&w);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 1);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_RESERVED], 1);
    destroy(&w);
}

static void test_no_slot(void **state)
{
    struct world w;
    uint32_t slot;

    create(&w, 1);
    offer(&w, 10);
    slot = w.group.list[0]->slot_free;
    w.group.list[0]->slot_free = FG_STOCK_NO_TOKEN; /* all are taken */
    request(&w, 0);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 1);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_BUSY], 1);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->no_slot), 1);
    w.group.list[0]->slot_free = slot;
    request(&w, 0);
    loop_all(&w);
    make_durable(&w);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 1);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_RESERVED], 1);
    destroy(&w);
}

static void test_handoff_full(void **state)
{
    unsigned answered = 0;
    struct world w;

    create(&w, 2);
    offer(&w, 0);
    for (unsigned i = 0; i < 20; i++)
        request(&w, 1);
    fg_worker_loop(w.group.list[0]); /* the other worker does not run */
    assert_int_equal(fg_counter_read(&counters(&w, 0)->handed_off), HANDOFF - 1);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->handoff_full), 20 - (HANDOFF - 1));
    assert_int_equal(take_replies(&w), 20 - (HANDOFF - 1));
    assert_int_equal(w.statuses[FG_PACKET_STATUS_BUSY], 20 - (HANDOFF - 1));
    fg_worker_loop(w.group.list[1]);
    assert_int_equal(take_replies(&w), 0); /* they wait for the worker that polls the queue */
    for (unsigned i = 0; i < LOOPS; i++) { /* the deciding worker asks the bank first */
        loop_all(&w);
        answered += take_replies(&w);
    }
    assert_int_equal(answered, HANDOFF - 1);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_SOLD_OUT], HANDOFF - 1);
    destroy(&w);
}

/* An end of the workers: no mbuf stays between two of them, nor before a port. */
static void test_stop_gives_back(void **state)
{
    struct world w;

    create(&w, 2);
    offer(&w, 0);
    for (unsigned i = 0; i < 4; i++)
        request(&w, 1);
    fg_worker_loop(w.group.list[0]); /* handed off, and the other worker does not run */
    assert_int_equal(rte_mempool_avail_count(w.pool), MBUFS - 4);
    fg_worker_group_stop(&w.group);
    assert_int_equal(rte_mempool_avail_count(w.pool), MBUFS);
    destroy(&w);
}

/* Replies wait for the port, requests wait with them, and after 100 ms the replies are dropped. */
static void test_port_takes_nothing(void **state)
{
    struct fg_worker *worker;
    struct world w;

    create(&w, 1);
    offer(&w, 0);
    worker = w.group.list[0];
    for (unsigned i = 0; i < PORT_SLOTS - 1; i++)
        request(&w, 0);
    loop_all(&w);
    loop_all(&w);
    assert_int_equal(rte_ring_count(w.replies), PORT_SLOTS - 1); /* the port is full */
    for (unsigned i = 0; i < 4; i++)
        request(&w, 0);
    loop_all(&w);
    assert_int_equal(worker->backlog, 4);
    request(&w, 0);
    loop_all(&w);
    assert_int_equal(rte_ring_count(w.requests), 1); /* not received */
    assert_int_equal(take_replies(&w), PORT_SLOTS - 1);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 4);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->tx_dropped), 0);

    for (unsigned i = 0; i < PORT_SLOTS - 1; i++)
        assert_int_equal(rte_ring_sp_enqueue(w.replies, rte_pktmbuf_alloc(w.pool)), 0);
    loop_all(&w);
    assert_int_equal(worker->backlog, 1);
    atomic_fetch_add(&w.clock.corrected_ns, 99000000);
    loop_all(&w);
    atomic_fetch_add(&w.clock.corrected_ns, 200000000);
    loop_all(&w);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->tx_dropped), 1);
    assert_int_equal(worker->backlog, 0);
    for (void *m = NULL; rte_ring_sc_dequeue(w.replies, &m) == 0;)
        rte_pktmbuf_free(m);
    destroy(&w);
}

/* A wrong tag is dropped, counted, and told to the penalty box. */
static void test_wrong_tag(void **state)
{
    const struct fg_penalty_report *report;
    struct world w;
    void *m = NULL;

    create(&w, 1);
    offer(&w, 0);
    request(&w, 0);
    assert_int_equal(rte_ring_sc_dequeue(w.requests, &m), 0);
    rte_pktmbuf_mtod((struct rte_mbuf *)m, uint8_t *)[FRAME - 1] ^= 1;
    assert_int_equal(rte_ring_sp_enqueue(w.requests, m), 0);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 0);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->dropped[FG_PACKET_DROP_TAG]), 1);
    report = fg_ring_peek(w.group.list[0]->reports, 0);
    assert_non_null(report);
    assert_int_equal(report->offence, FG_PENALTY_OFFENCE_BAD_TAG);
    assert_false(report->proven);
    assert_memory_equal(report->addr, "\xc6\x12\x01\x01", 4);
    destroy(&w);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void write_keys(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fchmod(fileno(f), 0600), 0);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* Replaced as a whole or not at all; a worker that is stalled may read the old ones for ever. */
static void test_keys(void **state)
{
    char path[] = "/tmp/test_worker.XXXXXX";
    struct fg_packet_keyring *first;
    struct fg_worker_keys keys;
    struct fg_error err = {""};
    struct world w;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    create(&w, 1);
    fg_worker_keys_init(&keys);
    write_keys(path, "1 shop 000102030405060708090a0b0c0d0e0f\n");
    assert_true(fg_worker_keys_load(&keys, path, &w.group, &err));
    first = atomic_load(&keys.in_force);
    assert_int_equal(first->count, 1);
    write_keys(path, "1 shop 0001\n");
    assert_false(fg_worker_keys_load(&keys, path, &w.group, &err));
    assert_ptr_equal(atomic_load(&keys.in_force), first);
    write_keys(
        path, "1 shop 000102030405060708090a0b0c0d0e0f\n2 shop 100102030405060708090a0b0c0d0e0f\n");
    atomic_store(&w.group.list[0]->running, true); /* and makes no loop */
    assert_true(fg_worker_keys_load(&keys, path, &w.group, &err));
    assert_int_equal(atomic_load(&keys.in_force)->count, 2);
    assert_int_equal(first->count, 1); /* still there */
    fg_packet_keyring_free(first);
    atomic_store(&w.group.list[0]->running, false);
    fg_worker_keys_free(&keys);
    assert_null(atomic_load(&keys.in_force));
    unlink(path);
    destroy(&w);
}

/* ---- mailbox --------------------------------------------------------------------------------- */

struct loops {
    struct world *world;
    _Atomic bool quit;
};

static void *run_loops(void *arg)
{
    struct loops *loops = arg;

    while (!atomic_load(&loops->quit)) {
        loop_all(loops->world);
        make_durable(loops->world);
    }
    return NULL;
}

static struct fg_stock_command item_set(void)
{
    return (struct fg_stock_command){
        .type = FG_STOCK_ITEM_SET, .item = ITEM, .order_max = 4, .user_limit = 4, .hold_ms = 60000};
}

static void test_mailbox(void **state)
{
    struct fg_stock_command c = item_set();
    struct fg_worker_mailbox m;
    struct fg_stock_answer answer;
    struct loops loops;
    _Atomic bool stopping;
    struct world w;
    pthread_t thread;

    create(&w, 2);
    m = (struct fg_worker_mailbox){.group = &w.group, .stopping = &stopping};
    loops.world = &w;
    atomic_store(&loops.quit, false);
    atomic_store(&stopping, false);
    assert_int_equal(pthread_create(&thread, NULL, run_loops, &loops), 0);
    assert_int_equal(fg_worker_mailbox_ask(&m, fg_user_owner(ITEM, 2), &c, &answer),
                     FG_WORKER_MAIL_ANSWERED);
    assert_int_equal(answer.token, 1);
    c.type = FG_STOCK_ITEM_APPLY;
    assert_int_equal(fg_worker_mailbox_ask_all(&m, &c, &answer), FG_WORKER_MAIL_ANSWERED);
    assert_int_equal(answer.token, 2);
    assert_int_equal(fg_worker_mailbox_under_way(&m), 0);
    atomic_store(&stopping, true);
    assert_int_equal(fg_worker_mailbox_ask(&m, 0, &c, &answer), FG_WORKER_MAIL_NOT_SENT);
    atomic_store(&loops.quit, true);
    pthread_join(thread, NULL);
    destroy(&w);
}

/* A late answer is not taken for that of a later command. */
static void test_mailbox_late(void **state)
{
    struct fg_stock_command c = item_set();
    unsigned home = fg_user_owner(ITEM, 2);
    struct fg_worker_mailbox m;
    struct fg_stock_answer answer;
    _Atomic bool stopping;
    struct world w;

    create(&w, 2);
    atomic_store(&stopping, false);
    m = (struct fg_worker_mailbox){.group = &w.group, .stopping = &stopping};
    atomic_store(&w.group.quit, true); /* a wait ends at once */
    assert_int_equal(fg_worker_mailbox_ask(&m, home, &c, &answer), FG_WORKER_MAIL_TIMEOUT);
    assert_int_equal(fg_worker_mailbox_under_way(&m), 1);
    assert_int_equal(fg_worker_mailbox_ask(&m, !home, &c, &answer), FG_WORKER_MAIL_NOT_SENT);
    loop_all(&w); /* now the worker does it */
    make_durable(&w);
    loop_all(&w);
    assert_int_equal(fg_worker_mailbox_under_way(&m), 0);
    assert_int_equal(fg_worker_mailbox_ask(&m, home, &c, &answer), FG_WORKER_MAIL_TIMEOUT);
    destroy(&w);
}

/* ---- traced orders --------------------------------------------------------------------------- */

static unsigned steps_of(const struct world *w, struct fg_worker_traced *book, uint64_t n,
                         unsigned owner, struct fg_worker_steps *list)
{
    uint8_t order_id[16] = {0};

    memcpy(order_id, &n, sizeof(n));
    return fg_worker_traced_find(book, user_of(w, n, owner), order_id, list, 4);
}

/* Arrived at one worker, decided by the other, on disk, sent; then the same from memory. */
static void test_trace(void **state)
{
    struct fg_worker_steps s[4];
    struct fg_worker_traced *book;
    uint64_t now_ns;
    struct world w;

    create_as(&w, 2, FG_WORKER_TRACE_SHARES, false);
    book = fg_worker_traced_create(&w.group);
    offer(&w, 10);
    request(&w, 1);
    for (unsigned i = 0; i < LOOPS; i++) {
        loop_all(&w);
        make_durable(&w);
    }
    request(&w, 0);
    w.orders = 0;
    request(&w, 1);
    for (unsigned i = 0; i < LOOPS; i++) {
        loop_all(&w);
        make_durable(&w);
    }
    assert_int_equal(take_replies(&w), 3);
    now_ns = fg_clock_now_ns(&w.clock);
    assert_int_equal(steps_of(&w, book, 1, 1, s), 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(s[i].op, FG_PACKET_OP_RESERVE);
        assert_int_equal(s[i].status, FG_PACKET_STATUS_RESERVED);
        assert_int_equal(s[i].received, 0);
        assert_int_equal(s[i].worker, 1);
        assert_in_range(s[i].received_ns, now_ns - 60000000000, now_ns);
        assert_true(s[i].handed_ns && s[i].handed_ns <= s[i].decided_ns);
    }
    assert_true(s[0].decided_ns <= s[0].durable_ns && s[0].durable_ns <= s[0].sent_ns);
    assert_int_equal(s[1].durable_ns, 0);
    assert_true(s[1].decided_ns <= s[1].sent_ns);
    assert_int_equal(steps_of(&w, book, 2, 0, s), 1);
    assert_int_equal(s[0].handed_ns, 0);
    assert_true(s[0].decided_ns && s[0].durable_ns);
    assert_int_equal(steps_of(&w, book, 3, 0, s), 0);
    assert_int_equal(fg_counter_read(&counters(&w, 1)->traces_lost), 0);
    fg_worker_traced_destroy(book);
    destroy(&w);
}

/* One burst of requests that wait for the disk, and of some that do not. */
static void test_trace_burst(void **state)
{
    static const uint64_t burst[] = {2, 1, 3, 1, 1, 4, 5};
    struct fg_worker_steps s[4];
    struct fg_worker_traced *book;
    struct world w;

    create_as(&w, 1, FG_WORKER_TRACE_SHARES, false);
    book = fg_worker_traced_create(&w.group);
    offer(&w, 10);
    request(&w, 0);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < LOOPS; i++) {
            loop_all(&w);
            make_durable(&w);
        }
        for (unsigned i = 0; i < sizeof(burst) / sizeof(burst[0]) && round == 0; i++) {
            w.orders = burst[i] - 1;
            request(&w, 0);
        }
    }
    assert_int_equal(take_replies(&w), 8);
    for (unsigned n = 1; n <= 5; n++) {
        unsigned found = steps_of(&w, book, n, 0, s);

        assert_int_equal(found, n == 1 ? 4 : 1);
        for (unsigned i = 0; i < found; i++) {
            assert_int_equal(s[i].status, FG_PACKET_STATUS_RESERVED);
            assert_int_equal(s[i].durable_ns != 0, i == 0); /* the others from memory */
            assert_true(s[i].decided_ns && s[i].decided_ns <= s[i].sent_ns);
            assert_true(s[i].durable_ns <= s[i].sent_ns && !s[i].handed_ns);
        }
    }
    assert_int_equal(fg_counter_read(&counters(&w, 0)->traces_lost), 0);
    fg_worker_traced_destroy(book);
    destroy(&w);
}

/* What finds no room is answered as any other, and counted. */
static void test_trace_full(void **state)
{
    struct fg_worker_steps s[4];
    struct fg_worker_traced *book;
    struct world w;
    uint32_t waiting;

    create_as(&w, 1, FG_WORKER_TRACE_SHARES, false);
    book = fg_worker_traced_create(&w.group);
    offer(&w, 10);
    waiting = w.group.list[0]->trace->waiting_free;
    w.group.list[0]->trace->waiting_free = 0; /* all are taken */
    request(&w, 0);
    loop_all(&w);
    make_durable(&w);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 1);
    assert_int_equal(w.statuses[FG_PACKET_STATUS_RESERVED], 1);
    assert_int_equal(fg_counter_read(&counters(&w, 0)->traces_lost), 1);
    assert_int_equal(steps_of(&w, book, 1, 0, s), 0);
    w.group.list[0]->trace->waiting_free = waiting;
    request(&w, 0);
    loop_all(&w);
    make_durable(&w);
    loop_all(&w);
    assert_int_equal(take_replies(&w), 1);
    loop_all(&w); /* tells that the loop before it has sent */
    assert_int_equal(steps_of(&w, book, 2, 0, s), 1);
    assert_int_equal(w.group.list[0]->trace->waiting_free, waiting);
    fg_worker_traced_destroy(book);
    destroy(&w);
}

/* A share of the orders, by a hash: each of them with all of its requests. */
static void test_trace_share(void **state)
{
    struct fg_worker_steps s[4];
    struct fg_worker_traced *book;
    unsigned traced = 0;
    struct world w;

    create_as(&w, 1, FG_WORKER_TRACE_SHARES / 4, false);
    book = fg_worker_traced_create(&w.group);
    offer(&w, 0);
    for (unsigned round = 0; round < 2; round++) {
        w.orders = 0;
        for (unsigned i = 0; i < 400; i++) {
            request(&w, 0);
            loop_all(&w);
            assert_int_equal(take_replies(&w), 1);
        }
    }
    loop_all(&w);
    for (uint64_t n = 1; n <= 400; n++) {
        unsigned found = steps_of(&w, book, n, 0, s);

        assert_true(found == 0 || found == 2);
        traced += found / 2;
    }
    assert_in_range(traced, 50, 150); /* of 100; once in 10^7 */
    fg_worker_traced_destroy(book);
    destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_no_mbuf),
        cmocka_unit_test(test_no_slot),
        cmocka_unit_test(test_handoff_full),
        cmocka_unit_test(test_stop_gives_back),
        cmocka_unit_test(test_wrong_tag),
        cmocka_unit_test(test_port_takes_nothing),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_mailbox),
        cmocka_unit_test(test_mailbox_late),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_trace_burst),
        cmocka_unit_test(test_trace_full),
        cmocka_unit_test(test_trace_share),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
