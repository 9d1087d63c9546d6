/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker gives away a CPU that it does not need, or that others need more.
 *
 * A sync of the log needs a thread of the kernel (kblockd), which runs on the CPU where the sync
 * was asked for. The scheduler may let a thread that polls keep its CPU for milliseconds after that
 * one woke up, and sched_yield offers the CPU to no thread outside the caller's own scheduling
 * group (a session, a service). A real sleep lets it in.
 */
#include "worker/idle.h"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_pause.h>

#define IDLE_LOOPS 64    /* that find nothing before the idle policy applies */
#define IDLE_MS    2     /* with nothing to do before a sleep: a shorter gap is part of a flood */
#define SLEEP_NS   60000 /* FG_WORKER_IDLE_SLEEP */
#define YIELD_NS   20000 /* a shorter sleep may be over before another thread was chosen */
#define YIELD_LOOPS                                                                                \
    512                   /* FG_WORKER_IDLE_YIELD: idle loops from one of these sleeps to the next \
                           */
#define COMMIT_US     250 /* a commit that takes longer may be waiting for our CPU */
#define TIMERSLACK_NS 1000 /* else a sleep takes 50 us more */

static void nap(long ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/*
 * A busy worker does this too, unless its policy is to spin: what it accepts waits for the commit.
 * Each sleep comes twice as late in the commit as the one before, so that a slow disk costs a
 * worker a few per cent.
 */
static void yield_to_commit(struct fg_worker *w)
{
    uint64_t began = atomic_load_explicit(w->commit_began, memory_order_relaxed), now;

    if (fg_likely(!began) || w->idle_policy == FG_WORKER_IDLE_SPIN)
        return;
    if (began != w->yielded_commit) {
        w->yielded_commit = began;
        w->yield_at = began + rte_get_tsc_hz() / 1000000 * COMMIT_US;
    }
    now = rte_rdtsc();
    if (fg_likely(now < w->yield_at))
        return;
    nap(YIELD_NS);
    fg_counter_add(&w->counters.gave_way, 1);
    w->yield_at = now + (now - began);
}

void fg_worker_idle_start(void)
{
    prctl(PR_SET_TIMERSLACK, (unsigned long)TIMERSLACK_NS);
}

/* Only a worker with nothing under way may sleep for long. One that waits for the disk yields to
 * the writing thread. */
void fg_worker_idle(struct fg_worker *w, unsigned work)
{
    bool stands_by = w->mode == FG_STOCK_NOT_LEADER; /* the engine is another thread's */
    bool quiet = !w->backlog && w->unproven_head == w->unproven_tail &&
                 (stands_by || fg_stock_idle(w->stock)),
         silent;

    atomic_store_explicit(&w->quiet, quiet, memory_order_release);
    fg_counter_add(&w->counters.loops, 1);
    yield_to_commit(w);
    if (work) {
        w->idle_loops = 0;
        w->busy_ms = w->now_ms;
        return;
    }
    fg_counter_add(&w->counters.idle_loops, 1);
    if (!quiet && w->idle_policy != FG_WORKER_IDLE_SPIN && fg_ring_waits(w->records))
        fg_counter_add(&w->counters.rang, fg_journal_doorbell_ring(w->doorbell));
    if (++w->idle_loops < IDLE_LOOPS || w->idle_policy == FG_WORKER_IDLE_SPIN) {
        rte_pause();
        return;
    }
    silent = quiet && w->now_ms >= w->busy_ms + IDLE_MS;
    if (silent && w->idle_policy == FG_WORKER_IDLE_SLEEP)
        nap(SLEEP_NS);
    else if (silent && w->idle_loops % YIELD_LOOPS == 0)
        nap(YIELD_NS);
    else
        sched_yield();
}
