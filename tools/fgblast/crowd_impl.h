/* SPDX-License-Identifier: BSD-3-Clause */
/* crowd_impl: what crowd.c (what is sent) and crowd_reply.c (answers) share; private to them. */
#ifndef FG_BLAST_CROWD_IMPL_H
#define FG_BLAST_CROWD_IMPL_H

#include <string.h>

#include "frame/frame.h"
#include "tools/fgblast/crowd.h"
#include "tools/fgblast/model_impl.h"

#define LANES                                                                                      \
    4u /* payments take their time: half to one and a half of the delay, in this many steps */
#define SOURCES_MAX 4096u
#define CLOSING     0xf0000000u /* orders from here on are those of the end: their item is chosen */
#define SAMPLED     16u         /* every such order's time is measured */
#define SCAN_NS     (50 * MS)   /* between looks for requests that were not answered */
#define SLOT_BITS   16u /* of a cookie; the rest tells this use of the slot from those before */
#define COPIES_MAX  2u

/* A request under way. Its cookie's low SLOT_BITS are the number of the slot. */
struct slot {
    uint64_t sent_ns;
    struct fg_asked asked; /* op 0: the slot is free */
    uint32_t kept_at;      /* of the order among the accepted; NONE: not accepted yet */
    uint32_t waited_us;    /* for answers to earlier sendings */
    uint32_t next;         /* in a queue, or of the free ones */
    uint8_t open; /* copies whose answer is awaited; 0: waits for its turn to be sent again */
    uint8_t tries;
    uint8_t told; /* enum fg_packet_status of the copy that was answered */
};

/* An accepted order, or one that was never answered. */
struct accepted {
    uint32_t order;
    uint32_t told_ms; /* since the beginning */
    uint8_t told;     /* enum fg_packet_status; NONE: never answered */
    uint8_t pays;     /* at once: its shopper came when the sale ended */
    uint8_t open;     /* a request about it was never answered */
    uint8_t asked;    /* CONFIRM_SENT, CANCEL_SENT */
};

/* Flags of an accepted order: requests that were sent */
#define CONFIRM_SENT 1u
#define CANCEL_SENT  2u

/* Goes over the accepted orders and does what is planned when its time has come. */
struct lane {
    uint32_t next, step;
    uint32_t delay_ms;
};

/* All frames from one address begin so, and the server's replies to it. */
struct template
{
    _Alignas(FG_CACHE_LINE) uint8_t head[64], reply[64];
    struct fg_frame frame;
    struct fg_address source;
};

/* Slots in the order in which they are to be sent (again). */
struct queue {
    uint32_t head, tail; /* NONE: empty */
};

/* Beside the item of the model. */
struct item {
    uint32_t closing; /* orders of the end that are under way */
    uint32_t rounds;  /* of them that were made */
    bool refused;     /* a shopper was told that there is none left */
    bool closed;
};

enum phase { SELLING, DRAINING, CLOSING_DOWN, ENDED };

struct fg_crowd {
    struct fg_model m;
    struct fg_frames *frames;
    uint64_t drain_ns, scan_ns;
    uint64_t back_ns; /* until then, units may come back by themselves */
    uint32_t hold_ms; /* longest that was told */
    enum phase phase;

    struct slot *slots;
    uint32_t slots_count, slots_used, window;
    struct queue idle, again, busy; /* free; to be sent now; to be sent after a pause */

    struct accepted *accepted;
    uint32_t accepted_count, accepted_max;
    struct lane lanes[LANES + 1]; /* the last one: late payments */
    unsigned lanes_count;

    struct item *items;
    uint32_t closing_next, closing_left;
    uint32_t orders; /* made so far, without those of the end */

    struct template *templates;
    uint32_t templates_mask;

    uint32_t picked[FG_CROWD_BURST];
    uint16_t bytes[FG_CROWD_BURST];
    unsigned picked_count;
};

struct fg_wish fg_crowd_wish(const struct fg_crowd *c, uint32_t order);
void fg_crowd_free_slot(struct fg_crowd *c, struct slot *s);
void fg_crowd_queue(struct fg_crowd *c, struct queue *q, struct slot *s);
void fg_crowd_keep(struct fg_crowd *c, struct slot *s, unsigned told);

static inline const struct template *fg_crowd_template(const struct fg_crowd *c, uint32_t order)
{
    return &c->templates[order & c->templates_mask];
}

static inline uint16_t fg_crowd_port(uint32_t order)
{
    return (uint16_t)(PORT_BASE + order % PORTS);
}

static inline uint32_t fg_crowd_ms(const struct fg_crowd *c, uint64_t now_ns)
{
    return (uint32_t)((now_ns - c->m.begun_ns) / MS);
}

#endif
