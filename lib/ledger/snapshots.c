/* SPDX-License-Identifier: BSD-3-Clause */
#include "ledger/snapshots.h"

#include <sys/statvfs.h>

#include "base/diag.h"
#include "ledger/retention.h"

#define ASKED_MS 30000 /* longest wait of an operator */
#define SMALL    16    /* a snapshot that takes no more than this part of the room is always made */

void fg_ledger_snapshots_init(struct fg_ledger_snapshots *s,
                              const struct fg_ledger_snapshots_options *options,
                              const struct fg_ledger_snapshot_info *before)
{
    pthread_mutex_init(&s->lock, NULL);
    s->options = *options;
    atomic_store(&s->seq, before->seq);
    atomic_store(&s->older_seq, fg_ledger_retention_older(options->dir, before->seq));
    atomic_store(&s->room_bytes, UINT64_MAX);
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
    if ((uint64_t)fs.f_bavail * fs.f_frsize / SMALL >= need)
        return true;
    return fg_fail(err, "a snapshot needs %llu MiB, and %llu stay free for the log; %llu are free",
                   (unsigned long long)(need >> 20), (unsigned long long)(keep >> 20),
                   (unsigned long long)((uint64_t)fs.f_bavail * fs.f_frsize >> 20));
}

/* wanted: it makes room, so it may take the last that there is. */
static bool is_possible(const struct fg_ledger_snapshots *s, const struct fg_ledger *ledger,
                        bool wanted, struct fg_error *err)
{
    int state = atomic_load_explicit(s->options.log_state, memory_order_acquire);

    if (s->options.memory)
        return fg_fail(err, "[log] durability is memory: a log that is not on disk has no "
                            "snapshot");
    if (state != FG_JOURNAL_OK && state != FG_JOURNAL_FULL)
        return fg_fail(err, "the log failed, or is gone");
    return wanted || state == FG_JOURNAL_FULL || has_room(s, ledger, err);
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
    s->check_ms = s->room_ms = 0;
}

/* A sale that is refused, or soon will be, is worth more attempts. */
static int again_ms(bool wanted)
{
    return wanted ? FG_LEDGER_SNAPSHOT_RETRY_MS / 10 : FG_LEDGER_SNAPSHOT_RETRY_MS;
}

static void make(struct fg_ledger_snapshots *s, const struct fg_ledger *ledger, bool wanted)
{
    uint64_t seq = fg_ledger_seq(ledger), begin = fg_clock_mono_ms(),
             now_ms = fg_clock_now_ms(s->options.clock);
    struct fg_error err;
    bool ok;

    if (seq == 0 || seq == atomic_load(&s->seq))
        return;
    atomic_store(&s->running, true);
    ok = is_possible(s, ledger, wanted, &err) &&
         fg_ledger_snapshot_write(ledger, s->options.dir, s->options.appliance_id, now_ms, &err);
    atomic_store(&s->running, false);
    if (ok) {
        s->failed_ms = 0;
        made(s, ledger, now_ms, fg_clock_mono_ms() - begin);
        return;
    }
    s->failed_ms = fg_clock_mono_ms();
    atomic_fetch_add(&s->failures, 1);
    set_error(s, err.text);
    fg_diag(FG_DIAG_WARNING, "no snapshot, tried again in %d s: %s", again_ms(wanted) / 1000,
            err.text);
}

void fg_ledger_snapshots_poll(struct fg_ledger_snapshots *s, const struct fg_ledger *ledger)
{
    uint64_t asked = atomic_load_explicit(&s->asked, memory_order_acquire);
    bool wanted = fg_ledger_retention_poll(s, ledger);

    if (asked != atomic_load_explicit(&s->answered, memory_order_relaxed)) {
        make(s, ledger, wanted);
        atomic_store_explicit(&s->answered, asked, memory_order_release);
    } else if (!s->options.memory && (wanted || is_due(s, ledger)) &&
               fg_clock_mono_ms() - s->failed_ms >= (uint64_t)again_ms(wanted)) {
        make(s, ledger, wanted);
    }
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
