/* SPDX-License-Identifier: BSD-3-Clause */
#include "fleet/pool.h"

#include <string.h>

typedef unsigned long long ull;

void fg_fleet_pool_first(struct fg_fleet_pool *pool, unsigned members)
{
    FG_ASSERT(members >= 1 && members <= FG_FLEET_MEMBERS_MAX);
    *pool = (struct fg_fleet_pool){.next = 1, .members = members};
}

int64_t fg_fleet_held(const struct fg_fleet_counters *log)
{
    return log->stock + (int64_t)log->leased - (int64_t)log->returned;
}

bool fg_fleet_pool_waits(const struct fg_fleet_pool *pool)
{
    return fg_fleet_pool_oldest(pool) < pool->members;
}

unsigned fg_fleet_pool_oldest(const struct fg_fleet_pool *pool)
{
    unsigned oldest = pool->members;

    for (unsigned m = 0; m < pool->members; m++)
        if (pool->row[m].demand &&
            (oldest == pool->members || pool->row[m].demand < pool->row[oldest].demand))
            oldest = m;
    return oldest;
}

size_t fg_fleet_pool_write(const struct fg_fleet_pool *pool, char text[FG_FLEET_TEXT_MAX])
{
    size_t at = (size_t)snprintf(
        text, FG_FLEET_TEXT_MAX, "floodgate-pool 1 free %llu next %llu %s members %u",
        (ull)pool->free, (ull)pool->next, pool->sold_out ? "sold-out" : "open", pool->members);

    for (unsigned m = 0; m < pool->members; m++) {
        const struct fg_fleet_row *r = &pool->row[m];

        at += (size_t)snprintf(
            text + at, FG_FLEET_TEXT_MAX - at,
            " / %u stock %lld leased %llu in %llu returned %llu in %llu seq %llu empty %llu waits "
            "%llu for %u",
            m, (long long)r->log.stock, (ull)r->log.leased, (ull)r->log.leases,
            (ull)r->log.returned, (ull)r->log.returns, (ull)r->seq, (ull)r->empty, (ull)r->demand,
            r->wanted);
        FG_ASSERT(at < FG_FLEET_TEXT_MAX);
    }
    return at;
}

static bool row_is_sane(const struct fg_fleet_pool *pool, const struct fg_fleet_row *r)
{
    const struct fg_fleet_counters *c = &r->log;
    const int64_t most = (int64_t)FG_FLEET_UNITS_MAX;

    return c->leased <= FG_FLEET_UNITS_MAX && c->returned <= FG_FLEET_UNITS_MAX &&
           c->stock <= most && c->stock >= -most && c->leases <= c->leased &&
           c->returns <= c->returned && !c->leases == !c->leased && !c->returns == !c->returned &&
           fg_fleet_held(c) >= 0 && r->empty <= pool->next && r->demand < pool->next &&
           !r->demand == !r->wanted && !(r->demand && pool->sold_out);
}

bool fg_fleet_pool_is_sane(const struct fg_fleet_pool *pool)
{
    int64_t free = 0;

    if (pool->members < 1 || pool->members > FG_FLEET_MEMBERS_MAX || pool->next < 1 ||
        pool->next > FG_FLEET_UNITS_MAX || pool->free > FG_FLEET_UNITS_MAX ||
        (pool->sold_out && pool->free))
        return false;
    for (unsigned m = 0; m < pool->members; m++) {
        const struct fg_fleet_row *r = &pool->row[m];

        if (!row_is_sane(pool, r))
            return false;
        for (unsigned o = 0; o < m; o++)
            if (r->demand && r->demand == pool->row[o].demand)
                return false;
        free += (int64_t)r->log.returned - (int64_t)r->log.leased;
    }
    return free == (int64_t)pool->free;
}

/* What is written from what was read must be the same text: no sign, space or overflow passes. */
bool fg_fleet_pool_read(struct fg_fleet_pool *pool, const char *text)
{
    char mode[9], again[FG_FLEET_TEXT_MAX];
    ull free, next;
    int end = 0;

    *pool = (struct fg_fleet_pool){0};
    if (strnlen(text, FG_FLEET_TEXT_MAX) == FG_FLEET_TEXT_MAX ||
        sscanf(text, "floodgate-pool 1 free %llu next %llu %8s members %u%n", &free, &next, mode,
               &pool->members, &end) != 4 ||
        pool->members < 1 || pool->members > FG_FLEET_MEMBERS_MAX)
        return false;
    pool->free = free;
    pool->next = next;
    pool->sold_out = strcmp(mode, "sold-out") == 0;
    for (unsigned m = 0; m < pool->members; m++) {
        struct fg_fleet_row *r = &pool->row[m];
        ull leased, leases, returned, returns, seq, empty, demand;
        long long stock;
        unsigned member;
        int len = 0;

        if (sscanf(text + end,
                   " / %u stock %lld leased %llu in %llu returned %llu in %llu seq %llu empty %llu "
                   "waits %llu for %u%n",
                   &member, &stock, &leased, &leases, &returned, &returns, &seq, &empty, &demand,
                   &r->wanted, &len) != 10)
            return false;
        r->log = (struct fg_fleet_counters){stock, leased, leases, returned, returns};
        r->seq = seq;
        r->empty = empty;
        r->demand = demand;
        end += len;
    }
    if (!fg_fleet_pool_is_sane(pool))
        return false;
    fg_fleet_pool_write(pool, again);
    return strcmp(text, again) == 0;
}
