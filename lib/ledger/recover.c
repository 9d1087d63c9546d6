/* SPDX-License-Identifier: BSD-3-Clause */
#include "ledger/recover.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/notify.h"

#define STEP 1000000 /* records between two reports of progress */

static bool replay(struct fg_ledger *ledger, const struct fg_ledger_recovery *r,
                   struct fg_error *err)
{
    struct fg_notify_progress progress = {.what = "replaying the log", .unit = "record"};
    uint64_t end = r->committed_seq ? *r->committed_seq : r->last_seq;

    fg_notify_progress(&progress, 0, end);
    while (fg_ledger_seq(ledger) < end) {
        uint64_t to = fg_ledger_seq(ledger) + STEP;

        to = to < end ? to : end;
        if (!fg_ledger_replay(ledger, r->dir, to, err))
            return false;
        if (fg_ledger_seq(ledger) < to)
            return fg_fail(err, "%s: the log ends at record %llu, %llu expected", r->dir,
                           (unsigned long long)fg_ledger_seq(ledger), (unsigned long long)to);
        fg_notify_progress(&progress, to, end);
    }
    return true;
}

static void tell_orders(void *progress, uint64_t orders, uint64_t of)
{
    fg_notify_progress(progress, orders, of);
}

/* Without a good snapshot the log must begin with record 1. */
static bool load_snapshot(struct fg_ledger *ledger, const struct fg_ledger_recovery *r,
                          struct fg_ledger_snapshot_info *from, struct fg_error *err)
{
    struct fg_notify_progress progress = {.what = "loading the snapshot", .unit = "order"};

    fg_notify_progress(&progress, 0, 0);
    if (!fg_ledger_snapshot_load_telling(ledger, r->dir, tell_orders, &progress, from, err)) {
        if (r->first_seq > 1)
            return false;
        fg_diag(FG_DIAG_WARNING, "%s; no snapshot is good, recovery begins with record 1",
                err->text);
    } else if (err->text[0]) {
        fg_diag(FG_DIAG_WARNING, "%s; recovery begins with the snapshot of record %llu", err->text,
                (unsigned long long)from->seq);
    }
    return fg_ledger_snapshot_fits(from, r->dir, r->appliance_id, r->first_seq, r->last_seq, err);
}

static bool fill(struct fg_ledger *ledger, const struct fg_ledger_recovery *r,
                 struct fg_ledger_snapshot_info *from, struct fg_error *err)
{
    uint64_t begin = fg_clock_mono_ms();

    if (!fg_ledger_reserve(ledger, r->orders_max))
        return fg_fail(err, "no memory for the ledger of %llu orders ([limits] orders_max)",
                       (unsigned long long)r->orders_max);
    if (!load_snapshot(ledger, r, from, err) || !replay(ledger, r, err))
        return false;
    fg_diag(FG_DIAG_INFO,
            "log %s: %llu records, %u items, %llu orders, recovered in %llu ms (snapshot of record "
            "%llu)",
            r->dir, (unsigned long long)fg_ledger_seq(ledger), fg_ledger_items(ledger),
            (unsigned long long)fg_ledger_orders(ledger),
            (unsigned long long)(fg_clock_mono_ms() - begin), (unsigned long long)from->seq);
    return true;
}

struct fg_ledger *fg_ledger_recover(const struct fg_ledger_recovery *recovery,
                                    struct fg_ledger_snapshot_info *from, struct fg_error *err)
{
    struct fg_ledger *ledger = fg_ledger_create();

    *from = (struct fg_ledger_snapshot_info){0};
    if (!ledger) {
        fg_fail(err, "no memory for the ledger");
        return NULL;
    }
    if (fill(ledger, recovery, from, err))
        return ledger;
    fg_ledger_destroy(ledger);
    return NULL;
}
