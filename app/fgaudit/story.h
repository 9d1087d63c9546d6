/* SPDX-License-Identifier: BSD-3-Clause */
/** story: what the log says happened, checked record by record by a state machine of the auditor's
 * own. */
#ifndef FG_AUDIT_STORY_H
#define FG_AUDIT_STORY_H

#include "denied.h"
#include "log.h"
#include "tables.h"

/** A draw that the log has. */
struct fg_draw {
    uint64_t item, seq, time_ms, commit_seq, renewed, renewed_late, strangers;
    uint64_t first; /* ticket */
    uint8_t seed[16];
    uint32_t *orders, count; /* in the order that the seed gives */
};

struct fg_story {
    struct fg_tables tables;
    struct fg_denied_users denied;
    struct fg_problems *problems;
    uint64_t settle_ms; /* so long after a change of settings may a worker still use the old ones */
    uint64_t seq;       /* last record taken in */
    uint64_t commit_seq;             /* of the last BATCH record */
    uint64_t begin_seq;              /* of the snapshot that it begins with; 0 = with record 1 */
    struct fg_journal_epochs epochs; /* of a pair */
    uint64_t commits, records;       /* records: without BATCH */
    uint64_t states[FG_STATE_COUNT]; /* orders in each state, now */
    struct fg_draw *draws;
    size_t draw_count;
};

void fg_story_init(struct fg_story *story, struct fg_problems *problems, uint64_t settle_ms);
void fg_story_free(struct fg_story *story);

/** Takes in an epoch; false: it is not behind the one before. */
bool fg_story_epoch(struct fg_story *story, struct fg_journal_epoch epoch);

/** Takes in all records that the log has now, up to its limit. */
void fg_story_read(struct fg_story *story, struct fg_log *log);

/** Adds up the orders anew and compares with the counts. Once, at the end of the log. */
void fg_story_conservation(const struct fg_story *story);

/** Units oversold: for each item the most that were ever missing, added up. */
uint64_t fg_story_oversold(const struct fg_story *story);

#endif
