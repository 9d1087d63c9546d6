/* SPDX-License-Identifier: BSD-3-Clause */
/* The built fgctl against the real control server: output, exit codes, files, completion. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fgctl_run.h"

static unsigned mode_of(const char *name)
{
    char path[128];
    struct stat st;

    file_path(path, name);
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

/* Two entries are on the block list. fgctl makes the file, with its caller's rights. */
static void saves_lists(void)
{
    char words[512], path[128];
    struct stat st;

    umask(0);
    words_with_file(words, "block save %s", "saved");
    run(0, words);
    assert_string_equal(out, "2 saved\n");
    assert_int_equal(mode_of("saved"), 0640);
    file_path(path, "saved");
    assert_int_equal(chmod(path, 0600), 0);
    run(0, words);
    assert_int_equal(mode_of("saved"), 0600);
    words_with_file(words, "block load %s", "saved");
    run(0, words);
    assert_string_equal(out, "2 loaded\n");
    file_path(path, "fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    words_with_file(words, "block save %s", "fifo");
    fails(6, words, "not an ordinary file");
    assert_true(lstat(path, &st) == 0 && S_ISFIFO(st.st_mode));
    unlink(path);
    file_path(path, "saved.part"); /* in the place of the unfinished file: not written through */
    assert_int_equal(symlink("/dev/full", path), 0);
    words_with_file(words, "block save %s", "saved");
    run(0, words);
    run(0, "block save -");
    says(out, "198.19.7.0/24 - neighbours\n");
    umask(022);
}

static void import_fails(const char *csv, const char *message)
{
    char words[512];

    write_file("items.csv", csv);
    words_with_file(words, "item import %s", "items.csv");
    fails(6, words, message);
    assert_int_equal(fx.daemon.item_calls, 0);
    assert_int_equal(fx.daemon.stock_calls, 0);
}

static void manages_items(void **state)
{
    json_t *json;

    run(0, "item add 7 --name Black~box --total 1000 --user-limit=2 --order-max 3 --hold 2m "
           "--opens now");
    says(out, "item 7 created Black box: open, 1000 units, 1000 available");
    assert_int_equal(fx.daemon.last_item.hold_ms, 120000);
    assert_int_equal(fx.daemon.last_item.user_limit, 2);
    run(0, "item add 8 --closes 2100-01-01T00:00:00Z --opens +90m");
    json = run_json("item show 8 --json");
    assert_string_equal(json_string_value(json_object_get(json, "state")), "scheduled");
    assert_int_equal(number(json, "closes_ms"), 4102444800000);
    json_decref(json);
    run(0, "item set 7 --total 900 --name Box");
    says(out, "item 7 changed Box: open, 900 units");
    assert_int_equal(fx.daemon.last_units, -100);
    run(0, "item set 7 --total 900");
    says(out, "item 7 unchanged");
    fg_double_order(&fx.daemon, 1, 1, 7, FG_LEDGER_ORDER_SOLD);
    fails(1, "item set 7 --total 0",
          "total: 0 cannot be reached: item 7 has 900 units, and only 899");
    fails(1, "item add 7", "exists already");
    fails(1, "item set 9 --name x", "no item 9");
    fails(1, "item show 9", "no item 9");
    run(0, "item show 7");
    says(out, "available              899");
    run(0, "stock add 7 5");
    says(out, "905 units, 904 available");
    run(0, "--json stock remove 7 904");
    says(out, "\"state\": \"sold-out\"");
    fails(1, "stock remove 7 1", "only 0 units are free");
}

static void lists_items_as_a_table(void **state)
{
    run(0, "item list");
    assert_string_equal(
        out, "ITEM  NAME  TOTAL  AVAILABLE  RESERVED  SOLD  STATE  USER LIMIT  ORDER MAX  "
             "HOLD  WAITING  OPENS  CLOSES\n");
    run(0, "item add 7 --name Käse --total 10 --user-limit 2 --order-max 1 --hold 1d30m "
           "--closes 2030-01-01T01:00:00+01:00");
    run(0, "item add 123456 --name 靴下~e\xcc\x81~pair");
    fg_double_order(&fx.daemon, 1, 1, 7, FG_LEDGER_ORDER_SOLD);
    fg_double_order(&fx.daemon, 1, 2, 7, FG_LEDGER_ORDER_RESERVED);
    run(0, "item list");
    /* two wide characters, and an accent that combines with the letter before it */
    assert_string_equal(out, "  ITEM  NAME         TOTAL  AVAILABLE  RESERVED  SOLD  STATE     "
                             "USER LIMIT  ORDER MAX   HOLD"
                             "  WAITING  OPENS  CLOSES\n"
                             "     7  Käse            10          8         1     1  open          "
                             "     2          1  1d30m"
                             "        -  -      2030-01-01T00:00:00Z\n"
                             "123456  靴下 e\xcc\x81 pair      0          0         0     0  "
                             "sold-out           -         10"
                             "     2m        -  -      -\n");
    run(0, "item list --json");
    says(out, "\"item\": \"123456\"");
}

static void switches_items(void **state)
{
    run(0, "item add 1 --total 1");
    run(0, "item add 2 --total 1");
    run(0, "pause 1 2");
    says(out, "item 1 changed: paused");
    says(out, "item 2 changed: paused");
    run(0, "resume 1");
    says(out, "open, 1 units");
    run(0, "close 1");
    says(out, "closed");
    run(0, "open 1");
    says(out, "item 1 changed: open");
    fails(1, "open 1 3 2", "no item 3");
    fails(2, "open 1 x", "ITEM: \"x\" is not a whole number from 1");
    assert_int_equal(fx.daemon.last_item.item, 1);
}

static void tells_about_the_system(void **state)
{
    json_t *json;

    run(0, "status");
    assert_int_equal(
        strncmp(out, "WARNING  sink     a?b\nALARM    orders   worker 0: 9 of 9\n", 57), 0);
    assert_null(strstr(out, "alarms:"));
    says(out, "state                  running");
    says(out, "redis:\n");
    says(out, "it?\"broke\""); /* a line end of a stranger does not reach the terminal */
    json = run_json("status --json");
    assert_int_equal(number(json_array_get(json_object_get(json, "sinks"), 0), "lag"), 7);
    json_decref(json);
    run(0, "stats");
    says(out, "rate-order");
    run(0, "keys reload");
    fx.daemon.refuse_keys = FG_CONTROL_BAD;
    fails(1, "keys reload", "keys.txt:3");
    run(0, "health");
    assert_string_equal(out, "healthy\n");
    fx.daemon.unhealthy = true;
    fails(5, "health", "unhealthy: log failed: no space");
    run(5, "health --json");
    says(out, "\"healthy\": false");
}

static void has_exit_codes(void **state)
{
    json_t *json;

    fx.daemon.refuse_item = FG_CONTROL_UNAVAILABLE;
    fails(4, "item add 5", "refused by the test");
    run(4, "item add 5 --json");
    json = json_loads(out, 0, NULL);
    assert_int_equal(number(json_object_get(json, "error"), "code"), 503);
    json_decref(json);
    fails(4, "block list", "filter is off");
    fails(3, "status --socket /nonexistent/x.sock",
          "cannot connect to /nonexistent/x.sock: No such file");
    fails(3, "--socket=/dev/null status", "cannot connect");
    fails(2, "", "usage: fgctl");
    fails(2, "frobnicate", "unknown command \"frobnicate\"");
    fails(2, "item", "\"item\" alone is not a command");
    fails(2, "item frob", "unknown command \"item frob\"");
    fails(2, "item show", "too few arguments; usage: fgctl item show ITEM");
    fails(2, "item show 1 2", "too many arguments: \"2\"");
    fails(2, "status extra", "too many arguments");
    fails(2, "item list --frob", "unknown option --frob");
    fails(2, "item add 5 --total", "--total: a value is missing (N)");
    fails(2, "item add 5 --total 1 --total 2", "--total is given twice");
    fails(2, "status --json=1", "--json takes no value");
    fails(2, "item add 0", "from 1 to 9223372036854775807");
    fails(2, "item add 5 --total 2000000001",
          "--total: \"2000000001\" is not a whole number from 0 to 2000000000");
    fails(2, "item add 5 --hold 99ms",
          "--hold: \"99ms\" is not milliseconds from 100 to 4233600000, or like 90s");
    fails(2, "item add 5 --hold 5x", "--hold: \"5x\"");
    fails(2, "item add 5 --hold 300", "--hold: \"300\" has no unit: 300ms or 300s?");
    fails(2, "item add 5 --opens +300", "--opens: \"+300\"");
    fails(2, "block add 198.18.0.1 --for 3600", "--for: \"3600\" has no unit: 3600ms or 3600s?");
    fails(2, "block add 198.18.0.1 --expires 1800000000",
          "--expires: 1800000000 looks like seconds");
    fails(2, "item add 5 --opens 1800000000", "--opens: 1800000000 looks like seconds");
    fails(2, "item add 5 --opens later", "--opens: \"later\"");
    fails(2, "item add 5 --paused maybe", "--paused: \"maybe\" is not true or false");
    fails(2, "item add 5 --opens +2h --closes +1h", "--closes: closes at");
    fails(2, "item add 5 --name 123456789012345678901234567890123", "at most 32 bytes");
    fails(2, "item add 5 --name \xff", "--name");
    fails(2, "stock add 5 0", "UNITS: \"0\" is not a whole number from 1");
    fails(2, "top --interval 50ms", "100ms to 1h");
    fails(2, "top --count 0", "from 1 on");
    assert_int_equal(fx.daemon.item_calls, 2);
}

static void helps(void **state)
{
    run(0, "--help");
    says(out, "item import FILE.csv");
    says(out, "FLOODGATE_SOCKET");
    says(out, "5  health");
    run(0, "item add --help");
    says(out, "usage: fgctl item add ITEM");
    says(out, "--user-limit N");
    says(out, "exit codes:");
    run(0, "--version");
    says(out, "fgctl ");
}

static void imports(void **state)
{
    char words[512];
    json_t *json;

    run(0, "item add 2 --name old --total 50");
    write_file("items.csv",
               "\xef\xbb\xbfitem,name,total,user_limit,order_max,hold_ms,opens,closes\r\n"
               "1,\"Shoe, \"\"red\"\"\",100,2,1,90s,2026-11-27T09:00:00Z,\r\n"
               "\r\n"
               "2,new,40,,,,,\r\n"
               "3,,,,,,,\r\n");
    words_with_file(words, "item import --dry-run %s", "items.csv");
    run(0, words);
    says(out, "create item 1: {");
    says(out, "change item 2: {\"name\":\"new\"}");
    says(out, "take from item 2: 10 units");
    says(out, "would be: 2 created, 1 changed, 0 unchanged; units: 100 added, 10 removed");
    assert_int_equal(fx.daemon.item_calls, 1);
    words_with_file(words, "item import %s --json", "items.csv");
    json = run_json(words);
    assert_int_equal(number(json, "created"), 2);
    assert_int_equal(number(json, "changed"), 1);
    assert_int_equal(number(json, "units_removed"), 10);
    json_decref(json);
    run(0, "item list");
    says(out, "Shoe, \"red\"");
    says(out, "   2  new             40         40");
    assert_int_equal(fx.daemon.item_calls, 4);
    json = run_json(words); /* again: nothing to do */
    assert_int_equal(number(json, "unchanged"), 3);
    assert_int_equal(number(json, "created") + number(json, "changed"), 0);
    json_decref(json);
    assert_int_equal(fx.daemon.item_calls, 4);
    assert_int_equal(fx.daemon.stock_calls, 3);
    words_with_file(words, "item import %s", "items.csv");
    write_file("items.csv", "total,item\n60,2");
    run(0, words);
    says(out, "0 created, 1 changed, 0 unchanged; units: 20 added, 0 removed");
}

/* A draw ends its setting, and an item that is open gets none. */
static void an_import_repeats_no_draw(void **state)
{
    char words[512];

    run(0, "item add 2 --waitlist 9 --opens 2026-01-01T00:00:00Z");
    words_with_file(words, "item import --dry-run %s", "items.csv");
    write_file("items.csv", "item,opens,lottery\n2,2026-01-01T00:00:00Z,yes");
    run(0, words);
    says(out, "would be: 0 created, 0 changed, 1 unchanged");
    write_file("items.csv", "item,lottery\n2,yes");
    run(0, words);
    says(out, "would be: 0 created, 0 changed, 1 unchanged");
    write_file("items.csv", "item,opens,lottery\n2,2096-01-01T00:00:00Z,yes"); /* another one */
    run(0, words);
    says(out, "\"lottery\":true");
}

/* Another operator changes an item between what the import read and what it sends. */
static void an_import_that_lost_a_race_says_so(void **state)
{
    char words[512];
    json_t *json;

    run(0, "item add 2 --name old --total 50");
    write_file("items.csv", "item,name,total\n1,a,5\n2,old,40\n3,c,5\n");
    words_with_file(words, "item import %s", "items.csv");
    fx.daemon.race = 2;
    fails(7, words,
          "items.csv:3: item 2: item 2 was changed meanwhile: its total is 51, not 50; nothing was "
          "changed\nfgctl: done before it: 1;");
    json = run_json("item show 2 --json");
    assert_int_equal(number(json, "total"), 51);
    json_decref(json);
    run(0, words); /* again: decided by what is there now */
    json = run_json("item show 2 --json");
    assert_int_equal(number(json, "total"), 40);
    json_decref(json);
}

static void imports_many(void **state)
{
    char words[512], path[128];
    json_t *json;
    FILE *file;

    file_path(path, "many.csv");
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "item,total\n");
    for (int i = 1; i <= 12000; i++) /* more than one page of the list */
        fprintf(file, "%d,%d\n", i, i % 7);
    fclose(file);
    words_with_file(words, "item import %s --json", "many.csv");
    json = run_json(words);
    assert_int_equal(number(json, "created"), 12000);
    json_decref(json);
    json = run_json(words);
    assert_int_equal(number(json, "unchanged"), 12000);
    json_decref(json);
}

static void refuses_bad_catalogues(void **state)
{
    char words[512];

    import_fails("", "items.csv:1: no header line");
    import_fails("name,total\na,1\n", "items.csv:1: column item: is missing");
    import_fails("item,prize\n1,2\n", "items.csv:1: column prize: unknown; columns are item, name");
    import_fails("item;total\n1;2\n",
                 "items.csv:1: columns are separated by commas; this file seems to use \";\"");
    import_fails("item\ttotal\n1\t2\n", "items.csv:1: columns are separated by commas; this file "
                                        "seems to use tabs");
    import_fails("item,item\n1,2\n", "items.csv:1: column item: is there twice");
    import_fails("item,total\n1,2\n2\n", "items.csv:3: 1 cells; the header line has 2");
    import_fails("item,total\n1,2,3\n", "items.csv:2: 3 cells");
    import_fails("item,total\n,2\n", "items.csv:2: column item: \"\" is not a whole number from 1");
    import_fails("item,total\n1,2\n2,abc\n",
                 "items.csv:3: column total: \"abc\" is not a whole number from 0 to 2000000000");
    import_fails("item,hold_ms\n1,5y\n", "items.csv:2: column hold_ms: \"5y\"");
    import_fails("item,opens,closes\n1,1800000000002,1800000000001\n",
                 "items.csv:2: column closes: closes at");
    import_fails("item,opens\n1,1800000000\n",
                 "items.csv:2: column opens: 1800000000 looks like seconds");
    import_fails("item\n1\n2\n1\n", "items.csv:4: column item: 1 is in line 2 already");
    import_fails("item,name\n1,\"a\n\nb\n", "items.csv:2: a quote is opened and not closed");
    import_fails("item,name\n1,\"a\"b\n",
                 "items.csv:2: a comma or the end of the line must follow");
    import_fails("item,name\n1,a\"b\n", "items.csv:2: a quote inside a cell");
    import_fails("item,name\n1,\"a\nb\"\n2,\x1b[2J\n", "items.csv:4: column name: \"?[2J\"");
    import_fails("item,total\nx,y\nz,1\n", "fgctl: 3 errors in");
    fails(6, "item import /nonexistent.csv", "/nonexistent.csv: No such file");
    fails(6, "item import /tmp", "not a regular file");
    run(0, "item add 1 --total 5");
    fg_double_order(&fx.daemon, 1, 1, 1, FG_LEDGER_ORDER_SOLD);
    fx.daemon.item_calls = fx.daemon.stock_calls = 0;
    import_fails("item,total\n2,7\n1,0\n",
                 "items.csv:3: column total: 0 cannot be reached: item 1 has 5 units, and only 4");
    fx.daemon.refuse_stock = FG_CONTROL_UNAVAILABLE;
    write_file("items.csv", "item,total\n2,\n3,7\n4,7\n");
    words_with_file(words, "item import %s", "items.csv");
    fails(4, words,
          "items.csv:3: item 3: item 3 was created, but its 7 units were perhaps not added");
    says(err, "done before it: 1;");
}

static void says_why_and_asks_for_a_class(void **state)
{
    json_t *json;

    if (!fx.daemon.filter) {
        print_message("no filter here: %s\n", fx.daemon.filter_why);
        skip();
    }
    run(0, "block add 198.19.2.1 --reason too-loud --expires 2030-01-01T00:00:00Z");
    run(0, "block list");
    assert_non_null(strstr(out, "too-loud\n"));
    assert_non_null(
        strstr(out, "  2030-01-01T00:00:00Z  ") ? "" : strstr(out, "  2029-12-31T23:59:59Z  "));
    run(0, "block add 198.19.2.2 --for 1h");
    json = run_json("block list --json");
    for (size_t i = 0; i < json_array_size(json); i++) {
        json_t *entry = json_array_get(json, i);
        json_int_t left = json_integer_value(json_object_get(entry, "expires_ms")) -
                          (json_int_t)time(NULL) * 1000;

        if (strcmp(json_string_value(json_object_get(entry, "prefix")), "198.19.2.2") == 0)
            assert_in_range(left, 3500000, 3610000);
    }
    json_decref(json);
    fails(1, "block add 198.19.2.3 --reason more-than-twenty-three-chars", "at most 23");
    fails(2, "block add 198.19.2.3 --for 1h --expires +1h", "one of them");
    fails(2, "block add 198.19.2.3 --for soon", "is not a duration");
    fails(2, "block add 198.19.2.3 --expires 2001-01-01T00:00:00Z", "not a future time");
    fails(2, "block del 198.19.2.1 --reason x", "--reason");
    run(0, "block del 198.19.2.1 198.19.2.2");
    run(0, "filter explain 198.18.0.9 --class syn --json");
    assert_non_null(strstr(out, "\"syn\""));
    assert_null(strstr(out, "\"order\""));
    run(0, "filter explain 198.18.0.9 --port 443 --json");
    assert_non_null(strstr(out, "\"other\""));
    assert_null(strstr(out, "\"order\""));
    fails(2, "filter explain 198.18.0.9 --class tcp", "none of order, syn, other");
    fails(2, "filter explain 198.18.0.9 --port 0", "from 1 to 65535");
    fails(2, "filter explain 198.18.0.9 --port 80 --class syn", "one of them");
}

static int lines_with(const char *text, const char *word)
{
    int n = 0;

    for (; (text = strstr(text, word)); text++)
        n++;
    return n;
}

static void everybody_must_be_meant(void)
{
    char words[512];

    fails(2, "block add 198.19.9.9 0.0.0.0/0", "0.0.0.0/0 is every source");
    fails(2, "allow add ::/0", "--yes says that this is meant");
    write_file("list", "198.19.9.9\n  0.0.0.0/0 # all\n");
    words_with_file(words, "block add --file %s", "list");
    fails(2, words, "0.0.0.0/0 is every source");
    words_with_file(words, "block load %s", "list");
    fails(2, words, "0.0.0.0/0 is every source");
    run(0, "block list");
    assert_null(strstr(out, "198.19.9.9"));
    words_with_file(words, "block load --yes %s", "list");
    run(0, words);
    assert_string_equal(out, "2 loaded\n");
    run(0, "block del 0.0.0.0/0 198.19.9.9");
    run(0, "block add --yes 0.0.0.0/0");
    assert_string_equal(out, "1 added\n");
    run(0, "block del 0.0.0.0/0");
    write_file("list", "# nobody\n");
    words_with_file(words, "block add --file %s", "list");
    run(0, words);
    assert_string_equal(out, "0 added\n");
}

static void edits_lists(void **state)
{
    char words[512];
    json_t *json;

    if (!fx.daemon.filter) {
        print_message("no filter here: %s\n", fx.daemon.filter_why);
        skip();
    }
    run(0, "block add 198.18.0.0/16 2001:db8::/32");
    assert_string_equal(out, "2 added\n");
    run(0, "block add 198.18.0.0/16 198.18.0.0/18");
    assert_string_equal(out, "1 added, 1 listed already\n");
    run(0, "block del 198.18.0.0/18 198.18.0.0/19");
    assert_string_equal(out, "1 removed, 1 not listed\n");
    fails(1, "block add 198.18.0.0/16 --reason new", "already in the list, with another reason");
    run(0, "block add 198.18.0.0/16 198.18.0.0/17 --replace --reason now-known");
    run(0, "block list");
    assert_int_equal(lines_with(out, "now-known"), 2);
    run(0, "block add 198.18.0.0/16 --replace");
    run(0, "block list");
    assert_int_equal(lines_with(out, "now-known"), 1);
    run(0, "block del 198.18.0.0/17");
    fails(2, "block del 198.18.0.0/16 --replace", "--replace");
    fails(1, "block add 198.18.0.0/33", "prefix 1");
    fails(2, "block add", "no prefix given");
    write_file("list", "# attackers\n198.19.0.1 # one\n\n  198.19.0.2\n");
    words_with_file(words, "block add --file %s 198.19.0.3", "list");
    run(0, words);
    assert_string_equal(out, "3 added\n");
    write_file("list", "198.19.0.1\n198.19.0.5 198.19.0.6\n");
    fails(6, words, "list:2: one prefix is expected");
    fails(6, "block add --file /nonexistent", "No such file");
    fails(6, "block add --file /dev/zero", "/dev/zero:1: one prefix is expected");
    json = run_json("block list --json");
    assert_int_equal(json_array_size(json), 5);
    json_decref(json);
    run(0, "block del 198.18.0.0/16 198.19.0.1 198.19.0.2 198.19.0.3");
    run(0, "block list");
    assert_string_equal(
        out, "PREFIX         HITS  LAST  EXPIRES  REASON\n2001:db8::/32     0  -     -        -\n");
    write_file("list", "198.19.7.0/24 - neighbours # two\n198.19.9.9\n");
    words_with_file(words, "block load %s", "list");
    run(0, words);
    assert_string_equal(out, "2 loaded\n");
    saves_lists();
    write_file("list", "198.19.7.0/24\n198.19.7.1/24\n");
    words_with_file(words, "block load %s", "list");
    fails(1, words, "list:2: ");
    fails(6, "block load /nonexistent", "No such file");
    run(0, "block del 198.19.7.0/24 198.19.9.9");
    json = run_json("allow del 198.18.0.0/16 --json");
    assert_int_equal(number(json, "removed"), 0);
    assert_int_equal(number(json, "unchanged"), 1);
    json_decref(json);
    everybody_must_be_meant();
    run(0, "allow add 198.18.0.0/16 --json");
    json = json_loads(out, 0, NULL);
    assert_int_equal(number(json, "added"), 1);
    json_decref(json);
}

static void manages_users(void **state)
{
    char words[512];
    json_t *json;

    run(0, "user deny 7 18446744073709551615");
    assert_string_equal(out, "denied 2\n");
    write_file("list", "# robots\n12 # one\n\n  13\n");
    words_with_file(words, "user deny --file %s 3 --json", "list");
    json = run_json(words);
    assert_int_equal(number(json, "denied"), 3);
    json_decref(json);
    run(0, "user denied");
    assert_string_equal(out, "3\n7\n12\n13\n18446744073709551615\n");
    run(0, "user allow 7 12");
    assert_string_equal(out, "allowed 2\n");
    json = run_json("user denied --json");
    assert_int_equal(json_array_size(json), 3);
    json_decref(json);
    run(0, "user worst --limit 2");
    assert_string_equal(out, "                USER  REFUSED\n18446744073709551615      900\n"
                             "18446744073709551614      899\n");
    json = run_json("user worst --json");
    assert_int_equal(json_array_size(json), 20);
    json_decref(json);
    fx.daemon.user_calls = 0;
    fails(2, "user deny", "no user given");
    fails(2, "user deny 5 x", "USER: \"x\" is not a whole number from 0 to 18446744073709551615");
    fails(2, "user worst --limit 0", "from 1 to 1000");
    write_file("list", "12\n13x\n");
    fails(6, words, "\"13x\" is not a whole number");
    write_file("list", "12 13\n");
    fails(6, words, "list:1: one user is expected, a number");
    write_file("list", "# nobody is in it\n");
    words_with_file(words, "user deny --file %s", "list");
    run(0, words);
    assert_string_equal(out, "denied 0\n");
    assert_int_equal(fx.daemon.user_calls, 0);
}

/* Large lists go in parts; what was done before a refusal is said. */
static void manages_many_users(void **state)
{
    char words[512], *list = calloc(1, 1 << 16);
    size_t len = 0;

    for (int i = 0; i < 2500; i++)
        len += (size_t)sprintf(list + len, "%d\n", i);
    write_file("list", list);
    free(list);
    words_with_file(words, "user deny --file %s", "list");
    run(0, words);
    assert_string_equal(out, "denied 2500\n");
    assert_int_equal(fx.daemon.user_calls, 2500);
    fx.daemon.user_calls = 0;
    fx.daemon.users_room = 1500;
    fx.daemon.refuse_user = FG_CONTROL_UNAVAILABLE;
    fails(4, words,
          "500 of 1000 were denied before\nfgctl: the first 1000 of 2500 were denied before");
}

static void shows_top(void **state)
{
    char *second;
    json_t *json;
    double rate;

    run(0, "item add 7 --name Hot --total 10");
    run(0, "top --count 2 --interval 200ms");
    says(out, "Floodgate  ");
    says(out, "running");
    says(out, "redis live, lag 7");
    says(out, "\nALARM    orders   worker 0: 9 of 9\n");
    says(out, "drop   tag");
    says(out, "filter rate-order");
    says(out, "Hot");
    assert_null(strchr(out, '\033')); /* no terminal: no control characters */
    run(0, "top --json --count 2 --interval 200ms");
    second = strchr(out, '\n') + 1;
    json = json_loads(second, 0, NULL);
    assert_non_null(json);
    assert_int_equal(
        (int)json_real_value(json_object_get(json_object_get(json, "counters"), "workers.rx")), 33);
    rate = json_real_value(json_object_get(json_object_get(json, "rates"), "stock.requests"));
    assert_in_range((int)rate, 100, 500); /* 100 more in about 200 ms */
    json_decref(json);
}

static void top_ends_by_signal(void **state)
{
    pid_t pid = spawn("top --json --interval 1h");

    for (int i = 0; i < 500; i++) {
        read_back("out", out, sizeof(out));
        if (strchr(out, '\n'))
            break;
        usleep(10000);
    }
    kill(pid, SIGINT);
    assert_int_equal(finish(pid), 0);
    says(out, "\"rates\"");
}

static int shell(const char *command, const char *file)
{
    char line[256];
    int status;

    snprintf(line, sizeof(line), "%s '%s'", command, file);
    status = system(line);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void shows_the_audit_trail(void **state)
{
    json_t *list;

    run(0, "item add 7 --total 5");
    run(1, "pause 8");
    run(0, "audit");
    assert_non_null(strstr(out, "POST /v1/items {"));
    assert_non_null(strstr(out, "fgctl"));
    assert_true(strstr(out, "done") < strstr(out, "no item 8")); /* the newest is the last line */
    run(0, "--json audit --limit 1");
    list = json_loads(out, 0, NULL);
    assert_int_equal(json_array_size(list), 1);
    json_decref(list);
    run(2, "audit --limit 0");
}

/* --conninfo replaces the connection of --config, and leaves its schema and its fleet. */
static void makes_tables_for_another_user(void **state)
{
    char words[512], text[512], keys[128], secret[128], config[128];

    write_file("keys", "1 shop 00\n");
    write_file("secret", "of the daemon\n");
    file_path(keys, "keys");
    file_path(secret, "secret");
    file_path(config, "conf");
    snprintf(text, sizeof(text),
             "[port a]\ninterface = eth0\n[orders]\nkeys = %s\n[postgres]\nconninfo = "
             "host=/nonexistent/daemon\npassword_file = %s\n[fleet]\nenabled = yes\nmember = 1\n"
             "members = 2\netcd = 127.0.0.1:1\n",
             keys, secret);
    write_file("conf", text);
    words_with_file(words, "backend init --config %s", "conf");
    fails(1, words, "/nonexistent/daemon");
    words_with_file(words, "backend init --config %s --conninfo host=/nonexistent/owner", "conf");
    fails(1, words, "/nonexistent/owner");
    snprintf(words, sizeof(words),
             "backend init --config %s --conninfo host=/nonexistent/owner --schema %s", config,
             "a_name_that_leaves_no_room_for_the_number_of_a_member");
    fails(1, words, "of a fleet, accepted are at most 50 characters");
    words_with_file(words, "backend init --config %s.not --conninfo host=/nonexistent", "conf");
    fails(6, words, "conf.not");
}

static void completes(void **state)
{
    static const struct {
        const char *words, *expected;
    } list[] = {{"'' ",
                 "status health stats top item stock open close pause resume order orders "
                 "wait block allow filter "
                 "penalty user backend doctor keys log sink pair fleet report capture audit help "
                 "completion"},
                {"it", "item"},
                {"item ''", "list show add set import"},
                {"--json stock ''", "add remove"},
                {"--socket /x block ''", "list add del load save"},
                {"user ''", "deny allow denied worst"},
                {"fleet ''", "status top init freeze thaw dump retire rebuild"},
                {"user deny --f", "--file"},
                {"item add 5 --us", "--user-limit"},
                {"top --c", "--count"},
                {"fleet top --i", "--interval"},
                {"filter explain 198.18.0.1 --cl", "--class"},
                {"block add 198.18.0.1 --rea", "--reason"},
                {"item list --soc", "--socket"},
                {"open ''", "7 8"},
                {"open 7 ''", "7 8"},
                {"item set ''", "7 8"},
                {"item add ''", ""},
                {"filter attach lo", "lo"},
                {"block load /etc/os-rel", "/etc/os-release"},
                {"item import /etc/os-rel", "/etc/os-release"},
                {"help sto", "stock"}};
    char script[128];

    run(0, "item add 7");
    run(0, "item add 8");
    run(0, "item set 8 --retired true");

    run(0, "completion");
    file_path(script, "script");
    write_file("script", out);
    assert_int_equal(shell("bash -n", script), 0);
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        char test[1024], path[128];

        snprintf(
            test, sizeof(test),
            ". '%s'; export FLOODGATE_SOCKET='%s'; COMP_WORDS=('%s' %s); "
            "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _fgctl; "
            "[ \"${COMPREPLY[*]}\" = \"%s\" ] || { echo \"got: ${COMPREPLY[*]}\" >&2; exit 1; }",
            script, fx.socket, program(), list[i].words, list[i].expected);
        write_file("test", test);
        file_path(path, "test");
        if (shell("bash", path) != 0)
            fail_msg("completion of: %s", list[i].words);
    }
}

/* docs/operation.md has every command that --help has, and every exit code. */
static void is_documented(void **state)
{
    const char *source = getenv("FG_SOURCE");
    char path[512], *docs = calloc(1, 1 << 20), *rest;
    FILE *file;
    int commands = 0;

    assert_non_null(source);
    snprintf(path, sizeof(path), "%s/docs/operation.md", source);
    file = fopen(path, "r");
    if (!file)
        fail_msg("%s is missing", path);
    assert_true(fread(docs, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    run(0, "--help");
    for (char *line = strtok_r(strstr(out, "commands:"), "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        char wanted[64];

        if (line[0] != ' ' || line[2] == '-')
            continue;
        if (line[2] >= '0' && line[2] <= '9') {
            snprintf(wanted, sizeof(wanted), "| %c |", line[2]);
        } else { /* up to two blanks, which begin the help text */
            char *end = strstr(line + 2, "  ");

            assert_non_null(end);
            snprintf(wanted, sizeof(wanted), "`fgctl %.*s", (int)(end - line - 2), line + 2);
            commands++;
        }
        if (!strstr(docs, wanted))
            fail_msg("docs/operation.md does not have %s", wanted);
    }
    assert_true(commands >= 28);
    free(docs);
}

/* A server that answers requests to read, and hangs up on a request to change. */
#define MOODY_CONNECTIONS 4
struct moody {
    int fd;
    unsigned reads, changes;
};

/* One request; returns whether the connection stays. */
static bool moody_serve(struct moody *m, int connection)
{
    static const char item[] =
        "{\"item\":\"7\",\"name\":\"\",\"state\":\"open\",\"total\":10,\"available\":10}";
    char request[4096], reply[512];
    ssize_t n = recv(connection, request, sizeof(request) - 1, 0);

    if (n <= 0)
        return false;
    request[n] = 0;
    if (strncmp(request, "GET ", 4) != 0) {
        m->changes++;
        return false;
    }
    m->reads++;
    snprintf(reply, sizeof(reply), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(item),
             item);
    send(connection, reply, strlen(reply), MSG_NOSIGNAL);
    return true;
}

/* fgctl keeps the connection of its first request open while it makes the next. */
static void *moody_run(void *server)
{
    struct moody *m = server;
    struct pollfd fds[1 + MOODY_CONNECTIONS] = {{.fd = m->fd, .events = POLLIN}};
    unsigned count = 1;

    while (poll(fds, count, -1) > 0) {
        for (unsigned i = 1; i < count; i++)
            if (fds[i].revents && !moody_serve(m, fds[i].fd)) {
                close(fds[i].fd);
                fds[i].fd = -1; /* poll passes it over */
            }
        if (fds[0].revents) {
            int connection = count < 1 + MOODY_CONNECTIONS ? accept(m->fd, NULL, NULL) : -1;

            if (connection < 0)
                break;
            fds[count++] = (struct pollfd){.fd = connection, .events = POLLIN};
        }
    }
    return NULL;
}

/* The connection broke, and the change may have been made: only a person may repeat it. */
static void a_change_is_sent_once(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct moody m = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    char words[256], path[128];
    pthread_t thread;

    file_path(path, "moody.sock");
    assert_in_range(strlen(path), 1, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(bind(m.fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(m.fd, 8), 0);
    assert_int_equal(pthread_create(&thread, NULL, moody_run, &m), 0);
    snprintf(words, sizeof(words), "item set 7 --total 20 --socket %s", path);
    fails(3, words, "connection lost; it may have happened or not");
    shutdown(m.fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(m.fd);
    assert_int_equal(m.reads, 0); /* it is the daemon that decides */
    assert_int_equal(m.changes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(manages_items),
        T(lists_items_as_a_table),
        T(switches_items),
        T(tells_about_the_system),
        T(has_exit_codes),
        T(a_change_is_sent_once),
        T(helps),
        T(an_import_that_lost_a_race_says_so),
        T(imports),
        T(an_import_repeats_no_draw),
        T(imports_many),
        T(refuses_bad_catalogues),
        cmocka_unit_test_setup_teardown(says_why_and_asks_for_a_class, start_filter, stop),
        cmocka_unit_test_setup_teardown(edits_lists, start_filter, stop),
        T(manages_users),
        T(manages_many_users),
        T(shows_top),
        T(top_ends_by_signal),
        T(shows_the_audit_trail),
        T(makes_tables_for_another_user),
        T(completes),
        T(is_documented),
    };

    return cmocka_run_group_tests_name("fgctl", tests, NULL, NULL);
}
