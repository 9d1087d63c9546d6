/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The servers that this process is connected to, by its own sockets: so names, lists of servers,
 * fail-over, and brokers that only Kafka knows are no matter here.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "filter/filter.h"

static bool option_is(int fd, int option, int wanted)
{
    int value = -1;
    socklen_t size = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

static uint16_t port_of(const struct fg_address *a)
{
    return ntohs(a->as.any.sa_family == AF_INET ? a->as.v4.sin_port : a->as.v6.sin6_port);
}

/* A connection that we made: not one to a port at which we listen. */
static bool peer_of(int fd, uint16_t listening, struct fg_address *peer)
{
    struct fg_address own;

    if (!option_is(fd, SO_TYPE, SOCK_STREAM) || !option_is(fd, SO_ACCEPTCONN, 0) ||
        (!option_is(fd, SO_DOMAIN, AF_INET) && !option_is(fd, SO_DOMAIN, AF_INET6)))
        return false;
    own.size = peer->size = sizeof(own.as);
    return getsockname(fd, &own.as.any, &own.size) == 0 && port_of(&own) != listening &&
           getpeername(fd, &peer->as.any, &peer->size) == 0;
}

static void add(struct fg_filter_servers *servers, uint8_t family, const void *bytes)
{
    size_t size = family == 4 ? 4 : 16;

    for (unsigned i = 0; i < servers->count; i++)
        if (servers->address[i].family == family && !memcmp(servers->address[i].bytes, bytes, size))
            return;
    if (servers->count == FG_FILTER_SERVERS)
        return;
    servers->address[servers->count].family = family;
    memcpy(servers->address[servers->count].bytes, bytes, size);
    servers->count++;
}

void fg_filter_servers_connected(struct fg_filter_servers *servers, uint16_t listening)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    memset(servers, 0, sizeof(*servers));
    while (dir && (entry = readdir(dir)) != NULL) {
        struct fg_address peer;
        const struct in6_addr *six = &peer.as.v6.sin6_addr;

        if (entry->d_name[0] == '.' || !peer_of(atoi(entry->d_name), listening, &peer))
            continue;
        if (peer.as.any.sa_family == AF_INET)
            add(servers, 4, &peer.as.v4.sin_addr);
        else if (IN6_IS_ADDR_V4MAPPED(six))
            add(servers, 4, six->s6_addr + 12);
        else
            add(servers, 6, six->s6_addr);
    }
    if (dir)
        closedir(dir);
}
