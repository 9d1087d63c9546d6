/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/netlink.h"

#include <errno.h>
#include <limits.h>

int fg_port_netlink_error(const struct nlmsghdr *message, ssize_t got)
{
    const struct nlmsgerr *answer = NLMSG_DATA(message);

    if (!NLMSG_OK(message, got) || message->nlmsg_type != NLMSG_ERROR ||
        message->nlmsg_len < NLMSG_LENGTH(sizeof(*answer)) || answer->error > 0 ||
        answer->error == INT_MIN)
        return EPROTO;
    return -answer->error;
}
