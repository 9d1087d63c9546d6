/* SPDX-License-Identifier: BSD-3-Clause */
/** bench_sink: one log, followed by the real sinks, and the same written plainly, without
 * transaction and cursor. */
#ifndef FG_BENCH_REPLICA_H
#define FG_BENCH_REPLICA_H

#include "journal/journal.h"

#define PLAIN_BATCH 1000 /* records of one pipeline or COPY */
#define KAFKA_TOPIC "bench"

__attribute__((noreturn)) void die(const char *what);
uint64_t now_us(void);

/** Makes a log in dir: items, then orders that are accepted and, a while later, mostly paid. */
void make_log(const char *dir, uint64_t orders);

/** Calls `write` for the records of the log, some at a time, BATCH records left out. Returns how
 * many. */
uint64_t each_record(const char *dir,
                     void (*write)(void *ctx, const struct fg_journal_record *records, size_t n),
                     void *ctx);

uint64_t plain_redis(const char *dir, const char *address);
uint64_t plain_postgres(const char *dir, const char *conninfo);
uint64_t plain_kafka(const char *dir, const char *brokers);

#endif
