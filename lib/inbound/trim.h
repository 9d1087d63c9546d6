/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * trim: were entries removed from the stream of commands before they were read? XADD with MAXLEN,
 * XTRIM and XDEL do so, and no reader of the stream notices by itself.
 *
 * Redis counts the entries that were ever added to a stream (version 7 and newer). Entries are read
 * in their order, and trimmed from the oldest on: while none that was read is left in the stream,
 * what was added and not read must stand in it. Pure; one thread.
 */
#ifndef FG_INBOUND_TRIM_H
#define FG_INBOUND_TRIM_H

#include "redis/reply.h"

/** How far the group has read. */
struct fg_inbound_position {
    bool known;                 /**< `read` is */
    bool tell;                  /**< Redis shall be told (XGROUP SETID): its own count is another */
    uint64_t read;              /**< entries ever added up to `last`: read, or removed before */
    char last[FG_REDIS_ID_MAX]; /**< id of the last entry that was read; "0-0" = none */
};

/** From the answer to XINFO GROUPS, when a connection is new. False and err: it is not one. */
bool fg_inbound_trim_begin(struct fg_inbound_position *p, const redisReply *groups,
                           const char *group, struct fg_error *err);

/** From the answer to XINFO STREAM. *length: entries of the stream. *trimmed: how many are newly
 * known to have been removed unread. False and err: it is not one. */
bool fg_inbound_trim_check(struct fg_inbound_position *p, const redisReply *stream,
                           uint64_t *length, uint64_t *trimmed, struct fg_error *err);

/** An entry was read for the first time. */
void fg_inbound_trim_read(struct fg_inbound_position *p, const char *id);

#endif
