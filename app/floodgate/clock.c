/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"

#include <time.h>

#define SECOND_NS 1000000000ull

static uint64_t read_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* CLOCK_MONOTONIC, and in *tsc the ticks at that moment: tried again when we were interrupted in between. */
static uint64_t read_both(uint64_t *tsc)
{
    uint64_t mono, before, limit = rte_get_tsc_hz() / 200000; /* 5 us */

    for (unsigned tries = 0; tries < 16; tries++) {
        before = rte_rdtsc();
        mono = read_ns(CLOCK_MONOTONIC);
        *tsc = rte_rdtsc();
        if (*tsc - before < limit)
            break;
    }
    return mono;
}

void fg_clock_start(struct fg_clock *clock)
{
    clock->tick_ns_q32 = (uint64_t)(((__uint128_t)SECOND_NS << 32) / rte_get_tsc_hz());
    clock->unix_start_ns = read_ns(CLOCK_REALTIME);
    clock->mono_start_ns = read_both(&clock->tsc_start);
    atomic_store(&clock->corrected_ns, 0);
}

void fg_clock_correct(struct fg_clock *clock)
{
    uint64_t tsc, passed = read_both(&tsc) - clock->mono_start_ns;
    uint64_t counted = (uint64_t)(((__uint128_t)(tsc - clock->tsc_start) * clock->tick_ns_q32) >> 32);

    atomic_store_explicit(&clock->corrected_ns, (int64_t)(passed - counted), memory_order_relaxed);
}
