/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The draw at the opening of an item (docs/waiting.md, lib/ledger/draw.h). Until then its line
 * takes in whoever waits. At the opening every worker stops letting users of the item in or out,
 * waits until its records of the line are durable, and sends who waits to the home. So the home
 * draws among exactly those who wait in the log before its record of the draw. When that is
 * committed it tells the tickets, and the line works as usual again. Private to lib/stock.
 */
#ifndef FG_STOCK_DRAW_H
#define FG_STOCK_DRAW_H

#include "stock/order.h"
#include "stock/tables.h"

/* A power of two: about one for each 16 entries. */
static inline uint64_t fg_stock_draw_buckets(const struct fg_stock_limits *l)
{
    return l->waiting_max ? fg_stock_table_buckets(l->waiting_max / 16) : 1;
}

/* ---- at each worker */

#define FG_STOCK_DRAW_SCAN 4096 /* orders looked at in one loop, for all items together */

/* The item opens: its entries are to be sent. */
void fg_stock_draw_close(struct fg_stock *s, uint32_t index);

/* Sends them. True when it is done, or cannot be. */
bool fg_stock_draw_send_entries(struct fg_stock *s, uint32_t index);

/* The draw gave the order a ticket; and: that was the last of them, it is over. */
void fg_stock_draw_seat(struct fg_stock *s, uint32_t index, uint32_t order, uint32_t ticket);
void fg_stock_draw_over(struct fg_stock *s, uint32_t index, uint32_t serving);

/* ---- at the home */

/* The item has a lottery, and no draw yet. */
void fg_stock_draw_ask(struct fg_stock *s, uint32_t index);
/* Undoes it. */
void fg_stock_draw_forget(struct fg_stock *s, uint32_t index);

/* Begins the draws whose time has come. */
void fg_stock_draw_check(struct fg_stock *s, uint64_t now_ms);

void fg_stock_draw_entry(struct fg_stock *s, uint32_t index, uint32_t order, uint16_t units,
                         unsigned worker, uint64_t user);
void fg_stock_draw_closed(struct fg_stock *s, uint32_t index, unsigned worker);

/* One step. True when there is none to do before something happens. */
bool fg_stock_draw_work(struct fg_stock *s, uint64_t now_ms, uint32_t index);

/* No unit is offered, and nobody leaves at a turn. */
static inline bool fg_stock_is_drawing(const struct fg_stock *s, uint32_t index)
{
    return s->config.limits.waiting_max && s->lines[index].draw >= DRAW_CLOSING;
}

#endif
