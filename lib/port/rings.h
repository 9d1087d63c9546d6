/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * rings: packets that the kernel dropped because the ring of an AF_XDP or packet socket was full.
 * The drivers of DPDK do not count them. Main thread.
 */
#ifndef FG_PORT_RINGS_H
#define FG_PORT_RINGS_H

#include "port/port.h"

/** Once the devices of the port are started, and before those of the next: finds its sockets. */
void fg_port_rings_find(struct fg_port_group *group, struct fg_port *port);
/** Brings the counter of each port up to date. */
void fg_port_rings_poll(struct fg_port_group *group);

#endif
