/* SPDX-License-Identifier: BSD-3-Clause */
/* A dropped packet's first bytes as a line for people. Never reads beyond what was kept. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <string.h>

#include "filter/filter.h"

struct cursor {
    const uint8_t *at, *end;
    char *text;
    size_t room;
};

__attribute__((format(printf, 2, 3))) static void say(struct cursor *c, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(c->text, c->room, fmt, args);
    va_end(args);
    if (n > 0) {
        size_t used = (size_t)n < c->room ? (size_t)n : c->room - 1;

        c->text += used;
        c->room -= used;
    }
}

static unsigned be16(const uint8_t *p)
{
    return (unsigned)(p[0] << 8 | p[1]);
}

static bool have(const struct cursor *c, size_t bytes)
{
    return (size_t)(c->end - c->at) >= bytes;
}

static void say_address(struct cursor *c, int family, const uint8_t *address)
{
    char text[INET6_ADDRSTRLEN];

    say(c, "%s", inet_ntop(family, address, text, sizeof(text)));
}

static void decode_tcp(struct cursor *c)
{
    static const char names[] = "FSRPAU";

    if (!have(c, 14)) {
        say(c, " TCP cut");
        return;
    }
    say(c, " TCP %u > %u ", be16(c->at), be16(c->at + 2));
    for (unsigned i = 0; names[i]; i++)
        if (c->at[13] & 1 << i)
            say(c, "%c", names[i]);
}

/* The order packet behind a UDP header, as docs/protocol.md has it. */
static void decode_udp(struct cursor *c)
{
    const uint8_t *data = c->at + 8;

    if (!have(c, 8)) {
        say(c, " UDP cut");
        return;
    }
    say(c, " UDP %u > %u length %u", be16(c->at), be16(c->at + 2), be16(c->at + 4));
    if (have(c, 8 + 8) && data[0] == FG_SHIELD_MAGIC_0 && data[1] == FG_SHIELD_MAGIC_1)
        say(c, " order packet version %u operation %u key %u", data[2], data[3],
            data[4] | data[5] << 8);
    else if (have(c, 8 + 8))
        say(c, " begins %02x%02x%02x%02x", data[0], data[1], data[2], data[3]);
}

static void decode_transport(struct cursor *c, unsigned protocol, bool fragment)
{
    if (fragment)
        say(c, " later fragment of protocol %u", protocol);
    else if (protocol == 17)
        decode_udp(c);
    else if (protocol == 6)
        decode_tcp(c);
    else
        say(c, " protocol %u", protocol);
}

static void decode_ipv4(struct cursor *c, struct fg_filter_prefix *source)
{
    const uint8_t *ip = c->at;
    size_t header = (ip[0] & 15u) * 4;

    *source = (struct fg_filter_prefix){.family = 4, .length = 32};
    memcpy(source->addr, ip + 12, 4);
    say_address(c, AF_INET, ip + 12);
    say(c, " > ");
    say_address(c, AF_INET, ip + 16);
    if (ip[0] >> 4 != 4 || header < 20 || !have(c, header)) {
        say(c, " broken header (first byte %02x, total %u)", ip[0], be16(ip + 2));
        return;
    }
    c->at += header;
    decode_transport(c, ip[9], be16(ip + 6) & 0x1fff);
}

static void decode_ipv6(struct cursor *c, struct fg_filter_prefix *source)
{
    const uint8_t *ip = c->at;

    *source = (struct fg_filter_prefix){.family = 6, .length = 128};
    memcpy(source->addr, ip + 8, 16);
    say_address(c, AF_INET6, ip + 8);
    say(c, " > ");
    say_address(c, AF_INET6, ip + 24);
    c->at += 40;
    decode_transport(c, ip[6], false); /* an extension header is named by its number */
}

void fg_filter_sample_decode(const struct fg_filter_sample *sample, struct fg_filter_prefix *source,
                             char *text, size_t size)
{
    uint32_t kept = sample->kept < FG_SAMPLE_BYTES ? sample->kept : FG_SAMPLE_BYTES;
    struct cursor c = {sample->bytes, sample->bytes + kept, text, size};
    unsigned type = 0;

    memset(source, 0, sizeof(*source));
    text[0] = 0;
    if (have(&c, 14)) {
        type = be16(c.at + 12);
        c.at += 14;
    }
    for (unsigned tags = 0; tags < 2 && (type == 0x8100 || type == 0x88a8) && have(&c, 4); tags++) {
        say(&c, "VLAN %u ", be16(c.at) & 0xfff);
        type = be16(c.at + 2);
        c.at += 4;
    }
    if (type == 0x0800 && have(&c, 20))
        decode_ipv4(&c, source);
    else if (type == 0x86dd && have(&c, 40))
        decode_ipv6(&c, source);
    else
        say(&c, "frame of %u bytes, ethertype %04x", sample->length, type);
}
