/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * neighbour: asks for the MAC address of the server, by ARP (RFC 826) or neighbour discovery (RFC
 * 4861). Frames only: no DPDK, no clock.
 */
#ifndef FG_BLAST_NEIGHBOUR_H
#define FG_BLAST_NEIGHBOUR_H

#include "tools/fgblast/options.h"

#define FG_NEIGHBOUR_FRAME 86 /**< bytes of the larger question */

/** Writes the question for target->server, from target->source at `mac`; returns its length. */
uint32_t fg_neighbour_ask(const struct fg_target *target, const uint8_t mac[6], uint8_t *out);

/** True when the frame answers it; *server_mac is set. */
bool fg_neighbour_answer(const struct fg_target *target, const uint8_t *data, uint32_t len,
                         uint8_t server_mac[6]);

#endif
