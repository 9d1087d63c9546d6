/* SPDX-License-Identifier: BSD-3-Clause */
/** report: offences for the penalty box. Only the worker's own thread calls these. */
#ifndef FG_WORKER_REPORT_H
#define FG_WORKER_REPORT_H

#include "worker/worker.h"

/** Pushes a report if there is room. Call it before the frame is turned around. */
void fg_worker_report(struct fg_worker *w, const struct rte_mbuf *m,
                      enum fg_penalty_offence offence);
/** The request's tag was correct: room is kept for it. That proves who signed, not who sent. */
void fg_worker_report_signed(struct fg_worker *w, const struct fg_worker_job *job,
                             enum fg_penalty_offence offence);

#endif
