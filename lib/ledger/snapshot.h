/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * snapshot: the state of the ledger at one sequence, as a file in the log directory,
 * `NNNNNNNNNNNNNNNNNNNN.fgs` (that sequence, 20 digits). Recovery and sinks begin with it instead
 * of with record 1, so that old segments may go. It holds nothing that the log has not held: it
 * never is the truth by itself.
 *
 * Writer: the thread that owns the ledger, one at a time. The file gets its name when all of it is
 * on disk. Readers: any number, in any thread and process, also while a newer one is written and
 * theirs is removed. A reader never gives anything out of a damaged snapshot: the whole file is
 * verified when it is opened, and each block again when it is read.
 */
#ifndef FG_LEDGER_SNAPSHOT_H
#define FG_LEDGER_SNAPSHOT_H

#include <sys/types.h>

#include "ledger/ledger.h"

struct fg_ledger_snapshot_info {
    uint64_t seq; /**< last record that is in it; 0 = no snapshot */
    uint64_t appliance_id;
    uint64_t created_ms; /**< Unix time */
    uint64_t items, denied, orders;
};

/**
 * Writes one of the ledger as it is; paced: synced in pieces, so that the log's own syncs do not
 * wait long. False and err: there is no new snapshot, nothing of it is left, and what was there is
 * untouched.
 */
bool fg_ledger_snapshot_write(const struct fg_ledger *ledger, const char *dir,
                              uint64_t appliance_id, uint64_t now_ms, struct fg_error *err);

/** Bytes that fg_ledger_snapshot_write would need now. */
uint64_t fg_ledger_snapshot_bytes(const struct fg_ledger *ledger);

/**
 * Removes all snapshots of dir but those of these two sequences (0 = none), which the caller knows
 * to be good. False and err when one cannot be removed.
 */
bool fg_ledger_snapshot_keep(const char *dir, uint64_t newest_seq, uint64_t older_seq,
                             struct fg_error *err);

struct fg_snapshot_reader;

/**
 * Newest snapshot of dir that verifies; a bad one falls back to the one before, and err->text then
 * says what is wrong with the newest (else it is empty). NULL: there is none (err->text empty), or
 * none is good (err set).
 */
struct fg_snapshot_reader *fg_ledger_snapshot_open(const char *dir,
                                                   struct fg_ledger_snapshot_info *info,
                                                   struct fg_error *err);

/** The one of exactly that sequence. NULL and err when it is missing or bad; errno 0: it could be
 * read, and is bad. */
struct fg_snapshot_reader *fg_ledger_snapshot_open_seq(const char *dir, uint64_t seq,
                                                       struct fg_ledger_snapshot_info *info,
                                                       struct fg_error *err);
/** Verifies a file that has not its name yet, as the snapshot of that sequence. False and err. */
bool fg_ledger_snapshot_check(const char *path, uint64_t seq, struct fg_ledger_snapshot_info *info,
                              struct fg_error *err);
void fg_ledger_snapshot_close(struct fg_snapshot_reader *reader);

/**
 * In this order, each until it gives 0: epochs of a pair (which may be left out), items in the
 * order of their definition, denied users, orders in the order of their first record. Up to max (at
 * least 1) at a time. -1 and err on damage.
 */
ssize_t fg_ledger_snapshot_epochs(struct fg_snapshot_reader *reader,
                                  struct fg_journal_epoch *epochs, size_t max,
                                  struct fg_error *err);
ssize_t fg_ledger_snapshot_items(struct fg_snapshot_reader *reader, struct fg_ledger_item *items,
                                 size_t max, struct fg_error *err);
ssize_t fg_ledger_snapshot_denied(struct fg_snapshot_reader *reader, uint64_t *users, size_t max,
                                  struct fg_error *err);
ssize_t fg_ledger_snapshot_orders(struct fg_snapshot_reader *reader, struct fg_ledger_order *orders,
                                  size_t max, struct fg_error *err);

/**
 * Fills an empty ledger from the newest good snapshot of dir, which is then at info->seq. Beyond
 * what a reader verifies, units and counts of every item must be what its orders add up to. True
 * with info->seq = 0 when there is none. err->text as in fg_ledger_snapshot_open. False: none is
 * good; the ledger is empty.
 */
bool fg_ledger_snapshot_load(struct fg_ledger *ledger, const char *dir,
                             struct fg_ledger_snapshot_info *info, struct fg_error *err);

/** The same; tell() hears every few thousand orders how many are loaded, and of how many. */
typedef void fg_ledger_snapshot_tell(void *ctx, uint64_t orders, uint64_t of);
bool fg_ledger_snapshot_load_telling(struct fg_ledger *ledger, const char *dir,
                                     fg_ledger_snapshot_tell *tell, void *ctx,
                                     struct fg_ledger_snapshot_info *info, struct fg_error *err);

/**
 * Whether a snapshot (seq 0 = none) and the log next to it, which holds first_seq to last_seq,
 * belong together: one appliance, no record missing in between, the log not shorter than the
 * snapshot. False and err.
 */
bool fg_ledger_snapshot_fits(const struct fg_ledger_snapshot_info *info, const char *dir,
                             uint64_t appliance_id, uint64_t first_seq, uint64_t last_seq,
                             struct fg_error *err);

#endif
