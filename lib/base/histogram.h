/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * histogram: how often values of a size occurred, for Prometheus' histograms: two buckets for each
 * power of two. One thread adds, any thread reads, as with a counter.
 *
 * The smallest bucket holds values up to 2^shift; the last, everything beyond the others. A
 * bucket's bound belongs to it.
 */
#ifndef FG_BASE_HISTOGRAM_H
#define FG_BASE_HISTOGRAM_H

#include "base/counter.h"

#define FG_HISTOGRAM_BUCKETS 54 /**< 2^26 times the smallest bound, and one for the rest */

/** How small the smallest bucket is. */
#define FG_HISTOGRAM_NS_SHIFT    8 /**< times in ns: 256 ns to 17 s */
#define FG_HISTOGRAM_COUNT_SHIFT 1 /**< numbers: 2 to 134 million */
#define FG_HISTOGRAM_MS_SHIFT    1 /**< times in ms: 2 ms to 37 hours */

struct fg_histogram {
    _Atomic uint64_t buckets[FG_HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum;
};

static inline unsigned fg_histogram_bucket(unsigned shift, uint64_t value)
{
    uint64_t below = value ? value - 1 : 0;
    unsigned power, bucket;

    if (below >> shift == 0)
        return 0;
    power = 63 - (unsigned)__builtin_clzll(below);
    bucket = 2 * (power - shift) + 1 + (unsigned)(below >> (power - 1) & 1);
    return bucket < FG_HISTOGRAM_BUCKETS - 1 ? bucket : FG_HISTOGRAM_BUCKETS - 1;
}

/** Largest value of a bucket that is not the last. */
static inline uint64_t fg_histogram_bound(unsigned shift, unsigned bucket)
{
    uint64_t power = (uint64_t)1 << (shift + bucket / 2);

    return bucket % 2 ? power + power / 2 : power;
}

/** `times` values. */
static inline void fg_histogram_add(struct fg_histogram *h, unsigned shift, uint64_t value,
                                    uint64_t times)
{
    fg_counter_add(&h->buckets[fg_histogram_bucket(shift, value)], times);
    fg_counter_add(&h->sum, value * times);
}

/** A copy, or the sum of several. */
struct fg_histogram_sum {
    uint64_t buckets[FG_HISTOGRAM_BUCKETS];
    uint64_t sum, count;
};

static inline void fg_histogram_read(const struct fg_histogram *h, struct fg_histogram_sum *sum)
{
    for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS; i++) {
        uint64_t n = fg_counter_read(&h->buckets[i]);

        sum->buckets[i] += n;
        sum->count += n;
    }
    sum->sum += fg_counter_read(&h->sum);
}

/** Bound of the bucket that holds the value that `share` of all are not above; 0: there is none. */
static inline uint64_t fg_histogram_quantile(const struct fg_histogram_sum *h, unsigned shift,
                                             double share)
{
    double wanted = share * (double)h->count, seen = 0;

    for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS && h->count; i++) {
        seen += (double)h->buckets[i];
        if (seen >= wanted && h->buckets[i])
            return fg_histogram_bound(shift, i);
    }
    return 0;
}

#endif
