/* SPDX-License-Identifier: BSD-3-Clause */
/* One hot item, sold out by several workers that take turns in one thread: what an order costs all
 * of them.
 */
#include "bench.h"

#define ITEM    7
#define UNITS   (1u << 20)
#define HOLD_MS 600000
#define CUT_CYCLES                                                                                 \
    50000 /* a burst or a loop that takes longer was interrupted: it counts as this much */

static struct world worlds[FG_WORKERS_MAX];
static struct fg_stock_request queues[FG_WORKERS_MAX][BURST];

static const struct kind buy = {.op = FG_PACKET_OP_RESERVE, .item = ITEM, .items = 1};

struct sale {
    unsigned workers;
    uint64_t cycles, nth, reserved;
};

static void connect(unsigned workers)
{
    for (unsigned i = 0; i < workers; i++)
        for (unsigned j = 0; j < workers; j++)
            if (i != j) {
                worlds[i].to[j] = worlds[j].from[i] = fg_ring_create(8192);
                FG_ASSERT(worlds[i].to[j]);
            }
}

static void open_sale(unsigned workers)
{
    struct fg_stock_limits limits = {.items_max = 1000, .parked_max = 4096, .deferred_max = 65536};

    limits.orders_max = limits.users_max = UNITS / workers + UNITS / (4 * workers);
    memset(worlds, 0, sizeof(worlds));
    connect(workers);
    for (unsigned i = 0; i < workers; i++)
        world_create(&worlds[i], limits, i, workers);
    for (unsigned i = 0; i < workers; i++)
        world_item(&worlds[i], ITEM, 0, HOLD_MS, UNITS);
}

static uint64_t close_sale(unsigned workers)
{
    uint64_t messages = 0;

    for (unsigned i = 0; i < workers; i++) {
        world_destroy(&worlds[i]);
        for (unsigned j = 0; j < workers; j++)
            if (i != j) {
                messages += atomic_load(&worlds[i].to[j]->tail);
                fg_ring_destroy(worlds[i].to[j]);
            }
    }
    return messages;
}

static void count(struct sale *s, uint64_t cycles)
{
    s->cycles += cycles < CUT_CYCLES ? cycles : CUT_CYCLES;
}

/* The next requests, each given to the worker that owns its user, until one has a burst. */
static unsigned next_burst(struct sale *s, unsigned filled[])
{
    for (;;) {
        struct fg_stock_request r = world_request(&buy, s->nth++);
        unsigned owner = fg_user_owner(r.user, s->workers);

        queues[owner][filled[owner]++] = r;
        if (filled[owner] == BURST) {
            filled[owner] = 0;
            return owner;
        }
    }
}

static void loop(struct sale *s, unsigned i)
{
    struct world *w = &worlds[i];
    unsigned got;

    world_log(w);
    do
        count(s, world_poll(w, NULL, &got));
    while (got == BURST);
    s->reserved = 0;
    for (unsigned k = 0; k < s->workers; k++)
        s->reserved += fg_counter_read(&fg_stock_counters(worlds[k].stock)->reserved);
}

static void sell_out(struct sale *s)
{
    unsigned filled[FG_WORKERS_MAX] = {0}, held;
    struct kind sold_out = buy;

    sold_out.status = FG_PACKET_STATUS_SOLD_OUT;
    open_sale(s->workers);
    while (s->reserved < UNITS) {
        unsigned i = next_burst(s, filled);

        held = 0;
        count(s, world_ask(&worlds[i], &sold_out, queues[i], BURST, &held));
        loop(s, i);
    }
}

void bench_hot(const struct options *o)
{
    static const struct {
        unsigned workers;
        enum figure cost, messages;
    } sales[] = {{1, FIGURE_HOT_1, FIGURE_COUNT},
                 {2, FIGURE_HOT_2, FIGURE_HOT_MESSAGES_2},
                 {4, FIGURE_HOT_4, FIGURE_HOT_MESSAGES_4},
                 {8, FIGURE_HOT_8, FIGURE_HOT_MESSAGES_8}};
    double cost[4];

    for (unsigned r = 0; r < o->runs; r++) {
        for (unsigned i = 0; i < 4; i++) {
            struct sale s = {.workers = sales[i].workers};
            uint64_t messages;

            sell_out(&s);
            messages = close_sale(s.workers);
            cost[i] = (double)s.cycles / UNITS;
            figure_add(sales[i].cost, cost[i]);
            if (sales[i].messages != FIGURE_COUNT)
                figure_add(sales[i].messages, (double)messages / UNITS);
        }
        figure_add(FIGURE_HOT_RATIO, cost[3] / cost[0]);
    }
}
