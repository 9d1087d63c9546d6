/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * keeper: a thread that writes the files which come over the link, because writes and syncs block.
 * One file at a time. A file gets its name when all of it is on the disk, also its folder's entry;
 * until then it is `fill/part` below the folder of the log. All functions: the replication thread.
 * Private.
 */
#ifndef FG_REPLICATION_KEEPER_H
#define FG_REPLICATION_KEEPER_H

#include "replication/notice.h"

#define FG_REPLICATION_WINDOW   16 /**< pieces that may be under way */
#define FG_REPLICATION_PATH_MAX 600

enum fg_replication_kept { FG_REPLICATION_KEEPING, FG_REPLICATION_KEPT, FG_REPLICATION_NOT_KEPT };

struct fg_replication_keeper;

/** wake_fd: an eventfd that is written when it got further. It stays the maker's, and so do the
 * hooks, of which it calls `usable`. */
struct fg_replication_keeper *fg_replication_keeper_start(const char *log_dir, int wake_fd,
                                                          const struct fg_replication_hooks *hooks,
                                                          struct fg_error *err);
void fg_replication_keeper_stop(struct fg_replication_keeper *k); /**< NULL is nothing */

/** A file begins; an earlier one that is not whole is given up. False: it is too far behind. */
bool fg_replication_keeper_begin(struct fg_replication_keeper *k, enum fg_replication_file file,
                                 uint64_t version, uint64_t size);
/** The newest file is given up, and removed as soon as the thread comes to it. */
void fg_replication_keeper_drop(struct fg_replication_keeper *k);
/** The next bytes, up to FG_REPLICATION_PIECE_MAX. False: it is too far behind. */
bool fg_replication_keeper_put(struct fg_replication_keeper *k, const uint8_t *bytes, size_t size);
/** Of the newest file. *written: bytes so far. */
enum fg_replication_kept fg_replication_keeper_progress(struct fg_replication_keeper *k,
                                                        uint64_t *written);
/** Why it could not be kept. */
const char *fg_replication_keeper_error(const struct fg_replication_keeper *k);
/** Last record of a snapshot that was kept, and its size: the next start of the process begins with
 * it. 0: none. */
uint64_t fg_replication_keeper_whole(struct fg_replication_keeper *k, uint64_t *bytes);
/** Where a file lies that was kept. */
void fg_replication_keeper_path(const struct fg_replication_keeper *k,
                                enum fg_replication_file file, uint64_t version,
                                char path[FG_REPLICATION_PATH_MAX]);

#endif
