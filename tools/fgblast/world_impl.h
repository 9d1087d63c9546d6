/* SPDX-License-Identifier: BSD-3-Clause */
/* world_impl: what world.c (sending), reply.c (answers) and noise.c share; private to
 * them. */
#ifndef FG_BLAST_WORLD_IMPL_H
#define FG_BLAST_WORLD_IMPL_H

#include "tools/fgblast/model_impl.h"
#include "tools/fgblast/wheel.h"
#include "tools/fgblast/world.h"

#define HISTORY    16384u /* requests sent last, which may be replayed */
#define QUEUE      256u /* packets made but not yet taken; each request brings at most four others */
#define HOLD_GUESS (10000 * MS) /* hold time of an item that has not accepted anything yet */

enum shopper_state {
    IDLE,      /* has nothing under way, and stands in the idle queue */
    ASKING,    /* RESERVE sent, or to be sent again */
    HOLDING,   /* has units, and pays or cancels later */
    PAYING,    /* CONFIRM sent */
    RETURNING, /* CANCEL sent */
    AWAY,      /* sold out; asks again later */
    STATES
};

struct shopper {
    uint32_t order;    /* the current or last one, NONE at first */
    uint8_t state;     /* enum shopper_state */
    uint8_t plan;      /* HOLDING: PAYING or RETURNING comes next */
    uint8_t tries;     /* times that the waiting request was sent again */
    uint8_t flying;    /* counts in world.waiting */
    uint32_t first;    /* cookie of the first sending of the waiting request */
    uint64_t asked_ns; /* time of it */
};

/* flags of an order */
#define CONFIRM_SENT  1u
#define CANCEL_SENT   2u
#define RESERVED_TOLD 4u /* counted as reserved */

struct order {
    uint32_t shopper, item; /* item: index */
    uint32_t cookie;        /* of the request sent last */
    uint32_t told_at;       /* first cookie that was sent after `told` became known */
    uint16_t quantity;
    uint8_t told; /* enum fg_packet_status: the last one that says something about the order */
    uint8_t flags;
    uint8_t open;   /* packets sent, not answered, that the server may have decided after `told` */
    uint8_t copies; /* of them, those with `cookie` */
};

struct item {
    uint32_t pending; /* shoppers who hold units, pay or return them */
    uint64_t back_ns; /* until then, units may come back */
    uint64_t hold_ns; /* longest hold seen */
};

struct history {
    uint32_t order; /* NONE: empty */
    struct fg_send send;
};

struct pace { /* packets/s */
    uint64_t next_ns, gap_ns;
};

struct fg_world {
    struct fg_model m;
    uint64_t drain_ns; /* 0: not draining */
    uint64_t cookies;  /* requests sent; the low half of it + 1 is the next cookie */
    uint32_t waiting, active;

    struct shopper *shoppers;
    struct order *orders;
    uint32_t orders_max, orders_count;
    struct item *items; /* beside those of the model */
    uint32_t *idle;     /* ring of shoppers */
    uint64_t idle_head, idle_tail;
    struct fg_wheel *timeouts, *plans;

    bool standby;                 /* where the leader of the pair is believed to be */
    uint64_t heard_ns, turned_ns; /* its last answer; when the belief last changed */

    struct history *history;
    uint32_t history_count; /* ever */
    struct fg_send *queue;
    unsigned queue_head, queue_tail; /* taken at head */
    uint64_t bar_replays, bar_forged, bar_malformed, bar_again;
    struct pace regular, blocked, overrate;
};

static inline uint32_t next_cookie(const struct fg_world *w)
{
    return (uint32_t)w->cookies + 1;
}

static inline struct fg_asked fg_world_asked(const struct fg_world *w, const struct order *o,
                                             unsigned op, uint32_t cookie)
{
    return (struct fg_asked){.order = (uint32_t)(o - w->orders),
                             .shopper = o->shopper,
                             .cookie = cookie,
                             .item = o->item,
                             .quantity = o->quantity,
                             .op = (uint8_t)op};
}

/* world.c */
void fg_world_turn(struct fg_world *w);
void fg_world_source(const struct fg_world *w, uint32_t shopper, struct fg_send *send);
struct fg_send *fg_world_queue(struct fg_world *w, enum fg_kind kind);
void fg_world_track(struct order *o, unsigned op, uint32_t cookie);
void fg_world_enter(struct fg_world *w, struct shopper *s, enum shopper_state state);
void fg_world_landed(struct fg_world *w, struct shopper *s);
void fg_world_finish(struct fg_world *w, struct shopper *s);

/* noise.c */
void fg_noise_after(struct fg_world *w, const struct fg_send *send, uint32_t order);
void fg_noise_attacks(struct fg_world *w);
bool fg_pace_due(struct pace *pace, uint64_t now_ns);

#endif
