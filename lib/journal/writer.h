/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * writer: the inside of struct fg_journal. writer.c commits and closes; recover.c, which opens,
 * uses it. Private to lib/journal.
 */
#ifndef FG_JOURNAL_WRITER_H
#define FG_JOURNAL_WRITER_H

#include <limits.h>

#include "journal/journal.h"
#include "journal/segment.h"
#include "journal/spare.h"

#define FG_JOURNAL_LOCK_NAME     "lock"
#define FG_JOURNAL_STAGE_RECORDS 8193 /* the least; one write of a full commit of the committer */

struct fg_journal {
    struct fg_journal_file_ops ops;
    char dir[PATH_MAX];
    uint64_t segment_bytes;
    uint64_t appliance_id;
    uint64_t begin_seq; /* of the first segment, when it was opened */
    bool memory, retired, prepares;
    int dir_fd, lock_fd;
    int spare_fd;           /* FG_JOURNAL_SPARE_NAME, allocated; -1 = none */
    struct fg_spare *spare; /* prepares it in a thread of its own; NULL = none */

    struct fg_journal_segment base; /* holds the place of last_seq + 1, or ends right before it */
    struct fg_journal_segment tip;  /* where the commit under way writes; base between commits */
    bool unfinished;                /* a commit met a full disk and left bytes behind */
    uint64_t dirty_end;             /* end of its bytes in base */

    uint64_t last_seq;
    struct fg_journal_epoch epoch; /* of last_seq */
    _Atomic uint64_t commit;       /* `item` of BATCH records */
    bool foreign;                  /* the commit under way is of records of the peer */
    uint64_t durable_seq;          /* known to be on disk: what BATCH records say */
    uint64_t cut_records;
    enum fg_journal_state state;
    char error[512];
    struct fg_journal_record
        *stage; /* [stage_records]: what is written, place 0 is that of the BATCH record */
    size_t stage_records;
};

/** fg_journal_commit() of records that have their sequences already, BATCH records included. */
bool fg_journal_commit_foreign(struct fg_journal *j, const struct fg_journal_record *records,
                               size_t n, uint64_t now_ms);

/** Allocates the next segment's file, without header and name. */
bool fg_journal_make_spare(struct fg_journal *j);

/** Gives the spare a header and its name and makes it j->tip. The caller has synced what comes
 * before. */
bool fg_journal_next_segment(struct fg_journal *j, uint64_t first_seq, uint64_t now_ms);

#endif
