/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * shopper: logs in, orders, follows its order to the end or gives it back, and begins the next one.
 * One key from the first request to the answer that decides, as a page in a browser has it.
 */
#ifndef FG_HTTP_SHOPPER_H
#define FG_HTTP_SHOPPER_H

#include "conn.h"
#include "packet/packet.h"
#include "tools/fgblast/hist.h"

enum step {
    STEP_LOGIN,
    STEP_RESERVE,
    STEP_FOLLOW, /* asks by long poll until the order has ended */
    STEP_CANCEL,
    STEP_ENDED,
};

struct order {
    uint8_t id[16];
    uint64_t user, item;
    uint16_t quantity;
    uint8_t told; /* the last status that decided something */
    bool open;    /* a request without an answer may have been carried out after it */
};

struct shopper {
    struct conn conn;
    enum step step;
    uint32_t number;
    unsigned begun;   /* orders so far */
    unsigned tries;   /* of this step */
    uint64_t due_ms;  /* monotonic: the next request */
    uint64_t sent_us; /* when the request that is under way was sent */
    uint64_t user;    /* as the gateway computes it */
    char session[512];
    struct order *order; /* the present one */
};

struct world {
    const struct options *o;
    SSL_CTX *tls;
    int epoll;
    struct shopper *shoppers;
    struct order *orders; /* o->orders of each shopper */
    uint64_t random, began_ms, ended_ms;
    unsigned ended; /* shoppers */
    /* of the run */
    uint64_t requests, repeats, connections, unanswered, contradictions, given_up;
    uint64_t http[600]; /* answers by status */
    struct fg_hist
        latency; /* ns: answers to orders and cancellations; a long poll waits by intent */
};

void shopper_init(struct world *w, uint32_t number);

/** The time of its next request has come. */
void shopper_due(struct world *w, struct shopper *s);

/** Its descriptor is ready. */
void shopper_drive(struct world *w, struct shopper *s);

/** The run is over: what is under way has no answer. */
void shopper_give_up(struct world *w, struct shopper *s);

#endif
