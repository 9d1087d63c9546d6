/* SPDX-License-Identifier: BSD-3-Clause */
/** entry: a command as it stands in the stream, and what is written of it. Pure; private to
 * lib/inbound. */
#ifndef FG_INBOUND_ENTRY_H
#define FG_INBOUND_ENTRY_H

#include "inbound/inbound.h"
#include "redis/command.h"
#include "redis/reply.h"
#include "stock/stock.h"

#define FG_INBOUND_ENTRY_REASON FG_INBOUND_REASON
#define FG_INBOUND_ENTRY_REF    64 /* bytes of the caller's own name of a command, at most */
#define FG_INBOUND_BAD_COMMAND  "BAD_COMMAND" /* status of one that makes no sense */

/** The caller's own name of a command, any bytes, which its result repeats. */
struct fg_inbound_ref {
    bool given;
    uint8_t len;
    char text[FG_INBOUND_ENTRY_REF];
};

/** Fields of an entry, checked by fg_redis_reply_entry, as a command. False and a reason: it is
 * none. *ref is filled either way. */
bool fg_inbound_entry_parse(const redisReply *fields, struct fg_inbound_command *command,
                            struct fg_inbound_ref *ref, char reason[FG_INBOUND_ENTRY_REASON]);

/** XADD of what became of a command. stream_max 0 = unbounded. */
void fg_inbound_entry_result(struct fg_redis_resp *out, const char *key, uint64_t stream_max,
                             const char *id, const struct fg_inbound_ref *ref,
                             const struct fg_inbound_command *command,
                             const struct fg_stock_answer *answer);

/** XADD of the result of a command that makes no sense. */
void fg_inbound_entry_refused(struct fg_redis_resp *out, const char *key, uint64_t stream_max,
                              const char *id, const struct fg_inbound_ref *ref, const char *reason);

/** XADD of a command that is set aside: id, reason, and the fields as they were, as far as they
 * fit. */
void fg_inbound_entry_dead(struct fg_redis_resp *out, const char *key, uint64_t stream_max,
                           const char *id, const char *reason, const redisReply *fields);

#endif
