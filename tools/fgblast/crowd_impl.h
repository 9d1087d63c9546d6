/* SPDX-License-Identifier: BSD-3-Clause */
/* crowd_impl: what crowd.c (what is sent) and crowd_reply.c (answers) share; private to them. */
#ifndef FG_BLAST_CROWD_IMPL_H
#define FG_BLAST_CROWD_IMPL_H

#include <string.h>

#include "frame/frame.h"
#include "tools/fgblast/crowd.h"
#include "tools/fgblast/pick.h"

#define MS   1000000ull
#define NONE UINT32_MAX
#define LANES                                                                                      \
    4u /* payments take their time: half to one and a half of the delay, in so many steps */
#define SOURCES_MAX 4096u
#define PORT_BASE   20000u
#define PORTS       40000u
#define CLOSING     0xf0000000u /* orders from here on are those of the end: their item is chosen */
#define SETTLE_NS   (1000 * MS) /* after the last deadline, units are back on sale */
#define LATE_MS     300u        /* a late payment comes so long after the deadline */
#define SAMPLED     16u         /* every such order's time is measured */
#define TIMEOUT_MAX (5000 * MS)
#define SCAN_NS     (50 * MS) /* between looks for requests that were not answered */
#define PLACE_BITS  16u /* of a cookie; the rest tells this use of the place from those before */
#define COPIES_MAX  2u

/* A request under way. */
struct slot {
    uint64_t sent_ns;
    uint64_t user;
    uint32_t order;
    uint32_t place;  /* of the order among the accepted; NONE: not accepted yet */
    uint32_t cookie; /* low PLACE_BITS: number of this slot */
    uint16_t item;   /* index */
    uint16_t quantity;
    uint8_t op;   /* 0: free */
    uint8_t open; /* copies whose answer is awaited; 0: waits for its turn to be sent again */
    uint8_t tries;
    uint8_t told;       /* enum fg_packet_status of the copy that was answered */
    uint32_t waited_us; /* for answers to earlier sendings */
    uint32_t next;      /* in a queue, or of the free ones */
};

/* An accepted order, or one that nobody answered. */
struct accepted {
    uint32_t order;
    uint32_t told_ms; /* since the beginning */
    uint8_t told;     /* enum fg_packet_status; NONE: never answered */
    uint8_t pays;     /* at once: its shopper came when the sale ended */
    uint8_t open;     /* a request about it was never answered */
    uint8_t pad;
};

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

struct item {
    struct fg_item_story story;
    uint32_t closing; /* orders of the end that are under way */
    uint32_t rounds;  /* of them that were made */
    bool refused;     /* somebody was told that there is none left */
    bool closed;
};

/* What of an order is a hash of its number. */
struct person {
    uint64_t user;
    uint16_t item; /* index */
    uint16_t quantity;
    uint32_t chance; /* of its plan */
};

enum phase { SELLING, DRAINING, CLOSING_DOWN, OVER };

struct fg_crowd {
    const struct fg_blast_options *options;
    const struct fg_packet_key *shop, *backend;
    struct fg_frames *frames;
    uint64_t nonce, seed;
    uint64_t begun_ns, now_ns, drain_ns, scan_ns;
    uint64_t back_ns; /* until then, units may come back by themselves */
    uint32_t hold_ms; /* longest that was told */
    enum phase phase;
    uint64_t bar_duplicates, bar_confirm, bar_cancel, bar_late, random;

    struct slot *slots;
    uint32_t slots_count, slots_used, window;
    struct queue idle, again, busy; /* free; to be sent now; to be sent after a pause */

    struct accepted *accepted;
    uint32_t accepted_count, accepted_max;
    struct lane lanes[LANES + 1]; /* the last one: late payments */
    unsigned lanes_count;

    struct item *items;
    uint32_t items_count, closing_next, closing_left;
    struct fg_alias *popularity, *quantity;
    uint32_t orders; /* made so far, without those of the end */

    struct template *templates;
    uint32_t templates_mask;

    uint32_t picked[FG_CROWD_BURST];
    uint16_t bytes[FG_CROWD_BURST];
    unsigned picked_count;

    struct fg_world_stats stats;
    char examples[FG_WRONG_EXAMPLES][256];
    unsigned examples_count;
};

struct person fg_crowd_person(const struct fg_crowd *c, uint32_t order);
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

static inline void fg_crowd_order_id(const struct fg_crowd *c, uint32_t order, uint8_t id[16])
{
    const uint64_t halves[2] = {c->nonce, order};

    memcpy(id, halves, sizeof(halves));
}

static inline uint32_t fg_crowd_ms(const struct fg_crowd *c, uint64_t now_ns)
{
    return (uint32_t)((now_ns - c->begun_ns) / MS);
}

#endif
