/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * payment: an order on its way through the service, and all that are under way, by order and by the
 * time at which something must be done. PostgreSQL has the same payments: they are read from there
 * after a crash.
 */
#ifndef ORDER_SERVICE_PAYMENT_H
#define ORDER_SERVICE_PAYMENT_H

#include "base/base.h"

/* name, name in the database, open (something is to be done), meaning */
#define STATE_LIST(X)                                                                              \
    X(TAKEN, "taken", true, "the provider is asked")                                               \
    X(CHARGED, "charged", true, "money was taken; the confirmation is not answered yet")           \
    X(DECLINED, "declined", true, "no money; the cancellation is not answered yet")                \
    X(CONFIRMED, "confirmed", false, "paid and sold")                                              \
    X(REFUNDED, "refunded", false, "paid, but the units were gone: money given back")              \
    X(CANCELLED, "cancelled", false, "not paid, units given back")                                 \
    X(LAPSED, "lapsed", false, "not paid, and the hold had ended by itself")

enum state {
#define X(name, text, open, meaning) STATE_##name,
    STATE_LIST(X)
#undef X
        STATES
};
extern const char *const state_names[STATES];

struct payment {
    uint64_t user, item, deadline_ms;
    char order[33];
    uint32_t quantity;
    enum state state;
    uint64_t due_ms; /* monotonic: when something is to be done */
    bool closing;    /* CHARGED, and the units cannot be had: cancelled before money goes back */
    bool late;       /* the hold had ended before the provider could be asked: it is not */
    unsigned tries;  /* of the confirmation or cancellation */
    uint64_t asked;  /* by packets: the question that is under way; 0 = none */
    size_t heap_at;  /* in the heap */
    struct payment *next;
};

/** Whether the next command is a confirmation; else it is a cancellation. */
static inline bool payment_confirms(const struct payment *p)
{
    return p->state == STATE_CHARGED && !p->closing;
}

struct payments {
    struct payment **heap; /* by due_ms */
    size_t count, size;
    struct payment **table; /* chains by order */
};

void payments_init(struct payments *all);
void payments_clear(struct payments *all); /* frees all of them */

struct payment *payments_find(const struct payments *all, uint64_t user, const char *order);
struct payment *payments_add(struct payments *all, const struct payment *like);
void payments_remove(struct payments *all, struct payment *p);

/** The one that is due first, or NULL. */
struct payment *payments_first(const struct payments *all);
void payments_due(struct payments *all, struct payment *p, uint64_t due_ms);

#endif
