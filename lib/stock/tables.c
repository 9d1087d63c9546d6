/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes of the tables that were allocated at start: items by id, orders by (user, order id),
 * usage by (user, item). tables.h says how they are built. */
#include "stock/tables.h"

uint32_t fg_stock_table_buckets(uint32_t entries)
{
    uint32_t n = 16;

    while (n < entries && n < 1u << 31)
        n *= 2;
    return n;
}

/* One and a half slot for each: then a new usage reads 1.2 lines, even when each order is of
 * another user. */
uint32_t fg_stock_usage_lines(uint32_t orders)
{
    return (uint32_t)((orders * 3ull / 2) / USAGE_LINE) + 1;
}

/* ---- items */

void fg_stock_item_define(struct fg_stock *s, uint32_t index, uint64_t id)
{
    struct item *item = item_at(s, index);
    uint32_t *bucket;

    if (item->known) {
        FG_ASSERT(item->id == id);
        return;
    }
    item->known = 1;
    item->id = id;
    item->home = (uint8_t)fg_user_owner(id, s->config.workers);
    bucket = &s->item_buckets[item_bucket(s, id)];
    item->hash_next = *bucket;
    *bucket = index;
}

/* ---- orders */

uint32_t fg_stock_order_walk(const struct fg_stock *s, uint32_t at, uint64_t user,
                             const uint8_t order_id[16])
{
    for (; at != NIL; at = s->orders[at].hash_next) {
        const struct order *o = &s->orders[at];

        if (o->user == user && memcmp(o->order_id, order_id, 16) == 0)
            return at;
    }
    return NIL;
}

void fg_stock_order_remove(struct fg_stock *s, uint32_t at)
{
    struct order *o = &s->orders[at];
    uint32_t *bucket = order_bucket(s, order_hash(s, o->user, o->order_id));
    uint32_t before = bucket_head(s, *bucket);

    if (before == at) {
        *bucket = o->hash_next == NIL ? 0 : bucket_with_head(s, *bucket, o->hash_next);
    } else {
        while (s->orders[before].hash_next != at)
            before = s->orders[before].hash_next;
        s->orders[before].hash_next = o->hash_next;
    }
    if (at < s->listed)
        fg_stock_by_user_unlink(s, at);
    o->state = FG_LEDGER_ORDER_NONE;
    o->next = s->order_free;
    s->order_free = at;
    publish_orders(s, -1);
}

/* ---- usage */

struct usage *fg_stock_usage_find_away(const struct fg_stock *s, uint64_t user, uint32_t item)
{
    uint64_t hash = usage_hash(s, user, item);

    for (uint32_t n = 0; n < s->usage_lines; n++) {
        struct usage *line = usage_line(s, usage_away(s, hash, n)),
                     *u = usage_in_line(line, user, item);

        if (u || line->passed == 0)
            return u;
    }
    return NULL;
}

/* There are more slots than orders. */
struct usage *fg_stock_usage_slot_away(struct fg_stock *s, uint64_t user, uint32_t item)
{
    uint64_t hash = usage_hash(s, user, item);
    struct usage *u = NULL;

    for (uint32_t n = 0; !u; n++)
        u = free_slot(usage_line(s, usage_away(s, hash, n)));
    return u;
}

static void unpass(struct usage *line)
{
    line->passed -= line->passed < PASSED_MANY;
}

/* A usage ends: whom it passed, it passes no more. */
static void usage_remove(struct fg_stock *s, uint32_t slot)
{
    const struct usage *u = &s->usages[slot];
    uint64_t hash = usage_hash(s, u->user, u->item);
    uint32_t home = usage_home(s, hash), line = slot / USAGE_LINE;

    if (fg_likely(line == home))
        return;
    unpass(usage_line(s, home));
    for (uint32_t n = 0; usage_away(s, hash, n) != line; n++)
        unpass(usage_line(s, usage_away(s, hash, n)));
}

void fg_stock_usage_sub(struct fg_stock *s, uint32_t slot, uint32_t units)
{
    struct usage *u = &s->usages[slot];

    FG_ASSERT(u->units >= units);
    u->units -= units;
    if (u->units == 0 && u->counted) {
        u->counted = 0;
        publish_usages(s, -1);
    }
    if (usage_empty(u))
        usage_remove(s, slot);
}

void fg_stock_usage_unsold(struct fg_stock *s, uint32_t slot, uint32_t units)
{
    struct usage *u = &s->usages[slot];

    u->unsold += u->unsold < UNSOLD_MANY;
    fg_stock_usage_sub(s, slot, units);
}

void fg_stock_usage_paid(struct fg_stock *s, uint32_t slot)
{
    struct usage *u = &s->usages[slot];

    FG_ASSERT(u->unsold > 0 && u->units > 0);
    u->unsold -= u->unsold < UNSOLD_MANY;
}
