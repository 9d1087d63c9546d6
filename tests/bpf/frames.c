/* SPDX-License-Identifier: BSD-3-Clause */
#include "frames.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/base.h"
#include "xdp/shared.h"

static void put(struct frame *f, const void *bytes, size_t n)
{
    FG_ASSERT(f->len + n <= sizeof(f->data));
    memcpy(f->data + f->len, bytes, n);
    f->len += (uint32_t)n;
}

static void put8(struct frame *f, unsigned value)
{
    uint8_t byte = (uint8_t)value;

    put(f, &byte, 1);
}

static void put16(struct frame *f, unsigned value)
{
    put8(f, value >> 8);
    put8(f, value);
}

static void put_fill(struct frame *f, int value, int n)
{
    for (int i = 0; i < n; i++)
        put8(f, (unsigned)value);
}

static void put_addr(struct frame *f, int family, const char *text)
{
    uint8_t addr[16];

    FG_ASSERT(inet_pton(family, text, addr) == 1);
    put(f, addr, family == AF_INET6 ? 16 : 4);
}

static void put_ethernet(struct frame *f, const struct frame_spec *s)
{
    static const uint16_t types[] = {[FRAME_UDP4] = 0x0800,
                                     [FRAME_UDP6] = 0x86dd,
                                     [FRAME_ARP] = 0x0806,
                                     [FRAME_LLDP] = 0x88cc,
                                     [FRAME_ICMP6] = 0x86dd};

    put(f, s->eth_dst ? s->eth_dst : "\x02\x00\x00\x00\x00\x02", 6);
    put(f, "\x02\x00\x00\x00\x00\x01", 6);
    for (int i = 0; i < 3 && s->tags[i]; i++) {
        put16(f, s->tags[i]);
        put16(f, 7);
    }
    put16(f, types[s->kind]);
}

static void put_udp(struct frame *f, const struct frame_spec *s)
{
    int payload = 64 + s->payload_add;
    uint32_t start = f->len;

    put16(f, s->no_src_port ? 0 : s->src_port ? s->src_port : 40000);
    put16(f, s->port ? s->port : TEST_ORDER_PORT);
    put16(f, (unsigned)(8 + payload + s->udp_length_add));
    put16(f, 0);
    put8(f, 'F' ^ s->magic_xor[0]);
    put8(f, 'G' ^ s->magic_xor[1]);
    put8(f, FG_FILTER_ORDER_VERSION ^ s->magic_xor[2]);
    put_fill(f, 0x5a, payload - 3);
    if (s->tcp_flags)
        f->data[start + 13] = s->tcp_flags;
    if (s->tcp_offset)
        f->data[start + 12] = (uint8_t)(s->tcp_offset << 4);
}

static void put_ipv4(struct frame *f, const struct frame_spec *s)
{
    int head = 20 + 4 * s->options;

    put8(f, s->version_ihl ? s->version_ihl : 0x40u | (unsigned)(head / 4));
    put8(f, 0);
    put16(f, (unsigned)(head + 8 + 64 + s->payload_add + s->ip_length_add));
    put16(f, 1);
    put16(f, s->fragment);
    put8(f, 64);
    put8(f, s->proto ? s->proto : 17);
    put16(f, 0);
    put_addr(f, AF_INET, s->src ? s->src : "198.18.0.1");
    put_addr(f, AF_INET, s->dst ? s->dst : "198.18.0.2");
    put_fill(f, 1, 4 * s->options); /* NOP */
    put_udp(f, s);
}

static void put_ipv6(struct frame *f, const struct frame_spec *s)
{
    uint8_t last = s->kind == FRAME_ICMP6 ? 58 : s->proto ? s->proto : 17;
    int payload = s->kind == FRAME_ICMP6 ? 24 : 8 + 64 + s->payload_add;

    put8(f, s->version ? s->version : 0x60);
    put_fill(f, 0, 3);
    put16(f, (unsigned)(payload + 8 * s->ext_count + s->ip_length_add));
    put8(f, s->ext_count ? s->ext[0] : last);
    put8(f, s->hops ? s->hops : 64);
    put_addr(f, AF_INET6, s->src ? s->src : "2001:db8::1");
    put_addr(f, AF_INET6, s->dst ? s->dst : "2001:db8::2");
    for (int i = 0; i < s->ext_count; i++) {
        put8(f, i + 1 < s->ext_count ? s->ext[i + 1] : last);
        put8(f, s->ext_length);
        put16(f, s->ext[i] == 44 ? s->ext_fragment : 0);
        put_fill(f, 0, 4);
    }
    if (s->kind == FRAME_ICMP6) {
        put8(f, s->icmp_type);
        put_fill(f, 0, 23);
    } else {
        put_udp(f, s);
    }
}

void frame_build(const struct frame_spec *spec, struct frame *f)
{
    memset(f, 0, sizeof(*f));
    put_ethernet(f, spec);
    if (spec->kind == FRAME_UDP4)
        put_ipv4(f, spec);
    else if (spec->kind == FRAME_UDP6 || spec->kind == FRAME_ICMP6)
        put_ipv6(f, spec);
    else
        put_fill(f, 0, 46);
    put_fill(f, 0, spec->pad);
    if (spec->cut && spec->cut < f->len)
        f->len = spec->cut;
}
