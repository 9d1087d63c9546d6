/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel answers on other ports: who has this address (ARP, RFC 826; neighbour discovery,
 * RFC 4861), and echo requests (ICMP, RFC 792; ICMPv6, RFC 4443). Turned into the answer in place,
 * strict, without state.
 */
#include <arpa/inet.h>
#include <string.h>

#include "frame/frame.h"

#define ETHER_SIZE     14
#define VLAN_SIZE      4
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP  0x0806
#define ETHERTYPE_IPV6 0x86dd
#define ARP_SIZE       28
#define IPV4_SIZE      20
#define IPV6_SIZE      40
#define ECHO_SIZE      8
#define ND_SIZE        24 /* solicitation, or advertisement, without options */
#define ND_OPTION_SIZE 8
#define ICMP           1
#define ICMP6          58
#define TTL            64

enum {
    ECHO_REPLY = 0,
    ECHO_REQUEST = 8,
    ECHO6_REQUEST = 128,
    ECHO6_REPLY,
    SOLICITATION = 135,
    ADVERTISEMENT
};

static inline uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void put_be16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

/* RFC 1071, over `bytes`; an odd last byte is padded. */
static uint32_t sum(const uint8_t *p, uint32_t bytes)
{
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

static bool ours(const struct fg_frame_host *own, uint8_t family, const uint8_t *address)
{
    for (unsigned i = 0; i < own->count; i++)
        if (own->addresses[i].family == family &&
            !memcmp(own->addresses[i].bytes, address, family == 4 ? 4 : 16))
            return true;
    return false;
}

/* Back to who sent it. */
static void turn_ether(uint8_t *data, const struct fg_frame_host *own)
{
    memcpy(data, data + 6, 6);
    memcpy(data + 6, own->mac, 6);
}

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
    uint8_t c[16];

    memcpy(c, a, size);
    memcpy(a, b, size);
    memcpy(b, c, size);
}

static bool no_group_ipv4(const uint8_t *address)
{
    return (address[0] & 0xf0) != 0xe0 && address[0] != 0xff && be16(address) | be16(address + 2);
}

/* ---- ARP */

static uint32_t answer_arp(uint8_t *data, uint32_t len, uint32_t at,
                           const struct fg_frame_host *own)
{
    static const uint8_t head[8] = {0, 1, 0x08, 0, 6, 4, 0, 1}; /* Ethernet, IPv4, request */
    uint8_t *arp = data + at;
    uint8_t wanted[4];

    if (len < at + ARP_SIZE || memcmp(arp, head, sizeof(head)) || (arp[8] & 1) ||
        !ours(own, 4, arp + 24))
        return 0;
    memcpy(wanted, arp + 24, 4);
    arp[7] = 2;
    memcpy(arp + 18, arp + 8, 10); /* to: who asked */
    memcpy(arp + 8, own->mac, 6);
    memcpy(arp + 14, wanted, 4);
    turn_ether(data, own);
    return at + ARP_SIZE;
}

/* ---- echo over IPv4 */

static uint32_t answer_ipv4(uint8_t *data, uint32_t len, uint32_t at,
                            const struct fg_frame_host *own)
{
    uint8_t *ip = data + at, *icmp = ip + IPV4_SIZE;
    uint32_t total;

    if (len < at + IPV4_SIZE + ECHO_SIZE || ip[0] != 0x45 || ip[9] != ICMP ||
        (be16(ip + 6) & 0x3fff))
        return 0; /* options, fragments */
    total = be16(ip + 2);
    if (total < IPV4_SIZE + ECHO_SIZE || len < at + total || fold(sum(ip, IPV4_SIZE)) != 0xffff)
        return 0;
    if (icmp[0] != ECHO_REQUEST || icmp[1] || !ours(own, 4, ip + 16) || !no_group_ipv4(ip + 12))
        return 0;
    if (fold(sum(icmp, total - IPV4_SIZE)) != 0xffff)
        return 0;
    swap(ip + 12, ip + 16, 4);
    ip[8] = TTL;
    put_be16(ip + 10, 0);
    put_be16(ip + 10, ~(uint32_t)fold(sum(ip, IPV4_SIZE)));
    icmp[0] = ECHO_REPLY;
    put_be16(icmp + 2, 0);
    put_be16(icmp + 2, ~(uint32_t)fold(sum(icmp, total - IPV4_SIZE)));
    turn_ether(data, own);
    return at + total;
}

/* ---- IPv6 */

/* Over the pseudo-header of RFC 8200, 8.1, and the message. */
static uint32_t sum_icmp6(const uint8_t *ip, uint32_t bytes)
{
    return sum(ip + 8, 32) + bytes + ICMP6 + sum(ip + IPV6_SIZE, bytes);
}

static void seal_icmp6(uint8_t *ip, uint32_t bytes)
{
    put_be16(ip + 4, bytes);
    put_be16(ip + IPV6_SIZE + 2, 0);
    put_be16(ip + IPV6_SIZE + 2, ~(uint32_t)fold(sum_icmp6(ip, bytes)));
}

static bool unspecified(const uint8_t *address)
{
    static const uint8_t nobody[16];

    return !memcmp(address, nobody, 16);
}

/* The group that is asked for `target`: ff02::1:ffXX:XXXX. */
static bool solicited_group(const uint8_t *address, const uint8_t *target)
{
    static const uint8_t head[13] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};

    return !memcmp(address, head, 13) && !memcmp(address + 13, target + 13, 3);
}

/* RFC 4861, 7.1.1 and 7.2.4. An asker without an address (a duplicate check) is answered to all. */
static uint32_t answer_solicitation(uint8_t *data, uint32_t at, uint32_t room,
                                    const struct fg_frame_host *own)
{
    static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
    uint8_t *ip = data + at, *icmp = ip + IPV6_SIZE;
    bool nobody = unspecified(ip + 8);

    if (ip[7] != 255 || icmp[1] || !ours(own, 6, icmp + 8) ||
        room < at + IPV6_SIZE + ND_SIZE + ND_OPTION_SIZE)
        return 0;
    if (memcmp(ip + 24, icmp + 8, 16) && !solicited_group(ip + 24, icmp + 8))
        return 0;
    memcpy(ip + 24, nobody ? all_nodes : ip + 8, 16);
    memcpy(ip + 8, icmp + 8, 16);
    icmp[0] = ADVERTISEMENT;
    memset(icmp + 4, 0, 4);
    icmp[4] = nobody ? 0x20 : 0x60; /* override; solicited */
    icmp[24] = 2;                   /* option: the target's link-layer address, 8 bytes */
    icmp[25] = 1;
    memcpy(icmp + 26, own->mac, 6);
    seal_icmp6(ip, ND_SIZE + ND_OPTION_SIZE);
    turn_ether(data, own);
    if (nobody)
        memcpy(data, (uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
    return at + IPV6_SIZE + ND_SIZE + ND_OPTION_SIZE;
}

static uint32_t answer_echo6(uint8_t *data, uint32_t at, uint32_t bytes,
                             const struct fg_frame_host *own)
{
    uint8_t *ip = data + at;

    if (ip[IPV6_SIZE + 1] || !ours(own, 6, ip + 24) || unspecified(ip + 8))
        return 0;
    swap(ip + 8, ip + 24, 16);
    ip[7] = TTL;
    ip[IPV6_SIZE] = ECHO6_REPLY;
    seal_icmp6(ip, bytes);
    turn_ether(data, own);
    return at + IPV6_SIZE + bytes;
}

static uint32_t answer_ipv6(uint8_t *data, uint32_t len, uint32_t at, uint32_t room,
                            const struct fg_frame_host *own)
{
    uint8_t *ip = data + at, *icmp = ip + IPV6_SIZE;
    uint32_t bytes;

    if (len < at + IPV6_SIZE + ECHO_SIZE || ip[0] >> 4 != 6 || ip[6] != ICMP6 || ip[8] == 0xff)
        return 0;
    bytes = be16(ip + 4);
    if (bytes < ECHO_SIZE || len < at + IPV6_SIZE + bytes || fold(sum_icmp6(ip, bytes)) != 0xffff)
        return 0;
    if (icmp[0] == SOLICITATION && bytes >= ND_SIZE)
        return answer_solicitation(data, at, room, own);
    return icmp[0] == ECHO6_REQUEST ? answer_echo6(data, at, bytes, own) : 0;
}

uint32_t fg_frame_host_answer(uint8_t *data, uint32_t len, uint32_t room,
                              const struct fg_frame_host *own)
{
    uint32_t at = ETHER_SIZE;

    if (len < ETHER_SIZE + VLAN_SIZE || (data[6] & 1)) /* a group never asks */
        return 0;
    if (be16(data + 12) == ETHERTYPE_VLAN)
        at += VLAN_SIZE;
    switch (be16(data + at - 2)) {
    case ETHERTYPE_ARP:
        return answer_arp(data, len, at, own);
    case ETHERTYPE_IPV4:
        return answer_ipv4(data, len, at, own);
    case ETHERTYPE_IPV6:
        return answer_ipv6(data, len, at, room, own);
    default:
        return 0;
    }
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
        if (a.family == 4 ? !no_group_ipv4(a.bytes) : a.bytes[0] == 0xff || unspecified(a.bytes))
            return -1;
        addresses[n++] = a;
        if (!text[length])
            return (int)n;
        text += length + 1;
        text += strspn(text, " ");
    }
}
