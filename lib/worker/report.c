/* SPDX-License-Identifier: BSD-3-Clause */
/* Only packets that are bad already cost this. */
#include "worker/report.h"

/* The last slots are for offences with a correct tag: a flood of forged packets must not hide a
 * client that has a key. */
#define KEPT_FOR_SIGNED 1024

static void push(struct fg_worker *w, const struct rte_mbuf *m, struct fg_penalty_report *report)
{
    report->family =
        (uint8_t)fg_frame_source(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, report->addr);
    report->events = 1;
    if (!fg_ring_push(w->reports, report))
        fg_counter_add(&w->counters.reports_lost, 1);
}

void fg_worker_report(struct fg_worker *w, const struct rte_mbuf *m,
                      enum fg_penalty_offence offence)
{
    struct fg_penalty_report report = {.offence = (uint8_t)offence};

    if (fg_ring_room(w->reports, KEPT_FOR_SIGNED + 1) > KEPT_FOR_SIGNED)
        push(w, m, &report);
    else
        fg_counter_add(&w->counters.reports_lost, 1);
}

void fg_worker_report_signed(struct fg_worker *w, const struct fg_worker_job *job,
                             enum fg_penalty_offence offence)
{
    struct fg_penalty_report report = {.offence = (uint8_t)offence};

    push(w, job->mbuf, &report);
}
