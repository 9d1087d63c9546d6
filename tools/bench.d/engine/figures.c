/* SPDX-License-Identifier: BSD-3-Clause */
/* What was measured, as rows of JSON. Times are collected in cycles of the TSC. */
#include <time.h>

#include "bench.h"

static struct {
    const char *name, *unit;
    double target, runs[RUNS_MAX];
    unsigned count;
} figures[FIGURE_COUNT] = {
#define X(id, text, u, most) [FIGURE_##id] = {.name = text, .unit = u, .target = most},
    FIGURE_LIST(X)
#undef X
};
static uint64_t start_tsc, start_ns;
static char orders_text[32];

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void figures_start(uint32_t orders)
{
    snprintf(orders_text, sizeof(orders_text), "%g M", orders / 1e6);
    start_ns = clock_ns();
    start_tsc = tsc();
}

static double cycles_of_ns(void)
{
    return (double)(tsc() - start_tsc) / (double)(clock_ns() - start_ns);
}

double tsc_hz(void)
{
    return 1e9 * cycles_of_ns();
}

void figure_add(enum figure f, double value)
{
    FG_ASSERT(figures[f].count < RUNS_MAX);
    figures[f].runs[figures[f].count++] = value;
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

static void print_case(unsigned f)
{
    const char *name = figures[f].name, *mark = strstr(name, "%s");

    printf("{\"bench\": \"engine\", \"case\": \"%.*s",
           mark ? (int)(mark - name) : (int)strlen(name), name);
    if (mark)
        printf("%s%s", orders_text, mark + 2);
    printf("\", \"unit\": \"%s\", \"better\": \"lower\", \"target\": ", figures[f].unit);
    if (figures[f].target > 0)
        printf("%g", figures[f].target);
    else
        printf("null");
}

static void print_values(unsigned f, double cycles_per_ns)
{
    bool time = !strcmp(figures[f].unit, "ns"), ms = !strcmp(figures[f].unit, "ms");
    double per = time ? cycles_per_ns : ms ? 1e6 * cycles_per_ns : 1, *runs = figures[f].runs;
    double cycles = median(runs, figures[f].count), value = cycles / per;

    printf(", \"value\": %.4g, \"min\": %.4g, \"max\": %.4g, \"met\": %s", value, runs[0] / per,
           runs[figures[f].count - 1] / per,
           figures[f].target <= 0       ? "null"
           : value <= figures[f].target ? "true"
                                        : "false");
    if (time)
        printf(", \"cycles\": %.4g", cycles);
}

void figures_print(void)
{
    double cycles_per_ns = cycles_of_ns();
    const char *comma = "";

    printf("{\"tsc_mhz\": %.0f, \"rows\": [", cycles_per_ns * 1000);
    for (unsigned f = 0; f < FIGURE_COUNT; f++) {
        if (figures[f].count == 0)
            continue;
        printf("%s\n", comma);
        print_case(f);
        print_values(f, cycles_per_ns);
        printf("}");
        comma = ",";
    }
    printf("\n]}\n");
}
