/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * base: what every other library may lean on: errors as text, assertions that stay on,
 * hashing, CRC32C. Knows no clock, no DPDK, no file. Any thread may call it.
 */
#ifndef FG_BASE_H
#define FG_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FG_CACHE_LINE  64
#define FG_WORKERS_MAX 64 /**< workers in one appliance */

#define fg_likely(x)   __builtin_expect(!!(x), 1)
#define fg_unlikely(x) __builtin_expect(!!(x), 0)

/** A broken invariant is a bug: stop before something is sold wrongly. On in every build. */
#define FG_ASSERT(cond)                                                                            \
    do {                                                                                           \
        if (fg_unlikely(!(cond)))                                                                  \
            fg_assert_failed(#cond, __FILE__, __LINE__);                                           \
    } while (0)

__attribute__((noreturn, cold)) void fg_assert_failed(const char *cond, const char *file, int line);

/** An operating error (file, config, peer), as one line for a person. Caller owns it. */
struct fg_error {
    char text[512];
};

/** Formats into err (may be NULL) and returns false, so that callers can `return fg_fail(err,
 * ...)`. */
__attribute__((format(printf, 2, 3), cold)) bool fg_fail(struct fg_error *err, const char *fmt,
                                                         ...);

/** CRC32C (Castagnoli, RFC 3720), as in iSCSI and ext4: reflected, init and final xor 0xffffffff.
 */
uint32_t fg_crc32c(const void *data, size_t len);

/**
 * Mix of two words by a 64x64->128 bit multiplication (the "mum" step of wyhash, Wang Yi, public
 * domain). Good spread for table indices; not a MAC. Give it a secret seed where a stranger chooses
 * the key.
 */
static inline uint64_t fg_mix64(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)(a ^ 0x9e3779b97f4a7c15ull) * (b ^ 0xe7037ed1a0b428dbull);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/**
 * The worker that owns a user: decides where duplicates and per-user limits are known. The same on
 * every machine and in every version; 0 <= result < workers.
 */
static inline unsigned fg_user_owner(uint64_t user, unsigned workers)
{
    return (unsigned)(((__uint128_t)fg_mix64(user, 0x8ebc6af09c88c6e3ull) * workers) >> 64);
}

/** The shard of a fleet that a user belongs to: 0 <= result < shards. Independent of the worker
 * that fg_user_owner names; the same on every machine and in every version. */
static inline unsigned fg_user_shard(uint64_t user, unsigned shards)
{
    return (unsigned)(((__uint128_t)fg_mix64(user, 0x2545f4914f6cdd1dull) * shards) >> 64);
}

#endif
