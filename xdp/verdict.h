/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * verdict: what happens to a frame that enters a port. One piece of code for the BPF program and
 * for user space (workers of a port that bypasses the kernel, tests). docs/filter.md tells the
 * order of judgement.
 *
 * The includer provides, before it includes this header:
 *
 *   FG_FILTER_ENV_TUNE                               lvalue: struct fg_filter_tunables
 *   FG_FILTER_ENV_LIVE                               lvalue: struct fg_filter_live
 *   struct fg_filter_env                                     whatever follows needs
 *   struct fg_filter_state *fg_filter_env_state(env)         NULL: nothing is listed or limited
 *   const struct fg_filter_own *fg_filter_env_own(env)       NULL: any address is taken for ours
 *   union fg_filter_row *fg_filter_env_row(env, index)       a row of the lists, or NULL
 *   struct fg_filter_source_set *fg_filter_env_set(env, index)
 *   struct fg_filter_net_row *fg_filter_env_net(env, index)
 *   void fg_filter_env_event(env, enum fg_filter_event)
 *
 * and may provide FG_FILTER_ENV_HIT and FG_FILTER_ENV_OWN, to be called instead of
 * fg_filter_entry_hit and fg_filter_own_has. It does #include "xdp/parse.h" before it uses struct
 * fg_filter_view.
 */
#ifndef FG_XDP_VERDICT_H
#define FG_XDP_VERDICT_H

#include "xdp/limit.h"

/* ---- own addresses --------------------------------------------------------------------------- */

/** The destination MAC address as a word of the table. The frame has an Ethernet header. */
FG_FILTER_INLINE uint64_t fg_filter_own_mac(const uint8_t *frame)
{
    const fg_frame_mac *mac = (const void *)frame;

    return FG_FILTER_OWN_MAC_SET | (uint64_t)mac->last << 32 | mac->first;
}

FG_FILTER_INLINE uint64_t fg_filter_own_hash(uint64_t hi, uint64_t lo, uint64_t salt)
{
    return ((hi ^ lo ^ hi >> 29) + salt) * 0x9e3779b97f4a7c15ull >> 32 & (FG_FILTER_OWN_CELLS - 1);
}

/** Whether a frame to these addresses is for us. */
FG_FILTER_INLINE bool fg_filter_own_has(const struct fg_filter_own *own, uint64_t mac, uint64_t hi,
                                        uint64_t lo)
{
    const struct fg_filter_own_table *table;
    uint64_t active, at;
    bool found = false;

    if (!own || !own->checked)
        return true;
    active = FG_FILTER_READ_ONCE(own->active);
    FG_FILTER_OPAQUE(active);
    if (active > 1)
        return false;
    table = &own->table[active];
    for (int i = 0; i < FG_FILTER_OWN_MACS && !found; i++)
        found = table->mac[i] == mac;
    if (!found)
        return false;
    at = fg_filter_own_hash(hi, lo, table->salt);
    FG_FILTER_OPAQUE(at);
    if (at >= FG_FILTER_OWN_CELLS)
        return false;
    for (int i = 0; i < FG_FILTER_OWN_PROBES; i++)
        if (table->cell[at + i].hi == hi && table->cell[at + i].lo == lo)
            return true;
    return false;
}

#ifndef FG_FILTER_ENV_OWN
#define FG_FILTER_ENV_OWN(env, mac, hi, lo) fg_filter_own_has(fg_filter_env_own(env), mac, hi, lo)
#endif

/* A packet to the order port: of whichever shape it is, only ours is judged as an order. */
FG_FILTER_INLINE bool fg_filter_is_foreign(struct fg_filter_env *env, const uint8_t *data,
                                           const uint8_t *end, const struct fg_filter_view *view)
{
    if (!view->order_port)
        return false;
    if (view->multicast || data + sizeof(fg_frame_ethernet) > end)
        return true;
    return !FG_FILTER_ENV_OWN(env, fg_filter_own_mac(data), view->to_hi, view->to_lo);
}

/* The result of the headers behind the source: the verdict so far, and the class of rates, in one
 * word. */
#define FG_FILTER_REST(verdict, class) ((uint32_t)(verdict) | (uint32_t)(class) << 8)
#define FG_FILTER_REST_VERDICT(rest)   ((enum fg_filter_verdict)((rest)&0xff))
#define FG_FILTER_REST_CLASS(rest)     ((enum fg_filter_class)((rest) >> 8 & 3))

FG_FILTER_INLINE uint32_t fg_filter_rest(struct fg_filter_env *env, const uint8_t *data,
                                         const uint8_t *end, uint64_t hi, uint64_t lo,
                                         uint32_t family)
{
    struct fg_filter_view view = {.hi = hi, .lo = lo, .family = family};
    enum fg_filter_verdict verdict =
        fg_filter_parse_rest((const void *)&FG_FILTER_ENV_TUNE.order_port, data, end, &view);

    if (fg_filter_is_foreign(env, data, end, &view))
        return FG_FILTER_REST(FG_FILTER_VERDICT_FOREIGN, FG_FILTER_CLASS_OTHER);
    return FG_FILTER_REST(verdict, view.class);
}

/* ---- lists ----------------------------------------------------------------------------------- */

FG_FILTER_INLINE uint64_t fg_filter_list_hash(uint64_t hi, uint64_t lo, uint64_t salt)
{
    uint64_t x = (hi ^ salt) * 0x9e3779b97f4a7c15ull;

    x = (x ^ x >> 32 ^ lo) * 0xbf58476d1ce4e5b9ull;
    return x ^ x >> 32;
}

FG_FILTER_INLINE uint32_t fg_filter_lengths_hash(uint64_t group, uint64_t seed)
{
    return (uint32_t)((group ^ seed) * 0x9e3779b97f4a7c15ull >> 32);
}

/* The entry of exactly this prefix, by linear probing. */
FG_FILTER_INLINE struct fg_filter_listed *fg_filter_entry_find(struct fg_filter_env *env,
                                                               const struct fg_filter_head *head,
                                                               uint64_t hi, uint64_t lo,
                                                               uint64_t salt, uint32_t kind)
{
    uint64_t hash = fg_filter_list_hash(hi, lo, salt);
    uint32_t at = FG_FILTER_HASH_CELL(hash);

    for (uint32_t i = 0; i < FG_FILTER_PROBES_MAX; i++, at++) {
        uint32_t number = at & head->cells_mask, cell;
        const union fg_filter_row *row =
            fg_filter_env_row(env, head->cells + number / FG_FILTER_ROW_CELLS);
        union fg_filter_row *found;

        if (!row)
            return NULL;
        cell = FG_FILTER_READ_ONCE(row->cell[number % FG_FILTER_ROW_CELLS]);
        if (!cell)
            return NULL;
        if ((uint8_t)cell != FG_FILTER_HASH_TAG(hash) || !FG_FILTER_CELL_ENTRY(cell))
            continue;
        found = fg_filter_env_row(env, head->entries + FG_FILTER_CELL_ENTRY(cell));
        if (found && found->entry.kind == kind && found->entry.hi == hi && found->entry.lo == lo)
            return &found->entry;
    }
    return NULL;
}

/** Whether the entry is in force; then counts the hit. */
FG_FILTER_INLINE bool fg_filter_entry_count(struct fg_filter_listed *entry, uint64_t now)
{
    uint32_t unit = (uint32_t)(now >> FG_FILTER_SEEN_SHIFT);

    if (entry->expires && entry->expires <= now)
        return false;
    __sync_fetch_and_add(&entry->hits, 1);
    if (entry->last != unit)
        entry->last = unit;
    return true;
}

/** Whether the prefix is listed and in force; counts the hit. */
FG_FILTER_INLINE bool fg_filter_entry_hit(struct fg_filter_env *env, uint64_t hi, uint64_t lo,
                                          uint64_t salt, uint32_t kind, uint64_t now)
{
    const struct fg_filter_state *state = fg_filter_env_state(env);
    struct fg_filter_listed *entry;

    if (!state)
        return false;
    entry = fg_filter_entry_find(env, &state->heads[FG_FILTER_READ_ONCE(state->active) & 1], hi, lo,
                                 salt, kind);
    return entry && fg_filter_entry_count(entry, now);
}

#ifndef FG_FILTER_ENV_HIT
#define FG_FILTER_ENV_HIT fg_filter_entry_hit
#endif

/*
 * The entry that a look at its first two cells leads to. 0: the prefix is not listed, for certain;
 * otherwise the cell, or FG_FILTER_CELL_GONE when one look does not tell.
 */
FG_FILTER_INLINE uint32_t fg_filter_first_cell(const union fg_filter_row *row, uint64_t hash,
                                               uint32_t number)
{
    uint64_t pair = FG_FILTER_READ_ONCE(row->pair[number / 2 % FG_FILTER_ROW_WORDS]);
    uint32_t first = (uint32_t)pair, second = (uint32_t)(pair >> 32);

    if (!first || (uint8_t)first == FG_FILTER_HASH_TAG(hash))
        return first;
    if (!second || (uint8_t)second == FG_FILTER_HASH_TAG(hash))
        return second;
    return FG_FILTER_CELL_GONE;
}

/* The prefix-length filter's word of the group of an address: in which slots it may be found at
 * all; mostly none, or one. */
FG_FILTER_INLINE uint64_t fg_filter_lengths(struct fg_filter_env *env,
                                            const struct fg_filter_head *head, uint64_t hi,
                                            uint32_t family, uint64_t seed)
{
    uint64_t group = family == 4 ? hi >> (64 - FG_FILTER_GROUP_4) : hi >> (64 - FG_FILTER_GROUP_6);
    uint32_t word = fg_filter_lengths_hash(group, seed) & head->lengths_mask;
    const union fg_filter_row *row =
        fg_filter_env_row(env, head->lengths + word / FG_FILTER_ROW_WORDS);

    return row ? FG_FILTER_READ_ONCE(row->lengths[word % FG_FILTER_ROW_WORDS]) : 0;
}

FG_FILTER_INLINE uint32_t fg_filter_listed_verdict(uint32_t slot)
{
    return slot < FG_FILTER_LIST_SLOT_BLOCK ? FG_FILTER_VERDICT_ORDER : FG_FILTER_VERDICT_BLOCKED;
}

#define FG_FILTER_SLOT_HIT(env, slot, addr_hi, addr_lo, now)                                       \
    FG_FILTER_ENV_HIT(env, (addr_hi) & (slot)->hi, (addr_lo) & (slot)->lo, (slot)->salt,           \
                      (slot)->kind, now)

/** In the slots of a word of the prefix-length filter. BLOCKED; ORDER when it is on the allow list;
 * PASS when on none. */
FG_FILTER_INLINE uint32_t fg_filter_lists_slowly(struct fg_filter_env *env, uint64_t hi,
                                                 uint64_t lo, uint32_t family, uint64_t lengths,
                                                 uint64_t now)
{
    const struct fg_filter_state *state = fg_filter_env_state(env);
    const struct fg_filter_list_slot *slots;
    uint64_t number = 0, before = 0;

    if (!state)
        return FG_FILTER_VERDICT_PASS;
    slots = state->heads[FG_FILTER_READ_ONCE(state->active) & 1].slot[family == 6];
    for (int i = 0; i < FG_FILTER_LENGTHS_FILTER_FIELDS;
         i++, lengths >>= FG_FILTER_LENGTHS_FILTER_BITS) {
        number = lengths & FG_FILTER_LENGTHS_FILTER_FIELD;
        FG_FILTER_OPAQUE(number);
        if (number >= FG_FILTER_LIST_SLOTS)
            break;
        if (!number)
            return FG_FILTER_VERDICT_PASS;
        if (FG_FILTER_SLOT_HIT(env, &slots[number], hi, lo, now))
            return fg_filter_listed_verdict((uint32_t)number);
        before = number;
    }
    for (uint32_t i = 1; number >= FG_FILTER_LIST_SLOTS && i < FG_FILTER_LIST_SLOTS; i++) {
        uint64_t next = before + i;

        FG_FILTER_OPAQUE(next); /* or clang adds to the pointer before it checks */
        if (next >= FG_FILTER_LIST_SLOTS)
            break;
        if (slots[next].count && FG_FILTER_SLOT_HIT(env, &slots[next], hi, lo, now))
            return fg_filter_listed_verdict((uint32_t)next);
    }
    return FG_FILTER_VERDICT_PASS;
}

#ifndef FG_FILTER_ENV_LISTS
#define FG_FILTER_ENV_LISTS fg_filter_lists_slowly
#endif

/*
 * The same, whole. The cost depends neither on how many prefixes there are nor on how many lengths:
 * nearly always one read of the prefix-length filter, and one of an entry if there is one. Other
 * cases are decided out of line.
 */
FG_FILTER_INLINE uint32_t fg_filter_decide_by_lists(struct fg_filter_env *env,
                                                    const struct fg_filter_state *state,
                                                    uint64_t hi, uint64_t lo, uint32_t family,
                                                    uint64_t now)
{
    const struct fg_filter_head *head = &state->heads[FG_FILTER_READ_ONCE(state->active) & 1];
    uint64_t word = fg_filter_lengths(env, head, hi, family, state->seed), lengths = word;

    for (int i = 0; i < FG_FILTER_LENGTHS_FILTER_FIELDS;
         i++, lengths >>= FG_FILTER_LENGTHS_FILTER_BITS) {
        uint64_t number = lengths & FG_FILTER_LENGTHS_FILTER_FIELD;
        uint32_t cell;
        const struct fg_filter_list_slot *slot;
        union fg_filter_row *row;
        uint64_t hash;

        FG_FILTER_OPAQUE(number);
        if (!number)
            return FG_FILTER_VERDICT_PASS;
        if (number >= FG_FILTER_LIST_SLOTS)
            return FG_FILTER_ENV_LISTS(env, hi, lo, family, word, now);
        slot = &head->slot[family == 6][number];
        hash = fg_filter_list_hash(hi & slot->hi, lo & slot->lo, slot->salt);
        cell = FG_FILTER_HASH_CELL(hash) & head->cells_mask;
        row = fg_filter_env_row(env, head->cells + cell / FG_FILTER_ROW_CELLS);
        cell = row ? fg_filter_first_cell(row, hash, cell) : 0;
        if (!cell)
            continue;
        row = fg_filter_env_row(env, head->entries + FG_FILTER_CELL_ENTRY(cell));
        if (row && row->entry.kind == slot->kind && row->entry.hi == (hi & slot->hi) &&
            row->entry.lo == (lo & slot->lo) && fg_filter_entry_count(&row->entry, now))
            return fg_filter_listed_verdict((uint32_t)number);
        return FG_FILTER_ENV_LISTS(env, hi, lo, family, lengths, now);
    }
    return FG_FILTER_VERDICT_PASS;
}

#ifndef FG_FILTER_ENV_LIMIT
#define FG_FILTER_ENV_LIMIT(env, view, seed, now) fg_filter_limit(env, view, seed, now)
#endif
#ifndef FG_FILTER_ENV_REST
#define FG_FILTER_ENV_REST fg_filter_rest
#endif

/* ---- all of it ------------------------------------------------------------------------------- */

/** *order: whether it is an order packet as far as its shape goes; what monitor mode gives to the
 * workers. */
FG_FILTER_INLINE enum fg_filter_verdict fg_filter_decide(struct fg_filter_env *env,
                                                         const uint8_t *data, const uint8_t *end,
                                                         uint64_t now, bool *order)
{
    const struct fg_filter_state *state = fg_filter_env_state(env);
    uint32_t listed = FG_FILTER_VERDICT_PASS, rest;
    enum fg_filter_verdict verdict, limit;
    struct fg_filter_view view;

    *order = false;
    if (!fg_filter_parse_source(data, end, &view, &verdict))
        return verdict;
    if (state && !FG_FILTER_ENV_TUNE.ignore_lists)
        listed = fg_filter_decide_by_lists(env, state, view.hi, view.lo, view.family, now);
    if (listed == FG_FILTER_VERDICT_BLOCKED && !FG_FILTER_ENV_LIVE.monitor)
        return FG_FILTER_VERDICT_BLOCKED;
    rest = FG_FILTER_ENV_REST(env, data, end, view.hi, view.lo, view.family);
    verdict = FG_FILTER_REST_VERDICT(rest);
    view.class = FG_FILTER_REST_CLASS(rest);
    *order = verdict == FG_FILTER_VERDICT_ORDER;
    if (listed == FG_FILTER_VERDICT_BLOCKED)
        return FG_FILTER_VERDICT_BLOCKED;
    if (listed != FG_FILTER_VERDICT_PASS || !state || FG_FILTER_VERDICT_DROPS(verdict))
        return verdict;
    limit = FG_FILTER_ENV_LIMIT(env, &view, state->seed, now);
    return limit == FG_FILTER_VERDICT_PASS ? verdict : limit;
}

#endif
