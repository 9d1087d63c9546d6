/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"

bool fg_client_address(const char *text, char host[64], uint16_t *port, struct fg_error *err)
{
    const char *from = text, *colon = strrchr(text, ':'), *end;
    unsigned long number = FG_PACKET_PORT_DEFAULT;
    char *rest;

    if (text[0] == '[') {
        end = strchr(++from, ']');
        colon = end && end[1] == ':' ? end + 1 : NULL;
        if (end && end[1] && !colon)
            end = NULL;
    } else {
        if (colon && strchr(text, ':') != colon) /* an IPv6 address alone */
            colon = NULL;
        end = colon ? colon : text + strlen(text);
    }
    if (colon) {
        number = colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &rest, 10) : 0;
        if (number && *rest)
            number = 0;
    }
    if (!end || end == from || end - from >= 64 || number < 1 || number > UINT16_MAX)
        return fg_fail(err, "`%s` is not an address; accepted: IP, IP:PORT, [v6]:PORT", text);
    memcpy(host, from, (size_t)(end - from));
    host[end - from] = '\0';
    *port = (uint16_t)number;
    return true;
}
