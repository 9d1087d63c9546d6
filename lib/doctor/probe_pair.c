/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts about a pair that no file of the kernel has: certificates, etcd, a running daemon. */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/arbiter.h"
#include "doctor/probe.h"
#include "pair/pair.h"

#define ARBITER_MS 3000
#define DAEMON_MS  2000
#define DAY_S      86400

static X509 *read_certificate(const char *path, struct fg_error *err)
{
    FILE *file = fopen(path, "re");
    X509 *cert;

    if (!file) {
        fg_fail(err, "%.200s: %s", path, strerror(errno));
        return NULL;
    }
    cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    if (!cert)
        fg_fail(err, "%.200s: not a certificate", path);
    return cert;
}

static EVP_PKEY *read_key(const char *path, struct fg_error *err)
{
    FILE *file = fopen(path, "re");
    EVP_PKEY *key;

    if (!file) {
        fg_fail(err, "%.200s: %s", path, strerror(errno));
        return NULL;
    }
    key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    if (!key)
        fg_fail(err, "%.200s: not a private key", path);
    return key;
}

static int days_left(const X509 *cert)
{
    struct tm end;

    return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1
               ? (int)((timegm(&end) - time(NULL)) / DAY_S)
               : -1;
}

/* Expiry is told apart, in days. */
static bool vouched(const char *ca, X509 *cert, char why[64])
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool good = store && ctx && X509_STORE_load_file(store, ca) == 1 &&
                X509_STORE_CTX_init(ctx, store, cert, NULL) == 1;

    if (good) {
        X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME);
        good = X509_verify_cert(ctx) == 1;
        snprintf(why, 64, "%s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return good;
}

bool fg_doctor_probe_certificates(const char *ca, const char *cert, const char *key,
                                  const char *host, struct fg_doctor_certificates *found,
                                  struct fg_error *err)
{
    X509 *authority = read_certificate(ca, err), *ours = NULL;
    EVP_PKEY *secret = NULL;
    bool read = authority && (ours = read_certificate(cert, err)) && (secret = read_key(key, err));

    if (read) {
        int of_ca = days_left(authority), of_cert = days_left(ours);

        found->key_fits = X509_check_private_key(ours, secret) == 1;
        found->vouched = vouched(ca, ours, found->why);
        found->host_fits =
            X509_check_ip_asc(ours, host, 0) == 1 || X509_check_host(ours, host, 0, 0, NULL) == 1;
        found->days = of_ca < of_cert ? of_ca : of_cert;
    }
    X509_free(authority);
    X509_free(ours);
    EVP_PKEY_free(secret);
    return read;
}

bool fg_doctor_probe_arbiter(const struct fg_arbiter_options *options, bool *has_register,
                             struct fg_error *err)
{
    struct fg_arbiter_options o = *options;
    struct fg_arbiter_value *value = calloc(1, sizeof(*value));
    struct fg_arbiter *arbiter;
    bool read;

    o.timeout_ms = ARBITER_MS;
    arbiter = fg_arbiter_open(&o, err);
    read = arbiter && value &&
           fg_arbiter_read(arbiter, FG_PAIR_REGISTER_KEY, value, err) == FG_ARBITER_DONE;
    *has_register = read && value->revision != 0;
    fg_arbiter_close(arbiter);
    free(value);
    return read;
}

/* The whole answer of a daemon that closes the connection behind it. */
static bool ask_daemon(const char *socket_path, char *text, size_t size)
{
    static const char request[] =
        "GET /v1/pair HTTP/1.1\r\nHost: floodgate\r\nConnection: close\r\n\r\n";
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = DAEMON_MS / 1000};
    size_t used = 0;
    ssize_t n = 0;

    snprintf(to.sun_path, sizeof(to.sun_path), "%s", socket_path);
    if (s >= 0 && setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
        connect(s, (struct sockaddr *)&to, sizeof(to)) == 0 &&
        send(s, request, sizeof(request) - 1, MSG_NOSIGNAL) == sizeof(request) - 1)
        while (used < size - 1 && (n = recv(s, text + used, size - 1 - used, 0)) > 0)
            used += (size_t)n;
    if (s >= 0)
        close(s);
    text[used] = 0;
    return used > 0;
}

bool fg_doctor_probe_skew(const char *socket_path, long long *ms, struct fg_error *err)
{
    char text[16384];
    const char *at;

    if (!ask_daemon(socket_path, text, sizeof(text)) || !strstr(text, "\"linked\":true"))
        return fg_fail(err, "%s: no daemon with a link to its peer", socket_path);
    at = strstr(text, "\"skew_ms\":");
    return (at && sscanf(at, "\"skew_ms\":%lld", ms) == 1) ||
           fg_fail(err, "%s: it does not tell", socket_path);
}
