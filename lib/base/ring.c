/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/ring.h"

struct fg_ring *fg_ring_create(uint64_t capacity)
{
    struct fg_ring *r;

    FG_ASSERT(capacity >= 2 && capacity <= 1ull << 26);
    FG_ASSERT((capacity & (capacity - 1)) == 0);
    r = aligned_alloc(FG_CACHE_LINE, sizeof(*r));
    if (!r)
        return NULL;
    memset(r, 0, sizeof(*r));
    r->slots = aligned_alloc(FG_CACHE_LINE, capacity * FG_RING_SLOT);
    if (!r->slots) {
        free(r);
        return NULL;
    }
    memset(r->slots, 0, capacity * FG_RING_SLOT); /* touch the pages now, not on the hot path */
    r->mask = capacity - 1;
    return r;
}

void fg_ring_destroy(struct fg_ring *ring)
{
    if (!ring)
        return;
    free(ring->slots);
    free(ring);
}
