/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * record: one decision, 64 bytes, as it stands in the log. The only definition of it: engine,
 * journal, ledger, sinks and auditor include this header. Little-endian, fixed width, no padding.
 */
#ifndef FG_JOURNAL_RECORD_H
#define FG_JOURNAL_RECORD_H

#include "base/base.h"

#define FG_JOURNAL_RECORD_SIZE   64
#define FG_JOURNAL_ITEM_NAME_MAX 32         /**< bytes of UTF-8, no terminator when full */
#define FG_JOURNAL_UNITS_MAX     2000000000 /**< units of one item */
#define FG_JOURNAL_ITEM_PAUSED   1u         /**< flag of ITEM_SET */
#define FG_JOURNAL_ITEM_RETIRED  2u         /**< flag of ITEM_SET: not listed any more */
#define FG_JOURNAL_LINE_ONE_UNIT 1u         /**< flag of LINE_SET: nobody waits for more */
#define FG_JOURNAL_LINE_LOTTERY  2u /**< flag of LINE_SET: a draw at the opening; DRAWN ends it */

/* name, number, name in text. What each one means to available/reserved/sold of its item:
 * lib/ledger. */
#define FG_JOURNAL_RECORD_LIST(X)                                                                          \
    X(BATCH, 1,                                                                                            \
      "batch")                 /* first of each commit: `arg` = sequence known durable when it was         \
                                  written; `item`       = 0, or of a pair: 1 + sequence known committed */ \
    X(RESERVED, 2, "reserved") /* available -> reserved; `arg` = deadline, Unix ms */                      \
    X(SOLD, 3, "sold")         /* reserved -> sold */                                                      \
    X(CANCELLED, 4, "cancelled") /* reserved -> available */                                               \
    X(EXPIRED, 5, "expired")     /* reserved -> available */                                               \
    X(ITEM_SET, 6, "item-set")   /* defines or changes an item (not its units) */                          \
    X(ITEM_NAME, 7, "item-name")                                                                           \
    X(EXTENDED, 9, "extended") /* still reserved; `arg` = new deadline, Unix ms */                         \
    X(USER, 10, "user")        /* `arg` = 1: `user` may reserve nothing; 0: again as everybody */          \
    X(STOCK, 8, "stock")       /* `arg` (signed) units added to total and available */                     \
    X(SOLD_LATE, 11, "sold-late") /* available -> sold: an expired order was paid after all */             \
    X(CLOSED, 12, "closed")       /* an expired order is cancelled: it cannot be paid any more */          \
    X(REFUNDED, 13, "refunded")   /* sold -> available (`arg` 1) or out of the sale (0) */                 \
    X(WAITING, 14, "waiting")     /* the order is in the line; `arg` = ticket; no units move */            \
    X(OFFERED, 15, "offered")     /* available -> reserved; `arg` = deadline, Unix ms */                   \
    X(EPOCH, 16, "epoch")         /* of a pair: what follows, this commit included, was written            \
                                     under epoch `item` by node `user`; `order_id` = nonce */              \
    X(LEFT, 17, "left")           /* left the line; `arg`: why; no units move */                           \
    X(LINE_SET, 18, "line-set")   /* settings of the item's waiting list */                                \
    X(LEASE, 19, "lease")     /* of a fleet: units added to total and available, from the pool */          \
    X(RETURN, 20, "return")   /* of a fleet: units taken from both, given to the pool */                   \
    X(LOTTERY, 21, "lottery") /* `name` = SHA-256 of the seed of the item's draw */                        \
    X(DRAWN, 22, "drawn")     /* all who wait get new tickets; `order_id` = the seed, `user` =             \
                                 orders, `arg` = tickets given before (lib/ledger/draw.h) */
#define FG_JOURNAL_RECORD_LAST FG_JOURNAL_RECORD_DRAWN

/* Why an order left the line: number, name in text. */
#define FG_JOURNAL_LEFT_LIST(X)                                                                    \
    X(CANCELLED, 1, "cancelled")                                                                   \
    X(ABSENT, 2, "absent")                                                                         \
    X(DENIED, 3, "denied")                                                                         \
    X(LIMIT, 4, "limit")                                                                           \
    X(CLOSED, 5, "closed")                                                                         \
    X(CLEARED, 6, "cleared")

enum fg_journal_left {
#define X(name, number, text) FG_JOURNAL_LEFT_##name = number,
    FG_JOURNAL_LEFT_LIST(X)
#undef X
};
const char *fg_journal_left_name(uint64_t why); /**< "absent"; "?" when unknown */

enum fg_journal_record_type {
#define X(name, number, text) FG_JOURNAL_RECORD_##name = number,
    FG_JOURNAL_RECORD_LIST(X)
#undef X
};

struct fg_journal_record {
    uint64_t seq;     /**< place in the log, from 1, no gap; given by the journal */
    uint64_t time_ms; /**< Unix time of the decision */
    uint8_t type;
    uint8_t worker;    /**< that decided */
    uint16_t quantity; /**< units of the order; 0 for others */
    uint32_t crc;      /**< CRC32C of the other 60 bytes; given by the journal */
    uint64_t item;
    union {
        struct { /* of an order; USER: user and arg; STOCK: arg; BATCH: arg, user = its epoch */
            uint8_t order_id[16];
            uint64_t user;
            uint64_t arg;
        };
        struct {                /* ITEM_SET */
            uint64_t opens_ms;  /**< Unix time; 0 = open at once */
            uint64_t closes_ms; /**< Unix time; 0 = never */
            uint32_t hold_ms;
            uint32_t user_limit; /**< units a user may hold and have bought; 0 = no limit */
            uint16_t order_max;  /**< units of one order */
            uint16_t flags;      /**< FG_JOURNAL_ITEM_PAUSED, _RETIRED */
            uint32_t reserved;
        };
        uint8_t name[FG_JOURNAL_ITEM_NAME_MAX]; /* ITEM_NAME */
        struct {                                /* LINE_SET */
            uint32_t line_max;                  /**< users who may wait at a time; 0 = no line */
            uint32_t claim_ms;                  /**< how long an offer is held */
            uint32_t wait_ttl_ms;               /**< how long a user is present after a WAIT */
            uint32_t line_flags;                /**< FG_JOURNAL_LINE_ONE_UNIT, _LOTTERY */
            uint64_t line_reserved[2];
        };
        struct {                     /* LEASE, RETURN */
            uint64_t fleet_units;    /**< that this record moves: 1..FG_JOURNAL_UNITS_MAX */
            uint64_t fleet_reserved; /**< 0 */
            uint64_t fleet_times;    /**< how often, of this item, this one included */
            uint64_t fleet_sum;      /**< units, of this item, this record's included */
        };
    };
};

_Static_assert(sizeof(struct fg_journal_record) == FG_JOURNAL_RECORD_SIZE, "record layout");
_Static_assert(offsetof(struct fg_journal_record, crc) == 20 &&
                   offsetof(struct fg_journal_record, item) == 24,
               "record layout");
_Static_assert(offsetof(struct fg_journal_record, order_id) == 32 &&
                   offsetof(struct fg_journal_record, user) == 48 &&
                   offsetof(struct fg_journal_record, arg) == 56,
               "record layout");
_Static_assert(offsetof(struct fg_journal_record, hold_ms) == 48 &&
                   offsetof(struct fg_journal_record, name) == 32,
               "record layout");

_Static_assert(offsetof(struct fg_journal_record, fleet_units) == 32 &&
                   offsetof(struct fg_journal_record, fleet_times) == 48 &&
                   offsetof(struct fg_journal_record, fleet_sum) == 56,
               "record layout");

/** By how much LEASE or RETURN changes its item's total and available units; 0 of other records. */
static inline int64_t fg_journal_record_moves(const struct fg_journal_record *record)
{
    return record->type == FG_JOURNAL_RECORD_LEASE    ? (int64_t)record->fleet_units
           : record->type == FG_JOURNAL_RECORD_RETURN ? -(int64_t)record->fleet_units
                                                      : 0;
}

const char *fg_journal_record_name(unsigned type); /**< "reserved"; "?" when unknown */

/** CRC over the record without its crc field. */
uint32_t fg_journal_record_crc(const struct fg_journal_record *record);

/** The same without what each log of a pair says for itself in a BATCH record that names an epoch:
 * what both logs agree on. Cursors of sinks have it. */
uint32_t fg_journal_record_shared_crc(const struct fg_journal_record *record);

/** Gives n records the sequences from first_seq on, and their CRCs. */
void fg_journal_record_seal(struct fg_journal_record *records, size_t n, uint64_t first_seq);

#endif
