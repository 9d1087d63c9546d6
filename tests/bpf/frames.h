/* SPDX-License-Identifier: BSD-3-Clause */
/** frames: builds test frames from a description in which 0 or NULL means the usual, a well-formed
 * order. */
#ifndef FG_TEST_FRAMES_H
#define FG_TEST_FRAMES_H

#include <stdint.h>

#define TEST_ORDER_PORT 4600

/* Values of `kind`: what lies behind the Ethernet header. */
enum frame_kind { FRAME_UDP4, FRAME_UDP6, FRAME_ARP, FRAME_LLDP, FRAME_ICMP6 };

struct frame_spec {
    enum frame_kind kind;
    const char *src, *dst; /* addresses; 198.18.0.1 to .2, or 2001:db8::1 to ::2 */
    uint16_t tags[3];      /* types of VLAN tags, in host byte order */
    const char *eth_dst;   /* six bytes */
    uint8_t proto;         /* instead of UDP */
    uint8_t tcp_flags;     /* with proto 6; ACK, SYN, PSH, ECE */
    uint8_t tcp_offset;    /* with proto 6: words of header; 5 */
    uint8_t options;       /* IPv4: words of options; -> header length */
    uint8_t version_ihl;   /* IPv4: this byte as it is */
    uint8_t version;       /* IPv6: the first byte as it is */
    uint16_t fragment;     /* IPv4: flags and offset in host byte order */
    uint8_t ext[8];        /* IPv6: types of extension headers of 8 bytes; ends with EXT_END */
    uint8_t ext_count;
    uint8_t ext_length;    /* IPv6: length field of each extension header */
    uint16_t ext_fragment; /* IPv6: offset field of a fragment header, host byte order */
    uint8_t hops;          /* IPv6 hop limit */
    uint8_t icmp_type;     /* of FRAME_ICMP6 */
    int ip_length_add;     /* to the length in the IP header */
    int udp_length_add;    /* to the length in the UDP header */
    int payload_add;       /* bytes of payload beyond 64 */
    uint16_t port;         /* destination port; order port */
    uint16_t src_port;     /* source port; 40000, or 0 with no_src_port */
    uint8_t no_src_port;
    uint8_t magic_xor[3]; /* flips bits of the first three bytes of the payload */
    int pad;              /* bytes behind the IP packet */
    uint16_t cut;         /* keep only so many bytes of the frame */
};

struct frame {
    uint8_t data[512];
    uint32_t len;
};

void frame_build(const struct frame_spec *spec, struct frame *frame);

#endif
