/* SPDX-License-Identifier: BSD-3-Clause */
/* Orders, and items that are retired, over the control server's real socket, out of a real ledger.
 */
#include "control_ask.h"

static void shows_orders(void **state)
{
    json_t *json;

    json_decref(ask("POST", "/v1/items", "{\"item\": 7, \"total\": 10}", 201));
    fg_double_order(&fx.daemon, UINT64_MAX, 0xab, 7, FG_LEDGER_ORDER_RESERVED);
    fg_double_order(&fx.daemon, 5, 0x01, 7, FG_LEDGER_ORDER_EXPIRED);
    json =
        ask("GET", "/v1/orders/18446744073709551615/abababababababababababababABABAB", NULL, 200);
    assert_string_equal(text(json, "user"), "18446744073709551615");
    assert_string_equal(text(json, "order"), "abababababababababababababababab");
    assert_string_equal(text(json, "state"), "reserved");
    assert_string_equal(text(json, "item"), "7");
    assert_int_equal(number(json, "quantity"), 1);
    assert_int_equal(number(json, "deadline_ms"), 1900000000000);
    json_decref(json);
    has_state("/v1/orders/5/01010101010101010101010101010101", "expired");
    refused("GET", "/v1/orders/6/01010101010101010101010101010101", NULL, 404, NULL,
            "user 6 has no order 0101");
    refused("GET", "/v1/orders/6/0101", NULL, 400, "order", "32 hex digits");
    refused("GET", "/v1/orders/6/0101010101010101010101010101010g", NULL, 400, "order",
            "32 hex digits");
    has_state("/v1/orders/5/01010101-0101-0101-0101-010101010101", "expired");
    refused("GET", "/v1/orders/-6/01010101010101010101010101010101", NULL, 400, "user", "\"-6\"");
    refused("GET", "/v1/orders/18446744073709551616/01010101010101010101010101010101", NULL, 400,
            "user", "to 18");
}

static void lists_orders_of_a_user(void **state)
{
    json_t *json, *list;

    json_decref(ask("POST", "/v1/items", "{\"item\": 7, \"total\": 10}", 201));
    json_decref(ask("POST", "/v1/items", "{\"item\": 8, \"total\": 10}", 201));
    fg_double_order(&fx.daemon, 5, 0x01, 7, FG_LEDGER_ORDER_EXPIRED);
    fg_double_order(&fx.daemon, 6, 0x02, 7, FG_LEDGER_ORDER_SOLD);
    fg_double_order(&fx.daemon, 5, 0x03, 8, FG_LEDGER_ORDER_RESERVED);
    fg_double_order(&fx.daemon, 5, 0x04, 7, FG_LEDGER_ORDER_SOLD);
    json = ask("GET", "/v1/orders/5", NULL, 200);
    list = json_object_get(json, "orders");
    assert_int_equal(number(json, "count"), 3);
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(text(json_array_get(list, 0), "order"), "01010101010101010101010101010101");
    assert_string_equal(text(json_array_get(list, 0), "state"), "expired");
    assert_string_equal(text(json_array_get(list, 1), "item"), "8");
    assert_string_equal(text(json_array_get(list, 2), "state"), "sold");
    json_decref(json);
    json = ask("GET", "/v1/orders/5?offset=1&limit=1", NULL, 200);
    list = json_object_get(json, "orders");
    assert_int_equal(json_array_size(list), 1);
    assert_int_equal(number(json, "count"), 3);
    assert_string_equal(text(json_array_get(list, 0), "item"), "8");
    json_decref(json);
    json = ask("GET", "/v1/orders/9", NULL, 200);
    assert_int_equal(number(json, "count"), 0);
    assert_int_equal(json_array_size(json_object_get(json, "orders")), 0);
    json_decref(json);
    refused("GET", "/v1/orders/x", NULL, 400, "user", "not a whole number");
}

static void refunds_orders(void **state)
{
    static const char one[] = "/v1/orders/5/01010101-0101-0101-0101-010101010101/refund",
                      two[] = "/v1/orders/5/02020202020202020202020202020202/refund",
                      held[] = "/v1/orders/5/03030303030303030303030303030303/refund";
    json_t *json;

    json_decref(ask("POST", "/v1/items", "{\"item\": 7, \"total\": 3}", 201));
    fg_double_order(&fx.daemon, 5, 0x01, 7, FG_LEDGER_ORDER_SOLD);
    fg_double_order(&fx.daemon, 5, 0x02, 7, FG_LEDGER_ORDER_SOLD);
    fg_double_order(&fx.daemon, 5, 0x03, 7, FG_LEDGER_ORDER_RESERVED);
    fx.daemon.lag = 3;
    json = ask("POST", one, "{\"restock\": true}", 200);
    assert_string_equal(text(json, "state"), "refunded");
    assert_true(json_is_true(json_object_get(json, "restocked")));
    assert_null(json_object_get(json, "lagging"));
    json_decref(json);
    fx.daemon.lag = 0;
    json = ask("POST", two, "{\"restock\": false}", 200);
    assert_true(json_is_false(json_object_get(json, "restocked")));
    json_decref(json);
    json = ask("POST", two, "{\"restock\": true}", 200); /* once: the first one counts */
    assert_true(json_is_false(json_object_get(json, "restocked")));
    json_decref(json);
    json = ask("GET", "/v1/items/7", NULL, 200);
    assert_int_equal(number(json, "total"), 3);
    assert_int_equal(number(json, "available"), 1);
    assert_int_equal(number(json, "refunded"), 1);
    json_decref(json);
    assert_int_equal(fx.daemon.refund_calls, 3);
    refused("POST", held, "{\"restock\": true}", 409, NULL, "the order is reserved, not sold");
    refused("POST", "/v1/orders/6/01010101010101010101010101010101/refund", "{\"restock\": true}",
            404, NULL, "no such order");
    refused("POST", one, NULL, 400, NULL, "body: missing");
    refused("POST", one, "{}", 400, "restock", "must be {\"restock\": true}");
    refused("POST", one, "{\"restock\": 1}", 400, "restock", "must be {\"restock\": true}");
    refused("POST", one, "{\"restock\": true, \"now\": 1}", 400, "restock", "must be");
    refused("GET", one, NULL, 405, NULL, "POST is");
    assert_int_equal(fx.daemon.refund_calls, 5);
}

static void waits(uint64_t user, uint8_t order, uint64_t item, uint64_t ticket)
{
    struct fg_journal_record record = {.type = FG_JOURNAL_RECORD_WAITING,
                                       .item = item,
                                       .user = user,
                                       .quantity = 1,
                                       .arg = ticket};

    memset(record.order_id, order, sizeof(record.order_id));
    fg_double_record(&fx.daemon, record);
}

static void shows_waiting_lists(void **state)
{
    json_t *json, *list;

    json_decref(ask("POST", "/v1/items",
                    "{\"item\": 7, \"waitlist\": 100, \"claim_ms\": 60000, "
                    "\"wait_ttl_ms\": 20000, \"one_unit\": true}",
                    201));
    json_decref(ask("POST", "/v1/items", "{\"item\": 8, \"waitlist\": 5}", 201));
    assert_int_equal(fx.daemon.last_item.claim_ms, 120000);
    assert_int_equal(fx.daemon.last_item.wait_ttl_ms, 30000);
    waits(5, 1, 7, 2); /* the log of one worker may be ahead of another's */
    waits(6, 1, 7, 1);
    waits(9, 1, 7, 3);
    waits(5, 2, 8, 1);
    json = ask("GET", "/v1/items/7", NULL, 200);
    assert_int_equal(number(json, "waitlist"), 100);
    assert_int_equal(number(json, "claim_ms"), 60000);
    assert_int_equal(number(json, "wait_ttl_ms"), 20000);
    assert_true(json_is_true(json_object_get(json, "one_unit")));
    assert_int_equal(number(json, "waiting"), 3);
    assert_int_equal(number(json, "tickets"), 3);
    json_decref(json);
    json = ask("GET", "/v1/items/7/waiting?limit=2", NULL, 200);
    list = json_object_get(json, "waiting");
    assert_int_equal(number(json, "count"), 3);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(text(json_array_get(list, 0), "user"), "6");
    assert_int_equal(number(json_array_get(list, 1), "ticket"), 2);
    assert_string_equal(text(json_array_get(list, 1), "order"), "01010101010101010101010101010101");
    assert_in_range(number(json_array_get(list, 1), "since_ms"), 1700000000000, 1700000000099);
    json_decref(json);
    json = ask("GET", "/v1/waiting/5", NULL, 200);
    list = json_object_get(json, "waiting");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(text(json_array_get(list, 0), "item"), "7");
    assert_int_equal(number(json_array_get(list, 0), "ahead"), 1);
    assert_int_equal(number(json_array_get(list, 1), "ahead"), 0);
    json_decref(json);
    json = ask("POST", "/v1/items/7/waiting/clear", NULL, 200);
    assert_int_equal(number(json, "cleared"), 3);
    json_decref(json);
    json = ask("GET", "/v1/items/7/waiting", NULL, 200);
    assert_int_equal(number(json, "count"), 0);
    json_decref(json);
    refused("GET", "/v1/items/9/waiting", NULL, 404, NULL, "no item 9");
    refused("GET", "/v1/waiting/x", NULL, 400, "user", "not a whole number");
    refused("PATCH", "/v1/items/7", "{\"wait_ttl_ms\": 10}", 400, "wait_ttl_ms", "from 1000");
    json = ask("PATCH", "/v1/items/7", "{\"if\": {\"waitlist\": 100}, \"waitlist\": 0}", 200);
    assert_int_equal(number(json, "waitlist"), 0);
    assert_int_equal(number(json, "claim_ms"), 60000);
    json_decref(json);
}

static void names_are(const char *path, const char *expected)
{
    json_t *json = ask("GET", path, NULL, 200), *list = json_object_get(json, "items"), *item;
    char names[256] = "";
    size_t i;

    json_array_foreach (list, i, item)
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s ", text(item, "item"));
    assert_string_equal(names, expected);
    json_decref(json);
}

static void retires_items(void **state)
{
    json_t *json;

    for (int i = 1; i <= 3; i++) {
        char body[64];

        snprintf(body, sizeof(body), "{\"item\": %d, \"total\": 5}", i);
        json_decref(ask("POST", "/v1/items", body, 201));
    }
    fg_double_order(&fx.daemon, 5, 0x01, 2, FG_LEDGER_ORDER_RESERVED);
    refused("PATCH", "/v1/items/2", "{\"retired\": true, \"if\": {\"retired\": true}}", 412,
            "retired", "its retired is 0, not 1");
    json = ask("PATCH", "/v1/items/2", "{\"retired\": true, \"if\": {\"retired\": false}}", 200);
    assert_string_equal(text(json, "state"), "retired");
    assert_true(json_is_true(json_object_get(json, "retired")));
    assert_true(number(json, "closes_ms") > 0); /* its sale has ended */
    json_decref(json);
    assert_true(fx.daemon.last_item.retired);
    names_are("/v1/items", "1 3 ");
    names_are("/v1/items?offset=1", "3 ");
    names_are("/v1/items?retired=true", "1 2 3 ");
    names_are("/v1/items?retired=false", "1 3 ");
    refused("GET", "/v1/items?retired=yes", NULL, 400, "retired", "not true or false");
    has_state("/v1/items/2", "retired");
    has_state("/v1/orders/5/01010101010101010101010101010101", "reserved");
    refused("POST", "/v1/items/2/open", NULL, 409, NULL, "item 2 is retired");
    refused("PATCH", "/v1/items/2", "{\"closes\": null}", 409, "closes", "item 2 is retired");
    refused("PATCH", "/v1/items/2", "{\"opens\": null}", 409, "opens", "item 2 is retired");
    json_decref(ask("POST", "/v1/items/2/stock", "{\"remove\": 1}", 200));
    json = ask("PATCH", "/v1/items/2", "{\"retired\": false}", 200);
    assert_string_equal(text(json, "state"), "closed");
    json_decref(json);
    names_are("/v1/items", "1 2 3 ");
    json = ask("POST", "/v1/items/2/open", NULL, 200);
    assert_string_equal(text(json, "state"), "open");
    json_decref(json);
}

static void shows_steps(void **state)
{
    json_t *json = ask("GET", "/v1/orders/5/01010101010101010101010101010101/steps", NULL, 200),
           *one;

    assert_int_equal(number(json, "share"), 1000);
    one = json_array_get(json_object_get(json, "requests"), 0);
    assert_string_equal(text(one, "op"), "RESERVE");
    assert_string_equal(text(one, "status"), "RESERVED");
    assert_int_equal(number(one, "received_ns"), 1700000000123456789);
    assert_int_equal(number(one, "handed_over_ns"), 900);
    assert_int_equal(number(one, "durable_ns"), 250000);
    assert_int_equal(number(one, "worker"), 1);
    json_decref(json);
    json = ask("GET", "/v1/orders/6/01010101010101010101010101010101/steps", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(json, "requests")), 0);
    json_decref(json);
    refused("GET", "/v1/orders/6/01/steps", NULL, 400, "order", "32 hex digits");
}

/* One at a time; it ends with its time, and the audit trail has it. */
static void captures(void **state)
{
    static const char request[] = "POST /v1/capture HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
                                  "Content-Length: 27\r\n\r\n{\"seconds\": 1, \"user\": \"5\"}";
    json_t *json;
    char *reply;

    refused("POST", "/v1/capture", "{\"seconds\": 0}", 400, "seconds", "from 1 to 3600");
    refused("POST", "/v1/capture", "{\"user\": \"x\"}", 400, "user", "not the number");
    refused("POST", "/v1/capture", "{\"users\": 1}", 400, NULL, "accepted");
    assert_int_equal(fx.daemon.captures, 0);
    reply = fg_raw_request(fx.socket, request, sizeof(request) - 1);
    assert_non_null(strstr(reply, "application/vnd.tcpdump.pcap"));
    free(reply);
    assert_int_equal(fx.daemon.captures, 1);
    assert_int_equal(fx.daemon.captures_ended, 1);
    assert_int_equal(fx.daemon.capture_user, 5);
    assert_true(fx.daemon.capture_reads > 1 + FG_DOUBLE_CAPTURED);
    json = ask("GET", "/v1/capture", NULL, 200);
    assert_false(json_is_true(json_object_get(json, "running")));
    assert_int_equal(number(json, "frames"), FG_DOUBLE_CAPTURED);
    assert_int_equal(number(json, "skipped"), 3);
    assert_int_equal(number(json, "lost"), 1);
    json_decref(json);
    json = ask("GET", "/v1/audit?limit=1", NULL, 200);
    assert_string_equal(text(json_array_get(json_object_get(json, "entries"), 0), "path"),
                        "/v1/capture");
    json_decref(json);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(shows_orders),        T(lists_orders_of_a_user),
        T(refunds_orders),      T(retires_items),
        T(shows_steps),         T(captures),
        T(shows_waiting_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
