/* SPDX-License-Identifier: BSD-3-Clause */
/* Small sales of which every interleaving is tried. Private to exhaustive*.c. */
#ifndef FG_SIM_EXHAUSTIVE_H
#define FG_SIM_EXHAUSTIVE_H

#include "play.h"

enum {
    EVENTS_MAX = 8,
    AGAIN = FG_PACKET_OP_WAIT + 1 /* as an event's operation: a repeated WAIT */
};

/* Happens once, at any time; SIM_LINE, the last one: there is a waiting list from the beginning,
 * units = its length, n = ttl / 4 ms; at 'L' = and a draw; 'H' = at the item's home, 'O' = at the
 * other worker. */
struct event {
    uint8_t kind;  /* enum sim_kind */
    uint8_t n;     /* as in struct sim_step; REQUEST: enum fg_packet_op */
    uint8_t after; /* 1 + the event that must have happened before; 0 = none */
    char at;
    uint8_t user, units;
};

struct scenario {
    const char *name;
    uint32_t units, user_limit, ring_capacity, parked_max, unsold_max;
    struct event events[EVENTS_MAX + 1];
};

extern const struct scenario scenarios[];
extern const unsigned scenarios_len;

uint64_t state_hash(struct sim *s, uint32_t done);

#endif
