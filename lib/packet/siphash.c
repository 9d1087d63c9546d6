/* SPDX-License-Identifier: BSD-3-Clause */
/* SipHash-2-4 from its paper: Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012,
 * section 2. */
#include <string.h>

#include "packet/packet.h"

#define WORDS (FG_PACKET_TAG_AT / 8)

/* "somepseudorandomlygeneratedbytes" */
#define INIT_0 0x736f6d6570736575ull
#define INIT_1 0x646f72616e646f6dull
#define INIT_2 0x6c7967656e657261ull
#define INIT_3 0x7465646279746573ull

#define LENGTH ((uint64_t)FG_PACKET_TAG_AT << 56) /* the last word: no byte is left over */

#define ROTATE(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))

#define ROUND(v0, v1, v2, v3)                                                                      \
    v0 += v1, v2 += v3;                                                                            \
    v1 = ROTATE(v1, 13) ^ v0, v3 = ROTATE(v3, 16) ^ v2;                                            \
    v0 = ROTATE(v0, 32);                                                                           \
    v2 += v1, v0 += v3;                                                                            \
    v1 = ROTATE(v1, 17) ^ v2, v3 = ROTATE(v3, 21) ^ v0;                                            \
    v2 = ROTATE(v2, 32);

uint64_t fg_packet_siphash24_56(const uint64_t key[2], const void *bytes)
{
    uint64_t v0 = key[0] ^ INIT_0, v1 = key[1] ^ INIT_1, v2 = key[0] ^ INIT_2, v3 = key[1] ^ INIT_3;
    uint64_t words[WORDS + 1];

    memcpy(words, bytes, FG_PACKET_TAG_AT);
    words[WORDS] = LENGTH;
    for (int i = 0; i < WORDS + 1; i++) {
        v3 ^= words[i];
        ROUND(v0, v1, v2, v3);
        ROUND(v0, v1, v2, v3);
        v0 ^= words[i];
    }
    v2 ^= 0xff;
    for (int i = 0; i < 4; i++) {
        ROUND(v0, v1, v2, v3);
    }
    return v0 ^ v1 ^ v2 ^ v3;
}

/* ---- many at once ---------------------------------------------------------------------------- */

#define CONCAT_2(a, b) a##b
#define CONCAT(a, b)   CONCAT_2(a, b)
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* A burst mostly has one key, which is cheaper to read than many. */
static inline bool same_key(const uint64_t *const *keys, int n)
{
    bool same = true;

    for (int i = 1; i < n; i++)
        same &= keys[i] == keys[0];
    return same;
}

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx2")))
#define NAME   avx2_8
#define LANES  4
#define CHAINS 2
#include "packet/siphash_lanes.h"
#define NAME   avx2_4
#define LANES  4
#define CHAINS 1
#include "packet/siphash_lanes.h"
#undef TARGET

#define TARGET __attribute__((target("avx512f")))
#define NAME   avx512_32
#define LANES  8
#define CHAINS 4
#include "packet/siphash_lanes.h"
#define NAME   avx512_8
#define LANES  8
#define CHAINS 1
#include "packet/siphash_lanes.h"
#elif defined(__aarch64__)
#define TARGET
#define NAME   neon_8
#define LANES  2
#define CHAINS 4
#include "packet/siphash_lanes.h"
#endif

static bool always(void)
{
    return true;
}

static void one(const uint64_t *const *keys, const void *const *packets, uint64_t *tags)
{
    tags[0] = fg_packet_siphash24_56(keys[0], packets[0]);
}

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f");
}
#endif

/* So many packets at a time. */
struct step {
    unsigned packets;
    void (*run)(const uint64_t *const *keys, const void *const *packets, uint64_t *tags);
};

/* The best last. Long bursts, and what is left of them. */
static const struct kind {
    const char *name;
    struct step many, few;
    bool (*supported)(void);
} kinds[] = {{"scalar", {1, one}, {1, one}, always},
#if defined(__x86_64__)
             {"avx2", {8, avx2_8}, {4, avx2_4}, has_avx2},
             {"avx512", {32, avx512_32}, {8, avx512_8}, has_avx512}
#elif defined(__aarch64__)
             {"neon", {8, neon_8}, {8, neon_8}, always}
#endif
};
#define KINDS          (sizeof(kinds) / sizeof(kinds[0]))
#define FEW_MAX        8
#define ONE_BY_ONE_MAX 2 /* less work than a vector half empty */

static const struct kind *chosen = &kinds[0];

static __attribute__((constructor)) void choose(void)
{
    for (unsigned i = 0; i < KINDS; i++)
        if (kinds[i].supported())
            chosen = &kinds[i];
}

const char *fg_packet_siphash_kind(unsigned kind)
{
    return kind < KINDS ? kinds[kind].name : NULL;
}

bool fg_packet_siphash_choose(unsigned kind)
{
    if (kind >= KINDS || !kinds[kind].supported())
        return false;
    chosen = &kinds[kind];
    return true;
}

/* The rest at the end: a vector with some lanes unused. */
static void rest(const uint64_t *const *keys, const void *const *packets, uint64_t *tags,
                 unsigned n)
{
    const uint64_t *k[FEW_MAX];
    const void *p[FEW_MAX];
    uint64_t t[FEW_MAX];

    for (unsigned i = 0; i < chosen->few.packets; i++) {
        k[i] = keys[i < n ? i : 0];
        p[i] = packets[i < n ? i : 0];
    }
    chosen->few.run(k, p, t);
    memcpy(tags, t, n * sizeof(*tags));
}

void fg_packet_siphash24_56_many(const uint64_t *const *keys, const void *const *packets,
                                 uint64_t *tags, unsigned n)
{
    const struct step *step = &chosen->many;

    while (n > 0) {
        if (n < step->packets) {
            if (step == &chosen->few)
                break;
            step = &chosen->few;
            continue;
        }
        step->run(keys, packets, tags);
        n -= step->packets;
        keys += step->packets, packets += step->packets, tags += step->packets;
    }
    if (n > ONE_BY_ONE_MAX)
        rest(keys, packets, tags, n);
    else
        for (unsigned i = 0; i < n; i++)
            tags[i] = fg_packet_siphash24_56(keys[i], packets[i]);
}
