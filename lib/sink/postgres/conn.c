/* SPDX-License-Identifier: BSD-3-Clause */
#include "sink/postgres/conn.h"

#include <poll.h>
#include <string.h>

/* ---- errors ---------------------------------------------------------------------------------- */

#define ADVICE_INIT   "; run `fgctl backend init`"
#define ADVICE_RIGHTS "; the rights that are needed are in docs/postgres.md"
#define ADVICE_OTHERS                                                                              \
    "; another program changed the tables: restore them, or drop the schema and run `fgctl "       \
    "backend "                                                                                     \
    "init`"

/* The first that fits. Codes: appendix A of PostgreSQL's manual. Other errors end by
 * themselves, or show. */
static const struct {
    const char *code; /* or the beginning of it */
    enum fg_sink_result result;
    const char *advice;
} meanings[] = {
    {"40", FG_SINK_AGAIN, ""}, /* deadlock, serialization */
    {"57014", FG_SINK_SLOW, ""},
    {"3F000", FG_SINK_REFUSE, ADVICE_INIT}, /* no such schema, table, column, type, function */
    {"42P01", FG_SINK_REFUSE, ADVICE_INIT},
    {"42703", FG_SINK_REFUSE, ADVICE_INIT},
    {"42704", FG_SINK_REFUSE, ADVICE_INIT},
    {"42883", FG_SINK_REFUSE, ADVICE_INIT},
    {"42P10", FG_SINK_REFUSE, ADVICE_OTHERS}, /* the key that ON CONFLICT needs is gone */
    {"42804", FG_SINK_REFUSE, ADVICE_OTHERS},
    {"42809", FG_SINK_REFUSE, ADVICE_OTHERS},
    {"42501", FG_SINK_REFUSE, ADVICE_RIGHTS},
    {"22", FG_SINK_REFUSE, ADVICE_OTHERS},
    {"23", FG_SINK_REFUSE, ADVICE_OTHERS},
    {"", FG_SINK_GONE, ""},
};

enum fg_sink_result fg_sink_postgres_cursor_check(const char *sqlstate, const char **advice)
{
    size_t i = 0;

    while (strncmp(sqlstate, meanings[i].code, strlen(meanings[i].code)) != 0)
        i++;
    *advice = meanings[i].advice;
    return meanings[i].result;
}

/* libpq's messages have lines. */
static void one_line(struct fg_error *err, const char *address, const char *text,
                     const char *advice)
{
    char line[256];
    size_t n = 0;

    for (; *text && n < sizeof(line) - 1; text++) {
        bool gap = *text == '\n' || *text == '\t';

        if (!gap || (n && line[n - 1] != ' '))
            line[n++] = gap ? ' ' : *text;
    }
    while (n && line[n - 1] == ' ')
        n--;
    line[n] = '\0';
    fg_fail(err, "%s: %s%s", address, line, advice);
}

static enum fg_sink_result lost(struct fg_sink_postgres_conn *conn, struct fg_error *err,
                                const char *what)
{
    one_line(err, conn->address, what, "");
    fg_sink_postgres_close(conn);
    return FG_SINK_GONE;
}

static enum fg_sink_result timed_out(struct fg_sink_postgres_conn *conn, struct fg_error *err)
{
    char what[64];

    snprintf(what, sizeof(what), "no answer within %u ms", conn->options->timeout_ms);
    lost(conn, err, what);
    return FG_SINK_SLOW;
}

/* ---- connection ------------------------------------------------------------------------------ */

static void no_notice(void *arg, const char *message)
{
}

static void clear_results(struct fg_sink_postgres_conn *conn)
{
    for (unsigned i = 0; i < FG_SINK_POSTGRES_QUEUE_MAX; i++) {
        PQclear(conn->results[i]);
        conn->results[i] = NULL;
    }
}

void fg_sink_postgres_close(struct fg_sink_postgres_conn *conn)
{
    clear_results(conn);
    conn->queued = 0;
    conn->queue_failed = false;
    if (conn->pg)
        PQfinish(conn->pg);
    conn->pg = NULL;
}

/* The operator's own words override the parameters before them; those behind override the words. */
static PGconn *begin_connecting(const struct fg_sink_postgres_options *o, const char *password)
{
    char timeout[16];
    const char *keywords[8], *values[8];
    unsigned n = 0;

    snprintf(timeout, sizeof(timeout), "%u", o->timeout_ms);
#define WORD(k, v) (keywords[n] = (k), values[n++] = (v))
    WORD("tcp_user_timeout", timeout);
    WORD("target_session_attrs", "read-write"); /* of several hosts the one that takes writes */
    WORD("application_name", "floodgate");
    WORD("dbname", o->conninfo);
    if (password[0])
        WORD("password", password);
    WORD("client_encoding", "UTF8");
    WORD(NULL, NULL);
#undef WORD
    return PQconnectStartParams(keywords, values, 1);
}

static enum fg_sink_result connect_within(struct fg_sink_postgres_conn *conn, uint64_t deadline,
                                          struct fg_error *err)
{
    PostgresPollingStatusType wants = PGRES_POLLING_WRITING;

    while (wants != PGRES_POLLING_OK) {
        if (wants == PGRES_POLLING_FAILED || PQstatus(conn->pg) == CONNECTION_BAD)
            return lost(conn, err, PQerrorMessage(conn->pg));
        if (fg_wait_over(conn->wait, deadline))
            return timed_out(conn, err);
        if (fg_wait_fd(conn->wait, PQsocket(conn->pg),
                       wants == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
            wants = PQconnectPoll(conn->pg);
    }
    return FG_SINK_OK;
}

/*
 * Plans must not depend on how large the tables were when a statement was first planned: always by
 * the keys. Timeouts on the server's side, so that what we gave up ends there, too, and frees the
 * cursor's row.
 */
static enum fg_sink_result settle(struct fg_sink_postgres_conn *conn, struct fg_error *err)
{
    char timeout[16];

    snprintf(timeout, sizeof(timeout), "%u", conn->options->timeout_ms);
    fg_sink_postgres_queue(
        conn,
        "SELECT set_config('search_path', $1, false), set_config('statement_timeout', $2, false),"
        " set_config('idle_in_transaction_session_timeout', $2, false),"
        " set_config('plan_cache_mode', 'force_generic_plan', false), set_config('jit', 'off', "
        "false),"
        " set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),"
        " set_config('enable_mergejoin', 'off', false),"
        " set_config('default_transaction_isolation', 'read committed', false)",
        2, (const char *const[]){conn->options->schema, timeout});
    return fg_sink_postgres_run(conn, err);
}

enum fg_sink_result fg_sink_postgres_open(struct fg_sink_postgres_conn *conn, struct fg_error *err)
{
    uint64_t deadline = fg_clock_mono_ms() + conn->options->timeout_ms;
    char password[FG_SECRET_MAX];
    enum fg_sink_result result;
    struct fg_error why;

    fg_sink_postgres_close(conn);
    memcpy(password, conn->options->password, sizeof(password));
    if (conn->options->password_file[0] && /* a rotated one counts from the next connection on */
        !fg_secret_read(conn->options->password_file, password, &why))
        return lost(conn, err, why.text);
    conn->pg = begin_connecting(conn->options, password);
    explicit_bzero(password, sizeof(password));
    if (!conn->pg)
        return lost(conn, err, "out of memory");
    PQsetNoticeProcessor(conn->pg, no_notice, NULL);
    result = connect_within(conn, deadline, err);
    if (result != FG_SINK_OK)
        return result == FG_SINK_SLOW ? FG_SINK_GONE : result; /* no batch was too large */
    if (PQsetnonblocking(conn->pg, 1) || !PQenterPipelineMode(conn->pg))
        return lost(conn, err, PQerrorMessage(conn->pg));
    return settle(conn, err);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void queued(struct fg_sink_postgres_conn *conn, int ok)
{
    conn->queue_failed |= !ok;
    conn->queued++;
}

static bool may_queue(struct fg_sink_postgres_conn *conn)
{
    FG_ASSERT(conn->queued < FG_SINK_POSTGRES_QUEUE_MAX);
    return conn->pg;
}

void fg_sink_postgres_queue(struct fg_sink_postgres_conn *conn, const char *sql, unsigned n,
                            const char *const *values)
{
    if (may_queue(conn))
        queued(conn, PQsendQueryParams(conn->pg, sql, (int)n, NULL, values, NULL, NULL, 0));
}

static void statement_name(char name[8], enum fg_sink_postgres_statement statement)
{
    snprintf(name, 8, "s%d", (int)statement % 1000);
}

void fg_sink_postgres_queue_prepare(struct fg_sink_postgres_conn *conn,
                                    enum fg_sink_postgres_statement statement)
{
    char name[8];

    statement_name(name, statement);
    if (may_queue(conn))
        queued(conn, PQsendPrepare(conn->pg, name, fg_sink_postgres_sql[statement], 0, NULL));
}

void fg_sink_postgres_queue_rows(struct fg_sink_postgres_conn *conn,
                                 enum fg_sink_postgres_statement statement,
                                 const struct fg_sink_postgres_rows *rows)
{
    const char *values[FG_SINK_POSTGRES_COLUMNS_MAX];
    int lengths[FG_SINK_POSTGRES_COLUMNS_MAX], formats[FG_SINK_POSTGRES_COLUMNS_MAX];
    char name[8];

    if (!rows->count || !may_queue(conn))
        return;
    for (unsigned i = 0; i < rows->width; i++) {
        values[i] = rows->columns[i].data;
        lengths[i] = (int)rows->columns[i].len;
        formats[i] = 1;
    }
    statement_name(name, statement);
    queued(conn,
           PQsendQueryPrepared(conn->pg, name, (int)rows->width, values, lengths, formats, 0));
}

/* One result of the pipeline. True: the sync at its end. */
static bool take(struct fg_sink_postgres_conn *conn, PGresult *result, unsigned *nth)
{
    if (!result) { /* end of one command's results */
        *nth += *nth < conn->queued && conn->results[*nth];
        return false;
    }
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        return true;
    }
    if (*nth < conn->queued && !conn->results[*nth])
        conn->results[*nth] = result;
    else
        PQclear(result);
    return false;
}

static enum fg_sink_result collect(struct fg_sink_postgres_conn *conn, uint64_t deadline,
                                   struct fg_error *err)
{
    unsigned nth = 0;

    for (;;) {
        int left = PQflush(conn->pg);
        short ready;

        while (left >= 0 && !PQisBusy(conn->pg)) {
            PGresult *result = PQgetResult(conn->pg);

            if (take(conn, result, &nth))
                return FG_SINK_OK;
            if (PQstatus(conn->pg) == CONNECTION_BAD)
                left = -1;
        }
        if (left < 0)
            return lost(conn, err, PQerrorMessage(conn->pg));
        if (fg_wait_over(conn->wait, deadline))
            return timed_out(conn, err);
        ready = fg_wait_fd(conn->wait, PQsocket(conn->pg), (short)(POLLIN | (left ? POLLOUT : 0)),
                           deadline);
        if ((ready & (POLLIN | POLLHUP | POLLERR)) && !PQconsumeInput(conn->pg))
            return lost(conn, err, PQerrorMessage(conn->pg));
    }
}

/* The first error; what came behind it in the pipeline was not carried out. */
static enum fg_sink_result find_error(const struct fg_sink_postgres_conn *conn,
                                      struct fg_error *err)
{
    for (unsigned i = 0; i < conn->queued; i++) {
        const PGresult *r = conn->results[i];
        const char *code, *text, *advice;
        enum fg_sink_result result;

        if (PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK)
            continue;
        code = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
        result = fg_sink_postgres_cursor_check(code ? code : "", &advice);
        one_line(err, conn->address, text ? text : "not an answer to what was asked", advice);
        return result;
    }
    return FG_SINK_OK;
}

enum fg_sink_result fg_sink_postgres_run(struct fg_sink_postgres_conn *conn, struct fg_error *err)
{
    uint64_t deadline = fg_clock_mono_ms() + conn->options->timeout_ms;
    enum fg_sink_result result;

    clear_results(conn);
    if (!conn->pg)
        return lost(conn, err, "not connected");
    if (conn->queue_failed || !PQpipelineSync(conn->pg))
        return lost(conn, err, PQerrorMessage(conn->pg));
    result = collect(conn, deadline, err);
    if (result == FG_SINK_OK)
        result = find_error(conn, err);
    conn->queued = 0;
    return result;
}

uint64_t fg_sink_postgres_changed(const struct fg_sink_postgres_conn *conn, unsigned nth)
{
    const char *text = conn->results[nth] ? PQcmdTuples(conn->results[nth]) : "";

    return strtoull(text, NULL, 10);
}
