/* SPDX-License-Identifier: BSD-3-Clause */
/* The fingerprint of a state: what can have an influence on what comes, and as little else as
 * possible. */
#include "arena.h"
#include "exhaustive.h"
#include "stock/engine.h"

static uint64_t hash_bytes(uint64_t h, const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t lane[4] = {h, h ^ 1, h ^ 2, h ^ 3}, word[4];

    for (; size >= sizeof(word); size -= sizeof(word), p += sizeof(word)) {
        memcpy(word, p, sizeof(word));
        for (unsigned i = 0; i < 4; i++)
            lane[i] = fg_mix64(lane[i], word[i]);
    }
    memset(word, 0, sizeof(word));
    memcpy(word, p, size);
    for (unsigned i = 0; i < 4; i++)
        h = fg_mix64(h ^ lane[i], word[i] + i);
    return h;
}

/* What was taken from a queue: nobody reads it again. */
static void forget_dead(struct fg_stock *s)
{
    for (uint64_t i = 0; i <= s->own.mask; i++)
        if (((i - s->own.head) & s->own.mask) >= s->own.tail - s->own.head)
            memset(&s->own.slots[i], 0, sizeof(*s->own.slots));
    for (uint64_t i = 0; i <= s->deferred.mask; i++)
        if (((i - s->deferred.head) & s->deferred.mask) >= s->deferred.tail - s->deferred.head)
            memset(&s->deferred.slots[i], 0, sizeof(*s->deferred.slots));
    for (uint64_t i = 0; i <= s->ready.mask; i++)
        if (((i - s->ready.head) & s->ready.mask) >= s->ready.tail - s->ready.head)
            memset(&s->ready.slots[i], 0, sizeof(*s->ready.slots));
}

static uint64_t hash_engines(struct world *w, uint64_t h)
{
    static uint8_t bytes[1 << 17];
    size_t size;
    uint8_t *small;

    for (unsigned i = 0; i < w->workers; i++)
        forget_dead(w->stock[i]);
    small = arena_small(&size);
    FG_ASSERT(size <= sizeof(bytes));
    memcpy(bytes, small, size);
    for (unsigned i = 0; i < w->workers; i++)
        memset(bytes + ((const uint8_t *)fg_stock_counters(w->stock[i]) - small), 0,
               sizeof(struct fg_stock_counters));
    h = hash_bytes(h, bytes, size);
    for (unsigned i = 0; i < arena_pages(); i++)
        h = hash_bytes(h, arena_page(i), 4096);
    return h;
}

static uint64_t hash_ring(uint64_t h, struct fg_ring *ring)
{
    const void *message;

    for (uint64_t i = 0; (message = fg_ring_peek(ring, i)) != NULL; i++)
        h = hash_bytes(h, message, FG_RING_SLOT);
    return fg_mix64(h, 7);
}

static uint64_t hash_rings(struct world *w, uint64_t h)
{
    for (unsigned i = 0; i < w->workers; i++) {
        h = hash_ring(h, w->journal[i]);
        h = fg_mix64(h ^ w->taken[i], atomic_load(&w->mark[i].durable) + w->mode[i] * 1000);
        for (unsigned j = 0; j < w->workers; j++)
            if (i != j)
                h = hash_ring(hash_ring(h, w->out[i][j]), w->in[i][j]);
    }
    return h;
}

static uint64_t hash_orders(const struct sim *s)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->o.orders_len; i++) {
        const struct oracle_order *o = &s->o.orders[i];
        uint64_t key = fg_mix64(o->user, o->order_id[0]);

        key = fg_mix64(key + o->late,
                       o->quantity | o->now << 16 | o->written << 20 | o->durable << 24);
        key = fg_mix64(key, o->ticket | (uint64_t)o->ahead << 32);
        key = fg_mix64(key, o->heard_ms);
        key = fg_mix64(key, o->heard_most_ms + o->joined_ms);
        sum += fg_mix64(key, o->told | o->waits << 4 | o->limit << 8);
    }
    return sum;
}

static uint64_t hash_tokens(const struct sim *s)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < TOKENS_MAX; i++) {
        const struct token *t = &s->w.tokens[i];
        bool takes = t->command == 1 + FG_STOCK_STOCK_REMOVE;
        uint32_t units = t->command ? (takes ? t->given.units : 0) : t->request.quantity;
        uint64_t free = t->min_free < units ? t->min_free : units; /* more free does not matter */

        if (t->used)
            sum += fg_mix64(
                fg_mix64(i, t->waits | t->refusable << 1 | t->told << 4 | t->expect << 8), free);
    }
    return sum;
}

static uint64_t hash_item(const struct sim *s, uint64_t h)
{
    const struct oracle_item *item = &s->o.items[0];

    h = hash_bytes(h, &item->now, sizeof(item->now));
    h = hash_bytes(h, &item->written, sizeof(item->written));
    for (unsigned k = 0; k < s->w.workers; k++) {
        unsigned home = fg_user_owner(item->item, s->w.workers);
        uint64_t due = item->stage[k] == 2 ? item->said[k] - s->w.delivered[home][k] : 0;

        h = fg_mix64(h ^ item->stage[k], due);
    }
    return h;
}

uint64_t state_hash(struct sim *s, uint32_t done)
{
    uint64_t h = fg_mix64(done, s->w.now_ms ^ s->w.disk);

    h = hash_rings(&s->w, hash_engines(&s->w, h));
    return fg_mix64(hash_item(s, h) ^ hash_orders(s), hash_tokens(s));
}
