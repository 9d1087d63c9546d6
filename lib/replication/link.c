/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define BACKLOG 8

void fg_replication_link_init(struct fg_replication_link *l)
{
    *l = (struct fg_replication_link){.fd = -1};
    l->in.bytes = aligned_alloc(FG_CACHE_LINE, FG_REPLICATION_INBOX_SIZE);
    l->out = aligned_alloc(FG_CACHE_LINE, FG_REPLICATION_OUTBOX_SIZE);
    FG_ASSERT(l->in.bytes && l->out);
}

void fg_replication_link_free(struct fg_replication_link *l)
{
    fg_replication_link_drop(l, "");
    free(l->in.bytes);
    free(l->out);
}

void fg_replication_link_drop(struct fg_replication_link *l, const char *why)
{
    if (l->state == FG_REPLICATION_CLOSED)
        return;
    SSL_free(l->ssl);
    SSL_CTX_free(l->context);
    close(l->fd);
    l->ssl = NULL;
    l->context = NULL;
    l->fd = -1;
    l->state = FG_REPLICATION_CLOSED;
    if (why[0] || !l->error[0])
        snprintf(l->error, sizeof(l->error), "%s", why);
}

/* ---- sockets --------------------------------------------------------------------------------- */

static void tune(int fd)
{
    const int on = 1, user_timeout_ms = 1000;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
}

static int fail_socket(int fd, const char *what, struct fg_error *err)
{
    fg_fail(err, "%s: %s", what, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int fg_replication_link_dial(const struct fg_address *to, struct fg_error *err)
{
    int fd = socket(to->as.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return fail_socket(fd, "socket", err);
    tune(fd);
    if (connect(fd, &to->as.any, to->size) && errno != EINPROGRESS)
        return fail_socket(fd, "connect", err);
    return fd;
}

int fg_replication_link_listen(const struct fg_address *at, struct fg_error *err)
{
    int fd = socket(at->as.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;

    if (fd < 0)
        return fail_socket(fd, "socket", err);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &at->as.any, at->size))
        return fail_socket(fd, "bind", err);
    if (listen(fd, BACKLOG))
        return fail_socket(fd, "listen", err);
    return fd;
}

/* ---- TLS ------------------------------------------------------------------------------------- */

/* The first thing that OpenSSL has to say. */
static bool tls_fail(struct fg_replication_link *l, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    char why[FG_REPLICATION_TEXT_MAX];

    snprintf(why, sizeof(why), "TLS: %.150s%s%.80s", what, text ? ": " : "", text ? text : "");
    ERR_clear_error();
    fg_replication_link_drop(l, why);
    return false;
}

static bool use_files(struct fg_replication_link *l, const struct fg_replication_settings *s)
{
    if (SSL_CTX_load_verify_locations(l->context, s->tls_ca, NULL) != 1)
        return tls_fail(l, s->tls_ca);
    if (SSL_CTX_use_certificate_chain_file(l->context, s->tls_cert) != 1)
        return tls_fail(l, s->tls_cert);
    if (SSL_CTX_use_PrivateKey_file(l->context, s->tls_key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(l->context) != 1)
        return tls_fail(l, s->tls_key);
    return true;
}

/* The certificate must be valid for the host of the setting `peer`. */
static bool expect_peer(struct fg_replication_link *l, const struct fg_replication_settings *s)
{
    struct fg_address peer;
    char host[INET6_ADDRSTRLEN] = "";

    if (!fg_address_read(s->peer, &peer))
        return tls_fail(l, s->peer);
    if (peer.as.any.sa_family == AF_INET)
        inet_ntop(AF_INET, &peer.as.v4.sin_addr, host, sizeof(host));
    else
        inet_ntop(AF_INET6, &peer.as.v6.sin6_addr, host, sizeof(host));
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(l->ssl), host) == 1 || tls_fail(l, host);
}

static bool prepare(struct fg_replication_link *l, bool server,
                    const struct fg_replication_settings *s)
{
    l->context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!l->context)
        return tls_fail(l, "out of memory");
    SSL_CTX_set_min_proto_version(l->context, TLS1_3_VERSION);
    SSL_CTX_set_verify(l->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_cache_mode(l->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(l->context, 0);
    SSL_CTX_set_mode(l->context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!use_files(l, s))
        return false;
    l->ssl = SSL_new(l->context);
    if (!l->ssl || SSL_set_fd(l->ssl, l->fd) != 1)
        return tls_fail(l, "out of memory");
    if (server)
        SSL_set_accept_state(l->ssl);
    else
        SSL_set_connect_state(l->ssl);
    return expect_peer(l, s);
}

bool fg_replication_link_open(struct fg_replication_link *l, int fd, bool server,
                              const struct fg_replication_settings *settings, uint64_t until_ms)
{
    FG_ASSERT(l->state == FG_REPLICATION_CLOSED);
    tune(fd);
    l->state = server ? FG_REPLICATION_SHAKING : FG_REPLICATION_CONNECTING;
    l->fd = fd;
    l->number = 0;
    l->until_ms = until_ms;
    l->more = l->paused = false;
    l->wants_out = !server;
    l->in.from = l->in.to = 0;
    l->out_from = l->out_to = 0;
    l->over = false;
    l->error[0] = l->name[0] = 0;
    ERR_clear_error();
    return prepare(l, server, settings);
}

/* ---- a call of OpenSSL has ended without success --------------------------------------------- */

/* What came before the end counts: messages that wait in the inbox are taken before the link is
 * CLOSED. */
static void end_here(struct fg_replication_link *l, const char *why)
{
    if (l->state != FG_REPLICATION_OPEN || l->in.from == l->in.to) {
        fg_replication_link_drop(l, why);
        return;
    }
    snprintf(l->error, sizeof(l->error), "%s", why);
    l->over = true;
}

/* True: it has to wait. False: the link is CLOSED, or over. */
static bool must_wait(struct fg_replication_link *l, int result, const char *what)
{
    int saved = errno;

    switch (SSL_get_error(l->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return true;
    case SSL_ERROR_WANT_WRITE:
        l->wants_out = true;
        return true;
    case SSL_ERROR_ZERO_RETURN:
        end_here(l, "the peer closed it");
        return false;
    case SSL_ERROR_SYSCALL:
        end_here(l, saved ? strerror(saved) : "the peer closed it");
        return false;
    default:
        break;
    }
    if (SSL_get_verify_result(l->ssl) != X509_V_OK)
        what = X509_verify_cert_error_string(SSL_get_verify_result(l->ssl));
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        end_here(l, "the peer closed it");
        return false;
    }
    return tls_fail(l, what);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static bool connected(struct fg_replication_link *l)
{
    int error = 0;
    socklen_t size = sizeof(error);
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof(peer);

    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &size))
        error = errno;
    if (error) {
        fg_replication_link_drop(l, strerror(error));
        return false;
    }
    if (getpeername(l->fd, (struct sockaddr *)&peer, &peer_size))
        return false; /* not yet */
    l->state = FG_REPLICATION_SHAKING;
    return true;
}

static bool introduced(struct fg_replication_link *l)
{
    X509 *theirs = SSL_get0_peer_certificate(l->ssl), *ours = SSL_get_certificate(l->ssl);

    if (!theirs || !ours || X509_cmp(theirs, ours) == 0) {
        fg_replication_link_drop(l, "the peer shows the certificate of this appliance");
        return false;
    }
    if (X509_NAME_get_text_by_NID(X509_get_subject_name(theirs), NID_commonName, l->name,
                                  sizeof(l->name)) <= 0)
        snprintf(l->name, sizeof(l->name), "no name");
    for (char *c = l->name; *c; c++)
        if (*c < 32 || *c > 126)
            *c = '?';
    l->state = FG_REPLICATION_OPEN;
    return true;
}

static bool shake(struct fg_replication_link *l)
{
    int done;

    ERR_clear_error();
    errno = 0;
    done = SSL_do_handshake(l->ssl);
    if (done == 1)
        return introduced(l);
    must_wait(l, done, "handshake");
    return false;
}

/* Reads until there is nothing more, or no room. */
static void fill(struct fg_replication_link *l)
{
    l->more = false;
    while (!l->paused && !l->over) {
        size_t room;
        uint8_t *to = fg_replication_inbox_room(&l->in, &room);
        int n;

        if (room == 0) {
            l->more = true;
            return;
        }
        ERR_clear_error();
        errno = 0;
        n = SSL_read(l->ssl, to, room < INT_MAX ? (int)room : INT_MAX);
        if (n <= 0) {
            must_wait(l, n, "read");
            return;
        }
        l->received += (uint64_t)n;
        fg_replication_inbox_came(&l->in, (size_t)n);
    }
}

void fg_replication_link_flush(struct fg_replication_link *l)
{
    l->wants_out = false;
    if (l->over) /* there is nobody to take it */
        l->out_from = l->out_to = 0;
    while (l->state == FG_REPLICATION_OPEN && l->out_from < l->out_to) {
        int n;

        ERR_clear_error();
        errno = 0;
        n = SSL_write(l->ssl, l->out + l->out_from, (int)(l->out_to - l->out_from));
        if (n <= 0) {
            must_wait(l, n, "write");
            return;
        }
        l->sent += (uint64_t)n;
        l->out_from += (size_t)n;
    }
    if (l->out_from == l->out_to)
        l->out_from = l->out_to = 0;
}

/* The peer's last words are of no account. */
static void drain(struct fg_replication_link *l)
{
    uint8_t bytes[4096];
    ssize_t n;

    while ((n = read(l->fd, bytes, sizeof(bytes))) > 0)
        ;
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        fg_replication_link_drop(l, "");
}

void fg_replication_link_step(struct fg_replication_link *l)
{
    if (l->state == FG_REPLICATION_CONNECTING)
        connected(l);
    if (l->state == FG_REPLICATION_SHAKING) {
        l->wants_out = false;
        shake(l);
    }
    if (l->state == FG_REPLICATION_OPEN)
        fill(l); /* first: a write to a peer that is gone ends the link */
    if (l->state == FG_REPLICATION_OPEN)
        fg_replication_link_flush(l);
    if (l->state == FG_REPLICATION_CLOSING)
        drain(l);
}

uint32_t fg_replication_link_events(const struct fg_replication_link *l)
{
    return (l->paused ? 0u : (uint32_t)EPOLLIN) | (l->wants_out ? (uint32_t)EPOLLOUT : 0u);
}

uint8_t *fg_replication_link_room(struct fg_replication_link *l, size_t size)
{
    if (FG_REPLICATION_OUTBOX_SIZE - l->out_to < size)
        fg_replication_link_flush(l);
    if (FG_REPLICATION_OUTBOX_SIZE - l->out_to < size && l->out_from) {
        memmove(l->out, l->out + l->out_from, l->out_to - l->out_from);
        l->out_to -= l->out_from;
        l->out_from = 0;
    }
    if (l->state != FG_REPLICATION_OPEN || FG_REPLICATION_OUTBOX_SIZE - l->out_to < size)
        return NULL;
    return l->out + l->out_to;
}

void fg_replication_link_put_done(struct fg_replication_link *l, size_t size)
{
    l->out_to += size;
    FG_ASSERT(l->out_to <= FG_REPLICATION_OUTBOX_SIZE);
}

void fg_replication_link_close(struct fg_replication_link *l, const char *why, uint64_t until_ms)
{
    if (l->state != FG_REPLICATION_OPEN || l->over) {
        fg_replication_link_drop(l, why);
        return;
    }
    fg_replication_link_flush(l);
    if (l->state != FG_REPLICATION_OPEN || l->over) {
        fg_replication_link_drop(l, why);
        return;
    }
    ERR_clear_error();
    SSL_shutdown(l->ssl);
    shutdown(l->fd, SHUT_WR);
    snprintf(l->error, sizeof(l->error), "%s", why);
    l->state = FG_REPLICATION_CLOSING;
    l->until_ms = until_ms;
    l->paused = l->wants_out = false;
}
