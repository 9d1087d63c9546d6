/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * retention: which old segments of the log go, and when. The ledger's thread alone. Private to
 * lib/ledger.
 */
#ifndef FG_LEDGER_RETENTION_H
#define FG_LEDGER_RETENTION_H

#include "ledger/snapshots.h"

/** The snapshot before that of seq, in the folder of the log; 0 = none. */
uint64_t fg_ledger_retention_older(const char *dir, uint64_t seq);

/**
 * Removes the segments that may go now; checks no more often than the disk's room changes. True:
 * room is short, and a snapshot now would let more of them go.
 */
bool fg_ledger_retention_poll(struct fg_ledger_snapshots *s, const struct fg_ledger *ledger);

#endif
