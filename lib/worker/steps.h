/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * steps: the times of one request, from its arrival to its answer. Some orders are traced, a share
 * chosen by a hash of user and order id; the worker that decides writes one message for each of
 * their requests. No DPDK here: the control server shows them.
 */
#ifndef FG_WORKER_STEPS_H
#define FG_WORKER_STEPS_H

#include <stdint.h>

/** A message of a ring (base/ring.h). Times count from the arrival; 0 = this step was not made. */
struct fg_worker_steps {
    uint64_t user;
    uint8_t order_id[16];
    uint64_t received_ns; /**< when the poll found it; fg_clock_passed_ns, later Unix time */
    uint64_t durable_ns;  /**< the record of a deferred answer was on disk */
    uint64_t sent_ns;   /**< the loop that gave the reply to the port, or to its worker, is over */
    uint32_t handed_ns; /**< the owner took it out of the ring from the worker of the port */
    uint32_t decided_ns;
    uint8_t op;     /**< enum fg_packet_op */
    uint8_t status; /**< enum fg_packet_status of the answer; 0 = none: it repeats one that waits */
    uint8_t worker; /**< that decided */
    uint8_t received; /**< worker that polls the queue it came by */
    uint16_t queue;   /**< private to trace.c, as the next */
    uint16_t loop;    /**< its number; of a free one the next free one */
};
_Static_assert(sizeof(struct fg_worker_steps) == 64, "one message of a ring");

#endif
