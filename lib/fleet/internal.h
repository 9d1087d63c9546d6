/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to lib/fleet. */
#ifndef FG_FLEET_INTERNAL_H
#define FG_FLEET_INTERNAL_H

#include "fleet/fleet.h"

#define FG_FLEET_UNITS_AT_ONCE 2000000000u /* FG_JOURNAL_UNITS_MAX: no bank holds more */
#define FG_FLEET_BATCH_MIN     8

/* What an item has for the caller. */
#define FG_FLEET_OUT_LEASE  1u
#define FG_FLEET_OUT_RECALL 2u
#define FG_FLEET_OUT_REFUSE 4u
#define FG_FLEET_OUT_TELL   8u /* SOLD_OUT or OPEN */

struct fg_fleet_entry {
    uint64_t id; /* 0 = there is no such item */
    enum fg_fleet_state state;
    bool damaged;
    bool queued, listed; /* in the queue of work; in the list of outputs */
    bool share;          /* stock was added: all of it goes to the pool */
    bool told;           /* SOLD_OUT was told to the bank */
    uint32_t refuses;    /* a request of so many units is refused if the swap under way succeeds */
    unsigned out;
    enum fg_fleet_refusal refusal;
    uint64_t left; /* of that refusal */
    int64_t revision;
    struct fg_fleet_pool pool;
    struct fg_fleet_counters log;
    uint32_t least;
    uint64_t wanted, bank_free;
    uint64_t recalled;    /* the bank held nothing free when this was the next number; 0 = never */
    uint64_t recalling;   /* that number, of the recall that is under way */
    uint64_t changed_ms;  /* the pool changed then */
    uint64_t demanded_ms; /* this member's demand was in the pool then */
};

struct fg_fleet_ring { /* of items, each at most once */
    uint32_t *items;
    uint32_t size, first, len;
};

struct fg_fleet {
    unsigned member;
    uint32_t items_max;
    struct fg_fleet_map configured, map;
    struct fg_fleet_timing timing;
    char register_key[FG_FLEET_KEY_MAX];
    uint64_t random[2];
    uint64_t now_ms;

    enum fg_fleet_reason reason; /* NONE, or why it stopped for good */
    bool stopping, may_sell, read;
    bool checked;              /* etcd was read once before the register was claimed */
    int64_t register_revision; /* 0 = does not lead */
    bool register_moved;       /* etcd has a newer one than the caller says */
    int64_t map_revision;
    bool map_damaged;
    uint64_t log_seq; /* committed */

    /* the call that is under way */
    uint64_t ticket, tickets; /* 0 = none */
    bool call_is_read, call_is_due, receiving;
    int64_t call_high, call_since;         /* highest revision known when it was made */
    uint64_t contact_ms, poll_ms, swap_ms; /* last answer; next read; no swap before */
    bool away, doubt;
    unsigned lost_in_a_row, batch_max;
    int64_t since, high, remembered;
    int64_t watched, news; /* up to there a watch has told; newest change that a read brought */
    uint64_t remember_ms;
    struct fg_fleet_put *puts;
    uint32_t *put_items;
    unsigned puts_len;

    uint32_t silent;
    struct fg_fleet_entry *entries;
    uint32_t *by_id, by_id_mask; /* item + 1, by a hash of the id */
    struct fg_fleet_ring work, out;
    struct fg_fleet_view counted;
};

/* part.c */
uint32_t fg_fleet_pop(struct fg_fleet_ring *ring);
void fg_fleet_queue(struct fg_fleet *f, uint32_t item);
void fg_fleet_list(struct fg_fleet *f, uint32_t item, unsigned out);
void fg_fleet_stop(struct fg_fleet *f, enum fg_fleet_reason reason);
enum fg_fleet_reason fg_fleet_reason_now(const struct fg_fleet *f);
bool fg_fleet_is_sold_out(const struct fg_fleet *f, const struct fg_fleet_entry *it);
bool fg_fleet_is_live(const struct fg_fleet *f, unsigned member);

/* table.c: false when the event means nothing in this state. */
bool fg_fleet_step(struct fg_fleet_entry *it, enum fg_fleet_event event);

/* item.c */
void fg_fleet_adopt(struct fg_fleet *f, uint32_t item, int64_t revision,
                    const struct fg_fleet_pool *pool);
/* Does what is due with an item; true: it must be seen again at the next moment. */
bool fg_fleet_work(struct fg_fleet *f, uint32_t item);
bool fg_fleet_wants(const struct fg_fleet_entry *it);
/* Stops when a pool and the log contradict each other. */
void fg_fleet_compare(struct fg_fleet *f);
/* Why pool and log cannot both be true; NONE: by one lease and one return at most. */
enum fg_fleet_reason fg_fleet_difference(const struct fg_fleet_counters *pool,
                                         const struct fg_fleet_counters *log);

/* rules.c: what this member would change in the pool now, in *pool. False: nothing. */
bool fg_fleet_rules(const struct fg_fleet *f, const struct fg_fleet_entry *it,
                    struct fg_fleet_pool *pool, bool *insufficient);
/* More units than the bank has are needed, beside those that it has. */
uint64_t fg_fleet_missing(const struct fg_fleet_entry *it);
bool fg_fleet_in_step(const struct fg_fleet *f, const struct fg_fleet_entry *it);

/* call.c */
void fg_fleet_call(struct fg_fleet *f); /* begins what is due */
void fg_fleet_call_ended(struct fg_fleet *f, enum fg_fleet_outcome outcome, int64_t store);
void fg_fleet_map_value(struct fg_fleet *f, int64_t revision, const char *text);
uint64_t fg_fleet_call_due_ms(const struct fg_fleet *f);
bool fg_fleet_is_watched(const struct fg_fleet *f);

#endif
