/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/links.h"

#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"

#include <rte_ethdev.h>

static const char *const names[] = {
#define X(name, text, help) text,
    FG_PORT_LINK_LIST(X)
#undef X
};

const char *fg_port_link_name(int state)
{
    FG_ASSERT(state >= 0 && state < FG_PORT_LINKS);
    return names[state];
}

static int ask_kernel(int socket, unsigned interface)
{
    struct ifreq r = {.ifr_ifindex = (int)interface};

    if (ioctl(socket, SIOCGIFNAME, &r) < 0 || ioctl(socket, SIOCGIFFLAGS, &r) < 0)
        return errno == ENODEV || errno == ENXIO ? FG_PORT_LINK_GONE : FG_PORT_LINK_DOWN;
    return (r.ifr_flags & IFF_UP) && (r.ifr_flags & IFF_RUNNING) ? FG_PORT_LINK_UP
                                                                 : FG_PORT_LINK_DOWN;
}

static int ask_driver(uint16_t ethdev)
{
    struct rte_eth_link link = {0};

    if (rte_eth_link_get_nowait(ethdev, &link) < 0)
        return FG_PORT_LINK_UP; /* a driver that knows of no link is taken as up */
    return link.link_status == RTE_ETH_LINK_UP ? FG_PORT_LINK_UP : FG_PORT_LINK_DOWN;
}

static int ask(struct fg_port_group *g, struct fg_port *p)
{
    int state = p->link.interface ? ask_kernel(g->links_socket, p->link.interface)
                                  : ask_driver(p->ethdev[0]);

    if (state == FG_PORT_LINK_UP && p->options->af_xdp &&
        !fg_filter_in_force(g->options.filter, p->options->device))
        return FG_PORT_LINK_DETACHED;
    return state;
}

static void check(struct fg_port_group *g, struct fg_port *p)
{
    int before = atomic_load(&p->link.state), now;

    if (before == FG_PORT_LINK_GONE) /* the driver's socket died with it: another interface of that
                                   name is none of ours */
        return;
    now = ask(g, p);
    if (now == before || (before == FG_PORT_LINK_NEW && now == FG_PORT_LINK_DOWN))
        return;
    if (before == FG_PORT_LINK_UP && now != FG_PORT_LINK_DETACHED)
        atomic_fetch_add(&p->link.lost, 1);
    atomic_store(&p->link.state, now);
    if (before != FG_PORT_LINK_NEW || now == FG_PORT_LINK_GONE)
        fg_diag(now == FG_PORT_LINK_UP ? FG_DIAG_NOTICE : FG_DIAG_ERROR, "port %s: link %s",
                p->options->name, names[now]);
}

void fg_port_links_start(struct fg_port_group *g)
{
    g->links_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (unsigned i = 0; i < g->options.count; i++) {
        struct rte_eth_dev_info info;
        struct fg_port *p = &g->list[i];

        if (g->links_socket >= 0 && rte_eth_dev_info_get(p->ethdev[0], &info) == 0)
            p->link.interface = info.if_index;
    }
    fg_port_links_poll(g);
}

/* AF_XDP: own.c, for there the addresses are the kernel's. */
static void announce(struct fg_port *p)
{
    if (atomic_load(&p->link.state) != FG_PORT_LINK_UP) {
        p->announced = p->announce_polls = 0;
        return;
    }
    if (p->announced == FG_PORT_ANNOUNCEMENTS || p->announce_polls++ % FG_PORT_ANNOUNCE_POLLS)
        return;
    p->announced++;
    atomic_store(&p->announce, true);
}

void fg_port_links_poll(struct fg_port_group *g)
{
    for (unsigned i = 0; i < g->options.count; i++) {
        check(g, &g->list[i]);
        announce(&g->list[i]);
    }
}

void fg_port_links_stop(struct fg_port_group *g)
{
    if (g->links_socket > 0)
        close(g->links_socket);
    g->links_socket = -1;
}

static const char *fault_of(int state)
{
    switch (state) {
    case FG_PORT_LINK_GONE:
        return "the interface is gone; restart when it is there again";
    case FG_PORT_LINK_DETACHED:
        return "the XDP program is detached: packets flow unfiltered, no order reaches a worker; "
               "`fgctl "
               "filter attach`";
    case FG_PORT_LINK_DOWN:
        return "no link";
    }
    return "no link since the start";
}

/* The worst port speaks for all. */
bool fg_port_links_wrong(const struct fg_port_group *g, char *text, size_t size)
{
    static const int worst_first[] = {FG_PORT_LINK_GONE, FG_PORT_LINK_DETACHED, FG_PORT_LINK_DOWN,
                                      FG_PORT_LINK_NEW};

    for (unsigned k = 0; k < sizeof(worst_first) / sizeof(worst_first[0]); k++)
        for (unsigned i = 0; i < g->options.count; i++) {
            const struct fg_port *p = &g->list[i];

            if (atomic_load(&p->link.state) != worst_first[k])
                continue;
            snprintf(text, size, "port %s (%.64s): %s", p->options->name, p->options->device,
                     fault_of(worst_first[k]));
            return true;
        }
    return false;
}

bool fg_port_links_broken(const struct fg_port_group *g)
{
    unsigned count[FG_PORT_LINKS] = {0};

    for (unsigned i = 0; i < g->options.count; i++)
        count[atomic_load(&g->list[i].link.state)]++;
    return count[FG_PORT_LINK_GONE] ||
           (count[FG_PORT_LINK_DOWN] + count[FG_PORT_LINK_DETACHED] && !count[FG_PORT_LINK_UP]);
}
