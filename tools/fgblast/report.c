/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/report.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"

#define ITEMS_SHOWN 1000u

static void put(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *latency(const struct fg_hist *hist)
{
    json_t *object = json_object();

    put(object, "count", hist->count);
    json_object_set_new(object, "p50", json_real((double)fg_hist_quantile(hist, 0.5) / 1e3));
    json_object_set_new(object, "p99", json_real((double)fg_hist_quantile(hist, 0.99) / 1e3));
    json_object_set_new(object, "p999", json_real((double)fg_hist_quantile(hist, 0.999) / 1e3));
    json_object_set_new(object, "max", json_real((double)hist->max / 1e3));
    return object;
}

static json_t *by_kind(const uint64_t sent[FG_KIND_COUNT])
{
    json_t *object = json_object();

    for (unsigned i = 0; i < FG_KIND_COUNT; i++)
        put(object, fg_kind_name(i), sent[i]);
    return object;
}

static json_t *by_status(const uint64_t status[FG_PACKET_STATUS_COUNT])
{
    json_t *object = json_object();

    for (unsigned i = 1; i < FG_PACKET_STATUS_COUNT; i++)
        if (status[i])
            put(object, fg_packet_status_name(i), status[i]);
    return object;
}

static json_t *start(const struct fg_summary *s, uint64_t packets, uint64_t answers, double seconds)
{
    json_t *object = json_object();

    json_object_set_new(object, "mode", json_string(s->mode));
    json_object_set_new(object, "seconds", json_real(s->seconds));
    put(object, "packets", packets);
    put(object, "answers", answers);
    json_object_set_new(object, "answers_per_s",
                        json_real(seconds > 0 ? (double)answers / seconds : 0));
    put(object, "frames_sent", s->tx);
    put(object, "frames_received", s->rx);
    put(object, "frames_other", s->other);
    put(object, "no_mbuf", s->no_mbuf);
    return object;
}

static void put_wrong(json_t *report, const struct fg_view *view)
{
    const struct fg_world_stats *stats = view->stats;
    json_t *wrong = json_object(), *examples = json_array();

    for (unsigned i = 0; i < FG_WRONG_COUNT; i++)
        if (stats->wrong[i])
            put(wrong, fg_wrong_name(i), stats->wrong[i]);
    for (unsigned i = 0; i < view->examples_count; i++)
        json_array_append_new(examples, json_string(view->examples[i]));
    put(report, "contradictions", stats->contradictions);
    put(report, "wrong_tags", stats->wrong[FG_WRONG_TAG]);
    json_object_set_new(report, "wrong", wrong);
    json_object_set_new(report, "examples", examples);
}

static json_t *items(const struct fg_view *view)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < ITEMS_SHOWN && i < view->items_count; i++) {
        const struct fg_item_story *story = &view->items[i];
        json_t *object = json_object();

        json_object_set_new(object, "item", fg_json_id(story->item));
        put(object, "orders", story->orders);
        put(object, "reserved", story->reserved);
        put(object, "sold", story->sold);
        put(object, "cancelled", story->cancelled);
        put(object, "wanting", story->wanting);
        json_array_append_new(array, object);
    }
    return array;
}

json_t *fg_report_view(const struct fg_view *view, const struct fg_summary *s)
{
    const struct fg_world_stats *stats = view->stats;
    json_t *report = start(s, stats->packets, stats->answers, s->seconds);
    json_t *times = json_object();

    json_object_set_new(report, "finished", json_boolean(s->finished));
    json_object_set_new(report, "sent", by_kind(stats->sent));
    json_object_set_new(report, "status", by_status(stats->status));
    put(report, "orders", stats->orders);
    put(report, "orders_reserved", stats->reserved);
    put(report, "orders_sold", stats->sold);
    put(report, "units_reserved", stats->units_reserved);
    put(report, "units_sold", stats->units_sold);
    put(report, "unanswered", stats->gave_up + view->waiting);
    put(report, "overrate_answers", stats->overrate_answers);
    json_object_set_new(times, "accepted", latency(&stats->accepted));
    json_object_set_new(times, "rejected", latency(&stats->rejected));
    json_object_set_new(report, "latency_us", times);
    put_wrong(report, view);
    json_object_set_new(report, "items", items(view));
    return report;
}

json_t *fg_report_flat(const struct fg_flat *flat, const struct fg_summary *s)
{
    double seconds = (double)(flat->last_ns - flat->first_ns) / 1e9;
    json_t *report = start(s, flat->packets_sent, flat->answers, flat->first_ns ? seconds : 0);
    json_t *times = json_object();

    json_object_set_new(report, "sent", by_kind(flat->sent));
    json_object_set_new(report, "status", by_status(flat->status));
    put(report, "lost", flat->lost);
    put(report, "dropped", flat->dropped);
    put(report, "late", flat->late);
    put(report, "fresh_accepted", flat->fresh.accepted);
    put(report, "fresh_refused", flat->fresh.refused);
    put(report, "checked", flat->checked);
    put(report, "wrong_tags", flat->wrong_tags);
    put(report, "contradictions", flat->wrong_tags);
    json_object_set_new(times, "sampled", latency(&flat->latency));
    json_object_set_new(times, "fresh", latency(&flat->fresh.latency));
    json_object_set_new(report, "latency_us", times);
    return report;
}

bool fg_report_write(json_t *report, const char *path, struct fg_error *err)
{
    bool dash = strcmp(path, "-") == 0;
    FILE *out = dash ? stdout : fopen(path, "w");
    bool good = out && json_dumpf(report, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF;

    if (out)
        good = (dash ? fflush(out) : fclose(out)) == 0 && good;
    return good || fg_fail(err, "%s: %s", path, strerror(errno));
}

static double real(json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static void print_counts(const char *title, json_t *object)
{
    const char *name;
    json_t *value;

    fprintf(stderr, "%-10s", title);
    json_object_foreach (object, name, value) {
        if (json_integer_value(value))
            fprintf(stderr, " %s %lld", name, (long long)json_integer_value(value));
    }
    fputc('\n', stderr);
}

void fg_report_print(json_t *report)
{
    const char *name;
    json_t *value;
    size_t i;

    fprintf(stderr, "%-10s %.0f in %.1f s, %.0f answers, %.0f a second\n", "packets",
            real(report, "packets"), real(report, "seconds"), real(report, "answers"),
            real(report, "answers_per_s"));
    print_counts("sent", json_object_get(report, "sent"));
    print_counts("answered", json_object_get(report, "status"));
    json_object_foreach (json_object_get(report, "latency_us"), name, value) {
        fprintf(stderr, "%-10s p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f us  (%.0f)\n", name,
                real(value, "p50"), real(value, "p99"), real(value, "p999"), real(value, "max"),
                real(value, "count"));
    }
    fprintf(stderr, "%-10s %.0f, lost %.0f, contradictions %.0f\n", "unanswered",
            real(report, "unanswered"), real(report, "lost"), real(report, "contradictions"));
    print_counts("wrong", json_object_get(report, "wrong"));
    json_array_foreach (json_object_get(report, "examples"), i, value) {
        fprintf(stderr, "  %s\n", json_string_value(value));
    }
}

void fg_report_progress(const struct fg_view *view, const struct fg_progress *p, bool json)
{
    const struct fg_world_stats *s = view->stats;
    json_t *line = json_object();

    json_object_set_new(line, "t", json_real(p->at));
    put(line, "sent", s->packets);
    put(line, "answered", s->answers);
    put(line, "answers_per_s",
        (uint64_t)((double)(s->answers - p->answers_before) / p->seconds_ago));
    put(line, "units_reserved", s->units_reserved);
    put(line, "units_sold", s->units_sold);
    put(line, "sold_out",
        s->status[FG_PACKET_STATUS_SOLD_OUT] + s->status[FG_PACKET_STATUS_INSUFFICIENT]);
    put(line, "unanswered", s->gave_up + view->waiting);
    put(line, "contradictions", s->contradictions);
    json_object_set_new(line, "draining", json_boolean(view->draining));
    if (json) {
        json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        putchar('\n');
        fflush(stdout);
    } else {
        char title[32];

        snprintf(title, sizeof(title), "%.1f s", p->at);
        print_counts(title, line);
    }
    json_decref(line);
}
