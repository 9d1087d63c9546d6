/* SPDX-License-Identifier: BSD-3-Clause */
/** idle: the end of a loop. Only the worker's own thread calls these. */
#ifndef FG_WORKER_IDLE_H
#define FG_WORKER_IDLE_H

#include "worker/worker.h"

void fg_worker_idle_start(void);                         /**< once, before the first loop */
void fg_worker_idle(struct fg_worker *w, unsigned work); /**< work: how much this loop did */

#endif
