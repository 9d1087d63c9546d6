/* SPDX-License-Identifier: BSD-3-Clause */
#include "pair_keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_BYTES 512
#define HOUR_S         3600 /* a peer's clock may be behind */
#define DAY_S          86400
#define CURVE          "P-256"

struct identity {
    X509 *cert;
    EVP_PKEY *key;
};

static void forget(struct identity *i)
{
    X509_free(i->cert);
    EVP_PKEY_free(i->key);
    *i = (struct identity){0};
}

static bool extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;
    bool done;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    done = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

static bool number(X509 *cert)
{
    unsigned char bytes[16];
    BIGNUM *n;
    bool done;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] &= 0x7f;
    n = BN_bin2bn(bytes, sizeof(bytes), NULL);
    done = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
    BN_free(n);
    return done;
}

/* A key and what every certificate has; the caller adds extensions and signs. */
static bool begin(struct identity *i, const char *name, long days)
{
    X509_NAME *subject;

    i->key = EVP_EC_gen(CURVE);
    i->cert = X509_new();
    if (!i->key || !i->cert)
        return false;
    subject = X509_get_subject_name(i->cert);
    return X509_set_version(i->cert, 2) == 1 && number(i->cert) &&
           X509_gmtime_adj(X509_getm_notBefore(i->cert), -HOUR_S) &&
           X509_gmtime_adj(X509_getm_notAfter(i->cert), days * DAY_S) &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                      -1, 0) == 1 &&
           X509_set_pubkey(i->cert, i->key) == 1;
}

static bool make_authority(struct identity *ca)
{
    return begin(ca, "floodgate pair", FG_PAIR_KEYS_CA_DAYS) &&
           X509_set_issuer_name(ca->cert, X509_get_subject_name(ca->cert)) == 1 &&
           extend(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           extend(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           extend(ca->cert, ca->cert, NID_subject_key_identifier, "hash") &&
           X509_sign(ca->cert, ca->key, EVP_sha256()) > 0;
}

static bool make_node(const struct identity *ca, struct identity *node, unsigned index,
                      const char *host)
{
    char name[24], alternative[80];
    unsigned char bytes[16];
    bool address = inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;

    snprintf(name, sizeof(name), "floodgate node %u", index);
    snprintf(alternative, sizeof(alternative), "%s:%s", address ? "IP" : "DNS", host);
    return begin(node, name, FG_PAIR_KEYS_NODE_DAYS) &&
           X509_set_issuer_name(node->cert, X509_get_subject_name(ca->cert)) == 1 &&
           extend(node->cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
           extend(node->cert, ca->cert, NID_key_usage, "critical,digitalSignature") &&
           extend(node->cert, ca->cert, NID_ext_key_usage, "serverAuth,clientAuth") &&
           extend(node->cert, ca->cert, NID_subject_key_identifier, "hash") &&
           extend(node->cert, ca->cert, NID_authority_key_identifier, "keyid") &&
           extend(node->cert, ca->cert, NID_subject_alt_name, alternative) &&
           X509_sign(node->cert, ca->key, EVP_sha256()) > 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void path_of(char path[PATH_MAX_BYTES], const char *folder, const char *name,
                    const char *ending)
{
    snprintf(path, PATH_MAX_BYTES, "%s/%s%s", folder, name, ending);
}

static FILE *open_new(const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (!f && fd >= 0)
        close(fd);
    return f;
}

/* An earlier one stays beside it. */
static bool write_pem(const char *folder, const char *name, const char *ending, X509 *cert,
                      EVP_PKEY *key, struct fg_error *err)
{
    char path[PATH_MAX_BYTES], old[PATH_MAX_BYTES + 8];
    FILE *f;
    bool done;

    path_of(path, folder, name, ending);
    snprintf(old, sizeof(old), "%s.old", path);
    if (rename(path, old) != 0 && errno != ENOENT)
        return fg_fail(err, "%s: %s", path, strerror(errno));
    f = open_new(path, cert ? 0644 : 0600);
    if (!f)
        return fg_fail(err, "%s: %s", path, strerror(errno));
    done = cert ? PEM_write_X509(f, cert) == 1
                : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1;
    done = fflush(f) == 0 && fsync(fileno(f)) == 0 && done;
    fclose(f);
    return done || fg_fail(err, "%s: it cannot be written", path);
}

static bool write_identity(const char *folder, const char *name, const struct identity *i,
                           struct fg_error *err)
{
    return write_pem(folder, name, ".key", NULL, i->key, err) &&
           write_pem(folder, name, ".pem", i->cert, NULL, err);
}

/* False without err: there is none. */
static bool read_authority(const char *folder, struct identity *ca, struct fg_error *err)
{
    char path[PATH_MAX_BYTES];
    FILE *f;

    path_of(path, folder, "ca", ".key");
    f = fopen(path, "re");
    if (!f && errno == ENOENT)
        return false;
    if (!f)
        return fg_fail(err, "%s: %s", path, strerror(errno));
    ca->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    path_of(path, folder, "ca", ".pem");
    f = fopen(path, "re");
    ca->cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    if (f)
        fclose(f);
    return (ca->key && ca->cert && X509_check_private_key(ca->cert, ca->key) == 1) ||
           fg_fail(err, "%s: ca.pem and ca.key there are not an authority's", folder);
}

static bool take_authority(const char *folder, struct identity *ca, bool *made,
                           struct fg_error *err)
{
    *made = false;
    if (read_authority(folder, ca, err))
        return true;
    if (err->text[0])
        return false;
    *made = true;
    return (make_authority(ca) || fg_fail(err, "the authority cannot be made")) &&
           write_identity(folder, "ca", ca, err);
}

bool fg_pair_keys_make(const char *folder, char hosts[2][64], bool *ca_made, struct fg_error *err)
{
    struct identity ca = {0};
    bool done;

    if (strlen(folder) > PATH_MAX_BYTES - 32)
        return fg_fail(err, "%.64s...: too long", folder);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return fg_fail(err, "%s: %s", folder, strerror(errno));
    done = take_authority(folder, &ca, ca_made, err);
    for (unsigned n = 0; n < 2 && done; n++) {
        struct identity node = {0};
        const char *name = n ? "node1" : "node0";

        done = (make_node(&ca, &node, n, hosts[n]) ||
                fg_fail(err, "no certificate can be made for %s", hosts[n])) &&
               write_identity(folder, name, &node, err);
        forget(&node);
    }
    forget(&ca);
    return done;
}
