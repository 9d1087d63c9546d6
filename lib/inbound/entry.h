/* SPDX-License-Identifier: BSD-3-Clause */
/** entry: a command as it stands in the stream, and what is written of it. Pure; private to
 * lib/inbound. */
#ifndef FG_INBOUND_ENTRY_H
#define FG_INBOUND_ENTRY_H

#include "inbound/inbound.h"
#include "redis/command.h"
#include "redis/reply.h"
#include "stock/stock.h"

#define FG_INBOUND_ENTRY_REASON 160

/** Fields of an entry, checked by fg_redis_reply_entry, as a command. False and a reason: it is
 * none. */
bool fg_inbound_entry_parse(const redisReply *fields, struct fg_inbound_command *command,
                            char reason[FG_INBOUND_ENTRY_REASON]);

/** XADD of what became of a command. stream_max 0 = unbounded. */
void fg_inbound_entry_result(struct fg_redis_resp *out, const char *key, uint64_t stream_max,
                             const char *id, const struct fg_inbound_command *command,
                             const struct fg_stock_answer *answer);

/** XADD of a command that is set aside: id, reason, and the fields as they were, as far as they
 * fit. */
void fg_inbound_entry_dead(struct fg_redis_resp *out, const char *key, uint64_t stream_max,
                           const char *id, const char *reason, const redisReply *fields);

#endif
