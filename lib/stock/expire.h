/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to lib/stock. */
#ifndef FG_STOCK_EXPIRE_H
#define FG_STOCK_EXPIRE_H

#include "stock/engine.h"

/* Expires the reservations whose deadline has passed, at most EXPIRE_MAX in one call. */
void fg_stock_expire_due(struct fg_stock *s, uint64_t now_ms);

#endif
