/* SPDX-License-Identifier: BSD-3-Clause */
/* crowd: its memory, and the file of what it was told. */
#include "tools/fgblast/crowd_impl.h"

#include <string.h>

#include "tools/fgblast/client_file.h"

#define ACCEPTED_DEFAULT (1u << 24)

static void empty(struct queue *q)
{
    *q = (struct queue){NONE, NONE};
}

static bool make_slots(struct fg_crowd *c, struct fg_error *err)
{
    const struct fg_blast_options *o = c->m.options;

    c->window = o->window < FG_CROWD_WINDOW ? (uint32_t)o->window : FG_CROWD_WINDOW;
    c->slots_count = c->window;
    c->slots = calloc(c->slots_count, sizeof(*c->slots));
    c->accepted_max =
        (o->orders && o->orders < ACCEPTED_DEFAULT ? (uint32_t)o->orders : ACCEPTED_DEFAULT) +
        2 * c->window;
    c->accepted = calloc(c->accepted_max, sizeof(*c->accepted));
    c->items = calloc(c->m.items_count, sizeof(*c->items));
    if (!c->slots || !c->accepted || !c->items)
        return fg_fail(err, "out of memory for %u orders", c->accepted_max);
    empty(&c->idle);
    empty(&c->again);
    empty(&c->busy);
    for (uint32_t i = 0; i < c->slots_count; i++) {
        c->slots[i].asked.cookie = i;
        fg_crowd_queue(c, &c->idle, &c->slots[i]);
    }
    return true;
}

/* One frame for each source address; what differs from order to order is written over it. */
static bool make_templates(struct fg_crowd *c, struct fg_frames *frames, struct fg_error *err)
{
    const struct fg_blast_options *o = c->m.options;

    uint32_t count = o->targets_count;

    while (count * 2 <= o->sources * o->targets_count && count < SOURCES_MAX)
        count *= 2;
    c->templates_mask = count - 1; /* one or two targets: a power of two */
    c->templates = aligned_alloc(64, count * sizeof(*c->templates));
    if (!c->templates)
        return fg_fail(err, "out of memory for %u addresses", count);
    for (uint32_t i = 0; i < count; i++) {
        struct template *t = &c->templates[i];
        struct fg_send send = {.target = (uint8_t)(i % o->targets_count), .port = PORT_BASE};
        uint8_t frame[FG_BLAST_FRAME_MAX];
        enum fg_packet_drop drop;
        uint32_t bytes;

        send.source = fg_address_add(&o->targets[send.target].source, i / o->targets_count);
        bytes = fg_frame_write(frames, &send, frame);
        FG_ASSERT(fg_frame_parse(frame, bytes, o->targets[send.target].port, &t->frame, &drop) ==
                  FG_FRAME_ORDER);
        memcpy(t->head, frame, sizeof(t->head));
        fg_frame_turn(frame, &t->frame);
        memcpy(t->reply, frame, sizeof(t->reply));
        t->source = send.source;
    }
    return true;
}

static void make_lanes(struct fg_crowd *c)
{
    for (uint32_t i = 0; i < LANES; i++)
        c->lanes[i] = (struct lane){.next = i,
                                    .step = LANES,
                                    .delay_ms = (uint32_t)(c->m.options->confirm_delay_ms *
                                                           (LANES + 2 * i + 1) / (2 * LANES))};
    c->lanes[LANES] =
        (struct lane){.step = 1, .delay_ms = UINT32_MAX / 2}; /* until a hold is known */
    c->lanes_count = c->m.options->late > 0 ? LANES + 1 : LANES;
}

static bool make(struct fg_crowd *c, const struct fg_blast_options *o,
                 const struct fg_packet_keyring *ring, struct fg_frames *frames, uint64_t now_ns,
                 struct fg_error *err)
{
    if (!fg_model_start(&c->m, o, ring, now_ns, err))
        return false;
    make_lanes(c);
    return make_slots(c, err) && make_templates(c, frames, err);
}

struct fg_crowd *fg_crowd_create(const struct fg_blast_options *options,
                                 const struct fg_packet_keyring *ring, struct fg_frames *frames,
                                 uint64_t now_ns, struct fg_error *err)
{
    struct fg_crowd *c = calloc(1, sizeof(*c));

    if (!c) {
        fg_fail(err, "out of memory");
        return NULL;
    }
    c->frames = frames;
    if (make(c, options, ring, frames, now_ns, err))
        return c;
    fg_crowd_destroy(c);
    return NULL;
}

void fg_crowd_destroy(struct fg_crowd *c)
{
    if (!c)
        return;
    fg_model_stop(&c->m);
    free(c->items);
    free(c->slots);
    free(c->accepted);
    free(c->templates);
    free(c);
}

/* ---- the client file ------------------------------------------------------------------------- */

static bool write_orders(const void *crowd, FILE *out)
{
    const struct fg_crowd *c = crowd;
    bool good = true;

    for (uint32_t i = 0; good && i < c->accepted_count; i++) {
        const struct accepted *a = &c->accepted[i];
        struct fg_wish wish = fg_crowd_wish(c, a->order);
        struct fg_asked asked = {.order = a->order,
                                 .shopper = wish.shopper,
                                 .item = wish.item,
                                 .quantity = wish.quantity};

        good = fg_model_write_order(&c->m, &asked, a->told, a->told && a->open, out);
    }
    return good;
}

bool fg_crowd_audit(const struct fg_crowd *c, const char *path, struct fg_error *err)
{
    return fg_client_file(path, write_orders, c, err);
}
