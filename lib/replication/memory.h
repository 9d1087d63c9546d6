/* SPDX-License-Identifier: BSD-3-Clause */
/* The newest register that this node has seen, in a file that survives a crash. Private. */
#ifndef FG_REPLICATION_MEMORY_H
#define FG_REPLICATION_MEMORY_H

#include "pair/pair.h"

#define FG_REPLICATION_MEMORY_NAME "pair.memory"

/** Zeros when there is no file. False and err: it is there, and cannot be understood. */
bool fg_replication_memory_read(const char *dir, struct fg_pair_memory *memory,
                                struct fg_error *err);
/** Durable when it returns true. */
bool fg_replication_memory_write(const char *dir, const struct fg_pair_memory *memory,
                                 struct fg_error *err);

#endif
