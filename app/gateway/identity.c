/* SPDX-License-Identifier: BSD-3-Clause */
#include "identity.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/text.h"
#include "parse.h"

#define MAC_BYTES 32

/* To look an algorithm up and to take a key in costs five times as much as the MAC itself. */
static EVP_MAC_CTX *prepared(const struct gateway_secret *secret)
{
    OSSL_PARAM digest[] = {OSSL_PARAM_construct_utf8_string("digest", (char *)"SHA256", 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);

    EVP_MAC_free(hmac);
    FG_ASSERT(mac && EVP_MAC_init(mac, secret->bytes, secret->size, digest));
    return mac;
}

static void mac_of(struct gateway_secret *secret, const void *bytes, size_t size,
                   uint8_t mac[MAC_BYTES])
{
    size_t length;

    if (!secret->mac)
        secret->mac = prepared(secret);
    FG_ASSERT(EVP_MAC_init(secret->mac, NULL, 0, NULL) &&
              EVP_MAC_update(secret->mac, bytes, size) &&
              EVP_MAC_final(secret->mac, mac, &length, MAC_BYTES) && length == MAC_BYTES);
}

void gateway_secret_release(struct gateway_secret *secret)
{
    EVP_MAC_CTX_free(secret->mac);
    secret->mac = NULL;
}

uint64_t gateway_user_hash(struct gateway_secret *secret, const char *name, size_t size)
{
    uint8_t mac[MAC_BYTES];
    uint64_t number = 0;

    mac_of(secret, name, size, mac);
    for (int i = 0; i < 8; i++)
        number = number << 8 | mac[i];
    return number;
}

size_t gateway_session_write(char value[GATEWAY_SESSION_MAX], struct gateway_secret *secret,
                             const char *user, size_t size, uint64_t expires_s)
{
    uint8_t mac[MAC_BYTES];
    size_t n;

    FG_ASSERT(size <= GATEWAY_USER_MAX);
    fg_text_hex(value, user, size);
    n = 2 * size;
    n += (size_t)snprintf(value + n, GATEWAY_SESSION_MAX - n, ".%llu",
                          (unsigned long long)expires_s);
    mac_of(secret, value, n, mac);
    value[n++] = '.';
    fg_text_hex(value + n, mac, sizeof(mac));
    return n + 2 * sizeof(mac);
}

static bool dots(const char *value, size_t size, size_t *first, size_t *second)
{
    const char *a = memchr(value, '.', size);
    const char *b = a ? memchr(a + 1, '.', size - (size_t)(a + 1 - value)) : NULL;

    if (!b)
        return false;
    *first = (size_t)(a - value);
    *second = (size_t)(b - value);
    return true;
}

bool gateway_session_read(struct gateway_secret *secret, const char *value, size_t size,
                          uint64_t now_s, char *user, size_t *user_size)
{
    char text[2 * GATEWAY_USER_MAX + 1];
    uint8_t mac[MAC_BYTES], right[MAC_BYTES];
    size_t first, second;
    uint64_t expires_s;

    if (size > GATEWAY_SESSION_MAX || !dots(value, size, &first, &second) ||
        size - second - 1 != 2 * sizeof(mac) || first < 2 || first % 2 ||
        first > 2 * GATEWAY_USER_MAX)
        return false;
    memcpy(text, value + second + 1, 2 * sizeof(mac));
    text[2 * sizeof(mac)] = '\0';
    if (!fg_text_hex_read(text, mac, sizeof(mac)))
        return false;
    mac_of(secret, value, second, right);
    if (CRYPTO_memcmp(mac, right, sizeof(mac)) ||
        !gateway_number_read(value + first + 1, second - first - 1, &expires_s) ||
        expires_s <= now_s)
        return false;
    memcpy(text, value, first);
    text[first] = '\0';
    *user_size = first / 2;
    return fg_text_hex_read(text, user, first / 2);
}
