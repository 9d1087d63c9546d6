/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "filter/entries.h"

static bool is_expired(const struct fg_filter *filter, const struct fg_filter_listed *listed)
{
    return fg_filter_listed_is_over(listed, fg_filter_ticks_now(filter));
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
    return fg_fail(err, "%s: %s: %s", fg_filter_list_name(list), text, why);
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

    FG_ASSERT(list < FG_FILTER_LISTS);
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
    if (ok)
        fg_filter_list_changed(filter, list);
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

    FG_ASSERT(list < FG_FILTER_LISTS);
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
    if (there)
        fg_filter_list_changed(filter, list);
    pthread_mutex_unlock(&filter->change);
    return known || refused(list, prefix, "not there", err);
}

/* ---- look-ups -------------------------------------------------------------------------------- */

/* The lock is held. */
static bool find(const struct fg_filter *filter, enum fg_filter_list list,
                 const struct fg_filter_prefix *prefix, struct fg_filter_list_entry *entry)
{
    const struct fg_filter_state *state = filter->memory.state;
    struct fg_filter_generation g = {.rows = filter->memory.rows};
    struct fg_filter_listed listed;
    const struct fg_filter_listed *there;

    fg_filter_listed_of_prefix(list, prefix, &listed);
    g.head = (struct fg_filter_head *)&state->heads[state->active & 1];
    there = fg_filter_generation_find(&g, state->seed, &listed);
    if (!there || is_expired(filter, there))
        return false;
    if (entry)
        fg_filter_listed_tell(filter, there, entry);
    return true;
}

bool fg_filter_find(struct fg_filter *filter, enum fg_filter_list list,
                    const struct fg_filter_prefix *prefix, struct fg_filter_list_entry *entry)
{
    bool found;

    FG_ASSERT(list < FG_FILTER_LISTS);
    pthread_mutex_lock(&filter->change);
    found = find(filter, list, prefix, entry);
    pthread_mutex_unlock(&filter->change);
    return found;
}

/* The lock is held. */
static const struct fg_filter_list_slot *slots_of(const struct fg_filter *filter, unsigned family)
{
    const struct fg_filter_state *state = filter->memory.state;

    return state->heads[state->active & 1]
        .slot[family == 6 ? FG_FILTER_FAMILY_6 : FG_FILTER_FAMILY_4];
}

bool fg_filter_match(struct fg_filter *filter, enum fg_filter_list list,
                     const struct fg_filter_prefix *address, struct fg_filter_prefix *prefix,
                     struct fg_filter_list_entry *entry)
{
    const struct fg_filter_list_slot *slots;
    bool found = false;

    FG_ASSERT(list < FG_FILTER_LISTS);
    pthread_mutex_lock(&filter->change);
    slots = slots_of(filter, address->family);
    for (int length = address->length; length >= 0 && !found; length--) {
        if (!slots[FG_FILTER_LIST_SLOT(list, length)].count)
            continue;
        *prefix = *address;
        prefix->length = (uint8_t)length;
        fg_filter_prefix_clear_host(prefix);
        found = find(filter, list, prefix, entry);
    }
    pthread_mutex_unlock(&filter->change);
    return found;
}

uint32_t fg_filter_count(struct fg_filter *filter, enum fg_filter_list list)
{
    const struct fg_filter_list_slot *four, *six;
    uint32_t sum = 0;

    FG_ASSERT(list < FG_FILTER_LISTS);
    pthread_mutex_lock(&filter->change);
    four = slots_of(filter, 4);
    six = slots_of(filter, 6);
    for (unsigned length = 0; length < FG_FILTER_LENGTHS_MAX; length++)
        sum += four[FG_FILTER_LIST_SLOT(list, length)].count +
               six[FG_FILTER_LIST_SLOT(list, length)].count;
    pthread_mutex_unlock(&filter->change);
    return sum;
}

/* ---- walks ----------------------------------------------------------------------------------- */

#define WALK_ROWS 64 /* read under the lock at once */

/* Copies the entries of a list among the next rows from *number on. False: there are no more rows.
 */
static bool copy_rows(struct fg_filter *filter, enum fg_filter_list list, uint32_t *number,
                      struct fg_filter_listed copies[WALK_ROWS], unsigned *n)
{
    const struct fg_filter_state *state = filter->memory.state;
    bool more;

    *n = 0;
    pthread_mutex_lock(&filter->change);
    more = *number <= state->used;
    for (unsigned i = 0; i < WALK_ROWS && *number <= state->used; i++, ++*number) {
        const struct fg_filter_listed *row =
            &filter->memory.rows[state->heads[state->active & 1].entries + *number].entry;

        if (row->kind && (row->kind >> 16 & 1) == list)
            copies[(*n)++] = *row;
    }
    pthread_mutex_unlock(&filter->change);
    return more;
}

/*
 * The lock is not held while `call` runs, which may be slow and may ask for entries. A bulk load
 * would put other entries at the same rows, so walks and bulk loads exclude each other.
 */
static void walk(struct fg_filter *filter, enum fg_filter_list list, bool over,
                 bool (*call)(void *ctx, const struct fg_filter_prefix *prefix,
                              const struct fg_filter_list_entry *entry),
                 void *ctx)
{
    struct fg_filter_listed copies[WALK_ROWS];
    uint32_t number = 1;
    bool more = true;
    unsigned n;

    FG_ASSERT(list < FG_FILTER_LISTS);
    pthread_mutex_lock(&filter->bulk);
    while (more && copy_rows(filter, list, &number, copies, &n)) {
        for (unsigned i = 0; more && i < n; i++) {
            struct fg_filter_list_entry entry;
            struct fg_filter_prefix prefix;

            if (is_expired(filter, &copies[i]) != over)
                continue;
            fg_filter_prefix_of_listed(&copies[i], &prefix);
            fg_filter_listed_tell(filter, &copies[i], &entry);
            more = call(ctx, &prefix, &entry);
        }
    }
    pthread_mutex_unlock(&filter->bulk);
}

void fg_filter_each(struct fg_filter *filter, enum fg_filter_list list,
                    bool (*call)(void *ctx, const struct fg_filter_prefix *prefix,
                                 const struct fg_filter_list_entry *entry),
                    void *ctx)
{
    walk(filter, list, false, call, ctx);
}

void fg_filter_each_over(struct fg_filter *filter, enum fg_filter_list list,
                         bool (*call)(void *ctx, const struct fg_filter_prefix *prefix,
                                      const struct fg_filter_list_entry *entry),
                         void *ctx)
{
    walk(filter, list, true, call, ctx);
}

/* ---- the end of entries ---------------------------------------------------------------------- */

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
