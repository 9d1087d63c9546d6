/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether this log may sell. A sink that knows later records proves that the log is an older copy:
 * units that were sold would be sold again. Main thread, but for what says otherwise.
 */
#include "daemon.h"

#include "base/diag.h"

#define VERDICT_MS 5000 /* a start waits so long for the sinks to tell */

void fg_behind_poll(struct fg_daemon *d)
{
    const char *sink = fg_sink_group_newer(&d->sinks);
    bool halt =
        sink && d->config.log.behind == FG_JOURNAL_BEHIND_STOP && !atomic_load(&d->behind_accepted);

    atomic_store(&d->journal_thread.halted,
                 halt || atomic_load(&d->log_gone) || fg_fleeted_waits(d));
    if (halt == atomic_load(&d->behind))
        return;
    atomic_store(&d->behind, halt);
    fg_diag(halt ? FG_DIAG_ERROR : FG_DIAG_NOTICE,
            halt ? "log %s: %s knows later records than this log, so it is an older copy: nothing "
                   "is sold"
                 : "log %s: orders are accepted again",
            d->config.log.dir, sink);
}

void fg_behind_wait(struct fg_daemon *d)
{
    uint64_t end = fg_clock_mono_ms() + VERDICT_MS;

    while (fg_journal_last_seq(d->journal) && !fg_sink_group_told(&d->sinks) &&
           fg_clock_mono_ms() < end)
        fg_clock_sleep_us(1000);
    fg_behind_poll(d);
    while (atomic_load(&d->journal_thread.halted) && /* no worker starts before it is seen */
           atomic_load(&d->journal_thread.mode) == FG_STOCK_RUNNING && fg_clock_mono_ms() < end)
        fg_clock_sleep_us(1000);
}

enum fg_control_result fg_behind_accept(struct fg_daemon *d, struct fg_error *err)
{
    if (!fg_sink_group_newer(&d->sinks)) {
        fg_fail(err, "no sink knows later records than this log: there is nothing to accept");
        return FG_CONTROL_CONFLICT;
    }
    atomic_store(&d->behind_accepted, true);
    fg_diag(FG_DIAG_WARNING, "log %s: accepted by the operator, although %s knows later records",
            d->config.log.dir, fg_sink_group_newer(&d->sinks));
    return FG_CONTROL_DONE;
}
