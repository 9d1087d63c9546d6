/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * draw: the order of tickets that a draw at the opening gives, as a function of what the log holds
 * (docs/waiting.md, "The draw"). SHA-256 throughout; numbers are little-endian.
 *
 *     commitment = SHA-256(seed), in the log before the first entry
 *     sum        = sum over all entries of SHA-256(user), as 256-bit numbers: in any order
 *     key        = the first 16 bytes of SHA-256(seed, sum)
 *     rank       = the first 8 bytes of SHA-256(key, user); the smallest comes first
 *
 * The sum is the MSet-Add-Hash of Clarke, Devadas, van Dijk, Gassend and Suh (2003).
 */
#ifndef FG_LEDGER_DRAW_H
#define FG_LEDGER_DRAW_H

#include "base/base.h"

#define FG_LEDGER_DRAW_SEED 16
#define FG_LEDGER_DRAW_KEY  16
#define FG_LEDGER_DRAW_HASH 32

struct fg_ledger_draw_sum {
    uint64_t words[4]; /**< the lowest first; all 0 = no entries */
};

void fg_ledger_draw_commit(const uint8_t seed[FG_LEDGER_DRAW_SEED],
                           uint8_t commitment[FG_LEDGER_DRAW_HASH]);
void fg_ledger_draw_enter(struct fg_ledger_draw_sum *sum, uint64_t user);
void fg_ledger_draw_key(const uint8_t seed[FG_LEDGER_DRAW_SEED],
                        const struct fg_ledger_draw_sum *sum, uint8_t key[FG_LEDGER_DRAW_KEY]);
uint64_t fg_ledger_draw_rank(const uint8_t key[FG_LEDGER_DRAW_KEY], uint64_t user);

/** A seed that cannot be foretold without the secret; `nonce`: another one each time. */
void fg_ledger_draw_seed(const uint8_t secret[32], uint64_t item, const uint64_t nonce[2],
                         uint8_t seed[FG_LEDGER_DRAW_SEED]);

/** One who takes part, and where: the smaller rank, or else the smaller user, comes first. */
struct fg_ledger_drawn {
    uint64_t rank, user;
    void *of;
};
int fg_ledger_drawn_order(const void *a, const void *b); /**< for qsort */

#endif
