/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * model: the shoppers, however they are kept: what each wants and plans, the request that asks for
 * it, which answers are legal, what is counted, and the lines of the client file. The world keeps
 * every order and makes attacks too; the crowd keeps requests under way and accepted orders only.
 * No DPDK, no clock: time is handed in (Unix time in nanoseconds that never moves backwards). One
 * thread.
 *
 * Order ids are {nonce 8, order 4, shopper 4 bytes, little-endian}: the order of an answer is found
 * by its number. Item, quantity and plan of an order are a hash of its number.
 */
#ifndef FG_BLAST_MODEL_H
#define FG_BLAST_MODEL_H

#include <string.h>

#include "packet/packet.h"
#include "tools/fgblast/hist.h"
#include "tools/fgblast/options.h"
#include "tools/fgblast/pick.h"

/* Kinds of packets that are sent. name, counted as, text */
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

#define FG_WRONG_EXAMPLES 10

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

/** The wish of a shopper. */
struct fg_wish {
    uint32_t shopper; /**< at random; the world takes one who is idle instead */
    uint32_t item;    /**< index */
    uint32_t chance;  /**< of its plan */
    uint16_t quantity;
};

enum fg_plan { FG_PLAN_LEAVE, FG_PLAN_PAY, FG_PLAN_CANCEL, FG_PLAN_PAY_LATE };

/** One request. */
struct fg_asked {
    uint32_t order, shopper, cookie;
    uint32_t item; /**< index */
    uint16_t quantity;
    uint8_t op;
};

/** An order, when an answer about it comes. */
struct fg_known {
    uint8_t told; /**< enum fg_packet_status that says something about the order; NONE: nothing */
    bool later;   /**< the request left after that was told */
    bool paid, cancelled; /**< asked for by us */
};

struct fg_model {
    const struct fg_blast_options *options;
    const struct fg_packet_key *shop, *backend;
    uint64_t nonce, seed, random;
    uint64_t begun_ns, now_ns; /**< now: as last told */
    bool enough;               /**< no new order, whatever the options say */
    uint64_t bar_duplicates, bar_confirm, bar_cancel, bar_late, bar_hot;
    struct fg_alias *popularity, *quantity;
    struct fg_item_story *items;
    uint32_t items_count, hot_index;
    struct fg_world_stats stats;
    char examples[FG_WRONG_EXAMPLES][256];
    unsigned examples_count;
};

/** False and err: out of memory, or a key that is missing or lacks its role. The options outlive
 * the model; fg_model_stop frees it, also after a failure. */
bool fg_model_start(struct fg_model *m, const struct fg_blast_options *options,
                    const struct fg_packet_keyring *ring, uint64_t now_ns, struct fg_error *err);
void fg_model_stop(struct fg_model *m);

struct fg_wish fg_model_wish(const struct fg_model *m, uint32_t order);
enum fg_plan fg_model_plan(const struct fg_model *m, uint32_t chance);

/** The request but for its tag. */
void fg_model_request(const struct fg_model *m, const struct fg_asked *a,
                      struct fg_packet_request *request);

/** Time until a request that was sent again `tries` times is taken as lost: doubles each time. */
uint64_t fg_model_timeout(const struct fg_model *m, unsigned tries);

/** No new order is begun: a limit of the options is reached. */
bool fg_model_limit_reached(const struct fg_model *m);

/** Counts a wrong answer, and keeps the first of them as examples. */
__attribute__((format(printf, 4, 5), cold)) void fg_model_wrong(struct fg_model *m,
                                                                enum fg_wrong what,
                                                                const struct fg_packet_reply *r,
                                                                const char *fmt, ...);

/** Status and fields are those of a legal answer, and agree with what is known; else counts it. */
bool fg_model_check(struct fg_model *m, const struct fg_asked *a, const struct fg_known *known,
                    const struct fg_packet_reply *r);

/** An order is accepted; an accepted order has this end. Each once. */
void fg_model_accepted(struct fg_model *m, uint32_t item, uint16_t quantity);
void fg_model_ended(struct fg_model *m, uint32_t item, uint16_t quantity, unsigned status);

/** A line of the client file. `open`: a request is unanswered that may have changed the order. */
bool fg_model_write_order(const struct fg_model *m, const struct fg_asked *a, unsigned told,
                          bool open, FILE *out);

static inline const struct fg_packet_key *fg_model_key(const struct fg_model *m, unsigned op)
{
    return op == FG_PACKET_OP_CONFIRM ? m->backend : m->shop;
}

static inline void fg_model_order_id(const struct fg_model *m, uint32_t order, uint32_t shopper,
                                     uint8_t id[16])
{
    const uint64_t halves[2] = {m->nonce, order | (uint64_t)shopper << 32};

    memcpy(id, halves, sizeof(halves));
}

/** The content of a report. Pointers into the model. */
struct fg_view {
    const struct fg_world_stats *stats;
    const struct fg_item_story *items;
    uint32_t items_count;
    uint32_t waiting; /**< requests without an answer */
    bool draining;
    const char (*examples)[256]; /**< of wrong answers */
    unsigned examples_count;
};

static inline struct fg_view fg_model_view(const struct fg_model *m, uint32_t waiting,
                                           bool draining)
{
    return (struct fg_view){.stats = &m->stats,
                            .items = m->items,
                            .items_count = m->items_count,
                            .waiting = waiting,
                            .draining = draining,
                            .examples = m->examples,
                            .examples_count = m->examples_count};
}

#endif
