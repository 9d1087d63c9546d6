/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * snapshot: the auditor's own reader of snapshots: where a log begins whose first segments were
 * removed, and whether each later snapshot says what the log says. Shares with lib/ledger the
 * layout and nothing else.
 */
#ifndef FG_AUDIT_SNAPSHOT_H
#define FG_AUDIT_SNAPSHOT_H

#include "story.h"

/**
 * For a log that begins later than with record 1: makes the story begin with the oldest good
 * snapshot that reaches the log, and passes over the records that are in it. False and err: there
 * is none.
 */
bool fg_snapshots_begin(struct fg_story *story, struct fg_log *log, struct fg_error *err);

/** Takes in all records, and compares each snapshot with the story when it comes to it. *compared:
 * how many.
 */
void fg_snapshots_read(struct fg_story *story, struct fg_log *log, uint64_t *compared);

#endif
