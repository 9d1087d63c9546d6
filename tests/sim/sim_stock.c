/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Seeded simulation of the stock engine: any number of workers in one thread, random interleavings
 * of requests, loops, messages, commits, time, operator and crashes; first with faults (safety),
 * then without (liveness).
 */
#include <getopt.h>
#include <time.h>

#include "hunt.h"

static uint64_t number(const char *name, const char *text, uint64_t min, uint64_t max)
{
    char *end;
    uint64_t n = strtoull(text, &end, 0);

    if (*text && *text != '-' && !*end && n >= min && n <= max)
        return n;
    fprintf(stderr, "sim_stock: %s %s: accepted %llu..%llu\n", name, text, (unsigned long long)min,
            (unsigned long long)max);
    exit(2);
}

static void options(int argc, char **argv, struct hunt *h)
{
    static const struct option list[] = {{"seed", 1, NULL, 's'},    {"runs", 1, NULL, 'r'},
                                         {"seconds", 1, NULL, 't'}, {"workers", 1, NULL, 'w'},
                                         {"help", 0, NULL, 'h'},    {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
        if (c == 's')
            h->first_seed = number("--seed", optarg, 0, UINT64_MAX);
        else if (c == 'r')
            h->runs_max = number("--runs", optarg, 1, 1u << 30), h->seconds_max = 1e9;
        else if (c == 't')
            h->seconds_max = (double)number("--seconds", optarg, 1, 86400);
        else if (c == 'w')
            h->workers = (unsigned)number("--workers", optarg, 1, WORKERS_MAX);
        else {
            printf("sim_stock [--seed N] [--runs N | --seconds N] [--workers 1..%d]\n",
                   WORKERS_MAX);
            exit(c == 'h' ? 0 : 2);
        }
    }
}

int main(int argc, char **argv)
{
    struct hunt h = {.first_seed = (uint64_t)time(NULL) * 1000003,
                     .runs_max = UINT64_MAX,
                     .seconds_max = 10,
                     .shrink_seconds = 20};
    bool ok;

    options(argc, argv, &h);
    ok = hunt(&h);
    printf("# seeds %llu..%llu: %llu steps, %llu balances, %llu restarts (%llu from real files, "
           "%llu as a standby, %llu on the other box of a pair, %llu torn records); answers:",
           (unsigned long long)h.first_seed, (unsigned long long)h.failed_seed,
           (unsigned long long)h.steps, (unsigned long long)h.balances,
           (unsigned long long)h.restarts, (unsigned long long)h.files_read,
           (unsigned long long)h.fed, (unsigned long long)h.took_over,
           (unsigned long long)h.cut_records);
    for (unsigned i = 1; i < FG_PACKET_STATUS_COUNT; i++)
        printf(" %s %llu", fg_packet_status_name(i), (unsigned long long)h.statuses[i]);
    printf("\n%s 1 - engine simulation, seeds from %llu\n1..1\n", ok ? "ok" : "not ok",
           (unsigned long long)h.first_seed);
    return ok ? 0 : 1;
}
