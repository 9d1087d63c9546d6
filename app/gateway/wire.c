/* SPDX-License-Identifier: BSD-3-Clause */
/* The worker's end of the order packets: one connected socket for each order port, one client, one
 * timer. The requests of one turn of the event loop leave by one system call for each socket. */
#include <malloc.h>
#include <netinet/udp.h>
#include <sys/random.h>

#include "module.h"

#define BATCH        64 /* packets of one system call (at most UDP_MAX_SEGMENTS) */
#define TURNS        16 /* batches that one turn of the event loop reads from a socket */
#define TRIAL        2  /* packets that are risked to try segmentation offload */
#define TRIAL_MS     1000
#define TRIAL_MS_MAX (3600 * 1000)
#define KEPT_MEMORY  (64 << 20) /* freed memory that a worker does not return to the system */

/* Segmentation offload (UDP_SEGMENT): the kernel takes a batch as one datagram and cuts it behind
 * its own layers, which costs a third of packets one by one. On some paths it is not cut, and the
 * receiver drops it (docs/ports.md). So a path is tried with two packets, and used when the second
 * one is answered. A repeat ends that trust until the next trial, and is never offloaded. */
struct port {
    ngx_connection_t *connection; /* NULL: not open */
    unsigned server, number, count;
    bool again;            /* the batch holds a repeat */
    bool cuts;             /* an offloaded batch arrived as single packets */
    uint32_t trial_cookie; /* of the packet whose answer shows it */
    ngx_msec_t trial_at, trial_wait;
    uint8_t bytes[BATCH][FG_PACKET_SIZE];
};

static struct {
    const struct gateway_main *main;
    ngx_cycle_t *cycle;
    struct fg_client *client;
    struct port *ports[FG_CLIENT_SERVERS_MAX][FG_CLIENT_PORTS_MAX];
    ngx_event_t timer, flush;
    struct fg_client_counters told; /* as in shared memory */
    struct gateway_counters *counters;
    uint64_t random;
} wire;

/* Timers and posted events name a connection in debug messages. */
static ngx_connection_t nowhere;

struct gateway_counters *gateway_counters(void)
{
    return wire.counters;
}

struct gateway_shared *gateway_shared(void)
{
    return wire.main->zone->data;
}

uint64_t gateway_wire_random(void)
{
    wire.random += 0x9e3779b97f4a7c15ull;
    return fg_mix64(wire.random, wire.random >> 31);
}

/* ---- out ------------------------------------------------------------------------------------- */

static void read_handler(ngx_event_t *event);
static void trust(struct port *p, bool cuts);

static void close_port(struct port *p)
{
    ngx_close_connection(p->connection);
    p->connection = NULL;
}

static int connected_socket(const struct port *p)
{
    const struct gateway_peer *peer = (struct gateway_peer *)wire.main->servers->elts + p->server;
    ngx_sockaddr_t to = peer->address;
    int fd = socket(to.sockaddr.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int room = 4 << 20;

    if (fd < 0)
        return fd;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)); /* as much as the system allows */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    ngx_inet_set_port(&to.sockaddr, (in_port_t)(ngx_inet_get_port(&to.sockaddr) + p->number));
    if (connect(fd, &to.sockaddr, peer->size) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool open_port(struct port *p)
{
    ngx_log_t *log = wire.cycle->log;
    int fd = connected_socket(p);

    if (fd < 0) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno, "floodgate: no socket to order port %ui",
                      (ngx_uint_t)p->number);
        return false;
    }
    p->connection = ngx_get_connection(fd, log);
    if (!p->connection) {
        close(fd);
        return false;
    }
    p->connection->data = p;
    p->connection->log = log;
    p->connection->read->log = log;
    p->connection->write->log = log;
    p->connection->read->handler = read_handler;
    if (ngx_add_event(p->connection->read, NGX_READ_EVENT,
                      ngx_event_flags & NGX_USE_CLEAR_EVENT ? NGX_CLEAR_EVENT : NGX_LEVEL_EVENT) !=
        NGX_OK) {
        close_port(p);
        return false;
    }
    return true;
}

static struct port *port_of(unsigned server, unsigned number)
{
    struct port **slot = &wire.ports[server][number];

    if (!*slot) {
        *slot = ngx_pcalloc(wire.cycle->pool, sizeof(struct port));
        if (!*slot)
            return NULL;
        (*slot)->server = server;
        (*slot)->number = number;
        trust(*slot, false);
    }
    return (*slot)->connection || open_port(*slot) ? *slot : NULL;
}

/* ---- segmentation offload -------------------------------------------------------------------- */

static bool send_offloaded(struct port *p, unsigned n)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(uint16_t))];
    } control;
    struct iovec part = {p->bytes, (size_t)n * FG_PACKET_SIZE};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    uint16_t size = FG_PACKET_SIZE;

    ngx_memzero(&control, sizeof(control));
    control.head.cmsg_level = SOL_UDP;
    control.head.cmsg_type = UDP_SEGMENT;
    control.head.cmsg_len = CMSG_LEN(sizeof(size));
    ngx_memcpy(CMSG_DATA(&control.head), &size, sizeof(size));
    if (sendmsg(p->connection->fd, &message, 0) < 0)
        return false;
    gateway_count(&wire.counters->offloaded, 1);
    return true;
}

static uint32_t cookie_of(const uint8_t *packet)
{
    uint32_t cookie;

    ngx_memcpy(&cookie, packet + offsetof(struct fg_packet_reply, cookie), sizeof(cookie));
    return cookie;
}

/* How many packets of the batch the kernel shall cut now. */
static unsigned offload_size(struct port *p)
{
    if (p->count < TRIAL || p->again)
        return 0;
    if (p->cuts)
        return p->count;
    if ((ngx_msec_int_t)(ngx_current_msec - p->trial_at) < 0)
        return 0;
    p->trial_cookie = cookie_of(p->bytes[TRIAL - 1]);
    p->trial_at = ngx_current_msec + p->trial_wait;
    p->trial_wait = ngx_min(2 * p->trial_wait, TRIAL_MS_MAX);
    return TRIAL;
}

static void trust(struct port *p, bool cuts)
{
    p->cuts = cuts;
    p->trial_wait = TRIAL_MS;
    p->trial_at = ngx_current_msec;
}

/* ---- batches --------------------------------------------------------------------------------- */

/* A packet that the kernel does not take counts as lost: the client repeats it when its time comes.
 * An error that is left of an earlier packet (ECONNREFUSED) comes in place of the first one: once
 * more.
 */
static void send_singly(struct port *p, unsigned sent)
{
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    int n = 0;

    ngx_memzero(messages, p->count * sizeof(messages[0]));
    for (unsigned i = sent; i < p->count; i++) {
        parts[i].iov_base = p->bytes[i];
        parts[i].iov_len = FG_PACKET_SIZE;
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (unsigned errors = 0; sent<p->count; sent += n> 0 ? (unsigned)n : 0) {
        n = sendmmsg(p->connection->fd, messages + sent, p->count - sent, 0);
        if (n < 0 && (ngx_errno == NGX_EAGAIN || ++errors > 2))
            break;
    }
    gateway_count(&wire.counters->unsent, p->count - sent);
}

static void send_batch(struct port *p)
{
    unsigned offloaded = offload_size(p);

    if (offloaded && !send_offloaded(p, offloaded))
        offloaded = 0;
    if (offloaded < p->count)
        send_singly(p, offloaded);
    p->count = 0;
    p->again = false;
}

static void add_packet(const struct fg_client_packet *packet)
{
    struct port *p = port_of(packet->server, packet->port);

    if (!p) {
        gateway_count(&wire.counters->unsent, 1);
        return;
    }
    if (packet->again) {
        p->again = true;
        if (p->cuts)
            trust(p, false);
    }
    ngx_memcpy(p->bytes[p->count++], packet->bytes, FG_PACKET_SIZE);
    if (p->count == BATCH)
        send_batch(p);
}

static void send_rest(void)
{
    for (unsigned server = 0; server < wire.main->servers->nelts; server++)
        for (unsigned i = 0; i < FG_CLIENT_PORTS_MAX; i++)
            if (wire.ports[server][i] && wire.ports[server][i]->count)
                send_batch(wire.ports[server][i]);
}

/* ---- the turn -------------------------------------------------------------------------------- */

static void publish_counters(void)
{
    const struct fg_client_counters *now = fg_client_counters(wire.client);
    uint64_t ignored = 0, told = 0;

    for (unsigned i = FG_CLIENT_TAKEN + 1; i < FG_CLIENT_VERDICTS; i++) {
        ignored += now->received[i];
        told += wire.told.received[i];
    }
    gateway_count(&wire.counters->sent, now->sent - wire.told.sent);
    gateway_count(&wire.counters->repeated, now->repeated - wire.told.repeated);
    gateway_count(&wire.counters->silent, now->silent - wire.told.silent);
    gateway_count(&wire.counters->moved, now->moved - wire.told.moved);
    gateway_count(&wire.counters->ignored, ignored - told);
    wire.told = *now;
}

/* A timer that may be cancelled lets a worker end that shuts down; while something is under way it
 * must not end. */
static void arm_timer(void)
{
    uint64_t due = fg_client_due_ms(wire.client);
    ngx_msec_t wait;

    wire.timer.cancelable = fg_client_outstanding(wire.client) == 0;
    if (due == UINT64_MAX)
        return;
    wait = due > ngx_current_msec ? (ngx_msec_t)(due - ngx_current_msec) : 0;
    if (wire.timer.timer_set) {
        if ((ngx_msec_int_t)(wire.timer.timer.key - (ngx_current_msec + wait)) <= 0)
            return; /* it fires before, and is armed again then */
        ngx_del_timer(&wire.timer);
    }
    ngx_add_timer(&wire.timer, wait);
}

static void tell_done(void)
{
    struct fg_client_done done;

    while (fg_client_next(wire.client, &done)) {
        struct gateway_call *call = done.context;

        call->handle = 0;
        call->done(call, &done);
    }
}

static void flush_handler(ngx_event_t *event)
{
    struct fg_client_packet packet;

    while (fg_client_send(wire.client, ngx_current_msec, &packet))
        add_packet(&packet);
    send_rest();
    tell_done(); /* whose patience ended */
    if (fg_client_due_ms(wire.client) == 0) {
        ngx_post_event(&wire.flush, &ngx_posted_next_events);
    }
    publish_counters();
    arm_timer();
}

static void timer_handler(ngx_event_t *event)
{
    flush_handler(event);
}

static unsigned read_batch(struct port *p)
{
    static uint8_t bytes[BATCH][FG_PACKET_SIZE + 1];
    static struct mmsghdr messages[BATCH];
    static struct iovec parts[BATCH];
    int n;

    if (!messages[0].msg_hdr.msg_iov)
        for (unsigned i = 0; i < BATCH; i++) {
            parts[i].iov_base = bytes[i];
            parts[i].iov_len = sizeof(bytes[i]);
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
    n = recvmmsg(p->connection->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    if (n < 0)
        return ngx_errno == NGX_EAGAIN ? 0 : BATCH; /* ECONNREFUSED: there may be more behind it */
    for (int i = 0; i < n; i++) {
        enum fg_client_verdict verdict = fg_client_receive(
            wire.client, p->server, p->number, bytes[i], messages[i].msg_len, ngx_current_msec);

        if (!p->cuts && verdict == FG_CLIENT_TAKEN && cookie_of(bytes[i]) == p->trial_cookie)
            trust(p, true);
    }
    return (unsigned)n;
}

static void read_handler(ngx_event_t *event)
{
    struct port *p = ((ngx_connection_t *)event->data)->data;
    unsigned turns = 0;

    while (turns < TURNS && read_batch(p) == BATCH)
        turns++;
    if (turns == TURNS) { /* more may be there; others have their turn first */
        ngx_post_event(event, &ngx_posted_next_events);
    }
    tell_done();
    ngx_post_event(&wire.flush, &ngx_posted_events);
}

/* ---- for the routes -------------------------------------------------------------------------- */

bool gateway_wire_ask(struct gateway_call *call, struct fg_client_ask *ask)
{
    ask->context = call;
    call->handle = fg_client_start(wire.client, ask, ngx_current_msec);
    if (!call->handle)
        return false;
    wire.timer.cancelable = 0;
    ngx_post_event(&wire.flush, &ngx_posted_events);
    return true;
}

void gateway_wire_forget(struct gateway_call *call)
{
    if (call->handle)
        fg_client_forget(wire.client, call->handle);
    call->handle = 0;
    wire.timer.cancelable = fg_client_outstanding(wire.client) == 0;
}

ngx_int_t gateway_wire_open(ngx_cycle_t *cycle, const struct gateway_main *main)
{
    struct fg_client_options options = {.outstanding_max = (unsigned)main->outstanding,
                                        .servers = (unsigned)main->servers->nelts,
                                        .members = (unsigned)main->members,
                                        .ports_max = FG_CLIENT_PORTS_MAX,
                                        .keys = (unsigned)main->keys,
                                        .key = {main->key[0], main->key[1]}};
    struct fg_error err = {""};

    mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY); /* the pools of a turn's requests are freed together */
    wire.main = main;
    wire.cycle = cycle;
    wire.counters = &gateway_shared()->counters[ngx_worker % GATEWAY_SHARES];
    if (getrandom(&options.seed, sizeof(options.seed), 0) != sizeof(options.seed) ||
        getrandom(&wire.random, sizeof(wire.random), 0) != sizeof(wire.random)) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno, "floodgate: no random numbers");
        return NGX_ERROR;
    }
    for (unsigned i = 0; i < options.servers; i++)
        options.member[i] = ((struct gateway_peer *)main->servers->elts)[i].member;
    wire.client = fg_client_create(&options, &err);
    ngx_explicit_memzero(&options, sizeof(options));
    if (!wire.client) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "floodgate: %s", err.text);
        return NGX_ERROR;
    }
    nowhere.fd = -1;
    wire.timer.handler = timer_handler;
    wire.flush.handler = flush_handler;
    wire.timer.data = wire.flush.data = &nowhere;
    wire.timer.log = wire.flush.log = cycle->log;
    wire.timer.cancelable = 1;
    for (unsigned server = 0; server < main->servers->nelts; server++)
        port_of(server, 0);
    return NGX_OK;
}

void gateway_wire_close(void)
{
    if (!wire.client)
        return;
    for (unsigned server = 0; server < FG_CLIENT_SERVERS_MAX; server++)
        for (unsigned i = 0; i < FG_CLIENT_PORTS_MAX; i++)
            if (wire.ports[server][i] && wire.ports[server][i]->connection)
                close_port(wire.ports[server][i]);
    fg_client_destroy(wire.client);
    wire.client = NULL;
}
