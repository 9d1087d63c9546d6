/* SPDX-License-Identifier: BSD-3-Clause */
/* Any JSON of numbers as Prometheus samples: a new counter of the daemon needs no line here. */
#include <ctype.h>
#include <string.h>

#include "control/internal.h"
#include "inbound/inbound.h"
#include "stock/stock.h"
#include "telemetry/telemetry.h"

#define NAME_MAX_LEN   128
#define LABELS_MAX_LEN 256

struct sample {
    char *name, *labels;
    char value[32];
};

struct fg_samples {
    struct sample *list;
    size_t count, room;
    bool failed; /**< memory was short: no text rather than half of it */
};

/* Objects whose keys are values of a label. */
static const struct {
    const char *key, *label;
} dimensions[] = {{"drops", "reason"},        {"dropped", "reason"}, {"answers", "status"},
                  {"answered", "status"},     {"results", "status"}, {"filter", "verdict"},
                  {"filter_events", "event"}, {"alarm", "alarm"}};

/* Families that are known: counters, which get the suffix _total, and gauges. */
static const struct {
    const char *name, *help;
    bool counter;
} families[] = {
#define X(name, text) {"floodgate_worker_" #name, text, true},
    FG_WORKER_COUNTER_LIST(X)
#undef X
#define X(name, text) {"floodgate_stock_" #name, text, true},
        FG_STOCK_COUNTER_LIST(X)
#undef X
#define X(name, text) {"floodgate_commands_" #name, text, true},
            FG_INBOUND_COUNTER_LIST(X)
#undef X
                {"floodgate_commands_results", "commands answered, by status", true},
    {"floodgate_commands_backlog", "commands in the stream that are not acknowledged", false},
    {"floodgate_drops", "packets that got no answer, by reason", true},
    {"floodgate_answers", "replies, by status", true},
    {"floodgate_filter", "packets that entered the ports, by verdict", true},
    {"floodgate_filter_events", "full tables of the filter and the like, by event", true},
#define X(name, text) {"floodgate_penalty_" #name, text, true},
    FG_PENALTY_COUNTER_LIST(X)
#undef X
        {"floodgate_penalty_blocked", "sources in the penalty box now", false},
    {"floodgate_port_link_lost", "how often the port lost its link", true},
    {"floodgate_port_link_up", "1 when the port has a link", false},
    {"floodgate_healthy", "1 when /healthz says so", false},
    {"floodgate_alarm", "0 = fine, 1 = warning, 2 = alarm", false},
    {"floodgate_log_snapshot_seq", "last record that is in the newest good snapshot; 0 = none", false},
    {"floodgate_log_snapshot_age_s", "seconds since the newest snapshot was made", false},
    {"floodgate_log_first_seq", "first record that the log still holds", false},
    {"floodgate_log_bytes", "bytes of all segments", false},
    {"floodgate_sink_lag", "records that are durable and not yet in this sink", false},
    {"floodgate_item_units", "units of an item, by state; the sum is its total", false},
    {"floodgate_item_orders", "orders recorded for an item, by step", true},
    {"floodgate_item_info", "name and state of an item", false},
    {"floodgate_items_omitted", "items without metrics of their own: too many", false},
    {"floodgate_uptime_s", "seconds since the daemon started", false},
};

struct fg_samples *fg_samples_create(void)
{
    return calloc(1, sizeof(struct fg_samples));
}

static void add_text(struct fg_samples *samples, const char *name, const char *labels, const char *value)
{
    struct sample *s;

    if (samples->count == samples->room) {
        size_t room = samples->room ? samples->room * 2 : 256;
        struct sample *grown = realloc(samples->list, room * sizeof(*grown));

        if (!grown) {
            samples->failed = true;
            return;
        }
        samples->list = grown;
        samples->room = room;
    }
    s = &samples->list[samples->count++];
    s->name = strdup(name);
    s->labels = strdup(labels);
    snprintf(s->value, sizeof(s->value), "%s", value);
    samples->failed |= !s->name || !s->labels;
}

void fg_samples_add(struct fg_samples *samples, const char *name, const char *labels, double value)
{
    char text[32];

    snprintf(text, sizeof(text), "%.17g", value);
    add_text(samples, name, labels, text);
}

static void join_name(char *out, const char *name, const char *key)
{
    char *p = out;

    char joined[NAME_MAX_LEN];

    snprintf(joined, sizeof(joined), "%s_%s", name, key);
    memcpy(out, joined, sizeof(joined)); /* out may be name */
    for (; *p; p++)
        *p = isalnum((unsigned char)*p) ? (char)tolower((unsigned char)*p) : '_';
}

void fg_label_add(char *labels, size_t size, const char *key, const char *value)
{
    size_t len = strlen(labels);

    if (len + strlen(key) + 8 > size) /* rather no label than half of one */
        return;
    len += (size_t)snprintf(labels + len, size - len, "%s%s=\"", len ? "," : "", key);
    for (; *value && len + 4 < size; value++) {
        if (*value == '"' || *value == '\\' || *value == '\n')
            labels[len++] = '\\';
        labels[len++] = *value == '\n' ? 'n' : *value;
    }
    if (len + 1 < size)
        snprintf(labels + len, size - len, "\"");
}

/* What tells the elements apart: their "name", or a member called like the element, or the place. */
static void element_label(const json_t *element, const char *kind, size_t place, char *text, size_t size)
{
    const json_t *name = json_object_get(element, "name");

    if (!name)
        name = json_object_get(element, kind);
    if (json_is_string(name))
        snprintf(text, size, "%s", json_string_value(name));
    else if (json_is_integer(name))
        snprintf(text, size, "%lld", (long long)json_integer_value(name));
    else
        snprintf(text, size, "%zu", place);
}

/* "floodgate_ports" and [{"port": "p0", ...}] become floodgate_port_...{port="p0"}. */
static void walk_array(struct fg_samples *samples, const char *name, const char *labels, json_t *json)
{
    char one[NAME_MAX_LEN], element[LABELS_MAX_LEN], text[64];
    const char *last;
    size_t len, i;
    json_t *value;

    len = (size_t)snprintf(one, sizeof(one), "%s", name);
    if (len && one[len - 1] == 's')
        one[len - 1] = 0;
    last = strrchr(one, '_') ? strrchr(one, '_') + 1 : one;
    json_array_foreach (json, i, value) {
        element_label(value, last, i, text, sizeof(text));
        snprintf(element, sizeof(element), "%s", labels);
        fg_label_add(element, sizeof(element), last, text);
        if (json_is_object(value))
            json_object_del(value, last); /* it is the label now */
        fg_samples_walk(samples, one, element, value);
    }
}

static const char *dimension_of(const char *key)
{
    for (size_t i = 0; i < sizeof(dimensions) / sizeof(dimensions[0]); i++)
        if (strcmp(dimensions[i].key, key) == 0)
            return dimensions[i].label;
    return NULL;
}

static void walk_dimension(struct fg_samples *samples, const char *name, const char *labels,
                           const char *label, json_t *json)
{
    char element[LABELS_MAX_LEN];
    const char *key;
    json_t *value;

    json_object_foreach (json, key, value) {
        snprintf(element, sizeof(element), "%s", labels);
        fg_label_add(element, sizeof(element), label, key);
        fg_samples_walk(samples, name, element, value);
    }
}

static void walk_object(struct fg_samples *samples, const char *name, const char *labels, json_t *json)
{
    char path[NAME_MAX_LEN], element[LABELS_MAX_LEN];
    const char *key;
    json_t *value;

    json_object_foreach (json, key, value) {
        const char *label = json_is_object(value) ? dimension_of(key) : NULL;

        join_name(path, name, key);
        if (!json_is_object(value) && dimension_of(key))
            join_name(path, path, "enabled"); /* "filter": true beside the counters "filter": {...} */
        if (label) {
            walk_dimension(samples, path, labels, label, value);
        } else if (json_is_string(value) && strcmp(key, "state") == 0) {
            snprintf(element, sizeof(element), "%s", labels);
            fg_label_add(element, sizeof(element), "state", json_string_value(value));
            fg_samples_add(samples, path, element, 1);
        } else {
            fg_samples_walk(samples, path, labels, value);
        }
    }
}

void fg_samples_walk(struct fg_samples *samples, const char *name, const char *labels, json_t *json)
{
    char text[32];

    if (json_is_object(json)) {
        walk_object(samples, name, labels, json);
    } else if (json_is_array(json)) {
        walk_array(samples, name, labels, json);
    } else if (json_is_integer(json)) {
        snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(json));
        add_text(samples, name, labels, text);
    } else if (json_is_real(json)) {
        fg_samples_add(samples, name, labels, json_real_value(json));
    } else if (json_is_boolean(json)) {
        fg_samples_add(samples, name, labels, json_is_true(json));
    }
}

static int compare(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : strcmp(x->labels, y->labels);
}

/* Writes the head of a family; returns the suffix of its samples. */
static const char *write_family(FILE *out, const char *name)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const char *suffix = families[i].counter ? "_total" : "";

        if (strcmp(families[i].name, name) != 0)
            continue;
        fprintf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, families[i].help, name, suffix,
                families[i].counter ? "counter" : "gauge");
        return suffix;
    }
    fprintf(out, "# TYPE %s untyped\n", name);
    return "";
}

static void write_samples(FILE *out, const struct fg_samples *samples)
{
    const struct sample *before = NULL;
    const char *suffix = "";

    for (size_t i = 0; i < samples->count; i++) {
        const struct sample *s = &samples->list[i];
        bool braces = s->labels[0] != 0;

        if (before && compare(before, s) == 0) /* a scrape with duplicates is refused as a whole */
            continue;
        if (!before || strcmp(before->name, s->name) != 0)
            suffix = write_family(out, s->name);
        fprintf(out, "%s%s%s%s%s %s\n", s->name, suffix, braces ? "{" : "", s->labels, braces ? "}" : "",
                s->value);
        before = s;
    }
}

char *fg_samples_text(struct fg_samples *samples)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = samples->failed ? NULL : open_memstream(&text, &size);

    if (out) {
        qsort(samples->list, samples->count, sizeof(*samples->list), compare);
        write_samples(out, samples);
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    for (size_t i = 0; i < samples->count; i++) {
        free(samples->list[i].name);
        free(samples->list[i].labels);
    }
    free(samples->list);
    free(samples);
    return text;
}
