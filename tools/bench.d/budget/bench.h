/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Benchmark of a worker's loop, stage by stage: the daemon's own stages (worker/loop.h) with a hook
 * that counts. Two ways to feed it:
 *
 * ring:   one thread hands frames to the loop and takes the replies, by net_ring. It shows the
 *         worker's own work.
 * device: a real port with a generator behind it, on another CPU. It shows the cost of receiving,
 *         of sending and of cold lines too.
 */
#ifndef FG_BENCH_BUDGET_H
#define FG_BENCH_BUDGET_H

#include <x86intrin.h>

#include "worker/group.h"
#include "worker/loop.h"

#define RUNS_MAX 101
#define CHUNK    512u /* packets of one sample */
#define ITEM     7
#define ORDERS   16384u /* different requests, asked in turn */

static inline uint64_t tsc(void)
{
    return __rdtsc();
}

/* ---- marks.c: counts what each stage takes */
struct sample {
    double cycles[FG_STAGES];
};
void marks_calibrate(void);
void marks_start(void);                     /**< the next stage begins here */
void marks_end(enum fg_worker_stage stage); /**< the stage took all since the last start or end */
void marks_loop(struct fg_worker *w);       /**< a loop of this worker, counted */
void marks_drop(void);                      /**< forget what this loop added */
void marks_keep(void);                      /**< add it to the sample */
struct sample
marks_sample(uint64_t packets);         /**< what was kept, a packet, without the marks' own cost */
void marks_count_instructions(bool on); /**< each instruction traps: slow */
struct sample marks_instructions(uint64_t packets); /**< of the marks kept while it was on */

/* ---- figures.c: medians over samples, rows of JSON over runs */
void figures_add(const char *name, const char *unit, const struct sample *samples,
                 unsigned n);                                         /**< one run */
void figures_extra(const char *name, const char *unit, double value); /**< one run */
double figures_last(const char *name);
void figures_print(void);

/* ---- world.c: workers without a daemon around them */
struct world {
    struct fg_worker_group group;
    struct fg_clock clock;
    _Atomic(struct fg_packet_keyring *) keys;
    _Atomic int mode;
    _Atomic uint64_t commit_began;
    struct fg_journal_doorbell doorbell;
    unsigned workers;
    unsigned trace;   /**< orders of a million; set before world_create */
    unsigned members; /**< of a fleet, of which this is the first; likewise; 0 = no fleet */
    struct fg_worker_shards shards;
    bool leads; /**< a pair, with its standby; likewise */
    struct fg_leading leading;
    struct fg_journal_watermark *committed;
};
void world_create(struct world *w, unsigned workers, const char *keys);
void world_port(struct world *w, uint16_t port, struct rte_mempool *pool);
void world_sell_nothing(struct world *w);         /**< one item, sold out */
void world_sell(struct world *w, uint32_t units); /**< then units of it */
void world_loop(struct world *w); /**< one loop of each worker, marked; the log is always durable */
uint64_t world_received(const struct world *w);
struct rte_mempool *pool_create(const char *name);
bool world_eal(const char *program, const char *lcores, const char *prefix,
               bool huge); /**< before all else */

/* feed.c: requests for workers at a net_ring port, CHUNK at a time, all of users of the last
 * worker */
struct feed {
    struct world world;
    struct rte_ring *requests, *replies;
    struct rte_mbuf *mbufs[CHUNK];
    uint8_t *frames; /**< ORDERS of them */
    unsigned next;
    enum fg_packet_status status; /**< that all replies have */
};
/** *f is zeroed before, world.trace, world.members and world.leads aside. */
void feed_create(struct feed *f, unsigned workers);
void feed_chunk(struct feed *f); /**< the next requests; the replies to those before were taken */
bool feed_answered(struct feed *f);    /**< takes the replies if all are there */
void feed_check(const struct feed *f); /**< those that were taken: status and tag */

/* ---- ring.c, fleet.c, pair.c, device.c */
void ring_chunk(struct feed *f); /**< its replies are taken; its marks are kept */
void ring_run(unsigned runs, unsigned chunks);
/** Instructions of a rejected and of an accepted order, as rows of that name. */
void fleet_count(struct feed *f, const char *name);
void fleet_run(void);
void pair_run(void);
void device_run(const char *device, const char *keys, unsigned seconds, bool echo);

#endif
