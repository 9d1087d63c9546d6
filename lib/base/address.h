/* SPDX-License-Identifier: BSD-3-Clause */
/** address: where a server of ours listens: an IP address and a TCP port, as people write them.
 * Pure; any thread. */
#ifndef FG_BASE_ADDRESS_H
#define FG_BASE_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/base.h"

struct fg_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } as;
    socklen_t size; /**< of the member in use */
};

/** "127.0.0.1:9460" or "[::1]:9460": an address in digits, and a port from 1 to 65535. No host
 * names: a server listens at an address that the operator chose, not at one that a name server
 * chose. */
bool fg_address_read(const char *text, struct fg_address *address);

#endif
