/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * books: payments and bookings in PostgreSQL. Each function is one transaction. False and err: the
 * connection or the server is not usable; whether the last transaction took place is not known, so
 * what is in memory must be read again.
 */
#ifndef ORDER_SERVICE_BOOKS_H
#define ORDER_SERVICE_BOOKS_H

#include "payment.h"
#include "postgres/rows.h"

struct books {
    PGconn *pg;
};

struct books_totals {
    uint64_t payments[STATES], units[STATES];
    uint64_t charges, refunds, charged_units, refunded_units;
    uint64_t
        charged_twice; /* orders with more than one charge, or more than one refund: must be 0 */
};

/** Connects, and makes the schema if it is not there. */
bool books_open(struct books *b, const char *conninfo, struct fg_error *err);
void books_close(struct books *b);

/** All that are under way, into `all`; when(arg, p) sets due_ms of each. */
bool books_load(struct books *b, struct payments *all, void (*when)(void *arg, struct payment *p),
                void *arg, struct fg_error *err);

/** New payments; fresh[i] tells which were not there before. */
bool books_take(struct books *b, const struct payment *list, size_t n, bool *fresh,
                struct fg_error *err);

/** Moves payments that are in state `from` to `to`, and books a "charge" or "refund" of each (NULL
 * = nothing). */
bool books_move(struct books *b, struct payment *const *list, size_t n, enum state from,
                enum state to, const char *booking, struct fg_error *err);

bool books_totals(struct books *b, struct books_totals *totals, struct fg_error *err);

#endif
