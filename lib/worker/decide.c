/* SPDX-License-Identifier: BSD-3-Clause */
/* The stage decide, and the rings that ask the engine without a packet. */
#include "worker/decide.h"

#include "worker/leading.h"
#include "worker/reply.h"
#include "worker/report.h"
#include "worker/shards.h"
#include "worker/trace.h"

#define COMMANDS_MAX 32 /* of the operator, in one loop */

void fg_worker_prefetch(struct fg_worker *w, const struct fg_worker_job *jobs, unsigned n,
                        struct fg_stock_request *requests)
{
    for (unsigned i = 0; i < n; i++)
        fg_stock_request_of(&requests[i], jobs[i].payload);
    fg_stock_prefetch(w->stock, requests, n);
}

_Static_assert(FG_PACKET_STATUS_COUNT <= 64, "a bit for each status");

/* As decide_one. Offences of users; and, of a pair, negative answers about orders. */
static __attribute__((noinline)) bool special_answer(struct fg_worker *w, struct fg_worker_job *job,
                                                     const struct fg_stock_answer *answer)
{
    if (answer->status == FG_PACKET_STATUS_USER_RATE) {
        fg_worker_report_signed(w, job, FG_PENALTY_OFFENCE_USER_RATE);
        return true;
    }
    if (answer->status == FG_PACKET_STATUS_USER_DENIED) {
        fg_worker_report_signed(w, job, FG_PENALTY_OFFENCE_USER_DENIED);
        return true;
    }
    if (fg_worker_hold(w, answer))
        fg_worker_reply_defer(w, answer->token, job);
    rte_pktmbuf_free(job->mbuf);
    return false;
}

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
        if (fg_unlikely(w->special >> answer->status & 1))
            return special_answer(w, job, answer);
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

/* A slot is taken from the free ones by nothing else than a deferred answer. */
static __attribute__((noinline)) void
note_late(struct fg_worker *w, unsigned at, const struct fg_worker_job *job, uint64_t arrived_ns)
{
    struct fg_worker_trace *t = w->trace;
    struct fg_worker_trace_late *late = &t->late[t->late_count++];

    *late = (struct fg_worker_trace_late){.arrived_ns = arrived_ns,
                                          .token = t->slot_free,
                                          .queue = job->route.queue,
                                          .at = (uint8_t)at};
    if (t->slot_free == FG_STOCK_NO_TOKEN)
        late->status = FG_PACKET_STATUS_BUSY;
    else if (w->slot_free != t->slot_free)
        late->status = FG_WORKER_TRACE_DEFERRED;
    t->slot_free = w->slot_free;
}

/* An answered request has nothing of it that it has not in fg_worker_decide. */
static inline __attribute__((always_inline)) unsigned
decide_traced(struct fg_worker *w, struct fg_worker_job *jobs,
              const struct fg_stock_request *requests, unsigned n, struct fg_stock_answer *answers,
              bool handed)
{
    unsigned answered = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t arrived_ns = handed ? *fg_worker_arrival(jobs[i].mbuf) : 0; /* it may be freed */

        if (fg_likely(decide_one(w, &jobs[i], &requests[i], &answers[answered])))
            fg_worker_job_keep(jobs, answered++, i);
        else
            note_late(w, i, &jobs[i], handed ? arrived_ns : w->received_ns);
    }
    return answered;
}

unsigned fg_worker_decide_traced(struct fg_worker *w, struct fg_worker_job *jobs,
                                 const struct fg_stock_request *requests, unsigned n,
                                 struct fg_stock_answer *answers, bool handed)
{
    w->trace->late_count = 0;
    w->trace->slot_free = w->slot_free;
    if (handed)
        return decide_traced(w, jobs, requests, n, answers, true);
    return decide_traced(w, jobs, requests, n, answers, false);
}

/* The asker never has more commands under way than the ring has slots. */
static void give_result(struct fg_ring *ring, const struct fg_stock_answer *answer)
{
    uint8_t message[FG_RING_SLOT] = {0};

    memcpy(message, answer, sizeof(*answer));
    FG_ASSERT(fg_ring_push(ring, message));
}

/* While this appliance stands by. */
static unsigned refuse_commands(struct fg_worker *w)
{
    unsigned n = 0;

    for (const void *slot; (slot = fg_ring_peek(w->commands, 0)); n++) {
        struct fg_stock_command c;
        struct fg_stock_answer a = {.kind = FG_STOCK_OPERATOR,
                                    .outcome = FG_STOCK_OUTCOME_UNAVAILABLE};

        memcpy(&c, slot, sizeof(c));
        fg_ring_release(w->commands, 1);
        a.token = c.ticket;
        if (c.type == FG_STOCK_USER_SET || c.type == FG_STOCK_ORDER_REFUND)
            a.user = c.user;
        else
            a.item = c.item;
        give_result(w->results, &a);
    }
    return n;
}

/* The thread that gave them asks again. */
static unsigned refuse_inbound(struct fg_worker *w)
{
    unsigned n = 0;

    for (const void *slot; (slot = fg_ring_peek(w->inbound_commands, 0)); n++) {
        struct fg_stock_answer a = {.kind = FG_STOCK_INBOUND,
                                    .status = FG_PACKET_STATUS_UNAVAILABLE};
        struct fg_inbound_command c;

        memcpy(&c, slot, sizeof(c));
        fg_ring_release(w->inbound_commands, 1);
        a.token = c.token;
        memcpy(a.order_id, c.order_id, sizeof(a.order_id));
        give_result(w->inbound_results, &a);
    }
    return n;
}

static inline unsigned take_commands(struct fg_worker *w, struct fg_ring *ring)
{
    unsigned n = 0;

    for (const void *slot; n < COMMANDS_MAX && (slot = fg_ring_peek(ring, 0)); n++) {
        struct fg_stock_command command;

        memcpy(&command, slot, sizeof(command));
        if (!fg_stock_command(w->stock, w->now_ms, &command))
            break; /* a queue of the engine is full: retry in the next loop */
        fg_ring_release(ring, 1);
    }
    return n;
}

unsigned fg_worker_commands(struct fg_worker *w)
{
    unsigned n;

    if (fg_unlikely(w->mode == FG_STOCK_NOT_LEADER))
        return refuse_commands(w);
    if (fg_unlikely(w->mode == FG_STOCK_RUNNING && fg_worker_is_stale(w)))
        return 0; /* they wait; in other modes the engine refuses them */
    n = take_commands(w, w->commands);
    if (fg_unlikely(w->fleet_commands))
        n += take_commands(w, w->fleet_commands);
    return n;
}

/* The asker waits for an answer to each. */
static void inbound_answer(struct fg_worker *w, struct fg_stock_answer *answer)
{
    if (w->leading && FG_WORKER_NEGATIVE >> answer->status & 1) {
        if (fg_worker_hold(w, answer))
            return;
        answer->status = FG_PACKET_STATUS_BUSY;
    }
    give_result(w->inbound_results, answer);
}

unsigned fg_worker_inbound(struct fg_worker *w)
{
    unsigned n = 0;

    if (fg_unlikely(w->mode == FG_STOCK_NOT_LEADER))
        return w->inbound_commands ? refuse_inbound(w) : 0;
    if (fg_unlikely(fg_worker_is_stale(w)))
        return 0; /* they wait */
    for (const void *slot;
         w->inbound_commands && n < w->burst && (slot = fg_ring_peek(w->inbound_commands, 0));
         n++) {
        struct fg_stock_request request = {0};
        struct fg_stock_answer answer;
        struct fg_inbound_command o;

        memcpy(&o, slot, sizeof(o));
        fg_ring_release(w->inbound_commands, 1);
        if (fg_unlikely(fg_worker_is_foreign(w, &o, &answer))) {
            give_result(w->inbound_results, &answer);
            continue;
        }
        request.op = o.op;
        request.flags = o.flags;
        request.kind = FG_STOCK_INBOUND;
        request.user = o.user;
        request.until_ms = o.until_ms;
        memcpy(request.order_id, o.order_id, sizeof(request.order_id));
        if (fg_stock_request(w->stock, w->now_ms, &request, o.token, &answer) == FG_STOCK_ANSWERED)
            inbound_answer(w, &answer);
    }
    return n;
}

static void give(struct fg_worker *w, const struct fg_stock_answer *answer)
{
    if (fg_likely(answer->kind == FG_STOCK_PACKET))
        fg_worker_reply_deferred(w, answer);
    else if (answer->kind == FG_STOCK_INBOUND)
        give_result(w->inbound_results, answer);
    else
        give_result(answer->token & FG_WORKER_FLEET_TICKET ? w->fleet_results : w->results, answer);
}

/* The operator is told that there is nothing to refund. */
static bool denies(const struct fg_stock_answer *a)
{
    return a->outcome == FG_STOCK_OUTCOME_UNKNOWN_ORDER || a->outcome == FG_STOCK_OUTCOME_NOT_SOLD;
}

static void operator_answer(struct fg_worker *w, struct fg_stock_answer *answer)
{
    if (fg_worker_hold(w, answer))
        return;
    answer->outcome = FG_STOCK_OUTCOME_BUSY;
    give_result(w->results, answer);
}

/* Of a pair: keeps what needs a probe. It may be the refusal of a late payment. */
static __attribute__((noinline)) unsigned keep_negative(struct fg_worker *w,
                                                        struct fg_stock_answer *answers, unsigned n)
{
    unsigned left = 0;

    for (unsigned i = 0; i < n; i++) {
        struct fg_stock_answer *a = &answers[i];

        if (a->kind == FG_STOCK_OPERATOR ? !denies(a) : !(FG_WORKER_NEGATIVE >> a->status & 1))
            answers[left++] = *a;
        else if (a->kind == FG_STOCK_INBOUND)
            inbound_answer(w, a);
        else if (a->kind == FG_STOCK_OPERATOR)
            operator_answer(w, a);
        else if (!fg_worker_hold(w, a))
            fg_worker_reply_forget(w, a);
    }
    return left;
}

unsigned fg_worker_answers(struct fg_worker *w)
{
    struct fg_stock_answer answers[FG_WORKER_BURST_MAX];
    unsigned max = RTE_MIN(w->burst, FG_WORKER_BURST_MAX - w->backlog), proven = 0, n;

    if (fg_unlikely(w->mode == FG_STOCK_NOT_LEADER))
        return 0;
    if (fg_unlikely(w->leading))
        proven = fg_worker_proven(w, answers, max);
    n = fg_stock_poll(w->stock, w->now_ms, answers + proven, max - proven);
    if (fg_unlikely(w->leading))
        n = keep_negative(w, answers + proven, n);
    n += proven;
    if (n)
        w->durable_ns = fg_clock_passed_ns(w->clock);
    for (unsigned i = 0; i < n; i++)
        give(w, &answers[i]);
    return n;
}
