/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/fleet.h"

#include "stock/fleet_bank.h"

/* ---- news ------------------------------------------------------------------------------------ */

static void read_news(const struct fleet_item *f, uint32_t index, struct fg_stock_fleet_news *news)
{
    uint32_t before;

    do {
        before = atomic_load_explicit(&f->version, memory_order_acquire);
        *news = (struct fg_stock_fleet_news){
            .index = index,
            .head = atomic_load_explicit(&f->told_head, memory_order_relaxed),
            .least = atomic_load_explicit(&f->told_least, memory_order_relaxed),
            .free = atomic_load_explicit(&f->told_free, memory_order_relaxed),
            .wanted = atomic_load_explicit(&f->told_wanted, memory_order_relaxed)};
        atomic_thread_fence(memory_order_acquire);
    } while ((before & 1) || before != atomic_load_explicit(&f->version, memory_order_relaxed));
}

static void write_news(struct fleet_item *f, const struct fg_stock_fleet_news *news)
{
    uint32_t version = atomic_load_explicit(&f->version, memory_order_relaxed);

    atomic_store_explicit(&f->version, version + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&f->told_head, news->head, memory_order_relaxed);
    atomic_store_explicit(&f->told_least, news->least, memory_order_relaxed);
    atomic_store_explicit(&f->told_free, news->free, memory_order_relaxed);
    atomic_store_explicit(&f->told_wanted, news->wanted, memory_order_relaxed);
    atomic_store_explicit(&f->version, version + 2, memory_order_release);
}

/* While nothing waits, only whether anything is free. */
static bool is_news(const struct fg_stock_fleet_news *a, const struct fg_stock_fleet_news *b)
{
    if (!a->least && !b->least)
        return (a->free == 0) != (b->free == 0);
    return a->head != b->head || a->least != b->least || a->free != b->free ||
           a->wanted != b->wanted;
}

void fg_stock_fleet_publish(struct fg_stock *s, uint32_t index)
{
    struct fleet_item *f = &s->fleets[index];
    const struct bank *b = &s->banks[index];
    struct fg_stock_fleet_news old, news = {
                                        .index = index,
                                        .head = f->head,
                                        .free = bank_left(s, index),
                                    };

    if (f->waits) {
        news.least = s->entries[b->queue_head].units;
        news.wanted = b->queue_units;
    }
    read_news(f, index, &old);
    if (!is_news(&old, &news))
        return;
    write_news(f, &news);
    if (atomic_exchange(&f->listed, true))
        return;
    /* each item stands in it at most once, so there is room */
    s->news[s->news_tail & s->item_mask] = index;
    atomic_store_explicit(&s->news_tail, s->news_tail + 1, memory_order_release);
}

unsigned fg_stock_fleet_take(struct fg_stock *s, struct fg_stock_fleet_news *news, unsigned max)
{
    uint64_t tail = atomic_load_explicit(&s->news_tail, memory_order_acquire);
    unsigned n = 0;

    while (s->news_head != tail && n < max) {
        uint32_t index = s->news[s->news_head++ & s->item_mask];

        atomic_exchange(&s->fleets[index].listed, false); /* before it is read */
        read_news(&s->fleets[index], index, &news[n++]);
    }
    return n;
}

void fg_stock_fleet_item(const struct fg_stock *s, uint32_t index, struct fg_stock_fleet_news *news)
{
    read_news(&s->fleets[index], index, news);
}

/* ---- requests that wait ---------------------------------------------------------------------- */

/* Was refused up to there. */
static bool is_refused(const struct fleet_item *f)
{
    return (int32_t)(f->refused_to - f->head) > 0;
}

enum fg_packet_status fg_stock_fleet_refusal(const struct fg_stock *s, uint32_t index,
                                             uint32_t *left)
{
    const struct fleet_item *f = &s->fleets[index];

    *left = s->items[index].free;
    if (s->mode != FG_STOCK_RUNNING)
        return mode_refusal(s) == FG_PACKET_STATUS_NONE ? FG_PACKET_STATUS_BUSY : mode_refusal(s);
    if (is_refused(f) && f->refused_busy)
        return FG_PACKET_STATUS_BUSY;
    if (f->sold_out || is_refused(f)) {
        *left += is_refused(f) ? f->refused_left : 0;
        return *left ? FG_PACKET_STATUS_INSUFFICIENT : FG_PACKET_STATUS_SOLD_OUT;
    }
    return FG_PACKET_STATUS_NONE;
}

/* ---- giving back ----------------------------------------------------------------------------- */

static void answer_recall(struct fg_stock *s, uint32_t index, enum fg_stock_outcome outcome)
{
    struct fleet_item *f = &s->fleets[index];

    f->recall = FLEET_RESTS;
    f->settle_send = f->settle_wait = 0;
    fg_stock_answer_command(s, s->items[index].id, f->ticket, outcome, f->given);
}

static void push_return(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct fleet_item *f = &s->fleets[index];
    struct item *item = item_at(s, index);
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_RETURN, .item = item->id};

    FG_ASSERT(s->banks[index].total >= item->free);
    f->given = item->free;
    f->returned += item->free;
    f->returns++;
    r.fleet_units = item->free;
    r.fleet_sum = f->returned;
    r.fleet_times = f->returns;
    s->banks[index].total -= item->free;
    item->free = 0;
    fg_stock_push_record(s, &r, now_ms);
}

/* No request that RECALL still serves fits into what is free. */
static bool is_served(const struct fg_stock *s, uint32_t index)
{
    uint32_t head = s->banks[index].queue_head;

    return head == NIL || s->entries[head].units > s->items[index].free ||
           fleet_stops_at_head(s, index);
}

/* All slices are empty, and the queue has no request that can be served. */
static bool gather(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct fleet_item *f = &s->fleets[index];
    struct item *item = item_at(s, index);
    uint64_t all = s->config.workers == 64 ? UINT64_MAX : (1ull << s->config.workers) - 1;

    if (item->free && !can_record(s))
        return false;
    if (item->free)
        push_return(s, now_ms, index);
    f->recall = FLEET_SETTLES;
    f->settle_seq = s->pushed;
    f->settle_send = f->settle_wait = all & ~(1ull << s->config.worker);
    return true;
}

/* Waits until all that any worker decided before is committed. */
static bool settle(struct fg_stock *s, uint32_t index)
{
    struct fleet_item *f = &s->fleets[index];

    for (uint64_t todo = f->settle_send; todo; todo &= todo - 1) {
        unsigned w = (unsigned)__builtin_ctzll(todo);

        if (fg_stock_send_to(s, w, FG_STOCK_MSG_SETTLE, index, 0, 0, 0))
            f->settle_send &= ~(1ull << w);
    }
    if (f->settle_send || s->committed < f->settle_seq)
        return false;
    if (f->settle_wait == 0)
        answer_recall(s, index, FG_STOCK_OUTCOME_DONE);
    return true;
}

bool fg_stock_fleet_give(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct fleet_item *f = &s->fleets[index];
    struct bank *b = &s->banks[index];

    if (f->recall == FLEET_RESTS)
        return true;
    if (s->mode == FG_STOCK_FAILED ||
        (f->recall == FLEET_GATHERS && mode_outcome(s) != FG_STOCK_OUTCOME_DONE)) {
        answer_recall(s, index, mode_outcome(s));
        return true;
    }
    if (f->recall == FLEET_GATHERS) {
        if (b->recall_wait)
            return true;
        if (b->lent) {
            b->recall_send = b->recall_wait = b->lent;
            return true;
        }
        if (!is_served(s, index) || !gather(s, now_ms, index))
            return false;
    }
    return settle(s, index);
}

bool fg_stock_fleet_settle(struct fg_stock *s, uint32_t index)
{
    struct fleet_item *f = &s->fleets[index];

    if (s->mode == FG_STOCK_FAILED)
        f->asked = false; /* nothing of it will ever be committed */
    if (!f->asked)
        return true;
    if (!f->settle_seq)
        f->settle_seq = s->pushed + 1; /* 0: not known yet */
    if (s->committed + 1 < f->settle_seq ||
        !fg_stock_send_to(s, s->items[index].home, FG_STOCK_MSG_SETTLED, index, 0, 0, 0))
        return false;
    f->asked = false;
    return true;
}

/* ---- commands -------------------------------------------------------------------------------- */

void fg_stock_fleet_load(struct fg_stock *s, uint32_t index, const struct fg_ledger_item *from)
{
    struct fleet_item *f = &s->fleets[index];

    f->leased = from->leased;
    f->leases = from->leases;
    f->returned = from->returned;
    f->returns = from->returns;
    fg_stock_fleet_publish(s, index);
}

static void lease(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_command *c)
{
    struct fleet_item *f = &s->fleets[c->index];
    struct bank *b = &s->banks[c->index];
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_LEASE, .item = c->item};

    if (c->fleet_units > FG_JOURNAL_UNITS_MAX - b->total) {
        fg_stock_answer_command(s, c->item, c->ticket, FG_STOCK_OUTCOME_FULL,
                                FG_JOURNAL_UNITS_MAX - b->total);
        return;
    }
    FG_ASSERT(c->fleet_units > 0 && c->fleet_sum == f->leased + c->fleet_units);
    f->leased = c->fleet_sum;
    f->leases++;
    b->total += c->fleet_units;
    s->items[c->index].releasing += c->fleet_units;
    r.fleet_units = c->fleet_units;
    r.fleet_sum = f->leased;
    r.fleet_times = f->leases;
    fg_stock_push_record(s, &r, now_ms);
    fg_stock_defer_command(s, c->item, c->ticket, c->index, c->fleet_units);
}

static void recall(struct fg_stock *s, const struct fg_stock_command *c)
{
    struct fleet_item *f = &s->fleets[c->index];

    if (f->recall != FLEET_RESTS) {
        fg_stock_answer_command(s, c->item, c->ticket, FG_STOCK_OUTCOME_BUSY, 0);
        return;
    }
    f->recall = FLEET_GATHERS;
    f->serve_to = f->tail;
    s->banks[c->index].at_once = 0;
    f->ticket = c->ticket;
    f->given = 0;
}

static void refuse(struct fg_stock *s, const struct fg_stock_command *c)
{
    struct fleet_item *f = &s->fleets[c->index];

    if (f->waits && f->head == c->fleet_head) {
        f->refused_busy = c->fleet_refusal == FG_STOCK_OUTCOME_BUSY;
        f->refused_left = c->fleet_units;
        f->refused_to = f->refused_busy ? f->tail : f->head + 1;
    }
}

static void sold_out(struct fg_stock *s, const struct fg_stock_command *c)
{
    s->fleets[c->index].sold_out = true;
    s->banks[c->index].empty = true; /* announced when the queue is */
}

void fg_stock_fleet_command(struct fg_stock *s, uint64_t now_ms, const struct fg_stock_command *c)
{
    bool at_once = true;

    switch (c->type) {
    case FG_STOCK_LEASE:
        lease(s, now_ms, c);
        at_once = false;
        break;
    case FG_STOCK_RECALL:
        recall(s, c);
        at_once = false;
        break;
    case FG_STOCK_REFUSE:
        refuse(s, c);
        break;
    case FG_STOCK_SOLD_OUT:
        sold_out(s, c);
        break;
    default:
        s->fleets[c->index].sold_out = s->banks[c->index].empty = false;
    }
    mark_dirty(s, c->index);
    if (at_once)
        fg_stock_answer_command(s, c->item, c->ticket, FG_STOCK_OUTCOME_DONE, 0);
}
