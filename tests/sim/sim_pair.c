/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two nodes of a pair, from a seed: faults first, when nothing acknowledged may be lost; then they
 * end, and the pair must sell again. --canary, in the planted build, finds a deliberate bug.
 */
#include <getopt.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pair_world.h"

#ifdef SIM_CANARIES
#include "pair_canary.h"
enum sim_canary sim_canary;
static const struct {
    const char *name, *text;
} canaries[] = {{"NONE", "no bug"},
#define X(name, text) {#name, text},
                SIM_CANARY_LIST(X)
#undef X
                    {"TORN_EPOCH", "the log knows an epoch by its EPOCH record only"}};
enum { TORN_EPOCH = sizeof(canaries) / sizeof(canaries[0]) - 1 };
#endif

/* Beside the bugs that are planted into lib/pair: one of the log. */
static bool torn_epochs;

enum { FAULTS_MS = 12000, CALM_MS = 60000, WELL_MS = 300, CANARY_SECONDS = 60, HEALTHY_RUNS = 100 };

struct totals {
    uint64_t runs, acked, takeovers, cuts, ends, crashes, syncs;
    uint64_t failed_seed;
    char failure[256];
};

static double now_s(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_node(const struct sim_world *w, unsigned i)
{
    const struct sim_node *n = &w->node[i];

    printf("# %8llu node %u %-10s epoch %llu last %llu durable %llu committed %llu peer %llu%s%s\n",
           (unsigned long long)w->now_ms, i, n->pair ? fg_pair_state_name(n->view.state) : "dead",
           (unsigned long long)n->view.epoch, (unsigned long long)n->disk.written,
           (unsigned long long)n->disk.durable, (unsigned long long)n->view.committed,
           (unsigned long long)n->view.peer_durable, n->paused_ms > w->now_ms ? " paused" : "",
           n->view.accepting ? " accepts" : "");
}

static void trace(const struct sim_world *w, enum fg_pair_state before[2])
{
    for (unsigned i = 0; i < 2; i++) {
        enum fg_pair_state state = w->node[i].pair ? w->node[i].view.state : FG_PAIR_STATES;

        if (state != before[i])
            print_node(w, i);
        before[i] = state;
    }
}

/* After the faults: well within CALM_MS, for a while, or frozen for good. */
static void check_calm(struct sim_world *w, bool traced, enum fg_pair_state before[2])
{
    bool frozen = w->was_restored || w->disk_was_lost;
    uint64_t end = w->now_ms + (frozen ? 5000 : CALM_MS), well = 0, acked = w->acked;

    sim_mend(w);
    while (w->now_ms < end && !w->failure[0] && (well < WELL_MS || w->acked < acked + 5)) {
        sim_tick(w);
        well = sim_is_well(w) && !frozen ? well + 1 : 0;
        if (!well)
            acked = w->acked;
        if (traced)
            trace(w, before);
    }
    if (!frozen && !(well >= WELL_MS && w->acked >= acked + 5))
        sim_fail(w, "the pair does not sell with a standby: %s and %s",
                 fg_pair_state_name(w->node[0].view.state),
                 fg_pair_state_name(w->node[1].view.state));
    for (unsigned i = 0; i < 2 && w->was_restored; i++)
        if (w->node[i].view.accepting)
            sim_fail(w, "node %u sells by a register from a copy", i);
}

static bool run(struct sim_world *w, uint64_t seed, struct totals *t, bool traced)
{
    struct sim_options options = {
        .old_disks = seed % 8 == 3, .restored = seed % 8 == 6, .by_epoch_record = torn_epochs};
    enum fg_pair_state before[2] = {FG_PAIR_STATES, FG_PAIR_STATES};

    sim_begin(w, seed, &options);
    while (w->now_ms < FAULTS_MS && !w->failure[0]) {
        sim_tick(w);
        if (traced)
            trace(w, before);
    }
    if (!w->failure[0])
        check_calm(w, traced, before);
    if (!w->failure[0] && !w->disk_was_lost)
        sim_check_logs(w);
    sim_end(w);
    t->runs++;
    t->acked += w->acked;
    t->takeovers += w->takeovers;
    t->cuts += w->cuts;
    t->ends += w->ends;
    t->crashes += w->crashes;
    t->syncs += w->syncs;
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
    printf("# %llu runs: %llu records acknowledged, %llu take-overs, %llu crashes, %llu cuts, %llu "
           "ends\n",
           (unsigned long long)t->runs, (unsigned long long)t->acked,
           (unsigned long long)t->takeovers, (unsigned long long)t->crashes,
           (unsigned long long)t->cuts, (unsigned long long)t->ends);
    if (t->failure[0])
        printf("# seed %llu: %s\n", (unsigned long long)t->failed_seed, t->failure);
    fflush(stdout);
}

#ifdef SIM_CANARIES
/* In a child: an assertion of lib/pair that stops it has found the bug, too. */
static int hunt_in_child(unsigned number)
{
    struct totals t;
    int status = 0;
    pid_t pid = fork();

    FG_ASSERT(pid >= 0);
    if (pid == 0) {
        bool good;

        torn_epochs = number == TORN_EPOCH;
        sim_canary = torn_epochs ? SIM_CANARY_NONE : (enum sim_canary)number;
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
        printf("sim_pair_canaries [--canary NAME]\n");
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
            printf("sim_pair [--seed N] [--runs N | --seconds N] [--trace]\n");
            return c == 'h' ? 0 : 2;
        }
    }
    printf("1..1\n# first seed %llu\n", (unsigned long long)seed);
    good = hunt(seed, runs, seconds, traced, &t);
    report(&t);
    printf("%sok 1 - a pair keeps what it acknowledged, and sells again\n", good ? "" : "not ");
    return good ? 0 : 1;
}
#endif
