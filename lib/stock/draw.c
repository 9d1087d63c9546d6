/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/draw.h"

#include "ledger/draw.h"

#define STEP_ENTRIES 1024 /* of an item ranked, collected or told in one loop */

static uint64_t all_others(const struct fg_stock *s)
{
    uint64_t all = s->config.workers == 64 ? UINT64_MAX : (1ull << s->config.workers) - 1;

    return all & ~(1ull << s->config.worker);
}

static bool may_record(struct fg_stock *s)
{
    return mode_refusal(s) == FG_PACKET_STATUS_NONE && can_record(s);
}

/* ---- at each worker */

void fg_stock_draw_close(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];

    FG_ASSERT(l->closing == CLOSE_NONE);
    l->closing = CLOSE_ASKED;
    l->closed_seq = 0;
    l->entry_at = 0;
    s->items[index].line = 1;
    mark_dirty(s, index);
}

static bool send_entry(struct fg_stock *s, uint32_t index, uint32_t at)
{
    const struct order *o = &s->orders[at];
    struct fg_stock_message m = {.type = FG_STOCK_MSG_ENTRY,
                                 .index = index,
                                 .left = o->quantity,
                                 .order = at,
                                 .user = o->user};

    if (!is_home(s, item_at(s, index)))
        return fg_ring_push(s->config.to[s->items[index].home], &m);
    fg_stock_draw_entry(s, index, at, o->quantity, s->config.worker, o->user);
    return true;
}

static bool send_closed(struct fg_stock *s, uint32_t index)
{
    if (!is_home(s, item_at(s, index)))
        return fg_stock_send_to(s, s->items[index].home, FG_STOCK_MSG_CLOSED, index, 0, 0, 0);
    mark_dirty(s, index);
    return true;
}

/* Nobody of this worker is on the way into the line or out of it, and the log has all who are. */
static bool is_closed(struct fg_stock *s, struct line *l)
{
    if (l->joining || l->list_head != NIL)
        return false;
    if (!l->closed_seq)
        l->closed_seq = 1 + s->pushed;
    return s->durable + 1 >= l->closed_seq;
}

bool fg_stock_draw_send_entries(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];

    if (l->closing != CLOSE_ASKED || s->mode == FG_STOCK_FAILED)
        return true;
    if (!is_closed(s, l))
        return false;
    for (; s->scan_left && l->entry_at < s->order_used; s->scan_left--, l->entry_at++) {
        const struct order *o = &s->orders[l->entry_at];

        if (o->item == index && o->state == FG_LEDGER_ORDER_WAITING &&
            !send_entry(s, index, l->entry_at))
            return false;
    }
    if (l->entry_at < s->order_used || !send_closed(s, index))
        return false;
    l->closing = CLOSE_DONE;
    return true;
}

void fg_stock_draw_seat(struct fg_stock *s, uint32_t index, uint32_t order, uint32_t ticket)
{
    struct order *o = &s->orders[order];

    FG_ASSERT(o->item == index && o->state == FG_LEDGER_ORDER_WAITING);
    FG_ASSERT(s->lines[index].closing == CLOSE_DONE);
    o->ticket = ticket;
}

void fg_stock_draw_over(struct fg_stock *s, uint32_t index, uint32_t serving)
{
    struct line *l = &s->lines[index];

    l->closing = CLOSE_NONE;
    l->undrawn = l->entry = false;
    l->serving = serving;
    l->pace_ms = 0;
}

/* ---- at the home */

void fg_stock_draw_ask(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];

    if (l->draw != DRAW_NONE)
        return;
    l->draw = DRAW_ASKED;
    l->draw_next = s->draw_head;
    s->draw_head = index;
    mark_dirty(s, index);
}

void fg_stock_draw_forget(struct fg_stock *s, uint32_t index)
{
    uint32_t *at = &s->draw_head;

    if (s->lines[index].draw == DRAW_NONE)
        return;
    while (*at != index)
        at = &s->lines[*at].draw_next;
    *at = s->lines[index].draw_next;
    s->lines[index].draw = DRAW_NONE;
}

static void begin(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];

    l->draw = DRAW_CLOSING;
    l->draw_send = l->close_wait = all_others(s);
    l->pool = l->head;
    l->head = l->tail = NIL;
    l->entries = 0;
    memset(l->sum, 0, sizeof(l->sum));
    l->call_sent = false;
    fg_stock_draw_close(s, index);
}

/* Some of the line were told to leave, and take no part. */
static bool is_clearing(const struct fg_stock *s, const struct line *l)
{
    return l->head != NIL && s->line_entries[l->head].ticket <= l->cleared;
}

void fg_stock_draw_check(struct fg_stock *s, uint64_t now_ms)
{
    uint64_t due_ms = UINT64_MAX;

    if (now_ms < s->draw_due_ms || s->mode != FG_STOCK_RUNNING)
        return;
    for (uint32_t i = s->draw_head; i != NIL; i = s->lines[i].draw_next) {
        const struct line *l = &s->lines[i];
        uint64_t at_ms = l->opens_ms > s->items[i].opens_ms ? l->opens_ms : s->items[i].opens_ms;

        if (l->draw != DRAW_ARMED || !s->items[i].live)
            continue;
        if (now_ms >= at_ms && l->draw_send == 0 && !is_clearing(s, l))
            begin(s, i);
        else if (at_ms < due_ms)
            due_ms = at_ms;
    }
    s->draw_due_ms = due_ms;
}

void fg_stock_draw_entry(struct fg_stock *s, uint32_t index, uint32_t order, uint16_t units,
                         unsigned worker, uint64_t user)
{
    struct line *l = &s->lines[index];
    uint32_t at = l->pool;

    FG_ASSERT(l->draw == DRAW_CLOSING && at != NIL);
    l->pool = s->line_entries[at].next;
    s->line_entries[at] = (struct line_entry){.order = order,
                                              .next = l->head,
                                              .units = units,
                                              .worker = (uint8_t)worker,
                                              .user = {(uint32_t)user, (uint32_t)(user >> 32)}};
    l->head = at;
    l->entries++;
    fg_ledger_draw_enter((struct fg_ledger_draw_sum *)l->sum, user);
}

void fg_stock_draw_closed(struct fg_stock *s, uint32_t index, unsigned worker)
{
    struct line *l = &s->lines[index];

    FG_ASSERT(l->draw == DRAW_CLOSING && l->close_wait & 1ull << worker);
    l->close_wait &= ~(1ull << worker);
    mark_dirty(s, index);
}

static bool send_each(struct fg_stock *s, uint32_t index, uint8_t type, uint32_t ticket)
{
    struct line *l = &s->lines[index];
    struct fg_stock_message m = {.type = type, .index = index, .ticket = ticket};

    for (uint64_t todo = l->draw_send; todo; todo &= todo - 1) {
        unsigned w = (unsigned)__builtin_ctzll(todo);

        if (fg_ring_push(s->config.to[w], &m))
            l->draw_send &= ~(1ull << w);
    }
    return l->draw_send == 0;
}

/* Nobody may enter before the log has the commitment. */
static bool commit(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct line *l = &s->lines[index];
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_LOTTERY, .item = s->items[index].id};

    if (s->mode != FG_STOCK_RUNNING || !can_record(s))
        return s->mode == FG_STOCK_STOPPING || s->mode == FG_STOCK_FAILED;
    fg_ledger_draw_seed(s->config.secret, s->items[index].id, (uint64_t[]){now_ms, s->pushed},
                        l->seed);
    fg_ledger_draw_commit(l->seed, r.name);
    fg_stock_push_record(s, &r, now_ms);
    l->draw_seq = s->pushed;
    l->draw = DRAW_SEALED;
    return false;
}

static bool arm(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];

    if (s->committed < l->draw_seq)
        return s->mode == FG_STOCK_FAILED;
    l->draw = DRAW_ARMED;
    s->draw_due_ms = 0;
    l->draw_send = all_others(s);
    l->undrawn = l->entry = true;
    return false;
}

/* All entries are here, and before this record in the log. */
static bool draw(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct line *l = &s->lines[index];
    struct fg_journal_record r = {.type = FG_JOURNAL_RECORD_DRAWN,
                                  .item = s->items[index].id,
                                  .user = l->entries,
                                  .arg = l->tickets};

    if (!send_each(s, index, FG_STOCK_MSG_CLOSE, 0))
        return false;
    if (l->close_wait || l->closing != CLOSE_DONE)
        return true;
    if (!may_record(s))
        return s->mode == FG_STOCK_FAILED;
    memcpy(r.order_id, l->seed, sizeof(r.order_id));
    fg_stock_push_record(s, &r, now_ms);
    l->lottery = false;
    l->draw_seq = s->pushed;
    fg_ledger_draw_key(l->seed, (const struct fg_ledger_draw_sum *)l->sum, l->key);
    l->next_at = l->head;
    l->head = NIL;
    l->waiting = l->entries;
    l->draw = DRAW_RANKING;
    return false;
}

static uint64_t rank_of(const struct line_entry *e)
{
    return (uint64_t)e->ticket << 32 | e->since;
}

static bool comes_before(const struct line_entry *a, const struct line_entry *b)
{
    uint64_t x = (uint64_t)a->user[1] << 32 | a->user[0],
             y = (uint64_t)b->user[1] << 32 | b->user[0];

    return rank_of(a) != rank_of(b) ? rank_of(a) < rank_of(b) : x < y;
}

static void put_in_bucket(struct fg_stock *s, const struct line *l, uint32_t at)
{
    struct line_entry *e = &s->line_entries[at];
    uint64_t rank = fg_ledger_draw_rank(l->key, (uint64_t)e->user[1] << 32 | e->user[0]);
    uint32_t *to = &s->draw_buckets[s->draw_bits ? rank >> (64 - s->draw_bits) : 0];

    e->ticket = (uint32_t)(rank >> 32);
    e->since = (uint32_t)rank;
    while (*to != NIL && comes_before(&s->line_entries[*to], e))
        to = &s->line_entries[*to].next;
    e->next = *to;
    *to = at;
}

static bool rank(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];

    if (s->ranking != NIL && s->ranking != index)
        return false;
    s->ranking = index;
    for (unsigned n = 0; n < STEP_ENTRIES && l->next_at != NIL; n++) {
        uint32_t at = l->next_at;

        l->next_at = s->line_entries[at].next;
        put_in_bucket(s, l, at);
    }
    for (unsigned n = 0; n < STEP_ENTRIES && l->pool != NIL; n++) { /* of users who left before */
        uint32_t at = l->pool;

        l->pool = s->line_entries[at].next;
        s->line_entries[at].next = s->line_free;
        s->line_free = at;
    }
    if (l->next_at == NIL && l->pool == NIL) {
        l->next_at = 0;
        l->draw = DRAW_COLLECTING;
    }
    return false;
}

static void append(struct fg_stock *s, uint64_t now_ms, struct line *l, uint32_t at)
{
    struct line_entry *e = &s->line_entries[at];

    e->ticket = ++l->tickets;
    e->since = (uint32_t)now_ms;
    e->next = NIL;
    if (l->head == NIL)
        l->head = at;
    else
        s->line_entries[l->tail].next = at;
    l->tail = at;
}

static bool collect(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct line *l = &s->lines[index];

    for (unsigned n = 0; n < STEP_ENTRIES && l->next_at < 1u << s->draw_bits; n++) {
        uint32_t *from = &s->draw_buckets[l->next_at];

        if (*from == NIL) {
            l->next_at++;
        } else {
            uint32_t at = *from;

            *from = s->line_entries[at].next;
            append(s, now_ms, l, at);
        }
    }
    if (l->next_at == 1u << s->draw_bits) {
        s->ranking = NIL;
        l->next_at = l->head;
        l->draw = DRAW_SEATING;
    }
    return false;
}

static bool seat(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];

    if (s->committed < l->draw_seq)
        return s->mode == FG_STOCK_FAILED;
    for (unsigned n = 0; n < STEP_ENTRIES && l->next_at != NIL; n++) {
        const struct line_entry *e = &s->line_entries[l->next_at];
        struct fg_stock_message m = {
            .type = FG_STOCK_MSG_SEAT, .index = index, .order = e->order, .ticket = e->ticket};

        if (e->worker == s->config.worker)
            fg_stock_draw_seat(s, index, e->order, e->ticket);
        else if (!fg_ring_push(s->config.to[e->worker], &m))
            return false;
        l->next_at = e->next;
    }
    if (l->next_at == NIL) {
        l->draw_send = all_others(s);
        l->draw = DRAW_TELLING;
    }
    return false;
}

static bool tell(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];
    uint32_t serving = l->head == NIL ? l->tickets + 1 : s->line_entries[l->head].ticket;

    if (!send_each(s, index, FG_STOCK_MSG_DRAWN, serving))
        return false;
    fg_stock_draw_over(s, index, serving);
    fg_stock_draw_forget(s, index);
    if (l->lottery) /* the next one */
        fg_stock_draw_ask(s, index);
    return false; /* there are units to be offered */
}

bool fg_stock_draw_work(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    switch ((enum draw_phase)s->lines[index].draw) {
    case DRAW_ASKED:
        return commit(s, now_ms, index);
    case DRAW_SEALED:
        return arm(s, index);
    case DRAW_ARMED:
        return send_each(s, index, FG_STOCK_MSG_ARMED, 0);
    case DRAW_CLOSING:
        return draw(s, now_ms, index);
    case DRAW_RANKING:
        return rank(s, index);
    case DRAW_COLLECTING:
        return collect(s, now_ms, index);
    case DRAW_SEATING:
        return seat(s, index);
    case DRAW_TELLING:
        return tell(s, index);
    default:
        return true;
    }
}
