/* SPDX-License-Identifier: BSD-3-Clause */
/** table: the memory that the data path reads (xdp/shared.h), and how user space changes it.
 * Private. */
#ifndef FG_FILTER_TABLE_H
#define FG_FILTER_TABLE_H

#include "filter/filter.h"

/** Rows and entries for given limits. */
struct fg_filter_sizes {
    uint32_t prefixes; /**< entries of both lists together */
    uint32_t lengths_rows, cell_rows, generation_rows, rows;
    uint32_t sets, nets;
};

/** Mapped maps, or plain memory for ports without a kernel driver. */
struct fg_filter_mapping {
    struct fg_filter_state *state;
    union fg_filter_row *rows;
    struct fg_filter_source_set *sets;
    struct fg_filter_net_row *nets;
    size_t bytes[4]; /**< mapped, in this order */
    bool mapped;
};

/** A generation of the lists, the one in force or one that is being built. */
struct fg_filter_generation {
    union fg_filter_row *rows;
    struct fg_filter_head *head;
    uint32_t prefixes, used, free;
};

void fg_filter_sizes_of(uint32_t prefixes_max, uint32_t sources_max, struct fg_filter_sizes *sizes);
bool fg_filter_mapping_make(struct fg_filter_mapping *memory, const struct fg_filter_sizes *sizes,
                            struct fg_error *err);
void fg_filter_mapping_free(struct fg_filter_mapping *memory);

/** A first state: nothing listed. */
void fg_filter_state_start(struct fg_filter_state *state, const struct fg_filter_sizes *sizes,
                           uint64_t seed);

struct fg_filter_listed *fg_filter_generation_find(const struct fg_filter_generation *g,
                                                   uint64_t seed,
                                                   const struct fg_filter_listed *want);
/** NULL: full. The entry is a copy of *entry. */
struct fg_filter_listed *fg_filter_generation_add(struct fg_filter_generation *g, uint64_t seed,
                                                  const struct fg_filter_listed *entry);
void fg_filter_generation_del(struct fg_filter_generation *g, uint64_t seed,
                              struct fg_filter_listed *entry);

/** The generation in force; to be given back by fg_filter_generation_keep after a change. */
void fg_filter_generation_open(const struct fg_filter_mapping *memory,
                               struct fg_filter_generation *g);
void fg_filter_generation_keep(const struct fg_filter_mapping *memory,
                               const struct fg_filter_generation *g);
/** An empty one, not in force; fg_filter_generation_commit puts it in force with one store. */
void fg_filter_generation_begin(const struct fg_filter_mapping *memory,
                                const struct fg_filter_sizes *sizes,
                                struct fg_filter_generation *g);
void fg_filter_generation_commit(const struct fg_filter_mapping *memory,
                                 const struct fg_filter_generation *g);
/** Finds out again what a process that died in the middle of a change left. */
void fg_filter_generation_repair(const struct fg_filter_mapping *memory);

#endif
