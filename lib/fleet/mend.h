/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * mend: pools that a person has decided about: of a member that is powered off for good, and of an
 * etcd that was lost (docs/fleet.md). Pure functions; any thread.
 */
#ifndef FG_FLEET_MEND_H
#define FG_FLEET_MEND_H

#include "fleet/pool.h"

/** What the whole log of a member says of an item. */
struct fg_fleet_past {
    struct fg_fleet_counters log;
    uint64_t seq;  /**< last record of the log */
    int64_t taken; /**< units that were sold and are not back on sale */
};

/**
 * Settles a member that never comes back: all units that it held and did not sell are free, also
 * those of a lease that is not in its log. Settled already: nothing is changed. *freed: units that
 * became free. False and err: pool and log contradict each other, nothing was changed.
 */
bool fg_fleet_settle(struct fg_fleet_pool *pool, unsigned member, const struct fg_fleet_past *past,
                     uint64_t *freed, struct fg_error *err);

/** Its log is lost: what it held stays out of the sale. */
void fg_fleet_write_off(struct fg_fleet_pool *pool, unsigned member);

/**
 * The pool that the logs of all members add up to. No member runs. retired: bits of members that
 * are settled with it. old: what etcd has, an older copy; NULL = nothing. False and err: the logs
 * contradict each other, or are older than `old`.
 */
bool fg_fleet_rebuild(struct fg_fleet_pool *pool, const struct fg_fleet_past *pasts,
                      unsigned members, uint32_t retired, const struct fg_fleet_pool *old,
                      struct fg_error *err);

#endif
