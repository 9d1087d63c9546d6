/* SPDX-License-Identifier: BSD-3-Clause */
/* reply: checks of an answer, and what its shopper does next. */
#include <stdarg.h>
#include <string.h>

#include "tools/fgblast/world_impl.h"

#define BIT(status) (1u << FG_PACKET_STATUS_##status)
#define UNDECIDED   (BIT(BUSY) | BIT(UNAVAILABLE) | BIT(DENIED)) /* say nothing of the order */
#define OVER        (BIT(SOLD) | BIT(CANCELLED) | BIT(EXPIRED))
#define HELD        (BIT(RESERVED) | OVER)
#define HOLD_MAX_NS (49 * 86400ull * 1000 * MS)

_Static_assert(FG_PACKET_STATUS_COUNT <= 32, "a set of statuses is a word");

static const uint32_t legal[] = {
    [FG_PACKET_OP_RESERVE] = ~(1u << FG_PACKET_STATUS_NONE | BIT(UNKNOWN_ORDER) | BIT(ON_SALE) |
                               BIT(REFUNDED) | BIT(WAITING) | BIT(NOT_LEADER) | BIT(WRONG_SHARD)),
    [FG_PACKET_OP_CONFIRM] = OVER | UNDECIDED | BIT(UNKNOWN_ORDER),
    [FG_PACKET_OP_CANCEL] = OVER | UNDECIDED | BIT(UNKNOWN_ORDER),
};

/* What a status means to the shopper who waits. */
enum meaning { ACCEPTED, FINAL, NONE_LEFT, REFUSED, LATER, CLASSES };

static enum meaning meaning_of(const struct fg_packet_reply *r)
{
    if (BIT(RESERVED) >> r->status & 1)
        return ACCEPTED;
    if (OVER >> r->status & 1)
        return FINAL;
    if ((BIT(SOLD_OUT) | BIT(INSUFFICIENT)) >> r->status & 1)
        return NONE_LEFT;
    if ((BIT(NOT_OPEN) | BIT(PAUSED) | BIT(BUSY) | BIT(UNAVAILABLE)) >> r->status & 1 ||
        r->retry_ms)
        return LATER;
    return REFUSED;
}

__attribute__((format(printf, 4, 5), cold)) static void
wrong(struct fg_world *w, enum fg_wrong what, const struct fg_packet_reply *r, const char *fmt, ...)
{
    char *text = w->examples[w->examples_count < FG_WRONG_EXAMPLES ? w->examples_count : 0];
    size_t size = sizeof(w->examples[0]);
    va_list args;
    int used;

    w->stats.wrong[what]++;
    w->stats.contradictions++;
    if (w->examples_count == FG_WRONG_EXAMPLES)
        return;
    w->examples_count++;
    used = snprintf(text, size, "%s (op %s, status %s, order ", fg_wrong_text(what),
                    fg_packet_op_name(r->op & ~FG_PACKET_REPLY), fg_packet_status_name(r->status));
    for (unsigned i = 0; i < 16; i++)
        used += snprintf(text + used, size - (size_t)used, "%02x", r->order_id[i]);
    used += snprintf(text + used, size - (size_t)used, "): ");
    va_start(args, fmt);
    vsnprintf(text + used, size - (size_t)used, fmt, args);
    va_end(args);
}

static bool check_tag(struct fg_world *w, const void *payload, struct fg_packet_reply *r)
{
    const struct fg_packet_key *key;

    memcpy(r, payload, sizeof(*r));
    key = r->key_id == w->shop->id ? w->shop : w->backend;
    if (r->key_id == key->id && fg_packet_reply_check(payload, key))
        return true;
    wrong(w, FG_WRONG_TAG, r, "key %u", r->key_id);
    return false;
}

static void noise_reply(struct fg_world *w, const struct fg_packet_reply *r, uint32_t kind)
{
    if (kind == FG_KIND_OVERRATE)
        w->stats.overrate_answers++;
    else if (kind == FG_KIND_BLOCKED)
        wrong(w, FG_WRONG_BLOCKED, r, "the filter let it in");
    else if (kind == FG_KIND_FORGED)
        wrong(w, FG_WRONG_FORGED, r, "the tag was not checked");
    else if (kind == FG_KIND_MALFORMED)
        wrong(w, FG_WRONG_MALFORMED, r, "the shape was not checked");
    else
        wrong(w, FG_WRONG_ORDER, r, "no such order");
}

/* The order that the answer belongs to; NULL when it is none of a shopper's. */
static struct order *find_order(struct fg_world *w, const struct fg_packet_reply *r)
{
    uint64_t nonce;
    uint32_t number, shopper;

    memcpy(&nonce, r->order_id, 8);
    memcpy(&number, r->order_id + 8, 4);
    memcpy(&shopper, r->order_id + 12, 4);
    if (nonce == w->nonce && shopper >= FG_ORDER_NOISE) {
        noise_reply(w, r, shopper - FG_ORDER_NOISE);
        return NULL;
    }
    if (nonce != w->nonce || number >= w->orders_count || w->orders[number].shopper != shopper) {
        wrong(w, FG_WRONG_ORDER, r, "no such order");
        return NULL;
    }
    return &w->orders[number];
}

static bool check_asked(struct fg_world *w, const struct fg_packet_reply *r, const struct order *o,
                        const struct fg_address *to, uint16_t port)
{
    struct fg_send sent;
    uint32_t age = next_cookie(w) - r->cookie;

    fg_world_source(w, o->shopper, &sent);
    if (sent.port != port || memcmp(&sent.source, to, sizeof(*to))) {
        wrong(w, FG_WRONG_ADDRESS, r, "port %u, asked from %u", port, sent.port);
        return false;
    }
    if (age == 0 || age > w->cookies) {
        wrong(w, FG_WRONG_COOKIE, r, "cookie %u", r->cookie);
        return false;
    }
    return true;
}

static bool check_fields(struct fg_world *w, const struct fg_packet_reply *r, const struct order *o,
                         unsigned op)
{
    uint64_t item = w->items[o->item].story.item;
    bool held = HELD >> r->status & 1;
    bool good = r->key_id == (op == FG_PACKET_OP_CONFIRM ? w->backend : w->shop)->id;

    good &= r->quantity == (held ? o->quantity : 0);
    good &= r->item == item || (op != FG_PACKET_OP_RESERVE && !held && r->item == 0);
    good &= (r->deadline_ms != 0) == (r->status == FG_PACKET_STATUS_RESERVED);
    if (r->status == FG_PACKET_STATUS_SOLD_OUT)
        good &= r->left == 0;
    if (r->status == FG_PACKET_STATUS_INSUFFICIENT)
        good &= r->left > 0 && r->left < o->quantity;
    if (!good)
        wrong(w, FG_WRONG_FIELDS, r,
              "item %llu quantity %u deadline %llu left %u; asked: item %llu quantity %u",
              (unsigned long long)r->item, r->quantity, (unsigned long long)r->deadline_ms, r->left,
              (unsigned long long)item, o->quantity);
    return good;
}

/*
 * Against what was told before. A request that left before that became known may have been decided
 * earlier (UDP keeps no order); one that left later must agree. Ends never differ, whenever they
 * were asked for; but an expired order can be paid late, or closed.
 */
static bool check_story(struct fg_world *w, const struct fg_packet_reply *r, const struct order *o)
{
    uint32_t now = 1u << r->status, told = o->told ? 1u << o->told : 0;
    bool later = told && (int32_t)(r->cookie - o->told_at) >= 0;
    bool bad =
        r->status == FG_PACKET_STATUS_CONFLICT || r->status == FG_PACKET_STATUS_UNKNOWN_ORDER;

    if (now & UNDECIDED)
        return true;
    bad |= (told & OVER) && (now & OVER) && now != told && !((told | now) & BIT(EXPIRED));
    bad |= later && (told & OVER) && now != told && !(told == BIT(EXPIRED) && (now & OVER));
    bad |= later && (told & HELD) && !(now & HELD);
    if (bad) {
        wrong(w, FG_WRONG_STORY, r, "was told %s",
              o->told ? fg_packet_status_name(o->told) : "nothing");
        return false;
    }
    if (!w->options->served &&
        ((r->status == FG_PACKET_STATUS_SOLD && !(o->flags & CONFIRM_SENT)) ||
         (r->status == FG_PACKET_STATUS_CANCELLED && !(o->flags & CANCEL_SENT)))) {
        wrong(w, FG_WRONG_UNASKED, r, "nobody sent that");
        return false;
    }
    return true;
}

/* Which packets are open now: an answer to the one sent last settles all before it. */
static void settle(struct order *o, const struct fg_packet_reply *r, unsigned op)
{
    if (is_held(o->told) && op == FG_PACKET_OP_RESERVE)
        return;
    if (r->cookie == o->cookie && o->copies > 0 && --o->copies == 0)
        o->open = 0;
    else if (o->open > 0)
        o->open--;
}

static void note_held(struct fg_world *w, const struct order *o, const struct fg_packet_reply *r)
{
    struct item *item = &w->items[o->item];
    uint64_t deadline_ns = r->deadline_ms * MS;

    if (r->status == FG_PACKET_STATUS_SOLD) {
        w->stats.sold++;
        w->stats.units_sold += o->quantity;
        item->story.sold += o->quantity;
    } else if (r->status == FG_PACKET_STATUS_CANCELLED) {
        item->story.cancelled += o->quantity;
    } else if (r->status == FG_PACKET_STATUS_RESERVED && deadline_ns > w->now_ns &&
               deadline_ns - w->now_ns < HOLD_MAX_NS) {
        if (deadline_ns > item->back_ns)
            item->back_ns = deadline_ns;
        if (deadline_ns - w->now_ns > item->hold_ns || item->hold_ns == HOLD_GUESS)
            item->hold_ns = deadline_ns - w->now_ns;
    }
}

/* Keeps the last status that says something of the order; a held order is not forgotten for a late
 * answer. */
static void tell(struct fg_world *w, struct order *o, const struct fg_packet_reply *r)
{
    bool held = is_held(r->status);

    if (o->told == r->status || (is_held(o->told) && !held) ||
        (is_held(o->told) && r->status == FG_PACKET_STATUS_RESERVED))
        return;
    if (held) {
        o->open = o->copies = 0;
        note_held(w, o, r);
        if (!(o->flags & RESERVED_TOLD)) {
            o->flags |= RESERVED_TOLD;
            w->stats.reserved++;
            w->stats.units_reserved += o->quantity;
            w->items[o->item].story.reserved += o->quantity;
        }
    }
    o->told = r->status;
    o->told_at = next_cookie(w);
}

/* ---- what the shopper does ------------------------------------------------------------------- */

static void plan(struct fg_world *w, struct shopper *s, uint64_t due_ns)
{
    fg_wheel_set(w->plans, (uint32_t)(s - w->shoppers), due_ns);
}

static void do_hold(struct fg_world *w, struct shopper *s, const struct fg_packet_reply *r)
{
    uint64_t delay_ns = w->options->confirm_delay_ms * MS;
    uint64_t chance = fg_random(&w->random) >> 32;

    fg_world_landed(w, s);
    fg_world_enter(w, s, HOLDING);
    if (delay_ns) /* half to one and a half of it; never 0, which means now */
        delay_ns = w->now_ns + delay_ns / 2 +
                   fg_random_below(&w->random, (uint32_t)(delay_ns / 1000)) * 1000ull;
    s->plan = PAYING;
    if (!w->options->served &&
        (w->drain_ns ||
         chance < w->bar_confirm)) { /* at the end everybody pays, or it would have none */
        plan(w, s, delay_ns);
    } else if (chance < w->bar_confirm + w->bar_cancel) {
        s->plan = RETURNING;
        plan(w, s, delay_ns);
    } else if (fg_happens(&w->random, w->bar_late)) {
        plan(w, s, r->deadline_ms * MS + LATE_NS);
    } else {
        fg_world_finish(w, s);
    }
}

static void do_away(struct fg_world *w, struct shopper *s, const struct fg_packet_reply *r)
{
    struct item *item = &w->items[w->orders[s->order].item];
    bool last =
        item->pending == 0 && s->asked_ns > item->back_ns + SETTLE_NS; /* no unit can come back */

    if (w->options->again_ms == 0 || !fg_happens(&w->random, w->bar_again)) {
        fg_world_finish(w, s);
    } else if (last) {
        item->story.wanting++;
        fg_world_finish(w, s);
    } else {
        fg_world_landed(w, s);
        fg_world_enter(w, s, AWAY);
        plan(w, s, w->now_ns + w->options->again_ms * MS);
    }
}

static void do_finish(struct fg_world *w, struct shopper *s, const struct fg_packet_reply *r)
{
    fg_world_finish(w, s);
}

static void do_wait(struct fg_world *w, struct shopper *s, const struct fg_packet_reply *r)
{
    uint64_t wait_ms = r->retry_ms ? r->retry_ms : w->options->timeout_ms;

    fg_world_landed(w, s);
    plan(w, s, w->now_ns + wait_ms * MS);
}

typedef void (*action)(struct fg_world *w, struct shopper *s, const struct fg_packet_reply *r);

static const action actions[STATES][CLASSES] = {
    /*               ACCEPTED  FINAL      NONE_LEFT  REFUSED    LATER */
    [ASKING] = {do_hold, do_finish, do_away, do_finish, do_wait},
    [PAYING] = {NULL, do_finish, NULL, do_finish, do_wait},
    [RETURNING] = {NULL, do_finish, NULL, do_finish, do_wait},
    [AWAY] = {do_hold, do_finish, NULL, NULL, NULL},
};

static const uint8_t op_of[STATES] = {[ASKING] = FG_PACKET_OP_RESERVE,
                                      [PAYING] = FG_PACKET_OP_CONFIRM,
                                      [RETURNING] = FG_PACKET_OP_CANCEL,
                                      [AWAY] = FG_PACKET_OP_RESERVE};

static void act(struct fg_world *w, struct order *o, const struct fg_packet_reply *r, unsigned op)
{
    struct shopper *s = &w->shoppers[o->shopper];
    enum meaning meaning = meaning_of(r);
    bool fresh = (int32_t)(r->cookie - s->first) >= 0;
    uint64_t took = w->now_ns - s->asked_ns;

    if (s->order != (uint32_t)(o - w->orders) || op != op_of[s->state] ||
        !actions[s->state][meaning])
        return;
    if (!fresh && meaning != ACCEPTED && meaning != FINAL) /* answers an earlier question */
        return;
    if (s->state == ASKING && s->flying && fresh && meaning != LATER)
        fg_hist_add(HELD >> r->status & 1 ? &w->stats.accepted : &w->stats.rejected, took);
    actions[s->state][meaning](w, s, r);
}

void fg_world_reply(struct fg_world *w, uint64_t now_ns, const void *payload,
                    const struct fg_address *to, uint16_t port)
{
    struct fg_packet_reply r;
    struct order *o;
    unsigned op;

    w->now_ns = now_ns;
    if (!check_tag(w, payload, &r) || !(o = find_order(w, &r)))
        return;
    w->stats.answers++;
    if (r.status < FG_PACKET_STATUS_COUNT)
        w->stats.status[r.status]++;
    op = r.op & ~FG_PACKET_REPLY;
    if (!check_asked(w, &r, o, to, port))
        return;
    if (op < FG_PACKET_OP_RESERVE || op > FG_PACKET_OP_CANCEL ||
        r.status >= FG_PACKET_STATUS_COUNT || !(legal[op] >> r.status & 1)) {
        wrong(w, FG_WRONG_STATUS, &r, "status %u", r.status);
        return;
    }
    if (!check_fields(w, &r, o, op) || !check_story(w, &r, o))
        return;
    settle(o, &r, op);
    tell(w, o, &r);
    act(w, o, &r, op);
}
