/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/neighbour.h"

#include <string.h>

#define ETHER        14u
#define ARP_END      42u
#define ICMP6        58u
#define SOLICITATION 135u
#define ADVERTISED   136u
#define ND_BYTES     32u /* solicitation with one option of 8 bytes */

static uint32_t ask_ipv4(const struct fg_target *t, const uint8_t mac[6], uint8_t *out)
{
    static const uint8_t head[] = {0x08, 0x06, 0, 1, 0x08,
                                   0,    6,    4, 0, 1}; /* Ethernet, IPv4, request */

    memset(out, 0xff, 6);
    memcpy(out + 6, mac, 6);
    memcpy(out + 12, head, sizeof(head));
    memcpy(out + 22, mac, 6);
    memcpy(out + 28, t->source.bytes, 4);
    memset(out + 32, 0, 6);
    memcpy(out + 38, t->server.bytes, 4);
    return ARP_END;
}

/* Over the pseudo-header of RFC 8200, 8.1, and the message. */
static void icmp6_checksum(uint8_t *ip, uint32_t bytes)
{
    uint32_t sum = bytes + ICMP6;

    for (uint32_t i = 8; i < 40 + bytes; i += 2)
        sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    sum = ~sum & 0xffff;
    ip[42] = (uint8_t)(sum >> 8);
    ip[43] = (uint8_t)sum;
}

static uint32_t ask_ipv6(const struct fg_target *t, const uint8_t mac[6], uint8_t *out)
{
    static const uint8_t group[16] = {0xff, 2, 0, 0, 0, 0,   0,
                                      0,    0, 0, 0, 1, 0xff}; /* solicited node */
    uint8_t *ip = out + ETHER, *icmp = ip + 40;

    memset(out, 0, ETHER + 40 + ND_BYTES);
    memcpy(out, (uint8_t[]){0x33, 0x33, 0xff}, 3);
    memcpy(out + 3, t->server.bytes + 13, 3);
    memcpy(out + 6, mac, 6);
    out[12] = 0x86;
    out[13] = 0xdd;
    ip[0] = 0x60;
    ip[5] = ND_BYTES;
    ip[6] = ICMP6;
    ip[7] = 255;
    memcpy(ip + 8, t->source.bytes, 16);
    memcpy(ip + 24, group, 13);
    memcpy(ip + 37, t->server.bytes + 13, 3);
    icmp[0] = SOLICITATION;
    memcpy(icmp + 8, t->server.bytes, 16);
    icmp[24] = icmp[25] = 1; /* option: our link-layer address, 8 bytes */
    memcpy(icmp + 26, mac, 6);
    icmp6_checksum(ip, ND_BYTES);
    return ETHER + 40 + ND_BYTES;
}

uint32_t fg_neighbour_ask(const struct fg_target *t, const uint8_t mac[6], uint8_t *out)
{
    return (t->server.family == 4 ? ask_ipv4 : ask_ipv6)(t, mac, out);
}

bool fg_neighbour_answer(const struct fg_target *t, const uint8_t *data, uint32_t len,
                         uint8_t server_mac[6])
{
    const uint8_t *icmp = data + ETHER + 40;

    if (t->server.family == 4) {
        if (len < ARP_END || data[12] != 0x08 || data[13] != 0x06 || data[21] != 2 ||
            memcmp(data + 28, t->server.bytes, 4))
            return false;
        memcpy(server_mac, data + 22, 6);
        return true;
    }
    if (len < ETHER + 40 + 24 || data[12] != 0x86 || data[13] != 0xdd || data[20] != ICMP6 ||
        icmp[0] != ADVERTISED || memcmp(icmp + 8, t->server.bytes, 16))
        return false;
    memcpy(server_mac, len >= ETHER + 40 + ND_BYTES && icmp[24] == 2 ? icmp + 26 : data + 6, 6);
    return true;
}
