/* SPDX-License-Identifier: BSD-3-Clause */
/** options: the settings of ports and of DPDK, as the configuration gives them. No thread changes
 * them after the start. */
#ifndef FG_PORT_OPTIONS_H
#define FG_PORT_OPTIONS_H

#include <stdbool.h>

#define FG_PORT_MAX        16                                 /**< ports of one appliance */
#define FG_PORT_QUEUES_MAX 16                                 /**< of one port */
#define FG_PORT_QUEUES_ALL (FG_PORT_MAX * FG_PORT_QUEUES_MAX) /**< of all ports together */

struct fg_port_options { /* [port NAME], one section each */
    char name[32];       /**< NAME */
    char device[512]; /**< `interface=IFNAME`: AF_XDP on it; or `device=VDEV_OR_PCI[,devargs]`: any
                         other ethdev */
    bool af_xdp;
    unsigned queues;      /**< receive queues, each with a transmit queue; 1..FG_PORT_QUEUES_MAX */
    bool generic;         /**< AF_XDP: SKB mode, only when asked for */
    unsigned busy_budget; /**< AF_XDP: packets of one busy poll; 0 = off */
    unsigned descriptors; /**< of each ring */
    unsigned mtu;         /**< bytes; 0 = leave */
    char address[256];    /**< not AF_XDP: of the appliance, as fg_frame_host_addresses_parse takes
                             them; "" = none */
};

struct fg_port_eal_options { /* [eal] */
    bool huge;               /**< use hugepages when the machine has some */
    unsigned memory_mb;      /**< MiB; 0 = what is needed */
    char file_prefix[64];
    unsigned mbufs; /**< in each receive queue's pool */
};

#endif
