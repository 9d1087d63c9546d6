/* SPDX-License-Identifier: BSD-3-Clause */
/** fleet_etcd: what etcd has of a fleet, and how a person's decision changes it. Private to fgctl.
 */
#ifndef FG_FGCTL_FLEET_ETCD_H
#define FG_FGCTL_FLEET_ETCD_H

#include "arbiter/arbiter.h"
#include "fleet/catalogue.h"
#include "fleet/fleet.h"

struct fg_fleet_stored_pool {
    uint64_t item;
    int64_t revision; /**< 0 = etcd has none */
    bool damaged;
    struct fg_fleet_pool pool;
};

struct fg_fleet_stored_settings {
    uint64_t item;
    int64_t revision;                  /**< 0 = etcd has none */
    struct fg_fleet_settings settings; /**< version 0: none that can be understood */
};

struct fg_fleet_store {
    struct fg_arbiter *etcd;
    struct fg_fleet_map map;
    int64_t map_revision; /**< 0 = there is none */
    bool map_damaged;
    struct {
        int64_t revision; /**< 0 = there is none */
        int64_t decided;  /**< `revision` by fg_fleet_store_decide; 0 = not by it */
        bool known;       /**< `log` is what its process named; false: a person wrote it */
        uint64_t log;
    } registers[FG_FLEET_MEMBERS_MAX];
    struct fg_fleet_stored_pool *pools;
    size_t count;
    struct fg_fleet_stored_settings *settings;
    size_t settings_count;
};

/** Reads all of it anew. REFUSED: a register that was decided about has changed, so a process is
 * that member. */
enum fg_arbiter_result fg_fleet_store_read(struct fg_fleet_store *store, struct fg_error *err);
void fg_fleet_store_free(struct fg_fleet_store *store); /**< but for `etcd`, `decided` */

/** NULL: etcd has none. */
struct fg_fleet_stored_pool *fg_fleet_store_pool(const struct fg_fleet_store *store, uint64_t item);
/** The same, made when there is none. */
struct fg_fleet_stored_pool *fg_fleet_store_make(struct fg_fleet_store *store, uint64_t item,
                                                 unsigned members);

/**
 * Writes up to FG_FLEET_STORE_PUTS pools, if nothing of them, of the map and of the register of
 * `member` has changed since they were read.
 */
#define FG_FLEET_STORE_PUTS 100
enum fg_arbiter_result fg_fleet_store_write(struct fg_fleet_store *store, unsigned member,
                                            struct fg_fleet_stored_pool *const *pools, unsigned len,
                                            struct fg_error *err);

/** The settings of an item; of revision 0 when etcd has none. */
struct fg_fleet_stored_settings fg_fleet_store_settings(const struct fg_fleet_store *store,
                                                        uint64_t item);
/** Writes up to FG_FLEET_STORE_PUTS of them, if nothing of them and of the map has changed. */
enum fg_arbiter_result fg_fleet_store_write_settings(struct fg_fleet_store *store,
                                                     const struct fg_fleet_stored_settings *list,
                                                     unsigned len, struct fg_error *err);

/** Writes the map, and registers of the members of `moved` that name `logs` and no process, if
 * nothing of them has changed. */
enum fg_arbiter_result fg_fleet_store_decide(struct fg_fleet_store *store,
                                             const struct fg_fleet_map *map, uint32_t moved,
                                             const uint64_t *logs, struct fg_error *err);

#endif
