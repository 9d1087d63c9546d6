/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold, checked without any code of the engine or the ledger. It knows three stories of
 * each order: what the order's worker has decided (by the records that it pushed), what the log
 * holds, and what was told to the shopper. It is shown every record, request, answer and step.
 */
#ifndef FG_SIM_ORACLE_H
#define FG_SIM_ORACLE_H

#include "world.h"

#ifdef FG_SIM_SMALL
enum { ORDERS_KNOWN = ROOMY, USER_BUCKETS = 16, DENIED_KNOWN = 1 };
#elif defined(FG_SIM_FUZZ)
enum { ORDERS_KNOWN = ROOMY, USER_BUCKETS = 64, DENIED_KNOWN = 16 };
#else
enum { ORDERS_KNOWN = 4096, USER_BUCKETS = 256, DENIED_KNOWN = 64 };
#endif

struct oracle_order {
    uint64_t user, item;
    uint8_t order_id[16];
    uint16_t quantity;
    uint8_t now;             /* state by the records pushed */
    uint8_t written;         /* state by the log, durable or not */
    uint8_t durable;         /* bit per state that the durable log has shown */
    uint8_t told;            /* what a shopper or backend was told last */
    bool waits;              /* for units */
    bool joins;              /* by a WAIT for an item with a line */
    bool enters;             /* and before the opening */
    bool late, written_late; /* paid after its hold had ended */
    uint8_t listed;          /* how often ORDERS told of it since the liveness check began */
    uint32_t token;          /* that waits */
    uint32_t next;           /* of a user of the same bucket; index + 1 */
    uint32_t limit;          /* in force when it was taken in */
    uint64_t decided;        /* when that was, as a count */
    uint64_t deadline_ms, written_deadline_ms, durable_deadline_ms;
    /* of the line */
    uint32_t ticket, written_ticket;
    uint32_t ticket_before; /* the draw gave it another one */
    bool undrawn;           /* it waited before the draw: 0 may be told for its ticket */
    uint32_t ahead;         /* users, as was told last */
    uint64_t heard_ms; /* present until then, since the last WAIT; 0 = not heard of in this life */
    uint64_t heard_most_ms; /* and not longer than until then */
    uint64_t joined_ms;     /* when it got its ticket; 0 = it was heard of since */
};

struct oracle_units {
    int64_t total, reserved, sold, refunded;
    uint64_t leased, leases, returned, returns; /* of a fleet */
};

struct settings {
    bool live;
    uint64_t opens_ms, closes_ms;
    uint32_t hold_ms, user_limit;
    uint16_t order_max, flags;
    uint32_t line_max, claim_ms, ttl_ms, line_flags;
};

struct oracle_item {
    uint64_t item;
    bool logged; /* the log knows it */
    struct settings recorded, in_force[WORKERS_MAX];
    struct oracle_units now, written;
    uint64_t free; /* for sale, in banks, slices and grants */
    uint64_t kept; /* in the bank, for users who wait */
    uint64_t releasing;
    uint64_t serving; /* ticket that comes next */
    bool lottery;     /* a draw is to come, by the records pushed */
    bool sealed;      /* and what may be told: the log has a commitment of this life */
    uint8_t commitment[32], written_commitment[32];
    uint64_t cleared; /* up to this ticket all were told to leave, in this life */
    /* Since when units are free, for SOLD_OUT answers of a worker: 0 = none are; 1 = they are; 2 =
     * the home has had a loop since; 3 = what it said has been delivered; 4 = this worker has had a
     * loop since */
    uint8_t stage[WORKERS_MAX];
    uint64_t said[WORKERS_MAX]; /* messages from the home that have to be delivered for 3 */
};

struct oracle_denied {
    uint64_t user;
    bool now, written;
};

/* `durable` of the oracle is what may be told: in a pair, what is committed. */
struct oracle {
    uint32_t written_len, durable_len; /* records of the log that were looked at */
    uint64_t pushed[WORKERS_MAX];      /* records of each worker that were looked at */
    uint64_t durable_of[WORKERS_MAX];  /* records of each worker in this life that are durable */
    uint32_t orders_len, denied_len;
    uint64_t requests;
    uint64_t started_ms[WORKERS_MAX]; /* first loop of this life; 0 = not yet */
    bool small;                       /* FULL may be answered */
    struct oracle_order orders[ORDERS_KNOWN];
    uint32_t by_user[USER_BUCKETS];
    struct oracle_item items[ITEMS_MAX];
    struct oracle_denied denied[DENIED_KNOWN];
    uint32_t waiting[TOKENS_MAX], waiting_len; /* tokens */
    uint64_t statuses[FG_PACKET_STATUS_COUNT], balances, restarts;
};

void oracle_start(struct oracle *o, const struct world *w);
void oracle_restarted(struct oracle *o, struct world *w);
void oracle_written(struct oracle *o,
                    struct world *w); /* the log has grown, or more of it is durable */
/* cause: the request or command that the engine was given; NULL: it had a loop */
void oracle_pushed(struct oracle *o, struct world *w, unsigned worker, struct token *cause);
void oracle_applied(struct oracle *o, unsigned worker, const struct fg_stock_command *settings);
void oracle_balance(struct oracle *o, struct world *w); /* after each step */
void oracle_polled(struct oracle *o, struct world *w, unsigned worker);
void oracle_delivered(struct oracle *o, struct world *w);
void oracle_settled(struct oracle *o, struct world *w); /* nothing waits any more */

/* A request was given to an engine. */
void oracle_asked(struct oracle *o, struct world *w, uint32_t token, enum fg_stock_result result,
                  const struct fg_stock_answer *a);
/* An answer left the appliance. */
void oracle_answered(struct oracle *o, struct world *w, uint32_t token,
                     const struct fg_stock_answer *a);

bool oracle_is_too_late(struct oracle *o, const struct world *w, const struct fg_stock_command *c);
void oracle_command_given(struct oracle *o, struct world *w, uint32_t token);
void oracle_command_answered(struct oracle *o, struct world *w, uint32_t token,
                             const struct fg_stock_answer *a);

/* ---- shared by oracle*.c */
struct oracle_item *oracle_item(struct oracle *o, uint64_t id); /* NULL when it cannot exist */
struct oracle_order *oracle_order(struct oracle *o, uint64_t user, const uint8_t id[16]);
struct oracle_order *oracle_new_order(struct oracle *o, uint64_t user, const uint8_t id[16]);
struct oracle_denied *oracle_denied(struct oracle *o, uint64_t user); /* NULL when never denied */
/* Units of live orders by what was decided; waiting: also of requests that wait. */
uint64_t oracle_user_units(struct oracle *o, uint64_t user, uint64_t item, bool waiting);
/* Orders of a user and item that ended unsold. */
uint32_t oracle_unsold(struct oracle *o, uint64_t user, uint64_t item);
/* Whether another order of the user has a place in the line of the item; joining: or may be about
 * to have one. */
bool oracle_in_line(struct oracle *o, const struct fg_stock_request *r, bool joining);
/* Orders of a user, of one item or (0) of all; those whose late payment waits are counted apart. */
uint32_t oracle_orders(struct oracle *o, uint64_t user, uint64_t item);
uint32_t oracle_paying(struct oracle *o, uint64_t user, uint64_t item);
/* The draw: those of `orders` that wait get tickets behind `first`. written: by the log. */
void oracle_draw(struct oracle *o, const struct fg_journal_record *r, bool written);
void oracle_heard(const struct world *w, struct oracle_order *order, const struct settings *s,
                  uint32_t told_ms);
void oracle_waits(struct oracle *o, struct world *w, uint32_t token);
void oracle_waits_no_more(struct oracle *o, struct world *w, uint32_t token);
/* Whether a request waits for units; others that wait have an answer, which waits for the disk. */
bool oracle_waits_for_units(struct oracle *o, const struct world *w);
void oracle_moved(struct oracle_units *u, const struct fg_journal_record *r);
bool oracle_same_order(const struct fg_stock_request *a, uint64_t user, const uint8_t id[16]);

#endif
