/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies: built in the request's own buffer, or later from a slot that kept the headers. */
#include "worker/worker.h"

#include "worker/budget.h"

#include <rte_ethdev.h>

#define TX_WAIT_MS                                                                                 \
    100 /* that a port may take nothing before its replies are dropped: its peer is gone */

/* What the engine decided. The order id is the request's. */
static inline void write_answer(fg_packet_reply_at *reply, const struct fg_stock_answer *answer)
{
    reply->quantity = answer->quantity;
    reply->deadline_ms = answer->deadline_ms;
    reply->item = answer->item;
    reply->left = answer->left;
    reply->retry_ms = answer->retry_ms;
    reply->status = answer->status;
    memset(reply->reserved, 0, sizeof(reply->reserved));
}

static inline void sign_later(struct fg_worker *w, const struct fg_worker_job *job, unsigned status)
{
    fg_counter_add(&w->counters.answered[status], 1);
    w->unsealed[w->unsealed_count++] = *job;
    if (fg_unlikely(w->unsealed_count == FG_BURST_MAX))
        fg_worker_sign(w);
}

static inline void finish(struct fg_worker *w, const struct fg_worker_job *job, uint64_t tag)
{
    memcpy(job->payload + FG_PACKET_TAG_AT, &tag, sizeof(tag));
    fg_frame_finish(fg_worker_job_frame(job), &job->mark.frame);
    fg_worker_reply_send(w, job->mbuf, job->mark.queue);
}

void fg_worker_sign(struct fg_worker *w)
{
    const uint64_t *secrets[FG_BURST_MAX];
    const void *payloads[FG_BURST_MAX];
    uint64_t tags[FG_BURST_MAX];
    unsigned n = w->unsealed_count;

    if (n == 0)
        return;
    for (unsigned i = 0; i < n; i++) {
        secrets[i] = w->unsealed[i].key->secret;
        payloads[i] = w->unsealed[i].payload;
    }
    fg_packet_siphash24_56_many(secrets, payloads, tags, n);
    FG_BUDGET_END(TAG);
    for (unsigned i = 0; i < n; i++)
        finish(w, &w->unsealed[i], tags[i]);
    w->unsealed_count = 0;
    FG_BUDGET_END(FINISH);
}

/* In place: magic, version, key, order id and cookie are the request's. */
static inline void reply_now(struct fg_worker *w, const struct fg_worker_job *job,
                             const struct fg_stock_answer *answer)
{
    fg_packet_reply_at *reply = (fg_packet_reply_at *)job->payload;
    struct rte_mbuf *m = job->mbuf;

    fg_frame_turn(fg_worker_job_frame(job), &job->mark.frame);
    m->data_len =
        (uint16_t)fg_frame_size(&job->mark.frame); /* without the request's Ethernet padding */
    m->pkt_len = m->data_len;
    m->ol_flags = 0;
    reply->op |= FG_PACKET_REPLY;
    write_answer(reply, answer);
    sign_later(w, job, answer->status);
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

    fg_worker_reply_now(w, job, &answer, 1);
}

/* The token is the head of the free list: it becomes taken now. The mbuf stays the caller's. */
void fg_worker_reply_defer(struct fg_worker *w, uint32_t token, const struct fg_worker_job *job)
{
    struct fg_worker_slot *slot = &w->slots[token];
    const fg_packet_request_at *request = (const fg_packet_request_at *)job->payload;
    uint8_t *frame = fg_worker_job_frame(job);

    FG_ASSERT(token == w->slot_free);
    w->slot_free = slot->next;
    slot->mark = job->mark;
    slot->mark.key_id = job->key->id;
    slot->op = request->op;
    slot->cookie = request->cookie;
    fg_frame_turn(frame, &job->mark.frame);
    memcpy(slot->head, frame, job->mark.frame.payload);
}

static void write_held(uint8_t *frame, const struct fg_worker_slot *slot,
                       const struct fg_stock_answer *answer)
{
    fg_packet_reply_at *reply = (fg_packet_reply_at *)(frame + slot->mark.frame.payload);

    memcpy(frame, slot->head, slot->mark.frame.payload);
    reply->magic = FG_PACKET_MAGIC;
    reply->version = FG_PACKET_VERSION;
    reply->op = slot->op | FG_PACKET_REPLY;
    reply->key_id = slot->mark.key_id;
    memcpy(reply->order_id, answer->order_id, sizeof(reply->order_id));
    reply->cookie = slot->cookie;
    write_answer(reply, answer);
}

static void send_held(struct fg_worker *w, const struct fg_worker_slot *slot,
                      const struct fg_stock_answer *answer)
{
    const struct fg_packet_key *key = fg_packet_keyring_find(w->keys, slot->mark.key_id);
    struct fg_worker_job job = {.key = key, .mark = slot->mark};
    uint8_t *frame;

    if (fg_unlikely(!key)) { /* revoked while it waited: nobody could check the reply */
        fg_counter_add(&w->counters.dropped[FG_DROP_KEY], 1);
        return;
    }
    job.mbuf = rte_pktmbuf_alloc(w->queues[slot->mark.queue].pool);
    if (fg_unlikely(
            !job.mbuf)) { /* decided and durable: the client's repeat is answered from memory */
        fg_counter_add(&w->counters.no_mbuf, 1);
        return;
    }
    frame = (uint8_t *)rte_pktmbuf_append(job.mbuf, (uint16_t)fg_frame_size(&slot->mark.frame));
    job.payload = frame + slot->mark.frame.payload;
    write_held(frame, slot, answer);
    sign_later(w, &job, answer->status);
}

void fg_worker_reply_deferred(struct fg_worker *w, const struct fg_stock_answer *answer)
{
    struct fg_worker_slot *slot;

    FG_ASSERT(answer->token < w->slots_count);
    slot = &w->slots[answer->token];
    send_held(w, slot, answer);
    slot->next = w->slot_free;
    w->slot_free = answer->token;
}

static void drop_replies(struct fg_worker *w, struct fg_worker_batch *b)
{
    fg_counter_add(&w->counters.tx_dropped, b->count);
    rte_pktmbuf_free_bulk(b->mbufs, b->count);
    b->count = 0;
}

void fg_worker_transmit(struct fg_worker *w, struct fg_worker_queue *queue)
{
    struct fg_worker_batch *b = &queue->out;
    unsigned done = 0, n;

    do {
        n = rte_eth_tx_burst(queue->port, queue->index, b->mbufs + done,
                             (uint16_t)(b->count - done));
        done += n;
    } while (n && done < b->count);
    fg_counter_add(&w->counters.tx, done);
    b->count -= done;
    if (fg_likely(!b->count)) {
        queue->stuck_ms = 0;
        return;
    }
    memmove(b->mbufs, b->mbufs + done, b->count * sizeof(b->mbufs[0]));
    if (done || !queue->stuck_ms)
        queue->stuck_ms = w->now_ms;
    else if (w->now_ms >= queue->stuck_ms + TX_WAIT_MS)
        drop_replies(w, b);
}

void fg_worker_transmit_full(struct fg_worker *w, struct fg_worker_queue *queue)
{
    fg_worker_transmit(w, queue);
    if (queue->out.count == FG_BURST_MAX)
        drop_replies(w, &queue->out);
}
