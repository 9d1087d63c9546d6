/* SPDX-License-Identifier: BSD-3-Clause */
#include "arena.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "base/ring.h"

enum {
    SMALL_BYTES = 1 << 18,
    RING_BYTES = 1 << 16,
    LARGE_BYTES = 1 << 24,
    PAGE = 4096,
    LARGE_MIN = 2 * PAGE,
    PAGES_MAX = 64
};

struct section {
    uint8_t *base;
    size_t size, used;
};

static struct section small, rings, large;
static bool for_ring, sealed;
static struct {
    uint8_t *at;
    uint8_t before[PAGE];
} pages[PAGES_MAX];
static volatile unsigned pages_len;

/* Calls that the linker brings here (see meson.build); the names are its own. */
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *p);
void __real_free(void *p);
struct fg_ring *__wrap_fg_ring_create(uint64_t capacity);
struct fg_ring *__real_fg_ring_create(uint64_t capacity);

static void *take(struct section *s, size_t size, size_t alignment)
{
    size_t at = (s->used + alignment - 1) / alignment * alignment;

    FG_ASSERT(!sealed && at + size <= s->size);
    s->used = at + size;
    return s->base + at;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if (size >= LARGE_MIN)
        return take(&large, (size + PAGE - 1) / PAGE * PAGE, PAGE);
    return take(for_ring ? &rings : &small, size, alignment);
}

static bool inside(const struct section *s, const void *p)
{
    return (const uint8_t *)p >= s->base && (const uint8_t *)p < s->base + s->size;
}

void __wrap_free(void *p)
{
    if (!inside(&small, p) && !inside(&rings, p) && !inside(&large, p))
        __real_free(p);
}

struct fg_ring *__wrap_fg_ring_create(uint64_t capacity)
{
    struct fg_ring *r;

    for_ring = true;
    r = __real_fg_ring_create(capacity);
    for_ring = false;
    return r;
}

/* First write to a page: all copies made until now have it as it is. */
static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    uint8_t *page = (uint8_t *)((uintptr_t)info->si_addr / PAGE * PAGE);

    if (!sealed || !inside(&large, page) || pages_len == PAGES_MAX) {
        signal(signal_number, SIG_DFL);
        return;
    }
    pages[pages_len].at = page;
    memcpy(pages[pages_len].before, page, PAGE);
    mprotect(page, PAGE, PROT_READ | PROT_WRITE);
    pages_len++;
}

static void map(struct section *s, size_t size)
{
    s->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FG_ASSERT(s->base != MAP_FAILED);
    s->size = size;
}

void arena_start(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    map(&small, SMALL_BYTES);
    map(&rings, RING_BYTES);
    map(&large, LARGE_BYTES);
    FG_ASSERT(sigaction(SIGSEGV, &action, NULL) == 0);
}

void arena_reset(void)
{
    FG_ASSERT(mprotect(large.base, large.size, PROT_READ | PROT_WRITE) == 0);
    memset(small.base, 0, small.used); /* what lies between two pieces counts for the state */
    small.used = rings.used = large.used = 0;
    pages_len = 0;
    sealed = false;
}

void arena_seal(void)
{
    sealed = true;
    FG_ASSERT(mprotect(large.base, large.size, PROT_READ) == 0);
}

/* ---- copies: number of pages, small pieces, rings, pages */

size_t arena_copy_size(void)
{
    return sizeof(uint64_t) + small.used + rings.used + (size_t)PAGES_MAX * PAGE;
}

void arena_save(uint8_t *copy)
{
    uint64_t n = pages_len;

    memcpy(copy, &n, sizeof(n));
    memcpy(copy += sizeof(n), small.base, small.used);
    memcpy(copy += small.used, rings.base, rings.used);
    copy += rings.used;
    for (unsigned i = 0; i < n; i++, copy += PAGE)
        memcpy(copy, pages[i].at, PAGE);
}

void arena_restore(const uint8_t *copy)
{
    uint64_t n;

    memcpy(&n, copy, sizeof(n));
    memcpy(small.base, copy += sizeof(n), small.used);
    memcpy(rings.base, copy += small.used, rings.used);
    copy += rings.used;
    for (unsigned i = 0; i < pages_len; i++, copy += PAGE)
        memcpy(pages[i].at, i < n ? copy : pages[i].before, PAGE);
}

uint8_t *arena_small(size_t *size)
{
    *size = small.used;
    return small.base;
}

unsigned arena_pages(void)
{
    return pages_len;
}

const uint8_t *arena_page(unsigned i)
{
    return pages[i].at;
}
