/* SPDX-License-Identifier: BSD-3-Clause */
/* The frame around the order packet: which are accepted, why others are not, and what a turned one
 * looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "frame/frame.h"

#define PORT      4600
#define FRAME_MAX 2048
#define L3        14 /* without a VLAN tag */
#define V4UDP     (L3 + 20)
#define V6UDP     (L3 + 40)

struct built {
    uint8_t bytes[FRAME_MAX];
    uint32_t len;
};

static void put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* ---- Internet checksums, byte by byte as RFC 1071 tells them: shares nothing with the library  */

static uint32_t sum_bytes(uint32_t sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    return sum;
}

static uint16_t finish_sum(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void fix_ipv4(uint8_t *ip)
{
    size_t header = (ip[0] & 15u) * 4;

    put16(ip + 10, 0);
    put16(ip + 10, finish_sum(sum_bytes(0, ip, header)));
}

/* 0xffff: right, RFC 8200 section 8.1. */
static uint16_t ipv6_udp_sum(const uint8_t *ip)
{
    unsigned length = get16(ip + 4);
    uint32_t sum = sum_bytes(0, ip + 8, 32);

    sum += length + 17; /* upper-layer length, next header */
    return (uint16_t)~finish_sum(sum_bytes(sum, ip + 40, length));
}

/* ---- frames ---------------------------------------------------------------------------------- */

static const uint8_t macs[12] = {2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 0xbb};
static const uint8_t client6[16] = {0x20, 0x01, 0x0d, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const uint8_t server6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

static void put_udp(uint8_t *udp)
{
    put16(udp, 50000);
    put16(udp + 2, PORT);
    put16(udp + 4, 72);
    put16(udp + 6, 0xbeef); /* not looked at */
    for (int i = 0; i < 64; i++)
        udp[8 + i] = (uint8_t)(i * 7);
}

static struct built ipv4_frame(void)
{
    struct built f = {.len = L3 + 20 + 72};
    uint8_t *ip = f.bytes + L3;

    memcpy(f.bytes, macs, 12);
    put16(f.bytes + 12, 0x0800);
    ip[0] = 0x45, ip[1] = 0xbb; /* DSCP 46, ECN 3 */
    put16(ip + 2, 92);
    put16(ip + 4, 0x1234);
    put16(ip + 6, 0x4000);
    ip[8] = 3, ip[9] = 17;
    memcpy(ip + 12, (uint8_t[]){198, 18, 0, 9, 198, 19, 255, 1}, 8);
    fix_ipv4(ip);
    put_udp(ip + 20);
    return f;
}

static struct built ipv6_frame(void)
{
    struct built f = {.len = L3 + 40 + 72};
    uint8_t *ip = f.bytes + L3;

    memcpy(f.bytes, macs, 12);
    put16(f.bytes + 12, 0x86dd);
    memcpy(ip, (uint8_t[]){0x6b, 0xb1, 0x23, 0x45, 0, 72, 17, 3},
           8); /* DSCP 46, ECN 3, flow label 0x12345 */
    memcpy(ip + 8, client6, 16);
    memcpy(ip + 24, server6, 16);
    put_udp(ip + 40);
    return f;
}

static struct built with_vlan(struct built f)
{
    memmove(f.bytes + 16, f.bytes + 12, f.len - 12);
    put16(f.bytes + 12, 0x8100);
    put16(f.bytes + 14, 0x6007);
    f.len += 4;
    return f;
}

/* Puts `size` bytes of an extension header behind the IPv6 header. */
static struct built with_extension(struct built f, uint8_t type, unsigned size,
                                   unsigned length_field)
{
    uint8_t *ip = f.bytes + L3;

    memmove(ip + 40 + size, ip + 40, f.len - L3 - 40);
    memset(ip + 40, 0, size);
    ip[40] = ip[6];
    ip[41] = (uint8_t)length_field;
    ip[6] = type;
    put16(ip + 4, get16(ip + 4) + size);
    f.len += size;
    return f;
}

/* ---- parse in memory that ends where the frame ends, so that a byte read too far is a crash -- */

static uint8_t *guard_page;

static int guard_make(void **state)
{
    long page = sysconf(_SC_PAGESIZE);
    uint8_t *map =
        mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED || mprotect(map + page, (size_t)page, PROT_NONE) < 0)
        return -1;
    guard_page = map + page;
    return 0;
}

static enum fg_frame_kind parse(const struct built *f, struct fg_frame *frame,
                                enum fg_packet_drop *drop)
{
    uint8_t *at = guard_page - f->len;

    memcpy(at, f->bytes, f->len);
    *drop = FG_PACKET_DROP_NONE;
    return fg_frame_parse(at, f->len, PORT, frame, drop);
}

static void assert_order(struct built f)
{
    struct fg_frame frame;
    enum fg_packet_drop drop;

    assert_int_equal(parse(&f, &frame, &drop), FG_FRAME_ORDER);
}

static void assert_other(struct built f)
{
    struct fg_frame frame;
    enum fg_packet_drop drop;

    assert_int_equal(parse(&f, &frame, &drop), FG_FRAME_OTHER);
}

static void assert_bad(struct built f, enum fg_packet_drop want)
{
    struct fg_frame frame;
    enum fg_packet_drop drop;

    assert_int_equal(parse(&f, &frame, &drop), FG_FRAME_BAD);
    assert_string_equal(fg_packet_drop_name(drop), fg_packet_drop_name(want));
}

/* The frame with one 16-bit or 8-bit field set; IPv4 header checksum right again. */
static struct built set16(struct built f, unsigned at, unsigned value)
{
    put16(f.bytes + at, value);
    if (get16(f.bytes + 12) == 0x0800)
        fix_ipv4(f.bytes + L3);
    return f;
}

static struct built set8(struct built f, unsigned at, unsigned value)
{
    return set16(f, at, value << 8 | f.bytes[at + 1]);
}

static struct built cut(struct built f, uint32_t len)
{
    f.len = len;
    return f;
}

static void orders_are_accepted_with_their_offsets(void **state)
{
    const struct {
        struct built f;
        struct fg_frame want;
    } cases[] = {
        {ipv4_frame(), {14, 34, 42, 4}},
        {ipv6_frame(), {14, 54, 62, 6}},
        {with_vlan(ipv4_frame()), {18, 38, 46, 4}},
        {with_vlan(ipv6_frame()), {18, 58, 66, 6}},
    };

    for (int i = 0; i < 4; i++) {
        for (uint32_t padding = 0; padding < 20; padding++) {
            struct built f = cut(cases[i].f, cases[i].f.len + padding);
            struct fg_frame frame;
            enum fg_packet_drop drop;

            assert_int_equal(parse(&f, &frame, &drop), FG_FRAME_ORDER);
            assert_memory_equal(&frame, &cases[i].want, sizeof(frame));
            assert_int_equal(fg_frame_size(&frame), cases[i].f.len);
        }
    }
    assert_order(set16(ipv4_frame(), L3 + 6, 0)); /* DF is not needed */
}

static void frames_cut_at_any_length_are_truncated(void **state)
{
    const struct built frames[] = {ipv4_frame(),
                                   ipv6_frame(),
                                   with_vlan(ipv4_frame()),
                                   with_vlan(ipv6_frame()),
                                   with_extension(ipv6_frame(), 0, 16, 1),
                                   with_extension(ipv6_frame(), 44, 8, 0)};

    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
        for (uint32_t len = 0; len < frames[i].len; len++) {
            struct built f = cut(frames[i], len);
            struct fg_frame frame;
            enum fg_packet_drop drop;

            assert_int_equal(parse(&f, &frame, &drop), FG_FRAME_BAD);
            if (i < 4)
                assert_int_equal(drop, FG_PACKET_DROP_TRUNCATED);
        }
}

static void other_traffic_is_the_kernels(void **state)
{
    static const uint16_t types[] = {0x0806, 0x88a8, 0x9100, 0x88cc, 64, 0};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        assert_other(set16(ipv4_frame(), 12, types[i]));
    assert_other(with_vlan(with_vlan(ipv4_frame())));
    assert_other(cut(set16(ipv4_frame(), 12, 0x0806), 14));
    for (unsigned proto = 0; proto < 256; proto++)
        if (proto != 17) {
            struct built f = set8(ipv4_frame(), L3 + 9, proto);

            assert_other(f);
            assert_other(set16(f, L3 + 6, 0x2000));
            assert_other(set8(f, L3, 0x46));
            assert_other(cut(f, L3 + 20)); /* what is wrong with it is not ours to say */
        }
    assert_other(set16(ipv4_frame(), V4UDP + 2, 53));
    assert_other(set16(ipv6_frame(), V6UDP + 2, 53));
    assert_other(set16(set16(ipv4_frame(), V4UDP + 2, 53), V4UDP + 4, 8));
    assert_other(set16(set16(ipv4_frame(), V4UDP + 2, 53), L3 + 6, 0x2000));
    assert_other(
        set16(set8(ipv4_frame(), L3, 0x46), V4UDP + 6, 53)); /* one word of options, then ports */
    assert_other(set8(ipv6_frame(), L3 + 6, 6));
    assert_other(set8(ipv6_frame(), L3 + 6, 58));
    assert_other(
        with_extension(set8(ipv6_frame(), L3 + 6, 58), 0, 8, 0)); /* multicast listener reports */
    assert_other(with_extension(set16(ipv6_frame(), V6UDP + 2, 53), 60, 24, 2));
    assert_other(with_extension(set16(ipv6_frame(), V6UDP + 2, 53), 44, 8, 0));
}

static void broken_ipv4_headers_are_dropped(void **state)
{
    struct built f = ipv4_frame();

    f.bytes[L3 + 10] ^= 1;
    assert_bad(f, FG_PACKET_DROP_IP_HEADER);
    for (unsigned bit = 0; bit < 8; bit++) { /* TTL changed without the checksum */
        f = ipv4_frame();
        f.bytes[L3 + 8] ^= (uint8_t)(1 << bit);
        assert_bad(f, FG_PACKET_DROP_IP_HEADER);
    }
    for (unsigned version = 0; version < 16; version++)
        if (version != 4)
            assert_bad(set8(ipv4_frame(), L3, version << 4 | 5), FG_PACKET_DROP_IP_HEADER);
    for (unsigned words = 0; words < 5; words++)
        assert_bad(set8(ipv4_frame(), L3, 0x40 | words), FG_PACKET_DROP_IP_HEADER);
    assert_bad(set16(ipv4_frame(), L3 + 6, 0x8000), FG_PACKET_DROP_IP_HEADER); /* reserved flag */
    assert_bad(set16(ipv4_frame(), L3 + 2, 0), FG_PACKET_DROP_IP_HEADER);
    assert_bad(set16(ipv4_frame(), L3 + 2, 23), FG_PACKET_DROP_IP_HEADER);
    assert_bad(set16(ipv4_frame(), L3 + 2, 27), FG_PACKET_DROP_IP_HEADER);
    assert_bad(set16(ipv4_frame(), L3 + 2, 91), FG_PACKET_DROP_IP_HEADER);
    assert_bad(set16(cut(ipv4_frame(), L3 + 100), L3 + 2, 93), FG_PACKET_DROP_IP_HEADER);
    assert_bad(set16(ipv4_frame(), L3 + 2, 93), FG_PACKET_DROP_TRUNCATED);
    assert_bad(set16(ipv4_frame(), L3 + 2, 65535), FG_PACKET_DROP_TRUNCATED);
}

static void ipv4_options_are_dropped(void **state)
{
    for (unsigned words = 6; words < 16; words++) {
        struct built f = ipv4_frame();
        unsigned more = (words - 5) * 4;

        memmove(f.bytes + V4UDP + more, f.bytes + V4UDP, 72);
        memset(f.bytes + V4UDP, 1, more); /* no-operation */
        f.len += more;
        f = set16(set8(f, L3, 0x40 | words), L3 + 2, 92 + more);
        assert_bad(f, FG_PACKET_DROP_IP_HEADER);
        assert_bad(cut(f, L3 + words * 4 + 3),
                   FG_PACKET_DROP_TRUNCATED); /* the port cannot be seen */
    }
}

static void fragments_to_the_order_port_are_dropped(void **state)
{
    assert_bad(set16(ipv4_frame(), L3 + 6, 0x2000), FG_PACKET_DROP_FRAGMENT);
    assert_bad(set16(ipv4_frame(), L3 + 6, 0x6000), FG_PACKET_DROP_FRAGMENT);
    assert_bad(set16(set16(ipv4_frame(), L3 + 6, 0x2000), L3 + 2, 23),
               FG_PACKET_DROP_FRAGMENT); /* the port is in the next */
    assert_bad(set16(set16(ipv4_frame(), L3 + 6, 0x2000), L3 + 2, 24), FG_PACKET_DROP_FRAGMENT);
    for (unsigned offset = 1; offset < 0x2000; offset++) { /* no port: the kernel's */
        assert_other(set16(ipv4_frame(), L3 + 6, offset));
        assert_other(set16(ipv4_frame(), L3 + 6, offset | 0x2000));
    }
    for (unsigned flags = 0; flags < 8; flags++) { /* reserved bits and "more" */
        struct built f = with_extension(ipv6_frame(), 44, 8, 0);

        assert_bad(set16(f, V6UDP + 2, flags), FG_PACKET_DROP_FRAGMENT);
        assert_other(set16(f, V6UDP + 2, flags | 8));
        assert_other(set16(f, V6UDP + 2, flags | 0x8000));
    }
    struct built short_first = with_extension(ipv6_frame(), 44, 8, 0);
    assert_bad(set16(short_first, L3 + 4, 8),
               FG_PACKET_DROP_FRAGMENT); /* nothing behind the fragment header */
    assert_bad(set16(short_first, L3 + 4, 11), FG_PACKET_DROP_FRAGMENT);
    assert_bad(with_extension(short_first, 60, 8, 0), FG_PACKET_DROP_FRAGMENT);
    assert_bad(with_extension(with_extension(ipv6_frame(), 60, 8, 0), 44, 8, 0),
               FG_PACKET_DROP_FRAGMENT);
}

static void broken_ipv6_headers_are_dropped(void **state)
{
    static const uint8_t types[] = {0, 43, 60, 135, 139, 140};
    struct built f = ipv6_frame();

    for (unsigned version = 0; version < 16; version++)
        if (version != 6)
            assert_bad(set8(ipv6_frame(), L3, version << 4 | 0xb), FG_PACKET_DROP_IP_HEADER);
    for (size_t i = 0; i < sizeof(types); i++)
        for (unsigned units = 0; units < 4; units++)
            assert_bad(with_extension(ipv6_frame(), types[i], units * 8 + 8, units),
                       FG_PACKET_DROP_IP_HEADER);
    assert_bad(with_extension(ipv6_frame(), 51, 24, 4),
               FG_PACKET_DROP_IP_HEADER); /* authentication: counts words */
    assert_bad(with_extension(ipv6_frame(), 60, 8, 255),
               FG_PACKET_DROP_IP_HEADER); /* points behind the packet */
    assert_bad(set16(with_extension(ipv6_frame(), 60, 8, 255), L3 + 4, 4000),
               FG_PACKET_DROP_TRUNCATED);
    for (int i = 0; i < 8; i++)
        f = with_extension(f, 60, 8, 0);
    assert_bad(f, FG_PACKET_DROP_IP_HEADER);
    f = set16(f, V6UDP + 64 + 2, 53);
    assert_other(f);
    assert_bad(with_extension(f, 60, 8, 0),
               FG_PACKET_DROP_IP_HEADER); /* more than anyone looks at */
    assert_bad(set16(ipv6_frame(), L3 + 4, 0),
               FG_PACKET_DROP_IP_HEADER); /* a jumbogram says so in an extension */
    assert_bad(set16(ipv6_frame(), L3 + 4, 3), FG_PACKET_DROP_IP_HEADER);
    assert_bad(set16(ipv6_frame(), L3 + 4, 7), FG_PACKET_DROP_IP_HEADER);
    assert_bad(set16(ipv6_frame(), L3 + 4, 71), FG_PACKET_DROP_IP_HEADER);
    assert_bad(set16(cut(ipv6_frame(), L3 + 150), L3 + 4, 73), FG_PACKET_DROP_IP_HEADER);
    assert_bad(set16(ipv6_frame(), L3 + 4, 73), FG_PACKET_DROP_TRUNCATED);
}

static void payloads_of_another_size_are_dropped(void **state)
{
    for (unsigned size = 0; size < 1500; size++) {
        struct built v4 = cut(ipv4_frame(), V4UDP + 8 + size),
                     v6 = cut(ipv6_frame(), V6UDP + 8 + size);

        if (size == FG_PACKET_SIZE)
            continue;
        assert_bad(set16(set16(v4, L3 + 2, 28 + size), V4UDP + 4, 8 + size), FG_PACKET_DROP_LENGTH);
        assert_bad(set16(set16(v6, L3 + 4, 8 + size), V6UDP + 4, 8 + size), FG_PACKET_DROP_LENGTH);
        assert_bad(set16(ipv4_frame(), V4UDP + 4, 8 + size), FG_PACKET_DROP_LENGTH);
        assert_bad(set16(ipv6_frame(), V6UDP + 4, 8 + size), FG_PACKET_DROP_LENGTH);
    }
    assert_bad(set16(ipv4_frame(), V4UDP + 4, 0), FG_PACKET_DROP_LENGTH);
    assert_bad(set16(ipv6_frame(), V6UDP + 4, 0), FG_PACKET_DROP_LENGTH);
}

static struct built set_ipv4(struct built f, unsigned at, const uint8_t addr[4])
{
    memcpy(f.bytes + at, addr, 4);
    fix_ipv4(f.bytes + L3);
    return f;
}

static void frames_that_cannot_be_answered_are_dropped(void **state)
{
    static const uint8_t any[16],
        groups[][4] = {{224, 0, 0, 1}, {239, 255, 255, 255}, {255, 255, 255, 255}};
    struct built f;

    assert_bad(set16(ipv4_frame(), V4UDP, 0), FG_PACKET_DROP_SOURCE);
    assert_bad(set16(ipv6_frame(), V6UDP, 0), FG_PACKET_DROP_SOURCE);
    assert_bad(set_ipv4(ipv4_frame(), L3 + 12, any), FG_PACKET_DROP_SOURCE);
    for (size_t i = 0; i < 3; i++) {
        assert_bad(set_ipv4(ipv4_frame(), L3 + 12, groups[i]), FG_PACKET_DROP_SOURCE);
        assert_bad(set_ipv4(ipv4_frame(), L3 + 16, groups[i]), FG_PACKET_DROP_SOURCE);
    }
    f = ipv6_frame();
    memcpy(f.bytes + L3 + 8, any, 16);
    assert_bad(f, FG_PACKET_DROP_SOURCE);
    assert_bad(set8(ipv6_frame(), L3 + 8, 0xff), FG_PACKET_DROP_SOURCE);
    assert_bad(set8(ipv6_frame(), L3 + 24, 0xff), FG_PACKET_DROP_SOURCE);
    assert_bad(set8(ipv4_frame(), 0, 0xff), FG_PACKET_DROP_SOURCE);
    assert_bad(set8(ipv4_frame(), 6, 0x01), FG_PACKET_DROP_SOURCE);
    assert_bad(set8(ipv6_frame(), 0, 0x33), FG_PACKET_DROP_SOURCE);
    assert_bad(set8(ipv6_frame(), 6, 0x03), FG_PACKET_DROP_SOURCE);
}

/* ---- turn and finish ------------------------------------------------------------------------- */

static void check_ends(const struct built *before, const uint8_t *after, unsigned l3, unsigned addr,
                       unsigned size, unsigned udp)
{
    const uint8_t *b = before->bytes;

    assert_memory_equal(after, b + 6, 6);
    assert_memory_equal(after + 6, b, 6);
    assert_memory_equal(after + 12, b + 12, l3 - 12); /* EtherType, VLAN tag */
    assert_memory_equal(after + addr, b + addr + size, size);
    assert_memory_equal(after + addr + size, b + addr, size);
    assert_memory_equal(after + udp, b + udp + 2, 2);
    assert_memory_equal(after + udp + 2, b + udp, 2);
    assert_int_equal(get16(after + udp + 4), 72);
    assert_memory_equal(after + udp + 8, b + udp + 8, 64);
}

/* Also of frames that are refused, never beyond their end. */
static void the_source_is_found_where_there_is_one(void **state)
{
    uint8_t frame[14 + 4 + 40] = {0}, address[16];

    frame[12] = 0x08;
    frame[14] = 0x4f;
    memcpy(frame + 26, "\xc6\x12\x00\x09", 4);
    assert_int_equal(fg_frame_source(frame, 34, address), 4);
    assert_memory_equal(address, "\xc6\x12\x00\x09", 4);
    assert_int_equal(fg_frame_source(frame, 33, address), 0);
    frame[14] = 0x60; /* not what the Ethernet header says */
    assert_int_equal(fg_frame_source(frame, 54, address), 0);
    memcpy(frame + 12, "\x81\x00\x00\x07\x86\xdd\x60", 7);
    memcpy(frame + 26, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09", 16);
    assert_int_equal(fg_frame_source(frame, 58, address), 6);
    assert_memory_equal(address, frame + 26, 16);
    for (uint32_t len = 0; len < 58; len++)
        assert_int_equal(fg_frame_source(frame, len, address), 0);
    frame[12] = 0x88; /* another ethertype */
    assert_int_equal(fg_frame_source(frame, 58, address), 0);
}

static void turned_frames_are_valid_replies(void **state)
{
    const struct built frames[] = {ipv4_frame(), ipv6_frame(), with_vlan(ipv4_frame()),
                                   with_vlan(ipv6_frame())};

    for (int i = 0; i < 4; i++) {
        struct built f = frames[i];
        struct fg_frame frame, again;
        enum fg_packet_drop drop;

        assert_int_equal(parse(&f, &frame, &drop), FG_FRAME_ORDER);
        fg_frame_turn(f.bytes, &frame);
        fg_frame_finish(f.bytes, &frame);
        const uint8_t *ip = f.bytes + frame.l3;
        if (frame.ip == 4) {
            check_ends(&frames[i], f.bytes, frame.l3, frame.l3 + 12u, 4, frame.l4);
            assert_int_equal(finish_sum(sum_bytes(0, ip, 20)), 0);
            assert_int_equal(get16(f.bytes + frame.l4 + 6), 0);
            assert_int_equal(get16(ip + 2), 92);
            assert_int_equal(ip[8], 64);
            assert_int_equal(ip[1], 46 << 2); /* DSCP kept, ECN not */
        } else {
            check_ends(&frames[i], f.bytes, frame.l3, frame.l3 + 8u, 16, frame.l4);
            assert_int_equal(ipv6_udp_sum(ip), 0xffff);
            assert_int_equal(get16(ip + 4), 72);
            assert_int_equal(ip[7], 64);
            assert_memory_equal(ip, ((uint8_t[]){0x6b, 0x80, 0, 0}), 4);
        }
        /* with its ports turned, a reply would be an order frame again */
        put16(f.bytes + frame.l4 + 2, PORT);
        assert_int_equal(parse(&f, &again, &drop), FG_FRAME_ORDER);
        assert_memory_equal(&frame, &again, sizeof(frame));
    }
}

/* All carries of the sum, and the sum that comes out as 0 and has to be sent as 0xffff. */
static void ipv6_checksum_is_right_for_any_payload(void **state)
{
    struct built f = ipv6_frame();
    struct fg_frame frame;
    enum fg_packet_drop drop;
    unsigned ones = 0;

    assert_int_equal(parse(&f, &frame, &drop), FG_FRAME_ORDER);
    for (unsigned value = 0; value < 65536; value++) {
        memset(f.bytes + frame.payload, value % 3 ? 0xff : 0, 64);
        put16(f.bytes + frame.payload + 30, value);
        fg_frame_finish(f.bytes, &frame);
        assert_int_equal(ipv6_udp_sum(f.bytes + frame.l3), 0xffff);
        assert_int_not_equal(get16(f.bytes + frame.l4 + 6), 0);
        ones += get16(f.bytes + frame.l4 + 6) == 0xffff;
    }
    assert_in_range(ones, 1, 10);
}

static void a_range_of_order_ports(void **state)
{
    const uint16_t first = PORT - 1;

    for (int v6 = 0; v6 < 2; v6++)
        for (unsigned count = 1; count <= 3; count++) {
            struct built f = v6 ? ipv6_frame() : ipv4_frame();
            struct fg_frame frame;
            enum fg_packet_drop drop;

            assert_int_equal(
                fg_frame_parse(f.bytes, f.len, FG_FRAME_ORDER_PORTS(first, count), &frame, &drop),
                count == 1 ? FG_FRAME_OTHER : FG_FRAME_ORDER);
            assert_int_equal(
                fg_frame_parse(f.bytes, f.len, FG_FRAME_ORDER_PORTS(PORT, count), &frame, &drop),
                FG_FRAME_ORDER);
            assert_int_equal(fg_frame_parse(f.bytes, f.len, FG_FRAME_ORDER_PORTS(PORT + 1, count),
                                            &frame, &drop),
                             FG_FRAME_OTHER);
        }
}

static void another_order_port_is_another_port(void **state)
{
    struct built f = ipv4_frame();
    struct fg_frame frame;
    enum fg_packet_drop drop;

    assert_int_equal(fg_frame_parse(f.bytes, f.len, 0xf811, &frame, &drop),
                     FG_FRAME_OTHER); /* 4600, swapped */
    assert_int_equal(fg_frame_parse(f.bytes, f.len, 4601, &frame, &drop), FG_FRAME_OTHER);
    put16(f.bytes + V4UDP + 2, 65535);
    assert_int_equal(fg_frame_parse(f.bytes, f.len, 65535, &frame, &drop), FG_FRAME_ORDER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_accepted_with_their_offsets),
        cmocka_unit_test(frames_cut_at_any_length_are_truncated),
        cmocka_unit_test(other_traffic_is_the_kernels),
        cmocka_unit_test(broken_ipv4_headers_are_dropped),
        cmocka_unit_test(ipv4_options_are_dropped),
        cmocka_unit_test(fragments_to_the_order_port_are_dropped),
        cmocka_unit_test(broken_ipv6_headers_are_dropped),
        cmocka_unit_test(payloads_of_another_size_are_dropped),
        cmocka_unit_test(frames_that_cannot_be_answered_are_dropped),
        cmocka_unit_test(the_source_is_found_where_there_is_one),
        cmocka_unit_test(turned_frames_are_valid_replies),
        cmocka_unit_test(ipv6_checksum_is_right_for_any_payload),
        cmocka_unit_test(a_range_of_order_ports),
        cmocka_unit_test(another_order_port_is_another_port),
    };
    return cmocka_run_group_tests_name("packet-frame", tests, guard_make, NULL);
}
