/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_sampling CPU ROUNDS CHUNKS SHARE huge|no-huge: the daemon's loop with a share of the orders
 * traced and with none, in turn, between two rings in one thread. Prints a row of JSON with a line
 * for each round: TSC cycles of a rejection without and with.
 */
#include "bench.h"

#include "worker/trace.h"

#include <rte_eal.h>

#define LOOPS_MAX 1000
#define WARM      200

/* No marks: the loop as the daemon runs it. */
void marks_loop(struct fg_worker *w)
{
    fg_worker_loop(w);
}

void marks_drop(void)
{
}

static void loop(struct feed *f)
{
    unsigned loops = 0;

    while (!feed_answered(f)) {
        FG_ASSERT(loops++ < LOOPS_MAX);
        fg_worker_loop(f->world.group.list[0]);
    }
}

/* The main thread does this every 100 ms, on another CPU. */
static uint64_t take(struct fg_worker *w)
{
    struct fg_worker_steps s;
    uint64_t n = 0;

    while (fg_worker_trace_take(w, &s))
        n++;
    return n;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The next chunk, with tracing or without: TSC cycles of a packet. */
static double chunk(struct feed *f, struct fg_worker_trace *t, bool traced, uint64_t *taken)
{
    uint64_t begin;
    double spent;

    f->world.group.list[0]->trace = traced ? t : NULL;
    feed_chunk(f);
    begin = tsc();
    loop(f);
    spent = (double)(tsc() - begin) / CHUNK;
    f->world.group.list[0]->trace = t; /* it is freed with the worker */
    *taken += take(f->world.group.list[0]);
    return spent;
}

/* Medians over chunks, which take turns in fours, so that both see all of the requests: what
 * disturbs the machine disturbs both, and a chunk that was interrupted does not count. */
static void round_of(struct feed *f, struct fg_worker_trace *t, unsigned chunks, double out[2],
                     uint64_t taken[2])
{
    double *samples[2] = {calloc(chunks, sizeof(double)), calloc(chunks, sizeof(double))};

    FG_ASSERT(samples[0] && samples[1]);
    for (unsigned i = 0; i < 2 * chunks; i++) {
        unsigned traced = (i / 4 + i / 64) & 1, at = i / 8 * 4 + i % 4;

        samples[traced][at] = chunk(f, t, traced, &taken[traced]);
    }
    for (unsigned k = 0; k < 2; k++) {
        qsort(samples[k], chunks, sizeof(double), compare);
        out[k] = samples[k][chunks / 2];
        free(samples[k]);
    }
}

int main(int argc, char **argv)
{
    static struct feed feed;
    unsigned rounds = argc == 6 ? (unsigned)atoi(argv[2]) : 0;
    unsigned chunks = argc == 6 ? (unsigned)atoi(argv[3]) : 0;
    uint64_t taken[2] = {0};
    struct fg_worker_trace *t;
    char lcores[32];

    if (!rounds || chunks < 64 || chunks % 32) {
        fprintf(stderr,
                "usage: bench_sampling CPU ROUNDS CHUNKS SHARE huge|no-huge (CHUNKS: of %u "
                "packets, a multiple of 32 from 64 on; SHARE: orders "
                "of a million)\n",
                CHUNK);
        return 2;
    }
    snprintf(lcores, sizeof(lcores), "0@%s", argv[1]);
    if (!world_eal("bench_sampling", lcores, "bench_sampling", strcmp(argv[5], "huge") == 0))
        return 1;
    feed.world.trace = (unsigned)atoi(argv[4]);
    feed_create(&feed, 1);
    t = feed.world.group.list[0]->trace;
    for (unsigned i = 0; i < WARM; i++)
        chunk(&feed, t, true, &taken[1]);
    feed_check(&feed);
    taken[1] = 0;
    printf("{\"rounds\": [");
    for (unsigned i = 0; i < rounds; i++) {
        double both[2];

        round_of(&feed, t, chunks, both, taken);
        printf("%s[%.3f, %.3f]", i ? ", " : "", both[0], both[1]);
    }
    printf("], \"traced\": %llu, \"traced_without\": %llu}\n", (unsigned long long)taken[1],
           (unsigned long long)taken[0]);
    fflush(stdout);
    rte_eal_cleanup();
    return 0;
}
