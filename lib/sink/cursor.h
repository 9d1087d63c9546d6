/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * cursor: how far a sink has come, and of which log. It lies in the sink, moved in the same
 * transaction as the data: the id of the log, the sequence of the last record applied, and the CRC
 * of that record. At every connection it is compared with the log, so that neither another log nor
 * an older copy that has grown again is taken for the one that the sink followed.
 *
 * A refusal is remembered in the log's folder (`refused.NAME`) for a sink that knew later records:
 * the record of its cursor may be retired before a person has decided. Any thread.
 */
#ifndef FG_SINK_CURSOR_H
#define FG_SINK_CURSOR_H

#include "base/base.h"

struct fg_sink_cursor {
    bool found;   /**< false: the sink holds nothing of any log, and the rest is 0 */
    uint64_t log; /**< its id */
    uint64_t seq; /**< last record applied; 0 = none yet */
    uint32_t crc; /**< of that record; 0 when there is none */
};

/** The log, as a sink's thread knows it now. */
struct fg_sink_log {
    const char *dir;
    uint64_t id;
    uint64_t durable; /**< last durable sequence */
    uint64_t seq;     /**< a record whose CRC is known without reading; 0 = none */
    uint32_t crc;
};

enum fg_sink_origin {
    FG_SINK_ORIGIN_OURS, /**< of this log, at a record that is in it, or was; or nothing at all */
    FG_SINK_ORIGIN_FOREIGN,   /**< of another log */
    FG_SINK_ORIGIN_NEWER,     /**< of this log, and it knows records that are not in it */
    FG_SINK_ORIGIN_UNREADABLE /**< the log cannot be read there */
};

/** Compares the cursor with the log. err says what is wrong and what to do; name: of the sink. */
enum fg_sink_origin fg_sink_cursor_origin(const struct fg_sink_log *log,
                                          const struct fg_sink_cursor *cursor, const char *name,
                                          struct fg_error *err);

/** Reads the CRC of one record. False and err. */
bool fg_sink_log_crc(const struct fg_sink_log *log, uint64_t seq, uint32_t *crc,
                     struct fg_error *err);

/** The memory of a refusal, by the sink's name. Setting twice and clearing none do no harm. */
void fg_sink_refusal_set(const struct fg_sink_log *log, const char *name);
void fg_sink_refusal_clear(const struct fg_sink_log *log, const char *name);
bool fg_sink_refusal_is_set(const struct fg_sink_log *log, const char *name);

#endif
