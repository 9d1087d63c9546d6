/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * postgres_rows: the one way to take a result of PostgreSQL apart. The server may be broken,
 * hostile, or another program: how many rows and columns came is checked before a cell is read, and
 * nothing else in this program reads cells (tools/lint checks that). Pure; any thread.
 */
#ifndef FG_POSTGRES_ROWS_H
#define FG_POSTGRES_ROWS_H

#include <libpq-fe.h>

#include "base/base.h"

/** min..max rows of that many columns each. False: err names what was wanted and what came. */
bool fg_postgres_rows(const PGresult *result, const char *what, unsigned columns, unsigned min,
                      unsigned max, struct fg_error *err);

/** Rows of a result; 0 for NULL and for what has none. */
unsigned fg_postgres_rows_count(const PGresult *result);

/** Text of a cell; "" for null and for a cell that is not there. Never NULL. */
const char *fg_postgres_rows_text(const PGresult *result, unsigned row, unsigned column);

/** True for null, and for a cell that is not there. */
bool fg_postgres_rows_null(const PGresult *result, unsigned row, unsigned column);

/** The cell holds a number from 0 on, and nothing else. */
bool fg_postgres_rows_u64(const PGresult *result, unsigned row, unsigned column, uint64_t *value);

/** The same for a cell that must: false and err. */
bool fg_postgres_rows_number(const PGresult *result, const char *what, unsigned row,
                             unsigned column, uint64_t *value, struct fg_error *err);

#endif
