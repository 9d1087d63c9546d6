/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/record.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "records are stored as they stand in memory");

const char *fg_journal_record_name(unsigned type)
{
    switch (type) {
#define X(name, number, text)                                                                      \
    case FG_JOURNAL_RECORD_##name:                                                                 \
        return text;
        FG_JOURNAL_RECORD_LIST(X)
#undef X
    default:
        return "?";
    }
}

const char *fg_journal_left_name(uint64_t why)
{
    switch (why) {
#define X(name, number, text)                                                                      \
    case FG_JOURNAL_LEFT_##name:                                                                   \
        return text;
        FG_JOURNAL_LEFT_LIST(X)
#undef X
    default:
        return "?";
    }
}

enum { BEFORE = offsetof(struct fg_journal_record, crc), AFTER = BEFORE + sizeof(uint32_t) };

static uint32_t crc_anywhere(const struct fg_journal_record *record)
{
    uint8_t covered[FG_JOURNAL_RECORD_SIZE - sizeof(record->crc)];

    memcpy(covered, record, BEFORE);
    memcpy(covered + BEFORE, (const uint8_t *)record + AFTER, FG_JOURNAL_RECORD_SIZE - AFTER);
    return fg_crc32c(covered, sizeof(covered));
}

#ifdef __x86_64__
#define SSE42 __attribute__((target("sse4.2")))
#define ABREAST                                                                                    \
    4 /* the instruction takes three cycles, but one begins each cycle: records side by side */
#define WORDS (FG_JOURNAL_RECORD_SIZE / 8)

_Static_assert(BEFORE % 8 == 4 && AFTER % 8 == 0, "the CRC is the second half of a word");

SSE42 static inline uint64_t crc_word(uint64_t crc, const struct fg_journal_record *record,
                                      unsigned at)
{
    uint64_t word;

    memcpy(&word, (const uint8_t *)record + 8 * at, 8);
    return at == BEFORE / 8 ? __builtin_ia32_crc32si((uint32_t)crc, (uint32_t)word)
                            : __builtin_ia32_crc32di(crc, word);
}

SSE42 static uint32_t crc_sse42(const struct fg_journal_record *record)
{
    uint64_t crc = ~0u;

    for (unsigned at = 0; at < WORDS; at++)
        crc = crc_word(crc, record, at);
    return ~(uint32_t)crc;
}

SSE42 static inline void seal_abreast(struct fg_journal_record *r, uint64_t first_seq)
{
    uint64_t crc[ABREAST] = {~0u, ~0u, ~0u, ~0u};

    for (unsigned i = 0; i < ABREAST; i++)
        r[i].seq = first_seq + i;
    for (unsigned at = 0; at < WORDS; at++)
        for (unsigned i = 0; i < ABREAST; i++)
            crc[i] = crc_word(crc[i], &r[i], at);
    for (unsigned i = 0; i < ABREAST; i++)
        r[i].crc = ~(uint32_t)crc[i];
}

/* How many it sealed: all but the last few. */
SSE42 static size_t seal_sse42(struct fg_journal_record *records, size_t n, uint64_t first_seq)
{
    size_t done = 0;

    for (; n - done >= ABREAST; done += ABREAST)
        seal_abreast(&records[done], first_seq + done);
    return done;
}
#endif

uint32_t fg_journal_record_crc(const struct fg_journal_record *record)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return crc_sse42(record);
#endif
    return crc_anywhere(record);
}

uint32_t fg_journal_record_shared_crc(const struct fg_journal_record *record)
{
    struct fg_journal_record shared = *record;

    if (record->type != FG_JOURNAL_RECORD_BATCH || record->user == 0)
        return record->crc;
    shared.item = shared.arg = 0;
    return fg_journal_record_crc(&shared);
}

void fg_journal_record_seal(struct fg_journal_record *records, size_t n, uint64_t first_seq)
{
    size_t i = 0;

#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        i = seal_sse42(records, n, first_seq);
#endif
    for (; i < n; i++) {
        records[i].seq = first_seq + i;
        records[i].crc = fg_journal_record_crc(&records[i]);
    }
}
