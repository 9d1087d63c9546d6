/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"

#include <stdarg.h>

void fg_assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "floodgate: broken invariant: %s (%s:%d)\n", cond, file, line);
    fflush(stderr);
    abort();
}

bool fg_fail(struct fg_error *err, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return false;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    return false;
}

#define FG_CRC32C_POLY 0x82f63b78u /* reflected Castagnoli */

static uint32_t crc_table[256];

__attribute__((constructor)) static void crc_table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = (c & 1) ? (c >> 1) ^ FG_CRC32C_POLY : c >> 1;
        crc_table[i] = c;
    }
}

static uint32_t crc32c_table(uint32_t crc, const uint8_t *p, size_t len)
{
    while (len--)
        crc = crc_table[(crc ^ *p++) & 0xff] ^ (crc >> 8);
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *p,
                                                               size_t len)
{
    uint64_t c = crc;

    for (; len >= 8; len -= 8, p += 8) {
        uint64_t word;

        __builtin_memcpy(&word, p, 8);
        c = __builtin_ia32_crc32di(c, word);
    }
    crc = (uint32_t)c;
    while (len--)
        crc = __builtin_ia32_crc32qi(crc, *p++);
    return crc;
}
#endif

uint32_t fg_crc32c(const void *data, size_t len)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc32c_sse42(~0u, data, len);
#endif
    return ~crc32c_table(~0u, data, len);
}
