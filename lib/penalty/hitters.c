/* SPDX-License-Identifier: BSD-3-Clause */
/* A binary heap, smallest count first, over fixed counters; a chained hash table finds a source's
 * counter. */
#include "penalty/hitters.h"

#include <string.h>

#define NONE         UINT32_MAX
#define COUNTERS_MAX (1u << 20)

struct slot {
    struct fg_penalty_hitter hitter;
    uint32_t heap; /* where it is in the heap */
    uint32_t next; /* of its hash chain */
};

struct fg_hitters {
    uint32_t room, used, mask;
    uint64_t seed;
    double total;
    struct slot *slots;
    uint32_t *heap;   /* slots */
    uint32_t *chains; /* first place of each */
};

static bool same(const struct fg_filter_prefix *a, const struct fg_filter_prefix *b)
{
    return a->family == b->family && a->length == b->length &&
           memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

static uint32_t chain_of(const struct fg_hitters *h, const struct fg_filter_prefix *source)
{
    uint64_t words[2];

    memcpy(words, source->addr, sizeof(words));
    return (uint32_t)fg_mix64(fg_mix64(words[0] ^ h->seed, words[1]), source->length) & h->mask;
}

static uint32_t find(const struct fg_hitters *h, const struct fg_filter_prefix *source)
{
    uint32_t at = h->chains[chain_of(h, source)];

    while (at != NONE && !same(&h->slots[at].hitter.source, source))
        at = h->slots[at].next;
    return at;
}

static void chain_in(struct fg_hitters *h, uint32_t slot)
{
    uint32_t *first = &h->chains[chain_of(h, &h->slots[slot].hitter.source)];

    h->slots[slot].next = *first;
    *first = slot;
}

static void chain_out(struct fg_hitters *h, uint32_t slot)
{
    uint32_t *at = &h->chains[chain_of(h, &h->slots[slot].hitter.source)];

    while (*at != slot)
        at = &h->slots[*at].next;
    *at = h->slots[slot].next;
}

static double count_at(const struct fg_hitters *h, uint32_t at)
{
    return h->slots[h->heap[at]].hitter.count;
}

static void heap_put(struct fg_hitters *h, uint32_t at, uint32_t slot)
{
    h->heap[at] = slot;
    h->slots[slot].heap = at;
}

static void heap_swap(struct fg_hitters *h, uint32_t a, uint32_t b)
{
    uint32_t slot = h->heap[a];

    heap_put(h, a, h->heap[b]);
    heap_put(h, b, slot);
}

static void heap_up(struct fg_hitters *h, uint32_t at)
{
    for (; at && count_at(h, at) < count_at(h, (at - 1) / 2); at = (at - 1) / 2)
        heap_swap(h, at, (at - 1) / 2);
}

static void heap_down(struct fg_hitters *h, uint32_t at)
{
    for (;;) {
        uint32_t least = at, child = 2 * at + 1;

        if (child < h->used && count_at(h, child) < count_at(h, least))
            least = child;
        if (child + 1 < h->used && count_at(h, child + 1) < count_at(h, least))
            least = child + 1;
        if (least == at)
            return;
        heap_swap(h, at, least);
        at = least;
    }
}

/* A counter for a source that has none: a free one, or that of who has the least, whose count is
 * the error.
 */
static uint32_t take_in(struct fg_hitters *h, const struct fg_filter_prefix *source)
{
    bool fresh = h->used < h->room;
    uint32_t slot = fresh ? h->used : h->heap[0];
    struct fg_penalty_hitter *hitter = &h->slots[slot].hitter;
    double inherited = fresh ? 0 : hitter->count;

    if (!fresh)
        chain_out(h, slot);
    *hitter = (struct fg_penalty_hitter){.source = *source, .count = inherited, .error = inherited};
    chain_in(h, slot);
    if (fresh) {
        heap_put(h, h->used, slot);
        heap_up(h, h->used++);
    }
    return slot;
}

const struct fg_penalty_hitter *fg_penalty_hitters_add(struct fg_hitters *h,
                                                       const struct fg_filter_prefix *source,
                                                       uint32_t events, bool proven,
                                                       uint64_t now_ms)
{
    uint32_t slot = find(h, source);
    struct fg_penalty_hitter *hitter;

    if (slot == NONE)
        slot = take_in(h, source);
    hitter = &h->slots[slot].hitter;
    hitter->count += events;
    hitter->proven += proven ? events : 0;
    hitter->last_ms = now_ms;
    h->total += events;
    heap_down(h, h->slots[slot].heap);
    return hitter;
}

const struct fg_penalty_hitter *fg_penalty_hitters_find(const struct fg_hitters *h,
                                                        const struct fg_filter_prefix *source)
{
    uint32_t slot = find(h, source);

    return slot == NONE ? NULL : &h->slots[slot].hitter;
}

static int larger_first(const void *a, const void *b)
{
    const struct fg_penalty_hitter *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return memcmp(x->source.addr, y->source.addr, sizeof(x->source.addr));
}

unsigned fg_penalty_hitters_top(const struct fg_hitters *h, struct fg_penalty_hitter *top,
                                unsigned max)
{
    struct fg_penalty_hitter *all = malloc((h->used + 1ul) * sizeof(*all));
    unsigned n = h->used < max ? h->used : max;

    if (!all)
        return 0;
    for (uint32_t i = 0; i < h->used; i++)
        all[i] = h->slots[i].hitter;
    qsort(all, h->used, sizeof(*all), larger_first);
    memcpy(top, all, n * sizeof(*top));
    free(all);
    return n;
}

double fg_penalty_hitters_total(const struct fg_hitters *h)
{
    return h->total;
}

unsigned fg_penalty_hitters_counters(const struct fg_hitters *h)
{
    return h->room;
}

void fg_penalty_hitters_halve(struct fg_hitters *h)
{
    h->total /= 2;
    for (uint32_t i = 0; i < h->used; i++) {
        struct fg_penalty_hitter *hitter = &h->slots[i].hitter;

        hitter->count /= 2;
        hitter->error /= 2;
        hitter->proven /= 2;
    }
}

void fg_penalty_hitters_clear(struct fg_hitters *h)
{
    h->used = 0;
    h->total = 0;
    memset(h->chains, 0xff, (h->mask + 1ul) * sizeof(*h->chains));
}

struct fg_hitters *fg_penalty_hitters_create(unsigned counters, uint64_t seed)
{
    struct fg_hitters *h = calloc(1, sizeof(*h));
    uint32_t chains = 1;

    FG_ASSERT(counters >= 1 && counters <= COUNTERS_MAX);
    if (!h)
        return NULL;
    while (chains < 2 * counters)
        chains *= 2;
    h->room = counters;
    h->mask = chains - 1;
    h->seed = seed;
    h->slots = calloc(counters, sizeof(*h->slots));
    h->heap = calloc(counters, sizeof(*h->heap));
    h->chains = calloc(chains, sizeof(*h->chains));
    if (!h->slots || !h->heap || !h->chains) {
        fg_penalty_hitters_destroy(h);
        return NULL;
    }
    fg_penalty_hitters_clear(h);
    return h;
}

void fg_penalty_hitters_destroy(struct fg_hitters *h)
{
    if (!h)
        return;
    free(h->slots);
    free(h->heap);
    free(h->chains);
    free(h);
}
