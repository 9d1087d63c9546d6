/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * file: what the writing side asks of the file system, as a table, so that a test can refuse a call
 * or record what a power cut would leave; and the names of files in a log directory. Private to who
 * writes there: lib/journal, the snapshots of lib/ledger, what lib/replication is sent, and their
 * tests.
 */
#ifndef FG_JOURNAL_FILE_H
#define FG_JOURNAL_FILE_H

#include <sys/types.h>

#include "base/base.h"

/** Each returns what the system call of its kind returns; on failure -1 and errno. */
struct fg_journal_file_ops {
    int (*create)(void *ctx, int dir_fd, const char *name); /**< empty, for reading and writing */
    int (*allocate)(void *ctx, int fd, uint64_t bytes); /**< bytes long, new places read as zero */
    ssize_t (*write)(void *ctx, int fd, const void *data, size_t len, uint64_t offset);
    int (*sync)(void *ctx, int fd);    /**< data of a file, and what is needed to read it */
    void (*forget)(void *ctx, int fd); /**< drop cached clean data: the next read asks the disk */
    int (*sync_dir)(void *ctx, int dir_fd); /**< names in a directory */
    int (*rename)(void *ctx, int dir_fd, const char *from, const char *to);
    int (*remove)(void *ctx, int dir_fd, const char *name);
    bool (*leads_to)(void *ctx, const char *path,
                     int fd); /**< the path still names the open file */

    /** Bytes from the beginning that were written before, so that writing them changes no metadata.
     */
    uint64_t (*prepared)(void *ctx, int fd);
    /** The same file for submit: its writes bypass the page cache. */
    int (*open_direct)(void *ctx, int dir_fd, const char *name);
    /**
     * Begins a write that is durable when it ends, of fg_journal_file_ops.depth at most under way;
     * slot names it. Memory, length and offset are aligned, and the memory stays as it is until
     * the end. NULL: the log writes and syncs instead.
     */
    int (*submit)(void *queue, unsigned slot, int fd, const void *data, size_t len,
                  uint64_t offset);
    /**
     * Waits up to `us` (UINT_MAX: for as long as it takes) for the end of one of them, in any
     * order. 1: *slot has ended with *result, bytes or -errno. 0: none has.
     */
    int (*reap)(void *queue, unsigned us, unsigned *slot, ssize_t *result);
    void *queue;    /**< of submit and reap */
    unsigned depth; /**< writes under way at a time, up to FG_JOURNAL_FLIGHTS */
    void *ctx;
};

#define FG_JOURNAL_FLIGHTS 2
#define FG_JOURNAL_DIRECT_MIN                                                                      \
    512 /**< bytes; what submit is given is a multiple of this or more                             \
         */
#define FG_JOURNAL_DIRECT_MAX 4096

extern const struct fg_journal_file_ops fg_journal_file_system; /**< the kernel's */

/** Writes all of it; false and errno on failure, when any part may have been written. */
bool fg_journal_file_write(const struct fg_journal_file_ops *ops, int fd, const void *data,
                           size_t len, uint64_t offset);

/** Reads len bytes; what lies behind the end of the file reads as zero. False and errno on failure.
 */
bool fg_journal_file_read(int fd, void *data, size_t len, uint64_t offset);

/** The error says that there is no room now, and may go away without a restart. */
bool fg_journal_file_no_space(int error);

/* Names: a sequence of 20 digits and the kind of file; or fixed, for what has no name yet. */
#define FG_JOURNAL_NAME_SIZE       25
#define FG_JOURNAL_SEGMENT_SUFFIX  ".fgj"
#define FG_JOURNAL_SNAPSHOT_SUFFIX ".fgs"
#define FG_JOURNAL_SPARE_NAME      "next.tmp" /**< a segment before it has a header and a name */
#define FG_JOURNAL_CUT_TEMP        "cut.tmp" /**< what a cut keeps or cuts off, until it has a name */
#define FG_JOURNAL_SNAPSHOT_TEMP   "snapshot.tmp" /**< a snapshot that is being written */
#define FG_JOURNAL_FILL_DIR        "fill"         /**< folder of what the leader of a pair sends */

void fg_journal_file_name(char name[FG_JOURNAL_NAME_SIZE], uint64_t seq, const char *suffix);

/** Sequences of all files of one kind, ascending, malloc'd; *count may be 0. False and err. */
bool fg_journal_file_list(int dir_fd, const char *dir, const char *suffix, uint64_t **seqs,
                          size_t *count, struct fg_error *err);

#endif
