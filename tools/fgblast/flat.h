/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * flat: the generator of benchmarks. The first N packets of the world, signed and framed at start,
 * are sent in turn with a bounded number in flight, and answers are counted: nothing is remembered
 * of an order, so that the generator is much faster than what it measures. One thread, no DPDK.
 */
#ifndef FG_BLAST_FLAT_H
#define FG_BLAST_FLAT_H

#include "frame/frame.h"
#include "tools/fgblast/fresh.h"

#define FG_FLAT_STRIDE  FG_BLAST_FRAME_MAX
#define FG_FLAT_SAMPLED 64u /**< every such order's latency is measured */

struct fg_flat {
    const struct fg_blast_options *options;
    const struct fg_packet_keyring *ring;
    struct fg_frames *frames;
    uint8_t *packets; /**< [count][FG_FLAT_STRIDE] */
    uint16_t *bytes;
    uint8_t *kinds;
    uint64_t *sent_ns; /**< of every FG_FLAT_SAMPLED-th order, 0 = not on its way */
    uint32_t count, next;
    uint64_t in_flight, begun_ns, first_ns, last_ns; /**< first and last: of an answer */
    uint64_t sent[FG_KIND_COUNT], packets_sent, answers, lost, checked, wrong_tags, other;
    uint64_t status[FG_PACKET_STATUS_COUNT];
    uint64_t dropped,
        late; /**< open: the port had no room; not sent, for the generator was too slow */
    struct fg_hist latency;
    struct fg_fresh fresh;
};

bool fg_flat_create(struct fg_flat *flat, const struct fg_blast_options *options,
                    const struct fg_packet_keyring *ring, struct fg_frames *frames, uint64_t now_ns,
                    struct fg_error *err);
void fg_flat_destroy(struct fg_flat *flat);

/** How many of at most max packets may be sent now. */
unsigned fg_flat_room(struct fg_flat *flat, uint64_t now_ns, unsigned max);

/** The next packet; counts it as sent. */
const uint8_t *fg_flat_next(struct fg_flat *flat, uint64_t now_ns, uint32_t *bytes);

/** A packet that fg_flat_next counted as sent and that the port did not take. */
void fg_flat_unsent(struct fg_flat *flat, const uint8_t *data, uint32_t len);

/** A received frame. */
void fg_flat_frame(struct fg_flat *flat, uint64_t now_ns, const uint8_t *data, uint32_t len);

bool fg_flat_done(const struct fg_flat *flat, uint64_t now_ns);

#endif
