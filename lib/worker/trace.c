/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps are written in place, into the slots of the ring that the loop gives away at its end. */
#include "worker/trace.h"

#include "worker/decide.h"

#define FETCH_AHEAD 4 /* else the worker waits for a line that the reader had */

int fg_worker_arrival_offset = -1;

static struct fg_worker_steps *next(struct fg_worker *w)
{
    struct fg_worker_steps *s = fg_ring_ahead(w->trace->steps, w->trace->sending);

    if (fg_unlikely(!s))
        fg_counter_add(&w->counters.traces_lost, 1);
    return s;
}

/* It waits, in a place of the slot's, until its record is on disk. */
static void defer(struct fg_worker *w, const struct fg_worker_steps *s, uint32_t token)
{
    struct fg_worker_trace *t = w->trace;
    uint32_t at = t->waiting_free;

    if (!at) {
        fg_counter_add(&w->counters.traces_lost, 1);
        return;
    }
    t->waiting_free = t->waiting[at - 1].next;
    t->waiting[at - 1] = *s;
    t->waiting[at - 1].decided_ns = (uint32_t)(fg_clock_passed_ns(w->clock) - s->received_ns);
    w->slots[token].trace = at;
}

void fg_worker_trace_note(struct fg_worker *w, const struct fg_stock_request *request,
                          unsigned queue, uint64_t arrived_ns, const struct fg_stock_answer *answer,
                          uint32_t token)
{
    struct fg_worker_steps *s = next(w);

    if (!s)
        return;
    *s = (struct fg_worker_steps){.user = request->user,
                                  .received_ns = arrived_ns,
                                  .handed_ns = (uint32_t)(w->received_ns - arrived_ns),
                                  .op = request->op,
                                  .worker = (uint8_t)w->index,
                                  .received = (uint8_t)w->queues[queue].port.worker};
    memcpy(s->order_id, request->order_id, sizeof(s->order_id));
    if (fg_unlikely(!answer && token != FG_STOCK_NO_TOKEN && w->slot_free != token)) {
        defer(w, s, token);
        return;
    }
    /* Else no slot was free, or there will be one answer to this and to the first. */
    if (fg_likely(answer != NULL))
        s->status = answer->status;
    else if (token == FG_STOCK_NO_TOKEN)
        s->status = FG_PACKET_STATUS_BUSY;
    w->trace->sending++;
    w->trace->undecided++;
    fg_ring_fetch(w->trace->steps, w->trace->sending + FETCH_AHEAD);
}

void fg_worker_trace_decided(struct fg_worker *w)
{
    struct fg_worker_trace *t = w->trace;

    for (; t->undecided; t->undecided--) {
        struct fg_worker_steps *s = fg_ring_ahead(t->steps, t->sending - t->undecided);

        s->decided_ns = (uint32_t)(w->decided_ns - s->received_ns);
    }
}

void fg_worker_trace_durable(struct fg_worker *w, const struct fg_worker_slot *slot,
                             const struct fg_stock_answer *answer)
{
    struct fg_worker_trace *t = w->trace;
    struct fg_worker_steps *waiting = &t->waiting[slot->trace - 1], *s = next(w);

    if (s) {
        *s = *waiting;
        s->status = answer->status;
        s->durable_ns = w->durable_ns - s->received_ns;
        t->sending++;
    }
    waiting->next = t->waiting_free;
    t->waiting_free = slot->trace;
}

void fg_worker_trace_sent(struct fg_worker *w, uint64_t now_ns)
{
    struct fg_worker_trace *t = w->trace;

    for (unsigned i = 0; i < t->sending; i++) {
        struct fg_worker_steps *s = fg_ring_ahead(t->steps, i);

        if (fg_likely(s->status))
            s->sent_ns = now_ns - s->received_ns;
    }
    fg_ring_give_many(t->steps, t->sending);
    t->sending = 0;
}
