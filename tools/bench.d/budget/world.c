/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers as the daemon makes them, without a daemon around them. Their log is always durable. */
#include "bench.h"

#include <rte_eal.h>
#include <rte_ethdev.h>

#define MEMORY_MB       "256"
#define CONFIRMED_LOOPS 100000 /* in which a command must be answered */
#define SHARDS          256

static struct fg_worker_group_options options_of(struct world *w)
{
    const struct fg_stock_limits all = {.items_max = 1000,
                                        .orders_max = 1000000,
                                        .users_max = 1000000,
                                        .parked_max = 4096,
                                        .deferred_max = 65536,
                                        .fleet = w->members > 0};

    const struct fg_stock_limits limits = fg_worker_limits(&all, w->workers);

    if (w->leads) {
        w->committed = aligned_alloc(_Alignof(struct fg_journal_watermark),
                                     w->workers * sizeof(*w->committed));
        FG_ASSERT(w->committed);
        memset(w->committed, 0, w->workers * sizeof(*w->committed));
        atomic_store(&w->leading.valid_until_tsc, UINT64_MAX);
        atomic_store(&w->leading.accepting, true);
    }
    if (w->members)
        fg_fleet_map_first(&w->shards.map, w->members, SHARDS);
    return (struct fg_worker_group_options){
        .workers = {.count = w->workers, .idle = FG_WORKER_IDLE_SPIN, .burst = 64, .handoff = 1024},
        .queues = 1,
        .record_slots = 65536,
        .order_port = FG_PACKET_PORT_DEFAULT,
        .trace = w->trace,
        .limits = limits,
        .shards = w->members ? &w->shards : NULL,
        .leading = w->leads ? &w->leading : NULL,
        .committed = w->committed,
        .clock = &w->clock,
        .keys = &w->keys,
        .mode = &w->mode,
        .commit_began = &w->commit_began,
        .doorbell = &w->doorbell};
}

static struct fg_packet_keyring *one_key(void)
{
    struct fg_packet_keyring *ring = calloc(1, sizeof(*ring));

    FG_ASSERT(ring != NULL);
    ring->count = 1;
    ring->keys[0] = (struct fg_packet_key){
        .id = 1, .roles = FG_PACKET_ROLE_SHOP, .secret = {0x0706050403020100, 1}};
    ring->slot[1] = 1;
    return ring;
}

void world_create(struct world *w, unsigned workers, const char *keys)
{
    struct fg_worker_group_options options;
    struct fg_error err = {""};

    w->workers = workers;
    options = options_of(w);
    fg_clock_start(&w->clock, rte_get_tsc_hz());
    atomic_store(&w->keys, keys ? fg_packet_keyring_load(keys, &err) : one_key());
    if (!atomic_load(&w->keys) || !fg_worker_group_create(&w->group, &options, &err)) {
        fprintf(stderr, "bench_budget: %s\n", err.text);
        exit(1);
    }
}

void world_port(struct world *w, uint16_t port, struct rte_mempool *pool)
{
    struct fg_worker_queue *q = calloc(1, sizeof(*q));

    FG_ASSERT(q != NULL);
    q->port = (struct fg_port_queue){.ethdev = port, .pool = pool};
    for (unsigned i = 0; i < w->workers; i++)
        w->group.list[i]->queues = q;
    w->group.list[0]->polled_count = 1;
}

static void sync_log(struct world *w)
{
    for (unsigned i = 0; i < w->workers; i++) {
        uint64_t n = fg_ring_count(w->group.records[i]);

        if (n == 0)
            continue;
        fg_ring_release(w->group.records[i], n);
        atomic_fetch_add(&w->group.watermarks[i].durable, n);
        if (w->leads)
            atomic_fetch_add(&w->committed[i].durable, n);
    }
}

void world_loop(struct world *w)
{
    for (unsigned i = 0; i < w->workers; i++)
        marks_loop(w->group.list[i]);
    sync_log(w);
}

uint64_t world_received(const struct world *w)
{
    return fg_counter_read(&w->group.list[0]->counters.rx);
}

static void command(struct world *w, unsigned worker, struct fg_stock_command c)
{
    struct fg_worker *to = w->group.list[worker];
    bool of_fleet = (c.ticket & FG_WORKER_FLEET_TICKET) != 0;
    struct fg_ring *results = of_fleet ? to->fleet_results : to->results;
    uint8_t message[FG_RING_SLOT] = {0};

    memcpy(message, &c, sizeof(c));
    FG_ASSERT(fg_ring_push(of_fleet ? to->fleet_commands : to->commands, message));
    for (unsigned i = 0; i < CONFIRMED_LOOPS && !fg_ring_peek(results, 0); i++)
        world_loop(w);
    FG_ASSERT(fg_ring_peek(results, 0));
    fg_ring_release(results, 1);
    marks_drop();
}

static void command_home(struct world *w, struct fg_stock_command c)
{
    c.item = ITEM;
    command(w, fg_user_owner(ITEM, w->workers), c);
}

void world_sell_nothing(struct world *w)
{
    struct fg_stock_command c = {.item = ITEM, .order_max = 4, .user_limit = 4};

    c.hold_ms = 3600000;
    c.type = FG_STOCK_ITEM_SET;
    command_home(w, c);
    c.type = FG_STOCK_ITEM_APPLY;
    for (unsigned i = 0; i < w->workers; i++)
        command(w, i, c);
    if (w->members)
        command_home(w, (struct fg_stock_command){.type = FG_STOCK_SOLD_OUT,
                                                  .ticket = FG_WORKER_FLEET_TICKET});
}

void world_sell(struct world *w, uint32_t units)
{
    struct fg_stock_command c = {.type = FG_STOCK_STOCK_ADD, .item = ITEM, .units = units};

    if (w->members) {
        command_home(
            w, (struct fg_stock_command){.type = FG_STOCK_OPEN, .ticket = FG_WORKER_FLEET_TICKET});
        c = (struct fg_stock_command){.type = FG_STOCK_LEASE, .ticket = FG_WORKER_FLEET_TICKET};
        c.fleet_units = units;
        c.fleet_sum = units;
    }
    command_home(w, c);
}

struct rte_mempool *pool_create(const char *name)
{
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create(name, 16384, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);

    FG_ASSERT(pool != NULL);
    return pool;
}

bool world_eal(const char *program, const char *lcores, const char *prefix, bool huge)
{
    const char *argv[] = {program,
                          "--lcores",
                          lcores,
                          "--no-pci",
                          "--iova-mode=va",
                          "--no-telemetry",
                          "--file-prefix",
                          prefix,
                          "--log-level=error",
                          "-m",
                          MEMORY_MB,
                          huge ? "--in-memory" : "--no-huge",
                          huge ? NULL : "--no-shconf"};

    if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - huge, (char **)argv) >= 0)
        return true;
    fprintf(stderr, "%s: DPDK does not start (CPUs of --lcores %s there? hugepages free?)\n",
            program, lcores);
    return false;
}
