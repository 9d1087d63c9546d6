/* SPDX-License-Identifier: BSD-3-Clause */
/* The last dropped packets: out of the kernel's ring and the workers', for the operator and for the
 * list of who is dropped most. */
#include "daemon.h"

#include <bpf/libbpf.h>

#define TAKEN_MAX 512 /* at a look; the ring of the kernel holds about as many */

struct fg_filter_samples_reader {
    pthread_mutex_t lock;
    struct fg_filter *filter;
    struct ring_buffer *ring; /* NULL: no kernel */
    struct fg_penalty *penalty;
    uint64_t taken;
    unsigned budget;
    struct fg_filter_sample last[FG_SAMPLES_KEPT];
};

static void report(struct fg_filter_samples_reader *s, const struct fg_filter_sample *sample)
{
    struct fg_penalty_report report = {.offence = FG_OFFENCE_DROPPED, .events = 1};
    struct fg_filter_prefix source;
    char text[FG_SAMPLE_TEXT];

    fg_filter_sample_decode(sample, &source, text, sizeof(text));
    report.family = source.family;
    memcpy(report.addr, source.addr, sizeof(report.addr));
    fg_penalty_report(s->penalty, &report, fg_clock_mono_ms());
}

static int take(void *ctx, void *data, size_t size)
{
    struct fg_filter_samples_reader *s = ctx;

    if (size < offsetof(struct fg_filter_sample, bytes) || size > sizeof(struct fg_filter_sample))
        return 0;
    memset(&s->last[s->taken % FG_SAMPLES_KEPT], 0, sizeof(s->last[0]));
    memcpy(&s->last[s->taken % FG_SAMPLES_KEPT], data, size);
    report(s, &s->last[s->taken++ % FG_SAMPLES_KEPT]);
    return --s->budget ? 0 : -1; /* a flood must not keep the main thread here */
}

void fg_filter_samples_poll(struct fg_filter_samples_reader *s)
{
    struct fg_filter_sample sample;

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->budget = TAKEN_MAX;
    if (s->ring)
        ring_buffer__consume(s->ring);
    while (s->budget && fg_filter_next_sample(s->filter, &sample))
        take(s, &sample, sizeof(sample));
    pthread_mutex_unlock(&s->lock);
}

unsigned fg_filter_samples_last(struct fg_filter_samples_reader *s, struct fg_filter_sample *list,
                                unsigned max)
{
    unsigned n = 0;

    if (!s)
        return 0;
    pthread_mutex_lock(&s->lock);
    while (n < max && n < FG_SAMPLES_KEPT && n < s->taken) {
        list[n] = s->last[(s->taken - 1 - n) % FG_SAMPLES_KEPT];
        n++;
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

struct fg_filter_samples_reader *
fg_filter_samples_open(struct fg_filter *filter, struct fg_penalty *penalty, struct fg_error *err)
{
    struct fg_filter_samples_reader *s = calloc(1, sizeof(*s));

    if (!s) {
        fg_fail(err, "no memory for samples of dropped packets");
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    s->penalty = penalty;
    s->filter = filter;
    if (fg_filter_samples(filter) < 0)
        return s;
    s->ring = ring_buffer__new(fg_filter_samples(filter), take, s, NULL);
    if (s->ring)
        return s;
    fg_fail(err, "cannot open the ring of samples");
    fg_filter_samples_close(s);
    return NULL;
}

void fg_filter_samples_close(struct fg_filter_samples_reader *s)
{
    if (!s)
        return;
    ring_buffer__free(s->ring);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
