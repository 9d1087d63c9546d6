/* SPDX-License-Identifier: BSD-3-Clause */
/* Request and reply: names, strict check, tag. */
#include <string.h>

#include "packet/packet.h"

#define NAME_MAX_LEN 15
#define CHECK_BURST  64 /* requests whose tags are checked together */

/* One above the largest operation: they are numbered from 1 without a gap. */
#define X(name, number, roles, text) +1
enum { OP_COUNT = 1 FG_PACKET_OP_LIST(X) };
#undef X

static const char *const op_names[OP_COUNT] = {
#define X(name, number, roles, text) [number] = #name,
    FG_PACKET_OP_LIST(X)
#undef X
};

static const char *const status_names[FG_PACKET_STATUS_COUNT] = {
#define X(name, number, text) [number] = #name,
    FG_PACKET_STATUS_LIST(X)
#undef X
};

static const char *const status_texts[FG_PACKET_STATUS_COUNT] = {
#define X(name, number, text) [number] = text,
    FG_PACKET_STATUS_LIST(X)
#undef X
};

static const char *const drop_texts[FG_PACKET_DROP_COUNT] = {[FG_PACKET_DROP_NONE] = "?",
#define X(name, text) [FG_PACKET_DROP_##name] = text,
                                                             FG_PACKET_DROP_LIST(X)
#undef X
};

static char drop_names[FG_PACKET_DROP_COUNT][NAME_MAX_LEN + 1] = {[FG_PACKET_DROP_NONE] = "?",
#define X(name, text) [FG_PACKET_DROP_##name] = #name,
                                                                  FG_PACKET_DROP_LIST(X)
#undef X
};

/* The list says IP_HEADER once; counters are called ip-header. */
__attribute__((constructor)) static void drop_names_lower(void)
{
    for (int i = 0; i < FG_PACKET_DROP_COUNT; i++)
        for (char *c = drop_names[i]; *c; c++)
            *c = *c == '_' ? '-' : *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
}

const char *fg_packet_op_name(unsigned op)
{
    return op < OP_COUNT && op_names[op] ? op_names[op] : "?";
}

const char *fg_packet_status_name(unsigned status)
{
    return status < FG_PACKET_STATUS_COUNT && status_names[status] ? status_names[status] : "?";
}

const char *fg_packet_status_text(unsigned status)
{
    return status < FG_PACKET_STATUS_COUNT && status_texts[status] ? status_texts[status] : "?";
}

const char *fg_packet_drop_name(unsigned drop)
{
    return drop < FG_PACKET_DROP_COUNT ? drop_names[drop] : "?";
}

const char *fg_packet_drop_text(unsigned drop)
{
    return drop < FG_PACKET_DROP_COUNT ? drop_texts[drop] : "?";
}

/* Bits that must be zero in a request, by operation. */
struct shape {
    uint64_t user, item, until_ms;
    uint32_t flags; /* bytes 48 to 51 */
    uint16_t quantity;
    bool known;
};

#define NOT_RESTOCK (UINT32_MAX & ~(uint32_t)FG_PACKET_RESTOCK)

static const struct shape shapes[OP_COUNT] = {
    [FG_PACKET_OP_RESERVE] = {0, 0, UINT64_MAX, UINT32_MAX, 0, true},
    [FG_PACKET_OP_CONFIRM] = {0, UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT16_MAX, true},
    [FG_PACKET_OP_CANCEL] = {0, UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT16_MAX, true},
    [FG_PACKET_OP_QUERY] = {0, UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT16_MAX, true},
    [FG_PACKET_OP_STOCK] = {UINT64_MAX, 0, UINT64_MAX, UINT32_MAX, UINT16_MAX, true},
    [FG_PACKET_OP_EXTEND] = {0, UINT64_MAX, 0, UINT32_MAX, UINT16_MAX, true},
    [FG_PACKET_OP_REFUND] = {0, UINT64_MAX, UINT64_MAX, NOT_RESTOCK, UINT16_MAX, true},
    [FG_PACKET_OP_ORDERS] = {0, 0, UINT64_MAX, UINT32_MAX, 0, true},
    [FG_PACKET_OP_WAIT] = {0, 0, UINT64_MAX, UINT32_MAX, 0, true},
};

static inline bool request_shape_ok(const fg_packet_request_at *r)
{
    const struct shape *shape;
    uint32_t flags;

    memcpy(&flags, &r->flags, sizeof(flags));     /* with the reserved bytes behind it */
    if (fg_likely(r->op == FG_PACKET_OP_RESERVE)) /* as its row says */
        return !(r->until_ms | flags);
    if (fg_unlikely(r->op >= OP_COUNT))
        return false;
    shape = &shapes[r->op];
    return shape->known &&
           !((r->user & shape->user) | (r->item & shape->item) | (r->until_ms & shape->until_ms) |
             (r->quantity & shape->quantity) | (flags & shape->flags));
}

/* All but the tag. */
static inline enum fg_packet_drop check_fields(const void *payload,
                                               const struct fg_packet_keyring *ring,
                                               const struct fg_packet_key **key, uint64_t *tag)
{
    const fg_packet_request_at *r = payload;

    *tag = r->tag;
    if (fg_unlikely(r->magic != FG_PACKET_MAGIC || r->version != FG_PACKET_VERSION))
        return FG_PACKET_DROP_MAGIC;
    if (fg_unlikely(!request_shape_ok(r)))
        return FG_PACKET_DROP_SHAPE;
    *key = fg_packet_keyring_find(ring, r->key_id);
    return fg_likely(*key != NULL) ? FG_PACKET_DROP_NONE : FG_PACKET_DROP_KEY;
}

static void check_some(const void *const *payloads, unsigned n,
                       const struct fg_packet_keyring *ring, const struct fg_packet_key **keys,
                       enum fg_packet_drop *drops)
{
    const uint64_t *secrets[CHECK_BURST];
    uint64_t tags[CHECK_BURST], right[CHECK_BURST];

    for (unsigned i = 0; i < n; i++) {
        drops[i] = check_fields(payloads[i], ring, &keys[i], &tags[i]);
        secrets[i] =
            drops[i] ? ring->keys[0].secret : keys[i]->secret; /* any: its tag is not checked */
    }
    fg_packet_siphash24_56_many(secrets, payloads, right, n);
    for (unsigned i = 0; i < n; i++)
        if (fg_unlikely(!drops[i] && tags[i] != right[i]))
            drops[i] = FG_PACKET_DROP_TAG;
}

void fg_packet_requests_check(const void *const *payloads, unsigned n,
                              const struct fg_packet_keyring *ring,
                              const struct fg_packet_key **keys, enum fg_packet_drop *drops)
{
    for (unsigned i = 0; i < n; i += CHECK_BURST)
        check_some(payloads + i, n - i < CHECK_BURST ? n - i : CHECK_BURST, ring, keys + i,
                   drops + i);
}

enum fg_packet_drop fg_packet_request_check(const void *payload,
                                            const struct fg_packet_keyring *ring,
                                            const struct fg_packet_key **key)
{
    const struct fg_packet_key *found = NULL;
    enum fg_packet_drop drop;

    fg_packet_requests_check(&payload, 1, ring, &found, &drop);
    if (drop == FG_PACKET_DROP_NONE)
        *key = found;
    return drop;
}

void fg_packet_request_seal(struct fg_packet_request *request, const struct fg_packet_key *key)
{
    request->magic = FG_PACKET_MAGIC;
    request->version = FG_PACKET_VERSION;
    request->tag = fg_packet_siphash24_56(key->secret, request);
}

void fg_packet_reply_seal(struct fg_packet_reply *reply, const struct fg_packet_key *key)
{
    reply->magic = FG_PACKET_MAGIC;
    reply->version = FG_PACKET_VERSION;
    reply->tag = fg_packet_siphash24_56(key->secret, reply);
}

bool fg_packet_reply_check(const void *payload, const struct fg_packet_key *key)
{
    struct fg_packet_reply r;
    unsigned op;

    memcpy(&r, payload, sizeof(r));
    if (r.magic != FG_PACKET_MAGIC || r.version != FG_PACKET_VERSION || r.key_id != key->id)
        return false;
    op = r.op & ~(unsigned)FG_PACKET_REPLY;
    if (!(r.op & FG_PACKET_REPLY) || op >= OP_COUNT || !op_names[op])
        return false;
    if (r.status == FG_PACKET_STATUS_NONE || r.status >= FG_PACKET_STATUS_COUNT)
        return false;
    if (r.flags & ~FG_PACKET_LATE)
        return false;
    return fg_packet_siphash24_56(key->secret, payload) == r.tag;
}
