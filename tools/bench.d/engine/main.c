/* SPDX-License-Identifier: BSD-3-Clause */
/* bench_engine: the stock engine's operations, one after the other; prints rows of JSON. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>

#include "bench.h"

static const char *const names[CASE_COUNT] = {
#define X(name, text) #name,
    BENCH_CASE_LIST(X)
#undef X
};

static void usage(FILE *out)
{
    fprintf(
        out,
        "usage: bench_engine [--runs 1..%d] [--orders 262144..200000000] [--cpu N] [--log DIR] "
        "[CASE...]\n\n"
        "  --runs N    runs of each case; default 5\n"
        "  --orders N  of the large engine; default 10000000; takes about 100 bytes each\n"
        "  --cpu N     to run on; default the last of those allowed\n"
        "  --log DIR   where the case draw writes DIR/log\n\ncases (default all, draw only with "
        "--log):\n",
        RUNS_MAX);
#define X(name, text) fprintf(out, "  %-6s  %s\n", #name, text);
    BENCH_CASE_LIST(X)
#undef X
}

static uint64_t number(const char *name, const char *text, uint64_t min, uint64_t max)
{
    char *end;
    uint64_t n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && !errno && n >= min && n <= max)
        return n;
    fprintf(stderr, "bench_engine: --%s %s: accepted %llu..%llu\n", name, text,
            (unsigned long long)min, (unsigned long long)max);
    exit(2);
}

static unsigned case_bit(const char *name)
{
    for (unsigned i = 0; i < CASE_COUNT; i++)
        if (!strcmp(names[i], name))
            return 1u << i;
    fprintf(stderr, "bench_engine: %s: no such case\n", name);
    usage(stderr);
    exit(2);
}

static unsigned last_cpu(void)
{
    unsigned cpu = CPU_SETSIZE - 1;
    cpu_set_t set;

    FG_ASSERT(sched_getaffinity(0, sizeof(set), &set) == 0);
    while (cpu > 0 && !CPU_ISSET(cpu, &set))
        cpu--;
    return cpu;
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = {{"runs", 1, NULL, 'r'}, {"orders", 1, NULL, 'o'},
                                          {"cpu", 1, NULL, 'c'},  {"log", 1, NULL, 'l'},
                                          {"help", 0, NULL, 'h'}, {0}};
    struct options o = {.runs = 5, .orders = 10000000, .cpu = last_cpu()};
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'r') {
            o.runs = (unsigned)number("runs", optarg, 1, RUNS_MAX);
        } else if (c == 'o') {
            o.orders = (uint32_t)number("orders", optarg, 262144, 200000000);
        } else if (c == 'c') {
            o.cpu = (unsigned)number("cpu", optarg, 0, CPU_SETSIZE - 1);
        } else if (c == 'l') {
            o.log = optarg;
        } else {
            usage(c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 2);
        }
    }
    for (; optind < argc; optind++)
        o.cases |= case_bit(argv[optind]);
    if (!o.cases)
        o.cases = ((1u << CASE_COUNT) - 1) & ~(o.log ? 0 : 1u << CASE_draw);
    if (o.cases & 1u << CASE_draw && !o.log) {
        fprintf(stderr, "bench_engine: the case draw needs --log DIR\n");
        exit(2);
    }
    return o;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    cpu_set_t set;

    FG_ASSERT(sched_getaffinity(0, sizeof(o.others), &o.others) == 0);
    if (CPU_COUNT(&o.others) > 1)
        CPU_CLR(o.cpu, &o.others);
    CPU_ZERO(&set);
    CPU_SET(o.cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set)) {
        fprintf(stderr, "bench_engine: --cpu %u: %s\n", o.cpu, strerror(errno));
        return 2;
    }
    figures_start(o.orders);
#define X(name, text)                                                                              \
    if (o.cases & 1u << CASE_##name)                                                               \
        bench_##name(&o);
    BENCH_CASE_LIST(X)
#undef X
    figures_print();
    return 0;
}
