/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/diag.h"
#include "frame/frame.h"
#include "port/announce.h"
#include "port/netlink.h"
#include "port/port.h"

#define PORTS_MAX      64
#define INTERFACES_MAX 4096 /* of the whole host; the rest is not checked */
#define ANSWER_BYTES   32768
#define ANSWER_SECONDS 2

struct interface {
    unsigned index, link, master; /* link: the interface below; 0 = none here */
    uint32_t flags;
    bool stacks; /* it sits on `link` and has addresses of its own: VLAN, macvlan */
    bool joins;  /* its members' packets are its own: bridge, bond, team */
    bool chosen;
    uint8_t mac[6];
};

struct watched {
    char ifname[IF_NAMESIZE];
    unsigned more_count;
    struct fg_frame_host_address more[FG_FRAME_HOST_ADDRESSES_MAX];
    unsigned floating_count; /* ours, though they may not be here yet: never announced */
    struct fg_frame_host_address floating[FG_ADDRESS_FLOATING_MAX];
    struct fg_filter_own_addresses now; /* as the filter has them */
    bool running;                       /* it had a link when it was last looked at */
    unsigned announced, polls;          /* since there was something to announce */
};

struct fg_port_own {
    int changes; /* socket that hears of changes */
    int frames;  /* socket that sends announcements: opened while we may */
    unsigned count;
    struct watched ports[PORTS_MAX];
};

/* ---- what the kernel has --------------------------------------------------------------------- */

struct dump {
    struct interface *interfaces;
    unsigned interfaces_count;
    const struct watched *port;
    struct fg_filter_own_addresses *own;
};

static const struct rtattr *attribute(const struct rtattr *at, size_t left, unsigned type)
{
    for (; RTA_OK(at, left); at = RTA_NEXT(at, left))
        if ((at->rta_type & NLA_TYPE_MASK) == type)
            return at;
    return NULL;
}

/* Bytes of attributes behind the message's own head, which is whole. */
static size_t payload(const struct nlmsghdr *message, size_t head)
{
    return message->nlmsg_len - NLMSG_SPACE(head);
}

static unsigned number_of(const struct rtattr *at)
{
    unsigned number = 0;

    if (at && RTA_PAYLOAD(at) >= sizeof(number))
        memcpy(&number, RTA_DATA(at), sizeof(number));
    return number;
}

static bool kind_is(const struct rtattr *info, const char *const *names)
{
    const struct rtattr *kind =
        info ? attribute(RTA_DATA(info), RTA_PAYLOAD(info), IFLA_INFO_KIND) : NULL;

    for (; kind && *names; names++)
        if (RTA_PAYLOAD(kind) >= strlen(*names) + 1 && !strcmp(RTA_DATA(kind), *names))
            return true;
    return false;
}

static void take_interface(struct dump *dump, const struct nlmsghdr *message)
{
    static const char *const stacking[] = {"vlan", "macvlan", NULL}, *const joining[] = {
                                                                         "bridge", "bond", "team",
                                                                         NULL};
    const struct ifinfomsg *head = NLMSG_DATA(message);
    const struct rtattr *first = IFLA_RTA(head);
    size_t left = payload(message, sizeof(*head));
    const struct rtattr *info = attribute(first, left, IFLA_LINKINFO),
                        *mac = attribute(first, left, IFLA_ADDRESS);
    struct interface *i = &dump->interfaces[dump->interfaces_count];

    if (dump->interfaces_count == INTERFACES_MAX)
        return;
    *i = (struct interface){.index = (unsigned)head->ifi_index, .flags = head->ifi_flags};
    i->master = number_of(attribute(first, left, IFLA_MASTER));
    if (!attribute(first, left, IFLA_LINK_NETNSID)) /* else the number is another namespace's */
        i->link = number_of(attribute(first, left, IFLA_LINK));
    i->stacks = kind_is(info, stacking);
    i->joins = kind_is(info, joining);
    if (mac && RTA_PAYLOAD(mac) == sizeof(i->mac))
        memcpy(i->mac, RTA_DATA(mac), sizeof(i->mac));
    dump->interfaces_count++;
}

static const struct interface *chosen(const struct dump *dump, unsigned index)
{
    for (unsigned i = 0; i < dump->interfaces_count; i++)
        if (dump->interfaces[i].chosen && dump->interfaces[i].index == index)
            return &dump->interfaces[i];
    return NULL;
}

static void add_address(struct dump *dump, unsigned family, const void *bytes)
{
    struct fg_filter_own_addresses *own = dump->own;
    size_t size = family == 4 ? 4 : 16;

    for (unsigned i = 0; i < own->addresses && i < FG_FILTER_OWN_ADDRESSES; i++)
        if (own->address[i].family == family && !memcmp(own->address[i].bytes, bytes, size))
            return;
    if (own->addresses < FG_FILTER_OWN_ADDRESSES) {
        own->address[own->addresses].family = (uint8_t)family;
        memcpy(own->address[own->addresses].bytes, bytes, size);
    }
    own->addresses++;
}

/* An interface of packets, but for the loopback one, gets nothing for 127.0.0.1. */
static bool is_loopback(unsigned family, const uint8_t *bytes)
{
    static const uint8_t six[16] = {[15] = 1};

    return family == 4 ? bytes[0] == 127 : !memcmp(bytes, six, 16);
}

static void take_address(struct dump *dump, const struct nlmsghdr *message)
{
    const struct ifaddrmsg *head = NLMSG_DATA(message);
    const struct rtattr *first = IFA_RTA(head), *address;
    size_t left = payload(message, sizeof(*head));
    const struct interface *i;
    unsigned family = head->ifa_family == AF_INET ? 4 : head->ifa_family == AF_INET6 ? 6 : 0;

    if (!family || (head->ifa_flags & IFA_F_DADFAILED))
        return;
    address =
        attribute(first, left, IFA_LOCAL); /* on a link with a peer, IFA_ADDRESS is the peer */
    if (!address)
        address = attribute(first, left, IFA_ADDRESS);
    i = chosen(dump, head->ifa_index);
    if (i && address && RTA_PAYLOAD(address) == (family == 4 ? 4 : 16) &&
        ((i->flags & IFF_LOOPBACK) || !is_loopback(family, RTA_DATA(address))))
        add_address(dump, family, RTA_DATA(address));
}

static bool ask(int s, uint16_t type, struct fg_error *err)
{
    struct {
        struct nlmsghdr head;
        union {
            struct ifinfomsg link;
            struct ifaddrmsg address;
        };
    } question = {.head = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};

    question.head.nlmsg_len =
        NLMSG_LENGTH(type == RTM_GETLINK ? sizeof(question.link) : sizeof(question.address));
    return send(s, &question, question.head.nlmsg_len, 0) >= 0 ||
           fg_fail(err, "cannot ask the kernel for its addresses: %s", strerror(errno));
}

/* Whether it is of this type, with its own head. */
static bool whole(const struct nlmsghdr *message, unsigned type, size_t head)
{
    return message->nlmsg_type == type && message->nlmsg_len >= NLMSG_SPACE(head);
}

/* All answers to one question. */
static bool dump_each(int s, uint16_t type, void (*take)(struct dump *, const struct nlmsghdr *),
                      struct dump *dump, struct fg_error *err)
{
    uint16_t wanted = type == RTM_GETLINK ? RTM_NEWLINK : RTM_NEWADDR;
    size_t head = type == RTM_GETLINK ? sizeof(struct ifinfomsg) : sizeof(struct ifaddrmsg);
    static _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];

    if (!ask(s, type, err))
        return false;
    for (;;) {
        ssize_t got = recv(s, answer, sizeof(answer), 0);
        struct nlmsghdr *message = (void *)answer;

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fg_fail(err, "the kernel does not tell its addresses: %s", strerror(errno));
        for (; NLMSG_OK(message, got); message = NLMSG_NEXT(message, got)) {
            if (message->nlmsg_type == NLMSG_DONE)
                return true;
            if (message->nlmsg_type == NLMSG_ERROR)
                return fg_fail(err, "the kernel does not tell its addresses: %s",
                               strerror(fg_port_netlink_error(message, got)));
            if (whole(message, wanted, head))
                take(dump, message);
        }
    }
}

/* The interface, and those whose packets are its own; an interface that was found may lead on. */
static void choose(struct dump *dump, unsigned index)
{
    bool more = true;

    for (unsigned i = 0; i < dump->interfaces_count; i++)
        dump->interfaces[i].chosen = dump->interfaces[i].index == index;
    while (more) {
        more = false;
        for (unsigned i = 0; i < dump->interfaces_count; i++) {
            struct interface *one = &dump->interfaces[i];
            bool on = one->stacks && one->link && chosen(dump, one->link);

            for (unsigned k = 0; one->joins && !on && k < dump->interfaces_count; k++)
                on = dump->interfaces[k].chosen && dump->interfaces[k].master == one->index;
            if (!on || one->chosen)
                continue;
            one->chosen = more = true;
        }
    }
}

static void take_macs(struct dump *dump)
{
    struct fg_filter_own_addresses *own = dump->own;

    for (unsigned i = 0; i < dump->interfaces_count; i++) {
        const struct interface *one = &dump->interfaces[i];
        bool known = !one->chosen;

        for (unsigned k = 0; k < own->macs && k < FG_FILTER_OWN_MACS && !known; k++)
            known = !memcmp(own->mac[k], one->mac, sizeof(one->mac));
        if (known)
            continue;
        if (own->macs < FG_FILTER_OWN_MACS)
            memcpy(own->mac[own->macs], one->mac, sizeof(one->mac));
        own->macs++;
    }
}

static void cut(const char *ifname, const char *what, unsigned *count, unsigned max)
{
    if (*count <= max)
        return;
    fg_diag(FG_DIAG_WARNING, "%s has %u %s addresses: orders to the first %u of them are taken",
            ifname, *count, what, max);
    *count = max;
}

static bool read_port(int s, const struct watched *port, struct fg_filter_own_addresses *own,
                      struct fg_error *err)
{
    struct dump dump = {.port = port, .own = own};
    bool done;

    memset(own, 0, sizeof(*own));
    dump.interfaces = calloc(INTERFACES_MAX, sizeof(*dump.interfaces));
    if (!dump.interfaces)
        return fg_fail(err, "%s: out of memory", port->ifname);
    for (unsigned i = 0; i < port->more_count; i++)
        add_address(&dump, port->more[i].family, port->more[i].bytes);
    for (unsigned i = 0; i < port->floating_count; i++)
        add_address(&dump, port->floating[i].family, port->floating[i].bytes);
    done = dump_each(s, RTM_GETLINK, take_interface, &dump, err);
    if (done) {
        choose(&dump, if_nametoindex(port->ifname));
        take_macs(&dump);
        done = dump_each(s, RTM_GETADDR, take_address, &dump, err);
    }
    free(dump.interfaces);
    cut(port->ifname, "MAC", &own->macs, FG_FILTER_OWN_MACS);
    cut(port->ifname, "IP", &own->addresses, FG_FILTER_OWN_ADDRESSES);
    return done;
}

static int open_socket(unsigned groups)
{
    struct sockaddr_nl local = {.nl_family = AF_NETLINK, .nl_groups = groups};
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (s < 0)
        return -1;
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (bind(s, (struct sockaddr *)&local, sizeof(local)) == 0)
        return s;
    close(s);
    return -1;
}

static bool read_now(const struct watched *port, struct fg_filter_own_addresses *own,
                     struct fg_error *err)
{
    int s = open_socket(0);
    bool done;

    if (s < 0)
        return fg_fail(err, "cannot ask the kernel for its addresses: %s", strerror(errno));
    done = read_port(s, port, own, err);
    close(s);
    return done;
}

static bool interface_runs(const char *ifname)
{
    struct ifreq r = {0};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool runs;

    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", ifname);
    runs = s >= 0 && ioctl(s, SIOCGIFFLAGS, &r) == 0 && (r.ifr_flags & IFF_RUNNING);
    if (s >= 0)
        close(s);
    return runs;
}

/* ---- the ports ------------------------------------------------------------------------------- */

struct fg_port_own *fg_port_own_open(struct fg_error *err)
{
    struct fg_port_own *own = calloc(1, sizeof(*own));

    if (!own) {
        fg_fail(err, "own addresses: out of memory");
        return NULL;
    }
    own->changes = open_socket(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
    own->frames = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (own->changes >= 0 && own->frames >= 0)
        return own;
    fg_fail(err, "cannot announce own addresses, or hear of changes: %s", strerror(errno));
    fg_port_own_close(own);
    return NULL;
}

void fg_port_own_close(struct fg_port_own *own)
{
    if (!own)
        return;
    if (own->changes >= 0)
        close(own->changes);
    if (own->frames >= 0)
        close(own->frames);
    free(own);
}

static void say(const struct watched *port)
{
    char text[256] = "", one[INET6_ADDRSTRLEN];
    size_t used = 0;

    for (unsigned i = 0; i < port->now.addresses && used < sizeof(text) - sizeof(one) - 8; i++) {
        inet_ntop(port->now.address[i].family == 4 ? AF_INET : AF_INET6, port->now.address[i].bytes,
                  one, sizeof(one));
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? ", " : "", one);
    }
    if (port->now.addresses)
        fg_diag(FG_DIAG_INFO, "%s: orders to %s are ours", port->ifname, text);
    else
        fg_diag(FG_DIAG_WARNING, "%s has no address: no order is ours until it has one",
                port->ifname);
}

/* Those of the list that move to this interface. */
static void take_floating(struct watched *port, const char *floating)
{
    struct fg_address_floating list[FG_ADDRESS_FLOATING_MAX];
    unsigned count = floating[0] ? fg_address_floating_read(floating, list) : 0;

    for (unsigned i = 0; i < count; i++) {
        struct fg_frame_host_address *a = &port->floating[port->floating_count];

        if (strcmp(list[i].interface, port->ifname))
            continue;
        a->family = list[i].family == AF_INET ? 4 : 6;
        memcpy(a->bytes, list[i].bytes, sizeof(a->bytes));
        port->floating_count++;
    }
}

static bool is_floating(const struct watched *port, const struct fg_frame_host_address *address)
{
    for (unsigned i = 0; i < port->floating_count; i++)
        if (port->floating[i].family == address->family &&
            !memcmp(port->floating[i].bytes, address->bytes, address->family == 4 ? 4 : 16))
            return true;
    return false;
}

bool fg_port_own_attach(struct fg_port_own *own, struct fg_filter *filter, const char *ifname,
                        bool generic, const char *more, const char *floating, struct fg_error *err)
{
    struct watched *port = &own->ports[own->count];

    if (own->count == PORTS_MAX)
        return fg_fail(err, "%s: %d ports have own addresses already", ifname, PORTS_MAX);
    snprintf(port->ifname, sizeof(port->ifname), "%s", ifname);
    if (more[0])
        port->more_count =
            (unsigned)fg_frame_host_addresses_parse(more, port->more, FG_FRAME_HOST_ADDRESSES_MAX);
    take_floating(port, floating);
    if (!read_now(port, &port->now, err) ||
        !fg_filter_attach(filter, ifname, generic, &port->now, err))
        return false;
    say(port);
    port->running = interface_runs(ifname);
    own->count++;
    return true;
}

/* ---- announcements --------------------------------------------------------------------------- */

/* The kernel announces an address only as it is added, and only when it is told to. A host
 * that knew the address at another machine would still send there. Floating addresses may be at the
 * other machine. */
static void announce(const struct watched *port, int s)
{
    struct fg_frame_host_address list[FG_FILTER_OWN_ADDRESSES];
    unsigned n = 0;

    for (unsigned i = 0; i < port->now.addresses; i++) {
        list[n].family = port->now.address[i].family;
        memcpy(list[n].bytes, port->now.address[i].bytes, sizeof(list[n].bytes));
        if (!is_floating(port, &list[n]))
            n++;
    }
    fg_port_announce(s, port->ifname, list, n);
}

static void announce_due(struct watched *port, int frames)
{
    if (port->announced == FG_PORT_ANNOUNCEMENTS || !port->running)
        return;
    if (port->polls++ % FG_PORT_ANNOUNCE_POLLS == 0) {
        announce(port, frames);
        port->announced++;
    }
}

static void announce_anew(struct watched *port)
{
    port->announced = port->polls = 0;
}

/* True: something changed, or more than the socket holds. */
static bool heard(const struct fg_port_own *own)
{
    char bytes[8192];
    bool any = false;

    for (;;) {
        ssize_t got = recv(own->changes, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (got < 0 && errno == ENOBUFS)
            any = true;
        else if (got < 0 && errno != EINTR)
            return any;
        any |= got > 0;
    }
}

void fg_port_own_poll(struct fg_port_own *own, struct fg_filter *filter)
{
    struct fg_filter_own_addresses now;
    struct fg_error err;

    if (!own)
        return;
    for (unsigned i = 0; i < own->count; i++)
        announce_due(&own->ports[i], own->frames);
    if (!heard(own))
        return;
    for (unsigned i = 0; i < own->count; i++) {
        struct watched *port = &own->ports[i];
        bool ran = port->running;

        port->running = interface_runs(port->ifname);
        if (port->running && !ran)
            announce_anew(port);
        if (!read_now(port, &now, &err)) {
            fg_diag(FG_DIAG_ERROR, "%s: %s", port->ifname, err.text);
            continue;
        }
        if (!memcmp(&now, &port->now, sizeof(now)))
            continue;
        if (!fg_filter_set_own(filter, port->ifname, &now, &err)) {
            fg_diag(FG_DIAG_ERROR, "%s: %s", port->ifname, err.text);
            continue;
        }
        port->now = now;
        say(port);
        announce_anew(port);
    }
}
