/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * own: the MAC and IP addresses of the interfaces that AF_XDP ports use, as the kernel has them,
 * put into the filter and kept current there. Main thread.
 *
 * Ours are the addresses of the interface itself, of the VLAN and macvlan interfaces on it, and of
 * the bridge, bond or team that it belongs to, as far as they are in this network namespace; beside
 * them those that the configuration names. Another interface's address is none of ours, even when
 * it is the host's: packets to it are the kernel's.
 */
#ifndef FG_PORT_OWN_H
#define FG_PORT_OWN_H

#include "filter/filter.h"

struct fg_port_own;

/** Listens to changes from now on. NULL and err: the kernel refuses. */
struct fg_port_own *fg_port_own_open(struct fg_error *err);
void fg_port_own_close(struct fg_port_own *own); /**< NULL: nothing */

/**
 * Attaches the filter to an interface, with its addresses. more: further addresses that are ours
 * there (as fg_frame_host_addresses_parse reads them), "" = none. floating: addresses that move
 * between two appliances (fg_address_floating_read): those at this interface are ours from now on,
 * so that orders count from the moment on at which they are here; they are not announced. "" =
 * none.
 */
bool fg_port_own_attach(struct fg_port_own *own, struct fg_filter *filter, const char *ifname,
                        bool generic, const char *more, const char *floating, struct fg_error *err);

/**
 * Every 100 ms. Brings the filter up to date when the kernel said that something changed. Announces
 * the addresses (gratuitous ARP, unsolicited neighbour advertisements) after the start, when an
 * address is new, and when the link is back: so shoppers and routers that knew an address at
 * another machine send here at once.
 */
void fg_port_own_poll(struct fg_port_own *own, struct fg_filter *filter);

#endif
