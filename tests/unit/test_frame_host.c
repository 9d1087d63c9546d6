/* SPDX-License-Identifier: BSD-3-Clause */
/* What the appliance answers where no kernel does: ARP, neighbour discovery, echo; and that it
 * answers nothing else. Real kernels talk to it in tests/net. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "frame/frame.h"

#define ROOM 2048

static const uint8_t asker_mac[6] = {2, 0, 0, 0, 0, 9}, our_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t asker4[4] = {198, 18, 0, 9}, our4[4] = {198, 18, 0, 1};
static const uint8_t asker6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 9},
                     our6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 1};
static struct fg_frame_host own;

struct frame {
    uint8_t bytes[ROOM];
    uint32_t len;
};

static int setup(void **state)
{
    memcpy(own.mac, our_mac, 6);
    own.count = (unsigned)fg_frame_host_addresses_parse("198.18.0.1, 2001:db8::1", own.addresses,
                                                        FG_FRAME_HOST_ADDRESSES_MAX);
    return own.count == 2 ? 0 : -1;
}

static uint16_t checksum(uint32_t sum, const uint8_t *p, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static uint16_t checksum6(const uint8_t *ip, uint32_t len)
{
    uint32_t sum = len + 58;

    for (int i = 8; i < 40; i++)
        sum += i % 2 ? ip[i] : (uint32_t)ip[i] << 8;
    return checksum(sum, ip + 40, len);
}

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v;
}

static uint8_t *ether(struct frame *f, uint16_t type, bool vlan)
{
    memset(f, 0, sizeof(*f));
    memcpy(f->bytes, our_mac, 6);
    memcpy(f->bytes + 6, asker_mac, 6);
    if (vlan) {
        put16(f->bytes + 12, 0x8100);
        put16(f->bytes + 14, 77);
    }
    f->len = vlan ? 18 : 14;
    put16(f->bytes + f->len - 2, type);
    return f->bytes + f->len;
}

static void arp(struct frame *f, bool vlan)
{
    uint8_t *p = ether(f, 0x0806, vlan);

    memset(f->bytes, 0xff, 6);
    memcpy(p, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, 1}, 8);
    memcpy(p + 8, asker_mac, 6);
    memcpy(p + 14, asker4, 4);
    memcpy(p + 24, our4, 4);
    f->len += 28;
}

static void ping4(struct frame *f, bool vlan, uint16_t bytes)
{
    uint8_t *p = ether(f, 0x0800, vlan);

    p[0] = 0x45;
    put16(p + 2, (uint16_t)(28 + bytes));
    p[6] = 0x40;
    p[8] = 3;
    p[9] = 1;
    memcpy(p + 12, asker4, 4);
    memcpy(p + 16, our4, 4);
    put16(p + 10, checksum(0, p, 20));
    p[20] = 8;
    for (unsigned i = 4; i < 8u + bytes; i++)
        p[20 + i] = (uint8_t)(i * 7);
    put16(p + 22, checksum(0, p + 20, 8u + bytes));
    f->len += 28u + bytes;
}

static uint8_t *ipv6(struct frame *f, bool vlan, uint16_t bytes, uint8_t hops)
{
    uint8_t *p = ether(f, 0x86dd, vlan);

    p[0] = 0x60;
    put16(p + 4, bytes);
    p[6] = 58;
    p[7] = hops;
    memcpy(p + 8, asker6, 16);
    memcpy(p + 24, our6, 16);
    f->len += 40u + bytes;
    return p;
}

static void ping6(struct frame *f, bool vlan, uint16_t bytes)
{
    uint8_t *p = ipv6(f, vlan, (uint16_t)(8 + bytes), 3);

    p[40] = 128;
    for (unsigned i = 4; i < 8u + bytes; i++)
        p[40 + i] = (uint8_t)(i * 7);
    put16(p + 42, checksum6(p, 8u + bytes));
}

static void solicit(struct frame *f, bool vlan, bool nobody)
{
    uint8_t *p = ipv6(f, vlan, nobody ? 24 : 32, 255);

    memcpy(p + 24, (uint8_t[16]){0xff, 2, [11] = 1, 0xff, 0, 0, 1}, 16);
    if (nobody)
        memset(p + 8, 0, 16);
    p[40] = 135;
    memcpy(p + 48, our6, 16);
    if (!nobody) {
        p[64] = p[65] = 1;
        memcpy(p + 66, asker_mac, 6);
    }
    put16(p + 42, checksum6(p, nobody ? 24 : 32));
}

static void arp_plain(struct frame *f)
{
    arp(f, false);
}

static void ping4_plain(struct frame *f)
{
    ping4(f, false, 8);
}

static void ping6_plain(struct frame *f)
{
    ping6(f, false, 8);
}

static void solicit_plain(struct frame *f)
{
    solicit(f, false, false);
}

static uint32_t answer(struct frame *f)
{
    return fg_frame_host_answer(f->bytes, f->len, ROOM, &own);
}

/* Nothing is answered, and nothing is changed. */
static void silent(const struct frame *f)
{
    struct frame copy = *f;

    assert_int_equal(answer(&copy), 0);
    assert_memory_equal(&copy, f, sizeof(copy));
}

static void who_has_an_ipv4_address(void **state)
{
    for (int vlan = 0; vlan < 2; vlan++) {
        struct frame f;
        uint8_t *p = f.bytes + (vlan ? 18 : 14);
        uint32_t asked;

        arp(&f, vlan);
        asked = f.len;
        assert_int_equal(answer(&f), asked);
        assert_memory_equal(f.bytes, asker_mac, 6);
        assert_memory_equal(f.bytes + 6, our_mac, 6);
        assert_memory_equal(p, ((uint8_t[]){0, 1, 8, 0, 6, 4, 0, 2}), 8);
        assert_memory_equal(p + 8, our_mac, 6);
        assert_memory_equal(p + 14, our4, 4);
        assert_memory_equal(p + 18, asker_mac, 6);
        assert_memory_equal(p + 24, asker4, 4);
    }
}

static void who_has_an_ipv6_address(void **state)
{
    for (int kind = 0; kind < 4; kind++) {
        bool vlan = kind & 1, nobody = kind & 2;
        struct frame f;
        uint8_t *p = f.bytes + (vlan ? 18 : 14);

        solicit(&f, vlan, nobody);
        assert_int_equal(answer(&f), (vlan ? 18 : 14) + 72);
        assert_memory_equal(f.bytes, nobody ? ((uint8_t[]){0x33, 0x33, 0, 0, 0, 1}) : asker_mac, 6);
        assert_memory_equal(f.bytes + 6, our_mac, 6);
        assert_memory_equal(p + 8, our6, 16);
        assert_memory_equal(p + 24, nobody ? ((uint8_t[16]){0xff, 2, [15] = 1}) : asker6, 16);
        assert_int_equal(p[7], 255);
        assert_int_equal(p[40], 136);
        assert_int_equal(p[44], nobody ? 0x20 : 0x60);
        assert_memory_equal(p + 48, our6, 16);
        assert_memory_equal(p + 64, ((uint8_t[]){2, 1}), 2);
        assert_memory_equal(p + 66, our_mac, 6);
        assert_int_equal(checksum6(p, 32), 0);
    }
}

static void echo_of_any_size(void **state)
{
    for (uint16_t bytes = 0; bytes < 1473; bytes = (uint16_t)(bytes * 2 + 1)) {
        for (int kind = 0; kind < 4; kind++) {
            bool vlan = kind & 1, v6 = kind & 2;
            struct frame f, asked;
            uint8_t *p = f.bytes + (vlan ? 18 : 14);
            uint32_t head = v6 ? 40 : 20;

            v6 ? ping6(&f, vlan, bytes) : ping4(&f, vlan, bytes);
            asked = f;
            f.len += 5; /* Ethernet padding does not come back */
            assert_int_equal(answer(&f), asked.len);
            assert_memory_equal(p + (v6 ? 8 : 12), v6 ? our6 : our4, v6 ? 16 : 4);
            assert_memory_equal(p + (v6 ? 24 : 16), v6 ? asker6 : asker4, v6 ? 16 : 4);
            assert_int_equal(p[head], v6 ? 129 : 0);
            assert_int_equal(v6 ? checksum6(p, 8u + bytes) : checksum(0, p + 20, 8u + bytes), 0);
            if (!v6)
                assert_int_equal(checksum(0, p, 20), 0);
            assert_memory_equal(p + head + 4, asked.bytes + (p - f.bytes) + head + 4, 4u + bytes);
        }
    }
}

/* A single bit that is wrong in what is checked makes it silent; none makes it read or write
 * outside. */
static void any_wrong_bit_of_the_ip_packet_is_silence(void **state)
{
    struct frame f, bad;

    for (int kind = 0; kind < 3; kind++) {
        kind == 0   ? ping4(&f, false, 9)
        : kind == 1 ? ping6(&f, false, 9)
                    : solicit(&f, false, false);
        for (unsigned bit = 14 * 8; bit < f.len * 8; bit++) {
            if (kind && (bit / 8 == 14 ? bit % 8 < 4 : bit / 8 < 18))
                continue; /* traffic class and flow label: nothing protects them, and they do not
                             matter */
            if (kind && bit / 8 == 21 && kind == 1)
                continue; /* hop limit */
            bad = f;
            bad.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            silent(&bad);
        }
        for (uint32_t len = 0; len < f.len; len++) {
            bad = f;
            bad.len = len;
            silent(&bad);
        }
    }
    arp(&f, false);
    for (uint32_t len = 0; len < f.len; len++) {
        bad = f;
        bad.len = len;
        silent(&bad);
    }
}

static void what_is_for_others_or_from_a_group_is_silence(void **state)
{
    struct frame f;

    arp(&f, false);
    f.bytes[14 + 27]++; /* another address */
    silent(&f);
    arp(&f, false);
    f.bytes[14 + 7] = 2; /* an answer */
    silent(&f);
    for (int kind = 0; kind < 3; kind++) {
        kind == 0 ? arp(&f, false) : kind == 1 ? ping4(&f, false, 8) : solicit(&f, false, false);
        f.bytes[6] |= 1;
        silent(&f);
    }
    ping4(&f, false, 8);
    memcpy(f.bytes + 14 + 12, (uint8_t[]){224, 0, 0, 1}, 4);
    put16(f.bytes + 24, 0);
    put16(f.bytes + 24, checksum(0, f.bytes + 14, 20));
    silent(&f);
    ping6(&f, false, 8);
    f.bytes[14 + 8] = 0xff;
    put16(f.bytes + 56, 0);
    put16(f.bytes + 56, checksum6(f.bytes + 14, 16));
    silent(&f);
    solicit(&f, false, true);
    assert_int_equal(fg_frame_host_answer(f.bytes, f.len, f.len, &own),
                     0); /* no room for the option */
}

static bool is_target(const struct frame *f)
{
    return fg_frame_host_is_target(f->bytes, f->len, &own);
}

/* An order, by the checks of both kinds: of a good frame, and of a refused one. */
static void which_frame_is_for_us(void **state)
{
    for (int vlan = 0; vlan < 2; vlan++) {
        struct fg_frame four = {vlan ? 18 : 14, vlan ? 38 : 34, vlan ? 46 : 42, 4}, six = four;
        struct frame f;
        uint8_t *ip = f.bytes + four.l3;

        six.ip = 6;
        ping4(&f, vlan, 64);
        assert_true(fg_frame_host_is_to(f.bytes, &four, &own) && is_target(&f));
        for (unsigned i = 0; i < 4; i++) {
            ip[16 + i] ^= 1;
            assert_false(fg_frame_host_is_to(f.bytes, &four, &own) || is_target(&f));
            ip[16 + i] ^= 1;
        }
        for (unsigned i = 0; i < 6; i++) {
            f.bytes[i] ^= 0x40;
            assert_false(fg_frame_host_is_to(f.bytes, &four, &own) || is_target(&f));
            f.bytes[i] ^= 0x40;
        }
        ping6(&f, vlan, 64);
        assert_true(fg_frame_host_is_to(f.bytes, &six, &own) && is_target(&f));
        for (unsigned i = 0; i < 16; i++) {
            ip[24 + i] ^= 1;
            assert_false(fg_frame_host_is_to(f.bytes, &six, &own) || is_target(&f));
            ip[24 + i] ^= 1;
        }
        f.len = four.l3 + 8u; /* no whole IP header: the MAC address decides */
        assert_true(is_target(&f));
        f.bytes[0] ^= 0x40;
        assert_false(is_target(&f));
        f.len = 13;
        assert_true(is_target(&f)); /* not even a MAC address */
    }
}

/* A bridge that floods brings frames of others: an answer would say that their host is here. */
static void what_is_for_another_mac_is_silence(void **state)
{
    void (*const make[])(struct frame *) = {arp_plain, ping4_plain, ping6_plain, solicit_plain};

    for (size_t i = 0; i < sizeof(make) / sizeof(make[0]); i++) {
        struct frame f;

        make[i](&f);
        memcpy(f.bytes, our_mac, 6);
        f.bytes[5] ^= 0x10;
        silent(&f);
        f.bytes[5] ^= 0x10;
        assert_true(answer(&f) > 0);
    }
}

static void lists_of_addresses(void **state)
{
    static const char *const bad[] = {
        "",        "198.18.0", "198.18.0.1,", ",198.18.0.1", "224.0.0.1",       "0.0.0.0",
        "ff02::1", "::",       "198.18.0.1 ", "2001:db8::g", "255.255.255.255", "198.18.0.1/24"};
    struct fg_frame_host_address a[2];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(fg_frame_host_addresses_parse(bad[i], a, 2), -1);
    assert_int_equal(fg_frame_host_addresses_parse("198.18.0.1,198.18.0.2,198.18.0.3", a, 2), -1);
    assert_int_equal(fg_frame_host_addresses_parse("2001:db8::7,198.18.0.2", a, 2), 2);
    assert_int_equal(a[0].family, 6);
    assert_int_equal(a[1].family, 4);
    assert_memory_equal(a[1].bytes, ((uint8_t[]){198, 18, 0, 2}), 4);
}

static void announcements_are_as_the_documents_say(void **state)
{
    uint8_t f[FG_FRAME_HOST_ANNOUNCEMENT];

    assert_int_equal(own.addresses[0].family, 4);
    assert_int_equal(fg_frame_host_announce(f, &own.addresses[0], own.mac), 42);
    assert_memory_equal(f, "\xff\xff\xff\xff\xff\xff", 6);
    assert_memory_equal(f + 6, our_mac, 6);
    assert_memory_equal(f + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10); /* a request */
    assert_memory_equal(f + 22, our_mac, 6);
    assert_memory_equal(f + 28, our4, 4);
    assert_memory_equal(f + 32, "\0\0\0\0\0\0", 6);
    assert_memory_equal(f + 38, our4, 4);
    assert_int_equal(fg_frame_host_announce(f, &own.addresses[1], own.mac), 86);
    assert_memory_equal(f, "\x33\x33\0\0\0\x01", 6);
    assert_memory_equal(f + 6, our_mac, 6);
    assert_memory_equal(f + 12, "\x86\xdd\x60\0\0\0\0\x20\x3a\xff", 10);
    assert_memory_equal(f + 22, our6, 16);
    assert_memory_equal(f + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
    assert_memory_equal(f + 54, "\x88\0", 2);
    assert_int_equal(checksum6(f + 14, 32), 0);
    assert_int_equal(f[58], 0x20); /* override, and nobody asked */
    assert_memory_equal(f + 62, our6, 16);
    assert_memory_equal(f + 78, "\x02\x01", 2);
    assert_memory_equal(f + 80, our_mac, 6);
}

/* A host asks for one of our addresses, we answer, and it knows our MAC address. */
static void ask_and_learn(unsigned which, unsigned shortest)
{
    struct fg_frame_host asker = {.count = 1, .addresses = {own.addresses[which]}};
    struct fg_frame_host_address other = own.addresses[which];
    uint8_t data[ROOM] = {0}, mac[6] = {0};
    uint32_t len;

    memcpy(asker.mac, asker_mac, 6);
    asker.addresses[0].bytes[which ? 15 : 3] = 9;
    len = fg_frame_host_ask(&asker, &own.addresses[which], data);
    assert_in_range(len, 1, FG_FRAME_HOST_QUESTION);
    assert_false(fg_frame_host_learn(&own.addresses[which], data, len, mac)); /* not a question */
    len = fg_frame_host_answer(data, len, ROOM, &own);
    assert_true(len > 0);
    assert_memory_equal(data, asker_mac, 6);
    assert_true(fg_frame_host_learn(&own.addresses[which], data, len, mac));
    assert_memory_equal(mac, our_mac, 6);
    other.bytes[2]++;
    assert_false(fg_frame_host_learn(&other, data, len, mac));
    for (uint32_t cut = 0; cut < shortest; cut++)
        assert_false(fg_frame_host_learn(&own.addresses[which], data, cut, mac));
}

static void a_host_that_asks_learns_our_mac(void **state)
{
    ask_and_learn(0, 42);
    ask_and_learn(1, 14 + 40 + 24); /* without the option, the sender's MAC address counts */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_an_ipv4_address),
        cmocka_unit_test(who_has_an_ipv6_address),
        cmocka_unit_test(echo_of_any_size),
        cmocka_unit_test(any_wrong_bit_of_the_ip_packet_is_silence),
        cmocka_unit_test(what_is_for_others_or_from_a_group_is_silence),
        cmocka_unit_test(which_frame_is_for_us),
        cmocka_unit_test(what_is_for_another_mac_is_silence),
        cmocka_unit_test(lists_of_addresses),
        cmocka_unit_test(announcements_are_as_the_documents_say),
        cmocka_unit_test(a_host_that_asks_learns_our_mac),
    };

    return cmocka_run_group_tests_name("packet_host", tests, setup, NULL);
}
