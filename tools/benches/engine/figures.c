/* SPDX-License-Identifier: BSD-3-Clause */
/* What was measured, as rows of JSON. Times are collected in cycles of the TSC. */
#include <time.h>

#include "bench.h"

static struct figure figures[64];
static unsigned figures_count;
static uint64_t start_tsc, start_ns;

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void figures_start(void)
{
    start_ns = clock_ns();
    start_tsc = tsc();
}

struct figure *figure(const char *name, const char *unit, double target)
{
    struct figure *f = &figures[figures_count++];

    FG_ASSERT(figures_count <= sizeof(figures) / sizeof(figures[0]));
    *f = (struct figure){.name = name, .unit = unit, .target = target};
    return f;
}

void figure_add(struct figure *f, double value)
{
    FG_ASSERT(f->count < RUNS_MAX);
    f->runs[f->count++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double median(double *values, unsigned n)
{
    qsort(values, n, sizeof(*values), compare);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

static void print(struct figure *f, double cycles_per_ns, const char *end)
{
    bool time = !strcmp(f->unit, "ns");
    double per = time ? cycles_per_ns : 1, value = median(f->runs, f->count);

    printf("{\"bench\": \"engine\", \"case\": \"%s\", \"value\": %.4g, \"min\": %.4g, \"max\": %.4g, "
           "\"unit\": \"%s\", \"better\": \"lower\"",
           f->name, value / per, f->runs[0] / per, f->runs[f->count - 1] / per, f->unit);
    if (f->target > 0)
        printf(", \"target\": %g, \"met\": %s", f->target, value / per <= f->target ? "true" : "false");
    else
        printf(", \"target\": null, \"met\": null");
    if (time)
        printf(", \"cycles\": %.4g", value);
    printf("}%s\n", end);
}

void figures_print(void)
{
    double cycles_per_ns = (double)(tsc() - start_tsc) / (double)(clock_ns() - start_ns);

    printf("{\"tsc_mhz\": %.0f, \"rows\": [\n", cycles_per_ns * 1000);
    for (unsigned i = 0; i < figures_count; i++)
        print(&figures[i], cycles_per_ns, i + 1 < figures_count ? "," : "");
    printf("]}\n");
}
