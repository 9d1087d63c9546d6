/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/peers.h"

#include <pthread.h>
#include <sys/socket.h>

#include "base/base.h"
#include "base/clock.h"

struct peer {
    bool used, busy, cut;
    int fd;
    uint64_t since_ms; /* of its request, or of its connection */
};

struct fg_control_peers {
    pthread_mutex_t lock;
    unsigned max, used; /* without those that were cut off */
    unsigned capacity;  /* of the list */
    struct peer list[];
};

struct fg_control_peers *fg_control_peers_create(unsigned max)
{
    struct fg_control_peers *p =
        calloc(1, sizeof(*p) + FG_CONTROL_PEERS_CAPACITY(max) * sizeof(p->list[0]));

    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    p->max = max;
    p->capacity = FG_CONTROL_PEERS_CAPACITY(max);
    return p;
}

void fg_control_peers_destroy(struct fg_control_peers *p)
{
    if (!p)
        return;
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* Its own thread sees the end of the stream and closes it. The descriptor is still open: the server
 * reports the end of a connection before it closes. */
static void cut(struct fg_control_peers *p, struct peer *peer)
{
    shutdown(peer->fd, SHUT_RDWR);
    peer->cut = true;
    p->used--;
}

static void make_room(struct fg_control_peers *p, uint64_t now_ms)
{
    struct peer *oldest = NULL;

    for (unsigned i = 0; i < p->capacity; i++) {
        struct peer *peer = &p->list[i];

        if (!peer->used || peer->busy || peer->cut)
            continue;
        if (now_ms - peer->since_ms >= FG_CONTROL_REQUEST_MS)
            cut(p, peer);
        else if (!oldest || peer->since_ms < oldest->since_ms)
            oldest = peer;
    }
    if (oldest && p->used + FG_CONTROL_PEERS_KEPT >= p->max)
        cut(p, oldest);
}

static void started(struct fg_control_peers *p, struct MHD_Connection *connection, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    uint64_t now_ms = fg_clock_mono_ms();
    unsigned i = 0;

    make_room(p, now_ms);
    while (i < p->capacity && p->list[i].used)
        i++;
    if (i == p->capacity || !info)
        return;
    p->list[i] = (struct peer){.used = true, .fd = info->connect_fd, .since_ms = now_ms};
    p->used++;
    *context = &p->list[i];
}

void fg_control_peers_notify(void *cls, struct MHD_Connection *connection, void **context,
                             enum MHD_ConnectionNotificationCode why)
{
    struct fg_control_peers *p = cls;
    struct peer *peer = *context;

    pthread_mutex_lock(&p->lock);
    if (why == MHD_CONNECTION_NOTIFY_STARTED) {
        started(p, connection, context);
    } else if (peer) {
        p->used -= !peer->cut;
        peer->used = false;
    }
    pthread_mutex_unlock(&p->lock);
}

static void set_busy(struct fg_control_peers *p, struct MHD_Connection *connection, bool busy)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct peer *peer = p && info ? info->socket_context : NULL;

    if (!peer)
        return;
    pthread_mutex_lock(&p->lock);
    peer->busy = busy;
    peer->since_ms = fg_clock_mono_ms();
    pthread_mutex_unlock(&p->lock);
}

void fg_control_peers_busy(struct fg_control_peers *peers, struct MHD_Connection *connection)
{
    set_busy(peers, connection, true);
}

void fg_control_peers_idle(struct fg_control_peers *peers, struct MHD_Connection *connection)
{
    set_busy(peers, connection, false);
}
