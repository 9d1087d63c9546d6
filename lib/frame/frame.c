/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that are not of the usual kind (IPv4 without a VLAN tag): a VLAN tag, IPv6, and the reason
 * why a frame is refused, which the fault_of_*() functions find. Then the reply's headers.
 */
#include <string.h>

#include "frame/frame.h"
#include "frame/wire.h"

#define TTL            64
#define ECN_BITS       3
#define EXTENSIONS_MAX 8 /* extension headers that are followed */

enum {
    ETHERNET = sizeof(fg_frame_ethernet),
    VLAN = sizeof(fg_frame_vlan),
    IPV4 = sizeof(fg_frame_ipv4),
    IPV6 = sizeof(fg_frame_ipv6),
    UDP = sizeof(fg_frame_udp),
    EXTENSION = sizeof(fg_frame_extension),
    PROTOCOL_HIP = 139,   /* RFC 7401; no libc names it */
    PROTOCOL_SHIM6 = 140, /* RFC 5533 */
};

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

/* The type of the header behind Ethernet and at most one VLAN tag, in network byte order, and where
 * it begins
 * (*at). False: the frame ends before. */
static inline bool skip_link(const uint8_t *data, uint32_t len, uint32_t *at, uint16_t *type)
{
    *at = ETHERNET;
    if (fg_unlikely(len < ETHERNET))
        return false;
    *type = ((const fg_frame_ethernet *)data)->h_proto;
    if (*type != FG_FRAME_BE16(ETH_P_8021Q))
        return true;
    *at += VLAN;
    if (fg_unlikely(len < ETHERNET + VLAN))
        return false;
    *type = ((const fg_frame_vlan *)(data + ETHERNET))->type;
    return true;
}

/* ---- IPv4 ------------------------------------------------------------------------------------ */

static __attribute__((noinline, cold)) enum fg_frame_kind
fault_of_ipv4(const uint8_t *data, uint32_t room, uint32_t ports, enum fg_packet_drop *drop)
{
    const fg_frame_ipv4 *ip = (const void *)data;
    const fg_frame_udp *udp;
    uint32_t header, total;
    uint16_t fragment;

    if (room < IPV4)
        return bad(drop, FG_PACKET_DROP_TRUNCATED);
    header = ip->ihl * 4u;
    if (ip->version != 4 || header < IPV4)
        return bad(drop, FG_PACKET_DROP_IP_HEADER);
    fragment = FG_FRAME_BE16(ip->frag_off);
    if (ip->protocol != IPPROTO_UDP || (fragment & FG_FRAME_IPV4_OFFSET))
        return FG_FRAME_OTHER; /* later fragments carry no port */
    total = FG_FRAME_BE16(ip->tot_len);
    if (room < header + 4)
        return bad(drop, FG_PACKET_DROP_TRUNCATED); /* the frame ends before the port */
    if (total < header + 4)
        return bad(drop, fragment & FG_FRAME_IPV4_MORE_FRAGMENTS ? FG_PACKET_DROP_FRAGMENT
                                                                 : FG_PACKET_DROP_IP_HEADER);
    udp = (const void *)(data + header);
    if (fg_frame_no_order_port(FG_FRAME_BE16(udp->dest), ports))
        return FG_FRAME_OTHER;
    if (fragment & FG_FRAME_IPV4_MORE_FRAGMENTS)
        return bad(drop, FG_PACKET_DROP_FRAGMENT);
    if (header != IPV4 || (fragment & ~FG_FRAME_IPV4_DONT_FRAGMENT))
        return bad(drop, FG_PACKET_DROP_IP_HEADER);
    if (room < total || room < IPV4 + UDP)
        return bad(drop, FG_PACKET_DROP_TRUNCATED);
    if (total < IPV4 + UDP || udp->len == FG_FRAME_BE16(FG_FRAME_UDP_LENGTH))
        return bad(
            drop,
            FG_PACKET_DROP_IP_HEADER); /* the UDP length is right, so the IP length is wrong */
    return bad(drop, FG_PACKET_DROP_LENGTH);
}

static inline enum fg_frame_kind parse_ipv4(const uint8_t *data, uint32_t len, uint32_t ports,
                                            unsigned l3, struct fg_frame *frame,
                                            enum fg_packet_drop *drop)
{
    const uint8_t *ip = data + l3;

    if (len - l3 < IPV4 + FG_FRAME_UDP_LENGTH || !fg_frame_ipv4_is_order(ip, ports))
        return fault_of_ipv4(ip, len - l3, ports, drop);
    if (!fg_frame_ipv4_sum_is_right(ip))
        return bad(drop, FG_PACKET_DROP_IP_HEADER);
    if (!fg_frame_ipv4_is_answerable(data, ip))
        return bad(drop, FG_PACKET_DROP_SOURCE);
    frame->l3 = (uint8_t)l3;
    frame->l4 = (uint8_t)(l3 + IPV4);
    frame->payload = (uint8_t)(l3 + IPV4 + UDP);
    frame->ip = 4;
    return FG_FRAME_ORDER;
}

/* ---- IPv6 ------------------------------------------------------------------------------------ */

static inline bool ipv6_is_order(const fg_frame_ipv6 *ip, uint32_t room, uint32_t ports)
{
    const fg_frame_udp *udp = (const void *)(ip + 1);

    if (room < IPV6 + FG_FRAME_UDP_LENGTH)
        return false;
    return !((ip->version ^ 6) | (ip->nexthdr ^ IPPROTO_UDP) |
             (ip->payload_len ^ FG_FRAME_BE16(FG_FRAME_UDP_LENGTH)) |
             fg_frame_no_order_port(FG_FRAME_BE16(udp->dest), ports) |
             (udp->len ^ FG_FRAME_BE16(FG_FRAME_UDP_LENGTH)));
}

static inline bool ipv6_answerable(const uint8_t *data, const fg_frame_ipv6 *ip)
{
    const fg_frame_udp *udp = (const void *)(ip + 1);
    uint64_t source[2];

    memcpy(source, &ip->saddr, 16);
    return !((data[0] | data[6]) & 1) && (source[0] | source[1]) && ip->saddr.s6_addr[0] != 0xff &&
           ip->daddr.s6_addr[0] != 0xff && udp->source;
}

static bool is_extension(uint8_t next)
{
    switch (next) {
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_FRAGMENT:
    case IPPROTO_AH:
    case IPPROTO_DSTOPTS:
    case IPPROTO_MH:
    case PROTOCOL_HIP:
    case PROTOCOL_SHIM6:
        return true;
    default:
        return false;
    }
}

static uint32_t extension_size(uint8_t type, uint8_t length)
{
    if (type == IPPROTO_FRAGMENT)
        return 8;
    return type == IPPROTO_AH ? (length + 2u) * 4 : (length + 1u) * 8; /* RFC 4302 counts words */
}

/* UDP at `at`, wrong in some way; `why`: the extension headers before it, if any. */
static enum fg_frame_kind fault_of_ipv6_udp(const uint8_t *data, uint32_t room, uint32_t at,
                                            uint32_t ports, enum fg_packet_drop why,
                                            enum fg_packet_drop *drop)
{
    const fg_frame_ipv6 *ip = (const void *)data;
    const fg_frame_udp *udp = (const void *)(data + at), *first = (const void *)(ip + 1);
    uint32_t end = IPV6 + FG_FRAME_BE16(ip->payload_len);

    if (at + 4 > end)
        return bad(drop,
                   why ? why : FG_PACKET_DROP_IP_HEADER); /* the packet ends before the port */
    if (at + 4 > room)
        return bad(drop, FG_PACKET_DROP_TRUNCATED);
    if (fg_frame_no_order_port(FG_FRAME_BE16(udp->dest), ports))
        return FG_FRAME_OTHER;
    if (why)
        return bad(drop, why);
    if (room < end || room < IPV6 + UDP)
        return bad(drop, FG_PACKET_DROP_TRUNCATED);
    if (end < IPV6 + UDP || first->len == FG_FRAME_BE16(FG_FRAME_UDP_LENGTH))
        return bad(
            drop,
            FG_PACKET_DROP_IP_HEADER); /* the UDP length is right, so the IP length is wrong */
    return bad(drop, FG_PACKET_DROP_LENGTH);
}

/* Follows the extension headers to the port, as far as the frame goes: may it be meant for the
 * order port? */
static __attribute__((noinline, cold)) enum fg_frame_kind
fault_of_ipv6(const uint8_t *data, uint32_t room, uint32_t ports, enum fg_packet_drop *drop)
{
    const fg_frame_ipv6 *ip = (const void *)data;
    enum fg_packet_drop why = FG_PACKET_DROP_NONE;
    uint32_t at = IPV6;
    uint8_t next;

    if (room < IPV6)
        return bad(drop, FG_PACKET_DROP_TRUNCATED);
    if (ip->version != 6)
        return bad(drop, FG_PACKET_DROP_IP_HEADER);
    next = ip->nexthdr;
    for (int i = 0; is_extension(next); i++) {
        const fg_frame_extension *extension = (const void *)(data + at);

        if (at + EXTENSION > IPV6 + (uint32_t)FG_FRAME_BE16(ip->payload_len) || i == EXTENSIONS_MAX)
            return bad(drop, why ? why : FG_PACKET_DROP_IP_HEADER);
        if (at + EXTENSION > room)
            return bad(drop, FG_PACKET_DROP_TRUNCATED);
        if (next == IPPROTO_FRAGMENT && (extension->fragment & FG_FRAME_BE16(FG_FRAME_IPV6_OFFSET)))
            return FG_FRAME_OTHER; /* later fragments carry no port */
        if (why != FG_PACKET_DROP_FRAGMENT)
            why = next == IPPROTO_FRAGMENT ? FG_PACKET_DROP_FRAGMENT : FG_PACKET_DROP_IP_HEADER;
        at += extension_size(next, extension->length);
        next = extension->next;
    }
    return next == IPPROTO_UDP ? fault_of_ipv6_udp(data, room, at, ports, why, drop)
                               : FG_FRAME_OTHER;
}

static inline enum fg_frame_kind parse_ipv6(const uint8_t *data, uint32_t len, uint32_t ports,
                                            unsigned l3, struct fg_frame *frame,
                                            enum fg_packet_drop *drop)
{
    const fg_frame_ipv6 *ip = (const void *)(data + l3);

    if (fg_unlikely(!ipv6_is_order(ip, len - l3, ports)))
        return fault_of_ipv6(data + l3, len - l3, ports, drop);
    if (fg_unlikely(!ipv6_answerable(data, ip)))
        return bad(drop, FG_PACKET_DROP_SOURCE);
    frame->l3 = (uint8_t)l3;
    frame->l4 = (uint8_t)(l3 + IPV6);
    frame->payload = (uint8_t)(l3 + IPV6 + UDP);
    frame->ip = 6;
    return FG_FRAME_ORDER;
}

/* ---- both ------------------------------------------------------------------------------------ */

enum fg_frame_kind fg_frame_parse_any(const uint8_t *data, uint32_t len, uint32_t order_ports,
                                      struct fg_frame *frame, enum fg_packet_drop *drop)
{
    uint32_t l3;
    uint16_t type;

    if (fg_unlikely(!skip_link(data, len, &l3, &type)))
        return bad(drop, FG_PACKET_DROP_TRUNCATED);
    if (fg_likely(type == FG_FRAME_BE16(ETH_P_IP)))
        return parse_ipv4(data, len, order_ports, l3, frame, drop);
    if (type == FG_FRAME_BE16(ETH_P_IPV6))
        return parse_ipv6(data, len, order_ports, l3, frame, drop);
    return FG_FRAME_OTHER;
}

unsigned fg_frame_source(const uint8_t *data, uint32_t len, uint8_t address[16])
{
    const fg_frame_ipv6 *six;
    const fg_frame_ipv4 *four;
    uint32_t l3;
    uint16_t type;

    if (!skip_link(data, len, &l3, &type))
        return 0;
    four = (const void *)(data + l3);
    six = (const void *)(data + l3);
    if (type == FG_FRAME_BE16(ETH_P_IP) && len >= l3 + IPV4 && four->version == 4) {
        memcpy(address, &four->saddr, 4);
        return 4;
    }
    if (type == FG_FRAME_BE16(ETH_P_IPV6) && len >= l3 + IPV6 && six->version == 6) {
        memcpy(address, &six->saddr, 16);
        return 6;
    }
    return 0;
}

/* ---- the reply ------------------------------------------------------------------------------- */

/*
 * These functions keep each field in one register: a load of bytes that were just stored as parts
 * of another size would wait until the stores are in the cache.
 */

static inline void store64(void *p, uint64_t word)
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
static inline void turn_ipv4(fg_frame_ipv4 *ip)
{
    uint64_t addresses = fg_frame_word_at((const uint8_t *)&ip->saddr, 8);
    unsigned marks = ip->tos & ECN_BITS;

    ip->check =
        (uint16_t)~fold((uint16_t)~ip->check + 0xffffu + TTL - ip->ttl + 0xffffu - (marks << 8));
    ip->tos = (uint8_t)(ip->tos ^ marks);
    ip->ttl = TTL;
    store64(&ip->saddr, addresses << 32 | addresses >> 32);
}

static inline void turn_ipv6(fg_frame_ipv6 *ip)
{
    struct in6_addr source = ip->saddr;

    ip->saddr = ip->daddr;
    ip->daddr = source;
    ip->flow_lbl[0] &= 0xc0; /* keeps the DSCP; congestion marks and flow label are the request's */
    ip->flow_lbl[1] = ip->flow_lbl[2] = 0;
    ip->hop_limit = TTL;
}

void fg_frame_turn(uint8_t *data, const struct fg_frame *frame)
{
    uint8_t *udp = data + frame->l4;
    uint32_t ports;

    swap_macs(data);
    if (fg_likely(frame->ip == 4))
        turn_ipv4((void *)(data + frame->l3));
    else
        turn_ipv6((void *)(data + frame->l3));
    memcpy(&ports, udp, 4);
    ports = ports << 16 | ports >> 16;
    memcpy(udp, &ports, 4);
}

void fg_frame_finish_ipv6(uint8_t *data, const struct fg_frame *frame)
{
    /* RFC 8200, 8.1, after the addresses */
    const uint8_t pseudo[8] = {0, 0, 0, FG_FRAME_UDP_LENGTH, 0, 0, 0, IPPROTO_UDP};
    const fg_frame_ipv6 *ip = (const void *)(data + frame->l3);
    fg_frame_udp *udp = (void *)(data + frame->l4);
    uint16_t sum;

    udp->check = 0;
    sum = (uint16_t)~fold(sum_words((const uint8_t *)&ip->saddr, 8) + sum_words(pseudo, 2) +
                          sum_words(data + frame->l4, FG_FRAME_UDP_LENGTH / 4));
    udp->check = sum ? sum : 0xffff; /* 0 would mean "none", which IPv6 forbids */
}
