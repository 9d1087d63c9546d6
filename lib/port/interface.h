/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * interface: what the kernel's driver of an interface does that matters to a port. Any thread; a
 * call may wait for the kernel's lock of all interfaces.
 */
#ifndef FG_PORT_INTERFACE_H
#define FG_PORT_INTERFACE_H

#include <stdbool.h>
#include <stddef.h>

struct fg_port_interface_queues {
    unsigned receive; /**< receive queues; 0 = the driver does not tell */
    unsigned used;    /**< packets are spread over the first so many of them */
    bool combined;    /**< each is a receive and a transmit queue, as `ethtool -L` calls them */
};
struct fg_port_interface_queues fg_port_interface_queues(const char *ifname);

/** Writes the command that gives the interface so many receive queues. */
void fg_port_interface_queues_command(const char *ifname,
                                      const struct fg_port_interface_queues *have, unsigned queues,
                                      char *text, size_t size);

/** The NIC takes the VLAN tag out of the frame, so neither we nor the reply have it. */
bool fg_port_interface_strips_vlan(const char *ifname);

#endif
