/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers' memory, rings and lcores: made before the loops run, freed after they ended. */
#include "daemon.h"

#include <sys/random.h>

#include "base/diag.h"

#include <rte_launch.h>
#include <rte_lcore.h>

#define MAIL_SLOTS   64   /* of the rings between control thread and a worker */
#define REPORT_SLOTS 4096 /* of the ring to the penalty box, which is emptied every 100 ms */

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
static struct rte_ring *mbuf_ring(unsigned places)
{
    ssize_t size = rte_ring_get_memsize(places);
    struct rte_ring *ring = size > 0 ? zeroed((size_t)size) : NULL;

    if (ring)
        FG_ASSERT(rte_ring_init(ring, "handoff", places, RING_F_SP_ENQ | RING_F_SC_DEQ) == 0);
    return ring;
}

static bool polls(const struct fg_daemon *d, unsigned worker)
{
    return worker < fg_port_queues_total(&d->config); /* queue n is polled by worker n % workers */
}

/* Requests go from a worker that polls to any other; replies the other way. */
static bool connect_pair(struct fg_daemon *d, unsigned from, unsigned to)
{
    struct fg_worker_peer *out = &d->workers[from]->peers[to], *in = &d->workers[to]->peers[from];
    unsigned at = from * d->config.workers.count + to, places = d->config.workers.handoff;

    d->messages[at] = fg_ring_create(places);
    d->messages_to[from * d->config.workers.count + to] = d->messages[at];
    d->messages_from[to * d->config.workers.count + from] = d->messages[at];
    if (!d->messages[at])
        return false;
    if (polls(d, from) && !(out->requests_to = in->requests_from = mbuf_ring(places)))
        return false;
    if (polls(d, to) && !(out->replies_to = in->replies_from = mbuf_ring(places)))
        return false;
    return true;
}

static bool connect_all(struct fg_daemon *d)
{
    unsigned n = d->config.workers.count;

    for (unsigned from = 0; from < n; from++)
        for (unsigned to = 0; to < n; to++)
            if (from != to && !connect_pair(d, from, to))
                return false;
    return true;
}

static void free_slots_fill(struct fg_worker *w)
{
    for (uint32_t i = 0; i < w->slots_count; i++)
        w->slots[i].next = i + 1 < w->slots_count ? i + 1 : FG_NO_TOKEN;
    w->slot_free = 0;
}

static bool make_inbound_rings(const struct fg_config *c, struct fg_worker *w)
{
    if (!c->inbound)
        return true;
    w->inbound_commands = fg_ring_create(FG_INBOUND_CAPACITY);
    w->inbound_results = fg_ring_create(FG_INBOUND_CAPACITY);
    return w->inbound_commands && w->inbound_results;
}

static struct fg_worker *create_worker(struct fg_daemon *d, unsigned index)
{
    const struct fg_config *c = &d->config;
    struct fg_worker *w = zeroed(sizeof(*w));

    if (!w)
        return NULL;
    d->workers[index] = w;
    w->index = index;
    w->workers = c->workers.count;
    w->lcore = index + 1; /* 0 is the main lcore */
    w->burst = RTE_MIN(c->workers.burst, (unsigned)FG_BURST_MAX);
    w->idle_policy = c->workers.idle;
    w->filter = d->filter;
    w->order_ports = FG_ORDER_PORTS(c->orders.port, fg_config_order_ports(c));
    w->clock = &d->clock;
    w->keys_in_force = &d->keys;
    w->mode_in_force = &d->mode;
    w->commit_began = &d->commit_began;
    w->doorbell = &d->bell;
    w->quit = &d->workers_quit;
    w->now_ms = fg_clock_now_ms(&d->clock);
    w->slots_count = fg_worker_slots(&d->limits);
    w->peers = zeroed(w->workers * sizeof(*w->peers));
    w->slots = zeroed(w->slots_count * sizeof(*w->slots));
    w->commands = fg_ring_create(MAIL_SLOTS);
    w->results = fg_ring_create(MAIL_SLOTS);
    w->reports = fg_ring_create(REPORT_SLOTS);
    d->journal_rings[index] = fg_ring_create(c->log.ring);
    w->records = d->journal_rings[index];
    if (!w->peers || !w->slots || !w->commands || !w->results || !w->reports ||
        !d->journal_rings[index] || !make_inbound_rings(c, w))
        return NULL;
    free_slots_fill(w);
    return w;
}

static bool create_engine(struct fg_daemon *d, unsigned index, struct fg_error *err)
{
    unsigned n = d->config.workers.count;
    struct fg_stock_config config = {.worker = index,
                                     .workers = n,
                                     .limits = d->limits,
                                     .order_ports = d->config.orders.steer ? (uint16_t)n : 0,
                                     .to = d->messages_to + index * n,
                                     .from = d->messages_from + index * n,
                                     .journal = d->journal_rings[index],
                                     .mark = &d->marks[index]};

    if (getrandom(&config.seed, sizeof(config.seed), 0) != sizeof(config.seed))
        return fg_fail(err, "no random numbers from the kernel");
    d->workers[index]->stock = fg_stock_create(&config, err);
    return d->workers[index]->stock != NULL;
}

bool fg_workers_create(struct fg_daemon *d, struct fg_error *err)
{
    unsigned n = d->config.workers.count;
    bool ok;

    d->limits = fg_limits_share(&d->config);
    d->marks = zeroed(n * sizeof(*d->marks));
    d->journal_rings = zeroed(n * sizeof(*d->journal_rings));
    d->messages = zeroed(n * n * sizeof(*d->messages));
    d->messages_to = zeroed(n * n * sizeof(*d->messages));
    d->messages_from = zeroed(n * n * sizeof(*d->messages));
    ok = d->marks && d->journal_rings && d->messages && d->messages_to && d->messages_from;
    for (unsigned i = 0; ok && i < n; i++)
        ok = create_worker(d, i) != NULL;
    if (!ok || !connect_all(d))
        return fg_fail(err, "no memory for %u workers; lower [limits] or [workers]", n);
    for (unsigned i = 0; i < n; i++)
        if (!create_engine(d, i, err))
            return false;
    return true;
}

bool fg_workers_start(struct fg_daemon *d, struct fg_error *err)
{
    for (unsigned q = 0; q < d->queues_count; q++) {
        struct fg_worker *w = d->workers[d->queues[q].worker];

        w->polled[w->polled_count++] = q;
    }
    for (unsigned i = 0; i < d->config.workers.count; i++) {
        d->workers[i]->queues = d->queues;
        if (rte_eal_remote_launch(fg_worker_main, d->workers[i], d->workers[i]->lcore) < 0)
            return fg_fail(err, "worker %u: lcore %u cannot be started", i, d->workers[i]->lcore);
        d->workers_started = true;
    }
    return true;
}

void fg_workers_stop(struct fg_daemon *d)
{
    atomic_store(&d->workers_quit, true);
    if (d->workers_started)
        rte_eal_mp_wait_lcore();
    d->workers_started = false;
}

static void drain(struct rte_ring *ring)
{
    void *m;

    while (ring && rte_ring_sc_dequeue(ring, &m) == 0)
        rte_pktmbuf_free(m);
    free(ring);
}

static void destroy_worker(struct fg_worker *w)
{
    if (!w)
        return;
    for (unsigned i = 0; w->peers && i < w->workers; i++) {
        drain(w->peers[i].requests_to);
        drain(w->peers[i].replies_to);
    }
    if (w->stock)
        fg_stock_destroy(w->stock);
    fg_ring_destroy(w->commands);
    fg_ring_destroy(w->results);
    fg_ring_destroy(w->reports);
    fg_ring_destroy(w->inbound_commands);
    fg_ring_destroy(w->inbound_results);
    free(w->peers);
    free(w->slots);
    free(w);
}

void fg_workers_destroy(struct fg_daemon *d)
{
    unsigned n = d->config.workers.count;

    for (unsigned i = 0; i < n; i++) {
        destroy_worker(d->workers[i]);
        fg_ring_destroy(d->journal_rings ? d->journal_rings[i] : NULL);
    }
    for (unsigned i = 0; d->messages && i < n * n; i++)
        fg_ring_destroy(d->messages[i]);
    free(d->messages);
    free(d->messages_to);
    free(d->messages_from);
    free(d->journal_rings);
    free(d->marks);
}
