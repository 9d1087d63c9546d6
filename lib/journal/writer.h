/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * writer: the inside of struct fg_journal. writer.c commits and closes; recover.c, which opens,
 * uses it. Private to lib/journal.
 */
#ifndef FG_JOURNAL_WRITER_H
#define FG_JOURNAL_WRITER_H

#include <limits.h>

#include "journal/journal.h"
#include "journal/queue.h"
#include "journal/segment.h"
#include "journal/spare.h"

#define FG_JOURNAL_LOCK_NAME     "lock"
#define FG_JOURNAL_STAGE_RECORDS 8193 /* the least; one write of a full commit of the committer */

/** A commit under way, from the buffer of the same number. */
struct fg_journal_flight {
    size_t records;     /* with its BATCH records; 0 = it was committed when it began */
    size_t bytes, done; /* of done the disk has told */
    uint64_t offset;
    bool over; /* the disk has told of all of it, or of an error */
    int error;
};

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
    uint64_t dirty_end;             /* end of its bytes in base, and of commits under way */

    enum fg_journal_way way;
    char way_text[FG_JOURNAL_TRIAL_TEXT];
    unsigned align;      /* of direct writes, bytes */
    int direct_fd;       /* base, for direct writes; -1 = none */
    uint64_t direct_seq; /* of the segment for which it was opened; 0 = none */
    uint64_t direct_end; /* of its room that is prepared, bytes */
    struct fg_journal_flight flights[FG_JOURNAL_FLIGHTS];
    unsigned oldest, flying;

    uint64_t last_seq;
    struct fg_journal_epoch epoch;  /* of last_seq, or of the commit under way */
    struct fg_journal_epoch before; /* the one before that */
    _Atomic uint64_t commit;        /* `item` of BATCH records */
    bool foreign;                   /* the commit under way is of records of the peer */
    void (*staged)(void *ctx, const struct fg_journal_record *records, size_t n);
    void *staged_ctx;
    uint64_t durable_seq; /* known to be on disk: what BATCH records say */
    uint64_t cut_records;
    enum fg_journal_state state;
    char error[512];
    /* [stage_records] each: what is written, place 0 is that of the BATCH record */
    struct fg_journal_record *stage[FG_JOURNAL_BUFFERS];
    size_t stage_records[FG_JOURNAL_BUFFERS];
};
_Static_assert(FG_JOURNAL_BUFFERS == FG_JOURNAL_FLIGHTS, "a buffer for each commit under way");

/** fg_journal_commit() of records that have their sequences already, BATCH records included. */
bool fg_journal_commit_foreign(struct fg_journal *j, const struct fg_journal_record *records,
                               size_t n, uint64_t now_ms);

/** The next record begins that epoch; and back, when it was not written. */
struct fg_journal_standing {
    struct fg_journal_epoch epoch, before;
};
void fg_journal_enter(struct fg_journal *j, struct fg_journal_epoch epoch);
void fg_journal_leave(struct fg_journal *j, const struct fg_journal_standing *was);

/** Allocates the next segment's file, without header and name. */
bool fg_journal_make_spare(struct fg_journal *j);

/** Gives the spare a header and its name and makes it j->tip. The caller has synced what comes
 * before. */
bool fg_journal_next_segment(struct fg_journal *j, uint64_t first_seq, uint64_t now_ms);

/* ---- of the writer, for commits that overlap ------------------------------------------------- */

/** Zeroes what an unfinished commit wrote, and syncs that. False: not yet, see the state. */
bool fg_journal_take_back(struct fg_journal *j);

/** Whether a restart would find the last segment. */
bool fg_journal_placed(struct fg_journal *j);
bool fg_journal_is_gone(struct fg_journal *j); /**< it would not; returns false */

/** FULL or FAILED by errno; returns false. */
bool fg_journal_segment_refused(struct fg_journal *j, const char *what, uint64_t first_seq);

/** BATCH records behind a commit of `count` records, so that the next one begins where direct
 * writes can. */
size_t fg_journal_padding(const struct fg_journal *j, uint64_t first_seq, size_t count);

/**
 * Makes the records first..first+count-1 of a commit ready for writing; 0 is its BATCH record, and
 * behind the n records comes the padding. Returns where they lie.
 */
struct fg_journal_record *fg_journal_stage(struct fg_journal *j,
                                           const struct fg_journal_record *records, size_t n,
                                           size_t first, size_t count, uint64_t first_seq,
                                           uint64_t now_ms);

/** Closes and frees it all; nothing is under way. */
void fg_journal_release(struct fg_journal *j);

#endif
