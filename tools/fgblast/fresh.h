/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * fresh: a trickle of orders that can be accepted, among the flood of a flat run: each is of
 * another user and is signed when it is sent, so that its answer is a decision and not the memory
 * of one. One thread.
 */
#ifndef FG_BLAST_FRESH_H
#define FG_BLAST_FRESH_H

#include "frame/frame.h"
#include "tools/fgblast/frames.h"

#define FG_FRESH_NUMBER (1u << 31) /**< order numbers from here on are fresh ones */
#define FG_FRESH_SLOTS  (1u << 16) /**< of those sent last, whose latency can be measured */

struct fg_fresh {
    const struct fg_packet_key *key;
    uint64_t every, turn; /**< packets from one to the next; 0 = none */
    const struct fg_blast_options *options;
    uint32_t count;
    uint32_t bytes;
    struct fg_frame frame;
    uint8_t packet[FG_BLAST_FRAME_MAX];
    uint64_t sent_ns[FG_FRESH_SLOTS]; /**< 0 = not on its way */
    uint64_t accepted, refused;
    struct fg_hist latency; /**< of the accepted */
};

/** packet: one of the flood, which the fresh ones resemble. False and err: the key is missing. */
bool fg_fresh_start(struct fg_fresh *fresh, const struct fg_blast_options *options,
                    const struct fg_packet_keyring *ring, const uint8_t *packet, uint32_t bytes,
                    struct fg_error *err);

/** Whether the next packet is to be a fresh one. */
static inline bool fg_fresh_due(struct fg_fresh *fresh)
{
    if (fg_likely(++fresh->turn != fresh->every))
        return false;
    fresh->turn = 0;
    return true;
}

/** The next fresh packet; valid until the one after it. */
const uint8_t *fg_fresh_next(struct fg_fresh *fresh, uint64_t now_ns);

/** It did not leave. */
void fg_fresh_unsent(struct fg_fresh *fresh, uint32_t number);

/** It was answered. */
void fg_fresh_answer(struct fg_fresh *fresh, uint64_t now_ns, uint32_t number, unsigned status);

#endif
