/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/fresh.h"

#include <string.h>

static struct fg_packet_request *payload_of(struct fg_fresh *f)
{
    return (struct fg_packet_request *)(void *)(f->packet + f->frame.payload);
}

bool fg_fresh_start(struct fg_fresh *f, const struct fg_blast_options *o,
                    const struct fg_packet_keyring *ring, const uint8_t *packet, uint32_t bytes,
                    struct fg_error *err)
{
    uint16_t port = o->targets[0].port;
    struct fg_packet_request r;
    enum fg_packet_drop drop;

    f->every = o->fresh_every;
    if (!f->every)
        return true;
    f->key = fg_packet_keyring_find(ring, (uint16_t)o->shop_key);
    f->bytes = bytes;
    memcpy(f->packet, packet, bytes);
    if (!f->key || fg_frame_parse(f->packet, bytes, port, &f->frame, &drop) != FG_FRAME_ORDER)
        return fg_fail(err, "--fresh-every: the first packet of the flood must be a reservation");
    memcpy(&r, f->packet + f->frame.payload, sizeof(r));
    r.item = o->fresh_item;
    memcpy(f->packet + f->frame.payload, &r, sizeof(r));
    f->options = o;
    return true;
}

const uint8_t *fg_fresh_next(struct fg_fresh *f, uint64_t now_ns)
{
    uint32_t number = FG_FRESH_NUMBER | f->count;
    struct fg_packet_request r;

    memcpy(&r, payload_of(f), sizeof(r));
    r.user = fg_blast_user(f->options, f->options->flat + f->options->shoppers + f->count);
    r.cookie = number;
    memcpy(r.order_id + 8, &number, sizeof(number));
    fg_packet_request_seal(&r, f->key);
    memcpy(payload_of(f), &r, sizeof(r));
    fg_frame_finish(f->packet, &f->frame);
    f->sent_ns[f->count % FG_FRESH_SLOTS] = now_ns;
    f->count = (f->count + 1) % FG_FRESH_NUMBER;
    return f->packet;
}

void fg_fresh_unsent(struct fg_fresh *f, uint32_t number)
{
    f->sent_ns[number % FG_FRESH_SLOTS] = 0;
}

void fg_fresh_answer(struct fg_fresh *f, uint64_t now_ns, uint32_t number, unsigned status)
{
    uint64_t *sent_ns = &f->sent_ns[number % FG_FRESH_SLOTS];

    if (status != FG_PACKET_STATUS_RESERVED) {
        f->refused++;
        return;
    }
    f->accepted++;
    if (*sent_ns)
        fg_hist_add(&f->latency, now_ns - *sent_ns);
    *sent_ns = 0;
}
