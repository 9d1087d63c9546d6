/* SPDX-License-Identifier: BSD-3-Clause */
/** identity: numbers for shoppers who have none, and the signed session cookie. Pure. */
#ifndef GATEWAY_IDENTITY_H
#define GATEWAY_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATEWAY_SECRET_MIN  16 /* bytes */
#define GATEWAY_SECRET_MAX  256
#define GATEWAY_SESSION_MAX 640 /* bytes of a cookie's value */

struct gateway_secret {
    uint8_t bytes[GATEWAY_SECRET_MAX];
    size_t size;
    struct evp_mac_ctx_st *mac; /* NULL: not used yet */
};

void gateway_secret_release(struct gateway_secret *secret);

/** The first use of a secret prepares it: one thread at a time. */

/** The number of a user: first 8 bytes, big-endian, of HMAC-SHA-256 over the exact bytes. */
uint64_t gateway_user_hash(struct gateway_secret *secret, const char *name, size_t size);

/** "USER.EXPIRES.MAC", USER in hexadecimal digits, EXPIRES in Unix seconds; bytes written. */
size_t gateway_session_write(char value[GATEWAY_SESSION_MAX], struct gateway_secret *secret,
                             const char *user, size_t size, uint64_t expires_s);

/** The user of a session that has the right MAC and has not expired; false: none. */
bool gateway_session_read(struct gateway_secret *secret, const char *value, size_t size,
                          uint64_t now_s, char *user, size_t *user_size);

#endif
