/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * ledger: the state that the log adds up to. One piece of code for recovery, queries, resync of
 * sinks and audit. Not thread-safe: the caller locks. Grows as it needs; no DPDK, no clock, no
 * file.
 */
#ifndef FG_LEDGER_H
#define FG_LEDGER_H

#include "journal/epochs.h"
#include "journal/record.h"

/* name, number, text */
#define FG_LEDGER_ORDER_STATE_LIST(X)                                                              \
    X(RESERVED, 1, "reserved")                                                                     \
    X(SOLD, 2, "sold")                                                                             \
    X(CANCELLED, 3, "cancelled")                                                                   \
    X(EXPIRED, 4, "expired")                                                                       \
    X(REFUNDED, 5, "refunded")                                                                     \
    X(WAITING, 6, "waiting")

enum fg_ledger_order_state {
    FG_LEDGER_ORDER_NONE = 0,
#define X(name, number, text) FG_LEDGER_ORDER_##name = number,
    FG_LEDGER_ORDER_STATE_LIST(X)
#undef X
        FG_ORDER_STATES
};
const char *fg_ledger_order_state_name(unsigned state);

/** The meaning of a record about an order: the state before and after it, and where the order's
 * units go: each count changes by +1, 0 or -1 times the units of the order. */
struct fg_ledger_step {
    uint8_t from, to; /**< enum fg_ledger_order_state */
    int8_t available, reserved, sold, refunded;
    bool late; /**< the order is marked as paid late */
};

/** NULL when the record is not about an order. */
const struct fg_ledger_step *fg_ledger_step(const struct fg_journal_record *record);

struct fg_ledger_item {
    uint64_t item;
    uint64_t opens_ms, closes_ms;
    /** units; total = available + reserved + sold + refunded. Refunded: and not put back on sale */
    uint64_t total, available, reserved, sold, refunded;
    /** how often each was recorded; late: of those sold, paid after the hold had ended */
    uint64_t orders_reserved, orders_sold, orders_cancelled, orders_expired, orders_refunded,
        orders_late;
    uint32_t hold_ms, user_limit;
    uint16_t order_max, flags;
    uint32_t line_max, claim_ms, wait_ttl_ms, line_flags; /**< as in LINE_SET */
    uint64_t waiting;                                     /**< orders in the line */
    uint64_t tickets;                                     /**< largest ticket so far */
    /** of a fleet, cumulative: units, and how often */
    uint64_t leased, leases, returned, returns;
    uint32_t index; /**< order of definition, from 0: the same in every replay */
    char name[FG_JOURNAL_ITEM_NAME_MAX + 1];
};

struct fg_ledger_order {
    uint8_t order_id[16];
    uint64_t user;
    uint64_t item;
    union {
        uint64_t deadline_ms;
        uint64_t ticket; /**< WAITING */
    };
    uint64_t changed_ms;    /**< time of its last record */
    uint32_t state : 8;     /**< enum fg_ledger_order_state */
    uint32_t late : 1;      /**< it was paid after its hold had ended */
    uint32_t closed : 1;    /**< it was cancelled after its hold had ended */
    uint32_t restocked : 1; /**< it was refunded, and its units went back on sale */
    uint32_t line : 1;      /**< it waits in the line, or left it: it never held units */
    uint32_t reserved : 20;
    uint16_t quantity;
    uint16_t reserved2;
};

/** Units added minus units removed by STOCK records; below 0 when leased ones were removed. */
static inline int64_t fg_ledger_item_stock(const struct fg_ledger_item *item)
{
    return (int64_t)(item->total - item->leased + item->returned);
}

struct fg_ledger;

struct fg_ledger *fg_ledger_create(void);
void fg_ledger_destroy(struct fg_ledger *ledger);

/** Memory for that many orders in all, taken and touched now instead of while they come. A hint:
 * the ledger grows beyond it. False when out of memory. */
bool fg_ledger_reserve(struct fg_ledger *ledger, uint64_t orders);
uint64_t fg_ledger_memory(uint64_t orders); /**< bytes of that, of an empty ledger */

/**
 * Applies one record. False and err when it is not a legal next step (sequence gap, units that are
 * not there, an order or item that is unknown, a step its state does not allow): the log or its
 * writer is broken, nothing was changed.
 */
bool fg_ledger_apply(struct fg_ledger *ledger, const struct fg_journal_record *record,
                     struct fg_error *err);

/** The same of n records, one after the other, up to the first that is refused; their memory is
 * asked for ahead. */
bool fg_ledger_apply_all(struct fg_ledger *ledger, const struct fg_journal_record *records,
                         size_t n, struct fg_error *err);

uint64_t fg_ledger_seq(const struct fg_ledger *ledger); /**< last applied sequence; 0 = none */

/** Pointers stay valid until the next apply. NULL when there is none. */
const struct fg_ledger_item *fg_ledger_item(const struct fg_ledger *ledger, uint64_t item);
const struct fg_ledger_item *fg_ledger_item_at(const struct fg_ledger *ledger, uint32_t index);
uint32_t fg_ledger_items(const struct fg_ledger *ledger);
const struct fg_ledger_order *fg_ledger_order(const struct fg_ledger *ledger, uint64_t user,
                                              const uint8_t order_id[16]);
uint64_t fg_ledger_orders(const struct fg_ledger *ledger);
const struct fg_ledger_order *fg_ledger_order_at(const struct fg_ledger *ledger,
                                                 uint64_t index); /**< 0..orders-1 */

/** Users who may reserve nothing, in no order: i from 0 to fg_ledger_denied_users - 1. */
uint32_t fg_ledger_denied_users(const struct fg_ledger *ledger);
uint64_t fg_ledger_denied_user(const struct fg_ledger *ledger, uint32_t i);

/** Those of a pair that the log has gone through. */
const struct fg_journal_epochs *fg_ledger_epochs(const struct fg_ledger *ledger);

/** Reads the log in dir from fg_ledger_seq+1 up to limit_seq (UINT64_MAX = its end) into the
 * ledger. */
bool fg_ledger_replay(struct fg_ledger *ledger, const char *dir, uint64_t limit_seq,
                      struct fg_error *err);

#endif
