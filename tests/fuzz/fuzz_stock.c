/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens to a sale, as bytes: requests, commands, loops, deliveries, commits, time, crashes
 * on one to three workers, under the simulator's oracle (tests/sim). Input: 4 bytes of set-up, then
 * 7 bytes a step. At the end everything must be answered, and what is free sold.
 */
#include "fuzz.h"
#include "tests/sim/play.h"

#ifdef FG_FUZZ_CANARY
#include "canary.h"

enum sim_canary sim_canary = SIM_CANARY_RETURN_TWICE;
#endif

enum { SETUP_BYTES = 4, STEP_BYTES = 7, STEPS_MAX = 300, RESTARTS_MAX = 3, ADDITIONS_MAX = 12 };

static struct sim sim;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

/* Every byte says something, and small numbers meet each other. */
static struct sim_step step_of(const uint8_t *p)
{
    struct sim_step s = {.kind = p[0] % SIM_KINDS, .worker = p[1], .n = p[2], .a = p[3]};

    s.b = p[4] % 8;
    s.c = p[5] % 4;
    s.d = p[6] % 8;
    if (s.kind == SIM_REQUEST)
        s.a %= 16;
    if (s.kind == SIM_REQUEST &&
        s.n % FG_PACKET_OP_WAIT == FG_PACKET_OP_EXTEND - FG_PACKET_OP_RESERVE)
        s.d = p[6] * 2u;
    if (s.kind == SIM_ITEM)
        s.b = p[4];
    if (s.kind == SIM_CRASH)
        s.b = 0; /* no files here: fuzz_journal reads damaged ones */
    return s;
}

static bool too_many(const struct sim_step *s, unsigned *restarts, unsigned *additions)
{
    if (s->kind == SIM_CRASH || s->kind == SIM_FINISH)
        return ++*restarts > RESTARTS_MAX;
    return s->kind == SIM_ADD && ++*additions > ADDITIONS_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world_setup setup = {.seed = 1};
    unsigned restarts = 0, additions = 0;

    if (size < SETUP_BYTES || size > SETUP_BYTES + STEP_BYTES * STEPS_MAX)
        return 0;
    setup.workers = 1 + data[0] % WORKERS_MAX;
    setup.ring_capacity = 2u << data[1] % 5;
    setup.limits = (struct fg_stock_limits){.items_max = ITEMS_MAX,
                                            .orders_max = data[2] & 64 ? 20 : ROOMY,
                                            .users_max = data[2] & 128 ? 6 : ROOMY,
                                            .parked_max = 1 + data[2] % 8,
                                            .deferred_max = 2 + data[3] % 16,
                                            .unsold_max = data[3] >> 6};
    sim_start(&sim, &setup, NULL);
    for (size_t at = SETUP_BYTES; at + STEP_BYTES <= size; at += STEP_BYTES) {
        struct sim_step step = step_of(data + at);

        if (!too_many(&step, &restarts, &additions))
            sim_apply(&sim, &step);
    }
    sim_liveness(&sim);
    sim_stop(&sim);
    return 0;
}
