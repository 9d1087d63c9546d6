/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frame and request, as a worker sees them. Input: one byte of switches, then the frame. The
 * switches repair what a mutator cannot guess (checksum, tag), so that it gets behind those checks.
 */
#include "frame/frame.h"
#include "fuzz.h"

#define ORDER_PORT 4600

enum { FIX_CHECKSUM = 1, SEAL = 2 };

static struct fg_packet_keyring ring;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const uint16_t ids[] = {7, 8, 65535};

    for (unsigned i = 0; i < 3; i++) {
        ring.keys[i] = (struct fg_packet_key){
            .id = ids[i], .roles = (uint16_t)(1 << i), .secret = {i + 1, 99}};
        ring.slot[ids[i]] = (uint8_t)(i + 1);
    }
    ring.count = 3;
    return 0;
}

static unsigned be16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static bool sum_is_right(const uint8_t *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i += 2)
        sum += be16(p + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

static void fix_checksum(uint8_t *frame, size_t len)
{
    size_t l3 = len > 14 && be16(frame + 12) == 0x8100 ? 18 : 14;
    uint8_t *ip = frame + l3;
    uint32_t sum = 0;

    if (len < l3 + 20)
        return;
    ip[10] = ip[11] = 0;
    for (int i = 0; i < 20; i += 2)
        sum += be16(ip + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    ip[10] = (uint8_t)(~sum >> 8);
    ip[11] = (uint8_t)~sum;
}

/* An accepted frame is what the contract says, checked the long way. */
static void check_frame(const uint8_t *f, size_t len, const struct fg_frame *frame)
{
    bool v4 = frame->ip == 4;
    const uint8_t *ip = f + frame->l3, *udp = f + frame->l4;

    FG_FUZZ_CHECK(frame->l3 == (be16(f + 12) == 0x8100 ? 18 : 14));
    FG_FUZZ_CHECK(v4 || frame->ip == 6);
    FG_FUZZ_CHECK(frame->l4 == frame->l3 + (v4 ? 20 : 40) && frame->payload == frame->l4 + 8);
    FG_FUZZ_CHECK(fg_frame_size(frame) <= len && frame->payload <= FG_FRAME_HEAD_MAX);
    FG_FUZZ_CHECK(be16(f + frame->l3 - 2) == (v4 ? 0x0800u : 0x86ddu));
    FG_FUZZ_CHECK(be16(udp + 2) == ORDER_PORT && be16(udp + 4) == 72 && be16(udp) != 0);
    if (v4) {
        FG_FUZZ_CHECK(ip[0] == 0x45 && ip[9] == 17 && be16(ip + 2) == 92 &&
                      !(be16(ip + 6) & 0xbfff));
        FG_FUZZ_CHECK(sum_is_right(ip, 20, 0));
    } else {
        FG_FUZZ_CHECK(ip[0] >> 4 == 6 && ip[6] == 17 && be16(ip + 4) == 72);
    }
}

static void check_request(const uint8_t *payload)
{
    const struct fg_packet_key *key = NULL;
    enum fg_packet_drop drop = fg_packet_request_check(payload, &ring, &key);
    struct fg_packet_request r;

    FG_FUZZ_CHECK((unsigned)drop < FG_PACKET_DROP_COUNT);
    FG_FUZZ_CHECK((drop == FG_PACKET_DROP_NONE) == (key != NULL));
    if (drop != FG_PACKET_DROP_NONE)
        return;
    memcpy(&r, payload, sizeof(r));
    FG_FUZZ_CHECK(fg_packet_op_roles(r.op) != 0 && key->id == r.key_id);
    FG_FUZZ_CHECK(r.op == FG_PACKET_OP_RESERVE || r.op == FG_PACKET_OP_ORDERS ||
                  r.op == FG_PACKET_OP_WAIT || r.quantity == 0);
    FG_FUZZ_CHECK(r.op == FG_PACKET_OP_RESERVE || r.op == FG_PACKET_OP_STOCK ||
                  r.op == FG_PACKET_OP_ORDERS || r.op == FG_PACKET_OP_WAIT || r.item == 0);
    FG_FUZZ_CHECK(r.op != FG_PACKET_OP_STOCK || r.user == 0);
    FG_FUZZ_CHECK(r.op == FG_PACKET_OP_EXTEND || r.until_ms == 0);
    FG_FUZZ_CHECK(r.flags <= (r.op == FG_PACKET_OP_REFUND ? FG_PACKET_RESTOCK : 0));
    FG_FUZZ_CHECK((r.reserved[0] | r.reserved[1] | r.reserved[2]) == 0);
    FG_FUZZ_CHECK(!fg_packet_reply_check(payload, key)); /* a request can never pass for a reply */
}

/* Turned and finished, it is the same frame backwards: same size, nothing touched behind it, valid
 * again. */
static void check_turn(uint8_t *f, uint32_t len, const struct fg_frame *frame)
{
    uint32_t size = fg_frame_size(frame), behind = len - size;
    uint8_t *before = malloc(len), *udp = f + frame->l4;
    struct fg_frame again;
    enum fg_packet_drop drop;

    FG_FUZZ_CHECK(before);
    memcpy(before, f, len);
    fg_frame_turn(f, frame);
    fg_frame_finish(f, frame);
    FG_FUZZ_CHECK(behind == 0 || memcmp(before + size, f + size, behind) == 0);
    FG_FUZZ_CHECK(memcmp(before + frame->payload, f + frame->payload, FG_PACKET_SIZE) == 0);
    FG_FUZZ_CHECK(memcmp(before, f + 6, 6) == 0 && memcmp(before + 6, f, 6) == 0);
    FG_FUZZ_CHECK(memcmp(before + frame->l4, udp + 2, 2) == 0 &&
                  memcmp(before + frame->l4 + 2, udp, 2) == 0);
    if (frame->ip == 6)
        FG_FUZZ_CHECK(sum_is_right(f + frame->l3 + 8, 32 + 72, 17 + 72));
    FG_FUZZ_CHECK(frame->ip == 6 ? f[frame->l3 + 7] == 64 : f[frame->l3 + 8] == 64);
    fg_frame_turn(f, frame); /* and there again */
    FG_FUZZ_CHECK(fg_frame_parse(f, len, ORDER_PORT, &again, &drop) == FG_FRAME_ORDER);
    FG_FUZZ_CHECK(memcmp(frame, &again, sizeof(again)) == 0);
    FG_FUZZ_CHECK(memcmp(before, f, 12) == 0 && memcmp(before + frame->l4, udp, 6) == 0);
    free(before);
}

/* An answer goes back to who asked, and a frame without answer stays as it is. */
static void check_host(const uint8_t *f, uint32_t len)
{
    static const struct fg_frame_host own = {
        .mac = {2, 0, 0, 0, 0, 1},
        .count = 2,
        .addresses = {{4, {198, 18, 0, 1}}, {6, {0x20, 1, 0x0d, 0xb8, [15] = 1}}}};
    uint8_t *copy = malloc(len + !len);
    uint32_t answer;

    FG_FUZZ_CHECK(copy);
    memcpy(copy, f, len);
    answer = fg_frame_host_answer(copy, len, len, &own);
    FG_FUZZ_CHECK(answer <= len);
    if (answer)
        FG_FUZZ_CHECK(!memcmp(copy + 6, own.mac, 6) &&
                      (!memcmp(copy, f + 6, 6) || copy[0] == 0x33));
    else
        FG_FUZZ_CHECK(!memcmp(copy, f, len));
    free(copy);
}

static void check(uint8_t *f, uint32_t len, uint8_t switches)
{
    struct fg_frame frame;
    enum fg_packet_drop drop = FG_PACKET_DROP_NONE;
    enum fg_frame_kind kind = fg_frame_parse(f, len, ORDER_PORT, &frame, &drop);

    FG_FUZZ_CHECK((kind == FG_FRAME_BAD) == (drop != FG_PACKET_DROP_NONE) &&
                  (unsigned)drop < FG_PACKET_DROP_COUNT);
#ifdef FG_FUZZ_CANARY /* a reader that trusts the length in the header: the fuzzer has to find it  \
                       */
    if (kind == FG_FRAME_BAD && drop == FG_PACKET_DROP_TRUNCATED && len >= 16 && f[12] == 0x86)
        *(volatile uint8_t *)&frame.ip = f[len];
#endif
    if (kind != FG_FRAME_ORDER)
        return;
    check_frame(f, len, &frame);
    if (switches & SEAL) {
        struct fg_packet_request r;

        memcpy(&r, f + frame.payload, sizeof(r));
        fg_packet_request_seal(&r, &ring.keys[switches >> 2 & 1]);
        memcpy(f + frame.payload, &r, sizeof(r));
    }
    check_request(f + frame.payload);
    check_turn(f, len, &frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *frame;
    size_t len;

    if (size < 1 || size > 2048)
        return 0;
    len = size - 1;
    frame = fuzz_copy(data + 1, len);
    if (data[0] & FIX_CHECKSUM)
        fix_checksum(frame, len);
    check_host(frame, (uint32_t)len);
    check(frame, (uint32_t)len, data[0]);
    if (len >= FG_PACKET_SIZE)
        check_request(frame + len - FG_PACKET_SIZE);
    free(frame);
    return 0;
}
