/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * pool: the units of one item that no member holds, and what each member took and gave: a line of
 * text in etcd (docs/fleet.md). Pure functions; any thread.
 */
#ifndef FG_FLEET_POOL_H
#define FG_FLEET_POOL_H

#include "fleet/map.h"

#define FG_FLEET_UNITS_MAX 1000000000000000ull /**< of a cumulative number */

/** Cumulative; as the log of the member has them. */
struct fg_fleet_counters {
    int64_t stock;     /**< units added minus units removed at this member */
    uint64_t leased;   /**< from the pool */
    uint64_t leases;   /**< how often */
    uint64_t returned; /**< to the pool */
    uint64_t returns;  /**< how often */
};

struct fg_fleet_row { /**< of a member */
    struct fg_fleet_counters log;
    uint64_t seq;    /**< records of its log that were committed when it wrote this pool last */
    uint64_t empty;  /**< it held nothing free when this was the next number of a demand */
    uint64_t demand; /**< its number; 0 = the member does not wait */
    uint32_t wanted; /**< units that it waits for; 0 when it does not */
};

struct fg_fleet_pool {
    uint64_t free; /**< sum of returned - leased */
    uint64_t next; /**< number of the next demand, from 1 */
    bool sold_out; /**< nothing is free anywhere; nobody waits */
    unsigned members;
    struct fg_fleet_row row[FG_FLEET_MEMBERS_MAX];
};

/** Nothing was ever added. */
void fg_fleet_pool_first(struct fg_fleet_pool *pool, unsigned members);

size_t fg_fleet_pool_write(const struct fg_fleet_pool *pool, char text[FG_FLEET_TEXT_MAX]);
/** False: not as fg_fleet_pool_write writes it, or it does not add up. */
bool fg_fleet_pool_read(struct fg_fleet_pool *pool, const char *text);
/** Whether it adds up: docs/fleet.md has the rules. */
bool fg_fleet_pool_is_sane(const struct fg_fleet_pool *pool);

/** Units that the member may have: sold, reserved or free. Never below 0 in a sane pool. */
int64_t fg_fleet_held(const struct fg_fleet_counters *log);

bool fg_fleet_pool_waits(const struct fg_fleet_pool *pool); /**< some member does */
/** The member whose demand is the oldest; pool->members when none waits. */
unsigned fg_fleet_pool_oldest(const struct fg_fleet_pool *pool);

#endif
