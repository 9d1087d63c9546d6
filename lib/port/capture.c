/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/capture.h"

#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/diag.h"

#include <rte_ethdev.h>
#include <rte_jhash.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>

#define SLOTS     4096 /* frames in the ring of a queue */
#define EXPECTED  4096 /* requests whose replies are awaited */
#define WINDOW_NS 100000000ull
#define LATE_NS   2000000ull /* a frame is in its ring that long after its time, mostly */
#define PASS_MS   5000

struct frame {
    uint64_t time_ns;
    uint16_t size, kept;
    uint8_t data[FG_PORT_CAPTURE_FRAME];
};
_Static_assert(sizeof(struct frame) == 192, "elements of a ring of DPDK are multiples of 4");

/* What a reply has in common with its request. */
struct expected {
    uint32_t hash;
    uint32_t count;
};

struct queue {
    const struct fg_port_capture *capture;
    uint16_t ethdev, index;
    const struct rte_eth_rxtx_callback *rx, *tx;
    /* written by the worker that polls the queue */
    uint64_t window_ns;
    unsigned taken; /* requests in this window */
    struct expected expected[EXPECTED];
    _Atomic uint64_t frames, skipped, lost;
    struct rte_ring *ring;
    /* the reader's */
    struct frame next;
    bool has_next;
};

struct fg_port_capture {
    struct fg_port_capture_options options;
    uint32_t order_ports;
    unsigned window_max; /* requests that a queue may take in a window */
    bool has_head;
    unsigned count;
    struct queue *queues;
};

/* ---- on the worker --------------------------------------------------------------------------- */

static void put(struct queue *q, const struct rte_mbuf *m, uint64_t time_ns)
{
    struct frame frame = {.time_ns = time_ns, .size = (uint16_t)m->pkt_len};

    frame.kept = RTE_MIN(m->data_len, (uint16_t)FG_PORT_CAPTURE_FRAME);
    memcpy(frame.data, rte_pktmbuf_mtod(m, const void *), frame.kept);
    if (rte_ring_sp_enqueue_elem(q->ring, &frame, sizeof(frame)) == 0)
        fg_counter_add(&q->frames, 1);
    else
        fg_counter_add(&q->lost, 1);
}

/* Address, port and cookie of the client. */
static struct expected *find(struct queue *q, const uint8_t *data, const struct fg_frame *f,
                             bool reply, uint32_t *hash)
{
    uint32_t key[6] = {0}; /* four words of address, port, cookie */
    size_t size = f->ip == 4 ? 4 : 16, at = f->ip == 4 ? 12 : 8;

    memcpy(key, data + f->l3 + at + (reply ? size : 0), size);
    memcpy(key + 4, data + f->l4 + (reply ? 2 : 0), 2);
    memcpy(key + 5, data + f->payload + offsetof(struct fg_packet_request, cookie), 4);
    *hash = rte_jhash_32b(key, 6, 0);
    return &q->expected[*hash % EXPECTED];
}

static void expect(struct queue *q, const uint8_t *data, const struct fg_frame *f)
{
    uint32_t hash;
    struct expected *e = find(q, data, f, false, &hash);

    if (e->hash != hash)
        *e = (struct expected){.hash = hash};
    e->count++;
}

static bool over_rate(struct queue *q, uint64_t time_ns)
{
    if (time_ns - q->window_ns >= WINDOW_NS) {
        q->window_ns = time_ns;
        q->taken = 0;
    }
    if (q->taken == q->capture->window_max)
        return true;
    q->taken++;
    return false;
}

static void take_request(struct queue *q, const struct rte_mbuf *m, uint64_t time_ns)
{
    const struct fg_port_capture *c = q->capture;
    const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
    enum fg_packet_drop drop;
    struct fg_frame f;
    enum fg_frame_kind kind = fg_frame_parse(data, m->data_len, c->order_ports, &f, &drop);

    if (kind == FG_FRAME_OTHER)
        return;
    if (c->options.of_user &&
        (kind != FG_FRAME_ORDER ||
         ((const fg_packet_request_at *)(data + f.payload))->user != c->options.user))
        return;
    if (over_rate(q, time_ns)) {
        fg_counter_add(&q->skipped, 1);
        return;
    }
    put(q, m, time_ns);
    if (kind == FG_FRAME_ORDER)
        expect(q, data, &f);
}

static uint16_t received(uint16_t ethdev, uint16_t index, struct rte_mbuf **mbufs, uint16_t n,
                         uint16_t max, void *queue)
{
    struct queue *q = queue;
    uint64_t time_ns = n ? fg_clock_now_ns(q->capture->options.clock) : 0;

    for (uint16_t i = 0; i < n; i++)
        take_request(q, mbufs[i], time_ns);
    return n;
}

/* The headers are ours: no options, no fragments. */
static bool parse_reply(const uint8_t *data, uint32_t len, uint32_t order_ports, struct fg_frame *f)
{
    uint64_t type;

    if (len < 14 + FG_FRAME_IPV4_SIZE + FG_FRAME_UDP_LENGTH)
        return false;
    type = fg_frame_word_at(data + 12, 2);
    f->l3 = type == __builtin_bswap16(0x8100) ? 18 : 14;
    type = fg_frame_word_at(data + f->l3 - 2, 2);
    f->ip = type == __builtin_bswap16(FG_FRAME_ETHERTYPE_IPV4) ? 4 : 6;
    f->l4 = (uint8_t)(f->l3 + (f->ip == 4 ? FG_FRAME_IPV4_SIZE : 40));
    f->payload = (uint8_t)(f->l4 + FG_FRAME_UDP_SIZE);
    return len == f->payload + (uint32_t)FG_PACKET_SIZE &&
           !fg_frame_no_order_port(__builtin_bswap16((uint16_t)fg_frame_word_at(data + f->l4, 2)),
                                   order_ports);
}

static void take_reply(struct queue *q, const struct rte_mbuf *m, uint64_t time_ns)
{
    const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
    struct expected *e;
    struct fg_frame f;
    uint32_t hash;

    if (!parse_reply(data, m->data_len, q->capture->order_ports, &f))
        return;
    e = find(q, data, &f, true, &hash);
    if (e->hash != hash || !e->count)
        return;
    e->count--; /* what the port does not take is given to it again, and would be there twice */
    put(q, m, time_ns);
}

static uint16_t sending(uint16_t ethdev, uint16_t index, struct rte_mbuf **mbufs, uint16_t n,
                        void *queue)
{
    struct queue *q = queue;
    uint64_t time_ns = n ? fg_clock_now_ns(q->capture->options.clock) : 0;

    for (uint16_t i = 0; i < n; i++)
        take_reply(q, mbufs[i], time_ns);
    return n;
}

/* ---- begin and end --------------------------------------------------------------------------- */

static bool attach(struct queue *q)
{
    ssize_t size = rte_ring_get_memsize_elem(sizeof(struct frame), SLOTS);

    q->ring =
        size > 0 ? aligned_alloc(FG_CACHE_LINE, RTE_ALIGN((size_t)size, FG_CACHE_LINE)) : NULL;
    if (!q->ring)
        return false;
    FG_ASSERT(rte_ring_init(q->ring, "capture", SLOTS, RING_F_SP_ENQ | RING_F_SC_DEQ) == 0);
    q->rx = rte_eth_add_rx_callback(q->ethdev, q->index, received, q);
    q->tx = q->rx ? rte_eth_add_tx_callback(q->ethdev, q->index, sending, q) : NULL;
    return q->tx;
}

struct fg_port_capture *fg_port_capture_begin(const struct fg_port_capture_options *options,
                                              struct fg_error *err)
{
    const struct fg_port_group *g = options->ports;
    struct fg_port_capture *c = calloc(1, sizeof(*c));
    bool ok;

    if (c) {
        c->options = *options;
        c->order_ports =
            FG_FRAME_ORDER_PORTS(g->options.order_port, g->options.steer ? g->options.workers : 1);
        c->window_max = RTE_MAX(
            1u, (unsigned)(FG_PORT_CAPTURE_RATE * WINDOW_NS / 1000000000 / g->queues_count));
        c->count = g->queues_count;
        c->queues =
            aligned_alloc(FG_CACHE_LINE, RTE_ALIGN(c->count * sizeof(*c->queues), FG_CACHE_LINE));
    }
    ok = c && c->queues;
    if (ok)
        memset(c->queues, 0, c->count * sizeof(*c->queues));
    for (unsigned i = 0; ok && i < c->count; i++) {
        struct queue *q = &c->queues[i];

        q->capture = c;
        q->ethdev = g->queues[i].ethdev;
        q->index = g->queues[i].index;
        ok = attach(q);
    }
    if (ok)
        return c;
    if (c)
        fg_port_capture_end(c);
    fg_fail(err, "no memory for a capture");
    return NULL;
}

static void detach(struct queue *q)
{
    if (q->rx)
        rte_eth_remove_rx_callback(q->ethdev, q->index, q->rx);
    if (q->tx)
        rte_eth_remove_tx_callback(q->ethdev, q->index, q->tx);
}

void fg_port_capture_end(struct fg_port_capture *c)
{
    const struct fg_port_group_options *o = &c->options.ports->options;

    for (unsigned i = 0; c->queues && i < c->count; i++)
        detach(&c->queues[i]);
    if (!o->workers_pass(o->ctx, PASS_MS)) {
        fg_diag(FG_DIAG_WARNING,
                "capture: a worker is stalled, and may still use its memory: it is "
                "not freed");
        return;
    }
    for (unsigned i = 0; c->queues && i < c->count; i++) {
        rte_free((void *)(uintptr_t)c->queues[i].rx);
        rte_free((void *)(uintptr_t)c->queues[i].tx);
        free(c->queues[i].ring);
    }
    free(c->queues);
    free(c);
}

/* ---- the reader ------------------------------------------------------------------------------ */

static size_t write_head(uint8_t *out)
{
    const struct __attribute__((packed)) {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, digits, most, link;
    } head = {.magic = 0xa1b23c4d, .major = 2, .minor = 4, .most = 65535, .link = 1};

    _Static_assert(sizeof(head) == FG_PORT_CAPTURE_HEAD, "as the format says");
    memcpy(out, &head, sizeof(head));
    return sizeof(head);
}

static size_t write_record(uint8_t *out, const struct frame *f)
{
    const uint32_t head[4] = {(uint32_t)(f->time_ns / 1000000000),
                              (uint32_t)(f->time_ns % 1000000000), f->kept, f->size};

    _Static_assert(sizeof(head) == FG_PORT_CAPTURE_RECORD, "as the format says");
    memcpy(out, head, sizeof(head));
    memcpy(out + sizeof(head), f->data, f->kept);
    return sizeof(head) + f->kept;
}

/* The queue with the oldest frame; NULL: none is older than `until_ns`. */
static struct queue *oldest(struct fg_port_capture *c, uint64_t until_ns)
{
    struct queue *best = NULL;

    for (unsigned i = 0; i < c->count; i++) {
        struct queue *q = &c->queues[i];

        if (!q->has_next)
            q->has_next = rte_ring_sc_dequeue_elem(q->ring, &q->next, sizeof(q->next)) == 0;
        if (q->has_next && q->next.time_ns < until_ns &&
            (!best || q->next.time_ns < best->next.time_ns))
            best = q;
    }
    return best;
}

size_t fg_port_capture_read(struct fg_port_capture *c, uint8_t *out, size_t room)
{
    uint64_t until_ns = fg_clock_now_ns(c->options.clock) - LATE_NS;
    size_t size = 0;

    if (!c->has_head)
        size = write_head(out);
    c->has_head = true;
    while (room - size >= FG_PORT_CAPTURE_RECORD + FG_PORT_CAPTURE_FRAME) {
        struct queue *q = oldest(c, until_ns);

        if (!q)
            break;
        size += write_record(out + size, &q->next);
        q->has_next = false;
    }
    return size;
}

struct fg_port_capture_counters fg_port_capture_counters(const struct fg_port_capture *c)
{
    struct fg_port_capture_counters sum = {0};

    for (unsigned i = 0; i < c->count; i++) {
        sum.frames += fg_counter_read(&c->queues[i].frames);
        sum.skipped += fg_counter_read(&c->queues[i].skipped);
        sum.lost += fg_counter_read(&c->queues[i].lost);
    }
    return sum;
}
