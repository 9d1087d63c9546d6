/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * keys: the keys in force. They are replaced as a whole, while the workers run; the old ones are
 * freed when no worker uses them any more. Any thread but a worker.
 */
#ifndef FG_WORKER_KEYS_H
#define FG_WORKER_KEYS_H

#include <pthread.h>

#include "worker/group.h"

struct fg_worker_keys {
    pthread_mutex_t lock;                         /**< reloads, one at a time */
    _Atomic(struct fg_packet_keyring *) in_force; /**< workers read it once a loop; NULL at first */
};

void fg_worker_keys_init(struct fg_worker_keys *keys);

/**
 * From a file, for the first time or again. Waits up to 2 s for each worker to end its loop. False
 * and err: the keys of before stay in force.
 */
bool fg_worker_keys_load(struct fg_worker_keys *keys, const char *path,
                         const struct fg_worker_group *group, struct fg_error *err);

void fg_worker_keys_free(struct fg_worker_keys *keys); /**< after the workers have ended */

#endif
