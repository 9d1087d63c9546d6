/* SPDX-License-Identifier: BSD-3-Clause */
/* The lcore loop: a list of stages. */
#include "worker/worker.h"

#include "worker/budget.h"

#include <rte_ethdev.h>
#include <rte_prefetch.h>

#define PREFETCH_AHEAD 4
#define DECIDE_BURST   64u /* requests whose tables are fetched together */
#define NEIGHBOUR_MAX                                                                              \
    16 /* of ARP and the like answered in a millisecond: a ping flood is not our sale */
#define COMMANDS_MAX 32 /* taken from the mailbox per loop */

/* Headers and order packet: the frame begins behind a headroom that is a multiple of a line. */
static inline void prefetch_frame(struct rte_mbuf *m)
{
    rte_prefetch0(rte_pktmbuf_mtod(m, void *));
    rte_prefetch0(rte_pktmbuf_mtod_offset(m, void *, RTE_CACHE_LINE_SIZE));
}

static void drop(struct fg_worker *w, struct rte_mbuf *m, enum fg_packet_drop why)
{
    bool tag = why == FG_DROP_TAG || why == FG_DROP_KEY;

    fg_counter_add(&w->counters.dropped[why], 1);
    fg_worker_report(w, m, tag ? FG_OFFENCE_BAD_TAG : FG_OFFENCE_MALFORMED);
    rte_pktmbuf_free(m);
}

_Static_assert(FG_STATUS_USER_DENIED == FG_STATUS_USER_RATE + 1 &&
                   FG_STATUS_COUNT == FG_STATUS_USER_DENIED + 1,
               "offences of users are the last statuses: one comparison");

/* False: the answer comes later, or there is none; the mbuf is gone. */
static bool decide_one(struct fg_worker *w, struct fg_worker_job *job,
                       const struct fg_stock_request *request, struct fg_stock_answer *answer)
{
    uint32_t token = w->slot_free; /* taken only if the engine keeps it */

    if (fg_unlikely(token == FG_NO_TOKEN)) {
        fg_counter_add(&w->counters.no_slot, 1);
        fg_worker_reply_refuse(w, job, FG_STATUS_BUSY, FG_BUSY_MS);
        return false;
    }
    switch (fg_stock_request(w->stock, w->now_ms, request, token, answer)) {
    case FG_STOCK_ANSWERED:
        if (fg_unlikely(answer->status >= FG_STATUS_USER_RATE)) /* or USER_DENIED */
            fg_worker_report_proven(w, job,
                                    answer->status == FG_STATUS_USER_RATE ? FG_OFFENCE_USER_RATE
                                                                          : FG_OFFENCE_USER_DENIED);
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

/* Jobs of a burst move up when one before them is gone, which is rare. */
static inline void keep(struct fg_worker_job *jobs, unsigned to, unsigned from)
{
    if (fg_unlikely(to != from))
        jobs[to] = jobs[from];
}

static void decide_some(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n)
{
    struct fg_stock_request requests[DECIDE_BURST];
    struct fg_stock_answer answers[DECIDE_BURST];
    unsigned answered = 0;

    for (unsigned i = 0; i < n; i++)
        fg_stock_request_of(&requests[i], jobs[i].payload);
    fg_stock_prefetch(w->stock, requests, n);
    FG_BUDGET_END(PREFETCH);
    for (unsigned i = 0; i < n; i++)
        if (fg_likely(decide_one(w, &jobs[i], &requests[i], &answers[answered])))
            keep(jobs, answered++, i);
    FG_BUDGET_END(ENGINE);
    fg_worker_reply_now(w, jobs, answers, answered);
    FG_BUDGET_END(REPLY);
}

void fg_worker_decide(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n)
{
    for (unsigned i = 0; i < n; i += DECIDE_BURST)
        decide_some(w, jobs + i, RTE_MIN(n - i, DECIDE_BURST));
}

/* What a kernel would answer, where none stands behind the port. False: not for us, or too much of
 * it. */
static bool answer_neighbour(struct fg_worker *w, struct rte_mbuf *m, uint16_t queue)
{
    const struct fg_frame_host *own = w->queues[queue].own;
    uint32_t len;

    if (!own || m->nb_segs != 1)
        return false;
    if (w->neighbour_ms != w->now_ms) {
        w->neighbour_ms = w->now_ms;
        w->neighbour_count = 0;
    }
    if (w->neighbour_count == NEIGHBOUR_MAX)
        return false;
    len = fg_frame_host_answer(rte_pktmbuf_mtod(m, uint8_t *), m->data_len,
                               m->data_len + rte_pktmbuf_tailroom(m), own);
    if (!len)
        return false;
    w->neighbour_count++;
    fg_counter_add(&w->counters.neighbour, 1);
    m->data_len = (uint16_t)len;
    m->pkt_len = len;
    m->ol_flags = 0;
    fg_worker_reply_send(w, m, queue);
    return true;
}

/* No order packet, or a wrong one. */
static __attribute__((noinline)) void parse_failed(struct fg_worker *w, struct rte_mbuf *m,
                                                   uint16_t queue, enum fg_frame_kind kind,
                                                   enum fg_packet_drop why)
{
    if (kind != FG_FRAME_OTHER) {
        drop(w, m, kind == FG_FRAME_BAD ? why : FG_DROP_TRUNCATED);
        return;
    }
    fg_counter_add(&w->counters.other, 1);
    if (!answer_neighbour(w, m, queue))
        rte_pktmbuf_free(m);
}

/* Makes jobs of the frames that look like requests; returns how many. */
static unsigned parse(struct fg_worker *w, uint16_t queue, struct rte_mbuf **mbufs, unsigned n,
                      struct fg_worker_job *jobs)
{
    struct fg_worker_route mark = {.queue = queue};
    uint32_t ports = w->order_ports;
    unsigned count = 0;

    for (unsigned i = 0; i < n && i < PREFETCH_AHEAD; i++)
        prefetch_frame(mbufs[i]);
    for (unsigned i = 0; i < n; i++) {
        struct rte_mbuf *m = mbufs[i];
        uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
        enum fg_packet_drop why = FG_DROP_NONE;
        enum fg_frame_kind kind = fg_frame_parse(data, m->data_len, ports, &mark.frame, &why);

        if (i + PREFETCH_AHEAD < n)
            prefetch_frame(mbufs[i + PREFETCH_AHEAD]);
        if (fg_likely(kind == FG_FRAME_ORDER && m->nb_segs == 1))
            jobs[count++] = (struct fg_worker_job){
                .mbuf = m, .payload = data + mark.frame.payload, .mark = mark};
        else
            parse_failed(w, m, queue, kind, why);
    }
    return count;
}

/* Drops what is no authentic request; returns how many are left, in their order. */
static unsigned check(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n)
{
    const void *payloads[FG_BURST_MAX];
    const struct fg_packet_key *keys[FG_BURST_MAX];
    enum fg_packet_drop drops[FG_BURST_MAX];
    unsigned left = 0;

    for (unsigned i = 0; i < n; i++)
        payloads[i] = jobs[i].payload;
    fg_packet_requests_check(payloads, n, w->keys, keys, drops);
    for (unsigned i = 0; i < n; i++) {
        if (fg_unlikely(drops[i] != FG_DROP_NONE)) {
            drop(w, jobs[i].mbuf, drops[i]);
            continue;
        }
        keep(jobs, left, i);
        jobs[left++].key = keys[i];
    }
    fg_counter_add(&w->counters.orders, left);
    return left;
}

/* Gives away what this worker has not to decide; returns how many are left, in their order. */
static unsigned hand_off(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n)
{
    unsigned left = 0;

    for (unsigned i = 0; i < n; i++) {
        const fg_packet_request_at *request = (const fg_packet_request_at *)jobs[i].payload;
        unsigned owner = fg_stock_owner(request, w->workers);

        if (fg_unlikely(!(jobs[i].key->roles & fg_packet_op_roles(request->op)))) {
            fg_counter_add(&w->counters.denied, 1);
            fg_worker_report_proven(w, &jobs[i], FG_OFFENCE_ROLE);
            fg_worker_reply_refuse(w, &jobs[i], FG_STATUS_DENIED, 0);
        } else if (owner == w->index) {
            keep(jobs, left++, i);
        } else {
            fg_worker_handoff_request(w, owner, &jobs[i]);
        }
    }
    return left;
}

static void receive_burst(struct fg_worker *w, uint16_t queue, struct rte_mbuf **mbufs, unsigned n)
{
    struct fg_worker_job jobs[FG_BURST_MAX];
    unsigned count = parse(w, queue, mbufs, n, jobs);

    FG_BUDGET_END(PARSE);
    count = check(w, jobs, count);
    FG_BUDGET_END(CHECK);
    count = hand_off(w, jobs, count);
    FG_BUDGET_END(OWNER);
    fg_worker_decide(w, jobs, count);
}

static unsigned stage_receive(struct fg_worker *w)
{
    struct rte_mbuf *mbufs[FG_BURST_MAX];
    unsigned work = 0;

    for (unsigned i = 0; i < w->own_count; i++) {
        struct fg_worker_queue *q = &w->queues[w->own[i]];
        unsigned n = 0;

        if (fg_likely(!q->out.count)) /* else it does not even take the answers of before */
            n = rte_eth_rx_burst(q->port, q->index, mbufs, (uint16_t)w->burst);
        FG_BUDGET_END(RECEIVE);
        if (!n)
            continue;
        receive_burst(w, q->number, mbufs, q->judged ? fg_worker_filter(w, mbufs, n) : n);
        fg_counter_add(&w->counters.rx, n);
        work += n;
    }
    return work;
}

static void stage_settings(struct fg_worker *w)
{
    uint64_t now_ms = fg_clock_now_ms(w->clock);
    int mode = atomic_load_explicit(w->mode_in_force, memory_order_acquire);

    if (now_ms > w->now_ms) /* a correction of the clock never takes time back */
        w->now_ms = now_ms;
    w->keys = atomic_load_explicit(w->keys_in_force, memory_order_acquire);
    if (fg_unlikely(mode != (int)w->mode)) {
        w->mode = (enum fg_stock_mode)mode;
        fg_stock_set_mode(w->stock, w->mode);
    }
}

static unsigned stage_commands(struct fg_worker *w)
{
    unsigned n = 0;

    for (const void *slot; n < COMMANDS_MAX && (slot = fg_ring_peek(w->commands, 0)); n++) {
        struct fg_stock_command command;

        memcpy(&command, slot, sizeof(command));
        if (!fg_stock_command(w->stock, w->now_ms, &command))
            break; /* a queue of the engine is full: again in the next loop */
        fg_ring_release(w->commands, 1);
    }
    return n;
}

/* Whoever asks never has more under way than the ring has places. */
static void give_result(struct fg_ring *ring, const struct fg_stock_answer *answer)
{
    uint8_t message[FG_RING_SLOT] = {0};

    memcpy(message, answer, sizeof(*answer));
    FG_ASSERT(fg_ring_push(ring, message));
}

/* What the order service asks for: decided like a packet of role backend. */
static unsigned stage_operations(struct fg_worker *w)
{
    unsigned n = 0;

    for (const void *slot; w->operations && n < w->burst && (slot = fg_ring_peek(w->operations, 0));
         n++) {
        struct fg_stock_request request = {0};
        struct fg_stock_answer answer;
        struct fg_inbound_command o;

        memcpy(&o, slot, sizeof(o));
        fg_ring_release(w->operations, 1);
        request.op = o.op;
        request.user = o.user;
        request.until_ms = o.until_ms;
        memcpy(request.order_id, o.order_id, sizeof(request.order_id));
        if (fg_stock_request(w->stock, w->now_ms, &request, o.token, &answer) == FG_STOCK_ANSWERED)
            give_result(w->outcomes, &answer);
    }
    return n;
}

static unsigned stage_answers(struct fg_worker *w)
{
    struct fg_stock_answer answers[FG_BURST_MAX];
    unsigned n =
        fg_stock_poll(w->stock, w->now_ms, answers, RTE_MIN(w->burst, FG_BURST_MAX - w->backlog));

    for (unsigned i = 0; i < n; i++) {
        if (answers[i].command)
            give_result(w->results, &answers[i]);
        else if (answers[i].token >= FG_INBOUND_TOKEN)
            give_result(w->outcomes, &answers[i]);
        else
            fg_worker_reply_deferred(w, &answers[i]);
    }
    return n;
}

static void stage_transmit(struct fg_worker *w)
{
    w->backlog = 0;
    for (unsigned i = 0; i < w->own_count; i++) {
        struct fg_worker_queue *q = &w->queues[w->own[i]];

        if (!q->out.count)
            continue;
        fg_worker_transmit(w, q);
        w->backlog = RTE_MAX(w->backlog, q->out.count);
    }
}

void fg_worker_loop(struct fg_worker *w)
{
    unsigned work;

    stage_settings(w);
    work = stage_commands(w);
    work += stage_operations(w);
    FG_BUDGET_END(LOOP);
    work += stage_receive(w);
    work += fg_worker_handoff_receive(w);
    work += stage_answers(w);
    FG_BUDGET_END(LOOP);
    work += fg_worker_handoff_replies(w);
    fg_worker_handoff_flush(w);
    FG_BUDGET_END(HANDOFF);
    stage_transmit(w);
    FG_BUDGET_END(SEND);
    fg_worker_idle(w, work);
    FG_BUDGET_END(LOOP);
}

int fg_worker_main(void *worker)
{
    struct fg_worker *w = worker;

    fg_worker_idle_start();
    atomic_store(&w->running, true);
    while (!atomic_load_explicit(w->quit, memory_order_relaxed))
        fg_worker_loop(w);
    atomic_store(&w->running, false);
    return 0;
}
