/* SPDX-License-Identifier: BSD-3-Clause */
#include "snapshots.h"

#include <sys/statvfs.h>

#include "base/diag.h"
#include "daemon.h"
#include "ledger/snapshot.h"

#define RETRY_MS 10000 /* after a failure */
#define LOOK_MS  1000  /* between looks at segments that sinks may have passed */
#define ASKED_MS 30000 /* longest wait of the operator */
#define ROOM_SEGMENTS                                                                              \
    2 /* that stay free for the log: a snapshot must not be what stops the sale                    \
       */

void fg_ledger_snapshots_init(struct fg_daemon *d)
{
    pthread_mutex_init(&d->snapshots.lock, NULL);
}

static void set_error(struct fg_daemon *d, const char *text)
{
    pthread_mutex_lock(&d->snapshots.lock);
    snprintf(d->snapshots.error, sizeof(d->snapshots.error), "%.255s", text);
    pthread_mutex_unlock(&d->snapshots.lock);
}

void fg_ledger_snapshots_error(struct fg_daemon *d, char *text, size_t size)
{
    pthread_mutex_lock(&d->snapshots.lock);
    snprintf(text, size, "%s", d->snapshots.error);
    pthread_mutex_unlock(&d->snapshots.lock);
}

/* Records since the last one. As many as there are orders at least, so that all snapshots of a sale
 * together cost a small multiple of the last. */
static bool due(const struct fg_daemon *d)
{
    uint64_t records = fg_ledger_seq(d->follower.ledger) - atomic_load(&d->snapshots.seq);
    uint64_t orders = fg_ledger_orders(d->follower.ledger), every = d->config.log.snapshot_records;

    return every && records >= every && records >= orders;
}

static bool room(const struct fg_daemon *d, struct fg_error *err)
{
    uint64_t need = fg_ledger_snapshot_bytes(d->follower.ledger),
             keep = ROOM_SEGMENTS * d->config.log.segment_bytes;
    struct statvfs fs;

    if (statvfs(d->config.log.dir, &fs) < 0 || (uint64_t)fs.f_bavail * fs.f_frsize >= need + keep)
        return true; /* what cannot be asked is tried */
    return fg_fail(err, "a snapshot needs %llu MiB, and %llu stay free for the log; %llu are free",
                   (unsigned long long)(need >> 20), (unsigned long long)(keep >> 20),
                   (unsigned long long)((uint64_t)fs.f_bavail * fs.f_frsize >> 20));
}

static bool possible(const struct fg_daemon *d, struct fg_error *err)
{
    if (d->config.log.durability == FG_DURABILITY_MEMORY)
        return fg_fail(err, "[log] durability is memory: what is not on disk has no snapshot");
    if (atomic_load_explicit(&d->committer.state, memory_order_acquire) != FG_JOURNAL_OK)
        return fg_fail(err, "the log has no room, or failed");
    return room(d, err);
}

/* The two newest stay. What cannot be removed now will be after the next one. */
static void made(struct fg_daemon *d, uint64_t seq, uint64_t now_ms, uint64_t took_ms)
{
    struct fg_ledger_snapshots *s = &d->snapshots;
    uint64_t before = atomic_load(&s->seq);
    struct fg_error err;

    atomic_store(&s->older_seq, before);
    atomic_store(&s->seq, seq);
    atomic_store(&s->created_ms, now_ms);
    atomic_fetch_add(&s->made, 1);
    set_error(d, "");
    fg_diag(FG_DIAG_INFO, "log %s: snapshot of record %llu, %llu orders, made in %llu ms",
            d->config.log.dir, (unsigned long long)seq,
            (unsigned long long)fg_ledger_orders(d->follower.ledger), (unsigned long long)took_ms);
    if (!fg_ledger_snapshot_keep(d->config.log.dir, seq, before, &err))
        fg_diag(FG_DIAG_WARNING, "%s", err.text);
    s->look_ms = 0;
}

static void make(struct fg_daemon *d)
{
    struct fg_ledger_snapshots *s = &d->snapshots;
    uint64_t seq = fg_ledger_seq(d->follower.ledger), begin = fg_clock_mono_ms(),
             now_ms = fg_clock_now_ms(&d->clock);
    struct fg_error err;
    bool ok;

    if (seq == 0 || seq == atomic_load(&s->seq))
        return;
    atomic_store(&s->running, true);
    ok = possible(d, &err) &&
         fg_ledger_snapshot_write(d->follower.ledger, d->config.log.dir,
                                  fg_journal_appliance(d->journal), now_ms, &err);
    atomic_store(&s->running, false);
    if (ok) {
        s->retry_ms = 0;
        made(d, seq, now_ms, fg_clock_mono_ms() - begin);
        return;
    }
    s->retry_ms = fg_clock_mono_ms() + RETRY_MS;
    atomic_fetch_add(&s->failures, 1);
    set_error(d, err.text);
    fg_diag(FG_DIAG_WARNING, "no snapshot, tried again in %d s: %s", RETRY_MS / 1000, err.text);
}

/* What everybody is past: the older snapshot, so that there is one to fall back to, and each sink.
 */
static uint64_t passed(struct fg_daemon *d)
{
    uint64_t seq = atomic_load(&d->snapshots.older_seq);

    for (unsigned i = 0; i < d->sinks_count; i++) {
        struct fg_sink_status sink;

        fg_sink_status(d->sinks[i], &sink);
        seq = RTE_MIN(seq, sink.cursor);
    }
    return seq;
}

static void retire(struct fg_daemon *d)
{
    struct fg_ledger_snapshots *s = &d->snapshots;
    uint64_t seq = passed(d), now = fg_clock_mono_ms();
    struct fg_error err;
    ssize_t n;

    if (seq == 0 || now - s->look_ms < LOOK_MS)
        return;
    s->look_ms = now;
    n = fg_journal_retire(d->config.log.dir, seq, d->config.log.keep_bytes, &err);
    if (n < 0)
        fg_diag(FG_DIAG_WARNING, "%s", err.text);
    if (n <= 0)
        return;
    atomic_fetch_add(&s->retired, (uint64_t)n);
    fg_diag(FG_DIAG_NOTICE,
            "log %s: %zd old segments removed, snapshots and sinks have passed record %llu",
            d->config.log.dir, n, (unsigned long long)seq);
}

void fg_ledger_snapshots_poll(struct fg_daemon *d)
{
    struct fg_ledger_snapshots *s = &d->snapshots;
    uint64_t asked = atomic_load_explicit(&s->asked, memory_order_acquire);

    if (asked != atomic_load_explicit(&s->answered, memory_order_relaxed)) {
        make(d);
        atomic_store_explicit(&s->answered, asked, memory_order_release);
    } else if (due(d) && fg_clock_mono_ms() >= s->retry_ms &&
               d->config.log.durability == FG_DURABILITY_DISK) {
        make(d);
    }
    if (atomic_load_explicit(&d->committer.state, memory_order_acquire) != FG_JOURNAL_FAILED)
        retire(d);
}

bool fg_ledger_snapshots_ask(struct fg_daemon *d, uint64_t *seq, struct fg_error *err)
{
    struct fg_ledger_snapshots *s = &d->snapshots;
    uint64_t failures = atomic_load(&s->failures), end = fg_clock_mono_ms() + ASKED_MS;
    uint64_t mine = atomic_fetch_add_explicit(&s->asked, 1, memory_order_acq_rel) + 1;

    while (atomic_load_explicit(&s->answered, memory_order_acquire) < mine) {
        if (fg_clock_mono_ms() >= end || atomic_load(&d->follower.broken))
            return fg_fail(err, "no snapshot within %d s; it may still come, see the status",
                           ASKED_MS / 1000);
        fg_clock_sleep_us(1000);
    }
    *seq = atomic_load(&s->seq);
    if (atomic_load(&s->failures) == failures)
        return *seq > 0 || fg_fail(err, "the log is empty: nothing to make a snapshot of");
    fg_ledger_snapshots_error(d, err->text, sizeof(err->text));
    return false;
}
