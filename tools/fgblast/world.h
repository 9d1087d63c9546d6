/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * world: the shoppers and all their orders, and attackers. Says which packet is sent next, and
 * checks every answer against the protocol and against what was told before, for the whole story of
 * each order. A test plays the appliance. One thread; everything is allocated by fg_world_create.
 *
 * A shopper has at most one order under way. Packets that are not orders of shoppers carry a number
 * from FG_ORDER_NOISE on in place of the shopper.
 */
#ifndef FG_BLAST_WORLD_H
#define FG_BLAST_WORLD_H

#include "tools/fgblast/model.h"

/* How a malformed packet is wrong; those from SHORT on are made where the frame is built. name,
 * text */
#define FG_SHAPE_LIST(X)                                                                           \
    X(GOOD, "well-formed")                                                                         \
    X(MAGIC, "wrong magic, tag right")                                                             \
    X(VERSION, "unknown version, tag right")                                                       \
    X(OPERATION, "unknown operation, tag right")                                                   \
    X(RESERVED, "a reserved byte is set, tag right")                                               \
    X(SHORT, "payload of 63 bytes")                                                                \
    X(LONG, "payload of 65 bytes")                                                                 \
    X(FRAGMENT, "first fragment of an IP packet")                                                  \
    X(OPTIONS, "IPv4 options, or an IPv6 extension header")                                        \
    X(CUT, "frame ends before its IP packet")                                                      \
    X(UDP_LENGTH, "UDP length that contradicts the IP length")

enum fg_shape {
#define X(name, text) FG_SHAPE_##name,
    FG_SHAPE_LIST(X)
#undef X
        FG_SHAPE_COUNT
};

#define FG_ORDER_NOISE 0xffffff00u /**< + enum fg_kind, in place of the shopper in an order id */

/** One packet to be sent. */
struct fg_send {
    uint8_t kind;   /**< enum fg_kind */
    uint8_t shape;  /**< enum fg_shape */
    uint8_t target; /**< index into options.targets */
    bool standby;   /**< to options.standby instead */
    uint16_t port;  /**< source port, host byte order */
    struct fg_address source;
    uint8_t payload[FG_PACKET_SIZE]; /**< sealed */
};

struct fg_world;

/** NULL and err: out of memory, or a key that is missing or lacks its role. Options outlive the
 * world. */
struct fg_world *fg_world_create(const struct fg_blast_options *options,
                                 const struct fg_packet_keyring *ring, uint64_t now_ns,
                                 struct fg_error *err);
void fg_world_destroy(struct fg_world *world);

/** Packets to be sent now, at most max; all of them count as sent. */
unsigned fg_world_next(struct fg_world *world, uint64_t now_ns, struct fg_send *sends,
                       unsigned max);

/** A UDP payload of 64 bytes came from the server's address and order port, to this address and
 * port. */
void fg_world_reply(struct fg_world *world, uint64_t now_ns, const void *payload,
                    const struct fg_address *to, uint16_t port);

/** True when no new order will be begun: a limit of the options is reached. */
bool fg_world_draining(const struct fg_world *world);

/** From now on no shopper begins a new order, as after --seconds. */
void fg_world_enough(struct fg_world *world);

/** True when nothing is under way any more, or when draining has lasted too long. */
bool fg_world_done(const struct fg_world *world, uint64_t now_ns);

/** Shoppers who wait for an answer, and shoppers with anything under way. */
uint32_t fg_world_waiting(const struct fg_world *world);
uint32_t fg_world_active(const struct fg_world *world);

void fg_world_view(const struct fg_world *world, struct fg_view *view);
const struct fg_world_stats *fg_world_stats(const struct fg_world *world);
const char *fg_world_example(const struct fg_world *world,
                             unsigned index); /**< NULL when there is none */
const struct fg_item_story *fg_world_item(const struct fg_world *world,
                                          uint32_t index); /**< NULL behind the last */

/** Writes the client file (docs/bench.md, "Client file") under a temporary name, then renames it.
 */
bool fg_world_audit(const struct fg_world *world, const char *path, struct fg_error *err);

#endif
