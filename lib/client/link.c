/* SPDX-License-Identifier: BSD-3-Clause */
/* The wrapper with sockets: one connected socket for each order port that is used. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/client.h"

#define PORT_AT 2 /* of the port in a socket address of either family */

struct peer {
    struct sockaddr_storage address; /* with the first order port */
    socklen_t size;
    uint16_t port;
    int fd[FG_CLIENT_PORTS_MAX]; /* -1: not opened yet */
};

struct fg_client_link {
    struct fg_client *client;
    unsigned peers;
    struct peer peer[FG_CLIENT_SERVERS_MAX];
};

static bool resolve(struct peer *p, const char *text, struct fg_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV},
                    *found;
    char host[64], service[8];

    if (!fg_client_address(text, host, &p->port, err))
        return false;
    snprintf(service, sizeof(service), "%u", p->port);
    if (getaddrinfo(host, service, &hints, &found))
        return fg_fail(err, "`%s` is not an address; accepted: IP, IP:PORT, [v6]:PORT", text);
    memcpy(&p->address, found->ai_addr, found->ai_addrlen);
    p->size = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static int open_socket(const struct peer *p, unsigned port)
{
    struct sockaddr_storage to = p->address;
    uint16_t number = htons((uint16_t)(p->port + port));
    int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), room = 4 << 20;

    _Static_assert(offsetof(struct sockaddr_in, sin_port) == PORT_AT &&
                       offsetof(struct sockaddr_in6, sin6_port) == PORT_AT,
                   "the port is in one place");
    memcpy((char *)&to + PORT_AT, &number, sizeof(number));
    if (fd >= 0) /* for the answers to many questions at once */
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, p->size) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* A packet that cannot be sent is a lost packet. */
static void transmit(struct fg_client_link *l, const struct fg_client_packet *packet)
{
    int *fd = &l->peer[packet->server].fd[packet->port];

    if (*fd < 0)
        *fd = open_socket(&l->peer[packet->server], packet->port);
    if (*fd >= 0 && send(*fd, packet->bytes, sizeof(packet->bytes), 0) < 0 &&
        errno == ECONNREFUSED) /* of an earlier packet: the error came instead of this one */
        (void)!send(*fd, packet->bytes, sizeof(packet->bytes), 0);
}

static void receive(struct fg_client_link *l, unsigned server, unsigned port)
{
    uint8_t bytes[FG_PACKET_SIZE + 1];
    ssize_t n;

    for (unsigned i = 0; i < 64; i++) {
        n = recv(l->peer[server].fd[port], bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == ECONNREFUSED))
            continue;
        if (n < 0)
            return;
        fg_client_receive(l->client, server, port, bytes, (size_t)n, fg_clock_mono_ms());
    }
}

static void send_due(struct fg_client_link *l)
{
    struct fg_client_packet packet;

    while (fg_client_send(l->client, fg_clock_mono_ms(), &packet))
        transmit(l, &packet);
}

/* Milliseconds until a question is due again, up to `most`. */
static int until_due(const struct fg_client_link *l, unsigned most)
{
    uint64_t due = fg_client_due_ms(l->client), now = fg_clock_mono_ms();

    if (due <= now)
        return 0;
    return due - now < most ? (int)(due - now) : (int)most;
}

void fg_client_link_wait(struct fg_client_link *l, unsigned wait_ms)
{
    struct pollfd fds[FG_CLIENT_SERVERS_MAX * FG_CLIENT_PORTS_MAX];
    uint16_t of[FG_CLIENT_SERVERS_MAX * FG_CLIENT_PORTS_MAX];
    nfds_t n = 0;

    send_due(l);
    for (unsigned i = 0; i < l->peers * FG_CLIENT_PORTS_MAX; i++)
        if (l->peer[i / FG_CLIENT_PORTS_MAX].fd[i % FG_CLIENT_PORTS_MAX] >= 0) {
            fds[n].fd = l->peer[i / FG_CLIENT_PORTS_MAX].fd[i % FG_CLIENT_PORTS_MAX];
            fds[n].events = POLLIN;
            of[n++] = (uint16_t)i;
        }
    if (poll(fds, n, until_due(l, wait_ms < 60000 ? wait_ms : 60000)) <= 0)
        return;
    for (nfds_t i = 0; i < n; i++)
        if (fds[i].revents)
            receive(l, of[i] / FG_CLIENT_PORTS_MAX, of[i] % FG_CLIENT_PORTS_MAX);
}

fg_client_handle fg_client_link_start(struct fg_client_link *l, const struct fg_client_ask *ask)
{
    return fg_client_start(l->client, ask, fg_clock_mono_ms());
}

void fg_client_link_forget(struct fg_client_link *l, fg_client_handle handle)
{
    fg_client_forget(l->client, handle);
}

bool fg_client_link_next(struct fg_client_link *l, struct fg_client_done *done)
{
    if (fg_client_next(l->client, done))
        return true;
    fg_client_link_wait(l, 0);
    return fg_client_next(l->client, done);
}

bool fg_client_link_ask(struct fg_client_link *l, const struct fg_client_ask *ask,
                        struct fg_client_done *done)
{
    FG_ASSERT(!fg_client_outstanding(l->client)); /* another one could end first */
    FG_ASSERT(fg_client_link_start(l, ask));
    while (!fg_client_link_next(l, done))
        fg_client_link_wait(l, 1000);
    return done->answered;
}

const struct fg_client_counters *fg_client_link_counters(const struct fg_client_link *l)
{
    return fg_client_counters(l->client);
}

struct fg_client_link *fg_client_link_open(const struct fg_client_options *options,
                                           const char *const *servers, unsigned n,
                                           struct fg_error *err)
{
    struct fg_client_options own = *options;
    struct fg_client_link *l;
    bool ok = n >= 1 && n <= FG_CLIENT_SERVERS_MAX;

    if (!ok) {
        fg_fail(err, "%u servers; accepted: 1 to %d", n, FG_CLIENT_SERVERS_MAX);
        return NULL;
    }
    l = calloc(1, sizeof(*l));
    if (!l) {
        fg_fail(err, "out of memory");
        return NULL;
    }
    memset(l->peer, 0xff, sizeof(l->peer)); /* no socket yet */
    for (l->peers = 0; ok && l->peers < n; l->peers += ok)
        ok = resolve(&l->peer[l->peers], servers[l->peers], err);
    own.servers = n;
    own.ports_max = FG_CLIENT_PORTS_MAX;
    if (getrandom(&own.seed, sizeof(own.seed), 0) != sizeof(own.seed))
        ok = fg_fail(err, "no random numbers: %s", strerror(errno));
    if (ok)
        l->client = fg_client_create(&own, err);
    explicit_bzero(&own, sizeof(own));
    if (!l->client) {
        fg_client_link_close(l);
        return NULL;
    }
    return l;
}

void fg_client_link_close(struct fg_client_link *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < FG_CLIENT_SERVERS_MAX * FG_CLIENT_PORTS_MAX; i++)
        if (l->peer[i / FG_CLIENT_PORTS_MAX].fd[i % FG_CLIENT_PORTS_MAX] >= 0)
            close(l->peer[i / FG_CLIENT_PORTS_MAX].fd[i % FG_CLIENT_PORTS_MAX]);
    fg_client_destroy(l->client);
    free(l);
}
