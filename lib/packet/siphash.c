/* SPDX-License-Identifier: BSD-3-Clause */
/* SipHash-2-4 from its paper: Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012, section 2. */
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

/* Of words, or of vectors of words. */
#define ROUND(v0, v1, v2, v3)                                                                                \
    v0 += v1, v2 += v3;                                                                                      \
    v1 = ROTATE(v1, 13) ^ v0, v3 = ROTATE(v3, 16) ^ v2;                                                      \
    v0 = ROTATE(v0, 32);                                                                                     \
    v2 += v1, v0 += v3;                                                                                      \
    v1 = ROTATE(v1, 17) ^ v2, v3 = ROTATE(v3, 21) ^ v0;                                                      \
    v2 = ROTATE(v2, 32);

uint64_t fg_siphash24_56(const uint64_t key[2], const void *bytes)
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

/* ---- many at once -------------------------------------------------------------------------------------- */

#define CONCAT_2(a, b) a##b
#define CONCAT(a, b)   CONCAT_2(a, b)

#if defined(__x86_64__)
#define NAME   lanes_avx2
#define LANES  4
#define TARGET __attribute__((target("avx2")))
#include "packet/siphash_lanes.h"
#undef NAME
#undef LANES
#undef TARGET

#define NAME   lanes_avx512
#define LANES  8
#define TARGET __attribute__((target("avx512f")))
#include "packet/siphash_lanes.h"
#endif

static bool always(void)
{
    return true;
}

static void one(const uint64_t *const *keys, const void *const *bytes, uint64_t *tags)
{
    tags[0] = fg_siphash24_56(keys[0], bytes[0]);
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

/* The best last. */
static const struct kind {
    const char *name;
    unsigned lanes;
    void (*run)(const uint64_t *const *keys, const void *const *bytes, uint64_t *tags);
    bool (*supported)(void);
} kinds[] = {{"scalar", 1, one, always},
#if defined(__x86_64__)
             {"avx2", 8, lanes_avx2, has_avx2},
             {"avx512", 16, lanes_avx512, has_avx512}
#endif
};
#define KINDS          (sizeof(kinds) / sizeof(kinds[0]))
#define LANES_MAX      16
#define ONE_BY_ONE_MAX 4 /* a few packets: less work than vectors half empty */

static const struct kind *chosen = &kinds[0];

static __attribute__((constructor)) void choose(void)
{
    for (unsigned i = 0; i < KINDS; i++)
        if (kinds[i].supported())
            chosen = &kinds[i];
}

const char *fg_siphash_kind(unsigned kind)
{
    return kind < KINDS ? kinds[kind].name : NULL;
}

bool fg_siphash_choose(unsigned kind)
{
    if (kind >= KINDS || !kinds[kind].supported())
        return false;
    chosen = &kinds[kind];
    return true;
}

/* What is left at the end: vectors with some lanes unused. */
static void rest(const uint64_t *const *keys, const void *const *bytes, uint64_t *tags, unsigned n)
{
    const uint64_t *k[LANES_MAX];
    const void *b[LANES_MAX];
    uint64_t t[LANES_MAX];

    for (unsigned i = 0; i < chosen->lanes; i++) {
        k[i] = keys[i < n ? i : 0];
        b[i] = bytes[i < n ? i : 0];
    }
    chosen->run(k, b, t);
    memcpy(tags, t, n * sizeof(*tags));
}

void fg_siphash24_56_many(const uint64_t *const *keys, const void *const *bytes, uint64_t *tags, unsigned n)
{
    const unsigned lanes = chosen->lanes;

    for (; n >= lanes; n -= lanes, keys += lanes, bytes += lanes, tags += lanes)
        chosen->run(keys, bytes, tags);
    if (n > ONE_BY_ONE_MAX)
        rest(keys, bytes, tags, n);
    else
        for (unsigned i = 0; i < n; i++)
            tags[i] = fg_siphash24_56(keys[i], bytes[i]);
}
