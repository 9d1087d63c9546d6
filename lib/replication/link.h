/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * link: one connection to the peer: TCP, TLS 1.3, bounded buffers. It never blocks; its owner waits
 * for fg_replication_link_events by epoll, and calls fg_replication_link_step. Private.
 *
 * CLOSED -> CONNECTING -> SHAKING -> OPEN -> CLOSING -> CLOSED. An error goes to CLOSED at once.
 */
#ifndef FG_REPLICATION_LINK_H
#define FG_REPLICATION_LINK_H

#include <openssl/ssl.h>

#include "base/address.h"
#include "replication/notice.h"

/** All records that may be under way, and what goes with them. */
#define FG_REPLICATION_OUTBOX_SIZE (5u << 20)

enum fg_replication_link_state {
    FG_REPLICATION_CLOSED,
    FG_REPLICATION_CONNECTING,
    FG_REPLICATION_SHAKING, /**< the handshake of TLS */
    FG_REPLICATION_OPEN,
    FG_REPLICATION_CLOSING /**< said good-bye; waits until the peer closes too, so that the kernel
                              does not throw away what was sent */
};

struct fg_replication_link {
    enum fg_replication_link_state state;
    int fd;            /**< -1 = CLOSED */
    uint32_t number;   /**< of lib/pair; 0 = the peer has not told its terms yet */
    uint64_t until_ms; /**< it has to get further by then; UINT64_MAX = no matter */
    bool more;         /**< bytes wait that epoll does not tell of: step again */
    bool paused;       /**< nothing is read */
    bool over;         /**< the connection has ended, but `in` has messages of before: take them,
                          then drop it. What is sent meanwhile goes nowhere */
    bool wants_out;
    SSL_CTX *context;
    SSL *ssl;
    struct fg_replication_inbox in;
    uint8_t *out; /**< [FG_REPLICATION_OUTBOX_SIZE] */
    size_t out_from, out_to;
    uint64_t sent, received;
    char name[64];                       /**< of the peer's certificate; from OPEN on */
    char error[FG_REPLICATION_TEXT_MAX]; /**< why it is CLOSED; "" = it was wanted */
};

/** Buffers; fd -1. */
void fg_replication_link_init(struct fg_replication_link *l);
void fg_replication_link_free(struct fg_replication_link *l);

/** Takes a socket that is not blocking, connected (server) or about to be. Reads the certificates.
 * False: CLOSED again, with its error. */
bool fg_replication_link_open(struct fg_replication_link *l, int fd, bool server,
                              const struct fg_replication_settings *settings, uint64_t until_ms);
/** A new socket that connects to the address; -1 and err. */
int fg_replication_link_dial(const struct fg_address *to, struct fg_error *err);
/** A socket that listens; -1 and err. */
int fg_replication_link_listen(const struct fg_address *at, struct fg_error *err);

/** Gets as far as it can: connects, shakes hands, writes, reads into `in`. */
void fg_replication_link_step(struct fg_replication_link *l);
/** Writes what waits. */
void fg_replication_link_flush(struct fg_replication_link *l);
/** EPOLLIN, EPOLLOUT: what it waits for. */
uint32_t fg_replication_link_events(const struct fg_replication_link *l);

/** Room for `size` bytes at the end of what is to be sent; NULL = the peer takes too little. They
 * count once fg_replication_link_put_done is called. */
uint8_t *fg_replication_link_room(struct fg_replication_link *l, size_t size);
void fg_replication_link_put_done(struct fg_replication_link *l, size_t size);

/** Sends what waits, if it can, and says good-bye. why: "" = it was wanted. */
void fg_replication_link_close(struct fg_replication_link *l, const char *why, uint64_t until_ms);
/** At once. */
void fg_replication_link_drop(struct fg_replication_link *l, const char *why);

#endif
