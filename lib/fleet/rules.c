/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a member may change in the pool of an item, one rule a function (docs/fleet.md). The rules
 * that apply are carried out in their order on one copy of the pool, and written by one swap.
 */
#include "fleet/internal.h"

#define SHARE_OF_FREE 4  /* a lease takes 1 / (4 * members) of what is left beside its wishes */
#define SCARCE_BELOW  16 /* units a member: below, the last units go one by one */

struct change {
    const struct fg_fleet *f;
    const struct fg_fleet_entry *it;
    struct fg_fleet_pool *pool;
    struct fg_fleet_row *own;
    bool insufficient;
};

bool fg_fleet_wants(const struct fg_fleet_entry *it)
{
    return it->least > it->bank_free;
}

uint64_t fg_fleet_missing(const struct fg_fleet_entry *it)
{
    return it->least - it->bank_free;
}

bool fg_fleet_in_step(const struct fg_fleet *f, const struct fg_fleet_entry *it)
{
    return it->state == FG_FLEET_STATE_READY &&
           it->pool.row[f->member].log.leases == it->log.leases;
}

static unsigned live_members(const struct fg_fleet *f)
{
    return f->map.members - (unsigned)__builtin_popcount(f->map.retired);
}

static void forget_demand(struct fg_fleet_row *row)
{
    row->demand = 0;
    row->wanted = 0;
}

static bool others_wait(const struct change *c)
{
    for (unsigned m = 0; m < c->pool->members; m++)
        if (m != c->f->member && c->pool->row[m].demand)
            return true;
    return false;
}

/* Units that other members wait for. */
static uint64_t demanded(const struct change *c)
{
    uint64_t units = 0;

    for (unsigned m = 0; m < c->pool->members; m++)
        if (m != c->f->member && c->pool->row[m].demand)
            units += c->pool->row[m].wanted;
    return units;
}

/* The committed numbers of the log, and that nothing is free here. */
static bool give(struct change *c)
{
    const struct fg_fleet_counters *log = &c->it->log;
    struct fg_fleet_row *own = c->own;
    bool news = own->log.stock != log->stock || own->log.returned != log->returned;

    if (!news && c->it->recalled <= own->empty)
        return false;
    c->pool->free += log->returned - own->log.returned;
    own->log.stock = log->stock;
    own->log.returned = log->returned;
    own->log.returns = log->returns;
    if (c->it->recalled > own->empty)
        own->empty = c->it->recalled;
    if (c->pool->free)
        c->pool->sold_out = false;
    return true;
}

/* The oldest demand does not move: its member is silent, or retired. */
static bool drop(struct change *c)
{
    unsigned oldest = fg_fleet_pool_oldest(c->pool);

    if (oldest == c->pool->members || oldest == c->f->member ||
        (!c->own->demand && !fg_fleet_wants(c->it)))
        return false;
    if (fg_fleet_is_live(c->f, oldest) && c->f->now_ms - c->it->changed_ms < c->f->timing.silent_ms)
        return false;
    forget_demand(&c->pool->row[oldest]);
    return true;
}

static bool leave(struct change *c)
{
    if (!c->own->demand || fg_fleet_wants(c->it))
        return false;
    forget_demand(c->own);
    return true;
}

static uint64_t surplus(const struct change *c, uint64_t left)
{
    unsigned members = live_members(c->f);

    return left < (uint64_t)SCARCE_BELOW * members ? 0 : left / (SHARE_OF_FREE * members);
}

/* The other requests of the queue, when that leaves as much as the others wait for; else a share of
 * what is left, so that a queue longer than the pool is not served one request at a time. */
static uint64_t beside(const struct change *c, uint64_t missing, bool alone)
{
    uint64_t left = c->pool->free - missing, others = demanded(c);
    uint64_t spare = left > others ? left - others : 0;
    uint64_t queue = c->it->wanted > c->it->least ? c->it->wanted - c->it->least : 0;

    if (queue > spare)
        return surplus(c, spare);
    return queue + (alone ? surplus(c, spare - queue) : 0);
}

/* While others wait, the oldest demand takes its whole request, from an empty bank. */
static bool take(struct change *c)
{
    uint64_t units;
    bool alone = !others_wait(c), waited = c->own->demand != 0;

    if (!fg_fleet_wants(c->it) || c->pool->sold_out ||
        (!alone && fg_fleet_pool_oldest(c->pool) != c->f->member) ||
        ((waited || !alone) && c->it->bank_free))
        return false;
    units = fg_fleet_missing(c->it);
    if (c->pool->free < units)
        return false;
    units += beside(c, units, alone);
    if (units > FG_FLEET_UNITS_AT_ONCE)
        units = FG_FLEET_UNITS_AT_ONCE;
    c->pool->free -= units;
    c->own->log.leased += units;
    c->own->log.leases++;
    c->own->empty = 0;
    forget_demand(c->own);
    return true;
}

static bool all_are_empty(const struct change *c)
{
    for (unsigned m = 0; m < c->pool->members; m++)
        if (fg_fleet_is_live(c->f, m) && c->pool->row[m].empty <= c->own->demand)
            return false;
    return true;
}

/* Every member gave what was free, and it is not enough. */
static bool over(struct change *c)
{
    if (!fg_fleet_wants(c->it) || !c->own->demand || c->it->bank_free ||
        fg_fleet_pool_oldest(c->pool) != c->f->member || c->pool->free >= fg_fleet_missing(c->it) ||
        !all_are_empty(c))
        return false;
    if (c->pool->free) {
        c->insufficient = true;
        forget_demand(c->own);
        return true;
    }
    c->pool->sold_out = true;
    for (unsigned m = 0; m < c->pool->members; m++)
        forget_demand(&c->pool->row[m]);
    return true;
}

static bool enter(struct change *c)
{
    if (!fg_fleet_wants(c->it) || c->own->demand || c->pool->sold_out || c->insufficient ||
        (c->pool->free >= fg_fleet_missing(c->it) && !others_wait(c)))
        return false;
    c->own->demand = c->pool->next++;
    c->own->wanted = c->it->least;
    return true;
}

bool fg_fleet_rules(const struct fg_fleet *f, const struct fg_fleet_entry *it,
                    struct fg_fleet_pool *pool, bool *insufficient)
{
    static bool (*const rules[])(struct change *) = {give, drop, leave, take, over, enter};
    struct change c = {f, it, pool, &pool->row[f->member], false};
    bool changed = false;

    *pool = it->pool;
    for (size_t i = 0; fg_fleet_in_step(f, it) && i < sizeof(rules) / sizeof(rules[0]); i++) {
        changed |= rules[i](&c);
        if (c.own->log.leases != it->log.leases)
            break; /* the lease is to be recorded first */
    }
    if (changed)
        c.own->seq = f->log_seq;
    *insufficient = c.insufficient;
    return changed;
}
