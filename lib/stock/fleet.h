/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * stock/fleet: the banks of a member of a fleet (docs/fleet.md). With `fleet` of the limits set, a
 * bank does not refuse its oldest request when its member has too few units: the request waits, and
 * the bank publishes what it has and needs. One other thread, that of the fleet, takes these news
 * and answers by commands (fg_stock_command, to the home worker of the item):
 *
 *     LEASE     `fleet_units` were leased from the pool, `fleet_sum` in all so far: records LEASE
 *               and frees the units when it is durable. DONE when LEASE is committed. FULL: the
 *               item would have more than FG_JOURNAL_UNITS_MAX units; nothing was changed.
 *     RECALL    takes the free units of all workers back, serves the requests that can be served
 *               whole in their order, and records RETURN of the rest. DONE when RETURN, and all
 *               that any worker decided before, is committed: `left` of the answer is what the bank
 *               gave. 0: nothing was free, and nothing was recorded. BUSY: another is under way.
 *     REFUSE    ends the wait of the oldest request, if it still is number `fleet_head` and waits:
 *               fleet_refusal INSUFFICIENT refuses it, `fleet_units` are free elsewhere; BUSY
 *               refuses all that wait, with a retry hint. Answered at once.
 *     SOLD_OUT  nothing is free anywhere: the bank refuses what it cannot serve, until OPEN.
 *     OPEN      the bank asks the fleet again. Both are answered at once.
 *
 * After the answer of any of them the fleet's thread reads the news of the item anew
 * (fg_stock_fleet_item) and tells lib/fleet: they are at least as new as the answer.
 * A request that removes stock waits like an order. Waiting lists do not work in a fleet:
 * fg_stock_create refuses waiting_max.
 */
#ifndef FG_STOCK_FLEET_H
#define FG_STOCK_FLEET_H

#include "stock/stock.h"

/** What a bank has and needs. */
struct fg_stock_fleet_news {
    uint32_t index;  /**< of the item */
    uint32_t head;   /**< number of the oldest request: how many the bank has dealt with before */
    uint32_t least;  /**< units of that request, which cannot be served here; 0 = none waits */
    uint32_t free;   /**< units that no order has, at any worker; exact while least > 0, else 0 only
                        if there are none, and perhaps too many */
    uint64_t wanted; /**< units of all requests in the queue; 0 while least is 0 */
};

/** Items of which this worker is home whose news have changed since they were last taken: up to
 * max, returns how many. No item is lost, and none stands twice. One thread, not the worker's. */
unsigned fg_stock_fleet_take(struct fg_stock *stock, struct fg_stock_fleet_news *news,
                             unsigned max);

/** The news of one item now, of its home worker. Any thread. */
void fg_stock_fleet_item(const struct fg_stock *stock, uint32_t index,
                         struct fg_stock_fleet_news *news);

#endif
