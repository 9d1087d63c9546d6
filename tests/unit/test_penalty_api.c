/* SPDX-License-Identifier: BSD-3-Clause */
/* The penalty box by API and by fgctl, and nginx's error log as a source of reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control_double.h"

static struct fg_fixture fx;
static char output[65536];

static int start(void **state)
{
    fg_fixture_start(&fx, false);
    return 0;
}

static int stop(void **state)
{
    fg_fixture_stop(&fx);
    return 0;
}

static json_t *ask(const char *method, const char *path, const char *body, int expected)
{
    json_t *json = NULL;
    int code = fg_ask(fx.socket, method, path, body, &json);

    if (code != expected)
        fail_msg("%s %s %s: %d, not %d", method, path, body ? body : "", code, expected);
    return json;
}

static void refused(const char *method, const char *body, int code, const char *says)
{
    json_t *json = ask(method, "/v1/filter/penalties", body, code);
    const char *message =
        json_string_value(json_object_get(json_object_get(json, "error"), "message"));

    assert_non_null(message);
    if (!strstr(message, says))
        fail_msg("%s: \"%s\" does not say \"%s\"", body, message, says);
    json_decref(json);
}

/* Runs fgctl; its output of both kinds is in `output`. */
static void run(int expected, const char *words)
{
    char command[512];
    size_t n;
    int status;
    FILE *pipe;

    snprintf(command, sizeof(command), "%s --socket %s %s 2>&1", getenv("FG_FGCTL"), fx.socket,
             words);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    n = fread(output, 1, sizeof(output) - 1, pipe);
    output[n] = 0;
    status = pclose(pipe);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
        fail_msg("fgctl %s: status %d, not %d: %s", words, status, expected, output);
}

static void says(const char *text)
{
    if (!strstr(output, text))
        fail_msg("\"%s\" is not in: %s", text, output);
}

static void reports_block_and_release(void **state)
{
    const char *path = "/v1/filter/penalties";
    json_t *json;
    const json_t *entry;

    json_decref(ask("POST", path, "{\"source\": \"198.18.0.9\"}", 200));
    assert_string_equal(fx.daemon.blocked, "");
    json_decref(ask("POST", path, "{\"source\": \"2001:db8::9\", \"count\": 7}", 200));
    assert_string_equal(fx.daemon.blocked, "2001:db8::/64");
    json = ask("GET", path, NULL, 200);
    assert_string_equal(json_string_value(json_object_get(json, "mode")), "proven");
    assert_int_equal(json_integer_value(json_object_get(json, "count")), 1);
    entry = json_array_get(json_object_get(json, "penalties"), 0);
    assert_string_equal(json_string_value(json_object_get(entry, "source")), "2001:db8::/64");
    assert_string_equal(json_string_value(json_object_get(entry, "class")), "http");
    assert_int_equal(json_integer_value(json_object_get(entry, "level")), 1);
    assert_in_range(json_integer_value(json_object_get(entry, "left_ms")), 50000, 60000);
    json_decref(json);
    json = ask("GET", "/v1/filter/penalties?offset=1", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(json, "penalties")), 0);
    json_decref(json);
    json_decref(ask("DELETE", path, "{\"source\": \"2001:db8::1\"}", 200));
    assert_string_equal(fx.daemon.blocked, "");
    json = ask("DELETE", path, "{\"source\": \"2001:db8::1\"}", 200); /* it is so already */
    assert_int_equal(json_integer_value(json_object_get(json, "released")), 0);
    assert_int_equal(json_integer_value(json_object_get(json, "unchanged")), 1);
    json_decref(json);
}

static void bad_bodies_are_refused(void **state)
{
    refused("POST", "{}", 400, "body: must be");
    refused("POST", "{\"source\": 7}", 400, "source: not a text");
    refused("POST", "{\"source\": \"shop\"}", 400, "is not a prefix");
    refused("POST", "{\"source\": \"198.18.0.0/24\"}", 400, "is a network; an address is wanted");
    refused("POST", "{\"source\": \"198.18.0.9\", \"count\": 0}", 400, "from 1 to 1000000");
    refused("POST", "{\"source\": \"198.18.0.9\", \"counts\": 1}", 400, "body: must be");
    refused("POST", "{\"source\": \"198.18.0.9\", \"follow\": false}", 400, "body: must be");
    refused("DELETE", "{\"count\": 1}", 400, "body: must be");
    refused("DELETE", "{}", 400, "body: must be");
    assert_string_equal(fx.daemon.blocked, "");
}

/* In force at once, beside what the file says, and in the audit trail; nothing of a bad body is. */
static void settings_change_live(void **state)
{
    const char *path = "/v1/filter/penalties/settings";
    const json_t *now, *file;
    json_t *json;

    json_decref(ask("PATCH", path, "{\"http\": 5, \"mode\": \"sometimes\"}", 400));
    json_decref(ask("PATCH", path, "{\"http\": 5, \"first_ms\": 999}", 400));
    json_decref(ask("PATCH", path, "{\"http\": 5, \"dropped\": 1}", 400));
    json_decref(ask("PATCH", path, "{\"http\": 1000000001}", 400));
    json = ask("PATCH", path, "{\"http\": 3, \"first_ms\": 5000}", 200);
    now = json_object_get(json, "in_force");
    file = json_object_get(json, "file");
    assert_int_equal(json_integer_value(json_object_get(now, "http")), 3);
    assert_int_equal(json_integer_value(json_object_get(now, "first_ms")), 5000);
    assert_int_equal(json_integer_value(json_object_get(now, "bad_tag")), 2);
    assert_int_equal(json_integer_value(json_object_get(file, "http")), 2);
    assert_int_equal(json_integer_value(json_object_get(file, "first_ms")), 60000);
    json_decref(json);
    path = "/v1/filter/penalties";
    json_decref(ask("POST", path, "{\"source\": \"198.18.0.9\", \"count\": 2}", 200));
    assert_string_equal(fx.daemon.blocked, ""); /* two were enough before */
    json_decref(ask("POST", path, "{\"source\": \"198.18.0.9\"}", 200));
    assert_string_equal(fx.daemon.blocked, "198.18.0.9");
    json = ask("GET", path, NULL, 200);
    now = json_array_get(json_object_get(json, "penalties"), 0);
    assert_in_range(json_integer_value(json_object_get(now, "left_ms")), 1, 5000);
    json_decref(json);
    run(0, "filter set --penalty-mode off --penalty-first 2m --penalty-bad-tag 9");
    says("penalty bad_tag");
    says("changed");
    fx.daemon.blocked[0] = 0;
    json_decref(
        ask("POST", path, "{\"source\": \"198.18.0.10\", \"count\": 50, \"follow\": true}", 200));
    assert_string_equal(fx.daemon.blocked, "");
    run(2, "filter set --penalty-mode sometimes");
    says("off, proven or suspected");
    run(2, "filter set --penalty-first 5");
    run(2, "filter set");
    run(0, "audit --limit 1");
    says("/v1/filter/penalties/settings");
    says("\"mode\":\"off\"");
}

static void top_shows_all_classes(void **state)
{
    struct fg_penalty_report report = {
        .family = 4, .offence = FG_PENALTY_OFFENCE_BAD_TAG, .events = 5, .addr = {198, 18, 0, 7}};
    json_t *json;
    const json_t *class, *source;

    fg_penalty_report(fx.daemon.penalty, &report, 10);
    report.addr[3] = 8;
    report.events = 3;
    fg_penalty_report(fx.daemon.penalty, &report, 10);
    json = ask("GET", "/v1/filter/top?limit=1", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(json, "classes")), FG_OFFENCES);
    class = json_array_get(json_object_get(json, "classes"), FG_PENALTY_OFFENCE_BAD_TAG);
    assert_string_equal(json_string_value(json_object_get(class, "class")), "bad-tag");
    assert_float_equal(json_number_value(json_object_get(class, "total")), 8, 0);
    assert_int_equal(json_array_size(json_object_get(class, "sources")), 1);
    source = json_array_get(json_object_get(class, "sources"), 0);
    assert_string_equal(json_string_value(json_object_get(source, "source")), "198.18.0.7");
    assert_float_equal(json_number_value(json_object_get(source, "count")), 5, 0);
    json_decref(json);
    run(0, "filter top");
    says("bad-tag  198.18.0.7      5      0       0");
    says("bad-tag  198.18.0.8      3");
    run(2, "filter top --limit 0");
    says("--limit: \"0\" is not a whole number from 1 to 1024");
    run(2, "filter top --interval 1ms");
    says("100ms to 1h");
}

static void samples_are_decoded(void **state)
{
    json_t *json = ask("GET", "/v1/filter/samples?limit=1", NULL, 200);
    const json_t *sample = json_array_get(json_object_get(json, "samples"), 0);

    assert_int_equal(json_array_size(json_object_get(json, "samples")), 1);
    assert_string_equal(json_string_value(json_object_get(sample, "verdict")), "rate-order");
    assert_string_equal(json_string_value(json_object_get(sample, "source")), "198.18.0.7");
    assert_string_equal(json_string_value(json_object_get(sample, "text")),
                        "198.18.0.7 > 198.18.0.1 UDP 20000 > 4600 length 72 order packet version 1 "
                        "operation 1 key 2");
    assert_int_equal(strlen(json_string_value(json_object_get(sample, "bytes"))), 100);
    json_decref(json);
    run(0, "filter samples");
    says("rate-order");
    says("frame of 9 bytes, ethertype 0000");
    run(2, "filter samples --limit 257");
}

/* Every frame of any length, none read beyond its end (the sanitizers watch). */
static void decoding_stops_at_the_end(void **state)
{
    uint8_t random = 1;

    for (unsigned i = 0; i < 20000; i++) {
        struct fg_filter_sample *sample = calloc(1, sizeof(*sample));
        char text[FG_FILTER_SAMPLE_TEXT];
        struct fg_filter_prefix source;

        for (unsigned k = 0; k < FG_FILTER_SAMPLE_BYTES; k++)
            sample->bytes[k] = random = (uint8_t)(random * 13 + 7 + i);
        memcpy(sample->bytes + 12, i & 1 ? "\x08\0\x45" : i & 2 ? "\x86\xdd\x60" : "\x81\0\0", 3);
        sample->bytes[23] = i & 4 ? 17 : 6;
        sample->kept = i % (FG_FILTER_SAMPLE_BYTES + 20);
        fg_filter_sample_decode(sample, &source, text, sizeof(text));
        assert_true(strlen(text) < sizeof(text) - 1 && text[0]);
        fg_filter_sample_decode(sample, &source, text, 8); /* too short a text */
        assert_true(strlen(text) < 8);
        free(sample);
    }
}

static void fgctl_shows_and_releases(void **state)
{
    run(0, "penalty report 198.18.0.9 --count 2");
    says("2 reported");
    run(0, "penalty list");
    says("SOURCE      CLASS  LEVEL");
    says("198.18.0.9  http       1");
    run(0, "--json penalty list");
    says("\"source\": \"198.18.0.9\"");
    run(0, "penalty release 198.18.0.9");
    says("1 released");
    run(0, "penalty release 198.18.0.9");
    says("0 released, 1 not in the box");
    run(1, "penalty report nobody");
    says("is not a prefix");
    run(2, "penalty report 198.18.0.9 --count 0");
    run(2, "penalty report");
}

/* A line of nginx's log of offences; NULL = as in the first of them. */
static void log_line(FILE *file, double age_s, const char *peer, const char *client,
                     const char *proxy, const char *forwarded, const char *what)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    fprintf(file,
            "{\"msec\":\"%.3f\",\"peer\":\"%s\",\"client\":\"%s\",\"proxy\":\"%s\","
            "\"forwarded\":\"%s\",%s}\n",
            (double)now.tv_sec + (double)now.tv_nsec / 1e9 - age_s, peer, client, proxy, forwarded,
            what);
}

#define REQ  "\"status\":\"429\",\"limit_req\":\"REJECTED\",\"limit_conn\":\"PASSED\""
#define CONN "\"status\":\"429\",\"limit_req\":\"PASSED\",\"limit_conn\":\"REJECTED\""
#define SLOW "\"status\":\"408\",\"limit_req\":\"\",\"limit_conn\":\"\""
#define FINE "\"status\":\"200\",\"limit_req\":\"PASSED\",\"limit_conn\":\"PASSED\""

static size_t trail_entries(void)
{
    json_t *json = ask("GET", "/v1/audit", NULL, 200);
    size_t count = json_array_size(json_object_get(json, "entries"));

    json_decref(json);
    return count;
}

static void follows_nginx(void **state)
{
    char path[128], words[256];
    struct fg_penalty_hitter top[8];
    double total;
    FILE *file;

    snprintf(path, sizeof(path), "%s/floodgate.log", fx.folder);
    file = fopen(path, "w");
    assert_non_null(file);
    log_line(file, 0, "198.18.0.5", "198.18.0.5", "0", "", REQ);
    log_line(file, 1, "2001:db8:0:5::1", "2001:db8:0:5::1", "0", "", CONN);
    log_line(file, 0, "::ffff:198.18.0.5", "::ffff:198.18.0.5", "0", "", SLOW);
    log_line(file, 0, "198.18.0.9", "198.18.0.9", "0", "", FINE);
    log_line(file, 0, "198.18.0.66", "198.18.0.7", "0", "", REQ);          /* a claimed client */
    log_line(file, 0, "198.18.0.66", "198.18.0.66", "1", "", REQ);         /* a proxy */
    log_line(file, 0, "198.18.0.66", "198.18.0.66", "0", "10.0.0.1", REQ); /* perhaps one */
    log_line(file, 86400, "198.18.0.66", "198.18.0.66", "0", "", REQ);     /* of yesterday */
    log_line(file, -3600, "198.18.0.66", "198.18.0.66", "0", "", REQ);
    fputs("2026/11/26 07:00:00 [error] 12#12: *45 limiting requests, excess: 20.500 by zone \"z\", "
          "client: 198.18.0.66, server: shop\n",
          file); /* of the error log, or of a client who writes like it */
    log_line(file, 0, "198.18.0.88", "198.18.0.88", "0", "", REQ);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0); /* no end yet */
    assert_int_equal(ftruncate(fileno(file), (fflush(file), ftell(file))), 0);
    fclose(file);
    snprintf(words, sizeof(words), "penalty follow %s --all", path);
    run(0, words);
    says("3 reported, 2 not of now, 3 of proxies, 1 strange lines");
    says("198.18.0.66 forwards for others");
    assert_int_equal(fg_penalty_top(fx.daemon.penalty, FG_PENALTY_OFFENCE_HTTP, top, 8, &total), 2);
    assert_float_equal(total, 3, 0);
    assert_float_equal(top[0].count, 2, 0);
    assert_int_equal(top[0].source.addr[3], 5);
    assert_int_equal(top[1].source.family, 6);
    assert_string_equal(fx.daemon.blocked, "198.18.0.5");
    snprintf(words, sizeof(words), "penalty follow %s --all --direct", path);
    run(0, words);
    says("4 reported, 2 not of now, 2 of proxies, 1 strange lines");
    assert_int_equal(trail_entries(), 0);
    run(0, "penalty report 198.18.0.5"); /* a person's */
    assert_int_equal(trail_entries(), 1);
    unlink(path);
    run(6, "penalty follow /nowhere/floodgate.log");
    says("/nowhere/floodgate.log: No such file");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        T(reports_block_and_release), T(bad_bodies_are_refused),
        T(settings_change_live),      T(top_shows_all_classes),
        T(samples_are_decoded),       cmocka_unit_test(decoding_stops_at_the_end),
        T(fgctl_shows_and_releases),  T(follows_nginx),
    };

    return cmocka_run_group_tests_name("penalty-api", tests, NULL, NULL);
}
