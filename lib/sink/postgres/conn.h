/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * postgres_conn: one connection whose every wait is bounded. libpq does the protocol, in pipeline
 * mode and without blocking; the waiting is done here, so that it ends in time and at a stop. (A
 * host's name is looked up by libpq itself, which waits as long as the resolver does.) One thread.
 */
#ifndef FG_SINK_POSTGRES_CONN_H
#define FG_SINK_POSTGRES_CONN_H

#include <libpq-fe.h>

#include "sink/driver.h"
#include "sink/postgres/batch.h"

#define FG_SINK_POSTGRES_QUEUE_MAX 16

struct fg_sink_postgres_conn {
    const struct fg_sink_postgres_options *options;
    const char *address; /**< for messages */
    struct fg_wait *wait;
    PGconn *pg; /**< NULL = not connected */
    unsigned queued;
    bool queue_failed;
    PGresult
        *results[FG_SINK_POSTGRES_QUEUE_MAX]; /**< of the last run, in the order of the queue */
};

/** Connects and settles what the session needs. The caller closes, also after a failure. */
enum fg_sink_result fg_sink_postgres_open(struct fg_sink_postgres_conn *conn, struct fg_error *err);
void fg_sink_postgres_close(struct fg_sink_postgres_conn *conn);

/** Queue one command for the next run, at most FG_SINK_POSTGRES_QUEUE_MAX. Values are text, NULL =
 * null.
 */
void fg_sink_postgres_queue(struct fg_sink_postgres_conn *conn, const char *sql, unsigned n,
                            const char *const *values);
void fg_sink_postgres_queue_prepare(struct fg_sink_postgres_conn *conn,
                                    enum fg_sink_postgres_statement statement);
/** A prepared statement. Nothing is queued when there are no rows. */
void fg_sink_postgres_queue_rows(struct fg_sink_postgres_conn *conn,
                                 enum fg_sink_postgres_statement statement,
                                 const struct fg_sink_postgres_rows *rows);

/**
 * Sends what is queued and takes the results, within options->timeout_ms for the whole. Not
 * OK: err says why, and the caller rolls an open transaction back; a failed connection is closed.
 */
enum fg_sink_result fg_sink_postgres_run(struct fg_sink_postgres_conn *conn, struct fg_error *err);

/** Rows that the nth command of the queue changed. */
uint64_t fg_sink_postgres_changed(const struct fg_sink_postgres_conn *conn, unsigned nth);

/** The meaning of a server's error for a sink, and what the operator can do ("" = nothing). Pure.
 */
enum fg_sink_result fg_sink_postgres_cursor_check(const char *sqlstate, const char **advice);

#endif
