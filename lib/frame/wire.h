/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * wire: the headers of a frame, as Linux defines them, for lib/frame, lib/filter and the XDP
 * program. A source file that includes a DPDK header uses DPDK's structs instead: <netinet/ip.h>,
 * which DPDK includes, and <linux/ip.h> exclude each other. All multi-byte fields are in network
 * byte order.
 */
#ifndef FG_FRAME_WIRE_H
#define FG_FRAME_WIRE_H

#include <stdint.h>

#ifdef __bpf__
#include <linux/in.h>
#else
#include <netinet/in.h>
#endif

#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

/*
 * A header may begin at any address. User space says so by these types. The BPF program may load
 * from any address in any case, and the compiler would load single bytes if it were told.
 */
#ifdef __bpf__
#define FG_FRAME_UNALIGNED __attribute__((aligned(4)))
#else
#define FG_FRAME_UNALIGNED __attribute__((aligned(1)))
#endif

typedef struct ethhdr fg_frame_ethernet FG_FRAME_UNALIGNED;
typedef struct iphdr fg_frame_ipv4 FG_FRAME_UNALIGNED;
typedef struct ipv6hdr fg_frame_ipv6 FG_FRAME_UNALIGNED;
typedef struct udphdr fg_frame_udp FG_FRAME_UNALIGNED;
typedef struct tcphdr fg_frame_tcp FG_FRAME_UNALIGNED;
typedef struct icmp6hdr fg_frame_icmp6 FG_FRAME_UNALIGNED;

/* Linux keeps these two to itself. */

struct fg_frame_vlan_tag {
    uint16_t tci;  /**< priority and VLAN number */
    uint16_t type; /**< of the header behind the tag */
};
typedef struct fg_frame_vlan_tag fg_frame_vlan FG_FRAME_UNALIGNED;

/** A MAC address as numbers, to compare it at once. */
struct fg_frame_mac_words {
    uint32_t first;
    uint16_t last;
} __attribute__((packed));
typedef struct fg_frame_mac_words fg_frame_mac FG_FRAME_UNALIGNED;

/** The first 8 bytes of an IPv6 extension header. */
struct fg_frame_ipv6_extension {
    uint8_t next;      /**< number of the header behind this one */
    uint8_t length;    /**< in units of 8 bytes behind the first 8; of 4 bytes in an AH header */
    uint16_t fragment; /**< only in a fragment header: offset in the upper 13 bits, "more" in the
                          lowest */
    uint32_t rest;
};
typedef struct fg_frame_ipv6_extension fg_frame_extension FG_FRAME_UNALIGNED;

_Static_assert(sizeof(struct ethhdr) == 14 && sizeof(struct fg_frame_vlan_tag) == 4, "wire");
_Static_assert(sizeof(struct iphdr) == 20 && sizeof(struct ipv6hdr) == 40, "wire");
_Static_assert(sizeof(struct udphdr) == 8 && sizeof(struct tcphdr) == 20, "wire");
_Static_assert(sizeof(struct fg_frame_mac_words) == 6, "wire");
_Static_assert(sizeof(struct icmp6hdr) == 8 && sizeof(struct fg_frame_ipv6_extension) == 8, "wire");

enum {
    FG_FRAME_IPV4_MORE_FRAGMENTS = 0x2000,
    FG_FRAME_IPV4_DONT_FRAGMENT = 0x4000,
    FG_FRAME_IPV4_OFFSET = 0x1fff, /**< mask, in units of 8 bytes */
    FG_FRAME_IPV6_OFFSET = 0xfff8, /**< mask, in bytes */
    FG_FRAME_ND_FIRST = 133,       /**< ICMPv6 types of neighbour discovery, RFC 4861 */
    FG_FRAME_ND_SOLICITATION = 135,
    FG_FRAME_ND_ADVERTISEMENT = 136,
    FG_FRAME_ND_LAST = 137,
};

/* Constants of these can be compared with a field as it is in memory. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a big-endian port needs other FG_FRAME_BE16 and FG_FRAME_BE32"
#endif
#define FG_FRAME_BE16(x) ((uint16_t)__builtin_bswap16((uint16_t)(x)))
#define FG_FRAME_BE32(x) ((uint32_t)__builtin_bswap32((uint32_t)(x)))

#endif
