/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * crowd: the shoppers of a sale of any size, at the speed of a generator: every request is made,
 * signed and sent for the first time, and every answer is checked, but state is kept only of
 * requests under way and of accepted orders. All else of order N (item, user, plan) is a hash of N.
 * A request's cookie names its place here, so an answer needs no look-up. Frames come and go by the
 * burst. One thread, no DPDK, no clock.
 *
 * The sale: new orders until a limit of the options is reached; then what is under way ends; then,
 * when no unit can come back any more, one shopper after the other asks for each item that was ever
 * refused, and pays at once, until each is told that there is none left ("wanting" of the item).
 */
#ifndef FG_BLAST_CROWD_H
#define FG_BLAST_CROWD_H

#include "frame/frame.h"
#include "tools/fgblast/frames.h"

#define FG_CROWD_BURST  64u    /**< frames at a time */
#define FG_CROWD_WINDOW 65536u /**< most requests under way */

struct fg_crowd;

/** NULL and err: out of memory, or a key that is missing or lacks its role. All but the ring
 * outlive it. */
struct fg_crowd *fg_crowd_create(const struct fg_blast_options *options,
                                 const struct fg_packet_keyring *ring, struct fg_frames *frames,
                                 uint64_t now_ns, struct fg_error *err);
void fg_crowd_destroy(struct fg_crowd *crowd);

/** Whether there is anything to send now: up to max (FG_CROWD_BURST) requests, for fg_crowd_write.
 */
unsigned fg_crowd_pick(struct fg_crowd *crowd, uint64_t now_ns, unsigned max);

/** Writes the i-th frame of the last pick at out[i] (FG_BLAST_FRAME_MAX bytes), all of them,
 * signed. */
void fg_crowd_write(struct fg_crowd *crowd, uint8_t *const *out);

/** Bytes of each frame of the last pick. */
const uint16_t *fg_crowd_bytes(const struct fg_crowd *crowd);

/** Up to FG_CROWD_BURST received frames; returns how many were no answers of the server. */
unsigned fg_crowd_read(struct fg_crowd *crowd, uint64_t now_ns, const uint8_t *const *frames,
                       const uint16_t *bytes, unsigned n);

/** From now on no shopper begins a new order, as after --seconds. */
void fg_crowd_enough(struct fg_crowd *crowd);

/** True when the sale is over, or its end has lasted too long. */
bool fg_crowd_done(const struct fg_crowd *crowd, uint64_t now_ns);
bool fg_crowd_finished(const struct fg_crowd *crowd); /**< nothing is under way */

/** Requests under way count as unanswered; nothing may be sent afterwards. */
void fg_crowd_stop(struct fg_crowd *crowd);

void fg_crowd_view(const struct fg_crowd *crowd, struct fg_view *view);

/** The client file: accepted orders, and those that were not answered. */
bool fg_crowd_audit(const struct fg_crowd *crowd, const char *path, struct fg_error *err);

#endif
