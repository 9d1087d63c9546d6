/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * batch: the one transaction that a batch of log records becomes in Redis. Pure: no connection, no
 * clock.
 */
#ifndef FG_SINK_REDIS_BATCH_H
#define FG_SINK_REDIS_BATCH_H

#include "journal/record.h"
#include "ledger/snapshot.h"
#include "redis/address.h"
#include "redis/command.h"

struct fg_batch_item; /* what a batch adds up to for one item */

struct fg_sink_redis_batch {
    struct fg_redis_resp out;
    char base[FG_REDIS_BASE_MAX]; /**< of all keys of this appliance */
    size_t base_len;
    char prefix[64];
    unsigned members; /**< of a fleet, whose sums are kept as well; 0 = of none */
    uint64_t stream_max;
    struct fg_batch_item *items; /**< hash table, power of two, at most half full */
    size_t items_size;
    uint32_t *used; /**< slots of `items` that are taken, in order of first sight */
    size_t used_count;
    size_t records_max;
};

/** records_max: records of one transaction at most. False: no memory. */
bool fg_sink_redis_batch_init(struct fg_sink_redis_batch *b, const char *prefix,
                              uint64_t stream_max, size_t records_max);
/** From here on the keys are of a member, and the sums over all members follow them. */
void fg_sink_redis_batch_of_member(struct fg_sink_redis_batch *b, unsigned members,
                                   unsigned member);
void fg_sink_redis_batch_free(struct fg_sink_redis_batch *b);

/**
 * Builds MULTI, all changes of the n records, the cursor at the last of them, EXEC into b->out
 * (cleared first). Replies: one per command, the last is EXEC's. False: no memory, or a record type
 * that is unknown.
 */
bool fg_sink_redis_batch_build(struct fg_sink_redis_batch *b,
                               const struct fg_journal_record *records, size_t n, uint64_t log_id);

/* ---- the same, of a snapshot; each is added to b->out ---------------------------------------- */

void fg_sink_redis_batch_order(struct fg_sink_redis_batch *b, const struct fg_ledger_order *order,
                               uint64_t seq);
void fg_sink_redis_batch_item(struct fg_sink_redis_batch *b, const struct fg_ledger_item *item);
void fg_sink_redis_batch_delete_item(struct fg_sink_redis_batch *b, uint64_t item);
void fg_sink_redis_batch_denied(struct fg_sink_redis_batch *b, uint64_t user);
/** The event that says: all up to the snapshot's record is in the keys. */
void fg_sink_redis_batch_resync(struct fg_sink_redis_batch *b,
                                const struct fg_ledger_snapshot_info *info);
void fg_sink_redis_batch_cursor(struct fg_sink_redis_batch *b, uint64_t seq, uint32_t crc,
                                uint64_t log_id, bool filled);

/** Of a fleet: computes the sums of an item over all members anew, and forgets them when none of
 * the members has the item. A script, with one reply. */
void fg_sink_redis_batch_sum(struct fg_sink_redis_batch *b, uint64_t item);

/** The base + suffix as one word. */
void fg_sink_redis_batch_key(struct fg_sink_redis_batch *b, const char *suffix);

#endif
