/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sockets belong to DPDK's drivers, which do not tell them: they are those of their kind that
 * came into this process as the port was started.
 */
#include "port/rings.h"

#include <dirent.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <sys/socket.h>

#ifndef SOL_XDP
#define SOL_XDP 283
#endif

static bool known(const struct fg_port_group *g, int fd)
{
    for (unsigned i = 0; i < g->options.count; i++)
        for (unsigned k = 0; k < g->list[i].sockets_count; k++)
            if (g->list[i].sockets[k] == fd)
                return true;
    return false;
}

static int domain_of(int fd)
{
    int domain = 0;
    socklen_t size = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 ? domain : 0;
}

void fg_port_rings_find(struct fg_port_group *g, struct fg_port *p)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL && p->sockets_count < FG_PORT_QUEUES_MAX) {
        int fd = atoi(entry->d_name), domain = domain_of(fd);

        if ((domain == AF_XDP || domain == AF_PACKET) && !known(g, fd))
            p->sockets[p->sockets_count++] = fd;
    }
    if (dir)
        closedir(dir);
}

/* An AF_XDP socket tells all since its start. The driver's rx_missed
 * already counts its drops for want of a buffer. */
static uint64_t dropped_by_xdp(int fd)
{
    struct xdp_statistics s = {0};
    socklen_t size = sizeof(s);

    return getsockopt(fd, SOL_XDP, XDP_STATISTICS, &s, &size) == 0 ? s.rx_ring_full : 0;
}

/* A packet socket tells what was new since it was last asked. */
static uint64_t dropped_by_packet(int fd)
{
    struct tpacket_stats s = {0};
    socklen_t size = sizeof(s);

    return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &s, &size) == 0 ? s.tp_drops : 0;
}

static void poll_port(struct fg_port *p)
{
    uint64_t xdp = 0, packet = 0;

    for (unsigned i = 0; i < p->sockets_count; i++) {
        if (p->options->af_xdp)
            xdp += dropped_by_xdp(p->sockets[i]);
        else
            packet += dropped_by_packet(p->sockets[i]);
    }
    if (p->options->af_xdp && xdp > atomic_load(&p->ring_full))
        atomic_store(&p->ring_full, xdp);
    atomic_fetch_add(&p->ring_full, packet);
}

void fg_port_rings_poll(struct fg_port_group *g)
{
    for (unsigned i = 0; i < g->options.count; i++)
        poll_port(&g->list[i]);
}
