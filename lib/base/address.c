/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <string.h>

#include "base/address.h"
#include "base/text.h"

/* The port behind the last colon; the host in front of it goes into host. */
static bool split(const char *text, char *host, size_t size, uint64_t *port)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : size;

    if (len >= size)
        return false;
    memcpy(host, text, len);
    host[len] = 0;
    return fg_text_number(colon + 1, port) && *port >= 1 && *port <= 65535;
}

bool fg_address_read(const char *text, struct fg_address *address)
{
    char host[INET6_ADDRSTRLEN + 2];
    size_t len;
    uint64_t port;

    memset(address, 0, sizeof(*address));
    if (!split(text, host, sizeof(host), &port))
        return false;
    len = strlen(host);
    if (host[0] != '[') {
        address->as.v4.sin_family = AF_INET;
        address->as.v4.sin_port = htons((uint16_t)port);
        address->size = sizeof(address->as.v4);
        return inet_pton(AF_INET, host, &address->as.v4.sin_addr) == 1;
    }
    if (host[len - 1] != ']')
        return false;
    host[len - 1] = 0;
    address->as.v6.sin6_family = AF_INET6;
    address->as.v6.sin6_port = htons((uint16_t)port);
    address->size = sizeof(address->as.v6);
    return inet_pton(AF_INET6, host + 1, &address->as.v6.sin6_addr) == 1;
}
