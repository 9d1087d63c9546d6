/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * members: the logs of all members of a fleet, each audited by itself, and together with the pools
 * in etcd: is each unit somewhere, once? docs/audit.md
 */
#ifndef FG_AUDIT_MEMBERS_H
#define FG_AUDIT_MEMBERS_H

#include "pools.h"
#include "story.h"

struct fg_members_options {
    const char *const *dirs; /* of the logs, by number of the member; "-" = the log is lost */
    unsigned count;
    const char *pools; /* file; NULL = only the logs */
    const char *json;  /* NULL = none, "-" = standard output */
    unsigned shards;   /* without a file */
    uint64_t settle_ms, limit_lists;
};

struct fg_members_one {
    const char *dir;
    bool lost; /* there is no log */
    struct fg_log log;
    struct fg_story story;
    uint64_t snapshots;
};

/* Of an item at a member. */
struct fg_members_units {
    bool known; /* its log has the item */
    int64_t added, available, reserved, sold, refunded;
    uint64_t leased, leases, returned, returns;
    uint64_t leasing;   /* swapped, and LEASE is not in the log */
    uint64_t returning; /* RETURN is in the log, and not swapped */
    uint64_t settled;   /* of a retired member: free again */
};

struct fg_members {
    struct fg_members_one member[FG_POOLS_MEMBERS_MAX];
    unsigned count;
    bool has_pools;
    struct fg_pools pools;
    struct fg_problems problems;
    struct fg_members_item {
        uint64_t item;
        const struct fg_pool *pool; /* NULL = not known, or damaged */
        struct fg_members_units units[FG_POOLS_MEMBERS_MAX];
    } * items;
    size_t item_count;
    uint64_t oversold;
};

/** The exit code. */
int fg_members_audit(const struct fg_members_options *options);

/* ---- between its parts ----------------------------------------------------------------------- */

/** Compares logs and pools, and the logs with each other. Fills `items`. */
void fg_members_compare(struct fg_members *f);

void fg_members_json(const struct fg_members *f, uint64_t elapsed_ms, FILE *out);
void fg_members_text(const struct fg_members *f, FILE *out);

#endif
