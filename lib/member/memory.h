/* SPDX-License-Identifier: BSD-3-Clause */
/** memory: a file beside the log that keeps the highest revision of etcd that this member has seen,
 * so that an etcd that was restored from a copy is noticed. Private to lib/member. */
#ifndef FG_MEMBER_MEMORY_H
#define FG_MEMBER_MEMORY_H

#include "base/base.h"

#define FG_MEMBER_MEMORY_NAME "fleet.seen"

/** *revision: 0 when there is no file yet. False and err: it cannot be read, is damaged, or of
 * another version. */
bool fg_member_memory_read(const char *dir, int64_t *revision, struct fg_error *err);
/** Durable when it returns true. */
bool fg_member_memory_write(const char *dir, int64_t revision, struct fg_error *err);

#endif
