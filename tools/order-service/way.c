/* SPDX-License-Identifier: BSD-3-Clause */
#include "way.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* "IP", "IP:PORT", "[v6]:PORT" */
static bool split(const char *text, char host[64], char port[8], struct fg_error *err)
{
    const char *colon = strrchr(text, ':'), *end;

    if (text[0] == '[') {
        end = strchr(text++, ']');
        colon = end && end[1] == ':' ? end + 1 : NULL;
    } else {
        if (colon && strchr(text, ':') != colon) /* an IPv6 address alone */
            colon = NULL;
        end = colon ? colon : text + strlen(text);
    }
    if (!end || end == text || end - text >= 64 || (colon && (strlen(colon + 1) > 5 || !colon[1])))
        return fg_fail(err, "--server %s: accepted: IP, IP:PORT, [v6]:PORT", text);
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = '\0';
    snprintf(port, 8, "%s", colon ? colon + 1 : "4600");
    return true;
}

static bool connect_to(struct way *w, const char *server, struct fg_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV},
                    *address;
    char host[64], port[8];
    int room = 4 << 20;

    if (!split(server, host, port, err))
        return false;
    if (getaddrinfo(host, port, &hints, &address))
        return fg_fail(err, "--server %s: not an address", server);
    w->fd = socket(address->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (w->fd >= 0)
        setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    if (w->fd < 0 || connect(w->fd, address->ai_addr, address->ai_addrlen) < 0)
        fg_fail(err, "--server %s: %s", server, strerror(errno));
    freeaddrinfo(address);
    return !err->text[0];
}

bool way_open(struct way *w, const char *server, const char *keys, uint64_t key_id,
              struct fg_error *err)
{
    w->fd = -1;
    w->ring = fg_packet_keyring_load(keys, err);
    if (!w->ring)
        return false;
    w->key = fg_packet_keyring_find(w->ring, (uint16_t)key_id);
    if (!w->key || !(w->key->roles & FG_PACKET_ROLE_BACKEND))
        return fg_fail(err, "%s: key %llu %s", keys, (unsigned long long)key_id,
                       w->key ? "has not the role backend" : "is not there");
    return connect_to(w, server, err);
}

void way_close(struct way *w)
{
    if (w->fd >= 0)
        close(w->fd);
    if (w->ring)
        fg_packet_keyring_free(w->ring);
    w->ring = NULL;
}

static void order_bytes(const char *text, uint8_t id[16])
{
    for (int i = 0; i < 16; i++) {
        unsigned byte = 0;

        sscanf(text + 2 * i, "%2x", &byte);
        id[i] = (uint8_t)byte;
    }
}

void way_send(struct way *w, const struct payment *p)
{
    struct fg_packet_request r = {.op = payment_confirms(p) ? FG_PACKET_OP_CONFIRM
                                                            : FG_PACKET_OP_CANCEL,
                                  .key_id = w->key->id,
                                  .user = p->user,
                                  .cookie = w->cookie};

    order_bytes(p->order, r.order_id);
    w->asked[w->cookie % WAY_COOKIES].user = p->user;
    memcpy(w->asked[w->cookie % WAY_COOKIES].order, p->order, 33);
    w->cookie++;
    fg_packet_request_seal(&r, w->key);
    if (send(w->fd, &r, sizeof(r), 0) < 0)
        return; /* as if it were lost on the way */
}

bool way_receive(struct way *w, const struct payments *all, struct payment **p,
                 struct fg_packet_reply *reply)
{
    ssize_t n;

    *p = NULL;
    do {
        n = recv(w->fd, reply, sizeof(*reply), MSG_TRUNC);
    } while (n < 0 && (errno == EINTR || errno == ECONNREFUSED));
    if (n < 0)
        return false;
    if (n == sizeof(*reply) && fg_packet_reply_check(reply, w->key)) {
        uint32_t slot = reply->cookie % WAY_COOKIES;
        uint8_t id[16];

        if (!w->asked[slot].order[0])
            return true;
        order_bytes(w->asked[slot].order, id);
        if (!memcmp(id, reply->order_id, sizeof(id)))
            *p = payments_find(all, w->asked[slot].user, w->asked[slot].order);
    }
    return true;
}
