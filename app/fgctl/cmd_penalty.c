/* SPDX-License-Identifier: BSD-3-Clause */
/* Offenders, blocked sources, and reports from nginx. */
#include "fgctl.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_MAX 1024

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text ? text : "?";
}

static void seconds_text(char text[24], const json_t *json, const char *key)
{
    snprintf(text, 24, "%.1f s", (double)json_integer_value(json_object_get(json, key)) / 1000);
}

/* ---- filter top ------------------------------------------------------------------------------ */

static void add_hitter(struct fg_table *table, const json_t *class, const json_t *hitter)
{
    static const char *const numbers[] = {"count", "error", "proven"};
    char cells[3][24], age[24];

    for (int i = 0; i < 3; i++)
        snprintf(cells[i], sizeof(cells[i]), "%.0f",
                 json_number_value(json_object_get(hitter, numbers[i])));
    seconds_text(age, hitter, "age_ms");
    fg_table_add(table, (const char *const[]){text_of(class, "class"), text_of(hitter, "source"),
                                              cells[0], cells[1], cells[2], age});
}

static void print_classes(const json_t *classes)
{
    static const char *const columns[] = {"CLASS",  "SOURCE",  "COUNT>",
                                          "ERROR>", "PROVEN>", "LAST>"};
    struct fg_table *table = fg_table_create(columns, 6);
    json_t *class, *hitter;
    size_t i, k;

    json_array_foreach (classes, i, class)
        json_array_foreach (json_object_get(class, "sources"), k, hitter)
            add_hitter(table, class, hitter);
    fg_table_print(table, stdout);
    fg_table_free(table);
    fflush(stdout);
}

static int show_top(struct fg_cli *cli, uint64_t limit)
{
    json_t *reply;
    char path[64];
    int code;

    snprintf(path, sizeof(path), "/v1/filter/top?limit=%" PRIu64, limit);
    code = fg_request(cli, "GET", path, NULL, &reply);
    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(json_object_get(reply, "classes"));
    else
        print_classes(json_object_get(reply, "classes"));
    json_decref(reply);
    return code;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
}

static void until_interrupted(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int fg_cmd_filter_top(struct fg_cli *cli, const struct fg_args *args)
{
    uint64_t limit = 10, interval_ms = 0;
    bool clear = !cli->json && isatty(STDOUT_FILENO);
    int code;

    if (args->options[0] &&
        (!fg_text_number(args->options[0], &limit) || limit < 1 || limit > LIMIT_MAX))
        return fg_usage_error("--limit: \"%s\" is not a whole number from 1 to %d",
                              args->options[0], LIMIT_MAX);
    if (args->options[1] && (!fg_text_duration_read(args->options[1], &interval_ms, NULL) ||
                             interval_ms < 100 || interval_ms > 3600000))
        return fg_usage_error("--interval: \"%s\" is not a duration from 100ms to 1h",
                              args->options[1]);
    if (!interval_ms)
        return show_top(cli, limit);
    until_interrupted();
    do {
        if (clear)
            printf("\033[H\033[2J");
        code = show_top(cli, limit);
        if (code == FG_EXIT_OK && !interrupted)
            usleep((useconds_t)(interval_ms * 1000));
    } while (code == FG_EXIT_OK && !interrupted);
    return code;
}

/* ---- filter samples -------------------------------------------------------------------------- */

static void print_samples(const json_t *list)
{
    static const char *const columns[] = {"AGE>", "VERDICT", "INTERFACE", "BYTES>", "PACKET"};
    struct fg_table *table = fg_table_create(columns, 5);
    json_t *sample;
    size_t i;

    json_array_foreach (list, i, sample) {
        char age[24], length[24];

        seconds_text(age, sample, "age_ms");
        snprintf(length, sizeof(length), "%lld",
                 json_integer_value(json_object_get(sample, "length")));
        fg_table_add(table, (const char *const[]){age, text_of(sample, "verdict"),
                                                  text_of(sample, "interface"), length,
                                                  text_of(sample, "text")});
    }
    fg_table_print(table, stdout);
    fg_table_free(table);
}

int fg_cmd_filter_samples(struct fg_cli *cli, const struct fg_args *args)
{
    uint64_t limit = 50;
    json_t *reply;
    char path[64];
    int code;

    if (args->options[0] && (!fg_text_number(args->options[0], &limit) || limit < 1 || limit > 256))
        return fg_usage_error("--limit: \"%s\" is not a whole number from 1 to 256",
                              args->options[0]);
    snprintf(path, sizeof(path), "/v1/filter/samples?limit=%" PRIu64, limit);
    code = fg_request(cli, "GET", path, NULL, &reply);
    if (code != FG_EXIT_OK)
        return code;
    if (cli->json)
        fg_print_json(json_object_get(reply, "samples"));
    else
        print_samples(json_object_get(reply, "samples"));
    json_decref(reply);
    return code;
}

int fg_cmd_filter_explain(struct fg_cli *cli, const struct fg_args *args)
{
    const char *class = args->options[0], *port = args->options[1];
    uint64_t number = 0;
    char path[128];

    if (class && port)
        return fg_usage_error("--class and --port: one of them");
    if (class && strcmp(class, "order") && strcmp(class, "syn") && strcmp(class, "other"))
        return fg_usage_error("--class: \"%.32s\" is none of order, syn, other", class);
    if (port && (!fg_text_number(port, &number) || number < 1 || number > 65535))
        return fg_usage_error("--port: \"%.32s\" is not a whole number from 1 to 65535", port);
    if (strlen(args->positions[0]) > 48 || strpbrk(args->positions[0], "/?#% "))
        return fg_usage_error("ADDR: \"%.48s\" is not an address", args->positions[0]);
    snprintf(path, sizeof(path), "/v1/filter/explain/%s%s%s", args->positions[0],
             class  ? "?class="
             : port ? "?port="
                    : "",
             class  ? class
             : port ? port
                    : "");
    return fg_request_show(cli, path);
}

/* ---- penalty list, release, report ----------------------------------------------------------- */

static void take_row(void *ctx, json_t *entry)
{
    char level[24], since[24], left[24];

    snprintf(level, sizeof(level), "%lld", json_integer_value(json_object_get(entry, "level")));
    seconds_text(since, entry, "since_ms");
    seconds_text(left, entry, "left_ms");
    fg_table_add(ctx, (const char *const[]){text_of(entry, "source"), text_of(entry, "class"),
                                            level, since, left});
}

int fg_cmd_penalty_list(struct fg_cli *cli, const struct fg_args *args)
{
    static const char *const columns[] = {"SOURCE", "CLASS", "LEVEL>", "SINCE>", "LEFT>"};

    return fg_request_table(cli, "/v1/filter/penalties", "penalties", columns, 5, take_row);
}

int fg_cmd_penalty_release(struct fg_cli *cli, const struct fg_args *args)
{
    int code = FG_EXIT_OK;
    json_int_t released = 0;

    for (unsigned i = 0; i < args->count && code == FG_EXIT_OK; i++) {
        json_t *body = json_pack("{s:s}", "source", args->positions[i]), *reply = NULL;

        if (!body)
            return fg_usage_error("ADDR %u is not UTF-8", i + 1);
        code = fg_request(cli, "DELETE", "/v1/filter/penalties", body, &reply);
        released += json_integer_value(json_object_get(reply, "released"));
        json_decref(reply);
    }
    if (code == FG_EXIT_OK && cli->json)
        printf("{\"released\": %lld, \"unchanged\": %lld}\n", released, args->count - released);
    else if (code == FG_EXIT_OK && released < args->count)
        printf("%lld released, %lld not in the box\n", released, args->count - released);
    else if (code == FG_EXIT_OK)
        printf("%lld released\n", released);
    return code;
}

int fg_report_offence(struct fg_cli *cli, const char *address, uint64_t count, struct fg_error *err)
{
    json_t *body = json_pack("{s:s, s:I}", "source", address, "count", (json_int_t)count);

    if (err)
        json_object_set_new(body, "follow", json_true());
    return err ? fg_request_quiet(cli, "POST", "/v1/filter/penalties", body, NULL, err)
               : fg_request(cli, "POST", "/v1/filter/penalties", body, NULL);
}

int fg_cmd_penalty_report(struct fg_cli *cli, const struct fg_args *args)
{
    uint64_t count = 1;
    int code;

    if (args->options[0] &&
        (!fg_text_number(args->options[0], &count) || count < 1 || count > 1000000))
        return fg_usage_error("--count: \"%s\" is not a whole number from 1 to 1000000",
                              args->options[0]);
    code = fg_report_offence(cli, args->positions[0], count, NULL);
    if (code == FG_EXIT_OK)
        printf(cli->json ? "{\"reported\": %" PRIu64 "}\n" : "%" PRIu64 " reported\n", count);
    return code;
}
