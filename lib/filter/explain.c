/* SPDX-License-Identifier: BSD-3-Clause */
/* Tells the verdict that a packet of a source would get now. Reads the tables of the data path and
 * changes nothing. */
#include <string.h>

#include "filter/entries.h"
#include "filter/env.h"

static const struct fg_filter_buckets *find_source(const struct fg_filter *filter, uint64_t key)
{
    uint64_t seed = filter->memory.state->seed;
    const struct fg_filter_source_set *set =
        &filter->memory.sets[(uint32_t)(fg_filter_mix(key ^ seed) >> 20) & filter->tune.sets_mask];

    for (unsigned i = 0; i < FG_FILTER_WAYS; i++)
        if (__atomic_load_n(&set->key[i], __ATOMIC_RELAXED) == key)
            return &set->way[i];
    return NULL;
}

static const struct fg_filter_buckets *find_net(const struct fg_filter *filter,
                                                const struct fg_filter_view *view)
{
    uint64_t seed = filter->memory.state->seed;

    return &filter->memory
                .nets[(uint32_t)(fg_filter_mix(fg_filter_net_key(view) ^ seed) >> 20) &
                      filter->tune.nets_mask]
                .buckets;
}

/* Whole packets that the bucket would let pass at once; buckets NULL: a full one. */
static uint64_t tokens(const struct fg_filter_buckets *buckets, unsigned class,
                       const struct fg_filter_rate *rate, uint64_t now)
{
    uint64_t full = buckets ? __atomic_load_n(&buckets->full[class], __ATOMIC_RELAXED) : 0;

    if (full < now)
        full = now;
    return full - now > rate->window ? 0 : (rate->window - (full - now)) / rate->interval;
}

static void explain_class(const struct fg_filter *filter, const struct fg_filter_view *view,
                          unsigned class, uint64_t now, struct fg_filter_explained *e)
{
    const struct fg_filter_rate *rate = &filter->live.source[class],
                                *net = &filter->live.net[class];
    const struct fg_filter_buckets *source =
        find_source(filter, fg_filter_source_key(view, filter->tune.v6_mask));

    e->limited = rate->interval != 0;
    e->net_limited = e->limited && net->interval != 0;
    if (e->limited) {
        e->rate = FG_FILTER_TICKS_SECOND / rate->interval;
        e->tokens = tokens(source, class, rate, now);
    }
    if (e->net_limited) {
        e->net_rate = FG_FILTER_TICKS_SECOND / net->interval;
        e->net_tokens = tokens(find_net(filter, view), class, net, now);
    }
    if (e->limited && e->tokens == 0)
        e->verdict = FG_FILTER_VERDICT_RATE_ORDER + class;
    else if (e->net_limited && e->net_tokens == 0)
        e->verdict = FG_FILTER_VERDICT_RATE_NET;
    else
        e->verdict =
            class == FG_FILTER_CLASS_ORDER ? FG_FILTER_VERDICT_ORDER : FG_FILTER_VERDICT_PASS;
}

void fg_filter_explain(struct fg_filter *filter, const struct fg_filter_prefix *address,
                       struct fg_filter_explanation *e)
{
    struct fg_filter_view view = {.family = address->family};
    uint64_t now = fg_filter_ticks_now(filter), words[2];

    memset(e, 0, sizeof(*e));
    memcpy(words, address->addr, sizeof(words));
    view.hi = __builtin_bswap64(words[0]);
    view.lo = __builtin_bswap64(words[1]);
    e->order_port = filter->options.order_port;
    e->monitor = filter->live.monitor;
    e->lists_ignored = filter->tune.ignore_lists;
    e->known = find_source(filter, fg_filter_source_key(&view, filter->tune.v6_mask)) != NULL;
    e->allowed =
        fg_filter_match(filter, FG_FILTER_LIST_ALLOW, address, &e->allow_prefix, &e->allow);
    e->blocked =
        fg_filter_match(filter, FG_FILTER_LIST_BLOCK, address, &e->block_prefix, &e->block);
    for (unsigned class = 0; class < FG_FILTER_CLASSES; class ++) {
        explain_class(filter, &view, class, now, &e->classes[class]);
        if (e->lists_ignored)
            continue;
        if (e->allowed)
            e->classes[class].verdict =
                class == FG_FILTER_CLASS_ORDER ? FG_FILTER_VERDICT_ORDER : FG_FILTER_VERDICT_PASS;
        else if (e->blocked)
            e->classes[class].verdict = FG_FILTER_VERDICT_BLOCKED;
    }
}
