/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * journal: the append-only log of decisions. One directory, segments `NNNNNNNNNNNNNNNNNNNN.fgj`
 * (first sequence, 20 digits), preallocated; each begins with one 64-byte header (struct
 * fg_journal_segment_header) and holds 64-byte records.
 *
 * Writer: one thread (the journal thread), by fg_journal_* or fg_committer_*. Readers: any number,
 * each with its own fg_journal_reader, in any process; they see whole records up to the sequence
 * that they are told is durable.
 *
 * Errors: a failed write or sync is final (the page cache cannot be trusted any more): the journal
 * goes to FG_JOURNAL_FAILED and refuses all later appends. No space is FG_JOURNAL_FULL: nothing was
 * written, and the next append tries again. A segment that is no longer found under its name (its
 * volume was unmounted or covered, its folder moved or removed) is FG_JOURNAL_GONE: a restart would
 * not find the commit, so it is not acknowledged. The same append is tried again when the folder is
 * back.
 *
 * Torn tail: a commit that did not reach the disk as a whole before a crash. It was never
 * acknowledged. On open, the log is cut at the first record that is not valid, unless a later valid
 * BATCH record says that it had been durable, or a later segment exists: then the log is corrupt in
 * the middle and open fails with file and offset.
 *
 * Retention: the oldest segments may be removed once snapshots (ledger/snapshot.h) hold what they
 * add up to. The log then begins later than with record 1.
 */
#ifndef FG_JOURNAL_H
#define FG_JOURNAL_H

#include <stdatomic.h>

#include "base/ring.h"
#include "journal/epochs.h"
#include "journal/options.h"
#include "journal/record.h"

#define FG_JOURNAL_SEGMENT_MAGIC        0x31474f4c44474646ull
#define FG_JOURNAL_SEGMENT_VERSION      1
#define FG_JOURNAL_SEGMENT_BYTES_MIN    (64ull << 10)
#define FG_JOURNAL_SEGMENT_BYTES_MAX    (16ull << 30)
#define FG_JOURNAL_SEGMENT_BYTES_NORMAL (64ull << 20)

struct fg_journal_segment_header {
    uint64_t magic;
    uint32_t version;
    uint32_t crc;          /**< CRC32C of the header with crc = 0 */
    uint64_t appliance_id; /**< random, made with the first segment; all segments of a log carry the
                              same */
    uint64_t first_seq;
    uint64_t created_ms; /**< Unix time */
    uint64_t bytes;      /**< size of the segment with this header */
    uint64_t epoch;      /**< of the record before the segment; 0 = none */
    uint64_t epoch_seq;  /**< first record of that epoch; 0 = none */
};
_Static_assert(sizeof(struct fg_journal_segment_header) == 64, "segment header layout");

enum fg_journal_state {
    FG_JOURNAL_OK,
    FG_JOURNAL_FULL,
    FG_JOURNAL_FAILED,
    FG_JOURNAL_GONE,
    FG_JOURNAL_STATES
};
const char *fg_journal_state_name(enum fg_journal_state state); /**< "full" */

/** Of the folder: why a log is GONE. */
#define FG_JOURNAL_GONE_TEXT                                                                       \
    "%.300s is no longer the log that is written: removed, moved away, or its volume is not "      \
    "mounted"

struct fg_journal_options {
    const char *dir;
    bool begin; /**< makes dir, with its parents, and begins a new log in it: refused when there is
                   a log. Otherwise a dir without a log is refused */
    uint64_t segment_bytes; /**< a multiple of 64; 0 = FG_JOURNAL_SEGMENT_BYTES_NORMAL */
    bool memory;            /**< durability `memory`: no sync at all, for benchmarks */
    bool retired; /**< a log that begins later than with record 1 is opened too: the caller has the
                       snapshot that holds the rest, and sees to it that it reaches far enough */
    unsigned prepare_ms; /**< a thread prepares the next segment when one lasts longer than this; 0
                            = none does.    With it a new log's first segment is prepared before
                            open returns */
    enum fg_journal_way way; /**< how commits reach the disk; one that is not possible here is
                                replaced by FG_JOURNAL_WAY_PLAIN */
    uint64_t now_ms;         /**< Unix time, for headers */
    /* begin, as the log of a peer in a pair: */
    uint64_t appliance_id; /**< of the peer; 0 = a new one */
    uint64_t begin_seq;    /**< first record, 0 = 1; its caller has a snapshot of those before */
    struct fg_journal_epoch epoch; /**< of the record before that */
};

struct fg_journal; /**< the writing side */

/** Locks the directory (a second writer is refused), checks and cuts the tail. NULL and err on
 * failure. */
struct fg_journal *fg_journal_open(const struct fg_journal_options *options, struct fg_error *err);
void fg_journal_close(struct fg_journal *journal);

/**
 * Whether fg_journal_open() would take dir by what lies in it: no log to begin one, a log
 * otherwise. Changes nothing. False and err. Any thread.
 */
bool fg_journal_wanted(const char *dir, bool begin, struct fg_error *err);

/** Whether dir holds a log: a segment, that is. False also when it cannot be read. Any thread. */
bool fg_journal_found(const char *dir);

uint64_t fg_journal_appliance(const struct fg_journal *journal);
uint64_t fg_journal_begin_seq(
    const struct fg_journal *journal); /**< of the first record when it was opened */
uint64_t
fg_journal_last_seq(const struct fg_journal *journal); /**< of the last record written; 0 = empty */
uint64_t
fg_journal_cut_records(const struct fg_journal *journal); /**< torn records that open cut off */
/** Its directory still has its lock and a segment: false when it was removed or moved. Any thread.
 */
bool fg_journal_in_place(const struct fg_journal *journal);
enum fg_journal_state fg_journal_state(const struct fg_journal *journal);
const char *
fg_journal_error(const struct fg_journal *journal); /**< why it is FULL or FAILED; "" when OK */

/**
 * Writes a BATCH record and the n records (they get their seq and crc here) and makes them durable:
 * one write, one fdatasync (more when a segment ends in between). True when all n are durable.
 * False: none may be acknowledged, see fg_journal_state; after FULL the same records may be given
 * again.
 */
bool fg_journal_commit(struct fg_journal *journal, const struct fg_journal_record *records,
                       size_t n, uint64_t now_ms);

/**
 * The same of one EPOCH record: it begins an epoch of a pair, which must be later than that of the
 * log. Its first record is the commit's BATCH record.
 */
bool fg_journal_begin_epoch(struct fg_journal *journal, uint64_t epoch, uint64_t node,
                            const uint8_t nonce[16], uint64_t now_ms);

/** Of the last record; {0, 0} = none has begun. */
struct fg_journal_epoch fg_journal_epoch(const struct fg_journal *journal);

/**
 * n slots for the records of a commit, aligned as the writer needs them, in one of
 * FG_JOURNAL_BUFFERS buffers: a commit does not copy records that lie here, from the first slot
 * on. Valid until close, or until more are asked for; NULL when out of memory. A commit of records
 * from elsewhere overwrites the first buffer.
 */
#define FG_JOURNAL_BUFFERS 2
struct fg_journal_record *fg_journal_positions(struct fg_journal *journal, unsigned buffer,
                                               size_t n);

/* ---- commits that overlap: the next one is written while the disk still has the last --------- */

/** How commits reach the disk: what FG_JOURNAL_WAY_AUTO chose. Any thread. */
enum fg_journal_way fg_journal_way(const struct fg_journal *journal);
const char *fg_journal_way_text(const struct fg_journal *journal); /**< what the trial measured */
const char *fg_journal_way_name(enum fg_journal_way way);          /**< "uring" */

/** Commits that can be under way at a time: 1 or FG_JOURNAL_BUFFERS. Any thread. */
unsigned fg_journal_depth(const struct fg_journal *journal);

/**
 * Begins a commit of the n records in a buffer, which belongs to the journal until the commit has
 * ended. Buffers are used in turn. False: nothing was begun. While the state is OK, an earlier
 * commit has to end first; otherwise see fg_journal_state, and begin it again, in the order of the
 * first attempts.
 */
bool fg_journal_begin(struct fg_journal *journal, unsigned buffer, size_t n, uint64_t now_ms);

/**
 * Waits up to `us` (UINT_MAX: for as long as it takes) for the oldest commit that was begun. 1: it
 * is durable. 0: it is still under way, or there is none. -1: neither it nor any later one may be
 * acknowledged; none is under way any more, and all of them may be begun again unless the state is
 * FAILED.
 */
int fg_journal_end(struct fg_journal *journal, unsigned us);

/* ---- how far back ---------------------------------------------------------------------------- */

struct fg_journal_extent {
    uint64_t first_seq, segments, bytes;
};

/** The extent of the log in dir now, also beside a writer; any thread. False and err. */
bool fg_journal_extent(const char *dir, struct fg_journal_extent *extent, struct fg_error *err);

/** The first sequence that the log still holds: 1 when nothing was retired; 0 and err on trouble.
 */
uint64_t fg_journal_first_seq(const char *dir, struct fg_error *err);

/**
 * Removes the segments that lie entirely at or before passed_seq (snapshot and sinks have passed
 * it), oldest first, as long as those that stay hold at least keep_bytes. Never the last one.
 * Beside a living writer and readers that are further; one thread at a time. Returns how many went,
 * -1 and err when one could not.
 */
ssize_t fg_journal_retire(const char *dir, uint64_t passed_seq, uint64_t keep_bytes,
                          struct fg_error *err);

/* ---- group commit: from the workers' rings to the watermarks --------------------------------- */

/** One worker's count of durable records, alone on its line. Written by the journal thread, read by
 * its worker. */
struct fg_journal_watermark {
    _Alignas(FG_CACHE_LINE) _Atomic uint64_t
        durable; /**< how many of the records it pushed since start are on disk */
};

/** Records that were taken from the rings, until they are durable. */
struct fg_journal_batch {
    struct fg_journal_record *records; /**< [batch_max], the journal's */
    size_t n;
    size_t taken[FG_WORKERS_MAX]; /**< of them, by worker */
    uint64_t time_ms;             /**< of its BATCH record */
    bool begun;                   /**< the journal has it; else it met trouble, or waits */
};

struct fg_journal_committer {
    struct fg_journal *journal;
    unsigned workers;
    struct fg_ring *
        *rings; /**< [workers], struct fg_journal_record in each; this thread consumes */
    struct fg_journal_watermark *marks; /**< [workers] */
    struct fg_journal_batch batches[FG_JOURNAL_BUFFERS];
    unsigned oldest, count; /**< of batches, in the order in which they were taken */
    unsigned depth;         /**< of batches, at most */
    size_t batch_max;
    _Atomic uint64_t durable_seq; /**< last durable sequence of the log: for readers and sinks */
    _Atomic int state;            /**< enum fg_journal_state, for workers and status */
    _Atomic uint64_t commits;     /**< statistics: batches */
    _Atomic uint64_t records;     /**< statistics: records, without BATCH */
    size_t held;                  /**< records of batches that met a full disk */
};

/** batch_max: records of one commit, 0 = 8192. Rings and marks stay the caller's. journal NULL: it
 * is attached later. */
bool fg_journal_committer_init(struct fg_journal_committer *c, struct fg_journal *journal,
                               struct fg_ring **rings, struct fg_journal_watermark *marks,
                               unsigned workers, size_t batch_max, struct fg_error *err);
/** From now on it commits to this journal; it has no batch. False and err: no memory. */
bool fg_journal_committer_attach(struct fg_journal_committer *c, struct fg_journal *journal,
                                 struct fg_error *err);
/** Tells state and end of the journal, after a commit that did not go through the committer. */
void fg_journal_committer_note(struct fg_journal_committer *c);
void fg_journal_committer_free(struct fg_journal_committer *c);

/**
 * Begins a group commit: takes what waits in the rings (fair over the workers) and gives it to the
 * disk. Batches that met trouble come first, in their order. Returns the records begun; 0 when
 * there are none, when as many commits as possible are under way, or when the journal is FULL or
 * FAILED.
 */
size_t fg_journal_committer_begin(struct fg_journal_committer *c, uint64_t now_ms);

/**
 * Waits up to `us` (UINT_MAX: for as long as it takes) for the oldest commit under way, and
 * publishes the watermarks with release stores. Returns the records made durable; 0 when it is
 * still under way, when there is none, or when the journal is FULL or FAILED.
 */
size_t fg_journal_committer_end(struct fg_journal_committer *c, unsigned us);

/** Commits under way. */
unsigned fg_journal_committer_under_way(const struct fg_journal_committer *c);

/** A whole group commit: begins one and waits for it. Returns as fg_journal_committer_end. */
size_t fg_journal_committer_step(struct fg_journal_committer *c, uint64_t now_ms);

/**
 * Microseconds to wait before the step that follows a commit. A commit has a cost of its own (CPU
 * and disk), so where hundreds of records came while the disk synced, and more will come, some more
 * are worth waiting for. 0 when all that are under way were in the commit, when a batch is there,
 * or when a ring is half full.
 */
unsigned fg_journal_committer_gather_us(const struct fg_journal_committer *c);

/* ---- reading --------------------------------------------------------------------------------- */

struct fg_journal_reader;

/** next_seq: first sequence wanted, from 1. NULL and err when the directory holds no log. */
struct fg_journal_reader *fg_journal_reader_open(const char *dir, uint64_t next_seq,
                                                 struct fg_error *err);
void fg_journal_reader_close(struct fg_journal_reader *reader);

/**
 * Copies up to max records with seq <= limit_seq, in order, BATCH records included. Returns how
 * many; 0 when there is nothing yet; -1 and err when a record that should be there is missing or
 * corrupt (err names file and offset). limit_seq UINT64_MAX: up to the valid end of the log (for
 * recovery and auditor; without a writer meanwhile).
 */
ssize_t fg_journal_read(struct fg_journal_reader *reader, struct fg_journal_record *records,
                        size_t max, uint64_t limit_seq, struct fg_error *err);

uint64_t
fg_journal_reader_appliance(const struct fg_journal_reader *reader); /**< appliance_id of the log */

#endif
