/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fleet, from a seed: faults first, when no unit may be sold twice; then they end, and every unit
 * must be sold while shoppers ask. --canary, in the planted build, finds a deliberate bug.
 */
#include "fleet_world.h"

#ifdef SIM_CANARIES
#include "fleet_canary.h"
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

enum { FAULTS_MS = 8000, CALM_MS = 60000, SETTLE_MS = 3000 };

static struct {
    uint64_t answered[4], swaps, lost, leases, crashes, takes, sold_outs;
} total;

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

static void run(void *world, uint64_t seed, bool traced, char failure[SIM_FAILURE_MAX])
{
    struct sim_world *w = world;

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
    for (unsigned i = 0; i < 4; i++)
        total.answered[i] += w->answered[i];
    total.swaps += w->swaps;
    total.lost += w->lost_swaps;
    total.leases += w->leases;
    total.crashes += w->crashes;
    total.takes += w->takes;
    total.sold_outs += w->sold_outs;
    memcpy(failure, w->failure, sizeof(w->failure));
}

static void report(uint64_t runs)
{
    printf("# %llu runs: %llu orders, %llu sold out, %llu too few, %llu busy; %llu swaps, %llu "
           "lost, %llu leases, %llu times sold out; %llu crashes, %llu take-overs\n",
           (unsigned long long)runs, (unsigned long long)total.answered[0],
           (unsigned long long)total.answered[1], (unsigned long long)total.answered[2],
           (unsigned long long)total.answered[3], (unsigned long long)total.swaps,
           (unsigned long long)total.lost, (unsigned long long)total.leases,
           (unsigned long long)total.sold_outs, (unsigned long long)total.crashes,
           (unsigned long long)total.takes);
}

int main(int argc, char **argv)
{
    static const struct sim_subject subject = {
        .name = "sim_fleet",
        .promise = "a fleet sells each unit once, and all of them",
        .healthy_runs = 60,
        .world_size = sizeof(struct sim_world),
        .run = run,
        .report = report,
#ifdef SIM_CANARIES
        .canaries = canaries,
        .canaries_len = CANARIES,
        .plant = plant,
#endif
    };

    return sim_main(&subject, argc, argv);
}
