/* SPDX-License-Identifier: BSD-3-Clause */
/* One item of one member: the pool as it is known, the log, and the bank. */
#include "fleet/internal.h"

#include <string.h>

static const struct fg_fleet_row *own_row(const struct fg_fleet *f, const struct fg_fleet_entry *it)
{
    return &it->pool.row[f->member];
}

/* ---- values of etcd -------------------------------------------------------------------------- */

void fg_fleet_adopt(struct fg_fleet *f, uint32_t item, int64_t revision,
                    const struct fg_fleet_pool *pool)
{
    struct fg_fleet_entry *it = &f->entries[item];

    for (unsigned m = 0; m < pool->members && it->revision; m++)
        if (memcmp(&pool->row[m], &it->pool.row[m], sizeof(pool->row[m])) != 0)
            f->silent &= ~(1u << m);
    if (pool->row[f->member].demand != it->pool.row[f->member].demand || !it->revision)
        it->demanded_ms = f->now_ms;
    it->pool = *pool;
    it->revision = revision;
    it->changed_ms = f->now_ms;
    f->counted.damaged_items -= it->damaged;
    it->damaged = false;
    if (f->read)
        fg_fleet_step(it, FG_FLEET_EVENT_READ);
    fg_fleet_queue(f, item);
}

/* By how much pool and log may differ after a crash is one lease, and one return. */
enum fg_fleet_reason fg_fleet_difference(const struct fg_fleet_counters *pool,
                                         const struct fg_fleet_counters *log)
{
    if (pool->leases < log->leases || pool->returns + 1 < log->returns)
        return FG_FLEET_REASON_RESTORED;
    if (pool->leases > log->leases + 1 || pool->returns > log->returns)
        return FG_FLEET_REASON_OLD_LOG;
    if ((pool->leases == log->leases) != (pool->leased == log->leased) ||
        (pool->returns == log->returns) != (pool->returned == log->returned) ||
        pool->leased < log->leased || pool->returned > log->returned)
        return FG_FLEET_REASON_OLD_LOG;
    return FG_FLEET_REASON_NONE;
}

static bool contradicts(struct fg_fleet *f, const struct fg_fleet_entry *it)
{
    enum fg_fleet_reason reason = own_row(f, it)->seq > f->log_seq
                                      ? FG_FLEET_REASON_OLD_LOG
                                      : fg_fleet_difference(&own_row(f, it)->log, &it->log);

    if (reason != FG_FLEET_REASON_NONE)
        fg_fleet_stop(f, reason);
    return reason != FG_FLEET_REASON_NONE;
}

void fg_fleet_compare(struct fg_fleet *f)
{
    for (uint32_t i = 0; i < f->items_max; i++)
        if (f->entries[i].id && !f->entries[i].damaged && contradicts(f, &f->entries[i]))
            return;
}

/* The pool is ahead of the log: what it is ahead by is the lease, whatever was asked for. */
static void lease(struct fg_fleet *f, uint32_t item)
{
    struct fg_fleet_entry *it = &f->entries[item];

    if (own_row(f, it)->log.leases == it->log.leases || !fg_fleet_step(it, FG_FLEET_EVENT_AHEAD))
        return;
    it->recalled = 0;
    fg_fleet_list(f, item, FG_FLEET_OUT_LEASE);
}

/* ---- what is free here ----------------------------------------------------------------------- */

/* Somebody asked, or will, for what this member may hold. */
static bool is_scarce(const struct fg_fleet *f, const struct fg_fleet_entry *it)
{
    bool waits = fg_fleet_pool_waits(&it->pool);
    uint64_t said = own_row(f, it)->empty > it->recalled ? own_row(f, it)->empty : it->recalled;

    if (it->bank_free &&
        (waits || it->pool.sold_out || it->share || (it->pool.free == 0 && said < it->pool.next)))
        return true;
    return waits && said < it->pool.next;
}

/* One return at a time: the pool must have the last one. */
static void recall(struct fg_fleet *f, uint32_t item)
{
    struct fg_fleet_entry *it = &f->entries[item];

    if (!fg_fleet_in_step(f, it) || own_row(f, it)->log.returned != it->log.returned ||
        !is_scarce(f, it) || !fg_fleet_step(it, FG_FLEET_EVENT_SCARCE))
        return;
    it->recalling = it->pool.next;
    it->share = false;
    fg_fleet_list(f, item, FG_FLEET_OUT_RECALL);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void refuse(struct fg_fleet *f, uint32_t item, enum fg_fleet_refusal refusal, uint64_t left)
{
    struct fg_fleet_entry *it = &f->entries[item];

    it->refusal = refusal;
    it->left = left;
    it->least = 0; /* until the bank says what comes next */
    f->counted.busy += refusal == FG_FLEET_REFUSAL_BUSY;
    fg_fleet_list(f, item, FG_FLEET_OUT_REFUSE);
}

/* A member that should say that it is empty, and does not. */
static bool somebody_is_silent(struct fg_fleet *f, const struct fg_fleet_entry *it)
{
    uint64_t demand = own_row(f, it)->demand;
    bool late = f->now_ms - it->demanded_ms >= f->timing.silent_ms, found = false;

    for (unsigned m = 0; m < it->pool.members; m++) {
        if (m == f->member || !fg_fleet_is_live(f, m) || it->pool.row[m].empty > demand)
            continue;
        if (late)
            f->silent |= 1u << m;
        found |= (f->silent & 1u << m) != 0;
    }
    return found;
}

static void refuse_busy(struct fg_fleet *f, uint32_t item)
{
    struct fg_fleet_entry *it = &f->entries[item];
    bool stuck = f->away || it->damaged || fg_fleet_reason_now(f) != FG_FLEET_REASON_NONE;

    if (!fg_fleet_wants(it) || it->state == FG_FLEET_STATE_LEASING)
        return;
    if (!stuck && fg_fleet_in_step(f, it) && own_row(f, it)->demand &&
        fg_fleet_pool_oldest(&it->pool) == f->member && it->pool.free < it->least)
        stuck = somebody_is_silent(f, it);
    if (stuck)
        refuse(f, item, FG_FLEET_REFUSAL_BUSY, 0);
}

bool fg_fleet_work(struct fg_fleet *f, uint32_t item)
{
    struct fg_fleet_entry *it = &f->entries[item];
    struct fg_fleet_pool changed;
    bool insufficient;

    if (fg_fleet_is_sold_out(f, it) != it->told)
        fg_fleet_list(f, item, FG_FLEET_OUT_TELL);
    refuse_busy(f, item);
    if (it->damaged || it->state == FG_FLEET_STATE_UNREAD ||
        fg_fleet_reason_now(f) != FG_FLEET_REASON_NONE)
        return fg_fleet_wants(it);
    if (contradicts(f, it))
        return false;
    lease(f, item);
    recall(f, item);
    return fg_fleet_wants(it) || fg_fleet_pool_waits(&it->pool) ||
           fg_fleet_rules(f, it, &changed, &insufficient);
}
