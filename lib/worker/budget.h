/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * budget: where a worker's cycles go. The loop says at the end of each stage that it ended; what
 * was spent since the last such mark is the stage's. In the daemon this is nothing: only
 * tools/bench.d/budget compiles the loop with -DFG_BUDGET and says what a mark does.
 */
#ifndef FG_WORKER_BUDGET_H
#define FG_WORKER_BUDGET_H

/* name, what is done */
#define FG_BUDGET_LIST(X)                                                                          \
    X(LOOP, "loop: clock, mailbox, rings, watermark, idle policy")                                 \
    X(RECEIVE, "receive: rte_eth_rx_burst")                                                        \
    X(PARSE, "parse: frame check")                                                                 \
    X(CHECK, "tag check: fields, key, SipHash of the request")                                     \
    X(OWNER, "owner: role, owner, hand-off")                                                       \
    X(PREFETCH, "engine: request copied, tables fetched")                                          \
    X(ENGINE, "engine: decision")                                                                  \
    X(REPLY, "reply: payload and headers")                                                         \
    X(TAG, "tag: SipHash of the reply")                                                            \
    X(FINISH, "finish: tag and checksum written, batch")                                           \
    X(HANDOFF, "hand-off: rings of requests and replies")                                          \
    X(SEND, "send: rte_eth_tx_burst")

enum fg_worker_budget_stage {
#define X(name, text) FG_BUDGET_##name,
    FG_BUDGET_LIST(X)
#undef X
        FG_BUDGET_STAGES
};

#ifdef FG_BUDGET
void fg_worker_budget_mark(enum fg_worker_budget_stage stage);
#define FG_BUDGET_END(stage) fg_worker_budget_mark(FG_BUDGET_##stage)
#else
#define FG_BUDGET_END(stage) ((void)0)
#endif

#endif
