/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Template: NAME(keys, packets, tags) computes CHAINS * LANES tags, in CHAINS vectors of LANES
 * packets side by side. The rounds of one vector are a chain in which each step waits for the one
 * before; the others fill the gaps. Included once for each kind of vector, with TARGET as its
 * attributes.
 *
 * The packets come in as rows of a matrix and are wanted as columns: turned around by exchanging
 * the halves of pairs of rows, in registers. Eight words of a packet are read, though only seven
 * are hashed.
 */
#define VECTOR CONCAT(NAME, _vector)
#define TURN   CONCAT(NAME, _turn)
typedef uint64_t VECTOR __attribute__((vector_size(8 * LANES)));

#if LANES == 8
#define PAIRS_1(a, b) EXCHANGE(a, b, 0, 8, 2, 10, 4, 12, 6, 14) EXCHANGED(1, 9, 3, 11, 5, 13, 7, 15)
#define PAIRS_2(a, b) EXCHANGE(a, b, 0, 1, 8, 9, 4, 5, 12, 13) EXCHANGED(2, 3, 10, 11, 6, 7, 14, 15)
#define PAIRS_4(a, b) EXCHANGE(a, b, 0, 1, 2, 3, 8, 9, 10, 11) EXCHANGED(4, 5, 6, 7, 12, 13, 14, 15)
#elif LANES == 4
#define PAIRS_1(a, b) EXCHANGE(a, b, 0, 4, 2, 6) EXCHANGED(1, 5, 3, 7)
#define PAIRS_2(a, b) EXCHANGE(a, b, 0, 1, 4, 5) EXCHANGED(2, 3, 6, 7)
#else
#define PAIRS_1(a, b) EXCHANGE(a, b, 0, 2) EXCHANGED(1, 3)
#endif
#define EXCHANGE(a, b, ...)                                                                        \
    {                                                                                              \
        VECTOR *first = &(a), *second = &(b),                                                      \
               low = __builtin_shufflevector(*first, *second, __VA_ARGS__);
#define EXCHANGED(...)                                                                             \
    *second = __builtin_shufflevector(*first, *second, __VA_ARGS__);                               \
    *first = low;                                                                                  \
    }

/* LANES rows of LANES words. */
TARGET static inline __attribute__((always_inline)) void TURN(VECTOR m[LANES])
{
    UNROLL for (int i = 0; i < LANES; i += 2) PAIRS_1(m[i], m[i + 1])
#if LANES >= 4
        UNROLL for (int i = 0; i < LANES; i++) if (!(i & 2)) PAIRS_2(m[i], m[i + 2])
#endif
#if LANES >= 8
            UNROLL for (int i = 0; i < LANES; i++) if (!(i & 4)) PAIRS_4(m[i], m[i + 4])
#endif
}

#define EACH UNROLL for (int c = 0; c < CHAINS; c++)
#define ROUNDS(n)                                                                                  \
    UNROLL for (int round = 0; round < (n); round++)                                               \
    {                                                                                              \
        EACH v0[c] += v1[c], v2[c] += v3[c];                                                       \
        EACH v1[c] = ROTATE(v1[c], 13) ^ v0[c], v3[c] = ROTATE(v3[c], 16) ^ v2[c];                 \
        EACH v0[c] = ROTATE(v0[c], 32) + v3[c], v2[c] += v1[c];                                    \
        EACH v1[c] = ROTATE(v1[c], 17) ^ v2[c], v3[c] = ROTATE(v3[c], 21) ^ v0[c];                 \
        EACH v2[c] = ROTATE(v2[c], 32);                                                            \
    }

TARGET static void NAME(const uint64_t *const *keys, const void *const *packets, uint64_t *tags)
{
    VECTOR words[FG_PACKET_SIZE / 8][CHAINS], v0[CHAINS], v1[CHAINS], v2[CHAINS], v3[CHAINS];

    for (int c = 0; c < CHAINS; c++)
        UNROLL for (int at = 0; at < FG_PACKET_SIZE / 8; at += LANES)
        {
            VECTOR m[LANES];

            UNROLL for (int i = 0; i < LANES; i++)
                memcpy(&m[i], (const uint8_t *)packets[c * LANES + i] + 8 * at, sizeof(m[i]));
            TURN(m);
            UNROLL for (int i = 0; i < LANES; i++) words[at + i][c] = m[i];
        }
    if (fg_likely(same_key(keys, CHAINS * LANES)))
        EACH v0[c] = keys[0][0] - (VECTOR){0}, v1[c] = keys[0][1] - (VECTOR){0};
    else
        EACH UNROLL for (int i = 0; i < LANES; i++) v0[c][i] = keys[c * LANES + i][0],
                                                    v1[c][i] = keys[c * LANES + i][1];
    EACH v2[c] = v0[c] ^ INIT_2, v3[c] = v1[c] ^ INIT_3;
    EACH v0[c] ^= INIT_0, v1[c] ^= INIT_1;
    for (int i = 0; i < WORDS; i++) {
        EACH v3[c] ^= words[i][c];
        ROUNDS(2)
        EACH v0[c] ^= words[i][c];
    }
    EACH v3[c] ^= LENGTH;
    ROUNDS(2)
    EACH v0[c] ^= LENGTH, v2[c] ^= 0xff;
    ROUNDS(4)
    EACH v0[c] ^= v1[c] ^ v2[c] ^ v3[c];
    memcpy(tags, v0, sizeof(v0));
}
#undef VECTOR
#undef TURN
#undef PAIRS_1
#undef PAIRS_2
#undef PAIRS_4
#undef EXCHANGE
#undef EXCHANGED
#undef EACH
#undef ROUNDS
#undef NAME
#undef LANES
#undef CHAINS
