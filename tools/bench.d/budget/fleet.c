/* SPDX-License-Identifier: BSD-3-Clause */
/* Instructions of a rejected and of an accepted order at an appliance without a fleet, and at a
 * member of one. */
#include "bench.h"

#define WARM_CHUNKS 8
#define STEP_CHUNKS 1
#define UNITS       (ORDERS / 2)

_Static_assert((WARM_CHUNKS + STEP_CHUNKS) * CHUNK <= UNITS, "no order is asked twice");

/* All stages but `loop`: time passes faster than usual, so that one has more turns of the timers.
 */
static double count(struct feed *f)
{
    struct sample sample;
    double all = 0;

    for (unsigned i = 0; i < WARM_CHUNKS; i++) {
        ring_chunk(f);
        feed_check(f);
    }
    marks_sample(1); /* forgets */
    marks_count_instructions(true);
    for (unsigned i = 0; i < STEP_CHUNKS; i++)
        ring_chunk(f);
    marks_count_instructions(false);
    feed_check(f);
    sample = marks_instructions((uint64_t)STEP_CHUNKS * CHUNK);
    for (unsigned i = 0; i < FG_STAGES; i++)
        all += i == FG_WORKER_STAGE_LOOP ? 0 : sample.cycles[i];
    return all;
}

void fleet_count(struct feed *f, const char *name)
{
    char text[96];

    feed_create(f, 1);
    snprintf(text, sizeof(text), "%s: rejected", name);
    figures_extra(text, "instructions", count(f));
    world_sell(&f->world, UNITS);
    f->status = FG_PACKET_STATUS_RESERVED;
    snprintf(text, sizeof(text), "%s: accepted", name);
    figures_extra(text, "instructions", count(f));
}

void fleet_run(void)
{
    static struct feed alone, one, four;

    one.world.members = 1;
    four.world.members = 4;
    fleet_count(&alone, "no fleet");
    fleet_count(&one, "1 member");
    fleet_count(&four, "4 members");
}
