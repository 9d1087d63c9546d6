/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * snapshot_format: how a snapshot lies on disk. A header; blocks of entries, epochs of a pair
 * first, then waiting lists, what a fleet leased and returned, items, denied users, orders; one
 * empty block that ends it. Each block names the CRC of what comes before it (of the block before,
 * the first one of the header), and its own CRC covers that, so that the last one covers the file.
 * Little-endian, fixed width.
 */
#ifndef FG_LEDGER_SNAPSHOT_FORMAT_H
#define FG_LEDGER_SNAPSHOT_FORMAT_H

#include "ledger/ledger.h"

#define FG_LEDGER_SNAPSHOT_MAGIC       0x31534e5044474646ull /* "FFGDPNS1" */
#define FG_LEDGER_SNAPSHOT_VERSION     2
#define FG_LEDGER_SNAPSHOT_EPOCHAL     3 /**< version of one with epochs, which only a pair has */
#define FG_LEDGER_SNAPSHOT_BLOCK_BYTES (1u << 20) /**< most bytes of entries in a block */

struct fg_ledger_snapshot_header {
    uint64_t magic;
    uint32_t version;
    uint32_t crc; /**< CRC32C of the header with crc = 0 */
    uint64_t appliance_id;
    uint64_t seq;
    uint64_t created_ms;
    uint64_t items, denied, orders; /**< entries of each kind */
};
_Static_assert(sizeof(struct fg_ledger_snapshot_header) == 64, "snapshot header layout");

enum fg_ledger_snapshot_kind {
    FG_LEDGER_SNAPSHOT_EPOCHS = 0, /**< as the journal has them; at most FG_JOURNAL_EPOCHS_MAX */
    FG_LEDGER_SNAPSHOT_LINES = 5,  /**< of items that have, or had, a waiting list: behind EPOCHS */
    FG_LEDGER_SNAPSHOT_FLEETS = 6, /**< of items that were leased or returned: behind LINES */
    FG_LEDGER_SNAPSHOT_ITEMS = 1,
    FG_LEDGER_SNAPSHOT_DENIED = 2, /**< entries are user numbers, 8 bytes */
    FG_LEDGER_SNAPSHOT_ORDERS = 3,
    FG_LEDGER_SNAPSHOT_END = 4 /**< no entries; the file ends behind it */
};
#define FG_LEDGER_SNAPSHOT_KINDS 7

struct fg_ledger_snapshot_block {
    uint32_t before; /**< CRC of the block before, or of the header */
    uint32_t kind;
    uint32_t bytes; /**< of entries, behind this */
    uint32_t crc;   /**< CRC32C of this with crc = 0, and of the entries */
};
_Static_assert(sizeof(struct fg_ledger_snapshot_block) == 16, "snapshot block layout");

struct fg_ledger_snapshot_item {
    uint64_t item;
    uint64_t opens_ms, closes_ms;
    uint64_t total, available, reserved, sold, refunded;
    uint64_t orders_reserved, orders_sold, orders_cancelled, orders_expired, orders_refunded,
        orders_late;
    uint32_t hold_ms, user_limit;
    uint16_t order_max, flags;
    uint32_t index; /**< order of definition, from 0 */
    uint8_t name[FG_JOURNAL_ITEM_NAME_MAX];
};
_Static_assert(sizeof(struct fg_ledger_snapshot_item) == 160, "snapshot item layout");

struct fg_ledger_snapshot_line {
    uint32_t index; /**< of the item; they come in this order */
    uint32_t line_max, claim_ms, wait_ttl_ms, line_flags;
    uint32_t reserved;
    uint64_t tickets, waiting;
};
_Static_assert(sizeof(struct fg_ledger_snapshot_line) == 40, "snapshot line layout");

struct fg_ledger_snapshot_fleet {
    uint32_t index; /**< of the item; they come in this order */
    uint32_t reserved;
    uint64_t leased, leases, returned, returns;
};
_Static_assert(sizeof(struct fg_ledger_snapshot_fleet) == 40, "snapshot fleet layout");

/* an order lies there as the ledger has it */
_Static_assert(sizeof(struct fg_ledger_order) == 56, "snapshot order layout");
_Static_assert(offsetof(struct fg_ledger_order, user) == 16 &&
                   offsetof(struct fg_ledger_order, item) == 24 &&
                   offsetof(struct fg_ledger_order, deadline_ms) == 32 &&
                   offsetof(struct fg_ledger_order, changed_ms) == 40 &&
                   offsetof(struct fg_ledger_order, quantity) == 52,
               "snapshot order layout");

_Static_assert(sizeof(struct fg_journal_epoch) == 16, "snapshot epoch layout");
_Static_assert(FG_JOURNAL_EPOCHS_MAX * sizeof(struct fg_journal_epoch) <=
                   FG_LEDGER_SNAPSHOT_BLOCK_BYTES,
               "one block of epochs");

static inline bool fg_ledger_snapshot_known(uint32_t version)
{
    return version == FG_LEDGER_SNAPSHOT_VERSION || version == FG_LEDGER_SNAPSHOT_EPOCHAL;
}

/** Blocks of the kinds come in this order. */
static inline unsigned fg_ledger_snapshot_rank(uint32_t kind)
{
    return kind == FG_LEDGER_SNAPSHOT_EPOCHS   ? 0
           : kind == FG_LEDGER_SNAPSHOT_LINES  ? 1
           : kind == FG_LEDGER_SNAPSHOT_FLEETS ? 2
                                               : kind + 2;
}

/** Bytes of one entry; 0 when there is no such kind. */
static inline size_t fg_ledger_snapshot_entry(uint32_t kind)
{
    return kind == FG_LEDGER_SNAPSHOT_LINES    ? sizeof(struct fg_ledger_snapshot_line)
           : kind == FG_LEDGER_SNAPSHOT_FLEETS ? sizeof(struct fg_ledger_snapshot_fleet)
           : kind == FG_LEDGER_SNAPSHOT_ITEMS  ? sizeof(struct fg_ledger_snapshot_item)
           : kind == FG_LEDGER_SNAPSHOT_DENIED ? sizeof(uint64_t)
           : kind == FG_LEDGER_SNAPSHOT_ORDERS ? sizeof(struct fg_ledger_order)
           : kind == FG_LEDGER_SNAPSHOT_EPOCHS ? sizeof(struct fg_journal_epoch)
                                               : 0;
}

static inline uint32_t fg_ledger_snapshot_header_crc(const struct fg_ledger_snapshot_header *header)
{
    struct fg_ledger_snapshot_header copy = *header;

    copy.crc = 0;
    return fg_crc32c(&copy, sizeof(copy));
}

struct fg_journal_file_ops;
struct fg_ledger_snapshot_info;
struct fg_snapshot_reader;

/** fg_ledger_snapshot_write() and fg_ledger_snapshot_keep() on another file system, for tests. */
bool fg_ledger_snapshot_write_on(const struct fg_journal_file_ops *ops,
                                 const struct fg_ledger *ledger, const char *dir,
                                 uint64_t appliance_id, uint64_t now_ms, struct fg_error *err);
bool fg_ledger_snapshot_keep_on(const struct fg_journal_file_ops *ops, const char *dir,
                                uint64_t newest_seq, uint64_t older_seq, struct fg_error *err);

/** A reader that has verified no more than the header, for who throws away what it gave when more
 * is bad. */
struct fg_snapshot_reader *fg_ledger_snapshot_open_quick(const char *dir, uint64_t seq,
                                                         struct fg_ledger_snapshot_info *info,
                                                         struct fg_error *err);

#endif
