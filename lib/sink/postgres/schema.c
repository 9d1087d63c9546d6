/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables, as migrations, and the operator's views of them. docs/postgres.md tells what they
 * mean. */
#include "sink/postgres/schema.h"

#include <ctype.h>
#include <string.h>

#include "postgres/rows.h"

/* Migration i brings version i to i + 1. Once released, one is never changed. */
static const char *const migrations[] = {
    "CREATE TYPE order_state AS ENUM ('reserved', 'sold', 'cancelled', 'expired',"
    " 'refunded');"
    "CREATE TABLE orders ("
    " user_id numeric(20) NOT NULL, order_id uuid NOT NULL, item numeric(20) NOT NULL,"
    " quantity integer NOT NULL, state order_state NOT NULL, late boolean NOT NULL DEFAULT false,"
    " deadline timestamptz NOT NULL, changed timestamptz NOT NULL, seq bigint NOT NULL,"
    " PRIMARY KEY (user_id, order_id));"
    "CREATE INDEX orders_seq ON orders (seq);"
    "CREATE TABLE inventory ("
    " item numeric(20) PRIMARY KEY, name text,"
    " total bigint NOT NULL DEFAULT 0, available bigint NOT NULL DEFAULT 0,"
    " reserved bigint NOT NULL DEFAULT 0, sold bigint NOT NULL DEFAULT 0,"
    " refunded bigint NOT NULL DEFAULT 0,"
    " orders bigint NOT NULL DEFAULT 0, orders_sold bigint NOT NULL DEFAULT 0,"
    " orders_cancelled bigint NOT NULL DEFAULT 0, orders_expired bigint NOT NULL DEFAULT 0,"
    " orders_refunded bigint NOT NULL DEFAULT 0, orders_late bigint NOT NULL DEFAULT 0,"
    " opens timestamptz, closes timestamptz, hold_ms bigint NOT NULL, user_limit bigint NOT NULL,"
    " order_max integer NOT NULL, paused boolean NOT NULL, seq bigint NOT NULL,"
    " CHECK (available >= 0 AND reserved >= 0 AND sold >= 0 AND refunded >= 0),"
    " CHECK (total = available + reserved + sold + refunded));"
    "CREATE TABLE denied_users (user_id numeric(20) PRIMARY KEY);"
    "CREATE TABLE floodgate_cursor ("
    " one boolean PRIMARY KEY DEFAULT true CHECK (one), appliance text, seq bigint NOT NULL "
    "DEFAULT 0,"
    " crc bigint NOT NULL DEFAULT 0,"
    " filled_seq bigint NOT NULL DEFAULT 0, format integer NOT NULL, updated timestamptz);"
    "INSERT INTO floodgate_cursor (format) VALUES (0)",

    "ALTER TYPE order_state ADD VALUE 'waiting';"
    "ALTER TABLE orders ALTER COLUMN deadline DROP NOT NULL;"
    "ALTER TABLE inventory ADD COLUMN waiting bigint NOT NULL DEFAULT 0 CHECK (waiting >= 0),"
    " ADD COLUMN line_max bigint NOT NULL DEFAULT 0, ADD COLUMN claim_ms bigint NOT NULL DEFAULT 0,"
    " ADD COLUMN wait_ttl_ms bigint NOT NULL DEFAULT 0,"
    " ADD COLUMN one_unit boolean NOT NULL DEFAULT false",

    "ALTER TABLE inventory ADD COLUMN leased bigint NOT NULL DEFAULT 0,"
    " ADD COLUMN returned bigint NOT NULL DEFAULT 0, ADD COLUMN added bigint NOT NULL DEFAULT 0;"
    "UPDATE inventory SET added = total",
};
_Static_assert(sizeof(migrations) / sizeof(migrations[0]) == FG_SINK_POSTGRES_VERSION,
               "one for each version");

bool fg_sink_postgres_schema_check(const char *schema, struct fg_error *err)
{
    size_t len = strlen(schema);
    bool good = len >= 1 && len < sizeof(((struct fg_sink_postgres_options *)0)->schema) &&
                !isdigit((unsigned char)*schema) && strncmp(schema, "pg_", 3) != 0;

    for (const char *p = schema; *p; p++)
        good = good && (islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '_');
    if (!good)
        return fg_fail(err,
                       "postgres schema '%s': accepted are 1..63 lower case letters, digits and _, "
                       "not a digit "
                       "first, not pg_...",
                       schema);
    return true;
}

static void schema_of(const struct fg_sink_postgres_options *o, unsigned member, char schema[64])
{
    if (o->members)
        snprintf(schema, 64, "%.*s_member_%u", FG_SINK_POSTGRES_FLEET_SCHEMA_MAX, o->schema,
                 (uint8_t)member);
    else
        snprintf(schema, 64, "%s", o->schema);
}

void fg_sink_postgres_schema(const struct fg_sink_postgres_options *o, char schema[64])
{
    schema_of(o, o->member, schema);
}

bool fg_sink_postgres_options_schema_check(const struct fg_sink_postgres_options *o,
                                           struct fg_error *err)
{
    if (!fg_sink_postgres_schema_check(o->schema, err))
        return false;
    return !o->members || strlen(o->schema) <= FG_SINK_POSTGRES_FLEET_SCHEMA_MAX ||
           fg_fail(err, "postgres schema '%s': of a fleet, accepted are at most %d characters",
                   o->schema, FG_SINK_POSTGRES_FLEET_SCHEMA_MAX);
}

bool fg_sink_postgres_address(const char *conninfo, char *address, size_t size,
                              struct fg_error *err)
{
    const char *host = NULL, *port = NULL, *database = NULL, *service = NULL;
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &why);

    if (!options) { /* libpq's text could show the password */
        PQfreemem(why);
        return fg_fail(
            err, "postgres conninfo: not a connection string; accepted: key=value pairs such as "
                 "host=10.0.0.5 dbname=shop user=gate, or postgresql://user@host/database");
    }
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        if (!o->val)
            continue;
        if (!strcmp(o->keyword, "host") || (!host && !strcmp(o->keyword, "hostaddr")))
            host = o->val;
        else if (!strcmp(o->keyword, "port"))
            port = o->val;
        else if (!strcmp(o->keyword, "dbname"))
            database = o->val;
        else if (!strcmp(o->keyword, "service"))
            service = o->val;
    }
    snprintf(address, size, "%s:%s/%s",
             host      ? host
             : service ? service
                       : "local",
             port ? port : "5432", database ? database : "");
    PQconninfoFree(options);
    return true;
}

/* ---- the operator's side: may wait ----------------------------------------------------------- */

struct admin {
    PGconn *pg;
    PGresult *result; /* of the last command */
    char address[256];
    struct fg_error *err;
};

static void no_notice(void *arg, const char *message)
{
}

static bool failed(struct admin *a, const char *text)
{
    return fg_fail(a->err, "%s: %.*s", a->address, (int)strcspn(text, "\n"), text);
}

static bool admin_open(struct admin *a, const struct fg_sink_postgres_options *o,
                       struct fg_error *err)
{
    const char *keywords[] = {"connect_timeout",
                              "application_name",
                              "dbname",
                              "client_encoding",
                              o->password[0] ? "password" : NULL,
                              NULL};
    const char *values[] = {"10", "fgctl", o->conninfo, "UTF8", o->password, NULL};

    *a = (struct admin){.err = err};
    if (!fg_sink_postgres_options_schema_check(o, err) ||
        !fg_sink_postgres_address(o->conninfo, a->address, sizeof(a->address), err))
        return false;
    a->pg = PQconnectdbParams(keywords, values, 1);
    if (PQstatus(a->pg) != CONNECTION_OK)
        return failed(a, PQerrorMessage(a->pg));
    PQsetNoticeProcessor(a->pg, no_notice, NULL);
    return true;
}

static void admin_close(struct admin *a)
{
    PQclear(a->result);
    PQfinish(a->pg);
}

static bool took(struct admin *a, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    PQclear(a->result);
    a->result = result;
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
           failed(a, PQerrorMessage(a->pg));
}

static bool run(struct admin *a, const char *sql)
{
    return took(a, PQexec(a->pg, sql));
}

static bool ask(struct admin *a, const char *sql, const char *value)
{
    return took(a, PQexecParams(a->pg, sql, 1, NULL, &value, NULL, NULL, 0));
}

static const char *cell(const struct admin *a, int column)
{
    return fg_postgres_rows_text(a->result, 0, (unsigned)column);
}

/* Version of the tables that are there; 0 = none. Leaves the search path at the schema. */
static bool read_version(struct admin *a, const char *schema, unsigned *version)
{
    *version = 0;
    if (!ask(a, "SELECT set_config('search_path', $1, false)", schema) ||
        !run(a, "SELECT to_regclass('floodgate_cursor') IS NOT NULL"))
        return false;
    if (*cell(a, 0) != 't')
        return true;
    if (!run(a, "SELECT format FROM floodgate_cursor"))
        return false;
    *version = (unsigned)strtoul(cell(a, 0), NULL, 10);
    return true;
}

static bool make_schema(struct admin *a, const char *schema, bool *made)
{
    char sql[128];

    if (!ask(a, "SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema))
        return false;
    *made = *cell(a, 0) == '0';
    snprintf(sql, sizeof(sql), "CREATE SCHEMA %s", schema);
    return !*made || run(a, sql);
}

/* One at a time: of two that begin together the second finds everything done. */
static bool lock(struct admin *a, const char *schema)
{
    return ask(a, "SELECT pg_advisory_xact_lock(hashtextextended('floodgate ' || $1, 0))", schema);
}

static bool migrate(struct admin *a, const char *schema, struct fg_sink_postgres_made *made)
{
    char sql[96];

    if (!lock(a, schema) || !run(a, "SHOW server_encoding"))
        return false;
    if (strcmp(cell(a, 0), "UTF8") != 0)
        return fg_fail(a->err, "%s: the database's encoding is %s; accepted: UTF8", a->address,
                       cell(a, 0));
    if (!make_schema(a, schema, &made->schema) || !read_version(a, schema, &made->from))
        return false;
    made->to = FG_SINK_POSTGRES_VERSION;
    if (made->from > FG_SINK_POSTGRES_VERSION)
        return fg_fail(
            a->err,
            "%s: the tables of schema %s are of version %u, made by a newer program; this "
            "one knows versions up to %d",
            a->address, schema, made->from, FG_SINK_POSTGRES_VERSION);
    for (unsigned v = made->from; v < FG_SINK_POSTGRES_VERSION; v++) {
        snprintf(sql, sizeof(sql), "UPDATE floodgate_cursor SET format = %u", v + 1);
        if (!run(a, migrations[v]) || !run(a, sql))
            return false;
    }
    return true;
}

/* ---- of a fleet: views over the tables of all members --------------------------------------- */

/* Append only: CREATE OR REPLACE VIEW adds columns at the end of a view, and moves or renames none.
 * At the end stand the settings, so new units need a list of their own behind them. */
static const char *const units[] = {
    "total",       "available",   "reserved",         "sold",           "refunded",
    "orders",      "orders_sold", "orders_cancelled", "orders_expired", "orders_refunded",
    "orders_late", "waiting",     "leased",           "returned",       "added"};
static const char *const item_settings[] = {"name",       "opens",       "closes",  "hold_ms",
                                            "user_limit", "order_max",   "paused",  "line_max",
                                            "claim_ms",   "wait_ttl_ms", "one_unit"};
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static const struct {
    const char *name, *table, *columns; /* behind the number of the member */
} unions[] = {
    {"orders", "orders",
     "user_id, order_id, item, quantity, state::text AS state, late, deadline, changed, seq"},
    {"inventory_members", "inventory", "item, seq"}, /* and all others */
    {"denied_users", "denied_users", "user_id"},
    {"cursors", "floodgate_cursor", "appliance, seq, crc, format, filled_seq, updated"},
};
#define INVENTORY 1

static void add_columns(FILE *out, const char *const list[], size_t n, const char *before,
                        const char *after)
{
    for (size_t i = 0; i < n; i++)
        fprintf(out, ", %s%s%s AS %s", before, list[i], after, list[i]);
}

static void add_union(FILE *out, const struct fg_sink_postgres_options *o, size_t which)
{
    char schema[64];

    fprintf(out, "CREATE OR REPLACE VIEW %s.%s AS", o->schema, unions[which].name);
    for (unsigned m = 0; m < o->members; m++) {
        schema_of(o, m, schema);
        fprintf(out, "%s SELECT %u AS member, %s", m ? " UNION ALL" : "", m, unions[which].columns);
        if (which == INVENTORY) {
            add_columns(out, units, COUNT(units), "", "");
            add_columns(out, item_settings, COUNT(item_settings), "", "");
        }
        fprintf(out, " FROM %s.%s", schema, unions[which].table);
    }
    fputs(";\n", out);
}

/* All views as one text; freed by the caller. NULL: no memory. Settings are the same at all
 * members, so they are those of the first one. */
static char *views(const struct fg_sink_postgres_options *o)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    for (size_t which = 0; which < COUNT(unions); which++)
        add_union(out, o, which);
    fprintf(out, "CREATE OR REPLACE VIEW %s.inventory AS SELECT item", o->schema);
    add_columns(out, units, COUNT(units), "sum(", ")::bigint");
    fputs(", sum(returned - leased)::bigint AS pool, count(*) AS members", out);
    add_columns(out, item_settings, COUNT(item_settings), "(array_agg(", " ORDER BY member))[1]");
    fprintf(out, " FROM %s.inventory_members GROUP BY item", o->schema);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static bool make_views(struct admin *a, const struct fg_sink_postgres_options *o)
{
    char *text = views(o);
    bool ok = text ? run(a, text) : fg_fail(a->err, "out of memory");

    free(text);
    return ok;
}

/* Tables of all members, and the views. */
static bool migrate_fleet(struct admin *a, const struct fg_sink_postgres_options *o,
                          struct fg_sink_postgres_made *made)
{
    struct fg_sink_postgres_made each;
    unsigned version;
    char schema[64];
    bool made_views;

    if (!lock(a, o->schema) || !make_schema(a, o->schema, &made_views) ||
        !read_version(a, o->schema, &version))
        return false;
    if (version)
        return fg_fail(a->err,
                       "%s: schema %s has the tables of an appliance that is of no fleet: give the "
                       "fleet another one",
                       a->address, o->schema);
    for (unsigned m = 0; m < o->members; m++) {
        schema_of(o, m, schema);
        if (!migrate(a, schema, &each))
            return false;
        if (m == o->member)
            *made = each;
    }
    return make_views(a, o);
}

bool fg_sink_postgres_init(const struct fg_sink_postgres_options *options,
                           struct fg_sink_postgres_made *made, struct fg_error *err)
{
    struct admin a;
    bool ok = admin_open(&a, options, err) && run(&a, "BEGIN") &&
              (options->members ? migrate_fleet(&a, options, made)
                                : migrate(&a, options->schema, made)) &&
              run(&a, "COMMIT");

    admin_close(&a); /* rolls back what was not committed */
    return ok;
}

bool fg_sink_postgres_read_state(const struct fg_sink_postgres_options *options,
                                 struct fg_sink_postgres_state *state, struct fg_error *err)
{
    struct admin a;
    char schema[64];
    bool ok;

    fg_sink_postgres_schema(options, schema);
    ok = admin_open(&a, options, err) &&
         run(&a, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") &&
         read_version(&a, schema, &state->version);

    state->server = ok ? (unsigned)PQserverVersion(a.pg) : 0;
    snprintf(state->address, sizeof(state->address), "%s", a.address);
    state->known = FG_SINK_POSTGRES_VERSION;
    if (ok && state->version == FG_SINK_POSTGRES_VERSION) {
        ok = run(&a, "SELECT coalesce(appliance, ''), seq, coalesce(updated::text, ''),"
                     " (SELECT count(*) FROM orders), (SELECT count(*) FROM inventory)"
                     " FROM floodgate_cursor");
        snprintf(state->appliance, sizeof(state->appliance), "%s", ok ? cell(&a, 0) : "");
        state->cursor = ok ? strtoull(cell(&a, 1), NULL, 10) : 0;
        snprintf(state->updated, sizeof(state->updated), "%s", ok ? cell(&a, 2) : "");
        state->orders = ok ? strtoull(cell(&a, 3), NULL, 10) : 0;
        state->items = ok ? strtoull(cell(&a, 4), NULL, 10) : 0;
    }
    admin_close(&a);
    return ok;
}
