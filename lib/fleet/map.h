/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * map: which members a fleet has, and which of them each user belongs to; a line of text in etcd
 * (docs/fleet.md). Pure functions; any thread.
 */
#ifndef FG_FLEET_MAP_H
#define FG_FLEET_MAP_H

#include "base/base.h"

#define FG_FLEET_MEMBERS_MAX 16
#define FG_FLEET_SHARDS_MAX  1024
#define FG_FLEET_TEXT_MAX    3584 /**< bytes of a value in etcd, with its zero */

struct fg_fleet_map {
    uint64_t version; /**< from 1; another map has another version */
    bool frozen;      /**< a person stopped all leases and returns */
    unsigned members; /**< 1..FG_FLEET_MEMBERS_MAX */
    uint32_t retired; /**< bit m: member m is powered off for good, and its units are settled */
    unsigned shards;  /**< 1..FG_FLEET_SHARDS_MAX */
    uint8_t owner[FG_FLEET_SHARDS_MAX]; /**< member of each shard */
};

/** All members live, shards dealt out in turn. */
void fg_fleet_map_first(struct fg_fleet_map *map, unsigned members, unsigned shards);

size_t fg_fleet_map_write(const struct fg_fleet_map *map, char text[FG_FLEET_TEXT_MAX]);
/** False: not as fg_fleet_map_write writes it. */
bool fg_fleet_map_read(struct fg_fleet_map *map, const char *text);

/** Whether users belong to the same members by both. */
bool fg_fleet_map_same(const struct fg_fleet_map *a, const struct fg_fleet_map *b);

/** The one member that judges the orders of this user; others answer WRONG_SHARD. */
static inline unsigned fg_fleet_owner(const struct fg_fleet_map *map, uint64_t user)
{
    return map->owner[fg_user_shard(user, map->shards)];
}

#endif
