/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * leading: the words by which the thread of a pair tells the workers how far they may speak for the
 * pair. Without a pair there are none: whoever takes a pointer to them takes NULL then.
 *
 * The pair's thread makes them, all zero but for `accepting`, before the workers start: nothing is
 * answered until it moves `valid_until_tsc`.
 */
#ifndef FG_BASE_LEADING_H
#define FG_BASE_LEADING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

struct fg_leading {
    /* Written by the pair's thread, read by the workers. */

    /** Later than this (fg_clock_tsc) a leader answers nothing: another one may lead by now.
     * UINT64_MAX = no limit, 0 = nothing. Relaxed: a worker reads it once a burst, and again before
     * it hands replies to the port. Of no account to a worker that stands by
     * (FG_STOCK_NOT_LEADER). */
    _Alignas(FG_CACHE_LINE) _Atomic uint64_t valid_until_tsc;
    /** False: what needs a record is BUSY; what is in the log already is answered when it is
     * committed. Relaxed: read once a loop. */
    _Atomic bool accepting;

    /* Probes: a sign of leading that is newer than a request (fg_leading_probe). */

    /** How many began. The thread adds 1 with a read-modify-write of its own (seq_cst), and only
     * then sends the probe. */
    _Atomic uint64_t probe_started;
    /** Probes up to this one are answered: store release, load acquire. */
    _Atomic uint64_t probe_answered;

    /** A worker wants a probe: workers set it, the thread exchanges it for false before it begins
     * one. On a line of its own, since all of them write it. */
    _Alignas(FG_CACHE_LINE) _Atomic bool probe_wanted;
};

/**
 * Asks for a probe that is sent after this call. Any thread. What depends on it may leave when
 * fg_leading_proven tells that the number returned is answered. Numbers of later calls are not
 * smaller.
 */
static inline uint64_t fg_leading_probe(struct fg_leading *leading)
{
    uint64_t number = atomic_load(&leading->probe_started) + 1;

    if (!atomic_load_explicit(&leading->probe_wanted, memory_order_relaxed))
        atomic_store(&leading->probe_wanted, true);
    return number;
}

/** The probe of that number was answered: this appliance led when it was sent, or later. */
static inline bool fg_leading_proven(const struct fg_leading *leading, uint64_t number)
{
    return atomic_load_explicit((_Atomic uint64_t *)&leading->probe_answered,
                                memory_order_acquire) >= number;
}

#endif
