/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hashed timing wheel (Varghese and Lauck 1987, scheme 6) of the reservations' deadlines. An order
 * that was confirmed or cancelled stays in its slot until the wheel reaches it, so finishing an
 * order touches no neighbour. Private to lib/stock.
 */
#ifndef FG_STOCK_WHEEL_H
#define FG_STOCK_WHEEL_H

#include "stock/engine.h"

void fg_stock_wheel_add(struct fg_stock *s, uint32_t order);

/* Takes up to EXPIRE_MAX orders whose tick has passed, and returns how many. Any of them may have
 * finished, or have a later deadline by now. */
unsigned fg_stock_wheel_take_due(struct fg_stock *s, uint64_t now_ms, uint32_t batch[EXPIRE_MAX]);

/* Puts an order back: the next fg_stock_wheel_take_due returns it again. */
void fg_stock_wheel_put_back(struct fg_stock *s, uint32_t order);

#endif
