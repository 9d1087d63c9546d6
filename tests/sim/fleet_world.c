/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults, shoppers, and what persons do. */
#include "fleet_world.h"

uint64_t sim_random(struct sim_world *w, uint64_t below)
{
    return sim_draw(&w->random, below);
}

bool sim_chance(struct sim_world *w, unsigned in_million)
{
    return sim_random(w, 1000000) < in_million;
}

static uint64_t later(struct sim_world *w, uint64_t most_ms)
{
    return w->now_ms + 1 + sim_random(w, most_ms);
}

/* ---- persons --------------------------------------------------------------------------------- */

/* etcd is restored, once all members know something newer. */
static void restore(struct sim_world *w)
{
    if (!w->copy_store && w->now_ms > 1000) {
        memcpy(w->copy, w->value, sizeof(w->copy));
        w->copy_store = w->store;
    }
    for (unsigned i = 0; i < w->members; i++)
        if (w->member[i].memory <= w->copy_store + 20)
            return;
    if (!w->copy_store || w->was_restored)
        return;
    for (unsigned i = 0; i < w->members; i++) {
        if (w->member[i].fleet)
            sim_crash(w, &w->member[i]);
        w->member[i].life++;
    }
    memset(w->calls, 0, sizeof(w->calls));
    memcpy(w->value, w->copy, sizeof(w->value));
    w->store = w->copy_store + 3;
    w->was_restored = true;
}

/* A member that is powered off for good: what it has free, by its log, goes to the others. */
static void retire(struct sim_world *w, struct sim_member *m)
{
    char text[FG_FLEET_TEXT_MAX];

    m->retired = true;
    for (unsigned i = 0; i < ITEMS; i++) {
        struct fg_fleet_pool pool;
        struct fg_fleet_row *row = &pool.row[m->index];
        int64_t left;

        if (!fg_fleet_pool_read(&pool, w->value[SIM_POOL + i].text))
            fg_fleet_pool_first(&pool, w->members);
        row->log.stock = sim_stock(m, i);
        left = fg_fleet_held(&row->log) - sim_taken(m, i);
        FG_ASSERT(left >= 0);
        row->demand = row->wanted = 0;
        row->log.returned += (uint64_t)left;
        row->log.returns += left > 0;
        pool.free += (uint64_t)left;
        if (pool.free)
            pool.sold_out = false;
        fg_fleet_pool_write(&pool, text);
        sim_write(w, SIM_POOL + i, text);
    }
    w->map.retired |= 1u << m->index;
    fg_fleet_map_write(&w->map, text);
    sim_write(w, SIM_MAP, text);
}

static void freeze(struct sim_world *w, bool frozen)
{
    char text[FG_FLEET_TEXT_MAX];

    w->map.frozen = frozen;
    fg_fleet_map_write(&w->map, text);
    if (!w->was_restored)
        sim_write(w, SIM_MAP, text);
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void faults(struct sim_world *w)
{
    struct sim_member *m = &w->member[sim_random(w, w->members)];

    if (sim_chance(w, 1000) && m->fleet)
        sim_crash(w, m);
    if (sim_chance(w, 700) && m->fleet && m->paused_ms <= w->now_ms && !w->was_restored)
        sim_take_over(w, m);
    if (sim_chance(w, 600) && m->fleet)
        m->paused_ms = later(w, 1500);
    if (sim_chance(w, 400))
        m->away_ms = later(w, 2500);
    if (sim_chance(w, 150))
        w->down_ms = later(w, 1500);
    if (sim_chance(w, 100))
        freeze(w, !w->map.frozen);
    if (w->restores && sim_chance(w, 1000))
        restore(w);
    if (w->retires && w->now_ms > 2000 && !w->lost_ms && m->fleet && !m->ghost) {
        sim_crash(w, m);
        m->lost = true;
        w->lost_ms = later(w, 3000);
    }
    for (unsigned i = 0; i < w->members && w->lost_ms && w->lost_ms < w->now_ms; i++)
        if (w->member[i].lost && !w->member[i].retired)
            retire(w, &w->member[i]);
}

static void shoppers(struct sim_world *w)
{
    if (w->now_ms >= w->burst_ms)
        w->burst_ms = w->now_ms + 300 + sim_random(w, 1200);
    for (unsigned n = 0; n < 3; n++) {
        unsigned user = (unsigned)sim_random(w, USERS);
        struct sim_member *m = &w->member[sim_chance(w, 900000) ? fg_fleet_owner(&w->map, user)
                                                                : sim_random(w, w->members)];
        unsigned item = (unsigned)sim_random(w, ITEMS);
        uint32_t units = 1 + (uint32_t)sim_random(w, sim_chance(w, 300000) ? 4 : 1);

        if ((!w->calm && w->burst_ms > w->now_ms + 300) || !sim_chance(w, 60000))
            continue;
        if (w->calm) { /* whoever likes, without a limit, one unit */
            m = &w->member[sim_random(w, w->members)];
            for (user = USERS; fg_fleet_owner(&w->map, user) != m->index;)
                user++;
            units = 1;
        }
        if (m->fleet && m->paused_ms <= w->now_ms)
            sim_ask(w, m, item, units, user);
    }
}

/* More requests at once at one member than the pool may have units. */
static void crowd(struct sim_world *w)
{
    struct sim_member *m = &w->member[sim_random(w, w->members)];
    unsigned item = (unsigned)sim_random(w, ITEMS), user = USERS;

    while (fg_fleet_owner(&w->map, user) != m->index)
        user++;
    for (unsigned n = 0; n < QUEUE_MAX && m->fleet && m->paused_ms <= w->now_ms; n++)
        sim_ask(w, m, item, 1 + (uint32_t)sim_random(w, 4), user);
}

/* ---- a run ----------------------------------------------------------------------------------- */

void sim_begin(struct sim_world *w, uint64_t seed)
{
    char text[FG_FLEET_TEXT_MAX];

    memset(w, 0, sizeof(*w));
    w->seed = w->random = w->watch_random = seed;
    w->now_ms = 1;
    w->members = 2 + (unsigned)sim_random(w, 3);
    w->restores = seed % 8 == 6;
    w->retires = seed % 8 == 3;
    w->plenty = seed % 3 == 0;
    w->watches = seed % 2 == 1;
    w->deaf = seed % 4 == 3;
    fg_fleet_map_first(&w->map, w->members, SHARDS);
    for (unsigned i = 0; i < MEMBERS_MAX; i++) {
        w->member[i].index = i;
        snprintf(w->value[i].key, FG_FLEET_KEY_MAX, "pair/%u/register", i);
    }
    for (unsigned i = 0; i < ITEMS; i++)
        fg_fleet_key(w->value[SIM_POOL + i].key, i + 1);
    strcpy(w->value[SIM_MAP].key, FG_FLEET_MAP_KEY);
    fg_fleet_map_write(&w->map, text);
    sim_write(w, SIM_MAP, text);
    for (unsigned i = 0; i < w->members; i++) {
        struct sim_member *m = &w->member[i];

        for (unsigned item = 0; item < ITEMS; item++)
            if (sim_chance(w, 700000))
                m->log[m->written++] = (struct sim_record){
                    .type = SIM_STOCK,
                    .item = (uint8_t)item,
                    .units =
                        1 + (int64_t)sim_random(w, w->plenty && sim_chance(w, 500000) ? 200 : 5)};
        m->committed = m->done = m->written;
        m->start_ms = 1 + sim_random(w, 300);
    }
}

void sim_end(struct sim_world *w)
{
    for (unsigned i = 0; i < w->members; i++) {
        fg_fleet_destroy(w->member[i].fleet);
        fg_fleet_destroy(w->member[i].ghost);
    }
}

void sim_mend(struct sim_world *w)
{
    w->calm = true;
    w->down_ms = 0;
    if (w->map.frozen)
        freeze(w, false);
    for (unsigned i = 0; i < w->members; i++) {
        struct sim_member *m = &w->member[i];

        m->paused_ms = m->away_ms = 0;
        for (uint64_t r = 0; r < m->written; r++)
            if (m->log[r].cancel_ms && m->log[r].cancel_ms > w->now_ms)
                m->log[r].cancel_ms = m->log[r].over ? m->log[r].cancel_ms : 0;
        if (m->lost && !m->retired)
            retire(w, m);
    }
}

void sim_tick(struct sim_world *w)
{
    w->now_ms++;
    if (!w->calm)
        faults(w);
    sim_etcd_tick(w);
    for (unsigned i = 0; i < w->members; i++)
        sim_member_tick(w, &w->member[i]);
    shoppers(w);
    if (w->plenty && !w->calm && sim_chance(w, 3000))
        crowd(w);
    if (w->now_ms % 16 == 0)
        sim_check_units(w);
}
