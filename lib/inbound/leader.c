/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Of a pair: which epoch the commands are for. An appliance that lost the leadership, and does not
 * know it yet, acknowledges none: each acknowledgement is a transaction that fails when the key has
 * changed.
 */
#include <inttypes.h>

#include "inbound/internal.h"

/* The epoch in Redis, which no other client can change unnoticed before our next EXEC. 0 = none. */
static bool watch(struct fg_inbound *s, uint64_t *epoch, struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = SIZE_MAX};
    struct fg_redis_resp *out = &s->conn.out;
    bool ok;

    fg_redis_resp_clear(out);
    fg_redis_resp_command(out, 2, (const char *[]){"WATCH", s->leader});
    fg_redis_resp_command(out, 2, (const char *[]){"MGET", s->leader});
    ok = fg_redis_conn_exchange(&s->conn, out, &answer, err);
    if (ok && answer.error[0])
        ok = fg_fail(err, "%s", answer.error);
    ok = ok && fg_redis_reply_texts_or_nil(answer.last[0], s->leader, 1, err);
    *epoch = 0;
    if (ok)
        fg_redis_reply_number(answer.last[0], 0, 10, epoch);
    fg_redis_answer_free(&answer);
    return ok;
}

static bool write_epoch(struct fg_inbound *s, struct fg_error *err)
{
    struct fg_redis_answer answer = {.exec_at = 2};
    struct fg_redis_resp *out = &s->conn.out;
    char text[24];
    bool ok;

    snprintf(text, sizeof(text), "%" PRIu64, s->options.epoch);
    fg_redis_resp_clear(out);
    fg_redis_resp_command(out, 1, (const char *[]){"MULTI"});
    fg_redis_resp_command(out, 3, (const char *[]){"SET", s->leader, text});
    fg_redis_resp_command(out, 1, (const char *[]){"EXEC"});
    ok = fg_redis_conn_exchange(&s->conn, out, &answer, err);
    if (ok && answer.error[0])
        ok = fg_fail(err, "%s", answer.error);
    ok = ok && fg_redis_reply_array(answer.exec, "EXEC", 1, 1, err);
    fg_redis_answer_free(&answer);
    return ok;
}

bool fg_inbound_leader_claim(struct fg_inbound *s, bool *refused, struct fg_error *err)
{
    uint64_t epoch;

    if (!s->options.epoch)
        return true;
    if (!watch(s, &epoch, err))
        return false;
    if (epoch > s->options.epoch) {
        *refused = true;
        return fg_fail(err, "%s is %" PRIu64 ": another appliance leads, ours is epoch %" PRIu64,
                       s->leader, epoch, s->options.epoch);
    }
    return epoch == s->options.epoch || write_epoch(s, err);
}

bool fg_inbound_leader_watch(struct fg_inbound *s, struct fg_error *err)
{
    uint64_t epoch;

    if (!s->options.epoch)
        return true;
    if (!watch(s, &epoch, err))
        return false;
    return epoch == s->options.epoch || fg_fail(err, "%s is %" PRIu64 ", ours is epoch %" PRIu64,
                                                s->leader, epoch, s->options.epoch);
}
