/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * ring: bounded lock-free queue of 64-byte messages, one producer thread, one consumer thread
 * (Lamport's SPSC queue with cached indices, as in FastForward / rte_ring SP-SC). Never blocks,
 * never allocates after creation. The producer's and the consumer's sides lie on lines of their
 * own.
 */
#ifndef FG_BASE_RING_H
#define FG_BASE_RING_H

#include <stdatomic.h>
#include <string.h>

#include "base/base.h"

#define FG_RING_SLOT 64 /**< bytes of one message */

struct fg_ring {
    /* written by the producer */
    _Alignas(FG_CACHE_LINE) _Atomic uint64_t tail;
    uint64_t head_seen;
    /* written by the consumer */
    _Alignas(FG_CACHE_LINE) _Atomic uint64_t head;
    uint64_t tail_seen;
    /* read only after creation */
    _Alignas(FG_CACHE_LINE) uint64_t mask;
    uint8_t *slots;
};

/** capacity: messages, a power of two from 2 to 2^26. NULL when out of memory. Any thread. */
struct fg_ring *fg_ring_create(uint64_t capacity);
void fg_ring_destroy(struct fg_ring *ring);

/** Free slots as far as the producer knows (at least `want` if that many are free). Producer only.
 */
static inline uint64_t fg_ring_room(struct fg_ring *r, uint64_t want)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint64_t room = r->mask + 1 - (tail - r->head_seen);

    if (room < want) {
        r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
        room = r->mask + 1 - (tail - r->head_seen);
    }
    return room;
}

/** The slot of the next message, to be written there and given with fg_ring_give. NULL when full.
 * Producer only. */
static inline void *fg_ring_next(struct fg_ring *r)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    if (fg_unlikely(fg_ring_room(r, 1) == 0))
        return NULL;
    return r->slots + (tail & r->mask) * FG_RING_SLOT;
}

static inline void fg_ring_give(struct fg_ring *r)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

/** The slot of the message after `i` further ones; NULL when there is no room for it. Producer
 * only.
 */
static inline void *fg_ring_ahead(struct fg_ring *r, uint64_t i)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    if (fg_unlikely(fg_ring_room(r, i + 1) <= i))
        return NULL;
    return r->slots + ((tail + i) & r->mask) * FG_RING_SLOT;
}

/** Gets the line of that slot, to be written soon. Producer only. */
static inline void fg_ring_fetch(const struct fg_ring *r, uint64_t i)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    __builtin_prefetch(r->slots + ((tail + i) & r->mask) * FG_RING_SLOT, 1);
}

/** The next n messages are written. Producer only. */
static inline void fg_ring_give_many(struct fg_ring *r, uint64_t n)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    atomic_store_explicit(&r->tail, tail + n, memory_order_release);
}

/** Copies one 64-byte message in; false when full. Producer only. */
static inline bool fg_ring_push(struct fg_ring *r, const void *message)
{
    void *slot = fg_ring_next(r);

    if (fg_unlikely(!slot))
        return false;
    memcpy(slot, message, FG_RING_SLOT);
    fg_ring_give(r);
    return true;
}

/** Messages that wait (a lower bound while the producer runs). Consumer only. */
static inline uint64_t fg_ring_count(struct fg_ring *r)
{
    r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    return r->tail_seen - atomic_load_explicit(&r->head, memory_order_relaxed);
}

/** Any thread: whether a message waits, or did a moment ago. */
static inline bool fg_ring_waits(const struct fg_ring *r)
{
    return atomic_load_explicit(&r->tail, memory_order_acquire) !=
           atomic_load_explicit(&r->head, memory_order_acquire);
}

/** The i-th waiting message (0 = oldest), in place; NULL when there is none. Consumer only, valid
 * until popped. */
static inline const void *fg_ring_peek(struct fg_ring *r, uint64_t i)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

    if (head + i >= r->tail_seen) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head + i >= r->tail_seen)
            return NULL;
    }
    return r->slots + ((head + i) & r->mask) * FG_RING_SLOT;
}

/** Gives the n oldest slots back. n <= what was seen by peek or count. Consumer only. */
static inline void fg_ring_release(struct fg_ring *r, uint64_t n)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

    atomic_store_explicit(&r->head, head + n, memory_order_release);
}

/** Copies the oldest message out; false when empty. Consumer only. */
static inline bool fg_ring_pop(struct fg_ring *r, void *message)
{
    const void *slot = fg_ring_peek(r, 0);

    if (!slot)
        return false;
    memcpy(message, slot, FG_RING_SLOT);
    fg_ring_release(r, 1);
    return true;
}

#endif
