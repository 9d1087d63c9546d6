/* SPDX-License-Identifier: BSD-3-Clause */
/* The thread that makes records durable and says in what mode the workers are. */
#include "daemon.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "base/diag.h"
#include "journal/pace.h"

#define PRIORITY   1     /* SCHED_RR: the least there is */
#define NICE       -10   /* of the thread, or less, where that is refused */
#define TROUBLE_US 10000 /* between attempts on a full disk */

static enum fg_stock_mode mode_of(const struct fg_daemon *d, int journal)
{
    if (journal == FG_JOURNAL_FAILED)
        return FG_STOCK_FAILED;
    if (atomic_load_explicit(&d->stopping, memory_order_relaxed))
        return FG_STOCK_STOPPING;
    return journal == FG_JOURNAL_FULL ? FG_STOCK_NO_SPACE : FG_STOCK_RUNNING;
}

static void publish_mode(struct fg_daemon *d, int *seen)
{
    int journal = atomic_load_explicit(&d->committer.state, memory_order_relaxed);

    atomic_store_explicit(&d->mode, mode_of(d, journal), memory_order_release);
    if (journal == *seen)
        return;
    *seen = journal;
    if (journal == FG_JOURNAL_OK)
        fg_diag(FG_DIAG_NOTICE, "log: there is room again, orders are accepted");
    else
        fg_diag(FG_DIAG_ERROR, "log: %s: %s",
                journal == FG_JOURNAL_FULL
                    ? "no room, orders are answered BUSY until there is"
                    : "FAILED, nothing is accepted any more; restart after repair",
                fg_journal_error(d->journal));
}

/* One commit, and how long the disk took for it. */
static size_t commit(struct fg_daemon *d)
{
    struct fg_journal_commit_watch *w = &d->commit_watch;
    uint64_t began = fg_clock_mono_ms(), took;
    size_t n;

    atomic_store_explicit(&w->began_ms, began, memory_order_relaxed);
    atomic_store_explicit(&d->commit_began, rte_rdtsc(), memory_order_relaxed);
    n = fg_journal_committer_step(&d->committer, fg_clock_now_ms(&d->clock));
    atomic_store_explicit(&d->commit_began, 0, memory_order_relaxed);
    took = fg_clock_mono_ms() - began;
    atomic_store_explicit(&w->began_ms, 0, memory_order_relaxed);
    if (took > atomic_load_explicit(&w->max_ms, memory_order_relaxed))
        atomic_store_explicit(&w->max_ms, took, memory_order_relaxed);
    if (took >= FG_COMMIT_SLOW_MS) {
        atomic_store(&w->slow_ms, took);
        atomic_fetch_add(&w->slow, 1);
    }
    return n;
}

/*
 * Every answer waits for this thread, and for the kernel's (kblockd) that sees to a sync on the CPU
 * where it was asked for. While a thread of the usual kind polls on that CPU, it keeps it for
 * milliseconds after they woke up; but when a real-time thread blocks, the kernel's, with the
 * better nice value, comes first.
 */
static void hurry(void)
{
    struct sched_param param = {.sched_priority = PRIORITY};

    if (sched_setscheduler(0, SCHED_RR, &param) && getpriority(PRIO_PROCESS, 0) > NICE)
        setpriority(PRIO_PROCESS, 0, NICE); /* a refusal does no harm */
}

static void wait_for_records(struct fg_daemon *d, unsigned most_us)
{
    fg_journal_doorbell_init(&d->bell);
    for (unsigned i = 0; i < d->config.workers.count; i++)
        if (fg_ring_waits(d->workers.records[i]))
            return; /* a ring that meets nobody costs one system call */
    fg_journal_doorbell_sleep(&d->bell, most_us);
}

static void *run(void *daemon)
{
    struct fg_daemon *d = daemon;
    struct fg_journal_pace pace = {0};
    int seen = FG_JOURNAL_OK;

    prctl(PR_SET_NAME, "fg-journal");
    prctl(PR_SET_TIMERSLACK, 1000ul); /* else a sleep of some microseconds takes 50 more */
    hurry();
    while (!atomic_load_explicit(&d->journal_quit, memory_order_acquire)) {
        size_t n = commit(d);

        publish_mode(d, &seen);
        if (n) {
            unsigned us = fg_journal_committer_gather_us(&d->committer);

            fg_journal_pace_worked(&pace);
            if (us)
                fg_clock_sleep_us(us);
            continue;
        }
        if (seen == FG_JOURNAL_OK)
            wait_for_records(d,
                             fg_journal_pace_idle(&pace, d->config.workers.idle != FG_IDLE_SPIN));
        else
            fg_clock_sleep_us(TROUBLE_US);
    }
    return NULL;
}

bool fg_journal_thread_start(struct fg_daemon *d, struct fg_error *err)
{
    if (!fg_journal_committer_init(&d->committer, d->journal, d->workers.records,
                                   d->workers.watermarks, d->config.workers.count,
                                   d->config.log.batch_max, err))
        return false;
    atomic_store(&d->mode, FG_STOCK_RUNNING);
    d->journal_started = pthread_create(&d->journal_thread, NULL, run, d) == 0;
    return d->journal_started || fg_fail(err, "cannot start the journal thread");
}

void fg_journal_thread_stop(struct fg_daemon *d)
{
    if (!d->journal_started)
        return;
    atomic_store_explicit(&d->journal_quit, true, memory_order_release);
    pthread_join(d->journal_thread, NULL);
    fg_journal_committer_free(&d->committer);
    d->journal_started = false;
}
