/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * bell: ends the sleep of the journal's thread. Workers that are busy do not ring (it is a system
 * call): the thread also looks by itself. One sleeper, any number of ringers.
 */
#ifndef FG_JOURNAL_DOORBELL_H
#define FG_JOURNAL_DOORBELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fg_journal_doorbell {
    _Atomic uint32_t asleep;
};

/** From now on whoever rings ends the sleep; the caller looks once more for work, then sleeps. */
static inline void fg_journal_doorbell_init(struct fg_journal_doorbell *bell)
{
    atomic_store(&bell->asleep, 1);
    atomic_thread_fence(memory_order_seq_cst);
}

/** At most so long; not at all if it was rung since fg_journal_doorbell_init. */
void fg_journal_doorbell_sleep(struct fg_journal_doorbell *bell, unsigned us);

/** What there is to do was published before. Returns whether somebody slept. */
bool fg_journal_doorbell_ring(struct fg_journal_doorbell *bell);

#endif
