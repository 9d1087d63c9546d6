/* SPDX-License-Identifier: BSD-3-Clause */
#include "fleet/mend.h"

#include "fleet/internal.h"

typedef long long ll;

static bool older(const struct fg_fleet_row *row, unsigned member, const struct fg_fleet_past *past,
                  struct fg_error *err)
{
    return fg_fail(err,
                   "the log of member %u contradicts the pool in etcd: it ends with record %lld, "
                   "leased %lld in %lld, returned %lld in %lld; the pool: record %lld, leased %lld "
                   "in %lld, returned %lld in %lld",
                   member, (ll)past->seq, (ll)past->log.leased, (ll)past->log.leases,
                   (ll)past->log.returned, (ll)past->log.returns, (ll)row->seq, (ll)row->log.leased,
                   (ll)row->log.leases, (ll)row->log.returned, (ll)row->log.returns);
}

static void forget_demand(struct fg_fleet_row *row)
{
    row->demand = 0;
    row->wanted = 0;
}

/* Returns of a settled member are its own and one more. */
static bool is_settled(const struct fg_fleet_row *row, const struct fg_fleet_past *past)
{
    return row->log.stock == past->log.stock && fg_fleet_held(&row->log) == past->taken &&
           !row->demand;
}

bool fg_fleet_settle(struct fg_fleet_pool *pool, unsigned member, const struct fg_fleet_past *past,
                     uint64_t *freed, struct fg_error *err)
{
    struct fg_fleet_row *row = &pool->row[member], before = *row;
    int64_t left;

    *freed = 0;
    if (row->seq > past->seq)
        return older(row, member, past, err);
    if (is_settled(row, past))
        return true;
    if (fg_fleet_difference(&row->log, &past->log) != FG_FLEET_REASON_NONE)
        return older(row, member, past, err);
    row->log.stock = past->log.stock;
    left = fg_fleet_held(&row->log) - past->taken;
    if (left < 0) {
        *row = before;
        return fg_fail(err, "the log of member %u sold %lld units more than the pool says it holds",
                       member, (ll)-left);
    }
    row->log.returned += (uint64_t)left;
    row->log.returns += left > 0;
    row->seq = past->seq;
    forget_demand(row);
    pool->free += (uint64_t)left;
    if (pool->free)
        pool->sold_out = false;
    *freed = (uint64_t)left;
    return true;
}

void fg_fleet_write_off(struct fg_fleet_pool *pool, unsigned member)
{
    forget_demand(&pool->row[member]);
}

/* An etcd that was restored lacks leases and returns; it never has more than the logs but one
 * lease, whose units were never sold. Of a retired member it may have what settled it, too. */
static bool is_older_log(const struct fg_fleet_row *row, const struct fg_fleet_past *past,
                         bool retired)
{
    return row->seq > past->seq ||
           (!retired && fg_fleet_difference(&row->log, &past->log) == FG_FLEET_REASON_OLD_LOG);
}

bool fg_fleet_rebuild(struct fg_fleet_pool *pool, const struct fg_fleet_past *pasts,
                      unsigned members, uint32_t retired, const struct fg_fleet_pool *old,
                      struct fg_error *err)
{
    int64_t free = 0, left;

    fg_fleet_pool_first(pool, members);
    for (unsigned m = 0; m < members; m++) {
        struct fg_fleet_row *row = &pool->row[m];

        row->log = pasts[m].log;
        row->seq = pasts[m].seq;
        if (old && is_older_log(&old->row[m], &pasts[m], retired & 1u << m))
            return older(&old->row[m], m, &pasts[m], err);
        left = fg_fleet_held(&row->log) - pasts[m].taken;
        if (left < 0)
            return fg_fail(err, "the log of member %u sold %lld units more than it ever had", m,
                           (ll)-left);
        if (retired & 1u << m) {
            row->log.returned += (uint64_t)left;
            row->log.returns += left > 0;
        }
        free += (int64_t)row->log.returned - (int64_t)row->log.leased;
    }
    if (free < 0)
        return fg_fail(err,
                       "the members leased %lld units more than were returned: a log is missing, "
                       "or older than the others",
                       (ll)-free);
    pool->free = (uint64_t)free;
    return fg_fleet_pool_is_sane(pool) || fg_fail(err, "the numbers of the logs do not add up");
}
