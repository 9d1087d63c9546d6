/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fleet, from a seed: faults first, when no unit may be sold twice; then they end, and every unit
 * must be sold while shoppers ask. --canary, in the planted build, finds a deliberate bug.
 */
#include <getopt.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fleet_world.h"

#ifdef SIM_CANARIES
#include "fleet_canary.h"
enum sim_canary sim_canary;
static const struct {
    const char *name, *text;
} canaries[] = {{"NONE", "no bug"},
#define X(name, text) {#name, text},
                SIM_CANARY_LIST(X)
#undef X
};
#endif

enum { FAULTS_MS = 8000, CALM_MS = 60000, SETTLE_MS = 3000, HEALTHY_RUNS = 60 };
#define CANARY_SECONDS 60

struct totals {
    uint64_t runs, answered[4], swaps, lost, leases, crashes, takes, sold_outs;
    uint64_t failed_seed;
    char failure[256];
};

static double now_s(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void trace(const struct sim_world *w)
{
    static char before[ITEMS][FG_FLEET_TEXT_MAX];

    for (unsigned i = 0; i < ITEMS; i++)
        if (strcmp(before[i], w->value[SIM_POOL + i].text) != 0) {
            strcpy(before[i], w->value[SIM_POOL + i].text);
            printf("# %8llu item %u %s\n", (unsigned long long)w->now_ms, i, before[i]);
        }
}

static void print_members(const struct sim_world *w)
{
    for (unsigned m = 0; m < w->members; m++) {
        const struct sim_member *n = &w->member[m];
        struct fg_fleet_view v = {0};

        if (n->fleet)
            fg_fleet_view(n->fleet, &v);
        printf("# member %u%s%s sells %u: %s%s\n", m, n->fleet ? "" : " dead",
               n->retired ? " retired" : "", v.may_sell, fg_fleet_reason_text(v.reason),
               v.away ? ", etcd is away" : "");
        for (unsigned i = 0; i < ITEMS && n->fleet; i++) {
            struct fg_fleet_item_view item;

            fg_fleet_item_view(n->fleet, i, &item);
            printf("#   item %u %s free %lld queue %u%s; lease %llu return %llu\n", i,
                   fg_fleet_state_name(item.state), (long long)n->bank[i].free,
                   n->bank[i].queue_len, n->bank[i].sold_out ? " sold out" : "",
                   (unsigned long long)n->bank[i].lease_at,
                   (unsigned long long)n->bank[i].return_at);
        }
    }
}

/* Nothing waits: each request was answered. */
static bool all_answered(const struct sim_world *w)
{
    for (unsigned m = 0; m < w->members; m++)
        for (unsigned i = 0; i < ITEMS; i++)
            for (unsigned q = 0; q < w->member[m].bank[i].queue_len; q++)
                if (w->member[m].bank[i].queue[q].since_ms + SETTLE_MS < w->now_ms)
                    return false;
    return true;
}

/* Every member tells shoppers that nothing is left. */
static bool all_told(const struct sim_world *w)
{
    for (unsigned m = 0; m < w->members; m++)
        for (unsigned i = 0; i < ITEMS && !w->member[m].lost; i++)
            if (!w->member[m].fleet || !w->member[m].bank[i].sold_out)
                return false;
    return true;
}

static void check_calm(struct sim_world *w, bool traced)
{
    uint64_t end = w->now_ms + (w->was_restored ? 5000 : CALM_MS), settled;
    bool well = false;

    sim_mend(w);
    settled = w->now_ms + SETTLE_MS;
    while (w->now_ms < end && !w->failure[0] && !well) {
        sim_tick(w);
        well = !w->was_restored && w->now_ms > settled && sim_all_sold(w) && all_told(w);
        if (traced)
            trace(w);
        if (w->now_ms > settled + SETTLE_MS && !all_answered(w))
            sim_fail(w, "a shopper waits for ever");
    }
    if (!w->was_restored && !well && traced)
        print_members(w);
    if (!w->was_restored && !well)
        sim_fail(w, sim_all_sold(w) ? "all is sold, and not everyone knows it"
                                    : "units are left while shoppers ask");
}

static bool run(struct sim_world *w, uint64_t seed, struct totals *t, bool traced)
{
    sim_begin(w, seed);
    while (w->now_ms < FAULTS_MS && !w->failure[0]) {
        sim_tick(w);
        if (traced)
            trace(w);
    }
    if (!w->failure[0])
        check_calm(w, traced);
    if (!w->failure[0])
        sim_check_limits(w);
    if (!w->failure[0])
        sim_check_units(w);
    sim_end(w);
    t->runs++;
    for (unsigned i = 0; i < 4; i++)
        t->answered[i] += w->answered[i];
    t->swaps += w->swaps;
    t->lost += w->lost_swaps;
    t->leases += w->leases;
    t->crashes += w->crashes;
    t->takes += w->takes;
    t->sold_outs += w->sold_outs;
    if (!w->failure[0])
        return true;
    t->failed_seed = seed;
    memcpy(t->failure, w->failure, sizeof(t->failure));
    return false;
}

/* The time of a canary is that of the processor: other tests must not hide a bug. */
#ifdef SIM_CANARIES
#define HUNT_CLOCK CLOCK_PROCESS_CPUTIME_ID
#else
#define HUNT_CLOCK CLOCK_MONOTONIC
#endif

static bool hunt(uint64_t seed, uint64_t runs, double seconds, bool traced, struct totals *t)
{
    struct sim_world *w = malloc(sizeof(*w));
    double end = now_s(HUNT_CLOCK) + seconds;
    bool good = true;

    FG_ASSERT(w);
    *t = (struct totals){0};
    for (; good && t->runs < runs && now_s(HUNT_CLOCK) < end; seed++)
        good = run(w, seed, t, traced);
    free(w);
    return good;
}

static void report(const struct totals *t)
{
    printf("# %llu runs: %llu orders, %llu sold out, %llu too few, %llu busy; %llu swaps, %llu "
           "lost, %llu leases, %llu times sold out; %llu crashes, %llu take-overs\n",
           (unsigned long long)t->runs, (unsigned long long)t->answered[0],
           (unsigned long long)t->answered[1], (unsigned long long)t->answered[2],
           (unsigned long long)t->answered[3], (unsigned long long)t->swaps,
           (unsigned long long)t->lost, (unsigned long long)t->leases,
           (unsigned long long)t->sold_outs, (unsigned long long)t->crashes,
           (unsigned long long)t->takes);
    if (t->failure[0])
        printf("# seed %llu: %s\n", (unsigned long long)t->failed_seed, t->failure);
    fflush(stdout);
}

#ifdef SIM_CANARIES
/* In a child: an assertion of lib/fleet that stops it has found the bug, too. */
static int hunt_in_child(unsigned number)
{
    struct totals t;
    int status = 0;
    pid_t pid = fork();

    FG_ASSERT(pid >= 0);
    if (pid == 0) {
        bool good;

        sim_canary = (enum sim_canary)number;
        good =
            hunt(1, number ? UINT64_MAX : HEALTHY_RUNS, number ? CANARY_SECONDS : 600, false, &t);
        report(&t);
        _exit(good ? 0 : 1);
    }
    FG_ASSERT(waitpid(pid, &status, 0) == pid);
    return status;
}

static bool try_canary(unsigned number)
{
    double start = now_s(CLOCK_MONOTONIC);
    bool found = hunt_in_child(number) != 0, good = found == (number != SIM_CANARY_NONE);

    printf("%sok %u - %s: %s (%.1f s)\n", good ? "" : "not ", number + 1, canaries[number].name,
           canaries[number].text, now_s(CLOCK_MONOTONIC) - start);
    fflush(stdout);
    return good;
}

int main(int argc, char **argv)
{
    unsigned len = sizeof(canaries) / sizeof(canaries[0]), first = 0, last = len - 1;
    bool good = true;

    for (unsigned i = 0; argc == 3 && i < len; i++)
        if (strcmp(argv[2], canaries[i].name) == 0)
            first = last = i;
    if (argc != 1 && (argc != 3 || strcmp(argv[1], "--canary") != 0)) {
        printf("sim_fleet_canaries [--canary NAME]\n");
        return 2;
    }
    printf("1..%u\n", last - first + 1);
    fflush(stdout);
    for (unsigned i = first; i <= last; i++)
        good &= try_canary(i);
    return good ? 0 : 1;
}
#else
int main(int argc, char **argv)
{
    static const struct option list[] = {{"seed", 1, NULL, 's'},    {"runs", 1, NULL, 'r'},
                                         {"seconds", 1, NULL, 't'}, {"trace", 0, NULL, 'v'},
                                         {"help", 0, NULL, 'h'},    {NULL, 0, NULL, 0}};
    uint64_t seed = (uint64_t)time(NULL) * 1000, runs = UINT64_MAX;
    double seconds = 1e9;
    bool traced = false, good;
    struct totals t;
    int c;

    while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
        if (c == 's')
            seed = strtoull(optarg, NULL, 10);
        else if (c == 'r')
            runs = strtoull(optarg, NULL, 10);
        else if (c == 't')
            seconds = strtod(optarg, NULL);
        else if (c == 'v')
            traced = true;
        else {
            printf("sim_fleet [--seed N] [--runs N | --seconds N] [--trace]\n");
            return c == 'h' ? 0 : 2;
        }
    }
    printf("1..1\n# first seed %llu\n", (unsigned long long)seed);
    good = hunt(seed, runs, seconds, traced, &t);
    report(&t);
    printf("%sok 1 - a fleet sells each unit once, and all of them\n", good ? "" : "not ");
    return good ? 0 : 1;
}
#endif
