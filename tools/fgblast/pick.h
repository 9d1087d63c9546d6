/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * pick: random choices, reproducible from a seed. One instance per thread.
 */
#ifndef FG_BLAST_PICK_H
#define FG_BLAST_PICK_H

#include "base/base.h"

/** SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t fg_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/** 0 <= result < n, n < 2^32. */
static inline uint32_t fg_random_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)(((fg_random(state) >> 32) * n) >> 32);
}

/** A share as a bar that 32 random bits are measured against. */
static inline uint64_t fg_share_bar(double share)
{
    return (uint64_t)(share * 4294967296.0);
}

static inline bool fg_happens(uint64_t *state, uint64_t bar)
{
    return bar && (fg_random(state) >> 32) < bar;
}

/** Draws an index with a given weight, in constant time (Walker's alias method, Vose 1991). */
struct fg_alias {
    uint32_t count;
    struct fg_alias_cell {
        uint64_t bar; /**< of 2^32: below it the cell's own index, else other */
        uint32_t other;
    } cells[];
};

/** NULL when out of memory or when no weight is above zero. Caller frees. */
struct fg_alias *fg_alias_create(const double *weights, uint32_t count);

/** Of ranks 1 to n: rank^-s. NULL when out of memory; caller frees. */
double *fg_zipf_weights(uint32_t count, double s);

static inline uint32_t fg_alias_pick(const struct fg_alias *alias, uint64_t *state)
{
    uint64_t r = fg_random(state);
    uint32_t i = (uint32_t)(((r >> 32) * alias->count) >> 32);

    return (uint32_t)r < alias->cells[i].bar ? i : alias->cells[i].other;
}

#endif
