/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink/postgres/array.h"

#include <endian.h>
#include <string.h>

#define HEADER       20              /* dimensions, has nulls, type, elements, lowest index */
#define NUMERIC_BASE 10000           /* of one digit (numeric.c: NBASE) */
#define NUMERIC_MAX  5               /* digits of 2^64 - 1 */
#define EPOCH_MS     946684800000ull /* 2000-01-01, the server's time 0 */
#define CALENDAR_MS                                                                                \
    9224318016000000 /* timestamp.h: END_TIMESTAMP, as Unix ms: the first that is not a time */
#define TIME_INFINITY INT64_MAX

static char *room(struct fg_sink_postgres_array *a, size_t len)
{
    char *at;

    if (a->len + len > a->size) {
        size_t size = a->size ? 2 * a->size : 1024;
        char *data;

        while (size < a->len + len)
            size *= 2;
        data = realloc(a->data, size);
        if (!data) {
            a->no_memory = true;
            return NULL;
        }
        a->data = data;
        a->size = size;
    }
    at = a->data + a->len;
    a->len += len;
    return at;
}

static void put32(char *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof(value));
}

static void put16(char *at, uint16_t value)
{
    value = htobe16(value);
    memcpy(at, &value, sizeof(value));
}

/* Room for the bytes of one more element, behind their number. NULL: no memory. */
static char *element(struct fg_sink_postgres_array *a, size_t len)
{
    char *at = room(a, 4 + len);

    if (!at)
        return NULL;
    a->count++;
    put32(at, (uint32_t)len);
    return at + 4;
}

void fg_sink_postgres_array_begin(struct fg_sink_postgres_array *a, char type)
{
    a->len = 0;
    a->count = 0;
    a->type = type;
    a->no_memory = false;
    room(a, HEADER);
}

static uint32_t type_number(char type)
{
    switch (type) {
#define X(letter, name, text, number)                                                              \
    case letter:                                                                                   \
        return number;
        FG_SINK_POSTGRES_TYPE_LIST(X)
#undef X
    }
    FG_ASSERT(!"a type of the list");
    return 0;
}

void fg_sink_postgres_array_end(struct fg_sink_postgres_array *a)
{
    if (a->no_memory)
        return;
    put32(a->data, 1);
    put32(a->data + 4, 1); /* may have nulls */
    put32(a->data + 8, type_number(a->type));
    put32(a->data + 12, a->count);
    put32(a->data + 16, 1);
}

void fg_sink_postgres_array_free(struct fg_sink_postgres_array *a)
{
    free(a->data);
    memset(a, 0, sizeof(*a));
}

void fg_sink_postgres_add_u64(struct fg_sink_postgres_array *a, uint64_t value)
{
    uint16_t digits[NUMERIC_MAX];
    unsigned n = 0;
    char *at;

    for (uint64_t rest = value; rest; rest /= NUMERIC_BASE)
        digits[n++] = (uint16_t)(rest % NUMERIC_BASE);
    at = element(a, 8 + 2 * n);
    if (!at)
        return;
    put16(at, (uint16_t)n);
    put16(at + 2, n ? (uint16_t)(n - 1) : 0); /* weight of the first digit */
    put16(at + 4, 0);                         /* positive */
    put16(at + 6, 0);                         /* no digits behind the point */
    for (unsigned i = 0; i < n; i++)
        put16(at + 8 + 2 * i, digits[n - 1 - i]);
}

void fg_sink_postgres_add_id(struct fg_sink_postgres_array *a, const uint8_t id[16])
{
    char *at = element(a, 16);

    if (at)
        memcpy(at, id, 16);
}

void fg_sink_postgres_add_i64(struct fg_sink_postgres_array *a, int64_t value)
{
    char *at = element(a, 8);
    uint64_t wire = htobe64((uint64_t)value);

    if (at)
        memcpy(at, &wire, sizeof(wire));
}

void fg_sink_postgres_add_i32(struct fg_sink_postgres_array *a, int32_t value)
{
    char *at = element(a, 4);

    if (at)
        put32(at, (uint32_t)value);
}

void fg_sink_postgres_add_flag(struct fg_sink_postgres_array *a, bool value)
{
    char *at = element(a, 1);

    if (at)
        *at = value;
}

void fg_sink_postgres_add_time(struct fg_sink_postgres_array *a, uint64_t ms)
{
    bool beyond = ms >= CALENDAR_MS;

    fg_sink_postgres_add_i64(a, beyond ? TIME_INFINITY : ((int64_t)ms - (int64_t)EPOCH_MS) * 1000);
}

/* Bytes of the character that begins here; 0 when it is none (RFC 3629), or a control character. */
static size_t utf8(const unsigned char *p, size_t left)
{
    size_t len = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : 4;

    if (*p < 0x20 || *p == 0x7f || (*p >= 0x80 && *p < 0xc2) || *p > 0xf4 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
        (*p == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

void fg_sink_postgres_add_text(struct fg_sink_postgres_array *a, const char *text, size_t len)
{
    char *at = element(a, len);

    for (size_t i = 0, n; at && i < len; i += n ? n : 1) {
        n = utf8((const unsigned char *)text + i, len - i);
        if (n)
            memcpy(at + i, text + i, n);
        else
            at[i] = '?';
    }
}

void fg_sink_postgres_add_null(struct fg_sink_postgres_array *a)
{
    char *at = room(a, 4);

    if (!at)
        return;
    a->count++;
    put32(at, UINT32_MAX);
}
