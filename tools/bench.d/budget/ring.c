/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop between two rings of a net_ring port: this thread writes the requests and takes the
 * replies. */
#include "bench.h"

#define LOOPS_MAX   1000 /* in which a chunk must be answered */
#define WARM_CHUNKS 200
#define STEP_CHUNKS 2

void ring_chunk(struct feed *f)
{
    unsigned loops = 0;

    feed_chunk(f);
    while (!feed_answered(f)) {
        FG_ASSERT(loops++ < LOOPS_MAX);
        world_loop(&f->world);
    }
    marks_keep();
}

static void run_once(struct feed *f, const char *name, unsigned chunks)
{
    struct sample *samples = calloc(chunks, sizeof(*samples));

    FG_ASSERT(samples != NULL);
    for (unsigned i = 0; i < WARM_CHUNKS; i++)
        ring_chunk(f);
    feed_check(f);
    marks_sample(1);
    for (unsigned i = 0; i < chunks; i++) {
        ring_chunk(f);
        samples[i] = marks_sample(CHUNK);
    }
    figures_add(name, "TSC cycles", samples, chunks);
    free(samples);
}

static void count_instructions(struct feed *f, const char *name)
{
    struct sample sample;

    marks_count_instructions(true);
    for (unsigned i = 0; i < STEP_CHUNKS; i++)
        ring_chunk(f);
    marks_count_instructions(false);
    sample = marks_instructions((uint64_t)STEP_CHUNKS * CHUNK);
    figures_add(name, "instructions", &sample, 1);
}

void ring_run(unsigned runs, unsigned chunks)
{
    static struct feed alone, pair;

    feed_create(&alone, 1);
    feed_create(&pair, 2);
    for (unsigned i = 0; i < runs; i++) {
        run_once(&alone, "ring", chunks);
        run_once(&pair, "handed off", chunks);
        figures_extra("a handed-off packet costs more", "TSC cycles",
                      figures_last("handed off: all of it") - figures_last("ring: all of it"));
    }
    count_instructions(&alone, "ring, instructions");
}
