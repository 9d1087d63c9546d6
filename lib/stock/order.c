/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/order.h"

#include "stock/tables.h"
#include "stock/wheel.h"

INLINE void record_order(struct fg_stock *s, uint64_t now_ms, struct order *o,
                         enum fg_journal_record_type type, uint64_t arg)
{
    struct fg_journal_record *r = fg_ring_next(s->config.journal);

    FG_ASSERT(r != NULL);
    r->seq = 0;
    r->time_ms = now_ms;
    r->type = (uint8_t)type;
    r->worker = (uint8_t)s->config.worker;
    r->quantity = o->quantity;
    r->crc = 0;
    r->item = s->items[o->item].id;
    memcpy(r->order_id, o->order_id, 16);
    r->user = o->user;
    r->arg = arg;
    fg_ring_give(s->config.journal);
    o->seq = ++s->pushed;
}

INLINE void defer_order(struct fg_stock *s, const struct order *o, struct asker asker,
                        uint32_t release)
{
    struct deferred *d = defer(s, o->seq);

    d->item = o->item;
    d->units = release;
    if (asker.token == FG_STOCK_NO_TOKEN)
        return;
    answer_order(s, o, asker, &d->answer);
}

/* Apart: seldom, and fg_stock_accept stays short. */
static __attribute__((noinline)) void sell_late(struct fg_stock *s, uint64_t now_ms,
                                                struct order *o, struct asker asker)
{
    s->items[o->item].sold += o->quantity;
    fg_stock_usage_paid(s, o->usage);
    o->state = FG_LEDGER_ORDER_SOLD;
    o->late = 1;
    record_order(s, now_ms, o, FG_JOURNAL_RECORD_SOLD_LATE, 0);
    defer_order(s, o, asker, 0);
    COUNT(s, sold, 1);
    COUNT(s, sold_late, 1);
}

void fg_stock_accept(struct fg_stock *s, uint64_t now_ms, uint32_t order, struct asker asker)
{
    struct order *o = &s->orders[order];
    struct item *item = item_at(s, o->item);

    FG_ASSERT(item->free >= o->quantity);
    item->free -= o->quantity;
    if (!is_home(s, item) && item->left_hint > o->quantity)
        item->left_hint -= o->quantity;
    if (fg_unlikely(o->state == FG_LEDGER_ORDER_EXPIRED || o->state >= ORDER_PAYING)) {
        if (o->state != ORDER_JOINING) {
            sell_late(s, now_ms, o, asker);
            return;
        }
        s->usages[o->usage].waits = 0; /* a WAIT for which there are units */
    }
    item->reserved += o->quantity;
    o->state = FG_LEDGER_ORDER_RESERVED;
    o->deadline_ms = now_ms + item->hold_ms;
    record_order(s, now_ms, o, FG_JOURNAL_RECORD_RESERVED, o->deadline_ms);
    fg_stock_wheel_add(s, order);
    defer_order(s, o, asker, 0);
    COUNT(s, reserved, 1);
}

void fg_stock_sell(struct fg_stock *s, uint64_t now_ms, struct order *o, struct asker asker)
{
    struct item *item = item_at(s, o->item);

    FG_ASSERT(item->reserved >= o->quantity);
    item->reserved -= o->quantity;
    item->sold += o->quantity;
    o->state = FG_LEDGER_ORDER_SOLD;
    record_order(s, now_ms, o, FG_JOURNAL_RECORD_SOLD, 0);
    defer_order(s, o, asker, 0);
    COUNT(s, sold, 1);
    if (fg_unlikely(o->by_offer))
        COUNT(s, line_claimed, 1);
}

/* The wheel meets the order at its old deadline, and only then moves it to the new one. */
void fg_stock_extend(struct fg_stock *s, uint64_t now_ms, struct order *o, uint64_t until_ms,
                     struct asker asker)
{
    o->deadline_ms = until_ms;
    record_order(s, now_ms, o, FG_JOURNAL_RECORD_EXTENDED, until_ms);
    defer_order(s, o, asker, 0);
    COUNT(s, extended, 1);
}

/* The units come back for sale when the record is durable: before that, a crash could show them as
 * sold twice. */
static void give_back(struct fg_stock *s, uint64_t now_ms, struct order *o, struct asker asker,
                      enum fg_ledger_order_state state, enum fg_journal_record_type type)
{
    struct item *item = item_at(s, o->item);

    FG_ASSERT(item->reserved >= o->quantity);
    item->reserved -= o->quantity;
    item->releasing += o->quantity;
    fg_stock_usage_unsold(s, o->usage, o->quantity);
    o->state = (uint8_t)state;
    record_order(s, now_ms, o, type, 0);
    defer_order(s, o, asker, o->quantity);
}

void fg_stock_cancel(struct fg_stock *s, uint64_t now_ms, struct order *o, struct asker asker)
{
    give_back(s, now_ms, o, asker, FG_LEDGER_ORDER_CANCELLED, FG_JOURNAL_RECORD_CANCELLED);
    COUNT(s, cancelled, 1);
}

void fg_stock_close(struct fg_stock *s, uint64_t now_ms, struct order *o, struct asker asker)
{
    o->state = FG_LEDGER_ORDER_CANCELLED;
    record_order(s, now_ms, o, FG_JOURNAL_RECORD_CLOSED, 0);
    defer_order(s, o, asker, 0);
    COUNT(s, cancelled, 1);
}

void fg_stock_refund(struct fg_stock *s, uint64_t now_ms, struct order *o, bool restock,
                     struct asker asker)
{
    struct item *item = item_at(s, o->item);

    FG_ASSERT(item->sold >= o->quantity);
    item->sold -= o->quantity;
    *(restock ? &item->releasing : &item->refunded) += o->quantity;
    fg_stock_usage_sub(s, o->usage, o->quantity);
    o->state = FG_LEDGER_ORDER_REFUNDED;
    record_order(s, now_ms, o, FG_JOURNAL_RECORD_REFUNDED, restock);
    defer_order(s, o, asker, restock ? o->quantity : 0);
    COUNT(s, refunded, 1);
}

void fg_stock_expire(struct fg_stock *s, uint64_t now_ms, struct order *o)
{
    give_back(s, now_ms, o, (struct asker){FG_STOCK_NO_TOKEN, 0}, FG_LEDGER_ORDER_EXPIRED,
              FG_JOURNAL_RECORD_EXPIRED);
    COUNT(s, expired, 1);
}

void fg_stock_answer_ticket(const struct fg_stock *s, const struct order *o,
                            struct fg_stock_answer *a)
{
    uint32_t serving = s->lines[o->item].serving;

    a->left = a->deadline_ms = 0; /* no place yet */
    if (s->lines[o->item].undrawn)
        return;
    a->left = o->ticket > serving ? o->ticket - serving : 0;
    a->deadline_ms = o->ticket;
}

struct fg_stock_answer *fg_stock_wait(struct fg_stock *s, uint64_t now_ms, struct order *o,
                                      struct asker asker)
{
    struct deferred *d;

    o->state = FG_LEDGER_ORDER_WAITING;
    record_order(s, now_ms, o, FG_JOURNAL_RECORD_WAITING, o->ticket);
    d = defer(s, o->seq);
    answer_order(s, o, asker, &d->answer);
    COUNT(s, line_joined, 1);
    return &d->answer;
}

void fg_stock_take_offer(struct fg_stock *s, uint64_t now_ms, uint32_t order, uint32_t claim_ms)
{
    struct order *o = &s->orders[order];

    s->usages[o->usage].waits = 0;
    s->items[o->item].reserved += o->quantity;
    o->state = FG_LEDGER_ORDER_RESERVED;
    o->loaded = 0;
    o->by_offer = 1;
    o->deadline_ms = now_ms + claim_ms;
    record_order(s, now_ms, o, FG_JOURNAL_RECORD_OFFERED, o->deadline_ms);
    fg_stock_wheel_add(s, order);
    COUNT(s, reserved, 1);
    COUNT(s, line_offered, 1);
}

void fg_stock_leave(struct fg_stock *s, uint64_t now_ms, struct order *o, unsigned why,
                    struct asker asker)
{
    s->usages[o->usage].waits = 0;
    fg_stock_usage_unsold(s, o->usage, o->quantity);
    o->state = FG_LEDGER_ORDER_CANCELLED;
    record_order(s, now_ms, o, FG_JOURNAL_RECORD_LEFT, why);
    if (asker.token != FG_STOCK_NO_TOKEN)
        defer_order(s, o, asker, 0);
    COUNT(s, cancelled, 1);
    if (why == FG_JOURNAL_LEFT_ABSENT)
        COUNT(s, line_skipped, 1);
}
