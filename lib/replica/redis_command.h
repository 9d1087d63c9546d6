/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * redis_command: a growing buffer of commands in the Redis protocol (RESP2), and the one transaction that a
 * batch of log records becomes. Pure: no connection, no clock.
 */
#ifndef FG_REDIS_COMMAND_H
#define FG_REDIS_COMMAND_H

#include "journal/record.h"
#include "ledger/snapshot.h"

/* ---- commands ------------------------------------------------------------------------------------------ */

struct fg_resp {
    char *data;
    size_t len, size;
    size_t commands; /**< replies that they will bring */
    bool no_memory;  /**< something did not fit in memory: must not be sent */
};

void fg_resp_clear(struct fg_resp *r); /**< keeps the memory */
void fg_resp_free(struct fg_resp *r);

void fg_resp_begin(struct fg_resp *r, size_t words); /**< then exactly that many words */
void fg_resp_word(struct fg_resp *r, const void *bytes, size_t len);
void fg_resp_text(struct fg_resp *r, const char *text);
void fg_resp_u64(struct fg_resp *r, uint64_t value);
void fg_resp_i64(struct fg_resp *r, int64_t value);

/** A whole command of n words given as strings. */
void fg_resp_command(struct fg_resp *r, size_t n, const char *const *words);

/* ---- the transaction ----------------------------------------------------------------------------------- */

struct fg_batch_item; /* what a batch adds up to for one item */

struct fg_redis_batch {
    struct fg_resp out;
    char prefix[72]; /**< "{prefix}:" */
    size_t prefix_len;
    uint64_t stream_max;
    struct fg_batch_item *items; /**< hash table, power of two, at most half full */
    size_t items_size;
    uint32_t *used; /**< places in `items` that are taken, in order of first sight */
    size_t used_count;
    size_t records_max;
};

/** records_max: records of one transaction at most. False: no memory. */
bool fg_redis_batch_init(struct fg_redis_batch *b, const char *prefix, uint64_t stream_max,
                         size_t records_max);
void fg_redis_batch_free(struct fg_redis_batch *b);

/**
 * Builds MULTI, all changes of the n records, the cursor at the last of them, EXEC into b->out (cleared
 * first). Replies: one per command, the last is EXEC's. False: no memory, or a record type that is unknown.
 */
bool fg_redis_batch_build(struct fg_redis_batch *b, const struct fg_record *records, size_t n,
                          uint64_t appliance_id);

/* ---- the same, of a snapshot; each is added to b->out -------------------------------------------------- */

void fg_redis_batch_order(struct fg_redis_batch *b, const struct fg_ledger_order *order, uint64_t seq);
void fg_redis_batch_item(struct fg_redis_batch *b, const struct fg_ledger_item *item);
void fg_redis_batch_delete_item(struct fg_redis_batch *b, uint64_t item);
void fg_redis_batch_denied(struct fg_redis_batch *b, uint64_t user);
/** The event that says: all up to the snapshot's record is in the keys. */
void fg_redis_batch_resync(struct fg_redis_batch *b, const struct fg_snapshot_info *info);
void fg_redis_batch_cursor(struct fg_redis_batch *b, uint64_t seq, uint64_t appliance_id, bool filled);

/** "{prefix}:" + suffix as one word. */
void fg_redis_batch_key(struct fg_redis_batch *b, const char *suffix);

#endif
