/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each step along a list waits for an order from memory. So a slot is several lists, followed side
 * by side: while one order is handled, the next ones of all lists are on their way into the cache.
 */
#include "stock/wheel.h"

enum { EMPTY_SLOTS_MAX = 512 }; /* passed in one loop, so that a late clock is caught up in steps */

static void push(struct fg_stock *s, uint32_t lists[WHEEL_LANES], uint32_t order)
{
    uint32_t *list = &lists[order % WHEEL_LANES];

    s->orders[order].on_wheel = 1;
    s->orders[order].next = *list;
    *list = order;
}

void fg_stock_wheel_add(struct fg_stock *s, uint32_t order)
{
    uint64_t tick = (s->orders[order].deadline_ms + s->grace_ms) / WHEEL_TICK_MS +
                    1; /* the whole tick must have passed */

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
        s->orders[at].on_wheel = 0;
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

unsigned fg_stock_wheel_take_due(struct fg_stock *s, uint64_t now_ms, uint32_t batch[EXPIRE_MAX])
{
    uint64_t now_tick = now_ms / WHEEL_TICK_MS;

    if (s->wheel_tick == 0)
        s->wheel_tick = now_tick;
    return s->mode == FG_STOCK_RUNNING ? take_due(s, now_tick, batch) : 0;
}

void fg_stock_wheel_put_back(struct fg_stock *s, uint32_t order)
{
    push(s, s->wheel_due, order);
}
