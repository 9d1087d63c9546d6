/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's restrictions of users: users that the operator denied, and how often each user asks.
 * The rate is a token bucket kept as one number, the theoretical arrival time (GCRA, ITU-T I.371),
 * in a set-associative table of fixed size.
 */
#include "stock/users.h"

#define REFUSED_BITS 20
#define REFUSED_MAX  ((1u << REFUSED_BITS) - 1)
#define DUE_MASK     (UINT64_MAX >> REFUSED_BITS) /* microseconds, which wrap after 203 days */

/* ---- denied: open addressing, at most half full */

static uint32_t denied_slot(const struct fg_stock *s, uint64_t user)
{
    uint32_t at = (uint32_t)fg_mix64(user, s->config.seed) & (DENIED_SLOTS - 1);

    while (s->denied[at].taken && s->denied[at].user != user)
        at = (at + 1) & (DENIED_SLOTS - 1);
    return at;
}

bool fg_stock_user_is_denied(const struct fg_stock *s, uint64_t user)
{
    return s->denied_used && s->denied[denied_slot(s, user)].denied;
}

bool fg_stock_user_deny(struct fg_stock *s, uint64_t user, bool deny)
{
    struct denied *d = &s->denied[denied_slot(s, user)];

    if (!d->taken) {
        if (!deny)
            return true;
        if (s->denied_used >= FG_STOCK_DENIED_MAX)
            return false;
        s->denied_used++; /* the slot is never given back: a user who was denied once may be again
                           */
        atomic_store_explicit(&s->denied_live, s->denied_used, memory_order_relaxed);
        d->taken = 1;
        d->user = user;
    }
    d->denied = deny;
    return true;
}

/* ---- rate */

/*
 * How far ahead of now the bucket is full again, us. It is never further ahead than a full burst:
 * whatever seems to be is long past, and the count of microseconds has wrapped since.
 */
static uint64_t ahead_us(uint64_t state, uint64_t now_us, uint64_t window_us)
{
    uint64_t ahead = ((state >> REFUSED_BITS) - now_us) & DUE_MASK;

    return state && ahead <= window_us ? ahead : 0;
}

/* For how long it has been full, us. */
static uint64_t idle_us(uint64_t state, uint64_t now_us, uint64_t window_us)
{
    if (!state) /* never used */
        return DUE_MASK;
    return ahead_us(state, now_us, window_us) ? 0 : (now_us - (state >> REFUSED_BITS)) & DUE_MASK;
}

static struct watched *watch(struct fg_stock *s, uint64_t user, uint64_t now_us, uint64_t window_us)
{
    struct watched *set = fg_stock_user_set(s, user), *oldest = set;
    uint64_t longest = 0, idle;

    for (unsigned i = 0; i < WATCHED_WAYS; i++) {
        if (atomic_load_explicit(&set[i].user, memory_order_relaxed) == user)
            return &set[i];
        idle =
            idle_us(atomic_load_explicit(&set[i].state, memory_order_relaxed), now_us, window_us);
        if (idle > longest) {
            longest = idle;
            oldest = &set[i];
        }
    }
    atomic_store_explicit(&oldest->state, (now_us & DUE_MASK) << REFUSED_BITS,
                          memory_order_relaxed);
    atomic_store_explicit(&oldest->user, user, memory_order_relaxed);
    return oldest;
}

/* 0: the user may ask now (and did); else the milliseconds until then. */
uint32_t fg_stock_user_wait_ms(struct fg_stock *s, uint64_t user, uint64_t now_ms)
{
    uint64_t interval_us = s->rate_interval_us, window_us = s->rate_window_us;
    uint64_t now_us = now_ms * 1000, ahead, state;
    struct watched *w = watch(s, user, now_us, window_us);

    state = atomic_load_explicit(&w->state, memory_order_relaxed);
    ahead = ahead_us(state, now_us, window_us);
    if (ahead > window_us - interval_us) {
        state += (state & REFUSED_MAX) < REFUSED_MAX;
        atomic_store_explicit(&w->state, state, memory_order_relaxed);
        return (uint32_t)((ahead - (window_us - interval_us) + 999) / 1000);
    }
    atomic_store_explicit(&w->state,
                          ((now_us + ahead + interval_us) & DUE_MASK) << REFUSED_BITS |
                              (state & REFUSED_MAX),
                          memory_order_relaxed);
    return 0;
}

/* Keeps the list sorted; the last falls off. */
static unsigned insert(struct fg_stock_user *users, unsigned n, unsigned max,
                       struct fg_stock_user one)
{
    unsigned at = n < max ? n++ : max;

    for (; at > 0 && users[at - 1].refused < one.refused; at--)
        if (at < max)
            users[at] = users[at - 1];
    if (at < max)
        users[at] = one;
    return n;
}

unsigned fg_stock_worst_users(const struct fg_stock *s, struct fg_stock_user *users, unsigned max)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < FG_STOCK_WATCHED_SETS * WATCHED_WAYS; i++) {
        struct watched *w = &s->watched[i];
        struct fg_stock_user one = {
            .user = atomic_load_explicit(&w->user, memory_order_relaxed),
            .refused =
                (uint32_t)atomic_load_explicit(&w->state, memory_order_relaxed) & REFUSED_MAX};

        if (one.refused)
            n = insert(users, n, max, one);
    }
    return n;
}
