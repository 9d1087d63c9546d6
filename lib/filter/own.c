/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "filter/env.h"
#include "filter/skeleton.h"

#define SALTS_MAX 65536 /* one in some thousand fails for 64 addresses in 256 cells */

static struct fg_filter_own_cell cell_of(uint8_t family, const uint8_t *bytes)
{
    uint32_t words[4];

    memcpy(words, bytes, family == 4 ? 4 : 16);
    if (family == 4)
        return (struct fg_filter_own_cell){FG_FILTER_OWN_HI_4, FG_FRAME_BE32(words[0])};
    return (struct fg_filter_own_cell){fg_filter_be64(words[0], words[1]),
                                       fg_filter_be64(words[2], words[3])};
}

static bool insert(struct fg_filter_own_table *table, struct fg_filter_own_cell wanted)
{
    uint64_t at = fg_filter_own_hash(wanted.hi, wanted.lo, table->salt);

    for (unsigned i = 0; i < FG_FILTER_OWN_PROBES; i++) {
        struct fg_filter_own_cell *cell = &table->cell[at + i];

        if (cell->hi == wanted.hi && cell->lo == wanted.lo)
            return true;
        if (cell->hi == UINT64_MAX && cell->lo == UINT64_MAX) {
            *cell = wanted;
            return true;
        }
    }
    return false;
}

static bool insert_all(struct fg_filter_own_table *table, const struct fg_filter_own_addresses *own,
                       uint64_t salt)
{
    memset(table->cell, 0xff, sizeof(table->cell));
    table->salt = salt;
    for (unsigned i = 0; i < own->addresses; i++)
        if (!insert(table, cell_of(own->address[i].family, own->address[i].bytes)))
            return false;
    return true;
}

static bool fill(struct fg_filter_own_table *table, const struct fg_filter_own_addresses *own,
                 struct fg_error *err)
{
    uint64_t salt = 0;

    memset(table->mac, 0, sizeof(table->mac));
    for (unsigned i = 0; i < own->macs; i++)
        table->mac[i] = fg_filter_own_mac(own->mac[i]);
    while (!insert_all(table, own, salt))
        if (++salt == SALTS_MAX)
            return fg_fail(err, "filter: no room for %u own addresses", own->addresses);
    return true;
}

/* The program may read the table in force meanwhile: the other one is filled. */
bool fg_filter_own_change(struct fg_filter_own *map, const struct fg_filter_own_addresses *own,
                          struct fg_error *err)
{
    uint32_t next = !map->active;

    if (own) {
        if (own->macs > FG_FILTER_OWN_MACS || own->addresses > FG_FILTER_OWN_ADDRESSES)
            return fg_fail(err,
                           "filter: %u MAC and %u IP addresses, but there is room for %d and %d",
                           own->macs, own->addresses, FG_FILTER_OWN_MACS, FG_FILTER_OWN_ADDRESSES);
        if (!fill(&map->table[next], own, err))
            return false;
        __atomic_store_n(&map->active, next, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&map->checked, own != NULL, __ATOMIC_RELEASE);
    return true;
}

void fg_filter_servers_change(struct fg_filter_own *map, const struct fg_filter_servers *servers)
{
    for (unsigned i = 0; i < FG_FILTER_SERVERS; i++) {
        struct fg_filter_own_cell cell = {UINT64_MAX, UINT64_MAX};

        if (i < servers->count)
            cell = cell_of(servers->address[i].family, servers->address[i].bytes);
        __atomic_store_n(&map->server[i].hi, cell.hi, __ATOMIC_RELEASE);
        __atomic_store_n(&map->server[i].lo, cell.lo, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&map->servers, servers->count, __ATOMIC_RELEASE);
}

static struct fg_filter_own *map_own(struct fg_bpf *bpf, struct fg_error *err)
{
    struct fg_filter_own *map = mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED,
                                     bpf_map__fd(bpf->maps.fg_own), 0);

    if (map != MAP_FAILED)
        return map;
    fg_fail(err, "cannot map the own addresses of the filter: %s", strerror(errno));
    return NULL;
}

bool fg_filter_servers_write(struct fg_bpf *bpf, const struct fg_filter_servers *servers,
                             struct fg_error *err)
{
    struct fg_filter_own *map = map_own(bpf, err);

    if (!map)
        return false;
    fg_filter_servers_change(map, servers);
    munmap(map, sizeof(*map));
    return true;
}

bool fg_filter_own_write(struct fg_bpf *bpf, const struct fg_filter_own_addresses *own,
                         struct fg_error *err)
{
    struct fg_filter_own *map = map_own(bpf, err);
    bool done;

    if (!map)
        return false;
    done = fg_filter_own_change(map, own, err);
    munmap(map, sizeof(*map));
    return done;
}
