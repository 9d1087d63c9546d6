/* SPDX-License-Identifier: BSD-3-Clause */
/* The key file. Its secrets never appear in an error: errors end up in logs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "packet/packet.h"

#define LINE_MAX_BYTES 1024
#define SECRET_DIGITS  32
#define WORDS_MAX      4 /* three are wanted; a fourth is one too many */
#define BLANK          " \t\r\n"

/* The reader's position, for errors. */
struct position {
    const char *path;
    unsigned line;
    struct fg_error *err;
};

static const struct {
    const char *name;
    uint16_t bit;
} roles[] = {
#define X(name, bit, text) {text, bit},
    FG_PACKET_ROLE_LIST(X)
#undef X
};

#define X(name, bit, text) " " text
#define ROLE_NAMES         FG_PACKET_ROLE_LIST(X)

/* A word for an error. One as long as a secret may be one, in the wrong place. */
static const char *shown(const char *word)
{
    return strlen(word) < SECRET_DIGITS / 2 ? word : "(too long)";
}

static bool parse_id(const struct position *at, const char *word, uint16_t *id)
{
    unsigned value = 0;
    const char *c = word;

    for (; *c >= '0' && *c <= '9' && value <= UINT16_MAX; c++)
        value = value * 10 + (unsigned)(*c - '0');
    if (c == word || *c || value < 1 || value > UINT16_MAX)
        return fg_fail(at->err, "%s:%u: key id `%s` is not a number from 1 to 65535", at->path,
                       at->line, shown(word));
    *id = (uint16_t)value;
    return true;
}

static bool parse_roles(const struct position *at, char *word, uint16_t *bits)
{
    *bits = 0;
    for (char *name = word, *next; name; name = next) {
        uint16_t bit = 0;

        next = strchr(name, ',');
        if (next)
            *next++ = '\0';
        for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
            if (!strcmp(name, roles[i].name))
                bit = roles[i].bit;
        if (!bit)
            return fg_fail(at->err,
                           "%s:%u: unknown role `%s`; accepted, separated by commas:" ROLE_NAMES,
                           at->path, at->line, shown(name));
        if (*bits & bit)
            return fg_fail(at->err, "%s:%u: role `%s` is named twice", at->path, at->line, name);
        *bits |= bit;
    }
    return true;
}
#undef X

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_secret(const struct position *at, const char *word, uint64_t secret[2])
{
    uint8_t bytes[SECRET_DIGITS / 2] = {0};
    size_t digits = strlen(word);

    if (digits != SECRET_DIGITS)
        return fg_fail(at->err, "%s:%u: secret has %zu characters; accepted: 32 hexadecimal digits",
                       at->path, at->line, digits);
    for (int i = 0; i < SECRET_DIGITS; i++) {
        int digit = hex_digit(word[i]);

        if (digit < 0)
            return fg_fail(at->err,
                           "%s:%u: character %d of the secret is not a hexadecimal digit; "
                           "accepted: 32 of them",
                           at->path, at->line, i + 1);
        bytes[i / 2] = (uint8_t)(bytes[i / 2] << 4 | digit);
    }
    memcpy(secret, bytes, sizeof(bytes));
    explicit_bzero(bytes, sizeof(bytes));
    if (!(secret[0] | secret[1]))
        return fg_fail(at->err, "%s:%u: secret is all zero; make one with `openssl rand -hex 16`",
                       at->path, at->line);
    return true;
}

static bool add_key(const struct position *at, struct fg_packet_keyring *ring,
                    const struct fg_packet_key *key)
{
    if (ring->count == FG_PACKET_KEYS_MAX)
        return fg_fail(at->err, "%s:%u: key id %u is one too many; accepted: 1 to %d keys",
                       at->path, at->line, key->id, FG_PACKET_KEYS_MAX);
    if (ring->slot[key->id])
        return fg_fail(at->err, "%s:%u: key id %u is there already; accepted: each id once",
                       at->path, at->line, key->id);
    for (unsigned i = 0; i < ring->count; i++)
        if (!memcmp(ring->keys[i].secret, key->secret, sizeof(key->secret)))
            return fg_fail(
                at->err,
                "%s:%u: key id %u has the secret of key id %u; accepted: each secret once, or who "
                "holds one key could use the other's roles",
                at->path, at->line, key->id, ring->keys[i].id);
    ring->keys[ring->count++] = *key;
    ring->slot[key->id] = (uint8_t)ring->count;
    return true;
}

static bool parse_line(const struct position *at, char *line, struct fg_packet_keyring *ring)
{
    char *words[WORDS_MAX], *save = NULL;
    unsigned count = 0;
    struct fg_packet_key key = {0};
    bool ok;

    line[strcspn(line, "#")] = '\0';
    for (char *w = strtok_r(line, BLANK, &save); w && count < WORDS_MAX;
         w = strtok_r(NULL, BLANK, &save))
        words[count++] = w;
    if (count == 0)
        return true;
    if (count != 3)
        return fg_fail(at->err, "%s:%u: %s words; accepted: `ID ROLE[,ROLE...] SECRET`", at->path,
                       at->line, count < 3 ? "fewer than three" : "more than three");
    ok = parse_id(at, words[0], &key.id) && parse_roles(at, words[1], &key.roles) &&
         parse_secret(at, words[2], key.secret) && add_key(at, ring, &key);
    explicit_bzero(&key, sizeof(key));
    return ok;
}

static bool parse_file(struct position *at, FILE *file, struct fg_packet_keyring *ring)
{
    char line[LINE_MAX_BYTES];
    size_t length;
    bool ok = true;
    int c;

    do {
        at->line++;
        for (length = 0; (c = getc(file)) != EOF && c != '\n'; line[length++] = (char)c) {
            if (length == sizeof(line) - 1)
                return fg_fail(at->err, "%s:%u: line is too long; accepted: up to %zu bytes",
                               at->path, at->line, sizeof(line) - 1);
            if (c == '\0')
                return fg_fail(at->err, "%s:%u: NUL byte; accepted: text", at->path, at->line);
        }
        line[length] = '\0';
        ok = parse_line(at, line, ring);
    } while (ok && c != EOF);
    explicit_bzero(line, sizeof(line));
    if (ok && ferror(file))
        return fg_fail(at->err, "%s: cannot read: %s", at->path, strerror(errno));
    if (ok && ring->count == 0)
        return fg_fail(at->err,
                       "%s: no key in it; accepted: 1 to %d lines `ID ROLE[,ROLE...] SECRET`",
                       at->path, FG_PACKET_KEYS_MAX);
    return ok;
}

/* A user who can write this file can reserve and confirm at will. */
static bool check_owner(const char *path, int fd, struct fg_error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fg_fail(err, "%s: cannot check it: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fg_fail(err, "%s: not a regular file", path);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return fg_fail(err,
                       "%s: mode %04o lets others write keys; accepted: writable by its owner only "
                       "(chmod 0600, or 0640 to share it)",
                       path, (unsigned)st.st_mode & 07777);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return fg_fail(
            err, "%s: belongs to user id %u; accepted: root or the user id %u of this process",
            path, (unsigned)st.st_uid, (unsigned)geteuid());
    return true;
}

struct fg_packet_keyring *fg_packet_keyring_load(const char *path, struct fg_error *err)
{
    struct fg_packet_keyring *ring = NULL;
    struct position at = {path, 0, err};
    FILE *file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang the start */

    if (fd < 0) {
        fg_fail(err, "%s: cannot open: %s", path, strerror(errno));
        return NULL;
    }
    file = check_owner(path, fd, err) ? fdopen(fd, "r") : NULL;
    if (!file) {
        close(fd);
        return NULL;
    }
    ring = calloc(1, sizeof(*ring));
    if (!ring) {
        fg_fail(err, "%s: out of memory", path);
    } else if (!parse_file(&at, file, ring)) {
        fg_packet_keyring_free(ring);
        ring = NULL;
    }
    fclose(file);
    return ring;
}

void fg_packet_keyring_free(struct fg_packet_keyring *ring)
{
    if (!ring)
        return;
    explicit_bzero(ring, sizeof(*ring));
    free(ring);
}
