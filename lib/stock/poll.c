/* SPDX-License-Identifier: BSD-3-Clause */
/* One loop of the engine. */
#include "stock/bank.h"
#include "stock/by_user.h"
#include "stock/draw.h"
#include "stock/expire.h"
#include "stock/fleet_bank.h"
#include "stock/line.h"
#include "stock/slice.h"

static void take_own(struct fg_stock *s)
{
    const struct own_need *n = &s->own.slots[s->own.head++ & s->own.mask];

    FG_ASSERT(fg_stock_bank_enqueue(s, n->index,
                                    &(struct bank_entry){.units = n->units,
                                                         .serial = n->serial,
                                                         .worker = (uint8_t)s->config.worker,
                                                         .first = n->first != 0,
                                                         .wait = n->wait != 0,
                                                         .order = n->order}));
}

static void take_message(struct fg_stock *s, uint64_t now_ms, unsigned from, unsigned nth)
{
    const struct fg_stock_message *m = fg_ring_peek(s->config.from[from], nth);

    FG_ASSERT(m->index < s->config.limits.items_max);
    if (m->type == FG_STOCK_MSG_NEED || m->type == FG_STOCK_MSG_RECALLED ||
        m->type == FG_STOCK_MSG_RETURN || m->type == FG_STOCK_MSG_GONE ||
        m->type == FG_STOCK_MSG_SETTLED || m->type == FG_STOCK_MSG_ENTRY ||
        m->type == FG_STOCK_MSG_CLOSED) {
        fg_stock_bank_message(s, from, m);
    } else {
        item_at(s, m->index)->home =
            (uint8_t)from; /* it may speak before this worker was told of the item */
        fg_stock_slice_message(s, now_ms, m);
    }
}

static unsigned messages_from(struct fg_stock *s, unsigned worker)
{
    uint64_t n = worker == s->config.worker ? s->own.tail - s->own.head
                                            : fg_ring_count(s->config.from[worker]);

    return n < MESSAGES_MAX ? (unsigned)n : MESSAGES_MAX;
}

/*
 * One of each worker after the other, this one included, in an order by chance: no
 * worker's shoppers stand nearer to the bank than others (tests/sim/fairness.c).
 */
static void take_messages(struct fg_stock *s, uint64_t now_ms)
{
    unsigned workers = s->config.workers, self = s->config.worker, n[FG_WORKERS_MAX], most = 0;
    unsigned first = (unsigned)(fg_mix64(s->taken, s->config.seed) % workers);

    for (unsigned w = 0; w < workers; w++) {
        n[w] = messages_from(s, w);
        most = n[w] > most ? n[w] : most;
        s->taken += n[w];
    }
    for (unsigned k = 0; k < most; k++)
        for (unsigned i = 0, w = first; i < workers; i++, w = w + 1 == workers ? 0 : w + 1)
            if (k < n[w] && w == self)
                take_own(s);
            else if (k < n[w])
                take_message(s, now_ms, w, k);
    for (unsigned w = 0; w < workers; w++)
        if (n[w] && w != self)
            fg_ring_release(s->config.from[w], n[w]);
}

static bool item_work(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    return is_home(s, item_at(s, index)) ? fg_stock_bank_work(s, now_ms, index)
                                         : fg_stock_slice_work(s, now_ms, index);
}

/* Tries unfinished work again (a ring or the journal was full), once a loop. */
static void work_on_dirty(struct fg_stock *s, uint64_t now_ms)
{
    uint32_t index = s->dirty_head;

    s->dirty_head = NIL;
    while (index != NIL) {
        struct item *item = item_at(s, index);
        uint32_t next = item->dirty_next;

        item->dirty = 0;
        if (!item_work(s, now_ms, index))
            mark_dirty(s, index);
        index = next;
    }
}

/* Units of a cancelled or expired order, or of an addition, whose record is durable: they may be
 * sold again. */
static void release(struct fg_stock *s, uint32_t index, uint32_t units)
{
    if (is_home(s, item_at(s, index)))
        fg_stock_bank_release(s, index, units);
    else
        fg_stock_slice_release(s, index, units);
}

static void hand_out(struct fg_stock *s, uint64_t now_ms, struct fg_stock_answer *to,
                     const struct fg_stock_answer *answer)
{
    *to = *answer;
    if (answer->kind == FG_STOCK_OPERATOR)
        s->commands--;
    else if (answer->status == FG_PACKET_STATUS_RESERVED)
        to->retry_ms = hold_left_ms(answer->deadline_ms, now_ms);
}

/*
 * In a pair, units wait for this disk alone: whoever leads later has a log that begins as ours, up
 * to some record, so it knows of no sale without the release before it. Answers wait for the pair.
 */
static __attribute__((noinline)) void release_durable(struct fg_stock *s)
{
    uint64_t committed = atomic_load_explicit(&s->config.committed->durable, memory_order_acquire);
    struct deferred_queue *q = &s->deferred;

    s->committed = committed < s->durable ? committed : s->durable;
    while (q->released != q->tail) {
        struct deferred *d = &q->slots[q->released & q->mask];

        if (d->seq > s->durable)
            break;
        if (d->units)
            release(s, d->item, d->units);
        d->units = 0;
        q->released++;
    }
}

/* The leadership is lost, or the log: no later watermark may release what waits. */
static bool is_deposed(const struct fg_stock *s)
{
    return s->mode == FG_STOCK_FAILED && s->config.committed;
}

static unsigned durable_answers(struct fg_stock *s, uint64_t now_ms,
                                struct fg_stock_answer *answers, unsigned max)
{
    struct deferred_queue *q = &s->deferred;
    unsigned n = 0;

    s->durable = atomic_load_explicit(&s->config.mark->durable, memory_order_acquire);
    s->committed = s->durable;
    if (fg_unlikely(s->config.committed))
        release_durable(s);
    while (q->head != q->tail && n < max) {
        struct deferred *d = &q->slots[q->head & q->mask];

        if (d->seq > s->committed)
            break;
        if (d->units)
            release(s, d->item, d->units);
        if (d->answer.token != FG_STOCK_NO_TOKEN)
            hand_out(s, now_ms, &answers[n++], &d->answer);
        q->head++;
    }
    return n;
}

static unsigned ready_answers(struct fg_stock *s, uint64_t now_ms, struct fg_stock_answer *answers,
                              unsigned max)
{
    unsigned n = 0;

    while (s->ready.head != s->ready.tail && n < max) {
        const struct fg_stock_answer *a = &s->ready.slots[s->ready.head++ & s->ready.mask];

        if (a->kind != FG_STOCK_OPERATOR)
            s->waiting--;
        hand_out(s, now_ms, &answers[n++], a);
    }
    return n;
}

unsigned fg_stock_poll(struct fg_stock *s, uint64_t now_ms, struct fg_stock_answer *answers,
                       unsigned max)
{
    unsigned n = fg_unlikely(is_deposed(s)) ? 0 : durable_answers(s, now_ms, answers, max);

    take_messages(s, now_ms);
    fg_stock_expire_due(s, now_ms);
    if (fg_unlikely(!s->start_ms))
        s->start_ms = now_ms;
    if (fg_unlikely(s->draw_head != NIL))
        fg_stock_draw_check(s, now_ms);
    s->scan_left = FG_STOCK_DRAW_SCAN;
    work_on_dirty(s, now_ms); /* may call orders of this worker */
    if (fg_unlikely(s->called_head != NIL))
        fg_stock_line_check_called(s, now_ms);
    n += ready_answers(s, now_ms, answers + n, max - n);
    if (fg_unlikely(s->listing))
        s->listing = !fg_stock_by_user_catch_up(s);
    atomic_store_explicit(&s->waiting_live, s->waiting, memory_order_relaxed);
    atomic_store_explicit(&s->held_live, (uint32_t)(s->deferred.tail - s->deferred.head),
                          memory_order_relaxed);
    return n;
}

void fg_stock_set_mode(struct fg_stock *s, enum fg_stock_mode mode)
{
    if (s->mode == mode)
        return;
    s->mode = mode;
    for (uint32_t i = 0; i < s->config.limits.items_max;
         i++) /* who waits for units must hear of it */
        if (s->items[i].wait_head != NIL || s->banks[i].queue_head != NIL || s->banks[i].line ||
            s->items[i].line || fleet_is_recalling(s, i))
            mark_dirty(s, i);
}

bool fg_stock_idle(const struct fg_stock *s)
{
    bool disk = s->mode != FG_STOCK_FAILED && s->deferred.head != s->deferred.tail;

    return !disk && s->waiting == 0 && s->commands == 0 && s->dirty_head == NIL &&
           s->ready.head == s->ready.tail;
}
