/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * decide: the engine's answers to requests, commands and what was deferred. Only the worker's own
 * thread calls these.
 */
#ifndef FG_WORKER_DECIDE_H
#define FG_WORKER_DECIDE_H

#include "worker/worker.h"

#define FG_WORKER_DECIDE_BURST 64u /**< requests whose tables are fetched together */

/** Copies up to FG_WORKER_DECIDE_BURST requests out of their packets and fetches their tables. */
void fg_worker_prefetch(struct fg_worker *w, const struct fg_worker_job *jobs, unsigned n,
                        struct fg_stock_request *requests);
/** Decides; returns how many have an answer now. Those jobs and answers move to the front. */
unsigned fg_worker_decide(struct fg_worker *w, struct fg_worker_job *jobs,
                          const struct fg_stock_request *requests, unsigned n,
                          struct fg_stock_answer *answers);
/** The same, and notes for fg_worker_trace_burst those that have no answer now. handed: they came
 * from another worker. */
unsigned fg_worker_decide_traced(struct fg_worker *w, struct fg_worker_job *jobs,
                                 const struct fg_stock_request *requests, unsigned n,
                                 struct fg_stock_answer *answers, bool handed);
/** Commands of the operator. Returns how many, as the next two do. */
unsigned fg_worker_commands(struct fg_worker *w);
/** Inbound commands of the order service: decided like a packet of role backend. */
unsigned fg_worker_inbound(struct fg_worker *w);
/** Answers that were deferred and may leave now. */
unsigned fg_worker_answers(struct fg_worker *w);

#endif
