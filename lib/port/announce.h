/* SPDX-License-Identifier: BSD-3-Clause */
/** announce: tells the hosts at an interface that addresses are here now (gratuitous ARP,
 * unsolicited neighbour advertisements): they send here at once, and not to the machine where they
 * knew them. */
#ifndef FG_PORT_ANNOUNCE_H
#define FG_PORT_ANNOUNCE_H

#include "frame/frame.h"

/** s: an AF_PACKET socket, of any interface. An interface that is gone or takes nothing: nothing.
 */
void fg_port_announce(int s, const char *ifname, const struct fg_frame_host_address *addresses,
                      unsigned count);

#endif
