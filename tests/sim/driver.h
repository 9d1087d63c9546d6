/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What simulators of a protocol share (sim_pair, sim_fleet): runs from seeds until one fails, and
 * in the planted build the search for deliberate bugs. --help says more.
 */
#ifndef FG_SIM_DRIVER_H
#define FG_SIM_DRIVER_H

#include <stdarg.h>

#include "base/base.h"

enum { SIM_FAILURE_MAX = 256 };

struct sim_canary_name {
    const char *name, *text;
};

struct sim_subject {
    const char *name, *promise;
    unsigned healthy_runs; /* of the planted build without a bug */
    size_t world_size;
    /* A whole run. `failure` stays empty when nothing is wrong. */
    void (*run)(void *world, uint64_t seed, bool traced, char failure[SIM_FAILURE_MAX]);
    void (*report)(uint64_t runs); /* prints what was counted, as a TAP comment */
    /* The planted build: the first canary is no bug. */
    const struct sim_canary_name *canaries;
    unsigned canaries_len; /* 0: it is not the planted build */
    void (*plant)(unsigned number);
};

int sim_main(const struct sim_subject *subject, int argc, char **argv);

/* 0 <= result < below. */
uint64_t sim_draw(uint64_t *state, uint64_t below);

/* The first one counts. */
void sim_note(char failure[SIM_FAILURE_MAX], uint64_t now_ms, const char *format, va_list args);

#endif
