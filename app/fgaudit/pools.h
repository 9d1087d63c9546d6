/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * pools: what etcd says of a fleet, from a file: its map, the members' logs, and the pool of each
 * item (docs/fleet.md). The auditor's own reader: it shares nothing with lib/fleet.
 */
#ifndef FG_AUDIT_POOLS_H
#define FG_AUDIT_POOLS_H

#include "problems.h"

#define FG_POOLS_MEMBERS_MAX 16
#define FG_POOLS_SHARDS_MAX  1024

struct fg_pool_row { /* of a member: cumulative, but seq */
    int64_t stock;
    uint64_t leased, leases, returned, returns;
    uint64_t seq; /* of its log, when it wrote this pool last */
};

struct fg_pool {
    uint64_t item, free;
    bool damaged; /* nothing of it can be used */
    struct fg_pool_row row[FG_POOLS_MEMBERS_MAX];
};

struct fg_pools {
    unsigned members, shards; /* members 0: the file has no map */
    uint64_t version;
    bool frozen;
    uint32_t retired; /* bit m */
    uint8_t owner[FG_POOLS_SHARDS_MAX];
    uint32_t registered; /* bit m: log[m] is known */
    uint64_t log[FG_POOLS_MEMBERS_MAX];
    struct fg_pool *list;
    size_t count;
};

/** The map that a new fleet has. */
void fg_pools_first(struct fg_pools *pools, unsigned members, unsigned shards);

/** Reads what `fgctl fleet dump` or `etcdctl get --prefix` printed: a line with the key, then one
 * with the value. A pool that does not add up is a problem. False and err: the file cannot be read,
 * or has no map. */
bool fg_pools_read(struct fg_pools *pools, const char *path, struct fg_problems *problems,
                   struct fg_error *err);
void fg_pools_free(struct fg_pools *pools);

/** NULL: the file has none. */
const struct fg_pool *fg_pools_find(const struct fg_pools *pools, uint64_t item);

/** The member that the user belongs to. */
unsigned fg_pools_owner(const struct fg_pools *pools, uint64_t user);

#endif
