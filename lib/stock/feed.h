/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * feed: the engines of a standby, brought up to date with each record that was committed, so that a
 * take-over loads nothing. No worker uses them meanwhile: one thread feeds them all, the one that
 * owns the ledger. The barrier before leading: it has fed the last record, and the workers begin
 * behind that (by a release store of its, an acquire load of theirs).
 */
#ifndef FG_STOCK_FEED_H
#define FG_STOCK_FEED_H

#include "stock/stock.h"

/**
 * One record, of which the ledger has taken in at least this one. The state comes from the ledger,
 * as by fg_stock_load: so records may be fed in any pieces, and the last ones twice. Each engine
 * needs all of them. An engine that was fed, to its end, equals one that was loaded from the
 * ledger. False and err: it does not fit the limits, or the type of the record is unknown.
 */
bool fg_stock_feed(struct fg_stock *stock, const struct fg_ledger *ledger,
                   const struct fg_journal_record *record, struct fg_error *err);

/**
 * At a take-over, when the last record was fed: builds the waiting lists of which this worker is
 * home. Reads all orders of the ledger if anyone waits; else nothing. Before it the engine has no
 * lines. False and err: it does not fit the limits.
 */
bool fg_stock_feed_end(struct fg_stock *stock, const struct fg_ledger *ledger,
                       struct fg_error *err);

/** Now and then: forgets the deadlines of holds that have ended. Bounded work. Time as for
 * fg_stock_poll. */
void fg_stock_feed_time(struct fg_stock *stock, uint64_t now_ms);

/**
 * At a take-over: no hold ends before grace_ms after its deadline, from now on. The grace is the
 * skew of the two clocks, and the time in which nobody could pay.
 */
void fg_stock_set_grace(struct fg_stock *stock, uint32_t grace_ms);

#endif
