/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * hitters: who did something most often, in bounded memory: the space-saving algorithm (Metwally,
 * Agrawal, El Abbadi: "Efficient Computation of Frequent and Top-k Elements in Data Streams", ICDT
 * 2005).
 *
 * With k counters and N events so far, for every source that is kept:
 *
 *     count - error  <=  true number  <=  count,      error  <=  N / k
 *
 * and every source with more than N / k events is kept. So `count - error` never accuses a
 * source of events that it did not cause. An event costs O(log k). Pure memory, no clock: time is
 * handed in. One thread at a time.
 */
#ifndef FG_PENALTY_HITTERS_H
#define FG_PENALTY_HITTERS_H

#include "filter/filter.h" /* struct fg_filter_prefix */

struct fg_penalty_hitter {
    struct fg_filter_prefix source;
    double count; /**< at most this too high: */
    double error;
    double proven; /**< of the events, those with proof, since the source was last taken in; never
                      too high */
    uint64_t last_ms; /**< of the last event */
};

struct fg_hitters;

/** counters: k, 1..2^20; seed: secret, as strangers choose the sources. NULL: out of memory. */
struct fg_hitters *fg_penalty_hitters_create(unsigned counters, uint64_t seed);
void fg_penalty_hitters_destroy(struct fg_hitters *hitters);

/** Adds `events` of one source, and returns how it stands now; valid until the next call. */
const struct fg_penalty_hitter *fg_penalty_hitters_add(struct fg_hitters *hitters,
                                                       const struct fg_filter_prefix *source,
                                                       uint32_t events, bool proven,
                                                       uint64_t now_ms);

/** NULL when it is not kept. */
const struct fg_penalty_hitter *fg_penalty_hitters_find(const struct fg_hitters *hitters,
                                                        const struct fg_filter_prefix *source);

/** The `max` largest by count, largest first; returns how many. */
unsigned fg_penalty_hitters_top(const struct fg_hitters *hitters, struct fg_penalty_hitter *top,
                                unsigned max);

/** N: all events. */
double fg_penalty_hitters_total(const struct fg_hitters *hitters);
unsigned fg_penalty_hitters_counters(const struct fg_hitters *hitters); /**< k */

/** Halves N and all counts: what was long ago fades, the bounds stay (they are linear). */
void fg_penalty_hitters_halve(struct fg_hitters *hitters);
void fg_penalty_hitters_clear(struct fg_hitters *hitters);

#endif
