/* SPDX-License-Identifier: BSD-3-Clause */
/* world: making the world, and what is sent when. */
#include "tools/fgblast/world_impl.h"

#include <string.h>

#include "tools/fgblast/client_file.h"

#define TURN_NS        (100 * MS)
#define ORDERS_DEFAULT (1u << 24) /* places when only --seconds limits the run */

static const uint8_t op_of_state[STATES] = {[ASKING] = FG_PACKET_OP_RESERVE,
                                            [PAYING] = FG_PACKET_OP_CONFIRM,
                                            [RETURNING] = FG_PACKET_OP_CANCEL};

void fg_world_source(const struct fg_world *w, uint32_t shopper, struct fg_send *send)
{
    const struct fg_blast_options *o = w->m.options;
    uint32_t nth = shopper / o->targets_count;

    send->target = (uint8_t)(shopper % o->targets_count);
    send->source = fg_address_add(&o->targets[send->target].source, (uint32_t)(nth % o->sources));
    send->port = (uint16_t)(PORT_BASE + shopper % PORTS);
}

/* The box that was asked does not lead, or is silent. Answers that were under way to us say nothing
 * of the other one. */
void fg_world_turn(struct fg_world *w)
{
    if (!w->m.options->standby.family || w->m.now_ns - w->turned_ns < TURN_NS)
        return;
    w->standby = !w->standby;
    w->turned_ns = w->heard_ns = w->m.now_ns;
}

/* A place for a packet that counts as sent. The caller made sure that there is one (QUEUE). */
struct fg_send *fg_world_queue(struct fg_world *w, enum fg_kind kind)
{
    struct fg_send *send;

    FG_ASSERT(w->queue_tail < QUEUE);
    send = &w->queue[w->queue_tail++];
    send->kind = (uint8_t)kind;
    send->shape = FG_SHAPE_GOOD;
    send->standby = w->standby;
    w->m.stats.sent[kind]++;
    w->m.stats.packets++;
    return send;
}

/* A packet goes out that might change what the order's owner was told last. Once units are held, a
 * further RESERVE cannot; once the order is over, nothing can. */
void fg_world_track(struct order *o, unsigned op, uint32_t cookie)
{
    if (is_held(o->told) && (o->told != FG_PACKET_STATUS_RESERVED || op == FG_PACKET_OP_RESERVE))
        return;
    if (o->open < UINT8_MAX)
        o->open++;
    if (o->cookie != cookie)
        o->copies = 0;
    o->cookie = cookie;
    if (o->copies < UINT8_MAX)
        o->copies++;
}

void fg_world_enter(struct fg_world *w, struct shopper *s, enum shopper_state state)
{
    struct item *item = &w->items[w->orders[s->order].item];
    bool had = s->state == HOLDING || s->state == PAYING || s->state == RETURNING;
    bool has = state == HOLDING || state == PAYING || state == RETURNING;

    w->active += (state != IDLE) - (s->state != IDLE);
    item->pending += has - had;
    if (had && !has && item->back_ns < w->m.now_ns)
        item->back_ns = w->m.now_ns;
    s->state = (uint8_t)state;
}

/* The shopper waits for nothing any more. */
void fg_world_landed(struct fg_world *w, struct shopper *s)
{
    uint32_t index = (uint32_t)(s - w->shoppers);

    w->waiting -= s->flying;
    s->flying = 0;
    fg_wheel_cancel(w->timeouts, index);
    fg_wheel_cancel(w->plans, index);
}

void fg_world_finish(struct fg_world *w, struct shopper *s)
{
    fg_world_landed(w, s);
    fg_world_enter(w, s, IDLE);
    w->idle[w->idle_tail++ % w->m.options->shoppers] = (uint32_t)(s - w->shoppers);
}

static void set_timeout(struct fg_world *w, struct shopper *s)
{
    uint64_t wait = fg_model_timeout(&w->m, s->tries);

    wait += fg_random_below(&w->m.random, (uint32_t)(wait / 4 / 1000) + 1) * 1000ull;
    fg_wheel_set(w->timeouts, (uint32_t)(s - w->shoppers), w->m.now_ns + wait);
}

/* Sends what the shopper's state waits for. */
static void send_request(struct fg_world *w, struct shopper *s, bool retry)
{
    static const uint8_t kinds[] = {[FG_PACKET_OP_RESERVE] = FG_KIND_RESERVE,
                                    [FG_PACKET_OP_CONFIRM] = FG_KIND_CONFIRM,
                                    [FG_PACKET_OP_CANCEL] = FG_KIND_CANCEL};
    unsigned op = op_of_state[s->state];
    struct order *o = &w->orders[s->order];
    struct fg_send *send = fg_world_queue(w, retry ? FG_KIND_RETRY : kinds[op]);
    struct fg_asked asked = fg_world_asked(w, o, op, next_cookie(w));
    struct fg_packet_request request;

    fg_model_request(&w->m, &asked, &request);
    fg_packet_request_seal(&request, fg_model_key(&w->m, op));
    memcpy(send->payload, &request, sizeof(request));
    fg_world_source(w, o->shopper, send);
    o->flags |= op == FG_PACKET_OP_CONFIRM  ? CONFIRM_SENT
                : op == FG_PACKET_OP_CANCEL ? CANCEL_SENT
                                            : 0;
    fg_world_track(o, op, request.cookie);
    w->cookies++;
    if (!retry) {
        s->tries = 0;
        s->first = request.cookie;
        s->asked_ns = w->m.now_ns;
    }
    w->waiting += !s->flying;
    s->flying = 1;
    set_timeout(w, s);
    fg_noise_after(w, send, s->order);
}

static void give_up(struct fg_world *w, struct shopper *s)
{
    struct item *item = &w->items[w->orders[s->order].item];
    uint64_t back_ns = w->m.now_ns + item->hold_ns;

    w->m.stats.gave_up++;
    if (back_ns > item->back_ns) /* it may hold units that no shopper was told of */
        item->back_ns = back_ns;
    fg_world_finish(w, s);
}

static void timed_out(struct fg_world *w, struct shopper *s)
{
    if (s->tries >= w->m.options->retries) {
        give_up(w, s);
        return;
    }
    s->tries++;
    if (w->m.now_ns - w->heard_ns > TURN_NS)
        fg_world_turn(w);
    send_request(w, s, true);
}

/* The time has come: to ask again, to pay, to cancel. */
static void plan_due(struct fg_world *w, struct shopper *s)
{
    if (s->state == AWAY)
        fg_world_enter(w, s, ASKING);
    else if (s->state == HOLDING)
        fg_world_enter(w, s, s->plan);
    send_request(w, s, false);
}

static bool new_order(struct fg_world *w)
{
    struct fg_wish wish;
    struct shopper *s;
    struct order *o;

    if (w->drain_ns || w->idle_head == w->idle_tail)
        return false;
    s = &w->shoppers[w->idle[w->idle_head++ % w->m.options->shoppers]];
    s->order = w->orders_count++;
    o = &w->orders[s->order];
    o->shopper = (uint32_t)(s - w->shoppers);
    wish = fg_model_wish(&w->m, s->order);
    o->item = wish.item;
    o->quantity = wish.quantity;
    w->m.items[o->item].orders++;
    w->m.stats.orders++;
    fg_world_enter(w, s, ASKING);
    send_request(w, s, false);
    return true;
}

static bool regular(struct fg_world *w)
{
    uint32_t index = fg_wheel_take(w->timeouts, w->m.now_ns);

    if (index != FG_WHEEL_NONE) {
        timed_out(w, &w->shoppers[index]);
        return true;
    }
    if (w->waiting >= w->m.options->window)
        return false;
    index = fg_wheel_take(w->plans, w->m.now_ns);
    if (index == FG_WHEEL_NONE)
        return new_order(w);
    plan_due(w, &w->shoppers[index]);
    return true;
}

static void check_limits(struct fg_world *w)
{
    if (w->drain_ns == 0 && (w->orders_count >= w->orders_max || fg_model_limit_reached(&w->m)))
        w->drain_ns = w->m.now_ns;
}

unsigned fg_world_next(struct fg_world *w, uint64_t now_ns, struct fg_send *sends, unsigned max)
{
    unsigned n = 0;

    w->m.now_ns = now_ns;
    if (w->queue_head == w->queue_tail) {
        w->queue_head = w->queue_tail = 0;
        fg_noise_attacks(w);
    }
    while (n < max) {
        if (w->queue_head == w->queue_tail) {
            w->queue_head = w->queue_tail = 0;
            check_limits(w);
            if (!fg_pace_due(&w->regular, now_ns))
                break;
            if (!regular(w)) {
                w->regular.next_ns -= w->regular.gap_ns; /* nothing to send yet: the turn is kept */
                break;
            }
        }
        if (w->queue_head < w->queue_tail) /* giving up sends nothing */
            sends[n++] = w->queue[w->queue_head++];
    }
    return n;
}

/* ---- making and asking ----------------------------------------------------------------------- */

static uint32_t orders_max(const struct fg_blast_options *o)
{
    if (o->orders)
        return (uint32_t)o->orders;
    return o->packets && o->packets < ORDERS_DEFAULT ? (uint32_t)o->packets : ORDERS_DEFAULT;
}

static bool make_tables(struct fg_world *w, uint64_t now_ns)
{
    uint32_t shoppers = (uint32_t)w->m.options->shoppers;

    w->orders_max = orders_max(w->m.options);
    w->shoppers = calloc(shoppers, sizeof(*w->shoppers));
    w->orders = calloc(w->orders_max, sizeof(*w->orders));
    w->idle = calloc(shoppers, sizeof(*w->idle));
    w->items = calloc(w->m.items_count, sizeof(*w->items));
    w->history = calloc(HISTORY, sizeof(*w->history));
    w->queue = calloc(QUEUE, sizeof(*w->queue));
    w->timeouts = fg_wheel_create(shoppers, now_ns);
    w->plans = fg_wheel_create(shoppers, now_ns);
    if (!w->shoppers || !w->orders || !w->idle || !w->items || !w->history || !w->queue ||
        !w->timeouts || !w->plans)
        return false;
    for (uint32_t i = 0; i < shoppers; i++)
        w->idle[w->idle_tail++] = i;
    for (uint32_t i = 0; i < w->m.items_count; i++)
        w->items[i].hold_ns = HOLD_GUESS;
    for (uint32_t i = 0; i < HISTORY; i++)
        w->history[i].order = NONE;
    return true;
}

static struct pace make_pace(uint64_t per_second, uint64_t now_ns)
{
    return (struct pace){now_ns, per_second ? 1000000000ull / per_second : 0};
}

static void make_chances(struct fg_world *w, uint64_t now_ns)
{
    const struct fg_blast_options *o = w->m.options;

    w->bar_replays = fg_share_bar(o->replays);
    w->bar_forged = fg_share_bar(o->forged);
    w->bar_malformed = fg_share_bar(o->malformed);
    w->bar_again = fg_share_bar(o->again);
    w->regular = make_pace(o->rate, now_ns);
    w->blocked = make_pace(o->blocked_rate, now_ns);
    w->overrate = make_pace(o->overrate_rate, now_ns);
}

struct fg_world *fg_world_create(const struct fg_blast_options *options,
                                 const struct fg_packet_keyring *ring, uint64_t now_ns,
                                 struct fg_error *err)
{
    struct fg_world *w = calloc(1, sizeof(*w));

    if (!w) {
        fg_fail(err, "out of memory");
        return NULL;
    }
    if (!fg_model_start(&w->m, options, ring, now_ns, err)) {
        fg_world_destroy(w);
        return NULL;
    }
    make_chances(w, now_ns);
    if (!make_tables(w, now_ns)) {
        fg_fail(err, "out of memory for %llu shoppers and %u orders",
                (unsigned long long)options->shoppers, w->orders_max);
        fg_world_destroy(w);
        return NULL;
    }
    return w;
}

void fg_world_destroy(struct fg_world *w)
{
    if (!w)
        return;
    fg_wheel_destroy(w->timeouts);
    fg_wheel_destroy(w->plans);
    fg_model_stop(&w->m);
    free(w->items);
    free(w->shoppers);
    free(w->orders);
    free(w->idle);
    free(w->history);
    free(w->queue);
    free(w);
}

void fg_world_enough(struct fg_world *w)
{
    w->m.enough = true;
}

bool fg_world_draining(const struct fg_world *w)
{
    return w->drain_ns != 0;
}

bool fg_world_done(const struct fg_world *w, uint64_t now_ns)
{
    return w->drain_ns &&
           (w->active == 0 || now_ns - w->drain_ns > w->m.options->drain_seconds * 1000 * MS);
}

uint32_t fg_world_waiting(const struct fg_world *w)
{
    return w->waiting;
}

uint32_t fg_world_active(const struct fg_world *w)
{
    return w->active;
}

const struct fg_world_stats *fg_world_stats(const struct fg_world *w)
{
    return &w->m.stats;
}

void fg_world_view(const struct fg_world *w, struct fg_view *view)
{
    *view = fg_model_view(&w->m, w->waiting, w->drain_ns != 0);
}

const char *fg_world_example(const struct fg_world *w, unsigned index)
{
    return index < w->m.examples_count ? w->m.examples[index] : NULL;
}

const struct fg_item_story *fg_world_item(const struct fg_world *w, uint32_t index)
{
    return index < w->m.items_count ? &w->m.items[index] : NULL;
}

/* ---- the client file ------------------------------------------------------------------------- */

/* Something of this order may have been carried out after that was told: by a request that is not
 * answered, or by an order service. */
static bool is_open(const struct fg_world *w, const struct order *o)
{
    return (o->told && o->open) ||
           (w->m.options->served && (o->told == FG_PACKET_STATUS_RESERVED ||
                                     o->told == FG_PACKET_STATUS_EXPIRED)); /* or paid late */
}

static bool write_orders(const void *world, FILE *out)
{
    const struct fg_world *w = world;
    bool good = true;

    for (uint32_t i = 0; good && i < w->orders_count; i++) {
        const struct order *o = &w->orders[i];
        struct fg_asked asked = fg_world_asked(w, o, FG_PACKET_OP_RESERVE, 0);

        good = fg_model_write_order(&w->m, &asked, o->told, is_open(w, o), out);
    }
    return good;
}

bool fg_world_audit(const struct fg_world *w, const char *path, struct fg_error *err)
{
    return fg_client_file(path, write_orders, w, err);
}
