/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * capture: copies of the order packets that arrive, and of their replies, as a stream in the format
 * pcap (nanoseconds, Ethernet). tcpdump cannot see them where XDP takes them out of the kernel's
 * way.
 *
 * While a capture runs, DPDK calls a function of ours behind each receive burst and in front of
 * each transmit burst; without one, a worker's loop has nothing of it. The functions run on the
 * worker that polls the queue, copy into a ring of that queue, and never wait: a frame that finds
 * no room is counted. At most FG_PORT_CAPTURE_RATE requests a second are taken, divided among the
 * queues; a reply is taken when its request was.
 *
 * Threads: any but a worker; one at a time for each function, and one capture at a time.
 */
#ifndef FG_PORT_CAPTURE_H
#define FG_PORT_CAPTURE_H

#include "base/clock.h"
#include "port/port.h"

#define FG_PORT_CAPTURE_RATE   10000 /**< requests a second, all queues together */
#define FG_PORT_CAPTURE_FRAME  180   /**< bytes of a frame that are kept */
#define FG_PORT_CAPTURE_HEAD   24    /**< bytes of the file's head */
#define FG_PORT_CAPTURE_RECORD 16    /**< bytes of a record's head */

struct fg_port_capture;

struct fg_port_capture_options {
    const struct fg_port_group *ports; /**< started, and polled by the workers */
    const struct fg_clock *clock;
    bool of_user; /**< only requests of `user`, and their replies */
    uint64_t user;
};

struct fg_port_capture_counters {
    uint64_t frames;  /**< that were copied */
    uint64_t skipped; /**< requests over the rate */
    uint64_t lost;    /**< frames that found no room */
};

/** NULL and err: no memory. */
struct fg_port_capture *fg_port_capture_begin(const struct fg_port_capture_options *options,
                                              struct fg_error *err);
/**
 * Whole records of the file, its head first, in the order of time; returns their bytes, 0 when
 * nothing new came. `room`: at least FG_PORT_CAPTURE_RECORD + FG_PORT_CAPTURE_FRAME.
 */
size_t fg_port_capture_read(struct fg_port_capture *capture, uint8_t *out, size_t room);
struct fg_port_capture_counters fg_port_capture_counters(const struct fg_port_capture *capture);
/** Waits until no worker uses it. */
void fg_port_capture_end(struct fg_port_capture *capture);

#endif
