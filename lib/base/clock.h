/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * clock: the one place that reads time. Two kinds:
 *
 * - The system's clocks, by a system call (vDSO): fg_clock_unix_ms, fg_clock_mono_ms. Any thread
 *   but a worker.
 * - struct fg_clock: Unix time without a system call, the appliance's only notion of time. The TSC
 *   counts from a base taken at start; the supervisor corrects its drift against CLOCK_MONOTONIC.
 *   It follows the wall clock by at most one part in FG_CLOCK_SLEW: a step of the wall clock moves
 *   no deadline at once, and makes a hold at most that much longer or shorter. Reading: any thread.
 *   fg_clock_correct: one thread.
 */
#ifndef FG_BASE_CLOCK_H
#define FG_BASE_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

#ifdef __x86_64__
#include <x86intrin.h>
#endif

uint64_t fg_clock_unix_ns(void); /**< CLOCK_REALTIME */
uint64_t fg_clock_unix_ms(void);
uint64_t fg_clock_mono_ns(void); /**< CLOCK_MONOTONIC */
uint64_t fg_clock_mono_ms(void);
void fg_clock_sleep_us(unsigned us);

/** The CPU's time stamp counter. */
static inline uint64_t fg_clock_tsc(void)
{
#ifdef __aarch64__
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return __rdtsc();
#endif
}

struct fg_clock {
    uint64_t tsc_start;
    uint64_t tsc_hz;
    uint64_t unix_start_ns;
    uint64_t mono_start_ns;
    uint64_t tick_ns_q32;         /**< ns of one tick, 32.32 fixed point */
    _Atomic int64_t corrected_ns; /**< added to what the TSC says */
    _Atomic int64_t slewed_ns;    /**< added to that in Unix time: what followed the wall clock */
    _Atomic int64_t ahead_ns;     /**< the wall clock, when it was last read, minus our time */
    uint64_t slewed_at_ns;        /**< passed since the start at the last correction */
};

#define FG_CLOCK_SLEW 100

/** tsc_hz: ticks of the TSC in a second, as rte_get_tsc_hz measured them. */
void fg_clock_start(struct fg_clock *clock, uint64_t tsc_hz);
void fg_clock_correct(struct fg_clock *clock);

/**
 * From now on it is at least unix_ms, or as near to that as at_most_ms more bring it; then it
 * follows the wall clock again. Returns by how many ms it moved. The thread of fg_clock_correct.
 */
uint64_t fg_clock_not_before(struct fg_clock *clock, uint64_t unix_ms, uint64_t at_most_ms);

/** Time since the start, ns. */
static inline uint64_t fg_clock_passed_ns(const struct fg_clock *clock)
{
    uint64_t ticks = fg_clock_tsc() - clock->tsc_start;
    int64_t corrected = atomic_load_explicit(&clock->corrected_ns, memory_order_relaxed);

    return (uint64_t)(((__uint128_t)ticks * clock->tick_ns_q32) >> 32) + (uint64_t)corrected;
}

/** Unix time, ns, of a moment that fg_clock_passed_ns told just now. */
static inline uint64_t fg_clock_unix_ns_of(const struct fg_clock *clock, uint64_t passed_ns)
{
    return clock->unix_start_ns + passed_ns +
           (uint64_t)atomic_load_explicit(&clock->slewed_ns, memory_order_relaxed);
}

/** Unix time, ns. */
static inline uint64_t fg_clock_now_ns(const struct fg_clock *clock)
{
    return fg_clock_unix_ns_of(clock, fg_clock_passed_ns(clock));
}

/** How far the wall clock is ahead of ours, ms; negative: behind. Any thread. */
static inline int64_t fg_clock_wall_ahead_ms(const struct fg_clock *clock)
{
    return atomic_load_explicit(&clock->ahead_ns, memory_order_relaxed) / 1000000;
}

/** CLOCK_MONOTONIC, as the filter's tables have it; ns. */
static inline uint64_t fg_clock_now_mono_ns(const struct fg_clock *clock)
{
    return fg_clock_passed_ns(clock) + clock->mono_start_ns;
}

/**
 * Unix time, ms. Not monotonic: a drift correction may move it back. Clamp to the largest value
 * seen if you need monotonic time.
 */
static inline uint64_t fg_clock_now_ms(const struct fg_clock *clock)
{
    return fg_clock_now_ns(clock) / 1000000;
}

#endif
