/* SPDX-License-Identifier: BSD-3-Clause */
#include "ledger/follower.h"

#include <errno.h>

#include "base/diag.h"
#include "base/thread.h"

#define BATCH       1024
#define IDLE_US     500   /* sleep when there is no record; doubles up to the next */
#define IDLE_US_MAX 4000  /* a wake-up costs a worker on the same CPU some microseconds */
#define SNAPSHOT_MS 30000 /* a wait may be so much longer while a snapshot is written */

static bool apply_batch(struct fg_ledger_follower *f, const struct fg_journal_record *records,
                        size_t n)
{
    bool ok;

    pthread_mutex_lock(&f->lock);
    ok = fg_ledger_apply_all(f->ledger, records, n, &f->error);
    atomic_store_explicit(&f->seq, fg_ledger_seq(f->ledger), memory_order_release);
    pthread_mutex_unlock(&f->lock);
    return ok;
}

/* The last record to read now: feeding ends exactly where it shall. */
static uint64_t limit_of(const struct fg_ledger_follower *f)
{
    uint64_t durable = atomic_load_explicit(f->durable_seq, memory_order_acquire);
    uint64_t feed_to = atomic_load_explicit(&f->feed_to, memory_order_acquire);

    if (!atomic_load_explicit(&f->feeds, memory_order_relaxed) || durable < feed_to ||
        atomic_load_explicit(&f->seq, memory_order_relaxed) >= feed_to)
        return durable;
    return feed_to;
}

/* Records that were applied, or none: then feeding may have to end all the same. */
static void feed(struct fg_ledger_follower *f, const struct fg_journal_record *records, size_t n)
{
    if (!atomic_load_explicit(&f->feeds, memory_order_relaxed))
        return;
    if (n)
        f->pair.feed(f->pair.ctx, records, n);
    if (atomic_load_explicit(&f->seq, memory_order_relaxed) >=
        atomic_load_explicit(&f->feed_to, memory_order_acquire))
        atomic_store_explicit(&f->feeds, false, memory_order_release);
}

/* Reading failed for want of a file descriptor: that says nothing about the log. */
static bool starved(void)
{
    return errno == EMFILE || errno == ENFILE;
}

/* Returns the records applied; -1 when the log or its writer is broken. */
static ssize_t follow(struct fg_ledger_follower *f, struct fg_journal_reader *reader,
                      struct fg_journal_record *records)
{
    uint64_t durable = limit_of(f);
    ssize_t n;

    if (durable <= atomic_load_explicit(&f->seq, memory_order_relaxed))
        return 0;
    errno = 0;
    n = fg_journal_read(reader, records, BATCH, durable, &f->error);
    if (n < 0 && starved())
        return 0;
    if (n > 0 && !apply_batch(f, records, (size_t)n))
        return -1;
    return n;
}

/* A cut of the log takes the same lock. Whoever has a file of the log open must open it again after
 * a cut: another one may have its name now. */
static bool take_files(struct fg_ledger_follower *f, struct fg_journal_reader **reader)
{
    struct fg_journal_pairing *p = f->pair.pairing;
    uint64_t cuts;

    if (!p)
        return true;
    if (pthread_mutex_trylock(&p->files) != 0)
        return false;
    cuts = atomic_load_explicit(&p->cut_done, memory_order_acquire);
    if (cuts != f->cuts) {
        fg_journal_reader_close(*reader);
        *reader = NULL;
        f->cuts = cuts;
    }
    return true;
}

/* As follow(). */
static ssize_t step(struct fg_ledger_follower *f, struct fg_journal_reader **reader,
                    struct fg_journal_record *records)
{
    ssize_t n;

    if (!take_files(f, reader))
        return 0;
    if (!*reader)
        *reader = fg_journal_reader_open(f->dir, atomic_load(&f->seq) + 1, &f->error);
    n = *reader ? follow(f, *reader, records) : 0;
    if (n >= 0)
        fg_ledger_snapshots_poll(&f->snapshots, f->ledger);
    if (f->pair.pairing)
        pthread_mutex_unlock(&f->pair.pairing->files);
    if (n >= 0)
        feed(f, records, (size_t)n);
    return n;
}

static void sleep_us(struct fg_ledger_follower *f, unsigned us)
{
    if (!f->pair.pairing) {
        fg_clock_sleep_us(us);
        return;
    }
    fg_journal_doorbell_init(&f->doorbell);
    if (atomic_load_explicit(&f->seq, memory_order_relaxed) >= limit_of(f))
        fg_journal_doorbell_sleep(&f->doorbell, us);
}

static void follow_until_quit(struct fg_ledger_follower *f, struct fg_journal_record *records)
{
    struct fg_journal_reader *reader = NULL;
    unsigned idle_us = IDLE_US / 2;
    ssize_t n = 0;

    while (n >= 0 && !atomic_load_explicit(&f->quit, memory_order_acquire)) {
        n = step(f, &reader, records);
        idle_us = n ? IDLE_US / 2 : 2 * idle_us;
        idle_us = idle_us < IDLE_US_MAX ? idle_us : IDLE_US_MAX;
        if (n == 0)
            sleep_us(f, idle_us);
    }
    if (n < 0) {
        atomic_store_explicit(&f->broken, true, memory_order_release);
        fg_diag(FG_DIAG_ERROR, "ledger: %s", f->error.text);
    }
    if (reader)
        fg_journal_reader_close(reader);
}

static void *run(void *follower)
{
    struct fg_journal_record *records = malloc(BATCH * sizeof(*records));

    FG_ASSERT(records);
    follow_until_quit(follower, records);
    free(records);
    return NULL;
}

void fg_ledger_follower_init(struct fg_ledger_follower *f, struct fg_ledger *ledger,
                             const struct fg_ledger_snapshots_options *options,
                             const struct fg_ledger_snapshot_info *before)
{
    pthread_mutex_init(&f->lock, NULL);
    f->ledger = ledger;
    f->dir = options->dir;
    atomic_store(&f->seq, fg_ledger_seq(ledger));
    fg_ledger_snapshots_init(&f->snapshots, options, before);
}

void fg_ledger_follower_pair(struct fg_ledger_follower *f,
                             const struct fg_ledger_follower_pair *pair)
{
    f->pair = *pair;
    atomic_store(&f->feed_to, UINT64_MAX);
    atomic_store(&f->feeds, pair->feed != NULL);
}

void fg_ledger_follower_stop_feeding(struct fg_ledger_follower *f, uint64_t seq)
{
    atomic_store_explicit(&f->feed_to, seq, memory_order_release);
    fg_journal_doorbell_ring(&f->doorbell);
}

bool fg_ledger_follower_fed(struct fg_ledger_follower *f, unsigned timeout_ms)
{
    uint64_t end = fg_clock_mono_ms() + timeout_ms;

    while (atomic_load_explicit(&f->feeds, memory_order_acquire)) {
        if (fg_clock_mono_ms() >= end || atomic_load(&f->broken))
            return false;
        fg_clock_sleep_us(50);
    }
    return true;
}

bool fg_ledger_follower_start(struct fg_ledger_follower *f, const _Atomic uint64_t *durable_seq,
                              struct fg_error *err)
{
    f->durable_seq = durable_seq;
    f->started = fg_thread_start(&f->thread, "fg-ledger", run, f);
    return f->started || fg_fail(err, "cannot start the ledger thread");
}

void fg_ledger_follower_stop(struct fg_ledger_follower *f)
{
    if (!f->started)
        return;
    atomic_store_explicit(&f->quit, true, memory_order_release);
    pthread_join(f->thread, NULL);
    f->started = false;
}

void fg_ledger_follower_free(struct fg_ledger_follower *f)
{
    if (f->ledger)
        fg_ledger_destroy(f->ledger);
    f->ledger = NULL;
}

bool fg_ledger_follower_catch_up(struct fg_ledger_follower *f, unsigned timeout_ms)
{
    uint64_t due = atomic_load_explicit(f->durable_seq, memory_order_acquire);
    uint64_t end = fg_clock_mono_ms() + timeout_ms, last = end + SNAPSHOT_MS;

    while (atomic_load_explicit(&f->seq, memory_order_acquire) < due) {
        uint64_t now = fg_clock_mono_ms();

        if (atomic_load(&f->snapshots.running))
            end = now + timeout_ms < last ? now + timeout_ms : last;
        if (now >= end || atomic_load(&f->broken))
            return false;
        fg_clock_sleep_us(50);
    }
    return true;
}
