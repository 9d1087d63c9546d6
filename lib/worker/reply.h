/* SPDX-License-Identifier: BSD-3-Clause */
/** reply: what the engine answered becomes a packet, without its tag yet (sign.h). */
#ifndef FG_WORKER_REPLY_H
#define FG_WORKER_REPLY_H

#include "worker/worker.h"

/** Builds the replies in their requests' buffers. */
void fg_worker_reply_now(struct fg_worker *w, const struct fg_worker_job *jobs,
                         const struct fg_stock_answer *answers, unsigned n);
void fg_worker_reply_refuse(struct fg_worker *w, const struct fg_worker_job *job,
                            enum fg_packet_status status, uint32_t retry_ms);
/** Keeps the return address in the first free slot, whose number is `token`. The mbuf stays the
 * caller's. */
void fg_worker_reply_defer(struct fg_worker *w, uint32_t token, const struct fg_worker_job *job);
/** Frees the slot of an answer that is not sent. */
void fg_worker_reply_forget(struct fg_worker *w, const struct fg_stock_answer *answer);
/** Builds the reply in a new mbuf and frees the slot. */
void fg_worker_reply_deferred(struct fg_worker *w, const struct fg_stock_answer *answer);

#endif
