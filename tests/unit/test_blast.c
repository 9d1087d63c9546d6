/* SPDX-License-Identifier: BSD-3-Clause */
/* The load generator without its ports: choices, timers, options, frames, and the shoppers against
 * a shop that the test plays, an honest one and one that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fleet/map.h"
#include "tools/fgblast/flat.h"
#include "tools/fgblast/frames.h"
#include "tools/fgblast/pcap.h"
#include "tools/fgblast/pick.h"
#include "tools/fgblast/wheel.h"

#define MS    1000000ull
#define START (1700000000000ull * MS)

/* ---- small parts ----------------------------------------------------------------------------- */

static void test_hist(void **state)
{
    struct fg_hist *hist = calloc(1, sizeof(*hist));

    for (uint64_t v = 0; v < 1ull << 41; v = v < 4096 ? v + 1 : v + v / 37) {
        unsigned bucket = fg_hist_bucket(v);
        uint64_t upper = fg_hist_upper(bucket);

        if (v >> FG_HIST_BITS) {
            assert_int_equal(bucket, FG_HIST_BUCKETS - 1);
            continue;
        }
        assert_true(bucket < FG_HIST_BUCKETS);
        assert_true(upper >= v && upper - v <= v / 32);
        if (bucket)
            assert_true(fg_hist_upper(bucket - 1) < v);
    }
    assert_int_equal(fg_hist_quantile(hist, 0.5), 0);
    for (uint64_t v = 1; v <= 1000; v++)
        fg_hist_add(hist, v * 1000);
    assert_in_range(fg_hist_quantile(hist, 0.5), 500000, 500000 + 500000 / 32);
    assert_in_range(fg_hist_quantile(hist, 0.99), 990000, 1000000);
    assert_int_equal(fg_hist_quantile(hist, 1), 1000000);
    assert_int_equal(hist->max, 1000000);
    free(hist);
}

static void test_alias(void **state)
{
    const double weights[] = {5, 0, 1, 3, 1}, none[] = {0, 0};
    struct fg_alias *alias = fg_alias_create(weights, 5);
    uint64_t seed = 7, counts[5] = {0};

    assert_null(fg_alias_create(none, 2));
    for (int i = 0; i < 100000; i++)
        counts[fg_alias_pick(alias, &seed)]++;
    for (int i = 0; i < 5; i++)
        assert_in_range(counts[i], (uint64_t)(weights[i] * 9400), (uint64_t)(weights[i] * 10600));
    free(alias);
}

static void test_wheel(void **state)
{
    enum { MEMBERS = 1000 };
    uint64_t due[MEMBERS], seed = 3, now = START;
    struct fg_wheel *wheel = fg_wheel_create(MEMBERS, now);
    unsigned fired = 0;

    for (uint32_t i = 0; i < MEMBERS; i++) {
        fg_wheel_set(wheel, i, now + 5 * MS);               /* replaced */
        due[i] = now + fg_random_below(&seed, 200000) * MS; /* some more than one round away */
        fg_wheel_set(wheel, i, due[i]);
    }
    fg_wheel_cancel(wheel, 17);
    for (uint32_t m; now < START + 210000 * MS; now += MS / 2)
        while ((m = fg_wheel_take(wheel, now)) != FG_WHEEL_NONE) {
            assert_int_not_equal(m, 17);
            assert_true(due[m] <= now && now - due[m] < 3 * MS);
            due[m] = UINT64_MAX; /* not twice */
            fired++;
        }
    assert_int_equal(fired, MEMBERS - 1);
    fg_wheel_set(wheel, 3, 0); /* at once */
    assert_int_equal(fg_wheel_take(wheel, now), 3);
    assert_int_equal(fg_wheel_take(wheel, now), FG_WHEEL_NONE);
    fg_wheel_destroy(wheel);
}

/* ---- options --------------------------------------------------------------------------------- */

#define BASE                                                                                       \
    "fgblast", "--pcap", "x", "--keys", "k", "--server", "198.18.0.1", "--source-base", "198.18.1.0"

static enum fg_options_result parse(struct fg_blast_options *o, struct fg_error *err, char **argv)
{
    int argc = 0;

    while (argv[argc])
        argc++;
    return fg_options_parse(o, argc, argv, err);
}

static void test_options(void **state)
{
    struct fg_blast_options o;
    struct fg_error err;
    char *argv[] = {BASE,
                    "--seconds",
                    "5",
                    "--items",
                    "7,100-102",
                    "--quantity",
                    "1:0.5,2-3:0.25",
                    "--hot",
                    "7:0.5",
                    "--server",
                    "[2001:db8::1]:99",
                    "--source-base",
                    "2001:db8::ff",
                    "--blocked-sources",
                    "198.18.9.0/24",
                    "--overrate-sources",
                    "2001:db8::1-2001:db8::64",
                    "--server-mac",
                    "02:00:00:00:00:0a",
                    NULL};

    assert_int_equal(parse(&o, &err, argv), FG_OPTIONS_RUN);
    assert_int_equal(o.targets_count, 2);
    assert_int_equal(o.targets[0].port, FG_PACKET_PORT_DEFAULT);
    assert_int_equal(o.targets[1].port, 99);
    assert_int_equal(o.targets[1].source.bytes[15], 0xff);
    assert_int_equal(o.items_count, 4);
    assert_int_equal(o.items[3], 102);
    assert_int_equal(o.quantities_count, 3);
    assert_true(o.quantities[2] == 3 && o.weights[2] == 0.25);
    assert_true(o.hot_item == 7 && o.hot_share == 0.5);
    assert_int_equal(o.blocked.count, 256);
    assert_int_equal(o.overrate.count, 100);
    assert_int_equal(o.server_mac[5], 10);
    assert_int_equal(o.window, 512);
    fg_options_free(&o);
}

static void test_options_wrong(void **state)
{
    static const struct {
        char *option, *value;
        const char *says;
    } cases[] = {
        {"--seconds", "86401", "--seconds: 86401: not a number from 0 to 86400"},
        {"--shoppers", "0", "--shoppers: 0: not a number from 1 to 16777216"},
        {"--shoppers", "12x", "not a number"},
        {"--members", "17", "from 0 to 16"},
        {"--member", "1", "--member 1 needs --members above it"},
        {"--members=4", "--shards=2", "--shards 2 is below --members"},
        {"--shoppers", "-1", "not a number"},
        {"--forged", "1.5", "--forged: 1.5: not a share from 0 to 1"},
        {"--items", "5-3", "not a list"},
        {"--items", "0", "not a list"},
        {"--items", "1,,2", "not a list"},
        {"--items", "1-1000001", "at most 1000000 items"},
        {"--quantity", "1:-1", "not 2, 1-4"},
        {"--quantity", "70000", "from 0 to 65535"},
        {"--quantity", "1:0", "not 2"},
        {"--hot", "5", "not ITEM:SHARE"},
        {"--server", "300.1.1.1", "not IPV4"},
        {"--server", "198.18.0.1:0", "port from 1 to 65535"},
        {"--blocked-sources", "198.18.9.1/24", "without host bits"},
        {"--blocked-sources", "198.18.9.1-198.18.9.0", "not an address"},
        {"--blocked-sources", "2001:db8::/112", "no --server of that family"},
        {"--server-mac", "02:00:00:00:00", "not a MAC"},
        {"--standby", "198.18.0.2", "--standby needs --standby-mac"},
        {"--standby", "2001:db8::2", "one --server, of the same family"},
        {"--standby", "here", "not an IPv4"},
        {"--standby-mac", "02:00:00:00:00:01", "needs --standby"},
        {"--device", "net_null0", NULL},
        {"--nothing", "1", "see --help"},
        {"--flat", "5", "--flat needs --interface or --device"},
        {"--cancel", "0.5", "more than 1"},
        {"--keys", "", "1 to 511 characters"},
    };
    struct fg_blast_options o;
    struct fg_error err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *argv[] = {BASE, "--orders", "5", cases[i].option, cases[i].value, NULL};

        assert_int_equal(parse(&o, &err, argv), cases[i].says ? FG_OPTIONS_WRONG : FG_OPTIONS_RUN);
        if (cases[i].says && !strstr(err.text, cases[i].says))
            fail_msg("%s %s: %s", cases[i].option, cases[i].value, err.text);
        fg_options_free(&o);
    }
    assert_int_equal(parse(&o, &err, (char *[]){BASE, NULL}), FG_OPTIONS_WRONG);
    fg_options_free(&o);
    assert_int_equal(parse(&o, &err, (char *[]){BASE, "--help", NULL}), FG_OPTIONS_HELP);
    fg_options_free(&o);
}

/* All different, all of one member. */
static void test_users_of_a_member(void **state)
{
    struct fg_blast_options o = {.user_base = 5, .shards = 256};
    struct fg_fleet_map map;

    assert_int_equal(fg_blast_user(&o, 7), 12);
    o.members = 3;
    o.shards = 100;
    fg_fleet_map_first(&map, 3, 100);
    for (o.member = 0; o.member < 3; o.member++)
        for (uint64_t n = 0, last = 0; n < 1000; n++) {
            uint64_t user = fg_blast_user(&o, n);

            assert_true(user > last);
            assert_int_equal(fg_fleet_owner(&map, user), o.member);
            last = user;
        }
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void test_frames(void **state)
{
    struct fg_blast_options o;
    struct fg_error err;
    char *argv[] = {
        BASE, "--orders", "1", "--server", "2001:db8::1", "--source-base", "2001:db8::100", NULL};
    uint8_t out[FG_BLAST_FRAME_MAX];
    struct fg_frames frames = {.server_mac = {2}, .client_mac = {2, 1}};
    struct fg_frame frame;
    enum fg_packet_drop drop;

    assert_int_equal(parse(&o, &err, argv), FG_OPTIONS_RUN);
    frames.options = &o;
    for (unsigned t = 0; t < 2; t++)
        for (unsigned shape = 0; shape < FG_SHAPE_COUNT; shape++) {
            struct fg_send send = {.shape = (uint8_t)shape, .target = (uint8_t)t, .port = 4711};
            struct fg_address to;
            uint16_t port;
            uint32_t bytes;
            bool order;

            send.source = o.targets[t].source;
            bytes = fg_frame_write(&frames, &send, out);
            assert_true(bytes <= sizeof(out));
            order =
                fg_frame_parse(out, bytes, FG_PACKET_PORT_DEFAULT, &frame, &drop) == FG_FRAME_ORDER;
            assert_int_equal(order, shape < FG_SHAPE_SHORT);
            if (!order)
                continue;
            assert_int_equal(bytes, fg_frame_size(&frame));
            assert_null(fg_frame_read(&frames, out, bytes, &to, &port)); /* not from the server */
            fg_frame_turn(out, &frame);
            assert_ptr_equal(fg_frame_read(&frames, out, bytes, &to, &port), out + frame.payload);
            assert_memory_equal(&to, &send.source, sizeof(to));
            assert_int_equal(port, 4711);
            for (uint32_t cut = 0; cut < bytes; cut++)
                assert_null(fg_frame_read(&frames, out, cut, &to, &port));
        }
    fg_options_free(&o);
}

/* To the other box of a pair, and from it. */
static void test_frames_standby(void **state)
{
    struct fg_blast_options o;
    struct fg_error err;
    char *argv[] = {
        BASE, "--orders", "1", "--standby", "198.18.0.2", "--standby-mac", "02:00:00:00:00:02",
        NULL};
    uint8_t out[FG_BLAST_FRAME_MAX];
    struct fg_frames frames = {.server_mac = {2}, .client_mac = {2, 1}, .standby_mac = {2, 2}};
    struct fg_send send = {.standby = true, .port = 4711};
    struct fg_frame frame;
    struct fg_address to;
    enum fg_packet_drop drop;
    uint32_t bytes;
    uint16_t port;

    if (parse(&o, &err, argv) != FG_OPTIONS_RUN)
        fail_msg("%s", err.text);
    frames.options = &o;
    send.source = o.targets[0].source;
    bytes = fg_frame_write(&frames, &send, out);
    assert_memory_equal(out, frames.standby_mac, 6);
    assert_int_equal(fg_frame_parse(out, bytes, FG_PACKET_PORT_DEFAULT, &frame, &drop),
                     FG_FRAME_ORDER);
    fg_frame_turn(out, &frame);
    assert_ptr_equal(fg_frame_read(&frames, out, bytes, &to, &port), out + frame.payload);
    o.standby.bytes[3] = 3;
    assert_null(fg_frame_read(&frames, out, bytes, &to, &port));
    fg_options_free(&o);
}

/* What a packet waited for a generator that was late is a part of its latency. */
static void test_open_latency(void **state)
{
    char *argv[] = {
        "fgblast",     "--device", "x",         "--server", "198.18.0.1",   "--source-base",
        "198.18.0.10", "--keys",   "-",         "--flat",   "256",          "--open",
        "--rate",      "1000000",  "--seconds", "1",        "--server-mac", "02:00:00:00:00:01",
        NULL};
    struct fg_packet_keyring *ring = calloc(1, sizeof(*ring));
    struct fg_blast_options o;
    struct fg_frames frames = {.options = &o, .server_mac = {2}, .client_mac = {2, 1}};
    struct fg_error err;
    struct fg_flat *f = calloc(1, sizeof(*f));
    uint8_t reply[FG_BLAST_FRAME_MAX];
    const uint8_t *request;
    uint32_t bytes;

    assert_int_equal(parse(&o, &err, argv), FG_OPTIONS_RUN);
    ring->count = 2;
    ring->keys[0] = (struct fg_packet_key){.id = 1, .roles = FG_PACKET_ROLE_SHOP, .secret = {1, 2}};
    ring->keys[1] =
        (struct fg_packet_key){.id = 2, .roles = FG_PACKET_ROLE_BACKEND, .secret = {3, 4}};
    ring->slot[1] = 1;
    ring->slot[2] = 2;
    assert_true(fg_flat_create(f, &o, ring, &frames, START, &err));
    assert_int_equal(fg_flat_room(f, START, 100), 0);
    assert_int_equal(fg_flat_room(f, START + 100500, 100),
                     100); /* the first was due after 1 us, the next after 2 ... */
    for (uint64_t due_ns = 1000; f->latency.count == 0; due_ns += 1000) {
        assert_in_range(due_ns, 1000, 100000);
        request = fg_flat_next(f, START + 100500, &bytes); /* sets bytes */
        memcpy(reply, request, bytes);
        reply[bytes - FG_PACKET_SIZE + offsetof(struct fg_packet_reply, op)] |= FG_PACKET_REPLY;
        reply[bytes - FG_PACKET_SIZE + offsetof(struct fg_packet_reply, status)] =
            FG_PACKET_STATUS_SOLD_OUT;
        fg_flat_frame(f, START + 110000, reply, bytes);
        if (f->latency.count)
            assert_in_range(f->latency.max, 110000 - due_ns - 10, 110000 - due_ns + 10);
    }
    fg_flat_destroy(f);
    free(f);
    free(ring);
    fg_options_free(&o);
}

static void test_pcap(void **state)
{
    char path[] = "/tmp/test_blast.XXXXXX";
    uint8_t bytes[24 + 16 + 3];
    struct fg_error err;
    struct fg_pcap *pcap;
    FILE *in;

    close(mkstemp(path));
    pcap = fg_pcap_create(path, &err);
    fg_pcap_write(pcap, 5 * 1000 * MS + 7000, "abc", 3);
    assert_true(fg_pcap_close(pcap, &err));
    in = fopen(path, "r");
    assert_int_equal(fread(bytes, 1, sizeof(bytes), in), sizeof(bytes));
    assert_int_equal(fgetc(in), EOF);
    fclose(in);
    assert_memory_equal(bytes, "\xd4\xc3\xb2\xa1\x02\0\x04\0", 8);
    assert_memory_equal(bytes + 24, "\x05\0\0\0\x07\0\0\0\x03\0\0\0\x03\0\0\0abc", 19);
    unlink(path);
    assert_null(fg_pcap_create("/nonexistent/x", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hist),
        cmocka_unit_test(test_alias),
        cmocka_unit_test(test_wheel),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_users_of_a_member),
        cmocka_unit_test(test_options_wrong),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_frames_standby),
        cmocka_unit_test(test_pcap),
        cmocka_unit_test(test_open_latency),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
