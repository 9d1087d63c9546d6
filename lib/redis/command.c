/* SPDX-License-Identifier: BSD-3-Clause */
#include "redis/command.h"

#include <string.h>

#define NUMBER_MAX 21 /* "-9223372036854775808" and the terminator */

void fg_redis_resp_clear(struct fg_redis_resp *r)
{
    r->len = 0;
    r->commands = 0;
    r->no_memory = false;
}

void fg_redis_resp_free(struct fg_redis_resp *r)
{
    free(r->data);
    memset(r, 0, sizeof(*r));
}

/* Room for len more bytes, or NULL. */
static char *grow(struct fg_redis_resp *r, size_t len)
{
    if (r->no_memory)
        return NULL;
    if (r->size - r->len < len) {
        size_t size = r->size ? r->size : 4096;
        char *data;

        while (size - r->len < len)
            size *= 2;
        data = realloc(r->data, size);
        if (!data) {
            r->no_memory = true;
            return NULL;
        }
        r->data = data;
        r->size = size;
    }
    return r->data + r->len;
}

/* Decimal digits of value, right-aligned in text; returns where they begin. */
static char *digits(char text[NUMBER_MAX], uint64_t value)
{
    char *p = text + NUMBER_MAX - 1;

    *p = '\0';
    do {
        *--p = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return p;
}

static void header(struct fg_redis_resp *r, char kind, size_t value)
{
    char text[NUMBER_MAX], *p = digits(text, value);
    size_t len = (size_t)(text + NUMBER_MAX - 1 - p);
    char *out = grow(r, len + 3);

    if (!out)
        return;
    out[0] = kind;
    memcpy(out + 1, p, len);
    memcpy(out + 1 + len, "\r\n", 2);
    r->len += len + 3;
}

void fg_redis_resp_begin(struct fg_redis_resp *r, size_t words)
{
    header(r, '*', words);
    r->commands++;
}

void fg_redis_resp_word(struct fg_redis_resp *r, const void *bytes, size_t len)
{
    char *out;

    header(r, '$', len);
    out = grow(r, len + 2);
    if (!out)
        return;
    memcpy(out, bytes, len);
    memcpy(out + len, "\r\n", 2);
    r->len += len + 2;
}

void fg_redis_resp_text(struct fg_redis_resp *r, const char *text)
{
    fg_redis_resp_word(r, text, strlen(text));
}

void fg_redis_resp_u64(struct fg_redis_resp *r, uint64_t value)
{
    char text[NUMBER_MAX];

    fg_redis_resp_text(r, digits(text, value));
}

void fg_redis_resp_i64(struct fg_redis_resp *r, int64_t value)
{
    char text[NUMBER_MAX], *p;

    if (value >= 0) {
        fg_redis_resp_u64(r, (uint64_t)value);
        return;
    }
    p = digits(text, -(uint64_t)value);
    *--p = '-';
    fg_redis_resp_text(r, p);
}

void fg_redis_resp_command(struct fg_redis_resp *r, size_t n, const char *const *words)
{
    fg_redis_resp_begin(r, n);
    for (size_t i = 0; i < n; i++)
        fg_redis_resp_text(r, words[i]);
}
