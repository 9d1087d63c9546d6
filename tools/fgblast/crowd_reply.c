/* SPDX-License-Identifier: BSD-3-Clause */
/* crowd: checks of an answer, and what becomes of its request. */
#include "tools/fgblast/crowd_impl.h"

#include <string.h>

#define PAUSE_MS 10u /* when an answer that says "later" has no hint */

/* The request that this answers; NULL: an earlier sending of it, or none at all. */
static struct slot *find(struct fg_crowd *c, const struct fg_packet_reply *r)
{
    uint32_t number = r->cookie & ((1u << SLOT_BITS) - 1);
    struct slot *s;
    uint8_t id[16];

    if (number >= c->slots_count) {
        fg_model_wrong(&c->m, FG_WRONG_COOKIE, r, "no request has it");
        return NULL;
    }
    s = &c->slots[number];
    if (s->asked.cookie != r->cookie || !s->open) {
        if ((int32_t)(r->cookie - s->asked.cookie) > 0)
            fg_model_wrong(&c->m, FG_WRONG_COOKIE, r, "not sent yet");
        c->m.stats.answers++; /* late: the request was sent again meanwhile */
        return NULL;
    }
    fg_model_order_id(&c->m, s->asked.order, s->asked.shopper, id);
    if (memcmp(id, r->order_id, sizeof(id)) || (r->op & ~FG_PACKET_REPLY) != s->asked.op) {
        fg_model_wrong(&c->m, FG_WRONG_ORDER, r, "asked about order %u", s->asked.order);
        return NULL;
    }
    return s;
}

/* Each answer to a request that is still open was decided after what was told: its copies leave
 * together, and a payment or cancellation leaves later than the order. */
static struct fg_known known_of(const struct fg_crowd *c, const struct slot *s)
{
    const struct accepted *a;

    if (s->kept_at == NONE)
        return (struct fg_known){.told = FG_PACKET_STATUS_NONE};
    a = &c->accepted[s->kept_at];
    return (struct fg_known){.told = a->told,
                             .later = true,
                             .paid = a->asked & CONFIRM_SENT,
                             .cancelled = a->asked & CANCEL_SENT};
}

static void accept(struct fg_crowd *c, struct slot *s, const struct fg_packet_reply *r)
{
    uint64_t deadline_ns = r->deadline_ms * MS;

    if (s->kept_at != NONE)
        return;
    fg_crowd_keep(c, s, r->status);
    fg_model_accepted(&c->m, s->asked.item, s->asked.quantity);
    if (deadline_ns <= c->m.now_ns)
        return;
    if (deadline_ns > c->back_ns)
        c->back_ns = deadline_ns;
    if ((deadline_ns - c->m.now_ns) / MS > c->hold_ms) {
        c->hold_ms = (uint32_t)((deadline_ns - c->m.now_ns) / MS);
        c->lanes[LANES].delay_ms = c->hold_ms + LATE_MS;
    }
}

static void finish(struct fg_crowd *c, struct slot *s, const struct fg_packet_reply *r)
{
    struct accepted *a = &c->accepted[s->kept_at];

    if (a->told == r->status)
        return;
    a->told = r->status;
    fg_model_ended(&c->m, s->asked.item, s->asked.quantity, r->status);
}

static void none_left(struct fg_crowd *c, const struct slot *s)
{
    struct item *item = &c->items[s->asked.item];

    item->refused = true;
    if (s->asked.order < CLOSING || item->closed)
        return;
    item->closed = true;
    c->m.items[s->asked.item].wanting++;
    c->closing_left--;
}

/* All copies are answered: the request is over, or to be sent again in a while. */
static void close_request(struct fg_crowd *c, struct slot *s, const struct fg_packet_reply *r)
{
    bool later = ANY_LATER >> r->status & 1;
    unsigned undecided =
        s->asked.op == FG_PACKET_OP_RESERVE ? FG_PACKET_STATUS_NONE : FG_PACKET_STATUS_RESERVED;

    if (!later || known_of(c, s).told != undecided) {
        fg_crowd_free_slot(c, s);
        return;
    }
    s->sent_ns = c->m.now_ns + (r->retry_ms ? r->retry_ms : PAUSE_MS) * MS;
    fg_crowd_queue(c, &c->busy, s);
}

static void note_time(struct fg_crowd *c, const struct slot *s, const struct fg_packet_reply *r)
{
    uint64_t took = c->m.now_ns - s->sent_ns + s->waited_us * 1000ull;

    if (s->asked.op == FG_PACKET_OP_RESERVE && s->asked.order % SAMPLED == 0 &&
        !(ANY_LATER >> r->status & 1))
        fg_hist_add(is_held(r->status) ? &c->m.stats.accepted : &c->m.stats.rejected, took);
}

static void take(struct fg_crowd *c, const struct fg_packet_reply *r)
{
    struct slot *s = find(c, r);
    struct fg_known known;

    if (!s)
        return;
    c->m.stats.answers++;
    c->m.stats.status[r->status]++;
    s->open--;
    known = known_of(c, s);
    if (fg_model_check(&c->m, &s->asked, &known, r)) {
        note_time(c, s, r);
        if (s->asked.op == FG_PACKET_OP_RESERVE && is_held(r->status))
            accept(c, s, r);
        else if (s->asked.op == FG_PACKET_OP_RESERVE && ANY_NONE_LEFT >> r->status & 1)
            none_left(c, s);
        else if (s->asked.op != FG_PACKET_OP_RESERVE && ANY_OVER >> r->status & 1)
            finish(c, s, r);
    }
    s->told = r->status;
    if (s->open == 0)
        close_request(c, s, r);
}

/* A well-formed reply, but for its tag. */
static bool shape_right(const struct fg_crowd *c, const struct fg_packet_reply *r)
{
    unsigned op = r->op & ~(unsigned)FG_PACKET_REPLY;

    return r->magic == FG_PACKET_MAGIC && r->version == FG_PACKET_VERSION &&
           r->op & FG_PACKET_REPLY && op >= FG_PACKET_OP_RESERVE && op <= FG_PACKET_OP_CANCEL &&
           r->status != FG_PACKET_STATUS_NONE && r->status < FG_PACKET_STATUS_COUNT &&
           !(r->flags & ~FG_PACKET_LATE) && !r->shard_map == !c->m.options->members &&
           (r->key_id == c->m.shop->id || r->key_id == c->m.backend->id);
}

/*
 * That the frame is a reply to the address that asked: nearly always the headers are those of our
 * request, turned around; any others are looked into. The reply's tag comes later.
 */
static bool check_frame(const struct fg_crowd *c, const uint8_t *frame, uint32_t bytes,
                        struct fg_packet_reply *r)
{
    uint32_t at = bytes > 12 && frame[12] == 0x86 ? 62 : 42, order;
    const uint8_t *payload = frame + at;
    const struct template *t;
    struct fg_address to;
    uint16_t port;

    if (bytes < at + FG_PACKET_SIZE)
        return false;
    memcpy(&order, payload + offsetof(struct fg_packet_reply, order_id) + 8, sizeof(order));
    t = fg_crowd_template(c, order);
    port = (uint16_t)(frame[at - 6] << 8 | frame[at - 5]);
    if (fg_unlikely(at != t->frame.payload || memcmp(frame, t->reply, at - 6) ||
                    frame[at - 4] != 0 || frame[at - 3] != FG_PACKET_SIZE + 8)) {
        payload = fg_frame_read(c->frames, frame, bytes, &to, &port);
        if (!payload)
            return false;
        memcpy(&order, payload + offsetof(struct fg_packet_reply, order_id) + 8, sizeof(order));
        if (memcmp(&to, &fg_crowd_template(c, order)->source, sizeof(to)))
            return false;
    }
    memcpy(r, payload, sizeof(*r));
    return port == fg_crowd_port(order);
}

unsigned fg_crowd_read(struct fg_crowd *c, uint64_t now_ns, const uint8_t *const *frames,
                       const uint16_t *bytes, unsigned n)
{
    struct fg_packet_reply replies[FG_CROWD_BURST];
    const uint64_t *secrets[FG_CROWD_BURST];
    const void *payloads[FG_CROWD_BURST];
    uint64_t tags[FG_CROWD_BURST];
    unsigned count = 0;

    FG_ASSERT(n <= FG_CROWD_BURST);
    c->m.now_ns = now_ns;
    for (unsigned i = 0; i < n; i++) {
        struct fg_packet_reply *r = &replies[count];

        if (!check_frame(c, frames[i], bytes[i], r))
            continue;
        payloads[count] = r;
        secrets[count++] = (r->key_id == c->m.backend->id ? c->m.backend : c->m.shop)->secret;
    }
    if (count)
        fg_packet_siphash24_56_many(secrets, payloads, tags, count);
    for (unsigned i = 0; i < count; i++) {
        const struct fg_packet_reply *r = &replies[i];

        if (r->tag != tags[i] || !shape_right(c, r))
            fg_model_wrong(&c->m, FG_WRONG_TAG, r, "key %u", r->key_id);
        else
            take(c, r);
    }
    return n - count;
}
