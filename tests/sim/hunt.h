/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks for a seed that fails. Runs go on in a child process; when it dies, the steps of the
 * failing seed are made fewer by delta debugging (Zeller and Hildebrandt 2002), each try in a child
 * of its own.
 */
#ifndef FG_SIM_HUNT_H
#define FG_SIM_HUNT_H

#include "play.h"

struct hunt {
    uint64_t first_seed, runs_max;
    double seconds_max;
    unsigned workers;      /* of the first life; 0 = 1, 2, 3, 8 in turn */
    double shrink_seconds; /* 0 = the failing trace is not made smaller, nor printed */

    /* results */
    uint64_t runs, steps, balances, restarts, files_read, fed, took_over, cut_records,
        statuses[FG_PACKET_STATUS_COUNT];
    bool failed;
    uint64_t failed_seed;
    unsigned failed_workers;
    double seconds;
    char failure[400];
    unsigned steps_left; /* of the smaller trace */
};

/* False when a run failed. Prints the trace as TAP comments. */
bool hunt(struct hunt *h);

#endif
