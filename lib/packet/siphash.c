/* SPDX-License-Identifier: BSD-3-Clause */
/* SipHash-2-4 from its paper: Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012, section 2. */
#include <string.h>

#include "packet/packet.h"

#define WORDS (FG_PACKET_TAG_AT / 8)

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void round_of(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    round_of(s);
    round_of(s);
    s->v0 ^= word;
}

uint64_t fg_siphash24_56(const uint64_t key[2], const void *bytes)
{
    /* the four constants spell "somepseudorandomlygeneratedbytes" */
    struct state s = {key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull,
                      key[0] ^ 0x6c7967656e657261ull, key[1] ^ 0x7465646279746573ull};
    uint64_t words[WORDS];

    memcpy(words, bytes, sizeof(words));
    for (int i = 0; i < WORDS; i++)
        absorb(&s, words[i]);
    absorb(&s, (uint64_t)FG_PACKET_TAG_AT << 56); /* no byte is left over: the last word is the length */
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        round_of(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
