/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The verdict of the filter, in its user-space build, on any frame. Input: four bytes of settings
 * (switches, length of the listed prefix, order port), then the frame. The prefix listed is the
 * frame's own source, read here by other code than the filter's.
 */
#include <sys/syscall.h>

#include "filter/internal.h"

#include "fuzz.h"

enum { MONITOR = 1, RATES = 2, ALLOW = 4, HEAD = 4 };

#define SEED UINT64_C(0x5eed)
#define NOW  (1000 * UINT64_C(1000000000))

static struct fg_filter *filter;

/* A change of the lists waits for readers by membarrier, for milliseconds; the only thread here
 * reads nothing then. */
long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    return number == SYS_membarrier ? 0 : __real_syscall(number, a, b, c, d, e, f);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct fg_error err;

    filter = calloc(1, sizeof(*filter));
    FG_FUZZ_CHECK(filter);
    filter->worker_counts = calloc(FG_WORKERS_MAX, sizeof(*filter->worker_counts));
    filter->rings = aligned_alloc(FG_CACHE_LINE, FG_WORKERS_MAX * sizeof(*filter->rings));
    fg_filter_sizes_of(4, 16, &filter->sizes);
    FG_FUZZ_CHECK(filter->worker_counts && filter->rings &&
                  fg_filter_mapping_make(&filter->memory, &filter->sizes, &err));
    memset(filter->rings, 0, FG_WORKERS_MAX * sizeof(*filter->rings));
    fg_filter_state_start(filter->memory.state, &filter->sizes, SEED);
    return 0;
}

/* Nothing listed, no source known, no rate. */
static void fresh(const uint8_t *settings)
{
    const struct fg_filter_rate rate = {FG_FILTER_TICKS_SECOND, FG_FILTER_TICKS_SECOND},
                                net = {FG_FILTER_TICKS_SECOND, 2 * FG_FILTER_TICKS_SECOND};
    struct fg_filter_tunables *tune = &filter->tune;
    struct fg_filter_live *live = &filter->live;

    memset(filter->memory.rows, 0, filter->sizes.rows * sizeof(*filter->memory.rows));
    memset(filter->memory.state, 0, sizeof(*filter->memory.state));
    fg_filter_state_start(filter->memory.state, &filter->sizes, SEED);
    memset(filter->memory.sets, 0, filter->sizes.sets * sizeof(*filter->memory.sets));
    memset(filter->memory.nets, 0, filter->sizes.nets * sizeof(*filter->memory.nets));
    *tune = (struct fg_filter_tunables){.v6_mask = UINT64_MAX << 8,
                                        .sample_interval = FG_FILTER_TICKS_SECOND};
    *live = (struct fg_filter_live){.idle_new = 15, .idle_known = 900};
    tune->sets_mask = filter->sizes.sets - 1;
    tune->nets_mask = filter->sizes.nets - 1;
    memcpy(&tune->order_port, settings + 2, sizeof(tune->order_port));
    live->monitor = settings[0] & MONITOR;
    for (unsigned i = 0; settings[0] & RATES && i < FG_FILTER_CLASSES; i++)
        live->source[i] = rate, live->net[i] = net;
}

static void list_add(const struct fg_filter_listed *entry, enum fg_filter_list list)
{
    struct fg_filter_listed listed = *entry;
    struct fg_filter_generation g;

    listed.kind |= (uint32_t)list << 16;
    fg_filter_generation_open(&filter->memory, &g);
    FG_FUZZ_CHECK(fg_filter_generation_add(&g, SEED, &listed));
    fg_filter_generation_keep(&filter->memory, &g);
}

static void list_del(const struct fg_filter_listed *entry, enum fg_filter_list list)
{
    struct fg_filter_listed listed = *entry, *there;
    struct fg_filter_generation g;

    listed.kind |= (uint32_t)list << 16;
    fg_filter_generation_open(&filter->memory, &g);
    there = fg_filter_generation_find(&g, SEED, &listed);
    FG_FUZZ_CHECK(there);
    fg_filter_generation_del(&g, SEED, there);
    fg_filter_generation_keep(&filter->memory, &g);
}

#ifdef FG_FUZZ_CANARY
static bool is_v6_fragment(const uint8_t *f, size_t len)
{
    return len > 20 && f[12] == 0x86 && f[20] == 44;
}
#endif

static enum fg_filter_verdict verdict_of(const uint8_t *frame, size_t len)
{
    struct fg_filter_count before[FG_FILTER_COUNTS];
    enum fg_filter_verdict verdict;
    bool drop, passes;

    memcpy(before, filter->worker_counts[0], sizeof(before));
    verdict = fg_filter_verdict_of_frame(filter, 0, frame, (uint32_t)len, NOW, &drop);
    FG_FUZZ_CHECK((unsigned)verdict < FG_FILTER_VERDICT_COUNT &&
                  verdict != FG_FILTER_VERDICT_NO_SOCKET);
    for (unsigned i = 0; i < FG_FILTER_VERDICT_COUNT; i++)
        FG_FUZZ_CHECK(filter->worker_counts[0][i].packets ==
                      before[i].packets + (i == (unsigned)verdict));
    passes = verdict == FG_FILTER_VERDICT_ORDER || verdict == FG_FILTER_VERDICT_PASS ||
             verdict == FG_FILTER_VERDICT_FOREIGN;
    FG_FUZZ_CHECK(drop == (!passes && !filter->live.monitor));
#ifdef FG_FUZZ_CANARY /* a block list that IPv6 fragments slip by: the fuzzer has to find it */
    if (verdict == FG_FILTER_VERDICT_BLOCKED && is_v6_fragment(frame, len))
        verdict = FG_FILTER_VERDICT_PASS;
#endif
    return verdict;
}

/* The source of an IP packet behind at most two tags, but for neighbour discovery; false: there is
 * none to list. */
static bool source_of(const uint8_t *f, size_t len, uint8_t prefix, struct fg_filter_listed *entry)
{
    size_t at = 12, bytes;
    uint64_t word[2] = {0};
    bool v4;

    for (int i = 0; i < 2 && len >= at + 6 &&
                    ((f[at] == 0x81 && !f[at + 1]) || (f[at] == 0x88 && f[at + 1] == 0xa8));
         i++)
        at += 4;
    v4 = len >= at + 22 && f[at] == 0x08 && f[at + 1] == 0;
    if (!v4 && !(len >= at + 42 && f[at] == 0x86 && f[at + 1] == 0xdd))
        return false;
    f += at + 2;
    if (!v4 && f[6] == 58 && f[7] == 255 && len > at + 42 && f[40] >= 133 && f[40] <= 137)
        return false;
    bytes = v4 ? 4 : 16;
    prefix %= bytes * 8 + 1;
    for (size_t i = 0; i < prefix; i++) {
        uint64_t bit = f[(v4 ? 12 : 8) + i / 8] >> (7 - i % 8) & 1;

        word[i / 64] |= bit << (63 - i % 64);
    }
    *entry = (struct fg_filter_listed){
        .hi = word[0], .lo = word[1], .kind = FG_FILTER_ENTRY_KIND(0, v4 ? 4 : 6, prefix)};
    return true;
}

static bool is_rate(enum fg_filter_verdict verdict)
{
    return verdict >= FG_FILTER_VERDICT_RATE_ORDER && verdict <= FG_FILTER_VERDICT_RATE_NET;
}

/* `plain`: the verdict with nothing listed and full buckets. What is wrong before the source is
 * known, or with it, is wrong first. */
static void check_lists(const uint8_t *settings, const uint8_t *frame, size_t len,
                        enum fg_filter_verdict plain)
{
    bool first = plain == FG_FILTER_VERDICT_BAD_ETHERNET || plain == FG_FILTER_VERDICT_BAD_IPV4 ||
                 plain == FG_FILTER_VERDICT_BAD_IPV6 || plain == FG_FILTER_VERDICT_BAD_SOURCE;
    enum fg_filter_verdict blocked = first ? plain : FG_FILTER_VERDICT_BLOCKED;
    struct fg_filter_listed entry;

    if (!source_of(frame, len, settings[1], &entry))
        return;
    fresh(settings);
    list_add(&entry, FG_FILTER_LIST_BLOCK);
    FG_FUZZ_CHECK(verdict_of(frame, len) == blocked);
    if (settings[0] & ALLOW) {
        list_add(&entry, FG_FILTER_LIST_ALLOW);
        for (int i = 0; i < 3; i++) /* beyond any burst: who is allowed has no rate */
            FG_FUZZ_CHECK(verdict_of(frame, len) == plain);
        list_del(&entry, FG_FILTER_LIST_ALLOW);
        FG_FUZZ_CHECK(verdict_of(frame, len) == blocked);
    }
    list_del(&entry, FG_FILTER_LIST_BLOCK);
    FG_FUZZ_CHECK(verdict_of(frame, len) == plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum fg_filter_verdict first, again;
    uint8_t *frame;
    size_t len;

    if (size < HEAD || size > 2048)
        return 0;
    len = size - HEAD;
    frame = fuzz_copy(data + HEAD, len);
    fresh(data);
    first = verdict_of(frame, len);
    FG_FUZZ_CHECK(first != FG_FILTER_VERDICT_BLOCKED && !is_rate(first));
    again = verdict_of(frame, len); /* of the same source at once: the same, or over its rate */
    FG_FUZZ_CHECK(again == first || (is_rate(again) && data[0] & RATES));
    fresh(data);
    FG_FUZZ_CHECK(verdict_of(frame, len) == first);
    FG_FUZZ_CHECK(memcmp(frame, data + HEAD, len) == 0);
    check_lists(data, frame, len, first);
    free(frame);
    return 0;
}
