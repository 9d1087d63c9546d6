/* SPDX-License-Identifier: BSD-3-Clause */
/* Medians of samples within a run, medians, least and most over runs, as rows of JSON. */
#include "bench.h"

#define FIGURES_MAX 128

struct figure {
    char name[96];
    const char *unit;
    double runs[RUNS_MAX];
    unsigned count;
};

static struct figure figures[FIGURES_MAX];
static unsigned figures_count;

static const char *const stages[FG_STAGES] = {
#define X(name, text) [FG_WORKER_STAGE_##name] = text,
    FG_WORKER_STAGE_LIST(X)
#undef X
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof(*values), compare);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

void figures_extra(const char *name, const char *unit, double value)
{
    unsigned i = 0;

    while (i < figures_count && strcmp(figures[i].name, name))
        i++;
    if (i == figures_count) {
        FG_ASSERT(figures_count < FIGURES_MAX);
        snprintf(figures[figures_count].name, sizeof(figures[0].name), "%s", name);
        figures[figures_count++].unit = unit;
    }
    FG_ASSERT(figures[i].count < RUNS_MAX);
    figures[i].runs[figures[i].count++] = value;
}

void figures_add(const char *name, const char *unit, const struct sample *samples, unsigned n)
{
    double *values = calloc(n, sizeof(*values)), total = 0;
    char text[96];

    FG_ASSERT(values != NULL && n > 0);
    for (unsigned stage = 0; stage < FG_STAGES; stage++) {
        double middle;

        for (unsigned i = 0; i < n; i++)
            values[i] = samples[i].cycles[stage];
        middle = median(values, n);
        total += middle;
        if (middle > -0.05 && middle < 0.05)
            continue; /* a stage that this way has not; below the noise of the marks one may be
                         negative */
        snprintf(text, sizeof(text), "%s: %s", name, stages[stage]);
        figures_extra(text, unit, middle);
    }
    snprintf(text, sizeof(text), "%s: all of it", name);
    figures_extra(text, unit, total);
    free(values);
}

double figures_last(const char *name)
{
    for (unsigned i = 0; i < figures_count; i++)
        if (!strcmp(figures[i].name, name))
            return figures[i].runs[figures[i].count - 1];
    FG_ASSERT(!"a figure of that name");
    return 0;
}

void figures_print(void)
{
    printf("{\"rows\": [");
    for (unsigned i = 0; i < figures_count; i++) {
        struct figure *f = &figures[i];
        double value = median(f->runs, f->count);

        printf("%s\n{\"bench\": \"budget\", \"case\": \"%s\", \"unit\": \"%s\", \"better\": "
               "\"lower\", "
               "\"target\": null, \"met\": null, \"value\": %.4g, \"min\": %.4g, \"max\": %.4g}",
               i ? "," : "", f->name, f->unit, value, f->runs[0], f->runs[f->count - 1]);
    }
    printf("\n]}\n");
}
