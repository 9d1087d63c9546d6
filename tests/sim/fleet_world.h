/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fleet in one thread: two to four members with the real lib/fleet, and around them what is made
 * up: time in ms, logs that lose what was not committed, banks without workers, shoppers, and an
 * etcd that carries out swaps late or never, keeps answers back, and is away for one or all.
 */
#ifndef FG_SIM_FLEET_WORLD_H
#define FG_SIM_FLEET_WORLD_H

#include <string.h>

#include "driver.h"
#include "fleet/fleet.h"

enum {
    MEMBERS_MAX = 4,
    ITEMS = 3,
    RECORDS_MAX = 20000, /* of a member */
    QUEUE_MAX = 32,      /* requests that wait, of a member and item */
    CALLS_MAX = 256,
    EVENTS_MAX = 512,
    RECALLS_MAX = 256,
    CALL_TIMEOUT_MS = 200,
    USERS = 40,
    USER_LIMIT = 6, /* units of an item */
    SHARDS = 16
};

enum sim_type { SIM_STOCK = 1, SIM_LEASE, SIM_RETURN, SIM_TAKE, SIM_BACK };

struct sim_record {
    uint8_t type, item;
    uint8_t user;
    bool over;          /* TAKE: it was given back */
    int64_t units;      /* of STOCK, TAKE, BACK; cumulative of LEASE and RETURN */
    uint64_t number;    /* of LEASE, RETURN; BACK: place of the TAKE */
    uint64_t cancel_ms; /* TAKE: it is not paid; 0 = it is */
};

struct sim_request {
    uint32_t units;
    uint8_t user;
    uint64_t since_ms;
};

struct sim_bank {
    int64_t free;
    struct sim_request queue[QUEUE_MAX];
    unsigned queue_len;
    bool sold_out;
    /* what waits for the log */
    uint64_t lease_at, return_at; /* place + 1 of the record to be committed; 0 = none */
    int64_t lease_units, return_units;
};

struct sim_member {
    unsigned index;
    struct fg_fleet *fleet; /* NULL: no process */
    struct fg_fleet *ghost; /* of a leader that was deposed, and still runs */
    bool ghost_empty;       /* its banks were */
    int64_t ghost_register;
    uint64_t life, start_ms, paused_ms, away_ms, ghost_ms;
    bool lost, retired, stopped;
    struct sim_record log[RECORDS_MAX];
    uint64_t written, committed, sync_to, sync_ms, done;
    struct sim_bank bank[ITEMS];
    int64_t memory;
    int64_t read, watched; /* store of the last read; the watch told all up to there, 0 = none */
    uint64_t watch_ms, stall_ms; /* the next watch begins; until then this one tells nothing */
    /* for the oracle: units that came back so far, and at the first recall with a number */
    uint64_t freed[ITEMS], freed_at[ITEMS][RECALLS_MAX];
    bool recalled[ITEMS][RECALLS_MAX];
};

struct sim_value {
    char key[FG_FLEET_KEY_MAX];
    int64_t revision;
    char text[FG_FLEET_TEXT_MAX];
};

enum { SIM_MAP = MEMBERS_MAX, SIM_POOL = MEMBERS_MAX + 1, SIM_VALUES = SIM_POOL + ITEMS };

struct sim_call {
    bool used, applied, heard, lost, ghost;
    unsigned member;
    uint64_t life, ticket;
    uint64_t apply_ms, reply_ms, timeout_ms;
    bool swap;
    int64_t since, map_revision, register_revision;
    unsigned puts_len;
    struct fg_fleet_put puts[ITEMS];
    /* of the answer */
    enum fg_fleet_outcome outcome;
    int64_t store;
    unsigned values_len;
    struct sim_value values[SIM_VALUES];
};

struct sim_event {  /* a value that is told late */
    uint64_t at_ms; /* 0 = none */
    unsigned member;
    struct sim_value value;
};

struct sim_world {
    uint64_t seed, random, now_ms;
    uint64_t watch_random; /* of its own: the other faults are the same with and without a watch */
    bool calm, restores, retires, plenty, watches,
        deaf; /* deaf: a watch that stalls does for good */
    unsigned members;
    struct fg_fleet_map map;
    struct sim_member member[MEMBERS_MAX];
    int64_t store, copy_store;
    struct sim_value value[SIM_VALUES], copy[SIM_VALUES];
    bool was_restored;
    uint64_t down_ms, lost_ms;
    struct sim_call calls[CALLS_MAX];
    struct sim_event events[EVENTS_MAX];
    uint64_t burst_ms;
    uint64_t answered[4]; /* served, sold out, too few, busy */
    uint64_t swaps, lost_swaps, leases, crashes, takes, sold_outs;
    char failure[SIM_FAILURE_MAX];
};

uint64_t sim_random(struct sim_world *w, uint64_t below);
bool sim_chance(struct sim_world *w, unsigned in_million);
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim_world *w, const char *format, ...);

void sim_begin(struct sim_world *w, uint64_t seed);
void sim_end(struct sim_world *w);
void sim_tick(struct sim_world *w); /* one ms */
void sim_mend(struct sim_world *w); /* faults end */

/* fleet_member.c */
void sim_start(struct sim_world *w, struct sim_member *m);
void sim_crash(struct sim_world *w, struct sim_member *m);
void sim_take_over(struct sim_world *w, struct sim_member *m);
void sim_member_tick(struct sim_world *w, struct sim_member *m);
void sim_drain(struct sim_world *w, struct sim_member *m);
void sim_drain_ghost(struct sim_world *w, struct sim_member *m);
void sim_ask(struct sim_world *w, struct sim_member *m, unsigned item, uint32_t units,
             unsigned user);
int64_t sim_stock(const struct sim_member *m, unsigned item); /* written */
int64_t sim_taken(const struct sim_member *m, unsigned item); /* in orders */

/* fleet_etcd.c */
void sim_call(struct sim_world *w, struct sim_member *m, bool ghost,
              const struct fg_fleet_output *o);
void sim_etcd_tick(struct sim_world *w);
void sim_write(struct sim_world *w, unsigned value, const char *text);

/* fleet_oracle.c */
void sim_check_units(struct sim_world *w);
void sim_check_pool(struct sim_world *w, unsigned item, const char *before);
bool sim_all_sold(struct sim_world *w);
void sim_check_limits(struct sim_world *w);

#endif
