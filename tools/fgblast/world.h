/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * world: the shoppers and their orders. Says which packet is sent next, checks every answer against
 * the protocol and against what was told before, and keeps the story for the audit. Knows no DPDK
 * and no clock: time is handed in (Unix time in nanoseconds that never goes back), so that a test
 * plays the appliance. One thread; everything is allocated by fg_world_create.
 *
 * A shopper has at most one order under way. Order ids are {nonce 8, order 4, shopper 4 bytes,
 * little-endian}: the order of an answer is found by its number. Packets that are no orders of
 * shoppers carry a number from FG_ORDER_NOISE on in place of the shopper.
 */
#ifndef FG_BLAST_WORLD_H
#define FG_BLAST_WORLD_H

#include "packet/packet.h"
#include "tools/fgblast/hist.h"
#include "tools/fgblast/options.h"

/* What is sent. name, counted as, text */
#define FG_KIND_LIST(X)                                                                            \
    X(RESERVE, "reserve", "new orders, and shoppers who ask again after SOLD_OUT or a retry hint") \
    X(CONFIRM, "confirm", "payments")                                                              \
    X(CANCEL, "cancel", "cancellations")                                                           \
    X(RETRY, "retry", "unanswered requests sent again with a new cookie")                          \
    X(DUPLICATE, "duplicate", "requests sent twice at once")                                       \
    X(REPLAY, "replay", "old requests, byte for byte")                                             \
    X(FORGED, "forged", "wrong tag")                                                               \
    X(MALFORMED, "malformed", "wrong length, version, reserved bits, fragment, ...")               \
    X(BLOCKED, "blocked", "from sources on the block list")                                        \
    X(OVERRATE, "overrate", "from sources over their rate")

enum fg_kind {
#define X(name, text, help) FG_KIND_##name,
    FG_KIND_LIST(X)
#undef X
        FG_KIND_COUNT
};
const char *fg_kind_name(unsigned kind);

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

/* Answers that must not be. name, text */
#define FG_WRONG_LIST(X)                                                                           \
    X(TAG, "wrong tag, or no well-formed reply")                                                   \
    X(ORDER, "order that was never sent")                                                          \
    X(ADDRESS, "sent to an address that did not ask")                                              \
    X(COOKIE, "cookie that was never sent")                                                        \
    X(STATUS, "status that this operation cannot have")                                            \
    X(STORY, "contradicts what was told before")                                                   \
    X(UNASKED, "sold or cancelled without being asked to")                                         \
    X(FIELDS, "item, quantity, deadline, left or key are not right")                               \
    X(FORGED, "answer to a request with a wrong tag")                                              \
    X(MALFORMED, "answer to a malformed request")                                                  \
    X(BLOCKED, "answer to a blocked source")

enum fg_wrong {
#define X(name, text) FG_WRONG_##name,
    FG_WRONG_LIST(X)
#undef X
        FG_WRONG_COUNT
};
const char *fg_wrong_name(unsigned wrong);
const char *fg_wrong_text(unsigned wrong);

#define FG_ORDER_NOISE    0xffffff00u /**< + enum fg_kind, in place of the shopper in an order id */
#define FG_WRONG_EXAMPLES 10

/** One packet to be sent. */
struct fg_send {
    uint8_t kind;   /**< enum fg_kind */
    uint8_t shape;  /**< enum fg_shape */
    uint8_t target; /**< index into options.targets */
    uint16_t port;  /**< source port, host byte order */
    struct fg_address source;
    uint8_t payload[FG_PACKET_SIZE]; /**< sealed */
};

/** One item's part of the story, in units; of orders: how many. */
struct fg_item_story {
    uint64_t item;
    uint64_t orders;
    uint64_t reserved;  /**< units accepted, ever */
    uint64_t sold;      /**< units told SOLD */
    uint64_t cancelled; /**< units told CANCELLED */
    uint64_t wanting;   /**< orders told SOLD_OUT or INSUFFICIENT when no unit could come back */
};

struct fg_world_stats {
    uint64_t sent[FG_KIND_COUNT];
    uint64_t packets;                        /**< sum of sent */
    uint64_t answers;                        /**< replies to orders of shoppers */
    uint64_t status[FG_PACKET_STATUS_COUNT]; /**< of them */
    uint64_t overrate_answers;               /**< replies to sources over their rate: legal */
    uint64_t orders;                         /**< orders begun */
    uint64_t gave_up;                    /**< requests that stayed unanswered after all retries */
    uint64_t reserved, sold;             /**< orders told so, each once */
    uint64_t units_reserved, units_sold; /**< units of them */
    uint64_t wrong[FG_WRONG_COUNT];
    uint64_t contradictions;           /**< sum of wrong */
    struct fg_hist accepted, rejected; /**< ns from the first RESERVE to its answer */
};

/** What a report is made of. Pointers into the world or the crowd. */
struct fg_view {
    const struct fg_world_stats *stats;
    const void *items; /**< items_count of item_bytes; each begins with a struct fg_item_story */
    size_t item_bytes;
    uint32_t items_count;
    uint32_t waiting; /**< requests without an answer */
    bool draining;
    const char (*examples)[256]; /**< of wrong answers */
    unsigned examples_count;
};

static inline const struct fg_item_story *fg_view_item(const struct fg_view *view, uint32_t index)
{
    return (const struct fg_item_story *)((const char *)view->items + index * view->item_bytes);
}

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

/** The key of that id. False and err, which names the option: there is none, or it lacks the role.
 */
bool fg_world_key(const struct fg_packet_keyring *ring, uint64_t id, unsigned role,
                  const char *option, const struct fg_packet_key **key, struct fg_error *err);

/** Writes the client file (docs/bench.md, "Client file") under a temporary name, then renames it.
 */
bool fg_world_audit(const struct fg_world *world, const char *path, struct fg_error *err);

#endif
