/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * port: the start of DPDK, and the ports that orders come in by: AF_XDP interfaces, PCI devices and
 * virtual devices.
 *
 * Order of calls: fg_port_eal_start, fg_port_group_start, the workers' loops, their end,
 * fg_port_group_stop, fg_port_eal_stop. A stop is right after a start that failed half way, too.
 *
 * Threads: the main thread calls everything, except where a comment says "any thread". Each
 * net_memif port has a thread of its own (memif.h). Other threads only read the fields marked
 * _Atomic, and the queues once the ports are started.
 *
 * Ownership: the group owns ethdevs, queues and their pools. The options, with all that they point
 * to, must stay valid until fg_port_group_stop.
 *
 * Errors: a start that fails says in `err` which port, which device and which setting.
 */
#ifndef FG_PORT_H
#define FG_PORT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "filter/filter.h"
#include "frame/frame.h"
#include "port/options.h"

struct fg_port_group_options {
    const struct fg_port_options *ports; /**< [count] */
    unsigned count;
    const struct fg_port_eal_options *eal;
    unsigned workers;         /**< worker n % workers polls queue n */
    int cpus[FG_WORKERS_MAX]; /**< of each worker; -1 = any */
    uint16_t order_port;      /**< UDP, of worker 0 */
    bool steer;               /**< worker n has order_port + n: bring it there by flow rules */
    const char *floating;     /**< addresses that move between two appliances
                                 (fg_address_floating_read): those at the names of ports without a
                                 kernel are theirs while this one leads; NULL = none */
    bool filter_frames;       /**< the workers filter where no XDP program stands in front */
    struct fg_filter *filter; /**< attached to the interfaces; NULL without AF_XDP ports */
    /**
     * Waits until every running worker began and ended a loop after the call; false after
     * timeout_ms. The threads of net_memif ports call it.
     */
    bool (*workers_pass)(const void *ctx, unsigned timeout_ms);
    const void *ctx;
};

/** Announcements of an address, and the polls (of 100 ms) from one to the next. */
#define FG_PORT_ANNOUNCEMENTS  3
#define FG_PORT_ANNOUNCE_POLLS 10

/** One receive and transmit queue. Any worker may allocate from the pool. */
struct fg_port_queue {
    uint16_t number; /**< over all ports */
    uint16_t ethdev, index;
    uint16_t worker; /**< that polls it */
    struct rte_mempool *pool;
    const struct fg_frame_host *host; /**< NULL: the worker answers no ARP and no ping here */
    _Atomic bool *announce; /**< true: the worker that polls it announces the addresses of `host`,
                               and sets it back. NULL: never */
    bool filtered;          /**< by the worker: there is no XDP in front */
};

/* name, name in text, meaning */
#define FG_PORT_LINK_LIST(X)                                                                       \
    X(NEW, "new", "no link since the start: the other end is not there yet")                       \
    X(UP, "up", "frames can come and go")                                                          \
    X(DOWN, "down", "lost: comes back by itself")                                                  \
    X(DETACHED, "detached",                                                                        \
      "the link is up, but the XDP program was taken away: `fgctl filter attach`")                 \
    X(GONE, "gone", "the interface was removed: needs a restart once it is there again")

enum fg_port_link_state {
#define X(name, text, help) FG_PORT_LINK_##name,
    FG_PORT_LINK_LIST(X)
#undef X
        FG_PORT_LINKS
};

struct fg_port_link {
    unsigned interface;    /**< index in the kernel of the device; 0 = none */
    _Atomic int state;     /**< enum fg_port_link_state */
    _Atomic uint64_t lost; /**< how often it was lost */
};

struct fg_port {
    const struct fg_port_options *options;
    uint16_t first_queue; /**< number; options->queues of them */
    uint16_t ethdevs;     /**< AF_XDP: one a queue; else one */
    uint16_t ethdev[FG_PORT_QUEUES_MAX];
    struct fg_frame_host own;           /**< for queues of a port that has addresses */
    _Atomic bool announce;              /**< see struct fg_port_queue */
    unsigned announced, announce_polls; /**< since the link was up */
    unsigned
        floating; /**< the last ones in `own`, of family 0 while they are at the other appliance */
    uint8_t family[FG_FRAME_HOST_ADDRESSES_MAX]; /**< of these */
    bool holds;       /**< this appliance has them; with what follows: main thread */
    unsigned floated; /**< announcements since then, and the last one */
    uint64_t held_ms, floated_ms;
    struct fg_port_link link;
    struct fg_port_memif *memif;     /**< of a net_memif */
    int sockets[FG_PORT_QUEUES_MAX]; /**< of the kernel behind its queues, see rings.h */
    unsigned sockets_count;
    _Atomic uint64_t ring_full;   /**< packets that these had no room for */
    _Atomic unsigned queues_used; /**< receive queues that packets arrive at; 0 = not known */
    _Atomic bool queues_combined;
};

struct fg_port_group {
    struct fg_port_group_options options;
    struct fg_port list[FG_PORT_MAX]; /**< options.count of them */
    struct fg_port_queue *queues;     /**< of all ports, by number */
    unsigned queues_count;
    int links_socket; /**< to ask the kernel for the state of interfaces */
    unsigned queues_polls;
};

/* ---- DPDK ------------------------------------------------------------------------------------ */

/** May this process use these CPUs (-1 = any)? False and err: DPDK would panic. Changes nothing. */
bool fg_port_check_cpus(const int *cpus, unsigned workers, struct fg_error *err);

/** Has the interface of the port as many receive queues? False and err. Changes nothing. */
bool fg_port_check_queues(const struct fg_port_options *port, struct fg_error *err);

/** Memory, lcores (0 is the caller, n + 1 is worker n), and the PCI devices that are ports. Once in
 * a process. */
bool fg_port_eal_start(const struct fg_port_group_options *options, const char *program,
                       struct fg_error *err);
void fg_port_eal_stop(void); /**< nothing when it did not start */

/** Bytes of the packet buffers of that many queues. Any thread. */
uint64_t fg_port_memory(unsigned queues, unsigned mbufs);

/** Queues of all these ports together. Any thread. */
unsigned fg_port_queues_total(const struct fg_port_options *ports, unsigned count);

/* ---- ports ----------------------------------------------------------------------------------- */

bool fg_port_group_start(struct fg_port_group *group, const struct fg_port_group_options *options,
                         struct fg_error *err);
/** After the workers have ended their loops and given their mbufs back. */
void fg_port_group_stop(struct fg_port_group *group);

/** Totals of the ethdevs of a port. */
struct fg_port_counters {
    uint64_t rx_packets, rx_bytes;
    uint64_t rx_missed;  /**< the queue was full, also that of a socket of the kernel */
    uint64_t rx_errors;  /**< frames with errors */
    uint64_t rx_no_mbuf; /**< no buffer was free */
    uint64_t tx_packets, tx_bytes, tx_errors;
};
struct fg_port_counters fg_port_counters(const struct fg_port *port); /**< any thread */

/* ---- queues ---------------------------------------------------------------------------------- */

/** Every 100 ms. */
void fg_port_queues_poll(struct fg_port_group *group);
/** An interface brings packets to queues that no worker reads: one sentence; false = none. Any
 * thread. */
bool fg_port_queues_wrong(const struct fg_port_group *group, char *text, size_t size);

/* ---- links ----------------------------------------------------------------------------------- */

/*
 * A port with an interface of the kernel behind it (AF_XDP, af_packet, tap) is asked of the kernel,
 * because those drivers do not tell; any other of its driver.
 */

const char *fg_port_link_name(int state);
/** Every 100 ms: a change that is shorter may stay unseen. */
void fg_port_links_poll(struct fg_port_group *group);
/** The fault of the worst port as one sentence; false = none. Any thread. */
bool fg_port_links_wrong(const struct fg_port_group *group, char *text, size_t size);
/** No order can come in, or an interface is gone: an operator must act. Any thread. */
bool fg_port_links_broken(const struct fg_port_group *group);

#endif
