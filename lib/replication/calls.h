/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * calls: the arbiter's calls, which block, in a thread of their own. One caller for each lane of
 * lib/pair, one call at a time. All functions: the thread that made it. Private.
 */
#ifndef FG_REPLICATION_CALLS_H
#define FG_REPLICATION_CALLS_H

#include "arbiter/arbiter.h"
#include "pair/pair.h"

struct fg_replication_answer {
    uint64_t ticket;
    enum fg_pair_outcome outcome;
    int64_t revision;
    char text[FG_ARBITER_VALUE_MAX + 1]; /**< of a read */
    char error[256];                     /**< "" = it was answered */
    uint64_t took_ms;
};

struct fg_replication_caller;

/** wake_fd: an eventfd that is written when an answer is there. It stays the maker's. */
struct fg_replication_caller *fg_replication_caller_start(const struct fg_arbiter_options *options,
                                                          const char *name, int wake_fd,
                                                          void (*begin)(void),
                                                          struct fg_error *err);
/** `seen` is called with each register that was read or written, by the caller's thread, before the
 * answer is there. Before the first call. */
void fg_replication_caller_on_register(struct fg_replication_caller *c,
                                       void (*seen)(void *ctx, int64_t revision, const char *text),
                                       void *ctx);
/** False: its call does not end; it is left behind, and so is its memory. */
bool fg_replication_caller_stop(struct fg_replication_caller *c);

/** READ or SWAP of lib/pair; copies what it needs. No other one may be under way. */
void fg_replication_caller_ask(struct fg_replication_caller *c, const struct fg_pair_output *call);
/** True: the call has ended. Once for each. */
bool fg_replication_caller_answer(struct fg_replication_caller *c,
                                  struct fg_replication_answer *answer);

#endif
