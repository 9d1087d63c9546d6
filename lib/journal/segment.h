/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * segment: names, headers and contents of segment files, as writer and reader both see them.
 * Private to lib/journal.
 */
#ifndef FG_JOURNAL_SEGMENT_H
#define FG_JOURNAL_SEGMENT_H

#include "journal/file.h"
#include "journal/journal.h"

#define FG_JOURNAL_SEGMENT_NAME_SIZE FG_JOURNAL_NAME_SIZE
#define FG_JOURNAL_SCAN_RECORDS      16384

struct fg_journal_segment {
    int fd; /**< -1 = not open */
    uint64_t first_seq;
    uint64_t bytes;
    struct fg_journal_epoch epoch; /**< of the record before it, from its header */
};

static inline uint64_t fg_journal_segment_positions(uint64_t bytes)
{
    return bytes / FG_JOURNAL_RECORD_SIZE - 1; /* the header takes one */
}

/** The first sequence behind the segment. */
static inline uint64_t fg_journal_segment_end(const struct fg_journal_segment *s)
{
    return s->first_seq + fg_journal_segment_positions(s->bytes);
}

static inline uint64_t fg_journal_segment_offset(const struct fg_journal_segment *s, uint64_t seq)
{
    return (seq - s->first_seq + 1) * FG_JOURNAL_RECORD_SIZE;
}

static inline bool fg_journal_record_valid(const struct fg_journal_record *record, uint64_t seq)
{
    return record->seq == seq && record->crc == fg_journal_record_crc(record);
}

void fg_journal_segment_name(char name[FG_JOURNAL_SEGMENT_NAME_SIZE], uint64_t first_seq);

/**
 * The epoch that a record stands in, behind records of epoch `before`. A BATCH record names it, so
 * that the first one begins it also when a crash took the EPOCH record behind it. Early logs of a
 * pair have the EPOCH record alone.
 */
static inline struct fg_journal_epoch fg_journal_epoch_of(const struct fg_journal_record *record,
                                                          struct fg_journal_epoch before)
{
    if (record->type == FG_JOURNAL_RECORD_BATCH && record->user > before.epoch)
        return (struct fg_journal_epoch){.epoch = record->user, .first_seq = record->seq};
    if (record->type == FG_JOURNAL_RECORD_EPOCH)
        return (struct fg_journal_epoch){.epoch = record->item, .first_seq = record->seq - 1};
    return before;
}

void fg_journal_segment_header_make(struct fg_journal_segment_header *header, uint64_t appliance_id,
                                    const struct fg_journal_segment *segment, uint64_t created_ms);

/**
 * Opens a segment and checks its header; *appliance_id 0 is filled in, any other must match. False
 * and err; *missing (may be NULL) says that there is no such file.
 */
bool fg_journal_segment_open(struct fg_journal_segment *s, int dir_fd, const char *dir,
                             uint64_t first_seq, int flags, uint64_t *appliance_id, bool *missing,
                             struct fg_error *err);

/** The content of a segment from one sequence on. */
struct fg_journal_segment_tail {
    uint64_t end_seq;     /**< first sequence that is not valid; the segment's end when all are */
    uint64_t durable_seq; /**< highest sequence that a valid BATCH record calls durable; 0 = none */
    uint64_t witness_seq; /**< a BATCH record behind end_seq that calls end_seq durable; 0 = none */
    uint64_t torn;        /**< places behind end_seq that are not zero */
    uint64_t commit_seq;  /**< highest sequence that BATCH records say was committed */
    bool batches;         /**< there are any */
    bool alone; /**< the last of them says: everything behind it that is durable is committed */
    struct fg_journal_epoch epoch; /**< of the record before end_seq */
};

/** from_seq and all before it in the segment need not be valid. False and err when reading fails.
 */
bool fg_journal_segment_scan(const struct fg_journal_segment *s, const char *dir, uint64_t from_seq,
                             struct fg_journal_segment_tail *tail, struct fg_error *err);

/** Writes the refusal of a segment that is corrupt in the middle; returns false. */
bool fg_journal_segment_corrupt(const struct fg_journal_segment *s, const char *dir, uint64_t seq,
                                uint64_t witness_seq, struct fg_error *err);

bool fg_journal_all_zero(const void *data, size_t len); /**< len >= 1 */

#endif
