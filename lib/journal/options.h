/* SPDX-License-Identifier: BSD-3-Clause */
/** options: of the log, as an operator gives them: section [log]. */
#ifndef FG_JOURNAL_OPTIONS_H
#define FG_JOURNAL_OPTIONS_H

#include <stdint.h>

enum fg_journal_durability { FG_JOURNAL_DURABILITY_DISK, FG_JOURNAL_DURABILITY_MEMORY };
/** How a commit reaches the disk. */
enum fg_journal_way {
    FG_JOURNAL_WAY_PLAIN, /**< write, then fdatasync; one at a time */
    FG_JOURNAL_WAY_DSYNC, /**< one durable write that bypasses the page cache; one at a time */
    FG_JOURNAL_WAY_URING, /**< the same by io_uring, two under way */
    FG_JOURNAL_WAY_AUTO,  /**< the fastest of them by a trial */
    FG_JOURNAL_WAYS
};
enum fg_journal_behind { FG_JOURNAL_BEHIND_STOP, FG_JOURNAL_BEHIND_SELL };

struct fg_journal_settings {
    char dir[512];
    enum fg_journal_durability durability;
    enum fg_journal_way commit;
    enum fg_journal_behind behind; /**< when a sink knows records that the log lacks */
    uint64_t segment_bytes;
    unsigned batch_max;
    uint64_t snapshot_records; /**< between two snapshots; 0 = only when asked for */
    uint64_t keep_bytes;       /**< of old segments that are not needed any more */
    uint64_t sink_keep_bytes;  /**< of the log, for the sake of sinks that lag */
    char archive[512];         /**< folder for copies of old segments; "" = none */
    uint64_t ledger_lag_max;   /**< records on disk that the ledger may lack */
    unsigned ring;             /**< capacity of each worker's ring to the journal, in records */
};

#endif
