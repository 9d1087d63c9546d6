/* SPDX-License-Identifier: BSD-3-Clause */
/** sign: tags and checksums of all replies of a loop together, several in one vector. */
#ifndef FG_WORKER_SIGN_H
#define FG_WORKER_SIGN_H

#include "worker/worker.h"

/** Counts the reply and keeps it for the next signing. */
void fg_worker_sign_later(struct fg_worker *w, const struct fg_worker_job *job, unsigned status);
/** Computes the tags of the kept replies; returns how many. */
unsigned fg_worker_sign(struct fg_worker *w, uint64_t tags[FG_WORKER_BURST_MAX]);
/** Writes tags and checksums, and sends. */
void fg_worker_finish(struct fg_worker *w, const uint64_t *tags, unsigned n);

#endif
