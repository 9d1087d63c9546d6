/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deliberate bugs, for the tests that must find them (tests/sim). A build with -DFG_CANARY holds
 * them all, and the test that is linked with it says which one lives (fg_stock_canary, 0 = none).
 * In every other build FG_CANARY_IS() is the constant 0, and nothing of a bug is left.
 */
#ifndef FG_STOCK_CANARY_H
#define FG_STOCK_CANARY_H

/* name, what the engine does wrong */
#define FG_CANARY_LIST(X)                                                                          \
    X(RELEASE_NOT_DURABLE, "sells a released unit before its release is durable")                  \
    X(ADDED_NOT_DURABLE, "sells added stock before its record is durable")                         \
    X(LENT_FORGOTTEN, "announces sold-out while something is lent")                                \
    X(REFUSE_UNASKED, "refuses a request without recalling what is lent")                          \
    X(GRANT_IN_RECALL, "grants while a recall is under way, and loses track of the loan")          \
    X(RECALL_FORGETS, "forgets the parked requests on recall")                                     \
    X(RECALL_TAKES_GRANTED, "a recall takes units that were granted to a waiting request")         \
    X(OPEN_UNSAID, "never announces that units are free again")                                    \
    X(QUEUE_JUMPED, "serves a new request before those that wait")                                 \
    X(REFUSE_WRONG,                                                                                \
      "refuses whoever waits, when the request that was meant has been served meanwhile")          \
    X(RETURN_TWICE, "returns released units twice")                                                \
    X(DUPLICATE_NOT_DURABLE, "answers a duplicate before the order is durable")                    \
    X(ANSWER_EARLY, "answers one record before the watermark")                                     \
    X(ANSWER_LOST, "loses the answer to a waiting request when the log has no room")               \
    X(WAITERS_UNLIMITED, "does not hold requests to the user's limit while others wait")           \
    X(LIMIT_KEPT, "does not give the user's limit back when an order expires")                     \
    X(LIMIT_LOST, "forgets after a restart what a user has bought")                                \
    X(EXPIRES_SOLD, "expires a confirmed order, and sells its units again")                        \
    X(CONFIRM_LATE, "confirms an order behind its deadline")                                       \
    X(CONFLICT_UNSEEN, "takes an order id with another quantity for a repeat")

#ifdef FG_CANARY
enum fg_stock_canary_name {
    FG_CANARY_NONE,
#define X(name, text) FG_CANARY_##name,
    FG_CANARY_LIST(X)
#undef X
};
extern enum fg_stock_canary_name fg_stock_canary;
#define FG_CANARY_IS(name) (fg_stock_canary == FG_CANARY_##name)
#else
#define FG_CANARY_IS(name) 0
#endif

#endif
