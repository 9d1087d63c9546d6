/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/table.h"

#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filter/env.h"

static uint32_t power_of_two(uint64_t least)
{
    uint32_t n = 1;

    while (n < least)
        n *= 2;
    return n;
}

/* At least two words of the prefix-length filter and six cells for each prefix. */
void fg_filter_sizes_of(uint32_t prefixes_max, uint32_t sources_max, struct fg_filter_sizes *sizes)
{
    sizes->prefixes = prefixes_max;
    sizes->lengths_rows =
        power_of_two((uint64_t)prefixes_max * 2 + FG_FILTER_ROW_WORDS - 1) / FG_FILTER_ROW_WORDS;
    sizes->cell_rows =
        power_of_two((uint64_t)prefixes_max * 6 + FG_FILTER_PROBES_MAX) / FG_FILTER_ROW_CELLS;
    sizes->generation_rows = sizes->lengths_rows + sizes->cell_rows + prefixes_max + 1;
    sizes->rows = 2 * sizes->generation_rows;
    sizes->sets = power_of_two((uint64_t)sources_max * 2 / FG_FILTER_WAYS + 1);
    sizes->nets = power_of_two(sources_max);
}

bool fg_filter_mapping_make(struct fg_filter_mapping *memory, const struct fg_filter_sizes *sizes,
                            struct fg_error *err)
{
    memory->state = calloc(1, sizeof(*memory->state));
    memory->rows = aligned_alloc(FG_CACHE_LINE, sizeof(*memory->rows) * sizes->rows);
    memory->sets = aligned_alloc(FG_CACHE_LINE, sizeof(*memory->sets) * sizes->sets);
    memory->nets = calloc(sizes->nets, sizeof(*memory->nets));
    if (!memory->state || !memory->rows || !memory->sets || !memory->nets)
        return fg_fail(err, "filter: out of memory for %u prefixes", sizes->prefixes);
    memset(memory->rows, 0, sizeof(*memory->rows) * sizes->rows);
    memset(memory->sets, 0, sizeof(*memory->sets) * sizes->sets);
    return true;
}

void fg_filter_mapping_free(struct fg_filter_mapping *memory)
{
    void *const parts[] = {memory->state, memory->rows, memory->sets, memory->nets};

    for (unsigned i = 0; i < 4; i++) {
        if (parts[i] && memory->mapped)
            munmap(parts[i], memory->bytes[i]);
        else if (!memory->mapped)
            free(parts[i]);
    }
}

static uint64_t salt_of(uint64_t seed, uint32_t kind)
{
    return seed ^ (uint64_t)kind * 0xd6e8feb86659fd93ull;
}

static void fill_slot(struct fg_filter_list_slot *slot, uint64_t seed, uint32_t kind)
{
    unsigned length = kind & 255;

    slot->kind = kind;
    slot->salt = salt_of(seed, kind);
    slot->hi = length == 0 ? 0 : length >= 64 ? UINT64_MAX : UINT64_MAX << (64 - length);
    slot->lo = length <= 64 ? 0 : UINT64_MAX << (128 - length);
    slot->count = 0;
}

static void lay_out_generation(struct fg_filter_head *head, const struct fg_filter_sizes *sizes,
                               uint32_t generation, uint64_t seed)
{
    head->generation = generation;
    head->lengths = generation * sizes->generation_rows;
    head->lengths_mask = sizes->lengths_rows * FG_FILTER_ROW_WORDS - 1;
    head->cells = head->lengths + sizes->lengths_rows;
    head->cells_mask = sizes->cell_rows * FG_FILTER_ROW_CELLS - 1;
    head->entries = head->cells + sizes->cell_rows;
    for (unsigned list = 0; list < FG_FILTER_LISTS; list++)
        for (unsigned length = 0; length < FG_FILTER_LENGTHS_MAX; length++) {
            fill_slot(&head->slot[FG_FILTER_FAMILY_6][FG_FILTER_LIST_SLOT(list, length)], seed,
                      FG_FILTER_ENTRY_KIND(list, 6, length));
            /* also those beyond 32: a word that both families use names them to an IPv4 address,
             * and kind 0 would be found in every entry that is unused */
            fill_slot(&head->slot[FG_FILTER_FAMILY_4][FG_FILTER_LIST_SLOT(list, length)], seed,
                      FG_FILTER_ENTRY_KIND(list, 4, length));
        }
}

void fg_filter_state_start(struct fg_filter_state *state, const struct fg_filter_sizes *sizes,
                           uint64_t seed)
{
    state->seed = seed;
    state->prefixes_max = sizes->prefixes;
    lay_out_generation(&state->heads[0], sizes, 0, seed);
    __atomic_store_n(&state->version, FG_FILTER_STATE_VERSION, __ATOMIC_RELEASE);
}

/* ---- entries --------------------------------------------------------------------------------- */

static uint64_t hash_of(uint64_t seed, const struct fg_filter_listed *entry)
{
    return fg_filter_list_hash(entry->hi, entry->lo, salt_of(seed, entry->kind));
}

static uint32_t *cell_at(const struct fg_filter_generation *g, uint32_t number)
{
    number &= g->head->cells_mask;
    return &g->rows[g->head->cells + number / FG_FILTER_ROW_CELLS]
                .cell[number % FG_FILTER_ROW_CELLS];
}

static struct fg_filter_listed *entry_at(const struct fg_filter_generation *g, uint32_t number)
{
    return &g->rows[g->head->entries + number].entry;
}

static bool is_v6(uint32_t kind)
{
    return (kind >> 8 & 255) == 6;
}

static uint32_t slot_number(uint32_t kind)
{
    return FG_FILTER_LIST_SLOT(kind >> 16 & 1, kind & 255);
}

static struct fg_filter_list_slot *slot_of(const struct fg_filter_generation *g, uint32_t kind)
{
    return &g->head->slot[is_v6(kind) ? FG_FILTER_FAMILY_6 : FG_FILTER_FAMILY_4][slot_number(kind)];
}

static void add_count(const struct fg_filter_generation *g, uint32_t kind, int n)
{
    struct fg_filter_list_slot *slot = slot_of(g, kind);

    __atomic_store_n(&slot->count, slot->count + (uint32_t)n, __ATOMIC_RELEASE);
}

struct fg_filter_listed *fg_filter_generation_find(const struct fg_filter_generation *g,
                                                   uint64_t seed,
                                                   const struct fg_filter_listed *want)
{
    struct fg_filter_env env = {.rows = g->rows, .rows_count = UINT32_MAX};

    return fg_filter_entry_find(&env, g->head, want->hi, want->lo, salt_of(seed, want->kind),
                                want->kind);
}

static uint32_t take_number(struct fg_filter_generation *g)
{
    uint32_t number = g->free;

    if (number)
        g->free = entry_at(g, number)->last;
    else if (g->used < g->prefixes)
        number = ++g->used;
    return number;
}

/* ---- prefix-length filter -------------------------------------------------------------------- */

/* A word that names the slot, too. When it is full, FG_FILTER_LENGTHS_FILTER_FULL stands for the
 * slots behind. */
static uint64_t lengths_with(uint64_t word, uint32_t number)
{
    uint32_t fields[FG_FILTER_LENGTHS_FILTER_FIELDS + 1] = {0}, n = 0, at;

    while (n < FG_FILTER_LENGTHS_FILTER_FIELDS &&
           (fields[n] = word >> n * FG_FILTER_LENGTHS_FILTER_BITS & FG_FILTER_LENGTHS_FILTER_FIELD))
        n++;
    for (at = 0; at < n && fields[at] < number;)
        at++;
    if (at < n && (fields[at] == number || fields[at] == FG_FILTER_LENGTHS_FILTER_FULL))
        return word;
    memmove(&fields[at + 1], &fields[at], (n - at) * sizeof(*fields));
    fields[at] = number;
    if (++n > FG_FILTER_LENGTHS_FILTER_FIELDS)
        fields[FG_FILTER_LENGTHS_FILTER_FIELDS - 1] = FG_FILTER_LENGTHS_FILTER_FULL;
    for (word = 0, n = 0; n < FG_FILTER_LENGTHS_FILTER_FIELDS; n++)
        word |= (uint64_t)fields[n] << n * FG_FILTER_LENGTHS_FILTER_BITS;
    return word;
}

static void lengths_word(const struct fg_filter_generation *g, uint32_t number, uint32_t word)
{
    uint64_t *there =
        &g->rows[g->head->lengths + word / FG_FILTER_ROW_WORDS].lengths[word % FG_FILTER_ROW_WORDS];
    uint64_t with = lengths_with(*there, number);

    if (with != *there)
        __atomic_store_n(there, with, __ATOMIC_RELEASE);
}

/*
 * A short prefix has many groups; when they are more than there are words, every word names its
 * slot. To be called before the entry is counted.
 */
static void lengths_add(const struct fg_filter_generation *g, uint64_t seed,
                        const struct fg_filter_listed *entry)
{
    unsigned bits = is_v6(entry->kind) ? FG_FILTER_GROUP_6 : FG_FILTER_GROUP_4,
             length = entry->kind & 255;
    uint64_t group = entry->hi >> (64 - bits), groups = length < bits ? 1ull << (bits - length) : 1;
    uint32_t mask = g->head->lengths_mask, number = slot_number(entry->kind);

    if (groups > mask && slot_of(g, entry->kind)->count)
        return;
    if (groups > mask) {
        for (uint32_t word = 0; word <= mask; word++)
            lengths_word(g, number, word);
        return;
    }
    for (uint64_t i = 0; i < groups; i++)
        lengths_word(g, number, fg_filter_lengths_hash(group + i, seed) & mask);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* Writes each part before the data path can find it: entry, cell, prefix-length filter. */
struct fg_filter_listed *fg_filter_generation_add(struct fg_filter_generation *g, uint64_t seed,
                                                  const struct fg_filter_listed *entry)
{
    uint64_t hash = hash_of(seed, entry);
    uint32_t at = FG_FILTER_HASH_CELL(hash), *cell = cell_at(g, at), number;
    struct fg_filter_listed *listed;

    for (unsigned i = 1; FG_FILTER_CELL_ENTRY(*cell); i++) {
        if (i == FG_FILTER_PROBES_MAX)
            return NULL;
        cell = cell_at(g, at + i);
    }
    number = take_number(g);
    if (!number)
        return NULL;
    listed = entry_at(g, number);
    *listed = *entry;
    __atomic_store_n(cell, FG_FILTER_CELL(number, FG_FILTER_HASH_TAG(hash)), __ATOMIC_RELEASE);
    lengths_add(g, seed, entry);
    add_count(g, entry->kind, 1);
    return listed;
}

/* The prefix-length filter stays: other prefixes may need its bits. A cell before an unused one
 * becomes unused again. */
void fg_filter_generation_del(struct fg_filter_generation *g, uint64_t seed,
                              struct fg_filter_listed *entry)
{
    uint32_t number = (uint32_t)((union fg_filter_row *)entry - g->rows) - g->head->entries;
    uint32_t at = FG_FILTER_HASH_CELL(hash_of(seed, entry));

    while (FG_FILTER_CELL_ENTRY(*cell_at(g, at)) != number)
        at++;
    __atomic_store_n(cell_at(g, at), FG_FILTER_CELL_GONE, __ATOMIC_RELEASE);
    for (; *cell_at(g, at) == FG_FILTER_CELL_GONE && *cell_at(g, at + 1) == 0; at--)
        __atomic_store_n(cell_at(g, at), 0, __ATOMIC_RELEASE);
    add_count(g, entry->kind, -1);
    __atomic_store_n(&entry->kind, 0, __ATOMIC_RELEASE);
    entry->last = g->free;
    g->free = number;
}

/* ---- generations ----------------------------------------------------------------------------- */

/* Programs that began before still read the old generation: the call returns when none is left. */
static void wait_for_readers(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
        usleep(20000);
}

void fg_filter_generation_open(const struct fg_filter_mapping *memory,
                               struct fg_filter_generation *g)
{
    struct fg_filter_state *state = memory->state;

    g->rows = memory->rows;
    g->head = &state->heads[state->active & 1];
    g->prefixes = state->prefixes_max;
    g->used = state->used;
    g->free = state->free;
    __atomic_store_n(&state->changing, 1, __ATOMIC_SEQ_CST);
}

void fg_filter_generation_keep(const struct fg_filter_mapping *memory,
                               const struct fg_filter_generation *g)
{
    memory->state->used = g->used;
    memory->state->free = g->free;
    __atomic_store_n(&memory->state->changing, 0, __ATOMIC_SEQ_CST);
}

void fg_filter_generation_begin(const struct fg_filter_mapping *memory,
                                const struct fg_filter_sizes *sizes, struct fg_filter_generation *g)
{
    struct fg_filter_state *state = memory->state;
    const struct fg_filter_head *now = &state->heads[state->active & 1];

    memset(g, 0, sizeof(*g));
    g->rows = memory->rows;
    g->head = &state->heads[!(state->active & 1)];
    g->prefixes = state->prefixes_max;
    wait_for_readers();
    lay_out_generation(g->head, sizes, !now->generation, state->seed);
    memset(&g->rows[g->head->lengths], 0,
           sizeof(union fg_filter_row) * (sizes->lengths_rows + sizes->cell_rows));
}

void fg_filter_generation_commit(const struct fg_filter_mapping *memory,
                                 const struct fg_filter_generation *g)
{
    struct fg_filter_state *state = memory->state;

    __atomic_store_n(&state->changing, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&state->active, (uint32_t)(g->head - state->heads), __ATOMIC_RELEASE);
    fg_filter_generation_keep(memory, g);
}

/* An entry is there when a cell leads to it. */
void fg_filter_generation_repair(const struct fg_filter_mapping *memory)
{
    uint64_t seed = memory->state->seed;
    struct fg_filter_generation g;

    fg_filter_generation_open(memory, &g);
    for (unsigned family = 0; family < FG_FILTER_FAMILIES; family++)
        for (unsigned slot = 1; slot < FG_FILTER_LIST_SLOTS; slot++)
            g.head->slot[family][slot].count = 0;
    g.free = 0;
    g.used = g.prefixes;
    for (uint32_t number = g.prefixes; number >= 1; number--) {
        struct fg_filter_listed *entry = entry_at(&g, number);

        if (entry->kind && fg_filter_generation_find(&g, seed, entry) == entry) {
            lengths_add(&g, seed, entry);
            add_count(&g, entry->kind, 1);
            continue;
        }
        entry->kind = 0;
        entry->last = g.free;
        g.free = number;
    }
    fg_filter_generation_keep(memory, &g);
}
