/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * packet: the order packet. Byte layout, statuses, keys, tag (SipHash-2-4), and the strict check of the
 * frame around it. docs/protocol.md is the same contract for people who write clients.
 *
 * All functions are pure or work on memory of the caller; any thread may call them. No DPDK, no clock.
 */
#ifndef FG_PACKET_H
#define FG_PACKET_H

#include <string.h>

#include "base/base.h"

#define FG_PACKET_SIZE    64     /**< UDP payload of a request and of a reply, bytes */
#define FG_PACKET_MAGIC   0x4746 /**< bytes 'F' 'G' on the wire */
#define FG_PACKET_VERSION 1
#define FG_PACKET_TAG_AT  56   /**< the tag covers bytes 0..55 */
#define FG_PACKET_REPLY   0x80 /**< set in `op` of a reply */
#define FG_DEFAULT_PORT   4600 /**< UDP */
#define FG_FRAME_HEAD_MAX 66   /**< Ethernet 14 + VLAN 4 + IPv6 40 + UDP 8 */

/* name, number, roles that may do it, what it is */
#define FG_OP_LIST(X)                                                                                        \
    X(RESERVE, 1, FG_ROLE_SHOP, "hold units for a user")                                                     \
    X(CONFIRM, 2, FG_ROLE_BACKEND, "the order is paid: the held units are sold")                             \
    X(CANCEL, 3, FG_ROLE_SHOP | FG_ROLE_BACKEND, "give held units back")                                     \
    X(QUERY, 4, FG_ROLE_SHOP | FG_ROLE_BACKEND | FG_ROLE_MONITOR, "state of an order")                       \
    X(STOCK, 5, FG_ROLE_SHOP | FG_ROLE_BACKEND | FG_ROLE_MONITOR, "state of an item")                        \
    X(EXTEND, 6, FG_ROLE_BACKEND, "keep the units held until `until_ms`")

/* name, number, meaning */
#define FG_STATUS_LIST(X)                                                                                    \
    X(RESERVED, 1, "the units are held for the user until the deadline")                                     \
    X(SOLD, 2, "the order is confirmed and final")                                                           \
    X(CANCELLED, 3, "the order was cancelled, its units went back to sale")                                  \
    X(EXPIRED, 4, "the hold ended before the order was confirmed, its units went back to sale")              \
    X(SOLD_OUT, 5, "no unit is free now")                                                                    \
    X(INSUFFICIENT, 6, "fewer units are free than asked for; `left` says how many")                          \
    X(USER_LIMIT, 7, "the user holds or has bought as many of this item as one user may")                    \
    X(BAD_QUANTITY, 8, "quantity is zero or above the item's largest order")                                 \
    X(NOT_OPEN, 9, "the sale of this item opens in `retry_ms`")                                              \
    X(CLOSED, 10, "the sale of this item has ended")                                                         \
    X(PAUSED, 11, "the operator paused the item; ask again after `retry_ms`")                                \
    X(UNKNOWN_ITEM, 12, "no such item")                                                                      \
    X(UNKNOWN_ORDER, 13, "no such order of this user")                                                       \
    X(CONFLICT, 14, "the user has an order of this id with other fields")                                    \
    X(DENIED, 15, "the key's role may not do this operation")                                                \
    X(BUSY, 16, "nothing was decided; ask again after `retry_ms`")                                           \
    X(FULL, 17, "the appliance has no memory left for more orders or users")                                 \
    X(UNAVAILABLE, 18, "the appliance accepts nothing: it stops, or its log failed")                         \
    X(ON_SALE, 19, "answer to STOCK: the item is on sale, `left` units are about free")                      \
    X(USER_RATE, 20, "the user asks for new orders too often; ask again after `retry_ms`")                   \
    X(USER_DENIED, 21, "the operator lets this user reserve nothing")

/* name, bit, name in the key file */
#define FG_ROLE_LIST(X)                                                                                      \
    X(SHOP, 1, "shop")                                                                                       \
    X(BACKEND, 2, "backend")                                                                                 \
    X(MONITOR, 4, "monitor")

enum fg_op {
#define X(name, number, roles, text) FG_OP_##name = number,
    FG_OP_LIST(X)
#undef X
};

enum fg_status {
    FG_STATUS_NONE = 0,
#define X(name, number, text) FG_STATUS_##name = number,
    FG_STATUS_LIST(X)
#undef X
        FG_STATUS_COUNT
};

enum fg_role {
#define X(name, bit, text) FG_ROLE_##name = bit,
    FG_ROLE_LIST(X)
#undef X
};

/** Request, 64 bytes, little-endian on the wire. */
struct __attribute__((may_alias)) fg_request {
    uint16_t magic;
    uint8_t version;
    uint8_t op;
    uint16_t key_id;
    uint16_t quantity;    /**< units; RESERVE only, else 0 */
    uint8_t order_id[16]; /**< idempotency key, unique for the user; STOCK: any value */
    uint64_t user;        /**< STOCK: 0 */
    uint64_t item;        /**< RESERVE and STOCK; else 0 */
    uint64_t until_ms;    /**< EXTEND: Unix time at which the hold shall end at the earliest; else 0 */
    uint32_t reserved;    /**< zero */
    uint32_t cookie;      /**< any value, echoed: tells retransmissions apart */
    uint64_t tag;
};

/** Reply, 64 bytes, little-endian on the wire. */
struct __attribute__((may_alias)) fg_reply {
    uint16_t magic;
    uint8_t version;
    uint8_t op; /**< of the request, | FG_PACKET_REPLY */
    uint16_t key_id;
    uint16_t quantity;    /**< of the order; 0 when there is none */
    uint8_t order_id[16]; /**< of the request */
    uint64_t deadline_ms; /**< Unix time at which the hold ends; RESERVED only, else 0 */
    uint64_t item;        /**< of the order, or of the request when there is none */
    uint32_t left;        /**< units about free; exact for INSUFFICIENT and SOLD_OUT */
    uint32_t retry_ms;    /**< wait so long before asking again; 0 = no hint */
    uint8_t status;
    uint8_t reserved[3];
    uint32_t cookie; /**< of the request */
    uint64_t tag;
};

_Static_assert(sizeof(struct fg_request) == FG_PACKET_SIZE, "request layout");
_Static_assert(sizeof(struct fg_reply) == FG_PACKET_SIZE, "reply layout");
_Static_assert(offsetof(struct fg_request, tag) == FG_PACKET_TAG_AT, "request layout");
_Static_assert(offsetof(struct fg_reply, tag) == FG_PACKET_TAG_AT, "reply layout");
_Static_assert(offsetof(struct fg_request, cookie) == 52 && offsetof(struct fg_reply, cookie) == 52,
               "layout");
_Static_assert(offsetof(struct fg_request, user) == 24 && offsetof(struct fg_request, item) == 32, "layout");
_Static_assert(offsetof(struct fg_reply, deadline_ms) == 24 && offsetof(struct fg_reply, item) == 32,
               "layout");
_Static_assert(offsetof(struct fg_reply, left) == 40 && offsetof(struct fg_reply, status) == 48, "layout");
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the packet structs are read in place: a big-endian port needs swaps here"
#endif

/** Where they lie in a frame: at any address. */
typedef struct fg_request fg_request_at __attribute__((aligned(1)));
typedef struct fg_reply fg_reply_at __attribute__((aligned(1)));

const char *fg_op_name(unsigned op);         /**< "RESERVE"; "?" when unknown */
const char *fg_status_name(unsigned status); /**< "SOLD_OUT"; "?" when unknown */
const char *fg_status_text(unsigned status); /**< its meaning; "?" when unknown */

/** Bits of enum fg_role that may do it; 0 when unknown. */
static inline unsigned fg_op_roles(unsigned op)
{
#define X(name, number, roles, text) | (uint64_t)(roles) << 4 * (number)
    const uint64_t by_op = 0 FG_OP_LIST(X); /* four bits each */
#undef X

    return fg_likely(op < 16) ? (unsigned)(by_op >> 4 * op) & 15 : 0;
}

/* ---- tag ------------------------------------------------------------------------------------------- */

/** SipHash-2-4 (Aumasson, Bernstein 2012) of 56 bytes under a 128-bit key given as two little-endian words.
 */
uint64_t fg_siphash24_56(const uint64_t key[2], const void *bytes);

/**
 * The same of n packets, several at once in the lanes of vectors: keys[i] and packets[i] give tags[i]. All
 * FG_PACKET_SIZE bytes of a packet must be there, though the tag covers fewer. The kind of vector is chosen
 * by CPU when the program starts.
 */
void fg_siphash24_56_many(const uint64_t *const *keys, const void *const *packets, uint64_t *tags,
                          unsigned n);

const char *fg_siphash_kind(unsigned kind); /**< "portable", "avx2" ...; NULL behind the last */
bool fg_siphash_choose(
    unsigned kind); /**< for tests and benchmarks; false: this CPU has it not. No threads */

/* ---- keys ------------------------------------------------------------------------------------------ */

#define FG_KEYS_MAX 255

struct fg_key {
    uint16_t id; /**< 1..65535 */
    uint16_t roles;
    uint32_t reserved;
    uint64_t secret[2]; /**< the 16 bytes of the key file, as two little-endian words */
};

/** All keys in force. Immutable after loading: replaced as a whole when keys rotate. About 70 KiB. */
struct fg_keyring {
    unsigned count;
    struct fg_key keys[FG_KEYS_MAX];
    uint8_t slot[65536]; /**< key id -> index into keys + 1; 0 = no such key */
};

/**
 * Reads a key file: one `ID ROLE[,ROLE...] SECRET` a line, SECRET 32 hex digits, `#` starts a comment.
 * Errors name file, line, value and accepted range. Refuses a file that others may write, duplicates,
 * an all-zero secret and a file with no key. Never shows a secret. Caller frees with fg_keyring_free.
 */
struct fg_keyring *fg_keyring_load(const char *path, struct fg_error *err);
void fg_keyring_free(struct fg_keyring *ring);

/** The key of that id, or NULL. */
static inline const struct fg_key *fg_keyring_find(const struct fg_keyring *ring, uint16_t id)
{
    unsigned slot = ring->slot[id];

    return slot ? &ring->keys[slot - 1] : NULL;
}

/* ---- request and reply ----------------------------------------------------------------------------- */

/* Why a frame or a request gets no answer: one counter each. name, text */
#define FG_DROP_LIST(X)                                                                                      \
    X(TRUNCATED, "frame shorter than its headers say")                                                       \
    X(IP_HEADER, "IPv4 header with options, wrong version, length or checksum; IPv6 extension header")       \
    X(FRAGMENT, "IP fragment to the order port")                                                             \
    X(LENGTH, "UDP payload is not 64 bytes")                                                                 \
    X(MAGIC, "wrong magic or version")                                                                       \
    X(SHAPE, "unknown operation, or a field that this operation leaves zero is set")                         \
    X(KEY, "unknown key id")                                                                                 \
    X(TAG, "wrong tag")                                                                                      \
    X(SOURCE, "no way back: zero or multicast source address, multicast destination, or source port 0")

enum fg_drop {
    FG_DROP_NONE = 0,
#define X(name, text) FG_DROP_##name,
    FG_DROP_LIST(X)
#undef X
        FG_DROP_COUNT
};
const char *fg_drop_name(unsigned drop); /**< "ip-header"; lower case, for counters */
const char *fg_drop_text(unsigned drop);

/**
 * Checks the 64 bytes at `payload` as a request: magic, version, operation, zero fields, key, tag; in this
 * order. FG_DROP_NONE and *key set when it may be answered (whether the role allows the operation is the
 * caller's question: a known key that may not gets DENIED). `payload` need not be aligned.
 */
enum fg_drop fg_request_check(const void *payload, const struct fg_keyring *ring, const struct fg_key **key);

/**
 * The same for n requests, whose tags are computed together: drops[i] is what fg_request_check gives; keys[i]
 * is undefined unless that is FG_DROP_NONE.
 */
void fg_requests_check(const void *const *payloads, unsigned n, const struct fg_keyring *ring,
                       const struct fg_key **keys, enum fg_drop *drops);

/** Fills magic and version and signs. For clients and tests. */
void fg_request_seal(struct fg_request *request, const struct fg_key *key);

/** Fills magic, version and tag of a reply whose other fields are set. */
void fg_reply_seal(struct fg_reply *reply, const struct fg_key *key);

/** True when the 64 bytes are a well-formed reply with a correct tag under this key. For clients and tests.
 */
bool fg_reply_check(const void *payload, const struct fg_key *key);

/* ---- the frame around it --------------------------------------------------------------------------- */

struct fg_frame {
    uint8_t l3;      /**< offset of the IP header, 14 or 18 */
    uint8_t l4;      /**< offset of the UDP header */
    uint8_t payload; /**< offset of the order packet */
    uint8_t ip;      /**< 4 or 6 */
};

enum fg_frame_kind {
    FG_FRAME_ORDER, /**< UDP to the order port, well-formed; `frame` is filled */
    FG_FRAME_OTHER, /**< not UDP to the order port: ARP, TCP, ... ; `frame` is undefined */
    FG_FRAME_BAD    /**< meant for the order port, or unreadable, and wrong; `*drop` says why */
};

/** `count` order ports from `first` on (host byte order), as one number; a port by itself is one. */
#define FG_ORDER_PORTS(first, count) ((uint32_t)(first) | ((uint32_t)(count)-1) << 16)

static inline bool fg_no_order_port(uint16_t port, uint32_t order_ports)
{
    return (uint16_t)(port - (uint16_t)order_ports) > order_ports >> 16;
}

/** What fg_frame_parse does with a frame that is not of the usual kind. */
enum fg_frame_kind fg_frame_parse_any(const uint8_t *data, uint32_t len, uint32_t order_ports,
                                      struct fg_frame *frame, enum fg_drop *drop);

#define FG_ETHERTYPE_IPV4 0x0800
#define FG_IPV4_SIZE      20u /**< without options */
#define FG_UDP_SIZE       8u
#define FG_UDP_LENGTH     (FG_UDP_SIZE + FG_PACKET_SIZE)

/* Of bytes in network order, what a load finds. */
static inline uint64_t fg_word_at(const uint8_t *p, size_t bytes)
{
    uint64_t word = 0;

    memcpy(&word, p, bytes);
    return word;
}

/** IPv4 without options or fragments, and UDP to the port with a payload of 64 bytes: `ip` has that many
 * bytes. */
static inline bool fg_ipv4_is_order(const uint8_t *ip, uint32_t order_ports)
{
    /* total length, fragment bits but for DF, protocol 17: bytes 2, 3, 6, 7 and 9; the identification and TTL
     * are free */
    const uint64_t lengths = (uint64_t)__builtin_bswap16(FG_IPV4_SIZE + FG_UDP_LENGTH);
    const uint64_t wanted = lengths | 17ull << 56, looked_at = 0xff00ffbf0000ffff;

    return ip[0] == 0x45 && (fg_word_at(ip + 2, 8) & looked_at) == wanted &&
           fg_word_at(ip + FG_IPV4_SIZE + 4, 2) == __builtin_bswap16(FG_UDP_LENGTH) &&
           !fg_no_order_port(__builtin_bswap16((uint16_t)fg_word_at(ip + FG_IPV4_SIZE + 2, 2)), order_ports);
}

/** The checksum of a header without options (RFC 1071): a sum of ones' complement, in any order of the bytes.
 */
static inline bool fg_ipv4_sum_is_right(const uint8_t *ip)
{
    uint64_t sum = fg_word_at(ip, 4) + fg_word_at(ip + 4, 4) + fg_word_at(ip + 8, 4) +
                   fg_word_at(ip + 12, 4) + fg_word_at(ip + 16, 4);

    return sum % 0xffff == 0; /* and it is not 0 */
}

/** The reply swaps MAC and IP addresses and ports: neither end may be a group, nor nobody. */
static inline bool fg_ipv4_is_answerable(const uint8_t *data, const uint8_t *ip)
{
    uint32_t source = (uint32_t)fg_word_at(ip + 12, 4);

    return !((data[0] | data[6]) & 1) && source && source != UINT32_MAX && (ip[12] & 0xf0) != 0xe0 &&
           (ip[16] & 0xf0) != 0xe0 && ip[16] != 0xff && fg_word_at(ip + FG_IPV4_SIZE, 2);
}

/**
 * Strict check of an Ethernet frame of `len` contiguous bytes: at most one VLAN tag (0x8100), IPv4 without
 * options (header checksum verified) or IPv6 without extension headers, no fragment, UDP to one of
 * `order_ports` (FG_ORDER_PORTS, or a single port) with a payload of exactly 64 bytes. Bytes behind the IP
 * packet (Ethernet padding) are allowed. The UDP checksum is not verified: veth leaves it partial, the tag
 * stands for integrity.
 */
static inline enum fg_frame_kind fg_frame_parse(const uint8_t *data, uint32_t len, uint32_t order_ports,
                                                struct fg_frame *frame, enum fg_drop *drop)
{
    const uint8_t *ip = data + 14;

    if (fg_unlikely(len < 14u + FG_IPV4_SIZE + FG_UDP_LENGTH ||
                    fg_word_at(data + 12, 2) != __builtin_bswap16(FG_ETHERTYPE_IPV4) ||
                    !fg_ipv4_is_order(ip, order_ports) || !fg_ipv4_sum_is_right(ip) ||
                    !fg_ipv4_is_answerable(data, ip))) {
        struct fg_frame any = {0}; /* only this one is in memory */
        enum fg_frame_kind kind = fg_frame_parse_any(data, len, order_ports, &any, drop);

        *frame = any;
        return kind;
    }
    *frame = (struct fg_frame){14, 14 + FG_IPV4_SIZE, 14 + FG_IPV4_SIZE + FG_UDP_SIZE, 4};
    return FG_FRAME_ORDER;
}

/**
 * The source address of any frame, also of one that fg_frame_parse refused, as far as it is there: returns 4
 * or 6 and writes 4 or 16 bytes, or returns 0.
 */
unsigned fg_frame_source(const uint8_t *data, uint32_t len, uint8_t address[16]);

/**
 * Turns the headers of a frame that fg_frame_parse accepted around in place (MAC, IP, ports swapped, TTL 64,
 * congestion marks cleared, IPv4 checksum right) and leaves the UDP checksum to fg_frame_finish. The VLAN tag
 * stays.
 */
void fg_frame_turn(uint8_t *data, const struct fg_frame *frame);

void fg_frame_finish_ipv6(uint8_t *data, const struct fg_frame *frame);

/** UDP checksum after the payload is written: computed for IPv6, 0 ("none", RFC 768) for IPv4. */
static inline void fg_frame_finish(uint8_t *data, const struct fg_frame *frame)
{
    if (fg_likely(frame->ip == 4))
        data[frame->l4 + 6] = data[frame->l4 + 7] = 0;
    else
        fg_frame_finish_ipv6(data, frame);
}

/* ---- where no kernel stands behind the port ------------------------------------------------------------ */

#define FG_HOST_ADDRESSES_MAX 8

struct fg_host_address {
    uint8_t family;    /**< 4 or 6 */
    uint8_t bytes[16]; /**< network byte order; IPv4 in the first four */
};

/** Who the port is, on the network. */
struct fg_host {
    uint8_t mac[6];
    unsigned count;
    struct fg_host_address addresses[FG_HOST_ADDRESSES_MAX];
};

/** "198.18.0.1, 2001:db8::1": how many there are; -1 when it is no such list of at most max unicast
 * addresses. */
int fg_host_addresses_parse(const char *text, struct fg_host_address *addresses, unsigned max);

/**
 * Turns an ARP request, neighbour solicitation or echo request for one of our addresses into its answer, in
 * place; `room`: bytes that the buffer has. At most one VLAN tag, which stays. Returns the length of the
 * answer; 0 when there is none (the frame is unchanged then).
 */
uint32_t fg_host_answer(uint8_t *data, uint32_t len, uint32_t room, const struct fg_host *own);

/** Bytes of a whole frame with a 64-byte payload. */
static inline uint32_t fg_frame_size(const struct fg_frame *frame)
{
    return frame->payload + FG_PACKET_SIZE;
}

#endif
