/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * postgres_batch: what a batch of log records adds up to, as rows for a handful of statements. An
 * order or an item that occurs often in a batch is one row of it. Pure: no connection, no clock.
 */
#ifndef FG_SINK_POSTGRES_BATCH_H
#define FG_SINK_POSTGRES_BATCH_H

#include "journal/record.h"
#include "ledger/ledger.h"
#include "sink/postgres/array.h"

#define FG_SINK_POSTGRES_COLUMNS_MAX 28

/* name, types of the columns; the statements' text stands in postgres_sql.c, docs/postgres.md tells
 * what the tables mean */
#define FG_SINK_POSTGRES_STATEMENT_LIST(X)                                                         \
    X(ITEMS_SET, "nttbbifb") /* settings; the item is made when new */                             \
    X(ITEMS_NAME, "nxb")                                                                           \
    X(ITEMS_LINE, "nbbbfb")            /* settings of the waiting list */                          \
    X(ITEMS_COUNT, "nbbbbbbbbbbbbbbb") /* units and orders that were added and taken away */       \
    X(ORDERS_ADD, "nuniiifttb")                                                                    \
    X(ORDERS_CHANGE, "nuniiifttb")                                                                 \
    X(USERS_DENY, "n")                                                                             \
    X(USERS_ALLOW, "n")                                                                            \
    X(ITEMS_PUT, "nxttbbifbbbbbbbbbbbbbbbbfbbb") /* the last two fill from a snapshot, over what   \
                                                   may be there */                                 \
    X(ORDERS_PUT, "nuniiifttb")

enum fg_sink_postgres_statement {
#define X(name, types) FG_SINK_POSTGRES_##name,
    FG_SINK_POSTGRES_STATEMENT_LIST(X)
#undef X
        FG_POSTGRES_STATEMENTS
};

/** The last one that a batch of records uses. */
#define FG_SINK_POSTGRES_BATCH_LAST FG_SINK_POSTGRES_USERS_ALLOW

extern const char *const fg_sink_postgres_sql[FG_POSTGRES_STATEMENTS];

/** Parameters of one statement: columns of equal length. */
struct fg_sink_postgres_rows {
    struct fg_sink_postgres_array columns[FG_SINK_POSTGRES_COLUMNS_MAX];
    unsigned width;
    uint32_t count;
    bool no_memory;
};

void fg_sink_postgres_rows_begin(struct fg_sink_postgres_rows *rows,
                                 enum fg_sink_postgres_statement statement);
void fg_sink_postgres_rows_end(struct fg_sink_postgres_rows *rows);
void fg_sink_postgres_rows_free(struct fg_sink_postgres_rows *rows);

/** Rows of ITEMS_PUT, ORDERS_PUT (seq: of the snapshot) and USERS_DENY. */
void fg_sink_postgres_put_item(struct fg_sink_postgres_rows *rows,
                               const struct fg_ledger_item *item, uint64_t seq);
void fg_sink_postgres_put_order(struct fg_sink_postgres_rows *rows,
                                const struct fg_ledger_order *order, uint64_t seq);
void fg_sink_postgres_put_user(struct fg_sink_postgres_rows *rows, uint64_t user);

struct fg_sink_postgres_batch {
    struct fg_sink_postgres_rows rows[FG_POSTGRES_STATEMENTS];
    size_t records_max;
    struct fg_batch_order *orders;
    struct fg_batch_item *items;
    struct fg_batch_user *users;
    uint32_t orders_count, items_count, users_count;
    uint32_t *slots[3]; /**< hash tables of index + 1 into the three */
    size_t slots_mask;  /**< of this batch */
    size_t slots_size;
};

/** records_max: records of one transaction at most. False: no memory; free it nevertheless. */
bool fg_sink_postgres_batch_init(struct fg_sink_postgres_batch *b, size_t records_max);
void fg_sink_postgres_batch_free(struct fg_sink_postgres_batch *b);

/** Fills b->rows up to FG_SINK_POSTGRES_BATCH_LAST. False and err: no memory, or records that
 * cannot be.
 */
bool fg_sink_postgres_batch_build(struct fg_sink_postgres_batch *b,
                                  const struct fg_journal_record *records, size_t n,
                                  struct fg_error *err);

#endif
