/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * limit: token buckets of sources and of their networks. Part of verdict.h, which says what the
 * includer provides.
 */
#ifndef FG_XDP_LIMIT_H
#define FG_XDP_LIMIT_H

#include "xdp/parse.h"

#define FG_FILTER_SEEN_MASK 0x7fffffffu

/** A mix of multiplications and shifts (as in splitmix64, Steele et al.); seeded, not a MAC. */
FG_FILTER_INLINE uint64_t fg_filter_mix(uint64_t x)
{
    x *= 0x9e3779b97f4a7c15ull;
    x ^= x >> 32;
    x *= 0xbf58476d1ce4e5b9ull;
    return x ^ x >> 32;
}

/* Multicast sources are refused before, so keys with a first byte of 255 are free for IPv4. */
FG_FILTER_INLINE uint64_t fg_filter_source_key(const struct fg_filter_view *view, uint64_t v6_mask)
{
    uint64_t key = view->hi & v6_mask;

    if (view->family == 4)
        return 0xff04ull << 48 | view->hi >> 32;
    return key ? key : 0xff06ull << 48;
}

FG_FILTER_INLINE uint64_t fg_filter_net_key(const struct fg_filter_view *view)
{
    if (view->family == 4)
        return 0xff24ull << 48 | view->hi >> 40;
    return view->hi & ~0xffffull;
}

/*
 * The token bucket as one word: the time at which it is full again (generic cell rate algorithm,
 * ITU-T I.371). One compare-and-swap takes a token, so several CPUs never hand out more than there
 * are.
 */
FG_FILTER_INLINE bool fg_filter_bucket_take(uint64_t *full, uint64_t interval, uint64_t window,
                                            uint64_t now)
{
    for (int i = 0; i < 4; i++) {
        uint64_t seen = FG_FILTER_READ_ONCE(*full);
        uint64_t from = seen < now ? now : seen;

        if (from + interval > now + window) {
            /* Left by a program with a longer window: empty, not closed for hours. */
            if (from > now + 2 * window)
                __sync_val_compare_and_swap(full, seen, now + window);
            return false;
        }
        if (__sync_val_compare_and_swap(full, seen, from + interval) == seen)
            return true;
    }
    return false; /* four other CPUs took tokens of this source meanwhile: not a shopper */
}

/*
 * The way of a source: 0..FG_FILTER_WAYS-1, or FG_FILTER_WAYS when it has none and gets none.
 * *known: seen before, in another unit of time. A place is taken from a source only when that one
 * was quiet for so long that its buckets are full: nothing is forgotten but that it was there.
 */
FG_FILTER_INLINE uint32_t fg_filter_source_way(struct fg_filter_env *env,
                                               struct fg_filter_source_set *set, uint64_t key,
                                               uint64_t now, bool *known)
{
    uint32_t unit = (uint32_t)(now >> FG_FILTER_SEEN_SHIFT) & FG_FILTER_SEEN_MASK,
             victim = FG_FILTER_WAYS;

    for (uint32_t i = 0; i < FG_FILTER_WAYS; i++) {
        if (FG_FILTER_READ_ONCE(set->key[i]) != key)
            continue;
        *known = set->seen[i] & 1;
        if (set->seen[i] >> 1 != unit)
            set->seen[i] = unit << 1 | 1;
        return i;
    }
    for (uint32_t i = 0; i < FG_FILTER_WAYS; i++) {
        uint32_t seen = set->seen[i], idle = (unit - (seen >> 1)) & FG_FILTER_SEEN_MASK;

        if (set->key[i] == 0 ||
            idle > (seen & 1 ? FG_FILTER_ENV_LIVE.idle_known : FG_FILTER_ENV_LIVE.idle_new)) {
            victim = i;
            break;
        }
    }
    *known = false;
    if (victim < FG_FILTER_WAYS) {
        uint64_t before = FG_FILTER_READ_ONCE(set->key[victim]);

        if (__sync_val_compare_and_swap(&set->key[victim], before, key) == before) {
            set->seen[victim] = unit << 1;
            fg_filter_env_event(env, FG_FILTER_EVENT_SOURCE_NEW);
            return victim;
        }
    }
    fg_filter_env_event(env, FG_FILTER_EVENT_SOURCE_REFUSED);
    return FG_FILTER_WAYS;
}

/* The source as a cell of struct fg_filter_own. */
FG_FILTER_INLINE bool fg_filter_is_server(const struct fg_filter_own *own, uint64_t hi, uint64_t lo,
                                          uint32_t family)
{
    bool found = false;

    if (!own || !own->servers)
        return false;
    if (family == 4) {
        lo = hi >> 32;
        hi = FG_FILTER_OWN_HI_4;
    }
    for (int i = 0; i < FG_FILTER_SERVERS; i++)
        found |= own->server[i].hi == hi && own->server[i].lo == lo;
    return found;
}

/** PASS, or the verdict of the bucket that is empty. */
FG_FILTER_INLINE enum fg_filter_verdict fg_filter_limit(struct fg_filter_env *env,
                                                        const struct fg_filter_view *view,
                                                        uint64_t seed, uint64_t now)
{
    enum fg_filter_class class = view->class;
    uint64_t key = fg_filter_source_key(view, FG_FILTER_ENV_TUNE.v6_mask);
    const volatile struct fg_filter_rate *rate = &FG_FILTER_ENV_LIVE.source[class],
                                         *net = &FG_FILTER_ENV_LIVE.net[class];
    struct fg_filter_source_set *set;
    struct fg_filter_net_row *row;
    bool known = false;
    uint32_t way;

    if (!rate->interval)
        return FG_FILTER_VERDICT_PASS;
    if (class == FG_FILTER_CLASS_OTHER &&
        fg_filter_is_server(fg_filter_env_own(env), view->hi, view->lo, view->family))
        return FG_FILTER_VERDICT_PASS;
    set = fg_filter_env_set(env, (uint32_t)(fg_filter_mix(key ^ seed) >> 20) &
                                     FG_FILTER_ENV_TUNE.sets_mask);
    if (!set)
        return FG_FILTER_VERDICT_PASS;
    way = fg_filter_source_way(env, set, key, now, &known);
    if (way < FG_FILTER_WAYS &&
        !fg_filter_bucket_take(&set->way[way].full[class], rate->interval, rate->window, now))
        return FG_FILTER_VERDICT_RATE_ORDER + class;
    if (!net->interval)
        return FG_FILTER_VERDICT_PASS;
    row = fg_filter_env_net(env, (uint32_t)(fg_filter_mix(fg_filter_net_key(view) ^ seed) >> 20) &
                                     FG_FILTER_ENV_TUNE.nets_mask);
    /* Half of the burst is kept for sources that are known: a crowd of new ones cannot shut them
     * out. */
    if (row && !fg_filter_bucket_take(&row->buckets.full[class], net->interval,
                                      known ? net->window : net->window / 2, now))
        return FG_FILTER_VERDICT_RATE_NET;
    return FG_FILTER_VERDICT_PASS;
}

_Static_assert(FG_FILTER_VERDICT_RATE_ORDER + FG_FILTER_CLASS_SYN == FG_FILTER_VERDICT_RATE_SYN,
               "verdicts follow classes");
_Static_assert(FG_FILTER_VERDICT_RATE_ORDER + FG_FILTER_CLASS_OTHER == FG_FILTER_VERDICT_RATE_OTHER,
               "verdicts follow classes");

#endif
