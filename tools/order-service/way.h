/* SPDX-License-Identifier: BSD-3-Clause */
/** way: confirmations and cancellations by order packets of role backend (docs/protocol.md),
 * through lib/client, which repeats, steers and changes servers. */
#ifndef ORDER_SERVICE_WAY_H
#define ORDER_SERVICE_WAY_H

#include "client/client.h"
#include "options.h"
#include "payment.h"

struct way {
    struct fg_client_link *link;
};

/** The key, and the servers' addresses. False and err. */
bool way_open(struct way *w, const struct options *o, struct fg_error *err);
void way_close(struct way *w);

/** Confirms what is charged, cancels what is not. One question of a payment at a time: p->asked is
 * set until it ends. False: too many are under way, ask later. */
bool way_ask(struct way *w, struct payment *p);

/** Forgets the question of a payment, if one is under way: before the payment is freed. */
void way_forget(struct way *w, struct payment *p);

/** The next payment whose question ended; false: none. */
bool way_next(struct way *w, struct payment **p, struct fg_client_done *done);

/** Waits until answers came, at most so long. */
void way_wait(struct way *w, unsigned wait_ms);

/** Packets that repeated an earlier one. */
uint64_t way_repeated(const struct way *w);

#endif
