/* SPDX-License-Identifier: BSD-3-Clause */
/* Chained hash tables over arrays that were allocated at start: items by id, orders by (user, order id),
 * usage by (user, item). */
#include "stock/engine.h"

uint32_t fg_table_buckets(uint32_t entries)
{
    uint32_t n = 16;

    while (n < entries && n < 1u << 31)
        n *= 2;
    return n;
}

/* ---- items */

static uint32_t item_bucket(const struct fg_stock *s, uint64_t id)
{
    return (uint32_t)fg_mix64(id, s->config.seed) & s->item_mask;
}

uint32_t fg_item_find(const struct fg_stock *s, uint64_t id)
{
    uint32_t at = s->item_buckets[item_bucket(s, id)];

    while (at != NIL && s->items[at].id != id)
        at = s->items[at].hash_next;
    return at;
}

void fg_item_define(struct fg_stock *s, uint32_t index, uint64_t id)
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

static uint32_t *order_bucket(const struct fg_stock *s, uint64_t user, const uint8_t order_id[16])
{
    uint64_t id[2];

    memcpy(id, order_id, sizeof(id));
    return &s->order_buckets[(uint32_t)fg_mix64(fg_mix64(id[0], id[1] ^ s->config.seed), user) &
                             s->order_mask];
}

uint32_t fg_order_find(const struct fg_stock *s, uint64_t user, const uint8_t order_id[16])
{
    uint32_t at = *order_bucket(s, user, order_id);

    while (at != NIL) {
        const struct order *o = &s->orders[at];

        if (o->user == user && memcmp(o->order_id, order_id, 16) == 0)
            return at;
        at = o->hash_next;
    }
    return NIL;
}

static void publish_orders(struct fg_stock *s, int change)
{
    uint32_t live = atomic_load_explicit(&s->orders_live, memory_order_relaxed);

    atomic_store_explicit(&s->orders_live, live + (uint32_t)change, memory_order_relaxed);
}

uint32_t fg_order_add(struct fg_stock *s, uint64_t user, const uint8_t order_id[16])
{
    uint32_t *bucket = order_bucket(s, user, order_id);
    uint32_t at = s->order_free;
    struct order *o;

    if (at != NIL)
        s->order_free = s->orders[at].next;
    else if (s->order_used < s->config.limits.orders_max)
        at = s->order_used++;
    else
        return NIL;
    o = &s->orders[at];
    memset(o, 0, sizeof(*o));
    o->user = user;
    memcpy(o->order_id, order_id, 16);
    o->next = NIL;
    o->hash_next = *bucket;
    *bucket = at;
    publish_orders(s, 1);
    return at;
}

void fg_order_remove(struct fg_stock *s, uint32_t at)
{
    struct order *o = &s->orders[at];
    uint32_t *link = order_bucket(s, o->user, o->order_id);

    while (*link != at)
        link = &s->orders[*link].hash_next;
    *link = o->hash_next;
    o->state = FG_ORDER_NONE;
    o->next = s->order_free;
    s->order_free = at;
    publish_orders(s, -1);
}

/* ---- usage */

static uint32_t *usage_link(const struct fg_stock *s, uint64_t user, uint32_t item)
{
    uint32_t *link = &s->usage_buckets[(uint32_t)fg_mix64(user ^ s->config.seed, item) & s->usage_mask];

    while (*link != NIL && (s->usages[*link].user != user || s->usages[*link].item != item))
        link = &s->usages[*link].hash_next;
    return link;
}

uint32_t fg_usage_units(const struct fg_stock *s, uint64_t user, uint32_t item)
{
    uint32_t at = *usage_link(s, user, item);

    return at == NIL ? 0 : s->usages[at].units;
}

static void publish_usages(struct fg_stock *s, int change)
{
    uint32_t live = atomic_load_explicit(&s->usages_live, memory_order_relaxed);

    atomic_store_explicit(&s->usages_live, live + (uint32_t)change, memory_order_relaxed);
}

bool fg_usage_add(struct fg_stock *s, uint64_t user, uint32_t item, uint32_t units)
{
    uint32_t *link = usage_link(s, user, item);
    uint32_t at = *link;

    if (at == NIL) {
        if (s->usage_free != NIL) {
            at = s->usage_free;
            s->usage_free = s->usages[at].hash_next;
        } else if (s->usage_used < s->config.limits.users_max) {
            at = s->usage_used++;
        } else {
            return false;
        }
        s->usages[at] = (struct usage){.user = user, .item = item, .hash_next = NIL};
        *link = at;
        publish_usages(s, 1);
    }
    s->usages[at].units += units;
    return true;
}

void fg_usage_sub(struct fg_stock *s, uint64_t user, uint32_t item, uint32_t units)
{
    uint32_t *link = usage_link(s, user, item);
    uint32_t at = *link;

    FG_ASSERT(at != NIL);
    FG_ASSERT(s->usages[at].units >= units);
    s->usages[at].units -= units;
    if (s->usages[at].units > 0)
        return;
    *link = s->usages[at].hash_next;
    s->usages[at].hash_next = s->usage_free;
    s->usage_free = at;
    publish_usages(s, -1);
}
