/* SPDX-License-Identifier: BSD-3-Clause */
/* As a sequence lock: whoever copies finds out afterwards whether it was overtaken. */
#include "journal/tail.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WORDS (FG_JOURNAL_RECORD_SIZE / sizeof(uint64_t))

struct fg_journal_tail {
    _Atomic uint64_t begin;   /* first sequence that was ever in it */
    _Atomic uint64_t claimed; /* up to here, places may be written just now */
    _Atomic uint64_t last;
    _Atomic uint64_t words[FG_JOURNAL_TAIL_RECORDS][WORDS];
};

struct fg_journal_tail *fg_journal_tail_create(uint64_t last_seq)
{
    struct fg_journal_tail *t = malloc(sizeof(*t));

    if (!t)
        return NULL;
    memset(t, 0, sizeof(*t)); /* touched now, not while a leader commits */
    fg_journal_tail_reset(t, last_seq);
    return t;
}

void fg_journal_tail_destroy(struct fg_journal_tail *t)
{
    free(t);
}

void fg_journal_tail_reset(struct fg_journal_tail *t, uint64_t last_seq)
{
    atomic_store(&t->begin, UINT64_MAX);
    atomic_store(&t->last, last_seq);
    atomic_store(&t->claimed, last_seq);
    atomic_store(&t->begin, last_seq + 1);
}

static void put(struct fg_journal_tail *t, const struct fg_journal_record *r)
{
    _Atomic uint64_t *slot = t->words[r->seq % FG_JOURNAL_TAIL_RECORDS];
    uint64_t words[WORDS];

    memcpy(words, r, sizeof(words));
    for (size_t i = 0; i < WORDS; i++)
        atomic_store_explicit(&slot[i], words[i], memory_order_relaxed);
}

void fg_journal_tail_add(struct fg_journal_tail *t, const struct fg_journal_record *records,
                         size_t n)
{
    uint64_t last = atomic_load_explicit(&t->last, memory_order_relaxed);

    if (n == 0 || records[n - 1].seq <= last)
        return;
    FG_ASSERT(records[0].seq <= last + 1);
    atomic_store_explicit(&t->claimed, records[n - 1].seq, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = (size_t)(last + 1 - records[0].seq); i < n; i++)
        put(t, &records[i]);
    atomic_store_explicit(&t->last, records[n - 1].seq, memory_order_release);
}

uint64_t fg_journal_tail_last(const struct fg_journal_tail *t)
{
    return atomic_load_explicit(&t->last, memory_order_acquire);
}

size_t fg_journal_tail_read(const struct fg_journal_tail *t, uint64_t first,
                            struct fg_journal_record *records, size_t max)
{
    uint64_t last = fg_journal_tail_last(t);
    size_t n;

    if (first < atomic_load(&t->begin) || first > last || last - first >= FG_JOURNAL_TAIL_RECORDS)
        return 0;
    n = last - first + 1 < max ? (size_t)(last - first + 1) : max;
    for (size_t i = 0; i < n; i++) {
        const _Atomic uint64_t *slot = t->words[(first + i) % FG_JOURNAL_TAIL_RECORDS];
        uint64_t words[WORDS];

        for (size_t k = 0; k < WORDS; k++)
            words[k] = atomic_load_explicit(&slot[k], memory_order_relaxed);
        memcpy(&records[i], words, sizeof(words));
    }
    atomic_thread_fence(memory_order_acquire);
    if (first < atomic_load(&t->begin) ||
        atomic_load_explicit(&t->claimed, memory_order_relaxed) >= first + FG_JOURNAL_TAIL_RECORDS)
        return 0;
    return n;
}
