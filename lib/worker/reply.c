/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies: built in the request's own buffer, or later from a slot that kept the headers. */
#include "worker/reply.h"

#include "worker/sign.h"
#include "worker/trace.h"

/* All but the order id, which is the request's. */
static inline void write_answer(fg_packet_reply_at *reply, const struct fg_stock_answer *answer)
{
    reply->quantity = answer->quantity;
    reply->deadline_ms = answer->deadline_ms;
    reply->item = answer->item;
    reply->left = answer->left;
    reply->retry_ms = answer->retry_ms;
    reply->status = answer->status;
    reply->flags = answer->flags;
    reply->shard_map = 0;
}

/* In place: magic, version, key, cookie and mostly the order id are the request's. */
static inline void reply_now(struct fg_worker *w, const struct fg_worker_job *job,
                             const struct fg_stock_answer *answer)
{
    fg_packet_reply_at *reply = (fg_packet_reply_at *)job->payload;
    struct rte_mbuf *m = job->mbuf;

    fg_frame_turn(fg_worker_job_frame(job), &job->route.frame);
    m->data_len =
        (uint16_t)fg_frame_size(&job->route.frame); /* without the request's Ethernet padding */
    m->pkt_len = m->data_len;
    m->ol_flags = 0;
    if (fg_unlikely(reply->op == FG_PACKET_OP_ORDERS)) /* the order that was found */
        memcpy(reply->order_id, answer->order_id, sizeof(reply->order_id));
    reply->op |= FG_PACKET_REPLY;
    write_answer(reply, answer);
    fg_worker_sign_later(w, job, answer->status);
}

void fg_worker_reply_now(struct fg_worker *w, const struct fg_worker_job *jobs,
                         const struct fg_stock_answer *answers, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        reply_now(w, &jobs[i], &answers[i]);
}

void fg_worker_reply_refuse(struct fg_worker *w, const struct fg_worker_job *job,
                            enum fg_packet_status status, uint32_t retry_ms)
{
    const fg_packet_request_at *request = (const fg_packet_request_at *)job->payload;
    struct fg_stock_answer answer = {
        .status = (uint8_t)status, .retry_ms = retry_ms, .item = request->item};

    memcpy(answer.order_id, request->order_id, sizeof(answer.order_id));
    fg_worker_reply_now(w, job, &answer, 1);
}

void fg_worker_reply_defer(struct fg_worker *w, uint32_t token, const struct fg_worker_job *job)
{
    struct fg_worker_slot *slot = &w->slots[token];
    const fg_packet_request_at *request = (const fg_packet_request_at *)job->payload;
    uint8_t *frame = fg_worker_job_frame(job);

    FG_ASSERT(token == w->slot_free);
    w->slot_free = slot->next;
    slot->route = job->route;
    slot->route.key_id = job->key->id;
    slot->op = request->op;
    slot->decided_ns = w->decided_ns;
    slot->cookie = request->cookie;
    slot->trace = 0;
    fg_frame_turn(frame, &job->route.frame);
    memcpy(slot->head, frame, job->route.frame.payload);
}

static void write_deferred(uint8_t *frame, const struct fg_worker_slot *slot,
                           const struct fg_stock_answer *answer)
{
    fg_packet_reply_at *reply = (fg_packet_reply_at *)(frame + slot->route.frame.payload);

    memcpy(frame, slot->head, slot->route.frame.payload);
    reply->magic = FG_PACKET_MAGIC;
    reply->version = FG_PACKET_VERSION;
    reply->op = slot->op | FG_PACKET_REPLY;
    reply->key_id = slot->route.key_id;
    memcpy(reply->order_id, answer->order_id, sizeof(reply->order_id));
    reply->cookie = slot->cookie;
    write_answer(reply, answer);
}

static void send_deferred(struct fg_worker *w, const struct fg_worker_slot *slot,
                          const struct fg_stock_answer *answer)
{
    const struct fg_packet_key *key = fg_packet_keyring_find(w->keys, slot->route.key_id);
    struct fg_worker_job job = {.key = key, .route = slot->route};
    uint8_t *frame;

    if (fg_unlikely(!key)) { /* revoked meanwhile: the client could not check the reply */
        fg_counter_add(&w->counters.dropped[FG_PACKET_DROP_KEY], 1);
        return;
    }
    job.mbuf = rte_pktmbuf_alloc(w->queues[slot->route.queue].port.pool);
    /* The decision is durable: a repeated request is answered from memory. */
    if (fg_unlikely(!job.mbuf)) {
        fg_counter_add(&w->counters.no_mbuf, 1);
        return;
    }
    frame = (uint8_t *)rte_pktmbuf_append(job.mbuf, (uint16_t)fg_frame_size(&slot->route.frame));
    job.payload = frame + slot->route.frame.payload;
    write_deferred(frame, slot, answer);
    fg_worker_sign_later(w, &job, answer->status);
}

void fg_worker_reply_forget(struct fg_worker *w, const struct fg_stock_answer *answer)
{
    struct fg_worker_slot *slot = &w->slots[answer->token];

    if (fg_unlikely(slot->trace))
        fg_worker_trace_durable(w, slot, answer);
    slot->next = w->slot_free;
    w->slot_free = answer->token;
}

void fg_worker_reply_deferred(struct fg_worker *w, const struct fg_stock_answer *answer)
{
    struct fg_worker_slot *slot;

    FG_ASSERT(answer->token < w->slots_count);
    slot = &w->slots[answer->token];
    fg_histogram_add(&w->latency.durable, FG_HISTOGRAM_NS_SHIFT, w->durable_ns - slot->decided_ns,
                     1);
    w->durable_count++;
    send_deferred(w, slot, answer);
    fg_worker_reply_forget(w, answer);
}
