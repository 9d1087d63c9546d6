/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * shared: what the BPF program and user space have in common: verdicts, entries of the maps, tunables.
 * Included by both sides, so: fixed-width integers only, no libc beyond stdint.h.
 */
#ifndef FG_XDP_SHARED_H
#define FG_XDP_SHARED_H

#include <stdint.h>

/* name, text. The only list of verdicts: XDP counters, JSON, metrics. */
#define FG_VERDICT_LIST(X)                                                                                   \
    X(ORDER, "order packets given to the workers")                                                           \
    X(PASS, "everything else, given to the kernel")                                                          \
    X(BLOCKED, "dropped: source on the block list")                                                          \
    X(RATE_ORDER, "dropped: source over its rate of order packets")                                          \
    X(RATE_OTHER, "dropped: source over its rate of other packets")                                          \
    X(MALFORMED, "dropped: broken headers, or an order packet of wrong shape")                               \
    X(FRAGMENT, "dropped: fragment to or at the order port")                                                 \
    X(NO_SOCKET, "dropped: no worker listens at this queue")

enum fg_verdict {
#define X(name, text) FG_VERDICT_##name,
    FG_VERDICT_LIST(X)
#undef X
        FG_VERDICT_COUNT
};

enum fg_list { FG_LIST_BLOCK, FG_LIST_ALLOW };
#define FG_LISTS 2

/** The order packet as far as the shield looks at it; lib/filter asserts that lib/packet agrees. */
#define FG_SHIELD_PAYLOAD 64
#define FG_SHIELD_MAGIC_0 0x46 /* bytes on the wire */
#define FG_SHIELD_MAGIC_1 0x47
#define FG_SHIELD_VERSION 1

/** A network: key of both lists, and of the table of sources (length 32, or the v6_prefix tunable). */
struct fg_net {
    uint8_t family; /**< 4 or 6 */
    uint8_t length; /**< bits */
    uint16_t zero;
    uint32_t addr[4]; /**< network byte order; IPv4 in the first word; host bits zero */
};
_Static_assert(sizeof(struct fg_net) == 20, "key of the lists and of the table of sources");

#define FG_REASON_MAX 24 /**< bytes of an entry's reason, with the closing zero */

/** Value of both lists. */
struct fg_list_value {
    uint64_t hits;    /**< packets that matched; added to atomically by all CPUs */
    uint64_t expires; /**< ticks of the monotonic clock; 0 = never */
    uint64_t last;    /**< ticks of the last match; 0 = none */
    char reason[FG_REASON_MAX];
};
_Static_assert(sizeof(struct fg_list_value) == 48, "value of the lists");

/** Value of the counters. */
struct fg_count {
    uint64_t packets;
    uint64_t sample_next; /**< ticks from which this verdict is sampled again on this CPU */
};
_Static_assert(sizeof(struct fg_count) == 16, "value of the counters");

/** Value of the table of sources: the time, in ticks, at which each bucket is full again (see verdict.h). */
struct fg_source {
    uint64_t order_full;
    uint64_t other_full;
};
_Static_assert(sizeof(struct fg_source) == 16, "value of the table of sources");

/* Times of buckets: 64 ticks a nanosecond, so that a rate of millions/s is still exact to a few ppm. */
#define FG_TICK_SHIFT   6
#define FG_TICKS_SECOND (1000000000ull << FG_TICK_SHIFT)

/** One prefix length in use: what to look up. */
struct fg_length {
    uint8_t family;
    uint8_t length;
    uint16_t zero;
    uint32_t mask[4]; /**< network byte order */
};
_Static_assert(sizeof(struct fg_length) == 20, "read in place by the program");

#define FG_LENGTHS_MAX 129 /**< lengths 0..128 */

struct fg_length_table {
    uint32_t count;
    struct fg_length slot[FG_LENGTHS_MAX]; /**< longest first */
};

/**
 * The prefix lengths in use by one list and family. User space fills the table that is not in force, then
 * moves `active` with one store: the program never sees half a change.
 */
struct fg_lengths {
    uint32_t active; /**< 0 or 1 */
    uint32_t zero;
    struct fg_length_table table[2];
};
_Static_assert(sizeof(struct fg_length_table) == 2584, "read in place by the program");
_Static_assert(sizeof(struct fg_lengths) == 5176, "value of the map of lengths; a multiple of 8");

#define FG_LENGTHS_INDEX(list, family) ((list)*2 + ((family) == 6))
#define FG_LENGTHS_COUNT               (FG_LISTS * 2)

/** A token bucket; interval 0 = no limit. */
struct fg_rate {
    uint64_t interval; /**< ticks between two packets of the rate */
    uint64_t window;   /**< ticks that the bucket holds: burst * interval */
};

/** Read-only data of the program, set before it is loaded: the verifier removes what is switched off. */
struct fg_tunables {
    struct fg_rate order;
    struct fg_rate other;
    uint32_t v6_mask[4]; /**< network byte order */
    uint16_t order_port; /**< network byte order */
    uint8_t v6_length;   /**< bits of v6_mask */
    uint8_t ignore_lists;
    uint8_t monitor; /**< judge and count, drop nothing */
    uint8_t zero[3];
    uint64_t sample_interval; /**< ticks between two samples of a verdict on a CPU; 0 = none */
};
_Static_assert(sizeof(struct fg_tunables) == 64, "read-only data of the program");

#define FG_SAMPLE_BYTES 96

/** A dropped packet, in the ring of samples; in monitor mode one that would have been. */
struct fg_drop_sample {
    uint64_t time_ns; /**< CLOCK_MONOTONIC */
    uint32_t verdict;
    uint32_t ifindex;
    uint32_t length; /**< of the frame */
    uint32_t kept;   /**< bytes that follow: a multiple of 8, or all */
    uint8_t bytes[FG_SAMPLE_BYTES];
};
_Static_assert(sizeof(struct fg_drop_sample) == 120, "record in the ring of samples");

#define FG_SAMPLES_BYTES (64 * 1024) /**< of the ring: some 500 samples */

/** Sockets of one interface: receive queues beyond this are refused at start-up. */
#define FG_SOCKETS_MAX 64

/* Answers of the second program in the object, which looks a queue up for fg_filter_check_socket. */
enum fg_probe { FG_PROBE_NONE, FG_PROBE_FOUND, FG_PROBE_OTHER_QUEUE, FG_PROBE_BAD_INPUT };

#endif
