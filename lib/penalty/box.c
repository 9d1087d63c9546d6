/* SPDX-License-Identifier: BSD-3-Clause */
#include "penalty/box.h"

#include "base/clock.h"

#define EXPIRE_MS 10000

static void on_sample(void *ctx, const struct fg_filter_prefix *source)
{
    struct fg_penalty_box *box = ctx;

    fg_penalty_report_dropped(box->penalty, source, fg_clock_mono_ms());
}

bool fg_penalty_box_start(struct fg_penalty_box *box, const struct fg_penalty_options *options,
                          struct fg_filter *filter, struct fg_error *err)
{
    box->filter = filter;
    box->penalty = fg_penalty_open(options, filter, fg_clock_mono_ms(), err);
    if (!box->penalty || !filter)
        return box->penalty != NULL;
    box->samples = fg_filter_samples_open(filter, on_sample, box, err);
    return box->samples != NULL;
}

void fg_penalty_box_poll(struct fg_penalty_box *box, uint64_t now_ms)
{
    if (box->samples)
        fg_filter_samples_poll(box->samples);
    fg_penalty_tick(box->penalty, now_ms);
    if (box->filter && now_ms - box->expired_ms >= EXPIRE_MS) {
        box->expired_ms = now_ms;
        fg_filter_expire(box->filter);
    }
}

void fg_penalty_box_stop(struct fg_penalty_box *box)
{
    fg_filter_samples_close(box->samples);
    box->samples = NULL;
    fg_penalty_destroy(box->penalty);
    box->penalty = NULL;
}
