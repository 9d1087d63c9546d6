/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frame around an order packet, where it is not of the usual kind (packet.h): VLAN, IPv6, and
 * why a frame is not accepted, which judge_*() find out.
 */
#include <string.h>

#include "frame/frame.h"

#define ETHER_SIZE     14
#define VLAN_SIZE      4
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_IPV6 0x86dd

#define IPV4_DF        0x4000
#define IPV4_MF        0x2000
#define IPV4_OFFSET    0x1fff
#define IPV6_SIZE      40
#define TTL            64
#define ECN_BITS       3
#define EXTENSIONS_MAX 8 /* as many as are looked at */
#define EXTENSION_MIN  8
#define IPV6_OFFSET    0xfff8

enum proto {
    HOP_BY_HOP = 0,
    UDP = 17,
    ROUTING = 43,
    FRAGMENT = 44,
    AUTH = 51,
    DESTINATION = 60,
    MOBILITY = 135,
    HIP = 139,
    SHIM6 = 140
};

static inline uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/*
 * Ones' complement sum (RFC 1071) of words in memory order, not folded. It does not depend on byte
 * order as long as its result is stored the same way.
 */
static inline uint64_t sum_words(const uint8_t *p, unsigned words)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < words; i++) {
        uint32_t word;

        memcpy(&word, p + 4 * i, 4);
        sum += word;
    }
    return sum;
}

static inline uint16_t fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static inline enum fg_frame_kind bad(enum fg_packet_drop *drop, enum fg_packet_drop why)
{
    *drop = why;
    return FG_FRAME_BAD;
}

/* ---- IPv4 ------------------------------------------------------------------------------------ */

static __attribute__((noinline, cold)) enum fg_frame_kind
judge_ipv4(const uint8_t *ip, uint32_t room, uint32_t ports, enum fg_packet_drop *drop)
{
    uint32_t header, total;
    uint16_t fragment;

    if (room < FG_IPV4_SIZE)
        return bad(drop, FG_DROP_TRUNCATED);
    header = (ip[0] & 15u) * 4;
    if (ip[0] >> 4 != 4 || header < FG_IPV4_SIZE)
        return bad(drop, FG_DROP_IP_HEADER);
    fragment = be16(ip + 6);
    if (ip[9] != UDP || (fragment & IPV4_OFFSET))
        return FG_FRAME_OTHER; /* later fragments carry no port */
    total = be16(ip + 2);
    if (room < header + 4)
        return bad(drop, FG_DROP_TRUNCATED); /* the port is not there */
    if (total < header + 4)
        return bad(drop, fragment & IPV4_MF ? FG_DROP_FRAGMENT : FG_DROP_IP_HEADER);
    if (fg_frame_no_order_port(be16(ip + header + 2), ports))
        return FG_FRAME_OTHER;
    if (fragment & IPV4_MF)
        return bad(drop, FG_DROP_FRAGMENT);
    if (header != FG_IPV4_SIZE || (fragment & ~IPV4_DF))
        return bad(drop, FG_DROP_IP_HEADER);
    if (room < total || room < FG_IPV4_SIZE + FG_UDP_SIZE)
        return bad(drop, FG_DROP_TRUNCATED);
    if (total < FG_IPV4_SIZE + FG_UDP_SIZE || be16(ip + FG_IPV4_SIZE + 4) == FG_UDP_LENGTH)
        return bad(drop,
                   FG_DROP_IP_HEADER); /* the UDP length is right, so the IP length is wrong */
    return bad(drop, FG_DROP_LENGTH);
}

static inline enum fg_frame_kind parse_ipv4(const uint8_t *data, uint32_t len, uint32_t ports,
                                            unsigned l3, struct fg_frame *frame,
                                            enum fg_packet_drop *drop)
{
    const uint8_t *ip = data + l3;

    if (len - l3 < FG_IPV4_SIZE + FG_UDP_LENGTH || !fg_frame_ipv4_is_order(ip, ports))
        return judge_ipv4(ip, len - l3, ports, drop);
    if (!fg_frame_ipv4_sum_is_right(ip))
        return bad(drop, FG_DROP_IP_HEADER);
    if (!fg_frame_ipv4_is_answerable(data, ip))
        return bad(drop, FG_DROP_SOURCE);
    frame->l3 = (uint8_t)l3;
    frame->l4 = (uint8_t)(l3 + FG_IPV4_SIZE);
    frame->payload = (uint8_t)(l3 + FG_IPV4_SIZE + FG_UDP_SIZE);
    frame->ip = 4;
    return FG_FRAME_ORDER;
}

/* ---- IPv6 ------------------------------------------------------------------------------------ */

static inline bool ipv6_is_order(const uint8_t *ip, uint32_t room, uint32_t ports)
{
    if (room < IPV6_SIZE + FG_UDP_LENGTH)
        return false;
    return !(((ip[0] >> 4) ^ 6) | (ip[6] ^ UDP) | (be16(ip + 4) ^ FG_UDP_LENGTH) |
             fg_frame_no_order_port(be16(ip + IPV6_SIZE + 2), ports) |
             (be16(ip + IPV6_SIZE + 4) ^ FG_UDP_LENGTH));
}

static inline bool ipv6_answerable(const uint8_t *data, const uint8_t *ip)
{
    uint64_t source[2];

    memcpy(source, ip + 8, 16);
    return !((data[0] | data[6]) & 1) && (source[0] | source[1]) && ip[8] != 0xff &&
           ip[24] != 0xff && be16(ip + IPV6_SIZE);
}

static bool is_extension(uint8_t next)
{
    switch (next) {
    case HOP_BY_HOP:
    case ROUTING:
    case FRAGMENT:
    case AUTH:
    case DESTINATION:
    case MOBILITY:
    case HIP:
    case SHIM6:
        return true;
    default:
        return false;
    }
}

static uint32_t extension_size(uint8_t type, uint8_t length)
{
    if (type == FRAGMENT)
        return 8;
    return type == AUTH ? (length + 2u) * 4 : (length + 1u) * 8; /* RFC 4302 counts words */
}

/* UDP at `at`, wrong in some way; `why`: the extension headers before it, if any. */
static enum fg_frame_kind judge_ipv6_udp(const uint8_t *ip, uint32_t room, uint32_t at,
                                         uint32_t ports, enum fg_packet_drop why,
                                         enum fg_packet_drop *drop)
{
    uint32_t end = IPV6_SIZE + be16(ip + 4);

    if (at + 4 > end)
        return bad(drop, why ? why : FG_DROP_IP_HEADER); /* the port is not there */
    if (at + 4 > room)
        return bad(drop, FG_DROP_TRUNCATED);
    if (fg_frame_no_order_port(be16(ip + at + 2), ports))
        return FG_FRAME_OTHER;
    if (why)
        return bad(drop, why);
    if (room < end || room < IPV6_SIZE + FG_UDP_SIZE)
        return bad(drop, FG_DROP_TRUNCATED);
    if (end < IPV6_SIZE + FG_UDP_SIZE || be16(ip + IPV6_SIZE + 4) == FG_UDP_LENGTH)
        return bad(drop,
                   FG_DROP_IP_HEADER); /* the UDP length is right, so the IP length is wrong */
    return bad(drop, FG_DROP_LENGTH);
}

/* Walks the extension headers to the port, as far as the frame goes: may it be meant for the order
 * port? */
static __attribute__((noinline, cold)) enum fg_frame_kind
judge_ipv6(const uint8_t *ip, uint32_t room, uint32_t ports, enum fg_packet_drop *drop)
{
    enum fg_packet_drop why = FG_DROP_NONE;
    uint32_t at = IPV6_SIZE;
    uint8_t next;

    if (room < IPV6_SIZE)
        return bad(drop, FG_DROP_TRUNCATED);
    if (ip[0] >> 4 != 6)
        return bad(drop, FG_DROP_IP_HEADER);
    next = ip[6];
    for (int i = 0; is_extension(next); i++) {
        const uint8_t *extension = ip + at;

        if (at + EXTENSION_MIN > IPV6_SIZE + (uint32_t)be16(ip + 4) || i == EXTENSIONS_MAX)
            return bad(drop, why ? why : FG_DROP_IP_HEADER);
        if (at + EXTENSION_MIN > room)
            return bad(drop, FG_DROP_TRUNCATED);
        if (next == FRAGMENT && (be16(extension + 2) & IPV6_OFFSET))
            return FG_FRAME_OTHER; /* later fragments carry no port */
        if (why != FG_DROP_FRAGMENT)
            why = next == FRAGMENT ? FG_DROP_FRAGMENT : FG_DROP_IP_HEADER;
        at += extension_size(next, extension[1]);
        next = extension[0];
    }
    return next == UDP ? judge_ipv6_udp(ip, room, at, ports, why, drop) : FG_FRAME_OTHER;
}

static inline enum fg_frame_kind parse_ipv6(const uint8_t *data, uint32_t len, uint32_t ports,
                                            unsigned l3, struct fg_frame *frame,
                                            enum fg_packet_drop *drop)
{
    const uint8_t *ip = data + l3;

    if (fg_unlikely(!ipv6_is_order(ip, len - l3, ports)))
        return judge_ipv6(ip, len - l3, ports, drop);
    if (fg_unlikely(!ipv6_answerable(data, ip)))
        return bad(drop, FG_DROP_SOURCE);
    frame->l3 = (uint8_t)l3;
    frame->l4 = (uint8_t)(l3 + IPV6_SIZE);
    frame->payload = (uint8_t)(l3 + IPV6_SIZE + FG_UDP_SIZE);
    frame->ip = 6;
    return FG_FRAME_ORDER;
}

/* ---- both ------------------------------------------------------------------------------------ */

enum fg_frame_kind fg_frame_parse_any(const uint8_t *data, uint32_t len, uint32_t order_ports,
                                      struct fg_frame *frame, enum fg_packet_drop *drop)
{
    unsigned l3 = ETHER_SIZE;
    uint16_t type;

    if (fg_unlikely(len < l3))
        return bad(drop, FG_DROP_TRUNCATED);
    type = be16(data + l3 - 2);
    if (type == ETHERTYPE_VLAN) {
        l3 += VLAN_SIZE;
        if (fg_unlikely(len < l3))
            return bad(drop, FG_DROP_TRUNCATED);
        type = be16(data + l3 - 2);
    }
    if (fg_likely(type == FG_ETHERTYPE_IPV4))
        return parse_ipv4(data, len, order_ports, l3, frame, drop);
    if (type == ETHERTYPE_IPV6)
        return parse_ipv6(data, len, order_ports, l3, frame, drop);
    return FG_FRAME_OTHER;
}

unsigned fg_frame_source(const uint8_t *data, uint32_t len, uint8_t address[16])
{
    unsigned l3 = ETHER_SIZE;
    uint16_t type;

    if (len < l3 + VLAN_SIZE)
        return 0;
    type = be16(data + l3 - 2);
    if (type == ETHERTYPE_VLAN) {
        l3 += VLAN_SIZE;
        type = be16(data + l3 - 2);
    }
    if (type == FG_ETHERTYPE_IPV4 && len >= l3 + FG_IPV4_SIZE && data[l3] >> 4 == 4) {
        memcpy(address, data + l3 + 12, 4);
        return 4;
    }
    if (type == ETHERTYPE_IPV6 && len >= l3 + IPV6_SIZE && data[l3] >> 4 == 6) {
        memcpy(address, data + l3 + 8, 16);
        return 6;
    }
    return 0;
}

/* What follows keeps each field in one register: bytes that were just written, read back as part of
 * a larger word, would have to wait until they are in the cache. */

static inline void store64(uint8_t *p, uint64_t word)
{
    memcpy(p, &word, sizeof(word));
}

static inline void swap_macs(uint8_t *data)
{
    uint64_t first = fg_frame_word_at(data, 8),
             last = fg_frame_word_at(data + 4, 8); /* twelve bytes, four of them in both */
    uint64_t source = last >> 16, destination = first & 0xffffffffffff;

    store64(data, source | destination << 48);
    store64(data + 4, source >> 32 | destination << 16);
}

/*
 * TTL and congestion marks (which are the request's) change, so the checksum changes by their
 * difference: RFC 1624. In words as they lie in memory, of which each field is the lower or the
 * upper byte.
 */
static inline void turn_ipv4(uint8_t *ip)
{
    uint64_t addresses = fg_frame_word_at(ip + 12, 8);
    unsigned marks = ip[1] & ECN_BITS;
    uint16_t sum;

    memcpy(&sum, ip + 10, 2);
    sum = (uint16_t)~fold((uint16_t)~sum + 0xffffu + TTL - ip[8] + 0xffffu - (marks << 8));
    ip[1] = (uint8_t)(ip[1] ^ marks);
    ip[8] = TTL;
    memcpy(ip + 10, &sum, 2);
    store64(ip + 12, addresses << 32 | addresses >> 32);
}

static inline void turn_ipv6(uint8_t *ip)
{
    uint64_t source[2], destination[2];

    memcpy(source, ip + 8, 16);
    memcpy(destination, ip + 24, 16);
    memcpy(ip + 8, destination, 16);
    memcpy(ip + 24, source, 16);
    ip[1] &= 0xc0; /* keeps the DSCP; congestion marks and flow label are the request's */
    ip[2] = ip[3] = 0;
    ip[7] = TTL;
}

void fg_frame_turn(uint8_t *data, const struct fg_frame *frame)
{
    uint8_t *udp = data + frame->l4;
    uint32_t ports;

    swap_macs(data);
    if (fg_likely(frame->ip == 4))
        turn_ipv4(data + frame->l3);
    else
        turn_ipv6(data + frame->l3);
    memcpy(&ports, udp, 4);
    ports = ports << 16 | ports >> 16;
    memcpy(udp, &ports, 4);
}

void fg_frame_finish_ipv6(uint8_t *data, const struct fg_frame *frame)
{
    const uint8_t pseudo[8] = {0, 0, 0, FG_UDP_LENGTH,
                               0, 0, 0, UDP}; /* RFC 8200, 8.1, after the addresses */
    uint8_t *udp = data + frame->l4;
    uint16_t sum;

    memset(udp + 6, 0, 2);
    sum = (uint16_t)~fold(sum_words(data + frame->l3 + 8, 8) + sum_words(pseudo, 2) +
                          sum_words(udp, FG_UDP_LENGTH / 4));
    sum = sum ? sum : 0xffff; /* 0 would mean "none", which IPv6 forbids */
    memcpy(udp + 6, &sum, 2);
}
