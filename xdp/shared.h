/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * shared: what the BPF program and user space have in common: verdicts, entries of the maps,
 * tunables. Included by both sides, so: fixed-width integers only, no libc beyond stdint.h.
 */
#ifndef FG_XDP_SHARED_H
#define FG_XDP_SHARED_H

#include <stdint.h>

/* name, text. The only list of verdicts: XDP counters, JSON, metrics. */
#define FG_FILTER_VERDICT_LIST(X)                                                                  \
    X(ORDER, "order packets given to the workers")                                                 \
    X(PASS, "everything else, given to the kernel")                                                \
    X(FOREIGN, "to the order port of a MAC or IP address that is not ours, given to the kernel")   \
    X(BLOCKED, "dropped: source on the block list")                                                \
    X(RATE_ORDER, "dropped: source over its rate of order packets")                                \
    X(RATE_SYN, "dropped: source over its rate of connection attempts (TCP SYN)")                  \
    X(RATE_OTHER, "dropped: source over its rate of other packets")                                \
    X(RATE_NET, "dropped: the /24 or /48 of the source is over its rate")                          \
    X(BAD_ETHERNET, "dropped: Ethernet or VLAN header cut, or more than two VLAN tags")            \
    X(BAD_IPV4, "dropped: IPv4 header cut, of wrong version or length, or longer than the frame")  \
    X(BAD_IPV6, "dropped: IPv6 header cut, of wrong version, or longer than the frame")            \
    X(BAD_EXTENSION, "dropped: IPv6 extension headers cut, too long, or too many")                 \
    X(BAD_SOURCE, "dropped: multicast or broadcast as source address")                             \
    X(BAD_UDP, "dropped: UDP header cut or hidden by a fragment")                                  \
    X(BAD_TCP,                                                                                     \
      "dropped: TCP header cut, hidden by a fragment, or with flags that contradict each other")   \
    X(ORDER_HEADER,                                                                                \
      "dropped: order packet with IP options, extension headers, two VLAN tags, or no source")     \
    X(ORDER_LENGTH, "dropped: packet of wrong length to the order port")                           \
    X(ORDER_MAGIC, "dropped: packet to the order port of wrong magic or version")                  \
    X(FRAGMENT, "dropped: fragment to the order port")                                             \
    X(NO_SOCKET, "dropped: no worker listens at this queue")

enum fg_filter_verdict {
#define X(name, text) FG_FILTER_VERDICT_##name,
    FG_FILTER_VERDICT_LIST(X)
#undef X
        FG_FILTER_VERDICT_COUNT
};

/** ORDER, PASS and FOREIGN let a packet in; all verdicts behind them drop it. */
#define FG_FILTER_VERDICT_DROPS(verdict) ((verdict) >= FG_FILTER_VERDICT_BLOCKED)

enum fg_filter_list { FG_FILTER_LIST_BLOCK, FG_FILTER_LIST_ALLOW };
#define FG_FILTER_LISTS 2

/** The order packet as far as the filter reads it; lib/filter asserts that lib/packet agrees. */
#define FG_FILTER_ORDER_BYTES   64
#define FG_FILTER_ORDER_MAGIC_0 0x46 /* bytes on the wire */
#define FG_FILTER_ORDER_MAGIC_1 0x47
#define FG_FILTER_ORDER_VERSION 2

/* name, text. Events that the data path counts beside verdicts. */
#define FG_FILTER_EVENT_LIST(X)                                                                    \
    X(SOURCE_NEW, "sources that got a place in the table of sources")                              \
    X(SOURCE_REFUSED, "packets of sources without a slot in the full table: only the rate of "     \
                      "their network counts")                                                      \
    X(SAMPLE_LOST, "samples that found the ring full")

enum fg_filter_event {
#define X(name, text) FG_FILTER_EVENT_##name,
    FG_FILTER_EVENT_LIST(X)
#undef X
        FG_EVENT_COUNT
};

/** Values of the counters: verdicts, then events. */
#define FG_FILTER_COUNTS (FG_FILTER_VERDICT_COUNT + FG_EVENT_COUNT)

struct fg_filter_count {
    uint64_t packets;
    uint64_t sample_next; /**< ticks from which this verdict is sampled again on this CPU */
};
_Static_assert(sizeof(struct fg_filter_count) == 16, "value of the counters");

/*
 * Times are ticks: 64 a nanosecond, so that a rate of millions/s is still exact to a few ppm. The
 * clock of the kernel's data path is jiffies (one load; bpf_ktime_get_ns costs 30 ns), so it moves
 * every 1 to 10 ms.
 */
#define FG_FILTER_TICK_SHIFT   6
#define FG_FILTER_TICKS_SECOND (1000000000ull << FG_FILTER_TICK_SHIFT)

/* ---- lists ----------------------------------------------------------------------------------- */

#define FG_FILTER_REASON_MAX 24 /**< bytes of an entry's reason, with the closing zero */

/** The kind of an entry as one word that is compared: list, family, length. */
#define FG_FILTER_ENTRY_KIND(list, family, length)                                                 \
    ((uint32_t)1 << 24 | (uint32_t)(list) << 16 | (uint32_t)(family) << 8 | (uint32_t)(length))

/** An entry of a list. Addresses are numbers in host byte order; IPv4 is in the upper half of hi.
 */
struct fg_filter_listed {
    uint64_t hi, lo;
    uint32_t kind;    /**< FG_FILTER_ENTRY_KIND; 0 = free */
    uint32_t last;    /**< ticks >> FG_FILTER_SEEN_SHIFT of the last match; 0 = none. Free: the next
                         free entry */
    uint64_t expires; /**< ticks; 0 = never */
    uint64_t hits;    /**< packets that matched; added to atomically by all CPUs */
    char reason[FG_FILTER_REASON_MAX];
};

/*
 * Lists live in one array of rows. Two generations, so that a bulk load is built beside the list in
 * force. Each has rows of the prefix-length filter, rows of cells (a hash table by linear probing),
 * and its entries. A cell is 0, or FG_FILTER_CELL_GONE (was in use: look further), or the number of
 * an entry << 8 with 8 bits of the hash.
 *
 * A word of the filter belongs to a group of addresses, those of the same leading FG_FILTER_GROUP_4
 * or FG_FILTER_GROUP_6 bits (by hash, so several groups may share a word), and names the slots
 * (lists and prefix lengths) in which an address of the group may be found: up to
 * FG_FILTER_LENGTHS_FILTER_FIELDS numbers, ascending, the first in the lowest bits. 0 = no more;
 * FG_FILTER_LENGTHS_FILTER_FULL as the last one = perhaps any slot behind the one before.
 */
#define FG_FILTER_ROW_CELLS     16
#define FG_FILTER_ROW_WORDS     8
#define FG_FILTER_PROBES_MAX    64
#define FG_FILTER_CELL_GONE     1u
#define FG_FILTER_ENTRY_MAX     0xffffffu
#define FG_FILTER_CELL(n, tag)  ((uint32_t)(n) << 8 | (uint8_t)(tag))
#define FG_FILTER_CELL_ENTRY(c) ((c) >> 8)

#define FG_FILTER_GROUP_4               22
#define FG_FILTER_GROUP_6               40
#define FG_FILTER_LENGTHS_FILTER_FIELDS 6
#define FG_FILTER_LENGTHS_FILTER_BITS   10 /**< of a field */
#define FG_FILTER_LENGTHS_FILTER_FIELD  ((1u << FG_FILTER_LENGTHS_FILTER_BITS) - 1)
#define FG_FILTER_LENGTHS_FILTER_FULL   FG_FILTER_LENGTHS_FILTER_FIELD

/* The uses of the bits of a prefix's hash. */
#define FG_FILTER_HASH_TAG(hash) ((uint8_t)(hash))
#define FG_FILTER_HASH_CELL(hash)                                                                  \
    ((uint32_t)((hash) >> 8) & ~1u) /* cells are read in pairs                                     \
                                     */

union fg_filter_row {
    uint64_t lengths[FG_FILTER_ROW_WORDS];
    uint32_t cell[FG_FILTER_ROW_CELLS];
    uint64_t pair[FG_FILTER_ROW_CELLS / 2];
    struct fg_filter_listed entry;
};
_Static_assert(sizeof(union fg_filter_row) == 64, "value of the map of lists: one cache line");

#define FG_FILTER_LENGTHS_MAX 129 /**< lengths 0..128 */

/*
 * A slot is a list and a prefix length. Allow beats block, and the longest prefix of a list counts:
 * the first slot in which an address is found decides. Slot 0 is not used.
 */
#define FG_FILTER_LIST_SLOT(list, length)                                                          \
    (((list) == FG_FILTER_LIST_ALLOW ? 0u : FG_FILTER_LENGTHS_MAX) + FG_FILTER_LENGTHS_MAX -       \
     (length))
#define FG_FILTER_LIST_SLOT_BLOCK                                                                  \
    (FG_FILTER_LENGTHS_MAX + 1u) /**< the first one of the block list */
#define FG_FILTER_LIST_SLOTS (FG_FILTER_LISTS * FG_FILTER_LENGTHS_MAX + 1u)

struct fg_filter_list_slot {
    uint64_t hi, lo; /**< mask */
    uint64_t salt;   /**< of the hash: kind and seed */
    uint32_t kind;
    uint32_t count; /**< of entries */
};
_Static_assert(FG_FILTER_LIST_SLOTS <= FG_FILTER_LENGTHS_FILTER_FULL,
               "a field of the filter holds the number of a slot");

enum { FG_FILTER_FAMILY_4, FG_FILTER_FAMILY_6, FG_FILTER_FAMILIES };

/** How to look something up: all of it is put in force with one store to `active`. */
struct fg_filter_head {
    uint32_t lengths, lengths_mask; /**< prefix-length filter: its first row; words - 1 */
    uint32_t cells, cells_mask;     /**< first row of cells; cells - 1 */
    uint32_t entries;               /**< row of entry 0, which is never used */
    uint32_t generation;            /**< 0 or 1 */
    struct fg_filter_list_slot slot[FG_FILTER_FAMILIES][FG_FILTER_LIST_SLOTS];
};

#define FG_FILTER_STATE_VERSION 3 /**< of all pinned maps together */

/** The only value of the map of state. */
struct fg_filter_state {
    uint32_t version;
    uint32_t active; /**< which head is in force, 0 or 1 */
    uint64_t seed;   /**< of all hashes: strangers cannot aim at places */
    struct fg_filter_head heads[2];
    /* only for user space */
    uint32_t prefixes_max;
    uint32_t changing; /**< 1 while a process changes what follows; left behind by one that died */
    uint32_t used;     /**< entries 1..used were taken at some time */
    uint32_t free;     /**< first of those that were given back; 0 = none */
};
_Static_assert(sizeof(struct fg_filter_list_slot) == 32, "read in place by the program");
_Static_assert(sizeof(struct fg_filter_state) % 8 == 0, "value of the map of state");

/* ---- own addresses --------------------------------------------------------------------------- */

#define FG_FILTER_OWN_MACS      8
#define FG_FILTER_OWN_ADDRESSES 64  /**< of an interface, both families together */
#define FG_FILTER_OWN_CELLS     256 /**< a power of two */
#define FG_FILTER_OWN_PROBES    4   /**< cells in which an address may be found */

#define FG_FILTER_SERVERS 16 /**< connections of ours, by the address of the other end */

#define FG_FILTER_OWN_MAC_SET                                                                      \
    (1ull << 63) /**< marks a MAC address: its six bytes are the lower ones */
#define FG_FILTER_OWN_HI_4                                                                         \
    (0xff04ull << 48) /**< upper half of an IPv4 address, which is the lower half                  \
                       */

/** Addresses in host byte order. A free cell is all ones: a multicast address is never ours. */
struct fg_filter_own_cell {
    uint64_t hi, lo;
};

struct fg_filter_own_table {
    uint64_t salt; /**< with it, each address is found in FG_FILTER_OWN_PROBES cells */
    uint64_t mac[FG_FILTER_OWN_MACS];
    struct fg_filter_own_cell cell[FG_FILTER_OWN_CELLS + FG_FILTER_OWN_PROBES];
};

/** Whose packets we take at one interface. A change is put in force with one store to `active`. */
struct fg_filter_own {
    uint32_t checked; /**< 0: any address is taken for ours */
    uint32_t active;  /**< which table is in force, 0 or 1 */
    struct fg_filter_own_table table[2];
    uint64_t servers; /**< 0: none is known */
    /** Their other packets have no rate. A free cell is all ones. A change is seen at once or,
     * while it is half done, not at all. */
    struct fg_filter_own_cell server[FG_FILTER_SERVERS];
};
_Static_assert(sizeof(struct fg_filter_own) == 8736, "value of the map of own addresses");

/* ---- rates ----------------------------------------------------------------------------------- */

enum fg_filter_class {
    FG_FILTER_CLASS_ORDER,
    FG_FILTER_CLASS_SYN,
    FG_FILTER_CLASS_OTHER,
    FG_FILTER_CLASSES
};

/** Time at which each bucket is full again, in ticks (see limit.h). */
struct fg_filter_buckets {
    uint64_t full[FG_FILTER_CLASSES];
};

#define FG_FILTER_WAYS       7
#define FG_FILTER_SEEN_SHIFT 32 /**< ticks >> this = units of 67 ms */

/**
 * Sources whose keys fall together. One that was seen in two units of time is known and keeps its
 * place for idle_known; another one only for idle_new.
 */
struct fg_filter_source_set {
    uint64_t key[FG_FILTER_WAYS];  /**< 0 = free */
    uint32_t seen[FG_FILTER_WAYS]; /**< unit of the last packet << 1 | known */
    uint32_t zero;
    struct fg_filter_buckets way[FG_FILTER_WAYS];
};
_Static_assert(sizeof(struct fg_filter_source_set) == 256, "value of the table of sources");

/** A network of sources, or several that share a place. */
struct fg_filter_net_row {
    struct fg_filter_buckets buckets;
    uint64_t zero;
};
_Static_assert(sizeof(struct fg_filter_net_row) == 32, "value of the table of networks");

/** A token bucket; interval 0 = no limit. */
struct fg_filter_rate {
    uint64_t interval; /**< ticks between two packets of the rate */
    uint64_t window;   /**< ticks that the bucket holds: burst * interval */
};

/** Read-only data of the program, set before it is loaded: the verifier removes what is switched
 * off. */
struct fg_filter_tunables {
    uint64_t v6_mask;         /**< of the upper half of an address */
    uint64_t sample_interval; /**< ticks between two samples of a verdict on a CPU; 0 = none */
    uint64_t jiffy_ticks;
    uint32_t sets_mask, nets_mask;
    uint16_t order_port; /**< network byte order */
    uint8_t ignore_lists;
    uint8_t zero;
    uint16_t order_more; /**< further order ports behind it, host byte order */
    uint8_t zero2[2];
};
_Static_assert(sizeof(struct fg_filter_tunables) == 40, "read-only data of the program");

/** Changed while the program runs: a map of one value, that user space writes. Each word is written
 * whole; a packet that comes meanwhile may see old ones and new ones. */
struct fg_filter_live {
    struct fg_filter_rate source[FG_FILTER_CLASSES];
    struct fg_filter_rate net[FG_FILTER_CLASSES];
    uint32_t idle_new, idle_known; /**< units of 1 << FG_FILTER_SEEN_SHIFT ticks */
    uint32_t monitor;              /**< decide and count, drop nothing */
    uint32_t zero;
};
_Static_assert(sizeof(struct fg_filter_live) == 112, "data of the program");

/* ---- samples, sockets ------------------------------------------------------------------------ */

#define FG_FILTER_SAMPLE_BYTES 96

/** A dropped packet, in the ring of samples; in monitor mode one that would have been. */
struct fg_filter_sample {
    uint64_t time_ns; /**< CLOCK_MONOTONIC */
    uint32_t verdict;
    uint32_t ifindex;
    uint32_t length; /**< of the frame */
    uint32_t kept;   /**< bytes that follow: a multiple of 8, or all */
    uint8_t bytes[FG_FILTER_SAMPLE_BYTES];
};
_Static_assert(sizeof(struct fg_filter_sample) == 120, "record in the ring of samples");

#define FG_FILTER_SAMPLES_BYTES (64 * 1024) /**< of the ring: some 500 samples */

/** Sockets of one interface: receive queues beyond this are refused at start-up. */
#define FG_FILTER_SOCKETS_MAX 64

/* Answers of the second program in the object, which looks a queue up for fg_filter_check_socket.
 */
enum fg_filter_probe {
    FG_FILTER_PROBE_NONE,
    FG_FILTER_PROBE_FOUND,
    FG_FILTER_PROBE_OTHER_QUEUE,
    FG_FILTER_PROBE_BAD_INPUT
};

#endif
