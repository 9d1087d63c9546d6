/* SPDX-License-Identifier: BSD-3-Clause */
#include "pair/wire.h"

#include <string.h>

#include "base/bytes.h"
#include "base/text.h"

#define MAGIC   0x52504746u /* "FGPR" */
#define VERSION 1

/* header: 0 magic, 4 version, 5 type, 6 zero, 8 size, 12 CRC, 16 epoch, 24 count, 28 zero */
enum { AT_MAGIC, AT_VERSION = 4, AT_TYPE, AT_ZERO, AT_SIZE = 8, AT_CRC = 12, AT_EPOCH = 16 };
enum { AT_COUNT = 24, AT_ZERO_2 = 28 };

struct shape {
    const char *name;
    unsigned words, entry, entries_max;
};

static const struct shape shapes[] = {
#define X(name, number, words, entry, max) [number] = {#name, words, entry, max},
    FG_PAIR_MESSAGE_LIST(X)
#undef X
};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

const char *fg_pair_type_name(unsigned type)
{
    return type < SHAPES && shapes[type].name ? shapes[type].name : "?";
}

static const struct shape *shape_of(const uint8_t *bytes)
{
    unsigned type = bytes[AT_TYPE];

    if (fg_bytes_get(bytes + AT_MAGIC, 4) != MAGIC || bytes[AT_VERSION] != VERSION ||
        type >= SHAPES || !shapes[type].name)
        return NULL;
    return &shapes[type];
}

size_t fg_pair_message_size(const uint8_t bytes[FG_PAIR_HEADER_SIZE])
{
    const struct shape *shape = shape_of(bytes);
    uint64_t count = fg_bytes_get(bytes + AT_COUNT, 4), size;

    if (!shape || count > shape->entries_max)
        return 0;
    size = FG_PAIR_HEADER_SIZE + 8 * shape->words + count * shape->entry;
    return size == fg_bytes_get(bytes + AT_SIZE, 4) ? size : 0;
}

/* Of header and words. The tail has checks of its own: each record its CRC, epochs must rise. */
static uint32_t crc_of(const uint8_t *bytes, size_t head)
{
    uint8_t copy[FG_PAIR_HEAD_MAX];

    memcpy(copy, bytes, head);
    fg_bytes_put(copy + AT_CRC, 4, 0);
    return fg_crc32c(copy, head);
}

bool fg_pair_message_read(struct fg_pair_message *m, const uint8_t *bytes, size_t size,
                          struct fg_error *err)
{
    const struct shape *shape;
    size_t head;

    if (size < FG_PAIR_HEADER_SIZE || !(shape = shape_of(bytes)))
        return fg_fail(err, "not a message of a pair");
    if (fg_pair_message_size(bytes) != size)
        return fg_fail(err, "%s of the wrong size", shape->name);
    head = FG_PAIR_HEADER_SIZE + 8 * shape->words;
    if (fg_bytes_get(bytes + AT_CRC, 4) != crc_of(bytes, head))
        return fg_fail(err, "%s with a wrong CRC", shape->name);
    if (fg_bytes_get(bytes + AT_ZERO, 2) || fg_bytes_get(bytes + AT_ZERO_2, 4))
        return fg_fail(err, "%s with unknown flags", shape->name);
    *m = (struct fg_pair_message){.type = bytes[AT_TYPE],
                                  .epoch = fg_bytes_get(bytes + AT_EPOCH, 8)};
    for (unsigned i = 0; i < shape->words; i++)
        m->word[i] = fg_bytes_get(bytes + FG_PAIR_HEADER_SIZE + (size_t)8 * i, 8);
    m->count = (uint32_t)fg_bytes_get(bytes + AT_COUNT, 4);
    m->tail = bytes + head;
    return true;
}

size_t fg_pair_message_write(const struct fg_pair_message *m, uint8_t bytes[FG_PAIR_HEAD_MAX])
{
    const struct shape *shape = &shapes[m->type];
    size_t head = FG_PAIR_HEADER_SIZE + (size_t)8 * shape->words;

    FG_ASSERT(m->type < SHAPES && shape->name && m->count <= shape->entries_max);
    memset(bytes, 0, head);
    fg_bytes_put(bytes + AT_MAGIC, 4, MAGIC);
    bytes[AT_VERSION] = VERSION;
    bytes[AT_TYPE] = m->type;
    fg_bytes_put(bytes + AT_SIZE, 4, head + (size_t)m->count * shape->entry);
    fg_bytes_put(bytes + AT_EPOCH, 8, m->epoch);
    fg_bytes_put(bytes + AT_COUNT, 4, m->count);
    for (unsigned i = 0; i < shape->words; i++)
        fg_bytes_put(bytes + FG_PAIR_HEADER_SIZE + (size_t)8 * i, 8, m->word[i]);
    fg_bytes_put(bytes + AT_CRC, 4, fg_crc32c(bytes, head));
    return head;
}

struct fg_pair_epoch fg_pair_epoch_read(const uint8_t *tail, size_t index)
{
    const uint8_t *at = tail + index * FG_PAIR_EPOCH_SIZE;

    return (struct fg_pair_epoch){.epoch = fg_bytes_get(at, 8), .first = fg_bytes_get(at + 8, 8)};
}

void fg_pair_epoch_write(const struct fg_pair_epoch *epoch, uint8_t bytes[FG_PAIR_EPOCH_SIZE])
{
    fg_bytes_put(bytes, 8, epoch->epoch);
    fg_bytes_put(bytes + 8, 8, epoch->first);
}

/* ---- lists of epochs ------------------------------------------------------------------------- */

uint64_t fg_pair_epoch_of(const struct fg_pair_epoch *list, size_t len, uint64_t seq)
{
    while (len > 0 && list[len - 1].first > seq)
        len--;
    return len > 0 ? list[len - 1].epoch : 0;
}

bool fg_pair_epochs_are_sane(const struct fg_pair_epoch *list, size_t len)
{
    struct fg_pair_epoch before = {0, 0};

    for (size_t i = 0; i < len; before = list[i++])
        if (list[i].epoch <= before.epoch || list[i].first <= before.first)
            return false;
    return len <= FG_PAIR_EPOCHS_MAX;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Last record of the entry before list[i]. */
static uint64_t end_before(const struct fg_pair_epoch *list, size_t len, size_t i, uint64_t last)
{
    return i < len ? smaller(list[i].first - 1, last) : last;
}

bool fg_pair_common(const struct fg_pair_epoch *a, size_t a_len, uint64_t a_last,
                    const struct fg_pair_epoch *b, size_t b_len, uint64_t b_last, uint64_t *common)
{
    bool whole = a_len < FG_PAIR_EPOCHS_MAX && b_len < FG_PAIR_EPOCHS_MAX;

    /* the newest entry that both have: an epoch has one writer, so all before it is the same */
    for (size_t i = a_len; i-- > 0;)
        for (size_t j = b_len; j-- > 0;)
            if (a[i].epoch == b[j].epoch && a[i].first == b[j].first) {
                *common = smaller(end_before(a, a_len, i + 1, a_last),
                                  end_before(b, b_len, j + 1, b_last));
                return true;
            }
    *common = smaller(end_before(a, a_len, 0, a_last), end_before(b, b_len, 0, b_last));
    return whole; /* epoch 0: the log of one appliance, before it had a pair */
}

/* ---- values at the arbiter ------------------------------------------------------------------- */

/* A line of text, for the person who asks etcd: words in this order, numbers decimal, ids hex. */
#define REGISTER_FORMAT                                                                            \
    "floodgate-pair 1 epoch %llu leader %u mode %4[a-z] log %16[0-9a-f] floor %llu %llu nonce "    \
    "%32[0-9a-f]%n"
#define FLOOR_FORMAT "floodgate-floor 1 log %16[0-9a-f] epoch %llu seq %llu%n"

typedef unsigned long long ull;

static bool log_read(const char *text, uint64_t *log)
{
    uint8_t bytes[8];

    if (!fg_text_hex_read(text, bytes, sizeof(bytes)))
        return false;
    *log = 0;
    for (unsigned i = 0; i < sizeof(bytes); i++)
        *log = *log << 8 | bytes[i];
    return *log != 0;
}

size_t fg_pair_register_write(const struct fg_pair_register *r, char text[FG_PAIR_TEXT_MAX])
{
    char nonce[2 * FG_PAIR_NONCE_SIZE + 1];
    int len;

    fg_text_hex(nonce, r->nonce, sizeof(r->nonce));
    len = snprintf(text, FG_PAIR_TEXT_MAX,
                   "floodgate-pair 1 epoch %llu leader %u mode %s log %016llx floor %llu %llu "
                   "nonce %s",
                   (ull)r->epoch, r->leader, r->sync ? "sync" : "solo", (ull)r->log,
                   (ull)r->floor.epoch, (ull)r->floor.seq, nonce);
    FG_ASSERT(len > 0 && len < FG_PAIR_TEXT_MAX);
    return (size_t)len;
}

/* What is written from what was read must be the same text: no sign, space or overflow passes. */
bool fg_pair_register_read(struct fg_pair_register *r, const char *text)
{
    char mode[5], log[17], nonce[2 * FG_PAIR_NONCE_SIZE + 1], again[FG_PAIR_TEXT_MAX];
    ull epoch, floor_epoch, floor_seq;
    int end = 0;

    *r = (struct fg_pair_register){0};
    if (sscanf(text, REGISTER_FORMAT, &epoch, &r->leader, mode, log, &floor_epoch, &floor_seq,
               nonce, &end) != 7 ||
        text[end] || r->leader > 1 || !log_read(log, &r->log) ||
        !fg_text_hex_read(nonce, r->nonce, sizeof(r->nonce)))
        return false;
    r->epoch = epoch;
    r->sync = strcmp(mode, "sync") == 0;
    r->floor = (struct fg_pair_floor){floor_epoch, floor_seq};
    fg_pair_register_write(r, again);
    return strcmp(text, again) == 0;
}

size_t fg_pair_floor_write(const struct fg_pair_floor *f, uint64_t log, char text[FG_PAIR_TEXT_MAX])
{
    int len = snprintf(text, FG_PAIR_TEXT_MAX, "floodgate-floor 1 log %016llx epoch %llu seq %llu",
                       (ull)log, (ull)f->epoch, (ull)f->seq);

    FG_ASSERT(len > 0 && len < FG_PAIR_TEXT_MAX);
    return (size_t)len;
}

bool fg_pair_floor_read(struct fg_pair_floor *f, uint64_t *log, const char *text)
{
    char hex[17], again[FG_PAIR_TEXT_MAX];
    ull epoch, seq;
    int end = 0;

    if (sscanf(text, FLOOR_FORMAT, hex, &epoch, &seq, &end) != 3 || text[end] ||
        !log_read(hex, log))
        return false;
    *f = (struct fg_pair_floor){epoch, seq};
    fg_pair_floor_write(f, *log, again);
    return strcmp(text, again) == 0;
}
