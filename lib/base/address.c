/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <stdio.h>
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

static bool unicast(const struct fg_address_floating *p)
{
    const uint8_t *b = p->bytes;

    if (p->family == AF_INET)
        return b[0] != 0 && b[0] != 127 && b[0] < 224 && !(b[0] == 169 && b[1] == 254);
    return b[0] != 0 && b[0] != 0xff && !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

static bool read_one(const char *text, struct fg_address_floating *p)
{
    char address[INET6_ADDRSTRLEN], interface[sizeof(p->interface)], junk;
    unsigned bits;

    memset(p, 0, sizeof(*p));
    if (sscanf(text, " %45[0-9a-fA-F.:]/%3u at %15[^ /:,] %c", address, &p->prefix, interface,
               &junk) != 3)
        return false;
    p->family = strchr(address, ':') ? AF_INET6 : AF_INET;
    bits = p->family == AF_INET ? 32 : 128;
    memcpy(p->interface, interface, sizeof(interface));
    return inet_pton(p->family, address, p->bytes) == 1 && p->prefix >= 1 && p->prefix <= bits &&
           unicast(p);
}

unsigned fg_address_floating_read(const char *text,
                                  struct fg_address_floating list[FG_ADDRESS_FLOATING_MAX])
{
    unsigned n = 0;

    for (;;) {
        size_t len = strcspn(text, ",");
        char one[96];

        if (n == FG_ADDRESS_FLOATING_MAX || len >= sizeof(one))
            return 0;
        snprintf(one, sizeof(one), "%.*s", (int)len, text);
        if (!read_one(one, &list[n]))
            return 0;
        for (unsigned i = 0; i < n; i++)
            if (list[i].family == list[n].family &&
                !memcmp(list[i].bytes, list[n].bytes, sizeof(list[n].bytes)))
                return 0;
        n++;
        if (!text[len])
            return n;
        text += len + 1;
    }
}
