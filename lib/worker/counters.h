/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * counters: counters of the packet path, one block per worker, only that worker writes (relaxed),
 * anyone reads. One list gives the enum, the names in JSON and metrics, and the help text.
 */
#ifndef FG_WORKER_COUNTERS_H
#define FG_WORKER_COUNTERS_H

#include "base/histogram.h"
#include "packet/packet.h"

/* name, text */
#define FG_WORKER_COUNTER_LIST(X)                                                                  \
    X(rx, "frames received by this worker's queues")                                               \
    X(tx, "replies handed to the port")                                                            \
    X(tx_dropped, "replies dropped: the port took none for 100 ms, or too many waited for it")     \
    X(orders, "order packets with a correct tag")                                                  \
    X(other, "frames that are not order packets")                                                  \
    X(foreign, "packets to the order port of a MAC or IP address that is not ours, where no "      \
               "kernel takes them")                                                                \
    X(neighbour, "ARP, neighbour discovery and ping that were answered, where no kernel does")     \
    X(denied, "requests whose key may not do the operation")                                       \
    X(handed_off, "requests passed to the worker that owns the user")                              \
    X(handoff_full, "requests answered BUSY, or dropped, because the owner's ring was full")       \
    X(no_slot, "requests answered BUSY because no reply slot was free")                            \
    X(no_mbuf, "replies lost because the mbuf pool was empty")                                     \
    X(reports_lost, "offences that the penalty box missed because too many came at once")          \
    X(traces_lost, "requests of traced orders whose steps were not kept because too many came")    \
    X(stale, "requests and replies dropped: too long no sign that this appliance leads its pair")  \
    X(unproven, "replies such as UNKNOWN_ORDER dropped: too many waited for a sign that this "     \
                "appliance leads its pair")                                                        \
    X(loops, "poll loops")                                                                         \
    X(idle_loops, "poll loops that found nothing to do")                                           \
    X(rang, "times that this worker, with nothing to do, woke the thread that writes the log")     \
    X(gave_way,                                                                                    \
      "sleeps of a moment because a commit took long: the disk may have waited for the CPU")

struct fg_worker_counters {
#define X(name, text) _Atomic uint64_t name;
    FG_WORKER_COUNTER_LIST(X)
#undef X
    _Atomic uint64_t dropped[FG_PACKET_DROP_COUNT];    /**< by enum fg_packet_drop */
    _Atomic uint64_t answered[FG_PACKET_STATUS_COUNT]; /**< replies by status */
} __attribute__((aligned(FG_CACHE_LINE)));

/* name, text */
#define FG_WORKER_LATENCY_LIST(X)                                                                  \
    X(decide, "from the poll of the queue to the decision, by burst")                              \
    X(durable, "from there to the moment when a deferred answer may leave: its record is on disk") \
    X(send, "from there until the port has the reply")

/** How long orders take, ns. The clock is read once for a burst, so that it costs them nothing. */
struct fg_worker_latency {
#define X(name, text) struct fg_histogram name;
    FG_WORKER_LATENCY_LIST(X)
#undef X
} __attribute__((aligned(FG_CACHE_LINE)));

#endif
