/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/floating.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/diag.h"
#include "port/announce.h"
#include "port/netlink.h"
#include "rights/rights.h"

#define PIPE       3    /* the child's end */
#define FRESH_MS   300  /* after a word, addresses are announced: a hung daemon announces nothing */
#define RENEW_MS   1000 /* between two renewals of the lifetime */
#define RETRY_MS   200
#define END_MS     1000 /* for the process to end */
#define NICE       (-10)
#define HOLD       '1'
#define LET_GO     '0'
#define ANSWER_MAX 1024

static const unsigned announce_ms[] = {FG_PORT_FLOATING_ANNOUNCE_MS};
#define ANNOUNCEMENTS (sizeof(announce_ms) / sizeof(announce_ms[0]))

/* Written by the child. */
struct shared {
    _Atomic bool held, ended;
    _Atomic int fault;
    _Atomic unsigned fault_address;
};

struct fg_port_floating {
    int pipe; /* our end */
    struct shared *shared;
};

struct child {
    unsigned count;
    struct fg_address_floating list[FG_ADDRESS_FLOATING_MAX];
    struct here {
        bool here; /* on its interface */
        uint64_t added_ms, announced_ms;
        unsigned announced; /* since it was added */
    } state[FG_ADDRESS_FLOATING_MAX];
    struct shared *shared;
    int netlink, frames;
    bool wanted;
    uint64_t told_ms, renewed_ms, tried_ms;
};

/* ---- the kernel ------------------------------------------------------------------------------ */

struct request {
    struct nlmsghdr head;
    struct ifaddrmsg address;
    char room[128];
};

static void attribute(struct request *r, unsigned short type, const void *bytes, size_t size)
{
    struct rtattr *at = (void *)((char *)r + NLMSG_ALIGN(r->head.nlmsg_len));

    at->rta_type = type;
    at->rta_len = (unsigned short)RTA_LENGTH(size);
    memcpy(RTA_DATA(at), bytes, size);
    r->head.nlmsg_len = NLMSG_ALIGN(r->head.nlmsg_len) + RTA_ALIGN(at->rta_len);
}

static int index_of(const struct child *c, const char *interface)
{
    struct ifreq r = {0};

    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", interface);
    return ioctl(c->frames, SIOCGIFINDEX, &r) == 0 ? r.ifr_ifindex : 0;
}

/* 0, or errno's number. */
static int ask(const struct child *c, struct request *r)
{
    _Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
    ssize_t got;

    if (send(c->netlink, r, r->head.nlmsg_len, 0) < 0)
        return errno;
    got = recv(c->netlink, answer, sizeof(answer), 0);
    return got < 0 ? errno : fg_port_netlink_error((const void *)answer, got);
}

static struct request request_of(const struct child *c, const struct fg_address_floating *a,
                                 uint16_t type, uint16_t flags)
{
    struct request r = {
        .head = {.nlmsg_len = NLMSG_LENGTH(sizeof(r.address)),
                 .nlmsg_type = type,
                 .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags)},
        .address = {.ifa_family = (unsigned char)a->family,
                    .ifa_prefixlen = (unsigned char)a->prefix,
                    .ifa_index = (unsigned)index_of(c, a->interface)},
    };
    size_t size = a->family == AF_INET ? 4 : 16;

    attribute(&r, IFA_LOCAL, a->bytes, size);
    attribute(&r, IFA_ADDRESS, a->bytes, size);
    return r;
}

/* Adds it, or renews its lifetime. IPv6 does not look for a duplicate: that takes a second, and the
 * other appliance may be the duplicate. */
static int add(const struct child *c, const struct fg_address_floating *a)
{
    const struct ifa_cacheinfo life = {.ifa_prefered = FG_PORT_FLOATING_LIFE_S,
                                       .ifa_valid = FG_PORT_FLOATING_LIFE_S};
    struct request r = request_of(c, a, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
    uint32_t flags = IFA_F_NODAD, broadcast;

    if (!r.address.ifa_index)
        return ENODEV;
    attribute(&r, IFA_CACHEINFO, &life, sizeof(life));
    if (a->family == AF_INET6) {
        attribute(&r, IFA_FLAGS, &flags, sizeof(flags));
    } else if (a->prefix < 31) {
        memcpy(&broadcast, a->bytes, sizeof(broadcast));
        broadcast |= htonl(UINT32_MAX >> a->prefix);
        attribute(&r, IFA_BROADCAST, &broadcast, sizeof(broadcast));
    }
    return ask(c, &r);
}

static int take_off(const struct child *c, const struct fg_address_floating *a)
{
    struct request r = request_of(c, a, RTM_DELADDR, 0);
    int failed = r.address.ifa_index ? ask(c, &r) : 0;

    return failed == EADDRNOTAVAIL ? 0 : failed;
}

/* ---- the process ----------------------------------------------------------------------------- */

static void say(const struct fg_address_floating *a, enum fg_diag_level level, const char *what)
{
    char text[INET6_ADDRSTRLEN] = "?";

    inet_ntop(a->family, a->bytes, text, sizeof(text));
    fg_diag(level, "address %s at %s: %s", text, a->interface, what);
}

/* It is there, or there again. */
static int add_one(struct child *c, unsigned i, uint64_t now_ms)
{
    int failed = add(c, &c->list[i]);

    if (!failed && !c->state[i].here) {
        say(&c->list[i], FG_DIAG_NOTICE, "is here now");
        c->state[i] = (struct here){.here = true, .added_ms = now_ms};
    } else if (failed) {
        c->state[i].here = false;
    }
    return failed;
}

static void add_all(struct child *c, uint64_t now_ms)
{
    int fault = 0;

    c->tried_ms = now_ms;
    for (unsigned i = 0; i < c->count; i++) {
        int failed = add_one(c, i, now_ms);

        if (!failed || fault)
            continue;
        fault = failed;
        if (failed != atomic_load(&c->shared->fault))
            say(&c->list[i], FG_DIAG_ERROR, strerror(failed));
        atomic_store(&c->shared->fault_address, i);
    }
    atomic_store(&c->shared->fault, fault);
    c->renewed_ms = now_ms;
    atomic_store(&c->shared->held, !fault);
}

static void take_off_all(struct child *c, const char *why)
{
    for (unsigned i = 0; i < c->count; i++) {
        int failed = take_off(c, &c->list[i]);

        c->state[i].here = false;
        if (failed)
            say(&c->list[i], FG_DIAG_ERROR, strerror(failed));
        else if (why)
            say(&c->list[i], FG_DIAG_NOTICE, why);
    }
    atomic_store(&c->shared->held, false);
    atomic_store(&c->shared->fault, 0);
}

static bool announcement_is_due(const struct here *h, uint64_t now_ms)
{
    if (h->announced >= ANNOUNCEMENTS - 1) /* every so often */
        return now_ms >= h->announced_ms + announce_ms[ANNOUNCEMENTS - 1];
    return now_ms >= h->added_ms + announce_ms[h->announced];
}

static void announce(struct child *c, uint64_t now_ms)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct fg_frame_host_address a = {.family = c->list[i].family == AF_INET ? 4 : 6};
        struct here *h = &c->state[i];

        if (!h->here || !announcement_is_due(h, now_ms))
            continue;
        memcpy(a.bytes, c->list[i].bytes, sizeof(a.bytes));
        fg_port_announce(c->frames, c->list[i].interface, &a, 1);
        h->announced++;
        h->announced_ms = now_ms;
    }
}

static void act(struct child *c, uint64_t now_ms)
{
    bool silent = now_ms >= c->told_ms + FG_PORT_FLOATING_SILENT_MS;
    bool held = atomic_load(&c->shared->held);

    if (!c->wanted)
        return;
    if (silent) {
        take_off_all(c, "taken off: the daemon is silent");
        c->wanted = false;
        return;
    }
    if (now_ms >= (held ? c->renewed_ms + RENEW_MS : c->tried_ms + RETRY_MS))
        add_all(c, now_ms);
    if (now_ms < c->told_ms + FRESH_MS)
        announce(c, now_ms);
}

/* False: the daemon ended. */
static bool listen_to_daemon(struct child *c)
{
    char words[256];
    ssize_t got = read(PIPE, words, sizeof(words));

    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0)
        return false;
    if (words[got - 1] == HOLD) {
        if (!c->wanted)
            c->tried_ms = 0;
        c->wanted = true;
        c->told_ms = fg_clock_mono_ms();
    } else if (c->wanted) {
        c->wanted = false;
        take_off_all(c, "taken off: this appliance does not lead");
    }
    return true;
}

/* As long as nothing is wanted it sleeps; else it looks every 10 ms, which is what announcements
 * need. */
static void serve(struct child *c)
{
    struct pollfd fd = {.fd = PIPE, .events = POLLIN};

    do {
        act(c, fg_clock_mono_ms());
        poll(&fd, 1, c->wanted ? 10 : -1);
    } while (listen_to_daemon(c));
    take_off_all(c, c->wanted ? "taken off: the daemon ended" : NULL);
}

static bool narrow(struct fg_error *err)
{
    static const int calls[] = {
        SCMP_SYS(read),   SCMP_SYS(write),         SCMP_SYS(poll),       SCMP_SYS(ppoll),
        SCMP_SYS(sendto), SCMP_SYS(recvfrom),      SCMP_SYS(ioctl),      SCMP_SYS(futex),
        SCMP_SYS(brk),    SCMP_SYS(clock_gettime), SCMP_SYS(exit_group), SCMP_SYS(restart_syscall),
    };

    return fg_rights_narrow(CAP_NET_ADMIN, calls, sizeof(calls) / sizeof(calls[0]), err);
}

static bool open_sockets(struct child *c)
{
    struct timeval patience = {.tv_sec = 2};

    c->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    c->frames = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    return c->netlink >= 0 && c->frames >= 0 &&
           setsockopt(c->netlink, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0;
}

/* Never returns. The daemon's other descriptors are not ours to keep. */
static void run_child(struct child *c, int pipe)
{
    struct fg_error err = {""};
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL); /* its end is the daemon's */
    prctl(PR_SET_NAME, "fg-address");
    tzset(); /* for the times of our messages: no file can be opened later */
    setpriority(PRIO_PROCESS, 0, NICE); /* best effort */
    if (dup2(pipe, PIPE) != PIPE || close_range(PIPE + 1, ~0u, 0) != 0 || !open_sockets(c))
        fg_fail(&err, "%s", strerror(errno));
    else if (narrow(&err)) {
        take_off_all(c, NULL);
        serve(c);
    }
    if (err.text[0])
        fg_diag(FG_DIAG_ERROR, "addresses of the pair: %s", err.text);
    atomic_store(&c->shared->ended, true);
    _exit(err.text[0] != 0);
}

/* ---- the daemon's side ----------------------------------------------------------------------- */

static bool is_port(const struct fg_address_floating *a, const struct fg_port_options *ports,
                    unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!ports[i].af_xdp && strcmp(ports[i].name, a->interface) == 0)
            return true;
    return false;
}

static bool read_list(struct child *c, const char *addresses, const struct fg_port_options *ports,
                      unsigned count, struct fg_error *err)
{
    struct fg_address_floating all[FG_ADDRESS_FLOATING_MAX];
    unsigned n = fg_address_floating_read(addresses, all);

    if (!n)
        return fg_fail(err, "'%s' are not addresses at interfaces", addresses);
    for (unsigned i = 0; i < n; i++) {
        if (is_port(&all[i], ports, count))
            continue;
        if (!if_nametoindex(all[i].interface))
            return fg_fail(err, "[pair] address: no interface or port %s here", all[i].interface);
        c->list[c->count++] = all[i];
    }
    return true;
}

struct fg_port_floating *fg_port_floating_start(const char *addresses,
                                                const struct fg_port_options *ports, unsigned count,
                                                struct fg_error *err)
{
    struct fg_port_floating *f = calloc(1, sizeof(*f));
    struct child c = {0};
    int ends[2];
    pid_t pid;

    FG_ASSERT(f);
    if (!read_list(&c, addresses, ports, count, err)) {
        free(f);
        return NULL;
    }
    c.shared = f->shared =
        mmap(NULL, sizeof(*c.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    FG_ASSERT(f->shared != MAP_FAILED);
    f->pipe = -1;
    if (!c.count)
        return f;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0 || (pid = fork()) < 0) {
        fg_fail(err, "no process for the addresses of the pair: %s", strerror(errno));
        fg_port_floating_stop(f);
        return NULL;
    }
    if (pid == 0)
        run_child(&c, ends[0]);
    close(ends[0]);
    f->pipe = ends[1];
    return f;
}

/* A pipe that is full has a process that hangs: it has lost the addresses by their lifetime. */
void fg_port_floating_hold(struct fg_port_floating *f, bool hold)
{
    char word = hold ? HOLD : LET_GO;

    if (f && f->pipe < 0)
        atomic_store(&f->shared->held, hold);
    else if (f && write(f->pipe, &word, 1) < 0 && errno == EPIPE)
        atomic_store(&f->shared->ended, true);
}

bool fg_port_floating_held(const struct fg_port_floating *f)
{
    return f && atomic_load(&f->shared->held) && !atomic_load(&f->shared->ended);
}

int fg_port_floating_fault(const struct fg_port_floating *f, unsigned *address)
{
    if (!f)
        return 0;
    *address = atomic_load(&f->shared->fault_address);
    return atomic_load(&f->shared->ended) ? ESRCH : atomic_load(&f->shared->fault);
}

/* It is not waited for: the daemon may make no such call any more. */
void fg_port_floating_stop(struct fg_port_floating *f)
{
    if (!f)
        return;
    if (f->pipe >= 0) {
        close(f->pipe);
        for (unsigned ms = 0; ms < END_MS && !atomic_load(&f->shared->ended); ms++)
            fg_clock_sleep_us(1000);
    }
    munmap(f->shared, sizeof(*f->shared));
    free(f);
}

/* ---- ports without a kernel ------------------------------------------------------------------ */

void fg_port_floating_take(const struct fg_port_group *g, struct fg_port *p)
{
    struct fg_address_floating list[FG_ADDRESS_FLOATING_MAX];
    const char *text = g->options.floating;
    unsigned n = text && text[0] ? fg_address_floating_read(text, list) : 0;

    for (unsigned i = 0; i < n && p->own.count < FG_FRAME_HOST_ADDRESSES_MAX; i++) {
        if (strcmp(list[i].interface, p->options->name) != 0)
            continue;
        memcpy(p->own.addresses[p->own.count].bytes, list[i].bytes, sizeof(list[i].bytes));
        p->family[p->floating++] = list[i].family == AF_INET ? 4 : 6;
        p->own.count++;
    }
}

/* One byte that workers read decides: without a family an address matches nothing. */
static void set_families(struct fg_port *p, bool hold)
{
    for (unsigned i = 0; i < p->floating; i++)
        __atomic_store_n(&p->own.addresses[p->own.count - p->floating + i].family,
                         hold ? p->family[i] : 0, __ATOMIC_RELEASE);
}

static void announce_port(struct fg_port *p, uint64_t now_ms)
{
    unsigned last = ANNOUNCEMENTS - 1;
    uint64_t due_ms = p->floated < last ? p->held_ms + announce_ms[p->floated]
                                        : p->floated_ms + announce_ms[last];

    if (now_ms < due_ms || atomic_load(&p->link.state) != FG_PORT_LINK_UP)
        return;
    p->floated++;
    p->floated_ms = now_ms;
    atomic_store(&p->announce, true);
}

void fg_port_floating_hold_ports(struct fg_port_group *g, bool hold)
{
    uint64_t now_ms = fg_clock_mono_ms();

    for (unsigned i = 0; i < g->options.count; i++) {
        struct fg_port *p = &g->list[i];

        if (!p->floating)
            continue;
        if (hold != p->holds) {
            set_families(p, hold);
            p->holds = hold;
            p->held_ms = now_ms;
            p->floated = 0;
        }
        if (hold)
            announce_port(p, now_ms);
    }
}
