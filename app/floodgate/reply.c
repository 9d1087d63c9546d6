/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies: built in the request's own buffer, or later from a slot that kept the headers. */
#include "worker.h"

#include "budget.h"

#include <rte_ethdev.h>

#define TX_RETRIES 16 /* bursts that may take nothing before the rest is dropped */

/* Everything but the tag and the checksum. */
static void write_reply(struct fg_worker *w, struct rte_mbuf *m, const struct fg_mark *mark, uint8_t op,
                        uint32_t cookie, const struct fg_key *key, const struct fg_stock_answer *answer)
{
    struct fg_reply reply = {.magic = FG_PACKET_MAGIC,
                             .version = FG_PACKET_VERSION,
                             .op = op | FG_PACKET_REPLY,
                             .key_id = key->id,
                             .quantity = answer->quantity,
                             .deadline_ms = answer->deadline_ms,
                             .item = answer->item,
                             .left = answer->left,
                             .retry_ms = answer->retry_ms,
                             .status = answer->status,
                             .cookie = cookie};

    memcpy(reply.order_id, answer->order_id, sizeof(reply.order_id));
    memcpy(fg_payload(m, mark), &reply, sizeof(reply));
    fg_count(&w->counters.answered[answer->status], 1);
    w->unsealed[w->unsealed_count++] = (struct fg_unsealed){.mbuf = m, .key = key, .mark = *mark};
    if (fg_unlikely(w->unsealed_count == FG_BURST_MAX))
        fg_replies_sign(w);
}

static void finish(struct fg_worker *w, const struct fg_unsealed *u, uint64_t tag)
{
    memcpy(fg_payload(u->mbuf, &u->mark) + FG_PACKET_TAG_AT, &tag, sizeof(tag));
    fg_frame_finish(rte_pktmbuf_mtod(u->mbuf, uint8_t *), &u->mark.frame);
    fg_reply_send(w, u->mbuf, u->mark.queue);
}

void fg_replies_sign(struct fg_worker *w)
{
    const uint64_t *secrets[FG_BURST_MAX];
    const void *payloads[FG_BURST_MAX];
    uint64_t tags[FG_BURST_MAX];
    unsigned n = w->unsealed_count;

    if (n == 0)
        return;
    for (unsigned i = 0; i < n; i++) {
        secrets[i] = w->unsealed[i].key->secret;
        payloads[i] = fg_payload(w->unsealed[i].mbuf, &w->unsealed[i].mark);
    }
    fg_siphash24_56_many(secrets, payloads, tags, n);
    FG_BUDGET_END(TAG);
    for (unsigned i = 0; i < n; i++)
        finish(w, &w->unsealed[i], tags[i]);
    w->unsealed_count = 0;
    FG_BUDGET_END(FINISH);
}

void fg_reply_now(struct fg_worker *w, struct fg_job *job, const struct fg_stock_answer *answer)
{
    struct rte_mbuf *m = job->mbuf;
    struct fg_request request;

    memcpy(&request, fg_payload(m, &job->mark), sizeof(request));
    fg_frame_turn(rte_pktmbuf_mtod(m, uint8_t *), &job->mark.frame);
    m->data_len = (uint16_t)fg_frame_size(&job->mark.frame); /* without the request's Ethernet padding */
    m->pkt_len = m->data_len;
    m->ol_flags = 0;
    write_reply(w, m, &job->mark, request.op, request.cookie, job->key, answer);
}

void fg_reply_refuse(struct fg_worker *w, struct fg_job *job, enum fg_status status, uint32_t retry_ms)
{
    struct fg_stock_answer answer = {.status = (uint8_t)status, .retry_ms = retry_ms};
    struct fg_request request;

    memcpy(&request, fg_payload(job->mbuf, &job->mark), sizeof(request));
    answer.item = request.item;
    memcpy(answer.order_id, request.order_id, sizeof(answer.order_id));
    fg_reply_now(w, job, &answer);
}

/* The token is the head of the free list: it becomes taken now. The mbuf stays the caller's. */
void fg_reply_hold(struct fg_worker *w, uint32_t token, const struct fg_job *job)
{
    struct fg_slot *slot = &w->slots[token];
    uint8_t *data = rte_pktmbuf_mtod(job->mbuf, uint8_t *);
    struct fg_request request;

    FG_ASSERT(token == w->slot_free);
    w->slot_free = slot->next;
    fg_frame_turn(data, &job->mark.frame);
    memcpy(slot->head, data, job->mark.frame.payload);
    slot->mark = job->mark;
    memcpy(&request, data + job->mark.frame.payload, sizeof(request));
    slot->op = request.op;
    slot->cookie = request.cookie;
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
    write_reply(w, m, &slot->mark, slot->op, slot->cookie, key, answer);
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
