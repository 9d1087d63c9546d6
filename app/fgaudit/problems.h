/* SPDX-License-Identifier: BSD-3-Clause */
/** problems: what the auditor found wrong, by kind: all are counted, the first of each kind are
 * kept as text.
 */
#ifndef FG_AUDIT_PROBLEMS_H
#define FG_AUDIT_PROBLEMS_H

#include "base/base.h"

/* name, text, meaning; docs/audit.md */
#define FG_PROBLEM_LIST(X)                                                                         \
    X(LOG, "log", "the log is damaged before its end, or has a gap")                               \
    X(SNAPSHOT, "snapshot", "a snapshot is damaged, or is not what the log says at its record")    \
    X(OVERSOLD, "oversold", "more units reserved and sold than there were")                        \
    X(REUSED, "reused", "units taken in the same commit that released or added them")              \
    X(ORDER_TWICE, "order-twice", "an order was accepted twice")                                   \
    X(STEP, "step",                                                                                \
      "a step that the order's state does not allow, or an order that was never accepted")         \
    X(FIELDS, "fields", "user, item or quantity of a step is not that of its order")               \
    X(USER_LIMIT, "user-limit", "a user holds and has bought more of an item than one user may")   \
    X(ORDER_MAX, "order-max", "an order of no unit, or of more units than one order may have")     \
    X(EARLY_EXPIRY, "early-expiry", "an order expired before its deadline")                        \
    X(USER_DENIED, "user-denied", "an order of a user whom the operator denied was accepted")      \
    X(TICKET, "ticket", "two orders in a waiting list have one ticket, or one has none")           \
    X(TURN, "turn", "units went to an order while another one was first in the waiting list")      \
    X(LOTTERY, "lottery", "a draw that its commitment or its entries contradict")                  \
    X(UNKNOWN_ITEM, "unknown-item", "a record of an item that was never defined")                  \
    X(CONSERVATION, "conservation",                                                                \
      "total is not available + reserved + sold, or a count is below zero")                        \
    X(EPOCH, "epoch", "epochs of a pair do not follow each other, or contradict each other")       \
    X(PEER, "peer", "neither log of a pair is the beginning of the other")                         \
    X(FLEET_LOG, "fleet-log", "a log is not that of its member, or is older than etcd knows it")   \
    X(FLEET_POOL, "fleet-pool", "a pool is damaged, missing, or contradicts the log of a member")  \
    X(FLEET_UNITS, "fleet-units", "members hold or sold more units than were added")               \
    X(FLEET_ORDER, "fleet-order", "an order was accepted by two members")                          \
    X(FLEET_OWNER, "fleet-owner", "a member accepted an order of another member's user")           \
    X(FLEET_LIMIT, "fleet-limit", "a user has more of an item, over all members, than allowed")    \
    X(CLIENT_MISSING, "client-missing", "an acknowledged order is not in the log")                 \
    X(CLIENT_STATE, "client-state", "the log has another state than the client was told")          \
    X(CLIENT_REJECTED, "client-rejected", "an order that was only rejected is in the log")         \
    X(CLIENT_FIELDS, "client-fields",                                                              \
      "the log has another item or quantity than the client asked for")                            \
    X(CLIENT_UNNAMED, "client-unnamed", "an order in the log that no client file names")           \
    X(REDIS_CURSOR, "redis-cursor", "the cursor is missing, of another log, behind or ahead")      \
    X(REDIS_COUNTER, "redis-counter", "units of an item differ from the log")                      \
    X(REDIS_ITEM, "redis-item", "an item is missing, unknown, or has other settings")              \
    X(REDIS_ORDER, "redis-order", "an order is missing, unknown, or has other fields")             \
    X(REDIS_USER, "redis-user", "the set of denied users is not that of the log")                  \
    X(REDIS_EVENT, "redis-event", "an event is missing, unknown, or has other fields")             \
    X(REDIS_KEY, "redis-key", "a key under the prefix that the sink does not write")               \
    X(REDIS_MOVING, "redis-moving", "Redis changed while it was read; nothing can be said")        \
    X(POSTGRES_CURSOR, "postgres-cursor",                                                          \
      "the cursor is missing, of another log, behind or ahead")                                    \
    X(POSTGRES_COUNTER, "postgres-counter", "units or orders of an item differ from the log")      \
    X(POSTGRES_ITEM, "postgres-item", "an item is missing, unknown, or has other settings")        \
    X(POSTGRES_ORDER, "postgres-order", "an order is missing, unknown, or has other fields")       \
    X(POSTGRES_USER, "postgres-user", "the set of denied users is not that of the log")

enum fg_problem {
#define X(name, text, meaning) FG_PROBLEM_##name,
    FG_PROBLEM_LIST(X)
#undef X
        FG_PROBLEM_COUNT
};

struct fg_problem_kind {
    uint64_t count;
    char **texts; /* [kept] */
    size_t kept;
};

struct fg_problems {
    size_t limit;      /* texts kept of each kind */
    bool silent;       /* nothing is counted: a part of the log is gone through a second time */
    const char *about; /* stands before each text, NULL = nothing */
    struct fg_problem_kind kinds[FG_PROBLEM_COUNT];
};

const char *fg_problem_name(enum fg_problem kind);
const char *fg_problem_meaning(enum fg_problem kind);

__attribute__((format(printf, 3, 4))) void fg_problem(struct fg_problems *p, enum fg_problem kind,
                                                      const char *fmt, ...);
uint64_t fg_problems_count(const struct fg_problems *p);
void fg_problems_forget(struct fg_problems *p,
                        enum fg_problem from); /* all kinds from that one on */
void fg_problems_free(struct fg_problems *p);

#endif
