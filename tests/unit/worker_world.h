/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers on a real EAL with few mbufs, small rings and a port of two rings, for the tests of them.
 */
#ifndef TEST_WORKER_WORLD_H
#define TEST_WORKER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/keys.h"
#include "worker/mailbox.h"
#include "worker/trace.h"
#include "worker/traced.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#define ITEM       7
#define MBUFS      63
#define HANDOFF    8  /* slots: one fewer mbufs fit */
#define PORT_SLOTS 32 /* of the port's rings, as above */
#define FRAME      106u
#define LOOPS      100

struct world {
    struct fg_worker_group group;
    struct fg_clock clock;
    _Atomic(struct fg_packet_keyring *) keys;
    _Atomic int mode;
    _Atomic uint64_t commit_began;
    struct fg_journal_doorbell doorbell;
    struct fg_worker_queue queue;
    struct rte_ring *requests, *replies;
    struct rte_mempool *pool;
    uint64_t orders;
    unsigned statuses[FG_PACKET_STATUS_COUNT]; /* of the replies taken */
    /* of a pair */
    struct fg_leading leading;
    struct fg_journal_watermark committed[2];
};

static struct rte_ring *requests, *replies;
static struct rte_mempool *pool;
static struct fg_packet_keyring keyring;
static uint16_t port;
static const struct fg_worker_shards *fleet; /* of the next world; NULL = none */

static inline const struct fg_worker_counters *counters(const struct world *w, unsigned worker)
{
    return &w->group.list[worker]->counters;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static inline void put_be16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void write_headers(uint8_t *f)
{
    static const uint8_t ip[20] = {0x45, 0, 0,   92, 0, 0, 0x40, 0,  63, 17,
                                   0,    0, 198, 18, 1, 1, 198,  18, 0,  1};
    uint32_t sum = 0;

    memset(f, 2, 12);
    put_be16(f + 12, 0x0800);
    memcpy(f + 14, ip, sizeof(ip));
    for (unsigned i = 0; i < sizeof(ip); i += 2)
        sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    put_be16(f + 24, ~((sum & 0xffff) + (sum >> 16)) & 0xffff);
    put_be16(f + 34, 40000);
    put_be16(f + 36, FG_PACKET_PORT_DEFAULT);
    put_be16(f + 38, 72);
    put_be16(f + 40, 0);
}

/* The user of the n-th reservation. */
static inline uint64_t user_of(const struct world *w, uint64_t n, unsigned owner)
{
    uint64_t user = 1000 * n;

    while (fg_user_owner(user, w->group.options.workers.count) != owner)
        user++;
    return user;
}

/* A request about the n-th order, of a user of this worker, waits in the port. */
static inline void request_about(struct world *w, uint8_t op, uint64_t n, unsigned owner)
{
    struct fg_packet_request r = {.op = op, .key_id = 1};
    struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);

    assert_non_null(m);
    if (op == FG_PACKET_OP_RESERVE || op == FG_PACKET_OP_STOCK)
        r.item = ITEM;
    r.quantity = op == FG_PACKET_OP_RESERVE;
    if (op != FG_PACKET_OP_STOCK) {
        r.user = user_of(w, n, owner);
        memcpy(r.order_id, &n, sizeof(n));
    }
    fg_packet_request_seal(&r, &keyring.keys[0]);
    write_headers((uint8_t *)rte_pktmbuf_append(m, FRAME));
    memcpy(rte_pktmbuf_mtod_offset(m, void *, FRAME - FG_PACKET_SIZE), &r, sizeof(r));
    assert_int_equal(rte_ring_sp_enqueue(w->requests, m), 0);
}

/* A reservation by a user of this worker waits in the port. */
static inline void request(struct world *w, unsigned owner)
{
    request_about(w, FG_PACKET_OP_RESERVE, ++w->orders, owner);
}

/* Takes all replies out of the port, checks their tags, and returns how many there were. */
static inline unsigned take_replies(struct world *w)
{
    unsigned n = 0;
    void *m = NULL;

    for (; rte_ring_sc_dequeue(w->replies, &m) == 0; n++) {
        const uint8_t *payload =
            rte_pktmbuf_mtod_offset((struct rte_mbuf *)m, uint8_t *, FRAME - FG_PACKET_SIZE);

        assert_int_equal(((struct rte_mbuf *)m)->data_len, FRAME);
        assert_true(fg_packet_reply_check(payload, &keyring.keys[0]));
        w->statuses[payload[offsetof(struct fg_packet_reply, status)]]++;
        rte_pktmbuf_free(m);
    }
    return n;
}

/* ---- workers --------------------------------------------------------------------------------- */

static inline void make_durable(struct world *w)
{
    for (unsigned i = 0; i < w->group.options.workers.count; i++) {
        uint64_t n = fg_ring_count(w->group.records[i]);

        fg_ring_release(w->group.records[i], n);
        atomic_fetch_add(&w->group.watermarks[i].durable, n);
    }
}

/* The pair has all that is durable here. */
static inline void commit(struct world *w)
{
    for (unsigned i = 0; i < w->group.options.workers.count; i++)
        atomic_store(&w->committed[i].durable, atomic_load(&w->group.watermarks[i].durable));
}

static inline void loop_all(struct world *w)
{
    for (unsigned i = 0; i < w->group.options.workers.count; i++)
        fg_worker_loop(w->group.list[i]);
}

static inline void command(struct world *w, unsigned worker, struct fg_stock_command c)
{
    struct fg_ring *results = w->group.list[worker]->results;
    uint8_t message[FG_RING_SLOT] = {0};

    memcpy(message, &c, sizeof(c));
    assert_true(fg_ring_push(w->group.list[worker]->commands, message));
    for (unsigned i = 0; i < LOOPS && !fg_ring_peek(results, 0); i++) {
        loop_all(w);
        make_durable(w);
        commit(w);
    }
    assert_non_null(fg_ring_peek(results, 0));
    fg_ring_release(results, 1);
}

static inline void offer(struct world *w, uint32_t units)
{
    unsigned n = w->group.options.workers.count, home = fg_user_owner(ITEM, n);
    struct fg_stock_command c = {.item = ITEM, .order_max = 4, .user_limit = 4, .hold_ms = 60000};

    c.type = FG_STOCK_ITEM_SET;
    command(w, home, c);
    c.type = FG_STOCK_ITEM_APPLY;
    for (unsigned i = 0; i < n; i++)
        command(w, i, c);
    if (units)
        command(
            w, home,
            (struct fg_stock_command){.type = FG_STOCK_STOCK_ADD, .item = ITEM, .units = units});
}

static inline void create_as(struct world *w, unsigned workers, unsigned trace, bool pair)
{
    struct fg_worker_group_options o = {
        .workers = {.count = workers, .idle = FG_WORKER_IDLE_SPIN, .burst = 32, .handoff = HANDOFF},
        .queues = 1,
        .record_slots = 1024,
        .order_port = FG_PACKET_PORT_DEFAULT,
        .trace = trace,
        .limits = {.items_max = 10,
                   .orders_max = 1000,
                   .users_max = 1000,
                   .parked_max = 64,
                   .deferred_max = 64},
        .clock = &w->clock,
        .keys = &w->keys,
        .mode = &w->mode,
        .commit_began = &w->commit_began,
        .doorbell = &w->doorbell,
        .inbound = pair,
        .leading = pair ? &w->leading : NULL,
        .committed = pair ? w->committed : NULL,
        .shards = fleet};
    struct fg_error err = {""};

    memset(w, 0, sizeof(*w));
    atomic_store(&w->leading.accepting, true);
    atomic_store(&w->leading.valid_until_tsc, UINT64_MAX);
    fg_clock_start(&w->clock, rte_get_tsc_hz());
    atomic_store(&w->keys, &keyring);
    w->requests = requests;
    w->replies = replies;
    w->pool = pool;
    w->queue.port = (struct fg_port_queue){.ethdev = port, .pool = pool};
    if (!fg_worker_group_create(&w->group, &o, &err))
        fail_msg("%s", err.text);
    for (unsigned i = 0; i < workers; i++)
        w->group.list[i]->queues = &w->queue;
    w->group.list[0]->polled_count = 1;
}

static inline void create(struct world *w, unsigned workers)
{
    create_as(w, workers, 0, false);
}

/* No mbuf is lost: all are in the pool again. */
static inline void destroy(struct world *w)
{
    take_replies(w);
    fg_worker_group_destroy(&w->group);
    assert_int_equal(rte_mempool_avail_count(w->pool), MBUFS);
}

/* ---- EAL ------------------------------------------------------------------------------------- */

static inline struct rte_ring *port_ring(const char *name)
{
    struct rte_ring *ring =
        rte_ring_create(name, PORT_SLOTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);

    assert_non_null(ring);
    return ring;
}

static inline int start(void **state)
{
    const char *argv[] = {"test_worker", "--lcores",         "0",
                          "--no-pci",    "--no-huge",        "-m",
                          "64",          "--iova-mode=va",   "--no-telemetry",
                          "--no-shconf", "--log-level=error"};
    int id;

    assert_true(rte_eal_init(sizeof(argv) / sizeof(argv[0]), (char **)argv) >= 0);
    keyring.count = 1;
    keyring.keys[0] = (struct fg_packet_key){
        .id = 1, .roles = FG_PACKET_ROLE_SHOP | FG_PACKET_ROLE_BACKEND, .secret = {17, 4}};
    keyring.slot[1] = 1;
    pool = rte_pktmbuf_pool_create("few", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    assert_non_null(pool);
    requests = port_ring("requests");
    replies = port_ring("replies");
    id = rte_eth_from_rings("rings", &requests, 1, &replies, 1, 0);
    assert_true(id >= 0);
    port = (uint16_t)id;
    assert_int_equal(rte_eth_dev_configure(port, 1, 1, &(struct rte_eth_conf){0}), 0);
    assert_int_equal(rte_eth_rx_queue_setup(port, 0, PORT_SLOTS, 0, NULL, pool), 0);
    assert_int_equal(rte_eth_tx_queue_setup(port, 0, PORT_SLOTS, 0, NULL), 0);
    return rte_eth_dev_start(port);
}

static inline int stop(void **state)
{
    rte_eth_dev_stop(port);
    rte_eth_dev_close(port);
    return rte_eal_cleanup();
}

#endif
