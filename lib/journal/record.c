/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/record.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are stored as they stand in memory");

const char *fg_record_name(unsigned type)
{
    switch (type) {
#define X(name, number, text)                                                                                \
    case FG_REC_##name:                                                                                      \
        return text;
        FG_RECORD_LIST(X)
#undef X
    default:
        return "?";
    }
}

uint32_t fg_record_crc(const struct fg_record *record)
{
    enum { BEFORE = offsetof(struct fg_record, crc), AFTER = BEFORE + sizeof(record->crc) };
    uint8_t covered[FG_RECORD_SIZE - sizeof(record->crc)];

    memcpy(covered, record, BEFORE);
    memcpy(covered + BEFORE, (const uint8_t *)record + AFTER, FG_RECORD_SIZE - AFTER);
    return fg_crc32c(covered, sizeof(covered));
}
