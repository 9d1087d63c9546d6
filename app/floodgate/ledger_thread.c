/* SPDX-License-Identifier: BSD-3-Clause */
/* The thread that follows the log into the ledger. */
#include "daemon.h"

#include <sys/prctl.h>

#include "base/diag.h"

#define BATCH       1024
#define IDLE_US     500   /* sleep when there is nothing to apply; doubles up to the next */
#define IDLE_US_MAX 4000  /* a wake-up costs a worker on the same CPU some microseconds */
#define SNAPSHOT_MS 30000 /* so much longer may a wait be when a snapshot is written meanwhile */

static bool apply_batch(struct fg_daemon *d, const struct fg_journal_record *records, size_t n)
{
    struct fg_ledger_follower *f = &d->follower;
    bool ok;

    pthread_mutex_lock(&f->lock);
    ok = fg_ledger_apply_all(f->ledger, records, n, &f->error);
    atomic_store_explicit(&f->seq, fg_ledger_seq(f->ledger), memory_order_release);
    pthread_mutex_unlock(&f->lock);
    return ok;
}

/* Returns the records applied; -1 when the log or its writer is broken. */
static ssize_t follow(struct fg_daemon *d, struct fg_journal_reader *reader,
                      struct fg_journal_record *records)
{
    uint64_t durable = atomic_load_explicit(&d->committer.durable_seq, memory_order_acquire);
    ssize_t n;

    if (durable <= atomic_load_explicit(&d->follower.seq, memory_order_relaxed))
        return 0;
    n = fg_journal_read(reader, records, BATCH, durable, &d->follower.error);
    if (n > 0 && !apply_batch(d, records, (size_t)n))
        return -1;
    return n;
}

static void *run(void *daemon)
{
    struct fg_daemon *d = daemon;
    struct fg_ledger_follower *f = &d->follower;
    struct fg_journal_record *records = malloc(BATCH * sizeof(*records));
    struct fg_journal_reader *reader = NULL;
    unsigned idle_us = IDLE_US / 2;
    ssize_t n = 0;

    FG_ASSERT(records);
    prctl(PR_SET_NAME, "fg-ledger");
    while (n >= 0 && !atomic_load_explicit(&d->follower_quit, memory_order_acquire)) {
        if (!reader)
            reader = fg_journal_reader_open(d->config.log.dir, atomic_load(&f->seq) + 1, &f->error);
        n = reader ? follow(d, reader, records) : 0;
        if (n >= 0)
            fg_ledger_snapshots_poll(d);
        idle_us = n ? IDLE_US / 2 : RTE_MIN(2 * idle_us, (unsigned)IDLE_US_MAX);
        if (n == 0)
            fg_clock_sleep_us(idle_us);
    }
    if (n < 0) {
        atomic_store_explicit(&f->broken, true, memory_order_release);
        fg_diag(FG_DIAG_ERROR, "ledger: %s", f->error.text);
    }
    if (reader)
        fg_journal_reader_close(reader);
    free(records);
    return NULL;
}

bool fg_ledger_follower_start(struct fg_daemon *d, struct fg_error *err)
{
    d->follower.started = pthread_create(&d->follower.thread, NULL, run, d) == 0;
    return d->follower.started || fg_fail(err, "cannot start the ledger thread");
}

void fg_ledger_follower_stop(struct fg_daemon *d)
{
    if (!d->follower.started)
        return;
    atomic_store_explicit(&d->follower_quit, true, memory_order_release);
    pthread_join(d->follower.thread, NULL);
    d->follower.started = false;
}

bool fg_ledger_follower_catch_up(struct fg_daemon *d, unsigned timeout_ms)
{
    uint64_t due = atomic_load_explicit(&d->committer.durable_seq, memory_order_acquire);
    uint64_t end = fg_clock_mono_ms() + timeout_ms, last = end + SNAPSHOT_MS;

    while (atomic_load_explicit(&d->follower.seq, memory_order_acquire) < due) {
        if (atomic_load(&d->snapshots.running))
            end = RTE_MIN(fg_clock_mono_ms() + timeout_ms, last);
        if (fg_clock_mono_ms() >= end || atomic_load(&d->follower.broken))
            return false;
        fg_clock_sleep_us(50);
    }
    return true;
}
