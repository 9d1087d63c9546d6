/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_handoff: what a packet costs that one worker receives and another one decides, each on a
 * core of its own: the daemon's loops as they are, and the TSC around each loop that did something.
 * Next to it a worker that decides what it receives. Prints rows of JSON.
 *
 *   bench_handoff CPU CPU RUNS huge|no-huge
 */
#include "bench.h"

#include <rte_eal.h>
#include <rte_launch.h>

#define CHUNKS      4000 /* of a run */
#define WARM_CHUNKS 400
#define PATIENCE_S  10 /* for a chunk */

struct core {
    struct fg_worker *worker;
    _Atomic uint64_t busy; /* cycles of loops that did something */
} __attribute__((aligned(FG_CACHE_LINE)));

static struct core cores[3]; /* alone; receives; decides */
static struct feed alone, pair;
static _Atomic bool stop;

/* The loop as the daemon runs it: nothing is counted. */
void marks_loop(struct fg_worker *w)
{
    fg_worker_loop(w);
}

void marks_drop(void)
{
}

static void loop(struct core *c)
{
    uint64_t idle = fg_counter_read(&c->worker->counters.idle_loops), began = tsc();

    fg_worker_loop(c->worker);
    if (fg_counter_read(&c->worker->counters.idle_loops) == idle)
        fg_counter_add(&c->busy, tsc() - began);
}

static int decide(void *core)
{
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        loop(core);
    return 0;
}

static void run_chunks(struct feed *f, struct core *c, unsigned chunks)
{
    for (unsigned i = 0; i < chunks; i++) {
        uint64_t until = tsc() + PATIENCE_S * rte_get_tsc_hz();

        feed_chunk(f);
        while (!feed_answered(f)) {
            FG_ASSERT(tsc() < until);
            loop(c);
        }
    }
    feed_check(f);
}

static double busy_of(struct core *c, uint64_t before)
{
    return (double)(fg_counter_read(&c->busy) - before) / ((double)CHUNKS * CHUNK);
}

static void run_once(void)
{
    uint64_t before[3];
    double each[3];

    run_chunks(&alone, &cores[0], WARM_CHUNKS);
    before[0] = fg_counter_read(&cores[0].busy);
    run_chunks(&alone, &cores[0], CHUNKS);
    each[0] = busy_of(&cores[0], before[0]);
    run_chunks(&pair, &cores[1], WARM_CHUNKS);
    before[1] = fg_counter_read(&cores[1].busy);
    before[2] = fg_counter_read(&cores[2].busy);
    run_chunks(&pair, &cores[1], CHUNKS);
    each[1] = busy_of(&cores[1], before[1]);
    each[2] = busy_of(&cores[2], before[2]);
    figures_extra("two cores: one worker, nothing handed off", "TSC cycles", each[0]);
    figures_extra("two cores: the worker that receives and sends", "TSC cycles", each[1]);
    figures_extra("two cores: the worker that decides", "TSC cycles", each[2]);
    figures_extra("two cores: a handed-off packet costs more", "TSC cycles",
                  each[1] + each[2] - each[0]);
}

int main(int argc, char **argv)
{
    unsigned runs = argc == 5 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    char lcores[64];

    if (runs < 1 || runs > RUNS_MAX) {
        fprintf(stderr, "usage: bench_handoff CPU CPU RUNS(1-%d) huge|no-huge\n", RUNS_MAX);
        return 2;
    }
    snprintf(lcores, sizeof(lcores), "0@%s,1@%s", argv[1], argv[2]);
    if (!world_eal("bench_handoff", lcores, "bench_handoff", !strcmp(argv[4], "huge")))
        return 1;
    feed_create(&alone, 1);
    feed_create(&pair, 2);
    cores[0].worker = alone.world.group.list[0];
    cores[1].worker = pair.world.group.list[0];
    cores[2].worker = pair.world.group.list[1];
    rte_eal_remote_launch(decide, &cores[2], 1);
    for (unsigned i = 0; i < runs; i++)
        run_once();
    atomic_store(&stop, true);
    rte_eal_mp_wait_lcore();
    figures_print();
    fflush(stdout);
    rte_eal_cleanup();
    return 0;
}
