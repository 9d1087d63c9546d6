/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * clock: Unix milliseconds without a system call. The TSC counts from a base taken at start; the supervisor
 * corrects its drift against CLOCK_MONOTONIC. The wall clock is read once: a step of it while we run moves no
 * deadline. Reading: any thread. fg_clock_correct: one thread.
 */
#ifndef FG_CLOCK_H
#define FG_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

#include <rte_cycles.h>

struct fg_clock {
    uint64_t tsc_start;
    uint64_t unix_start_ns;
    uint64_t mono_start_ns;
    uint64_t tick_ns_q32;         /**< ns of one tick, 32.32 fixed point */
    _Atomic int64_t corrected_ns; /**< added to what the TSC says */
};

/** After rte_eal_init, which measures the TSC. */
void fg_clock_start(struct fg_clock *clock);
void fg_clock_correct(struct fg_clock *clock);

static inline uint64_t fg_clock_ns(const struct fg_clock *clock)
{
    uint64_t ticks = rte_rdtsc() - clock->tsc_start;
    int64_t corrected = atomic_load_explicit(&clock->corrected_ns, memory_order_relaxed);

    return clock->unix_start_ns + (uint64_t)(((__uint128_t)ticks * clock->tick_ns_q32) >> 32) +
           (uint64_t)corrected;
}

/** CLOCK_MONOTONIC, as the filter's tables have it; nanoseconds. */
static inline uint64_t fg_clock_mono_ns(const struct fg_clock *clock)
{
    return fg_clock_ns(clock) - clock->unix_start_ns + clock->mono_start_ns;
}

/** May step back by what one correction takes away: who needs it monotonic keeps the largest seen. */
static inline uint64_t fg_clock_ms(const struct fg_clock *clock)
{
    return fg_clock_ns(clock) / 1000000;
}

#endif
