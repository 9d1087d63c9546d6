/* SPDX-License-Identifier: BSD-3-Clause */
#include "books.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define FIELD_MAX 40 /* characters of one value in an array, with its comma */

static const char schema[] =
    "SET client_min_messages = warning;"
    "SET statement_timeout = '10s';"
    "BEGIN;"
    "SELECT pg_advisory_xact_lock(4600, 1);" /* two that begin at once */
    "CREATE SCHEMA IF NOT EXISTS order_service;"
    "CREATE TABLE IF NOT EXISTS order_service.payments ("
    " user_id numeric(20) NOT NULL, order_id text NOT NULL, item numeric(20) NOT NULL, quantity "
    "int NOT NULL,"
    " deadline_ms bigint NOT NULL, state text NOT NULL,"
    " taken timestamptz NOT NULL DEFAULT now(), changed timestamptz NOT NULL DEFAULT now(),"
    " PRIMARY KEY (user_id, order_id));"
    "CREATE INDEX IF NOT EXISTS payments_open ON order_service.payments (state)"
    " WHERE state IN ('taken', 'charged', 'declined');"
    "CREATE TABLE IF NOT EXISTS order_service.bookings ("
    " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id numeric(20) NOT NULL, order_id "
    "text NOT "
    "NULL,"
    " kind text NOT NULL CHECK (kind IN ('charge', 'refund')), units int NOT NULL,"
    " booked timestamptz NOT NULL DEFAULT now());"
    "COMMIT;";

static const char sql_take[] =
    "INSERT INTO order_service.payments (user_id, order_id, item, quantity, deadline_ms, state)"
    " SELECT u, o, i, q, d, 'taken' FROM unnest($1::numeric[], $2::text[], $3::numeric[], "
    "$4::int[], "
    "$5::bigint[])"
    " AS t(u, o, i, q, d) ON CONFLICT DO NOTHING RETURNING user_id, order_id";

/* The booking stands or falls with the step that it belongs to. */
static const char sql_move[] =
    "WITH moved AS (UPDATE order_service.payments p SET state = $4, changed = now()"
    " FROM unnest($1::numeric[], $2::text[]) AS t(u, o)"
    " WHERE p.user_id = t.u AND p.order_id = t.o AND p.state = $3 RETURNING p.user_id, p.order_id, "
    "p.quantity)"
    " INSERT INTO order_service.bookings (user_id, order_id, kind, units)"
    " SELECT user_id, order_id, $5, quantity FROM moved WHERE $5 <> ''";

static const char sql_load[] =
    "SELECT user_id, order_id, item, quantity, deadline_ms, state FROM order_service.payments"
    " WHERE state IN ('taken', 'charged', 'declined')";

static const char sql_bookings[] =
    "SELECT count(*) FILTER (WHERE kind = 'charge'), count(*) FILTER (WHERE kind = 'refund'),"
    " coalesce(sum(units) FILTER (WHERE kind = 'charge'), 0), coalesce(sum(units) FILTER (WHERE "
    "kind = "
    "'refund'), 0),"
    " (SELECT count(*) FROM (SELECT 1 FROM order_service.bookings GROUP BY user_id, order_id, kind"
    " HAVING count(*) > 1) AS twice) FROM order_service.bookings";

/* ---- text arrays ----------------------------------------------------------------------------- */

struct array {
    char *text;
    size_t len;
};

static struct array array_begin(size_t n)
{
    struct array a = {.text = malloc(n * FIELD_MAX + 3), .len = 1};

    FG_ASSERT(a.text);
    memcpy(a.text, "{", 2);
    return a;
}

static void array_text(struct array *a, const char *text)
{
    a->len += (size_t)sprintf(a->text + a->len, "%s%s", a->len > 1 ? "," : "", text);
}

static void array_number(struct array *a, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    array_text(a, text);
}

static const char *array_end(struct array *a)
{
    memcpy(a->text + a->len, "}", 2);
    return a->text;
}

/* ---- server ---------------------------------------------------------------------------------- */

static bool fail(struct books *b, struct fg_error *err)
{
    const char *text = PQerrorMessage(b->pg);

    fg_fail(err, "PostgreSQL: %.*s", (int)strcspn(text, "\n"), text);
    return false;
}

/* The result, or NULL and err. */
static PGresult *ask(struct books *b, const char *sql, int n, const char *const *values,
                     struct fg_error *err)
{
    PGresult *result = PQexecParams(b->pg, sql, n, NULL, values, NULL, NULL, 0);

    if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK)
        return result;
    fail(b, err);
    PQclear(result);
    return NULL;
}

bool books_open(struct books *b, const char *conninfo, struct fg_error *err)
{
    const char *const keywords[] = {"dbname", "connect_timeout", "application_name",
                                    "tcp_user_timeout", NULL};
    const char *const values[] = {conninfo, "10", "order-service", "10000", NULL};
    PGresult *result;
    bool ok;

    books_close(b);
    b->pg = PQconnectdbParams(keywords, values, 1);
    if (PQstatus(b->pg) != CONNECTION_OK)
        return fail(b, err);
    result = PQexec(b->pg, schema);
    ok = PQresultStatus(result) == PGRES_COMMAND_OK || fail(b, err);
    PQclear(result);
    return ok;
}

void books_close(struct books *b)
{
    PQfinish(b->pg);
    b->pg = NULL;
}

/* A result that is not what was asked for. */
static bool strange(PGresult *result, const struct fg_error *why, struct fg_error *err)
{
    PQclear(result);
    return fg_fail(err, "PostgreSQL: %.300s", why->text);
}

static enum state state_of(const char *name)
{
    unsigned state = 0;

    while (state < STATES && strcmp(state_names[state], name) != 0)
        state++;
    return (enum state)state;
}

bool books_load(struct books *b, struct payments *all, void (*when)(void *arg, struct payment *p),
                void *arg, struct fg_error *err)
{
    PGresult *result = ask(b, sql_load, 0, NULL, err);
    struct fg_error why;

    if (!result)
        return false;
    if (!fg_postgres_rows(result, "payments", 6, 0, UINT_MAX, &why))
        return strange(result, &why, err);
    for (unsigned row = 0; row < fg_postgres_rows_count(result); row++) {
        struct payment p = {.state = state_of(fg_postgres_rows_text(result, row, 5))};
        uint64_t quantity;

        if (!fg_postgres_rows_number(result, "user_id", row, 0, &p.user, &why) ||
            !fg_postgres_rows_number(result, "item", row, 2, &p.item, &why) ||
            !fg_postgres_rows_number(result, "quantity", row, 3, &quantity, &why) ||
            !fg_postgres_rows_number(result, "deadline_ms", row, 4, &p.deadline_ms, &why))
            return strange(result, &why, err);
        if (p.state == STATES || strlen(fg_postgres_rows_text(result, row, 1)) != 32) {
            fg_fail(&why, "a payment of an unknown state, or with no order id");
            return strange(result, &why, err);
        }
        p.quantity = (uint32_t)quantity;
        snprintf(p.order, sizeof(p.order), "%s", fg_postgres_rows_text(result, row, 1));
        when(arg, &p);
        payments_add(all, &p);
    }
    PQclear(result);
    return true;
}

/* Rows come in any order: found by name among the n. */
static bool mark_fresh(const PGresult *result, const struct payment *list, size_t n, bool *fresh,
                       struct fg_error *err)
{
    size_t at = 0, i;

    memset(fresh, 0, n * sizeof(*fresh));
    if (!fg_postgres_rows(result, "payments that are new", 2, 0, (unsigned)n, err))
        return false;
    for (unsigned row = 0; row < fg_postgres_rows_count(result); row++) {
        const char *order = fg_postgres_rows_text(result, row, 1);
        uint64_t user;

        if (!fg_postgres_rows_number(result, "user_id", row, 0, &user, err))
            return false;
        for (i = 0; i < n; i++, at++) {
            if (at >= n)
                at = 0;
            if (!fresh[at] && list[at].user == user && !strcmp(list[at].order, order))
                break;
        }
        if (i == n)
            return fg_fail(err, "a payment came back that was not given");
        fresh[at] = true;
    }
    return true;
}

bool books_take(struct books *b, const struct payment *list, size_t n, bool *fresh,
                struct fg_error *err)
{
    struct array users = array_begin(n), orders = array_begin(n), items = array_begin(n),
                 units = array_begin(n), deadlines = array_begin(n);
    PGresult *result;
    struct fg_error why;
    bool ok;

    for (size_t i = 0; i < n; i++) {
        array_number(&users, list[i].user);
        array_text(&orders, list[i].order);
        array_number(&items, list[i].item);
        array_number(&units, list[i].quantity);
        array_number(&deadlines, list[i].deadline_ms);
    }
    result = ask(b, sql_take, 5,
                 (const char *[]){array_end(&users), array_end(&orders), array_end(&items),
                                  array_end(&units), array_end(&deadlines)},
                 err);
    ok = result && mark_fresh(result, list, n, fresh, &why);
    if (result && !ok)
        fg_fail(err, "PostgreSQL: %.300s", why.text);
    PQclear(result);
    free(users.text);
    free(orders.text);
    free(items.text);
    free(units.text);
    free(deadlines.text);
    return ok;
}

bool books_move(struct books *b, struct payment *const *list, size_t n, enum state from,
                enum state to, const char *booking, struct fg_error *err)
{
    struct array users = array_begin(n), orders = array_begin(n);
    PGresult *result;

    for (size_t i = 0; i < n; i++) {
        array_number(&users, list[i]->user);
        array_text(&orders, list[i]->order);
    }
    result = ask(b, sql_move, 5,
                 (const char *[]){array_end(&users), array_end(&orders), state_names[from],
                                  state_names[to], booking ? booking : ""},
                 err);
    PQclear(result);
    free(users.text);
    free(orders.text);
    return result;
}

static uint64_t cell(const PGresult *result, unsigned row, unsigned column)
{
    uint64_t value = 0;

    fg_postgres_rows_u64(result, row, column, &value);
    return value;
}

bool books_totals(struct books *b, struct books_totals *t, struct fg_error *err)
{
    PGresult *result =
        ask(b, "SELECT state, count(*), sum(quantity) FROM order_service.payments GROUP BY state",
            0, NULL, err);

    struct fg_error why;

    *t = (struct books_totals){.charges = 0};
    if (!result)
        return false;
    if (!fg_postgres_rows(result, "payments by state", 3, 0, STATES, &why))
        return strange(result, &why, err);
    for (unsigned row = 0; row < fg_postgres_rows_count(result); row++) {
        enum state state = state_of(fg_postgres_rows_text(result, row, 0));

        if (state == STATES)
            continue;
        t->payments[state] = cell(result, row, 1);
        t->units[state] = cell(result, row, 2);
    }
    PQclear(result);
    result = ask(b, sql_bookings, 0, NULL, err);
    if (!result)
        return false;
    if (!fg_postgres_rows(result, "bookings", 5, 1, 1, &why))
        return strange(result, &why, err);
    t->charges = cell(result, 0, 0);
    t->refunds = cell(result, 0, 1);
    t->charged_units = cell(result, 0, 2);
    t->refunded_units = cell(result, 0, 3);
    t->charged_twice = cell(result, 0, 4);
    PQclear(result);
    return true;
}
