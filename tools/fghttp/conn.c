/* SPDX-License-Identifier: BSD-3-Clause */
#include "conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

void conn_close(struct conn *c)
{
    SSL_free(c->ssl);
    if (c->fd >= 0)
        close(c->fd);
    c->ssl = NULL;
    c->fd = -1;
    c->in_size = 0;
}

bool conn_open(struct conn *c, SSL_CTX *tls, const struct options *o, uint32_t source)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
    int yes = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->ssl = SSL_new(tls);
    if (c->fd < 0 || !c->ssl || (source && bind(c->fd, (struct sockaddr *)&from, sizeof(from))) ||
        (connect(c->fd, (const struct sockaddr *)&o->server, sizeof(o->server)) &&
         errno != EINPROGRESS)) {
        conn_close(c);
        return false;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    return true;
}

void conn_ask(struct conn *c, const char *text, size_t size)
{
    FG_ASSERT(!c->asked && size <= sizeof(c->out));
    memcpy(c->out, text, size);
    c->out_size = size;
    c->out_done = 0;
    c->asked = true;
}

/* Whether TLS only waits for the socket. */
static bool blocked(const struct conn *c, int result)
{
    int error = SSL_get_error(c->ssl, result);

    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static enum conn_event lost(struct conn *c)
{
    bool asked = c->asked;

    c->asked = false;
    conn_close(c);
    return asked ? CONN_LOST : CONN_WAITS;
}

/* The value of a header line, or NULL. */
static const char *value_of(const char *head, const char *name)
{
    size_t size = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, size) && line[2 + size] == ':')
            return line + 3 + size + strspn(line + 3 + size, " ");
    return NULL;
}

/* 1: a whole answer is there; 0: not yet; -1: it cannot be understood. */
static int parse(struct conn *c, struct conn_answer *a)
{
    const char *length, *ends;
    char *body;
    size_t size;

    c->in[c->in_size] = '\0';
    body = strstr(c->in, "\r\n\r\n");
    if (!body)
        return c->in_size == CONN_IN_MAX ? -1 : 0;
    *body = '\0';
    length = value_of(c->in, "Content-Length");
    if (strncmp(c->in, "HTTP/1.1 ", 9) != 0 || !length)
        return -1;
    size = strtoul(length, NULL, 10);
    if (size > CONN_IN_MAX - (size_t)(body + 4 - c->in))
        return -1;
    if (c->in_size < (size_t)(body + 4 - c->in) + size) {
        *body = '\r'; /* as it was */
        return 0;
    }
    a->http = (unsigned)strtoul(c->in + 9, NULL, 10);
    a->head = c->in;
    a->body = body + 4;
    body[4 + size] = '\0';
    ends = value_of(c->in, "Connection");
    c->in_size = 0;
    c->asked = false;
    if (ends && !strncasecmp(ends, "close", 5))
        conn_close(c);
    return 1;
}

static enum conn_event hear(struct conn *c, struct conn_answer *a)
{
    for (;;) {
        int n = SSL_read(c->ssl, c->in + c->in_size, (int)(CONN_IN_MAX - c->in_size));

        if (n <= 0)
            return blocked(c, n) ? CONN_WAITS : lost(c);
        if (!c->asked) /* nothing was asked */
            return lost(c);
        c->in_size += (size_t)n;
        switch (parse(c, a)) {
        case 1:
            return CONN_ANSWERED;
        case -1:
            return lost(c);
        }
    }
}

enum conn_event conn_drive(struct conn *c, struct conn_answer *a)
{
    if (!c->ssl)
        return lost(c);
    while (c->asked && c->out_done < c->out_size) {
        int n = SSL_write(c->ssl, c->out + c->out_done, (int)(c->out_size - c->out_done));

        if (n <= 0)
            return blocked(c, n) ? CONN_WAITS : lost(c);
        c->out_done += (size_t)n;
    }
    return hear(c, a);
}
