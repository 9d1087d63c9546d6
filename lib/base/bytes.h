/* SPDX-License-Identifier: BSD-3-Clause */
/** bytes: numbers of 1 to 8 bytes, the lowest first, at any place. Any thread. */
#ifndef FG_BASE_BYTES_H
#define FG_BASE_BYTES_H

#include <stdint.h>

static inline uint64_t fg_bytes_get(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = size; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

/** What does not fit in is cut. */
static inline void fg_bytes_put(uint8_t *bytes, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++, value >>= 8)
        bytes[i] = (uint8_t)value;
}

#endif
