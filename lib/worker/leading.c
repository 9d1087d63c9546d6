/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/leading.h"

#include "worker/reply.h"

void fg_worker_set_mode(struct fg_worker *w, enum fg_stock_mode mode)
{
    FG_ASSERT(mode != FG_STOCK_NOT_LEADER); /* it began with that: who led never stands by again */
    w->mode = mode;
    fg_stock_set_mode(w->stock, mode);
}

bool fg_worker_is_stale(const struct fg_worker *w)
{
    return w->leading && w->mode != FG_STOCK_NOT_LEADER &&
           (w->mode == FG_STOCK_FAILED ||
            fg_clock_tsc() >
                atomic_load_explicit(&w->leading->valid_until_tsc, memory_order_relaxed));
}

static void drop_requests(struct fg_worker *w, const struct fg_worker_job *jobs, unsigned n)
{
    fg_counter_add(&w->counters.stale, n);
    for (unsigned i = 0; i < n; i++)
        rte_pktmbuf_free(jobs[i].mbuf);
}

unsigned fg_worker_lead(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n)
{
    if (w->mode == FG_STOCK_NOT_LEADER) {
        for (unsigned i = 0; i < n; i++)
            fg_worker_reply_refuse(w, &jobs[i], FG_PACKET_STATUS_NOT_LEADER, 0);
        return 0;
    }
    if (fg_likely(!fg_worker_is_stale(w)))
        return n;
    drop_requests(w, jobs, n);
    return 0;
}

bool fg_worker_hold(struct fg_worker *w, const struct fg_stock_answer *answer)
{
    struct fg_worker_unproven *u = &w->unproven[w->unproven_tail % FG_WORKER_UNPROVEN_MAX];

    if (w->unproven_tail - w->unproven_head == FG_WORKER_UNPROVEN_MAX) {
        fg_counter_add(&w->counters.unproven, 1);
        return false;
    }
    *u = (struct fg_worker_unproven){.probe = fg_leading_probe(w->leading), .answer = *answer};
    w->unproven_tail++;
    return true;
}

unsigned fg_worker_proven(struct fg_worker *w, struct fg_stock_answer *answers, unsigned max)
{
    unsigned n = 0;

    while (n < max && w->unproven_head != w->unproven_tail) {
        const struct fg_worker_unproven *u =
            &w->unproven[w->unproven_head % FG_WORKER_UNPROVEN_MAX];

        if (!fg_leading_proven(w->leading, u->probe))
            break;
        answers[n++] = u->answer;
        w->unproven_head++;
    }
    return n;
}

unsigned fg_worker_drop_stale(struct fg_worker *w, struct rte_mbuf **mbufs, unsigned n)
{
    unsigned left = 0;

    for (unsigned i = 0; i < n; i++) {
        if (mbufs[i]->packet_type == FG_WORKER_NEIGHBOUR)
            mbufs[left++] = mbufs[i];
        else
            rte_pktmbuf_free(mbufs[i]);
    }
    fg_counter_add(&w->counters.stale, n - left);
    return left;
}
