/* SPDX-License-Identifier: BSD-3-Clause */
/** check_log: whether limits have room for a log, before a start. Any thread. */
#ifndef FG_STOCK_CHECK_LOG_H
#define FG_STOCK_CHECK_LOG_H

#include "stock/stock.h"

/**
 * Reads the log in a folder, and compares as fg_stock_check_ledger does. The start compares the
 * same when the log is in its ledger. True when there is no log yet. A sale may run on this
 * machine, so a log that needs more than half of the free memory is not read: false, and err says
 * so.
 */
bool fg_stock_check_log(const struct fg_stock_limits *limits, unsigned workers, const char *dir,
                        struct fg_error *err);

#endif
