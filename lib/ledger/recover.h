/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * recover: fills a ledger from the disk at the start: the newest good snapshot, then the records
 * that follow it. Main thread; no other thread writes the log meanwhile.
 */
#ifndef FG_LEDGER_RECOVER_H
#define FG_LEDGER_RECOVER_H

#include "ledger/ledger.h"
#include "ledger/snapshot.h"

struct fg_ledger_recovery {
    const char *dir;              /**< of the log */
    uint64_t appliance_id;        /**< of the log */
    uint64_t first_seq, last_seq; /**< that the log holds */
    uint64_t orders_max;          /**< memory for this many is taken at once */
    /** Of a pair: the last committed record that the log tells; what follows may be cut, and is
     * left out. A snapshot may be later: it holds committed records only. NULL = all of the log. */
    const uint64_t *committed_seq;
};

/**
 * The ledger at last_seq (of a pair at the last record that was surely committed), and in *from the
 * snapshot that it began with (seq 0 = none). NULL and err when the log does not follow the
 * snapshot, is corrupt, or when memory is short. A bad snapshot with a good one, or a whole log,
 * before it is a warning on stderr. Progress goes to notify.h.
 */
struct fg_ledger *fg_ledger_recover(const struct fg_ledger_recovery *recovery,
                                    struct fg_ledger_snapshot_info *from, struct fg_error *err);

#endif
