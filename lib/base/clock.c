/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"

#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull

static uint64_t read_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

uint64_t fg_clock_unix_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

uint64_t fg_clock_unix_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}

uint64_t fg_clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t fg_clock_mono_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000;
}

void fg_clock_sleep_us(unsigned us)
{
    usleep(us);
}

/*
 * CLOCK_MONOTONIC, and in *tsc the ticks at that moment. Tried again when the thread was
 * interrupted in between.
 */
static uint64_t read_both(uint64_t tsc_hz, uint64_t *tsc)
{
    uint64_t mono = 0, before, limit = tsc_hz / 200000; /* 5 us */

    for (unsigned tries = 0; tries < 16; tries++) {
        before = fg_clock_tsc();
        mono = read_ns(CLOCK_MONOTONIC);
        *tsc = fg_clock_tsc();
        if (*tsc - before < limit)
            break;
    }
    return mono;
}

void fg_clock_start(struct fg_clock *clock, uint64_t tsc_hz)
{
    clock->tsc_hz = tsc_hz;
    clock->tick_ns_q32 = (uint64_t)(((__uint128_t)SECOND_NS << 32) / tsc_hz);
    clock->unix_start_ns = read_ns(CLOCK_REALTIME);
    clock->mono_start_ns = read_both(tsc_hz, &clock->tsc_start);
    atomic_store(&clock->corrected_ns, 0);
    atomic_store(&clock->slewed_ns, 0);
    atomic_store(&clock->ahead_ns, 0);
    clock->slewed_at_ns = 0;
}

/* A little towards the wall clock. */
static void slew(struct fg_clock *clock, uint64_t passed)
{
    int64_t slewed = atomic_load_explicit(&clock->slewed_ns, memory_order_relaxed);
    int64_t ahead =
        (int64_t)(read_ns(CLOCK_REALTIME) - clock->unix_start_ns - passed - (uint64_t)slewed);
    int64_t most = (int64_t)(passed - clock->slewed_at_ns) / FG_CLOCK_SLEW;
    int64_t step = ahead > most ? most : ahead < -most ? -most : ahead;

    clock->slewed_at_ns = passed;
    atomic_store_explicit(&clock->slewed_ns, slewed + step, memory_order_relaxed);
    atomic_store_explicit(&clock->ahead_ns, ahead - step, memory_order_relaxed);
}

void fg_clock_correct(struct fg_clock *clock)
{
    uint64_t tsc, passed = read_both(clock->tsc_hz, &tsc) - clock->mono_start_ns;
    uint64_t counted =
        (uint64_t)(((__uint128_t)(tsc - clock->tsc_start) * clock->tick_ns_q32) >> 32);

    atomic_store_explicit(&clock->corrected_ns, (int64_t)(passed - counted), memory_order_relaxed);
    slew(clock, passed);
}

uint64_t fg_clock_not_before(struct fg_clock *clock, uint64_t unix_ms, uint64_t at_most_ms)
{
    uint64_t now_ms = fg_clock_now_ns(clock) / 1000000,
             more = unix_ms > now_ms ? unix_ms - now_ms : 0;

    more = more < at_most_ms ? more : at_most_ms;
    atomic_fetch_add_explicit(&clock->slewed_ns, (int64_t)more * 1000000, memory_order_relaxed);
    return more;
}
