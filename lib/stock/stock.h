/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * stock: the engine. Decides for every order whether units are sold; one instance per worker, only
 * that worker's thread calls it. Knows neither DPDK nor files nor the clock: rings, watermark and
 * time are handed to it, so that a test can run any number of workers in one thread and stop the
 * world between any two calls.
 *
 * Users are partitioned: a request must be given to the worker fg_stock_owner() names. Stock is
 * sliced: each item has a home worker (fg_user_owner(item, workers)) whose bank lends units to the
 * slices of the others (docs/architecture.md, "Slices and bank").
 *
 * Time: Unix milliseconds from a clock that never goes back while the engine lives.
 * Memory: everything is allocated by fg_stock_create; nothing after it.
 */
#ifndef FG_STOCK_H
#define FG_STOCK_H

#include "base/histogram.h"
#include "base/ring.h"
#include "journal/journal.h"
#include "ledger/ledger.h"
#include "packet/packet.h"

#define FG_STOCK_NO_TOKEN UINT32_MAX

struct fg_stock_limits {
    uint32_t items_max;  /**< items, 1..1e6; the same on every worker */
    uint32_t orders_max; /**< orders remembered by this worker (live and finished), 1..2^31 - 1 */
    uint32_t users_max;  /**< (user, item) pairs with units, of items with a limit per user */
    uint32_t parked_max; /**< requests that wait for units at this worker at a time */
    uint32_t
        deferred_max;   /**< answers and releases that wait for the disk at this worker at a time */
    uint32_t user_rate; /**< new reservations a second that one user may ask for; 0 = no
                           limit, 1..1000 */
    uint32_t user_burst;  /**< of them at once, 1..100000 */
    uint32_t waiting_max; /**< users in the waiting lists of this worker's items at a time; 0 = no
                             waiting lists */
    uint32_t unsold_max;  /**< cancelled and expired orders of a user and item, before the user may
                             make no more; 0 = no limit, 1..FG_STOCK_UNSOLD_MAX */
    bool fleet;           /**< the appliance is a member of a fleet: stock/fleet.h */
};

#define FG_STOCK_WAITING_MAX 100000000 /**< the largest waiting_max */
#define FG_STOCK_UNSOLD_MAX  250       /**< the largest unsold_max */
#define FG_STOCK_DENIED_MAX  16384     /**< users that the operator may ever deny, of one worker */
#define FG_STOCK_HOLD_MS_MAX                                                                       \
    4233600000u /**< longest hold from now, also of EXTEND: 49 days, which the                     \
                   packet can say */
#define FG_STOCK_UNTIL_MS_MAX                                                                      \
    253402300799999ull /**< of EXTEND: the end of 9999; more is another unit than milliseconds */
#define FG_STOCK_ORDERS_LISTED 256  /**< orders of one user that ORDERS finds */
#define FG_STOCK_WATCHED_SETS  8192 /**< of 4 users each, whose rate a worker remembers */

struct fg_stock_config {
    unsigned worker, workers;
    struct fg_stock_limits limits;
    struct fg_ring *
        *to; /**< [workers] messages to worker w; own entry NULL; this engine produces */
    struct fg_ring *
        *from; /**< [workers] messages from worker w; own entry NULL; this engine consumes */
    struct fg_ring *journal;                 /**< struct fg_journal_record; this engine produces */
    const struct fg_journal_watermark *mark; /**< how many of its records are durable */
    /** How many of them are committed, in a pair: answers wait for that; released units only for
     * `mark`. Never more than `mark` says. NULL = no pair: what is durable is committed. */
    const struct fg_journal_watermark *committed;
    uint64_t seed;        /**< of the hash tables; secret, any value */
    uint8_t secret[32];   /**< of the seeds of draws: another one in each life; nobody knows it */
    uint16_t order_ports; /**< told in the answer to STOCK; 0 = orders are not steered */
};

/** The asker, who gets the answer: each kind has tokens of its own. */
enum fg_stock_kind {
    FG_STOCK_PACKET,  /**< a packet, by fg_stock_request */
    FG_STOCK_INBOUND, /**< an inbound command, by fg_stock_request */
    FG_STOCK_OPERATOR /**< the operator, by fg_stock_command */
};

/**
 * A request to the engine, already authenticated. Its fields lie as in the order packet, so that a
 * request off the wire is one copy (fg_stock_request_of); others may leave what has no meaning here
 * zero.
 */
struct fg_stock_request {
    uint8_t wire[3]; /**< no meaning here */
    uint8_t op;      /**< enum fg_packet_op */
    uint8_t flags;   /**< REFUND: FG_PACKET_RESTOCK. Not where the packet has them */
    uint8_t kind;    /**< FG_STOCK_PACKET, FG_STOCK_INBOUND */
    uint16_t quantity;
    uint8_t order_id[16];
    uint64_t user;
    uint64_t item;
    uint64_t until_ms; /**< EXTEND: Unix time; cut to FG_STOCK_HOLD_MS_MAX from now; beyond
                          FG_STOCK_UNTIL_MS_MAX it changes nothing */
    uint64_t hash;     /**< 0, or what fg_stock_prefetch made of the fields above */
    uint32_t index;    /**< likewise */
    uint32_t line;     /**< likewise */
};
#define FG_STOCK_WIRE offsetof(struct fg_stock_request, hash) /**< bytes that are the packet's */
#define SAME_OFFSET(field)                                                                         \
    (offsetof(struct fg_stock_request, field) == offsetof(struct fg_packet_request, field))
_Static_assert(SAME_OFFSET(op) && SAME_OFFSET(quantity) && SAME_OFFSET(order_id),
               "as in the packet");
_Static_assert(SAME_OFFSET(user) && SAME_OFFSET(item) && SAME_OFFSET(until_ms), "as in the packet");
#undef SAME_OFFSET

/** Of the order packet at `payload`, which need not be aligned. For fg_stock_prefetch: its fields
 * are not set. */
static inline void fg_stock_request_of(struct fg_stock_request *request, const void *payload)
{
    memcpy(request, payload, FG_STOCK_WIRE);
    request->flags = ((const uint8_t *)payload)[offsetof(struct fg_packet_request, flags)];
    request->kind = FG_STOCK_PACKET;
}

/* Commands of the operator, by the control thread's mailbox. name, who gets it, what it does */
#define FG_STOCK_COMMAND_LIST(X)                                                                   \
    X(ITEM_SET, "home: writes settings to the log (and makes the item known if it is new)")        \
    X(ITEM_APPLY,                                                                                  \
      "every worker: uses the settings from now on; to be sent when ITEM_SET is durable")          \
    X(ITEM_NAME, "home: writes the name to the log")                                               \
    X(LINE_SET, "home: writes settings of the waiting list to the log")                            \
    X(LINE_APPLY, "every worker: uses them from now on; to be sent when LINE_SET is durable")      \
    X(LINE_CLEAR, "home: all who wait now leave the line; `left` of the answer says how many")     \
    X(STOCK_ADD, "home: units that can be sold once the record is durable")                        \
    X(USER_SET, "owner of the user: denies reservations, or allows them again")                    \
    X(STOCK_REMOVE,                                                                                \
      "home: takes free units away, recalled from the slices if need be; all or nothing")          \
    X(ORDER_REFUND, "owner of the user: undoes the sale of an order")                              \
    X(LEASE, "home, in a fleet: units that can be sold once the record is durable")                \
    X(RECALL, "home, in a fleet: gives back what is free; `left` of the answer says how much")     \
    X(REFUSE, "home, in a fleet: the fleet cannot serve the oldest request")                       \
    X(SOLD_OUT, "home, in a fleet: nothing is free at any member")                                 \
    X(OPEN, "home, in a fleet: units may be had again")

enum fg_stock_command_type {
#define X(name, text) FG_STOCK_##name,
    FG_STOCK_COMMAND_LIST(X)
#undef X
};

struct fg_stock_command {
    uint8_t type; /**< enum fg_stock_command_type: says which of the members below have a meaning */
    uint8_t reserved[3];
    uint32_t ticket; /**< comes back in the answer's token */
    union {
        struct { /* of an item */
            uint64_t item;
            uint32_t index; /**< dense from 0, given by the control thread; < items_max */
            union {
                uint32_t units; /**< STOCK_ADD, STOCK_REMOVE */
                struct {        /* ITEM_SET, ITEM_APPLY: as in struct fg_journal_record */
                    uint64_t opens_ms, closes_ms;
                    uint32_t hold_ms, user_limit;
                    uint16_t order_max, flags;
                };
                uint8_t name[FG_JOURNAL_ITEM_NAME_MAX]; /**< ITEM_NAME */
                struct { /* LINE_SET, LINE_APPLY: as in struct fg_journal_record */
                    uint32_t line_max, claim_ms, wait_ttl_ms, line_flags;
                };
                struct {                   /* of a fleet: stock/fleet.h */
                    uint32_t fleet_units;  /**< LEASE, REFUSE */
                    uint32_t fleet_head;   /**< REFUSE */
                    uint64_t fleet_sum;    /**< LEASE */
                    uint8_t fleet_refusal; /**< REFUSE: enum fg_stock_outcome INSUFFICIENT, BUSY */
                };
            };
        };
        struct { /* USER_SET, ORDER_REFUND */
            uint64_t user;
            bool denied;          /**< USER_SET */
            bool restock;         /**< ORDER_REFUND: the units go back on sale */
            uint8_t order_id[16]; /**< ORDER_REFUND */
        };
    };
};
_Static_assert(sizeof(struct fg_stock_command) <= FG_RING_SLOT, "a command fits a ring slot");

/* Results of a command. name, text */
#define FG_STOCK_OUTCOME_LIST(X)                                                                   \
    X(DONE, "done, and durable")                                                                   \
    X(INSUFFICIENT, "fewer units are free: `left`; nothing was changed")                           \
    X(UNKNOWN_ITEM, "no such item; nothing was changed")                                           \
    X(UNKNOWN_ORDER, "no such order of this user; nothing was changed")                            \
    X(NOT_SOLD, "the order is not sold: `state`; nothing was changed")                             \
    X(FULL, "no room for more; nothing was changed")                                               \
    X(TOO_LATE, "a draw can no longer be set: users wait, or it is open; nothing was changed")     \
    X(BUSY, "a queue or the log is full, or a draw is under way; nothing was changed")             \
    X(UNAVAILABLE, "the log failed, or the appliance is stopping; nothing was changed")

enum fg_stock_outcome {
#define X(name, text) FG_STOCK_OUTCOME_##name,
    FG_STOCK_OUTCOME_LIST(X)
#undef X
};

/** An answer of the engine. `kind` says whose the token is, and which members have a meaning. */
struct fg_stock_answer {
    uint32_t token;    /**< of the request; of a command its ticket */
    uint8_t kind : 4;  /**< enum fg_stock_kind */
    uint8_t flags : 4; /**< of a reply: FG_PACKET_LATE */
    union {
        uint8_t status;  /**< of a reply: enum fg_packet_status */
        uint8_t outcome; /**< of a command: enum fg_stock_outcome */
    };
    union {
        uint16_t quantity; /**< of a reply, as all below but for `user` */
        uint16_t state;    /**< of ORDER_REFUND: enum fg_ledger_order_state */
    };
    uint32_t left;     /**< of a command as well: units that are free */
    uint32_t retry_ms; /**< RESERVED: what is left of the hold; WAITING: of the user's presence */
    union {
        uint64_t deadline_ms; /**< WAITING and STOCK: two numbers as in struct fg_packet_reply */
        uint64_t user;        /**< of USER_SET, ORDER_REFUND */
    };
    uint64_t item; /**< of a command as well, unless it is about a user */
    uint8_t order_id[16];
};
_Static_assert(sizeof(struct fg_stock_answer) == 48, "an answer fits a ring slot, and its entry");

enum fg_stock_result {
    FG_STOCK_ANSWERED, /**< *answer may be sent now; the token is the caller's again */
    FG_STOCK_DEFERRED, /**< the answer comes from fg_stock_poll with this token: units or the disk
                          are awaited */
    FG_STOCK_IGNORED, /**< no answer: the same request is being worked on; the token is the caller's
                         again */
};

enum fg_stock_mode {
    FG_STOCK_RUNNING,
    FG_STOCK_NO_SPACE, /**< the log has no room: what needs a record is BUSY */
    FG_STOCK_STOPPING, /**< no new decisions (UNAVAILABLE); what is under way ends */
    FG_STOCK_FAILED, /**< the log is lost: nothing that was not durable is ever answered. In a pair:
                        the leadership; nothing that waits is ever answered, nor released */
    FG_STOCK_NOT_LEADER /**< stands by: the worker answers, and leaves the engine alone, which may
                           be fed (feed.h). Ends for good with another mode; fg_stock_set_mode is
                           never told */
};

/* Counters of one engine; name, text. Only the engine writes; others read with relaxed loads. */
#define FG_STOCK_COUNTER_LIST(X)                                                                   \
    X(requests, "requests decided")                                                                \
    X(reserved, "orders accepted")                                                                 \
    X(sold, "orders confirmed")                                                                    \
    X(cancelled, "orders cancelled")                                                               \
    X(expired, "orders expired")                                                                   \
    X(duplicates, "repeated reservations answered from memory")                                    \
    X(in_progress, "repeats ignored while the first waits for units")                              \
    X(conflicts, "order id seen with other fields")                                                \
    X(sold_out, "rejections: sold out or not enough left")                                         \
    X(user_limit, "rejections: limit per user, or too many unsold orders")                         \
    X(not_on_sale, "rejections: not open, closed, paused or unknown item")                         \
    X(busy, "asked to come again: a queue was full")                                               \
    X(extended, "holds extended")                                                                  \
    X(sold_late, "orders confirmed after their hold had ended")                                    \
    X(refunded, "sold orders refunded")                                                            \
    X(user_rate, "rejections: the user asks too often")                                            \
    X(user_denied, "rejections: the operator denied the user")                                     \
    X(full, "rejections: memory for orders or users is used up")                                   \
    X(parked, "requests that waited for units")                                                    \
    X(needs, "messages: units asked of a bank")                                                    \
    X(grants, "messages: units granted by this worker's banks")                                    \
    X(recalls, "messages: recalls by this worker's banks")                                         \
    X(returns, "messages: units given back to a bank")                                             \
    X(announcements, "messages: sold-out or open again, by this worker's banks")                   \
    X(line_joined, "orders that took a place in a waiting list")                                   \
    X(line_offered, "waiting orders that got units")                                               \
    X(line_claimed, "of those, orders confirmed in time")                                          \
    X(line_skipped, "waiting orders whose turn came when their user was absent")

struct fg_stock_counters {
#define X(name, text) _Atomic uint64_t name;
    FG_STOCK_COUNTER_LIST(X)
#undef X
};

struct fg_stock;

/** Bytes that an engine of these limits allocates. */
uint64_t fg_stock_memory(const struct fg_stock_limits *limits, unsigned workers);

/** NULL and err when a limit is out of range or memory is short. Rings and watermark stay the
 * caller's. */
struct fg_stock *fg_stock_create(const struct fg_stock_config *config, struct fg_error *err);
void fg_stock_destroy(struct fg_stock *stock);

/**
 * Whether engines of `workers` workers with these limits each have room for the ledger. Start and
 * `floodgate --check` both ask it, with the same answer as fg_stock_load. False and err.
 */
bool fg_stock_check_ledger(const struct fg_stock_limits *limits, unsigned workers,
                           const struct fg_ledger *ledger, struct fg_error *err);

/**
 * Takes over the recovered state (this worker's orders; all items; the free units of the banks it
 * is home of). Call once, before the first request; the ledger is only read. False and err when it
 * does not fit the limits.
 */
bool fg_stock_load(struct fg_stock *stock, const struct fg_ledger *ledger, struct fg_error *err);

/** The same in parts, for who wants to tell how far it is: first all but the orders, then each
 * order once. */
bool fg_stock_load_items(struct fg_stock *stock, const struct fg_ledger *ledger,
                         struct fg_error *err);
bool fg_stock_load_orders(struct fg_stock *stock, const struct fg_ledger *ledger, uint64_t from,
                          uint64_t to, struct fg_error *err);

/** Worker that must be given this request: the owner of the user; for STOCK the home of the item.
 * Any thread.
 */
static inline unsigned fg_stock_owner(const fg_packet_request_at *request, unsigned workers)
{
    return fg_user_owner(request->op == FG_PACKET_OP_STOCK ? request->item : request->user,
                         workers);
}

/**
 * Fetches into the cache what the decisions of these requests will look at, and notes in them how
 * it was found. Changes no answer. For a burst (32 to 64) that is decided next, so that the cache
 * misses overlap.
 */
void fg_stock_prefetch(const struct fg_stock *stock, struct fg_stock_request *requests, unsigned n);

/** Decides. *answer is valid for FG_STOCK_ANSWERED only. token: the caller's, not
 * FG_STOCK_NO_TOKEN. */
enum fg_stock_result fg_stock_request(struct fg_stock *stock, uint64_t now_ms,
                                      const struct fg_stock_request *request, uint32_t token,
                                      struct fg_stock_answer *answer);

/** A command from the mailbox; its answer comes from fg_stock_poll. False when a queue is full:
 * offer it again. */
bool fg_stock_command(struct fg_stock *stock, uint64_t now_ms,
                      const struct fg_stock_command *command);

/**
 * One loop: messages of other workers, durable watermark, expired holds, what could not be sent
 * before; bounded work. Writes up to max answers that may be sent now and returns how many.
 */
unsigned fg_stock_poll(struct fg_stock *stock, uint64_t now_ms, struct fg_stock_answer *answers,
                       unsigned max);

void fg_stock_set_mode(struct fg_stock *stock, enum fg_stock_mode mode);

/** True when nothing waits here: no parked request, no held answer, no unsent message. For
 * shutdown. */
bool fg_stock_idle(const struct fg_stock *stock);

const struct fg_stock_counters *fg_stock_counters(const struct fg_stock *stock);

/** How long users waited, from the ticket to the turn, in ms with FG_HISTOGRAM_MS_SHIFT; of the
 * lines of this worker's items. */
const struct fg_histogram *fg_stock_waited(const struct fg_stock *stock);

/** Orders in memory now, and (user, item) pairs that users_max counts; any thread. */
uint32_t fg_stock_orders(const struct fg_stock *stock);
uint32_t fg_stock_users(const struct fg_stock *stock);

/* How full an engine is. name, what it counts */
#define FG_STOCK_LEVEL_LIST(X)                                                                     \
    X(orders, "orders remembered")                                                                 \
    X(users, "(user, item) pairs with units and a limit")                                          \
    X(parked, "requests that wait for units")                                                      \
    X(deferred, "answers and releases that wait for the disk")                                     \
    X(denied, "users ever denied")

enum fg_stock_level_index {
#define X(name, text) FG_STOCK_LEVEL_##name,
    FG_STOCK_LEVEL_LIST(X)
#undef X
        FG_STOCK_LEVELS
};

struct fg_stock_level {
    uint32_t used, max;
};

/** As of the last fg_stock_poll; any thread. */
void fg_stock_levels(const struct fg_stock *stock, struct fg_stock_level levels[FG_STOCK_LEVELS]);

/** A user whose reservations were refused for their rate. */
struct fg_stock_user {
    uint64_t user;
    uint32_t refused; /**< how often, since the worker remembers the user; stops at 2^20 - 1 */
};

/**
 * Up to max users that were refused most often, the worst first; returns how many. Any thread.
 * Bounded memory: a worker remembers 4 * FG_STOCK_WATCHED_SETS users and forgets, of 4 that share a
 * set, the one that asked longest ago.
 */
unsigned fg_stock_worst_users(const struct fg_stock *stock, struct fg_stock_user *users,
                              unsigned max);

/* ---- between workers: public for tests that count what is in flight -------------------------- */

/* name, direction, meaning */
#define FG_STOCK_MESSAGE_LIST(X)                                                                   \
    X(NEED, "worker -> bank: `units` wanted for the request `serial`")                             \
    X(GRANT, "bank -> worker: `units` for the request `serial`, and perhaps some more")            \
    X(REFUSE, "bank -> worker: request `serial` cannot be served; `left` units are free")          \
    X(RECALL, "bank -> worker: give back what is free")                                            \
    X(RECALLED, "worker -> bank: `units`, all that was free here; answers RECALL")                 \
    X(RETURN, "worker -> bank: `units` of cancelled or expired orders, durable")                   \
    X(TICKET, "bank -> worker: request `serial` is in the line with `ticket`")                     \
    X(OFFER, "bank -> worker: `units` for the waiting `order` of `ticket`")                        \
    X(DROP, "bank -> worker: the waiting `order` of `ticket` leaves: the line is cleared")         \
    X(CALL, "bank -> worker: it is the turn of `order`, but there are too few units")              \
    X(SERVING, "bank -> worker: `ticket` comes next")                                              \
    X(ARMED, "bank -> worker: a WAIT before the opening takes part in the draw")                   \
    X(CLOSE, "bank -> worker: the item opens: send all who take part, and let nobody in or out")   \
    X(ENTRY, "worker -> bank: `order` of `user` takes part, for `left` units")                     \
    X(CLOSED, "worker -> bank: those were all")                                                    \
    X(SEAT, "bank -> worker: the draw gave `ticket` to `order`")                                   \
    X(DRAWN, "bank -> worker: those were all, `ticket` comes next")                                \
    X(GONE, "worker -> bank: the order of `ticket`, which was called, has left")                   \
    X(SETTLE, "bank -> worker: say when all that you decided is committed")                        \
    X(SETTLED, "worker -> bank: all that was decided before SETTLE is committed")                  \
    X(SOLD_OUT, "bank -> worker: nothing is free anywhere")                                        \
    X(OPEN, "bank -> worker: units are free again")

enum fg_stock_message_type {
    FG_STOCK_MSG_NONE = 0,
#define X(name, text) FG_STOCK_MSG_##name,
    FG_STOCK_MESSAGE_LIST(X)
#undef X
};

struct fg_stock_message {
    uint8_t type;
    uint8_t first; /**< NEED: nothing else was asked for this item, so a larger grant makes sense */
    uint8_t wait;  /**< NEED: of a WAIT */
    uint8_t busy;  /**< REFUSE: the fleet cannot tell; ask again later */
    uint32_t index; /**< of the item */
    uint32_t units;
    uint32_t serial;
    uint32_t left;
    uint32_t order; /**< NEED, OFFER, CALL, ENTRY, SEAT: place of the order at its worker */
    uint32_t ticket;
    uint64_t user; /**< ENTRY */
    uint8_t pad[24];
};
_Static_assert(sizeof(struct fg_stock_message) == FG_RING_SLOT, "a message is a ring slot");

/** The units of one item by state, as this worker sees them. For tests and status. */
struct fg_stock_view {
    uint32_t free; /**< in the slice, and in the bank when this is home */
    uint32_t
        releasing; /**< cancelled, expired or added here, not durable or not yet back at the bank */
    uint32_t reserved, sold; /**< in orders of this worker */
    uint32_t refunded;       /**< likewise: refunded and not put back on sale */
    uint32_t kept;           /**< home only: for the waiting list */
    uint32_t offered;        /**< to waiting orders of this worker, not recorded yet */
    uint32_t waiting;        /**< home only: entries of the line */
    uint32_t serving;        /**< home only: ticket that comes next */
    uint32_t tickets;        /**< home only: tickets given */
    uint32_t total;          /**< home only: units recorded, durable or not yet */
    bool sold_out;           /**< this worker answers SOLD_OUT at once */
    bool drawing;            /**< home only: a draw is under way */
};
bool fg_stock_view(const struct fg_stock *stock, uint32_t index, struct fg_stock_view *view);

#endif
