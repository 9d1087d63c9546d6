/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Benchmark of the stock engine alone: no port, no disk, no other thread (but in absent and draw).
 * The journal's rings are drained, and the watermarks advanced, outside of the timed parts.
 */
#ifndef FG_BENCH_ENGINE_H
#define FG_BENCH_ENGINE_H

#include <sched.h>
#include <x86intrin.h>

#include "journal/journal.h"
#include "stock/stock.h"
#include "worker/counters.h"

#define BURST    64   /* requests that are prefetched together, and answers taken from one poll */
#define CHUNK    1024 /* requests between two looks at the clock */
#define T0_MS    1700000000000ull
#define RUNS_MAX 101

/* name, case (%s: the orders of the large engine), unit, target (at most; 0 = none) */
#define FIGURE_LIST(X)                                                                             \
    X(CORE, "yardstick: one of many additions that wait for each other", "ns", 0)                  \
    X(MEMORY, "yardstick: one of a burst of random lines of memory", "ns", 0)                      \
    X(REJECT, "rejection, sold out, 10 k orders", "ns", 10)                                        \
    X(ACCEPT, "acceptance, 10 k orders", "ns", 60)                                                 \
    X(LARGE_REJECT, "rejection, sold out, %s orders", "ns", 0)                                     \
    X(LARGE_ACCEPT, "acceptance, %s orders", "ns", 110)                                            \
    X(LARGE_AGAIN, "duplicate, %s orders", "ns", 110)                                              \
    X(LARGE_CONFIRM, "confirm, %s orders", "ns", 110)                                              \
    X(LARGE_CANCEL, "cancel, %s orders", "ns", 110)                                                \
    X(LARGE_EXPIRE, "expiry, %s orders", "ns", 60)                                                 \
    X(LARGE_LOOP, "loop in which orders expire, p99", "ns", 0)                                     \
    X(LARGE_MOST, "orders that expired in one loop, most", "orders", 64)                           \
    X(LARGE_BYTES, "memory of a live order, %s orders", "bytes", 96)                               \
    X(HOT_1, "hot item, 1 worker: order", "ns", 0)                                                 \
    X(HOT_2, "hot item, 2 workers: order", "ns", 0)                                                \
    X(HOT_4, "hot item, 4 workers: order", "ns", 0)                                                \
    X(HOT_8, "hot item, 8 workers: order", "ns", 0)                                                \
    X(HOT_RATIO, "hot item: order of 8 workers : 1 worker", "ratio", 1.2)                          \
    X(HOT_MESSAGES_2, "hot item, 2 workers: messages of an order", "messages", 0)                  \
    X(HOT_MESSAGES_4, "hot item, 4 workers: messages of an order", "messages", 0)                  \
    X(HOT_MESSAGES_8, "hot item, 8 workers: messages of an order", "messages", 0)                  \
    X(LINE_ACCEPT, "WAIT that gets a unit at once", "ns", 0)                                       \
    X(LINE_ENTER, "entering a waiting list of 1 M", "ns", 0)                                       \
    X(LINE_RATIO, "entering : WAIT that gets a unit at once", "ratio", 1.5)                        \
    X(LINE_AGAIN, "repeated WAIT, 1 M wait", "ns", 0)                                              \
    X(LINE_OFFER, "loops from a free unit to its offer, 1 M wait, p99", "ns", 0)                   \
    X(ABSENT_OFFER, "cancellation to offer, 99 of 100 absent, p99", "ms", 5)                       \
    X(ABSENT_EACH, "absent user skipped", "ns", 0)                                                 \
    X(ABSENT_BUSY, "cancellation to offer, 99 of 100 absent, loops of 6.4 us, p99", "ms", 5)       \
    X(ABSENT_BUSY_EACH, "absent user skipped, loops of 6.4 us", "ns", 0)                           \
    X(ABSENT_MANY, "unit to offer, 99 of 100 absent, 50 k units in a second, p99", "ms", 0)        \
    X(DRAW, "draw of 1 M entries", "ms", 0)                                                        \
    X(DRAW_LOOP, "draw of 1 M entries: longest loop", "ms", 0)                                     \
    X(DRAW_CHI2, "draw: first places over 20 bins of arrival, chi-square", "1", 64)                \
    X(DISK_OFFER, "release to durable offer, 1 M wait, p99", "ms", 0)                              \
    X(DISK_SYNC, "one write and fdatasync, between them, p50", "ms", 0)                            \
    X(DISK_RATIO, "release to durable offer, p99 : 5 ms + one sync", "ratio", 1)

enum figure {
#define X(name, text, unit, target) FIGURE_##name,
    FIGURE_LIST(X)
#undef X
        FIGURE_COUNT
};

struct options {
    unsigned runs;
    unsigned cases;  /**< bits of enum bench_case */
    uint32_t orders; /**< of the large engine */
    unsigned cpu;
    cpu_set_t others; /**< those allowed, without cpu unless it is the only one */
    const char *log;  /**< folder for logs, of the case draw; NULL = none */
};

/** One worker and what it works with. */
struct world {
    struct fg_stock *stock;
    struct fg_stock_config config;
    struct fg_journal_watermark mark;
    struct fg_journal_committer *committer; /**< of a log on the disk; NULL = there is none */
    uint8_t secret;                         /**< of draws */
    uint64_t now_ms;
    struct fg_ring *to[FG_WORKERS_MAX], *from[FG_WORKERS_MAX];
};

/** Which requests: the nth one is always of the same user, order id and item. */
struct kind {
    enum figure figure;
    unsigned status; /**< that all of them are answered with */
    uint8_t op;
    uint32_t item, items; /**< RESERVE: one of item, item + 1 ... */
};

static inline uint64_t tsc(void)
{
    unsigned cpu;

    return __rdtscp(&cpu); /* waits for what comes before it */
}

/* ---- world.c */
void world_create(struct world *w, struct fg_stock_limits limits, unsigned worker,
                  unsigned workers);
void world_destroy(struct world *w);
void world_log(struct world *w); /**< the disk has all */
void world_command(struct world *w, struct fg_stock_command c);
void world_item(struct world *w, uint64_t item, uint32_t index, uint32_t hold_ms, uint32_t units);
struct fg_stock_request world_request(const struct kind *k, uint64_t nth);

/** Cycles of n requests (a multiple of BURST), without their answers that wait for the disk: *held.
 */
uint64_t world_ask(struct world *w, const struct kind *k, struct fg_stock_request *r, unsigned n,
                   unsigned *held);

/** Cycles of one loop, which gives `got` answers of this kind (NULL: of any). */
uint64_t world_poll(struct world *w, const struct kind *k, unsigned *got);

/** Cycles of each of CHUNK requests from number `first` on, with the loops until all are answered.
 */
double world_chunk(struct world *w, const struct kind *k, uint64_t first);

/* ---- figures.c */
void figure_add(enum figure f, double value); /**< of one run; times in cycles of the TSC */
double median(double *values, unsigned n);    /**< sorts them */
void figures_start(uint32_t orders);          /**< measures the TSC until figures_print */
double tsc_hz(void);
void figures_print(void);

/* ---- the cases */
#define BENCH_CASE_LIST(X)                                                                         \
    X(yardstick, "what this machine does now, to compare with")                                    \
    X(small, "one worker, ten thousand orders")                                                    \
    X(large, "one worker, ten million orders")                                                     \
    X(hot, "one item, sold by 1, 2, 4 and 8 workers")                                              \
    X(waiting, "a waiting list of a million users")                                                \
    X(absent, "a waiting list with absent users, two workers on two CPUs")                         \
    X(draw, "a draw among them, and offers with a log on the disk (--log)")

enum bench_case {
#define X(name, text) CASE_##name,
    BENCH_CASE_LIST(X)
#undef X
        CASE_COUNT
};

#define X(name, text) void bench_##name(const struct options *o);
BENCH_CASE_LIST(X)
#undef X

#endif
