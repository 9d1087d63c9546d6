/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * frames: Ethernet frames around the packets of the world, well-formed or broken as asked, and the
 * payload of a received one. No DPDK. One thread.
 */
#ifndef FG_BLAST_FRAMES_H
#define FG_BLAST_FRAMES_H

#include "frame/frame.h"
#include "tools/fgblast/world.h"

#define FG_BLAST_FRAME_MAX 144 /**< bytes of the largest frame that fg_frame_write makes */

struct fg_frames {
    const struct fg_blast_options *options;
    uint8_t server_mac[6], client_mac[6], standby_mac[6];
    uint16_t ip_id;
};

/** Writes the frame of `send` at `out` (FG_BLAST_FRAME_MAX bytes) and returns its length. */
uint32_t fg_frame_write(struct fg_frames *frames, const struct fg_send *send, uint8_t *out);

/** The payload of a received frame, and where it was sent to. NULL when it is not a UDP payload of
 * 64 bytes from a server's address and port. */
const uint8_t *fg_frame_read(const struct fg_frames *frames, const uint8_t *data, uint32_t len,
                             struct fg_address *to, uint16_t *port);

#endif
