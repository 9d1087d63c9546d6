/* SPDX-License-Identifier: BSD-3-Clause */
/* noise: what comes besides the shoppers' requests: copies, old requests, forgeries, broken
 * packets, attacks.
 */
#include <string.h>

#include "tools/fgblast/world_impl.h"

#define LAG_NS     (2 * MS) /* a sender that fell behind catches up with so much at once */
#define ATTACK_MAX 16u      /* attack packets of each kind each call */

/* Is it time for the next packet? Counts it if so. No gap: always. */
bool fg_pace_due(struct pace *pace, uint64_t now_ns)
{
    if (pace->gap_ns == 0)
        return true;
    if (pace->next_ns > now_ns)
        return false;
    if (pace->next_ns + LAG_NS + pace->gap_ns < now_ns)
        pace->next_ns = now_ns - LAG_NS;
    pace->next_ns += pace->gap_ns;
    return true;
}

/* A packet that is not an order: its number says what it is. */
static void noise_request(struct fg_world *w, enum fg_kind kind, struct fg_packet_request *request)
{
    uint32_t item = fg_alias_pick(w->m.popularity, &w->m.random);

    *request = (struct fg_packet_request){
        .op = FG_PACKET_OP_RESERVE, .key_id = w->m.shop->id, .quantity = 1};
    fg_model_order_id(&w->m, (uint32_t)fg_random(&w->m.random), FG_ORDER_NOISE + kind,
                      request->order_id);
    request->user = fg_blast_user(w->m.options,
                                  fg_random_below(&w->m.random, (uint32_t)w->m.options->shoppers));
    request->item = w->m.items[item].item;
    request->cookie = (uint32_t)fg_random(&w->m.random);
}

static void forge(struct fg_world *w)
{
    struct fg_send *send = fg_world_queue(w, FG_KIND_FORGED);
    struct fg_packet_request request;

    noise_request(w, FG_KIND_FORGED, &request);
    fg_packet_request_seal(&request, w->m.shop);
    request.tag ^= fg_random(&w->m.random) | 1;
    memcpy(send->payload, &request, sizeof(request));
    fg_world_source(w, fg_random_below(&w->m.random, (uint32_t)w->m.options->shoppers), send);
}

static void break_request(struct fg_packet_request *request, enum fg_shape shape, uint64_t r,
                          const struct fg_packet_key *key)
{
    if (shape == FG_SHAPE_MAGIC)
        request->magic ^= (uint16_t)(r | 1);
    else if (shape == FG_SHAPE_VERSION)
        request->version ^= (uint8_t)(r | 1);
    else if (shape == FG_SHAPE_OPERATION)
        request->op = (uint8_t)(r & 1 ? 0 : 64 + (r >> 8) % 64);
    else if (shape == FG_SHAPE_RESERVED) /* one of the four bytes before the cookie */
        ((uint8_t *)request)[offsetof(struct fg_packet_request, cookie) - 1 - r % 4] =
            1 + (r >> 32) % 255;
    request->tag = fg_packet_siphash24_56(key->secret, request);
}

static void malform(struct fg_world *w)
{
    struct fg_send *send = fg_world_queue(w, FG_KIND_MALFORMED);
    struct fg_packet_request request;

    send->shape = (uint8_t)(1 + fg_random_below(&w->m.random, FG_SHAPE_COUNT - 1));
    noise_request(w, FG_KIND_MALFORMED, &request);
    fg_packet_request_seal(&request, w->m.shop);
    break_request(&request, send->shape, fg_random(&w->m.random), w->m.shop);
    memcpy(send->payload, &request, sizeof(request));
    fg_world_source(w, fg_random_below(&w->m.random, (uint32_t)w->m.options->shoppers), send);
}

static void again(struct fg_world *w, enum fg_kind kind, const struct fg_send *old, uint32_t order)
{
    struct fg_send *send = fg_world_queue(w, kind);
    struct fg_packet_request request;

    *send = *old;
    send->kind = (uint8_t)kind;
    memcpy(&request, old->payload, sizeof(request));
    fg_world_track(&w->orders[order], request.op, request.cookie);
    if (kind == FG_KIND_REPLAY && w->orders[order].copies < UINT8_MAX)
        w->orders[order]
            .copies++; /* the first copy may still be on its way: one answer does not settle it */
}

/* After each request of a shopper. */
void fg_noise_after(struct fg_world *w, const struct fg_send *send, uint32_t order)
{
    struct fg_send copy = *send;
    const struct history *old = &w->history[fg_random_below(
        &w->m.random, w->history_count < HISTORY ? w->history_count + 1 : HISTORY)];

    if (fg_happens(&w->m.random, w->m.bar_duplicates))
        again(w, FG_KIND_DUPLICATE, &copy, order);
    if (!w->drain_ns) { /* at the end, a replayed order could take units that no shopper pays for */
        if (old->order != NONE && fg_happens(&w->m.random, w->bar_replays))
            again(w, FG_KIND_REPLAY, &old->send, old->order);
        if (fg_happens(&w->m.random, w->bar_forged))
            forge(w);
        if (fg_happens(&w->m.random, w->bar_malformed))
            malform(w);
    }
    w->history[w->history_count++ % HISTORY] = (struct history){order, copy};
}

static void attack(struct fg_world *w, enum fg_kind kind, const struct fg_range *range)
{
    const struct fg_blast_options *o = w->m.options;
    struct fg_send *send = fg_world_queue(w, kind);
    struct fg_packet_request request;

    noise_request(w, kind, &request); /* a question that changes nothing, whoever answers it */
    request.op = FG_PACKET_OP_STOCK;
    request.user = 0;
    request.quantity = 0;
    fg_packet_request_seal(&request, w->m.shop);
    memcpy(send->payload, &request, sizeof(request));
    send->source = fg_address_add(&range->first, fg_random_below(&w->m.random, range->count));
    send->port = (uint16_t)(PORT_BASE + fg_random_below(&w->m.random, PORTS));
    for (send->target = 0; o->targets[send->target].server.family != range->first.family;)
        send->target++;
}

void fg_noise_attacks(struct fg_world *w)
{
    const struct fg_blast_options *o = w->m.options;

    for (unsigned i = 0;
         i < ATTACK_MAX && o->blocked.count && fg_pace_due(&w->blocked, w->m.now_ns); i++)
        attack(w, FG_KIND_BLOCKED, &o->blocked);
    for (unsigned i = 0;
         i < ATTACK_MAX && o->overrate.count && fg_pace_due(&w->overrate, w->m.now_ns); i++)
        attack(w, FG_KIND_OVERRATE, &o->overrate);
}
