/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/line.h"

#include "stock/draw.h"
#include "stock/tables.h"
#include "stock/users.h"
#include "stock/waiting.h"

/* ---- presence */

static uint32_t tick_of(uint64_t ms)
{
    return (uint32_t)(ms / LINE_TICK_MS);
}

/* About how long a ticket takes, by the offers that this worker heard of; 0 = not known. */
static uint64_t pace_us(const struct line *l, uint64_t now_ms)
{
    uint64_t stands_us = l->serving == l->pace_ticket ? (now_ms - l->pace_ms) * 1000 : 0;

    return l->pace_us && stands_us > l->pace_us ? stands_us : l->pace_us;
}

static void measure_pace(struct line *l, uint64_t now_ms)
{
    uint64_t took_us = (now_ms - l->pace_ms) * 1000, us;

    if (l->pace_ms && (l->serving == l->pace_ticket ||
                       took_us < l->ttl_ms * 1000ull / LINE_PACE_SHARE || took_us == 0))
        return;
    if (l->pace_ms) {
        us = took_us / (l->serving - l->pace_ticket) + 1;
        us = l->pace_us ? (3ull * l->pace_us + us) / 4 : us;
        l->pace_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    }
    l->pace_ms = now_ms;
    l->pace_ticket = l->serving;
}

static uint64_t until_opening_ms(const struct fg_stock *s, uint64_t now_ms, const struct order *o)
{
    uint64_t opens_ms = s->items[o->item].opens_ms;

    return opens_ms > now_ms ? opens_ms - now_ms : 0;
}

static uint32_t expected_ms(const struct fg_stock *s, uint64_t now_ms, const struct order *o)
{
    const struct line *l = &s->lines[o->item];
    uint64_t ahead = o->ticket > l->serving ? o->ticket - l->serving : 0;
    uint64_t ms = (ahead + 1) * pace_us(l, now_ms) / 1000;

    if (l->undrawn)
        ms = until_opening_ms(s, now_ms, o);

    return ms < RETRY_MS_MAX ? (uint32_t)ms : RETRY_MS_MAX;
}

static void set_present(const struct fg_stock *s, uint64_t now_ms, struct order *o)
{
    struct line *l = &s->lines[o->item];
    uint64_t ms = l->ttl_ms, half, most = (uint64_t)l->ttl_ms * LINE_TTLS_MAX;

    measure_pace(l, now_ms);
    half = expected_ms(s, now_ms, o) / 2;
    if (l->undrawn)
        ms += until_opening_ms(s, now_ms, o);
    else if (half > ms)
        ms = half < most ? half : most;
    o->loaded = 0;
    o->until = tick_of(now_ms + ms) + 1;
}

/* After a start all count as heard of, for as long as anybody may have been told. */
static uint64_t loaded_until(const struct fg_stock *s, uint64_t now_ms, const struct order *o)
{
    uint64_t opens_ms = s->items[o->item].opens_ms, start_ms = s->start_ms ? s->start_ms : now_ms;

    return (opens_ms > start_ms ? opens_ms : start_ms) +
           (uint64_t)s->lines[o->item].ttl_ms * LINE_TTLS_MAX;
}

static bool is_absent(const struct fg_stock *s, uint64_t now_ms, const struct order *o)
{
    if (o->loaded)
        return s->start_ms && now_ms > loaded_until(s, now_ms, o);
    return (int32_t)(o->until - tick_of(now_ms)) <= 0;
}

static uint64_t present_ms(const struct fg_stock *s, uint64_t now_ms, const struct order *o)
{
    if (is_absent(s, now_ms, o))
        return 1;
    if (!o->loaded)
        return (uint64_t)(o->until - tick_of(now_ms)) * LINE_TICK_MS - now_ms % LINE_TICK_MS;
    return loaded_until(s, now_ms, o) - now_ms;
}

void fg_stock_line_tell_times(const struct fg_stock *s, uint64_t now_ms, const struct order *o,
                              struct fg_stock_answer *a)
{
    uint64_t ms = present_ms(s, now_ms, o);

    a->retry_ms = ms == 0 ? 1 : ms < RETRY_MS_MAX ? (uint32_t)ms : RETRY_MS_MAX;
    a->deadline_ms |= (uint64_t)expected_ms(s, now_ms, o) << 32;
}

void fg_stock_line_heard(struct fg_stock *s, uint64_t now_ms, struct order *o)
{
    set_present(s, now_ms, o);
}

/* ---- orders that wait for a record */

static void list_push(struct fg_stock *s, uint32_t index, uint32_t order)
{
    struct line *l = &s->lines[index];

    s->orders[order].next = NIL;
    if (l->list_head == NIL)
        l->list_head = order;
    else
        s->orders[l->list_tail].next = order;
    l->list_tail = order;
    s->items[index].line = 1;
    mark_dirty(s, index);
}

static uint32_t list_pop(struct fg_stock *s, struct line *l)
{
    uint32_t at = l->list_head;

    l->list_head = s->orders[at].next;
    return at;
}

void fg_stock_line_ticketed(struct fg_stock *s, uint32_t index, uint32_t serial, uint32_t ticket)
{
    uint32_t at = fg_stock_take_waiter(s, item_at(s, index), serial);

    if (at == NIL)
        return;
    s->orders[at].state = ORDER_TICKETED;
    s->orders[at].seq = ticket;
    list_push(s, index, at);
}

/* False: this order has left, or was never in the line; its place may be another order's. */
static bool has_ticket(const struct order *o, uint32_t index, uint32_t ticket)
{
    if (o->item != index)
        return false;
    return o->state == ORDER_TICKETED ? o->seq == ticket
                                      : o->state == FG_LEDGER_ORDER_WAITING && o->ticket == ticket;
}

static void pass_on(struct fg_stock *s, uint32_t index, uint32_t units)
{
    s->lines[index].passed += units;
    s->items[index].releasing += units;
    s->items[index].line = 1;
    mark_dirty(s, index);
}

void fg_stock_line_offered(struct fg_stock *s, uint32_t index, uint32_t order, uint32_t ticket,
                           uint32_t units)
{
    struct order *o = &s->orders[order];

    if (!has_ticket(o, index, ticket)) {
        pass_on(s, index, units);
        return;
    }
    FG_ASSERT(o->quantity == units);
    s->lines[index].offered += units;
    if (o->state == ORDER_TICKETED) { /* its first record is not written yet */
        o->offer = 1;
        return;
    }
    o->state = ORDER_OFFERED;
    list_push(s, index, order);
}

void fg_stock_line_dropped(struct fg_stock *s, uint32_t index, uint32_t order, uint32_t ticket)
{
    struct order *o = &s->orders[order];

    if (!has_ticket(o, index, ticket))
        return;
    o->drop = 1;
    if (o->state == ORDER_TICKETED) /* its first record is not written yet */
        return;
    o->state = ORDER_OFFERED;
    list_push(s, index, order);
}

/* 0 when the user may have the units now. */
static unsigned why_not(const struct fg_stock *s, uint64_t now_ms, const struct order *o)
{
    const struct item *item = &s->items[o->item];

    if (o->drop)
        return FG_JOURNAL_LEFT_CLEARED;
    if (is_absent(s, now_ms, o))
        return FG_JOURNAL_LEFT_ABSENT;
    if (fg_stock_user_is_denied(s, o->user))
        return FG_JOURNAL_LEFT_DENIED;
    if (item->closes_ms && now_ms >= item->closes_ms)
        return FG_JOURNAL_LEFT_CLOSED;
    if (item->user_limit && s->usages[o->usage].units > item->user_limit)
        return FG_JOURNAL_LEFT_LIMIT;
    return 0;
}

/* The oldest of the list was offered units; it may have left since. */
static void decide_offer(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    struct line *l = &s->lines[index];
    uint32_t at = list_pop(s, l);
    struct order *o = &s->orders[at];
    uint32_t units = o->drop ? 0 : o->quantity;
    unsigned why;

    l->offered -= units;
    why = o->state == ORDER_OFFERED ? why_not(s, now_ms, o) : 0;
    if (o->state == ORDER_OFFERED && !why) {
        fg_stock_take_offer(s, now_ms, at, l->claim_ms);
        return;
    }
    if (why)
        fg_stock_leave(s, now_ms, o, why, (struct asker){FG_STOCK_NO_TOKEN, 0});
    o->drop = 0;
    pass_on(s, index, units);
}

static void decide_ticket(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    uint32_t at = list_pop(s, &s->lines[index]);
    struct order *o = &s->orders[at];
    struct asker asker = {o->token, o->kind};

    s->waiting--;
    o->ticket = (uint32_t)o->seq;
    if (o->ticket <= s->lines[index].serving) /* nobody is ahead: the line begins anew */
        s->lines[index].pace_ms = 0;
    set_present(s, now_ms, o);
    fg_stock_line_tell_times(s, now_ms, o, fg_stock_wait(s, now_ms, o, asker));
    if (o->offer || o->drop) {
        o->offer = 0;
        o->state = ORDER_OFFERED;
        list_push(s, index, at);
    }
}

static void refuse_ticket(struct fg_stock *s, uint32_t index, uint32_t at,
                          enum fg_packet_status refusal)
{
    const struct order *o = &s->orders[at];

    if (o->offer) {
        s->lines[index].offered -= o->quantity;
        pass_on(s, index, o->quantity);
    }
    fg_stock_refuse_order(s, at, refusal, 0);
}

/* No record can be written: who has only a ticket hears of it. What was offered stays. */
static void refuse_tickets(struct fg_stock *s, uint32_t index, enum fg_packet_status refusal)
{
    struct line *l = &s->lines[index];
    uint32_t at = l->list_head;

    l->list_head = NIL;
    while (at != NIL) {
        uint32_t next = s->orders[at].next;

        if (s->orders[at].state == ORDER_TICKETED)
            refuse_ticket(s, index, at, refusal);
        else
            list_push(s, index, at);
        at = next;
    }
}

bool fg_stock_line_work(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    enum fg_packet_status refusal = mode_refusal(s);
    struct line *l = &s->lines[index];

    if (refusal != FG_PACKET_STATUS_NONE) {
        refuse_tickets(s, index, refusal);
        return l->list_head == NIL || s->mode == FG_STOCK_FAILED;
    }
    while (l->list_head != NIL && can_record(s)) {
        if (s->orders[l->list_head].state == ORDER_TICKETED)
            decide_ticket(s, now_ms, index);
        else
            decide_offer(s, now_ms, index);
    }
    return l->list_head == NIL;
}

/* ---- called */

void fg_stock_line_called(struct fg_stock *s, uint32_t index, uint32_t order, uint32_t ticket)
{
    struct line *l = &s->lines[index];

    if (!l->called_ticket) {
        l->called_next = s->called_head;
        s->called_head = index;
    }
    l->called = order;
    l->called_ticket = ticket;
}

/* True when the order has left. */
static bool has_gone(struct fg_stock *s, uint64_t now_ms, uint32_t index)
{
    const struct line *l = &s->lines[index];
    struct order *o = &s->orders[l->called];

    if (!has_ticket(o, index, l->called_ticket))
        return true;
    if (o->state == ORDER_TICKETED || s->mode != FG_STOCK_RUNNING || !is_absent(s, now_ms, o) ||
        !can_record(s) || l->closing)
        return false;
    fg_stock_leave(s, now_ms, o, FG_JOURNAL_LEFT_ABSENT, (struct asker){FG_STOCK_NO_TOKEN, 0});
    return true;
}

void fg_stock_line_check_called(struct fg_stock *s, uint64_t now_ms)
{
    uint32_t index = s->called_head;

    s->called_head = NIL;
    while (index != NIL) {
        struct line *l = &s->lines[index];
        uint32_t next = l->called_next;

        if (has_gone(s, now_ms, index)) {
            l->gone = l->called_ticket;
            l->called_ticket = 0;
            s->items[index].line = 1;
            mark_dirty(s, index);
        } else {
            l->called_next = s->called_head;
            s->called_head = index;
        }
        index = next;
    }
}

void fg_stock_line_serving(struct fg_stock *s, uint32_t index, uint32_t ticket)
{
    if (ticket > s->lines[index].serving)
        s->lines[index].serving = ticket;
}

/* ---- at the home */

/* Behind those of smaller tickets. */
static void append(struct fg_stock *s, uint32_t index, const struct line_entry *entry)
{
    struct line *l = &s->lines[index];
    uint32_t at = s->line_free;

    FG_ASSERT(at != NIL);
    s->line_free = s->line_entries[at].next;
    s->line_entries[at] = *entry;
    s->line_entries[at].next = NIL;
    if (l->head == NIL)
        l->head = at;
    else
        s->line_entries[l->tail].next = at;
    l->tail = at;
    l->waiting++;
}

/* Of a draw: a place for an entry. */
static void put_in_pool(struct fg_stock *s, struct line *l)
{
    uint32_t at = s->line_free;

    FG_ASSERT(at != NIL);
    s->line_free = s->line_entries[at].next;
    s->line_entries[at].next = l->pool;
    l->pool = at;
    l->waiting++;
}

void fg_stock_line_add(struct fg_stock *s, uint64_t now_ms, uint32_t index,
                       const struct bank_entry *e)
{
    struct line *l = &s->lines[index];
    struct line_entry entry = {.ticket = ++l->tickets,
                               .order = e->order,
                               .units = (uint16_t)e->units,
                               .worker = e->worker,
                               .since = (uint32_t)now_ms};

    if (l->draw == DRAW_CLOSING) { /* it will be one of the entries */
        put_in_pool(s, l);
        return;
    }
    append(s, index, &entry);
    fg_stock_line_serving(s, index, line_serving(s, index));
}

static uint64_t everyone(const struct fg_stock *s)
{
    return s->config.workers == 64 ? UINT64_MAX : (1ull << s->config.workers) - 1;
}

static void drop_head(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];
    uint32_t at = l->head;

    l->head = s->line_entries[at].next;
    s->line_entries[at].next = s->line_free;
    s->line_free = at;
    l->waiting--;
    l->call_sent = false;
    l->serving_send = everyone(s) & ~(1ull << s->config.worker);
    fg_stock_line_serving(s, index, line_serving(s, index));
}

void fg_stock_line_gone(struct fg_stock *s, uint32_t index, uint32_t ticket)
{
    struct line *l = &s->lines[index];

    if (l->head == NIL || s->line_entries[l->head].ticket != ticket || l->draw >= DRAW_CLOSING)
        return; /* it was offered units meanwhile, which come back */
    drop_head(s, index);
    mark_dirty(s, index);
}

uint32_t fg_stock_line_clear(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];

    l->cleared = l->tickets;
    mark_dirty(s, index);
    return l->waiting;
}

static bool send(struct fg_stock *s, unsigned worker, uint8_t type, uint32_t index,
                 const struct line_entry *e, uint32_t units)
{
    struct fg_stock_message m = {
        .type = type, .index = index, .units = units, .order = e->order, .ticket = e->ticket};

    return fg_ring_push(s->config.to[worker], &m);
}

/* There is something for the head, and too little. */
static bool call(struct fg_stock *s, uint32_t index, const struct line_entry *e)
{
    struct line *l = &s->lines[index];

    if (l->call_sent)
        return true;
    if (e->worker == s->config.worker)
        fg_stock_line_called(s, index, e->order, e->ticket);
    else if (!send(s, e->worker, FG_STOCK_MSG_CALL, index, e, 0))
        return false;
    l->call_sent = true;
    return true;
}

static bool drop(struct fg_stock *s, uint32_t index, const struct line_entry *e)
{
    if (e->worker == s->config.worker)
        fg_stock_line_dropped(s, index, e->order, e->ticket);
    else if (!send(s, e->worker, FG_STOCK_MSG_DROP, index, e, 0))
        return false;
    drop_head(s, index);
    return true;
}

bool fg_stock_line_offer(struct fg_stock *s, uint64_t now_ms, uint32_t index, bool *room)
{
    struct line *l = &s->lines[index];
    struct line_entry e;
    bool dropped;

    if (l->head == NIL || s->mode != FG_STOCK_RUNNING || l->draw >= DRAW_CLOSING)
        return false;
    e = s->line_entries[l->head];
    if (e.ticket <= l->cleared) {
        dropped = drop(s, index, &e);
        *room &= dropped;
        return dropped;
    }
    if (l->kept == 0 || s->items[index].flags & FG_JOURNAL_ITEM_PAUSED || l->draw)
        return false;
    if (e.units > l->kept) {
        *room &= call(s, index, &e);
        return false;
    }
    if (e.worker == s->config.worker) {
        fg_stock_line_offered(s, index, e.order, e.ticket, e.units);
    } else if (!send(s, e.worker, FG_STOCK_MSG_OFFER, index, &e, e.units)) {
        *room = false;
        return false;
    }
    l->kept -= e.units;
    fg_histogram_add(&s->waited, FG_HISTOGRAM_MS_SHIFT, (uint32_t)now_ms - e.since, 1);
    drop_head(s, index);
    return true;
}

bool fg_stock_line_tell(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];
    struct line_entry e = {.ticket = line_serving(s, index)};

    for (uint64_t todo = l->serving_send; todo; todo &= todo - 1) {
        unsigned w = (unsigned)__builtin_ctzll(todo);

        if (send(s, w, FG_STOCK_MSG_SERVING, index, &e, 0))
            l->serving_send &= ~(1ull << w);
    }
    return l->serving_send == 0;
}

/* ---- recovery */

struct found {
    struct line_entry entry;
    uint32_t index;
};

static int by_ticket(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    return x->entry.ticket < y->entry.ticket ? -1 : x->entry.ticket > y->entry.ticket;
}

/* A worker's nth order of the ledger is its order n. */
static uint64_t find_all(struct fg_stock *s, const struct fg_ledger *ledger, struct found *found)
{
    uint32_t orders[FG_WORKERS_MAX] = {0};
    uint64_t n = 0;

    for (uint64_t i = 0; i < fg_ledger_orders(ledger); i++) {
        const struct fg_ledger_order *o = fg_ledger_order_at(ledger, i);
        unsigned owner = fg_user_owner(o->user, s->config.workers);
        uint32_t at = orders[owner]++;

        struct line *l;

        if (o->state != FG_LEDGER_ORDER_WAITING)
            continue;
        found[n].index = fg_ledger_item(ledger, o->item)->index;
        l = &s->lines[found[n].index];
        l->serving = o->ticket < l->serving ? (uint32_t)o->ticket : l->serving;
        if (fg_user_owner(o->item, s->config.workers) != s->config.worker)
            continue;
        found[n++].entry = (struct line_entry){.ticket = (uint32_t)o->ticket,
                                               .order = at,
                                               .units = o->quantity,
                                               .worker = (uint8_t)owner,
                                               .since = (uint32_t)o->changed_ms};
    }
    return n;
}

/* As after SOLD_OUT was announced: all units are in the bank, and kept. */
static void begin(struct fg_stock *s, const struct fg_ledger_item *from)
{
    struct item *item = item_at(s, from->index);
    struct line *l = &s->lines[from->index];

    l->max = from->line_max;
    l->claim_ms = from->claim_ms;
    l->ttl_ms = from->wait_ttl_ms;
    l->flags = from->line_flags & ~FG_JOURNAL_LINE_LOTTERY;
    l->tickets = (uint32_t)from->tickets;
    l->serving = l->tickets + 1;
    l->undrawn = from->line_flags & FG_JOURNAL_LINE_LOTTERY;
    l->lottery = l->undrawn && is_home(s, item);
    if (l->lottery)
        fg_stock_draw_ask(s, from->index);
    if (!from->waiting)
        return;
    item->sold_out = 1;
    if (!is_home(s, item))
        return;
    s->banks[from->index].line = s->banks[from->index].announced = true;
    l->kept = item->free;
    item->free = 0;
    mark_dirty(s, from->index);
}

void fg_stock_line_unload(struct fg_stock *s, uint32_t index)
{
    struct line *l = &s->lines[index];

    while (l->head != NIL) {
        uint32_t at = l->head;

        l->head = s->line_entries[at].next;
        s->line_entries[at].next = s->line_free;
        s->line_free = at;
    }
    l->waiting = l->kept = 0;
    l->max = l->claim_ms = l->ttl_ms = l->flags = 0;
    l->tickets = l->serving = 0;
    l->undrawn = l->lottery = false;
    fg_stock_draw_forget(s, index);
    s->items[index].sold_out = 0;
    s->banks[index].line = s->banks[index].announced = false;
}

bool fg_stock_line_load(struct fg_stock *s, const struct fg_ledger *ledger, struct fg_error *err)
{
    struct found *found;
    uint64_t n, waiting = 0, all = 0, lines = 0;

    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++) {
        const struct fg_ledger_item *item = fg_ledger_item_at(ledger, i);

        lines += item->line_max || item->tickets || item->line_flags;
        all += item->waiting;
        if (fg_user_owner(item->item, s->config.workers) == s->config.worker)
            waiting += item->waiting;
    }
    if (!lines)
        return true;
    if (!s->config.limits.waiting_max || waiting > s->config.limits.waiting_max)
        return fg_fail(err,
                       "waiting_max = %u is too small for the log: at worker %u %llu users wait",
                       s->config.limits.waiting_max, s->config.worker, (unsigned long long)waiting);
    found = malloc((waiting + 1) * sizeof(*found));
    if (!found)
        return fg_fail(err, "no memory for %llu waiting users", (unsigned long long)waiting);
    for (uint32_t i = 0; i < fg_ledger_items(ledger); i++)
        begin(s, fg_ledger_item_at(ledger, i));
    n = all ? find_all(s, ledger, found) : 0;
    FG_ASSERT(n == waiting);
    qsort(found, n, sizeof(*found), by_ticket);
    for (uint64_t i = 0; i < n; i++)
        append(s, found[i].index, &found[i].entry);
    free(found);
    return true;
}
