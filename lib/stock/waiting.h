/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The requests of this worker that wait for units of an item. Each has one NEED with the item's
 * bank, which answers it exactly once and in order. Private to lib/stock.
 */
#ifndef FG_STOCK_WAITING_H
#define FG_STOCK_WAITING_H

#include "stock/order.h"

/* Asks the bank for the order's units and puts the order at the end of the waiting list. False when
 * there is no room; nothing was changed. */
bool fg_stock_park(struct fg_stock *s, uint32_t index, uint32_t order, struct asker asker);

/* Takes the oldest order, which must exist, out of the waiting list. Returns who waits for it. */
struct asker fg_stock_unpark(struct fg_stock *s, struct item *item);

/* Refuses the request `serial` and forgets it, unless it has been served meanwhile. */
void fg_stock_refuse_waiter(struct fg_stock *s, uint32_t index, uint32_t serial,
                            enum fg_packet_status status, uint32_t left);

/* Takes the request `serial` out of the waiting list; NIL when it is not there any more. It stays
 * counted in `waiting`. */
uint32_t fg_stock_take_waiter(struct fg_stock *s, struct item *item, uint32_t serial);

/* Refuses a request that was taken out of the waiting list, and forgets it. */
void fg_stock_refuse_order(struct fg_stock *s, uint32_t at, enum fg_packet_status status,
                           uint32_t left);

#endif
