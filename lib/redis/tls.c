/* SPDX-License-Identifier: BSD-3-Clause */
#include "redis/tls.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct fg_redis_tls {
    SSL_CTX *context;
    SSL *ssl;
};

/* The first thing that OpenSSL has to say. */
static void reason(char why[200], const char *what)
{
    unsigned long code = ERR_get_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;

    snprintf(why, 200, "TLS: %.120s%s%.60s", what, text ? ": " : "", text ? text : "");
    ERR_clear_error();
}

static bool use_authority(SSL_CTX *context, const struct fg_redis_options *o, char why[200])
{
    int ok = o->tls_ca[0] ? SSL_CTX_load_verify_locations(context, o->tls_ca, NULL)
                          : SSL_CTX_set_default_verify_paths(context);

    if (ok != 1)
        reason(why, o->tls_ca[0] ? o->tls_ca : "the system's certificates");
    return ok == 1;
}

static bool use_certificate(SSL_CTX *context, const struct fg_redis_options *o, char why[200])
{
    if (!o->tls_cert[0])
        return true;
    if (SSL_CTX_use_certificate_chain_file(context, o->tls_cert) != 1) {
        reason(why, o->tls_cert);
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(context, o->tls_key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        reason(why, o->tls_key);
        return false;
    }
    return true;
}

/* The name that the certificate must bear: as configured, or the host; an address is compared as
 * such. */
static bool expect_name(SSL *ssl, const struct fg_redis_options *o,
                        const struct fg_redis_address *a)
{
    const char *name = o->tls_server_name[0] ? o->tls_server_name
                       : a->is_unix          ? "localhost"
                                             : a->host;

    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1)
        return true;
    ERR_clear_error();
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static bool prepare(struct fg_redis_tls *t, int fd, const struct fg_redis_options *o,
                    const struct fg_redis_address *a, char why[200])
{
    t->context = SSL_CTX_new(TLS_client_method());
    if (!t->context) {
        reason(why, "out of memory");
        return false;
    }
    SSL_CTX_set_min_proto_version(t->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(t->context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!use_authority(t->context, o, why) || !use_certificate(t->context, o, why))
        return false;
    t->ssl = SSL_new(t->context);
    if (!t->ssl || SSL_set_fd(t->ssl, fd) != 1 || !expect_name(t->ssl, o, a)) {
        reason(why, "out of memory");
        return false;
    }
    return true;
}

static void refused(struct fg_redis_tls *t, char why[200])
{
    long verdict = SSL_get_verify_result(t->ssl);

    if (verdict == X509_V_OK)
        reason(why, "the server broke off");
    else
        snprintf(why, 200, "TLS: the server's certificate: %.150s",
                 X509_verify_cert_error_string(verdict));
    ERR_clear_error();
}

static bool shake_hands(struct fg_redis_tls *t, int fd, const struct fg_wait *wait,
                        uint64_t deadline_ms, char why[200])
{
    int done;

    while ((done = SSL_connect(t->ssl)) != 1) {
        int error = SSL_get_error(t->ssl, done);

        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            refused(t, why);
            return false;
        }
        if (!fg_wait_fd(wait, fd, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline_ms) &&
            fg_wait_over(wait, deadline_ms))
            return false;
    }
    return true;
}

struct fg_redis_tls *fg_redis_tls_open(int fd, const struct fg_redis_options *options,
                                       const struct fg_redis_address *address,
                                       const struct fg_wait *wait, uint64_t deadline_ms,
                                       char why[200])
{
    struct fg_redis_tls *t = calloc(1, sizeof(*t));

    FG_ASSERT(t);
    why[0] = '\0';
    ERR_clear_error();
    if (prepare(t, fd, options, address, why) && shake_hands(t, fd, wait, deadline_ms, why))
        return t;
    fg_redis_tls_close(t);
    return NULL;
}

void fg_redis_tls_close(struct fg_redis_tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    SSL_CTX_free(t->context);
    free(t);
}

/* The result of a call that moved nothing. */
static ssize_t nothing(struct fg_redis_tls *t, int result, char why[200])
{
    int error = SSL_get_error(t->ssl, result);

    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    reason(why, "the connection broke off");
    errno = EIO;
    return -1;
}

ssize_t fg_redis_tls_write(struct fg_redis_tls *t, const void *data, size_t len, char why[200])
{
    int n = SSL_write(t->ssl, data, len < INT_MAX ? (int)len : INT_MAX);

    return n > 0 ? n : nothing(t, n, why);
}

ssize_t fg_redis_tls_read(struct fg_redis_tls *t, void *data, size_t len, char why[200])
{
    int n = SSL_read(t->ssl, data, len < INT_MAX ? (int)len : INT_MAX);

    return n > 0 ? n : nothing(t, n, why);
}
