/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * traced: the book of traced orders: the last requests whose steps the workers wrote down, in a
 * table of fixed size. Requests that a record answered have a part of their own, so that a flood of
 * rejections does not push them out. Any thread but a worker; it has a lock.
 */
#ifndef FG_WORKER_TRACED_H
#define FG_WORKER_TRACED_H

#include "worker/group.h"
#include "worker/steps.h"

#define FG_WORKER_TRACED_KEPT 32768 /**< requests of each part */

struct fg_worker_traced;

/** NULL: out of memory. The group must outlive it. */
struct fg_worker_traced *fg_worker_traced_create(struct fg_worker_group *group);
void fg_worker_traced_destroy(struct fg_worker_traced *book);
/** Takes what the workers wrote. Every 100 ms. */
void fg_worker_traced_poll(struct fg_worker_traced *book);
/** The requests of one order, up to max, in the order of their arrival; received_ns is Unix time.
 */
unsigned fg_worker_traced_find(struct fg_worker_traced *book, uint64_t user,
                               const uint8_t order_id[16], struct fg_worker_steps *list,
                               unsigned max);

#endif
