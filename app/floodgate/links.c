/* SPDX-License-Identifier: BSD-3-Clause */
#include "links.h"

#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"
#include "daemon.h"

#include <rte_ethdev.h>

static const char *const names[] = {
#define X(name, text, help) text,
    FG_LINK_LIST(X)
#undef X
};

const char *fg_port_link_name(int state)
{
    FG_ASSERT(state >= 0 && state < FG_LINKS);
    return names[state];
}

static int ask_kernel(int socket, unsigned interface)
{
    struct ifreq r = {.ifr_ifindex = (int)interface};

    if (ioctl(socket, SIOCGIFNAME, &r) < 0 || ioctl(socket, SIOCGIFFLAGS, &r) < 0)
        return errno == ENODEV || errno == ENXIO ? FG_LINK_GONE : FG_LINK_DOWN;
    return (r.ifr_flags & IFF_UP) && (r.ifr_flags & IFF_RUNNING) ? FG_LINK_UP : FG_LINK_DOWN;
}

static int ask_driver(uint16_t ethdev)
{
    struct rte_eth_link link = {0};

    if (rte_eth_link_get_nowait(ethdev, &link) < 0)
        return FG_LINK_UP; /* a driver that knows of no link is taken as up */
    return link.link_status == RTE_ETH_LINK_UP ? FG_LINK_UP : FG_LINK_DOWN;
}

static int ask(struct fg_daemon *d, struct fg_port *p)
{
    int state = p->link.interface ? ask_kernel(d->links_socket, p->link.interface)
                                  : ask_driver(p->ethdev[0]);

    if (state == FG_LINK_UP && p->config->af_xdp &&
        !fg_filter_in_force(d->filter, p->config->device))
        return FG_LINK_DETACHED;
    return state;
}

static void look(struct fg_daemon *d, struct fg_port *p)
{
    int before = atomic_load(&p->link.state), now;

    if (before == FG_LINK_GONE) /* the driver's socket died with it: another interface of that name
                                   is none of ours */
        return;
    now = ask(d, p);
    if (now == before || (before == FG_LINK_NEW && now == FG_LINK_DOWN))
        return;
    if (before == FG_LINK_UP && now != FG_LINK_DETACHED)
        atomic_fetch_add(&p->link.lost, 1);
    atomic_store(&p->link.state, now);
    if (before != FG_LINK_NEW || now == FG_LINK_GONE)
        fg_diag(now == FG_LINK_UP ? FG_DIAG_NOTICE : FG_DIAG_ERROR, "port %s: link %s",
                p->config->name, names[now]);
}

void fg_port_links_start(struct fg_daemon *d)
{
    d->links_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (unsigned i = 0; i < d->config.ports_count; i++) {
        struct rte_eth_dev_info info;
        struct fg_port *p = &d->ports[i];

        if (d->links_socket >= 0 && rte_eth_dev_info_get(p->ethdev[0], &info) == 0)
            p->link.interface = info.if_index;
    }
    fg_port_links_poll(d);
}

void fg_port_links_poll(struct fg_daemon *d)
{
    for (unsigned i = 0; i < d->config.ports_count; i++)
        look(d, &d->ports[i]);
}

void fg_port_links_stop(struct fg_daemon *d)
{
    if (d->links_socket > 0)
        close(d->links_socket);
    d->links_socket = -1;
}

static const char *what_is_wrong(int state)
{
    switch (state) {
    case FG_LINK_GONE:
        return "the interface is gone; restart when it is there again";
    case FG_LINK_DETACHED:
        return "the XDP program is detached: packets flow unfiltered, no order reaches a worker; "
               "`fgctl "
               "filter attach`";
    case FG_LINK_DOWN:
        return "no link";
    }
    return "no link since the start";
}

/* The worst port speaks for all. */
bool fg_port_links_wrong(const struct fg_daemon *d, char *text, size_t size)
{
    static const int worst_first[] = {FG_LINK_GONE, FG_LINK_DETACHED, FG_LINK_DOWN, FG_LINK_NEW};

    for (unsigned k = 0; k < sizeof(worst_first) / sizeof(worst_first[0]); k++)
        for (unsigned i = 0; i < d->config.ports_count; i++) {
            const struct fg_port *p = &d->ports[i];

            if (atomic_load(&p->link.state) != worst_first[k])
                continue;
            snprintf(text, size, "port %s (%.64s): %s", p->config->name, p->config->device,
                     what_is_wrong(worst_first[k]));
            return true;
        }
    return false;
}

bool fg_port_links_broken(const struct fg_daemon *d)
{
    unsigned count[FG_LINKS] = {0};

    for (unsigned i = 0; i < d->config.ports_count; i++)
        count[atomic_load(&d->ports[i].link.state)]++;
    return count[FG_LINK_GONE] ||
           (count[FG_LINK_DOWN] + count[FG_LINK_DETACHED] && !count[FG_LINK_UP]);
}
