/* SPDX-License-Identifier: BSD-3-Clause */
/** options: the settings of the workers, as the configuration gives them. No thread changes them
 * after the start. */
#ifndef FG_WORKER_OPTIONS_H
#define FG_WORKER_OPTIONS_H

enum fg_worker_idle_policy { FG_WORKER_IDLE_SPIN, FG_WORKER_IDLE_YIELD, FG_WORKER_IDLE_SLEEP };

struct fg_worker_options { /* [workers] */
    unsigned count;
    char
        cpus[128]; /**< "0-3" or "0,2,4": one CPU per worker, in order; "" = any; CPUs may repeat */
    enum fg_worker_idle_policy idle; /**< of a worker that finds nothing to do */
    unsigned burst;                  /**< frames taken at a time */
    unsigned handoff;                /**< slots of each ring between two workers */
};

#endif
