/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run as data: a set-up and a list of steps that says all that happens. Any subset of the steps
 * is a run too, so that a failing one can be made smaller.
 */
#ifndef FG_SIM_PLAY_H
#define FG_SIM_PLAY_H

#include "oracle.h"

/* name, what a, b, c, d mean. `worker` and `n` are of all that have them. */
#define SIM_STEP_LIST(X)                                                                           \
    X(REQUEST, "n = operation, a = user, b = order, c = item, d = units; EXTEND: by d ms; "        \
               "REFUND: d = 1 restock; ORDERS: c = item + 1 or 0, the d-th")                       \
    X(POLL, "worker; n = most answers; a: everything is delivered to it before")                   \
    X(DELIVER, "worker; n = most messages from each of the others")                                \
    X(WRITE, "worker; n = most records")                                                           \
    X(SYNC, "")                                                                                    \
    X(CLOCK, "a = ms")                                                                             \
    X(ITEM, "a = item, b = hold ms, c = limit per user, d = largest order, n = 1 paused, 2 "       \
            "closed, 4 not open")                                                                  \
    X(APPLY, "worker: takes the settings that are durable")                                        \
    X(ADD, "a = item, b = units")                                                                  \
    X(REMOVE, "a = item, b = units")                                                               \
    X(DENY, "a = user, b = 1 deny, 0 allow")                                                       \
    X(DISK, "n = enum disk_state")                                                                 \
    X(STOP, "")                                                                                    \
    X(CRASH, "n = workers of the next life; a = tail of the log; b: through real files")           \
    X(FINISH, "n = workers of the next life: stops as SIGTERM does, and starts again")             \
    X(REFUND, "the operator's: a = user, b = order, c = 1 restock")                                \
    X(LINE, "a = item, b = length, c = claim window ms, d = ttl ms, n = 1 one unit only")          \
    X(CLEAR, "a = item: all who wait leave")                                                       \
    X(FLEET, "a = item, b = units, n = what the fleet does, see fleet_step")

enum sim_kind {
#define X(name, text) SIM_##name,
    SIM_STEP_LIST(X)
#undef X
        SIM_KINDS
};

struct sim_step {
    uint8_t kind;
    uint8_t worker;
    uint16_t n;
    uint32_t a, b, c, d;
};

struct sim {
    struct world w;
    struct oracle o;
    const char *folder; /* for real journals; NULL: none */
    uint64_t bought;
};

void sim_start(struct sim *s, const struct world_setup *setup, const char *folder);
/* Any values are taken: what is out of range is brought into it, what does not apply is left out.
 */
void sim_apply(struct sim *s, const struct sim_step *step);
/* The end of the faults: everything is answered, everything that is free can be bought. */
void sim_liveness(struct sim *s);
void sim_stop(struct sim *s);

/* Fair loops without faults: everything that was asked must be answered, in a bounded number of
 * loops. */
void sim_settle(struct sim *s);
void sim_buy_all(struct sim *s, uint32_t index);

/* One step as a line of text. */
void sim_describe(const struct sim_step *step, char *text, size_t size);

/* ---- draw.c: everything from one seed */
enum { SIM_STEPS = 1500, SIM_TTL_MAX = 400, SIM_OPENS_MAX = 8192 };
void sim_draw(uint64_t seed, unsigned workers, struct world_setup *setup,
              struct sim_step steps[SIM_STEPS]);

/* ---- command.c: steps of the operator */
void sim_command(struct sim *s, const struct sim_step *step);
/* The thread of the fleet takes what is news; finish: all who wait are told that it is sold out. */
void sim_fleet(struct sim *s, bool finish);
void sim_command_answered(struct sim *s, uint32_t token, const struct fg_stock_answer *a);

#endif
