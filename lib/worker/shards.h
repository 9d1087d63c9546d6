/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * shards: the worker of a fleet. Requests about users of other members are answered WRONG_SHARD,
 * with the member that they belong to; the engine does not see them. Only the worker's own thread
 * calls these.
 */
#ifndef FG_WORKER_SHARDS_H
#define FG_WORKER_SHARDS_H

#include "fleet/map.h"
#include "worker/worker.h"

/** Which users are this member's. Never changes while the workers run, but for `waits`. */
struct fg_worker_shards {
    unsigned member;
    _Atomic bool waits; /**< RESERVE is UNAVAILABLE: settings of items are being applied */
    struct fg_fleet_map map;
};

/** As replies tell it: from 1 to 65535, and again from 1. */
static inline uint16_t fg_worker_shards_version(const struct fg_worker_shards *shards)
{
    return (uint16_t)((shards->map.version - 1) % UINT16_MAX + 1);
}

/** Jobs that this member may judge; the others are answered. Only with w->shards. */
unsigned fg_worker_own(struct fg_worker *w, struct fg_worker_job *jobs, unsigned n);

/** The same for an inbound command. True: *answer says whose user it is. Without a fleet: false. */
bool fg_worker_is_foreign(const struct fg_worker *w, const struct fg_inbound_command *command,
                          struct fg_stock_answer *answer);

#endif
