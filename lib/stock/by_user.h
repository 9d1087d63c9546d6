/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The orders of each user, as chains: user_buckets, then user_next. An acceptance must not pay for
 * it: nothing is in a chain until ORDERS first asks, and from then on each request and each loop
 * takes some more orders in, up to `listed`. An order that gets a slot below that is taken in at
 * once. Private to lib/stock.
 */
#ifndef FG_STOCK_BY_USER_H
#define FG_STOCK_BY_USER_H

#include "stock/engine.h"

/* Takes some more orders in. True when all are. */
bool fg_stock_by_user_catch_up(struct fg_stock *s);

void fg_stock_by_user_link(struct fg_stock *s, uint32_t order);
void fg_stock_by_user_unlink(struct fg_stock *s, uint32_t order);

/* The nth of the user's orders, of one item (index) or of all (NIL); NIL when there are no more. */
uint32_t fg_stock_by_user_find(const struct fg_stock *s, uint64_t user, uint32_t item,
                               uint32_t nth);

#endif
