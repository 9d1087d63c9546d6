/* SPDX-License-Identifier: BSD-3-Clause */
/* One order's way: each record of it in the log, with its time, which sinks have the last one, and
 * the steps of its packets when the daemon traces it. */
#include "fgctl.h"

#include <inttypes.h>
#include <string.h>

#include "config/config.h"
#include "journal/journal.h"

#define CONFIG_PATH  "/etc/floodgate/floodgate.conf"
#define READ_RECORDS 4096

enum { OPT_CONFIG, OPT_DIR }; /* as in commands.c */

struct trace {
    uint64_t user;
    uint8_t order_id[16];
    json_t *records;
    uint64_t last_seq;
};

/* USER records share the layout of orders, and have no order. */
static bool is_of(const struct trace *t, const struct fg_journal_record *r)
{
    return r->type != FG_JOURNAL_RECORD_BATCH && r->type != FG_JOURNAL_RECORD_STOCK &&
           r->type != FG_JOURNAL_RECORD_ITEM_SET && r->type != FG_JOURNAL_RECORD_ITEM_NAME &&
           r->type != FG_JOURNAL_RECORD_USER && r->type != FG_JOURNAL_RECORD_EPOCH &&
           r->type != FG_JOURNAL_RECORD_LINE_SET && r->type != FG_JOURNAL_RECORD_LOTTERY &&
           r->type != FG_JOURNAL_RECORD_DRAWN && r->type != FG_JOURNAL_RECORD_LEASE &&
           r->type != FG_JOURNAL_RECORD_RETURN && r->user == t->user &&
           memcmp(r->order_id, t->order_id, sizeof(r->order_id)) == 0;
}

static void add_time(json_t *json, const char *name, uint64_t ms)
{
    char text[FG_TEXT_TIME_SIZE], key[32];

    fg_text_time(text, ms);
    snprintf(key, sizeof(key), "%s_ms", name);
    json_object_set_new(json, key, json_integer((json_int_t)ms));
    json_object_set_new(json, name, json_string(text));
}

static void take(struct trace *t, const struct fg_journal_record *r)
{
    json_t *json = json_object();

    add_time(json, "time", r->time_ms);
    json_object_set_new(json, "step", json_string(fg_journal_record_name(r->type)));
    json_object_set_new(json, "item", fg_json_id(r->item));
    json_object_set_new(json, "quantity", json_integer(r->quantity));
    json_object_set_new(json, "worker", json_integer(r->worker));
    json_object_set_new(json, "seq", json_integer((json_int_t)r->seq));
    if (r->type == FG_JOURNAL_RECORD_RESERVED || r->type == FG_JOURNAL_RECORD_EXTENDED)
        add_time(json, "deadline", r->arg);
    if (r->type == FG_JOURNAL_RECORD_REFUNDED)
        json_object_set_new(json, "restocked", json_boolean(r->arg));
    json_array_append_new(t->records, json);
    t->last_seq = r->seq;
}

static bool read_log(struct trace *t, const char *dir, struct fg_error *err)
{
    static struct fg_journal_record records[READ_RECORDS];
    uint64_t first = fg_journal_first_seq(dir, err);
    struct fg_journal_reader *reader = first ? fg_journal_reader_open(dir, first, err) : NULL;
    ssize_t n = reader ? 1 : -1;

    while (n > 0) {
        /* no limit: the end of the log is no error here */
        n = fg_journal_read(reader, records, READ_RECORDS, UINT64_MAX, err);
        for (ssize_t i = 0; i < n; i++)
            if (is_of(t, &records[i]))
                take(t, &records[i]);
    }
    fg_journal_reader_close(reader);
    if (n == 0 && first > 1)
        fg_complain("the log begins at record %" PRIu64 ": what was before is not shown", first);
    return n == 0;
}

/* Null without a daemon: only it knows how far its sinks are. */
static json_t *sinks_of(struct fg_cli *cli, uint64_t last_seq)
{
    struct fg_error err = {""};
    json_t *status = NULL, *list, *sink;
    size_t i;

    if (fg_request_quiet(cli, "GET", "/v1/status", NULL, &status, &err) != FG_EXIT_OK) {
        json_decref(status);
        return json_null();
    }
    list = json_array();
    json_array_foreach (json_object_get(status, "sinks"), i, sink) {
        json_int_t cursor = json_integer_value(json_object_get(sink, "cursor"));

        json_array_append_new(list, json_pack("{s:O, s:O, s:I, s:b}", "sink",
                                              json_object_get(sink, "sink"), "state",
                                              json_object_get(sink, "state"), "cursor", cursor,
                                              "has_it", (uint64_t)cursor >= last_seq));
    }
    json_decref(status);
    return list;
}

/* ---- the steps of a traced order ------------------------------------------------------------- */

static json_t *steps_of(struct fg_cli *cli, const struct trace *t)
{
    struct fg_error err = {""};
    char id[33], path[128];
    json_t *steps = NULL;

    fg_text_hex(id, t->order_id, sizeof(t->order_id));
    snprintf(path, sizeof(path), "/v1/orders/%" PRIu64 "/%s/steps", t->user, id);
    if (fg_request_quiet(cli, "GET", path, NULL, &steps, &err) == FG_EXIT_OK)
        return steps;
    json_decref(steps);
    return json_null();
}

static const char *time_of(const json_t *request, const char *step, char text[24])
{
    const json_t *ns = json_object_get(request, step);

    snprintf(text, 24, "%.1f us", (double)json_integer_value(ns) / 1000);
    return json_is_integer(ns) ? text : "-";
}

static void print_requests(const json_t *requests)
{
    static const char *const columns[] = {"RECEIVED", "REQUEST",  "ANSWER",   "WORKER",
                                          "HANDED>",  "DECIDED>", "DURABLE>", "SENT>"};
    static const char *const steps[] = {"handed_over_ns", "decided_ns", "durable_ns", "sent_ns"};
    struct fg_table *table = fg_table_create(columns, 8);
    json_t *one;
    size_t i;

    json_array_foreach (requests, i, one) {
        char worker[24], times[4][24];
        const char *cells[8] = {json_string_value(json_object_get(one, "received")),
                                json_string_value(json_object_get(one, "op")),
                                json_string_value(json_object_get(one, "status")), worker};

        snprintf(worker, sizeof(worker), "%lld",
                 json_integer_value(json_object_get(one, "worker")));
        for (unsigned k = 0; k < 4; k++)
            cells[4 + k] = time_of(one, steps[k], times[k]);
        fg_table_add(table, cells);
    }
    fg_table_print(table, stdout);
    fg_table_free(table);
}

static void print_steps(const json_t *steps)
{
    json_int_t share = json_integer_value(json_object_get(steps, "share"));
    const json_t *requests = json_object_get(steps, "requests");

    if (json_array_size(requests))
        print_requests(requests);
    else if (share)
        printf("no steps of packets: the daemon keeps those of %" JSON_INTEGER_FORMAT
               " orders of a million, the last ones\n",
               share);
    else
        printf("no steps of packets: the daemon traces none ([orders] trace)\n");
}

static void print(const json_t *records, const json_t *sinks)
{
    const json_t *entry;
    size_t i;

    json_array_foreach (records, i, entry) {
        const char *deadline = json_string_value(json_object_get(entry, "deadline"));

        printf("%-26s %-10s %" JSON_INTEGER_FORMAT " of item %s, worker %" JSON_INTEGER_FORMAT
               ", record %" JSON_INTEGER_FORMAT "%s%s\n",
               json_string_value(json_object_get(entry, "time")),
               json_string_value(json_object_get(entry, "step")),
               json_integer_value(json_object_get(entry, "quantity")),
               json_string_value(json_object_get(entry, "item")),
               json_integer_value(json_object_get(entry, "worker")),
               json_integer_value(json_object_get(entry, "seq")), deadline ? ", until " : "",
               deadline ? deadline : "");
    }
    if (json_is_null(sinks))
        printf("no daemon answers: how far its sinks are is not known\n");
    json_array_foreach (sinks, i, entry)
        printf("%s (%s) %s\n", json_string_value(json_object_get(entry, "sink")),
               json_string_value(json_object_get(entry, "state")),
               json_is_true(json_object_get(entry, "has_it")) ? "has all of it"
                                                              : "does not have its last step yet");
}

static int trace(struct fg_cli *cli, struct trace *t, const char *dir)
{
    struct fg_error err = {""};
    json_t *sinks, *steps;

    if (!read_log(t, dir, &err)) {
        fg_complain("%s", err.text);
        return FG_EXIT_INPUT;
    }
    steps = steps_of(cli, t);
    if (json_array_size(t->records) == 0 &&
        json_array_size(json_object_get(steps, "requests")) == 0) {
        json_decref(steps);
        fg_complain("the log has no such order of this user");
        return FG_EXIT_REFUSED;
    }
    sinks = sinks_of(cli, t->last_seq);
    if (cli->json) {
        json_t *json =
            json_pack("{s:O, s:O, s:O}", "records", t->records, "sinks", sinks, "steps", steps);

        fg_print_json(json);
        json_decref(json);
    } else {
        print(t->records, sinks);
        if (!json_is_null(steps))
            print_steps(steps);
    }
    json_decref(steps);
    json_decref(sinks);
    return FG_EXIT_OK;
}

static bool order_of(const struct fg_args *args, struct trace *t)
{
    if (!fg_user_arg(args->positions[0], &t->user))
        return false;
    if (fg_text_order_read(args->positions[1], t->order_id))
        return true;
    fg_usage_error("ORDER: \"%.64s\" is not " FG_TEXT_ORDER, args->positions[1]);
    return false;
}

int fg_cmd_order_trace(struct fg_cli *cli, const struct fg_args *args)
{
    const char *file = args->options[OPT_CONFIG], *dir = args->options[OPT_DIR];
    struct fg_config *config = calloc(1, sizeof(*config));
    struct trace t = {.records = json_array()};
    struct fg_error err = {"out of memory"};
    int code = FG_EXIT_INPUT;

    if (!order_of(args, &t))
        code = FG_EXIT_USAGE;
    else if (!config || (!dir && !fg_config_load(config, file ? file : CONFIG_PATH, &err)))
        fg_complain("%s", err.text);
    else
        code = trace(cli, &t, dir ? dir : config->log.dir);
    json_decref(t.records);
    if (config)
        explicit_bzero(config, sizeof(*config)); /* passwords */
    free(config);
    return code;
}
