/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole appliance without threads: engines, rings with a stretch of road between their two ends,
 * the log as it stands on disk (BATCH records, sequences, CRCs) and can lose its tail, the control
 * plane's memory of settings, a clock. Nothing in it is random: what happens next is told from
 * outside.
 */
#ifndef FG_SIM_WORLD_H
#define FG_SIM_WORLD_H

#include "stock/fleet.h"

#ifdef FG_SIM_SMALL /* exhaustive.c keeps many copies of it all */
enum { WORKERS_MAX = 2, ITEMS_MAX = 1, TOKENS_MAX = 32, LOG_MAX = 128, ROOMY = 24 };
#elif defined(FG_SIM_FUZZ) /* fuzz_stock.c makes a new one for each input */
enum { WORKERS_MAX = 3, ITEMS_MAX = 2, TOKENS_MAX = 256, LOG_MAX = 4096, ROOMY = 1024 };
#else
enum { WORKERS_MAX = 8, ITEMS_MAX = 4, TOKENS_MAX = 1024, LOG_MAX = 1 << 14, ROOMY = 2048 };
#endif
#define ITEM_ID 500 /* of the first item */

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

struct world_setup {
    uint64_t seed; /* of the engines' hash tables */
    unsigned workers;
    bool pair; /* answers wait for another watermark, and a standby may take over */
    uint32_t ring_capacity;
    struct fg_stock_limits limits;
};

/* Something that was given to an engine and is not answered yet. */
struct token {
    bool used;
    bool waits;        /* taken in, and neither accepted nor refused: it waits for units */
    uint8_t command;   /* 0 = a request, else 1 + enum fg_stock_command_type */
    uint8_t told;      /* what had been told of the order when this was asked */
    uint8_t expect;    /* state that has to be told; 0 = open. ORDER_REFUND: when it was given */
    bool refusable;    /* a late payment that may be refused for the user or for want of units */
    uint64_t item;     /* that it waits for */
    uint32_t min_free; /* fewest units that were free at any time since it was asked */
    uint64_t record; /* of a command: the number of its worker's record that it caused; 0 = none */
    unsigned worker;
    struct fg_stock_request request;
    struct fg_stock_command given; /* of a command */
    uint64_t
        decided[WORKERS_MAX]; /* RECALL: records that each worker had pushed when it was given */
};

/* What the control plane knows of an item. */
struct shelf {
    bool known; /* an ITEM_SET was answered, or recovered */
    bool asked; /* an ITEM_SET is under way */
    struct fg_stock_command settings;
    uint32_t version, applied[WORKERS_MAX];
    struct fg_stock_command line; /* settings of the waiting list */
    bool line_asked;
    uint32_t line_version, line_applied[WORKERS_MAX];
};

enum disk_state { DISK_OK, DISK_FULL, DISK_FAILED };

struct world {
    struct world_setup setup;
    unsigned workers;
    uint64_t now_ms;
    uint32_t lives;
    struct fg_stock *stock[WORKERS_MAX];
    enum fg_stock_mode mode[WORKERS_MAX]; /* as each engine was told last */
    bool stopping;
    enum disk_state disk;
    bool troubled; /* the disk was full or failed in this life */

    struct fg_ring *out[WORKERS_MAX][WORKERS_MAX], *in[WORKERS_MAX][WORKERS_MAX]; /* [from][to] */
    uint64_t delivered[WORKERS_MAX][WORKERS_MAX];
    struct fg_ring *from[WORKERS_MAX][WORKERS_MAX]; /* [to][from]: in, as an engine wants it */
    struct fg_ring *journal[WORKERS_MAX];
    struct fg_journal_watermark mark[WORKERS_MAX], committed[WORKERS_MAX];
    uint64_t taken[WORKERS_MAX]; /* records of this life that are in the log, durable or not */

    struct fg_journal_record *log;                    /* [LOG_MAX] */
    uint32_t log_len, durable_len, committed_len;     /* committed: durable, without a pair */
    bool taken_over;                                  /* this life began on the other box */
    uint32_t grace_ms;                                /* of holds, in this life */
    uint32_t cut_records, files_read, fed, took_over; /* statistics */

    struct shelf shelves[ITEMS_MAX];
    struct fg_stock_fleet_news news[ITEMS_MAX]; /* of a fleet, as its thread took them last */
    struct token tokens[TOKENS_MAX];
    uint32_t tokens_out, token_next;
};

void world_start(struct world *w, const struct world_setup *setup);
void world_stop(struct world *w);

/* The process dies and another one starts, with this many workers. tail: which part of what was not
 * durable the disk has (0 = all of it). folder: NULL, or where the real journal shall recover it.
 */
void world_restart(struct world *w, unsigned workers, uint64_t tail, const char *folder);

/* Moves up to n messages on their way to a worker from each of the others. */
void world_deliver(struct world *w, unsigned to, unsigned n);
/* Moves up to n records from a worker's ring to the log (written, not durable). */
void world_write(struct world *w, unsigned worker, unsigned n);
void world_sync(struct world *w);

enum fg_stock_mode world_mode(const struct world *w);
/* Free units of an item on the way between workers; returns: also those on their way back from
 * orders. */
uint64_t world_in_flight(struct world *w, uint32_t index, bool returns);
/* Messages sent to a worker since the start, delivered or not. */
uint64_t world_sent(struct world *w, unsigned from, unsigned to);
bool world_quiet(struct world *w); /* nothing waits anywhere */
uint32_t world_token(struct world *w);
void world_token_free(struct world *w, uint32_t token);

/* ---- disk.c */
/* What is left of the log behind durable_len after a crash; returns its new length. */
uint32_t disk_crash(struct world *w, uint64_t tail, const char *folder,
                    struct fg_ledger **recovered);
void disk_folder_empty(const char *dir);
void disk_folder_remove(const char *dir);

/* ---- feed.c */
/* Feeds the log to engines that have nothing yet. */
void feed_all(struct world *w, uint64_t seed);
void feed_compare(const struct fg_stock *fed, const struct fg_stock *loaded,
                  const struct fg_ledger *ledger);

#endif
