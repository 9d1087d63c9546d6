/* SPDX-License-Identifier: BSD-3-Clause */
/* crowd: making the crowd, and what is sent when. */
#include "tools/fgblast/crowd_impl.h"

#include <string.h>

static const uint8_t kinds[] = {[FG_PACKET_OP_RESERVE] = FG_KIND_RESERVE,
                                [FG_PACKET_OP_CONFIRM] = FG_KIND_CONFIRM,
                                [FG_PACKET_OP_CANCEL] = FG_KIND_CANCEL};

/* An order of the end has a chosen item. */
struct fg_wish fg_crowd_wish(const struct fg_crowd *c, uint32_t order)
{
    struct fg_wish wish = fg_model_wish(&c->m, order);

    if (order >= CLOSING)
        wish.item = (order - CLOSING) % c->m.items_count;
    return wish;
}

/* ---- slots ----------------------------------------------------------------------------------- */

void fg_crowd_queue(struct fg_crowd *c, struct queue *q, struct slot *s)
{
    uint32_t number = (uint32_t)(s - c->slots);

    s->next = NONE;
    if (q->head == NONE)
        q->head = number;
    else
        c->slots[q->tail].next = number;
    q->tail = number;
}

static struct slot *dequeue(struct fg_crowd *c, struct queue *q)
{
    struct slot *s;

    if (q->head == NONE)
        return NULL;
    s = &c->slots[q->head];
    q->head = s->next;
    return s;
}

static struct slot *take_slot(struct fg_crowd *c, uint32_t order, unsigned op)
{
    struct slot *s = c->slots_used < c->window ? dequeue(c, &c->idle) : NULL;
    struct fg_wish wish;

    if (!s)
        return NULL;
    c->slots_used++;
    wish = fg_crowd_wish(c, order);
    s->asked = (struct fg_asked){.order = order,
                                 .shopper = wish.shopper,
                                 .cookie = s->asked.cookie,
                                 .item = wish.item,
                                 .quantity = wish.quantity,
                                 .op = (uint8_t)op};
    s->kept_at = NONE;
    s->tries = 0;
    s->waited_us = 0;
    return s;
}

void fg_crowd_free_slot(struct fg_crowd *c, struct slot *s)
{
    if (s->asked.order >= CLOSING && s->asked.op == FG_PACKET_OP_RESERVE)
        c->items[s->asked.item].closing--;
    s->asked.op = 0;
    c->slots_used--;
    fg_crowd_queue(c, &c->idle, s);
}

/* The order stays: it was accepted, or may have been. */
void fg_crowd_keep(struct fg_crowd *c, struct slot *s, unsigned told)
{
    if (s->kept_at == NONE && c->accepted_count < c->accepted_max) {
        s->kept_at = c->accepted_count++;
        c->accepted[s->kept_at] = (struct accepted){.order = s->asked.order,
                                                    .told_ms = fg_crowd_ms(c, c->m.now_ns),
                                                    .pays = c->phase != SELLING};
    }
    FG_ASSERT(s->kept_at != NONE); /* fg_crowd_pick stops before there is no place left */
    c->accepted[s->kept_at].told = (uint8_t)told;
}

/* ---- who comes next -------------------------------------------------------------------------- */

/* The operation that the accepted order's shopper asks for in this lane; 0: none. */
static unsigned plan_of(const struct fg_crowd *c, const struct accepted *a, bool late)
{
    enum fg_plan plan;

    if (a->told != FG_PACKET_STATUS_RESERVED)
        return 0;
    plan = a->pays ? FG_PLAN_PAY : fg_model_plan(&c->m, fg_model_wish(&c->m, a->order).chance);
    if (late)
        return plan == FG_PLAN_PAY_LATE ? FG_PACKET_OP_CONFIRM : 0;
    return plan == FG_PLAN_PAY      ? FG_PACKET_OP_CONFIRM
           : plan == FG_PLAN_CANCEL ? FG_PACKET_OP_CANCEL
                                    : 0;
}

static struct slot *from_lane(struct fg_crowd *c, struct lane *lane, uint32_t now_ms)
{
    for (; lane->next < c->accepted_count; lane->next += lane->step) {
        struct accepted *a = &c->accepted[lane->next];
        struct slot *s;
        unsigned op;

        if (a->told_ms + lane->delay_ms > now_ms)
            return NULL;
        op = plan_of(c, a, lane == &c->lanes[LANES]);
        if (!op)
            continue;
        s = take_slot(c, a->order, op);
        if (!s)
            return NULL;
        a->asked |= op == FG_PACKET_OP_CONFIRM ? CONFIRM_SENT : CANCEL_SENT;
        s->kept_at = lane->next;
        lane->next += lane->step;
        return s;
    }
    return NULL;
}

static struct slot *new_order(struct fg_crowd *c)
{
    struct slot *s = take_slot(c, c->orders, FG_PACKET_OP_RESERVE);

    if (!s)
        return NULL;
    c->orders++;
    c->m.items[s->asked.item].orders++;
    c->m.stats.orders++;
    return s;
}

/* For one item after the other that is not known to be sold out; one shopper at a time for each. */
static struct slot *closing_order(struct fg_crowd *c)
{
    for (uint32_t n = 0; n < c->m.items_count; n++) {
        uint32_t index = c->closing_next;
        struct item *item = &c->items[index];
        struct slot *s;

        if (item->refused && !item->closed && item->closing == 0) {
            s = take_slot(c, CLOSING + item->rounds * c->m.items_count + index,
                          FG_PACKET_OP_RESERVE);
            if (!s)
                return NULL;
            item->rounds++;
            item->closing++;
            c->m.items[index].orders++;
            c->m.stats.orders++;
            return s;
        }
        c->closing_next = index + 1 == c->m.items_count ? 0 : index + 1;
    }
    return NULL;
}

/* A request that waits for its turn; new orders come after it. */
static struct slot *due_slot(struct fg_crowd *c, uint32_t now_ms)
{
    struct slot *s = dequeue(c, &c->again);

    if (!s && c->busy.head != NONE && c->slots[c->busy.head].sent_ns <= c->m.now_ns)
        s = dequeue(c, &c->busy);
    for (unsigned i = 0; !s && i < c->lanes_count; i++)
        s = from_lane(c, &c->lanes[i], now_ms);
    return s;
}

static struct slot *fresh_slot(struct fg_crowd *c)
{
    if (fg_likely(c->phase == SELLING))
        return new_order(c);
    return c->phase == CLOSING_DOWN ? closing_order(c) : NULL;
}

/* ---- phases ---------------------------------------------------------------------------------- */

static bool lanes_done(const struct fg_crowd *c)
{
    for (unsigned i = 0; i < c->lanes_count; i++)
        if (c->lanes[i].next < c->accepted_count)
            return false;
    return true;
}

static bool limit_reached(const struct fg_crowd *c)
{
    return fg_model_limit_reached(&c->m) || c->orders == CLOSING ||
           c->accepted_count + c->window >= c->accepted_max;
}

static void check_phase(struct fg_crowd *c)
{
    if (c->phase == SELLING && limit_reached(c)) {
        c->phase = DRAINING;
        c->drain_ns = c->m.now_ns;
    }
    if (c->phase == DRAINING && c->slots_used == 0 && lanes_done(c) &&
        c->m.now_ns > c->back_ns + SETTLE_NS) {
        c->phase = CLOSING_DOWN;
        for (unsigned i = 0; i < LANES; i++)
            c->lanes[i].delay_ms = 0;
        for (uint32_t i = 0; i < c->m.items_count; i++)
            c->closing_left += c->items[i].refused;
    }
    if (c->phase == CLOSING_DOWN && c->closing_left == 0 && c->slots_used == 0 && lanes_done(c))
        c->phase = ENDED;
}

/* Requests that were not answered are sent again; in the end, their orders are kept as unanswered.
 */
static void give_up(struct fg_crowd *c, struct slot *s)
{
    c->m.stats.gave_up++;
    if (s->asked.op == FG_PACKET_OP_RESERVE)
        fg_crowd_keep(c, s,
                      s->told == FG_PACKET_STATUS_RESERVED ? FG_PACKET_STATUS_RESERVED
                                                           : FG_PACKET_STATUS_NONE);
    else
        c->accepted[s->kept_at].open = 1;
    fg_crowd_free_slot(c, s);
}

static void scan(struct fg_crowd *c)
{
    c->scan_ns = c->m.now_ns + SCAN_NS;
    for (uint32_t i = 0; i < c->slots_count; i++) {
        struct slot *s = &c->slots[i];

        if (!s->asked.op || !s->open ||
            c->m.now_ns - s->sent_ns < fg_model_timeout(&c->m, s->tries))
            continue;
        s->open = 0;
        if (s->asked.op == FG_PACKET_OP_RESERVE &&
            s->kept_at != NONE) { /* accepted: the other copy's answer is not needed */
            fg_crowd_free_slot(c, s);
            continue;
        }
        if (s->tries == c->m.options->retries) {
            give_up(c, s);
            continue;
        }
        s->tries++;
        s->waited_us += (uint32_t)((c->m.now_ns - s->sent_ns) / 1000);
        fg_crowd_queue(c, &c->again, s);
    }
}

void fg_crowd_stop(struct fg_crowd *c)
{
    for (uint32_t i = 0; i < c->slots_count; i++)
        if (c->slots[i].asked.op)
            give_up(c, &c->slots[i]);
}

static void pick(struct fg_crowd *c, struct slot *s)
{
    bool twice = fg_happens(&c->m.random, c->m.bar_duplicates);

    s->asked.cookie += 1u << SLOT_BITS;
    s->sent_ns = c->m.now_ns;
    s->told = FG_PACKET_STATUS_NONE;
    s->open = (uint8_t)(1 + twice);
    for (unsigned i = 0; i < s->open; i++)
        c->picked[c->picked_count++] = (uint32_t)(s - c->slots);
    c->m.stats.sent[s->tries ? FG_KIND_RETRY : kinds[s->asked.op]]++;
    c->m.stats.sent[FG_KIND_DUPLICATE] += twice;
    c->m.stats.packets += s->open;
}

unsigned fg_crowd_pick(struct fg_crowd *c, uint64_t now_ns, unsigned max)
{
    uint32_t now_ms = fg_crowd_ms(c, now_ns);
    bool due = true;

    FG_ASSERT(max <= FG_CROWD_BURST);
    c->m.now_ns = now_ns;
    c->picked_count = 0;
    if (now_ns >= c->scan_ns)
        scan(c);
    check_phase(c);
    while (c->picked_count + COPIES_MAX <= max) {
        struct slot *s = due ? due_slot(c, now_ms) : NULL;

        if (!s) {
            due = false;
            s = fresh_slot(c);
        }
        if (!s)
            break;
        pick(c, s);
    }
    return c->picked_count;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Everything but the tag. */
static void fill(const struct fg_crowd *c, const struct slot *s, const struct template *t,
                 uint8_t *out)
{
    struct fg_packet_request r;
    uint16_t port = __builtin_bswap16(fg_crowd_port(s->asked.order));

    fg_model_request(&c->m, &s->asked, &r);
    memcpy(out, t->head, sizeof(t->head));
    memcpy(out + t->frame.l4, &port, sizeof(port));
    memcpy(out + t->frame.payload, &r, sizeof(r));
}

void fg_crowd_write(struct fg_crowd *c, uint8_t *const *out)
{
    const uint64_t *secrets[FG_CROWD_BURST];
    const void *payloads[FG_CROWD_BURST];
    uint64_t tags[FG_CROWD_BURST];
    unsigned n = c->picked_count;

    for (unsigned i = 0; i < n; i++) {
        const struct slot *s = &c->slots[c->picked[i]];
        const struct template *t = fg_crowd_template(c, s->asked.order);

        fill(c, s, t, out[i]);
        c->bytes[i] = (uint16_t)fg_frame_size(&t->frame);
        payloads[i] = out[i] + t->frame.payload;
        secrets[i] = fg_model_key(&c->m, s->asked.op)->secret;
    }
    if (n)
        fg_packet_siphash24_56_many(secrets, payloads, tags, n);
    for (unsigned i = 0; i < n; i++) {
        const struct template *t = fg_crowd_template(c, c->slots[c->picked[i]].asked.order);

        memcpy(out[i] + t->frame.payload + FG_PACKET_TAG_AT, &tags[i], sizeof(tags[i]));
        fg_frame_finish(out[i], &t->frame);
    }
}

const uint16_t *fg_crowd_bytes(const struct fg_crowd *c)
{
    return c->bytes;
}

/* ---- making and asking ----------------------------------------------------------------------- */

void fg_crowd_enough(struct fg_crowd *c)
{
    c->m.enough = true;
}

bool fg_crowd_done(const struct fg_crowd *c, uint64_t now_ns)
{
    return c->phase == ENDED ||
           (c->phase != SELLING && now_ns - c->drain_ns > c->m.options->drain_seconds * 1000 * MS);
}

bool fg_crowd_finished(const struct fg_crowd *c)
{
    return c->phase == ENDED;
}

void fg_crowd_view(const struct fg_crowd *c, struct fg_view *view)
{
    *view = fg_model_view(&c->m, c->slots_used, c->phase != SELLING);
}
