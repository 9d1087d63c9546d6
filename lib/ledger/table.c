/* SPDX-License-Identifier: BSD-3-Clause */
#include "ledger/table.h"

#include <string.h>
#include <sys/mman.h>

#define INDEX_SLOTS_FIRST 1024
#define ITEM_CHUNK_BITS   8
#define ORDER_CHUNK_BITS  18 /* 14 MiB: whole huge pages, and few enough to list */
#define HUGE_PAGE         (2ull << 20)
#define TAKE_BLOCK        64 /* orders whose slots in the index are asked for at a time */

/* Random access to gigabytes costs more in page-table walks than in data: huge pages where there
 * are some. */
static void *big_alloc(size_t bytes)
{
    void *p;

    if (bytes < HUGE_PAGE)
        return malloc(bytes);
    bytes = (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    p = aligned_alloc(HUGE_PAGE, bytes);
    if (p)
        madvise(p, bytes, MADV_HUGEPAGE); /* a hint: refused or not, the memory is there */
    return p;
}

static bool dense_grow(struct fg_ledger_dense *d)
{
    if (d->chunks_made == d->chunks_room) {
        uint64_t room = d->chunks_room ? d->chunks_room * 2 : 64;
        uint8_t **more = realloc(d->chunks, room * sizeof(*more));

        if (!more)
            return false;
        d->chunks = more;
        d->chunks_room = room;
    }
    d->chunks[d->chunks_made] = big_alloc(d->size << d->bits);
    if (!d->chunks[d->chunks_made])
        return false;
    d->chunks_made++;
    return true;
}

static void *dense_add(struct fg_ledger_dense *d)
{
    void *entry;

    if (d->count >= UINT32_MAX - 1 || (d->count >> d->bits == d->chunks_made && !dense_grow(d)))
        return NULL;
    entry = fg_ledger_dense_at(d, d->count++);
    memset(entry, 0, d->size);
    return entry;
}

static void dense_free(struct fg_ledger_dense *d)
{
    for (uint64_t i = 0; i < d->chunks_made; i++)
        free(d->chunks[i]);
    free(d->chunks);
}

static void index_put(struct fg_ledger_index *x, uint64_t hash, uint32_t number)
{
    uint64_t i = hash & x->mask;

    while (x->slots[i].number)
        i = (i + 1) & x->mask;
    x->slots[i] = (struct fg_ledger_index_slot){.tag = (uint32_t)(hash >> 32), .number = number};
}

static bool index_make(struct fg_ledger_index *x, uint64_t slots)
{
    x->slots = big_alloc(slots * sizeof(*x->slots));
    if (!x->slots)
        return false;
    memset(x->slots, 0, slots * sizeof(*x->slots));
    x->mask = slots - 1;
    return true;
}

static uint64_t entry_hash(const struct fg_ledger *l, const struct fg_ledger_index *x, uint64_t i)
{
    const struct fg_ledger_order *o;

    if (x == &l->item_index)
        return fg_ledger_item_hash(
            l, ((const struct fg_ledger_item *)fg_ledger_dense_at(&l->items, i))->item);
    o = fg_ledger_dense_at(&l->orders, i);
    return fg_ledger_order_hash(l, o->user, o->order_id);
}

static bool index_grow(const struct fg_ledger *l, struct fg_ledger_index *x, uint64_t slots)
{
    struct fg_ledger_index bigger = {.used = x->used};

    if (!index_make(&bigger, slots))
        return false;
    for (uint64_t i = 0; i < x->used; i++) /* in the order of the entries: reads them as a stream */
        index_put(&bigger, entry_hash(l, x, i), (uint32_t)i + 1);
    free(x->slots);
    *x = bigger;
    return true;
}

/* Makes sure that one more entry leaves the index at most three quarters full. */
static bool index_room(const struct fg_ledger *l, struct fg_ledger_index *x)
{
    return (x->used + 1) * 4 <= (x->mask + 1) * 3 || index_grow(l, x, (x->mask + 1) * 2);
}

struct fg_ledger_item *fg_ledger_table_item(const struct fg_ledger *l, uint64_t item)
{
    const struct fg_ledger_index *x = &l->item_index;
    uint64_t hash = fg_ledger_item_hash(l, item);

    for (uint64_t i = hash & x->mask; x->slots[i].number; i = (i + 1) & x->mask) {
        struct fg_ledger_item *entry;

        if (x->slots[i].tag != (uint32_t)(hash >> 32))
            continue;
        entry = fg_ledger_dense_at(&l->items, x->slots[i].number - 1);
        if (entry->item == item)
            return entry;
    }
    return NULL;
}

struct fg_ledger_order *fg_ledger_table_order(const struct fg_ledger *l, uint64_t user,
                                              const uint8_t order_id[16])
{
    const struct fg_ledger_index *x = &l->order_index;
    uint64_t hash = fg_ledger_order_hash(l, user, order_id);

    for (uint64_t i = hash & x->mask; x->slots[i].number; i = (i + 1) & x->mask) {
        struct fg_ledger_order *entry;

        if (x->slots[i].tag != (uint32_t)(hash >> 32))
            continue;
        entry = fg_ledger_dense_at(&l->orders, x->slots[i].number - 1);
        if (entry->user == user && memcmp(entry->order_id, order_id, 16) == 0)
            return entry;
    }
    return NULL;
}

struct fg_ledger_item *fg_ledger_table_add_item(struct fg_ledger *l, uint64_t item)
{
    struct fg_ledger_item *entry;

    if (!index_room(l, &l->item_index) || !(entry = dense_add(&l->items)))
        return NULL;
    entry->item = item;
    entry->index = (uint32_t)(l->items.count - 1);
    index_put(&l->item_index, fg_ledger_item_hash(l, item), (uint32_t)l->items.count);
    l->item_index.used++;
    return entry;
}

struct fg_ledger_order *fg_ledger_table_add_order(struct fg_ledger *l, uint64_t user,
                                                  const uint8_t order_id[16])
{
    struct fg_ledger_order *entry;

    if (!index_room(l, &l->order_index) || !(entry = dense_add(&l->orders)))
        return NULL;
    entry->user = user;
    memcpy(entry->order_id, order_id, 16);
    index_put(&l->order_index, fg_ledger_order_hash(l, user, order_id), (uint32_t)l->orders.count);
    l->order_index.used++;
    return entry;
}

static uint64_t slots_for(uint64_t orders, uint64_t slots)
{
    while (orders * 4 > slots * 3)
        slots *= 2;
    return slots;
}

bool fg_ledger_table_reserve_orders(struct fg_ledger *l, uint64_t orders)
{
    uint64_t now = l->order_index.mask + 1, slots;

    if (orders >= UINT32_MAX - 1)
        return false;
    slots = slots_for(orders, now);
    return slots == now || index_grow(l, &l->order_index, slots);
}

/* Written to now: the first touch of a page is the kernel's, who clears it, and a virtual machine's
 * host's.
 */
bool fg_ledger_table_touch_orders(struct fg_ledger *l, uint64_t orders)
{
    struct fg_ledger_dense *d = &l->orders;
    uint64_t chunk = 1ull << d->bits;

    while (d->chunks_made * chunk < orders)
        if (!dense_grow(d))
            return false;
    for (uint64_t i = d->count; i < d->chunks_made * chunk; i = (i / chunk + 1) * chunk)
        memset(fg_ledger_dense_at(d, i), 0, (chunk - i % chunk) * d->size);
    return true;
}

uint64_t fg_ledger_memory(uint64_t orders)
{
    uint64_t chunk = 1ull << ORDER_CHUNK_BITS;

    return (orders + chunk - 1) / chunk * chunk * sizeof(struct fg_ledger_order) +
           slots_for(orders, INDEX_SLOTS_FIRST) * sizeof(struct fg_ledger_index_slot);
}

/* As index_put, for an order: false when there is one of the same name. */
static bool put_new_order(struct fg_ledger *l, uint64_t hash, uint32_t number)
{
    struct fg_ledger_index *x = &l->order_index;
    const struct fg_ledger_order *mine = fg_ledger_dense_at(&l->orders, number - 1);
    uint64_t i = hash & x->mask;

    for (; x->slots[i].number; i = (i + 1) & x->mask) {
        const struct fg_ledger_order *other;

        if (x->slots[i].tag != (uint32_t)(hash >> 32))
            continue;
        other = fg_ledger_dense_at(&l->orders, x->slots[i].number - 1);
        if (other->user == mine->user && memcmp(other->order_id, mine->order_id, 16) == 0)
            return false;
    }
    x->slots[i] = (struct fg_ledger_index_slot){.tag = (uint32_t)(hash >> 32), .number = number};
    x->used++;
    return true;
}

bool fg_ledger_table_take_orders(struct fg_ledger *l, const struct fg_ledger_order *orders,
                                 size_t n)
{
    uint64_t hash[TAKE_BLOCK];

    for (size_t done = 0; done < n;) {
        size_t m = n - done < TAKE_BLOCK ? n - done : TAKE_BLOCK;

        for (size_t i = 0; i < m; i++) {
            if (!index_room(l, &l->order_index))
                return false;
            hash[i] = fg_ledger_order_hash(l, orders[done + i].user, orders[done + i].order_id);
            __builtin_prefetch(&l->order_index.slots[hash[i] & l->order_index.mask], 1);
        }
        for (size_t i = 0; i < m; i++) {
            struct fg_ledger_order *entry = dense_add(&l->orders);

            if (!entry)
                return false;
            *entry = orders[done + i];
            if (!put_new_order(l, hash[i], (uint32_t)l->orders.count))
                return false;
        }
        done += m;
    }
    return true;
}

bool fg_ledger_table_init(struct fg_ledger *l)
{
    /* differs from process to process where addresses do; what the ledger answers never depends on
     * it */
    l->seed = fg_mix64((uintptr_t)l, (uintptr_t)&fg_ledger_table_init);
    l->items.bits = ITEM_CHUNK_BITS;
    l->orders.bits = ORDER_CHUNK_BITS;
    l->items.size = sizeof(struct fg_ledger_item);
    l->orders.size = sizeof(struct fg_ledger_order);
    return index_make(&l->item_index, INDEX_SLOTS_FIRST) &&
           index_make(&l->order_index, INDEX_SLOTS_FIRST);
}

void fg_ledger_table_free(struct fg_ledger *l)
{
    dense_free(&l->items);
    dense_free(&l->orders);
    free(l->item_index.slots);
    free(l->order_index.slots);
}
