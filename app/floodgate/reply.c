/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies: built in the request's own buffer, or later from a slot that kept the headers. */
#include "worker.h"

#include <rte_ethdev.h>

#define TX_RETRIES 16 /* bursts that may take nothing before the rest is dropped */

static void write_reply(struct fg_worker *w, uint8_t *data, const struct fg_frame *frame, uint8_t op,
                        uint32_t cookie, const struct fg_key *key, const struct fg_stock_answer *answer)
{
    struct fg_reply reply = {.op = op | FG_PACKET_REPLY,
                             .key_id = key->id,
                             .quantity = answer->quantity,
                             .deadline_ms = answer->deadline_ms,
                             .item = answer->item,
                             .left = answer->left,
                             .retry_ms = answer->retry_ms,
                             .status = answer->status,
                             .cookie = cookie};

    memcpy(reply.order_id, answer->order_id, sizeof(reply.order_id));
    fg_reply_seal(&reply, key);
    memcpy(data + frame->payload, &reply, sizeof(reply));
    fg_frame_finish(data, frame);
    fg_count(&w->counters.answered[answer->status], 1);
}

void fg_reply_now(struct fg_worker *w, struct fg_job *job, const struct fg_stock_answer *answer)
{
    struct rte_mbuf *m = job->mbuf;
    uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
    const struct fg_frame *frame = &job->mark.frame;

    fg_frame_turn(data, frame);
    write_reply(w, data, frame, job->request.op, job->request.cookie, job->key, answer);
    m->data_len = (uint16_t)fg_frame_size(frame); /* without the request's Ethernet padding */
    m->pkt_len = m->data_len;
    m->ol_flags = 0;
    fg_reply_send(w, m, job->mark.queue);
}

void fg_reply_refuse(struct fg_worker *w, struct fg_job *job, enum fg_status status, uint32_t retry_ms)
{
    struct fg_stock_answer answer = {
        .status = (uint8_t)status, .retry_ms = retry_ms, .item = job->request.item};

    memcpy(answer.order_id, job->request.order_id, sizeof(answer.order_id));
    fg_reply_now(w, job, &answer);
}

/* The token is the head of the free list: it becomes taken now. The mbuf stays the caller's. */
void fg_reply_hold(struct fg_worker *w, uint32_t token, const struct fg_job *job)
{
    struct fg_slot *slot = &w->slots[token];
    uint8_t *data = rte_pktmbuf_mtod(job->mbuf, uint8_t *);

    FG_ASSERT(token == w->slot_free);
    w->slot_free = slot->next;
    fg_frame_turn(data, &job->mark.frame);
    memcpy(slot->head, data, job->mark.frame.payload);
    slot->mark = job->mark;
    slot->op = job->request.op;
    slot->cookie = job->request.cookie;
}

static void send_held(struct fg_worker *w, const struct fg_slot *slot, const struct fg_stock_answer *answer)
{
    const struct fg_key *key = fg_keyring_find(w->keys, slot->mark.key_id);
    struct rte_mbuf *m;
    uint8_t *data;

    if (fg_unlikely(!key)) { /* revoked while it waited: nobody could check the reply */
        fg_count(&w->counters.dropped[FG_DROP_KEY], 1);
        return;
    }
    m = rte_pktmbuf_alloc(w->queues[slot->mark.queue].pool);
    if (fg_unlikely(!m)) { /* decided and durable: the client's repeat is answered from memory */
        fg_count(&w->counters.no_mbuf, 1);
        return;
    }
    data = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)fg_frame_size(&slot->mark.frame));
    memcpy(data, slot->head, slot->mark.frame.payload);
    write_reply(w, data, &slot->mark.frame, slot->op, slot->cookie, key, answer);
    fg_reply_send(w, m, slot->mark.queue);
}

void fg_reply_held(struct fg_worker *w, const struct fg_stock_answer *answer)
{
    struct fg_slot *slot;

    FG_ASSERT(answer->token < w->slots_count);
    slot = &w->slots[answer->token];
    send_held(w, slot, answer);
    slot->next = w->slot_free;
    w->slot_free = answer->token;
}

void fg_transmit(struct fg_worker *w, struct fg_queue *queue)
{
    struct fg_batch *b = &queue->out;
    unsigned done = 0, retries = 0;

    while (done < b->count && retries <= TX_RETRIES) {
        unsigned n =
            rte_eth_tx_burst(queue->port, queue->index, b->mbufs + done, (uint16_t)(b->count - done));

        done += n;
        retries += n == 0;
    }
    fg_count(&w->counters.tx, done);
    if (fg_unlikely(done < b->count)) {
        fg_count(&w->counters.tx_dropped, b->count - done);
        rte_pktmbuf_free_bulk(b->mbufs + done, b->count - done);
    }
    b->count = 0;
}
