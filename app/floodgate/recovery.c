/* SPDX-License-Identifier: BSD-3-Clause */
/* What the start takes from the disk: snapshot and log into the ledger; and how far it is. */
#include "daemon.h"

#include <time.h>

#include "base/diag.h"
#include "ledger/snapshot.h"
#include "notify.h"
#include "worker/worker.h"

#define QUIET_MS   2000 /* before something is worth a line */
#define PREPARE_MS 1000 /* a segment that lasts longer leaves the disk time for the next one */

static uint64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void fg_progress(struct fg_progress *p, uint64_t done, uint64_t of)
{
    uint64_t now_ms = fg_clock_mono_ms();
    char text[160];

    if (p->told_ms == 0)
        p->told_ms = now_ms;
    if (now_ms - p->told_ms < QUIET_MS)
        return;
    p->told_ms = now_ms;
    snprintf(text, sizeof(text), "%s: %s %llu of %llu", p->what, p->unit, (unsigned long long)done,
             (unsigned long long)of);
    fg_diag(FG_DIAG_INFO, "%s", text);
    snprintf(text, sizeof(text), "STATUS=%s: %s %llu of %llu\nEXTEND_TIMEOUT_USEC=30000000",
             p->what, p->unit, (unsigned long long)done, (unsigned long long)of);
    fg_notify(text);
}

/* In steps, so that a long replay can say how far it is. */
static bool replay(struct fg_daemon *d, struct fg_error *err)
{
    const uint64_t step = 1000000, last = fg_journal_last_seq(d->journal);
    struct fg_progress progress = {.what = "replaying the log", .unit = "record"};

    fg_progress(&progress, 0, last);
    while (fg_ledger_seq(d->follower.ledger) < last) {
        uint64_t to = RTE_MIN(fg_ledger_seq(d->follower.ledger) + step, last);

        if (!fg_ledger_replay(d->follower.ledger, d->config.log.dir, to, err))
            return false;
        if (fg_ledger_seq(d->follower.ledger) < to)
            return fg_fail(err, "%s: the log ends at record %llu, %llu expected", d->config.log.dir,
                           (unsigned long long)fg_ledger_seq(d->follower.ledger),
                           (unsigned long long)to);
        fg_progress(&progress, to, last);
    }
    return true;
}

static void tell_orders(void *progress, uint64_t orders, uint64_t of)
{
    fg_progress(progress, orders, of);
}

/* The newest good snapshot into the ledger. Without one the log must begin with record 1. */
static bool load_snapshot(struct fg_daemon *d, struct fg_error *err)
{
    uint64_t first = fg_journal_begin_seq(d->journal);
    struct fg_progress progress = {.what = "loading the snapshot", .unit = "order"};
    struct fg_ledger_snapshot_info info;

    fg_progress(&progress, 0, 0);
    if (!fg_ledger_snapshot_load_telling(d->follower.ledger, d->config.log.dir, tell_orders,
                                         &progress, &info, err)) {
        if (first > 1)
            return false;
        fg_diag(FG_DIAG_WARNING, "%s; no snapshot is good, recovery begins with record 1",
                err->text);
    } else if (err->text[0]) {
        fg_diag(FG_DIAG_WARNING, "%s; recovery begins with the snapshot of record %llu", err->text,
                (unsigned long long)info.seq);
    }
    if (!fg_ledger_snapshot_fits(&info, d->config.log.dir, fg_journal_appliance(d->journal), first,
                                 fg_journal_last_seq(d->journal), err))
        return false;
    atomic_store(&d->snapshots.seq, info.seq);
    atomic_store(&d->snapshots.created_ms, info.created_ms);
    return true;
}

/* Newest good snapshot and what the log says behind it. */
static bool recover_ledger(struct fg_daemon *d, struct fg_error *err)
{
    uint64_t begin = fg_clock_mono_ms();

    if (!load_snapshot(d, err) || !replay(d, err))
        return false;
    fg_diag(FG_DIAG_INFO,
            "log %s: %llu records, %u items, %llu orders, recovered in %llu ms (snapshot of record "
            "%llu)",
            d->config.log.dir, (unsigned long long)fg_ledger_seq(d->follower.ledger),
            fg_ledger_items(d->follower.ledger),
            (unsigned long long)fg_ledger_orders(d->follower.ledger),
            (unsigned long long)(fg_clock_mono_ms() - begin),
            (unsigned long long)atomic_load(&d->snapshots.seq));
    return true;
}

bool fg_ledger_recover(struct fg_daemon *d, struct fg_error *err)
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
        fg_diag(FG_DIAG_NOTICE, "log %s: cut %llu unfinished records that were never acknowledged",
                d->config.log.dir, (unsigned long long)fg_journal_cut_records(d->journal));
    d->follower.ledger = fg_ledger_create();
    if (!d->follower.ledger || !fg_ledger_reserve(d->follower.ledger, d->config.limits.orders_max))
        return fg_fail(err, "no memory for the ledger of %u orders ([limits] orders_max)",
                       d->config.limits.orders_max);
    if (!recover_ledger(d, err))
        return false;
    if (options.memory)
        fg_diag(FG_DIAG_WARNING,
                "log %s: durability is memory, a power cut loses acknowledged orders: "
                "for benchmarks only",
                d->config.log.dir);
    atomic_store(&d->follower.seq, fg_ledger_seq(d->follower.ledger));
    return true;
}

bool fg_workers_load(struct fg_daemon *d, struct fg_error *err)
{
    const uint64_t step = 1000000, orders = fg_ledger_orders(d->follower.ledger);
    struct fg_progress progress = {.what = "giving each worker its orders", .unit = "order"};
    uint64_t all = orders * d->config.workers.count;

    if (!fg_stock_check_ledger(&d->workers.options.limits, d->config.workers.count,
                               d->follower.ledger, err))
        return false;
    fg_progress(&progress, 0, all);
    for (unsigned i = 0; i < d->config.workers.count; i++) {
        struct fg_stock *stock = d->workers.list[i]->stock;

        if (!fg_stock_load_items(stock, d->follower.ledger, err))
            return false;
        for (uint64_t from = 0, to; from < orders; from = to) {
            to = RTE_MIN(from + step, orders);
            if (!fg_stock_load_orders(stock, d->follower.ledger, from, to, err))
                return false;
            fg_progress(&progress, i * orders + to, all);
        }
    }
    return true;
}
