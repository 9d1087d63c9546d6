/* SPDX-License-Identifier: BSD-3-Clause */
/** said: what an answer of the gateway says about an order (docs/gateway.md). Pure. */
#ifndef FG_HTTP_SAID_H
#define FG_HTTP_SAID_H

#include "packet/packet.h"

struct said {
    unsigned status;   /* enum fg_packet_status; NONE: nothing was decided, ask again */
    bool unknown;      /* the request may have been carried out, or may be yet */
    uint64_t retry_ms; /* 0: no hint */
};

/** http 0: there was no answer. */
struct said said_by(unsigned http, const char *body);

/** A state of an order; else a refusal. */
bool said_state(unsigned status);

#endif
