/* SPDX-License-Identifier: BSD-3-Clause */
/** netlink: the kernel's answer to a request. Pure. Private to lib/port. */
#ifndef FG_PORT_NETLINK_H
#define FG_PORT_NETLINK_H

#include <linux/netlink.h>
#include <sys/types.h>

/** The first message of the `got` bytes that came: 0, or errno's number; EPROTO when it is no whole
 * answer of the type NLMSG_ERROR. */
int fg_port_netlink_error(const struct nlmsghdr *message, ssize_t got);

#endif
