/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery of the log, and the thread that makes records durable and says in what mode the workers are. */
#include "daemon.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "journal/pace.h"
#include "ledger/snapshot.h"
#include "log.h"
#include "notify.h"

#define NICE         -10   /* of the thread, or less */
#define TROUBLE_US   10000 /* between attempts on a full disk */
#define REPLAY_QUIET 2000  /* ms before a replay is worth a line */
#define PREPARE_MS   1000  /* a segment that lasts longer leaves the disk time for the next one */

uint64_t fg_mono_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void fg_sleep_us(unsigned us)
{
    nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000}, NULL);
}

static uint64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void tell(uint64_t seq, uint64_t last)
{
    char text[128];

    snprintf(text, sizeof(text),
             "STATUS=replaying the log: record %llu of %llu\nEXTEND_TIMEOUT_USEC=30000000",
             (unsigned long long)seq, (unsigned long long)last);
    fg_notify(text);
    fg_log(FG_LOG_INFO, "replaying the log: record %llu of %llu", (unsigned long long)seq,
           (unsigned long long)last);
}

/* In steps, so that a long replay can say how far it is. */
static bool replay(struct fg_daemon *d, struct fg_error *err)
{
    const uint64_t step = 1000000, last = fg_journal_last_seq(d->journal);
    uint64_t told = fg_mono_ms();

    while (fg_ledger_seq(d->follower.ledger) < last) {
        uint64_t to = RTE_MIN(fg_ledger_seq(d->follower.ledger) + step, last);

        if (!fg_ledger_replay(d->follower.ledger, d->config.log.dir, to, err))
            return false;
        if (fg_ledger_seq(d->follower.ledger) < to)
            return fg_fail(err, "%s: the log ends at record %llu, %llu expected", d->config.log.dir,
                           (unsigned long long)fg_ledger_seq(d->follower.ledger), (unsigned long long)to);
        if (fg_mono_ms() - told >= REPLAY_QUIET) {
            told = fg_mono_ms();
            tell(to, last);
        }
    }
    return true;
}

/* The newest good snapshot into the ledger. Without one the log must begin with record 1. */
static bool load_snapshot(struct fg_daemon *d, struct fg_error *err)
{
    uint64_t first = fg_journal_begin_seq(d->journal);
    struct fg_snapshot_info info;

    if (!fg_snapshot_load(d->follower.ledger, d->config.log.dir, &info, err)) {
        if (first > 1)
            return false;
        fg_log(FG_LOG_WARNING, "%s; no snapshot is good, recovery begins with record 1", err->text);
    } else if (err->text[0]) {
        fg_log(FG_LOG_WARNING, "%s; recovery begins with the snapshot of record %llu", err->text,
               (unsigned long long)info.seq);
    }
    if (!fg_snapshot_fits(&info, d->config.log.dir, fg_journal_appliance(d->journal), first,
                          fg_journal_last_seq(d->journal), err))
        return false;
    atomic_store(&d->snapshots.seq, info.seq);
    atomic_store(&d->snapshots.created_ms, info.created_ms);
    return true;
}

/* Newest good snapshot and what the log says behind it. */
static bool recover_ledger(struct fg_daemon *d, struct fg_error *err)
{
    uint64_t begin = fg_mono_ms();

    if (!load_snapshot(d, err) || !replay(d, err))
        return false;
    fg_log(FG_LOG_INFO,
           "log %s: %llu records, %u items, %llu orders, recovered in %llu ms (snapshot of record %llu)",
           d->config.log.dir, (unsigned long long)fg_ledger_seq(d->follower.ledger),
           fg_ledger_items(d->follower.ledger), (unsigned long long)fg_ledger_orders(d->follower.ledger),
           (unsigned long long)(fg_mono_ms() - begin), (unsigned long long)atomic_load(&d->snapshots.seq));
    return true;
}

bool fg_log_recover(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_journal_options options = {.dir = d->config.log.dir,
                                         .segment_bytes = d->config.log.segment_bytes,
                                         .memory = d->config.log.durability == FG_DURABILITY_MEMORY,
                                         .retired = true,
                                         .prepare_ms = PREPARE_MS,
                                         .now_ms = wall_ms()};

    d->journal = fg_journal_open(&options, err);
    if (!d->journal)
        return false;
    if (fg_journal_cut_records(d->journal))
        fg_log(FG_LOG_NOTICE, "log %s: cut %llu unfinished records that were never acknowledged",
               d->config.log.dir, (unsigned long long)fg_journal_cut_records(d->journal));
    d->follower.ledger = fg_ledger_create();
    if (!d->follower.ledger)
        return fg_fail(err, "no memory for the ledger");
    if (!recover_ledger(d, err))
        return false;
    if (options.memory)
        fg_log(FG_LOG_WARNING,
               "log %s: durability is memory, a power cut loses acknowledged orders: "
               "for benchmarks only",
               d->config.log.dir);
    atomic_store(&d->follower.seq, fg_ledger_seq(d->follower.ledger));
    return true;
}

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
        fg_log(FG_LOG_NOTICE, "log: there is room again, orders are accepted");
    else
        fg_log(FG_LOG_ERROR, "log: %s: %s",
               journal == FG_JOURNAL_FULL ? "no room, orders are answered BUSY until there is"
                                          : "FAILED, nothing is accepted any more; restart after repair",
               fg_journal_error(d->journal));
}

/* One commit, and how long the disk took for it. */
static size_t commit(struct fg_daemon *d)
{
    struct fg_commit_watch *w = &d->commit_watch;
    uint64_t began = fg_mono_ms(), took;
    size_t n;

    atomic_store_explicit(&w->began_ms, began, memory_order_relaxed);
    n = fg_committer_step(&d->committer, fg_clock_ms(&d->clock));
    took = fg_mono_ms() - began;
    atomic_store_explicit(&w->began_ms, 0, memory_order_relaxed);
    if (took > atomic_load_explicit(&w->max_ms, memory_order_relaxed))
        atomic_store_explicit(&w->max_ms, took, memory_order_relaxed);
    if (took >= FG_COMMIT_SLOW_MS) {
        atomic_store(&w->slow_ms, took);
        atomic_fetch_add(&w->slow, 1);
    }
    return n;
}

static void *run(void *daemon)
{
    struct fg_daemon *d = daemon;
    struct fg_pace pace = {0};
    int seen = FG_JOURNAL_OK;

    prctl(PR_SET_NAME, "fg-journal");
    prctl(PR_SET_TIMERSLACK, 1000ul); /* else a sleep of some microseconds takes 50 more */
    if (getpriority(PRIO_PROCESS, 0) > NICE)
        setpriority(PRIO_PROCESS, 0, NICE); /* every answer waits for this thread; a refusal does no harm */
    while (!atomic_load_explicit(&d->journal_quit, memory_order_acquire)) {
        size_t n = commit(d);

        publish_mode(d, &seen);
        if (n) {
            fg_pace_worked(&pace);
            continue;
        }
        fg_sleep_us(seen == FG_JOURNAL_OK ? fg_pace_idle(&pace) : TROUBLE_US);
    }
    return NULL;
}

bool fg_journal_start(struct fg_daemon *d, struct fg_error *err)
{
    if (!fg_committer_init(&d->committer, d->journal, d->journal_rings, d->marks, d->config.workers.count,
                           d->config.log.batch_max, err))
        return false;
    atomic_store(&d->mode, FG_STOCK_RUNNING);
    d->journal_started = pthread_create(&d->journal_thread, NULL, run, d) == 0;
    return d->journal_started || fg_fail(err, "cannot start the journal thread");
}

void fg_journal_stop(struct fg_daemon *d)
{
    if (!d->journal_started)
        return;
    atomic_store_explicit(&d->journal_quit, true, memory_order_release);
    pthread_join(d->journal_thread, NULL);
    fg_committer_free(&d->committer);
    d->journal_started = false;
}
