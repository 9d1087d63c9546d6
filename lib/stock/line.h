/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The waiting list of an item (docs/waiting.md). The home has the line: entries in the order of
 * their tickets. Each user's worker has the order, and decides about it: an entry may be of an
 * order that has left, which shows when its turn comes. Private to lib/stock.
 */
#ifndef FG_STOCK_LINE_H
#define FG_STOCK_LINE_H

#include "stock/order.h"

/* Users who may wait for the item, as this worker was told. */
static inline uint32_t line_max(const struct fg_stock *s, uint32_t index)
{
    return s->config.limits.waiting_max ? s->lines[index].max : 0;
}

/* ---- at the user's worker */

/* The request `serial` has a ticket; unless it was served or refused meanwhile. */
void fg_stock_line_ticketed(struct fg_stock *s, uint32_t index, uint32_t serial, uint32_t ticket);

/* Units for an order that waits. They are passed on when it does not any more. */
void fg_stock_line_offered(struct fg_stock *s, uint32_t index, uint32_t order, uint32_t ticket,
                           uint32_t units);

/* The line was cleared: the order leaves. */
void fg_stock_line_dropped(struct fg_stock *s, uint32_t index, uint32_t order, uint32_t ticket);

/* It is the order's turn, and there are too few units: it leaves as soon as its user is absent. */
void fg_stock_line_called(struct fg_stock *s, uint32_t index, uint32_t order, uint32_t ticket);
void fg_stock_line_check_called(struct fg_stock *s, uint64_t now_ms);

/* The home told which ticket comes next. */
void fg_stock_line_serving(struct fg_stock *s, uint32_t index, uint32_t ticket);

/* Records what was ticketed or offered. False when some of it must wait for room. */
bool fg_stock_line_work(struct fg_stock *s, uint64_t now_ms, uint32_t index);

/* The user asked again. */
void fg_stock_line_heard(struct fg_stock *s, uint64_t now_ms, struct order *o);

/* Puts into the answer WAITING for how long the user counts as present, and about when the turn is.
 */
void fg_stock_line_tell_times(const struct fg_stock *s, uint64_t now_ms, const struct order *o,
                              struct fg_stock_answer *a);

/* ---- at the home */

static inline uint32_t line_serving(const struct fg_stock *s, uint32_t index)
{
    const struct line *l = &s->lines[index];

    if (l->draw >= DRAW_CLOSING)
        return l->serving;
    return l->head == NIL ? l->tickets + 1 : s->line_entries[l->head].ticket;
}

/* False: the line is full, or there is none. */
static inline bool line_has_room(const struct fg_stock *s, uint32_t index)
{
    return line_max(s, index) > s->lines[index].waiting && s->line_free != NIL;
}

/* Adds an entry with the next ticket; there is room. */
void fg_stock_line_add(struct fg_stock *s, uint64_t now_ms, uint32_t index,
                       const struct bank_entry *e);

/* The order that was called has left: the next one is the head. */
void fg_stock_line_gone(struct fg_stock *s, uint32_t index, uint32_t ticket);

/* All who wait now shall leave. Returns how many entries that are. */
uint32_t fg_stock_line_clear(struct fg_stock *s, uint32_t index);

/* Offers the head what it wants, or lets it leave a cleared line. True when it did; else *room is
 * false when a ring was full. */
bool fg_stock_line_offer(struct fg_stock *s, uint64_t now_ms, uint32_t index, bool *room);

/* Tells the others which ticket comes next. False when a ring was full. */
bool fg_stock_line_tell(struct fg_stock *s, uint32_t index);

/* ---- recovery */

/* Undoes fg_stock_line_load for an item, of an engine that only loaded or was fed. */
void fg_stock_line_unload(struct fg_stock *s, uint32_t index);

/* All that waits for items of which this worker is home. False and err: too many. */
bool fg_stock_line_load(struct fg_stock *s, const struct fg_ledger *ledger, struct fg_error *err);

#endif
