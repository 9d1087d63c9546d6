/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * loop: the way of a packet, as a list of stages. The daemon (worker.c) runs it with an empty hook,
 * which the compiler removes; tools/bench.d/budget runs it with one that counts the cycles of each
 * stage.
 */
#ifndef FG_WORKER_LOOP_H
#define FG_WORKER_LOOP_H

#include "worker/decide.h"
#include "worker/handoff.h"
#include "worker/idle.h"
#include "worker/leading.h"
#include "worker/receive.h"
#include "worker/reply.h"
#include "worker/shards.h"
#include "worker/sign.h"
#include "worker/trace.h"
#include "worker/transmit.h"

/* name, what is done */
#define FG_WORKER_STAGE_LIST(X)                                                                    \
    X(LOOP, "loop: clock, mailbox, rings, watermark, idle policy")                                 \
    X(RECEIVE, "receive: rte_eth_rx_burst")                                                        \
    X(PARSE, "parse: frame check")                                                                 \
    X(CHECK, "tag check: fields, key, SipHash of the request")                                     \
    X(OWNER, "owner: shard, role, owner, hand-off")                                                \
    X(PREFETCH, "engine: request copied, tables fetched")                                          \
    X(ENGINE, "engine: decision")                                                                  \
    X(REPLY, "reply: payload and headers")                                                         \
    X(TAG, "tag: SipHash of the reply")                                                            \
    X(FINISH, "finish: tag and checksum written, batch")                                           \
    X(HANDOFF, "hand-off: rings of requests and replies")                                          \
    X(SEND, "send: rte_eth_tx_burst")

enum fg_worker_stage {
#define X(name, text) FG_WORKER_STAGE_##name,
    FG_WORKER_STAGE_LIST(X)
#undef X
        FG_STAGES
};

/** Called at the end of each stage. */
typedef void fg_worker_hook(enum fg_worker_stage ended);

/** Clock, keys and mode for this loop. */
static inline void fg_worker_settings(struct fg_worker *w)
{
    uint64_t passed_ns = fg_clock_passed_ns(w->clock),
             now_ms = fg_clock_unix_ns_of(w->clock, passed_ns) / 1000000;
    int mode = atomic_load_explicit(w->mode_in_force, memory_order_acquire);

    if (now_ms > w->now_ms) /* a clock correction never moves the engine's time backwards */
        w->now_ms = now_ms;
    if (fg_unlikely(w->trace))
        fg_worker_trace_sent(w->trace, passed_ns);
    w->keys = atomic_load_explicit(w->keys_in_force, memory_order_acquire);
    if (fg_unlikely(w->leading && mode == FG_STOCK_RUNNING &&
                    !atomic_load_explicit(&w->leading->accepting, memory_order_relaxed)))
        mode = FG_STOCK_NO_SPACE;
    if (fg_unlikely(mode != (int)w->mode))
        fg_worker_set_mode(w, (enum fg_stock_mode)mode);
}

/** A worker of a pair: may it decide? */
static inline unsigned fg_worker_stages_lead(struct fg_worker *w, struct fg_worker_job *jobs,
                                             unsigned n)
{
    return fg_likely(!w->leading && w->mode != FG_STOCK_NOT_LEADER) ? n
                                                                    : fg_worker_lead(w, jobs, n);
}

/** A worker of a fleet: are the users this member's? */
static inline unsigned fg_worker_stages_own(struct fg_worker *w, struct fg_worker_job *jobs,
                                            unsigned n)
{
    return fg_likely(!w->shards) ? n : fg_worker_own(w, jobs, n);
}

/** This worker owns the users of these jobs. */
static inline __attribute__((always_inline)) void
fg_worker_stages_decide(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n,
                        uint64_t received_ns, bool handed, fg_worker_hook *ended)
{
    _Alignas(FG_CACHE_LINE) struct fg_stock_request requests[FG_WORKER_DECIDE_BURST];
    struct fg_stock_answer answers[FG_WORKER_DECIDE_BURST];

    w->received_ns = w->decided_ns = received_ns;
    for (unsigned i = 0; i < n; i += FG_WORKER_DECIDE_BURST) {
        unsigned count = RTE_MIN(n - i, FG_WORKER_DECIDE_BURST), all = count;

        fg_worker_prefetch(w, jobs + i, count, requests);
        ended(FG_WORKER_STAGE_PREFETCH);
        if (fg_likely(!w->trace))
            count = fg_worker_decide(w, jobs + i, requests, count, answers);
        else
            count = fg_worker_decide_traced(w, jobs + i, requests, count, answers, handed);
        w->decided_ns = fg_clock_passed_ns(w->clock);
        if (fg_unlikely(w->trace))
            fg_worker_trace_burst(w, requests, all, jobs + i, answers, handed);
        fg_histogram_add(&w->latency.decide, FG_HISTOGRAM_NS_SHIFT, w->decided_ns - received_ns,
                         all);
        ended(FG_WORKER_STAGE_ENGINE);
        fg_worker_reply_now(w, jobs + i, answers, count);
        ended(FG_WORKER_STAGE_REPLY);
    }
}

static inline __attribute__((always_inline)) unsigned
fg_worker_stages_queue(struct fg_worker *w, unsigned queue, fg_worker_hook *ended)
{
    struct fg_worker_queue *q = &w->queues[queue];
    struct rte_mbuf *mbufs[FG_WORKER_BURST_MAX];
    struct fg_worker_job jobs[FG_WORKER_BURST_MAX];
    unsigned received, n = fg_worker_receive(w, q, mbufs, &received);
    uint64_t received_ns;

    ended(FG_WORKER_STAGE_RECEIVE);
    if (n == 0)
        return received;
    received_ns = fg_clock_passed_ns(w->clock);
    w->received_ns = received_ns;
    n = fg_worker_parse(w, q, mbufs, n, jobs);
    ended(FG_WORKER_STAGE_PARSE);
    n = fg_worker_check(w, jobs, n);
    n = fg_worker_stages_lead(w, jobs, n);
    ended(FG_WORKER_STAGE_CHECK);
    n = fg_worker_stages_own(w, jobs, n);
    n = fg_worker_hand_off(w, jobs, n);
    ended(FG_WORKER_STAGE_OWNER);
    fg_worker_stages_decide(w, jobs, n, received_ns, false, ended);
    return received;
}

/** Requests that other workers handed off to this one. */
static inline __attribute__((always_inline)) unsigned
fg_worker_stages_peer(struct fg_worker *w, unsigned peer, fg_worker_hook *ended)
{
    struct fg_worker_job jobs[FG_WORKER_BURST_MAX];
    unsigned received, n = fg_worker_handoff_take(w, &w->peers[peer], jobs, &received);

    n = fg_worker_stages_lead(w, jobs, n);
    ended(FG_WORKER_STAGE_HANDOFF);
    if (n)
        fg_worker_stages_decide(w, jobs, n, fg_clock_passed_ns(w->clock), true, ended);
    return received;
}

static inline __attribute__((always_inline)) void fg_worker_stages_sign(struct fg_worker *w,
                                                                        fg_worker_hook *ended)
{
    uint64_t tags[FG_WORKER_BURST_MAX];
    unsigned n = fg_worker_sign(w, tags);

    ended(FG_WORKER_STAGE_TAG);
    fg_worker_finish(w, tags, n);
    ended(FG_WORKER_STAGE_FINISH);
}

/** Requests are flushed before the signing: one that a full ring refuses becomes a reply. */
static inline __attribute__((always_inline)) void fg_worker_stages(struct fg_worker *w,
                                                                   fg_worker_hook *ended)
{
    unsigned work;

    fg_worker_settings(w);
    work = fg_worker_commands(w);
    work += fg_worker_inbound(w);
    ended(FG_WORKER_STAGE_LOOP);
    for (unsigned i = 0; i < w->polled_count; i++)
        work += fg_worker_stages_queue(w, w->polled[i], ended);
    for (unsigned i = 0; i < w->workers; i++)
        work += fg_worker_stages_peer(w, i, ended);
    work += fg_worker_answers(w);
    ended(FG_WORKER_STAGE_LOOP);
    work += fg_worker_replies_take(w);
    fg_worker_handoff_flush(w);
    ended(FG_WORKER_STAGE_HANDOFF);
    fg_worker_stages_sign(w, ended);
    fg_worker_replies_flush(w);
    ended(FG_WORKER_STAGE_HANDOFF);
    fg_worker_transmit(w);
    ended(FG_WORKER_STAGE_SEND);
    fg_worker_idle(w, work);
    ended(FG_WORKER_STAGE_LOOP);
}

#endif
