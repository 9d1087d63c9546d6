/* SPDX-License-Identifier: BSD-3-Clause */
/** parse: what HTTP brings, strictly: keys, numbers, small JSON bodies. Pure, without nginx. */
#ifndef GATEWAY_PARSE_H
#define GATEWAY_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATEWAY_KEY_MAX  255 /* bytes of an idempotency key */
#define GATEWAY_USER_MAX 255 /* bytes of a user's name */
#define GATEWAY_BODY_MAX 4096
#define GATEWAY_UUID     36 /* characters */
#define GATEWAY_NUMBER   20 /* digits of 64 bits */

/**
 * An idempotency key to the 16 bytes of an order id: a UUID (with or without dashes, in either
 * case) gives its bytes, any other text the first 16 bytes of its SHA-256. A pair of double quotes
 * around it is not part of the key. False: empty, too long, not visible ASCII, or with a quote or
 * backslash inside.
 */
bool gateway_key_read(const char *text, size_t size, uint8_t id[16]);

/** 8-4-4-4-12 lower-case digits, no NUL behind them. */
void gateway_uuid_write(char text[GATEWAY_UUID], const uint8_t id[16]);

/** Decimal digits only, no leading zero, at most 64 bits. */
bool gateway_number_read(const char *text, size_t size, uint64_t *number);

/** In decimal digits, no NUL behind them; their number. */
size_t gateway_number_write(char text[GATEWAY_NUMBER], uint64_t number);

/* Members of a body: name, and the kind of its value. */
#define GATEWAY_MEMBER_LIST(X)                                                                     \
    X(ITEM, "item", NUMBER)                                                                        \
    X(QUANTITY, "quantity", NUMBER)                                                                \
    X(USER, "user", TEXT)                                                                          \
    X(UNTIL_MS, "until_ms", NUMBER)                                                                \
    X(RESTOCK, "restock", FLAG)                                                                    \
    X(WAIT, "wait", FLAG)                                                                          \
    X(SECONDS, "seconds", NUMBER)

enum gateway_member {
#define X(name, text, kind) GATEWAY_##name,
    GATEWAY_MEMBER_LIST(X)
#undef X
        GATEWAY_MEMBERS
};
#define GATEWAY_HAS(name) (1u << GATEWAY_##name)

struct gateway_body {
    unsigned has; /* GATEWAY_HAS bits */
    uint64_t number[GATEWAY_MEMBERS];
    char user[GATEWAY_USER_MAX];
    size_t user_size;
};

/**
 * One flat JSON object with the wanted members and no others, each once. Numbers are whole: as a
 * JSON number up to 2^53, as a string of digits up to 2^64 - 1. Text is UTF-8 without NUL. NULL, or
 * the reason why it is refused. `size` may be 0.
 */
const char *gateway_body_read(const char *text, size_t size, unsigned wanted, unsigned optional,
                              struct gateway_body *body);

#endif
