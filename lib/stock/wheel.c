/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hashed timing wheel (Varghese and Lauck 1987, scheme 6) of the holds. An order that was confirmed or
 * cancelled stays in its slot until the wheel comes by: finishing an order touches no neighbour.
 */
#include "stock/engine.h"

enum { EMPTY_SLOTS_MAX = 4096 }; /* passed in one loop, so that a late clock is caught up in steps */

static void push_slot(struct fg_stock *s, uint32_t *slot, uint32_t order)
{
    s->orders[order].next = *slot;
    *slot = order;
}

void fg_wheel_add(struct fg_stock *s, uint32_t order)
{
    uint64_t tick = s->orders[order].deadline_ms / WHEEL_TICK_MS + 1; /* the whole tick must have passed */

    if (s->wheel_tick == 0) { /* recovered before the clock is known: the first loops sort it in */
        push_slot(s, &s->wheel_due, order);
        return;
    }
    if (tick <= s->wheel_tick)
        tick = s->wheel_tick + 1;
    push_slot(s, &s->wheel[tick % WHEEL_SLOTS], order);
}

/* False when the journal has no room: the order stays due. */
static bool look_at_due(struct fg_stock *s, uint64_t now_ms)
{
    uint32_t at = s->wheel_due;
    struct order *o = &s->orders[at];
    uint32_t next = o->next;
    bool held = o->state == FG_ORDER_RESERVED || (FG_CANARY_IS(EXPIRES_SOLD) && o->state == FG_ORDER_SOLD);

    if (held && o->deadline_ms <= now_ms) {
        if (!can_record(s))
            return false;
        s->wheel_due = next;
        fg_expire(s, now_ms, at);
        return true;
    }
    s->wheel_due = next;
    if (o->state == FG_ORDER_RESERVED)
        fg_wheel_add(s, at);
    return true;
}

void fg_wheel_turn(struct fg_stock *s, uint64_t now_ms)
{
    uint64_t now_tick = now_ms / WHEEL_TICK_MS;
    unsigned slots = 0;

    if (s->wheel_tick == 0)
        s->wheel_tick = now_tick;
    if (s->mode != FG_STOCK_RUNNING)
        return;
    for (unsigned n = 0; n < EXPIRE_MAX; n++) {
        while (s->wheel_due == NIL) {
            uint32_t *slot;

            if (s->wheel_tick >= now_tick || slots++ == EMPTY_SLOTS_MAX)
                return;
            s->wheel_tick++;
            slot = &s->wheel[s->wheel_tick % WHEEL_SLOTS];
            s->wheel_due = *slot;
            *slot = NIL;
        }
        if (!look_at_due(s, now_ms))
            return;
    }
}
