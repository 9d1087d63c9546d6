/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the machine does at the moment: a virtual CPU may be slowed down to half by what runs beside
 * it. An addition is one cycle of the core; and an engine that waits for memory does so about as
 * the second figure.
 */
#include <sys/mman.h>

#include "bench.h"

#define ADDITIONS 1000000
#define BYTES     (512ull << 20)
#define BURSTS    4096

static double additions(void)
{
    uint64_t x = 0, start = tsc();

    for (unsigned i = 0; i < ADDITIONS / 10; i++)
        __asm__ volatile("add $1, %0\nadd $1, %0\nadd $1, %0\nadd $1, %0\nadd $1, %0\n"
                         "add $1, %0\nadd $1, %0\nadd $1, %0\nadd $1, %0\nadd $1, %0\n"
                         : "+r"(x));
    return (double)(tsc() - start) / ADDITIONS;
}

static size_t slot_of(uint64_t nth)
{
    return fg_mix64(nth, 77) % (BYTES / FG_CACHE_LINE) * FG_CACHE_LINE;
}

static double lines(const uint8_t *memory, uint64_t from)
{
    uint64_t sum = 0, start = tsc(), cycles;

    for (uint64_t i = from; i < from + BURSTS * BURST; i += BURST) {
        for (unsigned k = 0; k < BURST; k++)
            __builtin_prefetch(&memory[slot_of(i + k)]);
        for (unsigned k = 0; k < BURST; k++)
            sum += memory[slot_of(i + k)];
    }
    cycles = tsc() - start;
    FG_ASSERT(sum == BURSTS * BURST);
    return (double)cycles / (BURSTS * BURST);
}

void bench_yardstick(const struct options *o)
{
    uint8_t *memory = aligned_alloc(2 << 20, BYTES);

    FG_ASSERT(memory);
    madvise(memory, BYTES, MADV_HUGEPAGE);
    memset(memory, 1, BYTES);
    for (unsigned r = 0; r < o->runs; r++) {
        figure_add(FIGURE_CORE, additions());
        figure_add(FIGURE_MEMORY, lines(memory, r * BURSTS * BURST));
    }
    free(memory);
}
