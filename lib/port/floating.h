/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * floating: addresses that move between two appliances with the leadership: the one that leads has
 * them, on interfaces of the kernel, or on ports without one (then "INTERFACE" is the port's name).
 *
 * The daemon gives up its rights after the start, so a process of its own does it, `fg-address`. It
 * is made first of all, has one pipe, one netlink and one packet socket, the capability
 * CAP_NET_ADMIN and a dozen system calls, and hears one thing: "we hold them" or "we do not".
 *
 * The daemon must say so every FG_PORT_FLOATING_TELL_MS. A daemon that is silent for
 * FG_PORT_FLOATING_SILENT_MS, or ended, has lost the addresses: the process removes them, and the
 * kernel does when both hang (they have a valid lifetime of FG_PORT_FLOATING_LIFE_S). Addresses are
 * announced FG_PORT_FLOATING_ANNOUNCE_MS after they were added, and every 10 s, for switches and
 * hosts that keep an entry as long as there is traffic.
 */
#ifndef FG_PORT_FLOATING_H
#define FG_PORT_FLOATING_H

#include "port/port.h"

#define FG_PORT_FLOATING_TELL_MS   100
#define FG_PORT_FLOATING_SILENT_MS 800
#define FG_PORT_FLOATING_LIFE_S    3
#define FG_PORT_FLOATING_ANNOUNCE_MS                                                               \
    0, 50, 200, 500, 1000, 10000 /**< the last one again and again */

struct fg_port_floating;

/**
 * Makes the process. `addresses`: as fg_address_floating_read reads them; those at ports without a
 * kernel are left out, and when no other is there, so is the process. The process begins with
 * removing them: an earlier one may have been killed. Main thread, while it is the only one, and
 * still has its rights. NULL and err.
 */
struct fg_port_floating *fg_port_floating_start(const char *addresses,
                                                const struct fg_port_options *ports, unsigned count,
                                                struct fg_error *err);

/**
 * Now and every FG_PORT_FLOATING_TELL_MS; any thread. Say true only while this appliance leads and
 * may answer (struct fg_leading): one that was stopped and does not know yet that another leads
 * would take the addresses back. Writes to a pipe that never blocks. NULL: nothing.
 */
void fg_port_floating_hold(struct fg_port_floating *f, bool hold);

/** Whether the addresses are on their interfaces; any thread. NULL: no. */
bool fg_port_floating_held(const struct fg_port_floating *f);

/** Why they are not, although they should be: errno's number, and which of the list; 0 = no
 * fault. ESRCH: the process is gone. Any thread. */
int fg_port_floating_fault(const struct fg_port_floating *f, unsigned *address);

/** Removes the addresses, and ends the process. NULL is nothing. */
void fg_port_floating_stop(struct fg_port_floating *f);

/* ---- ports without a kernel ------------------------------------------------------------------ */

/** The port's floating addresses, behind those that are always its own. Before workers poll it. */
void fg_port_floating_take(const struct fg_port_group *g, struct fg_port *p);
/** As fg_port_floating_hold: workers answer for them, and announce them. Main thread. */
void fg_port_floating_hold_ports(struct fg_port_group *g, bool hold);

#endif
