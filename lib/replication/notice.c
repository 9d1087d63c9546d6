/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/notice.h"

#include <string.h>

#include "base/bytes.h"

#define MAGIC   0x4c504746u /* "FGPL" */
#define VERSION 1

/* header: 0 magic, 4 version, 5 type, 6 zero, 8 size, 12 CRC */
enum { AT_MAGIC, AT_VERSION = 4, AT_TYPE, AT_ZERO, AT_SIZE = 8, AT_CRC = 12 };
/* TERMS: node, keys, config, number of limits; then the limits: name, value */
enum { AT_NODE = 16, AT_KEYS = 24, AT_CONFIG = 32, AT_COUNT = 40, AT_LIMITS = 48 };
#define NAME_SIZE  sizeof(((struct fg_replication_limit *)0)->name)
#define AT_PASSED  16
#define PASSED_END 24
/* OFFER, GET, PIECE: file, version, bytes; PIECE, and GET when it is not 0: offset */
enum { AT_FILE = 16, AT_FILE_VERSION = 24, AT_BYTES = 32, FILE_END = 40, AT_OFFSET = 40 };
#define OFFSET_END (AT_OFFSET + 8)

_Static_assert(NAME_SIZE + 8 == FG_REPLICATION_LIMIT_SIZE, "size of a limit");
_Static_assert(OFFSET_END == FG_REPLICATION_PIECE_HEAD, "head of a piece");
_Static_assert(FG_REPLICATION_INBOX_SIZE > 3 * FG_PAIR_MESSAGE_MAX, "room for messages");

static uint32_t crc_of(const uint8_t *bytes, size_t size)
{
    uint8_t copy[FG_REPLICATION_NOTICE_MAX];

    memcpy(copy, bytes, size);
    fg_bytes_put(copy + AT_CRC, 4, 0);
    return fg_crc32c(copy, size);
}

size_t fg_replication_piece_size(uint64_t bytes)
{
    return FG_REPLICATION_PIECE_HEAD + (bytes + 7) / 8 * 8;
}

static bool is_piece(const uint8_t *bytes)
{
    return bytes[AT_TYPE] == FG_REPLICATION_NOTICE_PIECE;
}

/* Bytes that the CRC covers. */
static size_t covered(const uint8_t *bytes, size_t size)
{
    return is_piece(bytes) ? FG_REPLICATION_PIECE_HEAD : size;
}

static size_t write_file_words(const struct fg_replication_notice *n, uint8_t *bytes)
{
    fg_bytes_put(bytes + AT_FILE, 8, n->file);
    fg_bytes_put(bytes + AT_FILE_VERSION, 8, n->version);
    fg_bytes_put(bytes + AT_BYTES, 8, n->bytes);
    if (n->type == FG_REPLICATION_NOTICE_OFFER ||
        (n->type == FG_REPLICATION_NOTICE_GET && !n->offset))
        return FILE_END;
    fg_bytes_put(bytes + AT_OFFSET, 8, n->offset);
    return n->type == FG_REPLICATION_NOTICE_GET ? OFFSET_END : fg_replication_piece_size(n->bytes);
}

static size_t write_terms(const struct fg_replication_notice *n, uint8_t *bytes)
{
    const struct fg_replication_terms *t = &n->terms;
    size_t size = AT_LIMITS;

    FG_ASSERT(t->limits_len <= FG_REPLICATION_LIMITS_MAX);
    fg_bytes_put(bytes + AT_NODE, 8, n->node);
    fg_bytes_put(bytes + AT_KEYS, 8, t->keys);
    fg_bytes_put(bytes + AT_CONFIG, 8, t->config);
    fg_bytes_put(bytes + AT_COUNT, 8, t->limits_len);
    for (unsigned i = 0; i < t->limits_len; i++, size += FG_REPLICATION_LIMIT_SIZE) {
        memcpy(bytes + size, t->limits[i].name, strnlen(t->limits[i].name, NAME_SIZE - 1));
        fg_bytes_put(bytes + size + NAME_SIZE, 8, t->limits[i].value);
    }
    return size;
}

size_t fg_replication_notice_write(const struct fg_replication_notice *n,
                                   uint8_t bytes[FG_REPLICATION_NOTICE_MAX])
{
    size_t size = PASSED_END;

    memset(bytes, 0, FG_REPLICATION_NOTICE_MAX);
    fg_bytes_put(bytes + AT_MAGIC, 4, MAGIC);
    bytes[AT_VERSION] = VERSION;
    bytes[AT_TYPE] = (uint8_t)n->type;
    if (n->type == FG_REPLICATION_NOTICE_PASSED)
        fg_bytes_put(bytes + AT_PASSED, 8, n->passed);
    else if (n->type == FG_REPLICATION_NOTICE_TERMS)
        size = write_terms(n, bytes);
    else
        size = write_file_words(n, bytes);
    fg_bytes_put(bytes + AT_SIZE, 4, size);
    fg_bytes_put(bytes + AT_CRC, 4, crc_of(bytes, covered(bytes, size)));
    return n->type == FG_REPLICATION_NOTICE_PIECE ? FG_REPLICATION_PIECE_HEAD : size;
}

/* Of the notice that begins here; 0 = none does. */
static size_t notice_size(const uint8_t *bytes)
{
    uint64_t size = fg_bytes_get(bytes + AT_SIZE, 4);

    if (fg_bytes_get(bytes + AT_MAGIC, 4) != MAGIC || bytes[AT_VERSION] != VERSION ||
        fg_bytes_get(bytes + AT_ZERO, 2) != 0)
        return 0;
    switch ((enum fg_replication_notice_type)bytes[AT_TYPE]) {
    case FG_REPLICATION_NOTICE_TERMS:
        return size >= AT_LIMITS && size <= FG_REPLICATION_NOTICE_MAX &&
                       (size - AT_LIMITS) % FG_REPLICATION_LIMIT_SIZE == 0
                   ? size
                   : 0;
    case FG_REPLICATION_NOTICE_PASSED:
        return size == PASSED_END ? size : 0;
    case FG_REPLICATION_NOTICE_OFFER:
        return size == FILE_END ? size : 0;
    case FG_REPLICATION_NOTICE_GET:
        return size == FILE_END || size == OFFSET_END ? size : 0;
    case FG_REPLICATION_NOTICE_PIECE:
        return size % 8 == 0 && size > FG_REPLICATION_PIECE_HEAD &&
                       size <= fg_replication_piece_size(FG_REPLICATION_PIECE_MAX)
                   ? size
                   : 0;
    }
    return 0;
}

static bool read_file_words(struct fg_replication_notice *n, const uint8_t *bytes, size_t size)
{
    uint64_t file = fg_bytes_get(bytes + AT_FILE, 8);

    n->file = (enum fg_replication_file)file;
    n->version = fg_bytes_get(bytes + AT_FILE_VERSION, 8);
    n->bytes = fg_bytes_get(bytes + AT_BYTES, 8);
    if (size > FILE_END)
        n->offset = fg_bytes_get(bytes + AT_OFFSET, 8);
    if (file >= FG_REPLICATION_FILES || !is_piece(bytes)) /* an offset of 0 is not written */
        return file < FG_REPLICATION_FILES && (size == FILE_END || n->offset);
    n->tail = bytes + FG_REPLICATION_PIECE_HEAD;
    return n->bytes && n->bytes <= FG_REPLICATION_PIECE_MAX &&
           fg_replication_piece_size(n->bytes) == size;
}

bool fg_replication_notice_read(struct fg_replication_notice *n, const uint8_t *bytes, size_t size)
{
    struct fg_replication_terms *t = &n->terms;

    *n = (struct fg_replication_notice){0};
    if (size < FG_REPLICATION_NOTICE_HEADER || notice_size(bytes) != size ||
        fg_bytes_get(bytes + AT_CRC, 4) != crc_of(bytes, covered(bytes, size)))
        return false;
    n->type = (enum fg_replication_notice_type)bytes[AT_TYPE];
    if (n->type == FG_REPLICATION_NOTICE_PASSED) {
        n->passed = fg_bytes_get(bytes + AT_PASSED, 8);
        return true;
    }
    if (n->type != FG_REPLICATION_NOTICE_TERMS)
        return read_file_words(n, bytes, size);
    n->node = fg_bytes_get(bytes + AT_NODE, 8);
    t->keys = fg_bytes_get(bytes + AT_KEYS, 8);
    t->config = fg_bytes_get(bytes + AT_CONFIG, 8);
    t->limits_len = (unsigned)((size - AT_LIMITS) / FG_REPLICATION_LIMIT_SIZE);
    for (unsigned i = 0; i < t->limits_len; i++) {
        const uint8_t *from = bytes + AT_LIMITS + (size_t)i * FG_REPLICATION_LIMIT_SIZE;

        memcpy(t->limits[i].name, from, NAME_SIZE);
        t->limits[i].value = fg_bytes_get(from + NAME_SIZE, 8);
        for (unsigned c = 0; c < NAME_SIZE; c++)
            if (from[c] > 126 || (from[c] && from[c] < 33) || from[NAME_SIZE - 1])
                return false;
    }
    return fg_bytes_get(bytes + AT_COUNT, 8) == t->limits_len && n->node <= 1;
}

/* ---- the stream ------------------------------------------------------------------------------ */

uint8_t *fg_replication_inbox_room(struct fg_replication_inbox *in, size_t *size)
{
    if (in->from == in->to) {
        in->from = in->to = 0;
    } else if (FG_REPLICATION_INBOX_SIZE - in->to < FG_PAIR_MESSAGE_MAX && in->from) {
        memmove(in->bytes, in->bytes + in->from, in->to - in->from);
        in->to -= in->from;
        in->from = 0;
    }
    *size = FG_REPLICATION_INBOX_SIZE - in->to;
    return in->bytes + in->to;
}

void fg_replication_inbox_came(struct fg_replication_inbox *in, size_t size)
{
    in->to += size;
    FG_ASSERT(in->to <= FG_REPLICATION_INBOX_SIZE);
}

enum fg_replication_found fg_replication_inbox_first(const struct fg_replication_inbox *in,
                                                     const uint8_t **bytes, size_t *size)
{
    size_t there = in->to - in->from;
    enum fg_replication_found found = FG_REPLICATION_PAIR;

    *bytes = in->bytes + in->from;
    if (there < FG_REPLICATION_NOTICE_HEADER)
        return FG_REPLICATION_NOTHING;
    if (fg_bytes_get(*bytes + AT_MAGIC, 4) == MAGIC) {
        *size = notice_size(*bytes);
        found = FG_REPLICATION_NOTICE;
    } else if (there < FG_PAIR_HEADER_SIZE) {
        return FG_REPLICATION_NOTHING;
    } else {
        *size = fg_pair_message_size(*bytes);
    }
    if (*size == 0)
        return FG_REPLICATION_GARBAGE;
    return there < *size ? FG_REPLICATION_NOTHING : found;
}

void fg_replication_inbox_drop(struct fg_replication_inbox *in, size_t size)
{
    in->from += size;
    FG_ASSERT(in->from <= in->to);
}
