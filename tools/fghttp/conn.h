/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * conn: one HTTP/1.1 connection over TLS, kept alive, one request at a time. It never blocks: the
 * caller polls its descriptor (edge-triggered) and calls conn_drive.
 */
#ifndef FG_HTTP_CONN_H
#define FG_HTTP_CONN_H

#include <openssl/ssl.h>

#include "options.h"

#define CONN_OUT_MAX 2048
#define CONN_IN_MAX  8192

struct conn {
    int fd; /* -1: closed */
    SSL *ssl;
    bool asked; /* a request is under way */
    size_t out_size, out_done, in_size;
    char out[CONN_OUT_MAX];
    char in[CONN_IN_MAX + 1];
};

struct conn_answer {
    unsigned http;
    const char *head, *body; /* NUL-terminated, until the next call */
};

enum conn_event {
    CONN_WAITS,    /* until its descriptor is ready */
    CONN_ANSWERED, /* the answer is there */
    CONN_LOST,     /* the connection ended, and the request that was under way has no answer */
};

/** Opens it when it is closed: the socket, bound to the source address when that is not 0. False
 * when there is none to be had. */
bool conn_open(struct conn *c, SSL_CTX *tls, const struct options *o, uint32_t source);
void conn_close(struct conn *c);

/** A request, whole; none may be under way. */
void conn_ask(struct conn *c, const char *text, size_t size);

enum conn_event conn_drive(struct conn *c, struct conn_answer *answer);

#endif
