/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pair in one thread: two nodes with the real lib/pair, and around them what is made up: time in
 * ms, a link that delays, stalls and breaks, disks that lose what was not synced, an arbiter that
 * carries out swaps late or never. The log is an array (pair_array.c), or the real one on a disk
 * that is made up (pair_log.c).
 */
#ifndef FG_SIM_PAIR_WORLD_H
#define FG_SIM_PAIR_WORLD_H

#include <string.h>

#include "driver.h"
#include "pair/pair.h"

enum {
    RECORDS_MAX = 60000, /* of a run */
    MESSAGES_MAX = 4096,
    CALLS_MAX = 256,
    SIM_ORDERS_MAX = 16384, /* of a run */
    CALL_TIMEOUT_MS = 200,
    LOG_ID = 77,
    TYPE_RECORD = 1,
    TYPE_BATCH,
    TYPE_EPOCH
};

struct sim_record {
    uint64_t epoch; /* that wrote it */
    uint64_t id;    /* no two records have the same */
    uint64_t type;
};

struct sim_disk {
    struct sim_record log[RECORDS_MAX + 1]; /* [0] is not used */
    uint64_t written, durable;
    /* what the newest durable batch says */
    uint64_t committed;
    bool solo;
    struct fg_pair_memory memory;
    uint64_t snapshot; /* last record that is in one */
    uint64_t first;    /* earlier ones were removed; 0 = 1. The array keeps them for the oracle */
    uint64_t matched;  /* so many are known to be those of the history */
    bool exists;       /* there is a log */
    struct sim_log *real; /* pair_log.c */
};

struct sim_node {
    unsigned index;
    struct fg_pair *pair; /* NULL: no process */
    struct fg_pair_view view;
    uint64_t life;
    uint64_t start_ms;  /* of the next process, when there is none */
    uint64_t paused_ms; /* until then it does nothing */
    uint32_t link;      /* as this node sees it; 0 = none */
    struct sim_disk disk;
    /* the journal */
    uint64_t sync_end_ms, sync_to; /* 0 = none under way */
    uint64_t sync_committed, sync_life;
    bool sync_solo;
    uint64_t lead_ms, lead_epoch; /* an EPOCH record is to be written then; 0 = none */
    bool seal;
    uint64_t cut_ms, cut_to;
    uint64_t fill_ms; /* a snapshot of the other node is here then; 0 = none comes */
    uint64_t led_ms;  /* when it won its epoch; 0 = does not lead */
    uint64_t told;    /* up to here this process has compared what it calls committed */
    uint64_t pipe_ms; /* until then its workers' records may still arrive */
};

struct sim_message {
    unsigned to;
    uint32_t link;
    uint64_t at_ms;
    uint8_t *bytes; /* NULL: the link was closed */
    size_t size;
};

struct sim_call {
    bool used, applied, heard; /* heard: the caller has an outcome, or is dead */
    bool lost;                 /* the answer will not come */
    unsigned node;
    uint64_t life, ticket;
    uint64_t apply_ms, reply_ms, timeout_ms; /* apply_ms: UINT64_MAX = never */
    bool swap, floor;
    int64_t revision;
    char text[FG_PAIR_TEXT_MAX];
    /* of the answer */
    enum fg_pair_outcome outcome;
    int64_t out_revision;
    char out_text[FG_PAIR_TEXT_MAX];
};

struct sim_value {
    int64_t revision;
    char text[FG_PAIR_TEXT_MAX];
};

struct sim_options {
    bool old_disks; /* a leader that is alone may lose its disk, or get an old one */
    bool restored;  /* the arbiter may be restored from a copy */
    bool retires;   /* old records are removed */
};

struct sim_world {
    uint64_t seed, random;
    uint64_t now_ms;
    bool calm; /* no faults any more */
    struct sim_options options;
    struct sim_node node[2];

    /* link */
    uint32_t links;
    uint64_t connect_ms;    /* the next attempt */
    uint64_t stalled_ms[2]; /* messages to this node stand still until then */
    struct sim_message messages[MESSAGES_MAX];
    unsigned messages_len;

    /* arbiter */
    int64_t store;
    struct sim_value value[2], copy[2]; /* register, floor */
    uint64_t away_ms[2], down_ms;       /* unreachable for a node; for both, without an answer */
    bool was_restored;
    struct sim_call calls[CALLS_MAX];

    uint64_t next_id;
    uint8_t orders[SIM_ORDERS_MAX]; /* enum fg_ledger_order_state, as their users were told */
    uint64_t orders_len;
    uint64_t burst_ms; /* requests come until then */
    bool disk_was_lost;
    uint64_t floor_lost; /* the floor when that happened: no log that lacks it may lead */

    /* the oracle */
    struct sim_record history[RECORDS_MAX + 1];
    uint64_t history_len;
    uint64_t acked, accepted, takeovers, ends, cuts, crashes, fills;
    char failure[SIM_FAILURE_MAX];
};

uint64_t sim_random(struct sim_world *w, uint64_t below);
bool sim_chance(struct sim_world *w, unsigned in_million);

void sim_begin(struct sim_world *w, uint64_t seed, const struct sim_options *options);
void sim_end(struct sim_world *w);
void sim_tick(struct sim_world *w); /* one ms */
void sim_mend(struct sim_world *w); /* faults end */
void sim_crash(struct sim_world *w, struct sim_node *n);

/* pair_link.c */
void sim_link_send(struct sim_world *w, struct sim_node *from, const struct fg_pair_output *o);
void sim_link_close(struct sim_world *w, struct sim_node *n, bool other_hears);
void sim_link_tick(struct sim_world *w);
void sim_link_end(struct sim_world *w);

/* pair_arbiter.c */
void sim_call(struct sim_world *w, struct sim_node *n, const struct fg_pair_output *o);
void sim_arbiter_tick(struct sim_world *w);

/* pair_world.c: after each input of a node */
void sim_drain(struct sim_world *w, struct sim_node *n);

/* The log of a node, as pair_array.c or pair_log.c has it. node.disk is what the oracle knows of
 * it. Each tells lib/pair how far it is, and drains then. */
void sim_log_folder(bool make); /* for all runs: made, and removed with what a crash left there */
void sim_log_begin(struct sim_world *w, struct sim_node *n); /* of a run */
void sim_log_end(struct sim_world *w, struct sim_node *n);
/* A process begins; *log is what it finds. False: it could not. */
bool sim_log_open(struct sim_world *w, struct sim_node *n, struct fg_pair_log *log);
void sim_log_stop(struct sim_world *w, struct sim_node *n, bool power); /* and ends; by power cut */
void sim_log_step(struct sim_world *w, struct sim_node *n);             /* the journal's thread */
void sim_log_order(struct sim_world *w, struct sim_node *n, const struct fg_pair_output *o);
void sim_log_record(struct sim_world *w, struct sim_node *n); /* a worker has one */
void sim_log_told(struct sim_world *w, struct sim_node *n);   /* the watermark, before outputs */
/* Of the records first.. to the peer. */
void sim_log_read(struct sim_world *w, struct sim_node *n, uint64_t first, uint32_t count,
                  uint8_t *bytes);
void sim_log_retire(struct sim_world *w, struct sim_node *n);
/* The disk is one of an earlier time, with records up to `keep`. */
void sim_log_lose(struct sim_world *w, struct sim_node *n, uint64_t keep);

/* pair_oracle.c */
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim_world *w, const char *format, ...);
void sim_check_commit(struct sim_world *w, struct sim_node *n); /* its watermark may have moved */
void sim_check_cut(struct sim_world *w, const struct sim_node *n, uint64_t keep);
void sim_check_lead(struct sim_world *w, struct sim_node *n); /* it has won */
void sim_check_register(struct sim_world *w);
uint64_t sim_floor(const struct sim_world *w);
void sim_check_logs(struct sim_world *w);
void sim_check_answers(struct sim_world *w);
void sim_check_messages(struct sim_world *w);
void sim_check_sync(struct sim_world *w);
bool sim_is_well(const struct sim_world *w); /* one leads, one follows, and orders are accepted */

#endif
