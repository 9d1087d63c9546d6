/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Engines as a standby has them: fed record by record, in pieces of any size, instead of loaded.
 * They have to be what loaded ones are; and the story goes on with them.
 */
#include "stock/feed.h"

#include "stock/tables.h"
#include "stock/users.h"
#include "world.h"

void feed_all(struct world *w, uint64_t seed)
{
    struct rng rng = {seed};
    struct fg_ledger *ledger = fg_ledger_create();
    struct fg_error err = {""};
    uint32_t start = rng_chance(&rng, 50) ? rng_below(&rng, w->log_len) : 0; /* it had by then */
    bool ok = ledger && fg_ledger_apply_all(ledger, w->log, start, &err);

    for (unsigned k = 0; ok && k < w->workers; k++)
        ok = fg_stock_load(w->stock[k], ledger, &err);
    for (uint32_t at = start; ok && at < w->log_len;) {
        uint32_t n = 1 + rng_below(&rng, rng_chance(&rng, 50) ? 3 : 200);

        n = n < w->log_len - at ? n : w->log_len - at;
        ok = fg_ledger_apply_all(ledger, w->log + at, n, &err);
        for (uint32_t i = at >= 3 ? at - 3 : 0; ok && i < at + n; i++) /* some of them twice */
            for (unsigned k = 0; ok && k < w->workers; k++)
                ok = fg_stock_feed(w->stock[k], ledger, &w->log[i], &err);
        for (unsigned k = 0; k < w->workers && rng_chance(&rng, 20); k++)
            fg_stock_feed_time(w->stock[k], w->now_ms);
        at += n;
    }
    for (unsigned k = 0; ok && k < w->workers; k++)
        ok = fg_stock_feed_end(w->stock[k], ledger, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    FG_ASSERT(ok);
    fg_ledger_destroy(ledger);
}

/* ---- the same as loaded? --------------------------------------------------------------------- */

static void compare_lines(const struct fg_stock *a, const struct fg_stock *b, uint32_t index)
{
    const struct line *x = &a->lines[index], *y = &b->lines[index];
    uint32_t i = x->head, k = y->head;

    FG_ASSERT(x->max == y->max && x->claim_ms == y->claim_ms && x->ttl_ms == y->ttl_ms);
    FG_ASSERT(x->flags == y->flags && x->tickets == y->tickets && x->serving == y->serving);
    FG_ASSERT(x->kept == y->kept && x->waiting == y->waiting);
    FG_ASSERT(a->banks[index].line == b->banks[index].line);
    for (; i != NIL && k != NIL; i = a->line_entries[i].next, k = b->line_entries[k].next) {
        const struct line_entry *e = &a->line_entries[i], *f = &b->line_entries[k];

        FG_ASSERT(e->ticket == f->ticket && e->order == f->order);
        FG_ASSERT(e->units == f->units && e->worker == f->worker);
    }
    FG_ASSERT(i == NIL && k == NIL);
}

static void compare_items(const struct fg_stock *a, const struct fg_stock *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct item *x = &a->items[i], *y = &b->items[i];

        FG_ASSERT(x->id == y->id && x->home == y->home && x->known && x->live == y->live);
        FG_ASSERT(x->opens_ms == y->opens_ms && x->closes_ms == y->closes_ms);
        FG_ASSERT(x->hold_ms == y->hold_ms && x->user_limit == y->user_limit);
        FG_ASSERT(x->order_max == y->order_max && x->flags == y->flags);
        FG_ASSERT(x->free == y->free && x->releasing == 0 && x->returning == 0);
        FG_ASSERT(x->reserved == y->reserved && x->sold == y->sold && x->refunded == y->refunded);
        FG_ASSERT(a->banks[i].total == b->banks[i].total);
        FG_ASSERT(x->sold_out == y->sold_out && a->banks[i].announced == b->banks[i].announced);
        if (a->config.limits.waiting_max)
            compare_lines(a, b, i);
    }
}

static const struct order *order_of(const struct fg_stock *s, const struct fg_ledger_order *from)
{
    uint32_t at =
        order_find(s, order_hash(s, from->user, from->order_id), from->user, from->order_id);

    return at == NIL ? NULL : &s->orders[at];
}

static void compare_order(const struct fg_stock *a, const struct fg_stock *b,
                          const struct fg_ledger_order *from)
{
    const struct order *x = order_of(a, from), *y = order_of(b, from);
    bool held = from->state == FG_LEDGER_ORDER_RESERVED;

    FG_ASSERT(x && y);
    FG_ASSERT(x->item == y->item && x->quantity == y->quantity && x->state == y->state);
    FG_ASSERT(x->late == y->late && x->seq == 0 && y->seq == 0);
    FG_ASSERT(!held || (x->deadline_ms == y->deadline_ms && x->on_wheel && y->on_wheel));
    FG_ASSERT(from->state != FG_LEDGER_ORDER_WAITING ||
              (x->ticket == y->ticket && x->loaded && y->loaded));
    FG_ASSERT((x->usage == NIL) == (y->usage == NIL));
    if (x->usage == NIL)
        return;
    FG_ASSERT(a->usages[x->usage].units == b->usages[y->usage].units);
    FG_ASSERT(a->usages[x->usage].waits == b->usages[y->usage].waits);
    FG_ASSERT(a->usages[x->usage].unsold == b->usages[y->usage].unsold);
    FG_ASSERT(a->usages[x->usage].user == x->user && a->usages[x->usage].item == x->item);
}

static uint32_t usages(const struct fg_stock *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->usage_lines * USAGE_LINE; i++)
        n += !usage_empty(&s->usages[i]);
    return n;
}

void feed_compare(const struct fg_stock *fed, const struct fg_stock *loaded,
                  const struct fg_ledger *ledger)
{
    uint64_t orders = fg_ledger_orders(ledger);

    compare_items(fed, loaded, fg_ledger_items(ledger));
    for (uint64_t i = 0; i < orders; i++) {
        const struct fg_ledger_order *o = fg_ledger_order_at(ledger, i);

        if (fg_user_owner(o->user, fed->config.workers) == fed->config.worker)
            compare_order(fed, loaded, o);
        FG_ASSERT(fg_stock_user_is_denied(fed, o->user) ==
                  fg_stock_user_is_denied(loaded, o->user));
    }
    FG_ASSERT(fg_stock_orders(fed) == fg_stock_orders(loaded));
    FG_ASSERT(usages(fed) == usages(loaded));
}
