/* SPDX-License-Identifier: BSD-3-Clause */
/* The last dropped packets: out of the kernel's ring and the workers' rings, for the operator, and
 * for the caller, who counts their sources. */
#include <pthread.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "filter/filter.h"
#include "frame/frame.h"

#define TAKEN_MAX 512 /* in one poll; the kernel's ring holds about as many */

struct fg_filter_samples_reader {
    pthread_mutex_t lock;
    struct fg_filter *filter;
    struct ring_buffer *ring; /* NULL: no kernel */
    fg_filter_sample_source *on_source;
    void *ctx;
    uint64_t taken;
    unsigned budget; /* samples that this poll may still take */
    struct fg_filter_sample last[FG_FILTER_SAMPLES_KEPT];
};

void fg_filter_sample_decode(const struct fg_filter_sample *sample, struct fg_filter_prefix *source,
                             char *text, size_t size)
{
    uint32_t kept = sample->kept < FG_FILTER_SAMPLE_BYTES ? sample->kept : FG_FILTER_SAMPLE_BYTES;

    memset(source, 0, sizeof(*source));
    source->family =
        (uint8_t)fg_frame_describe(sample->bytes, kept, sample->length, source->addr, text, size);
    source->length = source->family == 6 ? 128 : source->family == 4 ? 32 : 0;
}

static void tell_source(struct fg_filter_samples_reader *s, const struct fg_filter_sample *sample)
{
    struct fg_filter_prefix source;
    char text[FG_FILTER_SAMPLE_TEXT];

    fg_filter_sample_decode(sample, &source, text, sizeof(text));
    if (s->on_source)
        s->on_source(s->ctx, &source);
}

static int take(void *ctx, void *data, size_t size)
{
    struct fg_filter_samples_reader *s = ctx;
    struct fg_filter_sample *sample = &s->last[s->taken % FG_FILTER_SAMPLES_KEPT];

    if (size < offsetof(struct fg_filter_sample, bytes) || size > sizeof(*sample))
        return 0;
    memset(sample, 0, sizeof(*sample));
    memcpy(sample, data, size);
    s->taken++;
    tell_source(s, sample);
    return --s->budget ? 0 : -1; /* a flood must not keep the caller here */
}

void fg_filter_samples_poll(struct fg_filter_samples_reader *s)
{
    struct fg_filter_sample sample;

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

    pthread_mutex_lock(&s->lock);
    for (; n < max && n < FG_FILTER_SAMPLES_KEPT && n < s->taken; n++)
        list[n] = s->last[(s->taken - 1 - n) % FG_FILTER_SAMPLES_KEPT];
    pthread_mutex_unlock(&s->lock);
    return n;
}

struct fg_filter_samples_reader *fg_filter_samples_open(struct fg_filter *filter,
                                                        fg_filter_sample_source *on_source,
                                                        void *ctx, struct fg_error *err)
{
    struct fg_filter_samples_reader *s = calloc(1, sizeof(*s));

    if (!s) {
        fg_fail(err, "no memory for samples of dropped packets");
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    s->filter = filter;
    s->on_source = on_source;
    s->ctx = ctx;
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
