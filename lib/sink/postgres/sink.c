/* SPDX-License-Identifier: BSD-3-Clause */
/* The sink driver of PostgreSQL: one transaction a batch, which moves the cursor's row first. */
#include <inttypes.h>
#include <string.h>

#include "postgres/rows.h"
#include "sink/postgres/conn.h"
#include "sink/postgres/schema.h"

#define BATCH_MAX   100000
#define FILL_ROWS   2000 /* of one statement of a fill */
#define ADVICE_INIT "run `fgctl backend init`"

/*
 * The step of the cursor, with `more` columns. When another writer was first, nothing is met, and a
 * cast fails: what stands behind in the pipeline is then not carried out. Without that it would run
 * beside the other writer, not behind it, and take the locks of the items in another order
 * (deadlocks, a second each).
 */
#define MOVE_CURSOR(more)                                                                          \
    "WITH moved AS (UPDATE floodgate_cursor SET appliance = $3, seq = $1::int8, crc = $4::int8, "  \
    "updated = now()" more " WHERE seq = $2::int8 AND crc = $5::int8"                              \
    " AND coalesce(appliance, $3) = $3 RETURNING seq) "                                            \
    "SELECT CASE count(*) WHEN 1 THEN 1"                                                           \
    " ELSE ('another writer has moved the cursor, from ' || $2)::int END FROM moved"
#define MOVE_NTH  1 /* in the pipeline */
#define NOT_MOVED "22P02"

struct postgres_sink {
    struct fg_sink_postgres_options options;
    char address[256];
    struct fg_wait wait;
    struct fg_sink_postgres_conn conn;
    struct fg_sink_postgres_batch batch;
    struct fg_sink_cursor cursor; /* as last read or moved */
    bool prepared;                /* the statements, on this connection */
};

/* ---- cursor ---------------------------------------------------------------------------------- */

static enum fg_sink_result refuse(const struct postgres_sink *p, struct fg_error *err,
                                  const char *why)
{
    fg_fail(err, "%s, schema %s: %s (docs/postgres.md)", p->address, p->options.schema, why);
    return FG_SINK_REFUSE;
}

/* The row, in the order of the SELECT below. */
enum { AT_LOG, AT_SEQ, AT_CRC, AT_FORMAT, AT_ROWS };

static enum fg_sink_result check_cursor(struct postgres_sink *p, const struct fg_sink_log *log,
                                        const PGresult *r, struct fg_error *err)
{
    struct fg_sink_cursor *c = &p->cursor;
    struct fg_error wrong, at = {""};
    enum fg_sink_origin origin;
    uint64_t format, crc;
    char why[200];

    if (!fg_postgres_rows_count(r))
        return refuse(p, err, "the cursor's row is missing: drop the schema and " ADVICE_INIT);
    if (!fg_postgres_rows(r, "the cursor", 5, 1, 1, &wrong) ||
        !fg_postgres_rows_number(r, "the cursor's format", 0, AT_FORMAT, &format, &wrong) ||
        !fg_postgres_rows_number(r, "the cursor", 0, AT_SEQ, &c->seq, &wrong) ||
        !fg_postgres_rows_number(r, "the cursor's CRC", 0, AT_CRC, &crc, &wrong))
        return refuse(p, err, wrong.text);
    if (format != FG_SINK_POSTGRES_VERSION) {
        snprintf(why, sizeof(why),
                 "the tables are of version %" PRIu64 ", this program needs %d: %s", format,
                 FG_SINK_POSTGRES_VERSION,
                 format < FG_SINK_POSTGRES_VERSION ? ADVICE_INIT : "use the newer one");
        return refuse(p, err, why);
    }
    if (*fg_postgres_rows_text(r, 0, AT_ROWS) == 't')
        return refuse(p, err,
                      "the cursor is at 0, but there are rows: drop the schema and " ADVICE_INIT
                      ", or `fgctl sink adopt postgres` deletes the rows");
    c->found = !fg_postgres_rows_null(r, 0, AT_LOG);
    c->log = strtoull(fg_postgres_rows_text(r, 0, AT_LOG), NULL, 16);
    c->crc = (uint32_t)crc;
    origin = fg_sink_cursor_origin(log, c, "postgres", &at);
    if (origin != FG_SINK_ORIGIN_OURS)
        fg_fail(err, "%.120s, schema %.63s: %.300s", p->address, p->options.schema, at.text);
    return fg_sink_result_of(origin);
}

static enum fg_sink_result postgres_cursor(void *self, const struct fg_sink_log *log,
                                           struct fg_sink_cursor *cursor, struct fg_error *err)
{
    struct postgres_sink *p = self;
    enum fg_sink_result result;

    fg_sink_postgres_queue(
        &p->conn,
        "SELECT appliance, seq, crc, format,"
        " seq = 0 AND (EXISTS (SELECT FROM inventory) OR EXISTS (SELECT FROM orders))"
        " FROM floodgate_cursor",
        0, NULL);
    result = fg_sink_postgres_run(&p->conn, err);
    if (result == FG_SINK_OK)
        result = check_cursor(p, log, p->conn.results[0], err);
    *cursor = p->cursor;
    return result;
}

/* ---- transactions ---------------------------------------------------------------------------- */

/* After an error, or a count that was wrong: the session must be good for the next try, or end. */
static enum fg_sink_result abandon(struct postgres_sink *p, enum fg_sink_result result)
{
    struct fg_error ignored;

    if (!p->conn.pg || (result != FG_SINK_AGAIN && result != FG_SINK_REFUSE))
        return result; /* the generic part closes it */
    fg_sink_postgres_queue(&p->conn, "ROLLBACK", 0, NULL);
    if (fg_sink_postgres_run(&p->conn, &ignored) != FG_SINK_OK)
        fg_sink_postgres_close(&p->conn);
    return result;
}

/* Whether the tables are there is known by now: the cursor was read. */
static enum fg_sink_result prepare(struct postgres_sink *p, struct fg_error *err)
{
    enum fg_sink_result result;

    if (p->prepared)
        return FG_SINK_OK;
    fg_sink_postgres_queue(&p->conn, "DEALLOCATE ALL", 0, NULL);
    for (int s = 0; s < FG_POSTGRES_STATEMENTS; s++)
        fg_sink_postgres_queue_prepare(&p->conn, (enum fg_sink_postgres_statement)s);
    result = fg_sink_postgres_run(&p->conn, err);
    p->prepared = result == FG_SINK_OK;
    return result;
}

/* BEGIN and the step of the cursor, which takes the lock that keeps a second writer out. */
static void queue_begin(struct postgres_sink *p, const struct fg_sink_log *log, uint64_t from,
                        uint64_t to, uint32_t to_crc, const char *move)
{
    char from_text[24], to_text[24], log_text[17], crc[12], from_crc[12];

    snprintf(from_text, sizeof(from_text), "%" PRIu64, from);
    snprintf(to_text, sizeof(to_text), "%" PRIu64, to);
    snprintf(log_text, sizeof(log_text), "%016" PRIx64, log->id);
    snprintf(crc, sizeof(crc), "%" PRIu32, to_crc);
    snprintf(from_crc, sizeof(from_crc), "%" PRIu32, p->cursor.crc);
    fg_sink_postgres_queue(&p->conn, "BEGIN", 0, NULL);
    fg_sink_postgres_queue(&p->conn, move, 5,
                           (const char *const[]){to_text, from_text, log_text, crc, from_crc});
}

/* The result of fg_sink_postgres_run for a pipeline that begins with queue_begin. */
static enum fg_sink_result after_begin(const struct postgres_sink *p, enum fg_sink_result result)
{
    const char *code = p->conn.results[MOVE_NTH]
                           ? PQresultErrorField(p->conn.results[MOVE_NTH], PG_DIAG_SQLSTATE)
                           : NULL;

    return result != FG_SINK_OK && code && !strcmp(code, NOT_MOVED) ? FG_SINK_AGAIN : result;
}

static enum fg_sink_result commit(struct postgres_sink *p, const struct fg_sink_log *log,
                                  uint64_t seq, uint32_t crc, struct fg_error *err)
{
    enum fg_sink_result result;

    fg_sink_postgres_queue(&p->conn, "COMMIT", 0, NULL);
    result = fg_sink_postgres_run(&p->conn, err);
    if (result == FG_SINK_OK)
        p->cursor = (struct fg_sink_cursor){.found = true, .log = log->id, .seq = seq, .crc = crc};
    return result;
}

static const char *const statement_names[FG_POSTGRES_STATEMENTS] = {
#define X(name, types) [FG_SINK_POSTGRES_##name] = #name,
    FG_SINK_POSTGRES_STATEMENT_LIST(X)
#undef X
};

/* Each row must have met what the log says was there. */
static enum fg_sink_result check_counts(struct postgres_sink *p, struct fg_error *err)
{
    unsigned nth = MOVE_NTH + 1;

    for (int s = 0; s <= FG_SINK_POSTGRES_BATCH_LAST; s++) {
        uint32_t wanted = p->batch.rows[s].count;
        uint64_t found;
        char why[160];

        if (!wanted)
            continue;
        found = fg_sink_postgres_changed(&p->conn, nth++);
        if (found == wanted || s == FG_SINK_POSTGRES_USERS_DENY ||
            s == FG_SINK_POSTGRES_USERS_ALLOW)
            continue;
        snprintf(why, sizeof(why),
                 "%s met %" PRIu64
                 " of %u rows; another program changed the tables: restore them, or drop the "
                 "schema and " ADVICE_INIT,
                 statement_names[s], found, wanted);
        return refuse(p, err, why);
    }
    return FG_SINK_OK;
}

static enum fg_sink_result apply(struct postgres_sink *p, const struct fg_sink_log *log,
                                 uint64_t from, const struct fg_journal_record *last,
                                 struct fg_error *err)
{
    enum fg_sink_result result = prepare(p, err);

    if (result != FG_SINK_OK)
        return result;
    queue_begin(p, log, from, last->seq, last->crc, MOVE_CURSOR(""));
    for (int s = 0; s <= FG_SINK_POSTGRES_BATCH_LAST; s++)
        fg_sink_postgres_queue_rows(&p->conn, (enum fg_sink_postgres_statement)s,
                                    &p->batch.rows[s]);
    result = after_begin(p, fg_sink_postgres_run(&p->conn, err));
    if (result == FG_SINK_OK)
        result = check_counts(p, err);
    return result == FG_SINK_OK ? commit(p, log, last->seq, last->crc, err) : result;
}

static enum fg_sink_result postgres_apply(void *self, const struct fg_sink_log *log,
                                          const struct fg_journal_record *records, size_t n,
                                          struct fg_error *err)
{
    struct postgres_sink *p = self;
    enum fg_sink_result result;

    if (!fg_sink_postgres_batch_build(&p->batch, records, n, err))
        return FG_SINK_REFUSE;
    result = apply(p, log, records[0].seq - 1, &records[n - 1], err);
    if (result == FG_SINK_REFUSE)
        p->prepared = false; /* the tables may be other ones when it resumes */
    return abandon(p, result);
}

/* ---- from a snapshot ------------------------------------------------------------------------- */

static enum fg_sink_result put(struct postgres_sink *p, enum fg_sink_postgres_statement statement,
                               struct fg_error *err)
{
    struct fg_sink_postgres_rows *rows = &p->batch.rows[statement];

    fg_sink_postgres_rows_end(rows);
    if (rows->no_memory) {
        fg_fail(err, "out of memory");
        return FG_SINK_REFUSE;
    }
    if (fg_wait_over(&p->wait,
                     UINT64_MAX)) { /* told to stop: the transaction ends with the connection */
        fg_fail(err, "stopped in the middle of a fill");
        return FG_SINK_GONE;
    }
    fg_sink_postgres_queue_rows(&p->conn, statement, rows);
    return fg_sink_postgres_run(&p->conn, err);
}

static enum fg_sink_result fill_items(struct postgres_sink *p, struct fg_snapshot_reader *snapshot,
                                      uint64_t seq, struct fg_error *err)
{
    struct fg_sink_postgres_rows *rows = &p->batch.rows[FG_SINK_POSTGRES_ITEMS_PUT];
    struct fg_ledger_item items[64];
    enum fg_sink_result result = FG_SINK_OK;
    ssize_t n;

    while (result == FG_SINK_OK && (n = fg_ledger_snapshot_items(snapshot, items, 64, err)) != 0) {
        if (n < 0)
            return FG_SINK_REFUSE;
        fg_sink_postgres_rows_begin(rows, FG_SINK_POSTGRES_ITEMS_PUT);
        for (ssize_t i = 0; i < n; i++)
            fg_sink_postgres_put_item(rows, &items[i], seq);
        result = put(p, FG_SINK_POSTGRES_ITEMS_PUT, err);
    }
    return result;
}

static enum fg_sink_result fill_denied(struct postgres_sink *p, struct fg_snapshot_reader *snapshot,
                                       struct fg_error *err)
{
    struct fg_sink_postgres_rows *rows = &p->batch.rows[FG_SINK_POSTGRES_USERS_DENY];
    uint64_t users[512];
    enum fg_sink_result result = FG_SINK_OK;
    ssize_t n;

    while (result == FG_SINK_OK &&
           (n = fg_ledger_snapshot_denied(snapshot, users, 512, err)) != 0) {
        if (n < 0)
            return FG_SINK_REFUSE;
        fg_sink_postgres_rows_begin(rows, FG_SINK_POSTGRES_USERS_DENY);
        for (ssize_t i = 0; i < n; i++)
            fg_sink_postgres_put_user(rows, users[i]);
        result = put(p, FG_SINK_POSTGRES_USERS_DENY, err);
    }
    return result;
}

static enum fg_sink_result fill_orders(struct postgres_sink *p, struct fg_snapshot_reader *snapshot,
                                       uint64_t seq, struct fg_error *err)
{
    struct fg_sink_postgres_rows *rows = &p->batch.rows[FG_SINK_POSTGRES_ORDERS_PUT];
    struct fg_ledger_order *orders = calloc(FILL_ROWS, sizeof(*orders));
    enum fg_sink_result result = FG_SINK_OK;
    ssize_t n = 1;

    FG_ASSERT(orders);
    while (result == FG_SINK_OK &&
           (n = fg_ledger_snapshot_orders(snapshot, orders, FILL_ROWS, err)) > 0) {
        fg_sink_postgres_rows_begin(rows, FG_SINK_POSTGRES_ORDERS_PUT);
        for (ssize_t i = 0; i < n; i++)
            fg_sink_postgres_put_order(rows, &orders[i], seq);
        result = put(p, FG_SINK_POSTGRES_ORDERS_PUT, err);
    }
    free(orders);
    return n < 0 ? FG_SINK_REFUSE : result;
}

/* One transaction, however long: readers see what was before until it ends, and it takes nothing
 * away, so that tables of the order service may point to these. */
static enum fg_sink_result fill(struct postgres_sink *p, const struct fg_sink_log *log,
                                struct fg_snapshot_reader *snapshot,
                                const struct fg_ledger_snapshot_info *info, struct fg_error *err)
{
    enum fg_sink_result result = prepare(p, err);

    if (result != FG_SINK_OK)
        return result;
    queue_begin(p, log, p->cursor.seq, info->seq, log->crc, MOVE_CURSOR(", filled_seq = $1::int8"));
    fg_sink_postgres_queue(&p->conn, "DELETE FROM denied_users", 0, NULL);
    result = after_begin(p, fg_sink_postgres_run(&p->conn, err));
    if (result == FG_SINK_OK)
        result = fill_items(p, snapshot, info->seq, err);
    if (result == FG_SINK_OK)
        result = fill_denied(p, snapshot, err);
    if (result == FG_SINK_OK)
        result = fill_orders(p, snapshot, info->seq, err);
    return result == FG_SINK_OK ? commit(p, log, info->seq, log->crc, err) : result;
}

static enum fg_sink_result postgres_fill(void *self, const struct fg_sink_log *log,
                                         struct fg_snapshot_reader *snapshot,
                                         const struct fg_ledger_snapshot_info *info,
                                         struct fg_error *err)
{
    struct postgres_sink *p = self;

    return abandon(p, fill(p, log, snapshot, info, err));
}

/* ---- an operator's decision ------------------------------------------------------------------ */

/* One transaction: readers see the old sale or none. */
static enum fg_sink_result postgres_adopt(void *self, const struct fg_sink_log *log,
                                          struct fg_error *err)
{
    static const char unknown[] = "UPDATE floodgate_cursor SET appliance = NULL, seq = 0, crc = 0, "
                                  "filled_seq = 0, updated = now()";
    static const char *const steps[] = {
        "BEGIN", unknown, "DELETE FROM orders", "DELETE FROM inventory", "DELETE FROM denied_users",
        "COMMIT"};
    struct postgres_sink *p = self;
    enum fg_sink_result result = FG_SINK_OK;

    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]) && result == FG_SINK_OK; i++) {
        fg_sink_postgres_queue(&p->conn, steps[i], 0, NULL);
        result = fg_sink_postgres_run(&p->conn, err);
    }
    p->prepared = false;
    return abandon(p, result);
}

/* ---- life ------------------------------------------------------------------------------------ */

static enum fg_sink_result postgres_open(void *self, struct fg_error *err)
{
    struct postgres_sink *p = self;

    p->prepared = false;
    return fg_sink_postgres_open(&p->conn, err);
}

static void postgres_close(void *self)
{
    fg_sink_postgres_close(&((struct postgres_sink *)self)->conn);
}

static void postgres_free(void *self)
{
    struct postgres_sink *p = self;

    fg_sink_postgres_batch_free(&p->batch);
    explicit_bzero(&p->options, sizeof(p->options));
    free(p);
}

static const struct fg_sink_driver driver = {.name = "postgres",
                                             .open = postgres_open,
                                             .cursor = postgres_cursor,
                                             .apply = postgres_apply,
                                             .fill = postgres_fill,
                                             .adopt = postgres_adopt,
                                             .close = postgres_close,
                                             .free = postgres_free};

bool fg_sink_postgres_check(const struct fg_sink_postgres_options *o, struct fg_error *err)
{
    char address[256];

    if (!fg_sink_postgres_address(o->conninfo, address, sizeof(address), err) ||
        !fg_sink_postgres_options_schema_check(o, err))
        return false;
    if (o->batch_max < 1 || o->batch_max > BATCH_MAX)
        return fg_fail(err, "postgres batch of %u records, accepted: 1..%d", o->batch_max,
                       BATCH_MAX);
    if (o->timeout_ms < 1 || o->timeout_ms > 3600000)
        return fg_fail(err, "postgres timeout of %u ms, accepted: 1..3600000", o->timeout_ms);
    if (o->retry_ms_max < 1 || o->retry_ms_max > 3600000)
        return fg_fail(err, "postgres retry pause of %u ms, accepted: 1..3600000", o->retry_ms_max);
    return true;
}

struct fg_sink *fg_sink_postgres_start(const struct fg_sink_postgres_options *options,
                                       const char *journal_dir, const _Atomic uint64_t *durable_seq,
                                       struct fg_error *err)
{
    struct fg_sink_common common = {.batch_max = options->batch_max,
                                    .retry_ms_max = options->retry_ms_max};
    struct postgres_sink *p;

    if (!fg_sink_postgres_check(options, err))
        return NULL;
    p = calloc(1, sizeof(*p));
    FG_ASSERT(p);
    p->options = *options;
    fg_sink_postgres_schema(options, p->options.schema);
    fg_sink_postgres_address(options->conninfo, p->address, sizeof(p->address), NULL);
    common.address = p->address;
    p->conn = (struct fg_sink_postgres_conn){
        .options = &p->options, .address = p->address, .wait = &p->wait};
    if (!fg_sink_postgres_batch_init(&p->batch, options->batch_max)) {
        fg_fail(err, "postgres sink: out of memory");
        postgres_free(p);
        return NULL;
    }
    return fg_sink_start(&driver, p, &p->wait, &common, journal_dir, durable_seq, err);
}
