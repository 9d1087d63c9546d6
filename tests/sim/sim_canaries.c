/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulator's own test: an engine with a deliberate bug (tests/sim/plant) has to fail, each bug
 * within a minute; the same build without a bug has to pass.
 */
#include <getopt.h>

#include "canary.h"
#include "hunt.h"

enum sim_canary sim_canary;

static const struct {
    const char *name, *text;
} canaries[] = {{"NONE", "no bug"},
#define X(name, text) {#name, text},
                SIM_CANARY_LIST(X)
#undef X
};

enum { CANARIES = sizeof(canaries) / sizeof(canaries[0]), FIRST_SEED = 1, HEALTHY_RUNS = 50 };

static int find(const char *name)
{
    for (int i = 0; i < CANARIES; i++)
        if (strcmp(canaries[i].name, name) == 0)
            return i;
    fprintf(stderr, "sim_canaries: no canary %s; there are:\n", name);
    for (int i = 0; i < CANARIES; i++)
        fprintf(stderr, "  %-22s %s\n", canaries[i].name, canaries[i].text);
    exit(2);
}

static bool try(int number, bool trace)
{
    struct hunt h = {.first_seed = FIRST_SEED,
                     .runs_max = number == SIM_CANARY_NONE ? HEALTHY_RUNS : UINT64_MAX,
                     .seconds_max = number == SIM_CANARY_NONE ? 600 : 60,
                     .shrink_seconds = trace ? 20 : 0};
    bool good;

    sim_canary = (enum sim_canary)number;
    good = hunt(&h) == (number == SIM_CANARY_NONE);
    printf("%sok %d - %s: %s", good ? "" : "not ", number + 1, canaries[number].name,
           canaries[number].text);
    if (h.failed)
        printf("\n# found by seed %llu workers %u, run %llu, after %.2f s: %s\n",
               (unsigned long long)h.failed_seed, h.failed_workers, (unsigned long long)h.runs + 1,
               h.seconds, h.failure);
    else
        printf("\n# %llu runs without a failure, %.2f s\n", (unsigned long long)h.runs, h.seconds);
    fflush(stdout);
    return good;
}

int main(int argc, char **argv)
{
    static const struct option list[] = {{"canary", 1, NULL, 'c'},
                                         {"trace", 0, NULL, 't'},
                                         {"help", 0, NULL, 'h'},
                                         {NULL, 0, NULL, 0}};
    int first = 0, last = CANARIES - 1, c;
    bool trace = false, good = true;

    while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
        if (c == 'c')
            first = last = find(optarg);
        else if (c == 't')
            trace = true;
        else {
            printf("sim_canaries [--canary NAME] [--trace]\n");
            return c == 'h' ? 0 : 2;
        }
    }
    printf("1..%d\n", last - first + 1);
    for (int i = first; i <= last; i++)
        good &= try(i, trace);
    return good ? 0 : 1;
}
