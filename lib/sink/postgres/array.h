/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * postgres_array: one column of a batch as an array in PostgreSQL's binary format, grown value by
 * value. Pure. Formats: src/include/utils/array.h and the *_recv functions of the PostgreSQL
 * sources.
 */
#ifndef FG_SINK_POSTGRES_ARRAY_H
#define FG_SINK_POSTGRES_ARRAY_H

#include "base/base.h"

/* letter of the column, what it holds, its type in the server (pg_type.dat), that type's number */
#define FG_SINK_POSTGRES_TYPE_LIST(X)                                                              \
    X('n', U64, "numeric", 1700) /* there is no unsigned 64-bit type */                            \
    X('u', ID, "uuid", 2950)     /* 16 bytes */                                                    \
    X('b', I64, "int8", 20)                                                                        \
    X('i', I32, "int4", 23)                                                                        \
    X('t', TIME, "timestamptz", 1184)                                                              \
    X('f', FLAG, "bool", 16)                                                                       \
    X('x', TEXT, "text", 25)

struct fg_sink_postgres_array {
    char *data;
    size_t len, size;
    uint32_t count;
    char type;
    bool no_memory; /**< something did not fit in memory: must not be sent */
};

/** Empties it, keeps the memory. */
void fg_sink_postgres_array_begin(struct fg_sink_postgres_array *a, char type);
void fg_sink_postgres_array_end(struct fg_sink_postgres_array *a); /**< before it is sent */
void fg_sink_postgres_array_free(struct fg_sink_postgres_array *a);

void fg_sink_postgres_add_u64(struct fg_sink_postgres_array *a, uint64_t value);
void fg_sink_postgres_add_id(struct fg_sink_postgres_array *a, const uint8_t id[16]);
void fg_sink_postgres_add_i64(struct fg_sink_postgres_array *a, int64_t value);
void fg_sink_postgres_add_i32(struct fg_sink_postgres_array *a, int32_t value);
void fg_sink_postgres_add_flag(struct fg_sink_postgres_array *a, bool value);

/** Unix ms. A time beyond the server's calendar (year 294276) becomes 'infinity'. */
void fg_sink_postgres_add_time(struct fg_sink_postgres_array *a, uint64_t ms);

/** Bytes that are no UTF-8, and control characters, become '?': the server would refuse the whole
 * batch. */
void fg_sink_postgres_add_text(struct fg_sink_postgres_array *a, const char *text, size_t len);
void fg_sink_postgres_add_null(struct fg_sink_postgres_array *a);

#endif
