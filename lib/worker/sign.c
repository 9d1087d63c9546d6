/* SPDX-License-Identifier: BSD-3-Clause */
/* The stage sign. */
#include "worker/sign.h"

#include "worker/transmit.h"

/* The version of the fleet's map: here, so that a reply without a fleet costs nothing for it. */
static __attribute__((noinline)) void write_map(struct fg_worker *w)
{
    for (unsigned i = 0; i < w->unsealed_count; i++)
        ((fg_packet_reply_at *)w->unsealed[i].payload)->shard_map = w->shard_map;
}

unsigned fg_worker_sign(struct fg_worker *w, uint64_t tags[FG_WORKER_BURST_MAX])
{
    const uint64_t *secrets[FG_WORKER_BURST_MAX];
    const void *payloads[FG_WORKER_BURST_MAX];
    unsigned n = w->unsealed_count;

    if (n == 0)
        return 0;
    if (fg_unlikely(w->shard_map))
        write_map(w);
    for (unsigned i = 0; i < n; i++) {
        secrets[i] = w->unsealed[i].key->secret;
        payloads[i] = w->unsealed[i].payload;
    }
    fg_packet_siphash24_56_many(secrets, payloads, tags, n);
    return n;
}

static inline void finish(struct fg_worker *w, const struct fg_worker_job *job, uint64_t tag)
{
    memcpy(job->payload + FG_PACKET_TAG_AT, &tag, sizeof(tag));
    fg_frame_finish(fg_worker_job_frame(job), &job->route.frame);
    fg_worker_send(w, job->mbuf, job->route.queue);
}

void fg_worker_finish(struct fg_worker *w, const uint64_t *tags, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        finish(w, &w->unsealed[i], tags[i]);
    w->unsealed_count = 0;
}

/* There is room for a burst of replies. More in one loop come from several queues and peers. */
static __attribute__((noinline)) void sign_full(struct fg_worker *w)
{
    uint64_t tags[FG_WORKER_BURST_MAX];
    unsigned n = fg_worker_sign(w, tags);

    fg_worker_finish(w, tags, n);
}

void fg_worker_sign_later(struct fg_worker *w, const struct fg_worker_job *job, unsigned status)
{
    fg_counter_add(&w->counters.answered[status], 1);
    w->unsealed[w->unsealed_count++] = *job;
    if (fg_unlikely(w->unsealed_count == FG_WORKER_BURST_MAX))
        sign_full(w);
}
