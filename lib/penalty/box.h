/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * box: the penalty box of a running appliance: its evidence comes from the workers' reports and
 * from samples of dropped packets, and the filter's block list carries it out. Main thread;
 * `penalty` and `samples` have locks of their own, and are for other threads too.
 */
#ifndef FG_PENALTY_BOX_H
#define FG_PENALTY_BOX_H

#include "penalty/penalty.h"

struct fg_penalty_box {
    struct fg_penalty *penalty;
    struct fg_filter_samples_reader *samples; /**< NULL without a filter */
    struct fg_filter *filter;                 /**< NULL: no source is ever blocked */
    uint64_t expired_ms; /**< when entries that are over were last taken off the lists */
};

/** *box is zeroed before. The filter outlives it. After a failure fg_penalty_box_stop frees it. */
bool fg_penalty_box_start(struct fg_penalty_box *box, const struct fg_penalty_options *options,
                          struct fg_filter *filter, struct fg_error *err);
/** Every 100 ms, after fg_penalty_take() of the reports of each worker. */
void fg_penalty_box_poll(struct fg_penalty_box *box, uint64_t now_ms);
void fg_penalty_box_stop(struct fg_penalty_box *box);

#endif
