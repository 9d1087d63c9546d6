/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/shards.h"

#include "worker/reply.h"

static struct fg_stock_answer wrong_shard(const struct fg_worker_shards *s, unsigned owner)
{
    return (struct fg_stock_answer){
        .status = FG_PACKET_STATUS_WRONG_SHARD, .quantity = (uint16_t)owner, .left = s->map.shards};
}

static inline bool is_too_early(const fg_packet_request_at *request, bool waits)
{
    return fg_unlikely(waits) && request->op == FG_PACKET_OP_RESERVE;
}

unsigned fg_worker_own(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n)
{
    const struct fg_worker_shards *s = w->shards;
    const bool waits = atomic_load_explicit(&s->waits, memory_order_relaxed);
    unsigned left = 0;

    for (unsigned i = 0; i < n; i++) {
        const fg_packet_request_at *request = (const fg_packet_request_at *)jobs[i].payload;
        unsigned owner = fg_fleet_owner(&s->map, request->user);
        struct fg_stock_answer answer;

        if (owner != s->member && request->op != FG_PACKET_OP_STOCK) { /* that is of no user */
            answer = wrong_shard(s, owner);
        } else if (is_too_early(request, waits)) {
            answer = (struct fg_stock_answer){.status = FG_PACKET_STATUS_UNAVAILABLE};
        } else {
            fg_worker_job_keep(jobs, left++, i);
            continue;
        }
        answer.item = request->item;
        memcpy(answer.order_id, request->order_id, sizeof(answer.order_id));
        fg_worker_reply_now(w, &jobs[i], &answer, 1);
    }
    return left;
}

bool fg_worker_is_foreign(const struct fg_worker *w, const struct fg_inbound_command *command,
                          struct fg_stock_answer *answer)
{
    const struct fg_worker_shards *s = w->shards;
    unsigned owner;

    if (fg_likely(!s))
        return false;
    owner = fg_fleet_owner(&s->map, command->user);
    if (owner == s->member)
        return false;
    *answer = wrong_shard(s, owner);
    answer->kind = FG_STOCK_INBOUND;
    answer->token = command->token;
    memcpy(answer->order_id, command->order_id, sizeof(answer->order_id));
    return true;
}
