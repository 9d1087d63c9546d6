/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * verdict: what happens to a frame that enters a port. One piece of code for the BPF program and for user
 * space (workers of a port that bypasses the kernel, tests). docs/filter.md tells the order of judgement.
 *
 * The includer provides, before it includes this header:
 *
 *   FG_ENV_TUNE                               lvalue: struct fg_tunables
 *   struct fg_env                             whatever the functions below need; may be unused
 *   struct fg_state *fg_env_state(env)        NULL: nothing is listed
 *   union fg_row *fg_env_row(env, index)      a row of the lists, or NULL
 *   struct fg_source_set *fg_env_set(env, index), struct fg_net_row *fg_env_net(env, index)
 *   void fg_env_event(env, enum fg_event)
 *
 * and may provide FG_ENV_HIT, to be called instead of fg_entry_hit. It does
 * #include "xdp/parse.h" before it uses struct fg_view.
 */
#ifndef FG_XDP_VERDICT_H
#define FG_XDP_VERDICT_H

#include "xdp/limit.h"

/* ---- lists ----------------------------------------------------------------------------------------- */

FG_INLINE uint64_t fg_list_hash(uint64_t hi, uint64_t lo, uint64_t salt)
{
    uint64_t x = (hi ^ salt) * 0x9e3779b97f4a7c15ull;

    x = (x ^ x >> 32 ^ lo) * 0xbf58476d1ce4e5b9ull;
    return x ^ x >> 32;
}

FG_INLINE bool fg_entry_in_force(const struct fg_listed *entry, uint64_t now)
{
    return !entry->expires || entry->expires > now;
}

/* The entry of exactly this prefix, by linear probing. */
FG_INLINE struct fg_listed *fg_entry_find(struct fg_env *env, const struct fg_head *head, uint64_t hi,
                                          uint64_t lo, uint64_t salt, uint32_t kind)
{
    uint64_t hash = fg_list_hash(hi, lo, salt);
    uint32_t at = FG_HASH_CELL(hash);

    for (uint32_t i = 0; i < FG_PROBES_MAX; i++, at++) {
        uint32_t number = at & head->cells_mask, cell;
        const union fg_row *row = fg_env_row(env, head->cells + number / FG_ROW_CELLS);
        union fg_row *found;

        if (!row)
            return NULL;
        cell = FG_READ_ONCE(row->cell[number % FG_ROW_CELLS]);
        if (!cell)
            return NULL;
        if ((uint8_t)cell != FG_HASH_TAG(hash) || !FG_CELL_ENTRY(cell))
            continue;
        found = fg_env_row(env, head->entries + FG_CELL_ENTRY(cell));
        if (found && found->entry.kind == kind && found->entry.hi == hi && found->entry.lo == lo)
            return &found->entry;
    }
    return NULL;
}

/** Whether the prefix is listed and in force; counts the hit. */
FG_INLINE bool fg_entry_hit(struct fg_env *env, uint64_t hi, uint64_t lo, uint64_t salt, uint32_t kind,
                            uint64_t now)
{
    const struct fg_state *state = fg_env_state(env);
    uint32_t unit = (uint32_t)(now >> FG_SEEN_SHIFT);
    struct fg_listed *entry;

    if (!state)
        return false;
    entry = fg_entry_find(env, &state->heads[FG_READ_ONCE(state->active) & 1], hi, lo, salt, kind);
    if (!entry || !fg_entry_in_force(entry, now))
        return false;
    __sync_fetch_and_add(&entry->hits, 1);
    if (entry->last != unit)
        entry->last = unit;
    return true;
}

#ifndef FG_ENV_HIT
#define FG_ENV_HIT fg_entry_hit
#endif

/*
 * One bit for each prefix length in use, longest first, and the entry itself only when the bit is set: the
 * cost does not depend on how many prefixes there are.
 */
FG_INLINE bool fg_is_listed(struct fg_env *env, const struct fg_head *head,
                            const struct fg_length_table *table, uint64_t hi, uint64_t lo, uint64_t now)
{
    for (uint32_t i = 0; i < FG_LENGTHS_MAX; i++) {
        const struct fg_length *slot = &table->slot[i];
        const union fg_row *row;
        uint64_t hash;
        uint32_t bit;

        if (i >= table->count)
            break;
        hash = fg_list_hash(hi & slot->hi, lo & slot->lo, slot->salt);
        bit = FG_HASH_BIT(hash) & head->bits_mask;
        row = fg_env_row(env, head->bits + bit / FG_ROW_BITS);
        if (row && (row->bits[bit / 64 % 8] >> bit % 64 & 1) &&
            FG_ENV_HIT(env, hi & slot->hi, lo & slot->lo, slot->salt, (uint32_t)slot->kind, now))
            return true;
    }
    return false;
}

/** BLOCKED; ORDER when it is on the allow list; PASS when it is on none. */
FG_INLINE enum fg_verdict fg_judge_lists(struct fg_env *env, uint64_t hi, uint64_t lo, uint32_t family,
                                         uint64_t now)
{
    const struct fg_state *state = fg_env_state(env);
    const struct fg_head *head;

    if (!state)
        return FG_VERDICT_PASS;
    head = &state->heads[FG_READ_ONCE(state->active) & 1];
    if (fg_is_listed(env, head, &head->table[FG_LENGTHS_INDEX(FG_LIST_ALLOW, family)], hi, lo, now))
        return FG_VERDICT_ORDER;
    if (fg_is_listed(env, head, &head->table[FG_LENGTHS_INDEX(FG_LIST_BLOCK, family)], hi, lo, now))
        return FG_VERDICT_BLOCKED;
    return FG_VERDICT_PASS;
}

/* ---- all of it ------------------------------------------------------------------------------------- */

/** *order: whether it is an order packet as far as its shape goes; what monitor mode gives to the workers. */
FG_INLINE enum fg_verdict fg_judge(struct fg_env *env, const uint8_t *data, const uint8_t *end, uint64_t now,
                                   bool *order)
{
    struct fg_view view = {0};
    enum fg_verdict verdict = fg_parse((const void *)&FG_ENV_TUNE.order_port, data, end, &view), limit;
    const struct fg_state *state = fg_env_state(env);

    *order = verdict == FG_VERDICT_ORDER;
    if (verdict != FG_VERDICT_ORDER && verdict != FG_VERDICT_PASS)
        return verdict;
    if (!view.family || !state)
        return verdict;
    if (!FG_ENV_TUNE.ignore_lists) {
        uint32_t listed = fg_judge_lists(env, view.hi, view.lo, view.family, now);

        if (listed != FG_VERDICT_PASS)
            return listed == FG_VERDICT_BLOCKED ? FG_VERDICT_BLOCKED : verdict;
    }
    limit = fg_limit(env, &view, state->seed, now);
    return limit == FG_VERDICT_PASS ? verdict : limit;
}

#endif
