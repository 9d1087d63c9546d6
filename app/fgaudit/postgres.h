/* SPDX-License-Identifier: BSD-3-Clause */
/** postgres: everything that the tables in PostgreSQL hold, against the story. Tables:
 * docs/postgres.md. */
#ifndef FG_AUDIT_POSTGRES_H
#define FG_AUDIT_POSTGRES_H

#include "postgres/rows.h"
#include "story.h"

struct fg_postgres_audit {
    const char *conninfo, *schema;
    uint64_t wait_ms; /* so long may the cursor take to reach the end of the log */

    struct fg_problems *problems;
    PGconn *pg;
    char address[256]; /* without the password */
    uint64_t cursor, filled, behind;
    uint64_t crc;                  /* of the record of the cursor, as the database has it */
    uint64_t items, orders, users; /* seen */
    struct fg_error error;         /* why it cannot be read */
};

/** False: see error. */
bool fg_postgres_audit_open(struct fg_postgres_audit *a);
void fg_postgres_audit_close(struct fg_postgres_audit *a);

/**
 * Compares, in one snapshot of the database. The story is read on from the log when the database is
 * ahead of it (the daemon runs). False: it cannot be read (error); differences are problems.
 */
bool fg_postgres_audit_compare(struct fg_postgres_audit *a, struct fg_story *story,
                               struct fg_log *log);

/* ---- between its parts ----------------------------------------------------------------------- */

/** Sets error; returns false. */
bool fg_postgres_audit_unreadable(struct fg_postgres_audit *a, const char *why);

/** A result of the wanted kind, or NULL and error. The caller clears it. */
PGresult *fg_postgres_audit_ask(struct fg_postgres_audit *a, const char *sql,
                                ExecStatusType wanted);

/** The same, without a result. */
bool fg_postgres_audit_run(struct fg_postgres_audit *a, const char *sql, ExecStatusType wanted);

/** Rows of a query, one after the other, with all columns as text, NULL for null. Returns false:
 * error. */
#define FG_POSTGRES_CELLS_MAX 32
bool fg_postgres_audit_rows(struct fg_postgres_audit *a, const char *query,
                            void (*each)(void *ctx, unsigned n, char *const *cells), void *ctx);

/** The three tables. */
bool fg_postgres_audit_tables(struct fg_postgres_audit *a, struct fg_story *story);

#endif
