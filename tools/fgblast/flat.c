/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/flat.h"

#include <string.h>

#define AHEAD     16 /* packets that are fetched before they are sent: there may be gigabytes */
#define LOST_NS   (500 * 1000000ull) /* no answer for so long: what is in flight is lost */
#define BEHIND_NS 100000ull          /* open: packets that are late by more are not sent at all */

/* Packets are those of a world without answers, whose window holds them all. */
static bool record(struct fg_flat *f, uint64_t now_ns, struct fg_error *err)
{
    struct fg_blast_options o = *f->options;
    struct fg_send sends[32];
    struct fg_world *world;

    o.rate = 0;
    o.window = o.orders = o.flat;
    if (o.shoppers < o.flat)
        o.shoppers = o.flat;
    o.packets = o.seconds = 0;
    world = fg_world_create(&o, f->ring, now_ns, err);
    if (!world)
        return false;
    while (f->count < o.flat) {
        uint64_t left = o.flat - f->count;
        unsigned n = fg_world_next(world, now_ns, sends, left < 32 ? (unsigned)left : 32);

        for (unsigned i = 0; i < n; i++, f->count++) {
            f->kinds[f->count] = sends[i].kind;
            f->bytes[f->count] = (uint16_t)fg_frame_write(
                f->frames, &sends[i], f->packets + f->count * (size_t)FG_FLAT_STRIDE);
        }
    }
    fg_world_destroy(world);
    return fg_fresh_start(&f->fresh, f->options, f->ring, f->packets, f->bytes[0], err);
}

bool fg_flat_create(struct fg_flat *f, const struct fg_blast_options *options,
                    const struct fg_packet_keyring *ring, struct fg_frames *frames, uint64_t now_ns,
                    struct fg_error *err)
{
    memset(f, 0, sizeof(*f));
    f->options = options;
    f->ring = ring;
    f->frames = frames;
    f->packets = calloc(options->flat, FG_FLAT_STRIDE);
    f->bytes = calloc(options->flat, sizeof(*f->bytes));
    f->kinds = calloc(options->flat, 1);
    f->sent_ns = calloc(options->flat / FG_FLAT_SAMPLED + 1, sizeof(*f->sent_ns));
    if (!f->packets || !f->bytes || !f->kinds || !f->sent_ns)
        return fg_fail(err, "out of memory for %llu packets", (unsigned long long)options->flat);
    return record(f, now_ns, err);
}

void fg_flat_destroy(struct fg_flat *f)
{
    free(f->packets);
    free(f->bytes);
    free(f->kinds);
    free(f->sent_ns);
}

/* A generator that stood still does not make up for it by a burst: that would measure itself. */
static unsigned open_room(struct fg_flat *f, uint64_t now_ns, unsigned max)
{
    uint64_t rate = f->options->rate, behind_max = rate * BEHIND_NS / 1000000000 + max;
    uint64_t due = (uint64_t)((double)(now_ns - f->begun_ns) * (double)rate / 1e9) - f->late;

    if (due <= f->packets_sent)
        return 0;
    if (due - f->packets_sent > behind_max) {
        f->late += due - f->packets_sent - behind_max;
        due = f->packets_sent + behind_max;
    }
    return due - f->packets_sent < max ? (unsigned)(due - f->packets_sent) : max;
}

unsigned fg_flat_room(struct fg_flat *f, uint64_t now_ns, unsigned max)
{
    uint64_t room;

    if (f->begun_ns == 0)
        f->begun_ns = f->last_ns = now_ns;
    if (f->options->open)
        return open_room(f, now_ns, max);
    if (f->in_flight && now_ns - f->last_ns > LOST_NS) {
        f->lost += f->in_flight;
        f->in_flight = 0;
        f->last_ns = now_ns;
    }
    room = f->options->window > f->in_flight ? f->options->window - f->in_flight : 0;
    if (f->options->rate) {
        uint64_t due = (uint64_t)((double)(now_ns - f->begun_ns) * (double)f->options->rate / 1e9);

        if (due <= f->packets_sent)
            return 0;
        room = due - f->packets_sent < room ? due - f->packets_sent : room;
    }
    return room < max ? (unsigned)room : max;
}

/* Open: when the next packet is due, which is not later than now: what it waited for us is a part
 * of its latency. */
static uint64_t send_ns(const struct fg_flat *f, uint64_t now_ns)
{
    if (!f->options->open)
        return now_ns;
    return f->begun_ns +
           (uint64_t)((double)(f->packets_sent + f->late + 1) * 1e9 / (double)f->options->rate);
}

const uint8_t *fg_flat_next(struct fg_flat *f, uint64_t now_ns, uint32_t *bytes)
{
    uint64_t sent_ns = send_ns(f, now_ns);
    uint32_t at = f->next;

    if (f->fresh.every && fg_fresh_due(&f->fresh)) {
        f->sent[FG_KIND_RESERVE]++;
        f->packets_sent++;
        f->in_flight++;
        *bytes = f->fresh.bytes;
        return fg_fresh_next(&f->fresh, sent_ns);
    }
    f->next = at + 1 == f->count ? 0 : at + 1;
    if (at + AHEAD < f->count) {
        const uint8_t *ahead = f->packets + (at + AHEAD) * (size_t)FG_FLAT_STRIDE;

        __builtin_prefetch(ahead);
        __builtin_prefetch(ahead + FG_CACHE_LINE);
    }
    f->sent[f->kinds[at]]++;
    f->packets_sent++;
    f->in_flight += f->kinds[at] < FG_KIND_FORGED; /* the others get no answer */
    if (f->kinds[at] == FG_KIND_RESERVE) {
        const uint8_t *packet = f->packets + at * (size_t)FG_FLAT_STRIDE;
        uint32_t number;

        memcpy(&number, packet + f->bytes[at] - FG_PACKET_SIZE + 16, 4);
        if (number % FG_FLAT_SAMPLED == 0)
            f->sent_ns[number / FG_FLAT_SAMPLED] = sent_ns;
    }
    *bytes = f->bytes[at];
    return f->packets + at * (size_t)FG_FLAT_STRIDE;
}

/* The tags of some, and of their frames everything else. */
static void check(struct fg_flat *f, const uint8_t *data, uint32_t len)
{
    struct fg_address to;
    uint16_t port, key_id;
    const uint8_t *payload = fg_frame_read(f->frames, data, len, &to, &port);
    const struct fg_packet_key *key = NULL;

    f->checked++;
    if (payload) {
        memcpy(&key_id, payload + offsetof(struct fg_packet_reply, key_id), sizeof(key_id));
        key = fg_packet_keyring_find(f->ring, key_id);
    }
    if (!key || !fg_packet_reply_check(payload, key))
        f->wrong_tags++;
}

void fg_flat_unsent(struct fg_flat *f, const uint8_t *data, uint32_t len)
{
    uint32_t number;

    memcpy(&number, data + len - FG_PACKET_SIZE + 16, 4);
    f->dropped++;
    f->in_flight -= f->in_flight > 0;
    if (number >= FG_FRESH_NUMBER)
        fg_fresh_unsent(&f->fresh, number);
    else if (number % FG_FLAT_SAMPLED == 0 && number < f->options->flat)
        f->sent_ns[number / FG_FLAT_SAMPLED] = 0;
}

static void note_latency(struct fg_flat *f, uint64_t now_ns, const uint8_t *payload,
                         unsigned status)
{
    uint32_t number;

    memcpy(&number, payload + 16, 4);
    if (fg_unlikely(number >= FG_FRESH_NUMBER) && f->fresh.every) {
        fg_fresh_answer(&f->fresh, now_ns, number, status);
        return;
    }
    if (number % FG_FLAT_SAMPLED || number >= f->options->flat ||
        !f->sent_ns[number / FG_FLAT_SAMPLED])
        return;
    fg_hist_add(&f->latency, now_ns - f->sent_ns[number / FG_FLAT_SAMPLED]);
    f->sent_ns[number / FG_FLAT_SAMPLED] = 0;
}

void fg_flat_frame(struct fg_flat *f, uint64_t now_ns, const uint8_t *data, uint32_t len)
{
    uint32_t at = len > 12 && data[12] == 0x86 ? 62 : 42;
    const uint8_t *payload = data + at;
    unsigned status = FG_PACKET_STATUS_NONE;

    if (len < at + FG_PACKET_SIZE || payload[0] != (FG_PACKET_MAGIC & 0xff) ||
        payload[1] != FG_PACKET_MAGIC >> 8) {
        f->other++;
        return;
    }
    if (!f->options->echo) {
        status = payload[offsetof(struct fg_packet_reply, status)];
        if (!(payload[offsetof(struct fg_packet_reply, op)] & FG_PACKET_REPLY) ||
            status >= FG_PACKET_STATUS_COUNT) {
            f->other++;
            return;
        }
        if (f->answers % f->options->sample == 0)
            check(f, data, len);
    }
    f->status[status]++;
    f->answers++;
    f->in_flight -= f->in_flight > 0;
    f->last_ns = now_ns;
    if (!f->first_ns)
        f->first_ns = now_ns;
    note_latency(f, now_ns, payload, status);
}

bool fg_flat_done(const struct fg_flat *f, uint64_t now_ns)
{
    const struct fg_blast_options *o = f->options;

    return (o->packets && f->packets_sent >= o->packets) ||
           (o->seconds && f->begun_ns && now_ns - f->begun_ns >= o->seconds * 1000000000ull);
}
