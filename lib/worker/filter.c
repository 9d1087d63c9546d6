/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/filter.h"

#include "filter/filter.h"

unsigned fg_worker_filter(struct fg_worker *w, struct rte_mbuf **mbufs, unsigned n)
{
    uint64_t now_ns = fg_clock_now_mono_ns(w->clock);
    unsigned left = 0;

    for (unsigned i = 0; i < n; i++) {
        bool drop;

        fg_filter_verdict_of_frame(w->filter, w->index, rte_pktmbuf_mtod(mbufs[i], const uint8_t *),
                                   mbufs[i]->data_len, now_ns, &drop);
        if (fg_likely(!drop)) {
            mbufs[left++] = mbufs[i];
            continue;
        }
        rte_pktmbuf_free(mbufs[i]);
    }
    return left;
}
