/* SPDX-License-Identifier: BSD-3-Clause */
/* crowd: checks of an answer, and what becomes of its request. */
#include "tools/fgblast/crowd_impl.h"

#include <stdarg.h>
#include <string.h>

#define BIT(status) (1u << FG_PACKET_STATUS_##status)
#define OVER        (BIT(SOLD) | BIT(CANCELLED) | BIT(EXPIRED))
#define HELD        (BIT(RESERVED) | OVER)
#define NONE_LEFT   (BIT(SOLD_OUT) | BIT(INSUFFICIENT))
#define LATER       (BIT(BUSY) | BIT(UNAVAILABLE) | BIT(PAUSED) | BIT(NOT_OPEN))
#define UNSENT      (BIT(REFUNDED) | BIT(WAITING) | BIT(NOT_LEADER) | BIT(WRONG_SHARD))
#define PAUSE_MS    10u /* when an answer that says "later" has no hint */

/* What may be told. A RESERVE whose first answer was lost may find its order expired; its other
 * copy may find it paid. */
static const uint32_t legal[] = {
    [FG_PACKET_OP_RESERVE] = ~(1u << FG_PACKET_STATUS_NONE | BIT(UNKNOWN_ORDER) | BIT(ON_SALE) |
                               BIT(CONFLICT) | BIT(SOLD) | BIT(CANCELLED) | UNSENT),
    [FG_PACKET_OP_CONFIRM] = BIT(SOLD) | BIT(EXPIRED) | LATER | BIT(DENIED),
    [FG_PACKET_OP_CANCEL] = BIT(CANCELLED) | BIT(EXPIRED) | LATER | BIT(DENIED),
};

__attribute__((format(printf, 4, 5), cold)) static void
wrong(struct fg_crowd *c, enum fg_wrong what, const struct fg_packet_reply *r, const char *fmt, ...)
{
    char why[128];
    va_list args;

    c->stats.wrong[what]++;
    c->stats.contradictions++;
    if (c->examples_count == FG_WRONG_EXAMPLES)
        return;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    snprintf(c->examples[c->examples_count++], sizeof(c->examples[0]),
             "%s (op %s, status %s, cookie %08x): %s", fg_wrong_text(what),
             fg_packet_op_name(r->op & ~FG_PACKET_REPLY), fg_packet_status_name(r->status),
             r->cookie, why);
}

/* The request that this answers; NULL: an earlier sending of it, or none at all. */
static struct slot *find(struct fg_crowd *c, const struct fg_packet_reply *r)
{
    uint32_t number = r->cookie & ((1u << PLACE_BITS) - 1);
    struct slot *s;
    uint8_t id[16];

    if (number >= c->slots_count) {
        wrong(c, FG_WRONG_COOKIE, r, "no request has it");
        return NULL;
    }
    s = &c->slots[number];
    if (s->cookie != r->cookie || !s->open) {
        if ((int32_t)(r->cookie - s->cookie) > 0)
            wrong(c, FG_WRONG_COOKIE, r, "not sent yet");
        c->stats.answers++; /* late: the request was sent again meanwhile */
        return NULL;
    }
    fg_crowd_order_id(c, s->order, id);
    if (memcmp(id, r->order_id, sizeof(id)) || (r->op & ~FG_PACKET_REPLY) != s->op) {
        wrong(c, FG_WRONG_ORDER, r, "asked about order %u", s->order);
        return NULL;
    }
    return s;
}

static bool check_fields(struct fg_crowd *c, const struct slot *s, const struct fg_packet_reply *r)
{
    bool held = HELD >> r->status & 1;
    uint64_t item = c->items[s->item].story.item;
    bool good = r->key_id == (s->op == FG_PACKET_OP_CONFIRM ? c->backend : c->shop)->id;

    good &= r->quantity == (held ? s->quantity : 0);
    good &= r->item == item || (s->op != FG_PACKET_OP_RESERVE && !held && r->item == 0);
    good &= (r->deadline_ms != 0) == (r->status == FG_PACKET_STATUS_RESERVED);
    if (r->status == FG_PACKET_STATUS_SOLD_OUT)
        good &= r->left == 0;
    if (r->status == FG_PACKET_STATUS_INSUFFICIENT)
        good &= r->left > 0 && r->left < s->quantity;
    if (!good)
        wrong(c, FG_WRONG_FIELDS, r, "item %llu quantity %u deadline %llu left %u",
              (unsigned long long)r->item, r->quantity, (unsigned long long)r->deadline_ms,
              r->left);
    return good;
}

/* What was told of this order before, and is true for ever. */
static unsigned known(const struct fg_crowd *c, const struct slot *s)
{
    return s->place == NONE
               ? (s->told == FG_PACKET_STATUS_RESERVED ? s->told : FG_PACKET_STATUS_NONE)
               : c->accepted[s->place].told;
}

static bool check_story(struct fg_crowd *c, const struct slot *s, const struct fg_packet_reply *r)
{
    unsigned before = known(c, s);
    bool bad = false;

    if (LATER >> r->status & 1)
        return true;
    if (before == FG_PACKET_STATUS_EXPIRED) /* another copy may be a late payment */
        bad = !(OVER >> r->status & 1);
    else if (OVER >> before & 1) /* SOLD stays sold ... */
        bad = r->status != before;
    else if (before == FG_PACKET_STATUS_RESERVED)
        bad = !(HELD >> r->status & 1);
    if (bad)
        wrong(c, FG_WRONG_STORY, r, "was told %s", fg_packet_status_name(before));
    return !bad;
}

static void accept(struct fg_crowd *c, struct slot *s, const struct fg_packet_reply *r)
{
    struct fg_item_story *story = &c->items[s->item].story;
    uint64_t deadline_ns = r->deadline_ms * MS;

    if (s->place != NONE)
        return;
    fg_crowd_keep(c, s, r->status);
    c->stats.reserved++;
    c->stats.units_reserved += s->quantity;
    story->reserved += s->quantity;
    if (deadline_ns <= c->now_ns)
        return;
    if (deadline_ns > c->back_ns)
        c->back_ns = deadline_ns;
    if ((deadline_ns - c->now_ns) / MS > c->hold_ms) {
        c->hold_ms = (uint32_t)((deadline_ns - c->now_ns) / MS);
        c->lanes[LANES].delay_ms = c->hold_ms + LATE_MS;
    }
}

static void finish(struct fg_crowd *c, struct slot *s, const struct fg_packet_reply *r)
{
    struct accepted *a = &c->accepted[s->place];

    if (a->told == r->status)
        return;
    a->told = r->status;
    if (r->status == FG_PACKET_STATUS_SOLD) {
        c->stats.sold++;
        c->stats.units_sold += r->quantity;
        c->items[s->item].story.sold += r->quantity;
    } else if (r->status == FG_PACKET_STATUS_CANCELLED) {
        c->items[s->item].story.cancelled += r->quantity;
    }
}

static void none_left(struct fg_crowd *c, const struct slot *s)
{
    struct item *item = &c->items[s->item];

    item->refused = true;
    if (s->order < CLOSING || item->closed)
        return;
    item->closed = true;
    item->story.wanting++;
    c->closing_left--;
}

/* All copies are answered: the request is over, or to be sent again in a while. */
static void close_request(struct fg_crowd *c, struct slot *s, const struct fg_packet_reply *r)
{
    bool later = LATER >> r->status & 1;

    if (!later || known(c, s) != (s->op == FG_PACKET_OP_RESERVE ? FG_PACKET_STATUS_NONE
                                                                : FG_PACKET_STATUS_RESERVED)) {
        fg_crowd_free_slot(c, s);
        return;
    }
    s->sent_ns = c->now_ns + (r->retry_ms ? r->retry_ms : PAUSE_MS) * MS;
    fg_crowd_queue(c, &c->busy, s);
}

static void note_time(struct fg_crowd *c, const struct slot *s, const struct fg_packet_reply *r)
{
    uint64_t took = c->now_ns - s->sent_ns + s->waited_us * 1000ull;

    if (s->op == FG_PACKET_OP_RESERVE && s->order % SAMPLED == 0 && !(LATER >> r->status & 1))
        fg_hist_add(HELD >> r->status & 1 ? &c->stats.accepted : &c->stats.rejected, took);
}

static void take(struct fg_crowd *c, const struct fg_packet_reply *r)
{
    struct slot *s = find(c, r);

    if (!s)
        return;
    c->stats.answers++;
    c->stats.status[r->status]++;
    s->open--;
    if (!(legal[s->op] >> r->status & 1) &&
        !(s->op == FG_PACKET_OP_RESERVE && s->place != NONE && OVER >> r->status & 1))
        wrong(c, FG_WRONG_STATUS, r, "order %u", s->order);
    else if (check_fields(c, s, r) && check_story(c, s, r)) {
        note_time(c, s, r);
        if (s->op == FG_PACKET_OP_RESERVE && HELD >> r->status & 1)
            accept(c, s, r);
        else if (s->op == FG_PACKET_OP_RESERVE && NONE_LEFT >> r->status & 1)
            none_left(c, s);
        else if (s->op != FG_PACKET_OP_RESERVE && OVER >> r->status & 1)
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
           !((r->flags & ~FG_PACKET_LATE) | r->shard_map) &&
           (r->key_id == c->shop->id || r->key_id == c->backend->id);
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
    c->now_ns = now_ns;
    for (unsigned i = 0; i < n; i++) {
        struct fg_packet_reply *r = &replies[count];

        if (!check_frame(c, frames[i], bytes[i], r))
            continue;
        payloads[count] = r;
        secrets[count++] = (r->key_id == c->backend->id ? c->backend : c->shop)->secret;
    }
    if (count)
        fg_packet_siphash24_56_many(secrets, payloads, tags, count);
    for (unsigned i = 0; i < count; i++) {
        const struct fg_packet_reply *r = &replies[i];

        if (r->tag != tags[i] || !shape_right(c, r))
            wrong(c, FG_WRONG_TAG, r, "key %u", r->key_id);
        else
            take(c, r);
    }
    return n - count;
}
