/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "filter/internal.h"

static const char *const list_names[FG_LISTS] = {
    [FG_LIST_BLOCK] = "block list", [FG_LIST_ALLOW] = "allow list"};

const char *fg_filter_list_name(enum fg_filter_list list)
{
    return list_names[list];
}

/* ---- addresses and times --------------------------------------------------------------------- */

static uint64_t be64_at(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return __builtin_bswap64(word);
}

void fg_filter_listed_of_prefix(enum fg_filter_list list, const struct fg_filter_prefix *prefix,
                                struct fg_filter_listed *listed)
{
    memset(listed, 0, sizeof(*listed));
    listed->kind = FG_ENTRY_KIND(list, prefix->family, prefix->length);
    listed->hi = be64_at(prefix->addr);
    listed->lo = be64_at(prefix->addr + 8);
    if (prefix->family == 4) {
        listed->hi &= ~UINT64_C(0xffffffff);
        listed->lo = 0;
    }
}

void fg_filter_prefix_of_listed(const struct fg_filter_listed *listed,
                                struct fg_filter_prefix *prefix)
{
    uint64_t words[2] = {__builtin_bswap64(listed->hi), __builtin_bswap64(listed->lo)};

    prefix->family = (uint8_t)(listed->kind >> 8);
    prefix->length = (uint8_t)listed->kind;
    memcpy(prefix->addr, words, sizeof(words));
}

static uint64_t now_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t fg_filter_ticks_now(const struct fg_filter *filter)
{
    return (now_of(CLOCK_MONOTONIC) << FG_TICK_SHIFT) + (uint64_t)filter->clock_ahead;
}

/* Unix milliseconds to ticks and back, by what both clocks say now. */
uint64_t fg_filter_ticks_of_unix(const struct fg_filter *filter, uint64_t ms)
{
    int64_t left = (int64_t)(ms * 1000000 - now_of(CLOCK_REALTIME)),
            most = INT64_MAX >> FG_TICK_SHIFT;

    if (left > most)
        left = most;
    if (left < 0)
        return 1;
    return fg_filter_ticks_now(filter) + ((uint64_t)left << FG_TICK_SHIFT);
}

uint64_t fg_filter_unix_of_ticks(const struct fg_filter *filter, uint64_t ticks)
{
    int64_t ahead = (int64_t)(ticks - fg_filter_ticks_now(filter)) >> FG_TICK_SHIFT;

    return (now_of(CLOCK_REALTIME) + (uint64_t)ahead) / 1000000;
}

/* ---- entries --------------------------------------------------------------------------------- */

bool fg_filter_listed_is_over(const struct fg_filter_listed *listed, uint64_t now)
{
    return listed->expires && listed->expires <= now;
}

bool fg_filter_listed_is_forgotten(const struct fg_filter *filter,
                                   const struct fg_filter_listed *listed, uint64_t now)
{
    bool kept = filter->kept_reason &&
                strncmp(listed->reason, filter->kept_reason, strlen(filter->kept_reason)) == 0;

    return fg_filter_listed_is_over(listed, now) &&
           (!kept || now - listed->expires >= filter->kept_ticks);
}

void fg_filter_remember(struct fg_filter *filter, const char *reason, uint64_t ms)
{
    filter->kept_reason = reason;
    filter->kept_ticks = ms * 1000000 << FG_TICK_SHIFT;
}

static bool is_expired(const struct fg_filter *filter, const struct fg_filter_listed *listed)
{
    return fg_filter_listed_is_over(listed, fg_filter_ticks_now(filter));
}

static void entry_of_listed(const struct fg_filter *filter, const struct fg_filter_listed *listed,
                            struct fg_filter_list_entry *entry)
{
    memset(entry, 0, sizeof(*entry));
    memcpy(entry->reason, listed->reason, sizeof(entry->reason));
    entry->expires_ms = listed->expires ? fg_filter_unix_of_ticks(filter, listed->expires) : 0;
    entry->hits = __atomic_load_n(&listed->hits, __ATOMIC_RELAXED);
    entry->last_ms =
        listed->last ? fg_filter_unix_of_ticks(filter, (uint64_t)listed->last << FG_SEEN_SHIFT) : 0;
}

static bool prefix_is_sane(const struct fg_filter_prefix *prefix, struct fg_error *err)
{
    struct fg_filter_prefix network = *prefix;
    char text[64];

    if ((prefix->family != 4 && prefix->family != 6) ||
        prefix->length > (prefix->family == 6 ? 128 : 32))
        return fg_fail(err, "not a prefix: family %u, length %u", prefix->family, prefix->length);
    fg_filter_prefix_clear_host(&network);
    if (memcmp(network.addr, prefix->addr, prefix->family == 6 ? 16 : 4) == 0)
        return true;
    fg_filter_prefix_format(prefix, text);
    return fg_filter_prefix_parse(text, &network, err); /* says what is wrong */
}

static bool refused(enum fg_filter_list list, const struct fg_filter_prefix *prefix,
                    const char *why, struct fg_error *err)
{
    char text[64];

    fg_filter_prefix_format(prefix, text);
    return fg_fail(err, "%s: %s: %s", list_names[list], text, why);
}

bool fg_filter_reason_is_sane(const char *reason)
{
    size_t length = strnlen(reason, FG_REASON_MAX);

    for (size_t i = 0; i < length; i++)
        if (reason[i] < ' ' || reason[i] > '~' || reason[i] == '#' || reason[i] == ';')
            return false;
    return length < FG_REASON_MAX;
}

static bool listed_of_entry(const struct fg_filter *filter, enum fg_filter_list list,
                            const struct fg_filter_prefix *prefix,
                            const struct fg_filter_list_entry *entry,
                            struct fg_filter_listed *listed, struct fg_error *err)
{
    fg_filter_listed_of_prefix(list, prefix, listed);
    if (!entry)
        return true;
    if (!fg_filter_reason_is_sane(entry->reason))
        return refused(list, prefix,
                       "the reason is not printable ASCII of at most 23 characters without # and ;",
                       err);
    snprintf(listed->reason, sizeof(listed->reason), "%s", entry->reason);
    if (!entry->expires_ms)
        return true;
    listed->expires = fg_filter_ticks_of_unix(filter, entry->expires_ms);
    return !is_expired(filter, listed) || refused(list, prefix, "its expiry is over already", err);
}

static void replace(struct fg_filter_listed *listed, const struct fg_filter_listed *by)
{
    memcpy(listed->reason, by->reason, sizeof(listed->reason));
    __atomic_store_n(&listed->expires, by->expires, __ATOMIC_RELEASE);
}

static size_t take_out(struct fg_filter *filter, struct fg_filter_generation *g,
                       bool remembered_too)
{
    uint64_t now = fg_filter_ticks_now(filter);
    size_t gone = 0;

    for (uint32_t number = 1; number <= g->used; number++) {
        struct fg_filter_listed *listed = &g->rows[g->head->entries + number].entry;

        if (!listed->kind || !(remembered_too ? fg_filter_listed_is_over(listed, now)
                                              : fg_filter_listed_is_forgotten(filter, listed, now)))
            continue;
        fg_filter_generation_del(g, filter->memory.state->seed, listed);
        gone++;
    }
    return gone;
}

static bool add_or_put(struct fg_filter *filter, enum fg_filter_list list,
                       const struct fg_filter_prefix *prefix,
                       const struct fg_filter_list_entry *entry, bool may_be_there,
                       struct fg_error *err)
{
    uint64_t seed = filter->memory.state->seed;
    struct fg_filter_listed listed, *there;
    struct fg_filter_generation g;
    char full[64];
    bool ok = true;

    FG_ASSERT(list < FG_LISTS);
    if (!prefix_is_sane(prefix, err) || !listed_of_entry(filter, list, prefix, entry, &listed, err))
        return false;
    snprintf(full, sizeof(full), "the lists are full (prefixes_max = %u)",
             filter->options.prefixes_max);
    pthread_mutex_lock(&filter->change);
    fg_filter_generation_open(&filter->memory, &g);
    there = fg_filter_generation_find(&g, seed, &listed);
    if (there && !may_be_there && !is_expired(filter, there)) {
        ok = refused(list, prefix, "already there", err);
    } else if (there) {
        if (is_expired(filter, there))
            there->hits = there->last = 0;
        replace(there, &listed);
    } else {
        ok = fg_filter_generation_add(&g, seed, &listed) ||
             (take_out(filter, &g, true) && fg_filter_generation_add(&g, seed, &listed)) ||
             refused(list, prefix, full, err);
    }
    fg_filter_generation_keep(&filter->memory, &g);
    pthread_mutex_unlock(&filter->change);
    return ok;
}

bool fg_filter_add(struct fg_filter *filter, enum fg_filter_list list,
                   const struct fg_filter_prefix *prefix, const struct fg_filter_list_entry *entry,
                   struct fg_error *err)
{
    return add_or_put(filter, list, prefix, entry, false, err);
}

bool fg_filter_put(struct fg_filter *filter, enum fg_filter_list list,
                   const struct fg_filter_prefix *prefix, const struct fg_filter_list_entry *entry,
                   struct fg_error *err)
{
    return add_or_put(filter, list, prefix, entry, true, err);
}

bool fg_filter_del(struct fg_filter *filter, enum fg_filter_list list,
                   const struct fg_filter_prefix *prefix, struct fg_error *err)
{
    uint64_t seed = filter->memory.state->seed;
    struct fg_filter_listed listed, *there;
    struct fg_filter_generation g;
    bool known;

    FG_ASSERT(list < FG_LISTS);
    if (!prefix_is_sane(prefix, err))
        return false;
    fg_filter_listed_of_prefix(list, prefix, &listed);
    pthread_mutex_lock(&filter->change);
    fg_filter_generation_open(&filter->memory, &g);
    there = fg_filter_generation_find(&g, seed, &listed);
    known = there && !is_expired(filter, there);
    if (there)
        fg_filter_generation_del(&g, seed, there);
    fg_filter_generation_keep(&filter->memory, &g);
    pthread_mutex_unlock(&filter->change);
    return known || refused(list, prefix, "not there", err);
}

/* ---- look-ups -------------------------------------------------------------------------------- */

bool fg_filter_find(struct fg_filter *filter, enum fg_filter_list list,
                    const struct fg_filter_prefix *prefix, struct fg_filter_list_entry *entry)
{
    const struct fg_filter_state *state = filter->memory.state;
    struct fg_filter_generation g = {.rows = filter->memory.rows};
    struct fg_filter_listed listed;
    const struct fg_filter_listed *there;
    bool found;

    FG_ASSERT(list < FG_LISTS);
    fg_filter_listed_of_prefix(list, prefix, &listed);
    pthread_mutex_lock(&filter->change);
    g.head = (struct fg_filter_head *)&state->heads[state->active & 1];
    there = fg_filter_generation_find(&g, state->seed, &listed);
    found = there && !is_expired(filter, there);
    if (found && entry)
        entry_of_listed(filter, there, entry);
    pthread_mutex_unlock(&filter->change);
    return found;
}

static const struct fg_filter_list_slot *slots_of(const struct fg_filter *filter, unsigned family)
{
    const struct fg_filter_state *state = filter->memory.state;

    return state->heads[__atomic_load_n(&state->active, __ATOMIC_ACQUIRE) & 1]
        .slot[family == 6 ? FG_FAMILY_6 : FG_FAMILY_4];
}

bool fg_filter_match(struct fg_filter *filter, enum fg_filter_list list,
                     const struct fg_filter_prefix *address, struct fg_filter_prefix *prefix,
                     struct fg_filter_list_entry *entry)
{
    const struct fg_filter_list_slot *slots = slots_of(filter, address->family);

    for (int length = address->length; length >= 0; length--) {
        if (!slots[FG_LIST_SLOT(list, length)].count)
            continue;
        *prefix = *address;
        prefix->length = (uint8_t)length;
        fg_filter_prefix_clear_host(prefix);
        if (fg_filter_find(filter, list, prefix, entry))
            return true;
    }
    return false;
}

/* The lock is not held while `each` runs, so that it may ask; what changes meanwhile may or may not
 * be seen.
 */
static void each(struct fg_filter *filter, enum fg_filter_list list, bool over,
                 bool (*call)(void *ctx, const struct fg_filter_prefix *prefix,
                              const struct fg_filter_list_entry *entry),
                 void *ctx)
{
    const struct fg_filter_state *state = filter->memory.state;
    uint32_t used = state->used, entries = state->heads[state->active & 1].entries;

    FG_ASSERT(list < FG_LISTS);
    for (uint32_t number = 1; number <= used; number++) {
        struct fg_filter_listed listed = filter->memory.rows[entries + number].entry;
        struct fg_filter_list_entry entry;
        struct fg_filter_prefix prefix;

        if (!listed.kind || (listed.kind >> 16 & 1) != list || is_expired(filter, &listed) != over)
            continue;
        fg_filter_prefix_of_listed(&listed, &prefix);
        entry_of_listed(filter, &listed, &entry);
        if (!call(ctx, &prefix, &entry))
            return;
    }
}

void fg_filter_each(struct fg_filter *filter, enum fg_filter_list list,
                    bool (*call)(void *ctx, const struct fg_filter_prefix *prefix,
                                 const struct fg_filter_list_entry *entry),
                    void *ctx)
{
    each(filter, list, false, call, ctx);
}

void fg_filter_each_over(struct fg_filter *filter, enum fg_filter_list list,
                         bool (*call)(void *ctx, const struct fg_filter_prefix *prefix,
                                      const struct fg_filter_list_entry *entry),
                         void *ctx)
{
    each(filter, list, true, call, ctx);
}

uint32_t fg_filter_count(struct fg_filter *filter, enum fg_filter_list list)
{
    const struct fg_filter_list_slot *four = slots_of(filter, 4), *six = slots_of(filter, 6);
    uint32_t sum = 0;

    for (unsigned length = 0; length < FG_LENGTHS_MAX; length++)
        sum += four[FG_LIST_SLOT(list, length)].count + six[FG_LIST_SLOT(list, length)].count;
    return sum;
}

size_t fg_filter_expire(struct fg_filter *filter)
{
    struct fg_filter_generation g;
    size_t gone;

    pthread_mutex_lock(&filter->change);
    fg_filter_generation_open(&filter->memory, &g);
    gone = take_out(filter, &g, false);
    fg_filter_generation_keep(&filter->memory, &g);
    pthread_mutex_unlock(&filter->change);
    return gone;
}
