/* SPDX-License-Identifier: BSD-3-Clause */
/* crowd: its memory, and the file of what it was told. */
#include "tools/fgblast/crowd_impl.h"

#include <string.h>
#include <sys/random.h>

#include "tools/fgblast/client_file.h"

#define ACCEPTED_DEFAULT (1u << 24)

static void empty(struct queue *q)
{
    *q = (struct queue){NONE, NONE};
}

static bool make_items(struct fg_crowd *c, struct fg_error *err)
{
    const struct fg_blast_options *o = c->options;
    double *weights;

    if (o->items_count > UINT16_MAX || o->hot_item)
        return fg_fail(err, "--crowd takes at most %d items, and no --hot", UINT16_MAX);
    weights = fg_zipf_weights(o->items_count, o->zipf);
    c->items = calloc(o->items_count, sizeof(*c->items));
    c->items_count = o->items_count;
    for (uint32_t i = 0; c->items && i < o->items_count; i++)
        c->items[i].story.item = o->items[i];
    c->popularity = weights ? fg_alias_create(weights, o->items_count) : NULL;
    c->quantity = fg_alias_create(o->weights, o->quantities_count);
    free(weights);
    return (c->items && c->popularity && c->quantity) || fg_fail(err, "out of memory");
}

static bool make_slots(struct fg_crowd *c, struct fg_error *err)
{
    const struct fg_blast_options *o = c->options;

    c->window = o->window < FG_CROWD_WINDOW ? (uint32_t)o->window : FG_CROWD_WINDOW;
    c->slots_count = c->window;
    c->slots = calloc(c->slots_count, sizeof(*c->slots));
    c->accepted_max =
        (o->orders && o->orders < ACCEPTED_DEFAULT ? (uint32_t)o->orders : ACCEPTED_DEFAULT) +
        2 * c->window;
    c->accepted = calloc(c->accepted_max, sizeof(*c->accepted));
    if (!c->slots || !c->accepted)
        return fg_fail(err, "out of memory for %u orders", c->accepted_max);
    empty(&c->idle);
    empty(&c->again);
    empty(&c->busy);
    for (uint32_t i = 0; i < c->slots_count; i++) {
        c->slots[i].cookie = i;
        fg_crowd_queue(c, &c->idle, &c->slots[i]);
    }
    return true;
}

/* One frame for each source address; what differs from order to order is written over it. */
static bool make_templates(struct fg_crowd *c, struct fg_frames *frames, struct fg_error *err)
{
    const struct fg_blast_options *o = c->options;

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
                                    .delay_ms = (uint32_t)(c->options->confirm_delay_ms *
                                                           (LANES + 2 * i + 1) / (2 * LANES))};
    c->lanes[LANES] =
        (struct lane){.step = 1, .delay_ms = UINT32_MAX / 2}; /* until a hold is known */
    c->lanes_count = c->options->late > 0 ? LANES + 1 : LANES;
}

static bool make(struct fg_crowd *c, const struct fg_packet_keyring *ring, struct fg_frames *frames,
                 struct fg_error *err)
{
    const struct fg_blast_options *o = c->options;

    c->nonce = o->nonce;
    if (!o->nonce_set && getrandom(&c->nonce, sizeof(c->nonce), 0) != sizeof(c->nonce))
        return fg_fail(err, "no random numbers from the kernel");
    c->random = o->seed;
    c->seed = fg_mix64(o->seed, c->nonce);
    c->bar_duplicates = fg_share_bar(o->duplicates);
    c->bar_confirm = fg_share_bar(o->confirm);
    c->bar_cancel = fg_share_bar(o->cancel);
    c->bar_late = fg_share_bar(o->late);
    make_lanes(c);
    return fg_world_key(ring, o->shop_key, FG_PACKET_ROLE_SHOP, "shop-key", &c->shop, err) &&
           fg_world_key(ring, o->backend_key, FG_PACKET_ROLE_BACKEND, "backend-key", &c->backend,
                        err) &&
           make_items(c, err) && make_slots(c, err) && make_templates(c, frames, err);
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
    c->options = options;
    c->frames = frames;
    c->begun_ns = c->now_ns = now_ns;
    if (make(c, ring, frames, err))
        return c;
    fg_crowd_destroy(c);
    return NULL;
}

void fg_crowd_destroy(struct fg_crowd *c)
{
    if (!c)
        return;
    free(c->items);
    free(c->popularity);
    free(c->quantity);
    free(c->slots);
    free(c->accepted);
    free(c->templates);
    free(c);
}

/* ---- the client file ------------------------------------------------------------------------- */

/* By hand: printf would take longer than the sale. Returns what is behind it. */
static char *put_hex(char *out, const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        *out++ = "0123456789abcdef"[bytes[i] >> 4];
        *out++ = "0123456789abcdef"[bytes[i] & 15];
    }
    return out;
}

static char *put_number(char *out, uint64_t number)
{
    char digits[20];
    unsigned n = 0;

    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    *out++ = ' ';
    while (n)
        *out++ = digits[--n];
    return out;
}

static bool write_order(const struct fg_crowd *c, const struct accepted *a, FILE *out)
{
    struct person p = fg_crowd_person(c, a->order);
    const char *told = a->told ? fg_packet_status_name(a->told) : "NONE";
    uint8_t id[16];
    char line[160], *at = line;

    fg_crowd_order_id(c, a->order, id);
    at = put_hex(at, id, sizeof(id));
    at = put_number(at, p.user);
    at = put_number(at, c->items[p.item].story.item);
    at = put_number(at, p.quantity);
    *at++ = ' ';
    at = stpcpy(at, told);
    if (a->told && a->open)
        *at++ = '+';
    *at++ = '\n';
    return fwrite(line, (size_t)(at - line), 1, out) == 1;
}

static bool write_orders(const void *crowd, FILE *out)
{
    const struct fg_crowd *c = crowd;
    bool good = true;

    for (uint32_t i = 0; good && i < c->accepted_count; i++)
        good = write_order(c, &c->accepted[i], out);
    return good;
}

bool fg_crowd_audit(const struct fg_crowd *c, const char *path, struct fg_error *err)
{
    return fg_client_file(path, write_orders, c, err);
}
