/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Template: NAME(keys, bytes, tags) computes 2 * LANES tags, two vectors of LANES packets side by side. The
 * rounds of one vector are a chain in which each step waits for the one before; the other fills the gaps.
 * Included once for each kind of CPU, with TARGET as its attributes. One function, because a function for
 * another target is not inlined as vectors.
 */
#define VECTOR CONCAT(NAME, _vector)
typedef uint64_t VECTOR __attribute__((vector_size(8 * LANES)));

TARGET static void NAME(const uint64_t *const *keys, const void *const *bytes, uint64_t *tags)
{
    uint64_t words[WORDS + 2][2 * LANES] __attribute__((aligned(64)));
    VECTOR a0, a1, a2, a3, b0, b1, b2, b3, word;

    for (int lane = 0; lane < 2 * LANES; lane++) {
        uint64_t packet[WORDS];

        memcpy(packet, bytes[lane], sizeof(packet));
        for (int i = 0; i < WORDS; i++)
            words[i][lane] = packet[i];
        words[WORDS][lane] = keys[lane][0];
        words[WORDS + 1][lane] = keys[lane][1];
    }
    memcpy(&a0, words[WORDS], sizeof(a0));
    memcpy(&b0, words[WORDS] + LANES, sizeof(b0));
    memcpy(&a1, words[WORDS + 1], sizeof(a1));
    memcpy(&b1, words[WORDS + 1] + LANES, sizeof(b1));
    a2 = a0 ^ INIT_2, b2 = b0 ^ INIT_2;
    a3 = a1 ^ INIT_3, b3 = b1 ^ INIT_3;
    a0 ^= INIT_0, b0 ^= INIT_0;
    a1 ^= INIT_1, b1 ^= INIT_1;
    for (int i = 0; i < WORDS; i++) {
        VECTOR other;

        memcpy(&word, words[i], sizeof(word));
        memcpy(&other, words[i] + LANES, sizeof(other));
        a3 ^= word, b3 ^= other;
        ROUND(a0, a1, a2, a3) ROUND(b0, b1, b2, b3);
        ROUND(a0, a1, a2, a3) ROUND(b0, b1, b2, b3);
        a0 ^= word, b0 ^= other;
    }
    a3 ^= LENGTH, b3 ^= LENGTH;
    ROUND(a0, a1, a2, a3) ROUND(b0, b1, b2, b3);
    ROUND(a0, a1, a2, a3) ROUND(b0, b1, b2, b3);
    a0 ^= LENGTH, b0 ^= LENGTH;
    a2 ^= 0xff, b2 ^= 0xff;
    for (int i = 0; i < 4; i++) {
        ROUND(a0, a1, a2, a3) ROUND(b0, b1, b2, b3);
    }
    a0 ^= a1 ^ a2 ^ a3;
    b0 ^= b1 ^ b2 ^ b3;
    memcpy(tags, &a0, sizeof(a0));
    memcpy(tags + LANES, &b0, sizeof(b0));
}
#undef VECTOR
