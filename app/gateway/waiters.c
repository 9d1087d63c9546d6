/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests that wait for their turn in a waiting list. The ticket that is served now comes with the
 * stock of the item, once for all of them; whose turn it is asks for its order then, and not
 * before. */
#include "module.h"

#define TICK_MS 100

static ngx_queue_t waiters;
static ngx_queue_t *next; /* of the round under way */
static ngx_event_t ticker;
static ngx_connection_t nowhere;
static bool ready;

static bool is_turn(const struct gateway_waiter *w)
{
    uint64_t line = __atomic_load_n(&w->stock->line, __ATOMIC_ACQUIRE);

    return (uint32_t)line > w->ticket && (uint32_t)line != FG_PACKET_UNDRAWN;
}

/* The timer runs as long as there are waiters, so that a worker that shuts down ends them. */
static void tick(ngx_event_t *event)
{
    next = ngx_queue_head(&waiters);
    while (next != ngx_queue_sentinel(&waiters)) {
        struct gateway_waiter *w = ngx_queue_data(next, struct gateway_waiter, link);

        next = ngx_queue_next(next);
        gateway_stock_refresh(w->stock);
        if (ngx_exiting || ngx_terminate || is_turn(w))
            w->turn(w);
    }
    next = NULL;
    if (!ngx_queue_empty(&waiters))
        ngx_add_timer(&ticker, TICK_MS);
}

static void prepare(void)
{
    ngx_queue_init(&waiters);
    nowhere.fd = -1;
    ticker.handler = tick;
    ticker.data = &nowhere;
    ticker.log = ngx_cycle->log;
    ready = true;
}

void gateway_waiter_add(struct gateway_waiter *w, uint64_t item, uint32_t ticket)
{
    w->stock = gateway_stock_of(item);
    w->ticket = ticket;
    if (!w->stock) /* the table is full: the repeats of WAIT tell as well */
        return;
    if (!ready)
        prepare();
    ngx_queue_insert_tail(&waiters, &w->link);
    if (!ticker.timer_set)
        ngx_add_timer(&ticker, TICK_MS);
}

void gateway_waiter_remove(struct gateway_waiter *w)
{
    if (!w->stock)
        return;
    if (next == &w->link)
        next = ngx_queue_next(next);
    ngx_queue_remove(&w->link);
    w->stock = NULL;
}
