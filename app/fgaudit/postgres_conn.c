/* SPDX-License-Identifier: BSD-3-Clause */
/* The connection to PostgreSQL, and the rows of a query. */
#include "postgres.h"

#include <string.h>

#include "progress.h"

bool fg_postgres_audit_unreadable(struct fg_postgres_audit *a, const char *why)
{
    return fg_fail(&a->error, "postgres %s: %.*s", a->address, (int)strcspn(why, "\n"), why);
}

/* NULL and error when it is not what was asked for. */
PGresult *fg_postgres_audit_ask(struct fg_postgres_audit *a, const char *sql, ExecStatusType wanted)
{
    PGresult *result = PQexec(a->pg, sql);

    if (PQresultStatus(result) == wanted)
        return result;
    fg_postgres_audit_unreadable(a, PQerrorMessage(a->pg));
    PQclear(result);
    return NULL;
}

bool fg_postgres_audit_run(struct fg_postgres_audit *a, const char *sql, ExecStatusType wanted)
{
    PGresult *result = fg_postgres_audit_ask(a, sql, wanted);

    PQclear(result);
    return result;
}

static void no_notice(void *arg, const char *message)
{
}

bool fg_postgres_audit_open(struct fg_postgres_audit *a)
{
    const char *const keywords[] = {"connect_timeout", "application_name", "dbname",
                                    "client_encoding", NULL};
    const char *const values[] = {"10", "fgaudit", a->conninfo, "UTF8", NULL};
    const char *const schema[] = {a->schema};
    PGresult *result;
    bool ok;

    snprintf(a->address, sizeof(a->address), "?");
    a->pg = PQconnectdbParams(keywords, values, 1);
    if (!a->pg)
        fg_out_of_memory();
    if (PQhost(a->pg))
        snprintf(a->address, sizeof(a->address), "%s:%s/%s", PQhost(a->pg), PQport(a->pg),
                 PQdb(a->pg));
    if (PQstatus(a->pg) != CONNECTION_OK)
        return fg_postgres_audit_unreadable(a, PQerrorMessage(a->pg));
    PQsetNoticeProcessor(a->pg, no_notice, NULL);
    result = PQexecParams(a->pg, "SELECT set_config('search_path', quote_ident($1), false)", 1,
                          NULL, schema, NULL, NULL, 0);
    ok = PQresultStatus(result) == PGRES_TUPLES_OK ||
         fg_postgres_audit_unreadable(a, PQerrorMessage(a->pg));
    PQclear(result);
    return ok;
}

void fg_postgres_audit_close(struct fg_postgres_audit *a)
{
    if (a->pg)
        PQfinish(a->pg);
    a->pg = NULL;
}

/* Splits a line of COPY's text format in place. The queries give nothing that it would escape. */
static unsigned split(char *line, char *cells[FG_POSTGRES_CELLS_MAX])
{
    unsigned n = 0;

    memset(cells, 0,
           FG_POSTGRES_CELLS_MAX * sizeof(*cells)); /* fewer columns than asked for: null */
    for (char *at = line; at && n < FG_POSTGRES_CELLS_MAX; n++) {
        char *end = strpbrk(at, "\t\n");
        bool more = end && *end == '\t';

        if (end)
            *end = '\0';
        cells[n] = strcmp(at, "\\N") == 0 ? NULL : at;
        at = more ? end + 1 : NULL;
    }
    return n;
}

bool fg_postgres_audit_rows(struct fg_postgres_audit *a, const char *query,
                            void (*each)(void *ctx, unsigned n, char *const *cells), void *ctx)
{
    char sql[1024], *line, *cells[FG_POSTGRES_CELLS_MAX];
    PGresult *result;
    bool ok;
    int len;

    snprintf(sql, sizeof(sql), "COPY (%s) TO STDOUT", query);
    if (!fg_postgres_audit_run(a, sql, PGRES_COPY_OUT))
        return false;
    while ((len = PQgetCopyData(a->pg, &line, 0)) > 0) {
        each(ctx, split(line, cells), cells);
        PQfreemem(line);
    }
    if (len != -1)
        return fg_postgres_audit_unreadable(a, PQerrorMessage(a->pg));
    result = PQgetResult(a->pg);
    ok = PQresultStatus(result) == PGRES_COMMAND_OK ||
         fg_postgres_audit_unreadable(a, PQerrorMessage(a->pg));
    PQclear(result);
    while ((result = PQgetResult(a->pg)))
        PQclear(result);
    return ok;
}
