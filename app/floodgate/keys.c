/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys in force: replaced as a whole, the old ones freed when no worker uses them any more. */
#include "daemon.h"

#include "base/diag.h"

#define PASS_MS 2000 /* for a worker to pass a loop */

static void retire(struct fg_daemon *d, struct fg_packet_keyring *old)
{
    if (fg_worker_group_pass(&d->workers, PASS_MS))
        fg_packet_keyring_free(old);
    else
        fg_diag(FG_DIAG_WARNING, "a worker is stalled: the memory of the old keys is not freed");
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
