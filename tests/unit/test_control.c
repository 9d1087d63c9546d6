/* SPDX-License-Identifier: BSD-3-Clause */
/* The control server over its real socket, with a real ledger behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/fields.h"
#include "control_ask.h"

static void creates_with_defaults(void **state)
{
    json_t *json = ask("POST", "/v1/items", "{\"item\": 7}", 201);

    assert_string_equal(text(json, "item"), "7");
    assert_int_equal(number(json, "total"), 0);
    assert_int_equal(number(json, "user_limit"), 0);
    assert_int_equal(number(json, "order_max"), 10);
    assert_int_equal(number(json, "hold_ms"), 120000);
    assert_int_equal(number(json, "opens_ms"), 0);
    assert_true(json_is_null(json_object_get(json, "opens")));
    assert_string_equal(text(json, "state"), "sold-out");
    assert_null(json_object_get(json, "lagging"));
    json_decref(json);
    assert_false(fx.daemon.last_must_exist);
    assert_int_equal(fx.daemon.stock_calls, 0);
    refused("POST", "/v1/items", "{\"item\": 7}", 409, NULL, "exists already");
}

static void creates_with_everything(void **state)
{
    json_t *json =
        ask("POST", "/v1/items",
            "{\"item\": 9223372036854775807, \"name\": \"Kaffee \\u00fc\", \"total\": 2000000000,"
            "\"user_limit\": 2, \"order_max\": 65535, \"hold_ms\": 4233600000,"
            "\"opens\": \"2026-11-27T10:00:00.250+01:00\", \"closes\": 4102444800000, \"paused\": "
            "true}",
            201);

    assert_string_equal(text(json, "item"), "9223372036854775807");
    assert_string_equal(text(json, "name"), "Kaffee ü");
    assert_int_equal(number(json, "total"), 2000000000);
    assert_int_equal(number(json, "available"), 2000000000);
    assert_int_equal(number(json, "opens_ms"), 1795770000250);
    assert_string_equal(text(json, "opens"), "2026-11-27T09:00:00.250Z");
    assert_string_equal(text(json, "closes"), "2100-01-01T00:00:00Z");
    assert_string_equal(text(json, "state"), "paused");
    json_decref(json);
    assert_int_equal(fx.daemon.last_units, 2000000000);
    assert_int_equal(fx.daemon.last_item.order_max, 65535);
    json_decref(ask("GET", "/v1/items/9223372036854775807", NULL, 200));
}

static void refuses_bad_items(void **state)
{
    static const struct {
        const char *body, *field, *says;
    } bad[] = {
        {"", NULL, "missing"},
        {"{", NULL, "no valid JSON"},
        {"[]", NULL, "not a JSON object"},
        {"7", NULL, "not a JSON object"},
        {"{\"item\": 1, \"item\": 2}", NULL, "duplicate"},
        {"{\"item\": 99999999999999999999}", NULL, "no valid JSON"},
        {"{\"item\": 1, \"name\": \"\xff\"}", NULL, "no valid JSON"},
        {"{}", "item", "missing"},
        {"{\"item\": 0}", "item", "from 1 to 9223372036854775807"},
        {"{\"item\": -1}", "item", "-1 is not a whole number"},
        {"{\"item\": \"seven\"}", "item", "\"seven\" is not"},
        {"{\"item\": 7.5}", "item", "7.5 is not"},
        {"{\"item\": true}", "item", "true is not"},
        {"{\"item\": 1, \"price\": 5}", "price",
         "unknown field \"price\"; accepted: item, name, total"},
        {"{\"item\": 1, \"total\": 2000000001}", "total", "from 0 to 2000000000"},
        {"{\"item\": 1, \"total\": -1}", "total", "from 0 to 2000000000"},
        {"{\"item\": 1, \"user_limit\": 4294967296}", "user_limit", "to 4294967295"},
        {"{\"item\": 1, \"order_max\": 0}", "order_max", "from 1 to 65535"},
        {"{\"item\": 1, \"order_max\": 65536}", "order_max", "from 1 to 65535"},
        {"{\"item\": 1, \"hold_ms\": 99}", "hold_ms", "from 100 to 4233600000"},
        {"{\"item\": 1, \"hold_ms\": 4233600001}", "hold_ms", "from 100 to 4233600000"},
        {"{\"item\": 1, \"hold_ms\": null}", "hold_ms", "null is not"},
        {"{\"item\": 1, \"opens\": \"tomorrow\"}", "opens", "2026-11-27T09:00:00Z"},
        {"{\"item\": 1, \"opens\": \"2026-02-29T00:00:00Z\"}", "opens", "is not"},
        {"{\"item\": 1, \"opens\": 253402300800000}", "opens", "is not"},
        {"{\"item\": 1, \"opens\": 1800000000000, \"closes\": 1800000000000}", "closes",
         "not after opens"},
        {"{\"item\": 1, \"opens\": 1800000000}", "opens",
         "opens: 1800000000 looks like seconds; Unix milliseconds are meant: 1800000000000 is "
         "2027-01-15T08:00:00Z"},
        {"{\"item\": 1, \"closes\": 1800000000000000000}", "closes", "looks like nanoseconds"},
        {"{\"item\": 1, \"opens\": 946684799999}", "opens", "is not a time from 2000 to 9999"},
        {"{\"item\": 1, \"opens\": \"1999-12-31T23:59:59Z\"}", "opens", "from 2000 to 9999"},
        {"{\"item\": 1, \"paused\": 1}", "paused", "true or false"},
        {"{\"item\": 1, \"name\": 5}", "name", "text of at most 32 bytes"},
        {"{\"item\": 1, \"name\": \"123456789012345678901234567890123\"}", "name",
         "at most 32 bytes"},
        {"{\"item\": 1, \"name\": \"a\\u001b[2J\"}", "name", "without control characters"},
        {"{\"item\": 1, \"name\": \"a\\u009b2J\"}", "name", "without control characters"},
        {"{\"item\": 1, \"name\": \"a\\u2028b\"}", "name", "without control characters"},
        {"{\"item\": 1, \"name\": \"a\\u202egpj\"}", "name", "without control characters"},
        {"{\"item\": 1, \"name\": \"a\\u2069\"}", "name", "without control characters"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused("POST", "/v1/items", bad[i].body, 400, bad[i].field, bad[i].says);
    assert_int_equal(fx.daemon.item_calls, 0);
}

static void says_what_half_a_creation_left(void **state)
{
    fx.daemon.refuse_stock = FG_CONTROL_CONFLICT;
    refused("POST", "/v1/items", "{\"item\": 7, \"total\": 5}", 409, "total",
            "item 7 was created, but its 5 units were not added: refused by the test; "
            "POST /v1/items/7/stock adds them");
    fx.daemon.refuse_stock = FG_CONTROL_UNAVAILABLE;
    refused("POST", "/v1/items", "{\"item\": 8, \"total\": 5}", 503, "total", "perhaps not added");
    fx.daemon.refuse_stock = FG_CONTROL_DONE;
    json_decref(ask("GET", "/v1/items/8", NULL, 200));
}

static void maps_results_to_codes(void **state)
{
    static const struct {
        enum fg_control_result result;
        int code;
    } list[] = {{FG_CONTROL_BAD, 400},
                {FG_CONTROL_NOT_FOUND, 404},
                {FG_CONTROL_CONFLICT, 409},
                {FG_CONTROL_UNAVAILABLE, 503}};

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        fx.daemon.refuse_item = list[i].result;
        refused("POST", "/v1/items", "{\"item\": 1}", list[i].code, NULL, "refused by the test");
    }
}

static void changes_settings(void **state)
{
    json_t *json;

    json_decref(ask("POST", "/v1/items",
                    "{\"item\": 7, \"name\": \"a\", \"total\": 3, \"user_limit\": 4}", 201));
    json = ask("PATCH", "/v1/items/7",
               "{\"name\": \"b\", \"hold_ms\": 500, \"closes\": \"2100-01-01T00:00:00Z\"}", 200);
    assert_string_equal(text(json, "name"), "b");
    assert_int_equal(number(json, "hold_ms"), 500);
    assert_int_equal(number(json, "user_limit"), 4); /* untouched */
    assert_int_equal(number(json, "total"), 3);
    json_decref(json);
    assert_true(fx.daemon.last_must_exist);
    json = ask("PATCH", "/v1/items/7", "{\"closes\": null}", 200);
    assert_int_equal(number(json, "closes_ms"), 0);
    json_decref(json);
    refused("PATCH", "/v1/items/7", "{}", 400, NULL, "nothing to change");
    refused("PATCH", "/v1/items/7", "{\"item\": 8}", 400, "item", "keeps its number");
    refused("PATCH", "/v1/items/7", "{\"sold\": 8}", 400, "sold", "unknown field");
    refused("PATCH", "/v1/items/8", "{\"name\": \"b\"}", 404, NULL, "no item 8");
    refused("PATCH", "/v1/items/x", "{\"name\": \"b\"}", 400, "item",
            "\"x\" is not a whole number");
    refused("GET", "/v1/items/0", NULL, 400, "item", "from 1");
    refused("GET", "/v1/items/9223372036854775808", NULL, 400, "item", "from 1");
    assert_int_equal(fx.daemon.item_calls, 3);
}

/* Absolute: the daemon computes the difference, from what is so at that moment. */
static void a_total_is_absolute(void **state)
{
    json_t *json;

    json_decref(ask("POST", "/v1/items", "{\"item\": 7, \"total\": 10}", 201));
    fx.daemon.lag = 50; /* the ledger shows a change late: a difference from it would be wrong */
    json_decref(ask("PATCH", "/v1/items/7", "{\"total\": 30}", 200));
    assert_int_equal(fx.daemon.last_units, 20);
    json = ask("PATCH", "/v1/items/7", "{\"total\": 30, \"order_max\": 10}", 200);
    assert_true(json_is_false(json_object_get(json, "changed"))); /* and no record is written */
    json_decref(json);
    assert_int_equal(fx.daemon.item_calls, 1 + 1); /* in force at all workers */
    assert_int_equal(fx.daemon.stock_calls, 2);
    json_decref(ask("POST", "/v1/items/7/stock", "{\"total\": 25}", 200));
    assert_int_equal(fx.daemon.last_units, -5);
    fg_double_order(&fx.daemon, 1, 1, 7, FG_LEDGER_ORDER_SOLD);
    refused("PATCH", "/v1/items/7", "{\"total\": 0, \"name\": \"none\"}", 409, "total",
            "0 cannot be reached: item 7 has 25 units, and only 24 of them are free; nothing was");
    fx.daemon.behind = true;
    refused("PATCH", "/v1/items/7", "{\"total\": 5}", 503, NULL, "the ledger lags");
}

/* {"if": ...}: whoever decided by what is no longer so is told, and nothing is changed. */
static void a_change_may_have_conditions(void **state)
{
    static const char *const lost[][3] = {
        {"\"total\": 9", "total", "its total is 10, not 9; nothing was changed"},
        {"\"name\": \"b\"", "name", "its name is \"a\", not \"b\"; nothing was changed"},
        {"\"user_limit\": 1", "user_limit", "its user_limit is 4, not 1"},
        {"\"opens\": \"2100-01-01T00:00:00Z\"", "opens", "its opens is 0, not 4102444800000"},
        {"\"closes\": null, \"paused\": true", "paused", "its paused is 0, not 1"},
    };
    static const char create[] = "{\"item\": 7, \"name\": \"a\", \"total\": 10, \"user_limit\": 4, "
                                 "\"if\": {\"exists\": false}}";

    json_decref(ask("POST", "/v1/items", create, 201));
    for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
        char body[256];

        snprintf(body, sizeof(body), "{\"name\": \"n\", \"total\": 20, \"if\": {%s}}", lost[i][0]);
        refused("PATCH", "/v1/items/7", body, 412, lost[i][1], lost[i][2]);
    }
    refused("POST", "/v1/items/7/stock", "{\"add\": 1, \"if\": {\"total\": 9}}", 412, "total",
            "meanwhile");
    refused("POST", "/v1/items", create, 412, "item", "item 7 was created meanwhile");
    refused("PATCH", "/v1/items/7", "{\"total\": 2, \"if\": 5}", 400, "if", "must be an object");
    refused("PATCH", "/v1/items/7", "{\"if\": {\"sold\": 5}}", 400, "sold", "unknown");
    assert_int_equal(fx.daemon.item_calls + fx.daemon.stock_calls, 2);
    json_decref(ask("PATCH", "/v1/items/7",
                    "{\"total\": 20, \"if\": {\"total\": 10, \"name\": \"a\"}}", 200));
}

static void moves_stock(void **state)
{
    json_t *json;

    json_decref(ask("POST", "/v1/items", "{\"item\": 7, \"total\": 10}", 201));
    fg_double_order(&fx.daemon, 1, 1, 7, FG_LEDGER_ORDER_SOLD);
    json = ask("POST", "/v1/items/7/stock", "{\"add\": 5}", 200);
    assert_int_equal(number(json, "total"), 15);
    assert_int_equal(number(json, "available"), 14);
    json_decref(json);
    json = ask("POST", "/v1/items/7/stock", "{\"remove\": 14}", 200);
    assert_int_equal(number(json, "total"), 1);
    assert_string_equal(text(json, "state"), "sold-out");
    json_decref(json);
    refused("POST", "/v1/items/7/stock", "{\"remove\": 1}", 409, NULL, "only 0 units are free");
    refused("POST", "/v1/items/7/stock", "{\"add\": 2000000000}", 409, "add", "at most 2000000000");
    refused("POST", "/v1/items/7/stock", "{\"add\": 0}", 400, "add", "from 1 to 2000000000");
    refused("POST", "/v1/items/7/stock", "{\"remove\": \"3\"}", 400, "remove",
            "\"3\" is not a whole number");
    refused("POST", "/v1/items/7/stock", "{\"take\": 3}", 400, "take",
            "accepted: add, remove, total");
    refused("POST", "/v1/items/7/stock", "{\"add\": 3, \"remove\": 3}", 400, NULL, "must be");
    refused("POST", "/v1/items/7/stock", "{}", 400, NULL, "must be");
    refused("POST", "/v1/items/7/stock", NULL, 400, NULL, "missing");
    refused("POST", "/v1/items/9/stock", "{\"add\": 1}", 404, NULL, "no item 9");
    assert_int_equal(fx.daemon.stock_calls, 4);
}

static void switches(void **state)
{
    json_decref(ask("POST", "/v1/items",
                    "{\"item\": 7, \"total\": 1, \"opens\": \"2100-01-01T00:00:00Z\"}", 201));
    has_state("/v1/items/7", "scheduled");
    json_decref(ask("POST", "/v1/items/7/close", NULL, 200)); /* before it ever opened */
    has_state("/v1/items/7", "closed");
    json_decref(ask("POST", "/v1/items/7/open", NULL, 200));
    has_state("/v1/items/7", "open");
    assert_int_equal(fx.daemon.last_item.closes_ms, 0);
    json_decref(ask("POST", "/v1/items/7/pause", "{}", 200));
    has_state("/v1/items/7", "paused");
    json_decref(ask("PATCH", "/v1/items/7", "{\"name\": \"x\"}", 200));
    has_state("/v1/items/7", "paused");
    json_decref(ask("POST", "/v1/items/7/resume", NULL, 200));
    has_state("/v1/items/7", "open");
    fg_double_order(&fx.daemon, 1, 1, 7, FG_LEDGER_ORDER_RESERVED);
    has_state("/v1/items/7", "sold-out");
    json_decref(ask("POST", "/v1/items/7/close", NULL, 200));
    has_state("/v1/items/7", "closed");
    refused("POST", "/v1/items/7/open", "{\"at\": 5}", 400, NULL, "takes none");
    refused("POST", "/v1/items/8/open", NULL, 404, NULL, "no item 8");
}

/* What a request changed, the next one sees; and when the ledger stands still, the answer says so.
 */
static void waits_for_the_ledger(void **state)
{
    struct timespec from, until;
    json_t *json;

    fx.daemon.lag = 20;
    json = ask("POST", "/v1/items", "{\"item\": 7, \"total\": 10}", 201);
    assert_int_equal(number(json, "available"), 10);
    assert_null(json_object_get(json, "lagging"));
    json_decref(json);
    fx.daemon.lag = 1000000;
    clock_gettime(CLOCK_MONOTONIC, &from);
    json = ask("POST", "/v1/items/7/stock", "{\"add\": 1}", 200);
    clock_gettime(CLOCK_MONOTONIC, &until);
    assert_true(json_is_true(json_object_get(json, "lagging")));
    assert_int_equal(number(json, "total"), 10);
    assert_in_range(until.tv_sec - from.tv_sec, 1, 20);
    json_decref(json);
}

static void lists_in_pages(void **state)
{
    json_t *json;

    for (int i = 1; i <= 25; i++) {
        char body[64];

        snprintf(body, sizeof(body), "{\"item\": %d}", 100 - i);
        json_decref(ask("POST", "/v1/items", body, 201));
    }
    json = ask("GET", "/v1/items", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(json, "items")), 25);
    assert_int_equal(number(json, "limit"), 1000);
    json_decref(json);
    json = ask("GET", "/v1/items?offset=20&limit=10", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(json, "items")), 5);
    assert_string_equal(text(json_array_get(json_object_get(json, "items"), 0), "item"), "79");
    assert_int_equal(number(json, "count"), 25);
    json_decref(json);
    json = ask("GET", "/v1/items?offset=9223372036854775807", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(json, "items")), 0);
    json_decref(json);
    refused("GET", "/v1/items?limit=0", NULL, 400, "limit", "from 1 to 10000");
    refused("GET", "/v1/items?limit=10001", NULL, 400, "limit", "from 1 to 10000");
    refused("GET", "/v1/items?offset=-1", NULL, 400, "offset", "\"-1\" is not a whole number");
    refused("GET", "/v1/items?page=2", NULL, 400, "page", "accepted: offset, limit");
    refused("GET", "/v1/status?x=2", NULL, 400, "x", "accepted: none");
    refused("GET", "/v1/items", "{\"limit\": 5}", 400, NULL, "takes none");
}

/* 9007199254740993 is 2^53 + 1: a reader with 53 bits would take it for its neighbour. */
static void identifiers_keep_64_bits(void **state)
{
    json_t *json = ask("POST", "/v1/items", "{\"item\": \"9007199254740993\", \"total\": 5}", 201);

    assert_string_equal(text(json, "item"), "9007199254740993");
    json_decref(json);
    json_decref(ask("POST", "/v1/items", "{\"item\": 9007199254740992}", 201));
    json = ask("PATCH", "/v1/items/9007199254740993", "{\"name\": \"one\"}", 200);
    assert_string_equal(text(json, "item"), "9007199254740993");
    json_decref(json);
    json = ask("POST", "/v1/items/9007199254740993/close", NULL, 200);
    assert_string_equal(text(json, "item"), "9007199254740993");
    json_decref(json);
    json = ask("GET", "/v1/items", NULL, 200);
    assert_string_equal(text(json_array_get(json_object_get(json, "items"), 0), "item"),
                        "9007199254740993");
    assert_string_equal(text(json_array_get(json_object_get(json, "items"), 1), "item"),
                        "9007199254740992");
    json_decref(json);
    fg_double_order(&fx.daemon, 9007199254740993, 0x01, 9007199254740993, FG_LEDGER_ORDER_RESERVED);
    json = ask("GET", "/v1/orders/9007199254740993/01010101010101010101010101010101", NULL, 200);
    assert_string_equal(text(json, "user"), "9007199254740993");
    assert_string_equal(text(json, "item"), "9007199254740993");
    json_decref(json);
    json_decref(ask("POST", "/v1/users/denied",
                    "{\"users\": [9007199254740993, \"9007199254740995\"]}", 200));
    json = ask("GET", "/v1/users/denied", NULL, 200);
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "users"), 0)),
                        "9007199254740993");
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "users"), 1)),
                        "9007199254740995");
    json_decref(json);
    refused("POST", "/v1/items", "{\"item\": 7.0}", 400, "item", "7.0 is not a whole number");
    refused("POST", "/v1/items", "{\"item\": \"7x\"}", 400, "item", "not a whole number from 1");
    refused("POST", "/v1/items", "{\"item\": 9223372036854775808}", 400, NULL, "too big integer");
    refused("POST", "/v1/items", "{\"item\": \"9223372036854775808\"}", 400, "item",
            "to 9223372036854775807");
}

static void knows_its_routes(void **state)
{
    char *raw;
    static const char options[] =
        "OPTIONS /v1/items/7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    refused("GET", "/", NULL, 404, NULL, "no such path");
    refused("GET", "/v1/items/", NULL, 404, NULL, "no such path");
    refused("GET", "/v1/items/7/stock/3", NULL, 404, NULL, "no such path");
    refused("GET", "/v1/orders", NULL, 404, NULL, "no such path");
    refused("GET", "/v1//status", NULL, 404, NULL, "no such path");
    refused("GET", "/v1/statusx", NULL, 404, NULL, "no such path");
    refused("GET", "/v1/%ff%fe", NULL, 404, NULL, "no such path");
    refused("DELETE", "/v1/items/7", NULL, 405, NULL, "GET, PATCH");
    refused("POST", "/v1/status", "{}", 405, NULL, "GET");
    refused("GET", "/v1/keys/reload", NULL, 405, NULL, "POST");
    raw = fg_raw_request(fx.socket, options, sizeof(options) - 1);
    assert_non_null(strstr(raw, "HTTP/1.1 405"));
    assert_non_null(strstr(raw, "Allow: GET, PATCH\r\n"));
    free(raw);
}

static void reports_status_and_health(void **state)
{
    json_t *json = ask("GET", "/v1/status", NULL, 200);

    assert_string_equal(text(json, "state"), "running");
    assert_int_equal(number(json_object_get(json, "ledger"), "items"), 0);
    assert_string_equal(text(json_object_get(json, "api"), "socket"), fx.socket);
    assert_string_equal(text(json_array_get(json_object_get(json, "alarms"), 1), "name"), "orders");
    json_decref(json);
    json = ask("GET", "/v1/stats", NULL, 200);
    assert_int_equal(number(json_object_get(json, "drops"), "tag"), 3);
    json_decref(json);
    json = ask("GET", "/healthz", NULL, 200);
    assert_true(json_is_true(json_object_get(json, "healthy")));
    json_decref(json);
    fx.daemon.unhealthy = true;
    json = ask("GET", "/healthz", NULL, 503);
    assert_string_equal(text(json, "reason"), "log failed: no space");
    json_decref(json);
}

static void reloads_keys(void **state)
{
    json_decref(ask("POST", "/v1/keys/reload", NULL, 200));
    refused("GET", "/v1/log/snapshot", NULL, 405, NULL, "POST");
    fx.daemon.refuse_keys = FG_CONTROL_BAD;
    refused("POST", "/v1/keys/reload", NULL, 400, NULL, "keys.txt:3");
    assert_int_equal(fx.daemon.keys_calls, 2);
}

static void user_at(const json_t *json, size_t nth, const char *expected)
{
    const char *user = json_string_value(json_array_get(json_object_get(json, "users"), nth));

    assert_string_equal(user ? user : "(none)", expected);
}

static void denies_users(void **state)
{
    json_t *json = ask("POST", "/v1/users/denied", "{\"user\": 7}", 200);

    assert_int_equal(number(json, "denied"), 1);
    json_decref(json);
    json = ask("POST", "/v1/users/denied", "{\"users\": [\"18446744073709551615\", 0, 12]}", 200);
    assert_int_equal(number(json, "denied"), 3);
    json_decref(json);
    json_decref(ask("POST", "/v1/users/denied", "{\"user\": \"7\"}", 200)); /* again: as before */
    json = ask("GET", "/v1/users/denied?offset=1&limit=2", NULL, 200);
    assert_int_equal(number(json, "count"), 4);
    assert_int_equal(json_array_size(json_object_get(json, "users")), 2);
    user_at(json, 0, "7");
    user_at(json, 1, "12");
    json_decref(json);
    json = ask("DELETE", "/v1/users/denied", "{\"users\": [12, 7, 99]}", 200);
    assert_int_equal(number(json, "allowed"), 3);
    json_decref(json);
    json = ask("GET", "/v1/users/denied", NULL, 200);
    assert_int_equal(number(json, "count"), 2);
    user_at(json, 0, "0");
    user_at(json, 1, "18446744073709551615");
    json_decref(json);
    json = ask("GET", "/v1/users/denied?offset=5", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(json, "users")), 0);
    json_decref(json);
}

static void refuses_bad_users(void **state)
{
    static const char path[] = "/v1/users/denied";
    char *body = calloc(1, 8192);

    refused("POST", path, "{\"user\": -1}", 400, "user",
            "user 1: not a whole number from 0 to 18446744073709551615");
    refused("POST", path, "{\"user\": 1.5}", 400, "user", "user 1");
    refused("POST", path, "{\"users\": [1, \"18446744073709551616\"]}", 400, "user", "user 2");
    refused("POST", path, "{\"users\": []}", 400, NULL, "must be");
    refused("POST", path, "{\"users\": 5}", 400, NULL, "must be");
    refused("POST", path, "{\"user\": 5, \"x\": 1}", 400, NULL, "must be");
    refused("POST", path, "{}", 400, NULL, "must be");
    strcpy(body, "{\"users\": [1");
    for (int i = 0; i < 1000; i++)
        strcat(body, ",1");
    strcat(body, "]}");
    refused("DELETE", path, body, 400, NULL, "at most 1000");
    free(body);
    assert_int_equal(fx.daemon.user_calls, 0);
    fx.daemon.refuse_user = FG_CONTROL_CONFLICT;
    refused("POST", path, "{\"user\": 5}", 409, NULL, "refused by the test");
    fx.daemon.users_room = 2;
    refused("POST", path, "{\"users\": [5, 6, 8]}", 409, "user",
            "user 8: refused by the test; 2 of 3 were denied before");
}

static void lists_the_worst_users(void **state)
{
    json_t *json = ask("GET", "/v1/users/worst", NULL, 200);
    const json_t *list = json_object_get(json, "users");

    assert_int_equal(json_array_size(list), 20);
    assert_string_equal(text(json_array_get(list, 0), "user"), "18446744073709551615");
    assert_int_equal(number(json_array_get(list, 19), "refused"), 881);
    json_decref(json);
    json = ask("GET", "/v1/users/worst?limit=1000", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(json, "users")), 30);
    json_decref(json);
    refused("GET", "/v1/users/worst?limit=1001", NULL, 400, "limit", "from 1 to 1000");
    refused("GET", "/v1/users/worst?limit=0", NULL, 400, "limit", "from 1 to 1000");
    refused("GET", "/v1/users/worst?offset=1", NULL, 400, "offset", "accepted: limit");
}

static void edits_lists(void **state)
{
    json_t *json;

    if (!fx.daemon.filter) {
        print_message("no filter here: %s\n", fx.daemon.filter_why);
        skip();
    }
    json = ask("POST", "/v1/filter/block", "{\"prefix\": \"198.18.0.0/16\"}", 200);
    assert_int_equal(number(json, "added"), 1);
    json_decref(json);
    json =
        ask("POST", "/v1/filter/block", "{\"prefixes\": [\"2001:db8::/32\", \"198.19.0.1\"]}", 200);
    assert_int_equal(number(json, "added"), 2);
    json_decref(json);
    json = ask("POST", "/v1/filter/block", "{\"prefix\": \"198.18.0.0/16\"}", 200);
    assert_int_equal(number(json, "added"), 0); /* it is so already */
    assert_int_equal(number(json, "unchanged"), 1);
    json_decref(json);
    refused("POST", "/v1/filter/block", "{\"prefix\": \"198.18.0.0/16\", \"reason\": \"new\"}", 409,
            "prefix", "198.18.0.0/16 is already in the list, with another reason or end");
    json = ask("POST", "/v1/filter/block",
               "{\"prefix\": \"198.18.0.0/16\", \"reason\": \"again\", \"replace\": true}", 200);
    assert_int_equal(number(json, "added"), 1);
    json_decref(json);
    refused("POST", "/v1/filter/block", "{\"prefix\": \"198.18.0.0/16\", \"replace\": 1}", 400,
            "replace", "neither true nor false");
    json =
        ask("POST", "/v1/filter/block", "{\"prefix\": \"198.18.0.0/16\", \"replace\": false}", 200);
    assert_int_equal(number(json, "unchanged"), 1); /* without a reason any is right */
    json_decref(json);
    refused("DELETE", "/v1/filter/block", "{\"prefix\": \"198.18.0.0/16\", \"replace\": true}", 400,
            NULL, "must be");
    refused("POST", "/v1/filter/block",
            "{\"prefixes\": [\"198.19.0.2\", \"198.19.0.1\"], \"expires_ms\": 4102444800000}", 409,
            "prefix", "198.19.0.1 is already in the list, with another reason or end");
    json = ask("GET", "/v1/filter/block", NULL, 200);
    assert_int_equal(number(json, "count"), 3); /* nothing was changed */
    json_decref(json);
    refused("POST", "/v1/filter/block", "{\"prefixes\": [\"198.19.0.2\", \"198.19.0.1/8\"]}", 400,
            "prefix", "prefix 2");
    refused("POST", "/v1/filter/block", "{\"prefixes\": [\"198.19.0.2\", \"198.19.0.2/32\"]}", 400,
            "prefixes", "198.19.0.2 is there twice");
    refused("POST", "/v1/filter/block", "{\"prefixes\": [\"198.19.0.2\", 5]}", 400, "prefix",
            "prefix 2: not a text");
    refused("POST", "/v1/filter/block", "{\"prefixes\": []}", 400, NULL, "must be");
    refused("POST", "/v1/filter/block", "{\"prefix\": \"198.19.0.2\", \"x\": 1}", 400, NULL,
            "must be");
    json = ask("DELETE", "/v1/filter/block", "{\"prefix\": \"198.19.0.9\"}", 200);
    assert_int_equal(number(json, "removed"), 0);
    assert_int_equal(number(json, "unchanged"), 1);
    json_decref(json);
    json = ask("GET", "/v1/filter/block?limit=2", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(json, "prefixes")), 2);
    assert_int_equal(number(json, "count"), 3);
    json_decref(json);
    json = ask("DELETE", "/v1/filter/block", "{\"prefixes\": [\"198.19.0.1\", \"198.18.0.0/16\"]}",
               200);
    assert_int_equal(number(json, "removed"), 2);
    assert_int_equal(number(json, "unchanged"), 0);
    json_decref(json);
    json = ask("GET", "/v1/filter/block", NULL, 200);
    assert_string_equal(text(json_array_get(json_object_get(json, "prefixes"), 0), "prefix"),
                        "2001:db8::/32");
    assert_int_equal(number(json, "count"), 1);
    json_decref(json);
    json = ask("GET", "/v1/filter/allow", NULL, 200);
    assert_int_equal(number(json, "count"), 0);
    json_decref(json);
    json_decref(ask("POST", "/v1/filter/allow", "{\"prefix\": \"198.18.7.0/24\"}", 200));
    json_decref(ask("DELETE", "/v1/filter/allow", "{\"prefix\": \"198.18.7.0/24\"}", 200));
}

static void lists_say_why_and_how_long(void **state)
{
    json_int_t until = (json_int_t)(time(NULL) + 86400) * 1000;
    json_t *json, *entry;
    char body[160];

    if (!fx.daemon.filter) {
        print_message("no filter here: %s\n", fx.daemon.filter_why);
        skip();
    }
    snprintf(body, sizeof(body),
             "{\"prefixes\": [\"198.19.1.1\", \"198.19.1.2\"], \"reason\": \"gateway of X\", "
             "\"expires_ms\": "
             "%lld}",
             (long long)until);
    json_decref(ask("POST", "/v1/filter/allow", body, 200));
    json = ask("GET", "/v1/filter/allow", NULL, 200);
    assert_int_equal(number(json, "count"), 2);
    for (size_t i = 0; i < 2; i++) {
        entry = json_array_get(json_object_get(json, "prefixes"), i);
        assert_string_equal(text(entry, "reason"), "gateway of X");
        assert_in_range(number(entry, "expires_ms"), until - 1000, until + 1000);
    }
    json_decref(json);
    refused("POST", "/v1/filter/allow", "{\"prefix\": \"198.19.1.3\", \"reason\": \"a;b\"}", 400,
            "reason", "at most 23 printable");
    refused("POST", "/v1/filter/allow", "{\"prefix\": \"198.19.1.3\", \"reason\": 7}", 400,
            "reason", "at most 23 printable");
    refused("POST", "/v1/filter/allow",
            "{\"prefix\": \"198.19.1.3\", \"expires_ms\": 946684800000}", 400, "expires_ms",
            "a time to come");
    refused("POST", "/v1/filter/allow", "{\"prefix\": \"198.19.1.3\", \"expires_ms\": 1800000000}",
            400, "expires_ms", "looks like seconds");
    refused("POST", "/v1/filter/allow", "{\"prefix\": \"198.19.1.3\", \"expires_ms\": \"x\"}", 400,
            "expires_ms", "a time to come");
    refused("POST", "/v1/filter/allow", "{\"reason\": \"alone\"}", 400, NULL, "must be");
    refused("DELETE", "/v1/filter/allow", "{\"prefix\": \"198.19.1.1\", \"reason\": \"x\"}", 400,
            NULL, "must be");
    json_decref(
        ask("DELETE", "/v1/filter/allow", "{\"prefixes\": [\"198.19.1.1\", \"198.19.1.2\"]}", 200));
}

static void explains_a_class_or_port(void **state)
{
    static const struct {
        const char *query;
        bool order, syn, other;
    } list[] = {{"", true, true, true},
                {"?class=order", true, false, false},
                {"?class=syn", false, true, false},
                {"?class=other", false, false, true},
                {"?port=443", false, true, true},
                {"?port=4600", true, false, false}};

    if (!fx.daemon.filter) {
        print_message("no filter here: %s\n", fx.daemon.filter_why);
        skip();
    }
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        char path[96];
        json_t *json;

        snprintf(path, sizeof(path), "/v1/filter/explain/198.18.0.9%s", list[i].query);
        json = ask("GET", path, NULL, 200);
        assert_int_equal(!!json_object_get(json, "order"), list[i].order);
        assert_int_equal(!!json_object_get(json, "syn"), list[i].syn);
        assert_int_equal(!!json_object_get(json, "other"), list[i].other);
        json_decref(json);
    }
    refused("GET", "/v1/filter/explain/198.18.0.9?class=tcp", NULL, 400, "class",
            "none of order, syn, other");
    refused("GET", "/v1/filter/explain/198.18.0.9?port=65536", NULL, 400, "port", "1 to 65535");
    refused("GET", "/v1/filter/explain/198.18.0.9?port=80&class=syn", NULL, 400, "class",
            "one of them");
    refused("GET", "/v1/filter/explain/198.18.0.9?limit=1", NULL, 400, "limit",
            "accepted: class, port");
}

static void says_when_the_filter_is_off(void **state)
{
    refused("GET", "/v1/filter/block", NULL, 503, NULL, "filter is off");
    refused("POST", "/v1/filter/allow", "{\"prefix\": \"198.18.7.0/24\"}", 503, NULL,
            "filter is off");
}

static void refuses_large_bodies(void **state)
{
    size_t size = (1 << 20) + 1, len;
    char *body = malloc(size + 1), *request = malloc(3 * size), *reply;

    assert_non_null(body);
    memset(body, ' ', size);
    body[size] = 0;
    refused("POST", "/v1/items", body, 413, NULL, "more than 1048576 bytes");
    /* chunked: the size is not known before */
    len = (size_t)sprintf(request,
                          "POST /v1/items HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
                          size, body);
    reply = fg_raw_request(fx.socket, request, len);
    assert_non_null(strstr(reply, "HTTP/1.1 413"));
    free(reply);
    /* exactly the limit is taken */
    memcpy(body, "{\"item\": 7}", 11);
    body[size - 1] = 0;
    json_decref(ask("POST", "/v1/items", body, 201));
    free(request);
    free(body);
}

static void *ask_often(void *arg)
{
    long id = (long)arg;

    for (int i = 0; i < 20; i++) {
        char body[64], path[64];
        json_t *json;

        snprintf(body, sizeof(body), "{\"item\": %ld, \"total\": 3}", id * 1000 + i + 1);
        snprintf(path, sizeof(path), "/v1/items/%ld", id * 1000 + i + 1);
        if (fg_ask(fx.socket, "POST", "/v1/items", body, NULL) != 201 ||
            fg_ask(fx.socket, "GET", path, NULL, &json) != 200)
            return "failed";
        if (json_integer_value(json_object_get(json, "total")) != 3)
            return "wrong total";
        json_decref(json);
    }
    return NULL;
}

static void serves_many_at_a_time(void **state)
{
    pthread_t threads[8];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int silent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    json_t *json;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", fx.socket);
    assert_int_equal(connect(silent, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(silent, "POST /v1/it", 11, 0),
                     11); /* and then nothing: holds nobody up */
    for (long i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, (void *)i), 0);
    for (int i = 0; i < 8; i++) {
        void *result;

        pthread_join(threads[i], &result);
        assert_null(result);
    }
    json = ask("GET", "/v1/items", NULL, 200);
    assert_int_equal(number(json, "count"), 160);
    json_decref(json);
    close(silent);
}

static void keeps_connections(void **state)
{
    static const char two[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                              "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char *raw = fg_raw_request(fx.socket, two, sizeof(two) - 1);

    assert_non_null(strstr(raw, "\"healthy\":true"));
    assert_non_null(strstr(raw, "\"state\":\"running\""));
    free(raw);
    raw = fg_raw_request(fx.socket, "nonsense\r\n\r\n", 12);
    assert_null(strstr(raw, "200 OK"));
    free(raw);
    json_decref(ask("GET", "/healthz", NULL, 200));
}

static struct fg_control *try_start(const char *path, unsigned mode, const char *group,
                                    struct fg_error *err)
{
    struct fg_control_daemon daemon = fg_double_daemon(&fx.daemon);

    err->text[0] = 0;
    return fg_control_start(path, mode, group, &daemon, err);
}

static void guards_its_socket(void **state)
{
    char path[128], too_long[200];
    struct fg_control *second;
    struct fg_error err;
    struct stat st;
    FILE *file;

    assert_null(try_start(fx.socket, 0600, "", &err)); /* alive */
    assert_non_null(strstr(err.text, "another daemon listens there"));
    json_decref(ask("GET", "/healthz", NULL, 200)); /* and not hurt */

    snprintf(path, sizeof(path), "%s/file", fx.folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_null(try_start(path, 0600, "", &err));
    assert_non_null(strstr(err.text, "is not a socket"));
    assert_int_equal(stat(path, &st), 0);

    snprintf(path, sizeof(path), "%s/none/x.sock", fx.folder);
    assert_null(try_start(path, 0600, "", &err));
    assert_non_null(strstr(err.text, "No such file"));
    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = 0;
    assert_null(try_start(too_long, 0600, "", &err));
    assert_non_null(strstr(err.text, "1 to 107 bytes"));
    snprintf(path, sizeof(path), "%s/group.sock", fx.folder);
    assert_null(try_start(path, 0660, "no-such-group-here", &err));
    assert_non_null(strstr(err.text, "no-such-group-here"));
    assert_int_not_equal(stat(path, &st), 0);

    second = try_start(path, 0620, "", &err);
    assert_non_null(second);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0620);
    fg_control_stop(second);
    assert_int_not_equal(stat(path, &st), 0); /* gone with it */
}

static void replaces_a_stale_socket(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct fg_control *second;
    struct fg_error err;
    struct stat st;
    char moved[128];

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/stale.sock", fx.folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd); /* as after kill -9: the file stays */
    assert_int_equal(stat(address.sun_path, &st), 0);
    second = try_start(address.sun_path, 0600, geteuid() == 0 ? "daemon" : "", &err);
    if (!second)
        fail_msg("%s", err.text);
    assert_int_equal(fg_ask(address.sun_path, "GET", "/healthz", NULL, NULL), 200);
    assert_int_equal(stat(address.sun_path, &st), 0);
    if (geteuid() == 0)
        assert_int_equal(st.st_gid, 1); /* group daemon */

    /* A file that is not ours any more is left alone. */
    snprintf(moved, sizeof(moved), "%s/moved.sock", fx.folder);
    assert_int_equal(rename(address.sun_path, moved), 0);
    assert_non_null(fopen(address.sun_path, "w"));
    fg_control_stop(second);
    assert_int_equal(stat(address.sun_path, &st), 0);
}

static void ends_while_a_request_runs(void **state)
{
    fx.daemon.slow_ms = 300;
    for (int i = 0; i < 3; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        static const char get[] = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
        struct fg_error err;

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", fx.socket);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(send(fd, get, sizeof(get) - 1, MSG_NOSIGNAL), sizeof(get) - 1);
        usleep(50000);
        fg_control_stop(fx.control);
        close(fd);
        fx.control = try_start(fx.socket, 0600, "", &err);
        assert_non_null(fx.control);
    }
}

/* docs/api.md names every route, every field of an item. */
static void is_documented(void **state)
{
    const char *source = getenv("FG_SOURCE");
    json_t *json = ask("GET", "/v1", NULL, 200), *route;
    char path[512], line[160], *docs = calloc(1, 1 << 20);
    FILE *file;
    size_t i;

    assert_non_null(source);
    snprintf(path, sizeof(path), "%s/docs/api.md", source);
    file = fopen(path, "r");
    if (!file)
        fail_msg("%s is missing", path);
    assert_true(fread(docs, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    json_array_foreach (json_object_get(json, "routes"), i, route) {
        snprintf(line, sizeof(line), "`%s %s`", text(route, "method"), text(route, "path"));
        if (!strstr(docs, line))
            fail_msg("docs/api.md does not have %s", line);
    }
    assert_true(i >= 26);
    for (i = 0; i < FG_CONTROL_ITEM_FIELDS; i++) {
        snprintf(line, sizeof(line), "| `%s` |", fg_control_item_fields[i].name);
        if (!strstr(docs, line))
            fail_msg("docs/api.md does not have the field %s", fg_control_item_fields[i].name);
    }
    json_decref(json);
    free(docs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(creates_with_defaults),
        T(creates_with_everything),
        T(refuses_bad_items),
        T(says_what_half_a_creation_left),
        T(maps_results_to_codes),
        T(changes_settings),
        T(a_total_is_absolute),
        T(a_change_may_have_conditions),
        T(moves_stock),
        T(switches),
        T(waits_for_the_ledger),
        T(lists_in_pages),
        T(identifiers_keep_64_bits),
        T(knows_its_routes),
        T(reports_status_and_health),
        T(reloads_keys),
        T(denies_users),
        T(refuses_bad_users),
        T(lists_the_worst_users),
        cmocka_unit_test_setup_teardown(edits_lists, start_filter, stop),
        cmocka_unit_test_setup_teardown(lists_say_why_and_how_long, start_filter, stop),
        cmocka_unit_test_setup_teardown(explains_a_class_or_port, start_filter, stop),
        T(says_when_the_filter_is_off),
        T(refuses_large_bodies),
        T(serves_many_at_a_time),
        T(keeps_connections),
        T(guards_its_socket),
        T(replaces_a_stale_socket),
        T(ends_while_a_request_runs),
        T(is_documented),
    };

    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
