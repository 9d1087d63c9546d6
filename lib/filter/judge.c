/* SPDX-License-Identifier: BSD-3-Clause */
/* The verdict of the XDP program for a worker whose port bypasses the kernel: the same header, the same
 * tables. */
#include "filter/internal.h"

#include "filter/env.h"

enum fg_verdict fg_filter_judge(struct fg_filter *filter, unsigned worker, const uint8_t *frame,
                                uint32_t length, uint64_t now_ns, bool *drop)
{
    struct fg_env env = {.tune = &filter->tune,
                         .state = filter->memory.state,
                         .rows = filter->memory.rows,
                         .sets = filter->memory.sets,
                         .nets = filter->memory.nets,
                         .counts = filter->judged[worker],
                         .rows_count = filter->sizes.rows};
    uint64_t now = (now_ns << FG_TICK_SHIFT) + (uint64_t)filter->clock_ahead;
    enum fg_verdict verdict;
    bool order;

    FG_ASSERT(worker < FG_WORKERS_MAX);
    verdict = fg_judge(&env, frame, frame + length, now, &order);
    env.counts[verdict].packets++;
    *drop = verdict != FG_VERDICT_ORDER && verdict != FG_VERDICT_PASS && !filter->tune.monitor;
    return verdict;
}
