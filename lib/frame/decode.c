/* SPDX-License-Identifier: BSD-3-Clause */
/* The first bytes of a frame as a line for a person. Reads nothing beyond the bytes that were kept.
 */
#include <arpa/inet.h>
#include <stdarg.h>
#include <string.h>

#include "frame/frame.h"
#include "frame/wire.h"

#define TCP_FLAGS     13 /* offset of the byte that has them */
#define ORDER_HEAD    8  /* bytes of an order packet as far as its key */
#define VLAN_TAGS_MAX 2
#define VLAN_NUMBER   0xfff

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

static bool have(const struct cursor *c, size_t bytes)
{
    return (size_t)(c->end - c->at) >= bytes;
}

static void say_addresses(struct cursor *c, int family, const void *source, const void *destination)
{
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

    inet_ntop(family, source, from, sizeof(from));
    inet_ntop(family, destination, to, sizeof(to));
    say(c, "%s > %s", from, to);
}

static void decode_tcp(struct cursor *c)
{
    static const char names[] = "FSRPAU";
    const fg_frame_tcp *tcp = (const void *)c->at;

    if (!have(c, TCP_FLAGS + 1)) {
        say(c, " TCP cut");
        return;
    }
    say(c, " TCP %u > %u ", ntohs(tcp->source), ntohs(tcp->dest));
    for (unsigned i = 0; names[i]; i++)
        if (c->at[TCP_FLAGS] & 1 << i)
            say(c, "%c", names[i]);
}

/* The order packet behind a UDP header, as docs/protocol.md has it. */
static void decode_udp(struct cursor *c)
{
    const fg_frame_udp *udp = (const void *)c->at;
    const uint8_t *data = c->at + sizeof(*udp);

    if (!have(c, sizeof(*udp))) {
        say(c, " UDP cut");
        return;
    }
    say(c, " UDP %u > %u length %u", ntohs(udp->source), ntohs(udp->dest), ntohs(udp->len));
    if (!have(c, sizeof(*udp) + ORDER_HEAD))
        return;
    if ((data[0] | data[1] << 8) == FG_PACKET_MAGIC)
        say(c, " order packet version %u operation %u key %u", data[2], data[3],
            data[4] | data[5] << 8);
    else
        say(c, " begins %02x%02x%02x%02x", data[0], data[1], data[2], data[3]);
}

static void decode_transport(struct cursor *c, unsigned protocol, bool later_fragment)
{
    if (later_fragment)
        say(c, " later fragment of protocol %u", protocol);
    else if (protocol == IPPROTO_UDP)
        decode_udp(c);
    else if (protocol == IPPROTO_TCP)
        decode_tcp(c);
    else
        say(c, " protocol %u", protocol);
}

static void decode_ipv4(struct cursor *c, uint8_t source[16])
{
    const fg_frame_ipv4 *ip = (const void *)c->at;
    size_t header = ip->ihl * 4u;

    memcpy(source, &ip->saddr, 4);
    say_addresses(c, AF_INET, &ip->saddr, &ip->daddr);
    if (ip->version != 4 || header < sizeof(*ip) || !have(c, header)) {
        say(c, " broken header (first byte %02x, total %u)", c->at[0], ntohs(ip->tot_len));
        return;
    }
    c->at += header;
    decode_transport(c, ip->protocol, ip->frag_off & FG_FRAME_BE16(FG_FRAME_IPV4_OFFSET));
}

static void decode_ipv6(struct cursor *c, uint8_t source[16])
{
    const fg_frame_ipv6 *ip = (const void *)c->at;

    memcpy(source, &ip->saddr, 16);
    say_addresses(c, AF_INET6, &ip->saddr, &ip->daddr);
    c->at += sizeof(*ip);
    decode_transport(c, ip->nexthdr, false); /* an extension header is named by its number */
}

unsigned fg_frame_describe(const uint8_t *data, uint32_t kept, uint32_t length, uint8_t source[16],
                           char *text, size_t size)
{
    struct cursor c = {data, data + kept, text, size};
    unsigned type = 0;

    text[0] = 0;
    if (have(&c, sizeof(fg_frame_ethernet))) {
        type = ntohs(((const fg_frame_ethernet *)c.at)->h_proto);
        c.at += sizeof(fg_frame_ethernet);
    }
    for (unsigned tags = 0; tags < VLAN_TAGS_MAX && (type == ETH_P_8021Q || type == ETH_P_8021AD) &&
                            have(&c, sizeof(fg_frame_vlan));
         tags++) {
        const fg_frame_vlan *vlan = (const void *)c.at;

        say(&c, "VLAN %u ", ntohs(vlan->tci) & VLAN_NUMBER);
        type = ntohs(vlan->type);
        c.at += sizeof(*vlan);
    }
    if (type == ETH_P_IP && have(&c, sizeof(fg_frame_ipv4))) {
        decode_ipv4(&c, source);
        return 4;
    }
    if (type == ETH_P_IPV6 && have(&c, sizeof(fg_frame_ipv6))) {
        decode_ipv6(&c, source);
        return 6;
    }
    say(&c, "frame of %u bytes, ethertype %04x", length, type);
    return 0;
}
