/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/memif.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"

#include <rte_ethdev.h>
#include <rte_kvargs.h>

#define DEFAULT_SOCKET  "/run/memif.sock" /* the driver's */
#define INSIDE          "-port"           /* appended to the path: the driver's socket */
#define MESSAGE         128               /* bytes of a message of the control channel */
#define TYPE_ACK        1
#define TYPE_HELLO      2
#define TYPE_INIT       3
#define TYPE_REGION     4
#define TYPE_RING       5
#define TYPE_CONNECT    6
#define TYPE_CONNECTED  7
#define TYPE_DISCONNECT 8
#define REGIONS         256   /* as many as the driver takes */
#define LOG2_SLOTS_MAX  14    /* of a ring; the driver's limit */
#define RING_HEADER     128   /* bytes, before its slots */
#define RING_SLOT       16    /* bytes */
#define POLL_MS         100   /* how often a waiting thread checks whether it should end */
#define BARRIER_US      10000 /* where the kernel has no membarrier */
#define HANDSHAKE_MS    2000  /* a peer that has not connected by then is sent away */

struct address {
    struct sockaddr_un un;
    socklen_t size;
    bool abstract;
};

struct fg_port_memif {
    const struct fg_port_group *group;
    const struct fg_port *port;
    bool server;                    /**< the role of the driver */
    struct address outside, inside; /**< the peer's way, the driver's socket */
    int listener;
    bool bound;    /* the socket of the listener is at its path */
    long uid, gid; /**< of that socket; -1 = ours */
    _Atomic bool quit;
    pthread_t thread;
    bool started;
    bool told_silent; /* of the peers since the last good one */
    bool told_unsafe; /* the same */
    struct {
        bool begun;                /* it has said anything */
        uint64_t regions[REGIONS]; /* bytes of its memory; 0 = none */
        unsigned rings[2];         /* of each direction: the first so many */
    } peer;                        /* what it has said, where it brings the memory */
    eth_rx_burst_t rx;             /**< the driver's, while the port is shut */
    eth_tx_burst_t tx;
};

bool fg_port_device_is_memif(const char *device)
{
    static const char prefix[] = "net_memif";

    return !strncmp(device, prefix, sizeof(prefix) - 1);
}

/* ---- workers --------------------------------------------------------------------------------- */

static uint16_t no_burst(void *queue, struct rte_mbuf **mbufs, uint16_t n)
{
    return 0;
}

/* All threads of the process have passed a full barrier when it returns. */
static void barrier_everywhere(void)
{
    static bool registered;

    if (!registered)
        registered = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
        fg_clock_sleep_us(BARRIER_US);
}

/* A worker that began its loop after the barrier sees the new functions: so each has to end the one
 * it is in. One that never does uses the shared memory, so there is no other end of the wait. */
static void wait_for_workers(const struct fg_port_group *g)
{
    while (!g->options.workers_pass(g->options.ctx, POLL_MS))
        ;
}

/* As rte_eth_dev_stop does it, before the driver does anything. */
static void shut(struct fg_port_memif *m)
{
    struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[m->port->ethdev[0]];

    m->rx = ops->rx_pkt_burst;
    m->tx = ops->tx_pkt_burst;
    __atomic_store_n(&ops->rx_pkt_burst, no_burst, __ATOMIC_RELEASE);
    __atomic_store_n(&ops->tx_pkt_burst, no_burst, __ATOMIC_RELEASE);
    barrier_everywhere();
    wait_for_workers(m->group);
    barrier_everywhere();
}

static void reopen(struct fg_port_memif *m)
{
    struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[m->port->ethdev[0]];

    __atomic_store_n(&ops->tx_pkt_burst, m->tx, __ATOMIC_RELEASE);
    __atomic_store_n(&ops->rx_pkt_burst, m->rx, __ATOMIC_RELEASE);
}

/* ---- messages -------------------------------------------------------------------------------- */

/*
 * What the driver believes a peer: that its memory is as large as it says, and stays so (else the
 * first touch beyond its end is a SIGBUS), that its rings lie in it and there are as many as queues
 * (else a queue has the place of an earlier peer's), that messages come in turn (it takes any at
 * any time, the other role's too), and files only where they belong (it closes no others).
 */
struct region_message { /* the protocol's */
    uint16_t type, index;
    uint64_t bytes;
} __attribute__((packed));

struct ring_message {
    uint16_t type, flags, index, region;
    uint32_t offset;
    uint8_t log2_slots;
    uint16_t private_header;
} __attribute__((packed));

static bool region_is_safe(struct fg_port_memif *m, const uint8_t *message, int file)
{
    struct region_message region;
    struct stat st;
    int seals;

    memcpy(&region, message, sizeof(region));
    if (file < 0 || region.index >= REGIONS || m->peer.regions[region.index] || !region.bytes ||
        (region.index > 0 && !m->peer.regions[region.index - 1]))
        return false;
    /* a peer may forget to seal it, and cannot object */
    fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK);
    seals = fcntl(file, F_GET_SEALS); /* -1: a file on a disk */
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(file, &st) < 0 ||
        (uint64_t)st.st_size < region.bytes)
        return false;
    m->peer.regions[region.index] = region.bytes;
    return true;
}

/* The driver counts rings, and uses the first so many of its own: so each comes once, in order. */
static bool ring_is_safe(struct fg_port_memif *m, const uint8_t *message, int file)
{
    struct ring_message ring;

    memcpy(&ring, message, sizeof(ring));
    return file >= 0 && ring.index == m->peer.rings[ring.flags & 1]++ &&
           ring.index < m->port->options->queues && ring.region < REGIONS &&
           ring.log2_slots <= LOG2_SLOTS_MAX && ring.offset % FG_CACHE_LINE == 0 &&
           (uint64_t)ring.offset + RING_HEADER + ((uint64_t)RING_SLOT << ring.log2_slots) <=
               m->peer.regions[ring.region];
}

/* A peer begins with one message; what it may say later depends on its role. */
static bool in_turn(struct fg_port_memif *m, int type)
{
    bool begun = m->peer.begun;

    m->peer.begun = true;
    if (!begun)
        return type == (m->server ? TYPE_INIT : TYPE_HELLO);
    return type == TYPE_DISCONNECT ||
           (m->server ? type == TYPE_REGION || type == TYPE_RING || type == TYPE_CONNECT
                      : type == TYPE_ACK || type == TYPE_CONNECTED);
}

/* file: that came with it; -1 = none. */
static bool is_safe(struct fg_port_memif *m, const uint8_t *message, int type, int file)
{
    unsigned queues = m->port->options->queues;
    bool safe = in_turn(m, type);

    if (safe && type == TYPE_REGION)
        safe = region_is_safe(m, message, file);
    else if (safe && type == TYPE_RING)
        safe = ring_is_safe(m, message, file);
    else if (safe && type == TYPE_CONNECT)
        safe = m->peer.rings[0] == queues && m->peer.rings[1] == queues;
    if (!safe && !m->told_unsafe) {
        m->told_unsafe = true;
        fg_diag(FG_DIAG_NOTICE,
                "port %s: a peer of the memif was sent away: its memory could shrink (a memfd with "
                "MFD_ALLOW_SEALING cannot), is smaller than it says, its rings lie outside, come "
                "twice or are not %u in each direction, or its messages are out of turn",
                m->port->options->name, queues);
    }
    return safe;
}

/* The one that came with the message; -1: none, or several. */
static int only_file(struct msghdr *header)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(header);
    int file = -1;

    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(file)) && !CMSG_NXTHDR(header, c))
        memcpy(&file, CMSG_DATA(c), sizeof(file));
    return file;
}

/* Hands on one message with its file; its type, or -1 at the end of the connection, when the other
 * end does not read, or when the peer wants what is not safe. to < 0: throws it away. checks: of
 * what a peer says; NULL = none.
 */
static int pass(int from, int to, struct fg_port_memif *checks)
{
    _Alignas(struct cmsghdr) char
        control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(4 * sizeof(int))];
    uint8_t message[MESSAGE] = {0};
    struct iovec part = {.iov_base = message, .iov_len = sizeof(message)};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(from, &header, MSG_CMSG_CLOEXEC);
    struct msghdr onward = header;
    int type = -1;

    if (n == sizeof(message) && !(header.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
        uint16_t number;

        memcpy(&number, message, sizeof(number));
        type = number;
        if (type != TYPE_REGION && type != TYPE_RING)
            onward.msg_controllen = 0;
        if (checks && !is_safe(checks, message, type, only_file(&header)))
            type = -1;
        else if (to >= 0 && sendmsg(to, &onward, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
            type = -1;
    }
    for (struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&header) : NULL; c; c = CMSG_NXTHDR(&header, c))
        for (size_t at = CMSG_LEN(0); c->cmsg_type == SCM_RIGHTS && c->cmsg_level == SOL_SOCKET &&
                                      at + sizeof(int) <= c->cmsg_len;
             at += sizeof(int)) {
            int file;

            memcpy(&file, (char *)c + at, sizeof(file));
            close(file);
        }
    return type;
}

/* True: there is something to read, or the other end is gone. False: the port stops, or end_ms (0 =
 * no such time) has come. */
static bool readable(struct fg_port_memif *m, int a, int b, uint64_t end_ms, bool ready[2])
{
    struct pollfd fds[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};

    while (!atomic_load(&m->quit) && (!end_ms || fg_clock_mono_ms() < end_ms))
        if (poll(fds, 2, POLL_MS) > 0) {
            ready[0] = fds[0].revents;
            ready[1] = fds[1].revents;
            return true;
        }
    return false;
}

/* The driver closes its end when it has taken everything down. When the port stops it is waited
 * for, too: rte_eth_dev_close would take down the same at the same time. */
static void wait_for_driver(struct fg_port_memif *m, int driver)
{
    struct pollfd end = {.fd = driver, .events = POLLIN};
    uint64_t stop_ms = 0;

    shutdown(driver, SHUT_WR);
    while (!stop_ms || fg_clock_mono_ms() < stop_ms) {
        if (poll(&end, 1, POLL_MS) > 0 && pass(driver, -1, NULL) < 0)
            return;
        if (!stop_ms && atomic_load(&m->quit))
            stop_ms = fg_clock_mono_ms() + HANDSHAKE_MS;
    }
}

static void let_in_again(struct fg_port_memif *m)
{
    uint16_t ethdev = m->port->ethdev[0];

    reopen(m);
    if (m->server || atomic_load(&m->quit))
        return;
    fg_clock_sleep_us(POLL_MS * 1000); /* a server that refuses us is not asked all the time */
    rte_eth_dev_stop(ethdev);          /* a client connects when it is started, and only then */
    if (rte_eth_dev_start(ethdev) < 0)
        fg_diag(FG_DIAG_ERROR, "port %s: cannot be started again", m->port->options->name);
}

/* One line for all such peers until one connects: a peer may come again and again. */
static void tell_silent(struct fg_port_memif *m)
{
    if (!m->told_silent && !atomic_load(&m->quit))
        fg_diag(FG_DIAG_NOTICE,
                "port %s: a peer of the memif did not connect within %d s: sent away",
                m->port->options->name, HANDSHAKE_MS / 1000);
    m->told_silent = true;
}

/*
 * Until either end is gone. From the message on that makes the driver connect, a peer has nothing
 * more to say than that it goes, in one way or another. The port has room for one peer: so one that
 * does not get that far in time makes room for the next.
 */
static void relay(struct fg_port_memif *m, int peer, int driver)
{
    const int last = m->server ? TYPE_CONNECT : TYPE_CONNECTED;
    uint64_t end_ms = fg_clock_mono_ms() + HANDSHAKE_MS;
    bool connected = false, ready[2];

    memset(&m->peer, 0, sizeof(m->peer));
    while (readable(m, peer, driver, connected ? 0 : end_ms, ready)) {
        int type = 0;

        if (ready[1])
            type = pass(driver, peer, NULL);
        if (type >= 0 && ready[0]) {
            if (connected)
                break;
            type = pass(peer, driver, m);
            connected = type == last;
        }
        if (type < 0)
            break;
    }
    if (!connected && fg_clock_mono_ms() >= end_ms)
        tell_silent(m);
    else if (connected)
        m->told_silent = m->told_unsafe = false;
    shut(m);
    wait_for_driver(m, driver);
    let_in_again(m);
}

/* ---- connections ----------------------------------------------------------------------------- */

static int accept_one(struct fg_port_memif *m)
{
    bool ready[2];

    return readable(m, m->listener, -1, 0, ready) ? accept4(m->listener, NULL, NULL, SOCK_CLOEXEC)
                                                  : -1;
}

/* A peer that is a server may not be there yet. */
static int connect_to(struct fg_port_memif *m, const struct address *a)
{
    while (!atomic_load(&m->quit)) {
        int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (s >= 0 && connect(s, (const struct sockaddr *)&a->un, a->size) == 0)
            return s;
        if (s >= 0)
            close(s);
        fg_clock_sleep_us(POLL_MS * 1000);
    }
    return -1;
}

static void *run(void *memif)
{
    struct fg_port_memif *m = memif;

    while (!atomic_load(&m->quit)) {
        int near = accept_one(m),
            far = near >= 0 ? connect_to(m, m->server ? &m->inside : &m->outside) : -1;

        if (far >= 0)
            relay(m, m->server ? near : far, m->server ? far : near);
        if (far >= 0)
            close(far);
        if (near >= 0)
            close(near);
    }
    return NULL;
}

/* Of any type: a living one of another type refuses with EPROTOTYPE. */
static bool listens(const struct address *a)
{
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused = s >= 0 && connect(s, (const struct sockaddr *)&a->un, a->size) < 0 &&
                   (errno == ECONNREFUSED || errno == ENOENT);

    if (s >= 0)
        close(s);
    return s >= 0 && !refused;
}

/* A socket that a killed daemon left stands in the way. Anything else at that path is not ours. */
static bool remove_socket(const struct address *a, struct fg_error *err)
{
    struct stat st;

    if (a->abstract || lstat(a->un.sun_path, &st) < 0)
        return true; /* bind tells what else is wrong */
    if (!S_ISSOCK(st.st_mode))
        return fg_fail(err,
                       "socket %s: there is something that is not a socket; accepted: a path where "
                       "nothing is, or a socket",
                       a->un.sun_path);
    if (listens(a))
        return fg_fail(err, "socket %s: another process listens there; accepted: one each",
                       a->un.sun_path);
    return unlink(a->un.sun_path) == 0 ||
           fg_fail(err, "socket %s: cannot be replaced: %s", a->un.sun_path, strerror(errno));
}

static bool listen_at(struct fg_port_memif *m, const struct address *a, struct fg_error *err)
{
    if (!remove_socket(a, err))
        return false;
    m->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    m->bound = m->listener >= 0 && bind(m->listener, (const struct sockaddr *)&a->un, a->size) == 0;
    if (!m->bound || listen(m->listener, 1) < 0)
        return fg_fail(err, "socket %s: %s", a->un.sun_path + a->abstract, strerror(errno));
    if (a->abstract || (m->uid < 0 && m->gid < 0) ||
        chown(a->un.sun_path, (uid_t)m->uid, (gid_t)m->gid) == 0)
        return true;
    return fg_fail(err, "socket %s: cannot give it to %ld:%ld: %s", a->un.sun_path, m->uid, m->gid,
                   strerror(errno));
}

/* ---- arguments ------------------------------------------------------------------------------- */

static bool set_address(struct address *a, const char *path, const char *suffix, bool abstract,
                        struct fg_error *err)
{
    size_t room = sizeof(a->un.sun_path) - 1 - abstract;
    int length = snprintf(a->un.sun_path + abstract, room + 1, "%s%s", path, suffix);

    a->un.sun_family = AF_UNIX;
    a->abstract = abstract;
    a->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + (size_t)length);
    if (!abstract)
        a->size = sizeof(a->un);
    return (size_t)length <= room ||
           fg_fail(err, "socket=%s: too long; accepted: up to %zu characters", path,
                   room - strlen(INSIDE));
}

static const char *value_of(const struct rte_kvargs *list, const char *key, const char *otherwise)
{
    const char *value = rte_kvargs_get(list, key);

    return value ? value : otherwise;
}

/* The driver draws one by lot at each start, and shoppers would send to the old one until their ARP
 * entry ends. Locally administered; the same for the same port and socket. */
static void stable_mac(const struct fg_port_memif *m, char *text, size_t size)
{
    const char *name = m->port->options->name, *path = m->outside.un.sun_path + m->outside.abstract;
    uint64_t hash = fg_mix64(fg_crc32c(name, strlen(name)), fg_crc32c(path, strlen(path)));

    snprintf(text, size, "02:%02x:%02x:%02x:%02x:%02x", (unsigned)(hash & 0xff),
             (unsigned)(hash >> 8 & 0xff), (unsigned)(hash >> 16 & 0xff),
             (unsigned)(hash >> 24 & 0xff), (unsigned)(hash >> 32 & 0xff));
}

/* The driver gets all of them as they are, but for the socket; and a MAC. */
static void write_devargs(const struct fg_port_memif *m, const struct rte_kvargs *list,
                          char *devargs, size_t size)
{
    const char *device = m->port->options->device;
    size_t used = (size_t)snprintf(devargs, size, "%.*s,socket=%s", (int)strcspn(device, ","),
                                   device, m->inside.un.sun_path + m->inside.abstract);

    if (!rte_kvargs_get(list, "mac") && used < size) {
        char mac[32];

        stable_mac(m, mac, sizeof(mac));
        used += (size_t)snprintf(devargs + used, size - used, ",mac=%s", mac);
    }
    for (unsigned i = 0; i < list->count && used < size; i++)
        if (strcmp(list->pairs[i].key, "socket") != 0)
            used += (size_t)snprintf(devargs + used, size - used, ",%s=%s", list->pairs[i].key,
                                     list->pairs[i].value);
}

static bool same(const struct address *a, const struct address *b)
{
    return a->abstract == b->abstract &&
           !strcmp(a->un.sun_path + a->abstract, b->un.sun_path + b->abstract);
}

static bool check_others(const struct fg_port_memif *m, struct fg_error *err)
{
    for (unsigned i = 0; i < m->group->options.count; i++) {
        const struct fg_port_memif *other = m->group->list[i].memif;

        if (other && (same(&m->outside, &other->outside) || same(&m->outside, &other->inside) ||
                      same(&m->inside, &other->outside)))
            return fg_fail(err, "socket=%s: is that of port %s; accepted: one each",
                           m->outside.un.sun_path + m->outside.abstract,
                           other->port->options->name);
    }
    return true;
}

static bool read_devargs(struct fg_port_memif *m, const struct rte_kvargs *list,
                         struct fg_error *err)
{
    const char *role = value_of(list, "role", "client"),
               *path = value_of(list, "socket", DEFAULT_SOCKET);
    bool abstract = strcmp(value_of(list, "socket-abstract", "yes"), "yes") == 0;

    m->server = strcmp(role, "server") == 0 || strcmp(role, "master") == 0;
    m->uid = strtol(value_of(list, "owner-uid", "-1"), NULL, 10);
    m->gid = strtol(value_of(list, "owner-gid", "-1"), NULL, 10);
    return set_address(&m->outside, path, "", abstract, err) &&
           set_address(&m->inside, path, INSIDE, abstract, err) && check_others(m, err);
}

struct fg_port_memif *fg_port_memif_open(const struct fg_port_group *group,
                                         const struct fg_port *port, char *devargs, size_t size,
                                         struct fg_error *err)
{
    const char *device = port->options->device, *args = device + strcspn(device, ",");
    struct rte_kvargs *list = rte_kvargs_parse(*args ? args + 1 : "", NULL);
    struct fg_port_memif *m = calloc(1, sizeof(*m));
    bool ok = list != NULL;

    FG_ASSERT(m);
    for (unsigned i = 0; list && i < list->count; i++)
        ok &= list->pairs[i].value != NULL;
    m->group = group;
    m->port = port;
    m->listener = -1;
    if (!ok)
        fg_fail(err, "arguments are not KEY=VALUE,...");
    ok = ok && read_devargs(m, list, err);
    if (ok)
        write_devargs(m, list, devargs, size);
    rte_kvargs_free(list);
    if (ok && m->server) /* the driver would not start over a socket, and deletes anything else */
        ok = remove_socket(&m->inside, err);
    if (ok && (m->server || listen_at(m, &m->inside, err)))
        return m;
    fg_port_memif_stop(m);
    return NULL;
}

bool fg_port_memif_start(struct fg_port_memif *m, struct fg_error *err)
{
    if (m->server && !listen_at(m, &m->outside, err))
        return false;
    m->started = pthread_create(&m->thread, NULL, run, m) == 0;
    if (m->started)
        pthread_setname_np(m->thread, "memif");
    return m->started || fg_fail(err, "no thread for its control channel");
}

void fg_port_memif_stop(struct fg_port_memif *m)
{
    if (!m)
        return;
    atomic_store(&m->quit, true);
    if (m->started)
        pthread_join(m->thread, NULL);
    if (m->listener >= 0) {
        const struct address *a = m->server ? &m->outside : &m->inside;

        if (m->bound && !a->abstract)
            unlink(a->un.sun_path);
        close(m->listener);
    }
    free(m);
}
