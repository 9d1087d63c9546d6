/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * redis_command: a growing buffer of commands in the Redis protocol (RESP2).
 * Pure: no connection, no clock.
 */
#ifndef FG_REDIS_COMMAND_H
#define FG_REDIS_COMMAND_H

#include "base/base.h"

struct fg_redis_resp {
    char *data;
    size_t len, size;
    size_t commands; /**< replies that they will bring */
    bool no_memory;  /**< something did not fit in memory: must not be sent */
};

void fg_redis_resp_clear(struct fg_redis_resp *r); /**< keeps the memory */
void fg_redis_resp_free(struct fg_redis_resp *r);

void fg_redis_resp_begin(struct fg_redis_resp *r,
                         size_t words); /**< then exactly that many words */
void fg_redis_resp_word(struct fg_redis_resp *r, const void *bytes, size_t len);
void fg_redis_resp_text(struct fg_redis_resp *r, const char *text);
void fg_redis_resp_u64(struct fg_redis_resp *r, uint64_t value);
void fg_redis_resp_i64(struct fg_redis_resp *r, int64_t value);

/** A whole command of n words given as strings. */
void fg_redis_resp_command(struct fg_redis_resp *r, size_t n, const char *const *words);

#endif
