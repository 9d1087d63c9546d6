/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * hist: histogram of times with a relative error below 1/32 from 1 ns to 18 minutes: each power of
 * two is cut into 32 equal buckets (the log-linear layout of HdrHistogram, Gil Tene). One thread.
 */
#ifndef FG_BLAST_HIST_H
#define FG_BLAST_HIST_H

#include "base/base.h"

#define FG_HIST_SUB     5  /**< bits: 32 buckets each power of two */
#define FG_HIST_BITS    40 /**< values of 2^40 ns and more go to the last bucket */
#define FG_HIST_BUCKETS ((FG_HIST_BITS - FG_HIST_SUB + 1) << FG_HIST_SUB)

struct fg_hist {
    uint64_t count, max;
    uint64_t buckets[FG_HIST_BUCKETS];
};

static inline unsigned fg_hist_bucket(uint64_t value)
{
    unsigned shift;

    if (value >> FG_HIST_BITS)
        return FG_HIST_BUCKETS - 1;
    if (value < 1u << FG_HIST_SUB)
        return (unsigned)value;
    shift = 63 - FG_HIST_SUB - (unsigned)__builtin_clzll(value);
    return (shift << FG_HIST_SUB) + (unsigned)(value >> shift);
}

static inline void fg_hist_add(struct fg_hist *hist, uint64_t value)
{
    hist->buckets[fg_hist_bucket(value)]++;
    hist->count++;
    if (value > hist->max)
        hist->max = value;
}

/** Highest value of a bucket. */
static inline uint64_t fg_hist_upper(unsigned bucket)
{
    unsigned shift = bucket >> FG_HIST_SUB;

    if (shift == 0)
        return bucket;
    shift--;
    return ((uint64_t)(bucket - (shift << FG_HIST_SUB)) << shift) + (1ull << shift) - 1;
}

/** The value that `share` of all are at or below; 0 when there are none. */
static inline uint64_t fg_hist_quantile(const struct fg_hist *hist, double share)
{
    uint64_t rank = (uint64_t)(share * (double)hist->count + 0.999999), seen = 0;

    for (unsigned i = 0; i < FG_HIST_BUCKETS; i++) {
        seen += hist->buckets[i];
        if (seen && seen >= rank)
            return fg_hist_upper(i) < hist->max ? fg_hist_upper(i) : hist->max;
    }
    return hist->max;
}

#endif
