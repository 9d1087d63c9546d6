/* SPDX-License-Identifier: BSD-3-Clause */
/* bench_budget: cycles and instructions of a worker's stages; prints rows of JSON. */
#include <getopt.h>

#include "bench.h"

#include <rte_eal.h>

struct options {
    unsigned runs, chunks, seconds, cpu;
    bool no_huge, echo, fleet, pair;
    const char *device, *keys, *prefix;
};

static void usage(FILE *out)
{
    fprintf(
        out,
        "usage: bench_budget [--runs 1..%d] [--chunks N] [--cpu N] [--no-huge] [--fleet | --pair]\n"
        "       bench_budget --device VDEV,ARGUMENTS --keys FILE [--echo] [--seconds N] [--cpu N] "
        "[--no-huge]\n\n"
        "  --runs N      runs between rings; default 5\n"
        "  --chunks N    samples of %u packets of a run; default 2000\n"
        "  --device D    at this port instead, until --seconds (default 3) after the first packet\n"
        "  --keys FILE   of the generator\n"
        "  --echo        swap addresses and ports, no more\n"
        "  --fleet       count the instructions of an order at a member of a fleet instead\n"
        "  --pair        count those at the leader of a pair instead\n"
        "  --cpu N       to run on; default 0\n"
        "  --prefix P    of DPDK's files; default bench_budget\n",
        RUNS_MAX, CHUNK);
}

static unsigned number(const char *name, const char *text, unsigned min, unsigned max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*text >= '0' && *text <= '9' && !*end && n >= min && n <= max)
        return (unsigned)n;
    fprintf(stderr, "bench_budget: --%s %s: accepted %u..%u\n", name, text, min, max);
    exit(2);
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = {{"runs", 1, NULL, 'r'},
                                          {"chunks", 1, NULL, 'n'},
                                          {"cpu", 1, NULL, 'c'},
                                          {"no-huge", 0, NULL, 'm'},
                                          {"device", 1, NULL, 'd'},
                                          {"keys", 1, NULL, 'k'},
                                          {"echo", 0, NULL, 'e'},
                                          {"fleet", 0, NULL, 'f'},
                                          {"seconds", 1, NULL, 's'},
                                          {"prefix", 1, NULL, 'p'},
                                          {"pair", 0, NULL, 'l'},
                                          {"help", 0, NULL, 'h'},
                                          {0}};
    struct options o = {.runs = 5, .chunks = 2000, .seconds = 3, .prefix = "bench_budget"};
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'r':
            o.runs = number("runs", optarg, 1, RUNS_MAX);
            break;
        case 'n':
            o.chunks = number("chunks", optarg, 1, 1000000);
            break;
        case 'c':
            o.cpu = number("cpu", optarg, 0, 1023);
            break;
        case 's':
            o.seconds = number("seconds", optarg, 1, 600);
            break;
        case 'm':
            o.no_huge = true;
            break;
        case 'e':
            o.echo = true;
            break;
        case 'f':
            o.fleet = true;
            break;
        case 'l':
            o.pair = true;
            break;
        case 'd':
            o.device = optarg;
            break;
        case 'k':
            o.keys = optarg;
            break;
        case 'p':
            o.prefix = optarg;
            break;
        default:
            usage(c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 2);
        }
    }
    if (optind == argc && (!o.device || o.echo || o.keys))
        return o;
    usage(stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    char lcores[32];

    snprintf(lcores, sizeof(lcores), "0@%u", o.cpu);
    if (!world_eal("bench_budget", lcores, o.prefix, !o.no_huge))
        return 1;
    marks_calibrate();
    if (o.fleet)
        fleet_run();
    else if (o.pair)
        pair_run();
    else if (o.device)
        device_run(o.device, o.keys, o.seconds, o.echo);
    else
        ring_run(o.runs, o.chunks);
    figures_print();
    fflush(stdout);
    rte_eal_cleanup();
    return 0;
}
