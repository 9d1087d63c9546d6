/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the client's core share: keys, and packets that are sent and answered. */
#ifndef FG_TEST_CLIENT_PEER_H
#define FG_TEST_CLIENT_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "client/client.h"

static const struct fg_packet_key shop = {.id = 7, .roles = FG_PACKET_ROLE_SHOP, .secret = {1, 2}};
static const struct fg_packet_key backend = {
    .id = 8, .roles = FG_PACKET_ROLE_BACKEND, .secret = {3, 4}};

static uint64_t random_state;

static inline uint64_t random64(void)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return fg_mix64(random_state, random_state >> 32);
}

static inline struct fg_packet_request request_of(const struct fg_client_packet *p)
{
    struct fg_packet_request r;

    memcpy(&r, p->bytes, sizeof(r));
    return r;
}

static inline struct fg_packet_reply reply_to(const struct fg_client_packet *p, uint8_t status)
{
    struct fg_packet_request q = request_of(p);
    struct fg_packet_reply r = {.op = q.op | FG_PACKET_REPLY,
                                .key_id = q.key_id,
                                .item = q.item,
                                .status = status,
                                .cookie = q.cookie};

    memcpy(r.order_id, q.order_id, sizeof(r.order_id));
    return r;
}

static inline enum fg_client_verdict hand(struct fg_client *c, const struct fg_client_packet *p,
                                          struct fg_packet_reply r, uint64_t now)
{
    fg_packet_reply_seal(&r, r.key_id == backend.id ? &backend : &shop);
    return fg_client_receive(c, p->server, p->port, &r, sizeof(r), now);
}

static inline struct fg_client_packet sent(struct fg_client *c, uint64_t now)
{
    struct fg_client_packet p;

    assert_true(fg_client_send(c, now, &p));
    return p;
}

static inline void nothing_sent(struct fg_client *c, uint64_t now)
{
    struct fg_client_packet p;

    assert_false(fg_client_send(c, now, &p));
}

static inline struct fg_client_done ended(struct fg_client *c)
{
    struct fg_client_done done;

    assert_true(fg_client_next(c, &done));
    return done;
}

#endif
