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

/* 32 to 64 bits for each prefix: 1 look in 32 or less finds a bit that is not its own. Cells: at most 1/3
 * full. */
void fg_sizes_of(uint32_t prefixes_max, uint32_t sources_max, struct fg_sizes *sizes)
{
    sizes->prefixes = prefixes_max;
    sizes->bit_rows = power_of_two((uint64_t)prefixes_max * 32) / FG_ROW_BITS;
    if (!sizes->bit_rows)
        sizes->bit_rows = 1;
    sizes->cell_rows = power_of_two((uint64_t)prefixes_max * 3 + FG_PROBES_MAX) / FG_ROW_CELLS;
    sizes->generation_rows = sizes->bit_rows + sizes->cell_rows + prefixes_max + 1;
    sizes->rows = 2 * sizes->generation_rows;
    sizes->sets = power_of_two((uint64_t)sources_max * 2 / FG_WAYS + 1);
    sizes->nets = power_of_two(sources_max);
}

bool fg_memory_make(struct fg_memory *memory, const struct fg_sizes *sizes, struct fg_error *err)
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

void fg_memory_free(struct fg_memory *memory)
{
    void *const parts[] = {memory->state, memory->rows, memory->sets, memory->nets};

    for (unsigned i = 0; i < 4; i++) {
        if (parts[i] && memory->mapped)
            munmap(parts[i], memory->bytes[i]);
        else if (!memory->mapped)
            free(parts[i]);
    }
}

static void place_generation(struct fg_head *head, const struct fg_sizes *sizes, uint32_t generation)
{
    head->generation = generation;
    head->bits = generation * sizes->generation_rows;
    head->bits_mask = sizes->bit_rows * FG_ROW_BITS - 1;
    head->cells = head->bits + sizes->bit_rows;
    head->cells_mask = sizes->cell_rows * FG_ROW_CELLS - 1;
    head->entries = head->cells + sizes->cell_rows;
}

void fg_state_start(struct fg_state *state, const struct fg_sizes *sizes, uint64_t seed)
{
    state->seed = seed;
    state->prefixes_max = sizes->prefixes;
    place_generation(&state->heads[0], sizes, 0);
    __atomic_store_n(&state->version, FG_STATE_VERSION, __ATOMIC_RELEASE);
}

/* ---- entries --------------------------------------------------------------------------------------- */

static uint64_t salt_of(uint64_t seed, uint32_t kind)
{
    return seed ^ (uint64_t)kind * 0xd6e8feb86659fd93ull;
}

static uint64_t hash_of(uint64_t seed, const struct fg_listed *entry)
{
    return fg_list_hash(entry->hi, entry->lo, salt_of(seed, entry->kind));
}

static uint32_t *cell_at(const struct fg_generation *g, uint32_t number)
{
    number &= g->head->cells_mask;
    return &g->rows[g->head->cells + number / FG_ROW_CELLS].cell[number % FG_ROW_CELLS];
}

static struct fg_listed *entry_at(const struct fg_generation *g, uint32_t number)
{
    return &g->rows[g->head->entries + number].entry;
}

static uint32_t *count_of(struct fg_generation *g, uint32_t kind)
{
    unsigned list = kind >> 16 & 1, family = kind >> 8 & 255;

    return &g->counts[FG_LENGTHS_INDEX(list, family)][kind & 255];
}

struct fg_listed *fg_generation_find(const struct fg_generation *g, uint64_t seed,
                                     const struct fg_listed *want)
{
    struct fg_env env = {.rows = g->rows, .rows_count = UINT32_MAX};

    return fg_entry_find(&env, g->head, want->hi, want->lo, salt_of(seed, want->kind), want->kind);
}

static uint32_t take_number(struct fg_generation *g)
{
    uint32_t number = g->free;

    if (number)
        g->free = entry_at(g, number)->last;
    else if (g->used < g->prefixes)
        number = ++g->used;
    return number;
}

/* What the data path may read is written before it can be found: entry, cell, bit. */
struct fg_listed *fg_generation_add(struct fg_generation *g, uint64_t seed, const struct fg_listed *entry)
{
    uint64_t hash = hash_of(seed, entry), *word;
    uint32_t at = FG_HASH_CELL(hash), *cell = cell_at(g, at), number, bit;
    struct fg_listed *place;

    for (unsigned i = 1; FG_CELL_ENTRY(*cell); i++) {
        if (i == FG_PROBES_MAX)
            return NULL;
        cell = cell_at(g, at + i);
    }
    number = take_number(g);
    if (!number)
        return NULL;
    place = entry_at(g, number);
    *place = *entry;
    __atomic_store_n(cell, FG_CELL(number, FG_HASH_TAG(hash)), __ATOMIC_RELEASE);
    bit = FG_HASH_BIT(hash) & g->head->bits_mask;
    word = &g->rows[g->head->bits + bit / FG_ROW_BITS].bits[bit / 64 % 8];
    __atomic_store_n(word, *word | 1ull << bit % 64, __ATOMIC_RELEASE);
    ++*count_of(g, entry->kind);
    return place;
}

/* The bit stays: other prefixes may need it. A cell before an unused one becomes unused again. */
void fg_generation_del(struct fg_generation *g, uint64_t seed, struct fg_listed *entry)
{
    uint32_t number = (uint32_t)((union fg_row *)entry - g->rows) - g->head->entries;
    uint32_t at = FG_HASH_CELL(hash_of(seed, entry));

    while (FG_CELL_ENTRY(*cell_at(g, at)) != number)
        at++;
    __atomic_store_n(cell_at(g, at), FG_CELL_GONE, __ATOMIC_RELEASE);
    for (; *cell_at(g, at) == FG_CELL_GONE && *cell_at(g, at + 1) == 0; at--)
        __atomic_store_n(cell_at(g, at), 0, __ATOMIC_RELEASE);
    --*count_of(g, entry->kind);
    __atomic_store_n(&entry->kind, 0, __ATOMIC_RELEASE);
    entry->last = g->free;
    g->free = number;
}

/* ---- generations ----------------------------------------------------------------------------------- */

/* Programs that began before go on reading what was in force then: the call returns when none is left. */
static void wait_for_readers(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
        usleep(20000);
}

static void fill_slot(struct fg_length *slot, uint64_t seed, unsigned index, unsigned length)
{
    bool six = index & 1;

    slot->kind = FG_ENTRY_KIND(index / 2, six ? 6 : 4, length);
    slot->salt = salt_of(seed, (uint32_t)slot->kind);
    slot->hi = length == 0 ? 0 : length >= 64 ? UINT64_MAX : UINT64_MAX << (64 - length);
    slot->lo = length <= 64 ? 0 : UINT64_MAX << (128 - length);
}

static void fill_lengths(struct fg_head *head, const struct fg_generation *g, uint64_t seed)
{
    for (unsigned index = 0; index < FG_LENGTHS_COUNT; index++) {
        struct fg_length_table *table = &head->table[index];

        table->count = 0;
        for (int length = FG_LENGTHS_MAX - 1; length >= 0; length--)
            if (g->counts[index][length])
                fill_slot(&table->slot[table->count++], seed, index, (unsigned)length);
    }
}

static bool same_lengths(const struct fg_generation *g, const struct fg_state *state)
{
    for (unsigned i = 0; i < FG_LENGTHS_COUNT; i++)
        for (unsigned length = 0; length < FG_LENGTHS_MAX; length++)
            if (!g->counts[i][length] != !state->counts[i][length])
                return false;
    return true;
}

void fg_generation_open(const struct fg_memory *memory, struct fg_generation *g)
{
    struct fg_state *state = memory->state;

    g->rows = memory->rows;
    g->head = &state->heads[state->active & 1];
    g->prefixes = state->prefixes_max;
    g->used = state->used;
    g->free = state->free;
    memcpy(g->counts, state->counts, sizeof(g->counts));
    __atomic_store_n(&state->changing, 1, __ATOMIC_SEQ_CST);
}

static void keep_counts(struct fg_state *state, const struct fg_generation *g)
{
    state->used = g->used;
    state->free = g->free;
    memcpy(state->counts, g->counts, sizeof(state->counts));
    __atomic_store_n(&state->changing, 0, __ATOMIC_SEQ_CST);
}

void fg_generation_keep(const struct fg_memory *memory, const struct fg_generation *g, uint64_t seed)
{
    struct fg_state *state = memory->state;

    if (!same_lengths(g, state)) {
        struct fg_head *next = &state->heads[!(state->active & 1)];

        wait_for_readers();
        memcpy(next, g->head, offsetof(struct fg_head, table));
        fill_lengths(next, g, seed);
        __atomic_store_n(&state->active, (uint32_t)(next - state->heads), __ATOMIC_RELEASE);
    }
    keep_counts(state, g);
}

void fg_generation_begin(const struct fg_memory *memory, const struct fg_sizes *sizes,
                         struct fg_generation *g)
{
    struct fg_state *state = memory->state;
    const struct fg_head *now = &state->heads[state->active & 1];

    memset(g, 0, sizeof(*g));
    g->rows = memory->rows;
    g->head = &state->heads[!(state->active & 1)];
    g->prefixes = state->prefixes_max;
    wait_for_readers();
    place_generation(g->head, sizes, !now->generation);
    memset(&g->rows[g->head->bits], 0, sizeof(union fg_row) * (sizes->bit_rows + sizes->cell_rows));
}

void fg_generation_commit(const struct fg_memory *memory, const struct fg_generation *g, uint64_t seed)
{
    struct fg_state *state = memory->state;

    __atomic_store_n(&state->changing, 1, __ATOMIC_SEQ_CST);
    fill_lengths(g->head, g, seed);
    __atomic_store_n(&state->active, (uint32_t)(g->head - state->heads), __ATOMIC_RELEASE);
    keep_counts(state, g);
}

/* An entry is there when a cell leads to it. */
void fg_generation_repair(const struct fg_memory *memory)
{
    struct fg_generation g;

    fg_generation_open(memory, &g);
    memset(g.counts, 0, sizeof(g.counts));
    g.free = 0;
    g.used = g.prefixes;
    for (uint32_t number = g.prefixes; number >= 1; number--) {
        struct fg_listed *entry = entry_at(&g, number);

        if (entry->kind && fg_generation_find(&g, memory->state->seed, entry) == entry) {
            ++*count_of(&g, entry->kind);
            continue;
        }
        entry->kind = 0;
        entry->last = g.free;
        g.free = number;
    }
    memset(memory->state->counts, 0, sizeof(memory->state->counts)); /* so that lengths are written anew */
    fg_generation_keep(memory, &g, memory->state->seed);
}
