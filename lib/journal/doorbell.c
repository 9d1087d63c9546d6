/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/doorbell.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void futex(struct fg_journal_doorbell *bell, int what, uint32_t value,
                  const struct timespec *timeout)
{
    syscall(SYS_futex, &bell->asleep, what | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

void fg_journal_doorbell_sleep(struct fg_journal_doorbell *bell, unsigned us)
{
    const struct timespec timeout = {.tv_sec = us / 1000000,
                                     .tv_nsec = (long)(us % 1000000) * 1000};

    futex(bell, FUTEX_WAIT, 1, &timeout);
    atomic_store(&bell->asleep, 0);
}

bool fg_journal_doorbell_ring(struct fg_journal_doorbell *bell)
{
    atomic_thread_fence(
        memory_order_seq_cst); /* either we see that it sleeps, or it sees what we published */
    if (!atomic_load_explicit(&bell->asleep, memory_order_relaxed) ||
        !atomic_exchange(&bell->asleep, 0))
        return false;
    futex(bell, FUTEX_WAKE, 1, NULL);
    return true;
}
