/* SPDX-License-Identifier: BSD-3-Clause */
/* The verdict of the XDP program for a worker whose port bypasses the kernel: the same header, the
 * same tables. */
#include <string.h>

#include "filter/internal.h"

#include "filter/env.h"

static void sample(struct fg_filter *filter, unsigned worker, enum fg_filter_verdict verdict,
                   const uint8_t *frame, uint32_t length, uint64_t now_ns)
{
    struct fg_filter_sample_ring *ring = &filter->rings[worker];
    struct fg_filter_sample *slot = &ring->slot[ring->head % FG_FILTER_SAMPLE_RING];

    if (ring->head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == FG_FILTER_SAMPLE_RING) {
        filter->worker_counts[worker][FG_FILTER_VERDICT_COUNT + FG_FILTER_EVENT_SAMPLE_LOST]
            .packets++;
        return;
    }
    slot->time_ns = now_ns;
    slot->verdict = verdict;
    slot->ifindex = 0;
    slot->length = length;
    slot->kept = length < FG_FILTER_SAMPLE_BYTES ? length : FG_FILTER_SAMPLE_BYTES;
    memcpy(slot->bytes, frame, slot->kept);
    memset(slot->bytes + slot->kept, 0, FG_FILTER_SAMPLE_BYTES - slot->kept);
    __atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
}

bool fg_filter_next_sample(struct fg_filter *filter, struct fg_filter_sample *taken)
{
    for (unsigned i = 0; i < FG_WORKERS_MAX; i++) {
        struct fg_filter_sample_ring *ring =
            &filter->rings[(filter->rings_next + i) % FG_WORKERS_MAX];

        if (__atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) == ring->tail)
            continue;
        *taken = ring->slot[ring->tail % FG_FILTER_SAMPLE_RING];
        __atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
        filter->rings_next = (filter->rings_next + i + 1) % FG_WORKERS_MAX;
        return true;
    }
    return false;
}

enum fg_filter_verdict fg_filter_verdict_of_frame(struct fg_filter *filter, unsigned worker,
                                                  const uint8_t *frame, uint32_t length,
                                                  uint64_t now_ns, bool *drop)
{
    struct fg_filter_env env = {.tune = &filter->tune,
                                .live = &filter->live,
                                .state = filter->memory.state,
                                .own = &filter->own,
                                .rows = filter->memory.rows,
                                .sets = filter->memory.sets,
                                .nets = filter->memory.nets,
                                .counts = filter->worker_counts[worker],
                                .rows_count = filter->sizes.rows};
    uint64_t now = (now_ns << FG_FILTER_TICK_SHIFT) + (uint64_t)filter->clock_ahead;
    enum fg_filter_verdict verdict;
    bool order;

    FG_ASSERT(worker < FG_WORKERS_MAX);
    verdict = fg_filter_decide(&env, frame, frame + length, now, &order);
    env.counts[verdict].packets++;
    if (FG_FILTER_VERDICT_DROPS(verdict) && filter->tune.sample_interval &&
        env.counts[verdict].sample_next <= now) {
        env.counts[verdict].sample_next = now + filter->tune.sample_interval;
        sample(filter, worker, verdict, frame, length, now_ns);
    }
    *drop = FG_FILTER_VERDICT_DROPS(verdict) && !filter->live.monitor;
    return verdict;
}
