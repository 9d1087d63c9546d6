/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

/* SplitMix64 (Steele, Lea, Flood 2014; public domain) */
uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static void make_engine(struct world *w, unsigned i, const struct fg_ledger *ledger)
{
    struct fg_error err;
    struct fg_stock_config c = {.worker = i,
                                .workers = w->workers,
                                .limits = w->limits,
                                .to = w->to[i],
                                .from = w->from[i],
                                .journal = w->journal[i],
                                .mark = &w->mark[i],
                                .seed = rng_next(&w->rng)};

    w->stock[i] = fg_stock_create(&c, &err);
    FG_ASSERT(w->stock[i]);
    FG_ASSERT(fg_stock_load(w->stock[i], ledger, &err));
}

static void start_life(struct world *w)
{
    struct fg_ledger *ledger = fg_ledger_create();
    struct fg_error err;

    for (uint32_t i = 0; i < w->log_len; i++)
        if (!fg_ledger_apply(ledger, &w->log[i], &err)) {
            fprintf(stderr, "record %u: %s\n", i, err.text);
            FG_ASSERT(!"the log is a legal story");
        }
    w->items = fg_ledger_items(ledger);
    w->durable_len = w->log_len;
    w->commands_out = 0;
    memset(w->tokens, 0, sizeof(w->tokens));
    for (unsigned i = 0; i < w->workers; i++) {
        w->journal[i] = fg_ring_create(w->ring_places);
        w->taken[i] = 0;
        atomic_store(&w->mark[i].durable, 0);
        for (unsigned j = 0; j < w->workers; j++)
            if (i != j)
                w->to[i][j] = w->from[j][i] = w->rings[i][j] = fg_ring_create(w->ring_places);
    }
    for (unsigned i = 0; i < w->workers; i++)
        make_engine(w, i, ledger);
    fg_ledger_destroy(ledger);
}

static void end_life(struct world *w)
{
    for (unsigned i = 0; i < w->workers; i++) {
        fg_stock_destroy(w->stock[i]);
        fg_ring_destroy(w->journal[i]);
        for (unsigned j = 0; j < w->workers; j++)
            if (i != j)
                fg_ring_destroy(w->rings[i][j]);
    }
}

void world_start(struct world *w, uint64_t seed, unsigned workers)
{
    memset(w, 0, sizeof(*w));
    w->rng.state = seed;
    w->workers = workers;
    w->now_ms = 1700000000000ull;
    w->limits = (struct fg_stock_limits){.items_max = ITEMS_MAX,
                                         .orders_max = rng_chance(&w->rng, 20) ? 40 : ORDERS_MAX,
                                         .users_max = rng_chance(&w->rng, 20) ? 10 : 1000,
                                         .parked_max = 1 + rng_below(&w->rng, 8),
                                         .held_max = 2 + rng_below(&w->rng, 30)};
    w->ring_places = 2u << rng_below(&w->rng, 5);
    w->log = calloc(LOG_MAX, sizeof(*w->log));
    FG_ASSERT(w->log);
    start_life(w);
}

void world_stop(struct world *w)
{
    end_life(w);
    free(w->log);
}

void world_crash(struct world *w)
{
    w->log_len = w->durable_len + rng_below(&w->rng, w->log_len - w->durable_len + 1);
    w->limits.orders_max = ORDERS_MAX; /* what was recovered must fit */
    w->limits.users_max = ORDERS_MAX;
    end_life(w);
    start_life(w);
}

void world_write(struct world *w, unsigned worker, unsigned n)
{
    while (n-- > 0 && w->log_len < LOG_MAX && fg_ring_pop(w->journal[worker], &w->log[w->log_len])) {
        w->log[w->log_len].seq = w->log_len + 1;
        w->log_len++;
        w->taken[worker]++;
    }
}

void world_sync(struct world *w)
{
    w->durable_len = w->log_len;
    for (unsigned i = 0; i < w->workers; i++)
        atomic_store(&w->mark[i].durable, w->taken[i]);
}

uint64_t world_in_flight(struct world *w, uint32_t index)
{
    uint64_t units = 0;

    for (unsigned i = 0; i < w->workers; i++)
        for (unsigned j = 0; j < w->workers; j++) {
            const struct fg_stock_message *m;

            for (uint64_t k = 0; i != j && (m = fg_ring_peek(w->rings[i][j], k)) != NULL; k++)
                if (m->index == index && m->type != FG_MSG_NEED)
                    units += m->units;
        }
    return units;
}

uint32_t world_token(struct world *w)
{
    for (uint32_t i = 0; i < TOKENS_MAX; i++)
        if (!w->tokens[i].used)
            return i;
    FG_ASSERT(!"tokens");
    return 0;
}
