/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * redis_reply: the one way to take a reply of Redis apart. A server may be broken, hostile, or
 * another program: nothing about a reply is believed before a function here has checked it. Nothing
 * else in this program reads the members of a redisReply (tools/lint checks that).
 *
 * The checks return false and an error that names what was wanted and what came. The getters accept
 * every reply, also NULL, and give an empty value where there is none. Pure; any thread.
 */
#ifndef FG_REDIS_REPLY_H
#define FG_REDIS_REPLY_H

#include <hiredis/hiredis.h>

#include "base/base.h"

#define FG_REDIS_ID_MAX 44 /**< bytes of a stream's "MILLISECONDS-NUMBER" with its end */

/** Texts may hold any byte, and end with a zero byte that is not counted. */
struct fg_redis_text {
    const char *text;
    size_t len;
};

/** Fails: "WHAT: WANTED expected, an array of 3 came". Returns false. */
bool fg_redis_reply_wrong(const redisReply *reply, const char *what, const char *wanted,
                          struct fg_error *err);

/** An array of min..max elements. */
bool fg_redis_reply_array(const redisReply *reply, const char *what, size_t min, size_t max,
                          struct fg_error *err);

/** An array of at most `max` texts. */
bool fg_redis_reply_texts(const redisReply *reply, const char *what, size_t max,
                          struct fg_error *err);

/** The answer to HMGET: an array of exactly n texts or nils. */
bool fg_redis_reply_texts_or_nil(const redisReply *reply, const char *what, size_t n,
                                 struct fg_error *err);

/** An array of names and values: an even number of texts. */
bool fg_redis_reply_pairs(const redisReply *reply, const char *what, struct fg_error *err);

bool fg_redis_reply_integer(const redisReply *reply, const char *what, int64_t *value,
                            struct fg_error *err);

/** A number that counts something: not negative. */
bool fg_redis_reply_count(const redisReply *reply, const char *what, uint64_t *value,
                          struct fg_error *err);

/** The id of a stream's entry, as text. */
bool fg_redis_reply_id(const redisReply *reply, const char *what, char id[FG_REDIS_ID_MAX],
                       struct fg_error *err);

/** An entry of a stream: its id, and its fields as fg_redis_reply_pairs. *fields = NULL: the entry
 * was deleted meanwhile. */
bool fg_redis_reply_entry(const redisReply *reply, char id[FG_REDIS_ID_MAX],
                          const redisReply **fields, struct fg_error *err);

/**
 * The answer to XREAD or XREADGROUP of one stream: an array of at most `max` entries, or NULL when
 * there are none.
 */
bool fg_redis_reply_stream(const redisReply *reply, size_t max, const redisReply **entries,
                           struct fg_error *err);

/** The answer to SCAN: the next cursor, and the keys as fg_redis_reply_texts. */
bool fg_redis_reply_scan(const redisReply *reply, char cursor[24], const redisReply **keys,
                         struct fg_error *err);

/** The answer to EXEC of n commands: an array of that many replies, or nil. */
bool fg_redis_reply_exec(const redisReply *reply, size_t commands, struct fg_error *err);

bool fg_redis_reply_is_array(const redisReply *reply);
bool fg_redis_reply_is_nil(const redisReply *reply);

/** Elements of an array; 0 for anything else. */
size_t fg_redis_reply_size(const redisReply *reply);

/** The element of that index; NULL when there is none. */
const redisReply *fg_redis_reply_at(const redisReply *reply, size_t at);

/** A string's or a status's text; .text = NULL for anything else. */
struct fg_redis_text fg_redis_reply_text(const redisReply *reply);

/** The text of an element; "" when there is none. */
const char *fg_redis_reply_word(const redisReply *reply, size_t at);

/** The text of an error reply; NULL for anything else. */
const char *fg_redis_reply_error(const redisReply *reply);

/** The first error among the elements of an array; NULL = none. */
const char *fg_redis_reply_error_inside(const redisReply *reply);

/** The element of that index is a text that holds a number and nothing else. */
bool fg_redis_reply_number(const redisReply *reply, size_t at, int base, uint64_t *value);

/** The value of that name among names and values; NULL = there is none. */
const redisReply *fg_redis_reply_value(const redisReply *pairs, const char *name);

/** "MILLISECONDS-NUMBER" and nothing else, as two numbers. */
bool fg_redis_id_parse(const char *text, uint64_t *ms, uint64_t *number);

#endif
