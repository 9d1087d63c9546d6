/* SPDX-License-Identifier: BSD-3-Clause */
/** address: where a server of ours listens, an IP address and a TCP port, as people write them; and
 * addresses with the interfaces that they are put on. Pure; any thread. */
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

#define FG_ADDRESS_FLOATING_MAX 8

/** An address and the interface that it is put on. */
struct fg_address_floating {
    int family;        /**< AF_INET or AF_INET6 */
    uint8_t bytes[16]; /**< 4 of them, or all */
    unsigned prefix;   /**< leading bits of its network */
    char interface[16];
};

/** "192.0.2.10/24 at eth0, 2001:db8::10/64 at eth0": how many there are; 0 = the text is wrong.
 * Unicast addresses only, no link-local ones, each once. */
unsigned fg_address_floating_read(const char *text,
                                  struct fg_address_floating list[FG_ADDRESS_FLOATING_MAX]);

#endif
