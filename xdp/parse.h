/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * parse: from a frame to what the filter decides by, in two steps: fg_filter_parse_source as far as
 * the source address, fg_filter_parse_rest what is behind it. A packet of a blocked source costs
 * the first only. Loops have constant bounds and every access is checked against `end`: what the
 * verifier asks for.
 */
#ifndef FG_XDP_PARSE_H
#define FG_XDP_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "frame/wire.h"
#include "xdp/shared.h"

#define FG_FILTER_INLINE static inline __attribute__((always_inline))

/* clang 14 cannot select __atomic_load_n for BPF. */
#define FG_FILTER_READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))

/*
 * The compiler knows nothing of the value from here on, a variable of 64 bits. A bound that is
 * checked behind this is checked on the register that is used: otherwise clang 16 and newer mask or
 * add anew behind the check, and the verifier, which remembers bounds of registers, refuses the
 * program. 64 bits: when a register of 32 bits is copied and the copy is checked, Linux 6.1 learns
 * nothing of the original.
 */
#define FG_FILTER_OPAQUE(x)                                                                        \
    do {                                                                                           \
        _Static_assert(sizeof(x) == 8, "a variable of 64 bits");                                   \
        __asm__ volatile("" : "+r"(x));                                                            \
    } while (0)

#define FG_FILTER_VLAN_TAGS_MAX  2
#define FG_FILTER_EXTENSIONS_MAX 6 /* IPv6 extension headers in one packet; more is malformed */

/** The parser's findings. */
struct fg_filter_view {
    uint64_t hi, lo; /**< source address in host byte order; IPv4 in the upper half of hi */
    uint64_t to_hi,
        to_lo;       /**< destination address; IPv4 as FG_FILTER_OWN_HI_4 and the lower half */
    uint32_t family; /**< 4 or 6 */
    bool odd;        /**< two VLAN tags, IPv4 options or IPv6 extension headers on the way */
    bool multicast;  /**< to many: never an order */
    bool order_port; /**< UDP to an order port */
    bool fragment;   /**< the first fragment of several, or alone with a fragment header */
    enum fg_filter_class class; /**< of rates */
};

/* ---- link ------------------------------------------------------------------------------------ */

FG_FILTER_INLINE bool fg_filter_is_tag(uint16_t type)
{
    return type == FG_FRAME_BE16(ETH_P_8021Q) || type == FG_FRAME_BE16(ETH_P_8021AD);
}

/* The header behind Ethernet and VLAN tags; NULL: cut, or more than two tags. */
FG_FILTER_INLINE const uint8_t *fg_filter_parse_link(const uint8_t *data, const uint8_t *end,
                                                     uint16_t *type, bool *odd)
{
    const fg_frame_ethernet *eth = (const void *)data;
    const uint8_t *pos = data + sizeof(*eth);

    *odd = false;
    if (pos > end)
        return NULL;
    *type = eth->h_proto;
    for (int tags = 0; tags < FG_FILTER_VLAN_TAGS_MAX && fg_filter_is_tag(*type); tags++) {
        const fg_frame_vlan *vlan = (const void *)pos;

        pos += sizeof(*vlan);
        if (pos > end)
            return NULL;
        /* Workers take one VLAN tag; a service tag, or two tags, cannot be an order's. */
        *odd |= tags > 0 || *type == FG_FRAME_BE16(ETH_P_8021AD);
        *type = vlan->type;
    }
    return fg_filter_is_tag(*type) ? NULL
                                   : pos; /* a third tag would hide an address from the lists */
}

FG_FILTER_INLINE uint64_t fg_filter_be64(uint32_t first, uint32_t second)
{
    return (uint64_t)FG_FRAME_BE32(first) << 32 | FG_FRAME_BE32(second);
}

/* ---- behind the IP header: ORDER or PASS so far, or a final verdict -------------------------- */

/* The tunables from order_port on. With one order port it is one comparison: the verifier knows the
 * number.
 */
FG_FILTER_INLINE bool fg_filter_is_order_port(const void *tune_port, uint16_t port)
{
    const volatile uint16_t *tune = tune_port;
    enum {
        MORE = (offsetof(struct fg_filter_tunables, order_more) -
                offsetof(struct fg_filter_tunables, order_port)) /
               2
    };

    if (tune[MORE] == 0)
        return port == tune[0];
    return (uint16_t)(FG_FRAME_BE16(port) - FG_FRAME_BE16(tune[0])) <= tune[MORE];
}

/* `left`: bytes of the IP payload from here on, as the IP header has it. */
FG_FILTER_INLINE enum fg_filter_verdict fg_filter_parse_udp(const void *tune_port,
                                                            const uint8_t *pos, const uint8_t *end,
                                                            uint32_t left,
                                                            struct fg_filter_view *view)
{
    const fg_frame_udp *udp = (const void *)pos;
    const uint8_t *payload = pos + sizeof(*udp);

    /* A first fragment too small to show its port would hide it (RFC 1858): refused as well. */
    if (left < sizeof(*udp) || payload > end)
        return FG_FILTER_VERDICT_BAD_UDP;
    if (!fg_filter_is_order_port(tune_port, udp->dest))
        return FG_FILTER_VERDICT_PASS;
    view->order_port = true;
    if (view->fragment)
        return FG_FILTER_VERDICT_FRAGMENT;
    if (left != sizeof(*udp) + FG_FILTER_ORDER_BYTES || udp->len != FG_FRAME_BE16(left) ||
        payload + FG_FILTER_ORDER_BYTES > end)
        return FG_FILTER_VERDICT_ORDER_LENGTH;
    if (view->odd || udp->source == 0 || (view->hi | view->lo) == 0)
        return FG_FILTER_VERDICT_ORDER_HEADER;
    if (payload[0] != FG_FILTER_ORDER_MAGIC_0 || payload[1] != FG_FILTER_ORDER_MAGIC_1 ||
        payload[2] != FG_FILTER_ORDER_VERSION)
        return FG_FILTER_VERDICT_ORDER_MAGIC;
    view->class = FG_FILTER_CLASS_ORDER;
    return FG_FILTER_VERDICT_ORDER;
}

FG_FILTER_INLINE enum fg_filter_verdict fg_filter_parse_tcp(const uint8_t *pos, const uint8_t *end,
                                                            uint32_t left,
                                                            struct fg_filter_view *view)
{
    const fg_frame_tcp *tcp = (const void *)pos;

    if (left < sizeof(*tcp) || pos + sizeof(*tcp) > end)
        return FG_FILTER_VERDICT_BAD_TCP;
    if (tcp->doff < 5 || (tcp->syn && (tcp->fin || tcp->rst)))
        return FG_FILTER_VERDICT_BAD_TCP;
    if (tcp->syn && !tcp->ack)
        view->class = FG_FILTER_CLASS_SYN;
    return FG_FILTER_VERDICT_PASS;
}

FG_FILTER_INLINE bool fg_filter_ipv4_is_multicast(uint32_t addr)
{
    return (addr & FG_FRAME_BE32(0xf0000000)) == FG_FRAME_BE32(0xe0000000) || addr == 0xffffffff;
}

FG_FILTER_INLINE enum fg_filter_verdict fg_filter_parse_ipv4_rest(const void *port,
                                                                  const uint8_t *pos,
                                                                  const uint8_t *end,
                                                                  struct fg_filter_view *view)
{
    const fg_frame_ipv4 *ip = (const void *)pos;
    uint32_t head, total, fragment;

    if (pos + sizeof(*ip) > end)
        return FG_FILTER_VERDICT_BAD_IPV4;
    head = ip->ihl * 4u;
    total = FG_FRAME_BE16(ip->tot_len);
    view->multicast |= fg_filter_ipv4_is_multicast(ip->daddr);
    view->to_hi = FG_FILTER_OWN_HI_4;
    view->to_lo = FG_FRAME_BE32(ip->daddr);
    if (ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_TCP)
        return FG_FILTER_VERDICT_PASS;
    fragment = FG_FRAME_BE16(ip->frag_off) & (FG_FRAME_IPV4_MORE_FRAGMENTS | FG_FRAME_IPV4_OFFSET);
    if ((fragment & FG_FRAME_IPV4_OFFSET) == 1 && ip->protocol == IPPROTO_TCP)
        return FG_FILTER_VERDICT_BAD_TCP; /* would overwrite the flags of the first one (RFC 3128)
                                           */
    if (fragment & FG_FRAME_IPV4_OFFSET)
        return FG_FILTER_VERDICT_PASS; /* no port in it; the first one was or will be dropped if it
                                        * is ours
                                        */
    if (ip->protocol == IPPROTO_TCP)
        return fg_filter_parse_tcp(pos + head, end, total - head, view);
    view->odd |= head != sizeof(*ip);
    view->fragment = fragment != 0;
    return fg_filter_parse_udp(port, pos + head, end, total - head, view);
}

/* Walks the extension headers as far as UDP or TCP. */
FG_FILTER_INLINE enum fg_filter_verdict fg_filter_parse_ipv6_rest(const void *port,
                                                                  const uint8_t *pos,
                                                                  const uint8_t *end,
                                                                  struct fg_filter_view *view)
{
    const fg_frame_ipv6 *ip = (const void *)pos;
    uint32_t next, left;

    pos += sizeof(*ip);
    if (pos > end)
        return FG_FILTER_VERDICT_BAD_IPV6;
    next = ip->nexthdr;
    left = FG_FRAME_BE16(ip->payload_len);
    view->multicast |=
        (ip->daddr.s6_addr32[0] & FG_FRAME_BE32(0xff000000)) == FG_FRAME_BE32(0xff000000);
    view->to_hi = fg_filter_be64(ip->daddr.s6_addr32[0], ip->daddr.s6_addr32[1]);
    view->to_lo = fg_filter_be64(ip->daddr.s6_addr32[2], ip->daddr.s6_addr32[3]);
    for (int i = 0; i <= FG_FILTER_EXTENSIONS_MAX; i++) {
        const fg_frame_extension *ext = (const void *)pos;
        uint32_t size;

        if (next == IPPROTO_UDP)
            return fg_filter_parse_udp(port, pos, end, left, view);
        if (next == IPPROTO_TCP)
            return fg_filter_parse_tcp(pos, end, left, view);
        if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_FRAGMENT &&
            next != IPPROTO_AH && next != IPPROTO_DSTOPTS)
            return FG_FILTER_VERDICT_PASS;
        if (left < sizeof(*ext) || pos + sizeof(*ext) > end)
            return FG_FILTER_VERDICT_BAD_EXTENSION;
        size = 8 + 8 * ext->length;
        if (next == IPPROTO_AH)
            size = 8 + 4 * ext->length;
        if (next == IPPROTO_FRAGMENT) {
            size = 8;
            view->fragment = true;
            if (ext->fragment & FG_FRAME_BE16(FG_FRAME_IPV6_OFFSET))
                return FG_FILTER_VERDICT_PASS; /* as for IPv4 */
        }
        if (size > left)
            return FG_FILTER_VERDICT_BAD_EXTENSION;
        view->odd = true;
        next = ext->next;
        left -= size;
        pos += size;
    }
    return FG_FILTER_VERDICT_BAD_EXTENSION;
}

/**
 * For a frame of which fg_filter_parse_source filled the view: ORDER or PASS so far, or a final
 * verdict. It looks at the link again: that costs less than to keep what was found there. port:
 * network byte order.
 */
FG_FILTER_INLINE enum fg_filter_verdict fg_filter_parse_rest(const void *port, const uint8_t *data,
                                                             const uint8_t *end,
                                                             struct fg_filter_view *view)
{
    uint16_t type;
    const uint8_t *pos = fg_filter_parse_link(data, end, &type, &view->odd);

    if (!pos)
        return FG_FILTER_VERDICT_BAD_ETHERNET;
    view->multicast = *data & 1;
    view->fragment = false;
    view->order_port = false;
    view->class = FG_FILTER_CLASS_OTHER;
    if (view->family == 4)
        return fg_filter_parse_ipv4_rest(port, pos, end, view);
    return fg_filter_parse_ipv6_rest(port, pos, end, view);
}

/* ---- as far as the source -------------------------------------------------------------------- */

/* True: there is one, hi, lo and family of the view are filled. False: *verdict is final. */
FG_FILTER_INLINE bool fg_filter_parse_ipv4(const uint8_t *pos, const uint8_t *end,
                                           struct fg_filter_view *view,
                                           enum fg_filter_verdict *verdict)
{
    const fg_frame_ipv4 *ip = (const void *)pos;
    uint32_t head, total;

    *verdict = FG_FILTER_VERDICT_BAD_IPV4;
    if (pos + sizeof(*ip) > end)
        return false;
    head = ip->ihl * 4u;
    total = FG_FRAME_BE16(ip->tot_len);
    if (ip->version != 4 || head < sizeof(*ip) || total < head || total > (uint64_t)(end - pos))
        return false;
    *verdict = FG_FILTER_VERDICT_BAD_SOURCE;
    if (fg_filter_ipv4_is_multicast(ip->saddr))
        return false;
    view->family = 4;
    view->hi = (uint64_t)FG_FRAME_BE32(ip->saddr) << 32;
    view->lo = 0;
    return true;
}

/* Only what cannot have crossed a router (hop limit 255) counts as neighbour discovery. */
FG_FILTER_INLINE bool fg_filter_is_discovery(const fg_frame_ipv6 *ip, const uint8_t *end)
{
    const uint8_t *type = (const uint8_t *)(ip + 1);

    return ip->nexthdr == IPPROTO_ICMPV6 && ip->hop_limit == 255 && ip->payload_len != 0 &&
           type + 1 <= end && *type >= FG_FRAME_ND_FIRST && *type <= FG_FRAME_ND_LAST;
}

FG_FILTER_INLINE bool fg_filter_parse_ipv6(const uint8_t *pos, const uint8_t *end,
                                           struct fg_filter_view *view,
                                           enum fg_filter_verdict *verdict)
{
    const fg_frame_ipv6 *ip = (const void *)pos;

    *verdict = FG_FILTER_VERDICT_BAD_IPV6;
    if (pos + sizeof(*ip) > end)
        return false;
    if (ip->version != 6 || FG_FRAME_BE16(ip->payload_len) + sizeof(*ip) > (uint64_t)(end - pos))
        return false;
    *verdict = FG_FILTER_VERDICT_BAD_SOURCE;
    if ((ip->saddr.s6_addr32[0] & FG_FRAME_BE32(0xff000000)) == FG_FRAME_BE32(0xff000000))
        return false;
    *verdict = FG_FILTER_VERDICT_PASS;
    if (fg_filter_is_discovery(ip, end))
        return false; /* like ARP: without it the link is dead */
    view->family = 6;
    view->hi = fg_filter_be64(ip->saddr.s6_addr32[0], ip->saddr.s6_addr32[1]);
    view->lo = fg_filter_be64(ip->saddr.s6_addr32[2], ip->saddr.s6_addr32[3]);
    return true;
}

/**
 * True: there is an IP source to judge by; hi, lo and family of the view are filled, nothing else.
 * False: *verdict is final (PASS: ARP, neighbour discovery, LLDP, ...).
 */
FG_FILTER_INLINE bool fg_filter_parse_source(const uint8_t *data, const uint8_t *end,
                                             struct fg_filter_view *view,
                                             enum fg_filter_verdict *verdict)
{
    uint16_t type;
    bool odd;
    const uint8_t *pos = fg_filter_parse_link(data, end, &type, &odd);

    *verdict = FG_FILTER_VERDICT_BAD_ETHERNET;
    if (!pos)
        return false;
    if (type == FG_FRAME_BE16(ETH_P_IP))
        return fg_filter_parse_ipv4(pos, end, view, verdict);
    if (type == FG_FRAME_BE16(ETH_P_IPV6))
        return fg_filter_parse_ipv6(pos, end, view, verdict);
    *verdict = FG_FILTER_VERDICT_PASS;
    return false;
}

#endif
