/* SPDX-License-Identifier: BSD-3-Clause */
/* The built fgctl against the real control server: orders, and items that are retired. */
#include "fgctl_run.h"

static void shows_orders(void **state)
{
    run(0, "item add 7 --total 10");
    fg_double_order(&fx.daemon, UINT64_MAX, 0xab, 7, FG_LEDGER_ORDER_CANCELLED);
    run(0, "order show 18446744073709551615 ABababababababababababababababab");
    says(out, "cancelled");
    fails(1, "order show 1 abababababababababababababababab", "user 1 has no order");
    fails(2, "order show 1 abab", "32 hex digits");
    fails(2, "order show -1 abababababababababababababababab", "unknown option -1");
    fails(2, "order show -- -1 abababababababababababababababab", "USER: \"-1\"");
}

static void refunds_orders(void **state)
{
    json_t *json;

    run(0, "item add 7 --total 10");
    fg_double_order(&fx.daemon, 5, 0xab, 7, FG_LEDGER_ORDER_SOLD);
    fg_double_order(&fx.daemon, 5, 0xcd, 7, FG_LEDGER_ORDER_SOLD);
    fg_double_order(&fx.daemon, 5, 0xef, 7, FG_LEDGER_ORDER_RESERVED);
    run(0, "order refund 5 ABABABAB-abab-abab-abab-abababababab --restock");
    says(out,
         "order abababababababababababababababab of user 5: refunded; its 1 units are back on");
    run(0, "order refund 5 abababababababababababababababab");
    says(out, "are back on sale"); /* the first one counts */
    run(0, "order refund 5 cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd");
    says(out, "are not put back on sale");
    json = run_json("order refund 5 cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd --json");
    assert_true(json_is_false(json_object_get(json, "restocked")));
    json_decref(json);
    fails(1, "order refund 5 efefefefefefefefefefefefefefefef", "the order is reserved, not sold");
    fails(1, "order refund 6 efefefefefefefefefefefefefefefef", "no such order");
    fails(2, "order refund 6 efefefef", "ORDER: \"efefefef\" is not 32 hex digits, or a UUID");
    run(0, "orders 5");
    says(out, "ORDER                             ITEM  UNITS  STATE     HELD UNTIL");
    says(out, "abababababababababababababababab     7      1  refunded  2030-");
    says(out, "efefefefefefefefefefefefefefefef     7      1  reserved  2030-03-17T17:46:40Z");
    json = run_json("orders 5 --json");
    assert_int_equal(json_array_size(json), 3);
    json_decref(json);
    run(0, "orders 6");
    fails(2, "orders x", "USER: \"x\"");
}

static void retires_items(void **state)
{
    char words[512];

    run(0, "item add 7 --total 10 --name seven");
    run(0, "item add 8 --total 10 --hold 10d");
    assert_int_equal(fx.daemon.last_item.hold_ms, 864000000);
    run(0, "item set 7 --retired true");
    says(out, "item 7 changed seven: retired, 10 units");
    run(0, "item list");
    assert_null(strstr(out, "seven"));
    run(0, "item list --retired");
    says(out, "seven");
    fails(1, "open 7", "item 7 is retired");
    write_file("items.csv", "item,name,total,closes\n7,other,20,\n8,eight,11,\n");
    words_with_file(words, "item import %s", "items.csv");
    run(0, words);
    says(out, "0 created, 1 changed, 1 unchanged; units: 1 added, 0 removed\n"
              "1 retired and left alone; false in the column retired");
    run(0, "item show 7");
    says(out, "seven");
    write_file("items.csv", "item,name,retired\n7,other,false\n8,,true\n");
    run(0, words);
    says(out, "0 created, 2 changed, 0 unchanged");
    run(0, "item list");
    says(out, "other");
    assert_null(strstr(out, "eight"));
}

static void shows_waiting_lists(void **state)
{
    struct fg_journal_record record = {.type = FG_JOURNAL_RECORD_WAITING,
                                       .item = 7,
                                       .user = 5,
                                       .order_id = {0xab},
                                       .quantity = 2,
                                       .arg = 1};
    json_t *json;

    run(0, "item add 7 --waitlist 100 --claim 1m --wait-ttl 20s --one-unit yes");
    assert_int_equal(fx.daemon.last_item.waitlist, 100);
    assert_int_equal(fx.daemon.last_item.claim_ms, 60000);
    assert_int_equal(fx.daemon.last_item.wait_ttl_ms, 20000);
    assert_true(fx.daemon.last_item.one_unit);
    run(0, "item set 7 --one-unit no");
    assert_false(fx.daemon.last_item.one_unit);
    fails(2, "item set 7 --wait-ttl 10ms", "from 1000 to 86400000");
    fg_double_record(&fx.daemon, record);
    record.user = 6;
    record.arg = 2;
    fg_double_record(&fx.daemon, record);
    run(0, "item list");
    says(out, "WAITING");
    says(out, "2/100");
    run(0, "wait list 7");
    says(out, "TICKET  USER  UNITS  SINCE                     ORDER");
    says(out, "     1     5      2  2023-11-14T22:13:20.00");
    run(0, "wait list 7 --limit 1");
    says(out, "1 of 2 who wait");
    json = run_json("wait list 7 --json");
    assert_int_equal(json_array_size(json_object_get(json, "waiting")), 2);
    json_decref(json);
    run(0, "wait show 6");
    says(out, "ITEM  AHEAD  TICKET  UNITS  SINCE                     ORDER");
    says(out, "   7      1       2      2");
    run(0, "wait clear 7");
    says(out, "item 7: 2 places of the waiting list end");
    run(0, "wait clear 7");
    says(out, "item 7: 0 places");
    fails(1, "wait list 9", "no item 9");
    fails(2, "wait list 7 --limit 0", "--limit: \"0\"");
    fails(2, "wait show x", "USER: \"x\"");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(shows_orders),
        T(refunds_orders),
        T(retires_items),
        T(shows_waiting_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
