/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hashed timing wheel (Varghese and Lauck 1987, scheme 6) of the holds. An order that was confirmed
 * or cancelled stays in its slot until the wheel comes by: finishing an order touches no neighbour.
 *
 * To follow a list through memory is to wait for each order. So a slot is several lists, that are
 * followed side by side: while one order is looked at, the next ones of all lists are on their way
 * into the cache.
 */
#include "stock/lookup.h"

enum { EMPTY_SLOTS_MAX = 512 }; /* passed in one loop, so that a late clock is caught up in steps */

static void push(struct fg_stock *s, uint32_t lists[WHEEL_LANES], uint32_t order)
{
    uint32_t *list = &lists[order % WHEEL_LANES];

    s->orders[order].next = *list;
    *list = order;
}

void fg_stock_wheel_add(struct fg_stock *s, uint32_t order)
{
    uint64_t tick =
        s->orders[order].deadline_ms / WHEEL_TICK_MS + 1; /* the whole tick must have passed */

    if (s->wheel_tick == 0) { /* recovered before the clock is known: the first loops sort it in */
        push(s, s->wheel_due, order);
        return;
    }
    if (tick <= s->wheel_tick)
        tick = s->wheel_tick + 1;
    push(s, &s->wheel[tick % WHEEL_SLOTS * WHEEL_LANES], order);
}

/* Makes the next slot due, empty ones passed; false when the clock is not there yet. */
static bool next_slot(struct fg_stock *s, uint64_t now_tick, unsigned *slots)
{
    uint32_t *slot;
    bool any = false;

    while (!any) {
        if (s->wheel_tick >= now_tick || (*slots)++ == EMPTY_SLOTS_MAX)
            return false;
        s->wheel_tick++;
        slot = &s->wheel[s->wheel_tick % WHEEL_SLOTS * WHEEL_LANES];
        for (unsigned i = 0; i < WHEEL_LANES; i++) {
            s->wheel_due[i] = slot[i];
            slot[i] = NIL;
            if (s->wheel_due[i] == NIL)
                continue;
            any = true;
            __builtin_prefetch(&s->orders[s->wheel_due[i]], 1);
        }
    }
    return true;
}

/* The oldest of each list. */
static unsigned take_heads(struct fg_stock *s, uint32_t *batch)
{
    unsigned n = 0;

    for (unsigned i = 0; i < WHEEL_LANES; i++) {
        uint32_t at = s->wheel_due[i];

        if (at == NIL)
            continue;
        s->wheel_due[i] = s->orders[at].next;
        if (s->wheel_due[i] != NIL)
            __builtin_prefetch(&s->orders[s->wheel_due[i]], 1);
        batch[n++] = at;
    }
    return n;
}

static unsigned take_due(struct fg_stock *s, uint64_t now_tick, uint32_t *batch)
{
    unsigned n = 0, slots = 0;

    while (n + WHEEL_LANES <= EXPIRE_MAX) {
        unsigned heads = take_heads(s, batch + n);

        if (heads == 0 && !next_slot(s, now_tick, &slots))
            break;
        n += heads;
    }
    return n;
}

/* False when the journal has no room. */
static bool look_at(struct fg_stock *s, uint64_t now_ms, uint32_t at)
{
    const struct order *o = &s->orders[at];
    bool held =
        o->state == FG_ORDER_RESERVED || (FG_CANARY_IS(EXPIRES_SOLD) && o->state == FG_ORDER_SOLD);

    if (held && o->deadline_ms <= now_ms) {
        if (!can_record(s))
            return false;
        fg_stock_expire(s, now_ms, at);
    } else if (o->state == FG_ORDER_RESERVED) {
        fg_stock_wheel_add(s, at);
    }
    return true;
}

void fg_stock_wheel_turn(struct fg_stock *s, uint64_t now_ms)
{
    uint64_t now_tick = now_ms / WHEEL_TICK_MS;
    uint32_t batch[EXPIRE_MAX];
    unsigned n;

    if (s->wheel_tick == 0)
        s->wheel_tick = now_tick;
    if (s->mode != FG_STOCK_RUNNING)
        return;
    n = take_due(s, now_tick, batch);
    for (unsigned i = 0; i < n; i++)
        if (s->orders[batch[i]].state == FG_ORDER_RESERVED)
            usage_fetch_of(s, &s->orders[batch[i]]);
    for (unsigned i = 0; i < n; i++)
        if (!look_at(s, now_ms, batch[i]))
            push(s, s->wheel_due, batch[i]); /* again in the next loop */
}
