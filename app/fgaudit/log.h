/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * log: the auditor's own reader of the log. It shares with lib/journal the layout of records and
 * headers and nothing else, so that an error there is not an error here. Reads with pread: a daemon
 * may extend or cut the log meanwhile.
 */
#ifndef FG_AUDIT_LOG_H
#define FG_AUDIT_LOG_H

#include "journal/journal.h"
#include "problems.h"

struct fg_log_segment {
    uint64_t first_seq; /* of its name */
};

struct fg_log {
    const char *dir;
    struct fg_problems *problems;
    struct fg_log_segment *segments;
    size_t count, current;
    int fd; /* of the current segment; -1 = none */
    uint64_t appliance, size, offset;
    uint64_t first_seq; /* of the first segment: 1, unless old ones were removed */
    uint64_t next_seq;
    struct fg_journal_epoch epoch; /* of the record before next_seq */
    uint64_t limit_seq;
    struct fg_journal_record *buffer;
    size_t filled, at; /* records in the buffer, next of them */
    uint64_t torn;     /* records behind the end that are not zero; a torn or running commit */
    bool damaged;      /* damage was reported: what lies behind is not read */
};

/** False and err: no such directory, no segment, not readable. The log must not be moved in memory.
 */
bool fg_log_open(struct fg_log *log, const char *dir, struct fg_problems *problems,
                 struct fg_error *err);
void fg_log_close(struct fg_log *log);

/** CRC of the record of that sequence, in a log of its own reading; false: it is not there. */
bool fg_log_crc_of(const char *dir, uint64_t seq, uint32_t *crc);

/**
 * Next record, checked for CRC and sequence; NULL at the end or behind limit_seq. After NULL a
 * later call continues when the log has grown. The pointer holds until the next call.
 */
const struct fg_journal_record *fg_log_next(struct fg_log *log);

const char *fg_log_type(unsigned type); /**< "reserved"; "?" when unknown */
const char *fg_log_left(uint64_t why);  /**< "absent"; NULL when unknown */

#endif
