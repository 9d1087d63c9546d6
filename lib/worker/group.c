/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/group.h"

#include "worker/leading.h"
#include "worker/trace.h"

#include <sys/random.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#define MAIL_SLOTS   64   /* of the rings between control thread and a worker */
#define REPORT_SLOTS 4096 /* of the ring to the penalty box, which is emptied every 100 ms */

/* Users are spread by a hash: a worker may get somewhat more than its part. */
static uint32_t share(uint32_t total, unsigned workers)
{
    uint64_t part = (total + workers - 1) / workers;

    if (workers > 1)
        part += part / 8 + 64;
    return part < total ? (uint32_t)part : total;
}

struct fg_stock_limits fg_worker_limits(const struct fg_stock_limits *all, unsigned workers)
{
    struct fg_stock_limits limits = *all; /* items; and the rate of a user, who has one worker */

    limits.orders_max = share(all->orders_max, workers);
    limits.users_max = share(all->users_max, workers);
    limits.parked_max = share(all->parked_max, workers);
    limits.deferred_max = share(all->deferred_max, workers);
    return limits;
}

static uint32_t slots_of(const struct fg_worker_group_options *o)
{
    return o->limits.deferred_max + o->limits.parked_max +
           (o->leading ? FG_WORKER_UNPROVEN_MAX : 0);
}

struct fg_worker_memory fg_worker_group_memory(const struct fg_worker_group_options *o)
{
    uint64_t n = o->workers.count, pollers = RTE_MIN(o->queues, o->workers.count);
    uint64_t handoff = n * (n - 1) * o->workers.handoff * FG_RING_SLOT +
                       2 * pollers * (n - 1) * o->workers.handoff * sizeof(void *);
    uint64_t trace = o->trace ? n * sizeof(struct fg_worker_trace) : 0;
    uint64_t unproven = o->leading ? FG_WORKER_UNPROVEN_MAX * sizeof(struct fg_worker_unproven) : 0;
    uint64_t inbound = o->inbound ? 2 * n * FG_INBOUND_CAPACITY * FG_RING_SLOT : 0;
    uint64_t fleet = o->limits.fleet ? 2 * n * FG_WORKER_FLEET_SLOTS * FG_RING_SLOT : 0;

    return (struct fg_worker_memory){
        .engines = n * fg_stock_memory(&o->limits, o->workers.count),
        .rings = n * o->record_slots * FG_RING_SLOT + inbound + fleet + handoff + trace,
        .slots = n * (slots_of(o) * sizeof(struct fg_worker_slot) + unproven),
    };
}

static void *zeroed(size_t size)
{
    void *memory =
        aligned_alloc(FG_CACHE_LINE, (size + FG_CACHE_LINE - 1) & ~(size_t)(FG_CACHE_LINE - 1));

    if (memory)
        memset(memory, 0, size);
    return memory;
}

/* Not rte_ring_create: it takes a memzone each, and 64 workers need more rings than DPDK has
 * memzones. */
static struct rte_ring *mbuf_ring(unsigned slots)
{
    ssize_t size = rte_ring_get_memsize(slots);
    struct rte_ring *ring = size > 0 ? zeroed((size_t)size) : NULL;

    if (ring)
        FG_ASSERT(rte_ring_init(ring, "handoff", slots, RING_F_SP_ENQ | RING_F_SC_DEQ) == 0);
    return ring;
}

static bool polls(const struct fg_worker_group *g, unsigned worker)
{
    return worker < g->options.queues; /* queue n is polled by worker n % count */
}

/* Requests go from a worker that polls to any other; replies the other way. */
static bool connect_pair(struct fg_worker_group *g, unsigned from, unsigned to)
{
    struct fg_worker_peer *out = &g->list[from]->peers[to], *in = &g->list[to]->peers[from];
    unsigned at = from * g->options.workers.count + to, slots = g->options.workers.handoff;

    g->messages[at] = fg_ring_create(slots);
    g->messages_to[from * g->options.workers.count + to] = g->messages[at];
    g->messages_from[to * g->options.workers.count + from] = g->messages[at];
    if (!g->messages[at])
        return false;
    if (polls(g, from) && !(out->requests_to = in->requests_from = mbuf_ring(slots)))
        return false;
    if (polls(g, to) && !(out->replies_to = in->replies_from = mbuf_ring(slots)))
        return false;
    return true;
}

static bool connect_all(struct fg_worker_group *g)
{
    unsigned n = g->options.workers.count;

    for (unsigned from = 0; from < n; from++)
        for (unsigned to = 0; to < n; to++)
            if (from != to && !connect_pair(g, from, to))
                return false;
    return true;
}

static void free_slots_fill(struct fg_worker *w)
{
    for (uint32_t i = 0; i < w->slots_count; i++)
        w->slots[i].next = i + 1 < w->slots_count ? i + 1 : FG_STOCK_NO_TOKEN;
    w->slot_free = 0;
}

static bool make_inbound_rings(const struct fg_worker_group_options *o, struct fg_worker *w)
{
    if (!o->inbound)
        return true;
    w->inbound_commands = fg_ring_create(FG_INBOUND_CAPACITY);
    w->inbound_results = fg_ring_create(FG_INBOUND_CAPACITY);
    return w->inbound_commands && w->inbound_results;
}

static bool make_fleet_rings(const struct fg_worker_group_options *o, struct fg_worker *w)
{
    if (!o->limits.fleet)
        return true;
    w->fleet_commands = fg_ring_create(FG_WORKER_FLEET_SLOTS);
    w->fleet_results = fg_ring_create(FG_WORKER_FLEET_SLOTS);
    return w->fleet_commands && w->fleet_results;
}

static bool make_trace(const struct fg_worker_group_options *o, struct fg_worker *w)
{
    struct fg_worker_trace *t;

    if (!o->trace)
        return true;
    t = w->trace = zeroed(sizeof(*t));
    if (!t)
        return false;
    t->most = (int32_t)(((int64_t)o->trace << 32) / FG_WORKER_TRACE_SHARES - 1 + INT32_MIN);
    for (uint32_t i = 0; i < FG_WORKER_TRACE_WAITING; i++)
        t->waiting[i].loop = (uint16_t)(i + 1 < FG_WORKER_TRACE_WAITING ? i + 2 : 0);
    t->waiting_free = 1;
    return true;
}

/* Offences of users; and, of a pair, what may lead to a refund. */
static bool make_leading(const struct fg_worker_group_options *o, struct fg_worker *w)
{
    w->mode = FG_STOCK_NOT_LEADER; /* until the first loop sees another one */
    w->special = 1ull << FG_PACKET_STATUS_USER_RATE | 1ull << FG_PACKET_STATUS_USER_DENIED;
    w->leading = o->leading;
    if (!o->leading)
        return true;
    w->special |= FG_WORKER_NEGATIVE;
    w->unproven = zeroed(FG_WORKER_UNPROVEN_MAX * sizeof(*w->unproven));
    return w->unproven;
}

static struct fg_worker *create_worker(struct fg_worker_group *g, unsigned index)
{
    const struct fg_worker_group_options *o = &g->options;
    struct fg_worker *w = zeroed(sizeof(*w));

    if (!w)
        return NULL;
    g->list[index] = w;
    w->index = index;
    w->workers = o->workers.count;
    w->lcore = index + 1; /* 0 is the main lcore */
    w->burst = RTE_MIN(o->workers.burst, (unsigned)FG_WORKER_BURST_MAX);
    w->idle_policy = o->workers.idle;
    w->filter = o->filter;
    w->order_ports = FG_FRAME_ORDER_PORTS(o->order_port, o->steer ? o->workers.count : 1);
    w->clock = o->clock;
    w->keys_in_force = o->keys;
    w->mode_in_force = o->mode;
    w->commit_began = o->commit_began;
    w->doorbell = o->doorbell;
    w->shards = o->shards;
    w->shard_map = o->shards ? fg_worker_shards_version(o->shards) : 0;
    w->quit = &g->quit;
    w->now_ms = fg_clock_now_ms(o->clock);
    w->slots_count = slots_of(o);
    w->peers = zeroed(w->workers * sizeof(*w->peers));
    w->slots = zeroed(w->slots_count * sizeof(*w->slots));
    w->commands = fg_ring_create(MAIL_SLOTS);
    w->results = fg_ring_create(MAIL_SLOTS);
    w->reports = fg_ring_create(REPORT_SLOTS);
    g->records[index] = fg_ring_create(o->record_slots);
    w->records = g->records[index];
    if (!w->peers || !w->slots || !w->commands || !w->results || !w->reports ||
        !g->records[index] || !make_inbound_rings(o, w) || !make_fleet_rings(o, w) ||
        !make_trace(o, w) || !make_leading(o, w))
        return NULL;
    free_slots_fill(w);
    return w;
}

static bool create_engine(struct fg_worker_group *g, unsigned index, struct fg_error *err)
{
    unsigned n = g->options.workers.count;
    struct fg_stock_config config = {
        .worker = index,
        .workers = n,
        .limits = g->options.limits,
        .order_ports = g->options.steer ? (uint16_t)n : 0,
        .to = g->messages_to + index * n,
        .from = g->messages_from + index * n,
        .journal = g->records[index],
        .mark = &g->watermarks[index],
        .committed = g->options.committed ? &g->options.committed[index] : NULL};

    if (getrandom(&config.seed, sizeof(config.seed), 0) != sizeof(config.seed) ||
        getrandom(config.secret, sizeof(config.secret), 0) != sizeof(config.secret))
        return fg_fail(err, "no random numbers from the kernel");
    g->list[index]->stock = fg_stock_create(&config, err);
    return g->list[index]->stock != NULL;
}

static bool register_route(struct fg_error *err)
{
    static const struct rte_mbuf_dynfield field = {.name = "floodgate_route",
                                                   .size = sizeof(struct fg_worker_route),
                                                   .align = _Alignof(struct fg_worker_route)};

    static const struct rte_mbuf_dynfield arrival = {
        .name = "floodgate_arrival", .size = sizeof(uint64_t), .align = _Alignof(uint64_t)};

    fg_worker_route_offset = rte_mbuf_dynfield_register(&field);
    fg_worker_arrival_offset = rte_mbuf_dynfield_register(&arrival);
    return (fg_worker_route_offset >= 0 && fg_worker_arrival_offset >= 0) ||
           fg_fail(err, "no room in DPDK's packet buffers: %s", rte_strerror(rte_errno));
}

bool fg_worker_group_create(struct fg_worker_group *g,
                            const struct fg_worker_group_options *options, struct fg_error *err)
{
    unsigned n = options->workers.count;
    bool ok;

    g->options = *options;
    if (!register_route(err))
        return false;
    g->watermarks = zeroed(n * sizeof(*g->watermarks));
    g->records = zeroed(n * sizeof(*g->records));
    g->messages = zeroed(n * n * sizeof(*g->messages));
    g->messages_to = zeroed(n * n * sizeof(*g->messages));
    g->messages_from = zeroed(n * n * sizeof(*g->messages));
    ok = g->watermarks && g->records && g->messages && g->messages_to && g->messages_from;
    for (unsigned i = 0; ok && i < n; i++)
        ok = create_worker(g, i) != NULL;
    if (!ok || !connect_all(g))
        return fg_fail(err, "no memory for %u workers; lower [limits] or [workers]", n);
    for (unsigned i = 0; i < n; i++)
        if (!create_engine(g, i, err))
            return false;
    return true;
}

static bool take_queues(struct fg_worker_group *g, const struct fg_port_queue *queues,
                        unsigned count)
{
    g->queues = zeroed(count * sizeof(*g->queues));
    g->queues_count = g->queues ? count : 0;
    for (unsigned q = 0; q < g->queues_count; q++) {
        struct fg_worker *w = g->list[queues[q].worker];

        g->queues[q].port = queues[q];
        w->polled[w->polled_count++] = q;
    }
    return g->queues != NULL;
}

bool fg_worker_group_start(struct fg_worker_group *g, const struct fg_port_queue *queues,
                           unsigned count, struct fg_error *err)
{
    if (!take_queues(g, queues, count))
        return fg_fail(err, "no memory for %u queues", count);
    for (unsigned i = 0; i < g->options.workers.count; i++) {
        g->list[i]->queues = g->queues;
        if (rte_eal_remote_launch(fg_worker_main, g->list[i], g->list[i]->lcore) < 0)
            return fg_fail(err, "worker %u: lcore %u cannot be started", i, g->list[i]->lcore);
        g->started = true;
    }
    return true;
}

static void drain(struct rte_ring *ring)
{
    void *m;

    while (ring && rte_ring_sc_dequeue(ring, &m) == 0)
        rte_pktmbuf_free(m);
}

static void drain_batch(struct fg_worker_batch *batch)
{
    rte_pktmbuf_free_bulk(batch->mbufs, batch->count);
    batch->count = 0;
}

/* The mbufs that wait between workers, or for a port that took none. */
static void drain_worker(struct fg_worker *w)
{
    for (unsigned i = 0; w->peers && i < w->workers; i++) {
        drain(w->peers[i].requests_to);
        drain(w->peers[i].replies_to);
        drain_batch(&w->peers[i].requests);
        drain_batch(&w->peers[i].replies);
    }
}

static void drain_all(struct fg_worker_group *g)
{
    for (unsigned i = 0; i < g->options.workers.count; i++)
        if (g->list[i])
            drain_worker(g->list[i]);
    for (unsigned i = 0; i < g->queues_count; i++)
        drain_batch(&g->queues[i].out);
}

void fg_worker_group_stop(struct fg_worker_group *g)
{
    atomic_store(&g->quit, true);
    if (g->started)
        rte_eal_mp_wait_lcore();
    g->started = false;
    drain_all(g);
}

static void destroy_worker(struct fg_worker *w)
{
    if (!w)
        return;
    drain_worker(w);
    for (unsigned i = 0; w->peers && i < w->workers; i++) {
        free(w->peers[i].requests_to);
        free(w->peers[i].replies_to);
    }
    if (w->stock)
        fg_stock_destroy(w->stock);
    fg_ring_destroy(w->commands);
    fg_ring_destroy(w->results);
    fg_ring_destroy(w->reports);
    fg_ring_destroy(w->inbound_commands);
    fg_ring_destroy(w->inbound_results);
    fg_ring_destroy(w->fleet_commands);
    fg_ring_destroy(w->fleet_results);
    free(w->trace);
    free(w->unproven);
    free(w->peers);
    free(w->slots);
    free(w);
}

void fg_worker_group_destroy(struct fg_worker_group *g)
{
    unsigned n = g->options.workers.count;

    for (unsigned i = 0; i < n; i++) {
        destroy_worker(g->list[i]);
        fg_ring_destroy(g->records ? g->records[i] : NULL);
    }
    for (unsigned i = 0; g->messages && i < n * n; i++)
        fg_ring_destroy(g->messages[i]);
    free(g->messages);
    free(g->messages_to);
    free(g->messages_from);
    free(g->records);
    free(g->watermarks);
    free(g->queues);
}

/* Two loops: the one under way at the call, and one that began after it. */
static bool passed(struct fg_worker *w, uint64_t end_ms)
{
    uint64_t from = fg_counter_read(&w->counters.loops);

    while (atomic_load(&w->running) && fg_counter_read(&w->counters.loops) < from + 2) {
        if (fg_clock_mono_ms() >= end_ms)
            return false;
        fg_clock_sleep_us(100);
    }
    return true;
}

bool fg_worker_group_pass(const struct fg_worker_group *g, unsigned timeout_ms)
{
    for (unsigned i = 0; i < g->options.workers.count && g->list[i]; i++)
        if (!passed(g->list[i], fg_clock_mono_ms() + timeout_ms))
            return false;
    return true;
}
