/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * frame: the Ethernet frame around an order packet: the strict check of its headers, the reply's
 * headers, and, on a port that no kernel stands behind, the answers to ARP, neighbour discovery
 * and ping.
 *
 * All functions are pure or work on memory of the caller; any thread may call them. No DPDK, no
 * clock. The check runs once for every packet received: it is in the worker's cycle budget.
 */
#ifndef FG_FRAME_H
#define FG_FRAME_H

#include <string.h>

#include "packet/packet.h"

#define FG_FRAME_HEAD_MAX 66 /**< Ethernet 14 + VLAN 4 + IPv6 40 + UDP 8, bytes */

struct fg_frame {
    uint8_t l3;      /**< offset of the IP header, 14 or 18 */
    uint8_t l4;      /**< offset of the UDP header */
    uint8_t payload; /**< offset of the order packet */
    uint8_t ip;      /**< 4 or 6 */
};

enum fg_frame_kind {
    FG_FRAME_ORDER, /**< UDP to the order port, well-formed; `frame` is filled */
    FG_FRAME_OTHER, /**< not UDP to the order port: ARP, TCP, ... ; `frame` is undefined */
    FG_FRAME_BAD    /**< meant for the order port, or unreadable, and wrong; `*drop` says why */
};

/** `count` order ports from `first` on (host byte order), as one number; a port by itself is one.
 */
#define FG_FRAME_ORDER_PORTS(first, count) ((uint32_t)(first) | ((uint32_t)(count)-1) << 16)

static inline bool fg_frame_no_order_port(uint16_t port, uint32_t order_ports)
{
    return (uint16_t)(port - (uint16_t)order_ports) > order_ports >> 16;
}

/** Continues fg_frame_parse for a frame that is not of the usual kind. */
enum fg_frame_kind fg_frame_parse_any(const uint8_t *data, uint32_t len, uint32_t order_ports,
                                      struct fg_frame *frame, enum fg_packet_drop *drop);

#define FG_FRAME_ETHERTYPE_IPV4 0x0800
#define FG_FRAME_IPV4_SIZE      20u /**< without options */
#define FG_FRAME_UDP_SIZE       8u
#define FG_FRAME_UDP_LENGTH     (FG_FRAME_UDP_SIZE + FG_PACKET_SIZE)

/* Of bytes in network order, what a load finds. */
static inline uint64_t fg_frame_word_at(const uint8_t *p, size_t bytes)
{
    uint64_t word = 0;

    memcpy(&word, p, bytes);
    return word;
}

/** IPv4 without options or fragments, and UDP to the port with a payload of 64 bytes: `ip` has that
 * many bytes. */
static inline bool fg_frame_ipv4_is_order(const uint8_t *ip, uint32_t order_ports)
{
    /* total length, fragment bits but for DF, protocol 17: bytes 2, 3, 6, 7 and 9; the
     * identification and TTL are free */
    const uint64_t lengths = (uint64_t)__builtin_bswap16(FG_FRAME_IPV4_SIZE + FG_FRAME_UDP_LENGTH);
    const uint64_t wanted = lengths | 17ull << 56, compared = 0xff00ffbf0000ffff;

    return ip[0] == 0x45 && (fg_frame_word_at(ip + 2, 8) & compared) == wanted &&
           fg_frame_word_at(ip + FG_FRAME_IPV4_SIZE + 4, 2) ==
               __builtin_bswap16(FG_FRAME_UDP_LENGTH) &&
           !fg_frame_no_order_port(
               __builtin_bswap16((uint16_t)fg_frame_word_at(ip + FG_FRAME_IPV4_SIZE + 2, 2)),
               order_ports);
}

/** The checksum of a header without options (RFC 1071): a sum of ones' complement, in any order of
 * the bytes.
 */
static inline bool fg_frame_ipv4_sum_is_right(const uint8_t *ip)
{
    uint64_t sum = fg_frame_word_at(ip, 4) + fg_frame_word_at(ip + 4, 4) +
                   fg_frame_word_at(ip + 8, 4) + fg_frame_word_at(ip + 12, 4) +
                   fg_frame_word_at(ip + 16, 4);

    return sum % 0xffff == 0; /* and it is not 0 */
}

/** The reply swaps source and destination, so neither may be multicast, broadcast or unspecified.
 */
static inline bool fg_frame_ipv4_is_answerable(const uint8_t *data, const uint8_t *ip)
{
    uint32_t source = (uint32_t)fg_frame_word_at(ip + 12, 4);

    return !((data[0] | data[6]) & 1) && source && source != UINT32_MAX &&
           (ip[12] & 0xf0) != 0xe0 && (ip[16] & 0xf0) != 0xe0 && ip[16] != 0xff &&
           fg_frame_word_at(ip + FG_FRAME_IPV4_SIZE, 2);
}

/**
 * Strict check of an Ethernet frame of `len` contiguous bytes: at most one VLAN tag (0x8100), IPv4
 * without options (header checksum verified) or IPv6 without extension headers, no fragment, UDP to
 * one of `order_ports` (FG_FRAME_ORDER_PORTS, or a single port) with a payload of exactly 64 bytes.
 * Bytes behind the IP packet (Ethernet padding) are allowed. The UDP checksum is not verified: veth
 * leaves it partial, the tag stands for integrity.
 */
static inline enum fg_frame_kind fg_frame_parse(const uint8_t *data, uint32_t len,
                                                uint32_t order_ports, struct fg_frame *frame,
                                                enum fg_packet_drop *drop)
{
    const uint8_t *ip = data + 14;

    if (fg_unlikely(len < 14u + FG_FRAME_IPV4_SIZE + FG_FRAME_UDP_LENGTH ||
                    fg_frame_word_at(data + 12, 2) != __builtin_bswap16(FG_FRAME_ETHERTYPE_IPV4) ||
                    !fg_frame_ipv4_is_order(ip, order_ports) || !fg_frame_ipv4_sum_is_right(ip) ||
                    !fg_frame_ipv4_is_answerable(data, ip))) {
        struct fg_frame any = {0}; /* only this one is in memory */
        enum fg_frame_kind kind = fg_frame_parse_any(data, len, order_ports, &any, drop);

        *frame = any;
        return kind;
    }
    *frame = (struct fg_frame){14, 14 + FG_FRAME_IPV4_SIZE,
                               14 + FG_FRAME_IPV4_SIZE + FG_FRAME_UDP_SIZE, 4};
    return FG_FRAME_ORDER;
}

/**
 * The source address of any frame, also of one that fg_frame_parse refused, as far as it is there:
 * returns 4 or 6 and writes 4 or 16 bytes, or returns 0.
 */
unsigned fg_frame_source(const uint8_t *data, uint32_t len, uint8_t address[16]);

/**
 * Turns the headers of a frame that fg_frame_parse accepted around in place (MAC, IP, ports
 * swapped, TTL 64, congestion marks cleared, IPv4 checksum right) and leaves the UDP checksum to
 * fg_frame_finish. The VLAN tag stays.
 */
void fg_frame_turn(uint8_t *data, const struct fg_frame *frame);

void fg_frame_finish_ipv6(uint8_t *data, const struct fg_frame *frame);

/** UDP checksum after the payload is written: computed for IPv6, 0 ("none", RFC 768) for IPv4. */
static inline void fg_frame_finish(uint8_t *data, const struct fg_frame *frame)
{
    if (fg_likely(frame->ip == 4))
        data[frame->l4 + 6] = data[frame->l4 + 7] = 0;
    else
        fg_frame_finish_ipv6(data, frame);
}

/* ---- for people ------------------------------------------------------------------------------ */

/**
 * The first `kept` bytes of a frame of `length` bytes as one line ("198.18.0.7 > 198.18.0.1 UDP
 * 20000 > 4600 length 72"), cut to `size` bytes with its closing zero; size is at least 1. Returns
 * 4 or 6 and writes the source address (4 or 16 bytes), or returns 0: no IP source in these bytes.
 */
unsigned fg_frame_describe(const uint8_t *data, uint32_t kept, uint32_t length, uint8_t source[16],
                           char *text, size_t size);

/* ---- where no kernel stands behind the port -------------------------------------------------- */

#define FG_FRAME_HOST_ADDRESSES_MAX 8

struct fg_frame_host_address {
    uint8_t family;    /**< 4 or 6; 0: none, for now */
    uint8_t bytes[16]; /**< network byte order; IPv4 in the first four */
};

/** The identity of a port on the network. */
struct fg_frame_host {
    uint8_t mac[6];
    unsigned count;
    struct fg_frame_host_address addresses[FG_FRAME_HOST_ADDRESSES_MAX];
};

/** Whether a frame that fg_frame_parse accepted is sent to our MAC and to one of our addresses. */
static inline bool fg_frame_host_is_to(const uint8_t *data, const struct fg_frame *frame,
                                       const struct fg_frame_host *own)
{
    const uint8_t *ip = data + frame->l3;

    if (fg_frame_word_at(data, 6) != fg_frame_word_at(own->mac, 6))
        return false;
    for (unsigned i = 0; i < own->count; i++) {
        const struct fg_frame_host_address *a = &own->addresses[i];

        if (a->family != frame->ip)
            continue;
        if (a->family == 4 ? fg_frame_word_at(ip + 16, 4) == fg_frame_word_at(a->bytes, 4)
                           : fg_frame_word_at(ip + 24, 8) == fg_frame_word_at(a->bytes, 8) &&
                                 fg_frame_word_at(ip + 32, 8) == fg_frame_word_at(a->bytes + 8, 8))
            return true;
    }
    return false;
}

/**
 * The same for a frame that fg_frame_parse refused, as far as it has addresses: without an IP
 * header the MAC address decides.
 */
bool fg_frame_host_is_target(const uint8_t *data, uint32_t len, const struct fg_frame_host *own);

#define FG_FRAME_HOST_ANNOUNCEMENT 86 /**< bytes of the longest one */
/**
 * Tells the hosts that have an entry for the address that it is here now: an ARP announcement, or
 * an unsolicited neighbour advertisement. Returns the length of the frame.
 */
uint32_t fg_frame_host_announce(uint8_t data[FG_FRAME_HOST_ANNOUNCEMENT],
                                const struct fg_frame_host_address *address, const uint8_t mac[6]);

/** "198.18.0.1, 2001:db8::1": how many there are; -1 when it is not such a list of at most max
 * unicast addresses. */
int fg_frame_host_addresses_parse(const char *text, struct fg_frame_host_address *addresses,
                                  unsigned max);

/**
 * Turns an ARP request, neighbour solicitation or echo request for one of our addresses into its
 * answer, in place; `room`: bytes that the buffer has. At most one VLAN tag, which stays. A frame
 * to another host's MAC address is none of ours. Returns the length of the answer; 0 when there is
 * none (the frame is unchanged then).
 */
uint32_t fg_frame_host_answer(uint8_t *data, uint32_t len, uint32_t room,
                              const struct fg_frame_host *own);

#define FG_FRAME_HOST_QUESTION 86 /**< bytes of the larger question */

/**
 * Writes the question for the MAC address of `address` (ARP, or a neighbour solicitation), from
 * own->mac and the first of own->addresses, which is of the same family; returns its length.
 */
uint32_t fg_frame_host_ask(const struct fg_frame_host *own,
                           const struct fg_frame_host_address *address, uint8_t *out);

/** True when the frame answers that question: `mac` is set. */
bool fg_frame_host_learn(const struct fg_frame_host_address *address, const uint8_t *data,
                         uint32_t len, uint8_t mac[6]);

/**
 * Internet checksum (RFC 1071) of the bytes, as a header stores it; the field of the checksum
 * itself is 0 meanwhile.
 */
uint16_t fg_frame_checksum(const void *data, uint32_t bytes);

/** Bytes of a whole frame with a 64-byte payload. */
static inline uint32_t fg_frame_size(const struct fg_frame *frame)
{
    return frame->payload + FG_PACKET_SIZE;
}

#endif
