/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * table: the memory of a ledger. Items and orders lie in dense arrays in the order of their first
 * record (chunked, so that growing never copies them); hash indices point into them. Private to
 * lib/ledger.
 */
#ifndef FG_LEDGER_TABLE_H
#define FG_LEDGER_TABLE_H

#include "ledger/ledger.h"

/** Open addressing with linear probing; nothing is ever removed. At most three quarters full. */
struct fg_ledger_index {
    struct fg_ledger_index_slot {
        uint32_t tag;    /* high half of the hash: spares most reads of the entry */
        uint32_t number; /* of the entry, from 1; 0: free */
    } * slots;
    uint64_t mask;
    uint64_t used;
};

/** Entries of one size in chunks of 2^bits. */
struct fg_ledger_dense {
    uint8_t **chunks;
    uint64_t count;
    uint64_t chunks_made, chunks_room;
    size_t size;
    unsigned bits;
};

struct fg_ledger {
    uint64_t seq;
    uint64_t seed; /* of the hashes: order ids are chosen by strangers */
    struct fg_ledger_dense items, orders;
    struct fg_ledger_index item_index, order_index;
    uint64_t *denied; /* users; few, so a plain array */
    uint32_t denied_count, denied_room;
    struct fg_journal_epochs epochs;
};

static inline void *fg_ledger_dense_at(const struct fg_ledger_dense *d, uint64_t i)
{
    return d->chunks[i >> d->bits] + (i & ((1ull << d->bits) - 1)) * d->size;
}

static inline uint64_t fg_ledger_item_hash(const struct fg_ledger *l, uint64_t item)
{
    return fg_mix64(item, l->seed);
}

static inline uint64_t fg_ledger_order_hash(const struct fg_ledger *l, uint64_t user,
                                            const uint8_t order_id[16])
{
    uint64_t half[2];

    __builtin_memcpy(half, order_id, sizeof(half));
    return fg_mix64(fg_mix64(half[0] ^ l->seed, half[1]) ^ user, ~l->seed);
}

static inline const struct fg_ledger_index_slot *
fg_ledger_index_home(const struct fg_ledger_index *x, uint64_t hash)
{
    return &x->slots[hash & x->mask];
}

/** NULL when there is none. */
struct fg_ledger_item *fg_ledger_table_item(const struct fg_ledger *l, uint64_t item);
struct fg_ledger_order *fg_ledger_table_order(const struct fg_ledger *l, uint64_t user,
                                              const uint8_t order_id[16]);

/** A new zeroed entry with its key; NULL when out of memory (nothing has changed then). */
struct fg_ledger_item *fg_ledger_table_add_item(struct fg_ledger *l, uint64_t item);
struct fg_ledger_order *fg_ledger_table_add_order(struct fg_ledger *l, uint64_t user,
                                                  const uint8_t order_id[16]);

/** Room in the index for that many orders in all. False when out of memory. */
bool fg_ledger_table_reserve_orders(struct fg_ledger *l, uint64_t orders);

/** Pages of their own for that many orders in all. False when out of memory. */
bool fg_ledger_table_touch_orders(struct fg_ledger *l, uint64_t orders);

/** Adds whole orders of a snapshot. False when one is there already, or when out of memory. */
bool fg_ledger_table_take_orders(struct fg_ledger *l, const struct fg_ledger_order *orders,
                                 size_t n);

bool fg_ledger_table_init(struct fg_ledger *l);
void fg_ledger_table_free(struct fg_ledger *l);

#endif
