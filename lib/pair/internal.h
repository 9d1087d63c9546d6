/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of a node. Private to lib/pair. */
#ifndef FG_PAIR_INTERNAL_H
#define FG_PAIR_INTERNAL_H

#include "pair/pair.h"

#define FG_PAIR_OUTPUTS_MAX 64
#define FG_PAIR_EVENTS_MAX  8
#define FG_PAIR_WINDOW      65536 /* records under way to the standby */
#define FG_PAIR_PUMP_MAX    16    /* messages of records for each input */
#define FG_PAIR_PENALTY_MAX 6

enum fg_pair_call_kind {
    FG_PAIR_CALL_NONE,
    FG_PAIR_CALL_REGISTER, /* reads it */
    FG_PAIR_CALL_FLOOR,    /* reads it */
    FG_PAIR_CALL_SWAP,     /* of the register */
    FG_PAIR_CALL_ADVANCE   /* swap of the floor */
};

enum { FG_PAIR_LANE_REGISTER, FG_PAIR_LANE_FLOOR };

struct fg_pair_call {
    enum fg_pair_call_kind kind;
    uint64_t ticket, started_ms;
    enum fg_pair_state state;         /* that asked */
    int64_t revision;                 /* guard of a swap */
    uint64_t number;                  /* as a sign of leading, see `number` below */
    struct fg_pair_register proposal; /* SWAP */
    char text[FG_PAIR_TEXT_MAX];
};

struct fg_pair_peer {
    uint32_t link; /* 0 = none */
    bool hello;    /* it said who it is */
    uint64_t heard_ms;
    enum fg_pair_state state;
    enum fg_pair_reason reason;
    uint64_t epoch; /* that it leads; 0 = none */
    uint64_t log, first, last;
    struct fg_pair_epoch epochs[FG_PAIR_EPOCHS_MAX];
    size_t epochs_len;
};

/* What a HELLO says of us that the peer acts upon. */
struct fg_pair_said {
    uint64_t epoch;
    enum fg_pair_reason reason;
    bool refused;
};

struct fg_pair {
    unsigned node;
    struct fg_pair_timing timing;
    uint64_t now_ms, unix_ms, random[2];

    enum fg_pair_state state;
    enum fg_pair_reason reason;
    uint64_t epoch;       /* led or followed; 0 = none */
    uint64_t epoch_first; /* led: where it begins; 0 = the log does not know yet */
    uint64_t log, first, last, durable, committed;
    struct fg_pair_epoch epochs[FG_PAIR_EPOCHS_MAX];
    size_t epochs_len;

    struct fg_pair_peer peer;
    struct fg_pair_said said; /* by this link */

    /* arbiter */
    struct fg_pair_memory memory;
    struct fg_pair_call calls[FG_PAIR_CALLS];
    uint64_t ticket;
    struct fg_pair_register reg;
    int64_t revision; /* of reg, which is what a swap would be compared with; 0 = read it */
    struct fg_pair_floor floor; /* as read */
    uint64_t retry_ms;          /* the next call of the register's lane: not before */
    uint64_t floor_ms;          /* the next advance of the floor */
    bool unsure;                /* a swap of unknown outcome may still take place */
    bool doubt;                 /* the floor's swap failed: read the register */

    /* seeking */
    uint64_t seek_since_ms;
    uint64_t patient_until_ms; /* a peer without a link may yet come */
    bool forced, alone;

    /* following */
    uint64_t leader_committed;
    uint32_t cut_link; /* by which the cut was decided */
    bool cutting;      /* the log is at it */

    /* leading */
    bool shipping;
    uint64_t ship_next, ship_base;
    uint64_t peer_durable;          /* under this epoch */
    uint64_t mark;                  /* of the join */
    uint64_t sealed;                /* from here on the log does not say "solo"; 0 = not yet */
    uint64_t sample_seq, sample_ms; /* durable here since then, not yet acknowledged; 0 = none */
    uint64_t fit_since_ms, sync_since_ms;
    unsigned penalty;
    uint64_t hand_until_ms;
    bool handed; /* TAKE was sent */

    /* heartbeats, and signs of leading */
    uint64_t beat_ms; /* the next one */
    uint64_t number;  /* of the newest heartbeat or advance of the floor */
    uint64_t sign;    /* newest that was answered under this epoch */
    uint64_t valid_until_ms;
    int64_t skew_ms;
    uint64_t skew_trip_ms; /* of the sample: the shortest of a window */
    unsigned skew_samples;

    uint64_t drops, refused;

    unsigned events_len;
    enum fg_pair_event events[FG_PAIR_EVENTS_MAX];
    unsigned out_first, out_len;
    struct fg_pair_item {
        struct fg_pair_output output;
        struct fg_pair_message message; /* SEND */
    } out[FG_PAIR_OUTPUTS_MAX];
    uint8_t
        bytes[FG_PAIR_HEAD_MAX + FG_PAIR_EPOCHS_MAX * FG_PAIR_EPOCH_SIZE]; /* of the last SEND */
};

/* ---- emit.c: outputs and events -------------------------------------------------------------- */

void fg_pair_emit(struct fg_pair *p, const struct fg_pair_output *output);
void fg_pair_say(struct fg_pair *p, const struct fg_pair_message *message);
void fg_pair_raise(struct fg_pair *p, enum fg_pair_event event);
void fg_pair_refuse(struct fg_pair *p, enum fg_pair_reason reason); /* raises REFUSE */
void fg_pair_depose(struct fg_pair *p, enum fg_pair_reason reason); /* raises DEPOSED */
void fg_pair_hang_up(struct fg_pair *p);
void fg_pair_lost(struct fg_pair *p); /* the link is gone: raises LOST */
void fg_pair_violated(
    struct fg_pair *p); /* the peer broke the protocol: as if the link had broken */
void fg_pair_nonce(struct fg_pair *p, uint8_t nonce[FG_PAIR_NONCE_SIZE]);
bool fg_pair_leads(const struct fg_pair *p); /* by its state */
void fg_pair_add_epoch(struct fg_pair *p, uint64_t epoch, uint64_t first);

/* ---- arbiter.c: its calls -------------------------------------------------------------------- */

void fg_pair_pursue(struct fg_pair *p); /* begins the call that the state wants */
void fg_pair_call_ended(struct fg_pair *p, uint64_t ticket, enum fg_pair_outcome outcome,
                        int64_t revision, const char *text);

/* ---- follow.c -------------------------------------------------------------------------------- */

void fg_pair_decide(struct fg_pair *p); /* SEEKING, register and floor were read: what now? */
void fg_pair_follow_records(struct fg_pair *p, const struct fg_pair_message *m);
void fg_pair_follow_beat(struct fg_pair *p, const struct fg_pair_message *m);
void fg_pair_follow_take(struct fg_pair *p, const struct fg_pair_message *m);
void fg_pair_follow_acknowledge(struct fg_pair *p);
/* actions */
void fg_pair_seek(struct fg_pair *p);
void fg_pair_seek_again(struct fg_pair *p);
void fg_pair_seek_forced(struct fg_pair *p);
void fg_pair_claim(struct fg_pair *p);
void fg_pair_follow(struct fg_pair *p);
void fg_pair_catch_up(struct fg_pair *p);
void fg_pair_fill(struct fg_pair *p);
void fg_pair_end_filled(struct fg_pair *p);

/* ---- lead.c ---------------------------------------------------------------------------------- */

void fg_pair_lead_follow(struct fg_pair *p, const struct fg_pair_message *m);
void fg_pair_lead_ack(struct fg_pair *p, const struct fg_pair_message *m);
void fg_pair_lead_echo(struct fg_pair *p, const struct fg_pair_message *m);
void fg_pair_lead_sign(struct fg_pair *p, uint64_t number, uint64_t sent_ms);
void fg_pair_lead_watch(struct fg_pair *p); /* conditions that come with time and progress */
void fg_pair_commit(struct fg_pair *p);
/* actions */
void fg_pair_lead(struct fg_pair *p);
void fg_pair_unship(struct fg_pair *p);
void fg_pair_part(struct fg_pair *p);
void fg_pair_drop(struct fg_pair *p);
void fg_pair_add(struct fg_pair *p);
void fg_pair_synced(struct fg_pair *p);
void fg_pair_hand(struct fg_pair *p);
void fg_pair_hand_lost(struct fg_pair *p);
void fg_pair_end(struct fg_pair *p);
void fg_pair_end_disk(struct fg_pair *p);

/* ---- table.c --------------------------------------------------------------------------------- */

void fg_pair_step(struct fg_pair *p, enum fg_pair_event event);
/* The state that follows; the same state: nothing happens. *known: there is a row. */
enum fg_pair_state fg_pair_next_state(enum fg_pair_state state, enum fg_pair_event event,
                                      bool *known);

#endif
