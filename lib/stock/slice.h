/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker's side of an item: its slice, and its messages from and to the bank. Waiting requests
 * are served in order, and before any newer one. So when the GRANT of a request arrives, its units
 * are there (docs/architecture.md, "Slices and bank"). Private to lib/stock.
 */
#ifndef FG_STOCK_SLICE_H
#define FG_STOCK_SLICE_H

#include "stock/engine.h"

/* Takes a message of the item's bank. */
void fg_stock_slice_message(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_message *m);

/* Takes units whose release is durable; they go back to the bank. */
void fg_stock_slice_release(struct fg_stock *s, uint32_t index, uint32_t units);

/* Serves the requests that wait and sends to the bank what is owed. True when nothing remains to be
 * done. */
bool fg_stock_slice_work(struct fg_stock *s, uint64_t now_ms, uint32_t index);

#endif
