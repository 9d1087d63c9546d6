/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * pace: how long the journal's thread sleeps when it finds no record. A busy worker does not wake
 * it, since that is a system call, so its sleep delays an answer. While orders come the sleeps are
 * shorter than a commit. After a silence they grow to a millisecond: each wake-up costs a worker on
 * the same CPU some microseconds. It reads no clock but adds up its sleeps. One thread.
 */
#ifndef FG_JOURNAL_PACE_H
#define FG_JOURNAL_PACE_H

#include <stdbool.h>

#define FG_JOURNAL_PACE_FIRST_US  5
#define FG_JOURNAL_PACE_BUSY_US   50
#define FG_JOURNAL_PACE_WOKEN_US  250 /* instead, where idle workers do wake it */
#define FG_JOURNAL_PACE_QUIET_US  1000
#define FG_JOURNAL_PACE_SILENT_US 100000 /* of sleep without a record: then it is quiet */

struct fg_journal_pace {
    unsigned sleep_us; /* the last one; 0 = there was work */
    unsigned slept_us; /* since then */
};

static inline void fg_journal_pace_worked(struct fg_journal_pace *p)
{
    *p = (struct fg_journal_pace){0};
}

/** Microseconds to sleep now. woken: a worker that is idle ends the sleep when there is a record.
 */
static inline unsigned fg_journal_pace_idle(struct fg_journal_pace *p, bool woken)
{
    unsigned busy = woken ? FG_JOURNAL_PACE_WOKEN_US : FG_JOURNAL_PACE_BUSY_US;
    unsigned most = p->slept_us < FG_JOURNAL_PACE_SILENT_US ? busy : FG_JOURNAL_PACE_QUIET_US;
    unsigned next = p->sleep_us ? 2 * p->sleep_us
                    : woken     ? FG_JOURNAL_PACE_BUSY_US
                                : FG_JOURNAL_PACE_FIRST_US;

    p->sleep_us = next < most ? next : most;
    if (p->slept_us < FG_JOURNAL_PACE_SILENT_US)
        p->slept_us += p->sleep_us;
    return p->sleep_us;
}

#endif
