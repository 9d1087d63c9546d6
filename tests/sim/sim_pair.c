/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two nodes of a pair, from a seed: faults first, when nothing acknowledged may be lost; then they
 * end, and the pair must sell again. --canary, in the planted build, finds a deliberate bug.
 */
#include "pair_world.h"

#ifdef SIM_CANARIES
#include "pair_canary.h"
enum sim_canary sim_canary;
static const struct sim_canary_name canaries[] = {{"NONE", "no bug"},
#define X(name, text) {#name, text},
                                                  SIM_CANARY_LIST(X)
#undef X
};
enum { CANARIES = sizeof(canaries) / sizeof(canaries[0]) };

static void plant(unsigned number)
{
    sim_canary = (enum sim_canary)number;
}
#endif

enum { FAULTS_MS = 12000, CALM_MS = 60000, WELL_MS = 300 };

static struct {
    uint64_t acked, takeovers, cuts, ends, crashes, fills;
} total;

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

static void run(void *world, uint64_t seed, bool traced, char failure[SIM_FAILURE_MAX])
{
    struct sim_world *w = world;
    struct sim_options options = {
        .old_disks = seed % 8 == 3, .restored = seed % 8 == 6, .retires = seed % 8 == 7};
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
    total.acked += w->acked;
    total.takeovers += w->takeovers;
    total.cuts += w->cuts;
    total.ends += w->ends;
    total.crashes += w->crashes;
    total.fills += w->fills;
    memcpy(failure, w->failure, sizeof(w->failure));
}

static void report(uint64_t runs)
{
    printf("# %llu runs: %llu records acknowledged, %llu take-overs, %llu crashes, %llu cuts, %llu "
           "fills, %llu ends\n",
           (unsigned long long)runs, (unsigned long long)total.acked,
           (unsigned long long)total.takeovers, (unsigned long long)total.crashes,
           (unsigned long long)total.cuts, (unsigned long long)total.fills,
           (unsigned long long)total.ends);
}

int main(int argc, char **argv)
{
    static const struct sim_subject subject = {
        .name = "sim_pair",
        .promise = "a pair keeps what it acknowledged, and sells again",
        .healthy_runs = 100,
        .world_size = sizeof(struct sim_world),
        .run = run,
        .report = report,
#ifdef SIM_CANARIES
        .canaries = canaries,
        .canaries_len = CANARIES,
        .plant = plant,
#endif
    };

    int result;

    sim_log_folder(true);
    result = sim_main(&subject, argc, argv);
    sim_log_folder(false);
    return result;
}
