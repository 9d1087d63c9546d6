/* SPDX-License-Identifier: BSD-3-Clause */
#include "postgres/rows.h"

#include <errno.h>
#include <string.h>

bool fg_postgres_rows(const PGresult *result, const char *what, unsigned columns, unsigned min,
                      unsigned max, struct fg_error *err)
{
    unsigned rows = fg_postgres_rows_count(result);
    unsigned came = result ? (unsigned)PQnfields(result) : 0;

    if (came == columns && rows >= min && rows <= max)
        return true;
    return fg_fail(err,
                   "not an answer to what was asked: %s: %u columns and %u%s rows expected, %u "
                   "columns and %u rows came",
                   what, columns, min, min == max ? "" : " or more", came, rows);
}

unsigned fg_postgres_rows_count(const PGresult *result)
{
    return result ? (unsigned)PQntuples(result) : 0;
}

static bool there(const PGresult *result, unsigned row, unsigned column)
{
    return result && row < (unsigned)PQntuples(result) && column < (unsigned)PQnfields(result);
}

const char *fg_postgres_rows_text(const PGresult *result, unsigned row, unsigned column)
{
    return there(result, row, column) ? PQgetvalue(result, (int)row, (int)column) : "";
}

bool fg_postgres_rows_null(const PGresult *result, unsigned row, unsigned column)
{
    return !there(result, row, column) || PQgetisnull(result, (int)row, (int)column);
}

bool fg_postgres_rows_u64(const PGresult *result, unsigned row, unsigned column, uint64_t *value)
{
    const char *text = fg_postgres_rows_text(result, row, column);
    uint64_t number;
    char *end;

    if (*text < '0' || *text > '9') /* strtoull takes spaces and signs */
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno || *end)
        return false;
    *value = number;
    return true;
}

bool fg_postgres_rows_number(const PGresult *result, const char *what, unsigned row,
                             unsigned column, uint64_t *value, struct fg_error *err)
{
    char shown[41];

    if (fg_postgres_rows_u64(result, row, column, value))
        return true;
    /* The server's bytes must not reach a terminal or a log as they are. */
    snprintf(shown, sizeof(shown), "%s", fg_postgres_rows_text(result, row, column));
    for (char *p = shown; *p; p++)
        *p = *p >= 0x20 && *p < 0x7f ? *p : '?';
    return fg_fail(err, "not an answer to what was asked: %s: a number expected, '%s' came", what,
                   shown);
}
