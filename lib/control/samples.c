/* SPDX-License-Identifier: BSD-3-Clause */
/* Sampled drops, and what would happen to a packet of a source. */
#include <net/if.h>
#include <string.h>

#include "control/samples.h"

#define SAMPLES_DEFAULT 50

static json_t *bytes_json(const struct fg_filter_sample *sample)
{
    char hex[2 * FG_FILTER_SAMPLE_BYTES + 1] = "";
    uint32_t kept = sample->kept < FG_FILTER_SAMPLE_BYTES ? sample->kept : FG_FILTER_SAMPLE_BYTES;

    for (uint32_t i = 0; i < kept; i++)
        snprintf(hex + 2 * i, 3, "%02x", sample->bytes[i]);
    return json_string(hex);
}

static json_t *sample_json(const struct fg_filter_sample *sample, uint64_t mono_ms)
{
    char text[FG_FILTER_SAMPLE_TEXT], name[IF_NAMESIZE] = "?", source[64] = "";
    uint64_t at_ms = sample->time_ns / 1000000;
    struct fg_filter_prefix prefix;

    fg_filter_sample_decode(sample, &prefix, text, sizeof(text));
    if (prefix.family)
        fg_filter_prefix_format(&prefix, source);
    if (!sample->ifindex)
        strcpy(name, "-"); /* a port without a kernel driver */
    else
        if_indextoname(sample->ifindex, name);
    return json_pack("{s:I, s:s, s:s, s:s, s:I, s:s, s:o}", "age_ms",
                     (json_int_t)(mono_ms > at_ms ? mono_ms - at_ms : 0), "verdict",
                     fg_filter_verdict_name(sample->verdict), "interface", name, "source", source,
                     "length", (json_int_t)sample->length, "text", text, "bytes",
                     bytes_json(sample));
}

void fg_control_handle_samples(struct fg_control_call *call)
{
    struct fg_control_daemon *daemon = &call->control->daemon;
    unsigned limit = call->limit ? (unsigned)call->limit : SAMPLES_DEFAULT, n;
    struct fg_filter_sample *samples = calloc(FG_FILTER_SAMPLES_KEPT, sizeof(*samples));
    uint64_t now_ms = fg_clock_mono_ms();
    json_t *list = json_array();

    n = samples ? daemon->samples(daemon->ctx, samples,
                                  limit < FG_FILTER_SAMPLES_KEPT ? limit : FG_FILTER_SAMPLES_KEPT)
                : 0;
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, sample_json(&samples[i], now_ms));
    free(samples);
    fg_control_call_reply(call, 200, json_pack("{s:o}", "samples", list));
}
