/* SPDX-License-Identifier: BSD-3-Clause */
#include "parse.h"

#include <string.h>

#include <openssl/sha.h>

#define EXACT_MAX 9007199254740992ull /* 2^53: above it JSON numbers lose digits in browsers */

/* The digit plus one; 0: none. */
static const uint8_t hex_digits[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};

static int hex_digit(char c)
{
    return hex_digits[(uint8_t)c] - 1;
}

/* ---- keys and numbers ------------------------------------------------------------------------ */

static bool is_dash(size_t size, size_t at)
{
    return size == GATEWAY_UUID && (at == 8 || at == 13 || at == 18 || at == 23);
}

static bool uuid_read(const char *text, size_t size, uint8_t id[16])
{
    unsigned digits = 0;

    if (size != 32 && size != GATEWAY_UUID)
        return false;
    for (size_t i = 0; i < size; i++) {
        int digit = hex_digit(text[i]);

        if (is_dash(size, i)) {
            if (text[i] != '-')
                return false;
            continue;
        }
        if (digit < 0)
            return false;
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
        digits++;
    }
    return true;
}

bool gateway_key_read(const char *text, size_t size, uint8_t id[16])
{
    uint8_t hash[SHA256_DIGEST_LENGTH];

    if (size >= 2 && text[0] == '"' && text[size - 1] == '"') {
        text++;
        size -= 2;
    }
    if (size == 0 || size > GATEWAY_KEY_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
            return false;
    if (uuid_read(text, size, id))
        return true;
    SHA256((const unsigned char *)text, size, hash);
    memcpy(id, hash, 16);
    return true;
}

void gateway_uuid_write(char text[GATEWAY_UUID], const uint8_t id[16])
{
    static const char digits[] = "0123456789abcdef";
    unsigned half = 0;

    for (size_t i = 0; i < GATEWAY_UUID; i++) {
        text[i] = '-';
        if (is_dash(GATEWAY_UUID, i))
            continue;
        text[i] = digits[half % 2 ? id[half / 2] & 15 : id[half / 2] >> 4];
        half++;
    }
}

bool gateway_number_read(const char *text, size_t size, uint64_t *number)
{
    uint64_t n = 0;

    if (size == 0 || (size > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n))
            return false;
    }
    *number = n;
    return true;
}

size_t gateway_number_write(char text[GATEWAY_NUMBER], uint64_t number)
{
    char *at = text + GATEWAY_NUMBER;
    size_t size;

    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    size = (size_t)(text + GATEWAY_NUMBER - at);
    memmove(text, at, size);
    return size;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

enum kind { NUMBER, TEXT, FLAG };

static const struct {
    const char *name;
    enum kind kind;
} members[GATEWAY_MEMBERS] = {
#define X(name, text, kind) [GATEWAY_##name] = {text, kind},
    GATEWAY_MEMBER_LIST(X)
#undef X
};

struct scan {
    const char *at, *end;
};

struct text {
    char bytes[GATEWAY_USER_MAX];
    size_t size;
};

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static bool take(struct scan *s, char c)
{
    skip_space(s);
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool add(struct text *t, uint32_t byte)
{
    if (t->size == sizeof(t->bytes))
        return false;
    t->bytes[t->size++] = (char)byte;
    return true;
}

static bool add_code(struct text *t, uint32_t code)
{
    if (code < 0x80)
        return add(t, code);
    if (code < 0x800)
        return add(t, 0xc0 | code >> 6) && add(t, 0x80 | (code & 63));
    if (code < 0x10000)
        return add(t, 0xe0 | code >> 12) && add(t, 0x80 | (code >> 6 & 63)) &&
               add(t, 0x80 | (code & 63));
    return add(t, 0xf0 | code >> 18) && add(t, 0x80 | (code >> 12 & 63)) &&
           add(t, 0x80 | (code >> 6 & 63)) && add(t, 0x80 | (code & 63));
}

static bool four_digits(struct scan *s, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = s->at < s->end ? hex_digit(*s->at++) : -1;

        if (digit < 0)
            return false;
        *code = *code << 4 | (uint32_t)digit;
    }
    return true;
}

/* Behind "\u". No NUL, and no half of a surrogate pair. */
static bool unicode_escape(struct scan *s, struct text *t)
{
    uint32_t code, low;

    if (!four_digits(s, &code) || code == 0 || (code >= 0xdc00 && code <= 0xdfff))
        return false;
    if (code < 0xd800 || code > 0xdfff)
        return add_code(t, code);
    if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
        return false;
    s->at += 2;
    if (!four_digits(s, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    return add_code(t, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
}

static bool escape(struct scan *s, struct text *t)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found;

    if (s->at == s->end)
        return false;
    if (*s->at == 'u') {
        s->at++;
        return unicode_escape(s, t);
    }
    found = *s->at ? strchr(from, *s->at++) : NULL;
    return found && add(t, (uint8_t)to[found - from]);
}

/* A sequence of UTF-8 that begins with a byte above 0x7f: shortest form, no surrogates. */
static bool utf8(struct scan *s, struct text *t)
{
    uint8_t first = (uint8_t)*s->at++;
    unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    uint32_t code = first & (0x3f >> more);
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

    if (first < 0xc2 || first > 0xf4 || s->end - s->at < (ptrdiff_t)more)
        return false;
    for (unsigned i = 0; i < more; i++) {
        uint8_t byte = (uint8_t)*s->at++;

        if ((byte & 0xc0) != 0x80)
            return false;
        code = code << 6 | (byte & 0x3f);
    }
    return code >= least[more] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) &&
           add_code(t, code);
}

static bool string(struct scan *s, struct text *t)
{
    t->size = 0;
    if (!take(s, '"'))
        return false;
    while (s->at < s->end && *s->at != '"') {
        uint8_t c = (uint8_t)*s->at;
        bool ok;

        if (c < 0x20)
            return false;
        if (c >= 0x80) {
            ok = utf8(s, t);
        } else {
            s->at++;
            ok = c == '\\' ? escape(s, t) : add(t, c);
        }
        if (!ok)
            return false;
    }
    return take(s, '"');
}

static const char *number_value(struct scan *s, uint64_t *number)
{
    static const char refused[] =
        "a number is not a whole number from 0 to 2^53 in plain digits, or "
        "such a number up to 2^64 - 1 as a string";
    const char *from;
    struct text t;

    skip_space(s);
    if (s->at < s->end && *s->at == '"')
        return string(s, &t) && gateway_number_read(t.bytes, t.size, number) ? NULL : refused;
    for (from = s->at; s->at < s->end && *s->at >= '0' && *s->at <= '9';)
        s->at++;
    if (!gateway_number_read(from, (size_t)(s->at - from), number) || *number > EXACT_MAX)
        return refused;
    return s->at < s->end && strchr(".eE+-", *s->at) ? refused : NULL;
}

static bool word(struct scan *s, const char *text)
{
    size_t size = strlen(text);

    skip_space(s);
    if ((size_t)(s->end - s->at) < size || memcmp(s->at, text, size))
        return false;
    s->at += size;
    return true;
}

static const char *value(struct scan *s, enum gateway_member m, struct gateway_body *body)
{
    struct text t;

    switch (members[m].kind) {
    case NUMBER:
        return number_value(s, &body->number[m]);
    case FLAG:
        body->number[m] = word(s, "true");
        return body->number[m] || word(s, "false") ? NULL : "a flag is neither true nor false";
    case TEXT:
        break;
    }
    if (!string(s, &t) || t.size == 0)
        return "a text is not a string of 1 to 255 bytes of UTF-8 without NUL";
    memcpy(body->user, t.bytes, t.size);
    body->user_size = t.size;
    return NULL;
}

static const char *member(struct scan *s, unsigned wanted, struct gateway_body *body)
{
    struct text name;
    unsigned m;

    if (!string(s, &name) || !take(s, ':'))
        return "the body is not a JSON object";
    for (m = 0; m < GATEWAY_MEMBERS; m++)
        if (strlen(members[m].name) == name.size && !memcmp(members[m].name, name.bytes, name.size))
            break;
    if (m == GATEWAY_MEMBERS || !(wanted >> m & 1))
        return "the body has a member that is not known here";
    if (body->has >> m & 1)
        return "the body has a member twice";
    body->has |= 1u << m;
    return value(s, m, body);
}

const char *gateway_body_read(const char *text, size_t size, unsigned wanted, unsigned optional,
                              struct gateway_body *body)
{
    struct scan s = {text, text + size};
    const char *why;

    memset(body, 0, sizeof(*body));
    if (!take(&s, '{'))
        return "the body is not a JSON object";
    if (!take(&s, '}')) {
        do {
            why = member(&s, wanted | optional, body);
            if (why)
                return why;
        } while (take(&s, ','));
        if (!take(&s, '}'))
            return "the body is not a JSON object";
    }
    skip_space(&s);
    if (s.at != s.end)
        return "something stands behind the JSON object";
    return (body->has & wanted) == wanted ? NULL : "a member is missing";
}
