/* SPDX-License-Identifier: BSD-3-Clause */
/* A sheet in Prometheus' text format, version 0.0.4. */
#include <inttypes.h>
#include <string.h>

#include "control/prometheus.h"

/* Values of one metric stand together: sorted by metric, in the order of the table. */
static int compare(const void *a, const void *b)
{
    const struct fg_control_value *x = *(const struct fg_control_value *const *)a,
                                  *y = *(const struct fg_control_value *const *)b;

    if (x->metric != y->metric)
        return x->metric < y->metric ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void write_label(FILE *out, const char *before, const char *name, const char *value)
{
    fprintf(out, "%s%s=\"", before, name);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\' || *value == '\n')
            fputc('\\', out);
        fputc(*value == '\n' ? 'n' : *value, out);
    }
    fputc('"', out);
}

static void write_number(FILE *out, enum fg_control_unit unit, uint64_t number)
{
    if (unit == FG_CONTROL_MS)
        fprintf(out, "%" PRIu64 ".%03u", number / 1000, (unsigned)(number % 1000));
    else
        fprintf(out, "%" PRIu64, number);
}

/* Seconds exactly, without a trailing zero's worth of noise; numbers as they are. */
static void write_scaled(FILE *out, enum fg_control_unit unit, uint64_t number)
{
    double scale = unit == FG_CONTROL_NS ? 1e9 : unit == FG_CONTROL_MS ? 1e3 : 1;

    fprintf(out, "%.12g", (double)number / scale);
}

static void write_part(FILE *out, const struct fg_control_value *value, const char *suffix)
{
    const struct fg_control_metric_row *row = &fg_control_metrics[value->metric];

    fprintf(out, "%s%s", row->name, suffix);
    if (value->element)
        write_label(out, "{", fg_control_sections[row->section].label, value->element);
}

/* Each bucket has what is in the smaller ones, too. */
static void write_histogram(FILE *out, const struct fg_control_value *value)
{
    const struct fg_control_metric_row *row = &fg_control_metrics[value->metric];
    unsigned shift = fg_control_sheet_shift(row);
    const char *end = value->element ? "} " : " ";
    uint64_t below = 0;

    for (unsigned i = 0; i < FG_HISTOGRAM_BUCKETS; i++) {
        below += value->histogram->buckets[i];
        write_part(out, value, "_bucket");
        fputs(value->element ? ",le=\"" : "{le=\"", out);
        if (i == FG_HISTOGRAM_BUCKETS - 1)
            fputs("+Inf", out);
        else
            write_scaled(out, row->unit, fg_histogram_bound(shift, i));
        fprintf(out, "\"} %" PRIu64 "\n", below);
    }
    write_part(out, value, "_sum");
    fputs(end, out);
    write_scaled(out, row->unit, value->histogram->sum);
    fputc('\n', out);
    write_part(out, value, "_count");
    fprintf(out, "%s%" PRIu64 "\n", end, below);
}

static void write_value(FILE *out, const struct fg_control_value *value)
{
    const struct fg_control_metric_row *row = &fg_control_metrics[value->metric];
    const char *before = "{";

    fputs(row->name, out);
    if (value->element) {
        write_label(out, before, fg_control_sections[row->section].label, value->element);
        before = ",";
    }
    if (row->label) {
        write_label(out, before, row->label, value->text);
        before = ",";
    }
    fputs(*before == ',' ? "} " : " ", out);
    write_number(out, row->unit, value->number);
    fputc('\n', out);
}

static void write_head(FILE *out, const struct fg_control_metric_row *row)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->text, row->name,
            fg_control_type_name(row->type));
}

static void write_all(FILE *out, const struct fg_control_value *const *sorted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct fg_control_metric_row *row = &fg_control_metrics[sorted[i]->metric];

        if (row->type == FG_CONTROL_NONE)
            continue;
        if (i == 0 || sorted[i - 1]->metric != sorted[i]->metric)
            write_head(out, row);
        if (sorted[i]->histogram)
            write_histogram(out, sorted[i]);
        else
            write_value(out, sorted[i]);
    }
}

char *fg_control_prometheus(const struct fg_control_sheet *sheet)
{
    const struct fg_control_value **sorted = calloc(sheet->count + 1, sizeof(*sorted));
    char *text = NULL;
    size_t size = 0;
    FILE *out = sheet->failed || !sorted ? NULL : open_memstream(&text, &size);

    if (out) {
        for (size_t i = 0; i < sheet->count; i++)
            sorted[i] = &sheet->list[i];
        qsort(sorted, sheet->count, sizeof(*sorted), compare);
        write_all(out, sorted, sheet->count);
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    free(sorted);
    return text;
}
