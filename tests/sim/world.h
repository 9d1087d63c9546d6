/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole appliance without threads: engines, rings, a log in memory that can lose its tail, a clock. */
#ifndef FG_SIM_WORLD_H
#define FG_SIM_WORLD_H

#include "stock/stock.h"

enum { WORKERS_MAX = 8, ITEMS_MAX = 4, ORDERS_MAX = 4096, TOKENS_MAX = 8192, LOG_MAX = 1 << 16 };

struct rng {
    uint64_t state;
};
uint64_t rng_next(struct rng *r);
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)(rng_next(r) % n);
}
static inline bool rng_chance(struct rng *r, uint32_t percent)
{
    return rng_below(r, 100) < percent;
}

/* A request that was given to an engine and not answered yet. */
struct token {
    bool used;
    unsigned worker;
    struct fg_stock_request request;
};

struct world {
    struct rng rng;
    unsigned workers;
    uint64_t now_ms;
    struct fg_stock_limits limits;
    struct fg_stock *stock[WORKERS_MAX];
    struct fg_ring *rings[WORKERS_MAX][WORKERS_MAX]; /* [from][to] */
    struct fg_ring *journal[WORKERS_MAX];
    struct fg_ring *to[WORKERS_MAX][WORKERS_MAX], *from[WORKERS_MAX][WORKERS_MAX];
    struct fg_watermark mark[WORKERS_MAX];
    uint64_t taken[WORKERS_MAX]; /* records of this life that are in the log, durable or not */
    struct fg_record *log;
    uint32_t log_len, durable_len;
    struct token tokens[TOKENS_MAX];
    unsigned ring_places;
    uint32_t items; /* known to the control plane */
    uint32_t commands_out;
};

void world_start(struct world *w, uint64_t seed, unsigned workers);
void world_stop(struct world *w);
/* The process dies: the log keeps what is durable and a random part of what is not; everything else is made
 * anew. */
void world_crash(struct world *w);
/* Moves up to n records from a worker's ring to the log (written, not durable). */
void world_write(struct world *w, unsigned worker, unsigned n);
void world_sync(struct world *w);
/* Units of an item on the way between workers. */
uint64_t world_in_flight(struct world *w, uint32_t index);
uint32_t world_token(struct world *w);

#endif
