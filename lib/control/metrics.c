/* SPDX-License-Identifier: BSD-3-Clause */
/* The rows of metrics.h, and the page that documents them. */
#include "control/metrics.h"

const struct fg_control_section_row fg_control_sections[FG_CONTROL_SECTIONS] = {
#define X(id, path, shape, label, status, title) {path, label, title, FG_CONTROL_##shape, status},
    FG_CONTROL_SECTION_LIST(X)
#undef X
};

#define ROW(section, key, type, unit, name, label, text)                                           \
    {                                                                                              \
        FG_CONTROL_SECTION_##section, FG_CONTROL_##type, FG_CONTROL_##unit, key, name, label, text \
    }

const struct fg_control_metric_row fg_control_metrics[FG_CONTROL_METRICS] = {
#define X(section, key, name, type, unit, label, text)                                             \
    ROW(section, #key, type, unit, "floodgate_" name, label, text),
    FG_CONTROL_METRIC_LIST(X)
#undef X
#define X(key, text)                                                                               \
    ROW(workers, #key, COUNTER, NUMBER, "floodgate_worker_" #key "_total", NULL, text),
        FG_WORKER_COUNTER_LIST(X)
#undef X
#define X(key, text)                                                                               \
    ROW(stock, #key, COUNTER, NUMBER, "floodgate_stock_" #key "_total", NULL, text),
            FG_STOCK_COUNTER_LIST(X)
#undef X
#define X(key, text)                                                                               \
    ROW(penalty, #key, COUNTER, NUMBER, "floodgate_penalty_" #key "_total", NULL, text),
                FG_PENALTY_COUNTER_LIST(X)
#undef X
#define X(key, text)                                                                               \
    ROW(inbound, #key, COUNTER, NUMBER, "floodgate_inbound_" #key "_total", NULL, text),
                    FG_INBOUND_COUNTER_LIST(X)
#undef X
};

const char *fg_control_type_name(enum fg_control_type type)
{
    return type == FG_CONTROL_COUNTER     ? "counter"
           : type == FG_CONTROL_HISTOGRAM ? "histogram"
                                          : "gauge";
}

static void describe_labels(FILE *out, const struct fg_control_metric_row *row)
{
    const char *of_section = fg_control_sections[row->section].label;
    bool counts_items =
        row->section == FG_CONTROL_SECTION_items && row->unit == FG_CONTROL_NUMBER && !row->label;

    if (of_section && !counts_items)
        fprintf(out, "`%s`%s", of_section, row->label ? ", " : "");
    if (row->label)
        fprintf(out, "`%s`", row->label);
}

/* The path of the same value in /v1/stats. */
static void describe_field(FILE *out, const struct fg_control_metric_row *row)
{
    const struct fg_control_section_row *section = &fg_control_sections[row->section];

    switch (section->shape) {
    case FG_CONTROL_OBJECT:
        fprintf(out, "`%s.%s`", section->path, row->key);
        break;
    case FG_CONTROL_LIST:
        fprintf(out, "`%s[].%s`", section->path, row->key);
        break;
    case FG_CONTROL_MAP:
        fprintf(out, "`%s.*`", section->path);
        break;
    case FG_CONTROL_HIDDEN:
        break;
    }
}

void fg_control_metrics_describe(FILE *out)
{
    fprintf(out,
            "| metric | type | labels | field of `/v1/stats` | meaning |\n|---|---|---|---|---|\n");
    for (unsigned s = 0; s < FG_CONTROL_SECTIONS; s++) {
        for (unsigned m = 0; m < FG_CONTROL_METRICS; m++) {
            const struct fg_control_metric_row *row = &fg_control_metrics[m];

            if (row->section != s || row->type == FG_CONTROL_NONE)
                continue;
            fprintf(out, "| `%s` | %s | ", row->name, fg_control_type_name(row->type));
            describe_labels(out, row);
            fprintf(out, " | ");
            describe_field(out, row);
            fprintf(out, " | %s |\n", row->text);
        }
    }
}
