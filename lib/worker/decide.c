/* SPDX-License-Identifier: BSD-3-Clause */
/* The stage decide, and the rings that ask the engine without a packet. */
#include "worker/decide.h"

#include "worker/reply.h"
#include "worker/report.h"
#include "worker/trace.h"

#define COMMANDS_MAX 32 /* of the operator, in one loop */

void fg_worker_prefetch(struct fg_worker *w, const struct fg_worker_job *jobs, unsigned n,
                        struct fg_stock_request *requests)
{
    for (unsigned i = 0; i < n; i++)
        fg_stock_request_of(&requests[i], jobs[i].payload);
    fg_stock_prefetch(w->stock, requests, n);
}

_Static_assert(FG_PACKET_STATUS_USER_DENIED == FG_PACKET_STATUS_USER_RATE + 1,
               "offences of users stand together: one comparison");

/* False: the answer is deferred, or there is none. The mbuf is freed then. */
static bool decide_one(struct fg_worker *w, struct fg_worker_job *job,
                       const struct fg_stock_request *request, struct fg_stock_answer *answer)
{
    uint32_t token = w->slot_free; /* taken only if the engine keeps it */

    if (fg_unlikely(token == FG_STOCK_NO_TOKEN)) {
        fg_counter_add(&w->counters.no_slot, 1);
        fg_worker_reply_refuse(w, job, FG_PACKET_STATUS_BUSY, FG_WORKER_BUSY_MS);
        return false;
    }
    switch (fg_stock_request(w->stock, w->now_ms, request, token, answer)) {
    case FG_STOCK_ANSWERED:
        if (fg_unlikely(answer->status - (unsigned)FG_PACKET_STATUS_USER_RATE <=
                        1)) /* or USER_DENIED */
            fg_worker_report_signed(w, job,
                                    answer->status == FG_PACKET_STATUS_USER_RATE
                                        ? FG_PENALTY_OFFENCE_USER_RATE
                                        : FG_PENALTY_OFFENCE_USER_DENIED);
        return true;
    case FG_STOCK_DEFERRED:
        fg_worker_reply_defer(w, token, job);
        break;
    case FG_STOCK_IGNORED:
        break;
    }
    rte_pktmbuf_free(job->mbuf);
    return false;
}

unsigned fg_worker_decide(struct fg_worker *w, struct fg_worker_job *jobs,
                          const struct fg_stock_request *requests, unsigned n,
                          struct fg_stock_answer *answers)
{
    unsigned answered = 0;

    for (unsigned i = 0; i < n; i++)
        if (fg_likely(decide_one(w, &jobs[i], &requests[i], &answers[answered])))
            fg_worker_job_keep(jobs, answered++, i);
    return answered;
}

/* A copy of its own: the usual request has nothing of it but one comparison. */
static __attribute__((noinline)) bool decide_traced(struct fg_worker *w, struct fg_worker_job *job,
                                                    const struct fg_stock_request *request,
                                                    struct fg_stock_answer *answer, bool handed)
{
    uint64_t arrived_ns = handed ? *fg_worker_arrival(job->mbuf) : w->received_ns;
    uint32_t token = w->slot_free;
    uint16_t queue = job->route.queue;
    bool answered = decide_one(w, job, request, answer);

    fg_worker_trace_note(w, request, queue, arrived_ns, answered ? answer : NULL, token);
    return answered;
}

unsigned fg_worker_decide_traced(struct fg_worker *w, struct fg_worker_job *jobs,
                                 const struct fg_stock_request *requests, unsigned n,
                                 struct fg_stock_answer *answers, bool handed)
{
    const uint64_t below = w->trace->below;
    unsigned answered = 0;

    for (unsigned i = 0; i < n; i++) {
        bool now = fg_likely(requests[i].hash >= below)
                       ? decide_one(w, &jobs[i], &requests[i], &answers[answered])
                       : decide_traced(w, &jobs[i], &requests[i], &answers[answered], handed);

        if (fg_likely(now))
            fg_worker_job_keep(jobs, answered++, i);
    }
    return answered;
}

unsigned fg_worker_commands(struct fg_worker *w)
{
    unsigned n = 0;

    for (const void *slot; n < COMMANDS_MAX && (slot = fg_ring_peek(w->commands, 0)); n++) {
        struct fg_stock_command command;

        memcpy(&command, slot, sizeof(command));
        if (!fg_stock_command(w->stock, w->now_ms, &command))
            break; /* a queue of the engine is full: retry in the next loop */
        fg_ring_release(w->commands, 1);
    }
    return n;
}

/* The asker never has more commands under way than the ring has slots. */
static void give_result(struct fg_ring *ring, const struct fg_stock_answer *answer)
{
    uint8_t message[FG_RING_SLOT] = {0};

    memcpy(message, answer, sizeof(*answer));
    FG_ASSERT(fg_ring_push(ring, message));
}

unsigned fg_worker_inbound(struct fg_worker *w)
{
    unsigned n = 0;

    for (const void *slot;
         w->inbound_commands && n < w->burst && (slot = fg_ring_peek(w->inbound_commands, 0));
         n++) {
        struct fg_stock_request request = {0};
        struct fg_stock_answer answer;
        struct fg_inbound_command o;

        memcpy(&o, slot, sizeof(o));
        fg_ring_release(w->inbound_commands, 1);
        request.op = o.op;
        request.flags = o.flags;
        request.kind = FG_STOCK_INBOUND;
        request.user = o.user;
        request.until_ms = o.until_ms;
        memcpy(request.order_id, o.order_id, sizeof(request.order_id));
        if (fg_stock_request(w->stock, w->now_ms, &request, o.token, &answer) == FG_STOCK_ANSWERED)
            give_result(w->inbound_results, &answer);
    }
    return n;
}

unsigned fg_worker_answers(struct fg_worker *w)
{
    struct fg_stock_answer answers[FG_WORKER_BURST_MAX];
    unsigned n = fg_stock_poll(w->stock, w->now_ms, answers,
                               RTE_MIN(w->burst, FG_WORKER_BURST_MAX - w->backlog));

    if (n)
        w->durable_ns = fg_clock_passed_ns(w->clock);
    for (unsigned i = 0; i < n; i++) {
        if (fg_likely(answers[i].kind == FG_STOCK_PACKET))
            fg_worker_reply_deferred(w, &answers[i]);
        else if (answers[i].kind == FG_STOCK_INBOUND)
            give_result(w->inbound_results, &answers[i]);
        else
            give_result(w->results, &answers[i]);
    }
    return n;
}
