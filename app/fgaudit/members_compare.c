/* SPDX-License-Identifier: BSD-3-Clause */
/* The logs of a fleet's members, against the pools and against each other. */
#include <inttypes.h>
#include <string.h>

#include "members.h"

static bool is_retired(const struct fg_members *f, unsigned m)
{
    return (f->pools.retired & 1u << m) != 0;
}

/* ---- a member's row of a pool against its log ------------------------------------------------ */

static bool had_stock(const struct fg_story *s, const struct fg_item *i, int64_t stock,
                      uint64_t seq)
{
    if (stock == 0 || (i && stock == fg_item_added(i)) || (s->begin_seq && seq <= s->begin_seq))
        return true;
    for (uint32_t k = 0; i && k < i->stock_count; k++)
        if (i->stocks[k] == stock)
            return true;
    return false;
}

/* NULL, or what contradicts. Sets what is under way. */
static const char *lease_fault(const struct fg_pool_row *r, struct fg_members_units *u)
{
    if (r->leases == u->leases)
        return r->leased == u->leased ? NULL : "leased other units";
    if (r->leases < u->leases)
        return "has a lease that the pool lacks";
    if (r->leases > u->leases + 1)
        return "lacks more than one lease of the pool";
    if (r->leased <= u->leased)
        return "lacks a lease of no unit";
    u->leasing = r->leased - u->leased;
    return NULL;
}

static const char *return_fault(const struct fg_pool_row *r, struct fg_members_units *u)
{
    if (r->returns == u->returns)
        return r->returned == u->returned ? NULL : "returned other units";
    if (r->returns > u->returns)
        return "lacks a return of the pool";
    if (r->returns + 1 < u->returns)
        return "has more than one return that the pool lacks";
    if (r->returned >= u->returned)
        return "has a return of no unit";
    u->returning = u->returned - r->returned;
    return NULL;
}

/* Its units were settled from its log: what is not sold is free, also of what was under way; or
 * they were written off, and stay where they are, also those of a return that was under way. */
static const char *retired_fault(const struct fg_pool_row *r, struct fg_members_units *u)
{
    int64_t held = r->stock + (int64_t)r->leased - (int64_t)r->returned;
    int64_t had = (u->added > r->stock ? u->added : r->stock) + (int64_t)r->leased -
                  (int64_t)(u->returned < r->returned ? u->returned : r->returned);

    if (r->leases < u->leases || r->leased < u->leased)
        return "has a lease that the pool lacks";
    if (held < u->sold + u->refunded)
        return "sold units that were given to others when it was retired";
    if (held > had)
        return "holds more in the pool than its log ever had";
    u->leasing = r->leased - u->leased;
    u->settled = r->returned > u->returned ? r->returned - u->returned : 0;
    return NULL;
}

static void compare_row(struct fg_members *f, unsigned m, const struct fg_pool *pool,
                        struct fg_members_units *u)
{
    const struct fg_story *s = &f->member[m].story;
    const struct fg_pool_row *r = &pool->row[m];
    const struct fg_item *i = fg_tables_item(&s->tables, pool->item);
    const char *fault;

    if (r->seq > s->seq)
        fg_problem(&f->problems, FG_PROBLEM_FLEET_LOG,
                   "member %u: its log ends with record %" PRIu64 ", the pool of item %" PRIu64
                   " knows record %" PRIu64,
                   m, s->seq, pool->item, r->seq);
    if (is_retired(f, m)) {
        fault = retired_fault(r, u);
    } else {
        fault = lease_fault(r, u);
        if (!fault)
            fault = return_fault(r, u);
        if (!fault && !had_stock(s, i, r->stock, r->seq))
            fault = "never had the stock of the pool";
    }
    if (fault)
        fg_problem(&f->problems, FG_PROBLEM_FLEET_POOL,
                   "item %" PRIu64 ": the log of member %u %s: stock %" PRId64 ", leased %" PRIu64
                   " in %" PRIu64 ", returned %" PRIu64 " in %" PRIu64 "; the pool: stock %" PRId64
                   ", leased %" PRIu64 " in %" PRIu64 ", returned %" PRIu64 " in %" PRIu64,
                   pool->item, m, fault, u->added, u->leased, u->leases, u->returned, u->returns,
                   r->stock, r->leased, r->leases, r->returned, r->returns);
}

/* ---- items ----------------------------------------------------------------------------------- */

static void by_log(const struct fg_item *i, struct fg_members_units *u)
{
    *u = (struct fg_members_units){.known = true,
                                   .added = fg_item_added(i),
                                   .available = fg_item_available(i),
                                   .reserved = i->reserved,
                                   .sold = i->sold,
                                   .refunded = i->refunded,
                                   .leased = i->lease.units,
                                   .leases = i->lease.times,
                                   .returned = i->giving.units,
                                   .returns = i->giving.times};
}

/* A lost log: all that the member held counts as sold. */
static void by_pool(const struct fg_pool_row *r, struct fg_members_units *u)
{
    *u = (struct fg_members_units){.added = r->stock,
                                   .sold = r->stock + (int64_t)r->leased - (int64_t)r->returned,
                                   .leased = r->leased,
                                   .leases = r->leases,
                                   .returned = r->returned,
                                   .returns = r->returns};
}

static void compare_item(struct fg_members *f, struct fg_members_item *e)
{
    const struct fg_pool *pool = fg_pools_find(&f->pools, e->item);
    bool moved = false;

    e->pool = pool && !pool->damaged ? pool : NULL;
    for (unsigned m = 0; m < f->count; m++) {
        const struct fg_item *i = fg_tables_item(&f->member[m].story.tables, e->item);

        if (i)
            by_log(i, &e->units[m]);
        moved |= e->units[m].leases || e->units[m].returns > 1; /* one is there before its pool */
        if (e->pool && f->member[m].lost)
            by_pool(&pool->row[m], &e->units[m]);
        else if (e->pool)
            compare_row(f, m, pool, &e->units[m]);
    }
    if (f->has_pools && !pool && moved)
        fg_problem(&f->problems, FG_PROBLEM_FLEET_POOL,
                   "item %" PRIu64 ": etcd has no pool of it, and its members leased and returned "
                   "units",
                   e->item);
}

/* Whatever was under way: what the logs took beyond what they gave was never there. */
static void add_up(struct fg_members *f, const struct fg_members_item *e)
{
    int64_t added = 0, taken = 0, out = 0;

    for (unsigned m = 0; m < f->count; m++) {
        const struct fg_members_units *u = &e->units[m];

        added += u->added;
        taken += u->sold + u->refunded + (is_retired(f, m) ? 0 : u->reserved);
        out += (int64_t)u->leased - (int64_t)u->returned - (int64_t)u->settled;
    }
    if (out > 0)
        fg_problem(&f->problems, FG_PROBLEM_FLEET_UNITS,
                   "item %" PRIu64 ": the members leased %" PRId64
                   " units more than were ever returned",
                   e->item, out);
    if (taken <= added)
        return;
    f->oversold += (uint64_t)(taken - added);
    fg_problem(&f->problems, FG_PROBLEM_FLEET_UNITS,
               "item %" PRIu64 ": %" PRId64 " units reserved and sold, %" PRId64 " were added",
               e->item, taken, added);
}

static void compare_items(struct fg_members *f)
{
    size_t room = f->pools.count;

    for (unsigned m = 0; m < f->count; m++)
        room += f->member[m].story.tables.item_count;
    f->items = calloc(room + 1, sizeof(*f->items));
    if (!f->items)
        fg_out_of_memory();
    for (unsigned m = 0; m < f->count; m++) {
        const struct fg_tables *t = &f->member[m].story.tables;

        for (uint32_t k = 0; k < t->item_count; k++) {
            bool seen = false;

            for (unsigned o = 0; o < m; o++)
                seen |= fg_tables_item(&f->member[o].story.tables, t->items[k].item) != NULL;
            if (!seen)
                f->items[f->item_count++].item = t->items[k].item;
        }
    }
    for (size_t i = 0; i < f->pools.count; i++) {
        bool seen = false;

        for (unsigned o = 0; o < f->count; o++)
            seen |= fg_tables_item(&f->member[o].story.tables, f->pools.list[i].item) != NULL;
        if (!seen)
            f->items[f->item_count++].item = f->pools.list[i].item;
    }
    for (size_t i = 0; i < f->item_count; i++) {
        compare_item(f, &f->items[i]);
        add_up(f, &f->items[i]);
    }
}

/* ---- users ----------------------------------------------------------------------------------- */

/* An order of another member's user: nothing but this may bring an order to two members. */
static void check_order(struct fg_members *f, unsigned m, const struct fg_order *o, unsigned owner)
{
    uint64_t item = f->member[m].story.tables.items[o->item].item;
    char id[33];

    fg_hex(id, o->id);
    if (!is_retired(f, m))
        fg_problem(&f->problems, FG_PROBLEM_FLEET_OWNER,
                   "member %u: order %s of user %" PRIu64 ", item %" PRIu64
                   ": the user belongs to member %u",
                   m, id, o->user, item, owner);
    for (unsigned k = 0; k < f->count; k++)
        if (k != m && (k > m || k == owner) &&
            fg_tables_order(&f->member[k].story.tables, o->user, o->id))
            fg_problem(&f->problems, FG_PROBLEM_FLEET_ORDER,
                       "order %s of user %" PRIu64 ", item %" PRIu64 ": at member %u and member %u",
                       id, o->user, item, m, k);
}

/* Units of a user, over all members; *limit: the widest of these, 0 = one has none. False: an
 * earlier member than m, that does not own the user, has some, so this was judged already. */
static bool held_everywhere(struct fg_members *f, unsigned m, uint64_t user, uint64_t item,
                            unsigned owner, uint64_t *units, uint32_t *limit)
{
    bool unlimited = false;

    *units = 0;
    *limit = 0;
    for (unsigned k = 0; k < f->count; k++) {
        struct fg_tables *t = &f->member[k].story.tables;
        const struct fg_item *i = fg_tables_item(t, item);
        uint32_t held = i ? *fg_tables_held(t, user, (uint32_t)(i - t->items)) : 0;

        if (held && k < m && k != owner)
            return false;
        *units += held;
        if (i && i->user_limit > *limit)
            *limit = i->user_limit;
        unlimited |= i && !i->user_limit;
    }
    if (unlimited)
        *limit = 0;
    return true;
}

static void check_limit(struct fg_members *f, unsigned m, const struct fg_held *h, unsigned owner)
{
    uint64_t user = h->user, item = f->member[m].story.tables.items[h->item - 1].item, units;
    uint64_t here = h->units;
    uint32_t limit;

    if (!held_everywhere(f, m, user, item, owner, &units, &limit) || !limit || units <= limit ||
        units == here) /* a member's own audit has judged that */
        return;
    fg_problem(&f->problems, FG_PROBLEM_FLEET_LIMIT,
               "item %" PRIu64 ": user %" PRIu64 " has %" PRIu64
               " units over all members, the limit is %u (member %u has %" PRIu64 " of them)",
               item, user, units, limit, m, here);
}

static void check_users(struct fg_members *f, unsigned m)
{
    const struct fg_tables *t = &f->member[m].story.tables;

    for (uint32_t k = 0; k < t->order_count; k++) {
        unsigned owner = fg_pools_owner(&f->pools, t->orders[k].user);

        if (owner != m)
            check_order(f, m, &t->orders[k], owner);
    }
    for (uint64_t k = 0; k < t->held_size; k++) {
        const struct fg_held h = t->held[k];
        unsigned owner = h.item ? fg_pools_owner(&f->pools, h.user) : m;

        if (h.units && owner != m)
            check_limit(f, m, &h, owner);
    }
}

void fg_members_compare(struct fg_members *f)
{
    for (unsigned m = 0; m < f->count; m++) {
        const struct fg_members_one *one = &f->member[m];

        f->oversold += fg_story_oversold(&one->story);
        if (!one->lost && f->pools.registered & 1u << m && f->pools.log[m] != one->log.appliance)
            fg_problem(&f->problems, FG_PROBLEM_FLEET_LOG,
                       "member %u: etcd knows it by log %016" PRIx64 ", %s is log %016" PRIx64, m,
                       f->pools.log[m], one->dir, one->log.appliance);
    }
    compare_items(f);
    for (unsigned m = 0; m < f->count; m++)
        check_users(f, m);
}
