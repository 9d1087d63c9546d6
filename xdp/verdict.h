/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * verdict: what happens to a frame that enters a port. One piece of code for the BPF program and for user
 * space (workers of a port that bypasses the kernel, tests). docs/filter.md tells the order of judgement.
 *
 * The includer provides, before it includes this header:
 *
 *   FG_ENV_TUNE                                  lvalue: const struct fg_tunables
 *   const struct fg_lengths *fg_env_lengths(uint32_t index)
 *   struct fg_list_value *fg_env_list(enum fg_list, const struct fg_net *)   NULL when not listed
 *   struct fg_source *fg_env_source(const struct fg_net *)                   NULL when not known
 *   void fg_env_source_add(const struct fg_net *, const struct fg_source *)  may fail
 *
 * Loops have constant bounds and every access is checked against `end`: what the verifier asks for.
 */
#ifndef FG_XDP_VERDICT_H
#define FG_XDP_VERDICT_H

#include <stdbool.h>

#include "xdp/shared.h"

#define FG_INLINE static inline __attribute__((always_inline))

/* clang 14 cannot select __atomic_load_n for BPF. */
#define FG_READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))

#define FG_HTONS(x) ((uint16_t)__builtin_bswap16((uint16_t)(x)))
#define FG_HTONL(x) ((uint32_t)__builtin_bswap32((uint32_t)(x)))
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a big-endian port needs other FG_HTONS and FG_HTONL"
#endif

enum {
    FG_ETHERTYPE_IPV4 = 0x0800,
    FG_ETHERTYPE_VLAN = 0x8100,
    FG_ETHERTYPE_IPV6 = 0x86dd,
    FG_ETHERTYPE_QINQ = 0x88a8,
    FG_PROTO_HOPOPTS = 0,
    FG_PROTO_UDP = 17,
    FG_PROTO_ROUTING = 43,
    FG_PROTO_FRAGMENT = 44,
    FG_PROTO_AH = 51,
    FG_PROTO_ICMPV6 = 58,
    FG_PROTO_DSTOPTS = 60,
    FG_EXTENSIONS_MAX = 6, /* IPv6 extension headers in one packet; more is malformed */
    FG_ND_FIRST = 133,     /* ICMPv6 types of neighbour discovery, RFC 4861 */
    FG_ND_LAST = 137,
};

struct fg_wire_eth {
    uint8_t dst[6], src[6];
    uint16_t type;
} __attribute__((packed));

struct fg_wire_vlan {
    uint16_t tci, type;
} __attribute__((packed));

struct fg_wire_ipv4 {
    uint8_t version_ihl, tos;
    uint16_t total, id, fragment;
    uint8_t ttl, proto;
    uint16_t checksum;
    uint32_t src, dst;
} __attribute__((packed));

struct fg_wire_ipv6 {
    uint32_t version_class_flow;
    uint16_t payload;
    uint8_t next, hops;
    uint32_t src[4], dst[4];
} __attribute__((packed));

struct fg_wire_ext {
    uint8_t next, length; /* length: in units that depend on the header */
    uint16_t fragment;    /* only in the fragment header */
    uint32_t more;
} __attribute__((packed));

struct fg_wire_udp {
    uint16_t src, dst, length, checksum;
} __attribute__((packed));

_Static_assert(sizeof(struct fg_wire_eth) == 14 && sizeof(struct fg_wire_vlan) == 4, "wire");
_Static_assert(sizeof(struct fg_wire_ipv4) == 20 && sizeof(struct fg_wire_ipv6) == 40, "wire");
_Static_assert(sizeof(struct fg_wire_ext) == 8 && sizeof(struct fg_wire_udp) == 8, "wire");

/** What the parser found out on its way down. */
struct fg_view {
    struct fg_net source; /**< family 0: no IP source to judge by (ARP, neighbour discovery, LLDP, ...) */
    bool multicast;       /**< to many: never an order */
    bool odd;             /**< IPv4 options or IPv6 extension headers on the way */
    bool fragment;        /**< the first fragment of several, or alone with a fragment header */
};

/* ---- parse: ORDER or PASS so far, or a final MALFORMED or FRAGMENT --------------------------------- */

FG_INLINE bool fg_source_is_zero(const struct fg_net *source)
{
    return (source->addr[0] | source->addr[1] | source->addr[2] | source->addr[3]) == 0;
}

/* `left`: bytes of the IP payload from here on, as the IP header has it. */
FG_INLINE enum fg_verdict fg_parse_udp(const uint8_t *pos, const uint8_t *end, uint32_t left,
                                       const struct fg_view *view)
{
    const struct fg_wire_udp *udp = (const void *)pos;
    const uint8_t *payload = pos + sizeof(*udp);

    /* A first fragment too small to show its port would hide it (RFC 1858): refused as well. */
    if (left < sizeof(*udp) || payload > end)
        return FG_VERDICT_MALFORMED;
    if (udp->dst != FG_ENV_TUNE.order_port || view->multicast)
        return FG_VERDICT_PASS;
    if (view->fragment)
        return FG_VERDICT_FRAGMENT;
    if (view->odd || left != sizeof(*udp) + FG_SHIELD_PAYLOAD || udp->length != FG_HTONS(left))
        return FG_VERDICT_MALFORMED;
    if (udp->src == 0 || fg_source_is_zero(&view->source))
        return FG_VERDICT_MALFORMED;
    if (payload + FG_SHIELD_PAYLOAD > end)
        return FG_VERDICT_MALFORMED;
    if (payload[0] != FG_SHIELD_MAGIC_0 || payload[1] != FG_SHIELD_MAGIC_1 || payload[2] != FG_SHIELD_VERSION)
        return FG_VERDICT_MALFORMED;
    return FG_VERDICT_ORDER;
}

FG_INLINE bool fg_ipv4_is_multicast(uint32_t addr)
{
    return (addr & FG_HTONL(0xf0000000)) == FG_HTONL(0xe0000000) || addr == 0xffffffff;
}

FG_INLINE enum fg_verdict fg_parse_ipv4(const uint8_t *pos, const uint8_t *end, struct fg_view *view)
{
    const struct fg_wire_ipv4 *ip = (const void *)pos;
    uint32_t head, total, fragment;

    if (pos + sizeof(*ip) > end)
        return FG_VERDICT_MALFORMED;
    head = (ip->version_ihl & 15) * 4;
    total = FG_HTONS(ip->total);
    if (ip->version_ihl >> 4 != 4 || head < sizeof(*ip) || total < head || total > (uint64_t)(end - pos))
        return FG_VERDICT_MALFORMED;
    if (fg_ipv4_is_multicast(ip->src))
        return FG_VERDICT_MALFORMED;
    view->source.family = 4;
    view->source.length = 32;
    view->source.addr[0] = ip->src;
    view->multicast |= fg_ipv4_is_multicast(ip->dst);
    if (ip->proto != FG_PROTO_UDP)
        return FG_VERDICT_PASS;
    fragment = FG_HTONS(ip->fragment) & 0x3fff; /* "more fragments" and the offset */
    if (fragment & 0x1fff)
        return FG_VERDICT_PASS; /* no port in it; the first one was or will be dropped if it is ours */
    view->odd = head != sizeof(*ip);
    view->fragment = fragment != 0;
    return fg_parse_udp(pos + head, end, total - head, view);
}

/* Only what cannot have crossed a router (hop limit 255) counts as neighbour discovery. */
FG_INLINE bool fg_is_discovery(const struct fg_wire_ipv6 *ip, const uint8_t *end)
{
    const uint8_t *type = (const uint8_t *)(ip + 1);

    return ip->next == FG_PROTO_ICMPV6 && ip->hops == 255 && ip->payload != 0 && type + 1 <= end &&
           *type >= FG_ND_FIRST && *type <= FG_ND_LAST;
}

/* Walks the extension headers as far as UDP. */
FG_INLINE enum fg_verdict fg_parse_ipv6_next(const uint8_t *pos, const uint8_t *end, uint32_t next,
                                             uint32_t left, struct fg_view *view)
{
    for (int i = 0; i <= FG_EXTENSIONS_MAX; i++) {
        const struct fg_wire_ext *ext = (const void *)pos;
        uint32_t size;

        if (next == FG_PROTO_UDP)
            return fg_parse_udp(pos, end, left, view);
        if (next != FG_PROTO_HOPOPTS && next != FG_PROTO_ROUTING && next != FG_PROTO_FRAGMENT &&
            next != FG_PROTO_AH && next != FG_PROTO_DSTOPTS)
            return FG_VERDICT_PASS;
        if (left < sizeof(*ext) || pos + sizeof(*ext) > end)
            return FG_VERDICT_MALFORMED;
        size = 8 + 8 * ext->length;
        if (next == FG_PROTO_AH)
            size = 8 + 4 * ext->length;
        if (next == FG_PROTO_FRAGMENT) {
            size = 8;
            view->fragment = true;
            if (ext->fragment & FG_HTONS(0xfff8))
                return FG_VERDICT_PASS; /* as for IPv4 */
        }
        if (size > left)
            return FG_VERDICT_MALFORMED;
        view->odd = true;
        next = ext->next;
        left -= size;
        pos += size;
    }
    return FG_VERDICT_MALFORMED;
}

FG_INLINE enum fg_verdict fg_parse_ipv6(const uint8_t *pos, const uint8_t *end, struct fg_view *view)
{
    const struct fg_wire_ipv6 *ip = (const void *)pos;
    uint32_t payload;

    if (pos + sizeof(*ip) > end)
        return FG_VERDICT_MALFORMED;
    payload = FG_HTONS(ip->payload);
    if ((ip->version_class_flow & FG_HTONL(0xf0000000)) != FG_HTONL(0x60000000) ||
        payload + sizeof(*ip) > (uint64_t)(end - pos))
        return FG_VERDICT_MALFORMED;
    if ((ip->src[0] & FG_HTONL(0xff000000)) == FG_HTONL(0xff000000))
        return FG_VERDICT_MALFORMED;
    if (fg_is_discovery(ip, end))
        return FG_VERDICT_PASS; /* like ARP: without it the link is dead */
    view->source.family = 6;
    view->source.length = 128;
    for (int i = 0; i < 4; i++)
        view->source.addr[i] = ip->src[i];
    view->multicast |= (ip->dst[0] & FG_HTONL(0xff000000)) == FG_HTONL(0xff000000);
    return fg_parse_ipv6_next(pos + sizeof(*ip), end, ip->next, payload, view);
}

FG_INLINE enum fg_verdict fg_parse(const uint8_t *data, const uint8_t *end, struct fg_view *view)
{
    const struct fg_wire_eth *eth = (const void *)data;
    const uint8_t *pos = data + sizeof(*eth);
    uint16_t type;

    if (pos > end)
        return FG_VERDICT_MALFORMED;
    type = eth->type;
    view->multicast = eth->dst[0] & 1;
    if (type == FG_HTONS(FG_ETHERTYPE_VLAN)) {
        const struct fg_wire_vlan *vlan = (const void *)pos;

        pos += sizeof(*vlan);
        if (pos > end)
            return FG_VERDICT_MALFORMED;
        type = vlan->type;
        if (type == FG_HTONS(FG_ETHERTYPE_VLAN))
            return FG_VERDICT_MALFORMED; /* a second tag would hide an address from the lists */
    }
    if (type == FG_HTONS(FG_ETHERTYPE_QINQ))
        return FG_VERDICT_MALFORMED;
    if (type == FG_HTONS(FG_ETHERTYPE_IPV4))
        return fg_parse_ipv4(pos, end, view);
    if (type == FG_HTONS(FG_ETHERTYPE_IPV6))
        return fg_parse_ipv6(pos, end, view);
    return FG_VERDICT_PASS;
}

/* ---- lists ----------------------------------------------------------------------------------------- */

/* One look-up for each prefix length in use, longest first: the cost does not depend on how many prefixes. */
FG_INLINE bool fg_is_listed(enum fg_list list, const struct fg_net *source, uint64_t now)
{
    const struct fg_lengths *lengths = fg_env_lengths(FG_LENGTHS_INDEX(list, source->family));
    const struct fg_length_table *table;

    if (!lengths)
        return false;
    table = &lengths->table[FG_READ_ONCE(lengths->active) & 1];
    for (uint32_t i = 0; i < FG_LENGTHS_MAX; i++) {
        const struct fg_length *slot = &table->slot[i];
        struct fg_list_value *entry;
        struct fg_net key;

        if (i >= table->count)
            break;
        key.family = slot->family;
        key.length = slot->length;
        key.zero = 0;
        for (int k = 0; k < 4; k++)
            key.addr[k] = source->addr[k] & slot->mask[k];
        entry = fg_env_list(list, &key);
        if (entry && (!entry->expires || entry->expires > now)) {
            __sync_fetch_and_add(&entry->hits, 1);
            entry->last = now;
            return true;
        }
    }
    return false;
}

/* ---- rates ----------------------------------------------------------------------------------------- */

/*
 * The token bucket as one word: the time at which it is full again (generic cell rate algorithm, ITU-T
 * I.371). One compare-and-swap takes a token, so several CPUs never hand out more than there are.
 */
FG_INLINE bool fg_bucket_take(uint64_t *full, const volatile struct fg_rate *rate, uint64_t now)
{
    uint64_t interval = rate->interval, window = rate->window;

    for (int i = 0; i < 4; i++) {
        uint64_t seen = FG_READ_ONCE(*full);
        uint64_t from = seen < now ? now : seen;

        if (from > now + window) { /* left by a program with a longer window: empty, not closed for hours */
            __sync_val_compare_and_swap(full, seen, now + window);
            return false;
        }
        if (from + interval > now + window)
            return false;
        if (__sync_val_compare_and_swap(full, seen, from + interval) == seen)
            return true;
    }
    return false; /* four other CPUs took tokens of this source meanwhile: it is no shopper */
}

FG_INLINE bool fg_source_take(struct fg_source *source, bool order, uint64_t now)
{
    if (order)
        return fg_bucket_take(&source->order_full, &FG_ENV_TUNE.order, now);
    return fg_bucket_take(&source->other_full, &FG_ENV_TUNE.other, now);
}

FG_INLINE bool fg_within_rate(const struct fg_net *from, bool order, uint64_t now)
{
    uint64_t interval = order ? FG_ENV_TUNE.order.interval : FG_ENV_TUNE.other.interval;
    struct fg_source *source, fresh;
    struct fg_net key = *from;

    if (!interval)
        return true;
    if (key.family == 6) {
        key.length = FG_ENV_TUNE.v6_length;
        for (int i = 0; i < 4; i++)
            key.addr[i] &= FG_ENV_TUNE.v6_mask[i];
    }
    source = fg_env_source(&key);
    if (!source) {
        fresh.order_full = fresh.other_full = now;
        fg_env_source_add(&key, &fresh);
        source = fg_env_source(&key); /* ours, or that of a CPU that was faster */
    }
    /* No room even in the LRU (every free entry in another CPU's cache): the first packets of a source pass.
     */
    return !source || fg_source_take(source, order, now);
}

/* ---- all of it ------------------------------------------------------------------------------------- */

/** *order: whether it is an order packet as far as its shape goes; what monitor mode gives to the workers. */
FG_INLINE enum fg_verdict fg_judge(const uint8_t *data, const uint8_t *end, uint64_t now, bool *order)
{
    struct fg_view memory = {0}, *view = &memory;
    enum fg_verdict verdict = fg_parse(data, end, view);

    *order = verdict == FG_VERDICT_ORDER;
    if (verdict != FG_VERDICT_ORDER && verdict != FG_VERDICT_PASS)
        return verdict;
    if (!view->source.family)
        return verdict;
    if (!FG_ENV_TUNE.ignore_lists) {
        if (fg_is_listed(FG_LIST_ALLOW, &view->source, now))
            return verdict;
        if (fg_is_listed(FG_LIST_BLOCK, &view->source, now))
            return FG_VERDICT_BLOCKED;
    }
    if (fg_within_rate(&view->source, *order, now))
        return verdict;
    return *order ? FG_VERDICT_RATE_ORDER : FG_VERDICT_RATE_OTHER;
}

#endif
