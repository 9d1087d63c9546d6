/* SPDX-License-Identifier: BSD-3-Clause */
/* Engines with everything that they are handed in the appliance, in one thread. */
#include "bench.h"

#define RING_CAPACITY 65536

void world_create(struct world *w, struct fg_stock_limits limits, unsigned worker, unsigned workers)
{
    struct fg_error err;

    w->now_ms = T0_MS;
    w->config = (struct fg_stock_config){.worker = worker,
                                         .workers = workers,
                                         .limits = limits,
                                         .to = w->to,
                                         .from = w->from,
                                         .journal = fg_ring_create(RING_CAPACITY),
                                         .mark = &w->mark,
                                         .seed = 0x5eed,
                                         .secret = {w->secret}};
    FG_ASSERT(w->config.journal);
    w->stock = fg_stock_create(&w->config, &err);
    if (!w->stock) {
        fprintf(stderr, "bench_engine: %s\n", err.text);
        exit(1);
    }
}

void world_destroy(struct world *w)
{
    fg_stock_destroy(w->stock);
    fg_ring_destroy(w->config.journal);
}

void world_log(struct world *w)
{
    uint64_t n = fg_ring_count(w->config.journal);

    if (w->committer) {
        while (fg_journal_committer_step(w->committer, w->now_ms))
            ;
        FG_ASSERT(atomic_load(&w->committer->state) == FG_JOURNAL_OK);
        return;
    }
    fg_ring_release(w->config.journal, n);
    atomic_store(&w->mark.durable, atomic_load(&w->mark.durable) + n);
}

void world_command(struct world *w, struct fg_stock_command c)
{
    unsigned got;

    FG_ASSERT(fg_stock_command(w->stock, w->now_ms, &c));
    world_log(w);
    do
        world_poll(w, NULL, &got);
    while (got);
}

void world_item(struct world *w, uint64_t item, uint32_t index, uint32_t hold_ms, uint32_t units)
{
    struct fg_stock_command c = {.item = item, .index = index};
    bool home = fg_user_owner(item, w->config.workers) == w->config.worker;

    c.hold_ms = hold_ms;
    c.order_max = 4;
    c.user_limit = 4;
    c.type = FG_STOCK_ITEM_SET;
    if (home)
        world_command(w, c);
    c.type = FG_STOCK_ITEM_APPLY;
    world_command(w, c);
    c.type = FG_STOCK_STOCK_ADD;
    c.units = units;
    if (home && units)
        world_command(w, c);
}

struct fg_stock_request world_request(const struct kind *k, uint64_t nth)
{
    struct fg_stock_request r = {.op = k->op, .user = fg_mix64(nth, 1)};
    uint64_t id[2] = {nth, fg_mix64(nth, 2)};

    memcpy(r.order_id, id, sizeof(id));
    if (k->op == FG_PACKET_OP_RESERVE || k->op == FG_PACKET_OP_WAIT) {
        r.item = k->item + fg_mix64(nth, 3) % k->items;
        r.quantity = 1;
    }
    return r;
}

uint64_t world_ask(struct world *w, const struct kind *k, struct fg_stock_request *r, unsigned n,
                   unsigned *held)
{
    struct fg_stock_answer a;
    unsigned wrong = 0;
    uint64_t start = tsc(), cycles;

    for (struct fg_stock_request *end = r + n; r < end; r += BURST) {
        fg_stock_prefetch(w->stock, r, BURST);
        for (unsigned i = 0; i < BURST; i++) {
            if (fg_stock_request(w->stock, w->now_ms, &r[i], i, &a) == FG_STOCK_ANSWERED)
                wrong |= a.status ^ k->status;
            else
                ++*held;
        }
    }
    cycles = tsc() - start;
    FG_ASSERT(wrong == 0);
    return cycles;
}

uint64_t world_poll(struct world *w, const struct kind *k, unsigned *got)
{
    struct fg_stock_answer answers[BURST];
    uint64_t start = tsc(), cycles;

    *got = fg_stock_poll(w->stock, w->now_ms, answers, BURST);
    cycles = tsc() - start;
    for (unsigned i = 0; k && i < *got; i++)
        FG_ASSERT(answers[i].status == k->status);
    return cycles;
}

double world_chunk(struct world *w, const struct kind *k, uint64_t first)
{
    static struct fg_stock_request requests[CHUNK];
    unsigned held = 0, got;
    uint64_t cycles;

    for (unsigned i = 0; i < CHUNK; i++)
        requests[i] = world_request(k, first + i);
    cycles = world_ask(w, k, requests, CHUNK, &held);
    for (; held; held -= got) {
        cycles += world_poll(w, k, &got);
        world_log(w);
    }
    return (double)cycles / CHUNK;
}
