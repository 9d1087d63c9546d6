/* SPDX-License-Identifier: BSD-3-Clause */
/* The hook of the worker's loop: counts cycles of the TSC, or instructions by single-stepping. */
#include <signal.h>

#include "bench.h"

#define CALIBRATION 100000
#define TRAP_FLAG   0x100ul

struct account {
    uint64_t spent[FG_STAGES], marks[FG_STAGES];
};

static struct account now, kept;
static uint64_t last;
static double mark_cost, step_cost;
static volatile uint64_t steps;
static bool stepping;

void marks_end(enum fg_worker_stage stage)
{
    uint64_t at = stepping ? steps : tsc();

    now.spent[stage] += at - last;
    now.marks[stage]++;
    last = at;
}

void marks_start(void)
{
    last = stepping ? steps : tsc();
}

void marks_loop(struct fg_worker *w)
{
    marks_start();
    fg_worker_stages(w, marks_end);
}

void marks_drop(void)
{
    memset(&now, 0, sizeof(now));
}

void marks_keep(void)
{
    for (unsigned i = 0; i < FG_STAGES; i++) {
        kept.spent[i] += now.spent[i];
        kept.marks[i] += now.marks[i];
    }
    marks_drop();
}

static struct sample take(uint64_t packets, double cost)
{
    struct sample s;

    for (unsigned i = 0; i < FG_STAGES; i++)
        s.cycles[i] = ((double)kept.spent[i] - (double)kept.marks[i] * cost) / (double)packets;
    memset(&kept, 0, sizeof(kept));
    return s;
}

struct sample marks_sample(uint64_t packets)
{
    return take(packets, mark_cost);
}

struct sample marks_instructions(uint64_t packets)
{
    return take(packets, step_cost);
}

static double calibrate(unsigned n)
{
    double cost;

    marks_start();
    for (unsigned i = 0; i < n; i++)
        marks_end(FG_WORKER_STAGE_LOOP);
    cost = (double)now.spent[FG_WORKER_STAGE_LOOP] / n;
    marks_drop();
    return cost;
}

void marks_calibrate(void)
{
    for (unsigned i = 0; i < 3; i++) /* the last one, warm */
        mark_cost = calibrate(CALIBRATION);
}

static void on_trap(int number)
{
    steps++;
}

/* With the trap flag each instruction ends in a signal; the handler itself runs without it. */
static void __attribute__((noinline)) trap_flag(bool on)
{
    unsigned long flags = __readeflags();

    __writeeflags(on ? flags | TRAP_FLAG : flags & ~TRAP_FLAG);
}

void marks_count_instructions(bool on)
{
    struct sigaction action = {.sa_handler = on_trap};

    FG_ASSERT(sigaction(SIGTRAP, &action, NULL) == 0);
    stepping = on;
    if (on) {
        trap_flag(true);
        step_cost = calibrate(100);
    } else {
        trap_flag(false);
    }
}
