/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys in force: replaced as a whole, the old ones freed when no worker can look at them any
 * more. */
#include "daemon.h"

#include "base/diag.h"

#define PASS_MS 2000 /* for a worker to pass a loop */

/* Two loops: the one under way when the keys changed, and one that began after. */
static bool wait_passed(struct fg_daemon *d, struct fg_worker *w)
{
    uint64_t from = fg_counter_read(&w->counters.loops), end = fg_clock_mono_ms() + PASS_MS;

    while (atomic_load(&w->running) && fg_counter_read(&w->counters.loops) < from + 2) {
        if (fg_clock_mono_ms() >= end)
            return false;
        fg_clock_sleep_us(100);
    }
    return true;
}

static void retire(struct fg_daemon *d, struct fg_packet_keyring *old)
{
    bool passed = true;

    for (unsigned i = 0; passed && i < d->config.workers.count && d->workers[i]; i++)
        passed = wait_passed(d, d->workers[i]);
    if (passed)
        fg_packet_keyring_free(old);
    else
        fg_diag(FG_DIAG_WARNING,
                "a worker stands still: the memory of the old keys is not given back");
}

bool fg_keys_load(struct fg_daemon *d, struct fg_error *err)
{
    struct fg_packet_keyring *fresh, *old;

    pthread_mutex_lock(&d->keys_lock);
    fresh = fg_packet_keyring_load(d->config.orders.keys, err);
    if (fresh) {
        old = atomic_exchange_explicit(&d->keys, fresh, memory_order_acq_rel);
        if (old)
            retire(d, old);
        fg_diag(FG_DIAG_INFO, "keys: %u in force from %s", fresh->count, d->config.orders.keys);
    }
    pthread_mutex_unlock(&d->keys_lock);
    return fresh != NULL;
}
