/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * doorbell: ends the sleep of the journal's thread. A busy worker does not ring, since that is a
 * system call; the thread also polls by itself. One sleeper, any number of ringers.
 */
#ifndef FG_JOURNAL_DOORBELL_H
#define FG_JOURNAL_DOORBELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fg_journal_doorbell {
    _Atomic uint32_t asleep;
};

/** From now on a ring ends the sleep. The caller polls once more for work, then sleeps. */
static inline void fg_journal_doorbell_init(struct fg_journal_doorbell *bell)
{
    atomic_store(&bell->asleep, 1);
    atomic_thread_fence(memory_order_seq_cst);
}

/** Sleeps at most `us`; returns at once if it was rung since fg_journal_doorbell_init. */
void fg_journal_doorbell_sleep(struct fg_journal_doorbell *bell, unsigned us);

/** The caller has published the work before. True when the thread slept. */
bool fg_journal_doorbell_ring(struct fg_journal_doorbell *bell);

#endif
