/* SPDX-License-Identifier: BSD-3-Clause */
#define OPENSSL_SUPPRESS_DEPRECATED /* the calls that allocate nothing: a worker makes them */
#include "ledger/draw.h"

#include <openssl/sha.h>
#include <string.h>

_Static_assert(FG_LEDGER_DRAW_HASH == SHA256_DIGEST_LENGTH, "SHA-256");

static void hash(const void *a, size_t a_size, const void *b, size_t b_size,
                 uint8_t out[FG_LEDGER_DRAW_HASH])
{
    SHA256_CTX sha;

    FG_ASSERT(SHA256_Init(&sha) && SHA256_Update(&sha, a, a_size) &&
              SHA256_Update(&sha, b, b_size) && SHA256_Final(out, &sha));
}

void fg_ledger_draw_commit(const uint8_t seed[FG_LEDGER_DRAW_SEED],
                           uint8_t commitment[FG_LEDGER_DRAW_HASH])
{
    hash(seed, FG_LEDGER_DRAW_SEED, "", 0, commitment);
}

void fg_ledger_draw_enter(struct fg_ledger_draw_sum *sum, uint64_t user)
{
    uint8_t bytes[FG_LEDGER_DRAW_HASH];
    uint64_t words[4], carry = 0;

    hash(&user, sizeof(user), "", 0, bytes);
    memcpy(words, bytes, sizeof(words));
    for (unsigned i = 0; i < 4; i++) {
        __uint128_t s = (__uint128_t)sum->words[i] + words[i] + carry;

        sum->words[i] = (uint64_t)s;
        carry = (uint64_t)(s >> 64);
    }
}

void fg_ledger_draw_key(const uint8_t seed[FG_LEDGER_DRAW_SEED],
                        const struct fg_ledger_draw_sum *sum, uint8_t key[FG_LEDGER_DRAW_KEY])
{
    uint8_t bytes[FG_LEDGER_DRAW_HASH];

    hash(seed, FG_LEDGER_DRAW_SEED, sum->words, sizeof(sum->words), bytes);
    memcpy(key, bytes, FG_LEDGER_DRAW_KEY);
}

uint64_t fg_ledger_draw_rank(const uint8_t key[FG_LEDGER_DRAW_KEY], uint64_t user)
{
    uint8_t bytes[FG_LEDGER_DRAW_HASH];
    uint64_t rank;

    hash(key, FG_LEDGER_DRAW_KEY, &user, sizeof(user), bytes);
    memcpy(&rank, bytes, sizeof(rank));
    return rank;
}

void fg_ledger_draw_seed(const uint8_t secret[32], uint64_t item, const uint64_t nonce[2],
                         uint8_t seed[FG_LEDGER_DRAW_SEED])
{
    uint8_t bytes[FG_LEDGER_DRAW_HASH];
    uint64_t which[3] = {item, nonce[0], nonce[1]};

    hash(secret, 32, which, sizeof(which), bytes);
    memcpy(seed, bytes, FG_LEDGER_DRAW_SEED);
}

int fg_ledger_drawn_order(const void *a, const void *b)
{
    const struct fg_ledger_drawn *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->user < y->user ? -1 : x->user > y->user;
}
