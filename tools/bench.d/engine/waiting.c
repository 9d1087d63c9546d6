/* SPDX-License-Identifier: BSD-3-Clause */
/* A waiting list of a million users at one worker. */
#include "bench.h"

#define WAITERS 1000000
#define CHUNKS  64
#define ITEM    7
#define HOLD_MS 3600000
#define OFFERS  1000

static const struct kind enter = {FIGURE_LINE_ENTER, FG_PACKET_STATUS_WAITING, FG_PACKET_OP_WAIT,
                                  ITEM, 1};
static const struct kind accept_one = {FIGURE_LINE_ACCEPT, FG_PACKET_STATUS_RESERVED,
                                       FG_PACKET_OP_WAIT, ITEM, 1};
static const struct kind again = {FIGURE_LINE_AGAIN, FG_PACKET_STATUS_WAITING, FG_PACKET_OP_WAIT,
                                  ITEM, 1};
static const struct kind cancel = {.op = FG_PACKET_OP_CANCEL, .status = FG_PACKET_STATUS_CANCELLED};

static double run_chunks(struct world *w, const struct kind *k, uint64_t first)
{
    double values[CHUNKS], all;

    for (unsigned c = 0; c < CHUNKS; c++)
        values[c] = world_chunk(w, k, first + c * CHUNK);
    all = median(values, CHUNKS);
    figure_add(k->figure, all);
    return all;
}

static void set_line(struct world *w)
{
    struct fg_stock_command c = {.item = ITEM, .line_max = WAITERS + CHUNKS * CHUNK};

    c.claim_ms = HOLD_MS;
    c.wait_ttl_ms = HOLD_MS;
    c.type = FG_STOCK_LINE_SET;
    world_command(w, c);
    c.type = FG_STOCK_LINE_APPLY;
    world_command(w, c);
}

/* Cycles of the loops from the moment when a unit may be sold again to the record of the offer. */
static double offer(struct world *w, uint64_t nth)
{
    const _Atomic uint64_t *offered = &fg_stock_counters(w->stock)->line_offered;
    uint64_t seen = fg_counter_read(offered), cycles = 0;
    struct fg_stock_request r = world_request(&cancel, nth);
    struct fg_stock_answer a;
    unsigned got;

    FG_ASSERT(fg_stock_request(w->stock, w->now_ms, &r, 1, &a) == FG_STOCK_DEFERRED);
    world_log(w);
    while (fg_counter_read(offered) == seen)
        cycles += world_poll(w, NULL, &got);
    world_log(w);
    world_poll(w, NULL, &got);
    return (double)cycles;
}

static void waiting_run(void)
{
    const uint32_t each = CHUNKS * CHUNK;
    struct fg_stock_limits limits = {.items_max = 8,
                                     .orders_max = WAITERS + 3 * each,
                                     .users_max = WAITERS + 3 * each,
                                     .parked_max = 4096,
                                     .deferred_max = 65536,
                                     .waiting_max = WAITERS + each};
    static struct world w;
    double accepted, offers[OFFERS];
    uint64_t nth = each;

    memset(&w, 0, sizeof(w));
    world_create(&w, limits, 0, 1);
    world_item(&w, ITEM, 0, HOLD_MS, each);
    set_line(&w);
    accepted = run_chunks(&w, &accept_one, 0);
    for (; nth < each + WAITERS - CHUNK; nth += CHUNK)
        world_chunk(&w, &enter, nth);
    figure_add(FIGURE_LINE_RATIO, run_chunks(&w, &enter, nth) / accepted);
    run_chunks(&w, &again, each);
    for (unsigned i = 0; i < OFFERS; i++)
        offers[i] = offer(&w, i);
    median(offers, OFFERS);
    figure_add(FIGURE_LINE_OFFER, offers[OFFERS - 1 - OFFERS / 100]);
    world_destroy(&w);
}

void bench_waiting(const struct options *o)
{
    for (unsigned r = 0; r < o->runs; r++)
        waiting_run();
}
