/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * packet: the order packet. Byte layout, statuses, keys, tag (SipHash-2-4), and the strict check of
 * the frame around it. docs/protocol.md is the same contract for people who write clients.
 *
 * All functions are pure or work on memory of the caller; any thread may call them. No DPDK, no
 * clock.
 */
#ifndef FG_PACKET_H
#define FG_PACKET_H

#include <string.h>

#include "base/base.h"

#define FG_PACKET_SIZE         64     /**< UDP payload of a request and of a reply, bytes */
#define FG_PACKET_MAGIC        0x4746 /**< bytes 'F' 'G' on the wire */
#define FG_PACKET_VERSION      2
#define FG_PACKET_TAG_AT       56   /**< the tag covers bytes 0..55 */
#define FG_PACKET_REPLY        0x80 /**< set in `op` of a reply */
#define FG_PACKET_RESTOCK      0x01 /**< flag of REFUND: the units go back on sale */
#define FG_PACKET_LATE         0x01 /**< flag of a reply: confirmed after its hold had ended */
#define FG_PACKET_UNDRAWN      UINT32_MAX /**< ticket of STOCK: a draw is to come, WAIT takes part */
#define FG_PACKET_PORT_DEFAULT 4600       /**< UDP */

/* name, number, roles that may do it, what it is */
#define FG_PACKET_OP_LIST(X)                                                                       \
    X(RESERVE, 1, FG_PACKET_ROLE_SHOP, "hold units for a user")                                    \
    X(CONFIRM, 2, FG_PACKET_ROLE_BACKEND, "the order is paid: the held units are sold")            \
    X(CANCEL, 3, FG_PACKET_ROLE_SHOP | FG_PACKET_ROLE_BACKEND, "give held units back")             \
    X(QUERY, 4, FG_PACKET_ROLE_SHOP | FG_PACKET_ROLE_BACKEND | FG_PACKET_ROLE_MONITOR,             \
      "state of an order")                                                                         \
    X(STOCK, 5, FG_PACKET_ROLE_SHOP | FG_PACKET_ROLE_BACKEND | FG_PACKET_ROLE_MONITOR,             \
      "state of an item")                                                                          \
    X(EXTEND, 6, FG_PACKET_ROLE_BACKEND, "keep the units held until `until_ms`")                   \
    X(REFUND, 7, FG_PACKET_ROLE_BACKEND,                                                           \
      "a sold order is undone: the buyer's limit is free again")                                   \
    X(ORDERS, 8, FG_PACKET_ROLE_SHOP | FG_PACKET_ROLE_BACKEND | FG_PACKET_ROLE_MONITOR,            \
      "one of the user's orders")                                                                  \
    X(WAIT, 9, FG_PACKET_ROLE_SHOP,                                                                \
      "hold units, or a place in the waiting list until some are free")

/* name, number, meaning */
#define FG_PACKET_STATUS_LIST(X)                                                                   \
    X(RESERVED, 1, "the units are held for the user until the deadline")                           \
    X(SOLD, 2, "the order is confirmed: its units are sold")                                       \
    X(CANCELLED, 3, "the order was cancelled, its units went back to sale")                        \
    X(EXPIRED, 4, "the hold ended before the order was confirmed, its units went back to sale")    \
    X(SOLD_OUT, 5, "no unit is free now")                                                          \
    X(INSUFFICIENT, 6, "fewer units are free than asked for; `left` says how many")                \
    X(USER_LIMIT, 7,                                                                               \
      "the user holds or has bought as many of this item as one user may, or too many orders of "  \
      "the user ended unsold")                                                                     \
    X(BAD_QUANTITY, 8, "quantity is zero or above the item's largest order")                       \
    X(NOT_OPEN, 9, "the sale of this item opens in `retry_ms`")                                    \
    X(CLOSED, 10, "the sale of this item has ended")                                               \
    X(PAUSED, 11, "the operator paused the item; ask again after `retry_ms`")                      \
    X(UNKNOWN_ITEM, 12, "no such item")                                                            \
    X(UNKNOWN_ORDER, 13, "no such order of this user")                                             \
    X(CONFLICT, 14, "the user has an order of this id with other fields")                          \
    X(DENIED, 15, "the key's role may not do this operation")                                      \
    X(BUSY, 16, "nothing was decided; ask again after `retry_ms`")                                 \
    X(FULL, 17, "the appliance has no memory left for more orders or users")                       \
    X(UNAVAILABLE, 18, "the appliance accepts nothing: it stops, or its log failed")               \
    X(ON_SALE, 19, "answer to STOCK: the item is on sale, `left` units are about free")            \
    X(USER_RATE, 20, "the user asks for new orders too often; ask again after `retry_ms`")         \
    X(USER_DENIED, 21, "the operator lets this user reserve nothing")                              \
    X(REFUNDED, 22, "the order was sold and has been refunded")                                    \
    X(WAITING, 23, "the user has a place in the waiting list: `left` users are ahead")             \
    X(NOT_LEADER, 24, "of a pair: this appliance stands by, ask the other one")                    \
    X(WRONG_SHARD, 25, "of a fleet: the user belongs to member `quantity`, ask that one")

/* name, bit, name in the key file */
#define FG_PACKET_ROLE_LIST(X)                                                                     \
    X(SHOP, 1, "shop")                                                                             \
    X(BACKEND, 2, "backend")                                                                       \
    X(MONITOR, 4, "monitor")

enum fg_packet_op {
#define X(name, number, roles, text) FG_PACKET_OP_##name = number,
    FG_PACKET_OP_LIST(X)
#undef X
};

enum fg_packet_status {
    FG_PACKET_STATUS_NONE = 0,
#define X(name, number, text) FG_PACKET_STATUS_##name = number,
    FG_PACKET_STATUS_LIST(X)
#undef X
        FG_PACKET_STATUS_COUNT
};

enum fg_packet_role {
#define X(name, bit, text) FG_PACKET_ROLE_##name = bit,
    FG_PACKET_ROLE_LIST(X)
#undef X
};

/** Request, 64 bytes, little-endian on the wire. */
struct __attribute__((may_alias)) fg_packet_request {
    uint16_t magic;
    uint8_t version;
    uint8_t op;
    uint16_t key_id;
    uint16_t quantity;    /**< RESERVE, WAIT: units; ORDERS: which one, from 0; else 0 */
    uint8_t order_id[16]; /**< idempotency key, unique for the user; STOCK and ORDERS: any value */
    uint64_t user;        /**< STOCK: 0 */
    uint64_t item;        /**< RESERVE, WAIT, STOCK; ORDERS: of this item, 0 = of any; else 0 */
    uint64_t until_ms; /**< EXTEND: Unix time at which the hold shall end at the earliest; else 0 */
    uint8_t flags;     /**< REFUND: FG_PACKET_RESTOCK or 0; else 0 */
    uint8_t reserved[3]; /**< zero */
    uint32_t cookie;     /**< any value, echoed: says which transmission a reply belongs to */
    uint64_t tag;
};

/** Reply, 64 bytes, little-endian on the wire. */
struct __attribute__((may_alias)) fg_packet_reply {
    uint16_t magic;
    uint8_t version;
    uint8_t op; /**< of the request, | FG_PACKET_REPLY */
    uint16_t key_id;
    uint16_t quantity;    /**< of the order; 0 when there is none. WRONG_SHARD: member */
    uint8_t order_id[16]; /**< of the request; ORDERS: of the order that was found */
    union {
        uint64_t deadline_ms; /**< Unix time at which the hold ends; RESERVED only, else 0 */
        struct {              /* WAITING, and answers to STOCK */
            uint32_t ticket;  /**< of this user; STOCK: the one that comes next, 0 = no list */
            union {
                uint32_t expected_ms; /**< WAITING: about so long until the turn; 0 = not known */
                uint32_t waiting;     /**< STOCK: users in the list */
            };
        };
    };
    uint64_t item;     /**< of the order, or of the request when there is none */
    uint32_t left;     /**< units about free; exact for INSUFFICIENT and SOLD_OUT. USER_LIMIT:
                          units of this item that the user may still have: 0 as well when too
                          many orders ended unsold. WAITING: users ahead. WRONG_SHARD: how many
                          shards the map has */
    uint32_t retry_ms; /**< wait so long before asking again; 0 = no hint. RESERVED: time left of
                          the hold. WAITING: WAIT must be repeated before */
    uint8_t status;
    uint8_t flags;      /**< FG_PACKET_LATE */
    uint16_t shard_map; /**< version of the fleet's map; 0 = none */
    uint32_t cookie;    /**< of the request */
    uint64_t tag;
};

_Static_assert(sizeof(struct fg_packet_request) == FG_PACKET_SIZE, "request layout");
_Static_assert(sizeof(struct fg_packet_reply) == FG_PACKET_SIZE, "reply layout");
_Static_assert(offsetof(struct fg_packet_request, tag) == FG_PACKET_TAG_AT, "request layout");
_Static_assert(offsetof(struct fg_packet_reply, tag) == FG_PACKET_TAG_AT, "reply layout");
_Static_assert(offsetof(struct fg_packet_request, cookie) == 52 &&
                   offsetof(struct fg_packet_reply, cookie) == 52,
               "layout");
_Static_assert(offsetof(struct fg_packet_request, user) == 24 &&
                   offsetof(struct fg_packet_request, item) == 32,
               "layout");
_Static_assert(offsetof(struct fg_packet_reply, deadline_ms) == 24 &&
                   offsetof(struct fg_packet_reply, item) == 32,
               "layout");
_Static_assert(offsetof(struct fg_packet_reply, left) == 40 &&
                   offsetof(struct fg_packet_reply, status) == 48,
               "layout");
_Static_assert(offsetof(struct fg_packet_request, flags) == 48 &&
                   offsetof(struct fg_packet_reply, flags) == 49 &&
                   offsetof(struct fg_packet_reply, shard_map) == 50,
               "layout");
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the packet structs are read in place: a big-endian port needs swaps here"
#endif

/** As they lie in a frame: at any address. */
typedef struct fg_packet_request fg_packet_request_at __attribute__((aligned(1)));
typedef struct fg_packet_reply fg_packet_reply_at __attribute__((aligned(1)));

const char *fg_packet_op_name(unsigned op);         /**< "RESERVE"; "?" when unknown */
const char *fg_packet_status_name(unsigned status); /**< "SOLD_OUT"; "?" when unknown */
const char *fg_packet_status_text(unsigned status); /**< its meaning; "?" when unknown */

/** Bits of enum fg_packet_role that may do it; 0 when unknown. */
static inline unsigned fg_packet_op_roles(unsigned op)
{
#define X(name, number, roles, text) | (uint64_t)(roles) << 4 * (number)
    const uint64_t by_op = 0 FG_PACKET_OP_LIST(X); /* four bits each */
#undef X

    return fg_likely(op < 16) ? (unsigned)(by_op >> 4 * op) & 15 : 0;
}

/* ---- tag ------------------------------------------------------------------------------------- */

/** SipHash-2-4 (Aumasson, Bernstein 2012) of 56 bytes under a 128-bit key given as two
 * little-endian words.
 */
uint64_t fg_packet_siphash24_56(const uint64_t key[2], const void *bytes);

/**
 * The same of n packets, several at once in the lanes of vectors: keys[i] and packets[i] give
 * tags[i]. All FG_PACKET_SIZE bytes of a packet must be there, though the tag covers fewer. The
 * kind of vector is chosen by CPU when the program starts.
 */
void fg_packet_siphash24_56_many(const uint64_t *const *keys, const void *const *packets,
                                 uint64_t *tags, unsigned n);

const char *
fg_packet_siphash_kind(unsigned kind); /**< "portable", "avx2" ...; NULL behind the last */
bool fg_packet_siphash_choose(
    unsigned kind); /**< for tests and benchmarks; false: this CPU has it not. No threads */

/* ---- keys ------------------------------------------------------------------------------------ */

#define FG_PACKET_KEYS_MAX 255

struct fg_packet_key {
    uint16_t id; /**< 1..65535 */
    uint16_t roles;
    uint32_t reserved;
    uint64_t secret[2]; /**< the 16 bytes of the key file, as two little-endian words */
};

/** All keys in force. Immutable after loading: replaced as a whole when keys rotate. About 70 KiB.
 */
struct fg_packet_keyring {
    unsigned count;
    struct fg_packet_key keys[FG_PACKET_KEYS_MAX];
    uint8_t slot[65536]; /**< key id -> index into keys + 1; 0 = no such key */
};

/**
 * Reads a key file: one `ID ROLE[,ROLE...] SECRET` a line, SECRET 32 hex digits, `#` starts a
 * comment. Errors name file, line, value and accepted range. Refuses a file that others may write,
 * duplicates, an all-zero secret and a file with no key. Never shows a secret. Caller frees with
 * fg_packet_keyring_free.
 */
struct fg_packet_keyring *fg_packet_keyring_load(const char *path, struct fg_error *err);
void fg_packet_keyring_free(struct fg_packet_keyring *ring);

/** The key of that id, or NULL. */
static inline const struct fg_packet_key *
fg_packet_keyring_find(const struct fg_packet_keyring *ring, uint16_t id)
{
    unsigned slot = ring->slot[id];

    return slot ? &ring->keys[slot - 1] : NULL;
}

/* ---- request and reply ----------------------------------------------------------------------- */

/* Why a frame or a request gets no answer: one counter each. name, text */
#define FG_PACKET_DROP_LIST(X)                                                                     \
    X(TRUNCATED, "frame shorter than its headers say")                                             \
    X(IP_HEADER,                                                                                   \
      "IPv4 header with options, wrong version, length or checksum; IPv6 extension header")        \
    X(FRAGMENT, "IP fragment to the order port")                                                   \
    X(LENGTH, "UDP payload is not 64 bytes")                                                       \
    X(MAGIC, "wrong magic or version")                                                             \
    X(SHAPE, "unknown operation, or a field that this operation leaves zero is set")               \
    X(KEY, "unknown key id")                                                                       \
    X(TAG, "wrong tag")                                                                            \
    X(SOURCE,                                                                                      \
      "unanswerable: zero or multicast source address, multicast destination, or source port 0")

enum fg_packet_drop {
    FG_PACKET_DROP_NONE = 0,
#define X(name, text) FG_PACKET_DROP_##name,
    FG_PACKET_DROP_LIST(X)
#undef X
        FG_PACKET_DROP_COUNT
};
const char *fg_packet_drop_name(unsigned drop); /**< "ip-header"; lower case, for counters */
const char *fg_packet_drop_text(unsigned drop);

/**
 * Checks the 64 bytes at `payload` as a request: magic, version, operation, zero fields, key, tag;
 * in this order. FG_PACKET_DROP_NONE and *key set when it may be answered (whether the role allows
 * the operation is the caller's question: a known key that may not gets DENIED). `payload` need not
 * be aligned.
 */
enum fg_packet_drop fg_packet_request_check(const void *payload,
                                            const struct fg_packet_keyring *ring,
                                            const struct fg_packet_key **key);

/**
 * The same for n requests, whose tags are computed together: drops[i] is what
 * fg_packet_request_check gives; keys[i] is undefined unless that is FG_PACKET_DROP_NONE.
 */
void fg_packet_requests_check(const void *const *payloads, unsigned n,
                              const struct fg_packet_keyring *ring,
                              const struct fg_packet_key **keys, enum fg_packet_drop *drops);

/** Fills magic and version and signs. For clients and tests. */
void fg_packet_request_seal(struct fg_packet_request *request, const struct fg_packet_key *key);

/** Fills magic, version and tag of a reply whose other fields are set. */
void fg_packet_reply_seal(struct fg_packet_reply *reply, const struct fg_packet_key *key);

/** True when the 64 bytes are a well-formed reply with a correct tag under this key. For clients
 * and tests.
 */
bool fg_packet_reply_check(const void *payload, const struct fg_packet_key *key);

#endif
