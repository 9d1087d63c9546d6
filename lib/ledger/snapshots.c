/* SPDX-License-Identifier: BSD-3-Clause */
#include "ledger/snapshots.h"

#include <sys/statvfs.h>

#include "base/diag.h"

#define CHECK_MS 1000  /* between checks of the segments that the sinks may have passed */
#define ASKED_MS 30000 /* longest wait of an operator */

void fg_ledger_snapshots_init(struct fg_ledger_snapshots *s,
                              const struct fg_ledger_snapshots_options *options,
                              const struct fg_ledger_snapshot_info *before)
{
    pthread_mutex_init(&s->lock, NULL);
    s->options = *options;
    atomic_store(&s->seq, before->seq);
    atomic_store(&s->created_ms, before->created_ms);
}

static void set_error(struct fg_ledger_snapshots *s, const char *text)
{
    pthread_mutex_lock(&s->lock);
    snprintf(s->error, sizeof(s->error), "%.255s", text);
    pthread_mutex_unlock(&s->lock);
}

void fg_ledger_snapshots_error(struct fg_ledger_snapshots *s, char *text, size_t size)
{
    pthread_mutex_lock(&s->lock);
    snprintf(text, size, "%s", s->error);
    pthread_mutex_unlock(&s->lock);
}

/* Records since the last one. At least as many as there are orders, so that all snapshots of a sale
 * together cost a small multiple of the last. */
static bool is_due(const struct fg_ledger_snapshots *s, const struct fg_ledger *ledger)
{
    uint64_t records = fg_ledger_seq(ledger) - atomic_load(&s->seq);
    uint64_t orders = fg_ledger_orders(ledger), every = s->options.every;

    return every && records >= every && records >= orders;
}

static bool has_room(const struct fg_ledger_snapshots *s, const struct fg_ledger *ledger,
                     struct fg_error *err)
{
    uint64_t need = fg_ledger_snapshot_bytes(ledger), keep = s->options.free_bytes;
    struct statvfs fs;

    if (statvfs(s->options.dir, &fs) < 0 || (uint64_t)fs.f_bavail * fs.f_frsize >= need + keep)
        return true; /* unknown: try it */
    return fg_fail(err, "a snapshot needs %llu MiB, and %llu stay free for the log; %llu are free",
                   (unsigned long long)(need >> 20), (unsigned long long)(keep >> 20),
                   (unsigned long long)((uint64_t)fs.f_bavail * fs.f_frsize >> 20));
}

static bool is_possible(const struct fg_ledger_snapshots *s, const struct fg_ledger *ledger,
                        struct fg_error *err)
{
    if (s->options.memory)
        return fg_fail(err, "[log] durability is memory: a log that is not on disk has no "
                            "snapshot");
    if (atomic_load_explicit(s->options.log_state, memory_order_acquire) != FG_JOURNAL_OK)
        return fg_fail(err, "the log has no room, or failed");
    return has_room(s, ledger, err);
}

/* The two newest stay. A file that cannot be removed now will be removed after the next one. */
static void made(struct fg_ledger_snapshots *s, const struct fg_ledger *ledger, uint64_t now_ms,
                 uint64_t took_ms)
{
    uint64_t seq = fg_ledger_seq(ledger), before = atomic_load(&s->seq);
    struct fg_error err;

    atomic_store(&s->older_seq, before);
    atomic_store(&s->seq, seq);
    atomic_store(&s->created_ms, now_ms);
    atomic_fetch_add(&s->made, 1);
    set_error(s, "");
    fg_diag(FG_DIAG_INFO, "log %s: snapshot of record %llu, %llu orders, made in %llu ms",
            s->options.dir, (unsigned long long)seq, (unsigned long long)fg_ledger_orders(ledger),
            (unsigned long long)took_ms);
    if (!fg_ledger_snapshot_keep(s->options.dir, seq, before, &err))
        fg_diag(FG_DIAG_WARNING, "%s", err.text);
    s->check_ms = 0;
}

static void make(struct fg_ledger_snapshots *s, const struct fg_ledger *ledger)
{
    uint64_t seq = fg_ledger_seq(ledger), begin = fg_clock_mono_ms(),
             now_ms = fg_clock_now_ms(s->options.clock);
    struct fg_error err;
    bool ok;

    if (seq == 0 || seq == atomic_load(&s->seq))
        return;
    atomic_store(&s->running, true);
    ok = is_possible(s, ledger, &err) &&
         fg_ledger_snapshot_write(ledger, s->options.dir, s->options.appliance_id, now_ms, &err);
    atomic_store(&s->running, false);
    if (ok) {
        s->retry_ms = 0;
        made(s, ledger, now_ms, fg_clock_mono_ms() - begin);
        return;
    }
    s->retry_ms = fg_clock_mono_ms() + FG_LEDGER_SNAPSHOT_RETRY_MS;
    atomic_fetch_add(&s->failures, 1);
    set_error(s, err.text);
    fg_diag(FG_DIAG_WARNING, "no snapshot, tried again in %d s: %s",
            FG_LEDGER_SNAPSHOT_RETRY_MS / 1000, err.text);
}

/* The older snapshot, which recovery falls back to, and every sink have passed it. */
static uint64_t passed_seq(struct fg_ledger_snapshots *s)
{
    uint64_t older = atomic_load(&s->older_seq), sinks = s->options.passed(s->options.ctx);

    return sinks < older ? sinks : older;
}

static void retire(struct fg_ledger_snapshots *s)
{
    uint64_t seq = passed_seq(s), now = fg_clock_mono_ms();
    struct fg_error err;
    ssize_t n;

    if (seq == 0 || now - s->check_ms < CHECK_MS)
        return;
    s->check_ms = now;
    n = fg_journal_retire(s->options.dir, seq, s->options.keep_bytes, &err);
    if (n < 0)
        fg_diag(FG_DIAG_WARNING, "%s", err.text);
    if (n <= 0)
        return;
    atomic_fetch_add(&s->retired, (uint64_t)n);
    fg_diag(FG_DIAG_NOTICE,
            "log %s: %zd old segments removed, snapshots and sinks have passed record %llu",
            s->options.dir, n, (unsigned long long)seq);
}

void fg_ledger_snapshots_poll(struct fg_ledger_snapshots *s, const struct fg_ledger *ledger)
{
    uint64_t asked = atomic_load_explicit(&s->asked, memory_order_acquire);

    if (asked != atomic_load_explicit(&s->answered, memory_order_relaxed)) {
        make(s, ledger);
        atomic_store_explicit(&s->answered, asked, memory_order_release);
    } else if (!s->options.memory && is_due(s, ledger) && fg_clock_mono_ms() >= s->retry_ms) {
        make(s, ledger);
    }
    if (atomic_load_explicit(s->options.log_state, memory_order_acquire) != FG_JOURNAL_FAILED)
        retire(s);
}

bool fg_ledger_snapshots_ask(struct fg_ledger_snapshots *s, const _Atomic bool *broken,
                             uint64_t *seq, struct fg_error *err)
{
    uint64_t failures = atomic_load(&s->failures), end = fg_clock_mono_ms() + ASKED_MS;
    uint64_t mine = atomic_fetch_add_explicit(&s->asked, 1, memory_order_acq_rel) + 1;

    while (atomic_load_explicit(&s->answered, memory_order_acquire) < mine) {
        if (fg_clock_mono_ms() >= end || atomic_load(broken))
            return fg_fail(err, "no snapshot within %d s; it may still come, see the status",
                           ASKED_MS / 1000);
        fg_clock_sleep_us(1000);
    }
    *seq = atomic_load(&s->seq);
    if (atomic_load(&s->failures) == failures)
        return *seq > 0 || fg_fail(err, "the log is empty: nothing to make a snapshot of");
    fg_ledger_snapshots_error(s, err->text, sizeof(err->text));
    return false;
}
