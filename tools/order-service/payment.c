/* SPDX-License-Identifier: BSD-3-Clause */
#include "payment.h"

#include <string.h>

#define TABLE_SIZE 65536

const char *const state_names[STATES] = {
#define X(name, text, open, meaning) text,
    STATE_LIST(X)
#undef X
};

static size_t slot_of(uint64_t user, const char *order)
{
    uint64_t h = user;

    for (unsigned i = 0; i < 32; i += 8) {
        uint64_t word;

        memcpy(&word, order + i, 8);
        h = fg_mix64(h, word);
    }
    return h % TABLE_SIZE;
}

void payments_init(struct payments *all)
{
    *all = (struct payments){.size = 1024};
    all->heap = malloc(all->size * sizeof(*all->heap));
    all->table = calloc(TABLE_SIZE, sizeof(*all->table));
    FG_ASSERT(all->heap && all->table);
}

void payments_clear(struct payments *all)
{
    for (size_t i = 0; i < all->count; i++)
        free(all->heap[i]);
    all->count = 0;
    memset(all->table, 0, TABLE_SIZE * sizeof(*all->table));
}

struct payment *payments_find(const struct payments *all, uint64_t user, const char *order)
{
    struct payment *p = all->table[slot_of(user, order)];

    while (p && (p->user != user || memcmp(p->order, order, 32) != 0))
        p = p->next;
    return p;
}

static void put(struct payments *all, size_t heap_at, struct payment *p)
{
    all->heap[heap_at] = p;
    p->heap_at = heap_at;
}

static void settle(struct payments *all, struct payment *p)
{
    size_t at = p->heap_at;

    for (size_t up = (at - 1) / 2; at && all->heap[up]->due_ms > p->due_ms; up = (at - 1) / 2) {
        put(all, at, all->heap[up]);
        at = up;
    }
    for (size_t down = 2 * at + 1; down < all->count; down = 2 * at + 1) {
        if (down + 1 < all->count && all->heap[down + 1]->due_ms < all->heap[down]->due_ms)
            down++;
        if (all->heap[down]->due_ms >= p->due_ms)
            break;
        put(all, at, all->heap[down]);
        at = down;
    }
    put(all, at, p);
}

struct payment *payments_add(struct payments *all, const struct payment *like)
{
    struct payment *p = malloc(sizeof(*p)), **chain = &all->table[slot_of(like->user, like->order)];

    if (all->count == all->size) {
        all->size *= 2;
        all->heap = realloc(all->heap, all->size * sizeof(*all->heap));
    }
    FG_ASSERT(p && all->heap);
    *p = *like;
    p->next = *chain;
    *chain = p;
    put(all, all->count++, p);
    settle(all, p);
    return p;
}

void payments_remove(struct payments *all, struct payment *p)
{
    struct payment **link = &all->table[slot_of(p->user, p->order)],
                   *last = all->heap[--all->count];

    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    if (last != p) {
        put(all, p->heap_at, last);
        settle(all, last);
    }
    free(p);
}

struct payment *payments_first(const struct payments *all)
{
    return all->count ? all->heap[0] : NULL;
}

void payments_due(struct payments *all, struct payment *p, uint64_t due_ms)
{
    p->due_ms = due_ms;
    settle(all, p);
}
