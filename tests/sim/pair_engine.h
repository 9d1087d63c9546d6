/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine of a node, with one worker: fed with what is committed while the node stands by, and
 * taking orders once it leads. What it answers must be true for every later leader.
 */
#ifndef FG_SIM_PAIR_ENGINE_H
#define FG_SIM_PAIR_ENGINE_H

#include "journal/pairing.h"
#include "ledger/ledger.h"
#include "pair_world.h"

struct sim_engine;

/* Of a process, with what is in the ledger, which becomes the engine's; ring and mark are the
 * journal's. */
struct sim_engine *sim_engine_begin(struct fg_ring *ring, const struct fg_journal_watermark *mark,
                                    const struct fg_journal_pairing *pairing, const char *dir,
                                    struct fg_ledger *ledger);
void sim_engine_end(struct sim_engine *e);
/* Writes a snapshot of what is committed into the folder of the log. Its last record; 0: none. */
uint64_t sim_engine_snapshot(struct sim_world *w, const struct sim_node *n, struct sim_engine *e);
/* Files of the log were replaced. */
void sim_engine_reopen(struct sim_engine *e);
/* Feeds, takes over, or gives answers. */
void sim_engine_step(struct sim_world *w, struct sim_node *n, struct sim_engine *e);
/* A request of a shopper. Whether it was decided. */
bool sim_engine_request(struct sim_world *w, const struct sim_node *n, struct sim_engine *e);

#endif
