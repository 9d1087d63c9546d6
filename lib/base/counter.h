/* SPDX-License-Identifier: BSD-3-Clause */
/** counter: a number that one thread writes and any thread reads, without a lock or a barrier. */
#ifndef FG_BASE_COUNTER_H
#define FG_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

/** Adds to a counter that only the calling thread writes: a plain load, add and store. */
static inline void fg_counter_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t fg_counter_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)counter, memory_order_relaxed);
}

#endif
