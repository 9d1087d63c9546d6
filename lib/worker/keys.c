/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/keys.h"

#include "base/diag.h"

#define PASS_MS 2000 /* for a worker to pass a loop */

void fg_worker_keys_init(struct fg_worker_keys *keys)
{
    pthread_mutex_init(&keys->lock, NULL);
    atomic_store(&keys->in_force, NULL);
}

static void retire(const struct fg_worker_group *group, struct fg_packet_keyring *old)
{
    if (fg_worker_group_pass(group, PASS_MS))
        fg_packet_keyring_free(old);
    else
        fg_diag(FG_DIAG_WARNING, "a worker is stalled: the memory of the old keys is not freed");
}

bool fg_worker_keys_load(struct fg_worker_keys *keys, const char *path,
                         const struct fg_worker_group *group, struct fg_error *err)
{
    struct fg_packet_keyring *fresh, *old;

    pthread_mutex_lock(&keys->lock);
    fresh = fg_packet_keyring_load(path, err);
    if (fresh) {
        old = atomic_exchange_explicit(&keys->in_force, fresh, memory_order_acq_rel);
        if (old)
            retire(group, old);
        fg_diag(FG_DIAG_INFO, "keys: %u in force from %s", fresh->count, path);
    }
    pthread_mutex_unlock(&keys->lock);
    return fresh != NULL;
}

void fg_worker_keys_free(struct fg_worker_keys *keys)
{
    fg_packet_keyring_free(atomic_exchange(&keys->in_force, NULL));
}
