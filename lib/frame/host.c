/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers that the kernel gives on other ports: ARP (RFC 826), neighbour discovery (RFC 4861), and
 * echo (ICMP, RFC 792; ICMPv6, RFC 4443). Each request becomes its answer in place. The checks are
 * strict, and no state is kept. The other side of ARP and neighbour discovery is here too.
 */
#include <arpa/inet.h>
#include <linux/icmp.h>
#include <netinet/if_ether.h>
#include <string.h>

#include "frame/frame.h"
#include "frame/wire.h"

#define TTL               64
#define ND_HOP_LIMIT      255 /* no router has forwarded it */
#define ND_SOURCE_ADDRESS 1   /* the option that tells the sender's link-layer address */
#define ND_TARGET_ADDRESS 2   /* and that of the target */

typedef struct ether_arp arp_packet FG_FRAME_UNALIGNED;
typedef struct icmphdr icmp_header FG_FRAME_UNALIGNED;

/* A solicitation ends before the option; it may carry another one. */
struct nd_message {
    struct icmp6hdr head;
    uint8_t target[16];
    uint8_t option, option_length; /* length: in units of 8 bytes */
    uint8_t mac[ETH_ALEN];
};
typedef struct nd_message nd_packet FG_FRAME_UNALIGNED;

enum {
    ETHERNET = sizeof(fg_frame_ethernet),
    VLAN = sizeof(fg_frame_vlan),
    ARP = sizeof(arp_packet),
    IPV4 = sizeof(fg_frame_ipv4),
    IPV6 = sizeof(fg_frame_ipv6),
    ECHO = sizeof(icmp_header),
    ADVERTISEMENT = sizeof(nd_packet),
    SOLICITATION = offsetof(struct nd_message, option),
};
_Static_assert(ETHERNET + (int)IPV6 + ADVERTISEMENT == FG_FRAME_HOST_ANNOUNCEMENT,
               "the longer one");
_Static_assert((int)ECHO == sizeof(struct icmp6hdr), "an echo header of either family");
_Static_assert(SOLICITATION == 24 && ADVERTISEMENT == 32, "wire");

static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1},
                     all_nodes_mac[ETH_ALEN] = {0x33, 0x33, [5] = 1};

static inline uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* RFC 1071, over `bytes`; an odd last byte is padded. */
static uint32_t sum(const void *data, uint32_t bytes)
{
    const uint8_t *p = data;
    uint32_t s = 0;

    for (uint32_t i = 0; i + 1 < bytes; i += 2)
        s += be16(p + i);
    return bytes & 1 ? s + (uint32_t)(p[bytes - 1] << 8) : s;
}

static uint16_t fold(uint32_t s)
{
    s = (s & 0xffff) + (s >> 16);
    return (uint16_t)((s & 0xffff) + (s >> 16));
}

uint16_t fg_frame_checksum(const void *data, uint32_t bytes)
{
    return htons((uint16_t)~fold(sum(data, bytes)));
}

static bool ours(const struct fg_frame_host *own, uint8_t family, const void *address)
{
    for (unsigned i = 0; i < own->count; i++)
        if (own->addresses[i].family == family &&
            !memcmp(own->addresses[i].bytes, address, family == 4 ? 4 : 16))
            return true;
    return false;
}

/* The answer goes to the sender of the request. */
static void turn_ether(uint8_t *data, const struct fg_frame_host *own)
{
    fg_frame_ethernet *ethernet = (void *)data;

    memcpy(ethernet->h_dest, ethernet->h_source, ETH_ALEN);
    memcpy(ethernet->h_source, own->mac, ETH_ALEN);
}

static bool is_unicast_ipv4(const void *address)
{
    uint32_t host = (uint32_t)be16(address) << 16 | be16((const uint8_t *)address + 2);

    return host && host >> 28 != 14 && host >> 24 != 255;
}

/* ---- ARP ------------------------------------------------------------------------------------- */

static const struct arphdr arp_request = {.ar_hrd = FG_FRAME_BE16(ARPHRD_ETHER),
                                          .ar_pro = FG_FRAME_BE16(ETH_P_IP),
                                          .ar_hln = ETH_ALEN,
                                          .ar_pln = 4,
                                          .ar_op = FG_FRAME_BE16(ARPOP_REQUEST)};

static uint32_t answer_arp(uint8_t *data, uint32_t len, uint32_t at,
                           const struct fg_frame_host *own)
{
    arp_packet *arp = (void *)(data + at);
    uint8_t wanted[4];

    if (len < at + ARP || memcmp(arp, &arp_request, sizeof(arp_request)) || (arp->arp_sha[0] & 1) ||
        !ours(own, 4, arp->arp_tpa))
        return 0;
    memcpy(wanted, arp->arp_tpa, 4);
    arp->ea_hdr.ar_op = FG_FRAME_BE16(ARPOP_REPLY);
    memcpy(arp->arp_tha, arp->arp_sha, ETH_ALEN);
    memcpy(arp->arp_tpa, arp->arp_spa, 4);
    memcpy(arp->arp_sha, own->mac, ETH_ALEN);
    memcpy(arp->arp_spa, wanted, 4);
    turn_ether(data, own);
    return at + ARP;
}

/* ---- echo over IPv4 -------------------------------------------------------------------------- */

static uint32_t answer_ipv4(uint8_t *data, uint32_t len, uint32_t at,
                            const struct fg_frame_host *own)
{
    fg_frame_ipv4 *ip = (void *)(data + at);
    icmp_header *icmp = (void *)(ip + 1);
    uint32_t total, source;

    if (len < at + IPV4 + ECHO || ip->version != 4 || ip->ihl != IPV4 / 4 ||
        ip->protocol != IPPROTO_ICMP ||
        (ip->frag_off & FG_FRAME_BE16(FG_FRAME_IPV4_MORE_FRAGMENTS | FG_FRAME_IPV4_OFFSET)))
        return 0;
    total = FG_FRAME_BE16(ip->tot_len);
    if (total < IPV4 + ECHO || len < at + total || fold(sum(ip, IPV4)) != 0xffff)
        return 0;
    if (icmp->type != ICMP_ECHO || icmp->code || !ours(own, 4, &ip->daddr) ||
        !is_unicast_ipv4(&ip->saddr))
        return 0;
    if (fold(sum(icmp, total - IPV4)) != 0xffff)
        return 0;
    source = ip->saddr;
    ip->saddr = ip->daddr;
    ip->daddr = source;
    ip->ttl = TTL;
    ip->check = 0;
    ip->check = fg_frame_checksum(ip, IPV4);
    icmp->type = ICMP_ECHOREPLY;
    icmp->checksum = 0;
    icmp->checksum = fg_frame_checksum(icmp, total - IPV4);
    turn_ether(data, own);
    return at + total;
}

/* ---- IPv6 ------------------------------------------------------------------------------------ */

/* Over the pseudo-header of RFC 8200, 8.1, and the message. */
static uint32_t sum_icmp6(const fg_frame_ipv6 *ip, uint32_t bytes)
{
    return sum(&ip->saddr, 32) + bytes + IPPROTO_ICMPV6 + sum(ip + 1, bytes);
}

static void seal_icmp6(fg_frame_ipv6 *ip, uint32_t bytes)
{
    fg_frame_icmp6 *icmp = (void *)(ip + 1);

    ip->payload_len = htons((uint16_t)bytes);
    icmp->icmp6_cksum = 0;
    icmp->icmp6_cksum = htons((uint16_t)~fold(sum_icmp6(ip, bytes)));
}

static bool is_unspecified(const void *address)
{
    static const uint8_t unspecified[16];

    return !memcmp(address, unspecified, 16);
}

/* The group that is asked for an address: ff02::1:ffXX:XXXX, whose end is the address's. */
static const uint8_t solicited[13] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};

static bool is_solicited_group(const uint8_t *address, const uint8_t *target)
{
    return !memcmp(address, solicited, 13) && !memcmp(address + 13, target + 13, 3);
}

/*
 * RFC 4861, 7.1.1 and 7.2.4. A solicitation without a source address (detection of duplicates) is
 * answered to all nodes.
 */
static uint32_t answer_solicitation(uint8_t *data, uint32_t at, uint32_t room,
                                    const struct fg_frame_host *own)
{
    fg_frame_ipv6 *ip = (void *)(data + at);
    nd_packet *nd = (void *)(ip + 1);
    bool to_all = is_unspecified(&ip->saddr);

    if (ip->hop_limit != ND_HOP_LIMIT || nd->head.icmp6_code || !ours(own, 6, nd->target) ||
        room < at + IPV6 + ADVERTISEMENT)
        return 0;
    if (memcmp(&ip->daddr, nd->target, 16) && !is_solicited_group(ip->daddr.s6_addr, nd->target))
        return 0;
    memcpy(&ip->daddr, to_all ? (const void *)all_nodes : &ip->saddr, 16);
    memcpy(&ip->saddr, nd->target, 16);
    memset(&nd->head, 0, sizeof(nd->head));
    nd->head.icmp6_type = FG_FRAME_ND_ADVERTISEMENT;
    nd->head.icmp6_override = 1;
    nd->head.icmp6_solicited = !to_all;
    nd->option = ND_TARGET_ADDRESS;
    nd->option_length = 1;
    memcpy(nd->mac, own->mac, ETH_ALEN);
    seal_icmp6(ip, ADVERTISEMENT);
    turn_ether(data, own);
    if (to_all)
        memcpy(data, all_nodes_mac, ETH_ALEN);
    return at + IPV6 + ADVERTISEMENT;
}

static uint32_t answer_echo6(uint8_t *data, uint32_t at, uint32_t bytes,
                             const struct fg_frame_host *own)
{
    fg_frame_ipv6 *ip = (void *)(data + at);
    fg_frame_icmp6 *icmp = (void *)(ip + 1);
    struct in6_addr source = ip->saddr;

    if (icmp->icmp6_code || !ours(own, 6, &ip->daddr) || is_unspecified(&ip->saddr))
        return 0;
    ip->saddr = ip->daddr;
    ip->daddr = source;
    ip->hop_limit = TTL;
    icmp->icmp6_type = ICMPV6_ECHO_REPLY;
    seal_icmp6(ip, bytes);
    turn_ether(data, own);
    return at + IPV6 + bytes;
}

static uint32_t answer_ipv6(uint8_t *data, uint32_t len, uint32_t at, uint32_t room,
                            const struct fg_frame_host *own)
{
    const fg_frame_ipv6 *ip = (const void *)(data + at);
    const fg_frame_icmp6 *icmp = (const void *)(ip + 1);
    uint32_t bytes;

    if (len < at + IPV6 + ECHO || ip->version != 6 || ip->nexthdr != IPPROTO_ICMPV6 ||
        ip->saddr.s6_addr[0] == 0xff)
        return 0;
    bytes = FG_FRAME_BE16(ip->payload_len);
    if (bytes < ECHO || len < at + IPV6 + bytes || fold(sum_icmp6(ip, bytes)) != 0xffff)
        return 0;
    if (icmp->icmp6_type == FG_FRAME_ND_SOLICITATION && bytes >= SOLICITATION)
        return answer_solicitation(data, at, room, own);
    return icmp->icmp6_type == ICMPV6_ECHO_REQUEST ? answer_echo6(data, at, bytes, own) : 0;
}

uint32_t fg_frame_host_answer(uint8_t *data, uint32_t len, uint32_t room,
                              const struct fg_frame_host *own)
{
    const fg_frame_ethernet *ethernet = (const void *)data;
    uint32_t at = ETHERNET;
    uint16_t type;

    if (len < ETHERNET + VLAN || (ethernet->h_source[0] & 1)) /* a group address never asks */
        return 0;
    if (!(ethernet->h_dest[0] & 1) && memcmp(ethernet->h_dest, own->mac, ETH_ALEN))
        return 0; /* a bridge may flood */
    type = ntohs(ethernet->h_proto);
    if (type == ETH_P_8021Q) {
        type = ntohs(((const fg_frame_vlan *)(data + at))->type);
        at += VLAN;
    }
    switch (type) {
    case ETH_P_ARP:
        return answer_arp(data, len, at, own);
    case ETH_P_IP:
        return answer_ipv4(data, len, at, own);
    case ETH_P_IPV6:
        return answer_ipv6(data, len, at, room, own);
    default:
        return 0;
    }
}

/* ---- unasked, and questions ------------------------------------------------------------------ */

/* To all: who has `target`? */
static uint32_t write_arp(uint8_t *data, const uint8_t *mac, const uint8_t *source,
                          const uint8_t *target)
{
    fg_frame_ethernet *ethernet = (void *)data;
    arp_packet *arp = (void *)(data + ETHERNET);

    memset(ethernet->h_dest, 0xff, ETH_ALEN);
    ethernet->h_proto = FG_FRAME_BE16(ETH_P_ARP);
    *arp = (struct ether_arp){.ea_hdr = arp_request};
    memcpy(arp->arp_sha, mac, ETH_ALEN);
    memcpy(arp->arp_spa, source, 4);
    memcpy(arp->arp_tpa, target, 4);
    return ETHERNET + ARP;
}

/* To a group, which is `to` but for its last three bytes, which are `end`; about `target`. */
static uint32_t write_nd(uint8_t *data, uint8_t type, uint8_t option, const uint8_t *mac,
                         const uint8_t *source, const uint8_t *to, const uint8_t *end,
                         const uint8_t *target)
{
    fg_frame_ethernet *ethernet = (void *)data;
    fg_frame_ipv6 *ip = (void *)(data + ETHERNET);
    nd_packet *nd = (void *)(ip + 1);

    memset(ip, 0, IPV6 + ADVERTISEMENT);
    ip->version = 6;
    ip->nexthdr = IPPROTO_ICMPV6;
    ip->hop_limit = ND_HOP_LIMIT;
    memcpy(&ip->saddr, source, 16);
    memcpy(&ip->daddr, to, 13);
    memcpy(ip->daddr.s6_addr + 13, end, 3);
    ethernet->h_dest[0] = ethernet->h_dest[1] = 0x33; /* RFC 2464, 7 */
    memcpy(ethernet->h_dest + 2, ip->daddr.s6_addr + 12, 4);
    ethernet->h_proto = FG_FRAME_BE16(ETH_P_IPV6);
    nd->head.icmp6_type = type;
    nd->head.icmp6_override = type == FG_FRAME_ND_ADVERTISEMENT;
    memcpy(nd->target, target, 16);
    nd->option = option;
    nd->option_length = 1;
    memcpy(nd->mac, mac, ETH_ALEN);
    seal_icmp6(ip, ADVERTISEMENT);
    return ETHERNET + IPV6 + ADVERTISEMENT;
}

/* RFC 5227, 3: a request for the address itself. RFC 4861, 7.2.6. */
uint32_t fg_frame_host_announce(uint8_t data[FG_FRAME_HOST_ANNOUNCEMENT],
                                const struct fg_frame_host_address *address, const uint8_t mac[6])
{
    const uint8_t *a = address->bytes;

    memcpy(((fg_frame_ethernet *)data)->h_source, mac, ETH_ALEN);
    return address->family == 4 ? write_arp(data, mac, a, a)
                                : write_nd(data, FG_FRAME_ND_ADVERTISEMENT, ND_TARGET_ADDRESS, mac,
                                           a, all_nodes, all_nodes + 13, a);
}

uint32_t fg_frame_host_ask(const struct fg_frame_host *own,
                           const struct fg_frame_host_address *address, uint8_t *out)
{
    const uint8_t *source = own->addresses[0].bytes, *wanted = address->bytes;

    memcpy(((fg_frame_ethernet *)(void *)out)->h_source, own->mac, ETH_ALEN);
    return address->family == 4 ? write_arp(out, own->mac, source, wanted)
                                : write_nd(out, FG_FRAME_ND_SOLICITATION, ND_SOURCE_ADDRESS,
                                           own->mac, source, solicited, wanted + 13, wanted);
}

bool fg_frame_host_learn(const struct fg_frame_host_address *address, const uint8_t *data,
                         uint32_t len, uint8_t mac[6])
{
    const fg_frame_ethernet *ethernet = (const void *)data;
    const arp_packet *arp = (const void *)(ethernet + 1);
    const fg_frame_ipv6 *ip = (const void *)(ethernet + 1);
    const nd_packet *nd = (const void *)(ip + 1);

    if (address->family == 4) {
        if (len < ETHERNET + ARP || ethernet->h_proto != FG_FRAME_BE16(ETH_P_ARP) ||
            arp->ea_hdr.ar_op != FG_FRAME_BE16(ARPOP_REPLY) ||
            memcmp(arp->arp_spa, address->bytes, 4))
            return false;
        memcpy(mac, arp->arp_sha, ETH_ALEN);
        return true;
    }
    if (len < ETHERNET + IPV6 + SOLICITATION || ethernet->h_proto != FG_FRAME_BE16(ETH_P_IPV6) ||
        ip->nexthdr != IPPROTO_ICMPV6 || nd->head.icmp6_type != FG_FRAME_ND_ADVERTISEMENT ||
        memcmp(nd->target, address->bytes, 16))
        return false;
    memcpy(mac,
           len >= ETHERNET + IPV6 + ADVERTISEMENT && nd->option == ND_TARGET_ADDRESS
               ? nd->mac
               : ethernet->h_source,
           ETH_ALEN);
    return true;
}

bool fg_frame_host_is_target(const uint8_t *data, uint32_t len, const struct fg_frame_host *own)
{
    const fg_frame_ethernet *ethernet = (const void *)data;
    const fg_frame_ipv4 *four;
    const fg_frame_ipv6 *six;
    uint32_t at = ETHERNET;
    uint16_t type;

    if (len < ETHERNET)
        return true;
    if (memcmp(ethernet->h_dest, own->mac, ETH_ALEN))
        return false;
    type = ntohs(ethernet->h_proto);
    if (type == ETH_P_8021Q && len >= ETHERNET + VLAN) {
        type = ntohs(((const fg_frame_vlan *)(data + at))->type);
        at += VLAN;
    }
    four = (const void *)(data + at);
    six = (const void *)(data + at);
    if (type == ETH_P_IP && len >= at + IPV4)
        return ours(own, 4, &four->daddr);
    return type != ETH_P_IPV6 || len < at + IPV6 || ours(own, 6, &six->daddr);
}

int fg_frame_host_addresses_parse(const char *text, struct fg_frame_host_address *addresses,
                                  unsigned max)
{
    unsigned n = 0;

    for (;;) {
        struct fg_frame_host_address a = {0};
        size_t length = strcspn(text, ",");
        char one[INET6_ADDRSTRLEN];

        if (length >= sizeof(one) || n == max)
            return -1;
        memcpy(one, text, length);
        one[length] = '\0';
        a.family = strchr(one, ':') ? 6 : 4;
        if (inet_pton(a.family == 6 ? AF_INET6 : AF_INET, one, a.bytes) != 1)
            return -1;
        if (a.family == 4 ? !is_unicast_ipv4(a.bytes)
                          : a.bytes[0] == 0xff || is_unspecified(a.bytes))
            return -1;
        addresses[n++] = a;
        if (!text[length])
            return (int)n;
        text += length + 1;
        text += strspn(text, " ");
    }
}
