/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * clock: the one place that reads time. Two kinds:
 *
 * - The system's clocks, by a system call (vDSO): fg_clock_unix_ms, fg_clock_mono_ms. Any thread
 *   but a worker.
 * - struct fg_clock: Unix time without a system call. The TSC counts from a base taken at start;
 *   the supervisor corrects its drift against CLOCK_MONOTONIC. The wall clock is read once: a step
 *   of it while the program runs moves no deadline. Reading: any thread. fg_clock_correct: one
 *   thread.
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
};

/** tsc_hz: ticks of the TSC in a second, as rte_get_tsc_hz measured them. */
void fg_clock_start(struct fg_clock *clock, uint64_t tsc_hz);
void fg_clock_correct(struct fg_clock *clock);

/** Unix time, ns. */
static inline uint64_t fg_clock_now_ns(const struct fg_clock *clock)
{
    uint64_t ticks = fg_clock_tsc() - clock->tsc_start;
    int64_t corrected = atomic_load_explicit(&clock->corrected_ns, memory_order_relaxed);

    return clock->unix_start_ns + (uint64_t)(((__uint128_t)ticks * clock->tick_ns_q32) >> 32) +
           (uint64_t)corrected;
}

/** CLOCK_MONOTONIC, as the filter's tables have it; ns. */
static inline uint64_t fg_clock_now_mono_ns(const struct fg_clock *clock)
{
    return fg_clock_now_ns(clock) - clock->unix_start_ns + clock->mono_start_ns;
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
