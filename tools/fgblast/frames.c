/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/frames.h"

#include <string.h>

#define ETHER 14u
#define IPV4  20u
#define IPV6  40u
#define UDP   8u

/* What the headers say; a broken shape makes them differ. */
struct lengths {
    uint32_t payload; /* bytes sent */
    uint32_t extra;   /* bytes of options or extension header */
    uint32_t udp;     /* length in the UDP header */
    uint32_t frame;   /* bytes of the frame */
};

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

/* Internet checksum (RFC 1071) of an IPv4 header. */
static uint16_t ipv4_sum(const uint8_t *header, uint32_t bytes)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < bytes; i += 2)
        sum += get16(header + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static struct lengths lengths_of(const struct fg_send *send)
{
    struct lengths l = {.payload = FG_PACKET_SIZE};
    uint32_t ip = send->source.family == 4 ? IPV4 : IPV6;

    if (send->shape == FG_SHAPE_SHORT)
        l.payload--;
    else if (send->shape == FG_SHAPE_LONG)
        l.payload++;
    else if (send->shape == FG_SHAPE_OPTIONS)
        l.extra = send->source.family == 4 ? 4 : 8;
    else if (send->shape == FG_SHAPE_FRAGMENT && send->source.family == 6)
        l.extra = 8;
    l.udp = UDP + l.payload + (send->shape == FG_SHAPE_UDP_LENGTH ? 4 : 0);
    l.frame = ETHER + ip + l.extra + UDP + l.payload - (send->shape == FG_SHAPE_CUT ? 10 : 0);
    return l;
}

static uint8_t *write_ipv4(struct fg_frames *f, const struct fg_send *send, const struct lengths *l,
                           uint8_t *ip)
{
    uint32_t header = IPV4 + l->extra;

    memset(ip, 0, header);
    ip[0] = (uint8_t)(0x40 | header / 4);
    put16(ip + 2, header + UDP + l->payload);
    put16(ip + 4, f->ip_id++);
    put16(ip + 6,
          send->shape == FG_SHAPE_FRAGMENT ? 0x2000 : 0x4000); /* more fragments; do not fragment */
    ip[8] = 64;
    ip[9] = 17;
    memcpy(ip + 12, send->source.bytes, 4);
    memcpy(ip + 16, f->options->targets[send->target].server.bytes, 4);
    memset(ip + IPV4, 1, l->extra); /* no-operation options */
    put16(ip + 10, ipv4_sum(ip, header));
    return ip + header;
}

static uint8_t *write_ipv6(struct fg_frames *f, const struct fg_send *send, const struct lengths *l,
                           uint8_t *ip)
{
    bool fragment = send->shape == FG_SHAPE_FRAGMENT;

    memset(ip, 0, IPV6 + l->extra);
    ip[0] = 0x60;
    put16(ip + 4, l->extra + UDP + l->payload);
    ip[6] = !l->extra ? 17 : fragment ? 44 : 60; /* UDP, fragment, destination options */
    ip[7] = 64;
    memcpy(ip + 8, send->source.bytes, 16);
    memcpy(ip + 24, f->options->targets[send->target].server.bytes, 16);
    if (l->extra) {
        ip[IPV6] = 17;
        if (fragment) {
            ip[IPV6 + 3] = 1; /* more fragments */
            put16(ip + IPV6 + 6, f->ip_id++);
        } else {
            ip[IPV6 + 2] = 1; /* PadN of four bytes */
            ip[IPV6 + 3] = 4;
        }
    }
    return ip + IPV6 + l->extra;
}

/* Behind the first order port. */
static uint16_t offset_of(const struct fg_frames *f, const uint8_t *payload)
{
    struct fg_packet_request request;

    memcpy(&request, payload, sizeof(request));
    return (uint16_t)fg_user_owner(request.op == FG_PACKET_OP_STOCK ? request.item : request.user,
                                   (unsigned)f->options->steer);
}

uint32_t fg_frame_write(struct fg_frames *f, const struct fg_send *send, uint8_t *out)
{
    const struct lengths l = lengths_of(send);
    bool v4 = send->source.family == 4;
    uint8_t *udp;

    memcpy(out, f->server_mac, 6);
    memcpy(out + 6, f->client_mac, 6);
    put16(out + 12, v4 ? 0x0800 : 0x86dd);
    udp = (v4 ? write_ipv4 : write_ipv6)(f, send, &l, out + ETHER);
    put16(udp, send->port);
    put16(udp + 2, f->options->targets[send->target].port + offset_of(f, send->payload));
    put16(udp + 4, l.udp);
    put16(udp + 6, 0);
    memcpy(udp + UDP, send->payload, FG_PACKET_SIZE);
    udp[UDP + FG_PACKET_SIZE] = 0; /* LONG */
    if (send->shape < FG_SHAPE_SHORT) {
        struct fg_frame frame = {
            .l3 = ETHER, .l4 = (uint8_t)(udp - out), .ip = send->source.family};

        frame.payload = (uint8_t)(frame.l4 + UDP);
        fg_frame_finish(out, &frame);
    }
    return l.frame;
}

/* UDP destination port of what looks like an unfragmented UDP packet; fg_frame_parse does the real
 * checks. */
static uint16_t peek_port(const uint8_t *data, uint32_t len)
{
    uint32_t type = len < ETHER ? 0 : get16(data + 12);
    uint32_t at = type == 0x0800 ? ETHER + IPV4 : type == 0x86dd ? ETHER + IPV6 : len;

    return at + UDP <= len ? (uint16_t)get16(data + at + 2) : 0;
}

const uint8_t *fg_frame_read(const struct fg_frames *f, const uint8_t *data, uint32_t len,
                             struct fg_address *to, uint16_t *port)
{
    struct fg_frame frame;
    enum fg_packet_drop drop;
    uint32_t bytes, from;

    *port = peek_port(data, len);
    if (*port == 0 || fg_frame_parse(data, len, *port, &frame, &drop) != FG_FRAME_ORDER)
        return NULL;
    bytes = frame.ip == 4 ? 4 : 16;
    from = frame.l3 + (frame.ip == 4 ? 12u : 8u);
    *to = (struct fg_address){.family = frame.ip};
    memcpy(to->bytes, data + from + bytes, bytes);
    for (unsigned i = 0; i < f->options->targets_count; i++) {
        const struct fg_target *t = &f->options->targets[i];

        if (t->server.family == frame.ip && !memcmp(t->server.bytes, data + from, bytes) &&
            get16(data + frame.l4) - t->port <= f->options->steer - (f->options->steer > 0))
            return data + frame.payload;
    }
    return NULL;
}
