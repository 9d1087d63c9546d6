/* SPDX-License-Identifier: BSD-3-Clause */
/** filter: the filter's verdicts on a port without XDP. Only the worker's own thread calls it. */
#ifndef FG_WORKER_FILTER_H
#define FG_WORKER_FILTER_H

#include "worker/worker.h"

/** Drops the frames that the filter refuses; returns how many are left, in their order. */
unsigned fg_worker_filter(struct fg_worker *w, struct rte_mbuf **mbufs, unsigned n);

#endif
