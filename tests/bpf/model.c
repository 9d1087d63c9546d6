/* SPDX-License-Identifier: BSD-3-Clause */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

static struct fg_filter *model;
static uint64_t model_ns;

void model_reset(const struct fg_filter_options *options)
{
    struct fg_filter_options own = *options;

    own.pins = NULL;
    fg_filter_close(model);
    model = must_open(&own);
}

void model_clock(uint64_t ns)
{
    model_ns = ns;
}

void model_own(const struct fg_filter_own_addresses *own)
{
    struct fg_error err;

    if (!fg_filter_set_own(model, NULL, own, &err)) {
        fprintf(stderr, "model: %s\n", err.text);
        abort();
    }
}

void model_add(enum fg_filter_list list, const struct fg_filter_prefix *prefix)
{
    struct fg_error err;

    if (!fg_filter_add(model, list, prefix, NULL, &err)) {
        fprintf(stderr, "model: %s\n", err.text);
        abort();
    }
}

enum fg_filter_verdict model_verdict(const uint8_t *data, uint32_t len)
{
    bool drop;

    return fg_filter_verdict_of_frame(model, 0, data, len, model_ns, &drop);
}

uint64_t model_hits(enum fg_filter_list list, const struct fg_filter_prefix *prefix)
{
    return hits_of(model, list, prefix);
}

void model_counters(uint64_t counters[FG_FILTER_VERDICT_COUNT])
{
    fg_filter_counters(model, counters);
}

uint64_t model_event(enum fg_filter_event event)
{
    uint64_t events[FG_EVENT_COUNT];

    fg_filter_events(model, events);
    return events[event];
}
