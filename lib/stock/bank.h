/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bank of an item, at its home worker. It serves NEEDs first come, first served. When it cannot
 * serve one, it first gathers: every worker that may hold free units gets a RECALL and empties its
 * slice. Only when all have answered is a request refused, and SOLD_OUT is announced only when
 * nothing at all is free then. Private to lib/stock.
 */
#ifndef FG_STOCK_BANK_H
#define FG_STOCK_BANK_H

#include "stock/engine.h"

/* Queues a request for units; false when the queue's memory is used up. Its worker: that asks, or
 * TO_COMMAND when the operator removes units; then `serial` is the command's ticket. */
bool fg_stock_bank_enqueue(struct fg_stock *s, uint32_t index, const struct bank_entry *entry);

/* Takes a message of the worker `from`. */
void fg_stock_bank_message(struct fg_stock *s, unsigned from, const struct fg_stock_message *m);

/* Takes units of this worker whose release is durable: they may be sold again. */
void fg_stock_bank_release(struct fg_stock *s, uint32_t index, uint32_t units);

/* Does everything for one item that can be done now. True when it only waits for messages. */
bool fg_stock_bank_work(struct fg_stock *s, uint64_t now_ms, uint32_t index);

#endif
