/* SPDX-License-Identifier: BSD-3-Clause */
/* reply: checks of an answer, and what its shopper does next. */
#include <string.h>

#include "tools/fgblast/world_impl.h"

#define HOLD_MAX_NS (49 * 86400ull * 1000 * MS)

/* The meaning of a status for the shopper who waits. */
enum meaning { ACCEPTED, FINAL, NONE_LEFT, REFUSED, LATER, CLASSES };

static enum meaning meaning_of(const struct fg_packet_reply *r)
{
    if (BIT(RESERVED) >> r->status & 1)
        return ACCEPTED;
    if (ANY_OVER >> r->status & 1)
        return FINAL;
    if (ANY_NONE_LEFT >> r->status & 1)
        return NONE_LEFT;
    if (ANY_LATER >> r->status & 1 || r->retry_ms)
        return LATER;
    return REFUSED;
}

static bool check_tag(struct fg_world *w, const void *payload, struct fg_packet_reply *r)
{
    const struct fg_packet_key *key;

    memcpy(r, payload, sizeof(*r));
    key = r->key_id == w->m.shop->id ? w->m.shop : w->m.backend;
    if (r->key_id == key->id && fg_packet_reply_check(payload, key))
        return true;
    fg_model_wrong(&w->m, FG_WRONG_TAG, r, "key %u", r->key_id);
    return false;
}

static void noise_reply(struct fg_world *w, const struct fg_packet_reply *r, uint32_t kind)
{
    if (kind == FG_KIND_OVERRATE)
        w->m.stats.overrate_answers++;
    else if (kind == FG_KIND_BLOCKED)
        fg_model_wrong(&w->m, FG_WRONG_BLOCKED, r, "the filter let it in");
    else if (kind == FG_KIND_FORGED)
        fg_model_wrong(&w->m, FG_WRONG_FORGED, r, "the tag was not checked");
    else if (kind == FG_KIND_MALFORMED)
        fg_model_wrong(&w->m, FG_WRONG_MALFORMED, r, "the shape was not checked");
    else
        fg_model_wrong(&w->m, FG_WRONG_ORDER, r, "no such order");
}

/* The order that the answer belongs to; NULL when it is none of a shopper's. */
static struct order *find_order(struct fg_world *w, const struct fg_packet_reply *r)
{
    uint64_t nonce;
    uint32_t number, shopper;

    memcpy(&nonce, r->order_id, 8);
    memcpy(&number, r->order_id + 8, 4);
    memcpy(&shopper, r->order_id + 12, 4);
    if (nonce == w->m.nonce && shopper >= FG_ORDER_NOISE) {
        noise_reply(w, r, shopper - FG_ORDER_NOISE);
        return NULL;
    }
    if (nonce != w->m.nonce || number >= w->orders_count || w->orders[number].shopper != shopper) {
        fg_model_wrong(&w->m, FG_WRONG_ORDER, r, "no such order");
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
        fg_model_wrong(&w->m, FG_WRONG_ADDRESS, r, "port %u, asked from %u", port, sent.port);
        return false;
    }
    if (age == 0 || age > w->cookies) {
        fg_model_wrong(&w->m, FG_WRONG_COOKIE, r, "cookie %u", r->cookie);
        return false;
    }
    return true;
}

static struct fg_known known_of(const struct order *o, const struct fg_packet_reply *r)
{
    return (struct fg_known){.told = o->told,
                             .later = o->told && (int32_t)(r->cookie - o->told_at) >= 0,
                             .paid = o->flags & CONFIRM_SENT,
                             .cancelled = o->flags & CANCEL_SENT};
}

/* Which packets are open now: an answer to the one sent last settles all before it, but for that of
 * a box that does not lead: it knows nothing of what the other one decided. */
static void settle(struct order *o, const struct fg_packet_reply *r, unsigned op)
{
    if (is_held(o->told) && op == FG_PACKET_OP_RESERVE)
        return;
    if (r->cookie == o->cookie && o->copies > 0 && --o->copies == 0 &&
        r->status != FG_PACKET_STATUS_NOT_LEADER)
        o->open = 0;
    else if (o->open > 0)
        o->open--;
}

static void note_held(struct fg_world *w, const struct order *o, const struct fg_packet_reply *r)
{
    struct item *item = &w->items[o->item];
    uint64_t deadline_ns = r->deadline_ms * MS;

    fg_model_ended(&w->m, o->item, o->quantity, r->status);
    if (r->status == FG_PACKET_STATUS_RESERVED && deadline_ns > w->m.now_ns &&
        deadline_ns - w->m.now_ns < HOLD_MAX_NS) {
        if (deadline_ns > item->back_ns)
            item->back_ns = deadline_ns;
        if (deadline_ns - w->m.now_ns > item->hold_ns || item->hold_ns == HOLD_GUESS)
            item->hold_ns = deadline_ns - w->m.now_ns;
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
            fg_model_accepted(&w->m, o->item, o->quantity);
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
    uint64_t delay_ns = w->m.options->confirm_delay_ms * MS;
    enum fg_plan wanted = fg_model_plan(&w->m, fg_model_wish(&w->m, s->order).chance);

    fg_world_landed(w, s);
    fg_world_enter(w, s, HOLDING);
    if (delay_ns) /* half to one and a half of it; never 0, which means now */
        delay_ns = w->m.now_ns + delay_ns / 2 +
                   fg_random_below(&w->m.random, (uint32_t)(delay_ns / 1000)) * 1000ull;
    s->plan = PAYING;
    if (w->drain_ns && !w->m.options->served) /* at the end all pay, or it would have none */
        wanted = FG_PLAN_PAY;
    if (wanted == FG_PLAN_LEAVE) {
        fg_world_finish(w, s);
        return;
    }
    if (wanted == FG_PLAN_CANCEL)
        s->plan = RETURNING;
    plan(w, s, wanted == FG_PLAN_PAY_LATE ? (r->deadline_ms + LATE_MS) * MS : delay_ns);
}

static void do_away(struct fg_world *w, struct shopper *s, const struct fg_packet_reply *r)
{
    struct item *item = &w->items[w->orders[s->order].item];
    bool last =
        item->pending == 0 && s->asked_ns > item->back_ns + SETTLE_NS; /* no unit can come back */

    if (w->m.options->again_ms == 0 || !fg_happens(&w->m.random, w->bar_again)) {
        fg_world_finish(w, s);
    } else if (last) {
        w->m.items[w->orders[s->order].item].wanting++;
        fg_world_finish(w, s);
    } else {
        fg_world_landed(w, s);
        fg_world_enter(w, s, AWAY);
        plan(w, s, w->m.now_ns + w->m.options->again_ms * MS);
    }
}

static void do_finish(struct fg_world *w, struct shopper *s, const struct fg_packet_reply *r)
{
    fg_world_finish(w, s);
}

static void do_wait(struct fg_world *w, struct shopper *s, const struct fg_packet_reply *r)
{
    uint64_t wait_ms = r->retry_ms ? r->retry_ms : w->m.options->timeout_ms;

    fg_world_landed(w, s);
    plan(w, s, w->m.now_ns + wait_ms * MS);
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
    uint64_t took = w->m.now_ns - s->asked_ns;

    if (s->order != (uint32_t)(o - w->orders) || op != op_of[s->state] ||
        !actions[s->state][meaning])
        return;
    if (!fresh && meaning != ACCEPTED && meaning != FINAL) /* answers an earlier question */
        return;
    if (s->state == ASKING && s->flying && fresh && meaning != LATER)
        fg_hist_add(is_held(r->status) ? &w->m.stats.accepted : &w->m.stats.rejected, took);
    actions[s->state][meaning](w, s, r);
}

void fg_world_reply(struct fg_world *w, uint64_t now_ns, const void *payload,
                    const struct fg_address *to, uint16_t port)
{
    struct fg_packet_reply r;
    struct fg_asked asked;
    struct fg_known known;
    struct order *o;
    unsigned op;

    w->m.now_ns = now_ns;
    if (!check_tag(w, payload, &r) || !(o = find_order(w, &r)))
        return;
    w->m.stats.answers++;
    if (r.status < FG_PACKET_STATUS_COUNT)
        w->m.stats.status[r.status]++;
    if (r.status == FG_PACKET_STATUS_NOT_LEADER)
        fg_world_turn(w);
    else
        w->heard_ns = now_ns;
    op = r.op & ~FG_PACKET_REPLY;
    if (!check_asked(w, &r, o, to, port))
        return;
    if (op < FG_PACKET_OP_RESERVE || op > FG_PACKET_OP_CANCEL) {
        fg_model_wrong(&w->m, FG_WRONG_STATUS, &r, "operation %u", op);
        return;
    }
    asked = fg_world_asked(w, o, op, r.cookie);
    known = known_of(o, &r);
    if (!fg_model_check(&w->m, &asked, &known, &r))
        return;
    settle(o, &r, op);
    tell(w, o, &r);
    act(w, o, &r, op);
}
