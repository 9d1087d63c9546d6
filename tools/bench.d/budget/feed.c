/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests for a port of two rings, and the look at their replies. */
#include "bench.h"

#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#define FRAME  106u /* Ethernet, IPv4, UDP, order packet */
#define STRIDE 128u

static void put_be16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void write_headers(uint8_t *f)
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

/* Of a fleet: users of other members are not asked about. */
static bool is_foreign(const struct world *w, uint64_t user)
{
    return w->members && fg_fleet_owner(&w->shards.map, user) != w->shards.member;
}

/* With several workers all users are those of the second: each packet is handed off. */
static void write_frames(struct feed *f)
{
    const struct fg_packet_key *key = &atomic_load(&f->world.keys)->keys[0];
    unsigned wanted = f->world.workers - 1;

    f->frames = aligned_alloc(STRIDE, (size_t)ORDERS * STRIDE);
    FG_ASSERT(f->frames != NULL);
    for (uint64_t n = 0, user = 1; n < ORDERS; user++) {
        struct fg_packet_request r = {.op = FG_PACKET_OP_RESERVE,
                                      .key_id = key->id,
                                      .quantity = 1,
                                      .user = user,
                                      .item = ITEM};
        uint8_t *frame = f->frames + n * STRIDE;

        if (fg_user_owner(user, f->world.workers) != wanted || is_foreign(&f->world, user))
            continue;
        memcpy(r.order_id, &n, sizeof(n));
        r.cookie = (uint32_t)n++;
        fg_packet_request_seal(&r, key);
        write_headers(frame);
        memcpy(frame + FRAME - FG_PACKET_SIZE, &r, sizeof(r));
    }
}

void feed_create(struct feed *f, unsigned workers)
{
    static unsigned feeds;
    char name[32];
    struct rte_mempool *pool;
    int port;

    feeds++;
    f->status = FG_PACKET_STATUS_SOLD_OUT;
    world_create(&f->world, workers, NULL);
    snprintf(name, sizeof(name), "budget%u", feeds);
    pool = pool_create(name);
    snprintf(name, sizeof(name), "requests%u", feeds);
    f->requests = rte_ring_create(name, 2 * CHUNK, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    snprintf(name, sizeof(name), "replies%u", feeds);
    f->replies = rte_ring_create(name, 2 * CHUNK, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    FG_ASSERT(f->requests && f->replies);
    snprintf(name, sizeof(name), "budget%u", feeds);
    port = rte_eth_from_rings(name, &f->requests, 1, &f->replies, 1, 0);
    FG_ASSERT(port >= 0 && rte_pktmbuf_alloc_bulk(pool, f->mbufs, CHUNK) == 0);
    FG_ASSERT(rte_eth_dev_configure((uint16_t)port, 1, 1, &(struct rte_eth_conf){0}) == 0);
    FG_ASSERT(rte_eth_rx_queue_setup((uint16_t)port, 0, CHUNK, 0, NULL, pool) == 0);
    FG_ASSERT(rte_eth_tx_queue_setup((uint16_t)port, 0, CHUNK, 0, NULL) == 0);
    FG_ASSERT(rte_eth_dev_start((uint16_t)port) == 0);
    world_port(&f->world, (uint16_t)port, pool);
    world_sell_nothing(&f->world);
    write_frames(f);
}

static void check(const struct feed *f, struct rte_mbuf *m)
{
    const struct fg_packet_key *key = &atomic_load(&f->world.keys)->keys[0];
    const uint8_t *payload = rte_pktmbuf_mtod_offset(m, uint8_t *, FRAME - FG_PACKET_SIZE);

    FG_ASSERT(m->data_len == FRAME && fg_packet_reply_check(payload, key));
    FG_ASSERT(payload[offsetof(struct fg_packet_reply, status)] == f->status);
}

void feed_chunk(struct feed *f)
{
    for (unsigned i = 0; i < CHUNK; i++) {
        struct rte_mbuf *m = f->mbufs[i];

        memcpy(rte_pktmbuf_mtod(m, uint8_t *), f->frames + f->next * (size_t)STRIDE, STRIDE);
        m->data_len = FRAME;
        m->pkt_len = FRAME;
        f->next = f->next + 1 == ORDERS ? 0 : f->next + 1;
    }
    FG_ASSERT(rte_ring_sp_enqueue_bulk(f->requests, (void **)f->mbufs, CHUNK, NULL) == CHUNK);
}

bool feed_answered(struct feed *f)
{
    return rte_ring_count(f->replies) == CHUNK &&
           rte_ring_sc_dequeue_bulk(f->replies, (void **)f->mbufs, CHUNK, NULL) == CHUNK;
}

void feed_check(const struct feed *f)
{
    for (unsigned i = 0; i < CHUNK; i++)
        check(f, f->mbufs[i]);
}
