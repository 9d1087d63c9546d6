/* SPDX-License-Identifier: BSD-3-Clause */
/* One worker: each operation, in a small engine and in a large one. */
#include "bench.h"

#define CHUNKS      64           /* of each operation in a run */
#define ITEM        7            /* the first of those that are sold */
#define GONE        1000         /* sold out */
#define NOBODY      (1ull << 40) /* orders from here on are not accepted */
#define SMALL_LIVE  (10 * CHUNK)
#define SMALL_LIMIT 1000000 /* the configuration's default */

/* The large engine sells items of different holds, so that deadlines do not come in the order of
 * arrival. */
#define ITEMS     64
#define HOLD_MS   120000
#define HOLD_STEP 157 /* ms from one item to the next */
#define PER_MS    100 /* orders that arrive in a millisecond while the engine is filled */

static struct fg_stock_request requests[CHUNK];

static double chunk(struct world *w, const struct kind *k)
{
    unsigned held = 0, got;
    uint64_t cycles = world_ask(w, k, requests, CHUNK, &held);

    world_log(w);
    for (; held; held -= got) {
        cycles += world_poll(w, k, &got);
        FG_ASSERT(got > 0);
    }
    return (double)cycles / CHUNK;
}

/* A chunk of orders that follow each other. */
static double chunk_from(struct world *w, const struct kind *k, uint64_t first)
{
    for (unsigned i = 0; i < CHUNK; i++)
        requests[i] = world_request(k, first + i);
    return chunk(w, k);
}

/* A chunk of orders that are scattered over `span`: those of ranks first, first + 1 ... of a
 * permutation. */
static double chunk_scattered(struct world *w, const struct kind *k, uint64_t first, uint64_t span)
{
    for (unsigned i = 0; i < CHUNK; i++)
        requests[i] = world_request(k, (first + i) * 7368787 % span); /* a prime: each order once */
    return chunk(w, k);
}

static void run_from(struct world *w, const struct kind *k, uint64_t first)
{
    double values[CHUNKS];

    for (unsigned c = 0; c < CHUNKS; c++)
        values[c] = chunk_from(w, k, first + c * CHUNK);
    figure_add(k->figure, median(values, CHUNKS));
}

/* In the midst of a flood: it has been everywhere in the table already. */
static void run_reject(struct world *w, const struct kind *k)
{
    for (unsigned c = 1; c <= 2 * CHUNKS; c++)
        chunk_from(w, k, NOBODY + c * CHUNK);
    run_from(w, k, NOBODY + (2 * CHUNKS + 1) * CHUNK);
}

static void run_scattered(struct world *w, const struct kind *k, uint64_t first, uint64_t span)
{
    double values[CHUNKS];

    for (unsigned c = 0; c < CHUNKS; c++)
        values[c] = chunk_scattered(w, k, first + c * CHUNK, span);
    figure_add(k->figure, median(values, CHUNKS));
}

/* An engine whose item GONE is known to be sold out. */
static void create(struct world *w, uint32_t orders, const struct kind *reject)
{
    struct fg_stock_limits limits = {.items_max = 1000,
                                     .orders_max = orders,
                                     .users_max = orders,
                                     .parked_max = 4096,
                                     .deferred_max = 65536};

    memset(w, 0, sizeof(*w));
    world_create(w, limits, 0, 1);
    world_item(w, GONE, 999, HOLD_MS, 0);
    chunk_from(w, reject, NOBODY);
}

/* ---- ten thousand orders: one hot item */

static void small_run(const struct kind *accept, const struct kind *reject)
{
    const struct kind cancel = {.op = FG_PACKET_OP_CANCEL,
                                .status = FG_PACKET_STATUS_CANCELLED}; /* not measured */
    static struct world w;
    double values[CHUNKS];
    uint64_t nth = 0;

    create(&w, SMALL_LIMIT, reject);
    world_item(&w, ITEM, 0, HOLD_MS, SMALL_LIMIT);
    for (; nth < SMALL_LIVE; nth += CHUNK)
        chunk_from(&w, accept, nth);
    for (unsigned c = 0; c < CHUNKS; c++, nth += CHUNK) {
        values[c] = chunk_from(&w, accept, nth);
        chunk_from(&w, &cancel, nth); /* as many stay live */
    }
    figure_add(accept->figure, median(values, CHUNKS));
    run_reject(&w, reject);
    world_destroy(&w);
}

void bench_small(const struct options *o)
{
    const struct kind reject = {FIGURE_REJECT, FG_PACKET_STATUS_SOLD_OUT, FG_PACKET_OP_RESERVE,
                                GONE, 1};
    const struct kind accept = {FIGURE_ACCEPT, FG_PACKET_STATUS_RESERVED, FG_PACKET_OP_RESERVE,
                                ITEM, 1};

    for (unsigned r = 0; r < o->runs; r++)
        small_run(&accept, &reject);
}

/* ---- ten million */

static const struct kind reject_large = {FIGURE_LARGE_REJECT, FG_PACKET_STATUS_SOLD_OUT,
                                         FG_PACKET_OP_RESERVE, GONE, 1};
static const struct kind accept_large = {FIGURE_LARGE_ACCEPT, FG_PACKET_STATUS_RESERVED,
                                         FG_PACKET_OP_RESERVE, ITEM, ITEMS};
static const struct kind again_large = {FIGURE_LARGE_AGAIN, FG_PACKET_STATUS_RESERVED,
                                        FG_PACKET_OP_RESERVE, ITEM, ITEMS};
static const struct kind confirm_large = {FIGURE_LARGE_CONFIRM, FG_PACKET_STATUS_SOLD,
                                          FG_PACKET_OP_CONFIRM, 0, 0};
static const struct kind cancel_large = {FIGURE_LARGE_CANCEL, FG_PACKET_STATUS_CANCELLED,
                                         FG_PACKET_OP_CANCEL, 0, 0};

struct loops {
    double cycles[1 << 16];
    unsigned count, most;
};

/* Loops, a millisecond for each that finds nothing, until so many have expired; cycles of each. */
static double expire(struct world *w, uint64_t orders, struct loops *loops)
{
    const _Atomic uint64_t *expired = &fg_stock_counters(w->stock)->expired;
    uint64_t start = fg_counter_read(expired), cycles = 0, all;
    unsigned got;

    do {
        uint64_t seen = fg_counter_read(expired), loop = world_poll(w, NULL, &got);
        unsigned n = (unsigned)(fg_counter_read(expired) - seen);

        world_log(w);
        cycles += loop;
        loops->most = n > loops->most ? n : loops->most;
        if (loops->count < 1 << 16)
            loops->cycles[loops->count++] = (double)loop;
        w->now_ms += n == 0;
        all = fg_counter_read(expired) - start;
    } while (all < orders);
    return (double)cycles / (double)all;
}

static void run_expire(struct world *w)
{
    static struct loops loops;
    double values[CHUNKS];

    w->now_ms = T0_MS + HOLD_MS;
    expire(w, 1, &loops);
    while (w->now_ms < T0_MS + HOLD_MS + ITEMS * HOLD_STEP) /* until each item's holds end */
        expire(w, 1, &loops);
    loops.count = 0;
    for (unsigned c = 0; c < CHUNKS; c++)
        values[c] = expire(w, 4 * CHUNK, &loops);
    figure_add(FIGURE_LARGE_EXPIRE, median(values, CHUNKS));
    median(loops.cycles, loops.count);
    figure_add(FIGURE_LARGE_LOOP, loops.cycles[loops.count - 1 - loops.count / 100]);
    figure_add(FIGURE_LARGE_MOST, loops.most);
}

static void large_run(uint32_t orders)
{
    const uint32_t each = CHUNKS * CHUNK;
    static struct world w;
    uint64_t nth = 0;

    create(&w, orders, &reject_large);
    for (uint32_t i = 0; i < ITEMS; i++)
        world_item(&w, ITEM + i, i, HOLD_MS + i * HOLD_STEP, orders);
    for (; nth + CHUNK + each <= orders; nth += CHUNK) {
        w.now_ms = T0_MS + nth / PER_MS;
        chunk_from(&w, &accept_large, nth);
    }
    run_from(&w, &accept_large, nth);
    nth += each;
    figure_add(FIGURE_LARGE_BYTES,
               (double)fg_stock_memory(&w.config.limits, 1) / (double)fg_stock_orders(w.stock));
    run_scattered(&w, &again_large, 0, nth);
    run_scattered(&w, &confirm_large, each, nth);
    run_scattered(&w, &cancel_large, 2 * each, nth);
    run_reject(&w, &reject_large);
    run_expire(&w);
    world_destroy(&w);
}

void bench_large(const struct options *o)
{
    for (unsigned r = 0; r < o->runs; r++)
        large_run(o->orders);
}
