/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of metrics: its names, its page in docs/, and Prometheus' own judgement of the output.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "control_double.h"

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);

    return a >= b && strcmp(text + a - b, end) == 0;
}

static void names_follow_prometheus(void **state)
{
    for (unsigned i = 0; i < FG_CONTROL_METRICS; i++) {
        const struct fg_control_metric_row *row = &fg_control_metrics[i];
        bool seconds = row->unit == FG_CONTROL_SECONDS || row->unit == FG_CONTROL_MS ||
                       row->unit == FG_CONTROL_NS;

        assert_non_null(row->name);
        assert_true(row->text[0] != 0);
        if (row->type == FG_CONTROL_NONE)
            continue;
        if (ends_with(row->name, "_total") != (row->type == FG_CONTROL_COUNTER))
            fail_msg("%s: _total is for counters, and only for them", row->name);
        if (strstr(row->name, "_seconds") ? !seconds : seconds)
            fail_msg("%s: a time, and only a time, ends in _seconds", row->name);
        if (row->unit == FG_CONTROL_BYTES && !strstr(row->name, "_bytes"))
            fail_msg("%s: counts bytes and does not say so", row->name);
        if (row->unit == FG_CONTROL_TEXT && !row->label)
            fail_msg("%s: a text needs a label to stand in", row->name);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(fg_control_metrics[k].name, row->name);
    }
}

static void fields_are_named_once_with_their_unit(void **state)
{
    for (unsigned i = 0; i < FG_CONTROL_METRICS; i++) {
        const struct fg_control_metric_row *row = &fg_control_metrics[i];
        bool own_key = fg_control_sections[row->section].shape == FG_CONTROL_OBJECT ||
                       fg_control_sections[row->section].shape == FG_CONTROL_LIST;

        if (row->unit == FG_CONTROL_MS && !ends_with(row->key, "_ms"))
            fail_msg("%s: milliseconds end in _ms", row->key);
        if (row->unit == FG_CONTROL_NS && !ends_with(row->key, "_ns"))
            fail_msg("%s: nanoseconds end in _ns", row->key);
        if (row->unit == FG_CONTROL_SECONDS && !ends_with(row->key, "_s"))
            fail_msg("%s: seconds end in _s", row->key);
        if (own_key && row->unit == FG_CONTROL_BYTES && !ends_with(row->key, "_bytes"))
            fail_msg("%s: bytes end in _bytes", row->key);
        for (unsigned k = 0; k < i; k++)
            if (fg_control_metrics[k].section == row->section)
                assert_string_not_equal(fg_control_metrics[k].key, row->key);
    }
}

static void the_page_is_what_describe_writes(void **state)
{
    static const char begin[] = "<!-- table of metrics: written by lib/control -->\n",
                      end[] = "<!-- end of the table of metrics -->\n";
    char path[512], page[1 << 16] = "", *described = NULL, *from, *to;
    size_t size;
    FILE *out = open_memstream(&described, &size), *in;

    fg_control_metrics_describe(out);
    fclose(out);
    assert_non_null(getenv("FG_SOURCE"));
    snprintf(path, sizeof(path), "%s/docs/metrics.md", getenv("FG_SOURCE"));
    in = fopen(path, "r");
    if (!in)
        fail_msg("cannot read %s; it is to have:\n%s%s%s", path, begin, described, end);
    assert_true(fread(page, 1, sizeof(page) - 1, in) > 0);
    fclose(in);
    from = strstr(page, begin);
    to = strstr(page, end);
    assert_non_null(from);
    assert_non_null(to);
    *to = 0;
    if (strcmp(from + strlen(begin), described) != 0)
        fail_msg("docs/metrics.md is to have between its marks:\n%s", described);
    free(described);
}

static struct fg_fixture fx;

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

/* The page of a daemon, without its HTTP header. Caller frees *raw. */
static char *scrape(char **raw)
{
    static const char get[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char *body;

    *raw = fg_raw_request(fx.socket, get, sizeof(get) - 1);
    assert_non_null(strstr(*raw, "HTTP/1.1 200"));
    body = strstr(*raw, "\r\n\r\n");
    assert_non_null(body);
    return body + 4;
}

/* promtool prints a line for each thing that it dislikes. */
static void promtool_accepts(const char *page)
{
    FILE *tool = popen("promtool check metrics", "w");
    int status;

    assert_non_null(tool);
    fputs(page, tool);
    status = pclose(tool);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        fail_msg("promtool is missing: it is in Debian's package prometheus");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void promtool_finds_nothing_in_a_page_of_all_metrics(void **state)
{
    json_t *json = NULL;
    char *raw, *body;
    char line[160];

    fx.daemon.all_metrics = true;
    assert_int_equal(fg_ask(fx.socket, "POST", "/v1/items",
                            "{\"item\": 7, \"name\": \"a\\\"b\\\\c\", \"total\": 10}", &json),
                     201);
    json_decref(json);
    body = scrape(&raw);
    for (unsigned i = 0; i < FG_CONTROL_METRICS; i++) {
        snprintf(line, sizeof(line), "# TYPE %s ", fg_control_metrics[i].name);
        if (fg_control_metrics[i].type != FG_CONTROL_NONE && !strstr(body, line))
            fail_msg("%s is not on the page", fg_control_metrics[i].name);
    }
    assert_non_null(strstr(body, "# TYPE floodgate_latency_seconds histogram\n"));
    assert_non_null(
        strstr(body, "\nfloodgate_latency_seconds_bucket{step=\"other\",le=\"2.56e-07\"} 5\n"));
    assert_non_null(
        strstr(body, "\nfloodgate_latency_seconds_bucket{step=\"other\",le=\"7.68e-07\"} 95\n"));
    assert_non_null(
        strstr(body, "\nfloodgate_latency_seconds_bucket{step=\"other\",le=\"+Inf\"} 100\n"));
    assert_non_null(strstr(body, "\nfloodgate_latency_seconds_sum{step=\"other\"} 1.2345e-05\n"));
    assert_non_null(strstr(body, "\nfloodgate_log_commit_records_bucket{le=\"2\"} 5\n"));
    assert_non_null(strstr(body, "\nfloodgate_log_commit_records_count 100\n"));
    promtool_accepts(body);
    free(raw);
}

/* The same field in two sections of stats, or a section that is missing, would show here. */
static void stats_hold_every_row(void **state)
{
    json_t *json = NULL, *section, *object;

    fx.daemon.all_metrics = true;
    assert_int_equal(fg_ask(fx.socket, "GET", "/v1/stats", NULL, &json), 200);
    for (unsigned i = 0; i < FG_CONTROL_METRICS; i++) {
        const struct fg_control_metric_row *row = &fg_control_metrics[i];
        const struct fg_control_section_row *at = &fg_control_sections[row->section];
        char path[64], *dot;

        if (at->shape == FG_CONTROL_HIDDEN)
            continue;
        snprintf(path, sizeof(path), "%s", at->path);
        dot = strchr(path, '.');
        if (dot)
            *dot = 0;
        section = json_object_get(json, path);
        if (dot)
            section = json_object_get(section, dot + 1);
        object = at->shape == FG_CONTROL_LIST ? json_array_get(section, 0) : section;
        if (!json_object_get(object, at->shape == FG_CONTROL_MAP ? "other" : row->key))
            fail_msg("%s.%s is not in /v1/stats", at->path, row->key);
    }
    json_decref(json);
}

static void has_line(const char *metrics, const char *line)
{
    char wanted[256];

    snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    if (!strstr(metrics, wanted))
        fail_msg("no line \"%s\" in:\n%s", line, metrics);
}

/* Each family once, its samples together, no sample twice: else Prometheus refuses the whole page.
 */
static void check_families(char *metrics)
{
    char *rest, seen[200][128];
    unsigned count = 0;

    for (char *line = strtok_r(metrics, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char name[128];

        if (strncmp(line, "# TYPE ", 7) != 0) {
            if (line[0] != '#' && count) {
                size_t len = strlen(seen[count - 1]);

                assert_int_equal(strncmp(line, seen[count - 1], len), 0);
                assert_non_null(memchr("{ ", line[len], 2));
            }
            continue;
        }
        sscanf(line + 7, "%127s", name);
        for (unsigned i = 0; i < count; i++)
            assert_string_not_equal(seen[i], name);
        assert_in_range(count, 0, 199);
        strcpy(seen[count++], name);
    }
    assert_true(count > 15);
}

static void gives_metrics(void **state)
{
    static const char get[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char *raw, *body;

    assert_int_equal(fg_ask(fx.socket, "POST", "/v1/items",
                            "{\"item\": 7, \"name\": \"a\\\"b\\\\c\", \"total\": 10}", NULL),
                     201);
    fg_double_order(&fx.daemon, 5, 0x01, 7, FG_LEDGER_ORDER_SOLD);
    raw = fg_raw_request(fx.socket, get, sizeof(get) - 1);
    assert_non_null(strstr(raw, "HTTP/1.1 200"));
    assert_non_null(strstr(raw, "Content-Type: text/plain; version=0.0.4"));
    body = strstr(raw, "\r\n\r\n") + 3;
    has_line(body, "floodgate_state{state=\"running\"} 1");
    has_line(body, "floodgate_uptime_seconds 5");
    has_line(body, "floodgate_healthy 1");
    has_line(body, "floodgate_log_durable_seq 17");
    has_line(body, "# TYPE floodgate_alarm_level gauge");
    has_line(body, "floodgate_alarm_level{alarm=\"orders\"} 2");
    has_line(body, "floodgate_alarm_level{alarm=\"log\"} 0");
    has_line(body, "# TYPE floodgate_sink_lag gauge");
    has_line(body, "floodgate_sink_lag{sink=\"redis\"} 7");
    has_line(body, "floodgate_sink_state{sink=\"redis\",state=\"live\"} 1");
    has_line(body, "floodgate_filter_enabled 1");
    has_line(body, "# TYPE floodgate_worker_rx_total counter");
    has_line(body, "floodgate_worker_rx_total{worker=\"0\"} 11");
    has_line(body, "floodgate_worker_rx_total{worker=\"1\"} 22");
    has_line(body, "floodgate_drops_total{reason=\"tag\"} 3");
    has_line(body, "floodgate_answers_total{status=\"SOLD_OUT\"} 4");
    has_line(body, "floodgate_filter_packets_total{verdict=\"rate-order\"} 5");
    has_line(body, "floodgate_stock_sold_total 9007199254740993"); /* more than a double holds */
    has_line(body, "floodgate_port_rx_packets_total{port=\"p\\\"0\"} 33");
    has_line(body, "floodgate_item_units{item=\"7\",state=\"available\"} 9");
    has_line(body, "floodgate_item_units{item=\"7\",state=\"sold\"} 1");
    has_line(body, "floodgate_item_info{item=\"7\",name=\"a\\\"b\\\\c\"} 1");
    has_line(body, "floodgate_item_state{item=\"7\",state=\"open\"} 1");
    has_line(body, "floodgate_log_commit_max_seconds 1.007");
    has_line(body, "floodgate_log_snapshot_running 1");
    has_line(body, "floodgate_items 1");
    check_families(body);
    free(raw);
}

#define T(test) cmocka_unit_test_setup_teardown(test, start, stop)

/* With the word "describe": prints the table for docs/metrics.md. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_prometheus),
        cmocka_unit_test(fields_are_named_once_with_their_unit),
        cmocka_unit_test(the_page_is_what_describe_writes),
        T(promtool_finds_nothing_in_a_page_of_all_metrics),
        T(gives_metrics),
        T(stats_hold_every_row),
    };

    if (argc == 2 && strcmp(argv[1], "describe") == 0) {
        fg_control_metrics_describe(stdout);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
