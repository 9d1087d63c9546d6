/* SPDX-License-Identifier: BSD-3-Clause */
/** load: what an engine takes from a ledger, piece by piece. Private to lib/stock. */
#ifndef FG_STOCK_LOAD_H
#define FG_STOCK_LOAD_H

#include "ledger/ledger.h"
#include "stock/engine.h"

/** A new item, or what the ledger knows of one by now. */
void fg_stock_load_item(struct fg_stock *s, const struct fg_ledger_item *from);
/** An order that the engine does not have. False and err. */
bool fg_stock_load_order(struct fg_stock *s, const struct fg_ledger_order *from,
                         struct fg_error *err);

#endif
