/* SPDX-License-Identifier: BSD-3-Clause */
/* What must hold. Knows the logs, the pools and what was told; reads pools by the library's parser,
 * which the unit tests check by themselves. */
#include "fleet_world.h"

void sim_fail(struct sim_world *w, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    sim_note(w->failure, w->now_ms, format, args);
    va_end(args);
}

static void pool_of(const struct sim_world *w, unsigned item, struct fg_fleet_pool *pool)
{
    if (!fg_fleet_pool_read(pool, w->value[SIM_POOL + item].text))
        fg_fleet_pool_first(pool, w->members);
}

/* No more is sold than there is, by all logs; and no member sells more than the pool gave it. */
void sim_check_units(struct sim_world *w)
{
    for (unsigned i = 0; i < ITEMS && !w->was_restored; i++) {
        struct fg_fleet_pool pool;
        int64_t stock = 0, taken = 0;

        pool_of(w, i, &pool);
        for (unsigned m = 0; m < w->members; m++) {
            const struct fg_fleet_counters *c = &pool.row[m].log;
            int64_t here = sim_stock(&w->member[m], i), sold = sim_taken(&w->member[m], i);

            stock += here;
            taken += sold;
            if (sold > here + (int64_t)c->leased - (int64_t)c->returned && !w->member[m].retired)
                sim_fail(w, "member %u sold %lld units of item %u, and holds fewer", m,
                         (long long)sold, i);
        }
        if (taken > stock)
            sim_fail(w, "item %u: %lld units sold of %lld", i, (long long)taken, (long long)stock);
    }
}

/* Units that are free at a member: of a dead one, by its log. */
static int64_t free_at(const struct sim_world *w, unsigned m, unsigned item,
                       const struct fg_fleet_pool *pool)
{
    const struct fg_fleet_counters *c = &pool->row[m].log;

    return sim_stock(&w->member[m], item) + (int64_t)c->leased - (int64_t)c->returned -
           sim_taken(&w->member[m], item);
}

static void check_nothing_free(struct sim_world *w, unsigned item, const struct fg_fleet_pool *pool)
{
    w->sold_outs++;
    for (unsigned n = 0; n < w->members; n++) {
        const struct sim_member *m = &w->member[n];
        uint64_t said = pool->row[n].empty;
        int64_t loose;

        if (m->retired || said >= RECALLS_MAX)
            continue;
        loose = m->recalled[item][said] ? (int64_t)(m->freed[item] - m->freed_at[item][said]) : 0;
        /* what is being given back right now counts from when it was asked for */
        for (uint64_t i = m->committed; i < m->written; i++)
            if (m->log[i].item == item &&
                (m->log[i].type == SIM_BACK || m->log[i].type == SIM_STOCK))
                loose += m->log[i].units;
        if (free_at(w, n, item, pool) > loose)
            sim_fail(w, "item %u is sold out, and member %u has %lld free (%lld came back)", item,
                     n, (long long)free_at(w, n, item, pool), (long long)loose);
    }
}

void sim_check_pool(struct sim_world *w, unsigned item, const char *before)
{
    struct fg_fleet_pool pool, old;

    if (!fg_fleet_pool_read(&pool, w->value[SIM_POOL + item].text)) {
        sim_fail(w, "item %u: the pool does not add up", item);
        return;
    }
    if (!fg_fleet_pool_read(&old, before))
        fg_fleet_pool_first(&old, w->members);
    if (pool.sold_out && !old.sold_out)
        check_nothing_free(w, item, &pool);
    for (unsigned m = 0; m < w->members; m++)
        if (pool.row[m].log.leases > old.row[m].log.leases && fg_fleet_pool_oldest(&old) < m &&
            old.row[m].demand == 0 && old.row[fg_fleet_pool_oldest(&old)].demand &&
            pool.row[fg_fleet_pool_oldest(&old)].demand)
            sim_fail(w, "item %u: member %u leases before an older demand", item, m);
}

/* All stock is in orders. */
bool sim_all_sold(struct sim_world *w)
{
    for (unsigned i = 0; i < ITEMS; i++) {
        int64_t left = 0;

        for (unsigned m = 0; m < w->members; m++) {
            if (w->member[m].lost && !w->member[m].retired) /* its units are frozen */
                continue;
            left += sim_stock(&w->member[m], i) - sim_taken(&w->member[m], i);
        }
        for (unsigned m = 0; m < w->members; m++)
            if (w->member[m].lost && !w->member[m].retired) {
                struct fg_fleet_pool pool;

                pool_of(w, i, &pool);
                left -= (int64_t)pool.row[m].log.leased - (int64_t)pool.row[m].log.returned;
            }
        if (left)
            return false;
    }
    return true;
}

void sim_check_limits(struct sim_world *w)
{
    for (unsigned i = 0; i < ITEMS; i++) {
        int64_t units[USERS] = {0};

        for (unsigned m = 0; m < w->members; m++)
            for (uint64_t n = 0; n < w->member[m].written; n++) {
                const struct sim_record *r = &w->member[m].log[n];

                if (r->type == SIM_TAKE && !r->over && r->item == i && r->user < USERS)
                    units[r->user] += r->units;
            }
        for (unsigned u = 0; u < USERS; u++)
            if (units[u] > USER_LIMIT)
                sim_fail(w, "user %u has %lld units of item %u", u, (long long)units[u], i);
    }
}
