/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/frames.h"

#include <string.h>

#include "frame/wire.h"

#define TTL 64

enum {
    ETHER = sizeof(fg_frame_ethernet),
    IPV4 = sizeof(fg_frame_ipv4),
    IPV6 = sizeof(fg_frame_ipv6),
    UDP = sizeof(fg_frame_udp),
    IPV4_OPTIONS = 4, /* bytes that a broken packet has */
    EXTENSION = sizeof(fg_frame_extension),
    PADN = 1 << 8 | 4, /* an option of an extension header: skip four bytes (RFC 8200, 4.2) */
    MORE_FRAGMENTS = 1,
};

/* Lengths for the headers; a broken shape makes them differ. */
struct lengths {
    uint32_t payload; /* bytes sent */
    uint32_t extra;   /* bytes of options or extension header */
    uint32_t udp;     /* length in the UDP header */
    uint32_t frame;   /* bytes of the frame */
};

static struct lengths lengths_of(const struct fg_send *send)
{
    struct lengths l = {.payload = FG_PACKET_SIZE};
    uint32_t ip = send->source.family == 4 ? IPV4 : IPV6;

    if (send->shape == FG_SHAPE_SHORT)
        l.payload--;
    else if (send->shape == FG_SHAPE_LONG)
        l.payload++;
    else if (send->shape == FG_SHAPE_OPTIONS)
        l.extra = send->source.family == 4 ? IPV4_OPTIONS : EXTENSION;
    else if (send->shape == FG_SHAPE_FRAGMENT && send->source.family == 6)
        l.extra = EXTENSION;
    l.udp = UDP + l.payload + (send->shape == FG_SHAPE_UDP_LENGTH ? 4 : 0);
    l.frame = ETHER + ip + l.extra + UDP + l.payload - (send->shape == FG_SHAPE_CUT ? 10 : 0);
    return l;
}

static const uint8_t *server_of(const struct fg_frames *f, const struct fg_send *send)
{
    return send->standby ? f->options->standby.bytes
                         : f->options->targets[send->target].server.bytes;
}

static fg_frame_udp *write_ipv4(struct fg_frames *f, const struct fg_send *send,
                                const struct lengths *l, void *at)
{
    uint32_t header = IPV4 + l->extra;
    fg_frame_ipv4 *ip = at;

    memset(ip, 0, IPV4);
    ip->version = 4;
    ip->ihl = header / 4 & 15;
    ip->tot_len = FG_FRAME_BE16(header + UDP + l->payload);
    ip->id = FG_FRAME_BE16(f->ip_id++);
    ip->frag_off = send->shape == FG_SHAPE_FRAGMENT ? FG_FRAME_BE16(FG_FRAME_IPV4_MORE_FRAGMENTS)
                                                    : FG_FRAME_BE16(FG_FRAME_IPV4_DONT_FRAGMENT);
    ip->ttl = TTL;
    ip->protocol = IPPROTO_UDP;
    memcpy(&ip->saddr, send->source.bytes, 4);
    memcpy(&ip->daddr, server_of(f, send), 4);
    memset(ip + 1, IPOPT_NOOP, l->extra);
    ip->check = fg_frame_checksum(ip, header);
    return (void *)((uint8_t *)at + header);
}

static fg_frame_udp *write_ipv6(struct fg_frames *f, const struct fg_send *send,
                                const struct lengths *l, void *at)
{
    bool fragment = send->shape == FG_SHAPE_FRAGMENT;
    fg_frame_ipv6 *ip = at;
    fg_frame_extension *extension = (void *)(ip + 1);

    memset(ip, 0, IPV6);
    ip->version = 6;
    ip->payload_len = FG_FRAME_BE16(l->extra + UDP + l->payload);
    ip->nexthdr = !l->extra ? IPPROTO_UDP : fragment ? IPPROTO_FRAGMENT : IPPROTO_DSTOPTS;
    ip->hop_limit = TTL;
    memcpy(&ip->saddr, send->source.bytes, 16);
    memcpy(&ip->daddr, server_of(f, send), 16);
    if (l->extra)
        *extension = (struct fg_frame_ipv6_extension){
            .next = IPPROTO_UDP,
            .fragment = FG_FRAME_BE16(fragment ? MORE_FRAGMENTS : PADN),
            .rest = fragment ? FG_FRAME_BE32(f->ip_id++) : 0};
    return (void *)((uint8_t *)extension + l->extra);
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
    fg_frame_ethernet *ethernet = (void *)out;
    uint8_t *payload;
    fg_frame_udp *udp;

    memcpy(ethernet->h_dest, send->standby ? f->standby_mac : f->server_mac, ETH_ALEN);
    memcpy(ethernet->h_source, f->client_mac, ETH_ALEN);
    ethernet->h_proto = v4 ? FG_FRAME_BE16(ETH_P_IP) : FG_FRAME_BE16(ETH_P_IPV6);
    udp = (v4 ? write_ipv4 : write_ipv6)(f, send, &l, ethernet + 1);
    udp->source = FG_FRAME_BE16(send->port);
    udp->dest = FG_FRAME_BE16(f->options->targets[send->target].port + offset_of(f, send->payload));
    udp->len = FG_FRAME_BE16(l.udp);
    udp->check = 0;
    payload = (uint8_t *)(udp + 1);
    memcpy(payload, send->payload, FG_PACKET_SIZE);
    payload[FG_PACKET_SIZE] = 0; /* LONG */
    if (send->shape < FG_SHAPE_SHORT) {
        struct fg_frame frame = {.l3 = ETHER,
                                 .l4 = (uint8_t)((uint8_t *)udp - out),
                                 .payload = (uint8_t)(payload - out),
                                 .ip = send->source.family};

        fg_frame_finish(out, &frame);
    }
    return l.frame;
}

/* UDP destination port, if this is an unfragmented UDP packet: fg_frame_parse does the real checks.
 */
static uint16_t peek_port(const uint8_t *data, uint32_t len)
{
    const fg_frame_ethernet *ethernet = (const void *)data;
    uint16_t type = len < ETHER ? 0 : FG_FRAME_BE16(ethernet->h_proto);
    uint32_t at = type == ETH_P_IP ? ETHER + IPV4 : type == ETH_P_IPV6 ? ETHER + IPV6 : len;

    return at + UDP <= len ? FG_FRAME_BE16(((const fg_frame_udp *)(data + at))->dest) : 0;
}

const uint8_t *fg_frame_read(const struct fg_frames *f, const uint8_t *data, uint32_t len,
                             struct fg_address *to, uint16_t *port)
{
    struct fg_frame frame;
    enum fg_packet_drop drop;
    const uint8_t *source;
    uint32_t bytes, from;

    *port = peek_port(data, len);
    if (*port == 0 || fg_frame_parse(data, len, *port, &frame, &drop) != FG_FRAME_ORDER)
        return NULL;
    bytes = frame.ip == 4 ? 4 : 16;
    source = data + frame.l3 +
             (frame.ip == 4 ? offsetof(fg_frame_ipv4, saddr) : offsetof(fg_frame_ipv6, saddr));
    from = FG_FRAME_BE16(((const fg_frame_udp *)(data + frame.l4))->source);
    *to = (struct fg_address){.family = frame.ip};
    memcpy(to->bytes, source + bytes, bytes);
    for (unsigned i = 0; i < f->options->targets_count; i++) {
        const struct fg_target *t = &f->options->targets[i];

        if (t->server.family == frame.ip &&
            (!memcmp(t->server.bytes, source, bytes) ||
             (f->options->standby.family && !memcmp(f->options->standby.bytes, source, bytes))) &&
            from - t->port <= f->options->steer - (f->options->steer > 0))
            return data + frame.payload;
    }
    return NULL;
}
